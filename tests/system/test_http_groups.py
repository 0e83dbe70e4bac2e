#!/usr/bin/env python3
"""Worker queues over HTTP: groups, entries handed out and settled, dead letters."""
import datetime
import json
import threading
import time

import harness
from http_help import Server, Web, append

ALL_OPTIONS = {"type": "job.#", "filter": {"data.n": {"$gte": 1}}, "ack-wait": "90s",
               "max-deliveries": 3, "backoff": "10ms..1s x2 jitter 0.1", "order-by": "stream",
               "max-in-flight": 100, "on-leave": "keep"}


def make(web, name="workers", **members):
    return web.ok("PUT", f"/v1/groups/{name}", {"key": "jobs", "from": "0", **members}, status=201)


def receive(web, consumer="w1", count=10, wait_ms=0, name="workers", query=None):
    body = {"consumer": consumer, "max": count, "wait_ms": wait_ms}
    return web.ok("POST", f"/v1/groups/{name}/receive", body, query)["entries"]


def groups_are_made_changed_shown_and_dropped(folder):
    with Server(folder) as server, Web(server) as web:
        made = make(web, **ALL_OPTIONS)
        assert made["name"] == "workers" and made["key"] == "jobs", made
        assert made["policy"] == ALL_OPTIONS, made["policy"]
        shown = web.ok("GET", "/v1/groups/workers")
        assert shown["policy"] == made["policy"] and shown["lag"] == {"events": 0, "seconds": 0}
        for member in ("cursor", "consumers", "pending", "in_flight", "waiting", "parked", "dead"):
            assert shown[member] == 0, shown
        # Again with other options: what is left out has its default. The key need not be said.
        changed = web.ok("PUT", "/v1/groups/workers", {"ack-wait": 5, "filter": None})
        assert changed["key"] == "jobs", changed
        assert changed["policy"] == {
            "type": None, "filter": None, "ack-wait": "5s", "max-deliveries": 5,
            "backoff": "1s..1m x2 jitter 0.2", "order-by": "none", "max-in-flight": 0,
            "on-leave": "return"}, changed
        default = web.ok("PUT", "/v1/groups/everything", {}, status=201)
        assert default["key"] == "$all", default
        assert web.ok("PUT", "/v1/groups/a%2Fb%20c", {"key": "$type:x.*"}, status=201)["name"] == "a/b c"
        listed = web.ok("GET", "/v1/groups")
        assert [group["name"] for group in listed["groups"]] == ["workers", "everything", "a/b c"]
        assert "next" not in listed and "lag" not in listed["groups"][0], listed
        page = web.ok("GET", "/v1/groups", query={"limit": 2, "lag": "true"})
        assert len(page["groups"]) == 2 and page["groups"][1]["lag"]["events"] >= 0, page
        rest = web.ok("GET", "/v1/groups", query={"after": page["next"]})
        assert [group["name"] for group in rest["groups"]] == ["a/b c"] and "next" not in rest
        assert len(web.ok("GET", "/v1/groups", query={"key": "jobs"})["groups"]) == 1
        assert web.call("DELETE", "/v1/groups/workers").status == 204
        web.refused("GET", "/v1/groups/workers", 404, "workers")
        web.refused("DELETE", "/v1/groups/workers", 404, "workers")
        with server.connect() as redis:
            assert redis.call("SPOOR.GROUP", "GET", "everything", "$all")[1] == b"everything"


