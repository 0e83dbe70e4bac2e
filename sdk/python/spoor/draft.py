"""An event to be appended, and the checks that need no server: a mistake in what was given is a
ValueError where it was made."""
from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from .ids import new_id

ExpectedVersion = Union[int, str, None]  # a number, "none", or None: any

TYPE_BYTES_MAX = 255
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_TOPIC = re.compile(r"[\x00-\x1f\x7f\s]")
_RESERVED = frozenset(("id", "type", "source", "stream", "time", "correlationid", "causationid",
                       "schemaversion", "datacontenttype", "data", "data_base64", "metadata",
                       "position", "version", "recordedtime", "entryid", "hash", "event_id",
                       "event_type", "source_agent", "agent_id", "agent_name", "agent",
                       "stream_id", "timestamp", "correlation_id", "correlationId",
                       "conversation_id", "causation_id", "causationId", "parent_event_id",
                       "schema_version", "schemaVersion", "event_version", "payload"))


@dataclass(frozen=True)
class NewEvent:
    """What a producer gives. `id` is made at once, so that sending it twice appends it once."""

    type: str
    data: Any = None
    source: Optional[str] = None
    stream: Optional[str] = None
    id: str = field(default_factory=new_id)
    time: Optional[str] = None
    correlationid: Optional[str] = None
    causationid: Optional[str] = None
    schemaversion: Optional[str] = None
    datacontenttype: Optional[str] = None
    metadata: Optional[Mapping[str, Any]] = None
    extensions: Mapping[str, Any] = field(default_factory=dict)
    expected_version: ExpectedVersion = None

    @property
    def place(self) -> str:
        """The stream it goes to."""
        return self.stream or self.source or ""

    def by(self, source: str) -> "NewEvent":
        """The same event, from this source if it names none."""
        return self if self.source else replace(self, source=source)

    @property
    def is_plain(self) -> bool:
        """Whether every extension is a string under a name that is nobody else's."""
        return all(name not in _RESERVED and not name.startswith("$")
                   and (value is None or isinstance(value, str))
                   for name, value in self.extensions.items())

    def attributes(self) -> List[Tuple[str, str]]:
        """Names and values of its attributes but for type, stream and data."""
        named = [("id", self.id), ("source", self.source), ("time", self.time),
                 ("correlationid", self.correlationid), ("causationid", self.causationid),
                 ("schemaversion", self.schemaversion), ("datacontenttype", self.datacontenttype)]
        found = [(name, str(value)) for name, value in named if value]
        if self.metadata is not None:
            found.append(("metadata", dump(self.metadata, "metadata")))
        return found

    def payload(self) -> Union[str, bytes]:
        """The data as bytes or text: JSON, but for bytes and for text of a type of its own."""
        if isinstance(self.data, (bytes, bytearray, memoryview)):
            return bytes(self.data)
        if isinstance(self.data, str) and self.datacontenttype and not self.is_json:
            return self.data
        return dump(self.data, "data")

    @property
    def is_json(self) -> bool:
        """Whether its data is JSON by its type."""
        kind = (self.datacontenttype or "application/json").split(";")[0].strip().lower()
        return kind == "application/json" or kind.endswith("+json")

    def check(self) -> "NewEvent":
        """Itself; a ValueError that says what is wrong where it is no event. What depends on the
        server's settings, such as how large it may be, the server says."""
        check_type(self.type)
        if not self.source:
            raise ValueError("source: an event says who did it")
        if _CONTROL.search(self.place):
            raise ValueError("stream: found a control character")
        if self.place.startswith("$"):
            raise ValueError(f"stream: {self.place!r} begins with $: only the store writes there")
        for name in self.extensions:
            _check_name(name)
        if self.time is not None and not _TIME.fullmatch(self.time):
            raise ValueError(f"time: {self.time!r} is not a time of RFC 3339")
        check_version(self.expected_version)
        return self

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> "NewEvent":
        """From an event in JSON, canonical names only. What the store assigns is left out."""
        known = ("type", "source", "stream", "time", "correlationid", "causationid",
                 "schemaversion", "datacontenttype", "metadata", "data")
        assigned = ("position", "version", "recordedtime", "entryid", "hash")
        given: Dict[str, Any] = {name: members[name] for name in known if name in members}
        if members.get("id"):
            given["id"] = members["id"]
        more = {name[1:] if name.startswith("$") else name: value
                for name, value in members.items()
                if name not in known and name not in assigned and name not in ("id", "data_base64")}
        if "data_base64" in members:
            given["data"] = base64.b64decode(members["data_base64"])
        return cls(**given, extensions=more)


def expectations(events: Sequence[NewEvent]) -> Dict[str, Union[int, str]]:
    """The version that each stream must have before a batch, from what its events expect in turn.
    Events that contradict one another are a ValueError."""
    found: Dict[str, int] = {}
    counts: Dict[str, int] = {}
    for event in events:
        behind = counts.get(event.place, 0)
        counts[event.place] = behind + 1
        if event.expected_version in (None, "any", "*"):
            continue
        wanted = 0 if event.expected_version == "none" else int(event.expected_version or 0)
        if wanted < behind or found.get(event.place, wanted - behind) != wanted - behind:
            raise ValueError(f"expected_version: {wanted} of {event.place} cannot hold behind "
                             f"{behind} other events of the batch in that stream")
        found[event.place] = wanted - behind
    return {stream: version or "none" for stream, version in found.items()}


def dump(value: Any, what: str) -> str:
    """Compact JSON; what JSON cannot say is a ValueError that says where it stood."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{what}: not JSON: {problem}") from problem


def check_type(text: str) -> None:
    """A ValueError unless this is a topic."""
    if not isinstance(text, str) or not text:
        raise ValueError("type: an event says what happened")
    if len(text.encode("utf-8")) > TYPE_BYTES_MAX:
        raise ValueError(f"type: more than {TYPE_BYTES_MAX} bytes")
    if _NO_TOPIC.search(text):
        raise ValueError(f"type: {text!r} has white space or a control character")
    for token in text.split("."):
        if token in ("", "*", "#", ">"):
            what = f"the wildcard {token}" if token else "an empty token"
            raise ValueError(f"type: {text!r} has {what}; expected a topic, not a pattern")


def check_version(version: ExpectedVersion) -> None:
    if version is None or version in ("none", "any", "*"):
        return
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise ValueError(f"expected_version: {version!r} is no number, 'none' or None")


def _check_name(name: str) -> None:
    if not name or len(name.encode("utf-8")) > 255 or _CONTROL.search(name):
        raise ValueError(f"extension {name!r}: a name has 1 to 255 bytes, no control characters")
