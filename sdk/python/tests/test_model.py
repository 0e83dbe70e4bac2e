"""Groups in memory and on a server, side by side: the same calls at random, the same answers."""
from __future__ import annotations

import asyncio
import random
from typing import Any, Dict, List, Tuple

from spoor import NewEvent, Policy, Retry
from spoor import replies
from spoor.server import ServerSession
from spoor.session import Delivery, Session
from spoor.testing import MemoryBus

from .support import Case, Server

KEY = "$type:job.*"
CONSUMERS = ("ann", "bob", "eve")
CALLS = 100


class Side:
    """A group on one of the two."""

    def __init__(self, session: Session, name: str) -> None:
        self.session, self.name = session, name

    async def take(self, consumer: str, count: int) -> List[Delivery]:
        raise NotImplementedError

    async def leave(self, consumer: str) -> None:
        raise NotImplementedError

    async def a_moment(self) -> None:
        """What waits is ordered by milliseconds."""
        raise NotImplementedError


class OnServer(Side):
    session: ServerSession

    async def take(self, consumer: str, count: int) -> List[Delivery]:
        return replies.deliveries(await self.session.call(
            "SPOOR.RECEIVE", "GROUP", self.name, consumer, "COUNT", count, "KEYS", KEY))

    async def leave(self, consumer: str) -> None:
        await self.session.call("XGROUP", "DELCONSUMER", KEY, self.name, consumer)

    async def a_moment(self) -> None:
        await asyncio.sleep(0.003)


class InMemory(Side):
    def __init__(self, bus: MemoryBus, name: str) -> None:
        super().__init__(bus.session(), name)
        self.bus = bus

    async def take(self, consumer: str, count: int) -> List[Delivery]:
        return self.bus.group(self.name, KEY).take(consumer, count)

    async def leave(self, consumer: str) -> None:
        self.bus.group(self.name, KEY).leave(consumer)

    async def a_moment(self) -> None:
        self.bus.clock.move_to(self.bus.clock.now() + 0.003)


class Story:
    """Random calls. Entries are named by the ids of their events, which are the same on both."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.count = 0
        self.policy = Policy(
            filter=self.chance.choice([None, {"data.skip": False}]),
            order_by=self.chance.choice(["none", "stream", "source", "correlation"]),
            retry=Retry(max_attempts=self.chance.choice([1, 2, 4]), first="1h", max="1h"),
            max_in_flight=self.chance.choice([0, 0, 3]))
        self.handed: List[str] = []  # every event that was ever handed out

    def call(self) -> Tuple[Any, ...]:
        kind = self.chance.choices(
            ("publish", "take", "ack", "nack", "extend", "leave", "redrive", "discard"),
            (30, 30, 20, 12, 3, 2, 4, 1))[0]
        some = self.chance.sample(self.handed, min(len(self.handed), self.chance.randint(1, 3)))
        if kind == "publish":
            self.count += 1
            return kind, NewEvent(
                f"job.{self.count % 3}", {"skip": self.chance.random() < 0.3},
                source=f"s{self.chance.randint(1, 2)}", stream=f"t{self.chance.randint(1, 3)}",
                correlationid=f"r{self.chance.randint(1, 3)}", id=f"e{self.count}")
        if kind == "take":
            return kind, self.chance.choice(CONSUMERS), self.chance.randint(1, 4)
        if kind == "nack":
            return (kind, some[:1], self.chance.choice([None, 0, 0, 0]), self.chance.random() < 0.2)
        if kind == "leave":
            return kind, self.chance.choice(CONSUMERS)
        return kind, some


async def run(side: Side, call: Tuple[Any, ...], entries: Dict[str, str]) -> Any:
    """Runs a call; its answer, in words that are the same on both."""
    kind, *rest = call
    session, name = side.session, side.name
    named = [entries[each] for each in rest[0]] if kind not in ("publish", "take", "leave") else []
    if kind == "publish":
        return (await session.append(rest[0])).duplicate
    if kind == "take":
        found = await side.take(*rest)
        entries.update({each.event.id: each.entry for each in found})
        return [(each.event.id, each.attempt) for each in found]
    if kind == "leave":
        return await side.leave(*rest)
    if kind == "nack":
        return named and await session.nack(KEY, name, named[0], "no", rest[1], rest[2])
    if not named:
        return None
    if kind == "ack":
        return await session.ack(KEY, name, named)
    if kind == "extend":
        return await session.extend(KEY, name, named)
    if kind == "redrive":
        return await session.redrive(KEY, name, named)
    return await session.discard(KEY, name, named)


async def state(side: Side) -> Any:
    found = await side.session.group(side.name, KEY)
    dead = await side.session.dead(KEY, side.name, 1000)
    return ((found.lag, found.pending, found.in_flight, found.waiting, found.parked, found.dead),
            [(letter.event.id if letter.event else "", letter.attempts, letter.reason, letter.error)
             for letter in dead])


class Model(Case):
    async def test_random_calls_have_the_same_answers(self) -> None:
        server = Server()
        self.addCleanup(server.remove)
        for seed in range(8):
            session = ServerSession(server.url)
            with self.subTest(seed=seed):
                await self.compare(Story(seed), InMemory(MemoryBus(), "g"),
                                   OnServer(session, f"g{seed}"))
            # The next group is to see none of these events: it begins behind them.
            await session.close()

    async def compare(self, story: Story, one: Side, other: Side) -> None:
        sides: List[Tuple[Side, Dict[str, str]]] = [(one, {}), (other, {})]
        for side, _ in sides:
            await side.session.ensure_group(side.name, KEY, story.policy.options(), "$")
        told: List[Any] = [story.policy]
        for _ in range(CALLS):
            call = story.call()
            if call[0] == "publish":
                named = {**vars(call[1]), "id": f"{other.name}-{call[1].id}"}
                call = ("publish", NewEvent(**named))
            answers = [await run(side, call, entries) for side, entries in sides]
            told.append((call, *answers))
            self.assertEqual(answers[0], answers[1], told[-12:])
            states = [await state(side) for side, _ in sides]
            self.assertEqual(states[0], states[1], told[-12:])
            if call[0] == "take":
                story.handed += [each for each, _ in answers[0] if each not in story.handed]
            for side, _ in sides:
                await side.a_moment()
