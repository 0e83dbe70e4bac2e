"""A session with a server: commands of docs/redis.md and docs/groups.md over links."""
from __future__ import annotations

import os
from typing import Any, AsyncIterator, Callable, List, Mapping, Optional, Sequence

import redis.exceptions

from . import replies
from .clock import Clock, RealClock
from .draft import NewEvent, dump, expectations
from .endpoint import DEFAULT_URL, Endpoint
from .errors import SpoorError
from .event import Appended, Event
from .link import Link
from .policy import same_policy
from .query import Query
from .server_consumer import ServerConsumer
from .server_subscribe import subscribe
from .session import AgentInfo, Announcement, Consumer, DeadLetter, Group, Trace
from .sql import Rows, rows
from .wire import Word


HURRY_S = 3.0


class ServerSession:
    """Talks to `spoor serve`."""

    def __init__(self, url: Optional[str] = None, *, patience_s: float = 30.0) -> None:
        self.clock: Clock = RealClock()
        self.endpoint = Endpoint(url or os.environ.get("SPOOR_URL") or DEFAULT_URL)
        self._link = Link(self.endpoint, patience_s=patience_s)
        self._reconnected: List[Callable[[], None]] = []
        self._consumers: List[ServerConsumer] = []

    async def call(self, *command: Word) -> Any:
        """Any command; its reply, or an error of this package."""
        try:
            return await self._link.call(*command)
        except redis.exceptions.ResponseError as error:
            raise replies.failure(error, str(command[0])) from error

    # -- events

    async def append(self, event: NewEvent) -> Appended:
        event.check()
        if not event.is_plain:
            return (await self.append_all([event]))[0]
        return replies.appended(await self.call(*append_command(event)), event.id)

    async def append_all(self, events: Sequence[NewEvent]) -> List[Appended]:
        for event in events:
            event.check()
        if not events:
            return []
        reply = await self.call("SPOOR.BATCH", *batch_words(events))
        return [replies.added(each, event) for each, event in zip(reply, events)]

    async def read(self, query: Query) -> List[Event]:
        return replies.events(await self.call("SPOOR.READ", *query.words()))

    async def find(self, event_id: str, source: Optional[str] = None) -> List[Event]:
        more = ("SOURCE", source) if source is not None else ()
        return replies.events(await self.call("SPOOR.EVENT", event_id, *more))

    async def trace(self, event_id: str) -> Trace:
        return replies.trace(await self.call("SPOOR.TRACE", event_id))

    async def sql(self, words: Sequence[str]) -> Rows:
        return rows(await self.call("SPOOR.QUERY", *words))

    async def ask(self, *words: str) -> Any:
        return replies.texts(await self.call(*words))

    def subscribe(self, query: Query) -> AsyncIterator[Event]:
        return subscribe(self.endpoint, query)

    # -- groups

    async def ensure_group(self, name: str, key: str, options: Mapping[str, str],
                           start: str) -> None:
        words = [word for option in options.items() for word in option]
        try:
            await self.call("SPOOR.GROUP", "CREATE", name, key, "FROM", start, *words)
        except SpoorError as error:
            if "BUSYGROUP" not in str(error):
                raise
            found = replies.as_map(await self.call("SPOOR.GROUP", "GET", name, key))
            policy = found.get("policy")
            kept = {option: replies.text(value) for option, value in
                    (replies.as_map(policy) if policy else {}).items()}
            if not same_policy(options, kept):
                await self.call("SPOOR.GROUP", "SET", name, key, *words)

    async def group(self, name: str, key: str) -> Group:
        return replies.group(await self.call("SPOOR.GROUP", "LAG", name, key), name, key)

    async def consumer(self, group: str, key: str, name: str) -> Consumer:
        made = ServerConsumer(self, group, key, name, self._tell_reconnected)
        self._consumers.append(made)
        return made

    async def ack(self, key: str, group: str, entries: Sequence[str]) -> int:
        return int(await self.call("XACK", key, group, *entries))

    async def nack(self, key: str, group: str, entry: str, error: str,
                   delay_ms: Optional[int] = None, dead: bool = False) -> bool:
        more: List[Word] = [] if delay_ms is None else ["DELAY", delay_ms]
        more += ["ERROR", error]
        more += ["DEAD"] if dead else []
        return bool(int(await self.call("SPOOR.NACK", key, group, entry, *more)))

    async def extend(self, key: str, group: str, entries: Sequence[str]) -> int:
        return int(await self.call("SPOOR.EXTEND", key, group, *entries))

    async def dead(self, key: str, group: str, limit: int) -> List[DeadLetter]:
        found: List[DeadLetter] = []
        more: List[Word] = []
        while len(found) < limit:
            count = min(1000, limit - len(found))
            reply = await self.call("SPOOR.DEAD", "LIST", key, group, "COUNT", count, *more)
            for each in reply:
                position = int(replies.as_map(each)["position"])
                event = await self.read(Query(from_=position, until=position))
                found.append(replies.dead_letter(each, event[0] if event else None))
            if len(reply) < count:
                break
            more = ["AFTER", found[-1].position]
        return found

    async def redrive(self, key: str, group: str, entries: Sequence[str]) -> int:
        return int(await self.call("SPOOR.DEAD", "REDRIVE", key, group, *(entries or ("ALL",))))

    async def discard(self, key: str, group: str, entries: Sequence[str]) -> int:
        return int(await self.call("SPOOR.DEAD", "DISCARD", key, group, *(entries or ("ALL",))))

    # -- agents

    async def online(self, who: Announcement) -> None:
        words: List[Word] = []
        for capability in who.capabilities:
            words += ("CAPABILITY", capability)
        if who.capacity is not None:
            words += ("CAPACITY", who.capacity)
        if who.version is not None:
            words += ("VERSION", who.version)
        if who.data is not None:
            words += ("DATA", dump(who.data, "data"))
        await self.call("SPOOR.AGENT", "ONLINE", who.id, *words)

    async def heartbeat(self, agent: str, load: int) -> str:
        return replies.text(await self.call("SPOOR.AGENT", "HEARTBEAT", agent, "LOAD", load))

    async def offline(self, agent: str, reason: str) -> None:
        await self.call("SPOOR.AGENT", "OFFLINE", agent, "REASON", reason)

    async def agent(self, agent: str) -> Optional[AgentInfo]:
        line = await self.call("SPOOR.AGENT", "GET", agent)
        return None if line is None else replies.agent(line)

    async def agents(self, capabilities: Sequence[str], status: Optional[str],
                     free: bool) -> List[AgentInfo]:
        words: List[Word] = []
        for capability in capabilities:
            words += ("CAPABILITY", capability)
        words += ("STATUS", status) if status else ()
        words += ("FREE",) if free else ()
        return [replies.agent(line) for line in await self.call("SPOOR.AGENT", "LIST", *words)]

    # -- the connection

    def on_reconnect(self, call: Callable[[], None]) -> None:
        self._reconnected.append(call)
        self._link.reconnected.append(call)

    def _tell_reconnected(self) -> None:
        for call in self._reconnected:
            call()

    def hurry(self) -> None:
        self._link.patience_s = min(self._link.patience_s, HURRY_S)

    async def close(self) -> None:
        await self._link.close()

    def abort(self) -> None:
        for consumer in self._consumers:
            consumer.abort()
        self._link.abort()


def append_command(event: NewEvent) -> Sequence[Word]:
    version = "*" if event.expected_version in (None, "any") else str(event.expected_version)
    pairs = [*event.attributes(), *event.extensions.items()]
    attributes: List[Word] = [word for pair in pairs for word in pair if pair[1] is not None]
    return ("SPOOR.APPEND", event.place, version, event.type, event.payload(), *attributes)


def batch_words(events: Sequence[NewEvent]) -> List[Word]:
    words: List[Word] = []
    for stream, version in expectations(events).items():
        words += ("EXPECT", stream, version)
    for event in events:
        pairs = [("type", event.type), ("stream", event.place), *event.attributes()]
        pairs += [(f"${name}", value) if isinstance(value, str) else
                  (f"={name}", dump(value, name)) for name, value in event.extensions.items()
                  if value is not None]
        words += ("EVENT", len(pairs) + 1, "data", event.payload())
        words += [word for pair in pairs for word in pair]
    return words
