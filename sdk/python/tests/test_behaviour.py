"""What agents do, on the bus in memory and on a server: the same tests, one argument changed."""
from __future__ import annotations

import asyncio
import json
import os
import tempfile
from typing import Any, Dict, List, Set, Tuple

from spoor import Agent, Context, Event, NonRetryable, Retry, RetryAfter, SyncContext
from spoor.ids import emit_id
from spoor.testing import TestBus

from .support import SOON, Case, OnBus, Server, called, data_of


def reviewer(**options: Any) -> Agent:
    agent = Agent("reviewer")

    @agent.on("code.committed", **options)
    async def review(event: Event, ctx: Context) -> None:
        await ctx.emit("review.done", {"commit": event.data["commit"], "risk": "low"})

    return agent


class Emits(OnBus, Case):
    async def test_given_when_then(self) -> None:
        async with self.bus(reviewer()) as bus:
            await bus.given([("code.committed", {"commit": "a"})]).when(
                ("code.committed", {"commit": "b"})).then_emits(
                    [("review.done", {"commit": "b", "risk": "low"})])
            await bus.when("code.deleted").then_nothing()
            with self.assertRaisesRegex(AssertionError, "review.done of reviewer"):
                await bus.when(("code.committed", {"commit": "c"})).then_nothing()
            self.assertEqual([call.event.data["commit"] for call in
                              bus._agents[0].handler("review").calls], ["a", "b", "c"])

    async def test_an_emit_is_caused_by_the_event_and_of_its_run(self) -> None:
        async with self.bus(reviewer()) as bus:
            first = await bus.publish("code.committed", {"commit": "a"}, correlationid="run-1")
            await bus.settle()
            done, = await bus.client.query("review.done")
            self.assertEqual((done.source, done.stream, done.correlationid, done.causationid),
                             ("reviewer", "reviewer", "run-1", first.id))
            self.assertEqual(done.id, emit_id("test", first.id, "reviewer", "review", "", 1))
            self.assertEqual([each.id for each in await bus.client.why(done.id)],
                             [done.id, first.id])
            self.assertEqual(await bus.story(first.id),
                             "code.committed test\n  review.done reviewer")

    async def test_a_chain_of_agents(self) -> None:
        deployer = Agent("deployer")

        @deployer.on("review.*", filter={"data.risk": "low"})
        async def deploy(event: Event, ctx: Context) -> None:
            await ctx.emit("deploy.done", stream=f"service-{event.data['commit']}",
                           metadata={"by": ctx.handler}, colour="blue")

        async with self.bus(reviewer(), deployer) as bus:
            found = await bus.when(("code.committed", {"commit": "a"})).then_emits(
                ["review.done", {"type": "deploy.done", "source": "deployer",
                                 "stream": "service-a", "colour": "blue"}])
            self.assertEqual(found[1].metadata, {"by": "deploy"})
            self.assertEqual(found[1].data, None)

    async def test_a_retry_emits_nothing_twice(self) -> None:
        agent = Agent("a")

        @agent.on("job", retry=SOON)
        async def work(event: Event, ctx: Context) -> None:
            await ctx.emit("one", {"attempt": ctx.attempt})
            if ctx.attempt < 3:
                raise RuntimeError(f"attempt {ctx.attempt}")
            await ctx.emit("two")

        async with self.bus(agent) as bus:
            await bus.when("job").then_emits([("one", {"attempt": 1})])
            await bus.advance("2s")
            await called(bus, agent, "work", 3)
            self.assertEqual([each.type for each in await bus.events()], ["job", "one", "two"])
            calls = agent.handler("work").calls
            self.assertEqual([call.attempt for call in calls], [1, 2, 3])
            self.assertEqual(str(calls[0].error), "attempt 1")
            self.assertIsNone(calls[2].error)
            self.assertIn("work failed on job, attempt 2", self.logs.text())

    async def test_what_is_handed_out_twice_is_emitted_once(self) -> None:
        agent = reviewer()
        async with self.bus(agent) as bus:
            bus.duplicate()
            await bus.publish("code.committed", {"commit": "a"})
            await bus.until(lambda: len(agent.handler("review").calls) >= 2)
            bus.duplicate(False)
            await bus.settle()
            self.assertEqual(len(await bus.client.query("review.done")), 1)

    async def test_a_plain_publish_is_repeated(self) -> None:
        agent = Agent("a")

        @agent.on("job", retry=SOON)
        async def work(event: Event, ctx: Context) -> None:
            await ctx.publish("said", ctx.attempt)
            if ctx.attempt == 1:
                raise RuntimeError("once more")

        async with self.bus(agent) as bus:
            await bus.publish("job")
            await bus.advance("1s")
            await called(bus, agent, "work", 2)
            found = await bus.client.query("said")
            self.assertEqual([each.data for each in found], [1, 2])
            self.assertEqual(found[0].source, "a")
            self.assertIsNone(found[0].causationid)


