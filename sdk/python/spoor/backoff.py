"""Waits between attempts to reach a server: longer each time, never in step with other clients."""
from __future__ import annotations

import random


class Backoff:
    def __init__(self, first_s: float = 0.05, max_s: float = 5.0) -> None:
        self._first_s, self._max_s = first_s, max_s
        self._next_s = first_s

    def next_s(self) -> float:
        """How long to wait now."""
        wait = self._next_s * random.uniform(0.5, 1.0)
        self._next_s = min(self._max_s, self._next_s * 2)
        return wait

    def reset(self) -> None:
        self._next_s = self._first_s
