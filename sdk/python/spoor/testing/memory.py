"""A bus in memory, behind the same interface as a server's: see session.py."""
from __future__ import annotations

import asyncio
import random
from typing import Any, AsyncIterator, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..clock import Clock
from ..draft import NewEvent
from ..errors import Unavailable, Unsupported
from ..event import Appended, Event
from ..query import Query
from ..session import AgentInfo, Announcement, Consumer, DeadLetter, Delivery, Group, Session, Trace
from ..sql import Rows
from .clock import VirtualClock
from .memory_approvals import MemoryApprovals
from .memory_group import MemoryGroup, missing
from .memory_log import MemoryLog
from .memory_presence import MemoryPresence


class MemoryBus:
    """One log and all that looks at it. `seed` decides what is left to chance."""

    def __init__(self, seed: int = 0) -> None:
        self.clock = VirtualClock()
        self.log = MemoryLog(self.clock)
        self.presence = MemoryPresence(self.log, self.clock)
        self.approvals = MemoryApprovals(self.log, self.clock)
        self._chance = random.Random(seed)
        self._groups: Dict[Tuple[str, str], MemoryGroup] = {}
        self._followers: List["asyncio.Future[None]"] = []
        self.log.appended.append(self._on_appended)

    def session(self) -> Session:
        return MemorySession(self)

    def group(self, name: str, key: str) -> MemoryGroup:
        found = self._groups.get((name, key))
        if found is None:
            raise missing(name, key)
        return found

    def ensure_group(self, name: str, key: str, options: Mapping[str, str], start: str) -> None:
        group = self._groups.get((name, key))
        if group is None:
            cursor = (len(self.log.events) if start == "$" else
                      0 if start == "0" else self.log.position(start) - 1)
            self._groups[(name, key)] = MemoryGroup(self.log, self.clock, name, key, options,
                                                    cursor, self._chance)
        elif group.options != dict(options):
            group.set_options(options)

    def _on_appended(self, _event: Event) -> None:
        for group in self._groups.values():
            group.serve()
        followers, self._followers = self._followers, []
        for follower in followers:
            if not follower.done():
                follower.set_result(None)

    async def changed(self) -> None:
        """Waits for the next event."""
        follower: "asyncio.Future[None]" = asyncio.get_running_loop().create_future()
        self._followers.append(follower)
        await follower


class MemoryConsumer:
    def __init__(self, group: MemoryGroup, name: str) -> None:
        self.name = name
        self._group = group
        self._woken = self._aborted = False

    async def receive(self, count: int) -> List[Delivery]:
        await asyncio.sleep(0)
        if self._aborted:
            raise asyncio.CancelledError
        return [] if self._woken else await self._group.receive(self.name, count)

    async def wake(self) -> None:
        self._woken = True
        self._group.wake(self.name)

    async def leave(self) -> None:
        self._group.leave(self.name)

    def abort(self) -> None:
        self._aborted = True
        self._group.lost(self.name)


class MemorySession:
    def __init__(self, bus: MemoryBus) -> None:
        self.clock: Clock = bus.clock
        self._bus = bus
        self._gone = False
        self._consumers: List[MemoryConsumer] = []

    async def _there(self) -> MemoryBus:
        """The bus. What is asked for takes a moment, as everything does."""
        await asyncio.sleep(0)
        if self._gone:
            raise Unavailable("the connection was aborted")
        return self._bus

    async def append(self, event: NewEvent) -> Appended:
        return (await self.append_all([event]))[0]

    async def append_all(self, events: Sequence[NewEvent]) -> List[Appended]:
        for event in events:
            event.check()
            if "deliverat" in event.extensions:
                raise Unsupported("the bus of tests delivers nothing later: ask a server")
        return (await self._there()).log.append_all(events)

    async def read(self, query: Query) -> List[Event]:
        return (await self._there()).log.read(query)

    async def find(self, event_id: str, source: Optional[str] = None) -> List[Event]:
        return (await self._there()).log.find(event_id, source)

    async def trace(self, event_id: str) -> Trace:
        return (await self._there()).log.trace(event_id)

    async def sql(self, words: Sequence[str]) -> Rows:
        raise Unsupported("the bus of tests has no read models: ask a server")

    async def ask(self, *words: str) -> Any:
        if words[0] == "SPOOR.APPROVAL":
            return (await self._there()).approvals.ask(words[1], words[2:])
        raise Unsupported(f"the bus of tests has no {words[0]}: ask a server")

    async def subscribe(self, query: Query) -> AsyncIterator[Event]:
        log = (await self._there()).log
        accepts, left = log.test(query), query.limit
        at = log.position("now" if query.from_ is None else query.from_)
        while left != 0:
            while at <= len(log.events):
                event = log.events[at - 1]
                at += 1
                if accepts(event):
                    yield event
                    left = None if left is None else left - 1
                    if left == 0:
                        return
            await self._bus.changed()

    async def ensure_group(self, name: str, key: str, options: Mapping[str, str],
                           start: str) -> None:
        (await self._there()).ensure_group(name, key, options, start)

    async def group(self, name: str, key: str) -> Group:
        return (await self._there()).group(name, key).counts()

    async def consumer(self, group: str, key: str, name: str) -> Consumer:
        made = MemoryConsumer((await self._there()).group(group, key), name)
        self._consumers.append(made)
        return made

    async def ack(self, key: str, group: str, entries: Sequence[str]) -> int:
        return (await self._there()).group(group, key).ack(entries)

    async def nack(self, key: str, group: str, entry: str, error: str,
                   delay_ms: Optional[int] = None, dead: bool = False) -> bool:
        return (await self._there()).group(group, key).nack(entry, error, delay_ms, dead)

    async def extend(self, key: str, group: str, entries: Sequence[str]) -> int:
        return (await self._there()).group(group, key).extend(entries)

    async def dead(self, key: str, group: str, limit: int) -> List[DeadLetter]:
        return (await self._there()).group(group, key).dead(limit)

    async def redrive(self, key: str, group: str, entries: Sequence[str]) -> int:
        return (await self._there()).group(group, key).dig(entries, True)

    async def discard(self, key: str, group: str, entries: Sequence[str]) -> int:
        return (await self._there()).group(group, key).dig(entries, False)

    async def online(self, who: Announcement) -> None:
        (await self._there()).presence.online(who, self)

    async def heartbeat(self, agent: str, load: int) -> str:
        return (await self._there()).presence.heartbeat(agent, load, self)

    async def offline(self, agent: str, reason: str) -> None:
        (await self._there()).presence.offline(agent, reason)

    async def agent(self, agent: str) -> Optional[AgentInfo]:
        return (await self._there()).presence.get(agent)

    async def agents(self, capabilities: Sequence[str], status: Optional[str],
                     free: bool) -> List[AgentInfo]:
        return (await self._there()).presence.list(capabilities, status, free)

    def on_reconnect(self, call: Callable[[], None]) -> None:
        """Connections to memory are not lost."""

    def hurry(self) -> None:
        """Memory is never away."""

    async def close(self) -> None:
        self._gone = True
        self._bus.presence.left(self)

    def abort(self) -> None:
        self._gone = True
        for consumer in self._consumers:
            consumer.abort()
        self._bus.presence.left(self)
