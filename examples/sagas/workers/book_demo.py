#!/usr/bin/env python3
"""Workers of ../book-demo.yaml: sales, the calendar and the CRM, in one process.

    spoor saga define examples/sagas/book-demo.yaml
    PYTHONPATH=sdk/python python examples/sagas/workers/book_demo.py &
    spoor saga start book-demo '{"lead_id": "lead-7"}'      # then: spoor saga approve ID
    spoor saga start book-demo '{"lead_id": "lead-busy"}'   # no slot is free: all of it is undone
    spoor saga start book-demo '{"lead_id": "lead-stuck"}'  # and the CRM will not let go: a person acts

Each effect is done once for its idempotency key, however often it is asked for; what is undone takes
well that there is nothing to undo."""
import json
import os
import pathlib
import sys

from spoor import Agent, NonRetryable

agent = Agent("demo-desk", capabilities=["sales", "calendar", "crm"])
# What the world outside remembers: key to what was done there.
place = pathlib.Path(os.environ.get("DEMO_WORLD", "demo-world.json"))


def world():
    return json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}


def do(key, effect):
    """Does something in the world, once for each key; what was done."""
    done = world()
    done.setdefault(key, effect)
    place.write_text(json.dumps(done), encoding="utf-8")
    print(f"did {key}: {effect}", flush=True)
    return done[key]


def undo(key):
    """Takes it back; whether there was something."""
    done = world()
    effect = done.pop(key, None)
    place.write_text(json.dumps(done), encoding="utf-8")
    print(f"undid {key}: {effect or 'nothing was done'}", flush=True)
    return effect is not None


def forward(ctx):
    """The key of the step that a compensation is to undo: its own, without the mark."""
    return ctx.idempotency_key.rstrip("~")


@agent.step("sales.qualify_lead")
async def qualify_lead(command, ctx):
    lead = command.data["lead_id"]
    if lead == "lead-nobody":
        raise NonRetryable("there is no such lead")
    return do(ctx.idempotency_key, {"lead_id": lead, "score": 7})


@agent.compensate("sales.unqualify_lead")
async def unqualify_lead(command, ctx):
    return {"undone": undo(forward(ctx))}


@agent.step("calendar.book")
async def book(command, ctx):
    if command.data["lead_id"] in ("lead-busy", "lead-stuck"):
        raise NonRetryable("no slot is free")
    return do(ctx.idempotency_key, {"slot": "Tuesday, 10:00"})


@agent.compensate("calendar.cancel")
async def cancel(command, ctx):
    return {"undone": undo(forward(ctx))}


@agent.step("crm.create_opportunity")
async def create_opportunity(command, ctx):
    return do(ctx.idempotency_key, {"opportunity": f"opp-{command.data['lead_id']}"})


@agent.compensate("crm.delete_opportunity")
async def delete_opportunity(command, ctx):
    # ctx.input, ctx.result and ctx.error are those of the step; result is None where nobody knows.
    if ctx.input["lead_id"] == "lead-stuck":
        raise NonRetryable("the record is locked by an audit")
    return {"undone": undo(forward(ctx))}


if __name__ == "__main__":
    sys.exit(agent.run())
