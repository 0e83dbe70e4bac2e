"""Runs one handler: fetches what its group hands out, calls the handler, says how it went.

    group ──receive──► queue ──a slot is free──► handler ──done──► ack
                                                    │ raised
                                                    └──► nack (the group keeps backoff and attempts)

No more is fetched than the free slots take, and a quarter of a second's work besides, so that what
waits here is never work that another process could begin now. What takes longer than half of
ack-wait is extended."""
from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, Optional, Set

from .acks import Acks
from .answering import answer
from .backoff import Backoff
from .context import Context, SyncContext
from .errors import NonRetryable, NotFound, RetryAfter, SpoorError, Unsupported
from .handler import Call, Handler
from .logs import handling
from .session import Consumer, Delivery
from .step_context import StepContext, SyncStepContext

if TYPE_CHECKING:
    from .runtime import Runtime

AHEAD_S = 0.25  # of work that may wait here
ERROR_CHARS = 1000
log = logging.getLogger("spoor.worker")


class _Held:
    """A delivery that is here: since when the server counts its ack-wait."""

    __slots__ = ("delivery", "since", "settling")

    def __init__(self, delivery: Delivery, since: float) -> None:
        self.delivery, self.since = delivery, since
        self.settling = False


class Worker:
    def __init__(self, runtime: "Runtime", handler: Handler, group: str) -> None:
        self._runtime, self.handler, self.group = runtime, handler, group
        self._session, self._clock = runtime.session, runtime.session.clock
        self._limit = min(handler.concurrency or runtime.concurrency, runtime.concurrency)
        self._ack_wait_s = handler.policy.ack_wait_ms / 1000
        self._acks = Acks(self._session, handler.key, group, self._settled)
        self._held: Dict[str, _Held] = {}
        self._queue: Deque[Delivery] = deque()
        self._running: Set["asyncio.Task[None]"] = set()
        self._duration_s: Optional[float] = None  # of a handling, about
        self._cautious = False
        self._changed = asyncio.Event()
        self._consumer: Optional[Consumer] = None
        self._tasks: List["asyncio.Task[None]"] = []
        self._stopping = False
        self.sleeping = 0

    async def start(self) -> None:
        """Begins to fetch from the group, which is there."""
        self._consumer = await self._session.consumer(self.group, self.handler.key,
                                                      self._runtime.consumer_name)
        self._tasks = [asyncio.ensure_future(self._fetch()), asyncio.ensure_future(self._extend())]

    async def ensure_group(self) -> None:
        """Makes the group, or gives the one that is there this handler's policy."""
        await self._session.ensure_group(self.group, self.handler.key,
                                         self.handler.policy.options(), self.handler.start)

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def busy(self) -> int:
        """Deliveries that are here and not settled, but for those whose handlers sleep."""
        return len(self._held) - self.sleeping

    # -- fetching

    async def _fetch(self) -> None:
        assert self._consumer is not None
        backoff = Backoff()
        while not self._stopping:
            count = self._room()
            if count < 1:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                found = await self._consumer.receive(count)
                backoff.reset()
            except Unsupported as problem:
                self._runtime.fail(problem)
                return
            except NotFound as problem:
                log.error("the group %s on %s is gone (%s); it is made anew", self.group,
                          self.handler.key, problem)
                await self._clock.sleep(backoff.next_s())
                await self._try_group()
                continue
            except SpoorError:
                log.exception("%s could not be read", self.handler.key)
                await self._clock.sleep(backoff.next_s())
                continue
            # Where attempts fail, a crash is likely: what waits here would lose an attempt by it.
            self._cautious = any(delivery.attempt > 1 for delivery in found)
            for delivery in found:
                self._accept(delivery)

    async def _try_group(self) -> None:
        try:
            await self.ensure_group()
        except SpoorError:
            log.exception("the group %s could not be made", self.group)

    def _room(self) -> int:
        """How many deliveries to ask for now; 0: not yet."""
        free = min(self._limit - len(self._running), self._runtime.free)
        ahead = self._ahead()
        room = free - len(self._queue) + max(0, ahead - self._acks.pending)
        starving = free > 0 and not self._queue
        return max(0, room) if starving or room >= max(1, ahead // 2) else 0

    def _ahead(self) -> int:
        """How many may wait: what takes AHEAD_S, and in no case what ack-wait would not allow."""
        if self._duration_s is None or self._cautious:
            return 0
        allowed_s = min(AHEAD_S, self._ack_wait_s / 4)
        return min(self._runtime.prefetch,
                   int(self._limit * allowed_s / max(self._duration_s, 1e-6)))

    def _accept(self, delivery: Delivery) -> None:
        held = self._held.get(delivery.entry)
        if held is not None and not held.settling:
            # Its ack-wait was over before it could be extended; the handler that has it goes on.
            held.since = self._clock.now()
            return
        self._held[delivery.entry] = _Held(delivery, self._clock.now())
        self._queue.append(delivery)
        self.fill()

    # -- handling

    def fill(self) -> None:
        """Begins what there are slots for."""
        while self._queue and len(self._running) < self._limit and self._runtime.free > 0:
            delivery = self._queue.popleft()
            self._runtime.take_slot()
            task = asyncio.ensure_future(self._handle(delivery))
            self._running.add(task)
            task.add_done_callback(self._ended)
        self._changed.set()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a handling ended badly", exc_info=task.exception())
        self._runtime.give_slot()

    async def _handle(self, delivery: Delivery) -> None:
        event, name = delivery.event, self.handler.name
        handling.set({"agent": self._runtime.name, "handler": name, "event_id": event.id,
                      "event_type": event.type, "correlation_id": event.correlationid,
                      "attempt": delivery.attempt})
        kind = StepContext if self.handler.answers else Context
        context = kind(delivery, self._runtime.name, name, self._runtime.client,
                       self._runtime.probe, self._slept)
        failed: Optional[BaseException] = None
        begun = self._clock.now()
        try:
            if self._runtime.probe is not None:
                await self._runtime.probe("handler.begin", name)
            if isinstance(context, StepContext):
                failed = await self._answer(context)
            else:
                await self._call(context)
            if self._runtime.probe is not None:
                await self._runtime.probe("handler.done", name)
        except asyncio.CancelledError as problem:  # crashed, or out of time: it is handed out again
            self.handler.note(Call(event, delivery.attempt, problem))
            raise
        except Exception as problem:  # pylint: disable=broad-except
            await self._failed(delivery, problem)
        else:
            self.handler.note(Call(event, context.attempt, failed))
            self._held[delivery.entry].settling = True
            self._acks.add(delivery.entry)
        self._measure(self._clock.now() - begun)

    async def _answer(self, context: StepContext) -> Optional[BaseException]:
        """Runs the handler of a command and answers; what it raised."""
        problem = await answer(self._runtime.client, self._runtime.live, context,
                               self.handler.policy.retry.give_up_on, self.handler.is_async,
                               lambda: self._call(context))
        if problem is not None:
            log.error("%s failed in %s, attempt %d", self.handler.name,
                      context.saga_id or "no saga", context.attempt, exc_info=problem)
        return problem

    async def _call(self, context: Context) -> Any:
        function: Callable[..., Any] = self.handler.function
        event = context.event
        if self.handler.is_async:
            return await function(event, context)
        loop = asyncio.get_running_loop()
        plain = (SyncStepContext(context, loop) if isinstance(context, StepContext)
                 else SyncContext(context, loop))
        within = contextvars.copy_context()
        result = await loop.run_in_executor(
            self._runtime.threads, lambda: within.run(function, event, plain))
        if asyncio.iscoroutine(result):  # a plain function that gives a coroutine, such as a lambda
            return await result
        return result

    async def _failed(self, delivery: Delivery, problem: Exception) -> None:
        """Says so to the log and to the group."""
        self.handler.note(Call(delivery.event, delivery.attempt, problem))
        final = isinstance(problem, (NonRetryable, *self.handler.policy.retry.give_up_on))
        log.error("%s failed on %s, attempt %d%s", self.handler.name, delivery.event.type,
                  delivery.attempt, ": not tried again" if final else "", exc_info=problem)
        delay_ms = problem.delay_ms if isinstance(problem, RetryAfter) else None
        self._held[delivery.entry].settling = True
        try:
            await self._session.nack(delivery.key, self.group, delivery.entry, describe(problem),
                                     delay_ms, final)
        except SpoorError:
            log.exception("the failure could not be told; the group notices when ack-wait is over")
        finally:
            self._settled([delivery.entry])

    def _settled(self, entries: List[str]) -> None:
        for entry in entries:
            held = self._held.get(entry)
            if held is not None and held.settling:
                del self._held[entry]
        self._changed.set()

    def _slept(self, change: int) -> None:
        self.sleeping += change

    def _measure(self, took_s: float) -> None:
        known = self._duration_s
        self._duration_s = took_s if known is None else known + (took_s - known) / 16

    # -- keeping what takes long

    async def _extend(self) -> None:
        while True:
            await self._clock.sleep(self._ack_wait_s / 4)
            before = self._clock.now() - self._ack_wait_s / 2 + 1e-9
            late = [held for held in self._held.values()
                    if held.since <= before and not held.settling]
            if not late:
                continue
            try:
                await self._session.extend(self.handler.key, self.group,
                                           [held.delivery.entry for held in late])
            except SpoorError:
                log.exception("%d events could not be kept for longer", len(late))
                continue
            for held in late:
                held.since = self._clock.now()

    # -- the end

    async def stop(self, timeout_s: float) -> None:
        """Finishes what is here, then leaves the group. What takes longer is given back."""
        self._stopping = True
        self._changed.set()
        if self._consumer is None:
            return
        try:
            await self._consumer.wake()
            fetching, extending = self._tasks
            await asyncio.wait([fetching], timeout=timeout_s)
            fetching.cancel()
            await self._drain(timeout_s)
            extending.cancel()
            await self._acks.flush()
            await self._consumer.leave()
        except SpoorError:
            log.exception("%s could not leave its group in order; what it had comes back by itself",
                          self.handler.name)
            self.abort()

    async def _drain(self, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while self._running and loop.time() < end:
            await asyncio.wait(self._running, timeout=end - loop.time(),
                               return_when=asyncio.FIRST_COMPLETED)
        if self._running or self._queue:
            log.warning("%s had %d events in hand when its time was over: they are given back",
                        self.handler.name, len(self._running) + len(self._queue))
        self._queue.clear()
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=1)

    def abort(self) -> None:
        """As if the process had died."""
        self._stopping = True
        self._queue.clear()
        for task in (*self._tasks, *self._running):
            task.cancel()
        self._acks.abort()
        if self._consumer is not None:
            self._consumer.abort()


def describe(problem: BaseException) -> str:
    """An error in one line for the dead letter."""
    text = f"{type(problem).__name__}: {problem}".replace("\x00", "")
    return text if len(text) <= ERROR_CHARS else text[:ERROR_CHARS - 1] + "…"
