"""A server for tests: `spoor serve` on free ports, over a folder of its own."""
from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from types import TracebackType
from typing import Optional, Type

TIMEOUT_S = 60


class TestServer:
    """`spoor serve`, which runs when this is made: the program is $SPOOR, else `spoor` on the path.

        with TestServer() as server:
            async with TestBus(agent, real=server.url) as bus: …

    Its folder is its own and goes with it; kill() and start() in between are a crash."""

    __test__ = False  # no test, whatever its name looks like to pytest

    def __init__(self, *options: str, program: Optional[str] = None) -> None:
        self.folder = tempfile.mkdtemp(prefix="spoor-test-")
        self.port, self.http_url = 0, ""
        self._program = program or os.environ.get("SPOOR") or "spoor"
        self._options = options
        self._process: Optional["subprocess.Popen[str]"] = None
        self.start()

    def __enter__(self) -> "TestServer":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.remove()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it again, on the port that it had."""
        with open(os.path.join(self.folder, "log"), "a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [self._program, "serve", "--data", os.path.join(self.folder, "data"),
                 "--resp-port", str(self.port), "--http-port", "0", *self._options],
                stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.match(r"ready resp=127\.0\.0\.1:(\d+) http=(\S+) ", line)
        if not found:
            with open(os.path.join(self.folder, "log"), encoding="utf-8") as said:
                raise RuntimeError(f"no server: {line!r}: {said.read()[-1000:]}")
        self.port, self.http_url = int(found.group(1)), f"http://{found.group(2)}"

    def stop(self) -> None:
        """Stops it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As if the machine had died."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(TIMEOUT_S)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def remove(self) -> None:
        """Ends it, and all that it had."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
