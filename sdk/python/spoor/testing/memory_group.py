"""A group with a policy, in memory: docs/groups.md.

    new ──handed out──► in flight ──ack──► done
     │                   ▲      │ nack, ack-wait over, consumer gone
     │ its key is busy   │      ▼
     ▼                   │   waiting, until its backoff is over ──attempts used up──► dead
    parked ──────────────┘      ▲                                                      │
                                └──────────────────── redrive ─────────────────────────┘
"""
from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from typing import Callable, Deque, Dict, List, Mapping, Optional, Sequence, Tuple

from ..durations import to_ms
from ..errors import NotFound, SpoorError
from ..event import Event
from ..patterns import matches
from ..session import DeadLetter, Delivery, Group
from .clock import Timer, VirtualClock
from .filters import compile_filter
from .memory_log import MemoryLog, rfc3339

LEAVE_GRACE_S = 1.0
Waiter = Tuple[str, int, "asyncio.Future[List[Delivery]]"]


class _Entry:
    """An event that was handed out and is not done."""

    def __init__(self, event: Event, key: Optional[str]) -> None:
        self.event, self.key = event, key
        self.count = 0
        self.consumer: Optional[str] = None  # None: it waits for its next attempt
        self.due = 0.0
        self.delivered_s = 0.0
        self.timer: Optional[Timer] = None

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


