"""Agents as processes of their own, and servers that go and come back."""
from __future__ import annotations

import asyncio
import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any, Dict, List, Optional

from spoor import Agent, AsyncClient, Context, Event, NewEvent, Retry

from .support import TIMEOUT_S, Case, Server

FOLDER = pathlib.Path(__file__).resolve().parents[1]

FIVE_LINES = '''
from spoor import Agent
agent = Agent("reviewer")

@agent.on("code.committed")
async def review(event, ctx):
    await ctx.emit("review.done", {"commit": event.data["commit"], "risk": "low"})

agent.run()
'''

# Emits before and behind a step, and takes its time, so that a kill finds it in the middle.
SLOW = '''
import sys, time
from spoor import Agent, Retry
agent = Agent("slow", concurrency=4)

@agent.on("job", retry=Retry(max_attempts=50, first="10ms", max="10ms"))
def work(event, ctx):
    ctx.emit("begun", event.data)
    ctx.step("pay", lambda: print("pay", event.data, flush=True))
    time.sleep(0.05)
    ctx.emit("ended", event.data)

agent.run()
'''

DRAINING = '''
import asyncio
from spoor import Agent
agent = Agent("drainer", concurrency=2)

@agent.on("job")
async def work(event, ctx):
    await ctx.emit("begun", event.data)
    await asyncio.sleep(0.5)
    await ctx.emit("ended", event.data)

agent.run()
'''


