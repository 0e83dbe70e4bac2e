"""Protocol scripts: commands and the replies that they must get, in files that read as documentation.

    # A comment.
    ## A title: what follows up to the next one is a test of its own, on new connections, without keys

    > XADD s 1-1 name value      a command, in the quoting of redis-cli: "a\\x00b", 'a b'
    "1-1"                        its reply; long ones take several lines
    b> XREAD BLOCK 0 STREAMS s $ on another connection, opened at its first use
    blocks                       there is no reply yet
    b< nil*                      what arrives there later
    < push["message", "c", "m"]  what else arrives on the first connection
    b: quiet                     nothing arrives
    ! "PING\\r\\n"                 bytes as they are, not a command (b! on another connection)
    sleep 20ms
    repeat 1000 XADD s * n v     a command so many times, on the first connection; no reply is an error

Replies:

    +OK  -ERR text  -"ERR text"  "bytes"  12  #t  nil (of a string)  nil* (of an array)
    [1, "a", ...]          an array; ... stands for whatever else is in it
    {name: "s", ...}       a map in RESP3, a flat list in RESP2; with ... only these keys are looked at
    pairs{s: [...]}        a map in RESP3, a list of pairs in RESP2
    push[...] set[...]     a push, a set in RESP3, lists in RESP2
    unordered["a", "b"]    a list in any order
    txt"..." txt/regex/    a verbatim string in RESP3, a plain one in RESP2
    <id> <int> <0..50> <any>  an entry id, an integer, one in that range, anything
    <id:x> <int:x>         the same, and remembered: {x} in a later command or reply stands for it
    /regex/  -/regex/      a string, an error that matches
    closed                 the server closes the connection

A script runs in RESP2 and again in RESP3 (HELLO 3 comes first), against Redis and against spoor, and
both must reply alike. Where that cannot be:

    @redis @spoor @resp2 @resp3   before a command: it is for that server or protocol only; the same
                                  before the first title, for the whole script
    redis: REPLY                  in place of a reply: that server's or protocol's own
"""
import dataclasses
import re
import time

from resp import Bulk, Closed, Error, Map, Nil, Push, Set, Simple, Timeout, Verbatim

CONDITIONS = ("redis", "spoor", "resp2", "resp3")
QUIET_S = 0.06
SILENT = ("quiet", "sleep", "repeat")
ID = re.compile(rb"^\d+-\d+$")


@dataclasses.dataclass
class Step:
    line: int
    kind: str           # command, bytes, arrives, quiet, sleep, repeat
    connection: str
    text: str
    only: set
    replies: list       # (condition or "", text, line)


@dataclasses.dataclass
class Case:
    title: str
    steps: list


class Mismatch(Exception):
    pass


# Reading scripts ------------------------------------------------------------------------------------

STEP = re.compile(r"^(\w*)([>!<])(?: (.*))?$")
QUIET = re.compile(r"^(\w*): quiet$")
VARIANT = re.compile(r"^(%s): (.*)$" % "|".join(CONDITIONS))


def parse(text):
    """(conditions of the whole script, cases)."""
    whole, only, cases = set(), set(), []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("# "):
            continue
        if line.startswith("## "):
            cases.append(Case(line[3:].strip(), []))
            only = set()
        elif line.startswith("@"):
            (only if cases else whole).update(word.lstrip("@") for word in line.split())
        else:
            if not cases:
                raise ValueError(f"line {number}: before the first title")
            if parse_line(cases[-1].steps, number, line, only):
                only = set()
    return whole, cases


def parse_line(steps, number, line, only):
    """Adds a line to the steps; True where it began a step."""
    if quiet := QUIET.match(line):
        steps.append(Step(number, "quiet", quiet[1], "", set(only), []))
    elif line.startswith(("sleep ", "repeat ")):
        kind, text = line.split(" ", 1)
        steps.append(Step(number, kind, "", text, set(only), []))
    elif step := STEP.match(line):
        kind = {">": "command", "!": "bytes", "<": "arrives"}[step[2]]
        text = step[3] or ""
        replies = []
        if kind == "arrives":
            variant = VARIANT.match(text)
            if text:
                replies = [[variant[1], variant[2], number] if variant else ["", text, number]]
            text = ""
        steps.append(Step(number, kind, step[1], text, set(only), replies))
    else:
        add_reply(steps, number, line)
        return False
    return True


