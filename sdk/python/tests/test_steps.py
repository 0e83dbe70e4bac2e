"""Workers of sagas' steps, on commands that a test gives them: in memory and on a server."""
from __future__ import annotations

import asyncio
from typing import Any, Dict, List, Optional

from spoor import (Agent, Event, NonRetryable, Retry, StepCancelled, StepContext, SyncStepContext)
from spoor.ids import answer_id
from spoor.testing import TestBus, command

from .support import Case, OnBus, called

SAGA = "00000000-0000-7000-8000-000000000001"


def sales(ran: Optional[List[Any]] = None) -> Agent:
    agent = Agent("sales")
    ran = [] if ran is None else ran

    @agent.step("sales.qualify_lead")
    async def qualify(event: Event, ctx: StepContext) -> Any:
        ran.append((ctx.idempotency_key, ctx.attempt, ctx.step_name, ctx.saga_id))
        if event.data == "broken":
            raise NonRetryable("no such lead")
        if event.data == "slow":
            raise TimeoutError("the CRM is slow")
        if event.data == "odd":
            return object()
        if event.data == "large":
            return "x" * 1_200_000
        return {"score": 7}

    @agent.compensate("sales.unqualify_lead")
    def unqualify(event: Event, ctx: SyncStepContext) -> Any:
        ran.append((ctx.input, ctx.result, ctx.error))

    return agent


class Answers(OnBus, Case):
    async def answers(self, bus: TestBus) -> List[Event]:
        return await bus.client.query("sales.*.*")

    async def test_what_is_returned_is_the_result(self) -> None:
        ran: List[Any] = []
        async with self.bus(sales(ran)) as bus:
            given = command("sales.qualify_lead", {"lead": 1}, step="book/qualify", attempt=2)
            await bus.when(given).then_emits([("sales.qualify_lead.completed", {"score": 7})])
            found, = await self.answers(bus)
            self.assertEqual((found.source, found.causationid, found.correlationid, found.stream),
                             ("sales", given.id, SAGA, "sales"))
            self.assertEqual(found.id, answer_id("test", given.id, "sales"))
            self.assertEqual(ran, [(f"{SAGA}/book/qualify", 2, "book/qualify", SAGA)])

    async def test_what_is_raised_is_the_failure(self) -> None:
        async with self.bus(sales()) as bus:
            for number, (data, wanted) in enumerate((
                    ("slow", {"error": "TimeoutError: the CRM is slow", "retryable": True}),
                    ("broken", {"error": "no such lead", "retryable": False}),
                    ("odd", {"error": "the result: not JSON: Object of type object is not JSON "
                                      "serializable", "retryable": False}))):
                await bus.when(command("sales.qualify_lead", data, step=f"s{number}")).then_emits(
                    [("sales.qualify_lead.failed", wanted)])
            found = await bus.when(command("sales.qualify_lead", "large", step="l")).then_emits(
                ["sales.qualify_lead.failed"])
            self.assertFalse(found[0].data["retryable"])
            self.assertIn("the result was refused", found[0].data["error"])
            errors = [call.error for call in bus._agents[0].handler("sales.qualify_lead").calls]
            self.assertIsInstance(errors[0], TimeoutError)
            group = await bus.client.group("sales", "$type:sales.qualify_lead")
            self.assertEqual((group.pending, group.dead), (0, 0))

    async def test_what_a_worker_gives_up_on(self) -> None:
        agent = Agent("a")

        @agent.step("job.run", retry=Retry(give_up_on=(KeyError,)))
        def run(event: Event, ctx: SyncStepContext) -> Any:
            return event.data["there"]

        async with self.bus(agent) as bus:
            await bus.when(command("job.run", {})).then_emits(
                [("job.run.failed", {"error": "KeyError: 'there'", "retryable": False})])

    async def test_a_compensation_has_what_it_is_to_undo(self) -> None:
        ran: List[Any] = []
        async with self.bus(sales(ran)) as bus:
            await bus.when(command("sales.unqualify_lead", {
                "input": {"lead": 1}, "result": {"score": 7}, "error": None},
                compensates=True)).then_emits([("sales.unqualify_lead.completed", None)])
            self.assertEqual(ran, [({"lead": 1}, {"score": 7}, None)])

    async def test_a_command_that_is_handed_out_again_is_answered_once(self) -> None:
        ran: List[Any] = []
        agent = sales(ran)
        async with self.bus(agent) as bus:
            bus.crash(agent, at="handler.done")
            await bus.publish_event(command("sales.qualify_lead", {"lead": 1}))
            await bus.until(lambda: agent.runtime is None)
            await bus.restart(agent)
            await bus.advance("5s")
            await bus.settle()
            await called(bus, agent, "sales.qualify_lead", 1)
            self.assertEqual(len(await self.answers(bus)), 1)
            self.assertEqual(len(ran), 1)
            self.assertIn("it is answered already", self.logs.text())

    async def test_once_at_most_is_not_begun_again(self) -> None:
        ran: List[Any] = []
        agent = sales(ran)
        async with self.bus(agent) as bus:
            bus.crash(agent, at="handler.begin")
            await bus.publish_event(command("sales.qualify_lead", {}, semantics="at_most_once"))
            await bus.until(lambda: agent.runtime is None)
            await bus.restart(agent)
            await bus.advance("5s")
            await called(bus, agent, "sales.qualify_lead", 1)
            self.assertEqual((ran, await self.answers(bus)), ([], []))

    async def test_a_new_worker_takes_what_waits_already(self) -> None:
        async with self.bus() as bus:
            await bus.publish_event(command("sales.qualify_lead", {}))
            await bus.add(sales())
            await bus.settle()
            self.assertEqual(len(await self.answers(bus)), 1)

    async def test_what_is_emitted_and_recorded_counts_over_all_attempts(self) -> None:
        agent = Agent("shop")
        charged: List[int] = []

        @agent.step("shop.charge")
        async def charge(event: Event, ctx: StepContext) -> Dict[str, Any]:
            async def pay() -> int:
                charged.append(1)
                return len(charged)

            receipt = await ctx.step("charge", pay)
            await ctx.emit("charged", {"receipt": receipt})
            if ctx.attempt == 1:
                raise RuntimeError("the printer is on fire")
            return {"receipt": receipt}

        async with self.bus(agent) as bus:
            await bus.when(command("shop.charge", 5)).then_emits(
                [("charged", {"receipt": 1}), "shop.charge.failed"])
            await bus.when(command("shop.charge", 5, attempt=2)).then_emits(
                [("shop.charge.completed", {"receipt": 1})])
            self.assertEqual(charged, [1])


