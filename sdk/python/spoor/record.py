"""What was recorded of a handling: by its earlier attempts, and in the runs that its run was forked
from.

A fork publishes the event to go on from once more, with the id of the original (`forkedfrom`) and
the position up to which its run shares what was (`forkposition`). Steps of the original's handling
are found by the original's ids: those up to that position count, and irreversible ones wherever
they stand."""
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from .draft import NewEvent, dump
from .errors import StepUnknown
from .event import Event
from .ids import ask_id, emit_id, failure_id, start_id, step_id

if TYPE_CHECKING:
    from .client import AsyncClient

STEP_TYPE = "agent.step.completed"
STARTED_TYPE = "agent.step.started"
FAILED_TYPE = "agent.step.failed"
STEP_TYPES = (STARTED_TYPE, STEP_TYPE, FAILED_TYPE)
ORIGINS_MAX = 64  # forks of forks that are followed


@dataclass(frozen=True)
class Handled:
    """What is handled, for ids; `until`: the last position whose records count, where it is the
    original of what was forked."""

    source: str
    id: str
    until: Optional[int] = None


@dataclass(frozen=True)
class Begun:
    """A step that is to run now, and which try it is where it is irreversible."""

    name: str
    ordinal: int = 0


class Record:
    def __init__(self, client: "AsyncClient", event: Event, agent: str, handler: str,
                 key: Optional[str] = None) -> None:
        self._client, self._event = client, event
        self._agent, self._handler = agent, handler
        self._own = Handled(event.source, key or event.id)
        self._origins: Optional[List[Handled]] = None

    @property
    def handled(self) -> Handled:
        return self._own

    async def origins(self) -> List[Handled]:
        """The originals of a forked event, the nearest first."""
        if self._origins is None:
            found: List[Handled] = []
            event, until = self._event, None
            while event.get("forkedfrom") and len(found) < ORIGINS_MAX:
                limit = int(event.get("forkposition", 0))
                until = limit if until is None else min(until, limit)
                found.append(Handled(event.source, str(event.get("forkedfrom")), until))
                originals = await self._client.find(found[-1].id, event.source)
                if not originals:
                    break
                event = originals[0]
            self._origins = found
        return self._origins

    def ask_id(self, ordinal: int) -> str:
        own = self._own
        return ask_id(own.source, own.id, self._agent, self._handler, ordinal)

    # -- emits

    def emit_id(self, step: str, ordinal: int) -> str:
        return emit_id(self._own.source, self._own.id, self._agent, self._handler, step, ordinal)

    async def forked(self, type_: str, step: str, ordinal: int) -> Dict[str, str]:
        """The extensions of an emit whose like was emitted in the run that was forked: then what
        handles it goes on from what was recorded there, too."""
        for origin in await self.origins():
            id_ = emit_id(origin.source, origin.id, self._agent, self._handler, step, ordinal)
            if any(each.type == type_ for each in await self._client.find(id_, self._agent)):
                return {"forkedfrom": id_, "forkposition": str(origin.until)}
        return {}

    # -- steps

    async def begin(self, name: str, irreversible: bool) -> Tuple[Optional[Begun], Any]:
        """The step to run, or its result: then it was done. StepUnknown."""
        origins = await self.origins()
        for handled in (self._own, *origins):
            done = await self._done(handled, name)
            if done is not None and (handled.until is None or done.position <= handled.until
                                     or done.data.get("irreversible")):
                return None, done.data["result"]
        for origin in origins:
            if not await self._done(origin, name):  # else it is done, and may be done anew
                await self._free_try(origin, name)
        if not irreversible:
            return Begun(name), None
        ordinal = await self._free_try(self._own, name)
        await self._start(name, ordinal)
        return Begun(name, ordinal), None

    async def _done(self, handled: Handled, name: str) -> Optional[Event]:
        found = await self._client.find(
            step_id(handled.source, handled.id, self._agent, self._handler, name), self._agent)
        return found[0] if found else None

    async def _free_try(self, handled: Handled, name: str) -> int:
        """The first try that was not begun. StepUnknown where the one before it did not end."""
        ordinal = 1
        while True:
            ids = (handled.source, handled.id, self._agent, self._handler, name, ordinal)
            started = await self._client.find(start_id(*ids), self._agent)
            if not started:
                return ordinal
            if not await self._client.find(failure_id(*ids), self._agent):
                raise StepUnknown(name, started[0])
            ordinal += 1

    async def _start(self, name: str, ordinal: int) -> None:
        own = self._own
        ids = (own.source, own.id, self._agent, self._handler, name)
        begun = await self._append(STARTED_TYPE, start_id(*ids, ordinal), {
            "step": name, "irreversible": True, "try": ordinal,
            "completed": step_id(*ids), "failed": failure_id(*ids, ordinal)})
        if begun.duplicate:  # another attempt that goes on still was faster
            raise StepUnknown(name, await self._client.get(begun.id, self._agent))

    async def end(self, begun: Begun, value: Any) -> Any:
        """Records the result; gives what is recorded."""
        result = json.loads(dump(value, f"the result of step {begun.name!r}"))
        data: Dict[str, Any] = {"step": begun.name, "result": result}
        if begun.ordinal:
            data["irreversible"] = True
        own = self._own
        recorded = await self._append(
            STEP_TYPE, step_id(own.source, own.id, self._agent, self._handler, begun.name), data)
        if recorded.duplicate:  # another attempt that goes on still was faster
            return (await self._client.get(recorded.id, self._agent)).data["result"]
        return result

    async def fail(self, begun: Begun, error: str) -> None:
        """Records that an irreversible step did not do what it was to do, so that it may again."""
        if begun.ordinal:
            own = self._own
            await self._append(
                FAILED_TYPE, failure_id(own.source, own.id, self._agent, self._handler, begun.name,
                                        begun.ordinal),
                {"step": begun.name, "irreversible": True, "try": begun.ordinal, "error": error})

    async def _append(self, type_: str, id_: str, data: Mapping[str, Any]) -> Any:
        return await self._client.append(NewEvent(
            type=type_, data=data, source=self._agent, stream=f"{self._agent}:steps", id=id_,
            correlationid=self._event.correlationid, causationid=self._event.id))


def settled(started: Event, result: Any, failed: Optional[str]) -> NewEvent:
    """The event that tells what came of an irreversible step, from the one that says it began."""
    data = started.data if isinstance(started.data, dict) else {}
    if started.type != STARTED_TYPE or not {"step", "completed", "failed"} <= set(data):
        raise ValueError(f"event {started.id} is no {STARTED_TYPE} of an irreversible step")
    told: Dict[str, Any] = {"step": data["step"], "irreversible": True}
    told.update({"result": json.loads(dump(result, "result"))} if failed is None else
                {"try": data.get("try"), "error": failed})
    return NewEvent(
        type=STEP_TYPE if failed is None else FAILED_TYPE, data=told, source=started.source,
        stream=started.stream, id=data["completed" if failed is None else "failed"],
        correlationid=started.correlationid, causationid=started.causationid)
