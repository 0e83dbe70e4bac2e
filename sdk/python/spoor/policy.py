"""The policy of a handler's group, as the server keeps it."""
from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional

from .durations import Duration, to_ms, to_text
from .retry import Retry

ORDERS = ("none", "stream", "source", "correlation")
Filter = Mapping[str, Any]


@dataclass(frozen=True)
class Policy:
    """What a group with a policy promises; see docs/groups.md."""

    filter: Optional[Filter] = None
    retry: Retry = field(default_factory=Retry)
    order_by: str = "none"
    ack_wait: Duration = "30s"
    max_in_flight: int = 0

    def __post_init__(self) -> None:
        if self.order_by not in ORDERS:
            raise ValueError(f"order_by: {self.order_by!r} is none of {', '.join(ORDERS)}")
        if to_ms(self.ack_wait) < 1:
            raise ValueError("ack_wait: an attempt needs some time")
        if self.max_in_flight < 0:
            raise ValueError("max_in_flight: 0 is no limit, less is nothing")

    @property
    def ack_wait_ms(self) -> int:
        return to_ms(self.ack_wait)

    def options(self) -> Dict[str, str]:
        """Every option by name, so that a group that is there already gets all of them."""
        chosen = {"filter": "" if self.filter is None else dump_filter(self.filter),
                  "ack-wait": to_text(self.ack_wait_ms)}
        chosen.update(self.retry.options())
        chosen["order-by"] = self.order_by
        chosen["max-in-flight"] = str(self.max_in_flight)
        return chosen


def dump_filter(given: Filter) -> str:
    if not isinstance(given, Mapping):
        raise ValueError(f"filter: expected a mapping, found {type(given).__name__}")
    return json.dumps(given, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def same_policy(wanted: Mapping[str, str], kept: Mapping[str, str]) -> bool:
    """Whether a group has these options already, however durations are written."""
    return all(name in kept and _plain(value) == _plain(kept[name])
               for name, value in wanted.items())


def _plain(value: str) -> str:
    def in_ms(match: "re.Match[str]") -> str:
        return f"{to_ms(match.group())}ms"
    if value.startswith("{"):
        return value
    return re.sub(r"\b(?:\d+(?:\.\d+)?(?:us|ms|s|m|h|d|w))+(?![\w.])|\b\d+ms\b", in_ms,
                  value.replace("..", " .. "))
