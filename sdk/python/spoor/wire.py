"""A connection, as far as this package uses it: commands go out packed, replies come in order.

redis-py makes the connection (addresses, passwords, TLS). Replies are read by its parser where that
is hiredis, else here, several times faster than by its parser in Python."""
from __future__ import annotations

import asyncio
import logging
from typing import Any, List, Optional, Sequence, Set, Union

import redis.exceptions
from redis.utils import HIREDIS_AVAILABLE

Word = Union[str, bytes, int]
LOST = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError,
        asyncio.TimeoutError, asyncio.IncompleteReadError, EOFError)
REFUSED = (redis.exceptions.AuthenticationError, redis.exceptions.AuthorizationError)
READ_BYTES = 1 << 18
log = logging.getLogger("spoor.wire")
_cutting: Set["asyncio.Task[None]"] = set()  # an event loop keeps no tasks alive by itself


def pack(command: Sequence[Word]) -> bytes:
    """A command as the protocol has it. What cannot be encoded is a ValueError."""
    parts = [b"*%d\r\n" % len(command)]
    for word in command:
        data = word if isinstance(word, bytes) else str(word).encode("utf-8")
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


class Wire:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        reader = None if HIREDIS_AVAILABLE else getattr(connection, "_reader", None)
        self._replies = Replies(reader) if isinstance(reader, asyncio.StreamReader) else None

    async def send(self, *command: Word) -> None:
        await self.send_packed([pack(command)])

    async def send_packed(self, commands: List[bytes]) -> None:
        await self._connection.send_packed_command(commands, check_health=False)

    async def read(self) -> Any:
        """One reply. An error of the command is given back; that of the connection is raised."""
        if self._replies is not None:
            return await self._replies.next()
        try:
            return await self._connection.read_response()
        except redis.exceptions.ResponseError as error:
            return error

    async def close(self) -> None:
        try:
            await self._connection.disconnect()
        except LOST as problem:
            log.debug("while disconnecting: %s", problem)

    def cut(self) -> None:
        """Closes the socket, without waiting for anything."""
        task = asyncio.ensure_future(self._connection.disconnect(nowait=True))
        _cutting.add(task)
        task.add_done_callback(_cutting.discard)


class Replies:
    """Reads RESP2 from a stream. What is read of a reply is kept while the rest is on its way."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._data = b""
        self._at = 0
        self._open: List[List[Any]] = []  # arrays not whole yet, each with how much it lacks

    async def next(self) -> Any:
        while True:
            found = self._parse()
            if found is not None:
                return found[0]
            more = await self._reader.read(READ_BYTES)
            if not more:
                raise redis.exceptions.ConnectionError("closed by the server")
            self._data = self._data[self._at:] + more
            self._at = 0

    def _parse(self) -> Optional[List[Any]]:
        """The next reply, alone in a list; None: there is more to come."""
        data, at, arrays = self._data, self._at, self._open
        while True:
            end = data.find(b"\r\n", at)
            if end < 0:
                self._at = at
                return None
            kind = data[at]
            value: Any = None
            if kind == 36:  # $, a string of bytes
                size = int(data[at + 1:end])
                stop = end + 2 + size
                if size >= 0:
                    if len(data) < stop + 2:
                        self._at = at
                        return None
                    value, end = data[end + 2:stop], stop
            elif kind == 42:  # *, an array
                size = int(data[at + 1:end])
                if size > 0:
                    arrays.append([[], size])
                    at = end + 2
                    continue
                value = [] if size == 0 else None
            elif kind == 58:  # :
                value = int(data[at + 1:end])
            elif kind == 43:  # +
                value = data[at + 1:end]
            elif kind == 45:  # -
                value = as_error(data[at + 1:end].decode("utf-8", "replace"))
            else:
                raise redis.exceptions.ConnectionError(f"a reply begins with {data[at:at + 1]!r}")
            at = end + 2
            while arrays:
                array = arrays[-1]
                array[0].append(value)
                array[1] -= 1
                if array[1]:
                    break
                value = arrays.pop()[0]
            else:
                self._at = at
                return [value]


def as_error(text: str) -> Exception:
    """An error as redis-py has it. What ends the connection is raised."""
    if text.startswith(("NOAUTH", "WRONGPASS")):
        raise redis.exceptions.AuthenticationError(text)
    if text.startswith("LOADING"):
        raise redis.exceptions.BusyLoadingError(text)
    return redis.exceptions.ResponseError(text[4:] if text.startswith("ERR ") else text)
