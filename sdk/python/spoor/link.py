"""One connection to a server on which commands of many tasks share round trips.

What is called while a round trip is under way goes out together with the next one. When the
connection is lost it is made again, with backoff, and what had no reply is sent once more: every
command that goes over a link may be run twice without harm, because events have ids and
acknowledgements are of entries. A reply that is an error is the caller's affair; not being able to
reach the server for `patience_s` is Unavailable."""
from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Callable, Deque, List, Optional, Sequence

from .backoff import Backoff
from .endpoint import Endpoint
from .errors import SpoorError, Unavailable
from .wire import LOST, REFUSED, Wire, Word, pack

BATCH_MAX = 512
log = logging.getLogger("spoor.link")


class _Call:
    __slots__ = ("packed", "reply")

    def __init__(self, packed: bytes, reply: "asyncio.Future[Any]") -> None:
        self.packed, self.reply = packed, reply


class Link:
    def __init__(self, endpoint: Endpoint, *, patience_s: float = 30.0,
                 reply_timeout_s: float = 60.0) -> None:
        self._endpoint = endpoint
        self._wire: Optional[Wire] = None
        self._waiting: Deque[_Call] = deque()
        self._pump: Optional["asyncio.Task[None]"] = None
        self.patience_s, self._reply_timeout_s = patience_s, reply_timeout_s
        self._closed = False
        self._connected_before = False
        self.reconnected: List[Callable[[], None]] = []

    async def call(self, *command: Word) -> Any:
        """The reply; a ResponseError of redis-py where it is an error."""
        if self._closed:
            raise Unavailable("the client is closed")
        call = _Call(pack(command), asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.ensure_future(self._run())
        reply = await call.reply
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def close(self) -> None:
        """Waits for what is under way, then disconnects."""
        self._closed = True
        if self._pump is not None and not self._pump.done():
            await asyncio.wait([self._pump], timeout=self._reply_timeout_s)
        await self._disconnect()

    def abort(self) -> None:
        """As if the process had died: no word to the server, no word back."""
        self._closed = True
        if self._pump is not None:
            self._pump.cancel()
        self._drop(Unavailable("the connection was aborted"), list(self._waiting))
        self._waiting.clear()
        if self._wire is not None:
            self._wire.cut()
            self._wire = None

    async def _run(self) -> None:
        while self._waiting:
            batch = self._take()
            try:
                await self._deliver(batch)
            except asyncio.CancelledError:
                self._drop(Unavailable("the connection was aborted"), batch)
                raise
            except Exception as problem:  # pylint: disable=broad-except
                self._drop(problem, batch)

    def _take(self) -> List[_Call]:
        batch: List[_Call] = []
        while self._waiting and len(batch) < BATCH_MAX:
            call = self._waiting.popleft()
            if not call.reply.done():
                batch.append(call)
        return batch

    async def _deliver(self, batch: List[_Call]) -> None:
        """Sends the calls until they are answered, or until it took too long."""
        loop = asyncio.get_running_loop()
        backoff, begun = Backoff(), loop.time()
        while batch:
            try:
                await self._connect()
                await asyncio.wait_for(self._exchange(batch), self._reply_timeout_s)
                return
            except REFUSED as problem:
                await self._disconnect()
                raise SpoorError(f"the server refused the connection: {problem}") from problem
            except LOST as problem:
                await self._disconnect()
                batch = [call for call in batch if not call.reply.done()]
                if loop.time() - begun > self.patience_s:
                    raise Unavailable(f"no server at {self._endpoint}: "
                                      f"{problem or type(problem).__name__}") from problem
                what = "the connection was lost" if self._connected_before else "no connection yet"
                log.warning("%s: %s (%s); trying again", self._endpoint, what,
                            problem or type(problem).__name__)
                await asyncio.sleep(backoff.next_s())

    async def _exchange(self, batch: List[_Call]) -> None:
        wire = self._wire
        assert wire is not None
        await wire.send_packed([call.packed for call in batch])
        for call in batch:
            reply = await wire.read()
            if not call.reply.done():
                call.reply.set_result(reply)

    async def _connect(self) -> None:
        if self._wire is not None:
            return
        self._wire = await self._endpoint.open()
        if self._connected_before:
            for tell in self.reconnected:
                tell()
        self._connected_before = True

    async def _disconnect(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

    @staticmethod
    def _drop(problem: Exception, calls: Sequence[_Call]) -> None:
        for call in calls:
            if not call.reply.done():
                call.reply.set_exception(problem)
