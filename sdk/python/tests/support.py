"""What the tests share: a server of one's own, and cases that run on both kinds of bus."""
from __future__ import annotations

import asyncio
import logging
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
from typing import Any, Callable, Optional

from spoor import Agent, AsyncClient, Retry
from spoor.testing import TestBus

ROOT = pathlib.Path(__file__).resolve().parents[3]
SPOOR = os.environ.get("SPOOR", str(ROOT / "build" / "spoor"))
TIMEOUT_S = 60
SOON = Retry(max_attempts=3, first="200ms", max="1s", jitter=0)


class Server:
    """`spoor serve` on a free port, over a folder that outlives the process."""

    def __init__(self, *options: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="spoor-sdk-")
        self.port, self.http_url = 0, ""
        self._options = options
        self._process: Optional["subprocess.Popen[str]"] = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        with open(os.path.join(self.folder, "log"), "a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [SPOOR, "serve", "--data", os.path.join(self.folder, "data"), "--resp-port",
                 str(self.port), "--http-port", "0", *self._options],
                stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.match(r"ready resp=127\.0\.0\.1:(\d+) http=(\S+) ", line)
        assert found, f"no server: {line!r}"
        self.port, self.http_url = int(found.group(1)), f"http://{found.group(2)}"

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(TIMEOUT_S)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def remove(self) -> None:
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


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
