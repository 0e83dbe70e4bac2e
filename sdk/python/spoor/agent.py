"""An agent: a name, what it can do, and what it reacts to."""
from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any, Callable, List, Mapping, Optional, Sequence, TypeVar, Union

from . import logs
from .context import Probe
from .draft import check_type
from .durations import Duration, seconds
from .handler import Handler
from .patterns import check_pattern
from .policy import Filter, Policy
from .retry import Retry
from .runtime import Runtime
from .server import ServerSession
from .session import Session

F = TypeVar("F", bound=Callable[..., Any])
log = logging.getLogger("spoor.agent")


class Agent:
    """Declares handlers with `@agent.on(…)`, then runs: `agent.run()`, or `await agent.start()`.

    `name` is the source of all its events. `concurrency`: how many handlers run at once, which is
    also the capacity it announces. `url`: the server, else $SPOOR_URL. Several processes of one
    agent share its work."""

    def __init__(self, name: str, *, capabilities: Sequence[str] = (), concurrency: int = 16,
                 version: Optional[str] = None, data: Optional[Mapping[str, Any]] = None,
                 heartbeat: Duration = "10s", drain: Duration = "30s", prefetch: int = 512,
                 url: Optional[str] = None) -> None:
        if not name or "\n" in name:
            raise ValueError("name: an agent has a name of one line")
        if concurrency < 1:
            raise ValueError("concurrency: at least 1")
        if prefetch < 0:
            raise ValueError("prefetch: 0 is none, less is nothing")
        self.name, self.capabilities, self.concurrency = name, tuple(capabilities), concurrency
        self.version, self.data, self.url = version, data, url
        self.heartbeat_s, self.drain_s = seconds(heartbeat), seconds(drain)
        self.prefetch = prefetch
        self.handlers: List[Handler] = []
        self.runtime: Optional[Runtime] = None

    def on(self, pattern: str, *, filter: Optional[Filter] = None, retry: Optional[Retry] = None,
           order_by: str = "none", ack_wait: Duration = "30s", concurrency: Optional[int] = None,
           start: str = "new", name: Optional[str] = None) -> Callable[[F], F]:
        """Declares a handler: of every event whose type matches, of any stream.

        `filter` and `order_by` are those of docs/filters.md and docs/groups.md. An attempt that
        fails is repeated as `retry` says; one of which nothing is heard for `ack_wait` has failed.
        `start`: where a group that is new begins: "new", "all", or a moment such as "-1h".
        A coroutine function gets a Context; a plain one runs in a thread and gets a SyncContext.
        `name` (else the function's) is part of the ids of what it emits: keep it."""
        check_pattern(pattern)
        policy = Policy(filter=filter, retry=retry or Retry(), order_by=order_by,
                        ack_wait=ack_wait)

        return self._declare(name, pattern, policy, concurrency, start)

    def _declare(self, name: Optional[str], pattern: str, policy: Policy,
                 concurrency: Optional[int], start: str,
                 answers: bool = False) -> Callable[[F], F]:
        if concurrency is not None and concurrency < 1:
            raise ValueError("concurrency: at least 1")

        def declare(function: F) -> F:
            called = name or getattr(function, "__name__", "")
            if not called or called == "<lambda>":
                raise ValueError(f"the handler of {pattern!r} needs a name=")
            if any(handler.name == called for handler in self.handlers):
                raise ValueError(f"agent {self.name!r} has a handler {called!r} already")
            self.handlers.append(Handler(called, pattern, function, policy, concurrency, start,
                                         answers))
            return function

        return declare

    def step(self, action: str, *, retry: Optional[Retry] = None, ack_wait: Duration = "30s",
             order_by: str = "none", concurrency: Optional[int] = None,
             start: str = "-1d") -> Callable[[F], F]:
        """Declares the worker of a saga's action: of every command of this type.

        What it returns is the step's result, and must be JSON. What it raises is the step's
        failure: the saga tries again as its definition says, but for NonRetryable and what `retry`
        gives up on. A coroutine function gets a StepContext, a plain one, in a thread, a
        SyncStepContext. A worker that is new begins with the commands of the last day that still
        wait (`start`). Its name is the action."""
        check_type(action)
        policy = Policy(retry=retry or Retry(), order_by=order_by, ack_wait=ack_wait)
        return self._declare(action, action, policy, concurrency, start, answers=True)

    def compensate(self, action: str, *, retry: Optional[Retry] = None, ack_wait: Duration = "30s",
                   order_by: str = "none", concurrency: Optional[int] = None,
                   start: str = "-1d") -> Callable[[F], F]:
        """Declares the worker of a compensation: step(), for what undoes. Its context has the
        `input`, the `result` and the `error` of what it is to undo; both of these are None where
        nobody knows whether there is anything to undo, which it must take well."""
        return self.step(action, retry=retry, ack_wait=ack_wait, order_by=order_by,
                         concurrency=concurrency, start=start)

    def handler(self, name: str) -> Handler:
        """A handler by its name."""
        for handler in self.handlers:
            if handler.name == name:
                return handler
        raise KeyError(f"agent {self.name!r} has no handler {name!r}")

    def group_of(self, handler: Union[Handler, str], shared: Optional[bool] = None) -> str:
        """The name of a handler's group: the agent's, and the handler's where several handlers of
        this agent have one pattern."""
        handler = self.handler(handler) if isinstance(handler, str) else handler
        if shared is None:
            shared = sum(each.pattern == handler.pattern for each in self.handlers) > 1
        return f"{self.name}/{handler.name}" if shared else self.name

    # -- running

    async def start(self, *, session: Optional[Session] = None, probe: Optional[Probe] = None,
                    prefetch: Optional[int] = None) -> None:
        """Announces the agent and begins to work. When this returns its groups are there."""
        if self.runtime is not None:
            raise RuntimeError(f"agent {self.name!r} runs already")
        runtime = Runtime(self, session or ServerSession(self.url), probe, prefetch)
        self.runtime = runtime
        try:
            await runtime.start()
        except BaseException:
            self.runtime = None
            runtime.abort()
            raise

    async def stop(self, reason: str = "stopped", drain: Optional[Duration] = None) -> None:
        """Takes no more, finishes what runs, says that it goes. What runs longer than `drain` is
        given back to the group."""
        runtime, self.runtime = self.runtime, None
        if runtime is not None:
            await runtime.stop(self.drain_s if drain is None else seconds(drain), reason)

    async def serve(self) -> None:
        """Works until SIGTERM or SIGINT, or until it cannot; then stops in order."""
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, self._on_signal, asked)
            except (NotImplementedError, RuntimeError):  # not the main thread, or no such system
                log.debug("signal %s is not watched here", number)
        await self.start()
        assert self.runtime is not None
        runtime = self.runtime
        waits = [asyncio.ensure_future(asked.wait()), asyncio.ensure_future(runtime.failed.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await self.stop()
        if runtime.failure is not None:
            raise runtime.failure

    @staticmethod
    def _on_signal(asked: asyncio.Event) -> None:
        """The first one drains; the second one ends at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        asked.set()

    def run(self, url: Optional[str] = None) -> None:
        """serve(), for a program that is nothing else. Logs JSON lines to stderr, unless logging
        is set up already."""
        logs.configure()
        self.url = url or self.url
        asyncio.run(self.serve())