class Overtaken(Case):
    """In memory: on a server nobody but the store writes to a saga's stream."""

    async def test_what_was_overtaken_is_not_run(self) -> None:
        ran: List[Any] = []
        agent = sales(ran)
        first = command("sales.qualify_lead", {}, step="one")
        async with TestBus() as bus:
            await bus.publish_event(first)
            for step in ("two", "three"):
                await bus.publish_event(command("sales.qualify_lead", {}, step=step))
            await bus.publish("saga.step.timed_out", {"step": "one", "attempt": 1},
                              stream=f"saga:{SAGA}")
            await bus.publish("saga.step.compensated", {"step": "two", "attempt": 1},
                              stream=f"saga:{SAGA}")
            await bus.advance("10s")
            await bus.add(agent)
            await bus.settle()
            self.assertEqual([each[2] for each in ran], ["two", "three"])


class Cancelling(OnBus, Case):
    async def cancel(self, bus: TestBus, given: Any, reason: str = "another step failed") -> None:
        await bus.publish("saga.step.cancelled", {"step": "step", "attempt": 1, "reason": reason,
                                                  "command": given.id}, causationid=given.id)

    async def test_a_coroutine_is_cancelled_at_once(self) -> None:
        agent = Agent("slow")
        begun = asyncio.Event()
        how: Dict[str, Any] = {}

        @agent.step("slow.think")
        async def think(event: Event, ctx: StepContext) -> Any:
            begun.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                how["seen"] = ctx.cancelled.is_set()
                if event.data == "clean":
                    raise NonRetryable("stopped before anything was done") from None
                if event.data == "done":
                    return "done in time"
                raise

        wanted = {
            "dirty": ("failed", {"error": "StepCancelled: cancelled: another step failed",
                                 "retryable": False, "unknown": True}),
            "clean": ("failed", {"error": "stopped before anything was done", "retryable": False}),
            "done": ("completed", "done in time")}
        async with self.bus(agent) as bus:
            for number, (data, (outcome, answer)) in enumerate(wanted.items(), 1):
                begun.clear()
                given = command("slow.think", data, step=data)
                await bus.publish_event(given)
                await asyncio.wait_for(begun.wait(), 60)
                await self.cancel(bus, given)
                await called(bus, agent, "slow.think", number)
                await bus.settle()
                found, = await bus.client.query("slow.think.*", filter={"causationid": given.id})
                self.assertEqual((found.type, found.data), (f"slow.think.{outcome}", answer))
                self.assertTrue(how["seen"])

    async def test_a_plain_function_is_told(self) -> None:
        agent = Agent("slow")
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        @agent.step("slow.dig")
        def dig(event: Event, ctx: SyncStepContext) -> Any:
            loop.call_soon_threadsafe(begun.set)
            if not ctx.cancelled.wait(60):
                return "never cancelled"
            raise StepCancelled("half of it is dug")

        async with self.bus(agent) as bus:
            given = command("slow.dig")
            await bus.publish_event(given)
            await asyncio.wait_for(begun.wait(), 60)
            await self.cancel(bus, given)
            await bus.until(lambda: len(agent.handler("slow.dig").calls) >= 1)
            await bus.settle()
            found, = await bus.client.query("slow.dig.*")
            self.assertEqual((found.type, found.data["error"], found.data["unknown"]),
                             ("slow.dig.failed", "StepCancelled: half of it is dug", True))

    async def test_what_is_cancelled_before_it_begins_is_not_begun(self) -> None:
        agent = Agent("slow", concurrency=1)
        begun, go = asyncio.Event(), asyncio.Event()
        ran: List[Any] = []

        @agent.step("slow.think")
        async def think(event: Event, ctx: StepContext) -> None:
            ran.append(event.data)
            begun.set()
            await go.wait()

        async with self.bus(agent) as bus:
            await bus.publish_event(command("slow.think", "first", step="first"))
            await asyncio.wait_for(begun.wait(), 60)
            second = command("slow.think", "second", step="second")
            await bus.publish_event(second)
            await self.cancel(bus, second, "a person said so")
            await bus.until(lambda: agent.runtime is not None
                            and agent.runtime.live.was_cancelled(second.id) is not None)
            go.set()
            await called(bus, agent, "slow.think", 2)
            self.assertEqual(ran, ["first"])
            found, = await bus.client.query("slow.think.failed")
            self.assertEqual(found.data, {"error": "cancelled before it began: a person said so",
                                          "retryable": False})


class AnswersOnServer(Answers):
    real = True


class CancellingOnServer(Cancelling):
    real = True
