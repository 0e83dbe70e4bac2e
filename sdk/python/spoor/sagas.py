"""What clients ask of sagas, approvals, joins, schedules, delayed events and runs.

All of it is the server's: docs/sagas.md, docs/approvals.md, docs/joins.md, docs/timers.md and
docs/forks.md say what comes of it."""
from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from typing import (TYPE_CHECKING, Any, AsyncIterator, Dict, List, Mapping, Optional, Sequence,
                    Union)

from .draft import NewEvent, dump
from .durations import Duration, seconds, to_ms, to_text
from .errors import NotFound, SpoorError
from .event import Appended, Event
from .query import Query
from .record import settled

if TYPE_CHECKING:
    from .session import Session

Definition = Union[str, "os.PathLike[str]", Mapping[str, Any]]
Json = Dict[str, Any]

ENDED = ("saga.completed", "saga.compensated", "saga.cancelled")
STOPS = (*ENDED, "saga.needs_attention")  # where a saga goes on only when a person says so
OUTCOMES = ("approval.granted", "approval.rejected", "approval.expired")


@dataclass(frozen=True)
class Started:
    """A saga that was started; `known`: it was there by its key, and nothing was started."""

    id: str
    position: int
    known: bool = False


@dataclass(frozen=True)
class Saga:
    """A saga as it is now. `raw` has everything that docs/sagas.md names."""

    id: str
    name: str
    status: str
    result: Any = None
    error: Optional[str] = None
    waiting_for: Optional[str] = None
    steps: Sequence[Json] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Saga":
        return cls(id=raw["sagaid"], name=raw.get("saga", ""), status=raw.get("status", ""),
                   result=raw.get("result"), error=raw.get("error"),
                   waiting_for=raw.get("waiting_for"), steps=raw.get("steps") or (), raw=raw)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen: it completed, undid itself, or was cancelled."""
        return self.status in ("completed", "compensated", "cancelled")

    def step(self, path: str) -> Json:
        """A step by its path, such as `book/slot`; NotFound where it did not begin."""
        for step in self.steps:
            if step.get("name") == path:
                return step
        raise NotFound(f"saga {self.id} has no step {path!r} yet")


@dataclass(frozen=True)
class Decision:
    """What was decided about a proposal. `granted` is false where it was rejected or nobody decided
    in time (`expired`). `by`: who; None where time did."""

    granted: bool
    choice: Optional[str] = None
    by: Optional[str] = None
    reason: Optional[str] = None
    data: Any = None
    expired: bool = False

    def __bool__(self) -> bool:
        return self.granted


@dataclass(frozen=True)
class Forked:
    """A run that was forked: `position` is that of its first event, `shared` the last one that it
    shares."""

    run: str
    position: int
    shared: int
    event_position: int
    duplicate: bool


def text_of(definition: Definition) -> str:
    """The text of a definition: a mapping, a path, or text of more than a line."""
    if isinstance(definition, Mapping):
        return dump(definition, "definition")
    if isinstance(definition, str) and ("\n" in definition or definition.lstrip().startswith("{")):
        return definition
    with open(definition, encoding="utf-8") as file:
        return file.read()


def options(**given: Any) -> List[str]:
    """Options as words of a command; None is left out."""
    words: List[str] = []
    for name, value in given.items():
        if value is not None:
            words += (name.upper(), value if isinstance(value, str) else str(value))
    return words


def proposal(prompt: str, choices: Sequence[str], timeout: Optional[Duration],
             on_timeout: Optional[str], who: Sequence[str], escalate: Optional[Mapping[str, Any]],
             data: Any) -> Json:
    """The data of `action.proposed`."""
    told: Json = {"prompt": prompt}
    if choices:
        told["choices"] = list(choices)
    if timeout is not None:
        told["timeout"] = to_text(to_ms(timeout))
    if on_timeout is not None:
        told["on_timeout"] = on_timeout
    if who:
        told["who"] = list(who)
    if escalate is not None:
        told["escalate"] = dict(escalate)
    if data is not None:
        told["data"] = data
    return told


def decision_of(outcome: Event) -> Decision:
    """What an event of `$approvals` says."""
    data = outcome.data if isinstance(outcome.data, dict) else {}
    expired = outcome.type == "approval.expired" or bool(data.get("on_timeout"))
    return Decision(outcome.type == "approval.granted", data.get("choice"), data.get("by"),
                    data.get("reason"), data.get("data"), expired)


async def await_decision(session: "Session", proposed: Event) -> Decision:
    """Waits for what is decided about a proposal, as long as it takes."""
    query = Query(OUTCOMES, stream="$approvals", from_=proposed.position,
                  filter={"proposalposition": proposed.position})
    async for event in session.subscribe(query):
        return decision_of(event)
    raise SpoorError("the subscription ended")  # it does not, by itself


class SagaMethods:
    """The methods of a client for all of this."""

    session: "Session"

    async def _ask(self, desk: str, verb: str, *words: str) -> Any:
        reply = await self.session.ask(f"SPOOR.{desk}", verb, *words)
        if isinstance(reply, list):
            return [json.loads(each) for each in reply]
        return json.loads(reply)

    # -- sagas

    async def define_saga(self, definition: Definition, *, by: Optional[str] = None) -> Json:
        """Defines a saga, from a file (JSON or YAML), its text, or a mapping. Sagas that run keep
        the definition that they began with. What is wrong with it is a SpoorError, with lines."""
        return await self._define("SAGA", "DEFINE", definition, by)

    async def _define(self, desk: str, verb: str, definition: Definition,
                      by: Optional[str]) -> Json:
        answer: Json = await self._ask(desk, verb, text_of(definition), *options(by=by))
        return answer

    async def start_saga(self, name: str, data: Any = None, *, key: Optional[str] = None,
                         correlationid: Optional[str] = None, causationid: Optional[str] = None,
                         by: Optional[str] = None) -> Started:
        """Starts a saga; by a `key` that was used before the one that is there is given."""
        found = await self._ask("SAGA", "START", name, dump(data, "data"), *options(
            key=key, correlation=correlationid, causation=causationid, by=by))
        return Started(found["sagaid"], int(found["position"]), bool(found.get("known")))

    async def saga(self, id: str) -> Saga:
        """A saga as it is now; NotFound."""
        return Saga.from_json(await self._ask("SAGA", "SHOW", id))

    async def sagas(self, *, name: Optional[str] = None, status: Optional[str] = None,
                    step: Optional[str] = None, waiting_for: Optional[str] = None,
                    limit: Optional[int] = None) -> List[Json]:
        """Sagas that run, as they are listed."""
        found: List[Json] = await self._ask("SAGA", "LS", *options(
            name=name, status=status, step=step, waiting=waiting_for, limit=limit))
        return found

    async def wait_saga(self, id: str, *, timeout: Optional[Duration] = None,
                        for_attention: bool = True) -> Saga:
        """Waits until it has ended, or, unless `for_attention` is false, needs a person; the saga.
        TimeoutError of asyncio where that takes longer than `timeout`."""
        await asyncio.wait_for(self._stop_of(id, for_attention),
                               None if timeout is None else seconds(timeout))
        return await self.saga(id)

    async def _stop_of(self, id: str, for_attention: bool) -> None:
        begun = await self.saga(id)  # NotFound, rather than to wait for ever
        if begun.is_over:
            return
        types = STOPS if for_attention else ENDED
        position = 1
        if begun.status != "needs_attention":
            last = await self.session.read(Query(stream=f"saga:{id}", limit=1, reverse=True))
            position = max(1, last[0].position if last else 1)
        elif for_attention:
            return
        events = self.session.subscribe(Query(types, stream=f"saga:{id}", from_=position))
        try:
            async for event in events:
                if event.type in ENDED or (await self.saga(id)).status == "needs_attention":
                    return
        finally:
            await close(events)

    async def approve(self, id: str, *, choice: Optional[str] = None, step: Optional[str] = None,
                      by: Optional[str] = None, reason: Optional[str] = None,
                      data: Any = None) -> Json:
        """Approves what a proposal (by its id) or a saga (by its id, and the step where several
        ask) asks; with the `choice` where there are others. Conflict: it was decided before."""
        return await self._decide("APPROVE", id, choice, step, by, reason, data)

    async def reject(self, id: str, *, step: Optional[str] = None, by: Optional[str] = None,
                     reason: Optional[str] = None, data: Any = None) -> Json:
        """Rejects it."""
        return await self._decide("REJECT", id, None, step, by, reason, data)

    async def _decide(self, verb: str, id: str, choice: Optional[str], step: Optional[str],
                      by: Optional[str], reason: Optional[str], data: Any) -> Json:
        answer: Json = await self._ask("APPROVAL", verb, id, *options(
            choice=choice, step=step, by=by, reason=reason,
            data=None if data is None else dump(data, "data")))
        return answer

    async def cancel_saga(self, id: str, *, by: Optional[str] = None,
                          reason: Optional[str] = None) -> Json:
        """Stops a saga: what runs is cancelled, what was done is undone."""
        answer: Json = await self._ask("SAGA", "CANCEL", id, *options(by=by, reason=reason))
        return answer

    async def retry_step(self, id: str, step: Optional[str] = None, *, by: Optional[str] = None,
                         reason: Optional[str] = None) -> Json:
        """Tries the step (or compensation) that needs attention once more."""
        return await self._request("RETRY", id, step, by, reason)

    async def skip_step(self, id: str, step: Optional[str] = None, *, by: Optional[str] = None,
                        reason: Optional[str] = None) -> Json:
        """Goes on without it."""
        return await self._request("SKIP", id, step, by, reason)

    async def mark_done(self, id: str, step: Optional[str] = None, *, result: Any = None,
                        by: Optional[str] = None, reason: Optional[str] = None) -> Json:
        """Goes on as if it were done: a person did it, with this result."""
        return await self._request("DONE", id, step, by, reason, RESULT=dump(result, "result"))

    async def compensate_saga(self, id: str, step: Optional[str] = None, *,
                              by: Optional[str] = None, reason: Optional[str] = None) -> Json:
        """Gives up on a step that needs attention: what was done is undone."""
        return await self._request("COMPENSATE", id, step, by, reason)

    async def resume_saga(self, id: str, step: Optional[str] = None, *, by: Optional[str] = None,
                          reason: Optional[str] = None) -> Json:
        """Goes on with the step that failed: of a saga that has ended, in a new one."""
        return await self._request("RESUME", id, step, by, reason)

    async def _request(self, verb: str, id: str, step: Optional[str], by: Optional[str],
                       reason: Optional[str], **more: str) -> Json:
        answer: Json = await self._ask("SAGA", verb, id, *options(
            step=step, by=by, reason=reason, **more))
        return answer

    async def fork_saga(self, id: str, at: Optional[str] = None, *, data: Any = None,
                        by: Optional[str] = None) -> Started:
        """A new saga that inherits what this one did before the step `at`, or the failed one."""
        found = await self._ask("SAGA", "FORK", id, *options(
            at=at, by=by, data=None if data is None else dump(data, "data")))
        return Started(found["sagaid"], int(found["position"]), bool(found.get("known")))

    # -- approvals

    async def approvals(self, *, who: Optional[str] = None,
                        limit: Optional[int] = None) -> List[Json]:
        """What waits for a decision, of sagas and of agents alone; `who`: that this one may
        decide."""
        found: List[Json] = await self._ask("APPROVAL", "LS", *options(who=who, limit=limit))
        return found

    async def propose(self, prompt: str, *, choices: Sequence[str] = (),
                      timeout: Optional[Duration] = None, on_timeout: Optional[str] = None,
                      who: Sequence[str] = (), escalate: Optional[Mapping[str, Any]] = None,
                      data: Any = None, id: Optional[str] = None,
                      correlationid: Optional[str] = None) -> Appended:
        """Asks somebody to decide (docs/approvals.md): the proposal, which has the id to decide by.
        decision() waits for what comes of it. The same `id` again is the same proposal."""
        named: Dict[str, Any] = {} if id is None else {"id": id}
        return await self.append(NewEvent(
            "action.proposed", proposal(prompt, choices, timeout, on_timeout, who, escalate, data),
            correlationid=correlationid, **named))

    async def append(self, event: NewEvent) -> Appended:
        """A client's."""
        raise NotImplementedError

    async def decision(self, id: str, *, timeout: Optional[Duration] = None) -> Decision:
        """Waits for what is decided about a proposal. TimeoutError of asyncio."""
        found = [event for event in await self.session.find(id)
                 if event.type == "action.proposed"]
        if not found:
            raise NotFound(f"there is no proposal {id!r}")
        return await asyncio.wait_for(await_decision(self.session, found[0]),
                                      None if timeout is None else seconds(timeout))

    # -- joins, schedules, delayed events

    async def define_join(self, definition: Definition, *, by: Optional[str] = None) -> Json:
        """Defines a join (docs/joins.md)."""
        return await self._define("JOIN", "ADD", definition, by)

    async def joins(self) -> List[Json]:
        found: List[Json] = await self._ask("JOIN", "LS")
        return found

    async def remove_join(self, name: str, *, by: Optional[str] = None) -> Json:
        answer: Json = await self._ask("JOIN", "RM", name, *options(by=by))
        return answer

    async def define_schedule(self, definition: Definition, *, by: Optional[str] = None) -> Json:
        """Defines a schedule (docs/timers.md)."""
        return await self._define("SCHEDULE", "ADD", definition, by)

    async def schedules(self) -> List[Json]:
        found: List[Json] = await self._ask("SCHEDULE", "LS")
        return found

    async def remove_schedule(self, name: str, *, by: Optional[str] = None) -> Json:
        answer: Json = await self._ask("SCHEDULE", "RM", name, *options(by=by))
        return answer

    async def timers(self, *, limit: Optional[int] = None) -> List[Json]:
        """Events that are to be delivered later."""
        found: List[Json] = await self._ask("TIMER", "LS", *options(limit=limit))
        return found

    async def cancel_timer(self, id: str, *, source: Optional[str] = None,
                           by: Optional[str] = None, reason: Optional[str] = None) -> Json:
        """Takes back an event that is not delivered yet."""
        answer: Json = await self._ask("TIMER", "CANCEL", id, *options(
            source=source, by=by, reason=reason))
        return answer

    # -- runs

    async def fork_run(self, run: str, at: Union[int, str], *, id: Optional[str] = None,
                       by: Optional[str] = None, reason: Optional[str] = None) -> Forked:
        """A run that shares what this one was up to an event, by position or id, and goes on from
        there (docs/forks.md)."""
        found = await self.session.ask("SPOOR.RUN", "FORK", run, str(at), *options(
            id=id, by=by, reason=reason))
        told = {str(found[i]): found[i + 1] for i in range(0, len(found), 2)}
        return Forked(str(told["correlationid"]), int(told["position"]),
                      int(told["fork_position"]), int(told["event_position"]),
                      bool(int(told["duplicate"])))

    async def resume_run(self, run: str) -> int:
        """Gives what groups gave up of a run to them again; how many deliveries that were.
        Conflict: none."""
        return int(await self.session.ask("SPOOR.RUN", "RESUME", run))

    async def settle_step(self, id: str, *, result: Any = None,
                          failed: Optional[str] = None) -> Appended:
        """Tells what came of an irreversible step of which nobody knew: its result, or that it
        `failed`, and why. `id`: of the event that says that it began, as StepUnknown names it."""
        found = await self.session.find(id)
        if not found:
            raise NotFound(f"there is no event {id!r}")
        return await self.session.append(settled(found[0], result, failed))


async def close(events: AsyncIterator[Event]) -> None:
    """Ends a subscription that is not read to its end."""
    end = getattr(events, "aclose", None)
    if end is not None:
        await end()
