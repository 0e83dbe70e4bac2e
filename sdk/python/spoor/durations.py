"""Spans of time: `30s`, `1h30m`, `500ms`, a number of seconds, or a timedelta."""
from __future__ import annotations

import re
from datetime import timedelta
from typing import Union

Duration = Union[str, int, float, timedelta]

_MS = {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000,
       "w": 604_800_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d|w)")


def to_ms(duration: Duration) -> int:
    """Whole milliseconds; what is not a span of time is a ValueError."""
    if isinstance(duration, timedelta):
        return round(duration.total_seconds() * 1000)
    if isinstance(duration, (int, float)) and not isinstance(duration, bool):
        if duration < 0:
            raise ValueError(f"a duration is not negative: {duration!r}")
        return round(duration * 1000)
    text = duration.strip() if isinstance(duration, str) else ""
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return round(sum(float(number) * _MS[unit] for number, unit in parts))
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return round(float(text) * 1000)
    raise ValueError(f"not a duration: {duration!r}; expected something like '30s', '1h30m', "
                     "'500ms', or a number of seconds")


def seconds(duration: Duration) -> float:
    return to_ms(duration) / 1000


def to_text(ms: int) -> str:
    """As the server writes it: `1500ms`, `30s`, `2m`."""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"
