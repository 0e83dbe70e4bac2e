"""The server's replies as values. Over RESP2 a map is a list of names and values in turn."""
from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional, Tuple

from .draft import NewEvent
from .errors import Conflict, NotFound, SpoorError, Unsupported
from .event import Appended, Event
from .session import AgentInfo, DeadLetter, Delivery, Group, Trace

_VERSION = re.compile(r"is at version (\d+)")


def text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def texts(reply: Any) -> Any:
    """A reply with its bytes as text."""
    if isinstance(reply, list):
        return [texts(each) for each in reply]
    return text(reply) if isinstance(reply, bytes) else reply


def as_map(reply: Any) -> Dict[str, Any]:
    if isinstance(reply, dict):
        return {text(name): value for name, value in reply.items()}
    return {text(reply[i]): reply[i + 1] for i in range(0, len(reply) - 1, 2)}


def failure(error: Exception, command: str = "") -> SpoorError:
    """A reply that is an error, as one of this package's."""
    words = str(error)
    if "CONFLICT" in words[:9] or _VERSION.search(words):
        actual = _VERSION.search(words)
        return Conflict(words, int(actual.group(1)) if actual else None)
    if words.lower().startswith(("unknown command", "err unknown command")):
        return Unsupported(f"the server has no {command or 'such command'}: it is older than this "
                           f"package, or no spoor ({words.strip()})")
    if words.startswith(("NOAGENT", "NOGROUP", "NOTFOUND")) or words.endswith("no such event"):
        return NotFound(words)
    return SpoorError(words)


def appended(reply: Any, event_id: str) -> Appended:
    found = as_map(reply)
    return Appended(id=event_id, position=int(found["position"]), stream=text(found["stream"]),
                    version=int(found["version"]), entryid=text(found["entryid"]),
                    duplicate=bool(int(found["duplicate"])))


def added(reply: Any, event: NewEvent) -> Appended:
    """One event of SPOOR.BATCH's reply."""
    position, version, entry, _recorded_us, duplicate = reply
    return Appended(id=event.id, position=int(position), stream=event.place, version=int(version),
                    entryid=text(entry), duplicate=bool(int(duplicate)))


def deliveries(reply: Any) -> List[Delivery]:
    return [Delivery(text(key), text(entry), int(attempt), Event.from_json(line))
            for key, entry, attempt, line in reply or ()]


def events(reply: Any) -> List[Event]:
    return [Event.from_json(line) for line in reply or ()]


def trace(reply: Any) -> Trace:
    found = as_map(reply)
    effects: List[Tuple[int, Event]] = [(int(depth), Event.from_json(line))
                                        for depth, line in found["effects"]]
    return Trace(causes=events(found["causes"]), effects=effects)


def group(reply: Any, name: str, key: str) -> Group:
    found = as_map(reply)
    return Group(name=name, key=key, lag=int(found["events"]), pending=int(found["pending"]),
                 in_flight=int(found["in-flight"]), waiting=int(found["waiting"]),
                 parked=int(found["parked"]), dead=int(found["dead"]))


def dead_letter(reply: Any, event: Optional[Event]) -> DeadLetter:
    found = as_map(reply)
    return DeadLetter(entry=text(found["id"]), position=int(found["position"]),
                      attempts=int(found["attempts"]), reason=text(found["reason"]),
                      error=text(found["error"]) if found.get("error") is not None else "",
                      event=event)


def agent(line: Any) -> AgentInfo:
    found = json.loads(line)
    return AgentInfo(id=found["id"], status=found["status"],
                     capabilities=tuple(found.get("capabilities") or ()),
                     capacity=found.get("capacity"), load=found.get("load") or 0,
                     free=found.get("free"), version=found.get("version"),
                     announced=found.get("announced"), last_seen=found.get("last_seen"),
                     last_event=found.get("last_event"), data=found.get("data"))
