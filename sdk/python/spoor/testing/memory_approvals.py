"""Approvals that stand alone, in memory: docs/approvals.md."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence

from ..draft import NewEvent
from ..durations import seconds
from ..errors import Conflict, NotFound, SpoorError, Unsupported
from ..event import Event
from ..ids import new_id
from .clock import Timer, VirtualClock
from .memory_log import MemoryLog, rfc3339

STREAM = "$approvals"
DECISIONS = ("action.approved", "action.vetoed")


@dataclass
class _Approval:
    proposal: Event
    choices: List[str]
    who: List[str]
    deadline_s: Optional[float]
    on_timeout: str
    timers: List[Timer] = field(default_factory=list)
    first: Optional[Dict[str, Any]] = None  # what was decided
    is_over: bool = False


class MemoryApprovals:
    def __init__(self, log: MemoryLog, clock: VirtualClock) -> None:
        self._log, self._clock = log, clock
        self._all: Dict[str, _Approval] = {}
        log.appended.append(self._on_appended)

    def _on_appended(self, event: Event) -> None:
        if event.stream.startswith(("saga:", "$")):
            return
        if event.type == "action.proposed":
            self._open(event)
        elif event.type in DECISIONS:
            self._decide(event)

    # -- proposals

    def _open(self, event: Event) -> None:
        data = event.data if isinstance(event.data, dict) else {}
        timeout = data.get("timeout")
        deadline_s = None if timeout is None else self._clock.now() + seconds(timeout)
        opened = _Approval(event, list(data.get("choices") or ("approve", "reject")),
                           list(data.get("who") or ()), deadline_s,
                           str(data.get("on_timeout") or "expire"))
        self._all[event.id] = opened
        escalate = data.get("escalate")
        if isinstance(escalate, dict) and "after" in escalate:
            at = self._clock.now() + seconds(escalate["after"])
            to = list(escalate.get("to") or ())
            opened.timers.append(self._clock.call_at(at, lambda: self._escalate(opened, to)))
        if deadline_s is not None:
            opened.timers.append(self._clock.call_at(deadline_s, lambda: self._expire(opened)))

    def _escalate(self, approval: _Approval, to: List[str]) -> None:
        if approval.who:
            approval.who += to
        self._tell("escalated", approval, {"to": to}, approval.proposal)

    def _expire(self, approval: _Approval) -> None:
        if approval.is_over:
            return
        wall_s = self._clock.wall() - self._clock.now() + (approval.deadline_s or 0)
        data: Dict[str, Any] = {"deadline": rfc3339(wall_s), "on_timeout": True}
        outcome = {"approve": "granted", "reject": "rejected"}.get(approval.on_timeout, "expired")
        if outcome != "expired":
            grants = [each for each in approval.choices if each != "reject"]
            data["choice"] = ("reject" if outcome == "rejected" else
                              "approve" if "approve" in grants or not grants else grants[0])
        approval.is_over = True
        self._tell(outcome, approval, data, approval.proposal)

    # -- decisions

    def _decide(self, event: Event) -> None:
        data = event.data if isinstance(event.data, dict) else {}
        approval = self._all.get(event.causationid or "") or self._all.get(
            str(data.get("action_id") or ""))
        if approval is None:
            return
        choice = data.get("choice") or self._default(event.type, approval)
        by = str(data.get("by") or event.source)
        fault = self._fault(event.type, approval, choice, by)
        if fault is not None:
            told: Dict[str, Any] = {"decision": event.id, "reason": fault}
            if approval.first is not None:
                told["first"] = approval.first
            self._tell("ignored", approval, told, event)
            return
        approval.is_over = True
        approval.first = {"choice": choice, "by": by}
        for timer in approval.timers:
            timer.cancel()
        told = {"choice": choice, "by": by, "on_timeout": False,
                **{name: data[name] for name in ("reason", "data") if name in data}}
        self._tell("rejected" if choice == "reject" else "granted", approval, told, event)

    @staticmethod
    def _default(type_: str, approval: _Approval) -> str:
        if type_ == "action.vetoed":
            return "reject"
        grants = [each for each in approval.choices if each != "reject"]
        return "approve" if "approve" in grants or not grants else grants[0]

    @staticmethod
    def _fault(type_: str, approval: _Approval, choice: Any, by: str) -> Optional[str]:
        if approval.is_over:
            return "duplicate" if approval.first is not None else "late"
        if approval.who and by not in approval.who:
            return "not_allowed"
        fits = (choice == "reject") == (type_ == "action.vetoed")
        return None if fits and choice in (*approval.choices, "reject") else "unknown_choice"

    def _tell(self, what: str, approval: _Approval, data: Dict[str, Any], cause: Event) -> None:
        extensions: Dict[str, Any] = {"proposalposition": approval.proposal.position}
        if cause is not approval.proposal:
            extensions["decisionposition"] = cause.position
        self._log.append_all([NewEvent(
            f"approval.{what}", {"proposal": approval.proposal.id, **data}, source="spoor",
            stream=STREAM, id=new_id(), correlationid=approval.proposal.correlationid,
            causationid=cause.id, extensions=extensions)])

    # -- what clients ask

    def ask(self, verb: str, words: Sequence[str]) -> Any:
        """SPOOR.APPROVAL's answer."""
        options = {words[i].lower(): words[i + 1] for i in range(1 if verb != "LS" else 0,
                                                                 len(words) - 1, 2)}
        if verb == "LS":
            who = options.get("who")
            return [json.dumps(self._row(each)) for each in self._all.values()
                    if not each.is_over and (who is None or not each.who or who in each.who)]
        if verb not in ("APPROVE", "REJECT"):
            raise Unsupported(f"the bus of tests has no SPOOR.APPROVAL {verb}: ask a server")
        approval = self._all.get(words[0])
        if approval is None:
            raise NotFound(f"NOTFOUND no approval {words[0]!r} is pending")
        return self._ask_decision(approval, verb, options)

    def _ask_decision(self, approval: _Approval, verb: str, options: Dict[str, str]) -> str:
        type_ = DECISIONS[verb == "REJECT"]
        choice = options.get("choice") or self._default(type_, approval)
        by = options.get("by", "test")
        fault = self._fault(type_, approval, choice, by)
        if fault in ("duplicate", "late"):
            raise Conflict(f"CONFLICT it is decided: {approval.first or 'its time ran out'}")
        if fault is not None:
            raise SpoorError(f"{fault}: {choice} by {by}")
        data: Dict[str, Any] = {"choice": choice, "by": by}
        if "reason" in options:
            data["reason"] = options["reason"]
        if "data" in options:
            data["data"] = json.loads(options["data"])
        decided, = self._log.append_all([NewEvent(type_, data, source="spoor", id=new_id(),
                                                  causationid=approval.proposal.id)])
        return json.dumps({"position": decided.position, "choice": choice, "by": by})

    def _row(self, approval: _Approval) -> Dict[str, Any]:
        proposal = approval.proposal
        data = proposal.data if isinstance(proposal.data, dict) else {}
        return {"id": proposal.id, "position": proposal.position, "prompt": data.get("prompt"),
                "asked_by": proposal.source, "choices": approval.choices, "who": approval.who}
