"""Puts the replies that Redis gives into a script that has none yet.

What comes out is a draft to be read and judged: what changes from run to run is only guessed at.
"""
import re

from resp import Map, Nil, Push, Set, Verbatim
from script import SILENT, Runner, parse, remove_keys, show

AUTO_ID = re.compile(rb"^\d{13}-\d+$")
COLUMNS = 96


def replies(text, start, protocol):
    whole, cases = parse(text)
    found = {}
    with start() as server:
        for case in cases:
            runner = Runner(server, protocol)
            if runner.applies(whole):
                remove_keys(server)
                runner.run(case, found)
    return found


def pairs(value):
    return [list(pair) for pair in zip(value[::2], value[1::2])]


def merge(two, three, nested=False):
    """One notation for what RESP2 and RESP3 gave; None where there is none for both."""
    if isinstance(two, Nil) and isinstance(three, Nil):
        return show(two)
    if isinstance(three, Map) and isinstance(two, list):
        paired = all(isinstance(each, list) and len(each) == 2 for each in two)
        entries = zip(two if paired and two else pairs(two), three)
        body = [(show(key)[1:-1] if re.match(rb"^[\w.-]+$", key) else show(key),
                 merge(old, new, True)) for (_, old), (key, new) in entries]
        return ("pairs" if paired else "") + "{" + ", ".join(f"{k}: {v}" for k, v in body) + "}"
    if isinstance(two, list) and isinstance(three, list) and len(two) == len(three):
        name = {Push: "push", Set: "set"}.get(type(three), "")
        return name + "[" + ", ".join(merge(a, b, True) or "<any>" for a, b in zip(two, three)) + "]"
    if isinstance(three, Verbatim):
        return show(three) if three[4:] == two else "txt/.*/"
    if isinstance(two, bytes) and isinstance(three, bytes):
        if AUTO_ID.match(two):
            return "<id>"
        return show(two) if two == three else "<any>"
    if type(two) is int and type(three) is int:
        return str(two) if two == three else "<int>"
    if type(two) is type(three) and two == three:
        return two if two in ("blocks", "closed") and type(two) is str else show(two, nested)
    return None


def wrap(text):
    """Breaks a long reply at commas."""
    out, indent = [], ""
    while len(indent + text) > COLUMNS and not text.startswith(("-", "+")):
        cut = text.rfind(", ", 20, COLUMNS - len(indent))
        if cut < 0:
            break
        out.append(indent + text[:cut + 1])
        text, indent = text[cut + 2:], "    "
    out.append(indent + text)
    return out


def record(text, start):
    """The script with replies where there were none."""
    two, three = replies(text, start, 2), replies(text, start, 3)
    steps = {step.line: step for case in parse(text)[1] for step in case.steps}
    out = []
    for number, line in enumerate(text.splitlines(), 1):
        out.append(line)
        step = steps.get(number)
        if step is None or step.replies or step.kind in SILENT:
            continue
        if number not in two and number not in three:
            continue
        old, new = two.get(number, three.get(number)), three.get(number, two.get(number))
        lines = []
        both = merge(old, new)
        if both is not None:
            lines = wrap(both)
        else:
            for name, value in (("resp2", old), ("resp3", new)):
                shown = value if value in ("blocks", "closed") else show(value)
                lines += wrap(f"{name}: {shown}")
        if step.kind == "arrives":
            out[-1] = f"{line} {lines[0]}"
            lines = lines[1:]
        out += lines
    return "\n".join(out) + "\n"
