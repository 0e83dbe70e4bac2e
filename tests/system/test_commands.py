#!/usr/bin/env python3
"""Commands that decide: two that conflict never both succeed, whoever asks, also after a kill."""
import concurrent.futures
import http.client
import json
import threading

import harness
from http_help import Error, Server, Web

CLIENTS = 50
CAPACITY = 3
OPEN = {"conditions": [{"version": '{stream: ("acc:" + .data.n), version: "none"}',
                        "reason": "there is one"}],
        "emit": '[{type: "acc.opened", stream: ("acc:" + .data.n), data: .data}]'}


def assign(task, agent, **members):
    data = {"task_id": task, "agent_id": agent}
    if "capacity" in members:
        data["capacity"] = members.pop("capacity")
    return {"data": data, **members}


def run_http(server, body, name="task.assign"):
    """201 and the answer, or 409 and the problem."""
    with Web(server, timeout=120) as web:
        reply = web.call("POST", f"/v1/commands/{name}", body)
        assert reply.status in (200, 201, 409), (reply.status, reply.body)
        return reply.status, reply.json


def run_resp(server, body, name="task.assign"):
    with server.connect(timeout=120) as connection:
        reply = connection.call("SPOOR.COMMAND", name, json.dumps(body))
        if isinstance(reply, Error):
            assert reply.startswith("REFUSED "), reply
            return 409, {"detail": str(reply)}
        answer = json.loads(reply)
        return (200 if "duplicate" in answer else 201), answer


def at_once(calls):
    """All calls at the same moment, each on a thread of its own."""
    begin = threading.Barrier(len(calls))

    def one(call):
        begin.wait()
        return call()

    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


def types(web, **query):
    return [event["type"] for event in web.ok("GET", "/v1/events", query=query)]


def a_command_is_decided_and_appended(folder):
    with Server(folder) as server, Web(server) as web:
        body = assign("t1", "ann", id="a1", source="boss", correlationid="run-1")
        taken = web.ok("POST", "/v1/commands/task.assign", body, status=201)
        assert taken["id"] == "a1" and [event["id"] for event in taken["events"]] == ["a1:1"], taken
        record, assigned = web.ok("GET", "/v1/events", query={"correlation": "run-1"})
        assert record["type"] == "command.accepted" and record["stream"] == "$command:task.assign"
        assert record["source"] == "boss" and record["data"]["data"] == body["data"], record
        assert assigned["causationid"] == "a1" and assigned["source"] == "boss", assigned
        assert assigned["position"] == record["position"] + 1 == taken["position"] + 1
        # The same id: the answer of then, and nothing appended; also where it would be refused now.
        again = web.ok("POST", "/v1/commands/task.assign", body)
        assert again.pop("duplicate") is True and again == taken, again
        web.refused("POST", "/v1/commands/task.assign", 409, "other data",
                    assign("t2", "ann", id="a1", source="boss"))
        web.refused("POST", "/v1/commands/task.assign", 409, "the task is assigned already",
                    assign("t1", "bob"))
        web.refused("POST", "/v1/commands/task.complete", 409, "does not have this task",
                    assign("t1", "bob"))
        web.ok("POST", "/v1/commands/task.complete", assign("t1", "ann"), status=201)
        assert types(web, stream="task:t1") == ["task.assigned", "task.completed"]


def what_is_wrong_is_said(folder):
    with Server(folder) as server, Web(server) as web:
        def refused(path, status, told, body, method="POST"):
            return web.refused(method, "/v1/commands/" + path, status, told, body)

        wrong = refused("task.assign", 422, "expected a string, found a number", assign("t", 7))
        assert wrong["pointer"] == "/agent_id" and wrong["rule"].endswith("/type"), wrong
        refused("task.assign", 422, "'dta' is not known", {"dta": {}})
        refused("nope", 404, "no command 'nope'", {})
        for told, definition in (
                ("'emits' is not known", {"emits": "[]"}),
                ("/emit: is missing", {"conditions": []}),
                ("/emit: not a jq program: line 1: it ends in the middle", {"emit": ".a |"}),
                ("/schema: at /type", {"schema": {"type": "objekt"}, "emit": "[]"}),
                ("/conditions/0: expected one of version, sql and none",
                 {"conditions": [{"reason": "x"}], "emit": "[]"}),
                ("/conditions/0/sql: line 1, column 8: no such column: nix",
                 {"conditions": [{"sql": "SELECT nix FROM agent_status", "expect": "none"}],
                  "emit": "[]"}),
                ("/conditions/0/params: is missing",
                 {"conditions": [{"sql": "SELECT :a", "expect": "none"}], "emit": "[]"}),
                ("/conditions/0/sql: parameters have names",
                 {"conditions": [{"sql": "SELECT ?", "expect": "none"}], "emit": "[]"})):
            refused("bad", 422, told, definition, "PUT")
        web.ok("PUT", "/v1/commands/loops", {"emit": "def f: f; f"}, status=201)
        refused("loops", 422, "took more than", {})
        refused("loops", 422, "passed its limits before", {})
        web.ok("PUT", "/v1/commands/own", {"emit": '[{type: "a.b", stream: "$x"}]'}, status=201)
        refused("own", 422, "streams that begin with $ or saga: are the store's own", {})
        web.ok("PUT", "/v1/commands/open", OPEN, status=201)
        web.ok("PUT", "/v1/commands/open", OPEN)
        web.ok("POST", "/v1/commands/open", {"data": {"n": "x"}}, status=201)
        twice = refused("open", 409, "there is one", {"data": {"n": "x"}})
        assert twice["condition"] == 0, twice
        assert web.call("DELETE", "/v1/commands/open").status == 204
        refused("open", 404, "no command", {"data": {"n": "y"}})
    with Server(folder) as server, Web(server) as web:  # definitions are there again
        names = [command["name"] for command in web.ok("GET", "/v1/commands")]
        assert names == ["loops", "own", "task.assign", "task.complete"], names


