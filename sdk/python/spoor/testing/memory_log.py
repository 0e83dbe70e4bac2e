"""The log in memory: one order, versions of streams, each source and id once."""
from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from ..clock import Clock
from ..draft import NewEvent, expectations
from ..durations import to_ms
from ..errors import Conflict, NotFound, SpoorError
from ..event import Appended, Event
from ..ids import new_id
from ..patterns import matches
from ..query import Query
from ..session import Trace
from .filters import compile_filter

READ_DEFAULT = 1000
EVENT_BYTES_MAX = 1 << 20
ATTRIBUTES_MAX = 64


class MemoryLog:
    """`appended` are told of every event, in the order of the log."""

    def __init__(self, clock: Clock) -> None:
        self.events: List[Event] = []
        self.appended: List[Callable[[Event], None]] = []
        self._clock = clock
        self._known: Dict[Tuple[str, str], Event] = {}
        self._by_id: Dict[str, List[Event]] = {}
        self._versions: Dict[str, int] = {}
        self._entry = (0, 0)

    # -- writing

    def append_all(self, events: Sequence[NewEvent]) -> List[Appended]:
        """All or none."""
        for event in events:
            _check_limits(event)
        if any((event.source or "", event.id) not in self._known for event in events):
            for stream, wanted in expectations(events).items():
                version = self._versions.get(stream, 0)
                if version != (0 if wanted == "none" else wanted):
                    raise Conflict(f"stream {stream} is at version {version}, "
                                   f"expected {0 if wanted == 'none' else wanted}", version)
        return [self._add(event) for event in events]

    def tell(self, type_: str, stream: str, data: object, cause: Optional[Event]) -> Event:
        """An event of the store's own."""
        event = NewEvent(type=type_, data=data, source="spoor", stream=stream, id=new_id(),
                         correlationid=cause.correlationid if cause else None,
                         causationid=cause.id if cause else None)
        self._add(event)
        return self.events[-1]

    def _add(self, new: NewEvent) -> Appended:
        known = self._known.get((new.source or "", new.id))
        if known is not None:
            return _where(known, True)
        event = self._made(new)
        self.events.append(event)
        self._known[(event.source, event.id)] = event
        self._by_id.setdefault(event.id, []).append(event)
        self._versions[event.stream] = event.version
        for tell in self.appended:
            tell(event)
        return _where(event, False)

    def _made(self, new: NewEvent) -> Event:
        """The event as a server would have stored and sent it: by way of JSON."""
        wall_s = self._clock.wall()
        version = self._versions.get(new.place, 0) + 1
        made = Event(
            id=new.id, type=new.type, source=new.source or "", data=_stored(new),
            stream=new.place, time=new.time, correlationid=self._run_of(new),
            causationid=new.causationid, schemaversion=new.schemaversion,
            datacontenttype=_content_type(new), metadata=_by_json(new.metadata),
            extensions={name: _by_json(value) for name, value in new.extensions.items()
                        if value is not None},
            position=len(self.events) + 1, version=version, recordedtime=rfc3339(wall_s),
            entryid=self._entry_id(wall_s))
        return Event.from_json(made.to_json())

    def _run_of(self, new: NewEvent) -> str:
        if new.correlationid:
            return new.correlationid
        causes = self._by_id.get(new.causationid or "")
        return causes[0].correlationid if causes else new.id

    def _entry_id(self, wall_s: float) -> str:
        ms = int(wall_s * 1000)
        self._entry = (ms, 0) if ms > self._entry[0] else (self._entry[0], self._entry[1] + 1)
        return f"{self._entry[0]}-{self._entry[1]}"

    # -- reading

    def read(self, query: Query) -> List[Event]:
        accepts = self.test(query)
        first = 1 if query.from_ is None else self.position(query.from_)
        last = len(self.events) if query.until is None else self.position(query.until, end=True)
        chosen = self.events[max(0, first - 1):max(0, last)]
        limit = query.limit or READ_DEFAULT
        found: List[Event] = []
        for event in reversed(chosen) if query.reverse else chosen:
            if len(found) == limit:
                break
            if accepts(event):
                found.append(event)
        return found

    @staticmethod
    def test(query: Query) -> Callable[[Event], bool]:
        try:
            content = compile_filter(query.filter)
        except ValueError as problem:
            raise SpoorError(f"filter: {problem}") from problem

        def accepts(event: Event) -> bool:
            return ((not query.types or any(matches(each, event.type) for each in query.types))
                    and query.source in (None, event.source)
                    and query.stream in (None, event.stream)
                    and query.correlation in (None, event.correlationid) and content(event))
        return accepts

    def position(self, moment: Union[int, str], end: bool = False) -> int:
        """The first position at a moment or later; with `end` the last at it or earlier."""
        text = str(moment)
        if text.isdigit():
            return int(text)
        if text in ("now", "$"):
            return len(self.events) + (0 if end else 1)
        if re.fullmatch(r"\d+-\d+", text):
            limit = _entry(text)
            return self._seek(lambda event: _entry(event.entryid), limit, end)
        if text.startswith("-"):
            when = rfc3339(self._clock.wall() - to_ms(text[1:]) / 1000)
        elif re.match(r"\d{4}-\d\d-\d\d", text):
            when = text if "T" in text else text + "T00:00:00.000000Z"
        else:
            raise SpoorError(f"from: found {text}, expected a position, an entry id (<ms>-<seq>), "
                             "a time (RFC 3339), now, or a span such as -10m")
        return self._seek(lambda event: event.recordedtime, when, end)

    def _seek(self, key: Callable[[Event], object], limit: object, end: bool) -> int:
        for event in self.events:
            value = key(event)
            if value > limit or (value == limit and not end):  # type: ignore[operator]
                return event.position - (1 if end else 0)
        return len(self.events) + (0 if end else 1)

    def find(self, event_id: str, source: Optional[str]) -> List[Event]:
        return [event for event in self._by_id.get(event_id, ())
                if source in (None, event.source)]

    def trace(self, event_id: str) -> Trace:
        if event_id not in self._by_id:
            raise NotFound("no such event")
        causes, cause = [], self._by_id[event_id][0]
        while cause not in causes:
            causes.append(cause)
            found = self._by_id.get(cause.causationid or "")
            cause = found[0] if found else cause
        return Trace(causes, list(self._effects(self._by_id[event_id][0])))

    def _effects(self, origin: Event) -> List[Tuple[int, Event]]:
        found: List[Tuple[int, Event]] = []
        waiting = [(0, origin)]
        while waiting:
            depth, event = waiting.pop()
            if any(event is each for _, each in found):
                continue
            found.append((depth, event))
            caused = [(depth + 1, each) for each in self.events if each.causationid == event.id]
            waiting += reversed(caused)
        return found


