#!/usr/bin/env python3
"""Upcasters: old events as their readers see them, over every protocol; what a broken one does."""
import json
import re
import time

import harness
from harness import spoor
from http_help import Ended, Error, Server, Stream, Web

SPLIT = '(.price / " ") as [$p, $c] | {price: ($p | tonumber), currency: $c}'
OLD, NEW = {"price": "12 EUR"}, {"price": 12, "currency": "EUR"}


def put(web, versions, program, status=201, kind="order.placed"):
    reply = web.call("PUT", f"/v1/upcasters/{kind}/{versions}", program.encode())
    assert reply.status == status, (reply.status, reply.body)
    return reply.json


def add(web, ident, data, version=None, kind="order.placed"):
    event = {"id": ident, "type": kind, "source": "shop", "data": data}
    if version:
        event["schemaversion"] = version
    web.ok("POST", "/v1/events", event, status=201)


def url(server):
    return f"http://127.0.0.1:{server.http_port}"


def wait_for(what):
    deadline = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return found


def every_reader_sees_the_new_version(folder):
    with Server(folder) as server, Web(server) as web, server.connect() as redis:
        redis.call("XGROUP", "CREATE", "shop", "g", "0", "MKSTREAM")
        web.ok("PUT", "/v1/groups/jobs", {"key": "shop", "from": "0"}, status=201)
        add(web, "o1", OLD)
        add(web, "o2", NEW, "2")
        before = web.ok("GET", "/v1/events/o1")
        put(web, "1-2", SPLIT)
        put(web, "1-2", SPLIT, 200)

        def check(event, raw=False):
            assert event["data"] == (OLD if raw else NEW), event
            assert event.get("schemaversion") == (None if raw else "2"), event

        query = {"type": "order.placed"}
        for raw in (False, True):
            asked = {"upcast": "false"} if raw else {}
            words = ["RAW"] if raw else []
            event = web.ok("GET", "/v1/events/o1", query=asked)
            check(event, raw)
            assert event["hash"] == before["hash"] and event["position"] == before["position"]
            check(web.ok("GET", "/v1/events", query={**query, **asked})[0], raw)
            check(web.ok("GET", "/v1/streams/shop/events", query=asked)[0], raw)
            check(web.ok("GET", "/v1/events/o1/effects", query=asked)[0], raw)
            lines = web.call("GET", "/v1/events", query={**query, **asked},
                             headers={"Accept": "application/x-ndjson"}).body.splitlines()
            check(json.loads(lines[0]), raw)
            cloud = web.call("GET", "/v1/events/o1", query=asked,
                             headers={"Accept": "application/cloudevents+json"}).json
            check(cloud, raw)
            with Stream(server, {**query, **asked, "from": 1}) as stream:
                stream.start()
                check(stream.event(), raw)
            check(json.loads(redis.call("SPOOR.READ", "TYPE", "order.placed", *words)[0]), raw)
            check(json.loads(redis.call("SPOOR.EVENT", "o1", *words)[0]), raw)
            check(json.loads(redis.call("SPOOR.TRACE", "o1", "CAUSES", *words)[1][0]), raw)
            with server.connect() as subscriber:
                subscriber.call("HELLO", "3")
                subscriber.call("SPOOR.SUBSCRIBE", "TYPE", "order.placed", "FROM", "1", *words)
                check(json.loads(subscriber.read()[4]), raw)
            options = ["--raw"] if raw else []
            seen = spoor("events", "--type", "order.placed", "--json", "--url", url(server), *options)
            check(harness.lines(seen.stdout)[0], raw)
            seen = spoor("tail", "order.placed", "--from", "1", "--limit", "1", "--json", "--url",
                         url(server), *options)
            check(harness.lines(seen.stdout)[0], raw)
            check(harness.lines(spoor("event", "o1", "--json", "--url", url(server), *options)
                                .stdout)[0], raw)
        # Workers get it brought up; what Redis shows are the stored fields.
        entry = web.ok("POST", "/v1/groups/jobs/receive", {"consumer": "w"})["entries"][0]
        check(entry["event"])
        got = redis.call("SPOOR.RECEIVE", "GROUP", "g", "w", "KEYS", "shop")
        check(json.loads(got[0][3]))
        fields = redis.call("XRANGE", "shop", "-", "+", "COUNT", "1")[0][1]
        assert json.loads(fields[fields.index(b"data") + 1]) == OLD, fields
        # A live event as well, and the registry is there again after a restart.
        with Stream(server, query) as stream:
            stream.start()
            add(web, "o3", {"price": "7 USD"})
            assert stream.event()["data"] == {"price": 7, "currency": "USD"}
    data = folder / "data"
    assert harness.events(data, "--type", "order.placed")[0]["data"] == NEW
    assert harness.events(data, "--type", "order.placed", "--raw")[0]["data"] == OLD
    assert harness.lines(spoor("export", "--type", "order.placed", data=data).stdout)[0]["data"] == OLD
    with Server(folder) as server, Web(server) as web:
        assert web.ok("GET", "/v1/events/o1")["data"] == NEW
        assert web.call("DELETE", "/v1/upcasters/order.placed/1-2").status == 204
        assert web.ok("GET", "/v1/events/o1")["data"] == OLD
        web.refused("DELETE", "/v1/upcasters/order.placed/1-2", 404, "no upcaster 1-2")