def no_event_since(folder):
    once = {"conditions": [{"none": '{type: "vote.*", stream: .data.topic, since: .data.seen}'}],
            "emit": '[{type: "vote.cast", stream: .data.topic}]'}
    with Server(folder) as server, Web(server) as web:
        web.ok("PUT", "/v1/commands/vote", once, status=201)

        def vote():
            return run_http(server, {"data": {"topic": "lunch", "seen": 0}}, "vote")

        outcomes = at_once([vote] * 20)
        assert sorted(status for status, _ in outcomes) == [201] + [409] * 19, outcomes
        told = next(answer for status, answer in outcomes if status == 409)
        assert told["position"] == web.ok("GET", "/v1/events", query={"stream": "lunch"})[0]["position"]


def of_fifty_who_want_a_task_one_gets_it(folder):
    with Server(folder) as server, Web(server) as web:
        for run in (run_http, run_resp):
            task = f"task-{run.__name__}"
            outcomes = at_once([lambda i=i, run=run, task=task: run(server, assign(task, f"agent-{i}"))
                                for i in range(CLIENTS)])
            statuses = sorted(status for status, _ in outcomes)
            assert statuses == [201] + [409] * (CLIENTS - 1), statuses
            assert types(web, stream=f"task:{task}") == ["task.assigned"]


def an_agent_gets_no_more_than_it_can_do(folder):
    with Server(folder) as server, Web(server) as web:
        calls = [lambda i=i: (run_http if i % 2 else run_resp)(
            server, assign(f"t{i}", "ann", capacity=CAPACITY)) for i in range(CLIENTS)]
        outcomes = at_once(calls)
        taken = [status for status, _ in outcomes if status == 201]
        assert len(taken) == CAPACITY, sorted(status for status, _ in outcomes)
        assert types(web, type="task.assigned") == ["task.assigned"] * CAPACITY


def while_others_write_commands_are_decided(folder):
    with Server(folder) as server, Web(server) as web:
        over = threading.Event()

        def write():
            with server.connect(timeout=60) as connection:
                number = 0
                while not over.is_set():
                    assert not isinstance(connection.call("XADD", "noise", "*", "n", str(number)), Error)
                    number += 1

        writers = [threading.Thread(target=write) for _ in range(4)]
        for writer in writers:
            writer.start()
        try:
            for number in range(20):
                status, _ = run_http(server, assign(f"t{number}", "ann", capacity=10))
                assert status == (201 if number < 10 else 409), number
        finally:
            over.set()
            for writer in writers:
                writer.join()
        assert types(web, type="task.assigned") == ["task.assigned"] * 10


def a_kill_changes_nothing(folder):
    """Clients assign tasks to an agent of small capacity; the server is killed again and again."""
    granted = set()
    for number in range(5):
        server = Server(folder)
        server.start()
        lost = []

        def client(i, server=server, lost=lost, number=number):
            body = assign(f"k{i}", "ann", capacity=CAPACITY + number, id=f"c{i}", source="boss")
            try:
                status, answer = (run_http if i % 2 else run_resp)(server, body)
                if status in (200, 201):
                    granted.add(answer["events"][0]["position"])
            except (http.client.HTTPException, OSError, ConnectionError) as error:
                lost.append(error)
            except Exception as error:  # pylint: disable=broad-except
                if type(error).__name__ not in ("Closed", "Timeout"):
                    raise
                lost.append(error)

        threads = [threading.Thread(target=client, args=(i,)) for i in range(20)]
        for thread in threads:
            thread.start()
        if number % 2 == 0:
            threads[0].join()
        server.kill()
        for thread in threads:
            thread.join()
    with Server(folder) as server, Web(server) as web:
        assigned = web.ok("GET", "/v1/events", query={"type": "task.assigned"})
        positions = {event["position"] for event in assigned}
        assert granted <= positions, (granted, positions)  # what was answered is there
        assert len({event["data"]["task_id"] for event in assigned}) == len(assigned), assigned
        assert len(assigned) <= CAPACITY + 4, assigned
        records = web.ok("GET", "/v1/events", query={"type": "command.accepted"})
        assert [record["position"] + 1 for record in records] == sorted(positions)
        # Each is still answered as then.
        for record in records:
            body = {"id": record["id"], "source": "boss", "data": record["data"]["data"]}
            answer = web.ok("POST", "/v1/commands/task.assign", body)
            assert answer["duplicate"] and answer["position"] == record["position"], answer


harness.run(a_command_is_decided_and_appended, what_is_wrong_is_said, no_event_since,
            of_fifty_who_want_a_task_one_gets_it, an_agent_gets_no_more_than_it_can_do,
            while_others_write_commands_are_decided, a_kill_changes_nothing)