def add_reply(steps, number, line):
    if not steps:
        raise ValueError(f"line {number}: a reply without a command")
    replies = steps[-1].replies
    if variant := VARIANT.match(line):
        replies.append([variant[1], variant[2], number])
    elif replies and line.startswith(" "):
        replies[-1][1] += "\n" + line
    elif replies and is_open(replies[-1][1]):
        replies[-1][1] += "\n" + line
    elif replies and not replies[-1][0]:
        raise ValueError(f"line {number}: a second reply; what else arrives is written < REPLY")
    else:
        replies.append(["", line, number])


def is_open(text):
    """Whether brackets stay open at the end of a reply."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    if bare.startswith(("-", "+", "/")):
        return False
    return sum(bare.count(mark) for mark in "[{") > sum(bare.count(mark) for mark in "]}")


ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0", "a": b"\a", "b": b"\b"}


def unescape(text):
    out, at = bytearray(), 0
    while at < len(text):
        if text[at] != "\\":
            out += text[at].encode()
            at += 1
        elif text[at + 1] == "x":
            out.append(int(text[at + 2:at + 4], 16))
            at += 4
        else:
            out += ESCAPES.get(text[at + 1], text[at + 1].encode())
            at += 2
    return bytes(out)


WORD = re.compile(r'''\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+))''')


def words(text, names):
    """The words of a command, names put in; (a)x100 is a hundred times the letter a."""
    found = []
    for quoted, single, plain in WORD.findall(text):
        if plain:
            plain = re.sub(r"\{(\w+)\}", lambda match: names.get(match[1], match[0]), plain)
            times = re.match(r"^\((.)\)x(\d+)$", plain)
            found.append(times[1].encode() * int(times[2]) if times else plain.encode())
        else:
            found.append(unescape(quoted) if quoted else single.encode())
    return found


# Comparing replies ----------------------------------------------------------------------------------

class Pattern:
    """Compares one reply with its notation, reading it as it goes."""

    def __init__(self, text, protocol, names):
        self.text = text
        self.at = 0
        self.protocol = protocol
        self.names = names

    def match(self, value):
        """Raises Mismatch where the value is another one."""
        text = self.text
        if text.startswith("-/"):
            self.expect(isinstance(value, Error), "an error", value)
            self.regex(text[2:text.rindex("/")], value)
        elif text.startswith("-") and not text.startswith('-"'):
            if not re.match(r"^-\d+$", text):
                self.expect(isinstance(value, Error) and value == self.named(text[1:]), text, value)
                return
            self.expect(value == int(text), text, value)
        elif text.startswith("+"):
            self.expect(isinstance(value, Simple) and value == text[1:], text, value)
        else:
            self.item(value)
            self.space()
            if self.at != len(text):
                raise ValueError(f"{text!r}: cannot read from {text[self.at:]!r}")

    def named(self, text):
        return re.sub(r"\{(\w+)\}", lambda match: self.names.get(match[1], match[0]), text)

    @staticmethod
    def expect(good, what, value):
        if not good:
            raise Mismatch(f"expected {what}, got {show(value)}")

    def regex(self, expression, value):
        text = value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
        self.expect(re.search(expression, text, re.DOTALL), f"/{expression}/", value)

    def space(self):
        while self.at < len(self.text) and self.text[self.at] in " \n":
            self.at += 1

    def take(self, expression):
        self.space()
        match = re.compile(expression, re.DOTALL).match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def skip(self):
        """Passes over one item without a value to compare."""
        try:
            self.item(Skipped())
        except Mismatch:
            raise AssertionError("a skipped item compares with nothing") from None

    def item(self, value):
        if match := self.take(r'(txt)?"((?:[^"\\]|\\.)*)"'):
            self.string(match[1], unescape(match[2]), value)
        elif match := self.take(r"\{(\w+)\}"):
            known = self.names[match[1]]
            self.check((isinstance(value, Bulk) and value == known.encode()) or
                       (isinstance(value, int) and str(value) == known), known, value)
        elif match := self.take(r"<(\w+)(?::(\w+))?>"):
            self.hole(match[1], match[2], value)
        elif match := self.take(r"<(-?\d+)\.\.(-?\d+)>"):
            low, high = int(match[1]), int(match[2])
            self.check(type(value) is int and low <= value <= high, f"{low} to {high}", value)
        elif match := self.take(r"txt/((?:[^/\\]|\\.)*)/"):
            want = Verbatim if self.protocol == 3 else Bulk
            self.check(isinstance(value, want), want.__name__, value)
            if not isinstance(value, Skipped):
                self.regex(match[1], value[4:] if self.protocol == 3 else value)
        elif self.take(r"nil\*"):
            self.nil("array", value)
        elif self.take(r"nil\b"):
            self.nil("string", value)
        elif match := self.take(r"#([tf])"):
            self.check(isinstance(value, bool) and value == (match[1] == "t"), match[0], value)
        elif match := self.take(r"-?\d+"):
            self.check(type(value) is int and value == int(match[0]), match[0], value)
        elif match := self.take(r"(push|set|unordered)?\["):
            self.sequence(match[1], value)
        elif match := self.take(r"(pairs)?\{"):
            self.mapping(match[1], value)
        elif match := self.take(r"\+(\w+)"):
            self.check(isinstance(value, Simple) and value == match[1], match[0], value)
        elif match := self.take(r'-"([^"]*)"'):
            self.check(isinstance(value, Error) and value == self.named(match[1]), match[0], value)
        elif match := self.take(r"/((?:[^/\\]|\\.)*)/"):
            self.check(isinstance(value, (bytes, str)), "a string", value)
            if not isinstance(value, Skipped):
                self.regex(match[1], value)
        else:
            raise ValueError(f"{self.text!r}: cannot read from {self.text[self.at:]!r}")

    def check(self, good, what, value):
        if not isinstance(value, Skipped):
            self.expect(good, what, value)

    def string(self, verbatim, data, value):
        if verbatim and self.protocol == 3:
            self.check(isinstance(value, Verbatim) and value == b"txt:" + data, data, value)
        else:
            self.check(isinstance(value, Bulk) and value == data, data, value)

    def hole(self, kind, name, value):
        if kind == "id":
            self.check(isinstance(value, Bulk) and ID.match(value), "an entry id", value)
        elif kind == "int":
            self.check(type(value) is int, "an integer", value)
        elif kind != "any":
            raise ValueError(f"no such thing as <{kind}>")
        if name and not isinstance(value, Skipped):
            self.names[name] = value.decode() if isinstance(value, bytes) else str(value)

    def nil(self, kind, value):
        wanted = kind if self.protocol == 2 else "null"
        self.check(isinstance(value, Nil) and value.kind == wanted, f"nil ({wanted})", value)

    def sequence(self, shape, value):
        want = {"push": Push, "set": Set}.get(shape, list) if self.protocol == 3 else list
        if not isinstance(value, Skipped):
            self.expect(type(value) is want, f"a {want.__name__}", value)
        if shape == "unordered":
            self.unordered(value)
            return
        rest = [] if isinstance(value, Skipped) else list(value)
        while not self.take(r"\]"):
            if self.take(r"\.\.\."):
                rest = []
            else:
                self.check(rest, f"more than {0 if isinstance(value, Skipped) else len(value)} "
                           "items", value)
                self.item(rest.pop(0) if rest else Skipped())
            self.take(",")
        self.check(not rest, f"{len(rest)} items fewer", value)

    def unordered(self, value):
        rest = [] if isinstance(value, Skipped) else list(value)
        while not self.take(r"\]"):
            start = self.at
            for index, each in enumerate(rest):
                self.at = start
                try:
                    self.item(each)
                except Mismatch:
                    continue
                del rest[index]
                break
            else:
                self.at = start
                self.skip()
                self.check(False, f"one like {self.text[start:self.at]}", value)
            self.take(",")
        self.check(not rest, f"without {[show(each) for each in rest]}", value)

    def pairs_of(self, paired, value):
        """The (key, value) pairs of a map in the shape that this protocol gives it."""
        if isinstance(value, Skipped):
            return []
        if self.protocol == 3:
            self.expect(type(value) is Map, "a map", value)
            return [tuple(pair) for pair in value]
        self.expect(type(value) is list, "a list", value)
        if paired:
            self.expect(all(type(pair) is list and len(pair) == 2 for pair in value), "pairs", value)
            return [tuple(pair) for pair in value]
        self.expect(len(value) % 2 == 0, "pairs", value)
        return list(zip(value[::2], value[1::2]))

    def mapping(self, paired, value):
        """With ... keys are looked up; without, all of them are there and in this order."""
        entries = self.pairs_of(paired, value)
        partial = bool(re.search(r"\.\.\.\s*\}", self.text[self.at:self.closing()]))
        while not self.take(r"\}"):
            if self.take(r"\.\.\."):
                entries = []
            else:
                self.entry(entries, partial, value)
            self.take(",")
        self.check(not entries, f"without {[show(key) for key, _ in entries]}", value)

    def closing(self):
        """Where the brace that is open here closes."""
        depth, at = 1, self.at
        while depth:
            if self.text[at] == '"':
                at = re.compile(r'"(?:[^"\\]|\\.)*"').match(self.text, at).end()
                continue
            depth += {"{": 1, "}": -1}.get(self.text[at], 0)
            at += 1
        return at

    def entry(self, entries, partial, value):
        match = self.take(r'(?:"((?:[^"\\]|\\.)*)"|([\w.-]+)): ?')
        if not match:
            raise ValueError(f"{self.text!r}: no key at {self.text[self.at:]!r}")
        key = unescape(match[1]) if match[1] is not None else match[2].encode()
        if isinstance(value, Skipped):
            self.skip()
            return
        index = 0
        if partial:
            index = next((i for i, (name, _) in enumerate(entries) if name == key), None)
        self.expect(index is not None and entries and entries[index][0] == key, f"the key {key!r}",
                    value)
        self.item(entries.pop(index)[1])


class Skipped(list):
    """Stands for the value where there is none: the notation is read, nothing is compared."""


def quote(data):
    out = []
    for byte in data:
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif 32 <= byte < 127:
            out.append(char)
        else:
            out.append({10: "\\n", 13: "\\r"}.get(byte, f"\\x{byte:02x}"))
    return '"' + "".join(out) + '"'


def show(value, nested=False):
    """A reply in the notation of the scripts."""
    if isinstance(value, Nil):
        return "nil*" if value.kind == "array" else "nil"
    if isinstance(value, Error):
        return f'-"{value}"' if nested else f"-{value}"
    if isinstance(value, Simple):
        return f"+{value}"
    if isinstance(value, Verbatim):
        return f"txt{quote(value[4:])}"
    if isinstance(value, bytes):
        return quote(value)
    if isinstance(value, bool):
        return "#t" if value else "#f"
    if isinstance(value, Map):
        return "{" + ", ".join(f"{key_name(key)}: {show(each, True)}" for key, each in value) + "}"
    if isinstance(value, list):
        name = {Push: "push", Set: "set"}.get(type(value), "")
        return name + "[" + ", ".join(show(each, True) for each in value) + "]"
    return str(value)


def key_name(key):
    if isinstance(key, bytes) and re.match(rb"^[\w.-]+$", key):
        return key.decode()
    return show(key, True)


# Running ----------------------------------------------------------------------------------------------

class Runner:
    """Runs one case against one server in one protocol."""

    def __init__(self, server, protocol):
        self.server = server
        self.protocol = protocol
        self.conditions = {server.name, f"resp{protocol}"}
        self.connections = {}
        self.protocols = {}  # of each connection: HELLO and RESET change it
        self.names = {}

    def applies(self, only):
        return all(each in self.conditions for each in only)

    def connection(self, name):
        if name not in self.connections:
            connection = self.connections[name] = self.server.connect(timeout=5)
            self.protocols[name] = self.protocol
            if self.protocol == 3:
                reply = connection.call("HELLO", "3")
                assert isinstance(reply, Map), f"HELLO 3: {show(reply)}"
        return self.connections[name]

    def run(self, case, record=None):
        try:
            for step in case.steps:
                if not self.applies(step.only):
                    continue
                try:
                    value = self.take(step)
                    if record is not None:
                        record[step.line] = value
                    if step.kind not in SILENT and (record is None or step.replies):
                        self.judge(step, value)
                except Mismatch as problem:
                    raise Mismatch(f"line {step.line}: {step.connection}> {step.text}: {problem}"
                                   ) from None
        finally:
            for connection in self.connections.values():
                connection.close()
            self.connections = {}

    def take(self, step):
        """Does one step; gives the reply, "blocks", "closed", or None where there is none."""
        if step.kind == "sleep":
            time.sleep(float(step.text.removesuffix("ms")) / 1000)
            return None
        connection = self.connection(step.connection)
        if step.kind == "quiet":
            if not connection.silent(QUIET_S):
                raise Mismatch(f"expected nothing, got {show(connection.read())}")
            return None
        if step.kind == "repeat":
            count, text = step.text.split(" ", 1)
            replies = connection.pipeline([words(text, self.names)] * int(count))
            bad = next((reply for reply in replies if isinstance(reply, Error)), None)
            if bad is not None:
                raise Mismatch(f"one of {count} replies is {show(bad)}")
            return None
        wanted = self.wanted(step)
        command = []
        try:
            if step.kind == "command":
                command = words(step.text, self.names)
                connection.send(*command)
            elif step.kind == "bytes":
                connection.send_bytes(b"".join(words(step.text, self.names)))
            if wanted == "none":
                return None
            reply = connection.read(QUIET_S if wanted == "blocks" else 0.4 if wanted is None else 5)
            self.note_protocol(step.connection, command, reply)
            return reply
        except Timeout:
            return "blocks"
        except Closed:
            return "closed"

    def note_protocol(self, name, command, reply):
        """The reply of HELLO comes in the protocol that it asks for; RESET goes back to RESP2."""
        verb = command[0].upper() if command else b""
        if verb == b"RESET" and reply == "RESET":
            self.protocols[name] = 2
        elif verb == b"HELLO" and len(command) > 1 and not isinstance(reply, Error):
            self.protocols[name] = int(command[1])

    def wanted(self, step):
        """The reply that holds here; None where there is none."""
        best = None
        for condition, text, _ in step.replies:
            if condition in self.conditions or (not condition and best is None):
                best = text
        return best

    def judge(self, step, value):
        wanted = self.wanted(step)
        if wanted is None:
            raise ValueError(f"line {step.line}: no reply is given for {step.text}")
        if wanted == "none" and value is None:
            return
        if wanted in ("blocks", "closed") or value in ("blocks", "closed"):
            if value != wanted:
                got = value if value in ("blocks", "closed") else show(value)
                raise Mismatch(f"expected {wanted}, got {got}")
            return
        Pattern(wanted, self.protocols[step.connection], self.names).match(value)


def remove_keys(server):
    """Between cases: no keys, whatever the case before left."""
    with server.connect() as connection:
        keys = connection.call("KEYS", "*")
        if keys:
            connection.call("DEL", *keys)
