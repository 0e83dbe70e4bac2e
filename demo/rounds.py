"""Plays the story: on spoor, as HTTP calls one after another, and by polling."""
import asyncio
import http.client
import json
import secrets
import time
from datetime import datetime

import story
from stage import PATIENCE_S, Trouble


def commit_of(number):
    """A new bad commit."""
    service = story.SERVICES[number % len(story.SERVICES)]
    return {"repository": f"shop/{service}", "service": service, "commit": secrets.token_hex(4),
            "branch": "main", "author": "dana", "files_changed": 14,
            "message": "cache sessions in memory"}


class Player:
    """Publishes commits and watches what becomes of them."""

    def __init__(self, client):
        self.client = client
        self.runs = {}  # correlation: its events
        self.task = None
        self.news = asyncio.Event()

    async def __aenter__(self):
        self.task = asyncio.ensure_future(self._watch())
        marker = await self.client.publish("demo.begun", source="demo")
        await self.until(lambda: marker.id in self.runs)
        return self

    async def __aexit__(self, *_):
        self.task.cancel()

    async def _watch(self):
        """Each event as it becomes durable."""
        async for event in self.client.subscribe(from_=1):
            if event.source != "spoor":  # what the server itself says of deliveries and agents
                self.runs.setdefault(event.correlationid, []).append(event)
            self.news.set()

    async def until(self, holds):
        """Waits until it holds, looking at each event that comes."""
        end = time.monotonic() + PATIENCE_S
        while not holds():
            if self.task.done():
                self.task.result()
            self.news.clear()
            try:
                await asyncio.wait_for(self.news.wait(), max(0.0, end - time.monotonic()))
            except asyncio.TimeoutError:
                raise Trouble("what should have happened did not, within "
                                 f"{PATIENCE_S} s") from None

    async def commit(self, number):
        """Publishes a commit; gives the run that it begins."""
        data = commit_of(number)
        appended = await self.client.publish("code.commit.pushed", data, source="forge",
                                             stream=data["repository"])
        return appended.id

    async def play(self, number):
        """A round: from the commit until everybody has reacted. Gives its events, in their order."""
        run = await self.commit(number)
        await self.until(lambda: len(self.runs.get(run, ())) >= len(story.EXPECTED))
        return self.runs[run]

    async def play_polled(self, number):
        """As play(), where agents that poll keep no steps."""
        run = await self.commit(number)
        await self.until(lambda: len(self.runs.get(run, ())) >= len(story.EXPECTED) - 1)
        return self.runs[run]


def find(events, reaction):
    """The event of this run that the story calls so."""
    return next(event for event in events if (event.type, event.source) == reaction[:2])


def took_ms(events):
    """From the failed deployment to the last reaction, by the server's clock."""
    times = [datetime.fromisoformat(event.recordedtime.replace("Z", "+00:00")) for event in
             (find(events, story.FAILED), max(events, key=lambda event: event.position))]
    return (times[1] - times[0]).total_seconds() * 1000


