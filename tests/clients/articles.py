"""What two articles on agents that react to events build on Redis, in our own words but call for call.

The first keeps a stream per type of event and one of all, and a base class whose agents announce
themselves, subscribe by consumer group and emit. The second has a queue with workers, fan-out by a
group per agent, completion events with a coordinator, retries that back off, and dead letters. The
language model is the only thing that is played here.
"""
import asyncio
import json
import random
import sys
import time
import uuid
from datetime import datetime, timezone

import redis
import redis.asyncio

import case


async def _answer_of_a_model(prompt):
    """Stands for the language model."""
    await asyncio.sleep(0.001)
    return f"seen: {prompt[:60]}"


def _entries(reply):
    """redis-py gives pairs in RESP2 and a map in RESP3, whose lists are wrapped once more."""
    if isinstance(reply, dict):
        reply = [(name, found[0] if found and isinstance(found[0], list) else found)
                 for name, found in reply.items()]
    return reply or []


async def _end(tasks):
    """Cancels until they are over: redis-py may take a cancellation for a lost connection, and go on."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.5)


# The first article: a bus over streams ----------------------------------------------------------------

class _Bus:
    """A stream for each type of event, and one that has them all; groups share the work."""

    def __init__(self, url, agent):
        self.redis = redis.Redis.from_url(url, decode_responses=True)
        self.agent = agent
        self.tasks = []
        self.problems = []

    async def publish(self, kind, payload):
        fields = {"type": kind, "payload": json.dumps(payload), "timestamp": time.time(),
                  "agent_id": self.agent}
        ident = self.redis.xadd(f"events:{kind}", fields)
        self.redis.xadd("events:all", fields)
        return ident

    async def subscribe(self, kind, handler, group=None):
        stream = f"events:{kind}"
        if group:
            try:
                self.redis.xgroup_create(stream, group, id="0", mkstream=True)
            except redis.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
        self.tasks.append(asyncio.create_task(self._consume(stream, handler, group)))

    async def _consume(self, stream, handler, group):
        while True:
            if group:
                reply = await asyncio.to_thread(self.redis.xreadgroup, group,
                                                f"consumer-{self.agent}", {stream: ">"}, count=10,
                                                block=200)
            else:
                reply = await asyncio.to_thread(self.redis.xread, {stream: "$"}, block=200)
            for name, entries in _entries(reply):
                for ident, fields in entries:
                    await self._handle(name, ident, fields, handler, group)

    async def _handle(self, stream, ident, fields, handler, group):
        try:
            await handler(fields["type"], json.loads(fields["payload"]))
            if group:
                self.redis.xack(stream, group, ident)
        except ValueError as problem:
            self.problems.append((ident, str(problem)))

    async def close(self):
        await _end(self.tasks)
        self.redis.close()


class _Agent:
    """Announces itself, then reacts to the types that it handles."""

    def __init__(self, name, bus, abilities, handlers):
        self.name, self.bus, self.abilities, self.handlers = name, bus, abilities, handlers

    async def start(self):
        await self.emit("agent.started", {"agent_id": self.name, "capabilities": self.abilities})
        for kind, handler in self.handlers.items():
            await self.bus.subscribe(kind, handler, group=f"agent-{self.name}")

    async def emit(self, kind, payload):
        event = {"id": str(uuid.uuid4()), "type": kind, "source_agent": self.name,
                 "timestamp": datetime.now(timezone.utc).isoformat(), "payload": payload}
        await self.bus.publish(kind, event)


async def _until(check, seconds=20):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not come to that in time"
        await asyncio.sleep(0.01)


def a_pull_request_is_reviewed_and_deployed(port):
    """A request leads to a review, the review to a deployment, without anyone calling anyone."""
    url = f"redis://127.0.0.1:{port}"

    async def story():
        review_bus, deploy_bus, plain = _Bus(url, "reviewer"), _Bus(url, "deployer"), _Bus(url, "ops")

        async def review(_, event):
            text = await _answer_of_a_model(json.dumps(event["payload"]))
            await reviewer.emit("code.review.completed", {
                **event["payload"], "comment": text,
                "recommendation": "APPROVE" if event["payload"]["pr_id"] % 2 else "REJECT"})

        async def consider(_, event):
            if event["payload"]["recommendation"] == "APPROVE":
                await deployer.emit("deployment.triggered", {"pr_id": event["payload"]["pr_id"]})

        async def deploy(_, event):
            await deployer.emit("deployment.completed", {**event["payload"], "status": "success"})

        reviewer = _Agent("reviewer", review_bus, ["code_review"],
                          {"code.pull_request.opened": review})
        deployer = _Agent("deployer", deploy_bus, ["deployment"],
                          {"code.review.completed": consider, "deployment.triggered": deploy})
        await reviewer.start()
        await deployer.start()
        for number in range(6):
            await plain.publish("code.pull_request.opened", {"payload": {"pr_id": number}})
        client = plain.redis
        await _until(lambda: client.xlen("events:deployment.completed") == 3)
        done = [json.loads(fields["payload"])["payload"]
                for _, fields in client.xrange("events:deployment.completed")]
        assert [each["pr_id"] for each in done] == [1, 3, 5], done
        everything = [fields["type"] for _, fields in client.xrange("events:all")]
        assert len(everything) == 2 + 6 + 6 + 3 + 3, everything
        assert everything.count("agent.started") == 2
        await _until(lambda: client.xpending("events:code.pull_request.opened",
                                             "agent-reviewer")["pending"] == 0)
        for bus in (review_bus, deploy_bus, plain):
            assert bus.problems == []
            await bus.close()

    asyncio.run(story())


def a_plain_subscriber_sees_what_comes_after_it(port):
    url = f"redis://127.0.0.1:{port}"

    async def story():
        bus = _Bus(url, "watcher")
        seen = []

        async def note(kind, payload):
            seen.append((kind, payload["n"]))

        await bus.publish("alert.triggered", {"n": 0})
        await bus.subscribe("alert.triggered", note)
        await asyncio.sleep(0.1)
        await bus.publish("alert.triggered", {"n": 1})
        await _until(lambda: seen)
        assert seen == [("alert.triggered", 1)]
        await bus.close()

    asyncio.run(story())


def what_cannot_be_handled_stays_pending(port):
    url = f"redis://127.0.0.1:{port}"

    async def story():
        bus = _Bus(url, "shaky")
        bus.redis.xadd("events:memory.stored", {"type": "memory.stored", "payload": "{not json"})
        handled = []

        async def handle(_, payload):
            handled.append(payload)

        await bus.subscribe("memory.stored", handle, group="memory")
        await bus.subscribe("memory.stored", handle, group="memory")  # the group is there: no error
        await bus.publish("memory.stored", {"key": "k"})
        await _until(lambda: handled and bus.problems)
        assert bus.redis.xpending("events:memory.stored", "memory")["pending"] == 1
        await bus.close()

    asyncio.run(story())


# The second article: queue, fan-out, completion, dead letters ------------------------------------------

STREAM, GROUP, DEAD = "agent:events", "agent-workers", "agent:dead-letters"


async def _ensure_group(client, stream, group):
    try:
        await client.xgroup_create(stream, group, id="0", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


async def _publish(client, kind, payload, stream=STREAM):
    return await client.xadd(stream, {"type": kind, "payload": json.dumps(payload),
                                      "timestamp": datetime.now(timezone.utc).isoformat()})


async def _work(client, name, handlers, group=GROUP, stream=STREAM):
    """One worker, for ever: reads one, handles it, acknowledges; what fails stays pending."""
    while True:
        reply = await client.xreadgroup(group, name, {stream: ">"}, count=1, block=300)
        for _, entries in _entries(reply):
            for ident, event in entries:
                handler = handlers.get(event["type"])
                try:
                    if handler:
                        await handler(json.loads(event["payload"]))
                    await client.xack(stream, group, ident)
                except RuntimeError:
                    pass


def _running(port, story):
    async def around():
        client = redis.asyncio.Redis(host="localhost", port=port, decode_responses=True)
        tasks = []
        try:
            await story(client, lambda work: tasks.append(asyncio.create_task(work)))
            assert not [task for task in tasks if task.done()], [task for task in tasks if task.done()]
        finally:
            await _end(tasks)
            await client.aclose()

    asyncio.run(around())


async def _becomes(read, wanted, seconds=20):
    deadline = time.monotonic() + seconds
    while (found := await read()) != wanted:
        assert time.monotonic() < deadline, f"{found}, not {wanted}"
        await asyncio.sleep(0.01)


def three_workers_share_a_queue(port):
    async def story(client, start):
        done = {}

        def worker(name):
            async def handle(payload):
                await _answer_of_a_model(json.dumps(payload))
                done.setdefault(payload["n"], []).append(name)
            return {"deploy.completed": handle, "alert.triggered": handle}

        await _ensure_group(client, STREAM, GROUP)
        await _ensure_group(client, STREAM, GROUP)
        for number in range(3):
            start(_work(client, f"worker-{number}", worker(f"worker-{number}")))
        for number in range(60):
            kind = ("deploy.completed", "alert.triggered", "email.received")[number % 3]
            await _publish(client, kind, {"n": number})

        async def pending():
            group = (await client.xinfo_groups(STREAM))[0]
            return group["pending"], group["lag"]

        await _becomes(pending, (0, 0))
        assert sorted(done) == [number for number in range(60) if number % 3 != 2]
        assert all(len(names) == 1 for names in done.values()), "each went to one worker, once"
        assert len({names[0] for names in done.values()}) == 3, "all of them had work"

    _running(port, story)


def work_of_a_dead_worker_is_taken_over(port):
    async def story(client, start):
        await _ensure_group(client, STREAM, GROUP)
        ids = [await _publish(client, "deploy.completed", {"n": number}) for number in range(4)]
        reply = await client.xreadgroup(GROUP, "gone", {STREAM: ">"}, count=4, block=1000)
        assert [ident for ident, _ in _entries(reply)[0][1]] == ids
        await asyncio.sleep(0.05)
        _, claimed, _ = await client.xautoclaim(STREAM, GROUP, "heir", 20, "0-0", count=10)
        assert [ident for ident, _ in claimed] == ids
        for ident, event in claimed:
            assert event["type"] == "deploy.completed"
            assert await client.xack(STREAM, GROUP, ident) == 1
        assert (await client.xpending(STREAM, GROUP))["pending"] == 0

    _running(port, story)


def one_event_goes_to_every_agent(port):
    stream = "events:customer"

    async def story(client, start):
        agents = ["email-agent", "provisioning-agent", "crm-agent", "sales-notifier"]
        seen = {name: [] for name in agents}
        for name in agents:
            try:
                await client.xgroup_create(stream, name, id="0", mkstream=True)
            except redis.ResponseError:
                pass

            async def note(payload, name=name):
                if name == "email-agent":
                    await asyncio.sleep(0.02)  # a slow one holds nobody up
                seen[name].append(payload["user_id"])

            start(_work(client, f"{name}-1", {"customer.signup": note}, name, stream))
        for number in range(10):
            await _publish(client, "customer.signup", {"user_id": f"u{number}", "email": "a@b.c"},
                           stream)
        await _until(lambda: all(len(users) == 10 for users in seen.values()))
        assert all(users == [f"u{number}" for number in range(10)] for users in seen.values())

    _running(port, story)


def a_coordinator_waits_for_all_completions(port):
    """The state that the article keeps in a hash is rebuilt here from the events themselves."""
    async def story(client, start):
        stream = "events:onboarding"
        status = {}

        async def note(key, payload):
            done = status.setdefault(payload["user_id"], set())
            done.add(key)
            if done == {"provisioned", "crm_updated"}:
                await _publish(client, "onboarding.complete", {"user_id": payload["user_id"]}, stream)

        await _ensure_group(client, stream, "coordinator")
        start(_work(client, "coordinator-1", {
            "provision.completed": lambda payload: note("provisioned", payload),
            "crm.updated": lambda payload: note("crm_updated", payload)}, "coordinator", stream))
        for user in ("u1", "u2", "u3"):
            await _publish(client, "provision.completed", {"user_id": user}, stream)
        for user in ("u3", "u1"):
            await _publish(client, "crm.updated", {"user_id": user}, stream)

        async def complete():
            return [json.loads(event["payload"])["user_id"]
                    for _, event in await client.xrange(stream)
                    if event["type"] == "onboarding.complete"]

        await _becomes(complete, ["u3", "u1"])

    _running(port, story)


async def _retry(action, tries, base_s):
    for attempt in range(tries + 1):
        try:
            return await action()
        except RuntimeError:
            if attempt == tries:
                raise
            await asyncio.sleep(base_s * 2 ** attempt + random.uniform(0, base_s))
    return None


def what_fails_for_good_goes_to_the_dead_letters(port):
    async def story(client, start):
        await _ensure_group(client, STREAM, GROUP)
        tries = {}

        async def flaky(payload):
            tries[payload["n"]] = tries.get(payload["n"], 0) + 1
            if payload["n"] == 1 or (payload["n"] == 2 and tries[2] < 3):
                raise RuntimeError(f"rate limit on {payload['n']}")

        async def bury(ident, event, error):
            await client.xadd(DEAD, {
                "original_event_id": ident, "original_stream": STREAM,
                "event_data": json.dumps(event), "error": error,
                "failed_at": datetime.now(timezone.utc).isoformat(), "retry_count": "3"})
            await client.xack(STREAM, GROUP, ident)

        ids = [await _publish(client, "email.received", {"n": number}) for number in range(4)]
        for _ in ids:
            reply = await client.xreadgroup(GROUP, "worker-1", {STREAM: ">"}, count=1, block=1000)
            (ident, event), = _entries(reply)[0][1]
            try:
                await _retry(lambda: flaky(json.loads(event["payload"])), 3, 0.002)
                await client.xack(STREAM, GROUP, ident)
            except RuntimeError as error:
                await bury(ident, event, str(error))
        assert tries == {0: 1, 1: 4, 2: 3, 3: 1}
        (_, dead), = await client.xrange(DEAD)
        assert dead["original_event_id"] == ids[1] and dead["error"] == "rate limit on 1"
        assert json.loads(json.loads(dead["event_data"])["payload"]) == {"n": 1}
        assert dead["retry_count"] == "3" and dead["original_stream"] == STREAM
        assert (await client.xpending(STREAM, GROUP))["pending"] == 0

    _running(port, story)


case.main(sys.modules[__name__])