class Steps(OnBus, Case):
    def agent(self, ran: List[str]) -> Agent:
        agent = Agent("shop")

        @agent.on("order.placed", retry=SOON)
        async def fulfil(event: Event, ctx: Context) -> None:
            async def charge() -> Dict[str, Any]:
                ran.append("charge")
                await ctx.emit("charging")
                return {"charge": len(ran), "pair": (1, 2)}

            paid = await ctx.step("charge", charge)

            def ship() -> str:
                ran.append("ship")
                return "parcel-1"

            sent = await ctx.step("ship", ship)
            await ctx.emit("order.done", {"paid": paid, "sent": sent})
            if ctx.attempt == 1 and event.data == "fail":
                raise RuntimeError("after all of it")

        return agent

    DONE = {"paid": {"charge": 1, "pair": [1, 2]}, "sent": "parcel-1"}

    async def test_a_retry_repeats_no_step(self) -> None:
        ran: List[str] = []
        agent = self.agent(ran)
        async with self.bus(agent) as bus:
            order = await bus.publish("order.placed", "fail")
            await bus.advance("1s")
            await called(bus, agent, "fulfil", 2)
            self.assertEqual(ran, ["charge", "ship"])
            self.assertEqual(await data_of(bus.client, "order.done"), [self.DONE])
            steps = await bus.client.query("agent.step.completed")
            self.assertEqual([each.data["step"] for each in steps], ["charge", "ship"])
            self.assertEqual({(each.source, each.stream, each.causationid) for each in steps},
                             {("shop", "shop:steps", order.id)})
            charging, = await bus.client.query("charging")
            self.assertEqual(charging.id,
                             emit_id("test", order.id, "shop", "fulfil", "charge", 1))

    async def test_a_crash_behind_a_step_does_not_repeat_it(self) -> None:
        ran: List[str] = []
        agent = self.agent(ran)
        async with self.bus(agent) as bus:
            bus.crash(agent, at="step.recorded", what="charge")
            await bus.publish("order.placed")
            await bus.until(lambda: agent.runtime is None)
            await bus.restart(agent)
            await bus.advance("2s")
            await called(bus, agent, "fulfil", 2)
            self.assertEqual(ran, ["charge", "ship"])
            self.assertEqual(await data_of(bus.client, "order.done"), [self.DONE])
            self.assertEqual([call.attempt for call in agent.handler("fulfil").calls], [1, 2])

    async def test_a_crash_within_a_step_repeats_it(self) -> None:
        ran: List[str] = []
        agent = self.agent(ran)
        async with self.bus(agent) as bus:
            bus.crash(agent, at="step.done", what="charge")
            await bus.publish("order.placed")
            await bus.until(lambda: agent.runtime is None)
            await bus.restart(agent)
            await bus.advance("2s")
            await called(bus, agent, "fulfil", 2)
            self.assertEqual(ran, ["charge", "charge", "ship"])
            self.assertEqual(len(await bus.client.query("charging")), 1)
            self.assertEqual(len(await bus.client.query("order.done")), 1)

    async def test_a_step_has_a_name_of_its_own_and_a_result_that_is_json(self) -> None:
        agent = Agent("a")

        @agent.on("twice", retry=Retry(max_attempts=1))
        async def twice(event: Event, ctx: Context) -> None:
            await ctx.step("x", lambda: 1)
            await ctx.step("x", lambda: 2)

        @agent.on("odd", retry=Retry(max_attempts=1))
        async def odd(event: Event, ctx: Context) -> None:
            await ctx.step("set", lambda: {1, 2})

        async with self.bus(agent) as bus:
            await bus.publish("twice")
            await bus.publish("odd")
            await bus.settle()
            self.assertIn("step 'x' is there twice",
                          (await bus.client.dead_letters("$type:twice", "a"))[0].error)
            self.assertIn("the result of step 'set': not JSON",
                          (await bus.client.dead_letters("$type:odd", "a"))[0].error)


