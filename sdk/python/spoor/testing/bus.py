"""TestBus: a bus for tests of agents, in memory with a clock of its own, or a server's."""
from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from types import TracebackType
from typing import (Any, AsyncIterator, Awaitable, Callable, Dict, List, Optional, Sequence, Type,
                    Union, cast)

from ..agent import Agent
from ..client import AsyncClient, Types
from ..durations import Duration, seconds
from ..event import Appended, Event
from ..runtime import Runtime
from ..sagas import Saga
from ..server import ServerSession
from ..session import Session
from ..worker import Worker
from .faults import Faults, FaultySession
from .memory import MemoryBus
from .scenario import SOURCE, Given, Scenario, as_event, is_reaction

QUIET_TURNS = 20  # of the event loop, after which nothing is on its way in memory any more
SPIN_TURNS = 100  # after which something waits for the world outside
REAL_WAIT_MAX_S = 60.0
POINTS = ("handler.begin", "emitted", "asked", "step.begin", "step.done", "step.recorded", "handler.done")


class _Crash:
    """Where an agent is to crash, and how many times still."""

    def __init__(self, point: str, what: Optional[str], times: int) -> None:
        self.point, self.what, self.times = point, what, times

    def is_here(self, point: str, what: str) -> bool:
        return self.times > 0 and point == self.point and self.what in (None, what)


