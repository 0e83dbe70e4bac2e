"""How often and when the server hands out again what failed."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple, Type

from .durations import Duration, to_ms, to_text


@dataclass(frozen=True)
class Retry:
    """Attempts and the waits between them, kept by the server, so that they survive the worker.

    The wait before attempt n + 1 is min(max, first * factor^(n-1)), more or less by the share
    `jitter` of it. An exception of a class in `give_up_on` is not tried again."""

    max_attempts: int = 5
    first: Duration = "1s"
    max: Duration = "60s"
    factor: float = 2
    jitter: float = 0.2
    give_up_on: Tuple[Type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError("retry: max_attempts counts the first attempt, so it is at least 1")
        if self.factor < 1:
            raise ValueError("retry: factor is at least 1")
        if not 0 <= self.jitter <= 1:
            raise ValueError("retry: jitter is a share, from 0 to 1")
        if to_ms(self.first) > to_ms(self.max):
            raise ValueError("retry: the first wait is longer than the longest")

    def options(self) -> Dict[str, str]:
        """As options of SPOOR.GROUP."""
        backoff = (f"{to_text(to_ms(self.first))}..{to_text(to_ms(self.max))} "
                   f"x{self.factor:g} jitter {self.jitter:g}")
        return {"max-deliveries": str(self.max_attempts), "backoff": backoff}
