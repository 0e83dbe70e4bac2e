#!/usr/bin/env python3
"""Agents: announced over both protocols, found by what they can do, suspected when they fall silent or
lose their connection, recovered when they are back, and the same after a restart."""
import http.client
import json
import subprocess
import sys
import time
import urllib.parse

import harness
from harness import SOURCE, SPOOR

sys.path.insert(0, str(SOURCE / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from resp import Error, Nil
from servers import Spoor

PATIENT = ("--agent-suspect-after", "1h", "--agent-stale-after", "1h", "--agent-grace", "1h")
WAIT_S = 60


def server(folder, *options):
    return Spoor(folder=folder / "data", program=SPOOR, options=options)


def ok(reply):
    assert not isinstance(reply, Error), reply
    return reply


def agent(connection, name):
    reply = ok(connection.call("SPOOR.AGENT", "GET", name))
    return None if isinstance(reply, Nil) else json.loads(reply)


def names(connection, *query):
    return [json.loads(line)["id"] for line in ok(connection.call("SPOOR.AGENT", "LIST", *query))]


def told(connection):
    """[(type, agent, data)] of what the store says of agents."""
    rows = []
    for _, fields in ok(connection.call("XRANGE", "$agents", "-", "+")):
        row = {fields[i]: fields[i + 1] for i in range(0, len(fields), 2)}
        data = json.loads(row[b"data"])
        rows.append((row[b"type"].decode(), data["agent"], data))
    return rows


def story(connection, name):
    """The letters s and r: suspected, recovered."""
    return "".join("s" if kind == "agent.suspected_failure" else "r"
                   for kind, who, _ in told(connection) if who == name)


def wait_for(condition):
    """Until it holds; machines are slow."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def request(running, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", running.http_port, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        reply = connection.getresponse()
        text = reply.read()
        is_json = "json" in (reply.getheader("Content-Type") or "")
        return reply.status, json.loads(text) if is_json else text.decode()
    finally:
        connection.close()


def announced_over_either_protocol_and_found_over_both(folder):
    with server(folder, *PATIENT) as running, running.connect() as connection:
        ok(connection.call("SPOOR.AGENT", "ONLINE", "one", "CAPABILITY", "review", "CAPABILITY", "test",
                           "CAPACITY", 2, "VERSION", "1.0", "DATA", '{"host": "h"}'))
        status, two = request(running, "PUT", "/v1/agents/the%20second", {
            "capabilities": ["review"], "version": None, "data": {"host": "i"}})
        assert status == 200 and two["id"] == "the second" and two["capacity"] is None, two
        ok(connection.call("XADD", "work", "*", "type", "agent.started", "source", "three",
                           "data", '{"capabilities": ["test"]}'))
        assert names(connection) == ["one", "the second", "three"]
        assert names(connection, "CAPABILITY", "review") == ["one", "the second"]
        assert names(connection, "CAPABILITY", "review", "CAPABILITY", "test") == ["one"]
        for query, wanted in (("capability=review", ["one", "the second"]),
                              ("capability=review&capability=test", ["one"]),
                              ("capability=nothing", []), ("status=online&free=true&limit=2&after=one",
                                                           ["the second", "three"])):
            status, found = request(running, "GET", f"/v1/agents?{query}")
            assert status == 200 and [row["id"] for row in found["agents"]] == wanted, found
        status, page = request(running, "GET", "/v1/agents?limit=1")
        assert [row["id"] for row in page["agents"]] == ["one"] and page["next"] == "one"
        status, shown = request(running, "GET", "/v1/agents/one")
        assert status == 200 and shown == agent(connection, "one"), shown
        assert shown["capabilities"] == ["review", "test"] and shown["data"] == {"host": "h"}
        assert shown["free"] == 2 and shown["status"] == "online" and shown["version"] == "1.0"
        assert request(running, "GET", "/v1/agents/nobody")[0] == 404
        assert request(running, "POST", "/v1/agents/nobody/heartbeat")[0] == 404
        assert request(running, "DELETE", "/v1/agents/nobody")[0] == 404
        metrics = request(running, "GET", "/metrics")[1]
        assert 'spoor_agents{status="online"} 3' in metrics.splitlines()


def what_is_wrong_gets_a_problem_and_changes_nothing(folder):
    long = "x" * 129
    with server(folder, *PATIENT) as running, running.connect() as connection:
        for path, body, part in (
                ("a", {"capabilities": "review"}, "capabilities"),
                ("a", {"capabilities": [1]}, "capabilities"),
                ("a", {"capabilities": [long]}, "128"),
                ("a", {"capabilities": [str(i) for i in range(65)]}, "64"),
                ("a", {"capacity": -1}, "capacity"), ("a", {"capacity": 1.5}, "capacity"),
                ("a", {"version": 1}, "version"), ("a", {"data": []}, "data"),
                ("a", {"data": {"capacity": 1}}, "capacity"), ("a", {"data": {"x": "y" * 5000}}, "4096"),
                ("a", {"color": "red"}, "color"), ("a", [], "object"),
                ("x" * 256, {}, "255")):
            status, problem = request(running, "PUT", f"/v1/agents/{path}", body)
            assert status == 400 and part in problem["detail"], (body, problem)
        status, problem = request(running, "PUT", "/v1/agents/" + urllib.parse.quote("$agents"), {})
        assert status == 403, problem
        for query in ("status=dead", "limit=0", "limit=x", "free=maybe", "color=red"):
            assert request(running, "GET", f"/v1/agents?{query}")[0] == 400, query
        assert names(connection) == [] and ok(connection.call("DBSIZE")) == 0


def who_is_busy_is_not_offered(folder):
    with server(folder, *PATIENT) as running, running.connect() as connection:
        for name in ("a", "b"):
            ok(connection.call("SPOOR.AGENT", "ONLINE", name, "CAPABILITY", "x", "CAPACITY", 2))
        ok(connection.call("SPOOR.AGENT", "HEARTBEAT", "a", "LOAD", 2))
        assert names(connection, "CAPABILITY", "x", "FREE") == ["b"]
        assert request(running, "POST", "/v1/agents/b/heartbeat", {"load": 5}) == (200, {"status": "online"})
        assert names(connection, "CAPABILITY", "x", "FREE") == []
        assert names(connection, "CAPABILITY", "x") == ["a", "b"]
        ok(connection.call("SPOOR.AGENT", "HEARTBEAT", "a", "LOAD", 1))
        assert names(connection, "CAPABILITY", "x", "FREE") == ["a"]
        ok(connection.call("SPOOR.AGENT", "OFFLINE", "a"))
        assert names(connection, "CAPABILITY", "x", "FREE") == []
        assert names(connection, "STATUS", "offline") == ["a"]


def who_falls_silent_is_suspected_once_and_recovers_once(folder):
    with server(folder, *PATIENT) as running, running.connect() as connection:
        for name in ("a", "b"):
            ok(connection.call("SPOOR.AGENT", "ONLINE", name, "CAPABILITY", "x"))
        ok(connection.call("CONFIG", "SET", "agent-suspect-after", "100ms", "agent-stale-after", "50ms"))
        wait_for(lambda: story(connection, "a") == "s" and story(connection, "b") == "s")
        assert names(connection, "CAPABILITY", "x", "FREE") == []
        assert agent(connection, "a")["status"] == "suspected"
        kind, _, data = told(connection)[0]
        assert kind == "agent.suspected_failure" and data["reason"] == "silent", data
        assert data["silent_ms"] >= 100 and data["last_seen"] <= agent(connection, "a")["last_seen"]
        ok(connection.call("CONFIG", "SET", "agent-suspect-after", "1h", "agent-stale-after", "1h"))
        assert ok(connection.call("SPOOR.AGENT", "HEARTBEAT", "a")) == b"online"
        assert story(connection, "a") == "sr"
        # An event of its own is a sign of life too.
        ok(connection.call("SPOOR.APPEND", "work", "*", "task.done", "1", "source", "b"))
        wait_for(lambda: story(connection, "b") == "sr")
        assert agent(connection, "b")["status"] == "online"
        assert ok(connection.call("SPOOR.AGENT", "HEARTBEAT", "a")) == b"online"
        assert story(connection, "a") == "sr" and story(connection, "b") == "sr"
        assert names(connection, "CAPABILITY", "x", "FREE") == ["a", "b"]


def whose_connections_are_gone_is_suspected(folder):
    limits = ("--agent-suspect-after", "1h", "--agent-stale-after", "1h", "--agent-grace", "200ms")
    with server(folder, *limits) as running, running.connect() as watcher:
        first, second = running.connect(), running.connect()
        ok(first.call("SPOOR.AGENT", "ONLINE", "gone"))
        ok(first.call("SPOOR.AGENT", "ONLINE", "left"))
        ok(first.call("SPOOR.AGENT", "OFFLINE", "left"))
        ok(first.call("SPOOR.AGENT", "ONLINE", "held"))
        ok(second.call("SPOOR.AGENT", "HEARTBEAT", "held"))
        ok(first.call("SPOOR.APPEND", "work", "*", "agent.online", "{}", "source", "event"))
        assert request(running, "PUT", "/v1/agents/http", {})[0] == 200
        first.close()
        wait_for(lambda: story(watcher, "gone") == "s")
        assert told(watcher)[0][2]["reason"] == "connection lost"
        second.close()
        wait_for(lambda: story(watcher, "held") == "s")
        for name, status in (("left", "offline"), ("event", "online"), ("http", "online")):
            assert agent(watcher, name)["status"] == status, name
            assert story(watcher, name) == ""
        with running.connect() as third:
            ok(third.call("SPOOR.AGENT", "ONLINE", "gone"))
            assert story(watcher, "gone") == "sr"


def a_restart_knows_them_and_blames_nobody(folder):
    with server(folder, *PATIENT) as running, running.connect() as connection:
        for name in ("a", "b", "c"):
            ok(connection.call("SPOOR.AGENT", "ONLINE", name, "CAPABILITY", "x", "DATA", '{"n":1}'))
        ok(connection.call("SPOOR.AGENT", "HEARTBEAT", "a", "LOAD", 7))
        ok(connection.call("SPOOR.AGENT", "OFFLINE", "c"))
        ok(connection.call("CONFIG", "SET", "agent-suspect-after", "50ms", "agent-stale-after", "50ms"))
        wait_for(lambda: story(connection, "b") == "s")
        ok(connection.call("CONFIG", "SET", "agent-suspect-after", "1h", "agent-stale-after", "1h"))
        ok(connection.call("SPOOR.AGENT", "HEARTBEAT", "a"))
        before = story(connection, "a")
        for ends in ("stop", "kill", "stop"):
            getattr(running, ends)()
            running.start()
            with running.connect() as again:
                assert agent(again, "a")["status"] == "online" and agent(again, "a")["load"] == 0
                assert agent(again, "a")["data"] == {"n": 1}
                assert agent(again, "b")["status"] == "suspected"
                assert agent(again, "c")["status"] == "offline"
                assert names(again, "CAPABILITY", "x", "FREE") == ["a"]
                assert story(again, "a") == before and story(again, "b") == "s"
        with running.connect() as again:
            assert ok(again.call("SPOOR.AGENT", "HEARTBEAT", "b")) == b"online"
            assert story(again, "b") == "sr"


def a_process_that_is_killed_is_suspected_and_comes_back(folder):
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from resp import Connection
connection = Connection(int(sys.argv[2]), timeout=60)
connection.call("SPOOR.AGENT", "ONLINE", "worker", "CAPABILITY", "x")
print("there", flush=True)
sys.stdin.read()
"""
    limits = ("--agent-suspect-after", "1h", "--agent-stale-after", "1h", "--agent-grace", "100ms")
    with server(folder, *limits) as running, running.connect() as watcher:
        wanted = ""
        for _ in range(2):
            with subprocess.Popen([sys.executable, "-c", program, str(SOURCE / "tests" / "protocol"),
                                   str(running.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True) as worker:
                assert worker.stdout.readline() == "there\n"
                assert names(watcher, "CAPABILITY", "x", "FREE") == ["worker"]
                assert story(watcher, "worker") == wanted
                worker.kill()
            wanted += "s"
            wait_for(lambda: story(watcher, "worker") == wanted)  # pylint: disable=cell-var-from-loop
            assert names(watcher, "CAPABILITY", "x", "FREE") == []
            wanted += "r"


harness.run(announced_over_either_protocol_and_found_over_both,
            what_is_wrong_gets_a_problem_and_changes_nothing,
            who_is_busy_is_not_offered,
            who_falls_silent_is_suspected_once_and_recovers_once,
            whose_connections_are_gone_is_suspected,
            a_restart_knows_them_and_blames_nobody,
            a_process_that_is_killed_is_suspected_and_comes_back)
