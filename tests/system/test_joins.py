#!/usr/bin/env python3
"""Joins with the real server: one emission for each key, in any order, repeated, across kill -9."""
import random
import time

import harness
from http_help import Server, Web
from harness import lines, spoor

ONBOARDING = {"join": "onboarding", "of": ["provisioning.completed", "crm.created"], "key": "data.customer",
              "window": "24h", "emit": {"type": "onboarding.complete", "data": "{customer: .key, events: "
                                        "(.events | map_values(.data.n)), missing}"}}


def wait_for(found, what, timeout=90):
    """Asks again and again until there is an answer."""
    deadline = time.monotonic() + timeout
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} does not come"
        time.sleep(0.02)
    return answer


def emitted(web, kind="onboarding.complete"):
    return web.ok("GET", "/v1/events", query={"type": kind, "limit": 10000})


def say(web, kind, customer, **data):
    web.ok("POST", "/v1/events", {"type": kind, "source": "test", "data": {"customer": customer, **data}},
           status=201)


def define(web, definition, kind="joins"):
    reply = web.call("PUT", f"/v1/{kind}/{definition[kind[:-1]]}", definition)
    assert reply.status in (200, 201), reply.body


def both_in_either_order(folder):
    with Server(folder) as server, Web(server) as web:
        define(web, ONBOARDING)
        say(web, "provisioning.completed", "c1", n=1)
        say(web, "provisioning.completed", "c1", n=2)
        say(web, "crm.created", "c2", n=3)
        say(web, "crm.created", "c1", n=4)
        say(web, "crm.created", "c1", n=5)
        say(web, "provisioning.completed", "c2", n=6)
        first, second = wait_for(lambda: len(emitted(web)) == 2 and emitted(web), "both")
        assert first["data"] == {"customer": "c1", "missing": [],
                                 "events": {"provisioning.completed": 1, "crm.created": 4}}, first
        assert second["data"]["events"] == {"provisioning.completed": 6, "crm.created": 3}, second
        assert (first["join"], first["joinkey"]) == ("onboarding", "c1"), first
        causes = web.ok("GET", f"/v1/events/{first['id']}")
        assert causes["causationid"], causes
        told = emitted(web, "join.emitted")
        assert [event["data"]["key"] for event in told] == ["c1", "c2"], told


def times_out(folder):
    with Server(folder) as server, Web(server) as web:
        define(web, {**ONBOARDING, "window": "300ms", "on_timeout": {"type": "onboarding.stuck",
                                                                     "data": ".missing"}})
        say(web, "crm.created", "c1")
        event, = wait_for(lambda: emitted(web, "onboarding.stuck"), "the timeout")
        assert event["data"] == ["provisioning.completed"], event
        say(web, "provisioning.completed", "c1")
        wait_for(lambda: len(emitted(web, "onboarding.stuck")) == 2, "the second timeout")
        assert not emitted(web)


def what_is_wrong_has_a_place(folder):
    with Server(folder) as server, Web(server) as web:
        broken = {**ONBOARDING, "emit": {"type": "x", "data": "{"}}
        reply = web.call("PUT", "/v1/joins/onboarding", broken)
        assert reply.status == 422 and b"emit.data" in reply.body, reply.body
        reply = web.call("PUT", "/v1/joins/onboarding", {**ONBOARDING, "windw": "1h"})
        assert reply.status == 422 and b"did you mean `window`" in reply.body, reply.body
        failing = {**ONBOARDING, "need": "any", "emit": {"type": "x", "data": "error(\"no\")"}}
        define(web, failing)
        say(web, "crm.created", "c1")
        event, = wait_for(lambda: emitted(web, "join.failed"), "the failure")
        assert "no" in event["data"]["error"], event


def by_the_command_line(folder):
    file = folder / "onboarding.yaml"
    file.write_text("join: onboarding\nof: [provisioning.completed, crm.created]\nkey: data.customer\n"
                    "window: 24h\nemit: {type: onboarding.complete}\n", encoding="utf-8")
    data = folder / "data"
    spoor("join", "add", file, data=data)
    spoor("publish", "crm.created", '{"customer": "c1"}', data=data)
    shown, = [join for join in lines(spoor("join", "ls", "--json", data=data).stdout)]
    assert shown["join"] == "onboarding" and shown["open"] == 1, shown
    spoor("join", "rm", "onboarding", data=data)
    spoor("join", "show", "onboarding", data=data, code=3)


def once_across_kill_9(folder):
    dice = random.Random(5)
    left = [(kind, f"c{number}") for number in range(400)
            for kind in ONBOARDING["of"] for _ in range(dice.choice((1, 1, 2)))]
    dice.shuffle(left)
    with Server(folder) as server, Web(server) as web:
        define(web, ONBOARDING)
    for _ in range(12):
        with Server(folder) as server:
            with Web(server) as web:
                for _ in range(len(left) // 12 + 1):
                    if left:
                        say(web, *left.pop())
            server.kill()
    with Server(folder) as server, Web(server) as web:
        for one in left:
            say(web, *one)
        wait_for(lambda: len(emitted(web)) >= 400, "all that is complete")
        time.sleep(0.3)
        keys = [event["joinkey"] for event in emitted(web)]
        assert sorted(keys) == sorted(f"c{number}" for number in range(400)), "not once each"
        assert len(emitted(web, "join.emitted")) == 400


harness.run(both_in_either_order, times_out, what_is_wrong_has_a_place, by_the_command_line,
            once_across_kill_9)