class Failures(OnBus, Case):
    async def test_attempts_used_up_end_in_a_dead_letter_that_can_be_redriven(self) -> None:
        agent, broken = Agent("a"), True

        @agent.on("job", retry=SOON)
        async def work(event: Event, ctx: Context) -> None:
            if broken:
                raise RuntimeError(f"no {event.data}")
            await ctx.emit("done", event.data)

        async with self.bus(agent) as bus:
            job = await bus.publish("job", 7)
            await bus.advance("2s")
            await called(bus, agent, "work", 3)
            letter, = await bus.client.dead_letters("$type:job", "a")
            self.assertEqual((letter.entry, letter.position, letter.attempts, letter.reason,
                              letter.error),
                             (job.entryid, job.position, 3, "attempts", "RuntimeError: no 7"))
            assert letter.event is not None
            self.assertEqual(letter.event.data, 7)
            broken = False
            self.assertEqual(await bus.client.redrive("$type:job", "a"), 1)
            await bus.settle()
            self.assertEqual(await data_of(bus.client, "done"), [7])
            self.assertEqual(agent.handler("work").calls[-1].attempt, 1)
            self.assertEqual(await bus.client.dead_letters("$type:job", "a"), [])

    async def test_what_is_of_no_use_is_not_tried_again(self) -> None:
        agent = Agent("a")

        @agent.on("job", retry=Retry(give_up_on=(KeyError,)))
        async def work(event: Event, ctx: Context) -> None:
            if event.data == 1:
                raise NonRetryable("never")
            raise KeyError("id")

        async with self.bus(agent) as bus:
            await bus.publish("job", 1)
            await bus.publish("job", 2)
            await bus.settle()
            letters = await bus.client.dead_letters("$type:job", "a")
            self.assertEqual(sorted((each.error, each.reason, each.attempts) for each in letters),
                             [("KeyError: 'id'", "refused", 1),
                              ("NonRetryable: never", "refused", 1)])
            self.assertEqual(await bus.client.discard("$type:job", "a", letters[0].entry), 1)
            self.assertEqual((await bus.client.group("a", "$type:job")).dead, 1)

    async def test_a_handler_may_say_when(self) -> None:
        agent = Agent("a")

        @agent.on("job", retry=Retry(first="60s"))
        async def work(event: Event, ctx: Context) -> None:
            if ctx.attempt == 1:
                raise RetryAfter("300ms", "the limit is reached")
            await ctx.emit("done")

        async with self.bus(agent) as bus:
            await bus.when("job").then_nothing()
            await bus.advance("1s")
            await called(bus, agent, "work", 2)
            self.assertEqual(len(await bus.client.query("done")), 1)
            failed, = await bus.client.query("delivery.failed")
            self.assertEqual(failed.data["error"], "RetryAfter: the limit is reached")

    async def test_a_crash_loses_nothing(self) -> None:
        agent = reviewer(retry=SOON)
        async with self.bus(agent) as bus:
            for count, point in enumerate(("handler.begin", "emitted", "handler.done"), 1):
                bus.crash(agent, at=point)
                await bus.publish("code.committed", {"commit": point})
                await bus.until(lambda: agent.runtime is None)
                await bus.publish("code.committed", {"commit": f"while away, {point}"})
                await bus.restart(agent)
                await bus.advance("2s")
                await called(bus, agent, "review", 3 * count)
            commits = [data["commit"] for data in await data_of(bus.client, "review.done")]
            self.assertEqual(len(commits), 6)
            self.assertEqual(len(set(commits)), 6)
            group = await bus.client.group("reviewer", "$type:code.committed")
            self.assertEqual(group.pending, 0)

    async def test_what_takes_longer_than_ack_wait_is_kept(self) -> None:
        agent = Agent("a")

        @agent.on("job", ack_wait="2s")
        async def work(event: Event, ctx: Context) -> None:
            await ctx.sleep("5s")
            await ctx.emit("done")

        async with self.bus(agent) as bus:
            await bus.publish("job")
            await bus.advance("6s")
            await bus.until(lambda: len(agent.handler("work").calls) == 1)
            await bus.settle()
            self.assertEqual([each.type for each in await bus.events()], ["job", "done"])
            self.assertEqual([call.attempt for call in agent.handler("work").calls], [1])

    async def test_one_handler_that_fails_holds_up_no_other(self) -> None:
        agent = Agent("a")

        @agent.on("job")
        async def fails(event: Event, ctx: Context) -> None:
            raise RuntimeError("always")

        @agent.on("job")
        async def works(event: Event, ctx: Context) -> None:
            await ctx.emit("done")

        async with self.bus(agent) as bus:
            self.assertEqual(agent.group_of("works"), "a/works")
            await bus.when("job").then_emits(["done"])
            self.assertEqual((await bus.client.group("a/fails", "$type:job")).waiting, 1)