class Process:
    """A program that runs an agent."""

    def __init__(self, text: str, url: str) -> None:
        env = {**os.environ, "PYTHONPATH": str(FOLDER), "SPOOR_URL": url,
               "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen([sys.executable, "-c", text], env=env, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def kill(self) -> str:
        """What it printed until then."""
        self.process.kill()
        return self.process.communicate(timeout=TIMEOUT_S)[0]

    def end(self) -> "tuple[int, str, List[Dict[str, Any]]]":
        """Asks it to end; the exit code, what it printed, and its log."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, out, [json.loads(line) for line in err.splitlines()]


class Processes(Case):
    def setUp(self) -> None:
        super().setUp()
        self.server = Server()
        self.addCleanup(self.server.remove)

    def agent(self, text: str) -> Process:
        process = Process(text, self.server.url)
        self.addCleanup(process.process.communicate)
        self.addCleanup(process.process.kill)
        return process

    async def group_is_there(self, client: AsyncClient, agent: str) -> None:
        await self.waits(lambda: client.query("group.created", filter={"data.group": agent}))

    async def waits(self, ask: Any, count: int = 1) -> List[Event]:
        """Asks until there are so many."""
        for _ in range(TIMEOUT_S * 20):
            found: List[Event] = await ask()
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)
        self.fail(f"there are {len(found)}, not {count}")

    async def test_five_lines_are_enough(self) -> None:
        agent = self.agent(FIVE_LINES)
        async with AsyncClient(self.server.url, source="git") as client:
            await self.group_is_there(client, "reviewer")
            await client.publish("code.committed", {"commit": "c1"})
            done, = await self.waits(lambda: client.query("review.done"))
            self.assertEqual(done.data, {"commit": "c1", "risk": "low"})
        code, _, log = agent.end()
        self.assertEqual(code, 0)
        self.assertEqual([each["msg"] for each in log if each["level"] == "info"],
                         ["reviewer is there, with 1 handlers", "reviewer is gone"])

    async def test_a_kill_loses_nothing_and_doubles_nothing(self) -> None:
        async with AsyncClient(self.server.url, source="test") as client:
            paid: List[str] = []
            agent = self.agent(SLOW)
            await self.group_is_there(client, "slow")
            for number in range(40):
                await client.publish("job", number)
            for killed in range(3):
                await self.waits(lambda: client.query("ended"), 5 * (killed + 1))
                paid += agent.kill().splitlines()
                agent = self.agent(SLOW)
            await self.waits(lambda: client.query("ended"), 40)
            for _ in range(TIMEOUT_S * 20):
                if (await client.group("slow", "$type:job")).pending == 0:
                    break
                await asyncio.sleep(0.05)
            code, out, _ = agent.end()
            paid += out.splitlines()
            self.assertEqual(code, 0)
            for type_ in ("begun", "ended"):
                self.assertEqual(sorted(each.data for each in await client.query(type_)),
                                 list(range(40)))
            self.assertEqual((await client.group("slow", "$type:job")).pending, 0)
            self.assertEqual(await client.dead_letters("$type:job", "slow"), [])
            # A step is repeated only where the kill came between it and its record.
            self.assertEqual(len(set(paid)), 40)
            self.assertLessEqual(len(paid), 40 + 3 * 4)
            self.assertEqual(len(await client.query("agent.step.completed")), 40)
            attempts = await client.query("delivery.failed")
            self.assertEqual({each.data["error"] for each in attempts}, {"the consumer left"})

    async def test_sigterm_finishes_what_runs_and_leaves_the_rest(self) -> None:
        async with AsyncClient(self.server.url, source="test") as client:
            agent = self.agent(DRAINING)
            await self.group_is_there(client, "drainer")
            for number in range(8):
                await client.publish("job", number)
            await self.waits(lambda: client.query("begun"), 2)
            code, _, log = agent.end()
            self.assertEqual(code, 0)
            begun = {each.data for each in await client.query("begun")}
            self.assertEqual({each.data for each in await client.query("ended")}, begun)
            group = await client.group("drainer", "$type:job")
            self.assertEqual((group.in_flight, group.lag + group.waiting), (0, 8 - len(begun)))
            self.assertGreater(group.lag + group.waiting, 0)
            self.assertEqual([each for each in log if each["level"] == "error"], [])
            self.agent(DRAINING)
            await self.waits(lambda: client.query("ended"), 8)

    async def test_an_agent_outlives_its_server(self) -> None:
        agent, seen = Agent("a", url=self.server.url), []

        @agent.on("job", retry=Retry(first="10ms", max="10ms"))
        async def work(event: Event, ctx: Context) -> None:
            await ctx.emit("done", event.data)
            seen.append(event.data)

        await agent.start()
        async with AsyncClient(self.server.url, source="test") as client:
            for number in range(3):
                await client.publish("job", number)
                await self.until(lambda: number in seen, f"job {number}")
                if number % 2:
                    self.server.kill()
                else:
                    self.server.stop()
                self.server.start()
            await client.publish("job", 3)
            await self.until(lambda: 3 in seen, "the last job")
            done = [each.data for each in await client.query("done")]
            self.assertEqual(sorted(done), [0, 1, 2, 3])
        await agent.stop()
        self.assertIn("lost its connection", self.logs.text())

    async def test_an_agent_stops_although_its_server_is_gone(self) -> None:
        agent = Agent("a", url=self.server.url)
        agent.on("job", name="work")(lambda event, ctx: None)
        await agent.start()
        self.server.kill()
        await asyncio.wait_for(agent.stop(), TIMEOUT_S)
        self.assertIn("could not leave its group in order", self.logs.text())
        self.assertIn("could not say that it goes", self.logs.text())

    async def test_what_is_published_while_the_server_is_away_arrives_once(self) -> None:
        async with AsyncClient(self.server.url, source="test") as client:
            await client.publish("x", 0)
            self.server.kill()
            sending = [asyncio.ensure_future(client.publish("x", number))
                       for number in range(1, 50)]
            await asyncio.sleep(0.1)
            self.assertFalse(any(each.done() for each in sending))
            self.server.start()
            found = await asyncio.gather(*sending)
            self.assertEqual(sorted(each.position for each in found), list(range(2, 51)))
            self.assertEqual([each.data for each in await client.query("x")], list(range(50)))

    async def test_a_subscription_goes_on_without_gap_or_double(self) -> None:
        got: List[Any] = []
        async with AsyncClient(self.server.url, source="test") as client:
            async def follow() -> None:
                async for each in client.subscribe("x", from_=1, limit=400):
                    got.append(each.data)

            following = asyncio.ensure_future(follow())
            for number in range(400):
                await client.publish("x", number)
                if number in (100, 250):
                    self.server.kill() if number == 100 else self.server.stop()
                    self.server.start()
            await asyncio.wait_for(following, TIMEOUT_S)
            self.assertEqual(got, list(range(400)))

    async def test_a_group_that_was_dropped_is_made_anew(self) -> None:
        agent, seen = Agent("a", url=self.server.url), []

        @agent.on("job", start="all")
        async def work(event: Event, ctx: Context) -> None:
            seen.append(event.data)

        await agent.start()
        async with AsyncClient(self.server.url, source="test") as client:
            await client.publish("job", 1)
            await self.until(lambda: seen == [1])
            await client.session.call(  # type: ignore[attr-defined]
                "SPOOR.GROUP", "DROP", "a", "$type:job")
            await self.until(lambda: "it is made anew" in self.logs.text())
            await client.publish("job", 2)
            await self.until(lambda: 2 in seen)
        await agent.stop()

    async def test_many_at_once(self) -> None:
        """More than one batch of everything: fetches, acknowledgements, emits."""
        agent, most, running = Agent("a", concurrency=32, url=self.server.url), 0, 0
        seen: List[int] = []

        @agent.on("job", start="all")
        async def work(event: Event, ctx: Context) -> None:
            nonlocal most, running
            running += 1
            most = max(most, running)
            if event.data % 10 == 0:
                await ctx.emit("done", event.data)
            running -= 1
            seen.append(event.data)

        async with AsyncClient(self.server.url, source="test") as client:
            for first in range(0, 5000, 500):
                await client.publish_batch([NewEvent("job", number)
                                            for number in range(first, first + 500)])
            await agent.start()
            await self.until(lambda: len(seen) >= 5000)
            await agent.stop()
            self.assertEqual(sorted(seen), list(range(5000)))
            self.assertEqual(len(await client.query("done")), 500)
            group = await client.group("a", "$type:job")
            self.assertEqual((group.lag, group.pending), (0, 0))
            self.assertLessEqual(most, 32)
            # It left its group: nobody is in it any more.
            found: Optional[Any] = await client.session.call(  # type: ignore[attr-defined]
                "XINFO", "CONSUMERS", "$type:job", "a")
            self.assertEqual(found, [])