def entries_are_handed_out_and_settled(folder):
    with Server(folder) as server, Web(server) as web, server.connect() as redis:
        make(web, backoff="0s")
        for n in range(3):
            append(redis, "jobs", "job.asked", json.dumps({"n": n}), "source", "shop")
        before = datetime.datetime.now(datetime.timezone.utc)
        first, second = receive(web, count=2)
        assert set(first) == {"id", "key", "attempts", "deadline", "event"}, first
        assert (first["key"], first["attempts"]) == ("jobs", 1), first
        assert first["event"]["type"] == "job.asked" and first["event"]["data"] == {"n": 0}, first
        assert first["event"]["stream"] == "jobs" and first["event"]["version"] == 1, first
        deadline = datetime.datetime.fromisoformat(first["deadline"].replace("Z", "+00:00"))
        assert deadline > before + datetime.timedelta(seconds=20), first
        assert web.ok("GET", "/v1/groups/workers")["lag"]["events"] == 1
        third, = receive(web, "w2")
        assert third["event"]["data"] == {"n": 2}, third
        assert receive(web) == []
        ids = [first["id"], second["id"], "1-1", first["id"]]
        assert web.ok("POST", "/v1/groups/workers/ack", {"ids": ids}) == {"acked": 2}
        assert web.ok("POST", "/v1/groups/workers/ack", {"ids": ids}) == {"acked": 0}
        assert web.ok("POST", "/v1/groups/workers/ack", {"ids": []}) == {"acked": 0}
        nack = {"ids": [third["id"], "1-1"], "error": "it \"broke\"", "delay_ms": 0}
        assert web.ok("POST", "/v1/groups/workers/nack", nack) == {"nacked": 1}
        again, = receive(web, wait_ms=30000)
        assert (again["id"], again["attempts"]) == (third["id"], 2), again
        failed = [event for event in redis.call("SPOOR.READ", "TYPE", "delivery.failed")]
        assert json.loads(failed[0])["data"]["error"] == "it \"broke\"", failed
        # A worker of the other protocol has what is acknowledged here.
        append(redis, "jobs", "job.asked", "{}")
        entry, = redis.call("SPOOR.RECEIVE", "GROUP", "workers", "w3", "KEYS", "jobs")
        assert web.ok("POST", "/v1/groups/workers/ack", {"ids": [entry[1].decode()]}) == {"acked": 1}


def more_time_keeps_an_entry(folder):
    with Server(folder) as server, Web(server) as web, server.connect() as redis:
        make(web, **{"ack-wait": "300ms", "backoff": "0s"})
        append(redis, "jobs")
        append(redis, "jobs")
        kept, lost = receive(web)
        assert web.ok("POST", "/v1/groups/workers/extend",
                      {"ids": [kept["id"], "1-1"], "ms": 3600000}) == {"extended": 1}
        back, = receive(web, "w2", wait_ms=60000)
        assert (back["id"], back["attempts"]) == (lost["id"], 2), "ack-wait gives it to another"
        assert web.ok("GET", "/v1/groups/workers")["in_flight"] == 2
        assert web.ok("POST", "/v1/groups/workers/extend", {"ids": [back["id"]]}) == {"extended": 1}


def a_receive_waits_for_what_comes(folder):
    with Server(folder) as server, Web(server) as web, server.connect() as redis:
        make(web)
        assert receive(web, wait_ms=30) == []
        got = []

        def work(number):
            with Web(server) as own:
                got.append((number, receive(own, f"w{number}", 1, 60000)))

        def blocked():
            return redis.call("INFO", "clients")

        workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for number, worker in enumerate(workers):
            worker.start()
            deadline = time.monotonic() + 30
            while b"blocked_clients:%d\r" % (number + 1) not in blocked():
                assert time.monotonic() < deadline, blocked()
                time.sleep(0.01)
        for number in range(4):
            append(redis, "jobs", "job.asked", str(number))
        for worker in workers:
            worker.join()
        assert sorted(number for number, _ in got) == [0, 1, 2, 3]
        for number, (entry,) in got:
            assert entry["event"]["data"] == number, "who came first is asked first"
        # One who goes away while waiting takes nothing with him.
        gone = Web(server)
        gone.connection.request("POST", "/v1/groups/workers/receive",
                                json.dumps({"consumer": "gone", "wait_ms": 60000}))
        while b"blocked_clients:1\r" not in blocked():
            time.sleep(0.01)
        gone.connection.close()
        while b"blocked_clients:0\r" not in blocked():
            time.sleep(0.01)
        append(redis, "jobs", "job.asked", "4")
        entry, = receive(web, "w9")
        assert entry["attempts"] == 1, entry
        # Of a group that is dropped those who wait are told.
        answers = []
        late = threading.Thread(target=lambda: answers.append(Web(server).call(
            "POST", "/v1/groups/workers/receive", {"consumer": "w", "wait_ms": 60000})))
        late.start()
        while b"blocked_clients:1\r" not in blocked():
            time.sleep(0.01)
        assert web.call("DELETE", "/v1/groups/workers").status == 204
        late.join()
        assert answers[0].status == 404, answers[0].body