class Groups(OnBus, Case):
    async def test_one_of_a_key_at_a_time_in_order(self) -> None:
        agent, together = Agent("a", concurrency=8), 0
        going: Set[str] = set()
        seen: List[Tuple[str, int]] = []

        @agent.on("step", order_by="correlation")
        async def work(event: Event, ctx: Context) -> None:
            nonlocal together
            self.assertNotIn(event.correlationid, going)
            going.add(event.correlationid)
            together = max(together, len(going))
            await asyncio.sleep(0.002)
            seen.append((event.correlationid, event.data))
            going.discard(event.correlationid)

        async with self.bus(agent) as bus:
            async with bus.reorder():
                for number in range(12):
                    await bus.publish("step", number, correlationid=f"run-{number % 3}")
            await bus.settle()
            for run in range(3):
                self.assertEqual([number for key, number in seen if key == f"run-{run}"],
                                 list(range(run, 12, 3)))
            self.assertGreater(together, 1)

    async def test_without_an_order_what_is_reordered_arrives_so(self) -> None:
        agent, seen = Agent("a"), []

        @agent.on("step")
        async def work(event: Event, ctx: Context) -> None:
            seen.append(event.data)

        async with self.bus(agent) as bus:
            async with bus.reorder():
                for number in range(4):
                    await bus.publish("step", number)
            self.assertEqual(sorted(seen), [0, 1, 2, 3])
            self.assertNotEqual(seen, sorted(seen))

    async def test_a_key_waits_for_its_retry(self) -> None:
        agent, seen = Agent("a"), []

        @agent.on("step", order_by="stream", retry=SOON)
        async def work(event: Event, ctx: Context) -> None:
            seen.append((event.stream, event.data, ctx.attempt))
            if event.data == 1 and ctx.attempt == 1:
                raise RuntimeError("once")

        async with self.bus(agent) as bus:
            await bus.publish("step", 1, stream="x")
            await bus.settle()
            await bus.publish("step", 2, stream="x")
            await bus.publish("step", 1, stream="y", id="y-1")
            await bus.advance("1s")
            await called(bus, agent, "work", 4)
            self.assertEqual([each for each in seen if each[0] == "x"],
                             [("x", 1, 1), ("x", 1, 2), ("x", 2, 1)])

    async def test_concurrency_is_a_limit(self) -> None:
        agent, running, most = Agent("a", concurrency=3), 0, 0

        async def work(event: Event, ctx: Context) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1

        agent.on("one", concurrency=2, name="one")(work)
        agent.on("two", name="two")(work)
        async with self.bus(agent) as bus:
            for number in range(30):
                await bus.publish("one" if number % 2 else "two")
            await bus.settle()
            self.assertEqual(len(agent.handler("one").calls), 15)
            self.assertEqual(len(agent.handler("two").calls), 15)
            self.assertLessEqual(most, 3)

    async def test_where_a_new_group_begins(self) -> None:
        early, late = Agent("early"), Agent("late")
        for agent, start in ((early, "all"), (late, "new")):
            @agent.on("job", start=start)
            async def work(event: Event, ctx: Context) -> None:
                await ctx.emit(f"{ctx.agent}.done", event.data)

        async with self.bus() as bus:
            await bus.publish("job", 1)
            await bus.add(early)
            await bus.add(late)
            await bus.publish("job", 2)
            await bus.settle()
            self.assertEqual(await data_of(bus.client, "early.done"), [1, 2])
            self.assertEqual(await data_of(bus.client, "late.done"), [2])

    async def test_two_processes_share_the_work(self) -> None:
        one, other = reviewer(), reviewer()
        async with self.bus(one) as bus:
            await bus.add(other)
            for number in range(20):
                await bus.publish("code.committed", {"commit": number})
                await bus.settle()
            commits = [data["commit"] for data in await data_of(bus.client, "review.done")]
            self.assertEqual(sorted(commits), list(range(20)))
            calls = [len(agent.handler("review").calls) for agent in (one, other)]
            self.assertEqual(sum(calls), 20)
            self.assertGreater(min(calls), 0)

    async def test_a_policy_that_changed_is_set(self) -> None:
        async with self.bus(reviewer()) as bus:
            await bus.stop(bus._agents[0])
            again = reviewer(filter={"data.commit": "b"}, retry=SOON)
            await bus.add(again)
            await bus.when(("code.committed", {"commit": "a"})).then_nothing()
            await bus.when(("code.committed", {"commit": "b"})).then_emits(["review.done"])
            changed = await bus.client.query("group.policy_changed")
            self.assertEqual(len(changed), 2)
            await bus.stop(again)
            await bus.add(again)
            self.assertEqual(len(await bus.client.query("group.policy_changed")), 2)


