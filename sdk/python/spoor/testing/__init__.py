"""Tests of agents: a bus in memory with the server's semantics and a clock that is moved by hand.

    async with TestBus(reviewer) as bus:
        await bus.given([]).when(event("code.committed", {"commit": "c1"})).then_emits(
            [("review.done", {"commit": "c1", "risk": "low"})])
"""
from ..handler import Call
from .bus import TestBus
from .clock import VirtualClock
from .memory import MemoryBus
from .scenario import Scenario, command, event
from .server import TestServer

__all__ = ["Call", "MemoryBus", "Scenario", "TestBus", "TestServer", "VirtualClock", "command", "event"]
