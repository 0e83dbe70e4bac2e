"""Sagas over a server: workers, clients, questions, and what is delivered later."""
from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, Optional

from spoor import (Agent, AsyncClient, Client, Conflict, Context, Decision, Event, NonRetryable,
                   NotFound, Saga, SpoorError, StepContext, Unsupported)
from spoor.testing import TestBus

from .support import ROOT, Case, OnBus, Server

BOOK = {
    "saga": "book",
    "steps": [
        {"name": "qualify", "action": "sales.qualify", "compensate": "sales.unqualify",
         "retry": {"limit": 2, "backoff": "10ms"}},
        {"name": "slot", "action": "calendar.book", "compensate": "calendar.cancel",
         "input": "{lead: .lead, score: .steps.qualify.result.score}",
         "retry": {"limit": 1}},
    ],
    "output": ".steps.slot.result",
}
ASK = {"saga": "ask", "steps": [
    {"name": "confirm", "approval": {"prompt": "Book it?", "choices": ["morning", "evening", "reject"],
                                     "who": ["ann"]}},
    {"name": "book", "action": "calendar.book", "input": "{at: .steps.confirm.result.choice}"}]}


class World:
    """What the workers did, and what is to go wrong."""

    def __init__(self) -> None:
        self.did: List[Any] = []
        self.fail: Dict[str, BaseException] = {}
        self.wait: Optional[asyncio.Event] = None

    def take(self, ctx: StepContext, result: Any) -> Any:
        name = ctx.event.type
        self.did.append((name, ctx.attempt))
        problem = self.fail.get(name)
        if problem is not None:
            if not isinstance(problem, NonRetryable):
                del self.fail[name]
            raise problem
        return result


def agents(world: World) -> Agent:
    agent = Agent("desk")

    @agent.step("sales.qualify")
    async def qualify(event: Event, ctx: StepContext) -> Any:
        return world.take(ctx, {"score": 7})

    @agent.compensate("sales.unqualify")
    async def unqualify(event: Event, ctx: StepContext) -> Any:
        return world.take(ctx, {"was": ctx.result})

    @agent.step("calendar.book")
    async def book(event: Event, ctx: StepContext) -> Any:
        if world.wait is not None:
            world.did.append("waits")
            await world.wait.wait()
        return world.take(ctx, event.data)

    @agent.compensate("calendar.cancel")
    async def cancel(event: Event, ctx: StepContext) -> Any:
        return world.take(ctx, None)

    return agent


