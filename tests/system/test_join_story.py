#!/usr/bin/env python3
"""onboarding.complete is emitted once when provisioning and CRM are both done: in either order, told twice,
with the server killed at any moment between.
"""
import collections
import json
import random
import threading
import time

from harness import run
from saga_help import Stage

CUSTOMERS = 300
JOIN = {"join": "onboarding", "of": ["provisioning.completed", "crm.created"], "need": "all",
        "key": "data.customer_id", "window": "24h",
        "emit": {"type": "onboarding.complete", "data": "{customer: .key}"}}
PARTS = ("provisioning.completed", "crm.created")


def tell(stage, customer, dice, stop):
    """Tells both parts of a customer in some order, now and then under another id once more; until each has
    been acknowledged, over however many connections that takes."""
    told = [*PARTS, *dice.sample(PARTS, dice.randrange(3))]
    dice.shuffle(told)
    for number, type_ in enumerate(told):
        while not stop.is_set():
            try:
                with stage.connect(timeout=5) as connection:
                    reply = connection.call("SPOOR.APPEND", "fleet", "*", type_,
                                            json.dumps({"customer_id": customer}), "source", "fleet",
                                            "id", f"{customer}-{number}")
                assert type(reply).__name__ != "Error", reply
                break
            except (OSError, EOFError, ConnectionError):
                time.sleep(0.02)
            except Exception as lost:  # pylint: disable=broad-except
                assert type(lost).__name__ == "Closed", lost
                time.sleep(0.02)


def tellers(stage, stop, problems):
    def work(mine):
        try:
            for customer in mine:
                tell(stage, customer, random.Random(customer), stop)
        except Exception as problem:  # pylint: disable=broad-except
            problems.append(problem)
    customers = [f"c-{number}" for number in range(CUSTOMERS)]
    return [threading.Thread(target=work, args=(customers[lane::4],)) for lane in range(4)]


def emitted(stage):
    return collections.Counter(event["data"]["customer"] for event in stage.events(
        "--type", "onboarding.complete", "--limit", "100000"))


def it_is_complete_once(folder):
    with Stage(folder) as stage:
        stage.cli("join", "add", "-", stdin=json.dumps(JOIN))
        stop, problems = threading.Event(), []
        threads = tellers(stage, stop, problems)
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                time.sleep(0.3)
                stage.kill()
                stage.start()
            for thread in threads:
                thread.join(200)
                assert not thread.is_alive()
        finally:
            stop.set()
        assert not problems, problems
        wanted = collections.Counter(f"c-{number}" for number in range(CUSTOMERS))
        stage.wait("an event for each customer", lambda: len(emitted(stage)) == CUSTOMERS)
        assert emitted(stage) == wanted, emitted(stage) - wanted
        stage.kill()
        stage.start()
        assert emitted(stage) == wanted, "something was emitted again"


run(it_is_complete_once)
