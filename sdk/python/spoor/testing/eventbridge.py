"""Amazon EventBridge's event patterns: docs/filters.md#eventbridge-event-patterns."""
from __future__ import annotations

import ipaddress
import re
from typing import Any, Callable, Iterator, List, Mapping, Tuple

from ..event import Event
from .compare import is_number, is_scalar
from .paths import MISSING, Check, Test, root

_COMPARE = {"=": lambda a, b: a == b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
            ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}
_NAMES = {"detail": "data", "detail-type": "type"}


def is_pattern(given: Mapping[str, Any]) -> bool:
    """Whether the leaves are arrays. A mixture of both dialects is a ValueError."""
    leaves = list(_leaves(given))
    if any(leaves) and not all(leaves):
        raise ValueError("the filter mixes two dialects: some of its leaves are arrays, some not")
    return bool(leaves) and all(leaves)


def _leaves(given: Any) -> Iterator[bool]:
    """For each leaf, whether it is an array of what may match. Operators are leaves."""
    for name, value in given.items():
        if name in ("$and", "$not"):
            yield False
        elif name == "$or":
            for each in value if isinstance(value, (list, tuple)) else ():
                if isinstance(each, Mapping):
                    yield from _leaves(each)
        elif isinstance(value, (list, tuple)):
            yield True
        elif isinstance(value, Mapping) and not any(key.startswith("$") and key != "$or"
                                                    for key in value):
            if "$or" in value and all(_is_operators(each) for each in value["$or"]):
                yield False
            else:
                yield from _leaves(value)
        else:
            yield False


def _is_operators(given: Any) -> bool:
    return isinstance(given, Mapping) and all(key.startswith("$") for key in given)


def compile_pattern(given: Mapping[str, Any]) -> Test:
    alternatives = _expand(given)
    tests = [[(name, _node(value)) for name, value in each.items()] for each in alternatives]

    def test(event: Event) -> bool:
        return any(all(node(root(event, _NAMES.get(name, name))) for name, node in fields)
                   for fields in tests)
    return test