def what_keeps_failing_is_dead_until_somebody_decides(folder):
    with Server(folder) as server, Web(server) as web, server.connect() as redis:
        make(web, **{"max-deliveries": 1})
        path = "/v1/groups/workers"
        for n in range(25):
            append(redis, "jobs", "job.asked", str(n))
        ids = [entry["id"] for entry in receive(web, count=25)]
        assert web.ok("POST", f"{path}/nack", {"ids": ids[:24], "error": "no"}) == {"nacked": 24}
        assert web.ok("POST", f"{path}/nack", {"ids": ids[24:], "error": "never", "dead": True}) == {
            "nacked": 1}
        assert web.ok("GET", path)["dead"] == 25
        seen, query = [], {"limit": 10}
        while True:
            page = web.ok("GET", f"{path}/dead-letters", query=query)
            seen += page["entries"]
            if "next" not in page:
                break
            query["after"] = page["next"]
        assert [entry["id"] for entry in seen] == ids
        entry = seen[-1]
        assert (entry["key"], entry["attempts"], entry["reason"], entry["error"]) == (
            "jobs", 1, "refused", "never"), entry
        assert entry["event"]["data"] == 24 and entry["event"]["position"] == entry["position"]
        assert entry["time"] > entry["event"]["recordedtime"][:19] and entry["last_delivery"], entry
        assert (seen[0]["reason"], seen[0]["error"]) == ("attempts", "no"), seen[0]
        assert web.ok("POST", f"{path}/redrive", {"ids": [ids[3], "1-1"]}) == {"redriven": 1}
        assert [one["id"] for one in receive(web)] == [ids[3]]
        assert web.ok("POST", f"{path}/redrive", {"count": 2}) == {"redriven": 2}
        assert [one["id"] for one in receive(web)] == ids[:2]
        assert web.ok("DELETE", f"{path}/dead-letters",
                      query={"id": [ids[4], ids[5]]}) == {"discarded": 2}
        assert web.ok("DELETE", f"{path}/dead-letters", query={"count": 1}) == {"discarded": 1}
        assert web.ok("POST", f"{path}/redrive", {"all": True}) == {"redriven": 19}
        assert web.ok("GET", path)["dead"] == 0
        assert web.ok("DELETE", f"{path}/dead-letters", query={"all": "true"}) == {"discarded": 0}
        assert len(receive(web, count=100)) == 19


def a_name_that_several_keys_have(folder):
    with Server(folder) as server, Web(server) as web, server.connect() as redis:
        for key in ("one", "two"):
            web.ok("PUT", "/v1/groups/same", {"key": key}, status=201)
            append(redis, key)
        problem = web.refused("GET", "/v1/groups/same", 409, "?key=")
        assert problem["keys"] == ["one", "two"], problem
        web.refused("POST", "/v1/groups/same/receive", 409, "?key=", {"consumer": "w"})
        entry, = receive(web, name="same", query={"key": "two"})
        assert entry["key"] == "two", entry
        assert web.ok("POST", "/v1/groups/same/ack", {"ids": [entry["id"]]},
                      {"key": "two"}) == {"acked": 1}
        web.refused("PUT", "/v1/groups/same", 400, "key", {"key": "one"}, {"key": "two"})
        web.refused("GET", "/v1/groups/same", 404, "same", query={"key": "three"})
        assert web.call("DELETE", "/v1/groups/same", query={"key": "one"}).status == 204
        assert web.ok("GET", "/v1/groups/same")["key"] == "two"


