"""The client for programs without an event loop: the same methods, which wait."""
from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import (Any, AsyncIterator, Coroutine, Iterator, List, Mapping, Optional, Sequence,
                    Tuple, Type, TypeVar, Union)

from .client import AsyncClient, DueTime, Types
from .draft import ExpectedVersion, NewEvent
from .durations import Duration
from .event import Appended, Event
from .policy import Filter, Policy
from .query import Moment
from .session import AgentInfo, DeadLetter, Group
from .sql import Params, Rows, Seen
from .sync_sagas import SyncSagaMethods

Result = TypeVar("Result")


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Its result; an interruption from the keyboard ends it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Client(SyncSagaMethods):
    """AsyncClient for plain code. May be used from several threads."""

    def __init__(self, url: Optional[str] = None, *, source: Optional[str] = None,
                 patience_s: float = 30.0) -> None:
        self._loop = Loop("spoor-client")
        self._client = self._loop.run(self._make(url, source, patience_s))

    @staticmethod
    async def _make(url: Optional[str], source: Optional[str], patience_s: float) -> AsyncClient:
        return AsyncClient(url, source=source, patience_s=patience_s)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        self._loop.run(self._client.close())
        self._loop.stop()

    def publish(self, type: str, data: Any = None, *, source: Optional[str] = None,
                stream: Optional[str] = None, id: Optional[str] = None,
                time: Optional[str] = None, correlationid: Optional[str] = None,
                causationid: Optional[str] = None, schemaversion: Optional[str] = None,
                datacontenttype: Optional[str] = None,
                metadata: Optional[Mapping[str, Any]] = None,
                expected_version: ExpectedVersion = None, deliver_at: Optional[DueTime] = None,
                delay: Optional[Duration] = None, **extensions: Any) -> Appended:
        return self._loop.run(self._client.publish(
            type, data, source=source, stream=stream, id=id, time=time,
            correlationid=correlationid, causationid=causationid, schemaversion=schemaversion,
            datacontenttype=datacontenttype, metadata=metadata, expected_version=expected_version,
            deliver_at=deliver_at, delay=delay, **extensions))

    def append(self, event: NewEvent) -> Appended:
        return self._loop.run(self._client.append(event))

    def publish_batch(self, events: Sequence[NewEvent]) -> List[Appended]:
        return self._loop.run(self._client.publish_batch(events))

    def query(self, types: Types = None, *, source: Optional[str] = None,
              stream: Optional[str] = None, correlation: Optional[str] = None,
              filter: Optional[Filter] = None, from_: Optional[Moment] = None,
              until: Optional[Moment] = None, limit: Optional[int] = None,
              reverse: bool = False) -> List[Event]:
        return self._loop.run(self._client.query(
            types, source=source, stream=stream, correlation=correlation, filter=filter,
            from_=from_, until=until, limit=limit, reverse=reverse))

    def events(self, types: Types = None, *, source: Optional[str] = None,
               stream: Optional[str] = None, correlation: Optional[str] = None,
               filter: Optional[Filter] = None, from_: Optional[Moment] = None,
               until: Optional[Moment] = None, limit: Optional[int] = None,
               reverse: bool = False) -> Iterator[Event]:
        return self._each(self._client.events(
            types, source=source, stream=stream, correlation=correlation, filter=filter,
            from_=from_, until=until, limit=limit, reverse=reverse))

    def find(self, id: str, source: Optional[str] = None) -> List[Event]:
        return self._loop.run(self._client.find(id, source))

    def get(self, id: str, source: Optional[str] = None) -> Event:
        return self._loop.run(self._client.get(id, source))

    def why(self, id: str) -> List[Event]:
        return self._loop.run(self._client.why(id))

    def effects(self, id: str) -> List[Tuple[int, Event]]:
        return self._loop.run(self._client.effects(id))

    def sql(self, sql: str, params: Params = None, *, seen: Seen = None,
            timeout: Union[Duration, str, None] = None, max_rows: Optional[int] = None) -> Rows:
        return self._loop.run(self._client.sql(sql, params, seen=seen, timeout=timeout,
                                               max_rows=max_rows))

    def subscribe(self, types: Types = None, *, source: Optional[str] = None,
                  stream: Optional[str] = None, correlation: Optional[str] = None,
                  filter: Optional[Filter] = None, from_: Optional[Moment] = None,
                  limit: Optional[int] = None) -> Iterator[Event]:
        return self._each(self._client.subscribe(
            types, source=source, stream=stream, correlation=correlation, filter=filter,
            from_=from_, limit=limit))

    def _each(self, events: AsyncIterator[Event]) -> Iterator[Event]:
        async def end() -> None:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()

        try:
            event = self._loop.run(self._next(events))
            while event is not None:
                yield event
                event = self._loop.run(self._next(events))
        finally:
            self._loop.run(end())

    @staticmethod
    async def _next(events: AsyncIterator[Event]) -> Optional[Event]:
        try:
            return await events.__anext__()
        except StopAsyncIteration:
            return None

    def ensure_group(self, name: str, key: str, policy: Optional[Policy] = None,
                     start: str = "$") -> None:
        self._loop.run(self._client.ensure_group(name, key, policy, start))

    def group(self, name: str, key: str) -> Group:
        return self._loop.run(self._client.group(name, key))

    def dead_letters(self, key: str, group: str, limit: int = 100) -> List[DeadLetter]:
        return self._loop.run(self._client.dead_letters(key, group, limit))

    def redrive(self, key: str, group: str, *entries: str) -> int:
        return self._loop.run(self._client.redrive(key, group, *entries))

    def discard(self, key: str, group: str, *entries: str) -> int:
        return self._loop.run(self._client.discard(key, group, *entries))

    def agents(self, *capabilities: str, status: Optional[str] = None,
               free: bool = False) -> List[AgentInfo]:
        return self._loop.run(self._client.agents(*capabilities, status=status, free=free))

    def agent(self, id: str) -> Optional[AgentInfo]:
        return self._loop.run(self._client.agent(id))
