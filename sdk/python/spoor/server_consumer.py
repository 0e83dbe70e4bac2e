"""A reader of one group over a connection of its own.

The server knows a consumer by its connection: when that ends, what it had goes back to the group
after a second, unless a connection has read under its name again by then. So a connection that was
lost is made again at once, under the same name."""
from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Callable, List, Optional


from . import replies
from .backoff import Backoff
from .session import Delivery
from .wire import LOST, REFUSED, Wire

if TYPE_CHECKING:
    from .server import ServerSession

BLOCK_MS = 5000
SILENCE_S = 20.0  # a reply to a read that blocks BLOCK_MS is late by now
log = logging.getLogger("spoor.consumer")


class ServerConsumer:
    def __init__(self, session: "ServerSession", group: str, key: str, name: str,
                 reconnected: Callable[[], None]) -> None:
        self.name = name
        self._session, self._group, self._key = session, group, key
        self._reconnected = reconnected
        self._wire: Optional[Wire] = None
        self._number: Optional[int] = None  # the server's, of the connection
        self._lost_before = False
        self._woken = False
        self._blocked = False
        self._aborted = False
        self._backoff = Backoff()

    async def receive(self, count: int) -> List[Delivery]:
        try:
            await self._connect()
            if self._woken:
                return []
            reply = await asyncio.wait_for(self._ask(count), SILENCE_S)
            self._backoff.reset()
        except REFUSED:
            raise
        except LOST as problem:
            await self._lose(problem)
            return []
        if isinstance(reply, Exception):
            raise replies.failure(reply, "SPOOR.RECEIVE") from reply
        return replies.deliveries(reply)

    async def _ask(self, count: int) -> Any:
        wire = self._wire
        assert wire is not None
        self._blocked = True
        try:
            await wire.send("SPOOR.RECEIVE", "GROUP", self._group, self.name, "COUNT", count,
                            "BLOCK", BLOCK_MS, "KEYS", self._key)
            return await wire.read()
        finally:
            self._blocked = False

    async def wake(self) -> None:
        self._woken = True
        while self._blocked and self._number is not None and not self._aborted:
            if int(await self._session.call("CLIENT", "UNBLOCK", self._number)):
                return
            await asyncio.sleep(0.01)  # its read is on its way to the server still

    async def leave(self) -> None:
        await self._session.call("XGROUP", "DELCONSUMER", self._key, self._group, self.name)
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

    def abort(self) -> None:
        self._aborted = True
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.cut()

    async def _connect(self) -> None:
        if self._aborted:
            raise asyncio.CancelledError
        if self._wire is not None:
            return
        wire = await self._session.endpoint.open()
        await wire.send("CLIENT", "ID")
        number = await wire.read()
        self._number = number if isinstance(number, int) else None
        self._wire = wire
        if self._lost_before:
            self._reconnected()

    async def _lose(self, problem: BaseException) -> None:
        wire, self._wire = self._wire, None
        self._number = None
        if wire is not None:
            await wire.close()
        if self._aborted:
            raise asyncio.CancelledError
        self._lost_before = True
        wait_s = self._backoff.next_s()
        log.warning("%s lost its connection (%s); trying again in %.2f s", self.name,
                    problem or type(problem).__name__, wait_s,
                    extra={"group": self._group, "key": self._key})
        await asyncio.sleep(wait_s)