class Sagas(Case):
    async def asyncSetUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.remove)

    def bus(self, *agents: Agent) -> TestBus:
        return TestBus(*agents, real=self.server.url)

    async def test_a_saga_completes(self) -> None:
        world = World()
        world.fail["sales.qualify"] = TimeoutError("the CRM is slow")
        async with self.bus(agents(world)) as bus:
            client = bus.client
            told = await client.define_saga(BOOK)
            self.assertFalse(told.get("unchanged"))
            started = await client.start_saga("book", {"lead": "l-1"}, key="l-1", by="ann")
            again = await client.start_saga("book", {"lead": "l-1"}, key="l-1")
            self.assertEqual((again.id, again.known, started.known), (started.id, True, False))
            saga = await client.wait_saga(started.id, timeout="60s")
            self.assertEqual((saga.id, saga.name, saga.status, saga.is_over),
                             (started.id, "book", "completed", True))
            self.assertEqual(saga.result, {"lead": "l-1", "score": 7})
            self.assertEqual(world.did, [("sales.qualify", 1), ("sales.qualify", 2),
                                         ("calendar.book", 1)])
            self.assertEqual(saga.step("qualify")["status"], "completed")
            self.assertEqual(saga.step("slot")["result"], {"lead": "l-1", "score": 7})
            with self.assertRaises(NotFound):
                saga.step("nix")
            self.assertEqual(await client.sagas(name="book"), [])
            answer, = await client.query("calendar.book.completed")
            self.assertEqual(answer.source, "desk")

    async def test_a_saga_undoes_itself(self) -> None:
        world = World()
        world.fail["calendar.book"] = NonRetryable("no slot is free")
        async with self.bus(agents(world)) as bus:
            await bus.client.define_saga(BOOK)
            saga = await bus.run_saga("book", {"lead": "l-1"})
            self.assertEqual(saga.status, "compensated")
            self.assertEqual(saga.error, "no slot is free")
            self.assertEqual([name for name, _ in world.did],
                             ["sales.qualify", "calendar.book", "sales.unqualify"])
            undone, = await bus.client.query("sales.unqualify.completed")
            self.assertEqual(undone.data, {"was": {"score": 7}})

    async def test_a_compensation_that_fails_waits_for_a_person(self) -> None:
        world = World()
        world.fail["calendar.book"] = NonRetryable("no slot is free")
        world.fail["sales.unqualify"] = NonRetryable("the CRM is locked")
        async with self.bus(agents(world)) as bus:
            await bus.client.define_saga(BOOK)
            saga = await bus.run_saga("book", {"lead": "l-1"})
            self.assertEqual((saga.status, saga.waiting_for), ("needs_attention", "operator"))
            listed, = await bus.client.sagas(status="needs_attention")
            self.assertEqual(listed["sagaid"], saga.id)
            with self.assertRaises(SpoorError):
                await bus.client.retry_step(saga.id, "slot")
            del world.fail["sales.unqualify"]
            await bus.client.retry_step(saga.id, by="ann", reason="it is open again")
            saga = await bus.client.wait_saga(saga.id, timeout="60s", for_attention=False)
            self.assertEqual(saga.status, "compensated")
            resolved, = await bus.client.query("saga.attention.resolved")
            self.assertEqual((resolved.data["by"], resolved.data["why"]),
                             ("ann", "it is open again"))

    async def test_what_a_person_did_is_marked_done(self) -> None:
        world = World()
        world.fail["calendar.book"] = NonRetryable("no slot is free")
        async with self.bus(agents(world)) as bus:
            await bus.client.define_saga({**BOOK, "on_failure": "pause"})
            saga = await bus.run_saga("book", {"lead": "l-1"})
            self.assertEqual(saga.status, "needs_attention")
            await bus.client.mark_done(saga.id, "slot", result={"slot": 4}, by="ann", reason="by phone")
            saga = await bus.client.wait_saga(saga.id, timeout="60s")
            self.assertEqual((saga.status, saga.result), ("completed", {"slot": 4}))

    async def test_a_saga_is_cancelled_and_its_worker_hears_it(self) -> None:
        world = World()
        world.wait = asyncio.Event()
        async with self.bus(agents(world)) as bus:
            await bus.client.define_saga(BOOK)
            started = await bus.client.start_saga("book", {"lead": "l-1"})
            await bus.until(lambda: "waits" in world.did)
            await bus.client.cancel_saga(started.id, by="ann", reason="she changed her mind")
            saga = await bus.client.wait_saga(started.id, timeout="60s")
            self.assertEqual(saga.status, "cancelled")
            failed, = await bus.client.query("calendar.book.failed")
            self.assertTrue(failed.data["unknown"])
            # It may have been done: so it is undone, and then what was before it.
            self.assertEqual([each for each in world.did if each != "waits"],
                             [("sales.qualify", 1), ("calendar.cancel", 1), ("sales.unqualify", 1)])

    async def test_a_worker_that_dies_is_followed_by_another(self) -> None:
        world = World()
        agent = agents(world)
        async with self.bus(agent) as bus:
            await bus.client.define_saga(BOOK)
            bus.crash(agent, at="handler.begin", what="calendar.book")
            started = await bus.client.start_saga("book", {"lead": "l-1"})
            await bus.until(lambda: agent.runtime is None)
            await bus.restart(agent)
            saga = await bus.client.wait_saga(started.id, timeout="60s")
            self.assertEqual(saga.status, "completed")
            self.assertEqual(saga.step("slot")["attempts"], 1)

    async def test_a_saga_asks_and_a_person_decides(self) -> None:
        async with self.bus(agents(World())) as bus:
            client = bus.client
            await client.define_saga(ASK)
            started = await client.start_saga("ask", {})
            while not await client.approvals(who="ann"):
                await asyncio.sleep(0.02)
            asked, = await client.approvals()
            self.assertEqual((asked["sagaid"], asked["prompt"]), (started.id, "Book it?"))
            with self.assertRaises(SpoorError):
                await client.approve(started.id, choice="noon", by="ann")
            with self.assertRaises(SpoorError):
                await client.approve(started.id, choice="evening", by="eve")
            await client.approve(asked["id"], choice="evening", by="ann", reason="it is quiet")
            saga = await client.wait_saga(started.id, timeout="60s")
            self.assertEqual(saga.step("book")["result"], {"at": "evening"})
            with self.assertRaises(SpoorError):
                await client.reject(asked["id"], by="ann")
            self.assertEqual(await client.approvals(), [])

    async def test_a_saga_is_forked_at_a_step(self) -> None:
        world = World()
        world.fail["calendar.book"] = NonRetryable("no slot is free")
        async with self.bus(agents(world)) as bus:
            await bus.client.define_saga({**BOOK, "on_failure": "pause"})
            saga = await bus.run_saga("book", {"lead": "l-1"})
            world.fail.clear()
            world.did.clear()
            fork = await bus.client.fork_saga(saga.id, "slot", by="ann")
            again = await bus.client.wait_saga(fork.id, timeout="60s")
            self.assertEqual((again.status, world.did), ("completed", [("calendar.book", 1)]))
            self.assertNotEqual(again.id, saga.id)

    async def test_definitions(self) -> None:
        async with AsyncClient(self.server.url, source="test") as client:
            path = ROOT / "examples" / "sagas" / "book-demo.yaml"
            told = await client.define_saga(path)
            self.assertEqual((told["name"] if "name" in told else told["saga"]), "book-demo")
            self.assertTrue((await client.define_saga(path.read_text("utf-8")))["unchanged"])
            with self.assertRaisesRegex(SpoorError, "no `steps`"):
                await client.define_saga({"saga": "bad", "stepz": []})
            with self.assertRaises(NotFound):
                await client.start_saga("nix")
            with self.assertRaises(NotFound):
                await client.wait_saga("nix")

    async def test_joins_and_schedules(self) -> None:
        async with AsyncClient(self.server.url, source="test") as client:
            await client.define_join({
                "join": "onboarding", "of": ["provisioning.completed", "crm.created"],
                "need": "all", "key": "data.customer", "window": "1h",
                "emit": {"type": "onboarding.complete", "data": "{customer: .key}"}})
            self.assertEqual([each.get("name") or each.get("join") for each in
                              await client.joins()], ["onboarding"])
            for type_ in ("crm.created", "provisioning.completed", "crm.created"):
                await client.publish(type_, {"customer": "c-1"})
            async for event in client.subscribe("onboarding.complete", from_=1):
                self.assertEqual(event.data, {"customer": "c-1"})
                break
            await client.remove_join("onboarding")
            self.assertEqual(await client.joins(), [])
            await client.define_schedule({"schedule": "often", "every": "1s",
                                          "emit": {"type": "tick"}})
            self.assertEqual(len(await client.schedules()), 1)
            async for event in client.subscribe("tick", from_=1):
                break
            await client.remove_schedule("often")
            self.assertEqual(await client.schedules(), [])


