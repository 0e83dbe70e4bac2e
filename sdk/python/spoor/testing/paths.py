"""What a filter's path leads to in an event: docs/filters.md#paths."""
from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List

from ..event import Event

MISSING: Any = object()
_ATTRIBUTES = ("id", "type", "source", "stream", "time", "correlationid", "causationid",
               "schemaversion", "datacontenttype")
_ASSIGNED = ("position", "version", "recordedtime", "entryid")
_ALIASES = {"event_id": "id", "event_type": "type", "source_agent": "source",
            "agent_id": "source", "agent_name": "source", "agent": "source",
            "stream_id": "stream", "timestamp": "time", "correlation_id": "correlationid",
            "correlationId": "correlationid", "conversation_id": "correlationid",
            "causation_id": "causationid", "causationId": "causationid",
            "parent_event_id": "causationid", "schema_version": "schemaversion",
            "schemaVersion": "schemaversion", "event_version": "schemaversion"}


def root(event: Event, name: str) -> Any:
    """The value of an attribute, by any of its names, or of an extension."""
    if name.startswith("$"):
        return event.extensions.get(name[1:], MISSING)
    if name in ("data", "payload"):
        return _data(event)
    if name == "metadata":
        return MISSING if event.metadata is None else event.metadata
    if name in event.extensions:
        return event.extensions[name]
    name = _ALIASES.get(name, name)
    if name in _ATTRIBUTES or name in _ASSIGNED:
        value = getattr(event, name)
        return MISSING if value in (None, "", 0) else value
    return MISSING


def _data(event: Event) -> Any:
    if isinstance(event.data, (bytes, bytearray)):
        return bytes(event.data).decode("utf-8", "surrogateescape")
    return event.data


def find(event: Event, path: str) -> Any:
    """What a dotted path leads to; MISSING where it leads nowhere."""
    names = path.split(".")
    for length in range(1, len(names) + 1):
        value = root(event, ".".join(names[:length]))
        if value is not MISSING:
            for found in _inside(value, names[length:]):
                return found
    return MISSING


def _inside(value: Any, names: List[str]) -> Iterator[Any]:
    """Every value that the names lead to, in the order of the text. Keys may have dots."""
    if not names:
        yield value
        return
    if isinstance(value, (list, tuple)):
        if names[0].isdigit() and int(names[0]) < len(value):
            yield from _inside(value[int(names[0])], names[1:])
        return
    if not isinstance(value, dict):
        return
    for key, member in value.items():
        length = key.count(".") + 1
        if names[:length] == key.split("."):
            yield from _inside(member, names[length:])


Test = Callable[[Event], bool]
Check = Callable[[Any], bool]
Members = Dict[str, Any]
