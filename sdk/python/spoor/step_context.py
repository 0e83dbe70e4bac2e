"""What a worker of a saga's step is given beside its command."""
from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Callable, Optional

from .context import Context, Probe, SyncContext
from .session import Delivery

if TYPE_CHECKING:
    from .client import AsyncClient


class StepContext(Context):
    """One attempt of a step, or of its compensation.

    `idempotency_key` is the same at all attempts: give it to whoever does the work. What is emitted
    and recorded by way of this context counts once over all of them, too. `cancelled` is set when
    the saga no longer wants the step: then the coroutine is cancelled."""

    def __init__(self, delivery: Delivery, agent: str, handler: str, client: "AsyncClient",
                 probe: Optional[Probe] = None,
                 asleep: Optional[Callable[[int], None]] = None) -> None:
        command = delivery.event
        key = command.get("idempotencykey")
        super().__init__(delivery, agent, handler, client, probe, asleep, key)
        self.idempotency_key: str = key or command.id
        self.attempt = int(command.get("attempt") or delivery.attempt)
        self.delivery: int = delivery.attempt
        self.saga_id: Optional[str] = command.get("sagaid")
        self.saga: Optional[str] = command.get("saga")
        self.step_name: Optional[str] = command.get("sagastep")
        told = command.data if isinstance(command.data, dict) else {}
        self.input: Any = told["input"] if "input" in told else command.data
        self.result: Any = told.get("result")
        self.error: Any = told.get("error")
        self.cancelled: asyncio.Event = asyncio.Event()
        self.cancel_reason: Optional[str] = None
        self.sync_cancelled = threading.Event()
        self.running: Optional["asyncio.Future[Any]"] = None

    def cancel(self, reason: str) -> None:
        """The saga no longer wants it."""
        if self.cancel_reason is None:
            self.cancel_reason = reason
            self.cancelled.set()
            self.sync_cancelled.set()
            if self.running is not None:
                self.running.cancel()


class SyncStepContext(SyncContext):
    """A StepContext for a plain function, which runs in a thread: that is not interrupted, so it
    looks at `cancelled` (a threading.Event) now and then, or waits for it."""

    def __init__(self, inner: StepContext, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(inner, loop)
        self.idempotency_key, self.attempt = inner.idempotency_key, inner.attempt
        self.delivery = inner.delivery
        self.saga_id, self.saga, self.step_name = inner.saga_id, inner.saga, inner.step_name
        self.input, self.result, self.error = inner.input, inner.result, inner.error
        self.cancelled: threading.Event = inner.sync_cancelled
