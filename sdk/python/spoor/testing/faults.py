"""What goes wrong between a bus and an agent, on demand: the same on the bus in memory and on a
server, because it stands between either and the agent."""
from __future__ import annotations

import asyncio
from typing import Any, List, Optional, Sequence, Set

from ..session import Consumer, Delivery, Session


class Faults:
    """What is asked for at the moment, for all agents of a TestBus."""

    def __init__(self) -> None:
        self.duplicate = False
        self.released: Optional[asyncio.Event] = None  # there while deliveries are held back


class FaultySession:
    """A session whose consumers do what `faults` asks for. All else is the session's."""

    def __init__(self, inner: Session, faults: Faults) -> None:
        self._inner, self._faults = inner, faults
        self._consumers: List[FaultyConsumer] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def consumer(self, group: str, key: str, name: str) -> Consumer:
        made = FaultyConsumer(await self._inner.consumer(group, key, name), self._faults)
        self._consumers.append(made)
        return made

    async def ack(self, key: str, group: str, entries: Sequence[str]) -> int:
        count = await self._inner.ack(key, group, entries)
        for consumer in self._consumers:
            consumer.acked(entries)
        return count

    def abort(self) -> None:
        for consumer in self._consumers:
            consumer.abort()
        self._inner.abort()


class FaultyConsumer:
    def __init__(self, inner: Consumer, faults: Faults) -> None:
        self.name = inner.name
        self._inner, self._faults = inner, faults
        self._reading: Optional["asyncio.Task[List[Delivery]]"] = None
        self._copies: List[Delivery] = []  # to be given again, when they are acknowledged
        self._acked: Set[str] = set()
        self._news = asyncio.Event()

    async def receive(self, count: int) -> List[Delivery]:
        again = [copy for copy in self._copies if copy.entry in self._acked]
        if again:
            self._copies = [copy for copy in self._copies if copy not in again]
            return again
        found = await self._next(count)
        held = self._faults.released
        while held is not None and not held.is_set() and len(found) < count:
            if await self._either(count - len(found), held):
                found += await self._next(count - len(found))
        if held is not None:
            found.reverse()
        if self._faults.duplicate:
            self._copies += found
        return found

    async def _next(self, count: int) -> List[Delivery]:
        """What the bus hands out; nothing, where copies may be given again before."""
        await self._either(count, self._news)
        self._news.clear()
        if self._reading is None or not self._reading.done():
            return []
        reading, self._reading = self._reading, None
        return reading.result()

    async def _either(self, count: int, event: asyncio.Event) -> bool:
        """Waits for a delivery or for the event; whether there is a delivery. A read that was
        begun is never given up: what it was given would be lost."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._inner.receive(count))
        waiting = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait([self._reading, waiting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        return self._reading.done()

    def acked(self, entries: Sequence[str]) -> None:
        self._acked.update(entries)
        if any(copy.entry in self._acked for copy in self._copies):
            self._news.set()

    async def wake(self) -> None:
        await self._inner.wake()

    async def leave(self) -> None:
        await self._inner.leave()

    def abort(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._inner.abort()
