"""What clients and agents need of a bus: a server's, or the one in memory that tests have.

Everything above this line is written once and runs on both."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, AsyncIterator, Callable, List, Mapping, Optional, Protocol, Sequence, Tuple

from .clock import Clock
from .draft import NewEvent
from .event import Appended, Event
from .query import Query
from .sql import Rows


@dataclass(frozen=True)
class Delivery:
    """An event that was handed out: `entry` is what is acknowledged, `attempt` counts from 1."""

    key: str
    entry: str
    attempt: int
    event: Event


@dataclass(frozen=True)
class Group:
    """A group's counts. `lag`: events that were not handed out yet."""

    name: str
    key: str
    lag: int
    pending: int
    in_flight: int
    waiting: int
    parked: int
    dead: int


@dataclass(frozen=True)
class DeadLetter:
    """An entry whose attempts were used up (`reason` attempts), or that was refused."""

    entry: str
    position: int
    attempts: int
    reason: str
    error: str
    event: Optional[Event]


@dataclass(frozen=True)
class AgentInfo:
    """An agent as the server sees it."""

    id: str
    status: str
    capabilities: Tuple[str, ...] = ()
    capacity: Optional[int] = None
    load: int = 0
    free: Optional[int] = None
    version: Optional[str] = None
    announced: Optional[str] = None
    last_seen: Optional[str] = None
    last_event: Optional[str] = None
    data: Optional[Mapping[str, Any]] = None


@dataclass(frozen=True)
class Announcement:
    """What an agent says of itself."""

    id: str
    capabilities: Tuple[str, ...] = ()
    capacity: Optional[int] = None
    version: Optional[str] = None
    data: Optional[Mapping[str, Any]] = None


@dataclass(frozen=True)
class Trace:
    """`causes`: from the event to its root. `effects`: what it caused, each with its depth."""

    causes: List[Event]
    effects: List[Tuple[int, Event]]


class Consumer(Protocol):
    """One reader of one group, over a connection of its own: when that ends, what it had goes back
    to the group."""

    name: str

    async def receive(self, count: int) -> List[Delivery]:
        """Waits until there is something, or a while; then it may be nothing."""

    async def wake(self) -> None:
        """Ends a receive that waits, without losing what it was given."""

    async def leave(self) -> None:
        """Gives back at once what it still has, and is forgotten by the group."""

    def abort(self) -> None:
        """As if the process had died."""


class Session(Protocol):
    """A client's relation to a bus. Errors are those of errors.py."""

    clock: Clock

    async def append(self, event: NewEvent) -> Appended: ...

    async def append_all(self, events: Sequence[NewEvent]) -> List[Appended]:
        """All of them or none, in order."""

    async def read(self, query: Query) -> List[Event]: ...

    async def find(self, event_id: str, source: Optional[str] = None) -> List[Event]: ...

    async def trace(self, event_id: str) -> Trace: ...

    async def sql(self, words: Sequence[str]) -> Rows:
        """What SPOOR.QUERY answers to these words."""

    async def ask(self, *words: str) -> Any:
        """A command that only a server understands; its reply, bytes as text."""

    def subscribe(self, query: Query) -> AsyncIterator[Event]: ...

    async def ensure_group(self, name: str, key: str, options: Mapping[str, str],
                           start: str) -> None:
        """Makes the group, or gives the one that is there these options."""

    async def group(self, name: str, key: str) -> Group: ...

    async def consumer(self, group: str, key: str, name: str) -> Consumer: ...

    async def ack(self, key: str, group: str, entries: Sequence[str]) -> int: ...

    async def nack(self, key: str, group: str, entry: str, error: str,
                   delay_ms: Optional[int] = None, dead: bool = False) -> bool: ...

    async def extend(self, key: str, group: str, entries: Sequence[str]) -> int: ...

    async def dead(self, key: str, group: str, limit: int) -> List[DeadLetter]: ...

    async def redrive(self, key: str, group: str, entries: Sequence[str]) -> int:
        """No entries: all."""

    async def discard(self, key: str, group: str, entries: Sequence[str]) -> int: ...

    async def online(self, who: Announcement) -> None: ...

    async def heartbeat(self, agent: str, load: int) -> str:
        """The status; NotFound where it never announced itself."""

    async def offline(self, agent: str, reason: str) -> None: ...

    async def agent(self, agent: str) -> Optional[AgentInfo]: ...

    async def agents(self, capabilities: Sequence[str], status: Optional[str],
                     free: bool) -> List[AgentInfo]: ...

    def on_reconnect(self, call: Callable[[], None]) -> None:
        """Called whenever a connection was lost and is there again."""

    def hurry(self) -> None:
        """From now on waits only seconds for a server that is away: its owner wants to go."""

    async def close(self) -> None: ...

    def abort(self) -> None:
        """As if the process had died."""
