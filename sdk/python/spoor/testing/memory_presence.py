"""Presence in memory: who announced itself, and what silence makes of it."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Set

from ..errors import NotFound
from ..event import Event
from ..session import AgentInfo, Announcement
from ..draft import NewEvent
from ..ids import new_id
from .clock import VirtualClock
from .compare import as_kind
from .memory_log import MemoryLog, rfc3339

STALE_S, SUSPECT_S, GRACE_S = 30.0, 90.0, 2.0
PAST_S = 600.0
STREAM = "$agents"


@dataclass
class _Agent:
    who: Announcement
    announced: float
    seen: float
    status: str = "online"
    event_at: Optional[float] = None
    suspected_at: float = 0.0
    load: int = 0
    holders: Set[object] = field(default_factory=set)
    lost_at: Optional[float] = None


class MemoryPresence:
    def __init__(self, log: MemoryLog, clock: VirtualClock) -> None:
        self._log, self._clock = log, clock
        self._agents: Dict[str, _Agent] = {}
        log.appended.append(self._sign_of_event)

    def online(self, who: Announcement, holder: object) -> None:
        known = self._agents.get(who.id)
        if known is not None and known.status != "offline" and known.who == who:
            known.holders.add(holder)
            self._sign(known)
            return
        said = {"capabilities": list(who.capabilities), "capacity": who.capacity,
                "version": who.version}
        self._append(who.id, "agent.online", {
            **{name: value for name, value in said.items() if value is not None},
            **(who.data or {})})
        known = self._agents[who.id]
        known.who = who
        known.holders.add(holder)

    def heartbeat(self, agent: str, load: int, holder: object) -> str:
        known = self._agents.get(agent)
        if known is None or known.status == "offline":
            raise NotFound(f"NOAGENT {agent} has not announced itself")
        known.load = load
        if known.holders:
            known.holders.add(holder)
        self._sign(known)
        return self._status(known)

    def offline(self, agent: str, reason: str) -> None:
        if agent not in self._agents:
            raise NotFound(f"NOAGENT {agent} has not announced itself")
        if self._agents[agent].status != "offline":
            self._append(agent, "agent.offline", {"reason": reason} if reason else {})

    def left(self, holder: object) -> None:
        """A connection that spoke for agents is gone: those that nobody else speaks for have the
        time of grace."""
        for known in self._agents.values():
            if holder not in known.holders:
                continue
            known.holders.discard(holder)
            if not known.holders and known.status == "online":
                known.lost_at = self._clock.now()
                self._arm(known, GRACE_S)

    def get(self, agent: str) -> Optional[AgentInfo]:
        known = self._agents.get(agent)
        return None if known is None else self._info(known)

    def list(self, capabilities: Sequence[str], status: Optional[str],
             free: bool) -> List[AgentInfo]:
        found = [self._info(self._agents[name]) for name in sorted(self._agents)]
        return [info for info in found
                if set(capabilities) <= set(info.capabilities)
                and status in (None, info.status)
                and (not free or (info.status == "online"
                                  and (info.capacity is None or info.load < info.capacity)))]

    # -- what events say

    def _append(self, agent: str, type_: str, data: Dict[str, Any]) -> None:
        self._log.append_all([NewEvent(type=type_, data=data, source=agent, stream=agent,
                                       id=new_id())])

    def _sign_of_event(self, event: Event) -> None:
        known = self._agents.get(event.source)
        now = self._clock.now()
        if event.time and as_kind("recordedtime", event.time) < self._clock.wall() - PAST_S:
            return  # it tells of the past
        if event.type in ("agent.online", "agent.started"):
            if known is None or known.status == "offline":
                known = _Agent(_said(event), now, now)
                self._agents[event.source] = known
                self._arm(known, SUSPECT_S)
        elif known is not None and event.type in ("agent.offline", "agent.stopped"):
            known.status = "offline"
            known.holders.clear()
        if known is not None:
            known.event_at = now
            self._sign(known)

    def _sign(self, known: _Agent) -> None:
        if known.status == "offline":
            return
        if known.status == "suspected":
            now = self._clock.now()
            known.status = "online"
            self._tell("agent.recovered", known, {
                "suspected_at": self._time(known.suspected_at),
                "last_seen": self._time(known.seen),
                "silent_ms": round((now - known.seen) * 1000)})
            self._arm(known, SUSPECT_S)
        known.seen, known.lost_at = self._clock.now(), None

    def _arm(self, known: _Agent, wait_s: float) -> None:
        self._clock.call_at(self._clock.now() + wait_s, lambda: self._look(known))

    def _look(self, known: _Agent) -> None:
        """A time has come at which it may have been silent for too long."""
        if known.status != "online" or self._agents.get(known.who.id) is not known:
            return
        now = self._clock.now()
        if known.lost_at is not None and now >= known.lost_at + GRACE_S:
            self._suspect(known, "connection lost")
        elif now >= known.seen + SUSPECT_S:
            self._suspect(known, "silent")
        else:
            self._arm(known, known.seen + SUSPECT_S - now)

    def _suspect(self, known: _Agent, reason: str) -> None:
        now = self._clock.now()
        known.status, known.suspected_at = "suspected", now
        self._tell("agent.suspected_failure", known, {
            "last_seen": self._time(known.seen), "silent_ms": round((now - known.seen) * 1000),
            "reason": reason})

    def _tell(self, type_: str, known: _Agent, data: Dict[str, Any]) -> None:
        self._log.tell(type_, STREAM, {"agent": known.who.id, **data}, None)

    def _time(self, at: float) -> str:
        return rfc3339(self._clock.wall() - self._clock.now() + at)

    def _status(self, known: _Agent) -> str:
        if known.status == "online" and self._clock.now() - known.seen >= STALE_S:
            return "stale"
        return known.status

    def _info(self, known: _Agent) -> AgentInfo:
        capacity = known.who.capacity
        return AgentInfo(
            id=known.who.id, status=self._status(known), capabilities=known.who.capabilities,
            capacity=capacity, load=known.load,
            free=None if capacity is None else max(0, capacity - known.load),
            version=known.who.version, announced=self._time(known.announced),
            last_seen=self._time(known.seen),
            last_event=None if known.event_at is None else self._time(known.event_at),
            data=known.who.data or {})


def _said(event: Event) -> Announcement:
    """What an event that announces an agent says of it."""
    data = dict(event.data) if isinstance(event.data, dict) else {}
    capabilities = data.pop("capabilities", None) or ()
    return Announcement(id=event.source, capabilities=tuple(capabilities),
                        capacity=data.pop("capacity", None), version=data.pop("version", None),
                        data=data or None)
