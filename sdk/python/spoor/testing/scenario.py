"""given / when / then: what an agent makes of an event."""
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, List, Mapping, Sequence, Tuple, Union

from ..draft import NewEvent
from ..event import Event
from ..record import STEP_TYPES

if TYPE_CHECKING:
    from .bus import TestBus

Given = Union[str, Tuple[str, Any], Mapping[str, Any], NewEvent]
SOURCE = "test"
_ASIDE = ("agent.online", "agent.offline", "agent.suspected_failure", "agent.recovered", *STEP_TYPES)


def event(type: str, data: Any = None, **attributes: Any) -> NewEvent:
    """An event for a test; from `test` unless it says otherwise."""
    known = {name: attributes.pop(name) for name in list(attributes)
             if name in NewEvent.__dataclass_fields__}
    return NewEvent(type=type, data=data, extensions=attributes, **known).by(SOURCE)


def command(action: str, data: Any = None, *, saga: str = "00000000-0000-7000-8000-000000000001",
            step: str = "step", attempt: int = 1, compensates: bool = False,
            **attributes: Any) -> NewEvent:
    """The command of a saga's step, as the store gives it to workers: for tests without a saga.
    `compensates`: that of its compensation; its data has `input`, `result` and `error`."""
    mark = "~" if compensates else ""
    return event(action, data, id=f"{saga}/{step}{mark or ':'}{attempt}", correlationid=saga,
                 sagaid=saga, saga="test", sagastep=step, attempt=attempt,
                 idempotencykey=f"{saga}/{step}{mark}", **attributes)


def as_event(given: Given) -> NewEvent:
    if isinstance(given, NewEvent):
        return given.by(SOURCE)
    if isinstance(given, str):
        return event(given)
    if isinstance(given, Mapping):
        return NewEvent.from_dict(given).by(SOURCE)
    type_, data = given
    return event(type_, data)


def is_reaction(found: Event) -> bool:
    """Whether an event is an agent's word, not book-keeping of the store or of the SDK."""
    return not found.stream.startswith("$") and found.type not in _ASIDE


class Scenario:
    def __init__(self, bus: "TestBus", given: Sequence[Given]) -> None:
        self._bus = bus
        self._given = [as_event(each) for each in given]
        self._when: List[NewEvent] = []

    def when(self, *events: Given) -> "Scenario":
        """What happens now."""
        self._when += [as_event(each) for each in events]
        return self

    async def emitted(self) -> List[Event]:
        """Runs it; the events that agents appended because of `when`, in the order of the log."""
        await self._publish(self._given)
        before = await self._bus.position()
        await self._publish(self._when)
        own = {each.id for each in self._when}
        return [found for found in await self._bus.client.query(from_=before + 1)
                if is_reaction(found) and found.id not in own]

    async def then_emits(self, expected: Sequence[Union[str, Tuple[str, Any], Mapping[str, Any]]],
                         in_any_order: bool = False) -> List[Event]:
        """Runs it and compares: exactly these events. Each is a type, or a type and its data, or a
        mapping of attributes that it must have at least. unittest.mock.ANY stands for anything."""
        found = await self.emitted()
        left = list(found)
        fits = len(found) == len(expected)
        for number, wanted in enumerate(expected):
            among = left if in_any_order else found[number:number + 1]
            match = next((each for each in among if _fits(wanted, each)), None)
            fits = fits and match is not None
            if match is not None and in_any_order:
                left.remove(match)
        if not fits:
            raise AssertionError("\n".join(["expected:", *(f"  {_text(each)}" for each in expected),
                                            "emitted:", *(f"  {_line(each)}" for each in found)]))
        return found

    async def then_nothing(self) -> None:
        """Runs it; no agent appends anything."""
        await self.then_emits([])

    async def _publish(self, events: Sequence[NewEvent]) -> None:
        for each in events:
            await self._bus.client.append(each)
        await self._bus.settle()


def _fits(wanted: Union[str, Tuple[str, Any], Mapping[str, Any]], found: Event) -> bool:
    if isinstance(wanted, str):
        return found.type == wanted
    if isinstance(wanted, Mapping):
        return all(value == found.get(name) for name, value in wanted.items())
    return wanted[0] == found.type and bool(wanted[1] == found.data)


def _text(wanted: Any) -> str:
    return wanted if isinstance(wanted, str) else repr(wanted)


def _line(found: Event) -> str:
    return f"{found.type} of {found.source}: {json.dumps(found.data, default=str)}"
