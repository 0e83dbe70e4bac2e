"""An agent that runs: its session, its workers, its presence."""
from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, List, Optional

from .client import AsyncClient
from .context import Probe
from .live import Live
from .presence import Presence
from .session import Announcement, Session
from .worker import Worker

if TYPE_CHECKING:
    from .agent import Agent

log = logging.getLogger("spoor.agent")


class Runtime:
    def __init__(self, agent: "Agent", session: Session, probe: Optional[Probe] = None,
                 prefetch: Optional[int] = None) -> None:
        self.name, self.session, self.probe = agent.name, session, probe
        self.concurrency = agent.concurrency
        self.prefetch = agent.prefetch if prefetch is None else prefetch
        self.client = AsyncClient(session=session, source=agent.name)
        self.consumer_name = f"{agent.name}:{socket.gethostname()}:{os.getpid()}:" \
                             f"{secrets.token_hex(4)}"
        self.threads = ThreadPoolExecutor(agent.concurrency, f"spoor-{agent.name}")
        self.failure: Optional[BaseException] = None
        self.failed = asyncio.Event()
        self._used = 0
        self._turn = 0
        self.live = Live(session)
        patterns = Counter(handler.pattern for handler in agent.handlers)
        self.workers: List[Worker] = [
            Worker(self, handler, agent.group_of(handler, patterns[handler.pattern] > 1))
            for handler in agent.handlers]
        self._presence = Presence(session, Announcement(
            id=agent.name, capabilities=tuple(agent.capabilities), capacity=agent.concurrency,
            version=agent.version, data=agent.data), agent.heartbeat_s, lambda: self._used)

    async def start(self) -> None:
        """When this returns its groups are there: what is published from now on, it sees."""
        if any(worker.handler.answers for worker in self.workers):
            await self.live.start()
        for worker in self.workers:
            await worker.ensure_group()
        await self._presence.start()
        for worker in self.workers:
            await worker.start()
        log.info("%s is there, with %d handlers", self.name, len(self.workers),
                 extra={"agent": self.name, "consumer": self.consumer_name})

    async def stop(self, timeout_s: float, reason: str) -> None:
        """Finishes what runs, says that it goes, and goes."""
        self.session.hurry()
        await asyncio.gather(*(worker.stop(timeout_s) for worker in self.workers))
        self.live.stop()
        await self._presence.stop(reason)
        await self.session.close()
        self.threads.shutdown(wait=False)
        log.info("%s is gone", self.name, extra={"agent": self.name})

    def abort(self) -> None:
        """As if the process had died."""
        for worker in self.workers:
            worker.abort()
        self.live.stop()
        self._presence.abort()
        self.session.abort()
        self.threads.shutdown(wait=False)

    def fail(self, problem: BaseException) -> None:
        """The agent cannot work here."""
        if self.failure is None:
            self.failure = problem
            self.failed.set()

    # -- slots: how many handlers may run at once, of all workers together

    @property
    def free(self) -> int:
        return self.concurrency - self._used

    @property
    def load(self) -> int:
        return self._used

    def take_slot(self) -> None:
        self._used += 1

    def give_slot(self) -> None:
        """The workers are asked in turn, so that none of them starves."""
        self._used -= 1
        self._turn += 1
        for index in range(len(self.workers)):
            self.workers[(self._turn + index) % len(self.workers)].fill()
