"""What an agent must hear at once: that a step which runs here is no longer wanted, and what was
decided about what it asked. One subscription, begun when it is first needed."""
from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional

from .backoff import Backoff
from .errors import SpoorError
from .event import Event
from .query import Query
from .step_context import StepContext

if TYPE_CHECKING:
    from .session import Session

CANCELLED = "saga.step.cancelled"
REMEMBERED_MAX = 10_000  # cancelled commands that may be handed out still
log = logging.getLogger("spoor.live")


class Live:
    def __init__(self, session: "Session") -> None:
        self._session = session
        self._running: Dict[str, List[StepContext]] = {}
        self._cancelled: "OrderedDict[str, str]" = OrderedDict()
        self._task: Optional["asyncio.Task[None]"] = None

    async def start(self) -> None:
        """When this returns, nothing that is appended from now on is missed."""
        last = await self._session.read(Query(limit=1, reverse=True))
        self._task = asyncio.ensure_future(self._follow(last[0].position + 1 if last else 1))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _follow(self, position: int) -> None:
        backoff = Backoff()
        while True:
            try:
                async for event in self._session.subscribe(Query((CANCELLED,), from_=position)):
                    position = event.position + 1
                    backoff.reset()
                    self._take(event)
            except SpoorError:
                log.exception("what is cancelled could not be followed; it is tried again")
            await self._session.clock.sleep(backoff.next_s())

    def _take(self, event: Event) -> None:
        data = event.data if isinstance(event.data, dict) else {}
        command = event.causationid or str(data.get("command") or "")
        reason = str(data.get("reason") or "the saga no longer wants it")
        self._cancelled[command] = reason
        if len(self._cancelled) > REMEMBERED_MAX:
            self._cancelled.popitem(last=False)
        for context in self._running.get(command, ()):
            context.log.info("cancelled: %s", reason)
            context.cancel(reason)

    def was_cancelled(self, command: str) -> Optional[str]:
        """The reason, where the command was cancelled."""
        return self._cancelled.get(command)

    @contextmanager
    def running(self, context: StepContext) -> Iterator[None]:
        """While inside, the context hears that its command is cancelled."""
        same = self._running.setdefault(context.event.id, [])
        same.append(context)
        try:
            reason = self._cancelled.get(context.event.id)
            if reason is not None:
                context.cancel(reason)
            yield
        finally:
            same.remove(context)
            if not same:
                self._running.pop(context.event.id, None)