def _check_limits(event: NewEvent) -> None:
    pairs = [("type", event.type), ("stream", event.place), *event.attributes(),
             *((name, str(value)) for name, value in event.extensions.items())]
    if len(pairs) > ATTRIBUTES_MAX:
        raise SpoorError(f"LIMIT an event has at most {ATTRIBUTES_MAX} attributes")
    payload = event.payload()
    size = len(payload.encode("utf-8") if isinstance(payload, str) else payload)
    size += sum(len(name.encode("utf-8")) + len(value.encode("utf-8")) for name, value in pairs)
    if size > EVENT_BYTES_MAX:
        raise SpoorError(f"LIMIT the event has {size} bytes, more than {EVENT_BYTES_MAX}")


def _where(event: Event, duplicate: bool) -> Appended:
    return Appended(event.id, event.position, event.stream, event.version, event.entryid,
                    duplicate)


def _stored(new: NewEvent) -> object:
    """The data as it is read again."""
    payload = new.payload()
    if isinstance(payload, str) and not (new.datacontenttype and payload is new.data):
        return json.loads(payload)
    if isinstance(payload, bytes) and (not new.datacontenttype or new.is_json):
        return _bytes_or_json(payload)
    return _text_or_bytes(payload)


def _bytes_or_json(payload: bytes) -> object:
    """Bytes without a type: JSON where they are, else text where they are, else bytes."""
    try:
        return json.loads(payload)
    except ValueError:
        pass
    return _text_or_bytes(payload)


def _text_or_bytes(payload: Union[str, bytes]) -> Union[str, bytes]:
    try:
        return payload.decode("utf-8") if isinstance(payload, bytes) else payload
    except UnicodeDecodeError:
        return payload


def _content_type(new: NewEvent) -> Optional[str]:
    payload = new.payload()
    if new.datacontenttype or not isinstance(payload, bytes):
        return new.datacontenttype
    found = _bytes_or_json(payload)
    if isinstance(found, bytes):
        return "application/octet-stream"
    try:
        json.loads(payload)
        return None
    except ValueError:
        return "text/plain"


def _by_json(value: Any) -> Any:
    return None if value is None else json.loads(json.dumps(value))


def _entry(text: str) -> Tuple[int, int]:
    ms, _, sequence = text.partition("-")
    return int(ms), int(sequence)


def rfc3339(wall_s: float) -> str:
    found = datetime.fromtimestamp(round(wall_s, 6), timezone.utc)
    return found.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

