"""What goes wrong, and what handlers raise to say how an attempt ended."""
from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Union

from .durations import Duration, to_ms

if TYPE_CHECKING:
    from .event import Event


class SpoorError(Exception):
    """Whatever the server or this package refuses."""


class Unavailable(SpoorError):
    """The server could not be reached, or was lost, for longer than the client waits."""


class Unsupported(SpoorError):
    """The server is older than what was asked of it."""


class NotFound(SpoorError):
    """There is no such event, stream, group or agent."""


class Conflict(SpoorError):
    """The stream is not at the version that was expected.

    `actual` is the version that it has, where the server said so."""

    def __init__(self, message: str, actual: Optional[int] = None) -> None:
        super().__init__(message)
        self.actual = actual


class NonRetryable(Exception):
    """Raised by a handler: trying again is of no use, so the event becomes a dead letter at once."""


class StepUnknown(NonRetryable):
    """An irreversible step was begun, and nobody knows what came of it: it is not begun again.

    `step` is its name, `event` the one that says that it began. AsyncClient.settle_step tells what
    came of it."""

    def __init__(self, step: str, event: "Event") -> None:
        super().__init__(f"step {step!r} is irreversible and was begun by event {event.id} at position "
                         f"{event.position}; what came of it is unknown, so it is not begun again")
        self.step, self.event = step, event


class StepCancelled(NonRetryable):
    """A step was stopped in the middle, for its saga no longer wants it: whether there is something
    to undo is not known. Raised for a coroutine that was cancelled; a plain function that stops by
    itself raises it."""


class RetryAfter(Exception):
    """Raised by a handler: the next attempt is to come after `delay`, whatever the backoff is."""

    def __init__(self, delay: Union[Duration, str], message: str = "") -> None:
        self.delay_ms = to_ms(delay)
        super().__init__(message or f"try again in {self.delay_ms} ms")
