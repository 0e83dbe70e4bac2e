#!/usr/bin/env python3
"""Workers of ../rollback.yaml: what a deployment did is undone in its order, once a person says so.

    spoor saga define examples/sagas/rollback.yaml
    PYTHONPATH=sdk/python python examples/sagas/workers/rollback.py &
    spoor publish deployment.failed '{"deployment_id": "d-1", "service": "shop", "error": "5xx", "migration": 7,
        "previous_version": "1.4", "flag": "new-cart"}' --source ci
    spoor saga ls; spoor saga approve ID --choice rollback --by ann

These are plain functions: they run in threads, and look at ctx.cancelled where they take long."""
import sys

from spoor import Agent, StepCancelled

agent = Agent("operator", concurrency=4)


@agent.step("database.undo_migration", ack_wait="1m")
def undo_migration(command, ctx):
    for part in range(3):  # what cannot be interrupted is done in parts
        if ctx.cancelled.is_set():
            raise StepCancelled(f"stopped behind part {part} of migration {command.data['migration']}")
        ctx.step(f"part {part}", lambda: None)  # what is done is not done again by another attempt
    print(f"undid migration {command.data['migration']}", flush=True)
    return {"parts": 3}


@agent.step("deploy.undo")
def undo_deploy(command, ctx):
    print(f"deployed {command.data['service']} {command.data['version']}", flush=True)
    return {"version": command.data["version"]}


@agent.step("flags.disable")
def disable(command, ctx):
    print(f"disabled {command.data['flag']}", flush=True)


if __name__ == "__main__":
    sys.exit(agent.run())