class Later(Case):
    async def asyncSetUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.remove)

    async def test_an_event_is_delivered_later(self) -> None:
        async with AsyncClient(self.server.url, source="test") as client:
            soon = await client.publish("mail.due", {"n": 1}, id="m-1", delay="300ms")
            self.assertEqual(soon.id, "m-1")
            self.assertEqual(await client.query("mail.due"), [])
            async for event in client.subscribe("mail.due", from_=1):
                self.assertEqual((event.id, event.data, event.source), ("m-1", {"n": 1}, "test"))
                break
            late = datetime.now(timezone.utc) + timedelta(days=1)
            await client.publish("mail.due", {"n": 2}, id="m-2", deliver_at=late)
            waiting, = await client.timers()
            self.assertEqual(waiting["id"], "m-2")
            await client.cancel_timer("m-2", by="ann", reason="no need")
            self.assertEqual(await client.timers(), [])
            with self.assertRaises(NotFound):
                await client.cancel_timer("m-2")
            past = datetime.now(timezone.utc) - timedelta(days=1)
            await client.publish("mail.due", {"n": 3}, id="m-3", deliver_at=past)
            self.assertEqual(len(await client.query("mail.due")), 2)

    async def test_what_is_no_time(self) -> None:
        async with AsyncClient(self.server.url, source="test") as client:
            with self.assertRaises(ValueError):
                await client.publish("x", deliver_at="2030-01-01T00:00:00Z", delay="1s")
            with self.assertRaises(ValueError):
                await client.publish("x", deliver_at=datetime(2030, 1, 1))
            with self.assertRaises(SpoorError):
                await client.publish("x", deliver_at="tomorrow, maybe")

    async def test_the_bus_of_tests_has_none(self) -> None:
        async with TestBus() as bus:
            with self.assertRaises(Unsupported):
                await bus.client.publish("x", delay="1s")
            with self.assertRaises(Unsupported):
                await bus.client.start_saga("x")