class PlainFunctions(OnBus, Case):
    async def test_they_run_in_threads_with_the_same_means(self) -> None:
        agent = Agent("a")
        ran: List[int] = []

        @agent.on("job", retry=SOON)
        def work(event: Event, ctx: SyncContext) -> None:
            def pay() -> Dict[str, int]:
                ran.append(ctx.attempt)
                return {"sum": event.data}

            ctx.emit("paid", ctx.step("pay", pay))
            ctx.publish("said")
            if ctx.attempt == 1:
                raise RuntimeError("once more")

        async with self.bus(agent) as bus:
            job = await bus.publish("job", 5)
            await bus.advance("1s")
            await called(bus, agent, "work", 2)
            self.assertEqual(ran, [1])
            paid, = await bus.client.query("paid")
            self.assertEqual((paid.data, paid.causationid), ({"sum": 5}, job.id))
            self.assertEqual(paid.id, emit_id("test", job.id, "a", "work", "", 1))
            self.assertEqual(len(await bus.client.query("said")), 2)


class Presence(OnBus, Case):
    def agent(self) -> Agent:
        agent = Agent("worker-1", capabilities=["review", "deploy"], concurrency=2, version="1.4",
                      data={"region": "eu"})

        @agent.on("job")
        async def work(event: Event, ctx: Context) -> None:
            await ctx.emit("done")

        return agent

    async def test_it_announces_itself_and_says_that_it_goes(self) -> None:
        agent = self.agent()
        async with self.bus(agent) as bus:
            found, = await bus.client.agents("review", free=True)
            self.assertEqual((found.id, found.status, found.capabilities, found.capacity,
                              found.load, found.free, found.version, found.data),
                             ("worker-1", "online", ("review", "deploy"), 2, 0, 2, "1.4",
                              {"region": "eu"}))
            self.assertEqual(await bus.client.agents("cook"), [])
            online, = await bus.client.query("agent.online")
            self.assertEqual((online.source, online.stream, online.data),
                             ("worker-1", "worker-1", {"capabilities": ["review", "deploy"],
                                                       "capacity": 2, "version": "1.4",
                                                       "region": "eu"}))
            await bus.stop(agent)
            gone = await bus.client.agent("worker-1")
            assert gone is not None
            self.assertEqual(gone.status, "offline")
            self.assertEqual(len(await bus.client.query("agent.offline")), 1)
            self.assertIsNone(await bus.client.agent("nobody"))

    async def test_one_that_crashed_is_suspected_and_recovers(self) -> None:
        agent = self.agent()
        async with self.bus(agent) as bus:
            bus.crash(agent)
            await bus.advance("3s")
            for _ in range(100):  # a server notices in its own time
                if await bus.client.query("agent.suspected_failure"):
                    break
                await bus.advance("200ms")
            suspected, = await bus.client.query("agent.suspected_failure")
            self.assertEqual((suspected.source, suspected.stream, suspected.data["agent"],
                              suspected.data["reason"]),
                             ("spoor", "$agents", "worker-1", "connection lost"))
            self.assertEqual(await bus.client.agents("review", free=True), [])
            await bus.restart(agent)
            await bus.advance("100ms")
            back = await bus.client.agent("worker-1")
            assert back is not None
            self.assertEqual(back.status, "online")
            self.assertEqual(len(await bus.client.query("agent.recovered")), 1)

    async def test_one_of_two_processes_may_crash(self) -> None:
        one, other = self.agent(), self.agent()
        async with self.bus(one) as bus:
            await bus.add(other)
            self.assertEqual(len(await bus.client.query("agent.online")), 1)
            bus.crash(one)
            await bus.advance("4s")
            self.assertEqual(await bus.client.query("agent.suspected_failure"), [])
            found = await bus.client.agent("worker-1")
            assert found is not None
            self.assertEqual(found.status, "online")

    async def test_another_agent_may_react_to_a_suspicion(self) -> None:
        agent, guard = self.agent(), Agent("guard")

        @guard.on("agent.suspected_failure")
        async def alarm(event: Event, ctx: Context) -> None:
            await ctx.emit("alarm.raised", event.data["agent"])

        async with self.bus(agent, guard) as bus:
            bus.crash(agent)
            for _ in range(100):
                await bus.advance("300ms")
                if await bus.client.query("alarm.raised"):
                    break
            self.assertEqual(await data_of(bus.client, "alarm.raised"), ["worker-1"])