def groups_without_a_policy(folder):
    with Server(folder) as server, Web(server) as web, server.connect() as redis:
        append(redis, "plain")
        assert redis.call("XGROUP", "CREATE", "plain", "g", "0") == "OK"
        assert web.ok("GET", "/v1/groups/g")["policy"] is None
        entry, = receive(web, name="g")
        assert entry["deadline"] is None, entry
        web.refused("POST", "/v1/groups/g/nack", 409, "policy", {"ids": [entry["id"]]})
        web.refused("POST", "/v1/groups/g/extend", 409, "policy", {"ids": [entry["id"]], "ms": 1})
        assert web.ok("POST", "/v1/groups/g/extend", {"ids": [entry["id"]]}) == {"extended": 1}
        assert web.ok("POST", "/v1/groups/g/ack", {"ids": [entry["id"]]}) == {"acked": 1}


def what_is_wrong_is_named(folder):
    with Server(folder) as server, Web(server) as web:
        make(web)
        path = "/v1/groups/workers"
        for method, where, body, told in (
                ("PUT", "", b"[]", "an object"), ("PUT", "", b"{", "byte"),
                ("PUT", "", {"ack_wait": "5s"}, "unknown member 'ack_wait'"),
                ("PUT", "", {"ack-wait": "soon"}, "ack-wait"),
                ("PUT", "", {"max-deliveries": 0}, "max-deliveries"),
                ("PUT", "", {"order-by": "size"}, "order-by"), ("PUT", "", {"filter": 7}, "filter"),
                ("PUT", "", {"filter": {"a": {"$no": 1}}}, "filter"),
                ("PUT", "", {"type": "a.>.b"}, "type"), ("PUT", "", {"key": 7}, "key"),
                ("PUT", "", {"key": "$type:a.>.b"}, ""), ("PUT", "-new", {"from": "soon"}, "from"),
                ("PUT", "", b'{"type": "a", "type": "b"}', "type: is there twice"),
                ("POST", "/receive", None, "consumer"), ("POST", "/receive", {"max": 1}, "consumer"),
                ("POST", "/receive", {"consumer": ""}, "consumer"),
                ("POST", "/receive", {"consumer": 1}, "consumer: expected a string"),
                ("POST", "/receive", {"consumer": "w", "max": 0}, "max"),
                ("POST", "/receive", {"consumer": "w", "max": 1001}, "max"),
                ("POST", "/receive", {"consumer": "w", "wait_ms": -1}, "wait_ms"),
                ("POST", "/receive", {"consumer": "w", "wait_ms": 1.5}, "wait_ms"),
                ("POST", "/receive", {"consumer": "x" * 1025}, "consumer"),
                ("POST", "/receive", {"consumer": "w", "block": 1}, "unknown member 'block'"),
                ("POST", "/ack", {}, "ids"), ("POST", "/ack", {"ids": "1-1"}, "ids"),
                ("POST", "/ack", {"ids": ["1-1", "one"]}, "ids[1]"),
                ("POST", "/ack", {"ids": [11]}, "ids[0]"), ("POST", "/ack", {"id": "1-1"}, "'id'"),
                ("POST", "/ack", {"ids": ["1-1"] * 10001}, "ids: more than"),
                ("POST", "/nack", {"ids": [], "error": 7}, "error"),
                ("POST", "/nack", {"ids": [], "delay_ms": "5s"}, "delay_ms"),
                ("POST", "/nack", {"ids": [], "dead": "yes"}, "dead"),
                ("POST", "/extend", {"ids": [], "ms": 100000000001}, "ms"),
                ("POST", "/redrive", {}, "which"), ("POST", "/redrive", {"all": False}, "which"),
                ("POST", "/redrive", {"all": True, "count": 1}, "which"),
                ("POST", "/redrive", {"count": 0}, "count")):
            web.refused(method, path + where, 400, told, body)
        for method, where, query, told in (
                ("GET", "", {"lag": "no"}, "lag"), ("POST", "/receive", {"max": "1"}, "max"),
                ("GET", "/dead-letters", {"limit": "0"}, "limit"),
                ("GET", "/dead-letters", {"after": "x"}, "after"),
                ("DELETE", "/dead-letters", {}, "which"),
                ("DELETE", "/dead-letters", {"id": "one"}, "id"),
                ("DELETE", "/dead-letters", {"all": "perhaps"}, "all")):
            web.refused(method, path + where, 400, told, query=query)
        for query, told in (({"limit": "1001"}, "limit"), ({"lag": "x"}, "lag"), ({"a": 1}, "'a'")):
            web.refused("GET", "/v1/groups", 400, told, query=query)
        for where in ("/receive", "/ack", "/nack", "/extend", "/redrive"):
            web.refused("POST", "/v1/groups/none" + where, 404, "none",
                        {"consumer": "w"} if where == "/receive" else
                        {"ids": ["1-1"]})
        web.refused("GET", "/v1/groups/none/dead-letters", 404, "none")
        shown = web.ok("GET", path)
        assert shown["policy"]["ack-wait"] == "30s" and shown["pending"] == 0, "nothing changed"
        assert len(web.ok("GET", "/v1/groups")["groups"]) == 1


