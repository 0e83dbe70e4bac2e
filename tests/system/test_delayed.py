#!/usr/bin/env python3
"""Events that are to happen later, with the real server: in time, once, also across kill -9."""
import datetime
import random
import time

import harness
from http_help import Server, Web


def wait_for(found, what, timeout=90):
    """Asks again and again until there is an answer."""
    deadline = time.monotonic() + timeout
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} does not come"
        time.sleep(0.02)
    return answer


def soon(seconds):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.isoformat()


def delay(web, ident, seconds, **more):
    return web.call("POST", "/v1/events", {"id": ident, "type": "reminder.sent", "source": "ann",
                                           "stream": "reminders", "data": {"n": ident},
                                           "deliverat": soon(seconds), **more})


def happened(web):
    return web.ok("GET", "/v1/events", query={"type": "reminder.sent", "limit": 10000})


def later_and_as_it_was_said(folder):
    with Server(folder) as server, Web(server) as web:
        assert delay(web, "r1", 3, correlationid="run-1", priority="high").status in (201, 202)
        assert delay(web, "far", 3600).status in (201, 202)
        assert not [event for event in happened(web) if event["id"] == "far"]
        event, = wait_for(lambda: happened(web), "the event")
        assert (event["id"], event["source"], event["stream"]) == ("r1", "ann", "reminders"), event
        assert (event["correlationid"], event["priority"]) == ("run-1", "high"), event
        assert event["data"] == {"n": "r1"}, event
        waiting, due = web.ok("GET", "/v1/events", query={"stream": "$delayed", "type": "event.*",
                                                          "limit": 10})[0::2]
        assert waiting["type"] == "event.delayed" and due["type"] == "event.due", (waiting, due)
        assert event["delayedposition"] == due["delayedposition"] == waiting["position"], event
        assert event["recordedtime"] >= due["data"]["due"], event


def repeats_are_duplicates(folder):
    with Server(folder) as server, Web(server) as web:
        first = delay(web, "r1", 4)
        again = delay(web, "r1", 4)
        assert again.status in (200, 201, 202), again.body
        assert first.json["position"] == again.json["position"], (first.body, again.body)
        wait_for(lambda: happened(web), "the event")
        delay(web, "r1", 0.1)
        delay(web, "r2", 0.1)
        wait_for(lambda: len(happened(web)) == 2, "the other event")
        assert sorted(event["id"] for event in happened(web)) == ["r1", "r2"]


def a_time_that_has_passed_is_now(folder):
    with Server(folder) as server, Web(server) as web:
        assert delay(web, "r1", -60).status == 201
        event, = happened(web)
        assert event["id"] == "r1" and event["position"] == 1, event
        web.refused("POST", "/v1/events", 400, "deliverat",
                    {"type": "t", "source": "s", "deliverat": "some day"})


def once_across_kill_9(folder):
    dice = random.Random(3)
    made = []
    for _ in range(10):
        with Server(folder) as server:
            with Web(server) as web:
                for _ in range(60):
                    made.append(f"r{len(made)}")
                    reply = delay(web, made[-1], dice.choice((0.001, 0.02, 0.05, 0.1, 0.5)))
                    assert reply.status in (201, 202), reply.body
            time.sleep(dice.random() * 0.2)
            server.kill()
    with Server(folder) as server, Web(server) as web:
        wait_for(lambda: len(happened(web)) >= len(made), "all events")
        found = [event["id"] for event in happened(web)]
        assert sorted(found) == sorted(made), "some happened twice"
        due = web.ok("GET", "/v1/events", query={"type": "event.due", "limit": 10000})
        # Those whose time had passed when they came have no event.delayed.
        waited = web.ok("GET", "/v1/events", query={"type": "event.delayed", "limit": 10000})
        assert len(waited) > len(made) // 2, len(waited)
        assert (sorted(event["data"]["id"] for event in due)
                == sorted(event["data"]["id"] for event in waited))
        assert not any("refused" in event["data"] for event in due)


harness.run(later_and_as_it_was_said, repeats_are_duplicates, a_time_that_has_passed_is_now,
            once_across_kill_9)
