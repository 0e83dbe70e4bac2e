#!/usr/bin/env python3
"""The SDKs of both languages are one: an agent that is killed in the middle of an event in one language is
continued in the other, and nothing is done, emitted or lost twice."""
import json
import os
import signal
import subprocess
import sys
import time

import sdk_typescript as sdk
from harness import SOURCE, SPOOR, Skip, run

sys.path.insert(0, str(SOURCE / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from servers import Spoor

PYTHON = sdk.CLIENTS / "bin" / "python"
WAIT_S = 120
# What both do: charge once, say so, and where HANG is set, never end.
IN_PYTHON = """
import asyncio, os
from spoor import Agent
agent = Agent("till", capabilities=["pay"])

@agent.on("order.placed", name="pay")
async def pay(event, ctx):
    def charge():
        with open(os.environ["LEDGER"], "a") as ledger:
            ledger.write(f"charged {event.data['order']} in python\\n")
        return {"by": "python"}
    receipt = await ctx.step("charge", charge)
    await ctx.emit("order.paid", receipt)
    if os.environ["HANG"]:
        await asyncio.sleep(3600)
    await ctx.emit("order.closed", {"by": "python", "attempt": ctx.attempt})

agent.run()
"""
IN_TYPESCRIPT = """
import { appendFileSync } from "node:fs";
import { defineAgent } from "spoor";
defineAgent({ name: "till", capabilities: ["pay"], on: { "order.placed": { name: "pay", handler: async (event, ctx) => {
  const receipt = await ctx.step("charge", () => {
    appendFileSync(process.env.LEDGER, `charged ${event.data.order} in typescript\\n`);
    return { by: "typescript" };
  });
  await ctx.emit("order.paid", receipt);
  if (process.env.HANG) {
    await new Promise((resolve) => setTimeout(resolve, 3600000));
  }
  await ctx.emit("order.closed", { by: "typescript", attempt: ctx.attempt });
} } } }).run();
"""


def start(language, folder, url, hang):
    env = sdk.environment({"SPOOR_URL": url, "LEDGER": str(folder / "ledger"), "HANG": hang})
    if language == "python":
        command = [PYTHON, "-c", IN_PYTHON]
        env.update({"PYTHONPATH": str(SOURCE / "sdk" / "python"), "PYTHONDONTWRITEBYTECODE": "1"})
    else:
        modules = folder / "node_modules"
        if not modules.exists():
            modules.mkdir()
            (modules / "spoor").symlink_to(sdk.package())
        (folder / "agent.mjs").write_text(IN_TYPESCRIPT, encoding="utf-8")
        command = [sdk.node(), folder / "agent.mjs"]
    return subprocess.Popen(command, env=env, cwd=folder, stderr=subprocess.DEVNULL)


def events(connection, kind):
    return [json.loads(line) for line in connection.call("SPOOR.READ", "TYPE", kind)]


def until(check, what):
    end = time.monotonic() + WAIT_S
    while not check():
        assert time.monotonic() < end, f"it did not come to that: {what}"
        time.sleep(0.02)


def continued(first, second):
    def test(folder):
        with Spoor(program=SPOOR) as server, server.connect() as bus:
            url = f"redis://127.0.0.1:{server.port}"
            agents = [start(first, folder, url, "yes")]
            try:
                until(lambda: events(bus, "agent.online"), "an agent")
                until(lambda: bus.call("SPOOR.GROUP", "LIST", "$type:order.placed"), "its group")
                bus.call("SPOOR.APPEND", "order-7", "*", "order.placed", '{"order": 7}', "source", "shop", "id", "o-7")
                until(lambda: events(bus, "order.paid"), f"a payment in {first}")
                agents[0].send_signal(signal.SIGKILL)
                agents[0].wait()
                agents.append(start(second, folder, url, ""))
                until(lambda: events(bus, "order.closed"), f"the end in {second}")
                agents[1].terminate()
                assert agents[1].wait(WAIT_S) == 0
            finally:
                for agent in agents:
                    agent.kill()
                    agent.wait()
            assert (folder / "ledger").read_text(encoding="utf-8") == f"charged 7 in {first}\n"
            assert [event["data"] for event in events(bus, "order.paid")] == [{"by": first}]
            assert [event["data"] for event in events(bus, "order.closed")] == [{"by": second, "attempt": 2}]
            assert len(events(bus, "agent.step.completed")) == 1
            assert {event["causationid"] for event in events(bus, "order.*")[1:]} == {"o-7"}
    test.__name__ = f"begun in {first}, ended in {second}"
    return both_there(test)


def both_there(test):
    def with_packages(folder):
        if not PYTHON.exists() or not sdk.installed():
            raise Skip("redis-py, redis and typescript are not in build/clients; ./dev test installs them")
        test(folder)
    with_packages.__name__ = test.__name__
    return with_packages


os.environ.pop("SPOOR_URL", None)
run(continued("python", "typescript"), continued("typescript", "python"))
