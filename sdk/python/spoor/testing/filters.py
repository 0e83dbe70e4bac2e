"""Filters as the server has them, for the bus in memory: docs/filters.md, both dialects."""
from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, Optional

from ..event import Event
from . import eventbridge
from .compare import as_kind, equal, is_scalar, order
from .paths import MISSING, Check, Test, find


def compile_filter(given: Optional[Mapping[str, Any]]) -> Test:
    """A test for events; a ValueError where it is no filter."""
    if not given:
        return lambda event: True
    if eventbridge.is_pattern(given):
        return eventbridge.compile_pattern(given)
    return _all_of(given)


def _all_of(given: Mapping[str, Any]) -> Test:
    if not isinstance(given, Mapping):
        raise ValueError(f"a filter is an object, not {given!r}")
    tests = [_entry(name, value) for name, value in given.items()]
    return lambda event: all(test(event) for test in tests)


def _entry(name: str, value: Any) -> Test:
    if name in ("$and", "$or"):
        if not isinstance(value, (list, tuple)) or not value:
            raise ValueError(f"{name}: expected an array of filters")
        tests = [_all_of(each) for each in value]
        combine = all if name == "$and" else any
        return lambda event: combine(test(event) for test in tests)
    if name == "$not":
        inner = _all_of(value)
        return lambda event: not inner(event)
    return _at_path(name, value)


def _at_path(path: str, value: Any) -> Test:
    check = (_conditions(path, value) if isinstance(value, Mapping)
             else _operator(path, "$eq", value))
    number = path in ("schemaversion", "schema_version", "schemaVersion", "event_version")

    def test(event: Event) -> bool:
        found = find(event, path)
        found = found if found is MISSING else as_kind(path, found)
        if number and isinstance(found, str) and re.fullmatch(r"-?\d+(\.\d+)?", found):
            return check(_Version(found))
        return check(found)
    return test


class _Version(str):
    """A schemaversion: a string that is a number beside a number."""


def _conditions(path: str, given: Mapping[str, Any]) -> Check:
    if not given:
        raise ValueError(f"{path}: an object without operators")
    checks = [_operator(path, name, operand) for name, operand in given.items()]
    return lambda value: all(check(value) for check in checks)


def _operator(path: str, name: str, operand: Any) -> Check:
    if name in ("$and", "$or"):
        if not isinstance(operand, (list, tuple)) or not operand:
            raise ValueError(f"{path}: {name}: expected an array of conditions")
        checks = [_conditions(path, each) for each in operand]
        combine = all if name == "$and" else any
        return lambda value: combine(check(value) for check in checks)
    if name == "$not":
        inner = _conditions(path, operand)
        return lambda value: not inner(value)
    if name in ("$ne", "$nin"):
        opposite = _operator(path, "$eq" if name == "$ne" else "$in", operand)
        return lambda value: not opposite(value)
    maker = _MAKERS.get(name)
    if maker is None:
        raise ValueError(f"{path}: unknown operator {name!r}")
    return maker(path, operand)


def _number(value: Any, operand: Any) -> Any:
    if isinstance(value, _Version):
        return float(value) if isinstance(operand, (int, float)) else str(value)
    return value


def _eq(path: str, operand: Any) -> Check:
    wanted = _scalar(path, operand)
    return lambda value: value is not MISSING and equal(_number(value, wanted), wanted)


def _in(path: str, operand: Any) -> Check:
    if not isinstance(operand, (list, tuple)):
        raise ValueError(f"{path}: $in and $nin take an array")
    checks = [_eq(path, each) for each in operand]
    return lambda value: any(check(value) for check in checks)


def _ordered(accept: Callable[[int], bool]) -> Callable[[str, Any], Check]:
    def make(path: str, operand: Any) -> Check:
        if isinstance(operand, bool) or not isinstance(operand, (str, int, float)):
            raise ValueError(f"{path}: an order needs a string or a number")
        wanted = as_kind(path, operand)

        def check(value: Any) -> bool:
            found = None if value is MISSING else order(_number(value, wanted), wanted)
            return found is not None and accept(found)
        return check
    return make


