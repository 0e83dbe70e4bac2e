"""What a handler is given beside the event: means to act so that doing it twice does no harm."""
from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from contextvars import ContextVar
from typing import (TYPE_CHECKING, Any, Awaitable, Callable, Coroutine, DefaultDict, Mapping,
                    Optional, Sequence, Set, Tuple, TypeVar, overload)

from .draft import ExpectedVersion, NewEvent
from .durations import Duration, seconds
from .errors import Unavailable
from .event import Appended, Event
from .record import Begun, Record
from .sagas import Decision, proposal
from .session import Delivery

if TYPE_CHECKING:
    from .client import AsyncClient

Result = TypeVar("Result")
Probe = Callable[[str, str], Awaitable[None]]
_step: ContextVar[str] = ContextVar("spoor_step", default="")


class Context:
    """One attempt to handle one event.

    What it emits is correlated with the event, caused by it, and has the same id at every attempt:
    when the event is handed out again, nothing is appended twice."""

    def __init__(self, delivery: Delivery, agent: str, handler: str, client: "AsyncClient",
                 probe: Optional[Probe] = None,
                 asleep: Optional[Callable[[int], None]] = None,
                 key: Optional[str] = None) -> None:
        self.event: Event = delivery.event
        self.attempt: int = delivery.attempt
        self.agent, self.handler = agent, handler
        self.client = client
        self.log: logging.Logger = logging.getLogger(f"spoor.agent.{agent}")
        self._probe, self._asleep = probe, asleep
        self._ordinals: DefaultDict[str, int] = defaultdict(int)
        self._steps: Set[str] = set()
        self._asks = 0
        self._record = Record(client, delivery.event, agent, handler, key)

    async def emit(self, type: str, data: Any = None, *, stream: Optional[str] = None,
                   metadata: Optional[Mapping[str, Any]] = None,
                   schemaversion: Optional[str] = None,
                   expected_version: ExpectedVersion = None, **extensions: Any) -> Appended:
        """Appends an event of this agent, caused by the one that is handled. When this returns it
        is on stable storage."""
        return await self._emit(_step.get(), type, data, stream, metadata, schemaversion,
                                expected_version, extensions)

    async def _emit(self, step: str, type: str, data: Any, stream: Optional[str],
                    metadata: Optional[Mapping[str, Any]], schemaversion: Optional[str],
                    expected_version: ExpectedVersion, extensions: Mapping[str, Any]) -> Appended:
        self._ordinals[step] += 1
        ordinal = self._ordinals[step]
        if self.event.get("forkedfrom"):
            extensions = {**extensions, **await self._record.forked(type, step, ordinal)}
        event = NewEvent(
            type=type, data=data, source=self.agent, stream=stream,
            id=self._record.emit_id(step, ordinal),
            correlationid=self.event.correlationid, causationid=self.event.id,
            schemaversion=schemaversion, metadata=metadata, extensions=extensions,
            expected_version=expected_version)
        result = await self.client.append(event)
        await self._at("emitted", type)
        return result

    async def publish(self, type: str, data: Any = None, **more: Any) -> Appended:
        """A plain publish() of this agent's: neither correlated nor remembered, so an attempt that
        is repeated publishes again. Takes what AsyncClient.publish takes."""
        more.setdefault("source", self.agent)
        return await self.client.publish(type, data, **more)

    @overload
    async def step(self, name: str, function: Callable[[], Awaitable[Result]], *,
                   irreversible: bool = False) -> Result: ...

    @overload
    async def step(self, name: str, function: Callable[[], Result], *,
                   irreversible: bool = False) -> Result: ...

    async def step(self, name: str, function: Callable[[], Any], *,
                   irreversible: bool = False) -> Any:
        """Runs the function once over all attempts: its result, which must be JSON, is recorded,
        and later attempts are given what was recorded. So is a run that was forked behind it.

        `irreversible`: what it does cannot be undone. That it begins is recorded before it does,
        and it is not begun again, in no attempt, fork or resume, unless it raised an error: its
        result is used, wherever it was recorded, and where nobody knows what came of it, this is
        StepUnknown."""
        begun, result = await self._begin_step(name, irreversible)
        if begun is None:
            return result
        token = _step.set(name)
        try:
            value = function()
            if asyncio.iscoroutine(value) or isinstance(value, asyncio.Future):
                value = await value
        except Exception as problem:
            await self._fail_step(begun, problem)
            raise
        finally:
            _step.reset(token)
        return await self._end_step(begun, value)

    async def _begin_step(self, name: str, irreversible: bool) -> Tuple[Optional[Begun], Any]:
        """The step to run, or its result where it was done."""
        if name in self._steps:
            raise ValueError(f"step {name!r} is there twice in one handling of an event")
        self._steps.add(name)
        await self._at("step.begin", name)
        return await self._record.begin(name, irreversible)

    async def _end_step(self, begun: Begun, value: Any) -> Any:
        """Records the result; gives what is recorded."""
        await self._at("step.done", begun.name)
        result = await self._record.end(begun, value)
        await self._at("step.recorded", begun.name)
        return result

    async def _fail_step(self, begun: Begun, problem: BaseException) -> None:
        await self._record.fail(begun, f"{type(problem).__name__}: {problem}")

    async def sleep(self, duration: Duration) -> None:
        """Waits; in a TestBus, until its clock was advanced so far."""
        if self._asleep is not None:
            self._asleep(1)
        try:
            await self.client.session.clock.sleep(seconds(duration))
        finally:
            if self._asleep is not None:
                self._asleep(-1)

    async def ask(self, prompt: str, *, choices: Sequence[str] = (),
                  timeout: Optional[Duration] = None, on_timeout: Optional[str] = None,
                  who: Sequence[str] = (), escalate: Optional[Mapping[str, Any]] = None,
                  data: Any = None) -> Decision:
        """Asks somebody to decide (docs/approvals.md), and waits for it, however long it takes. An
        attempt that is repeated, also after the agent died, asks nothing anew: it waits on, or is
        given what was decided. Counted in the order of the calls, as emits are."""
        self._asks += 1
        proposed = await self.client.append(NewEvent(
            "action.proposed", proposal(prompt, choices, timeout, on_timeout, who, escalate, data),
            source=self.agent, id=self._record.ask_id(self._asks),
            correlationid=self.event.correlationid, causationid=self.event.id))
        await self._at("asked", prompt)
        if self._asleep is not None:
            self._asleep(1)
        try:
            return await self.client.decision(proposed.id)
        finally:
            if self._asleep is not None:
                self._asleep(-1)

    async def _at(self, point: str, what: str) -> None:
        if self._probe is not None:
            await self._probe(point, what)