class Questions(OnBus, Case):
    def agent(self, got: List[Any], **options: Any) -> Agent:
        agent = Agent("assistant")

        @agent.on("demo.wanted")
        async def book(event: Event, ctx: Context) -> None:
            said = await ctx.ask("Book the demo?", choices=["morning", "evening", "reject"],
                                 data={"lead": event.data}, **options)
            got.append(said)
            await ctx.emit("demo.decided", {"granted": bool(said), "choice": said.choice})

        return agent

    async def first(self, client: AsyncClient, type_: str) -> Event:
        async for event in client.subscribe(type_, from_=1):
            return event
        raise AssertionError

    async def test_a_question_outlives_the_agent(self) -> None:
        got: List[Decision] = []
        agent = self.agent(got)
        async with self.bus(agent) as bus:
            bus.crash(agent, at="asked")
            await bus.publish("demo.wanted", "l-1")
            await bus.until(lambda: agent.runtime is None)
            asked = await self.first(bus.client, "action.proposed")
            self.assertEqual((asked.source, asked.data["prompt"], asked.data["data"]),
                             ("assistant", "Book the demo?", {"lead": "l-1"}))
            listed, = await bus.client.approvals()
            self.assertEqual((listed["id"], listed["prompt"], listed["choices"]),
                             (asked.id, "Book the demo?", ["morning", "evening", "reject"]))
            await bus.restart(agent)
            with self.assertRaises(SpoorError):
                await bus.client.approve(asked.id, choice="noon", by="ann")
            await bus.client.approve(asked.id, choice="evening", by="ann", reason="it is quiet")
            if not self.real:
                await bus.advance("5s")
            told = await self.first(bus.client, "demo.decided")
            self.assertEqual(told.data, {"granted": True, "choice": "evening"})
            self.assertEqual((got[0].by, got[0].reason, got[0].expired),
                             ("ann", "it is quiet", False))
            self.assertEqual(len(await bus.client.query("action.proposed")), 1)
            self.assertEqual(await bus.client.approvals(), [])
            with self.assertRaises(Conflict):
                await bus.client.reject(asked.id, by="eve")
            self.assertEqual((await bus.client.decision(asked.id, timeout="60s")).choice, "evening")

    async def test_decisions_as_events(self) -> None:
        async with self.bus() as bus:
            asked = await bus.client.propose("Go?", choices=["a", "b", "reject"], who=["ann"])
            for type_, data in (("action.approved", {"choice": "c", "by": "ann"}),
                                ("action.approved", {"choice": "a", "by": "eve"}),
                                ("action.approved", {"by": "ann", "data": {"x": 1}}),
                                ("action.vetoed", {"by": "ann"})):
                await bus.publish(type_, data, causationid=asked.id)
            other = await bus.client.propose("Sure?")
            await bus.publish("action.vetoed", {"reason": "no"}, causationid=other.id)
            while len(found := await bus.client.query(stream="$approvals")) < 5:
                await asyncio.sleep(0.01)
            self.assertEqual([(each.type, each.data.get("reason"), each.get("proposalposition"))
                              for each in found], [
                ("approval.ignored", "unknown_choice", asked.position),
                ("approval.ignored", "not_allowed", asked.position),
                ("approval.granted", None, asked.position),
                ("approval.ignored", "duplicate", asked.position),
                ("approval.rejected", "no", other.position)])
            self.assertEqual(found[2].data["choice"], "a")
            self.assertEqual(found[3].data["first"], {"choice": "a", "by": "ann"})
            self.assertEqual((await bus.client.decision(asked.id)).data, {"x": 1})


