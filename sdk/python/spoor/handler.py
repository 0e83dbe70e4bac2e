"""A handler as it was declared: what it reacts to, and how its failures are treated."""
from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import Any, Awaitable, Callable, List, Optional, Union

from .context import Context, SyncContext
from .event import Event
from .policy import Policy
from .step_context import StepContext, SyncStepContext

AsyncFunction = Callable[[Event, Context], Awaitable[Any]]
SyncFunction = Callable[[Event, SyncContext], Any]
StepFunction = Union[Callable[[Event, StepContext], Any], Callable[[Event, SyncStepContext], Any]]
Function = Union[AsyncFunction, SyncFunction, StepFunction]
STARTS = {"new": "$", "all": "0"}


@dataclass(frozen=True)
class Call:
    """A call of a handler, as a TestBus noted it. `error` is what it raised."""

    event: Event
    attempt: int
    error: Optional[BaseException]


class Handler:
    """One `@agent.on(…)`; one that `answers` is a step of sagas or a compensation."""

    def __init__(self, name: str, pattern: str, function: Function, policy: Policy,
                 concurrency: Optional[int], start: str, answers: bool = False) -> None:
        self.name, self.pattern, self.function = name, pattern, function
        self.policy, self.concurrency = policy, concurrency
        self.start = STARTS.get(start, start)
        self.is_async, self.answers = is_async(function), answers
        self.noted: Optional[List[Call]] = None

    @property
    def key(self) -> str:
        """The virtual stream that its group reads."""
        return f"$type:{self.pattern}"

    @property
    def calls(self) -> List[Call]:
        """The calls so far, in the order in which they ended. Only a TestBus notes them."""
        if self.noted is None:
            raise RuntimeError(f"calls of {self.name!r} are noted while it runs in a TestBus")
        return list(self.noted)

    def note(self, call: Call) -> None:
        if self.noted is not None:
            self.noted.append(call)


def is_async(function: Callable[..., Any]) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None))
