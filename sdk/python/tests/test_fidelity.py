"""The bus in memory and a server keep the same record of the same story, their own book-keeping
included: what was told of groups, failures, dead letters and agents, in the same order."""
from __future__ import annotations

from typing import Any, Dict, List

from spoor import Agent, Context, DeadLetter, Event, NonRetryable, Retry
from spoor.testing import TestBus

from .support import Case, Server

# What time, chance and the process decide.
_FREE = ("retry_at", "delivered_at", "consumer", "entryid", "after", "last_seen", "silent_ms",
         "suspected_at", "letter", "event")


def told(events: List[Event]) -> List[str]:
    """The record, a line an event, with ids as the places of their events."""
    places = {event.id: str(event.position) for event in events}
    lines = []
    for event in events:
        data: Any = event.data
        if event.stream.startswith("$") and isinstance(data, dict):
            data = {name: value for name, value in data.items() if name not in _FREE}
            data["id"] = places.get(data.get("id", ""), "")
        if event.type == "group.policy_changed":
            data = {name: data[name] for name in ("key", "group", "policy")}
        if event.type == "group.created":
            data = {name: data[name] for name in ("key", "group")}
        lines.append(f"{event.position} {event.type} {event.source} {event.stream} "
                     f"v{event.version} run {places.get(event.correlationid, '-')} cause "
                     f"{places.get(event.causationid or '', '-')} {_sorted(data)}")
    return lines


def _sorted(data: Any) -> Any:
    return dict(sorted(data.items())) if isinstance(data, dict) else data


def fleet() -> "Dict[str, Agent]":
    planner, worker = Agent("planner", capabilities=["plan"]), Agent("worker", concurrency=1)

    @planner.on("goal.set")
    async def plan(event: Event, ctx: Context) -> None:
        for number in range(event.data):
            await ctx.emit("task.created", {"n": number}, stream=f"task-{number}")

    @worker.on("task.*", start="all", order_by="correlation", filter={"data.n": {"$lt": 3}},
               ack_wait="30s", retry=Retry(max_attempts=2, first="300ms", max="1s", jitter=0))
    async def work(event: Event, ctx: Context) -> None:
        number = event.data["n"]
        await ctx.step("think", lambda: number * 2)
        if number == 1:
            raise RuntimeError(f"cannot do {number}")
        if number == 2:
            raise NonRetryable("will not")
        await ctx.emit("task_done", {"n": number})

    return {"planner": planner, "worker": worker}


async def dead(bus: TestBus, key: str, count: int) -> List[DeadLetter]:
    """The dead letters, when there are so many: on a slow machine that may take longer."""
    found = await bus.client.dead_letters(key, "worker")
    for _ in range(100):
        if len(found) >= count:
            break
        await bus.advance("300ms")
        found = await bus.client.dead_letters(key, "worker")
    assert len(found) == count, found
    return found


async def story(bus: TestBus) -> List[Event]:
    agents = fleet()
    await bus.add(agents["planner"])
    await bus.publish("goal.set", 4, id="g-1", stream="goals")
    await bus.settle()
    await bus.add(agents["worker"])  # what one does while the other works has no order
    key = "$type:task.*"
    letters = await dead(bus, key, 2)
    assert await bus.client.redrive(key, "worker", letters[0].entry) == 1
    await bus.settle()
    await dead(bus, key, 2)
    assert await bus.client.discard(key, "worker") == 2
    await bus.publish("goal.set", 1, id="g-1", stream="goals")  # it is there already
    bus.crash(agents["worker"], at="emitted")
    await bus.publish("goal.set", 1, id="g-2", stream="goals")
    await bus.until(lambda: agents["worker"].runtime is None)
    for _ in range(100):
        await bus.advance("500ms")
        if await bus.client.query("delivery.failed", filter={"data.error": "the consumer left"}):
            break
    await bus.restart(agents["worker"])
    for _ in range(100):
        await bus.advance("300ms")
        if (await bus.client.group("worker", key)).pending == 0:
            break
    await bus.stop(agents["worker"])
    await bus.stop(agents["planner"])
    return await bus.client.query()


class Fidelity(Case):
    maxDiff = None

    async def test_the_same_record(self) -> None:
        async with TestBus() as bus:
            in_memory = told(await story(bus))
        server = Server()
        self.addCleanup(server.remove)
        async with TestBus(real=server.url) as bus:
            on_server = told(await story(bus))
        self.assertEqual(in_memory, on_server)
        self.assertGreaterEqual(len(in_memory), 30)
