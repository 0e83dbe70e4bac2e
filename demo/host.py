"""Runs the agents of one department in a process of their own, in one of three ways:

    host.py events DEPARTMENT URL            on spoor, as they are meant to be
    host.py poll DEPARTMENT URL INTERVAL     on spoor, each looking for news every INTERVAL seconds
    host.py http DEPARTMENT                  as plain HTTP services: POST /AGENT/TYPE

The agents are the same in all three. One line of JSON on stdout says that they are there. Lines on stdin
say how long an agent works on an event (`work 50`, in milliseconds); when stdin ends, so does the process.
"""
import asyncio
import importlib
import json
import logging
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import spoor


class Pace:
    """How long an agent works on an event. What a model would say is not what is shown here."""

    def __init__(self):
        self.work_ms = 0.0

    async def work(self):
        if self.work_ms > 0:
            await asyncio.sleep(self.work_ms / 1000)


class Listed:
    """Declares handlers as spoor.Agent does, and only keeps them."""

    def __init__(self, name):
        self.name, self.handlers = name, []

    def on(self, pattern, filter=None):
        def declare(function):
            self.handlers.append((pattern, filter, function))
            return function
        return declare


class Emits:
    """Stands in for the context where there is no spoor behind it: emits become the answer."""

    def __init__(self):
        self.events = []

    async def emit(self, type, data=None, **_):
        self.events.append({"type": type, "data": data})

    async def step(self, _name, function):
        return await function()


class Published(Emits):
    """Stands in for the context where agents poll: emits are appended, with their cause."""

    def __init__(self, client, agent, event):
        super().__init__()
        self.client, self.agent, self.event = client, agent, event

    async def emit(self, type, data=None, **options):
        await self.client.publish(type, data, source=self.agent, causationid=self.event.id,
                                  correlationid=self.event.correlationid, **options)


def department(name, make, pace):
    importlib.import_module("departments." + name).agents(make, pace.work)


def say(**facts):
    print(json.dumps(facts), flush=True)


def say_ready(agents, **more):
    say(ready=True, handlers=[{"agent": agent.name, "type": pattern, "filter": filter}
                              for agent in agents for pattern, filter, _ in agent.handlers], **more)


async def obey(pace):
    """Follows what stdin says until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        pace.work_ms = float(line[1])
        say(work_ms=pace.work_ms)


async def run_events(name, url, pace):
    agents = []

    def make(agent, capabilities):
        agents.append(spoor.Agent(agent, capabilities=capabilities, url=url))
        return agents[-1]

    department(name, make, pace)
    await asyncio.gather(*(agent.start() for agent in agents))
    say(ready=True)
    await obey(pace)
    await asyncio.gather(*(agent.stop() for agent in agents))


async def poll(client, agent, handler, position, interval_s):
    """Looks for news again and again, at moments of its own."""
    pattern, filter, function = handler
    loop = asyncio.get_running_loop()
    due_s = loop.time() + random.random() * interval_s
    while True:
        await asyncio.sleep(due_s - loop.time())
        due_s += interval_s
        for event in await client.query(pattern, filter=filter, from_=position + 1):
            await function(event, Published(client, agent, event))
            position = event.position


async def run_poll(name, url, interval, pace):
    agents = []

    def make(agent, _capabilities):
        agents.append(Listed(agent))
        return agents[-1]

    department(name, make, pace)
    async with spoor.connect(url) as client:
        newest = await client.query(reverse=True, limit=1)
        position = newest[0].position if newest else 0
        polls = [asyncio.ensure_future(poll(client, agent.name, handler, position, float(interval)))
                 for agent in agents for handler in agent.handlers]
        say_ready(agents)
        await asyncio.wait([asyncio.ensure_future(obey(pace)), *polls],
                           return_when=asyncio.FIRST_COMPLETED)
        for task in polls:
            task.cancel()


async def run_http(name, pace):
    handlers = {}
    agents = []
    threads = threading.local()

    def make(agent, _capabilities):
        agents.append(Listed(agent))
        return agents[-1]

    class Service(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept
        disable_nagle_algorithm = True

        def do_POST(self):
            """Handles an event, and answers with what the agent emits."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            loop = threads.__dict__.setdefault("loop", asyncio.new_event_loop())
            emits = Emits()
            loop.run_until_complete(handlers[self.path](spoor.Event(**json.loads(body)), emits))
            answer = json.dumps(emits.events).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            """No line per request."""

    department(name, make, pace)
    for agent in agents:
        for pattern, _, function in agent.handlers:
            handlers[f"/{agent.name}/{pattern}"] = function
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say_ready(agents, port=server.server_port)
    await obey(pace)
    server.shutdown()


def main():
    logging.basicConfig(level=logging.WARNING)
    mode, name, *rest = sys.argv[1:]
    run = {"events": run_events, "poll": run_poll, "http": run_http}[mode]
    asyncio.run(run(name, *rest, Pace()))


main()