class Silence(Case):
    """What takes too long to be waited for on a server."""

    async def test_a_long_silence(self) -> None:
        async with TestBus() as bus:
            await bus.publish("agent.started", {"capabilities": ["x"]}, source="old-fashioned")
            for wait, status in (("29s", "online"), ("1s", "stale"), ("1m", "suspected")):
                await bus.advance(wait)
                found, = await bus.client.agents("x")
                self.assertEqual(found.status, status)
            self.assertEqual(await bus.client.agents("x", free=True), [])
            suspected, = await bus.client.query("agent.suspected_failure")
            self.assertEqual((suspected.data["reason"], suspected.data["silent_ms"]),
                             ("silent", 90_000))
            await bus.publish("anything", source="old-fashioned")
            found, = await bus.client.agents("x", free=True)
            self.assertEqual(found.status, "online")
            await bus.publish("agent.stopped", source="old-fashioned")
            await bus.advance("10m")
            self.assertEqual(len(await bus.client.agents(status="offline")), 1)
            self.assertEqual(len(await bus.client.query("agent.suspected_failure")), 1)
            await bus.publish("agent.started", source="imported", time="2020-01-01T00:00:00Z")
            self.assertIsNone(await bus.client.agent("imported"))

    async def test_an_agent_that_heartbeats_is_online_for_an_hour(self) -> None:
        agent = reviewer()
        async with TestBus(agent) as bus:
            await bus.advance("1h")
            found, = await bus.client.agents(status="online")
            self.assertEqual(found.id, "reviewer")
            self.assertEqual(len(await bus.client.query()), 3)

    async def test_backoff_is_exact_on_the_virtual_clock(self) -> None:
        agent, at = Agent("a"), []

        @agent.on("job", retry=Retry(max_attempts=6, first="1s", max="10s", jitter=0))
        async def work(event: Event, ctx: Context) -> None:
            at.append(ctx.client.session.clock.now())
            raise RuntimeError("always")

        async with TestBus(agent) as bus:
            await bus.publish("job")
            await bus.advance("1h")
            self.assertEqual(at, [0, 1, 3, 7, 15, 25])
            self.assertEqual((await bus.client.dead_letters("$type:job", "a"))[0].attempts, 6)

    async def test_an_hour_takes_no_hour_on_a_server(self) -> None:
        server = Server()
        self.addCleanup(server.remove)
        async with TestBus(real=server.url) as bus:
            with self.assertRaisesRegex(ValueError, "really waits"):
                await bus.advance("1h")

    async def test_what_does_not_end_is_told(self) -> None:
        agent = Agent("a")

        @agent.on("job")
        async def hangs(event: Event, ctx: Context) -> None:
            await asyncio.Event().wait()

        async with TestBus(agent, patience_s=0.2) as bus:
            await bus.publish("job")
            with self.assertRaisesRegex(TimeoutError, "a: hangs has 1 events in hand"):
                await bus.settle()
            bus.crash(agent)


class Replay(OnBus, Case):
    async def test_a_file_of_events_is_played_to_the_agents(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "run.ndjson")
            with open(path, "w", encoding="utf-8") as file:
                for number in range(3):
                    file.write(json.dumps({
                        "id": f"c-{number}", "type": "code.committed", "source": "git",
                        "data": {"commit": number}, "position": 90 + number, "version": 1,
                        "$id": "row"}) + "\n")
            async with self.bus(reviewer()) as bus:
                self.assertEqual(await bus.replay(path), 3)
                done = await bus.client.query("review.done")
                self.assertEqual({each.causationid for each in done}, {"c-0", "c-1", "c-2"})
                self.assertEqual(await bus.replay(path), 3)
                self.assertEqual(len(await bus.client.query("review.done")), 3)


class EmitsOnServer(Emits):
    real = True


class StepsOnServer(Steps):
    real = True


class FailuresOnServer(Failures):
    real = True


class GroupsOnServer(Groups):
    real = True


class PlainFunctionsOnServer(PlainFunctions):
    real = True


class PresenceOnServer(Presence):
    real = True


class ReplayOnServer(Replay):
    real = True
