"""Acknowledgements: each goes out as soon as its handler is done; those that are done while others
are on their way go out together."""
from __future__ import annotations

import asyncio
import logging
from typing import Callable, List, Optional

from .errors import SpoorError
from .session import Session

AT_ONCE = 512
log = logging.getLogger("spoor.acks")


class Acks:
    def __init__(self, session: Session, key: str, group: str,
                 settled: Callable[[List[str]], None]) -> None:
        self._session, self._key, self._group = session, key, group
        self._settled = settled  # told of the entries that were sent, whatever the answer was
        self._waiting: List[str] = []
        self._sender: Optional["asyncio.Task[None]"] = None
        self.pending = 0

    def add(self, entry: str) -> None:
        self._waiting.append(entry)
        self.pending += 1
        if self._sender is None or self._sender.done():
            self._sender = asyncio.ensure_future(self._send())

    async def _send(self) -> None:
        while self._waiting:
            entries, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            try:
                count = await self._session.ack(self._key, self._group, entries)
                if count < len(entries):
                    log.warning("%d of %d acknowledgements came too late: the events are handled "
                                "again", len(entries) - count, len(entries),
                                extra={"group": self._group, "key": self._key})
            except SpoorError:
                log.exception("%d acknowledgements could not be sent: the events are handled again",
                              len(entries), extra={"group": self._group, "key": self._key})
            finally:
                self.pending -= len(entries)
                self._settled(entries)

    async def flush(self) -> None:
        """Waits until all is sent."""
        while self._sender is not None and not self._sender.done():
            await asyncio.wait([self._sender])

    def abort(self) -> None:
        self._waiting.clear()
        if self._sender is not None:
            self._sender.cancel()
