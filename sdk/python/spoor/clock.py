"""Time, so that tests may have one of their own."""
from __future__ import annotations

import asyncio
import time

from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds; only differences mean something."""

    def wall(self) -> float:
        """Seconds since 1970."""

    async def sleep(self, seconds: float) -> None:
        """Returns when this much time is over."""


class RealClock:
    """The time outside."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
