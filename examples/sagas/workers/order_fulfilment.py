#!/usr/bin/env python3
"""Workers of ../order-fulfilment.yaml: payments, the warehouse, the carrier and mail.

    spoor saga define examples/sagas/order-fulfilment.yaml
    PYTHONPATH=sdk/python python examples/sagas/workers/order_fulfilment.py &
    spoor publish order.placed '{"order_id": "o-1", "amount": 80, "currency": "EUR", "items": ["tea"]}' \\
        --source shop
    spoor publish order.placed '{"order_id": "o-2", "amount": 80, "currency": "EUR", "items": ["anvil"]}' \\
        --source shop      # no carrier takes an anvil: the goods are released, the card is refunded

A payment is never asked for twice: the provider is given the idempotency key. A worker that is told
that its step is no longer wanted stops."""
import asyncio
import sys

from spoor import Agent, NonRetryable

agent = Agent("fulfilment", concurrency=32)
charges = {}  # at the provider, by idempotency key


@agent.step("payments.charge_card")
async def charge_card(command, ctx):
    if command.data["amount"] > 10_000:
        raise NonRetryable("the card was declined")
    charge = charges.setdefault(ctx.idempotency_key, f"ch-{len(charges) + 1}")
    print(f"charged {command.data['order_id']}: {charge}", flush=True)
    return {"charge_id": charge}


@agent.compensate("payments.refund_card")
async def refund_card(command, ctx):
    # The definition has an input of its own: charge_id is null where nobody knows of a charge.
    print(f"refunded {command.data['order_id']}: {command.data['charge_id']}", flush=True)
    return {"refunded": command.data["charge_id"] is not None}


@agent.step("inventory.reserve")
async def reserve(command, ctx):
    print(f"reserved {command.data['order_id']}", flush=True)
    return {"reservation_id": f"res-{command.data['order_id']}", "heavy": "anvil" in command.data["items"]}


@agent.compensate("inventory.release")
async def release(command, ctx):
    print(f"released {ctx.input['order_id']}: {ctx.result and ctx.result['reservation_id']}", flush=True)


@agent.step("shipping.schedule")
async def schedule(command, ctx):
    try:
        await asyncio.sleep(0.01)  # the carrier thinks; a cancelled step ends here
    except asyncio.CancelledError:
        raise NonRetryable("the carrier had not answered yet: nothing is scheduled") from None
    if command.data["order_id"] == "o-2":
        raise NonRetryable("the carrier takes no anvils")
    print(f"scheduled {command.data['order_id']}", flush=True)
    return {"tracking": f"trk-{command.data['order_id']}"}


@agent.compensate("shipping.cancel")
async def cancel(command, ctx):
    print(f"cancelled {ctx.input['order_id']}", flush=True)


@agent.step("mail.send_confirmation")
async def send_confirmation(command, ctx):
    # Once over all attempts, whatever dies in between.
    await ctx.step("send", lambda: print(f"confirmed {command.data['order_id']}", flush=True))
    return {"sent": True}


if __name__ == "__main__":
    sys.exit(agent.run())
