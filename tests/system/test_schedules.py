#!/usr/bin/env python3
"""Schedules with the real server: none missed and none doubled, also across kill -9."""
import datetime
import random
import time

import harness
from http_help import Server, Web
from harness import lines, spoor


def wait_for(found, what, timeout=90):
    """Asks again and again until there is an answer."""
    deadline = time.monotonic() + timeout
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} does not come"
        time.sleep(0.02)
    return answer


def define(web, **definition):
    reply = web.call("PUT", f"/v1/schedules/{definition['schedule']}", definition)
    assert reply.status in (200, 201), reply.body


def beats(web, kind="beat"):
    return web.ok("GET", "/v1/events", query={"type": kind, "limit": 10000})


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def every_second(folder):
    with Server(folder) as server, Web(server) as web:
        define(web, schedule="pulse", every="1s", emit={"type": "beat", "data": {"n": 1}})
        found = wait_for(lambda: len(beats(web)) >= 2 and beats(web), "two of them")
        assert found[0]["data"] == {"n": 1} and found[0]["schedule"] == "pulse", found
        assert found[0]["id"] == f"schedule:pulse:{found[0]['time']}", found
        assert abs(seconds(found[1]["time"]) - seconds(found[0]["time"]) - 1) < 1e-6, found
        assert seconds(found[0]["recordedtime"]) >= seconds(found[0]["time"]), found
        fired = beats(web, "schedule.fired")
        assert fired[0]["data"]["event"] == found[0]["id"], fired
        web.ok("DELETE", "/v1/schedules/pulse", status=204)
        count = len(beats(web))
        time.sleep(1.2)
        assert len(beats(web)) == count, "it goes on although it was removed"


def what_is_wrong_has_a_place(folder):
    with Server(folder) as server, Web(server) as web:
        wrong = {"schedule": "s", "cron": "0 25 * * *", "emit": {"type": "x"}}
        reply = web.call("PUT", "/v1/schedules/s", wrong)
        assert reply.status == 422 and b"hour: the number is too large" in reply.body, reply.body
    file = folder / "s.yaml"
    file.write_text("schedule: s\nevery: 10m\nemit:\n  type: x\nuntill: 2026\n", encoding="utf-8")
    done = spoor("schedule", "add", file, data=folder / "data", code=None)
    assert done.returncode != 0 and "5" in done.stderr and "until" in done.stderr, done
    file.write_text("schedule: s\ncron: '@daily'\nemit:\n  type: x\n", encoding="utf-8")
    spoor("schedule", "add", file, data=folder / "data")
    shown, = lines(spoor("schedule", "ls", "--json", data=folder / "data").stdout)
    assert shown["schedule"] == "s", shown


def none_missed_and_none_doubled_across_kill_9(folder):
    dice = random.Random(9)
    with Server(folder) as server, Web(server) as web:
        define(web, schedule="all", every="1s", emit={"type": "beat.all"})
        define(web, schedule="last", every="1s", catch_up="last", emit={"type": "beat.last"})
        define(web, schedule="cron", cron="* * * * *", emit={"type": "beat.cron"})
    for _ in range(10):
        with Server(folder) as server:
            time.sleep(dice.random() * 1.5)
            server.kill()
        time.sleep(dice.random())
    with Server(folder) as server, Web(server) as web:
        count = len(beats(web, "beat.all"))
        wait_for(lambda: len(beats(web, "beat.all")) > count + 1, "the next ones")
        times = [seconds(event["time"]) for event in beats(web, "beat.all")]
        steps = [round(after - before, 6) for before, after in zip(times, times[1:])]
        assert set(steps) == {1.0}, steps
        defined, = [event for event in beats(web, "schedule.defined") if event["data"]["schedule"] == "all"]
        assert abs(times[0] - seconds(defined["recordedtime"]) - 1) < 1e-6, (times[0], defined)
        rare = [event["time"] for event in beats(web, "beat.last")]
        assert len(rare) == len(set(rare)) and set(map(seconds, rare)) <= {
            seconds(event["data"]["at"]) for event in beats(web, "schedule.fired")}, rare
        minutes = [event["time"] for event in beats(web, "beat.cron")]
        assert len(minutes) == len(set(minutes)), minutes


def each_starts_one_saga_across_kill_9(folder):
    dice = random.Random(4)
    with Server(folder) as server, Web(server) as web:
        saga = {"saga": "tick", "steps": [{"name": "say", "emit": {"type": "ticked", "data": ".at"}}]}
        reply = web.call("PUT", "/v1/saga-definitions/tick", saga)
        assert reply.status in (200, 201), reply.body
        define(web, schedule="s", every="1s", start={"saga": "tick"})
        define(web, schedule="missing", every="1s", start={"saga": "nobody"})
    for _ in range(6):
        with Server(folder) as server:
            time.sleep(dice.random() * 1.5)
            server.kill()
    with Server(folder) as server, Web(server) as web:
        count = len(beats(web, "ticked"))
        wait_for(lambda: len(beats(web, "ticked")) > count + 1, "the next ones")
        times = sorted(seconds(event["data"]) for event in beats(web, "ticked"))
        assert {round(after - before, 6) for before, after in zip(times, times[1:])} == {1.0}, times
        keys = [event["data"]["key"] for event in beats(web, "saga.started")]
        assert len(keys) == len(set(keys)) >= len(times) and keys[0].startswith("s:"), keys
        failed = beats(web, "schedule.failed")
        assert failed and "nobody" in failed[0]["data"]["error"], failed


harness.run(every_second, what_is_wrong_has_a_place, none_missed_and_none_doubled_across_kill_9,
            each_starts_one_saga_across_kill_9)
