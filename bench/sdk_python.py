#!/usr/bin/env python3
"""How many events a second one process of a Python agent handles, each acknowledged.

Run with a Python that has redis-py: build/clients/bin/python bench/sdk_python.py [--events N]
[--seconds S] [--concurrency N] [--emit]. The server is $SPOOR, else build/spoor, durable, on a free
port; the events are there before the agent starts. Prints one line of JSON."""
import argparse
import asyncio
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "sdk" / "python"))
# pylint: disable=wrong-import-position
import spoor

PATTERN = "task.*"


def serve(folder):
    program = os.environ.get("SPOOR", ROOT / "build" / "spoor")
    server = subprocess.Popen([program, "serve", "--data", folder, "--resp-port", "0",
                               "--http-port", "0"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    port = re.search(r"resp=\S+:(\d+)", server.stdout.readline())[1]
    return server, f"redis://127.0.0.1:{port}"


async def fill(client, count):
    """Events of some 300 bytes, 500 a batch."""
    for first in range(0, count, 500):
        await client.publish_batch([
            spoor.NewEvent("task.created", {"n": n, "title": "look at the order " * 8},
                           stream=f"task-{n % 1000}") for n in range(first, first + 500)])


async def measure(url, options):
    async with spoor.connect(url, source="bench") as client:
        await fill(client, options.events)
        agent = spoor.Agent("worker", concurrency=options.concurrency, url=url)
        done = 0

        @agent.on(PATTERN, start="all")
        async def handle(event, ctx):
            nonlocal done
            assert event.data["title"]
            if options.emit:
                await ctx.emit("done", {"n": event.data["n"]})
            done += 1

        begun, cpu = time.monotonic(), time.process_time()
        await agent.start()
        while done < options.events and time.monotonic() < begun + options.seconds:
            await asyncio.sleep(0.01)
        took, cpu = time.monotonic() - begun, time.process_time() - cpu
        handled = done
        await agent.stop()
        left = await client.group("worker", f"$type:{PATTERN}")
    return {"events_per_s": round(handled / took), "handled": handled, "seconds": round(took, 2),
            "cpu_us_per_event": round(1e6 * cpu / handled, 1), "emit": options.emit,
            "concurrency": options.concurrency, "pending_after_stop": left.pending}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--emit", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spoor-bench-") as folder:
        server, url = serve(folder)
        try:
            print(json.dumps(asyncio.run(measure(url, options))))
        finally:
            server.terminate()
            server.wait()


main()