def _exists(path: str, operand: Any) -> Check:
    if not isinstance(operand, bool):
        raise ValueError(f"{path}: $exists takes true or false")
    return lambda value: (value is not MISSING) is operand


def _text(test: Callable[[str, str], bool]) -> Callable[[str, Any], Check]:
    def make(path: str, operand: Any) -> Check:
        if not isinstance(operand, str):
            raise ValueError(f"{path}: expected a string, found {operand!r}")
        return lambda value: isinstance(value, str) and test(value, operand)
    return make


def _contains(path: str, operand: Any) -> Check:
    wanted = _scalar(path, operand)

    def check(value: Any) -> bool:
        if isinstance(value, str):
            return isinstance(wanted, str) and wanted in value
        return isinstance(value, (list, tuple)) and any(
            is_scalar(each) and equal(each, wanted) for each in value)
    return check


def _regex(path: str, operand: Any) -> Check:
    if not isinstance(operand, str):
        raise ValueError(f"{path}: $regex takes a string")
    found = to_python_regex(operand)
    return lambda value: isinstance(value, str) and found.search(value) is not None


def _scalar(path: str, operand: Any) -> Any:
    if not is_scalar(operand):
        raise ValueError(f"{path}: an array or object cannot be compared with")
    return as_kind(path, operand)


_MAKERS: Dict[str, Callable[[str, Any], Check]] = {
    "$eq": _eq, "$in": _in, "$exists": _exists, "$contains": _contains, "$regex": _regex,
    "$gt": _ordered(lambda found: found > 0), "$gte": _ordered(lambda found: found >= 0),
    "$lt": _ordered(lambda found: found < 0), "$lte": _ordered(lambda found: found <= 0),
    "$prefix": _text(str.startswith), "$suffix": _text(str.endswith),
}

_REFUSED = re.compile(r"\\[1-9]|\(\?(?:=|!|<=|<!|>)|[*+?}]\+|\[:\w+:\]|\\[pP]\{")
_CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": " \\t\\n\\r\\f\\v"}


def to_python_regex(text: str) -> "re.Pattern[str]":
    """The server's expressions in Python's words; classes are ASCII, ^ and $ are the ends."""
    if _REFUSED.search(text):
        raise ValueError(f"regular expression {text!r}: not supported")
    pieces: List[str] = []
    at, inside = 0, False
    while at < len(text):
        sign = text[at]
        if sign == "\\" and at + 1 < len(text):
            following = text[at + 1]
            piece, at = _escape(text, at, following, inside)
            pieces.append(piece)
            continue
        if sign == "[" and not inside:
            inside = True
        elif sign == "]" and inside:
            inside = False
        pieces.append("\\Z" if sign == "$" and not inside else
                      "(?P<" if text.startswith("(?<", at) and not inside else sign)
        at += 3 if pieces[-1] == "(?P<" else 1
    try:
        return re.compile("".join(pieces))
    except re.error as problem:
        raise ValueError(f"regular expression {text!r}: {problem}") from problem


def _escape(text: str, at: int, following: str, inside: bool) -> "tuple[str, int]":
    """The escape at a place in Python's words, and where it ends."""
    if following.lower() in _CLASSES:
        members = _CLASSES[following.lower()]
        if inside:
            return members if following.islower() else f"\\{following}", at + 2
        return f"[{'^' if following.isupper() else ''}{members}]", at + 2
    if following == "z":
        return "\\Z", at + 2
    if following in "bB":
        edge = r"(?:(?<![0-9A-Za-z_])(?=[0-9A-Za-z_])|(?<=[0-9A-Za-z_])(?![0-9A-Za-z_]))"
        return edge if following == "b" else f"(?!{edge})", at + 2
    if following == "e":
        return "\\x1b", at + 2
    braced = re.match(r"\\x\{([0-9A-Fa-f]+)\}", text[at:])
    if braced:
        return re.escape(chr(int(braced.group(1), 16))), at + braced.end()
    return text[at:at + 2], at + 2
