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
from typing import Any, Callable, Deque, List, Optional, Sequence, Set, Union

import redis.exceptions

from .backoff import Backoff
from .endpoint import Endpoint
from .errors import SpoorError, Unavailable

Word = Union[str, bytes, int]
_LOST = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError,
         asyncio.TimeoutError, asyncio.IncompleteReadError, EOFError)
_REFUSED = (redis.exceptions.AuthenticationError, redis.exceptions.AuthorizationError)
BATCH_MAX = 512
log = logging.getLogger("spoor.link")
_cutting: Set["asyncio.Task[None]"] = set()  # an event loop keeps no tasks alive by itself


class _Call:
    __slots__ = ("packed", "reply")

    def __init__(self, packed: bytes, reply: "asyncio.Future[Any]") -> None:
        self.packed, self.reply = packed, reply


class Link:
    def __init__(self, endpoint: Endpoint, *, patience_s: float = 30.0,
                 reply_timeout_s: float = 60.0) -> None:
        self._endpoint = endpoint
        self._connection: Any = None
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
        cut(self._connection)
        self._connection = None

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
            except _REFUSED as problem:
                await self._disconnect()
                raise SpoorError(f"the server refused the connection: {problem}") from problem
            except _LOST as problem:
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
        connection = self._connection
        await connection.send_packed_command([call.packed for call in batch], check_health=False)
        for call in batch:
            reply = await read_reply(connection)
            if not call.reply.done():
                call.reply.set_result(reply)

    async def _connect(self) -> None:
        if self._connection is not None:
            return
        self._connection = await self._endpoint.open()
        if self._connected_before:
            for tell in self.reconnected:
                tell()
        self._connected_before = True

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        await close_connection(connection)

    @staticmethod
    def _drop(problem: Exception, calls: Sequence[_Call]) -> None:
        for call in calls:
            if not call.reply.done():
                call.reply.set_exception(problem)


def pack(command: Sequence[Word]) -> bytes:
    """A command as the protocol has it. What cannot be encoded is a ValueError."""
    parts = [b"*%d\r\n" % len(command)]
    for word in command:
        data = word if isinstance(word, bytes) else str(word).encode("utf-8")
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


async def send(connection: Any, *command: Word) -> None:
    await connection.send_packed_command([pack(command)], check_health=False)


async def read_reply(connection: Any) -> Any:
    """One reply. An error of the command is given back; that of the connection is raised."""
    try:
        return await connection.read_response()
    except redis.exceptions.ResponseError as error:
        return error


async def close_connection(connection: Any) -> None:
    if connection is None:
        return
    try:
        await connection.disconnect()
    except _LOST as problem:
        log.debug("while disconnecting: %s", problem)


def cut(connection: Any) -> None:
    """Closes the socket, without waiting for anything."""
    if connection is not None:
        task = asyncio.ensure_future(connection.disconnect(nowait=True))
        _cutting.add(task)
        task.add_done_callback(_cutting.discard)


LOST = _LOST
REFUSED = _REFUSED
