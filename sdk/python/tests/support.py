"""What the tests share: a server of one's own, and cases that run on both kinds of bus."""
from __future__ import annotations

import asyncio
import logging
import os
import pathlib
import unittest
from typing import Any, Callable, Optional

from spoor import Agent, AsyncClient, Retry
from spoor.testing import TestBus, TestServer

ROOT = pathlib.Path(__file__).resolve().parents[3]
SPOOR = os.environ.get("SPOOR", str(ROOT / "build" / "spoor"))
TIMEOUT_S = 60
SOON = Retry(max_attempts=3, first="200ms", max="1s", jitter=0)


class Server(TestServer):
    """The program that was built here."""

    def __init__(self, *options: str) -> None:
        super().__init__(*options, program=SPOOR)


class Quiet:
    """Keeps what is logged from the screen, and for the test to look at."""

    def __init__(self) -> None:
        self.records: "list[logging.LogRecord]" = []
        self._handler = logging.Handler()
        self._handler.emit = self.records.append  # type: ignore[method-assign, assignment]

    def __enter__(self) -> "Quiet":
        logger = logging.getLogger("spoor")
        logger.addHandler(self._handler)
        logger.propagate = False
        logger.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("spoor")
        logger.removeHandler(self._handler)
        logger.propagate = True

    def text(self) -> str:
        return "\n".join(record.getMessage() for record in self.records)


class Case(unittest.IsolatedAsyncioTestCase):
    """A test with quiet logs."""

    logs: Quiet

    def setUp(self) -> None:
        self.logs = Quiet()
        self.logs.__enter__()
        self.addCleanup(self.logs.__exit__)

    async def until(self, condition: Callable[[], bool], what: str = "it") -> None:
        """Waits until the condition holds, for as long as a slow machine may take."""
        for _ in range(TIMEOUT_S * 100):
            if condition():
                return
            await asyncio.sleep(0.01)
        self.fail(f"{what} did not happen within {TIMEOUT_S} s")


class OnBus:
    """A mixin: `self.bus(agents…)` is a TestBus of the kind that the class is for."""

    real = False
    _server: Optional[Server] = None

    def bus(self, *agents: Agent, options: "tuple[str, ...]" = ()) -> TestBus:
        if not self.real:
            return TestBus(*agents)
        if self._server is None:
            self._server = Server(*options)
            self.addCleanup(self._server.remove)  # type: ignore[attr-defined]
        return TestBus(*agents, real=self._server.url)


async def called(bus: TestBus, agent: Agent, handler: str, count: int) -> None:
    """Waits until the handler was called so often, however slow the machine is, and all is calm."""
    await bus.until(lambda: len(agent.handler(handler).calls) >= count)
    await bus.settle()


async def data_of(client: AsyncClient, *types: str) -> "list[Any]":
    return [event.data for event in await client.query(types)]