class SyncContext:
    """A Context for a plain function, which runs in a thread: the same methods, which wait."""

    def __init__(self, inner: Context, loop: asyncio.AbstractEventLoop) -> None:
        self._inner, self._loop = inner, loop
        self.event: Event = inner.event
        self.attempt: int = inner.attempt
        self.agent, self.handler = inner.agent, inner.handler
        self.log: logging.Logger = inner.log

    def emit(self, type: str, data: Any = None, *, stream: Optional[str] = None,
             metadata: Optional[Mapping[str, Any]] = None, schemaversion: Optional[str] = None,
             expected_version: ExpectedVersion = None, **extensions: Any) -> Appended:
        return self._run(self._inner._emit(_step.get(), type, data, stream, metadata,
                                           schemaversion, expected_version, extensions))

    def publish(self, type: str, data: Any = None, **more: Any) -> Appended:
        return self._run(self._inner.publish(type, data, **more))

    def step(self, name: str, function: Callable[[], Result], *,
             irreversible: bool = False) -> Result:
        begun, result = self._run(self._inner._begin_step(name, irreversible))
        if begun is not None:
            token = _step.set(name)
            try:
                value = function()
            except Exception as problem:
                self._run(self._inner._fail_step(begun, problem))
                raise
            finally:
                _step.reset(token)
            result = self._run(self._inner._end_step(begun, value))
        return result  # type: ignore[no-any-return]

    def ask(self, prompt: str, **more: Any) -> Decision:
        return self._run(self._inner.ask(prompt, **more))

    def sleep(self, duration: Duration) -> None:
        self._run(self._inner.sleep(duration))

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        if self._loop.is_closed():
            work.close()
            raise Unavailable("the agent has stopped")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