class TestBus:
    """Runs agents on a bus of their own.

        async with TestBus(reviewer) as bus:
            await bus.when(("code.committed", {"commit": "c1"})).then_emits(["review.done"])

    In memory nothing moves by itself but what can be done at once: retries, timeouts and silence
    come with advance(). With `real`, a server's URL, the same test runs against that server;
    advance() then takes its time. `patience_s`: how long a handler may take until settle() gives
    up waiting for it."""

    __test__ = False  # no test, whatever its name looks like to pytest

    def __init__(self, *agents: Agent, real: Optional[str] = None, seed: int = 0,
                 patience_s: float = 30.0) -> None:
        self._agents, self._real, self._patience_s = list(agents), real, patience_s
        self._memory = None if real else MemoryBus(seed)
        self._faults = Faults()
        self._crashes: Dict[Agent, List[_Crash]] = {}
        self._runtimes: Dict[Agent, Runtime] = {}
        self.client = AsyncClient(session=self._session(), source=SOURCE)

    def _session(self) -> Session:
        return self._memory.session() if self._memory else ServerSession(self._real)

    async def __aenter__(self) -> "TestBus":
        for agent in self._agents:
            await self.add(agent)
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                        traceback: Optional[TracebackType]) -> None:
        for agent in list(self._runtimes):
            await self._stop(agent, drain=0 if kind or self._memory else None)
        await self.client.close()

    # -- agents

    async def add(self, agent: Agent) -> None:
        """Starts an agent. Its handlers note their calls from now on: agent.handler(name).calls.
        Another Agent of the same name is another process of that agent."""
        if agent not in self._agents:
            self._agents.append(agent)
        for handler in agent.handlers:
            handler.noted = [] if handler.noted is None else handler.noted
        session = cast(Session, FaultySession(self._session(), self._faults))
        await agent.start(session=session, probe=self._probe_of(agent),
                          prefetch=0 if self._memory else None)
        assert agent.runtime is not None
        self._runtimes[agent] = agent.runtime

    restart = add

    async def stop(self, agent: Agent) -> None:
        """Stops an agent in order."""
        await self._stop(agent)

    async def _stop(self, agent: Agent, drain: Optional[Duration] = None) -> None:
        del self._runtimes[agent]
        await agent.stop(drain=drain)

    def crash(self, agent: Agent, at: Optional[str] = None, what: Optional[str] = None,
              times: int = 1) -> None:
        """The agent's process dies, without a word to anybody: now, or when it comes to `at`:

            handler.begin   before a handler (`what`: its name) is called
            emitted         after it emitted something (of type `what`)
            asked           after it asked somebody to decide (`what`: the prompt)
            step.begin      before a step (named `what`)
            step.done       after the step's function, before its result is recorded
            step.recorded   after that
            handler.done    after the handler, before it is acknowledged

        restart() brings it back."""
        if at is None:
            self._kill(agent)
        elif at not in POINTS:
            raise ValueError(f"at: {at!r} is none of {', '.join(POINTS)}")
        else:
            self._crashes.setdefault(agent, []).append(_Crash(at, what, times))

    def _kill(self, agent: Agent) -> None:
        runtime = self._runtimes.pop(agent, None)
        if runtime is None:
            raise RuntimeError(f"agent {agent.name!r} does not run")
        agent.runtime = None
        runtime.abort()

    def _probe_of(self, agent: Agent) -> Callable[[str, str], Awaitable[None]]:
        async def probe(point: str, what: str) -> None:
            for crash in self._crashes.get(agent, ()):
                if crash.is_here(point, what):
                    crash.times -= 1
                    self._kill(agent)
                    raise asyncio.CancelledError
        return probe

    # -- events

    async def publish(self, type: str, data: Any = None, **more: Any) -> Appended:
        """As AsyncClient.publish; the source is `test` unless it is given."""
        return await self.client.publish(type, data, **more)

    async def publish_event(self, event: Given) -> Appended:
        """publish() for an event that is made already, such as command(…)."""
        return await self.client.append(as_event(event))

    async def run_saga(self, name: str, data: Any = None, *, timeout: Duration = "60s",
                       **more: Any) -> Saga:
        """Starts a saga, which is defined, and waits until it has ended or needs a person. Only on
        a server."""
        started = await self.client.start_saga(name, data, **more)
        return await self.client.wait_saga(started.id, timeout=timeout)

    def given(self, events: Sequence[Given] = ()) -> Scenario:
        """What has happened, and was reacted to, before the scenario."""
        return Scenario(self, events)

    def when(self, *events: Given) -> Scenario:
        """given([]).when(…)"""
        return Scenario(self, ()).when(*events)

    async def events(self, types: Types = None) -> List[Event]:
        """What was published and emitted, without the book-keeping of store and SDK."""
        return [found for found in await self.client.query(types) if is_reaction(found)]

    async def story(self, id: str) -> str:
        """The tree that an event caused: type and source, a line each."""
        return "\n".join(f"{'  ' * depth}{found.type} {found.source}"
                         for depth, found in await self.client.effects(id) if is_reaction(found))

    async def replay(self, path: Union[str, "os.PathLike[str]"]) -> int:
        """Appends the events of an NDJSON file, and lets the agents react; how many they were."""
        count = 0
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                event = as_event(json.loads(line)) if line.strip() else None
                if event is not None and not event.place.startswith("$"):
                    await self.client.append(event)
                    count += 1
        await self.settle()
        return count

    async def position(self) -> int:
        """That of the last event."""
        last = await self.client.query(limit=1, reverse=True)
        return last[0].position if last else 0

    # -- faults

    def duplicate(self, on: bool = True) -> None:
        """From now on every event that was handled is handed out once more."""
        self._faults.duplicate = on

    @asynccontextmanager
    async def reorder(self) -> AsyncIterator[None]:
        """What is published inside is handed out in the other order, as far as the agents'
        concurrency goes. What a handler's order_by keeps apart stays in order."""
        self._faults.released = asyncio.Event()
        try:
            yield
            await self._until(self._nothing_new)
        finally:
            self._faults.released.set()
            self._faults.released = None
        await self.settle()

    # -- time

    async def advance(self, duration: Duration) -> None:
        """Lets time go by: everything that is due meanwhile happens, in order."""
        length_s = seconds(duration)
        await self.settle()
        if self._memory is None:
            if length_s > REAL_WAIT_MAX_S:
                raise ValueError(f"on a server advance() really waits: {length_s:g} s is more than "
                                 f"the {REAL_WAIT_MAX_S:g} s that a test should take")
            await asyncio.sleep(length_s)
            await self.settle()
            return
        clock = self._memory.clock
        end = clock.now() + length_s
        following = clock.next_at()
        while following is not None and following <= end:
            clock.move_to(following)
            await self.settle()
            following = clock.next_at()
        clock.move_to(end)
        await self.settle()

    async def settle(self) -> None:
        """Waits until the agents have done what can be done now."""
        if self._memory is None:
            await self._until(self._server_is_idle)
            return
        memory, loop = self._memory, asyncio.get_running_loop()
        end, seen, calm, busy = loop.time() + self._patience_s, -1, 0, 0
        while calm < QUIET_TURNS:
            still = len(memory.log.events) == seen and self._memory_is_idle(memory)
            seen = len(memory.log.events)
            calm, busy = (calm + 1, 0) if still else (0, busy + 1)
            if busy and loop.time() > end:
                raise TimeoutError(f"not settled within {self._patience_s:g} s: {self._doing()}")
            await asyncio.sleep(0 if busy < SPIN_TURNS else 0.0005)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits, in real time, until the condition holds."""
        async def holds() -> bool:
            return condition()
        await self._until(holds)

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience_s
        while not await condition():
            if loop.time() > end:
                raise TimeoutError(f"not settled within {self._patience_s:g} s: {self._doing()}")
            await asyncio.sleep(0.0005 if self._memory else 0.005)

    def _working(self) -> List[Worker]:
        for runtime in self._runtimes.values():
            if runtime.failure is not None:
                raise runtime.failure
        return [worker for runtime in self._runtimes.values() for worker in runtime.workers]

    def _memory_is_idle(self, memory: MemoryBus) -> bool:
        """Nothing runs but what sleeps, and nothing waits to be handed out but what a dead process
        holds up: that comes back with advance()."""
        for worker in self._working():
            if worker.busy:
                return False
            group = memory.group(worker.group, worker.handler.key).counts()
            if group.lag and not group.in_flight:
                return False
        return True

    async def _server_is_idle(self) -> bool:
        """The same, and nothing was appended while it was looked at."""
        before = await self.position()
        for worker in self._working():
            if worker.busy:
                return False
            group = await self.client.group(worker.group, worker.handler.key)
            if group.lag or group.in_flight > worker.sleeping or (group.parked
                                                                  and not group.waiting):
                return False
        return await self.position() == before

    async def _nothing_new(self) -> bool:
        for runtime in self._runtimes.values():
            for worker in runtime.workers:
                if (await self.client.group(worker.group, worker.handler.key)).lag:
                    return False
        return True

    def _doing(self) -> str:
        busy = [f"{agent.name}: {worker.handler.name} has {worker.busy} events in hand"
                for agent, runtime in self._runtimes.items()
                for worker in runtime.workers if worker.busy]
        return "; ".join(busy) or "events wait to be handed out"
