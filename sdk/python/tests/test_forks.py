"""Forks and resumed runs: what agents run again, what they are given, and what they never repeat."""
from __future__ import annotations

import asyncio
from typing import Any, Dict, List, Optional

from spoor import Agent, Conflict, Context, Event, NotFound, StepUnknown, SyncContext
from spoor.testing import TestBus

from .support import SOON, Case, Server, called


class World:
    """What the steps of an agent did, and what is to go wrong."""

    def __init__(self) -> None:
        self.ran: List[str] = []
        self.fail: Optional[str] = None
        self.die: Optional[str] = None
        self.hang: "Optional[asyncio.Event]" = None

    def take(self, name: str) -> str:
        self.ran.append(name)
        if self.fail == name:
            raise RuntimeError(f"{name} failed")
        if self.die == name:
            raise asyncio.CancelledError
        return f"{name} {len(self.ran)}"


def shop(world: World) -> Agent:
    """Three steps, of which the last is irreversible; an emit between them, which another agent
    (of the same name, in the same process) handles with an irreversible step of its own."""
    agent = Agent("shop")

    @agent.on("order.placed", retry=SOON)
    async def fulfil(event: Event, ctx: Context) -> None:
        one = await ctx.step("reserve", lambda: world.take("reserve"))
        await ctx.emit("mail.asked", {"for": one})
        two = await ctx.step("pack", lambda: world.take("pack"))
        three = await ctx.step("charge", lambda: world.take("charge"), irreversible=True)
        await ctx.emit("order.done", {"did": [one, two, three]})

    @agent.on("mail.asked", retry=SOON)
    def mail(event: Event, ctx: SyncContext) -> None:
        sent = ctx.step("send", lambda: world.take("send"), irreversible=True)
        ctx.emit("mail.sent", sent)

    return agent