def chains_end_in_what_the_schema_says(folder):
    with Server(folder) as server, Web(server) as web:
        add(web, "o1", OLD)
        put(web, "1-2", SPLIT)
        put(web, "2-3", "{total: .price, currency}")
        web.ok("PUT", "/v1/schemas/order.placed/3",
               {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "integer"}}},
               query={"mode": "enforce"}, status=201)
        problem = web.refused("GET", "/v1/events/o1", 422, "the result is not of version 3")
        assert problem["type"] == "urn:spoor:problem:upcast-failed", problem
        put(web, "2-3", "{amount: .price}", 200)
        event = web.ok("GET", "/v1/events/o1")
        assert event["data"] == {"amount": 12} and event["schemaversion"] == "3", event
        listed = web.ok("GET", "/v1/upcasters", query={"type": "order.placed"})
        assert [(one["from"], one["to"]) for one in listed] == [("1", "2"), ("2", "3")], listed


def a_broken_one_stops_its_reader_alone(folder):
    told = re.compile(r"event \d+ \(order\.placed, id o2\): upcaster 1-2: ")
    with Server(folder) as server, Web(server) as web, server.connect() as redis:
        web.ok("PUT", "/v1/groups/jobs",
               {"key": "shop", "from": "0", "max-deliveries": 1}, status=201)
        put(web, "1-2", SPLIT)
        add(web, "o1", OLD)
        add(web, "o2", {"price": 7})
        add(web, "o3", OLD)
        for path in ("/v1/events", "/v1/events/o2", "/v1/streams/shop/events"):
            problem = web.refused("GET", path, 422, "upcaster 1-2")
            assert told.match(problem["detail"]), problem
        lines = web.call("GET", "/v1/events", query={"type": "order.placed"},
                         headers={"Accept": "application/x-ndjson"}).body.splitlines()
        assert json.loads(lines[0])["data"] == NEW and len(lines) == 2, lines
        assert told.match(json.loads(lines[1])["error"]), lines
        with Stream(server, {"type": "order.placed", "from": 1}) as stream:
            stream.start()
            assert stream.event()["id"] == "o1"
            frame = stream.message()
            assert frame["event"] == "error" and told.match(frame["data"]["reason"]), frame
            try:
                stream.frame()
                raise AssertionError("the stream went on")
            except Ended:
                pass
        reply = redis.call("SPOOR.READ", "TYPE", "order.placed")
        assert isinstance(reply, Error) and reply.startswith("UPCAST event"), reply
        with server.connect() as subscriber:
            subscriber.call("HELLO", "3")
            subscriber.call("SPOOR.SUBSCRIBE", "TYPE", "order.placed", "FROM", "1", "AS", "s")
            assert subscriber.read()[0] == b"event"
            kind, name, reason = subscriber.read()
            assert (kind, name) == (b"error", b"s") and told.match(reason.decode()), reason
            assert subscriber.read()[0] == b"spoor.unsubscribe"
            assert subscriber.call("PING") == "PONG"
        done = spoor("events", "--type", "order.placed", "--json", "--url", url(server), code=1)
        assert told.search(done.stderr) and "--raw" in done.stderr, done.stderr
        assert len(harness.lines(done.stdout)) == 1, done.stdout
        # The others of a group are handed out; this one is given up, and it is said why.
        got = web.ok("POST", "/v1/groups/jobs/receive", {"consumer": "w", "max": 10})["entries"]
        assert [entry["event"]["id"] for entry in got] == ["o1", "o3"], got
        dead = web.ok("GET", "/v1/groups/jobs/dead-letters")
        assert told.search(json.dumps(dead)), dead
        # Who does not read such events notices nothing, and who reads what is stored neither.
        web.ok("GET", "/v1/events", query={"upcast": "false"})
        web.ok("GET", "/v1/events", query={"type": "upcaster.*"})
        put(web, "1-2", f"if (.price | type) == \"number\" then . else {SPLIT} end", 200)
        assert len(web.ok("GET", "/v1/events", query={"type": "order.placed"})) == 3