def _expand(given: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """Without $or: every choice as a pattern of its own. A field named twice must match both."""
    found: List[Mapping[str, Any]] = [{}]
    for name, value in given.items():
        if name == "$or":
            if not isinstance(value, (list, tuple)) or len(value) < 2:
                raise ValueError("$or: expected two patterns or more")
            choices = [choice for each in value for choice in _expand(each)]
        elif isinstance(value, Mapping):
            choices = [{name: inner} for inner in _expand(value)]
        else:
            choices = [{name: value}]
        found = [_merged(one, other) for one in found for other in choices]
        if len(found) > 512:
            raise ValueError("the pattern has more than 512 conditions")
    return found


class _Both(Tuple[Any, Any]):
    """Two patterns for one field."""


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    found = dict(one)
    for name, value in other.items():
        if name in found and isinstance(found[name], Mapping) and isinstance(value, Mapping):
            found[name] = _merged(found[name], value)
        else:
            found[name] = _Both((found[name], value)) if name in found else value
    return found


class _Node:
    """A part of a pattern. `only_absent`: it asks for nothing that is there."""

    def __init__(self, test: Callable[[Any], bool], only_absent: bool) -> None:
        self.test, self.only_absent = test, only_absent

    def __call__(self, value: Any) -> bool:
        return self.test(value)


def _node(pattern: Any) -> _Node:
    if isinstance(pattern, _Both):
        one, other = _node(pattern[0]), _node(pattern[1])
        return _Node(lambda value: one(value) and other(value),
                     one.only_absent and other.only_absent)
    if isinstance(pattern, Mapping):
        return _fields(pattern)
    if not isinstance(pattern, (list, tuple)) or not pattern:
        raise ValueError("a field of a pattern has an array of what may match, not an empty one")
    return _leaf(pattern)


def _fields(pattern: Mapping[str, Any]) -> _Node:
    nodes = {name: _node(value) for name, value in pattern.items()}
    only_absent = all(node.only_absent for node in nodes.values())

    def test(value: Any) -> bool:
        if isinstance(value, (list, tuple)):
            elements = list(_flat(value))
            if only_absent:  # nothing chooses an element, so it is absent from all of them
                return all(test(each) for each in elements)
            return any(test(each) for each in elements)
        members = value if isinstance(value, Mapping) else {}
        return all(node(members.get(name, MISSING)) for name, node in nodes.items())
    return _Node(test, only_absent)


def _leaf(pattern: Any) -> _Node:
    checks = [_element(each) for each in pattern]
    only_absent = all(isinstance(each, Mapping) and each.get("exists") is False
                      for each in pattern)

    def test(value: Any) -> bool:
        values = [each for each in (_flat(value) if isinstance(value, (list, tuple)) else [value])
                  if is_scalar(each)]
        return any(check(each) for each in values or [MISSING] for check in checks)
    return _Node(test, only_absent)


def _flat(values: Any) -> Iterator[Any]:
    for each in values:
        if isinstance(each, (list, tuple)):
            yield from _flat(each)
        else:
            yield each


def _element(given: Any) -> Check:
    if not isinstance(given, Mapping):
        if not is_scalar(given):
            raise ValueError(f"{given!r} cannot be matched with")
        return lambda value: _same(value, given)
    if len(given) != 1:
        raise ValueError(f"expected one operator, found {given!r}")
    (name, operand), = given.items()
    if name == "exists":
        if not isinstance(operand, bool):
            raise ValueError("exists takes true or false")
        return lambda value: (value is not MISSING) is operand
    if name == "anything-but":
        return _anything_but(operand)
    if name == "numeric":
        return _numeric(operand)
    if name == "cidr":
        network = ipaddress.ip_network(operand, strict=False)
        return lambda value: isinstance(value, str) and _within(value, network)
    return _texts(name, operand)


def _same(value: Any, wanted: Any) -> bool:
    if is_number(value) and is_number(wanted):
        return bool(value == wanted)
    return type(value) is type(wanted) and bool(value == wanted)


def _texts(name: str, operand: Any) -> Check:
    if name in ("prefix", "suffix") and isinstance(operand, Mapping):
        wanted = operand.get("equals-ignore-case")
        if not isinstance(wanted, str) or len(operand) != 1:
            raise ValueError(f"{name}: expected a string, or equals-ignore-case")
        small = wanted.lower()
        return lambda value: isinstance(value, str) and (
            value.lower().startswith(small) if name == "prefix" else value.lower().endswith(small))
    if not isinstance(operand, str):
        raise ValueError(f"{name}: expected a string, found {operand!r}")
    if name == "prefix":
        return lambda value: isinstance(value, str) and value.startswith(operand)
    if name == "suffix":
        return lambda value: isinstance(value, str) and value.endswith(operand)
    if name == "equals-ignore-case":
        return lambda value: isinstance(value, str) and value.lower() == operand.lower()
    if name == "wildcard":
        found = _wildcard(operand)
        return lambda value: isinstance(value, str) and found.fullmatch(value) is not None
    raise ValueError(f"unknown operator {name!r}")


def _wildcard(text: str) -> "re.Pattern[str]":
    pieces, at = [], 0
    while at < len(text):
        if text[at] == "\\":
            if text[at + 1:at + 2] not in ("*", "\\"):
                raise ValueError("wildcard: \\ is followed by * or \\")
            pieces.append(re.escape(text[at + 1]))
            at += 2
            continue
        if text[at] == "*" and text[at + 1:at + 2] == "*":
            raise ValueError("wildcard: two of them follow one another")
        pieces.append(".*" if text[at] == "*" else re.escape(text[at]))
        at += 1
    return re.compile("".join(pieces), re.DOTALL)


def _anything_but(operand: Any) -> Check:
    if isinstance(operand, Mapping):
        if len(operand) != 1:
            raise ValueError("anything-but: expected one operator")
        (name, inner), = operand.items()
        checks = [_texts(name, each) for each in
                  (inner if isinstance(inner, (list, tuple)) else [inner])]
    else:
        values = operand if isinstance(operand, (list, tuple)) else [operand]
        kinds = {isinstance(each, str) for each in values}
        if not values or len(kinds) > 1 or not all(is_scalar(each) for each in values):
            raise ValueError("anything-but: expected strings, or numbers")
        checks = [lambda value, each=each: _same(value, each)  # type: ignore[misc]
                  for each in values]
    return lambda value: value is not MISSING and not any(check(value) for check in checks)


def _numeric(operand: Any) -> Check:
    if not isinstance(operand, (list, tuple)) or len(operand) not in (2, 4):
        raise ValueError("numeric: expected one comparison or two")
    pairs = [(operand[at], operand[at + 1]) for at in range(0, len(operand), 2)]
    for sign, number in pairs:
        if sign not in _COMPARE or not is_number(number):
            raise ValueError(f"numeric: {sign!r} {number!r} is no comparison")
    if len(pairs) == 2:
        (first, low), (second, high) = pairs
        if first not in (">", ">=") or second not in ("<", "<=") or low >= high:
            raise ValueError("numeric: expected a lower and an upper bound")
    return lambda value: is_number(value) and all(_COMPARE[sign](value, number)
                                                  for sign, number in pairs)


def _within(text: str, network: Any) -> bool:
    try:
        return ipaddress.ip_address(text) in network
    except ValueError:
        return False