class Forks(Case):
    async def asyncSetUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.remove)

    def bus(self, agent: Agent) -> TestBus:
        return TestBus(agent, real=self.server.url)

    async def step(self, bus: TestBus, name: str, run: str = "run",
                   type_: str = "agent.step.completed") -> Event:
        found = await bus.client.query(type_, correlation=run, filter={"data.step": name})
        return found[-1]

    async def data(self, bus: TestBus, type_: str, run: str) -> Any:
        found = await bus.client.query(type_, correlation=run)
        return [event.data for event in found if event.correlationid == run]

    async def test_what_was_recorded_up_to_the_point_is_not_run_again(self) -> None:
        world = World()
        async with self.bus(shop(world)) as bus:
            await bus.publish("order.placed", {"n": 1}, correlationid="run")
            await bus.settle()
            done, = await self.data(bus, "order.done", "run")
            self.assertEqual(sorted(world.ran), ["charge", "pack", "reserve", "send"])
            world.ran.clear()
            fork = await bus.client.fork_run("run", (await self.step(bus, "reserve")).id, id="two",
                                             by="ann", reason="another box")
            await bus.settle()
            # The irreversible ones stand behind the point, and are not repeated for all that.
            self.assertEqual(world.ran, ["pack"])
            again, = await self.data(bus, "order.done", "two")
            self.assertEqual(again["did"], [done["did"][0], "pack 1", done["did"][2]])
            self.assertEqual(await self.data(bus, "mail.sent", "two"),
                             await self.data(bus, "mail.sent", "run"))
            types = [event.type for event in await bus.client.query(correlation="two")]
            self.assertEqual(types[:3], ["order.placed", "agent.step.completed", "run.forked"])
            self.assertEqual((fork.run, fork.event_position), ("two", fork.position + 1))
            # A fork of the fork, behind its own step: that is given, and nothing runs at all.
            world.ran.clear()
            await bus.client.fork_run("two", (await self.step(bus, "pack", "two")).position,
                                      id="three")
            await bus.settle()
            self.assertEqual(world.ran, [])
            self.assertEqual((await self.data(bus, "order.done", "three"))[0], again)
            # And one from the very event runs all that may be repeated.
            order, = await bus.client.query("order.placed", correlation="run")
            await bus.client.fork_run("run", order.id, id="four")
            await bus.settle()
            self.assertEqual(world.ran, ["reserve", "pack"])

    async def test_a_resumed_run_goes_on_with_the_step_that_failed(self) -> None:
        world = World()
        world.fail = "pack"
        agent = shop(world)
        async with self.bus(agent) as bus:
            with self.assertRaises(NotFound):
                await bus.client.resume_run("run")
            await bus.publish("order.placed", {"n": 1}, correlationid="run")
            await bus.until(lambda: len(agent.handler("fulfil").calls) >= 3)
            await bus.settle()
            self.assertEqual([name for name in world.ran if name != "send"],
                             ["reserve", "pack", "pack", "pack"])
            world.fail = None
            world.ran.clear()
            self.assertEqual(await bus.client.resume_run("run"), 1)
            await called(bus, agent, "fulfil", 4)
            self.assertEqual(world.ran, ["pack", "charge"])
            self.assertEqual(len(await self.data(bus, "order.done", "run")), 1)
            self.assertEqual(len(await self.data(bus, "mail.asked", "run")), 1)
            with self.assertRaises(Conflict):
                await bus.client.resume_run("run")

    async def test_an_irreversible_step_that_failed_may_be_tried_again(self) -> None:
        world = World()
        world.fail = "charge"
        agent = shop(world)
        async with self.bus(agent) as bus:
            await bus.publish("order.placed", {"n": 1}, correlationid="run")
            await bus.until(lambda: len(agent.handler("fulfil").calls) >= 3)
            await bus.settle()
            self.assertEqual(world.ran.count("charge"), 3)
            failed = await bus.client.query("agent.step.failed", correlation="run")
            self.assertEqual([event.data["try"] for event in failed], [1, 2, 3])
            self.assertEqual(failed[0].data["error"], "RuntimeError: charge failed")
            world.fail = None
            await bus.client.resume_run("run")
            await called(bus, agent, "fulfil", 4)
            self.assertEqual((await self.step(bus, "charge")).data["irreversible"], True)

    async def test_what_nobody_knows_is_not_repeated(self) -> None:
        world = World()
        world.die = "charge"
        agent = shop(world)
        async with self.bus(agent) as bus:
            await bus.publish("order.placed", {"n": 1}, correlationid="run")
            await bus.until(lambda: world.ran.count("charge") == 1)
            await bus.until(lambda: len(agent.handler("mail").calls) == 1)  # it is not in the middle
            bus.crash(agent)  # and with it the handling that ended in the middle
            world.die = None
            await bus.restart(agent)
            await bus.until(lambda: any(isinstance(call.error, StepUnknown)
                                        for call in agent.handler("fulfil").calls))
            await bus.settle()
            started = await self.step(bus, "charge", type_="agent.step.started")
            error = next(call.error for call in agent.handler("fulfil").calls
                         if isinstance(call.error, StepUnknown))
            self.assertEqual((error.step, error.event.id), ("charge", started.id))
            self.assertIn(started.id, str(error))
            letter, = await bus.client.dead_letters("$type:order.placed", "shop")
            self.assertIn("StepUnknown: step 'charge' is irreversible", letter.error)
            # Neither a fork nor a resume repeats it.
            await bus.client.fork_run("run", (await self.step(bus, "pack")).id, id="two")
            await bus.client.resume_run("run")
            await bus.settle()
            self.assertEqual(world.ran.count("charge"), 1)
            letters = await bus.client.dead_letters("$type:order.placed", "shop")
            self.assertEqual(len(letters), 2)
            # Until somebody says what came of it.
            with self.assertRaises(ValueError):
                await bus.client.settle_step(letters[0].event.id if letters[0].event else "")
            await bus.client.settle_step(started.id, result="receipt 7")
            for run in ("run", "two"):
                self.assertEqual(await bus.client.resume_run(run), 1)
            await bus.settle()
            for run in ("run", "two"):
                done, = await self.data(bus, "order.done", run)
                self.assertEqual(done["did"][2], "receipt 7")
            self.assertEqual(world.ran.count("charge"), 1)

    async def test_what_did_not_happen_may_be_tried_again(self) -> None:
        world = World()
        world.die = "charge"
        agent = shop(world)
        async with self.bus(agent) as bus:
            await bus.publish("order.placed", {"n": 1}, correlationid="run")
            await bus.until(lambda: world.ran.count("charge") == 1)
            await bus.until(lambda: len(agent.handler("mail").calls) == 1)  # it is not in the middle
            bus.crash(agent)
            world.die = None
            await bus.restart(agent)
            await bus.until(lambda: any(isinstance(call.error, StepUnknown)
                                        for call in agent.handler("fulfil").calls))
            await bus.settle()
            started = await self.step(bus, "charge", type_="agent.step.started")
            await bus.client.settle_step(started.id, failed="the bank has no trace of it")
            await bus.client.resume_run("run")
            await bus.settle()
            self.assertEqual(world.ran.count("charge"), 2)
            self.assertEqual(len(await self.data(bus, "order.done", "run")), 1)


class Emitting(Case):
    """In memory: what the store does of a fork is done here by hand."""

    async def test_a_forked_emit_names_its_original(self) -> None:
        world = World()
        async with TestBus(shop(world)) as bus:
            first = await bus.publish("order.placed", {"n": 1}, correlationid="run")
            await bus.settle()
            reserve, = await bus.client.query("agent.step.completed",
                                              filter={"data.step": "reserve"})
            extensions: Dict[str, Any] = {"forkedfrom": first.id,
                                          "forkposition": reserve.position}
            await bus.publish("order.placed", {"n": 1}, correlationid="two", **extensions)
            await bus.settle()
            asked, forked = await bus.client.query("mail.asked")
            self.assertIsNone(asked.get("forkedfrom"))
            self.assertEqual((forked.get("forkedfrom"), forked.get("forkposition")),
                             (asked.id, str(reserve.position)))
            self.assertEqual(world.ran.count("send"), 1)
            self.assertEqual(world.ran.count("reserve"), 1)
            self.assertEqual(world.ran.count("pack"), 2)