class Caller:
    """The same story as plain HTTP: a program that knows whom to call upon what, and calls them one after
    another over connections that it keeps."""

    def __init__(self, hosts):
        self.routes = []  # (type, filter, connection, path)
        self.connections = []
        for _, said in hosts.values():
            connection = http.client.HTTPConnection("127.0.0.1", said["port"], timeout=PATIENCE_S)
            self.connections.append(connection)
            self.routes += [(handler["type"], handler.get("filter") or {}, connection,
                             f"/{handler['agent']}/{handler['type']}", handler["agent"])
                            for handler in said["handlers"]]

    def close(self):
        for connection in self.connections:
            connection.close()

    @staticmethod
    def call(connection, path, event):
        connection.request("POST", path, json.dumps(event), {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise Trouble(f"{path}: {response.status} {body!r}")
        return json.loads(body)

    def play(self, number):
        """Gives the milliseconds from the failed deployment to the last answer, and all events."""
        todo = [{"type": "code.commit.pushed", "source": "forge", "id": "0", "correlationid": "0",
                 "data": commit_of(number)}]
        done, begun = [], None
        while todo:
            event = todo.pop(0)
            done.append(event)
            for type_, filter_, connection, path, agent in self.routes:
                if type_ != event["type"] or any(
                        event["data"].get(key.split(".")[1]) != value for key, value in filter_.items()):
                    continue
                for emitted in self.call(connection, path, event):
                    if emitted["type"] == "deployment.failed":
                        begun = time.perf_counter()
                    todo.append({**emitted, "source": agent, "id": str(len(done) + len(todo)),
                                 "correlationid": "0", "causationid": event["id"]})
        return (time.perf_counter() - begun) * 1000, done


async def until(holds):
    """Asks until it holds."""
    end = time.monotonic() + PATIENCE_S
    while not await holds():
        if time.monotonic() > end:
            raise Trouble(f"what should have happened did not, within {PATIENCE_S} s")
        await asyncio.sleep(0.005)


class Kill:
    """Kills processes while agents work on their reactions, and starts others in their place."""

    def __init__(self, stage, player, hosts, url, env):
        self.stage, self.player, self.client = stage, player, player.client
        self.hosts, self.url, self.env = hosts, url, env

    async def _end(self, process):
        process.kill()
        await process.wait()
        self.stage.processes.remove(process)

    async def _begin(self, department):
        self.hosts[department] = await self.stage.host("events", department, self.url, env=self.env)

    async def _finished(self, run):
        await self.player.until(lambda: len(self.player.runs[run]) >= len(story.EXPECTED))
        return self.player.runs[run]

    async def at_random(self, server, number, dice):
        """Kills some process, or the server, at some moment of a round. Gives the one that is the server
        now, and the events of the round."""
        run = await self.player.commit(number)
        await asyncio.sleep(dice.random() * 0.03)
        victim = dice.choice([*story.DEPARTMENTS, "server"])
        if victim == "server":
            await self._end(server)
            server, _ = await self.stage.server("server", port=self.url.rsplit(":", 1)[1])
        else:
            await self._end(self.hosts[victim][0])
            await self._begin(victim)
        return server, await self._finished(run)

    async def in_the_middle(self, department, number):
        """Kills a department's process when each of its agents has begun with its work and none has
        finished. Gives the events of the round, and what happened when, in seconds after the kill."""
        watch = Watch(self.client, department)
        await self.stage.work({department: self.hosts[department]}, 3600_000.0)
        run = await self.player.commit(number)
        events = self.player.runs.setdefault(run, [])
        await until(lambda: watch.all_in_the_middle(events))
        seen = {"agents": watch.agents, "in_flight": await watch.count("in_flight"),
                "emitted": len(events)}
        begun = time.monotonic()
        await self._end(self.hosts[department][0])
        await until(watch.given_back)
        seen["given_back_s"] = time.monotonic() - begun
        await until(lambda: watch.all_are("suspected"))
        seen["suspected_s"] = time.monotonic() - begun
        await self._begin(department)
        await until(lambda: watch.all_are("online"))
        seen["online_s"] = time.monotonic() - begun
        await self._finished(run)
        seen["whole_s"] = time.monotonic() - begun
        await until(watch.nothing_pending)
        return events, seen


class Watch:
    """What the server says of a department's agents and of their groups."""

    def __init__(self, client, department):
        self.client, self.department = client, department
        self.groups = sorted(story.first_of(department))
        self.agents = sorted(agent for agent in story.AGENTS
                             if story.department_of(agent) == department)

    async def count(self, name):
        """So many events are in this state in the department's groups."""
        groups = [await self.client.group(agent, f"$type:{type_}") for agent, type_ in self.groups]
        return sum(getattr(group, name) for group in groups)

    async def all_in_the_middle(self, events):
        rung = any(event.type == story.RUNG.type for event in events)
        return (await self.count("in_flight") == len(self.groups)
                and (rung or self.department != "notification"))

    async def given_back(self):
        return await self.count("in_flight") == 0

    async def nothing_pending(self):
        return await self.count("pending") == 0

    async def all_are(self, status):
        return all([(await self.client.agent(agent)).status == status for agent in self.agents])
