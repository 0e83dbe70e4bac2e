"""A clock that stands still until it is moved."""
from __future__ import annotations

import asyncio
import heapq
from typing import Callable, List, Optional, Tuple

EPOCH_S = 1_767_225_600.0  # 2026-01-01: what is recorded in a test has the same times every day


class Timer:
    """Something to be called at a time, unless it is cancelled."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Optional[Callable[[], None]] = call

    def cancel(self) -> None:
        self.call = None


class VirtualClock:
    def __init__(self) -> None:
        self._now = 0.0
        self._timers: List[Tuple[float, int, Timer]] = []
        self._count = 0

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return EPOCH_S + self._now

    async def sleep(self, seconds: float) -> None:
        done = asyncio.get_running_loop().create_future()
        timer = self.call_at(self._now + seconds,
                             lambda: None if done.done() else done.set_result(None))
        try:
            await done
        finally:
            timer.cancel()

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        self._count += 1
        heapq.heappush(self._timers, (max(when, self._now), self._count, timer))
        return timer

    def next_at(self) -> Optional[float]:
        """When something happens next by itself."""
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def move_to(self, when: float) -> None:
        """Runs what is due then; the caller goes from one time to the next."""
        self._now = max(self._now, when)
        while True:
            due = self.next_at()
            if due is None or due > self._now:
                return
            timer = heapq.heappop(self._timers)[2]
            call, timer.call = timer.call, None
            if call is not None:
                call()
