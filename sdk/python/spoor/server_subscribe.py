"""History and live as one sequence, over any number of lost connections.

The server remembers nothing of a subscriber: the position of the last event is what a new
connection goes on behind."""
from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import AsyncIterator, Optional

from . import replies
from .backoff import Backoff
from .endpoint import Endpoint
from .errors import SpoorError, Unavailable
from .event import Event
from .query import Query
from .wire import LOST, REFUSED, Wire

log = logging.getLogger("spoor.subscribe")


async def subscribe(endpoint: Endpoint, query: Query,
                    patience_s: Optional[float] = None) -> AsyncIterator[Event]:
    """Events until the query's limit is reached. Lost connections are made again, for ever unless
    `patience_s` says otherwise."""
    loop, backoff = asyncio.get_running_loop(), Backoff()
    lost_at: Optional[float] = None
    left = query.limit
    while left != 0:
        wire: Optional[Wire] = None
        try:
            wire = await endpoint.open()
            await wire.send("SPOOR.SUBSCRIBE", *query.words())
            while True:
                message = await wire.read()
                if isinstance(message, Exception):
                    raise replies.failure(message, "SPOOR.SUBSCRIBE")
                backoff.reset()
                lost_at = None
                kind = replies.text(message[0])
                if kind == "event":
                    yield Event.from_json(message[4])
                    left = None if left is None else left - 1
                    if left == 0:
                        return
                    query = replace(query, from_=int(message[2]) + 1, limit=left)
                elif kind == "spoor.subscribe":
                    query = replace(query, from_=int(message[3]))
                elif kind == "gap":
                    log.warning("events before position %d were lost to the subscription: %s",
                                int(message[2]), replies.text(message[3]))
                elif kind == "spoor.unsubscribe":
                    return
        except REFUSED as problem:
            raise SpoorError(f"the server refused the connection: {problem}") from problem
        except LOST as problem:
            lost_at = lost_at or loop.time()
            if patience_s is not None and loop.time() - lost_at > patience_s:
                raise Unavailable(f"no server at {endpoint}: {problem}") from problem
            log.warning("a subscription lost its connection (%s); it goes on at %s",
                        problem or type(problem).__name__, query.from_)
            await asyncio.sleep(backoff.next_s())
        finally:
            if wire is not None:
                await wire.close()

