"""How a filter compares values: docs/filters.md#how-values-compare."""
from __future__ import annotations

from datetime import datetime
from typing import Any, Optional, Tuple

_SCALES = (
    {"low": 0, "medium": 1, "normal": 1, "high": 2, "critical": 3, "urgent": 3},
    {"debug": 0, "info": 1, "warning": 2, "error": 3, "fatal": 4},
)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, bool)) or is_number(value)


def _ranks(one: str, other: str) -> Optional[Tuple[int, int]]:
    for scale in _SCALES:
        if one in scale and other in scale:
            return scale[one], scale[other]
    return None


def order(value: Any, operand: Any) -> Optional[int]:
    """-1, 0 or 1; None where the two have no order."""
    if is_number(value) and is_number(operand):
        return int(value > operand) - int(value < operand)
    if isinstance(value, str) and isinstance(operand, str):
        ranks = _ranks(value, operand)
        if ranks is not None:
            return (ranks[0] > ranks[1]) - (ranks[0] < ranks[1])
        one, other = value.encode("utf-8", "surrogateescape"), operand.encode("utf-8")
        return (one > other) - (one < other)
    return None


def equal(value: Any, operand: Any) -> bool:
    if isinstance(value, bool) or isinstance(operand, bool):
        return value is operand
    if value is None or operand is None:
        return value is operand
    return order(value, operand) == 0


def as_kind(name: str, value: Any) -> Any:
    """A value or operand at a path that is compared as what it is: a time, an entry id."""
    if name == "entryid" and isinstance(value, str):
        ms, _, sequence = value.partition("-")
        if not ms.isdigit() or not (sequence or "0").isdigit():
            raise ValueError(f"entryid: {value!r} is no entry id")
        return int(ms) * (1 << 64) + int(sequence or 0)
    if name == "recordedtime" and isinstance(value, str):
        return _time(value)
    return value


def _time(text: str) -> float:
    try:
        fixed = text.replace("Z", "+00:00")
        head, dot, tail = fixed.partition(".")
        if dot:  # before 3.11 only three or six digits are read
            digits = tail[:len(tail) - len(tail.lstrip("0123456789"))]
            fixed = f"{head}.{digits[:6]:0<6}{tail[len(digits):]}"
        return datetime.fromisoformat(fixed).timestamp()
    except ValueError as problem:
        raise ValueError(f"recordedtime: {text!r} is no time of RFC 3339") from problem
