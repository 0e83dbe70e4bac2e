"""Publish, ask, follow: the face of a bus for programs, whether they are agents or not."""
from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, AsyncIterator, Dict, List, Mapping, Optional, Sequence, Tuple, Type, Union

from .draft import ExpectedVersion, NewEvent
from .durations import Duration, seconds
from .errors import NotFound
from .event import Appended, Event
from .ids import new_id
from .policy import Filter, Policy
from .query import Moment, Query, as_types
from .server import ServerSession
from .session import AgentInfo, DeadLetter, Group, Session
from .sagas import SagaMethods
from .sql import Params, Rows, Seen, words

PAGE = 1000
DueTime = Union[str, datetime]
Types = Union[str, Sequence[str], None]


class AsyncClient(SagaMethods):
    """A client of a bus. Every method may be called from any number of tasks of one event loop;
    what they call at the same time shares round trips.

    `source` is who events are from that name no source themselves."""

    def __init__(self, url: Optional[str] = None, *, source: Optional[str] = None,
                 session: Optional[Session] = None, patience_s: float = 30.0) -> None:
        self.source = source
        self.session: Session = session or ServerSession(url, patience_s=patience_s)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                        traceback: Optional[TracebackType]) -> None:
        await self.close()

    async def close(self) -> None:
        await self.session.close()

    # -- write

    async def publish(self, type: str, data: Any = None, *, source: Optional[str] = None,
                      stream: Optional[str] = None, id: Optional[str] = None,
                      time: Optional[str] = None, correlationid: Optional[str] = None,
                      causationid: Optional[str] = None, schemaversion: Optional[str] = None,
                      datacontenttype: Optional[str] = None,
                      metadata: Optional[Mapping[str, Any]] = None,
                      expected_version: ExpectedVersion = None,
                      deliver_at: Optional[DueTime] = None, delay: Optional[Duration] = None,
                      **extensions: Any) -> Appended:
        """Appends an event; when this returns it is on stable storage and on its way to everyone.

        With `deliver_at` (RFC 3339, or a datetime with a zone) or `delay` it is on its way then; until
        then cancel_timer() takes it back. The id is made before it is sent, so an answer that was lost costs no second event.
        `expected_version`: the version the stream must be at, or "none" for a new one; else
        Conflict."""
        return await self.append(NewEvent(
            type=type, data=data, source=source, stream=stream, id=id or new_id(), time=time,
            correlationid=correlationid, causationid=causationid, schemaversion=schemaversion,
            datacontenttype=datacontenttype, metadata=metadata,
            extensions={**extensions, **self._due(deliver_at, delay)},
            expected_version=expected_version))

    def _due(self, deliver_at: Optional[DueTime], delay: Optional[Duration]) -> Dict[str, str]:
        if deliver_at is not None and delay is not None:
            raise ValueError("deliver_at, delay: one of them")
        if delay is not None:
            due = datetime.fromtimestamp(self.session.clock.wall() + seconds(delay), timezone.utc)
        elif isinstance(deliver_at, datetime):
            if deliver_at.tzinfo is None:
                raise ValueError("deliver_at: a datetime needs its zone")
            due = deliver_at.astimezone(timezone.utc)
        else:
            return {} if deliver_at is None else {"deliverat": deliver_at}
        return {"deliverat": due.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}

    async def append(self, event: NewEvent) -> Appended:
        """publish() for an event that is made already."""
        return await self.session.append(self._signed(event))

    async def publish_batch(self, events: Sequence[NewEvent]) -> List[Appended]:
        """Appends all of them or none, in order. 4 MiB at most."""
        return await self.session.append_all([self._signed(event) for event in events])

    def _signed(self, event: NewEvent) -> NewEvent:
        return event.by(self.source) if self.source else event

    # -- read

    async def query(self, types: Types = None, *, source: Optional[str] = None,
                    stream: Optional[str] = None, correlation: Optional[str] = None,
                    filter: Optional[Filter] = None, from_: Optional[Moment] = None,
                    until: Optional[Moment] = None, limit: Optional[int] = None,
                    reverse: bool = False) -> List[Event]:
        """The events for which all of this holds, oldest first; all of them, unless `limit`."""
        query = Query(as_types(types), source, stream, correlation, filter, from_, until, limit,
                      reverse)
        return [event async for event in self._pages(query)]

    def events(self, types: Types = None, *, source: Optional[str] = None,
               stream: Optional[str] = None, correlation: Optional[str] = None,
               filter: Optional[Filter] = None, from_: Optional[Moment] = None,
               until: Optional[Moment] = None, limit: Optional[int] = None,
               reverse: bool = False) -> AsyncIterator[Event]:
        """query(), a page at a time, for more events than one wants in memory."""
        return self._pages(Query(as_types(types), source, stream, correlation, filter, from_,
                                 until, limit, reverse))

    async def _pages(self, query: Query) -> AsyncIterator[Event]:
        left = query.limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = await self.session.read(replace(query, limit=size))
            for event in page:
                yield event
            left = None if left is None else left - len(page)
            if len(page) < size:
                return
            last = page[-1].position
            if query.reverse and last == 1:
                return
            query = (replace(query, until=last - 1) if query.reverse
                     else replace(query, from_=last + 1))

    async def find(self, id: str, source: Optional[str] = None) -> List[Event]:
        """The events with this id: several where several sources used it."""
        return await self.session.find(id, source)

    async def get(self, id: str, source: Optional[str] = None) -> Event:
        """The event with this id, the first one where several sources used it; else NotFound."""
        found = await self.session.find(id, source)
        if not found:
            raise NotFound(f"there is no event {id!r}" + (f" of {source!r}" if source else ""))
        return found[0]

    async def why(self, id: str) -> List[Event]:
        """The event, its cause, and so on up to the root."""
        return (await self.session.trace(id)).causes

    async def effects(self, id: str) -> List[Tuple[int, Event]]:
        """The event and what it caused, depth first, each with its depth."""
        return (await self.session.trace(id)).effects

    async def sql(self, sql: str, params: Params = None, *, seen: Seen = None,
                  timeout: Union[Duration, str, None] = None,
                  max_rows: Optional[int] = None) -> Rows:
        """The rows that a SELECT over the read models gives (docs/sql.md).

        `params`: a sequence for `?`, a mapping for `:name`. `seen`: what an append returned, or a
        position: waits until the read models have seen it."""
        return await self.session.sql(words(sql, params, seen, timeout, max_rows))

    def subscribe(self, types: Types = None, *, source: Optional[str] = None,
                  stream: Optional[str] = None, correlation: Optional[str] = None,
                  filter: Optional[Filter] = None, from_: Optional[Moment] = None,
                  limit: Optional[int] = None) -> AsyncIterator[Event]:
        """Events from `from_` on (without it from now on), first what is there, then what comes,
        without gap or double, whatever becomes of the connection."""
        return self.session.subscribe(Query(as_types(types), source, stream, correlation, filter,
                                            from_, None, limit))

    # -- groups

    async def ensure_group(self, name: str, key: str, policy: Optional[Policy] = None,
                           start: str = "$") -> None:
        """Makes the group, or gives the one that is there this policy."""
        await self.session.ensure_group(name, key, (policy or Policy()).options(), start)

    async def group(self, name: str, key: str) -> Group:
        """What the group has to do still."""
        return await self.session.group(name, key)

    async def dead_letters(self, key: str, group: str, limit: int = 100) -> List[DeadLetter]:
        """What the group gave up, the oldest first, with the reason and the event."""
        return await self.session.dead(key, group, limit)

    async def redrive(self, key: str, group: str, *entries: str) -> int:
        """Gives dead entries back to the group, all where none is named; how many they were."""
        return await self.session.redrive(key, group, entries)

    async def discard(self, key: str, group: str, *entries: str) -> int:
        """Does away with dead entries, all where none is named; how many they were."""
        return await self.session.discard(key, group, entries)

    # -- agents

    async def agents(self, *capabilities: str, status: Optional[str] = None,
                     free: bool = False) -> List[AgentInfo]:
        """The agents that can do all of this; `free`: online, with room for more."""
        return await self.session.agents(capabilities, status, free)

    async def agent(self, id: str) -> Optional[AgentInfo]:
        """One agent; None where nobody announced it."""
        return await self.session.agent(id)


def connect(url: Optional[str] = None, *, source: Optional[str] = None,
            patience_s: float = 30.0) -> AsyncClient:
    """A client of the server at `url`, else $SPOOR_URL, else redis://127.0.0.1:7379. It connects
    when it is first used."""
    return AsyncClient(url, source=source, patience_s=patience_s)
