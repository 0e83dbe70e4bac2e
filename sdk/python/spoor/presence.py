"""An agent's presence: it says that it is there, gives signs of life, and says that it goes."""
from __future__ import annotations

import asyncio
import logging
from typing import Callable, Optional

from .errors import NotFound, SpoorError, Unsupported
from .session import Announcement, Session

log = logging.getLogger("spoor.presence")


class Presence:
    def __init__(self, session: Session, who: Announcement, interval_s: float,
                 load: Callable[[], int]) -> None:
        self._session, self._who = session, who
        self._interval_s, self._load = interval_s, load
        self._beating: Optional["asyncio.Task[None]"] = None
        self._again: Optional["asyncio.Task[None]"] = None
        self._known = True  # whether the server knows of presence

    async def start(self) -> None:
        try:
            await self._session.online(self._who)
        except Unsupported as problem:
            self._known = False
            log.warning("%s works, but the fleet does not see it: %s", self._who.id, problem)
            return
        self._session.on_reconnect(self.announce)
        self._beating = asyncio.ensure_future(self._beat())

    def announce(self) -> None:
        """Once more: the connection that announced it was lost."""
        if self._beating is not None and (self._again is None or self._again.done()):
            self._again = asyncio.ensure_future(self._tell())

    async def _beat(self) -> None:
        while True:
            await self._session.clock.sleep(self._interval_s)
            try:
                await self._session.heartbeat(self._who.id, self._load())
            except NotFound:
                await self._tell()
            except SpoorError:
                log.exception("a heartbeat of %s was not taken", self._who.id)

    async def _tell(self) -> None:
        try:
            await self._session.online(self._who)
        except SpoorError:
            log.exception("%s could not be announced", self._who.id)

    async def stop(self, reason: str) -> None:
        """Says that the agent goes."""
        self.abort()
        if not self._known:
            return
        try:
            await self._session.offline(self._who.id, reason)
        except SpoorError:
            log.exception("%s could not say that it goes", self._who.id)

    def abort(self) -> None:
        for task in (self._beating, self._again):
            if task is not None:
                task.cancel()
        self._beating = None
