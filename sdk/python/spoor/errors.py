"""What goes wrong, and what handlers raise to say how an attempt ended."""
from __future__ import annotations

from typing import Optional, Union

from .durations import Duration, to_ms


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


class RetryAfter(Exception):
    """Raised by a handler: the next attempt is to come after `delay`, whatever the backoff is."""

    def __init__(self, delay: Union[Duration, str], message: str = "") -> None:
        self.delay_ms = to_ms(delay)
        super().__init__(message or f"try again in {self.delay_ms} ms")
