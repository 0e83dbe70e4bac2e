"""The event as it is read, and as it is given.

The names are those of docs/events.md. What has no name there is in `extensions`."""
from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, fields
from typing import Any, Dict, Mapping, Optional, Union

_ATTRIBUTES = ("id", "type", "source", "stream", "time", "correlationid", "causationid",
               "schemaversion", "datacontenttype")
_ASSIGNED = ("position", "version", "recordedtime", "entryid", "hash")
_KNOWN = frozenset((*_ATTRIBUTES, *_ASSIGNED, "data", "data_base64", "metadata"))


@dataclass(frozen=True)
class Event:
    """An event of the log. It never changes; what it was read from is decoded when it is first
    looked at, so events that are only passed on cost nothing."""

    id: str
    type: str
    source: str
    data: Any = None
    stream: str = ""
    time: Optional[str] = None
    correlationid: str = ""
    causationid: Optional[str] = None
    schemaversion: Optional[str] = None
    datacontenttype: Optional[str] = None
    metadata: Optional[Mapping[str, Any]] = None
    extensions: Mapping[str, Any] = field(default_factory=dict)
    position: int = 0
    version: int = 0
    recordedtime: str = ""
    entryid: str = ""
    hash: Optional[str] = None

    @classmethod
    def from_json(cls, line: Union[str, bytes]) -> "Event":
        """From one line of JSON in the shape of docs/events.md, as the server sends it."""
        event = object.__new__(cls)
        object.__setattr__(event, "_line", line)
        return event

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> "Event":
        event = object.__new__(cls)
        event.__dict__.update(_decoded(members))
        return event

    def __getattr__(self, name: str) -> Any:
        # Only asked for what is not there yet: the members of an event that came as a line.
        line = self.__dict__.get("_line")
        if line is None or name.startswith("_"):
            raise AttributeError(f"an event has no {name!r}")
        self.__dict__.update(_decoded(json.loads(line)))
        object.__delattr__(self, "_line")
        if name not in self.__dict__:
            raise AttributeError(f"an event has no {name!r}")
        return self.__dict__[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute or extension by its name."""
        if name in _FIELDS:
            return getattr(self, name)
        return self.extensions.get(name, default)

    def to_dict(self) -> Dict[str, Any]:
        """As JSON has it: absent attributes are left out, bytes become data_base64."""
        found: Dict[str, Any] = {name: getattr(self, name) for name in _ATTRIBUTES
                                 if getattr(self, name) not in (None, "")}
        if self.metadata is not None:
            found["metadata"] = dict(self.metadata)
        for name, value in self.extensions.items():
            found["$" + name if name in _KNOWN or name.startswith("$") else name] = value
        if isinstance(self.data, (bytes, bytearray)):
            found["data_base64"] = base64.b64encode(self.data).decode("ascii")
        else:
            found["data"] = self.data
        found.update({name: getattr(self, name) for name in _ASSIGNED if getattr(self, name)})
        return found

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))


_FIELDS = frozenset(each.name for each in fields(Event))
for _name in _FIELDS & set(vars(Event)):
    delattr(Event, _name)  # a default that stood on the class would be found before __getattr__


def _decoded(members: Mapping[str, Any]) -> Dict[str, Any]:
    """The fields of an Event from the members of its JSON."""
    found = {name: members.get(name) for name in _ATTRIBUTES}
    found["stream"] = found["stream"] or found["source"] or ""
    found["correlationid"] = found["correlationid"] or found["id"] or ""
    found["metadata"] = members.get("metadata")
    found["data"] = members.get("data")
    if "data_base64" in members:
        found["data"] = base64.b64decode(members["data_base64"])
    found["position"] = members.get("position", 0)
    found["version"] = members.get("version", 0)
    found["recordedtime"] = members.get("recordedtime", "")
    found["entryid"] = members.get("entryid", "")
    found["hash"] = members.get("hash")
    found["extensions"] = {name[1:] if name.startswith("$") else name: value
                           for name, value in members.items() if name not in _KNOWN}
    return found


@dataclass(frozen=True)
class Appended:
    """Where an event is. `duplicate`: it was there already, and nothing was appended."""

    id: str
    position: int
    stream: str
    version: int
    entryid: str
    duplicate: bool