class QuestionsOnServer(Questions):
    real = True


class Time(Case):
    """In memory: time goes by at once."""

    async def test_a_question_that_nobody_answers(self) -> None:
        for on_timeout, granted, choice in (("reject", False, "reject"), ("approve", True, "morning"),
                                            (None, False, None)):
            got: List[Decision] = []
            agent = Questions().agent(got, timeout="10m", on_timeout=on_timeout)
            async with TestBus(agent) as bus:
                await bus.publish("demo.wanted", "l-1")
                await bus.advance("9m")
                self.assertEqual(got, [])
                await bus.advance("2m")
                self.assertEqual([(each.granted, each.choice, each.expired) for each in got],
                                 [(granted, choice, True)])

    async def test_it_is_escalated(self) -> None:
        async with TestBus() as bus:
            asked = await bus.client.propose("Go?", who=["ann"],
                                             escalate={"after": "1h", "to": ["bob"]})
            with self.assertRaises(SpoorError):
                await bus.client.approve(asked.id, by="bob")
            await bus.advance("61m")
            self.assertEqual(len(await bus.client.approvals(who="bob")), 1)
            self.assertEqual(await bus.client.approvals(who="eve"), [])
            await bus.client.approve(asked.id, by="bob")
            self.assertEqual((await bus.client.decision(asked.id)).by, "bob")


class Asking(Case):
    async def asyncSetUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.remove)

    async def test_a_program_asks(self) -> None:
        async with AsyncClient(self.server.url, source="test") as client:
            asked = await client.propose("Deploy?", timeout="200ms", on_timeout="reject", id="p-1")
            again = await client.propose("Deploy?", timeout="200ms", on_timeout="reject", id="p-1")
            self.assertEqual((asked.duplicate, again.duplicate), (False, True))
            said = await client.decision("p-1", timeout="60s")
            self.assertFalse(said)
            self.assertTrue(said.expired)
            waits = await client.propose("Really?", who=["ann"])
            with self.assertRaises(asyncio.TimeoutError):
                await client.decision(waits.id, timeout="100ms")
            with self.assertRaises(NotFound):
                await client.decision("nix")
            await client.reject(waits.id, by="ann", reason="no")
            said = await client.decision(waits.id, timeout="60s")
            self.assertEqual((said.granted, said.by, said.reason, said.expired),
                             (False, "ann", "no", False))


class Plain(Case):
    def test_the_same_methods(self) -> None:
        server = Server()
        self.addCleanup(server.remove)
        with Client(server.url, source="plain") as client:
            client.define_saga({"saga": "wait", "steps": [{"name": "w", "wait": "1h"}]})
            started = client.start_saga("wait", {"n": 1}, key="k")
            self.assertTrue(client.start_saga("wait", {"n": 1}, key="k").known)
            self.assertEqual([each["sagaid"] for each in client.sagas()], [started.id])
            self.assertEqual(client.saga(started.id).waiting_for, "timer")
            client.cancel_saga(started.id, reason="enough")
            saga: Saga = client.wait_saga(started.id, timeout="60s")
            self.assertEqual(saga.status, "cancelled")
            asked = client.propose("Go?")
            self.assertEqual([each["id"] for each in client.approvals()], [asked.id])
            client.approve(asked.id, by="ann")
            self.assertTrue(client.decision(asked.id, timeout="60s"))
            client.publish("x", delay="1h", id="later")
            client.cancel_timer("later")
            self.assertEqual(client.timers(), [])
            client.publish("y", 1, id="y1", correlationid="run")
            self.assertEqual(client.fork_run("run", "y1", id="two").run, "two")
            with self.assertRaises(Conflict):
                client.resume_run("run")