def one_that_never_ends_is_stopped(folder):
    with Server(folder) as server, Web(server) as web:
        add(web, "o1", OLD)
        put(web, "1-2", "def f: f; f")
        web.refused("GET", "/v1/events/o1", 422, "took more than 250 ms")
        web.refused("GET", "/v1/events/o1", 422, "passed its limits before")
        put(web, "1-2", SPLIT, 200)
        assert web.ok("GET", "/v1/events/o1")["data"] == NEW
        for program, text in ((".a |", "it ends in the middle"), ("nix", "nix/0 is not defined")):
            web.refused("PUT", "/v1/upcasters/order.placed/2-3", 422, text, program.encode())
        web.refused("PUT", "/v1/upcasters/order.placed/3-2", 422, "2 is not newer than 3", b".")
        web.refused("PUT", "/v1/upcasters/order.placed/3", 400, "expected two versions", b".")


def projections_fold_the_new_version(folder):
    sql = b"""-- spoor: projection orders version 1
CREATE TABLE orders (id TEXT PRIMARY KEY, price BIGINT, currency TEXT);
-- spoor: on order.placed
INSERT INTO orders (id, price, currency)
VALUES (:id, CAST(:data ->> 'price' AS BIGINT), :data ->> 'currency');
"""
    with Server(folder) as server, Web(server) as web:
        put(web, "1-2", SPLIT)
        add(web, "o1", OLD)
        reply = web.call("PUT", "/v1/projections/orders", sql)
        assert reply.status in (200, 201), reply.body

        def rows():
            reply = web.call("POST", "/v1/query", {"sql": "SELECT id, price, currency FROM orders"})
            return reply.json["rows"] if reply.status == 200 else None

        assert wait_for(rows) == [["o1", 12, "EUR"]], rows()
        # A broken one stops this projection, and no other; mended, it goes on.
        add(web, "o2", {"price": 7})
        status = wait_for(lambda: (now := web.ok("GET", "/v1/projections/orders/status"))["error"] and now)
        assert "upcaster 1-2" in json.dumps(status["error"]), status
        put(web, "1-2", f"if (.price | type) == \"number\" then . else {SPLIT} end", 200)
        reply = web.call("POST", "/v1/projections/orders/rebuild")
        assert reply.status < 300, reply.body
        wait_for(lambda: rows() == [["o1", 12, "EUR"], ["o2", 7, None]])


def definitions_outlive_retention(folder):
    """What lies in the older half of a log that drops its oldest segments is told again."""
    command = {"emit": '[{type: "thing.made", data: .data}]'}
    with Server(folder, "--retain-bytes", "1Mi") as server, Web(server) as web:
        put(web, "1-2", SPLIT)
        web.ok("PUT", "/v1/commands/thing.make", command, status=201)
        line = json.dumps({"type": "filler", "source": "f", "data": "x" * 2000}) + "\n"
        while web.ok("GET", "/v1/events", query={"limit": 1})[0]["position"] <= 2:
            reply = web.call("POST", "/v1/events", (line * 4000).encode(),
                             headers={"Content-Type": "application/x-ndjson"})
            assert reply.status == 200, reply.body
    with Server(folder, "--retain-bytes", "1Mi") as server, Web(server) as web:
        add(web, "o1", OLD)
        assert web.ok("GET", "/v1/events/o1")["data"] == NEW
        web.ok("POST", "/v1/commands/thing.make", {"data": {"n": 1}}, status=201)


harness.run(every_reader_sees_the_new_version, chains_end_in_what_the_schema_says,
            a_broken_one_stops_its_reader_alone, one_that_never_ends_is_stopped,
            projections_fold_the_new_version, definitions_outlive_retention)
