#!/usr/bin/env python3
"""1,000 sagas, and server and workers killed again and again: all of them end, or wait for a named person,
and what their steps do has happened at the sink exactly as often as it should.

usage: test_saga_kill.py      ($SPOOR_ROUNDS: how often they are killed; 5)

Every saga charges, then packs and books at once, then ships. Of each 20, four cannot be shipped and are
undone, one of these cannot be unpacked and waits for a person; two more wait for ann's approval before they
ship. Workers share one sink, whose rows are idempotency keys: see saga_worker.py.
"""
import collections
import json
import os
import random
import time

from harness import run
from saga_help import Stage, check_order

ROUNDS = int(os.environ.get("SPOOR_ROUNDS", "5"))
SAGAS = int(os.environ.get("SPOOR_SAGAS", "1000"))
WORKERS = 2
ACTIONS = ("kill.charge", "kill.pack", "kill.book", "kill.ship")
UNDO = ("kill.refund", "kill.unpack", "kill.cancel")
RETRY = {"limit": 20, "backoff": "100ms", "max": "1s"}
SAGA = {"saga": "kill", "steps": [
    {"name": "charge", "action": "kill.charge", "compensate": "kill.refund", "timeout": "10m", "retry": RETRY},
    {"name": "both", "parallel": [
        {"name": "pack", "action": "kill.pack", "compensate": "kill.unpack", "timeout": "10m", "retry": RETRY},
        {"name": "book", "action": "kill.book", "compensate": "kill.cancel", "timeout": "10m", "retry": RETRY}]},
    {"name": "sure", "when": ".ask", "approval": {"prompt": "Ship it?", "who": ["ann"], "timeout": "30d"}},
    {"name": "ship", "action": "kill.ship", "timeout": "10m", "irreversible": True}]}
FAIL = [{"action": "kill.ship", "has": '"refuse": true', "error": "no carrier"},
        {"action": "kill.unpack", "has": '"stuck": true', "error": "the box is glued"}]


def data_of(number):
    kind = number % 20
    return {"number": number, "ask": kind in (10, 11), "refuse": kind < 4, "stuck": kind == 0}


def expected(number):
    """How the saga of a number ends, or what it waits for."""
    data = data_of(number)
    if data["ask"]:
        return "approval"
    return "operator" if data["stuck"] else "compensated" if data["refuse"] else "completed"


def effects_of(number):
    """{step: (done, undone)} at the sink."""
    done = {"charge": (1, 0), "both/pack": (1, 0), "both/book": (1, 0), "ship": (1, 0)}
    if data_of(number)["ask"]:
        del done["ship"]
    if data_of(number)["refuse"]:
        done = {"charge": (1, 1), "both/pack": (1, 1), "both/book": (1, 1)}
    if data_of(number)["stuck"]:  # `both` is not undone yet, so that what was before it is not either
        done = {"charge": (1, 0), "both/pack": (1, 0), "both/book": (1, 1)}
    return done


def start_all(stage):
    """Starts them by key; what is asked twice because the server died is one saga."""
    with stage.connect(timeout=60) as connection:
        started = {}
        for number in range(SAGAS):
            reply = connection.call("SPOOR.SAGA", "START", "kill", json.dumps(data_of(number)),
                                    "KEY", f"n-{number}")
            assert type(reply).__name__ != "Error", reply
            started[json.loads(reply)["sagaid"]] = number
    assert len(started) == SAGAS
    return started


def hire(stage, work_s):
    return stage.worker("team", ACTIONS, UNDO, fail=FAIL, work_s=work_s, concurrency=32)


def workers(stage, work_s):
    return [stage.at_work(hire(stage, work_s)) for _ in range(WORKERS)]


def kill_rounds(stage, dice):
    """Kills the server, the workers or both, at moments that nobody chose."""
    crew = workers(stage, 0.05)
    for number in range(ROUNDS):
        time.sleep(0.2 + dice.random())
        victims = ("server", "workers", "both")[number % 3]
        if victims != "server":
            for process in crew[:1] if number % 2 else crew:
                stage.kill_worker(process)
        if victims != "workers":
            stage.kill()
            stage.start()
        for process in [process for process in crew if process not in stage.workers]:
            crew.remove(process)
            crew.append(stage.at_work(hire(stage, 0.05)))
    for process in crew:
        stage.kill_worker(process)


def standing(stage):
    """{(status, waiting_for): sagas} as the engine has it."""
    rows = stage.json("query", "SELECT COUNT(*) AS sagas FROM sagas")
    found = stage.cli("query", "--json", "SELECT status, waiting_for, COUNT(*) AS sagas FROM sagas "
                      "GROUP BY status, waiting_for").stdout
    assert rows["sagas"] == SAGAS, rows
    return {(row["status"], row["waiting_for"]): row["sagas"] for row in map(json.loads, found.splitlines())}


WANTED = {"completed": ("completed", None), "compensated": ("compensated", None),
          "operator": ("needs_attention", "operator"), "approval": ("running", "approval")}


def check_sink(stage, started):
    found = collections.defaultdict(dict)
    for key, (_, done, undone, _) in stage.sink().items():
        sagaid, _, step = key.partition("/")
        found[sagaid][step] = (done, undone)
    wrong = {number: found[sagaid] for sagaid, number in started.items() if found[sagaid] != effects_of(number)}
    assert not wrong, f"{len(wrong)} of {SAGAS}: {list(wrong.items())[:5]}"
    assert found.keys() == started.keys(), "effects of sagas that nobody started"


def check_events(stage, started):
    """The record of each saga by itself, and who is named where it waits."""
    events = collections.defaultdict(list)
    position = 1
    while page := stage.events("--from", str(position), "--limit", "20000"):
        for event in page:
            if event["stream"].startswith("saga:"):
                events[event["stream"].removeprefix("saga:")].append(event)
        position = page[-1]["position"] + 1
    assert events.keys() == started.keys()
    for sagaid, number in started.items():
        end, want = check_order(events[sagaid]), expected(number)
        assert end == (want if want in ("completed", "compensated") else None), (number, end, want)
        if want == "approval":
            asked = [event["data"]["who"] for event in events[sagaid]
                     if event["type"] == "saga.approval.requested"]
            assert asked == [["ann"]], asked
        undone = [event["data"]["step"] for event in events[sagaid] if event["type"] == "saga.step.compensating"]
        if want == "compensated":  # what came last is undone first; the two of `both` on their own
            assert list(dict.fromkeys(undone))[-1] == "charge", undone


def all_end_whatever_dies(folder):
    dice = random.Random(6)
    with Stage(folder) as stage:
        stage.cli("saga", "define", "-", stdin=json.dumps(SAGA))
        started = start_all(stage)
        kill_rounds(stage, dice)
        workers(stage, 0)
        wanted = collections.Counter(WANTED[expected(number)] for number in range(SAGAS))
        stage.wait(f"all sagas as {dict(wanted)}", lambda: standing(stage) == wanted)
        check_sink(stage, started)
        check_events(stage, started)
        listed = [json.loads(line) for line in stage.cli(
            "saga", "ls", "--json", "--limit", "100000").stdout.splitlines()]
        running = {row["sagaid"] for row in listed if row["status"] not in ("completed", "compensated")}
        assert running == {sagaid for sagaid, number in started.items()
                           if expected(number) in ("approval", "operator")}
        print(f"# {SAGAS} sagas, {ROUNDS} times killed: {dict(wanted)}", flush=True)


run(all_end_whatever_dies)