class MemoryGroup:
    def __init__(self, log: MemoryLog, clock: VirtualClock, name: str, key: str,
                 options: Mapping[str, str], cursor: int, chance: random.Random) -> None:
        self.name, self.key = name, key
        self._log, self._clock, self._chance = log, clock, chance
        self._cursor = cursor
        self._pending: Dict[int, _Entry] = {}
        self._parked: Dict[int, Event] = {}
        self._dead: Dict[int, DeadLetter] = {}
        self._waiters: Deque[Waiter] = deque()
        self._view = _view(key)
        self._serving = False
        log.tell("group.created", f"$group:{key}:{name}",
                 {"key": key, "group": name, "position": cursor}, None)
        self.set_options(options)

    def set_options(self, options: Mapping[str, str]) -> None:
        self.options = dict(options)
        text = options.get("filter", "")
        try:
            self._filter = compile_filter(json.loads(text) if text else None)
        except ValueError as problem:
            raise SpoorError(f"filter: {problem}") from problem
        self._ack_wait_s = to_ms(options.get("ack-wait", "30s")) / 1000
        self._attempts = int(options.get("max-deliveries", "5"))
        self._order = options.get("order-by", "none")
        self._in_flight_max = int(options.get("max-in-flight", "0"))
        self._backoff = _backoff(options.get("backoff", "1s..60s x2 jitter 0.2"))
        self._log.tell("group.policy_changed", f"$group:{self.key}:{self.name}",
                       {"key": self.key, "group": self.name, "policy": "set"}, None)

    # -- handing out

    async def receive(self, consumer: str, count: int) -> List[Delivery]:
        """Waits until there is something."""
        found = [] if self._waiters else self.take(consumer, count)
        if found:
            return found
        reply: "asyncio.Future[List[Delivery]]" = asyncio.get_running_loop().create_future()
        self._waiters.append((consumer, count, reply))
        return await reply

    def wake(self, consumer: str) -> None:
        """Its read, if it waits, ends with nothing."""
        for name, _, reply in list(self._waiters):
            if name == consumer and not reply.done():
                reply.set_result([])

    def serve(self) -> None:
        """Hands out what there is to those who wait, the longest first."""
        if self._serving:
            return  # what it does is told to the log, which comes here again
        self._serving = True
        try:
            while self._waiters:
                consumer, count, reply = self._waiters[0]
                if not reply.done():
                    found = self.take(consumer, count)
                    if not found:
                        return
                    reply.set_result(found)
                self._waiters.popleft()
        finally:
            self._serving = False

    def take(self, consumer: str, count: int) -> List[Delivery]:
        """What there is now, without waiting."""
        found: List[Delivery] = []
        while len(found) < count:
            if self._in_flight_max and self._in_flight() >= self._in_flight_max:
                break
            entry = self._due() or self._unparked() or self._new()
            if entry is None:
                break
            found.append(self._hand_out(entry, consumer))
        return found

    def _in_flight(self) -> int:
        return sum(entry.consumer is not None for entry in self._pending.values())

    def _due(self) -> Optional[_Entry]:
        waiting = [entry for entry in self._pending.values()
                   if entry.consumer is None and entry.due <= self._clock.now()]
        return min(waiting, key=lambda entry: (entry.due, entry.event.position), default=None)

    def _busy(self) -> "set[Optional[str]]":
        return {entry.key for entry in self._pending.values()}

    def _unparked(self) -> Optional[_Entry]:
        busy = self._busy()
        for position in sorted(self._parked):
            event = self._parked[position]
            if self._key_of(event) not in busy:
                del self._parked[position]
                return self._enter(event)
        return None

    def _new(self) -> Optional[_Entry]:
        busy = self._busy() | {self._key_of(event) for event in self._parked.values()}
        while self._cursor < len(self._log.events):
            event = self._log.events[self._cursor]
            self._cursor += 1
            if not self._wants(event):
                continue
            if self._order != "none" and self._key_of(event) in busy:
                self._parked[event.position] = event
                continue
            return self._enter(event)
        return None

    def _wants(self, event: Event) -> bool:
        return self._view(event) and self._filter(event)

    def _key_of(self, event: Event) -> Optional[str]:
        if self._order == "none":
            return None
        return {"stream": event.stream, "source": event.source,
                "correlation": event.correlationid}[self._order]

    def _enter(self, event: Event) -> _Entry:
        entry = _Entry(event, self._key_of(event))
        self._pending[event.position] = entry
        return entry

    def _hand_out(self, entry: _Entry, consumer: str) -> Delivery:
        entry.disarm()
        entry.consumer = consumer
        entry.count += 1
        entry.delivered_s = self._clock.wall()
        self._arm(entry, self._ack_wait_s)
        return Delivery(self.key, entry.event.entryid, entry.count, entry.event)

    def _arm(self, entry: _Entry, wait_s: float) -> None:
        entry.disarm()
        entry.timer = self._clock.call_at(
            self._clock.now() + wait_s,
            lambda: self._fail(entry, "not acknowledged in time", None, False))

    # -- settling

    def _flying(self, entry_id: str) -> Optional[_Entry]:
        for entry in self._pending.values():
            if entry.event.entryid == entry_id and entry.consumer is not None:
                return entry
        return None

    def ack(self, entries: Sequence[str]) -> int:
        done = 0
        for position, entry in list(self._pending.items()):
            if entry.event.entryid in entries:
                entry.disarm()
                del self._pending[position]
                done += 1
        self.serve()
        return done

    def nack(self, entry_id: str, error: str, delay_ms: Optional[int], dead: bool) -> bool:
        entry = self._flying(entry_id)
        if entry is None:
            return False
        self._fail(entry, error, delay_ms, dead)
        return True

    def extend(self, entries: Sequence[str]) -> int:
        flying = [self._flying(each) for each in entries]
        for entry in flying:
            if entry is not None:
                self._arm(entry, self._ack_wait_s)
        return sum(entry is not None for entry in flying)

    def leave(self, consumer: str) -> None:
        """What the consumer had goes back to the group, due at once."""
        for entry in list(self._pending.values()):
            if entry.consumer == consumer:
                self._fail(entry, "the consumer left", 0, False)

    def lost(self, consumer: str) -> None:
        """Its connection is gone, and nobody comes back in its name."""
        for name, _, reply in self._waiters:
            if name == consumer and not reply.done():
                reply.cancel()
        self._clock.call_at(self._clock.now() + LEAVE_GRACE_S, lambda: self.leave(consumer))

    def _fail(self, entry: _Entry, error: str, delay_ms: Optional[int], dead: bool) -> None:
        if dead or entry.count >= self._attempts:
            self._bury(entry, error, "refused" if dead else "attempts")
        else:
            wait_ms = self._wait_ms(entry.count) if delay_ms is None else delay_ms
            told = {**self._facts(entry, error),
                    "retry_at": rfc3339(self._clock.wall() + wait_ms / 1000)}
            self._release(entry, wait_ms)
            self._log.tell("delivery.failed", f"$group:{self.key}:{self.name}", told, entry.event)
        self.serve()

    def _release(self, entry: _Entry, wait_ms: int) -> None:
        entry.disarm()
        entry.consumer = None
        entry.due = self._clock.now() + wait_ms / 1000
        entry.timer = self._clock.call_at(entry.due, self.serve)

    def _wait_ms(self, count: int) -> int:
        first, last, factor, jitter = self._backoff
        wait = min(last, first * factor ** (count - 1))
        return round(wait * self._chance.uniform(1 - jitter, 1 + jitter))

    def _facts(self, entry: _Entry, error: str) -> "Dict[str, object]":
        return {"key": self.key, "group": self.name, "id": entry.event.id,
                "position": entry.event.position, "entryid": entry.event.entryid,
                "consumer": entry.consumer or "", "attempt": entry.count, "error": error}

    def _bury(self, entry: _Entry, error: str, reason: str) -> None:
        entry.disarm()
        del self._pending[entry.event.position]
        said = {"attempts": "attempts used up", "refused": "refused by a consumer"}[reason]
        told = {**self._facts(entry, error), "reason": said, "stream": entry.event.stream,
                "event": entry.event.to_dict()}
        self._dead[entry.event.position] = DeadLetter(
            entry.event.entryid, entry.event.position, entry.count, reason, error, entry.event)
        self._log.tell("delivery.dead_lettered", f"$dead:{self.key}:{self.name}", told,
                       entry.event)

    # -- dead letters

    def dead(self, limit: int) -> List[DeadLetter]:
        return [self._dead[position] for position in sorted(self._dead)][:limit]

    def dig(self, entries: Sequence[str], redrive: bool) -> int:
        chosen = [letter for letter in self.dead(len(self._dead))
                  if not entries or letter.entry in entries]
        for letter in chosen:
            del self._dead[letter.position]
            event = self._log.events[letter.position - 1]
            if redrive and self._order != "none":
                self._parked[event.position] = event
            elif redrive:
                self._enter(event).due = self._clock.now()
            self._log.tell("delivery.redriven" if redrive else "delivery.discarded",
                           f"$group:{self.key}:{self.name}",
                           {"key": self.key, "group": self.name, "id": event.id,
                            "position": event.position, "entryid": event.entryid,
                            "attempts": letter.attempts}, event)
        self.serve()
        return len(chosen)

    def counts(self) -> Group:
        flying = self._in_flight()
        lag = sum(self._wants(event) for event in self._log.events[self._cursor:])
        return Group(self.name, self.key, lag, len(self._pending), flying,
                     len(self._pending) - flying, len(self._parked), len(self._dead))


def _view(key: str) -> Callable[[Event], bool]:
    """Which events the key has. Those that tell of groups are only for who asks for them."""
    def own(event: Event) -> bool:
        return event.stream.startswith(("$group:", "$dead:"))
    if key == "$all":
        return lambda event: not own(event)
    kind, _, rest = key.partition(":")
    if kind == "$type":
        if any(token in ("*", "#", ">") for token in rest.split(".")):
            return lambda event: matches(rest, event.type) and not own(event)
        return lambda event: event.type == rest
    if kind == "$source":
        return lambda event: event.source == rest
    if kind == "$correlation":
        return lambda event: event.correlationid == rest
    return lambda event: event.stream == key


def _backoff(text: str) -> Tuple[int, int, float, float]:
    span, factor, _, jitter = text.split()
    first, _, last = span.partition("..")
    return to_ms(first), to_ms(last), float(factor[1:]), float(jitter)


def missing(name: str, key: str) -> NotFound:
    return NotFound(f"NOGROUP No such key '{key}' or consumer group '{name}'")