def large_entries_come_in_several_replies(folder):
    with Server(folder) as server, Web(server) as web, server.connect() as redis:
        make(web)
        body = json.dumps({"text": "z" * 500000})
        for _ in range(60):
            append(redis, "jobs", "job.asked", body)
        got = []
        while len(got) < 60:
            entries = receive(web, count=1000)
            assert 0 < len(entries) < 40, len(entries)
            got += [entry["id"] for entry in entries]
        assert len(set(got)) == 60 and receive(web) == []
        for _ in range(120):
            append(redis, "jobs", "job.asked", body)
        again = set()
        while len(again) < 120:
            entries = redis.call("SPOOR.RECEIVE", "GROUP", "workers", "w1", "COUNT", 1000, "KEYS",
                                 "jobs", timeout=60)
            assert 0 < len(entries) <= 100, len(entries)
            again |= {entry[1] for entry in entries}


def acknowledged_is_acknowledged_after_a_kill(folder):
    with Server(folder) as server:
        with Web(server) as web, server.connect() as redis:
            make(web, **{"ack-wait": "1s", "backoff": "0s"})
            for n in range(50):
                append(redis, "jobs", "job.asked", str(n))
            done = [entry["id"] for entry in receive(web, count=20)]
            assert web.ok("POST", "/v1/groups/workers/ack", {"ids": done}) == {"acked": 20}
            receive(web, count=5)
        server.kill()
        server.start()
        with Web(server) as web:
            left = []
            while len(left) < 30:
                entries = receive(web, "w2", count=30, wait_ms=30000)
                left += entries
                web.ok("POST", "/v1/groups/workers/ack", {"ids": [one["id"] for one in entries]})
            assert sorted(entry["event"]["data"] for entry in left) == list(range(20, 50))


if __name__ == "__main__":
    harness.run(groups_are_made_changed_shown_and_dropped, entries_are_handed_out_and_settled,
                more_time_keeps_an_entry, a_receive_waits_for_what_comes,
                what_keeps_failing_is_dead_until_somebody_decides, a_name_that_several_keys_have,
                groups_without_a_policy, what_is_wrong_is_named,
                large_entries_come_in_several_replies, acknowledged_is_acknowledged_after_a_kill)
