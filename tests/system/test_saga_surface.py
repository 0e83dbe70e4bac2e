#!/usr/bin/env python3
"""Sagas, approvals, joins, schedules and delayed events, as the command line, HTTP and Redis' clients reach
them; workers are played by ordinary groups and events."""
import json
import threading
import time
import urllib.parse

import harness
from harness import lines, on_terminal, spoor
from http_help import Error, Server, Web

TIMEOUT = 120
BOOK = """\
saga: book
version: 1
steps:
  - name: qualify
    action: sales.qualify
    input: '{lead: .lead}'
    compensate: sales.unqualify
  - name: confirm
    approval:
      prompt: Book the demo?
      who: ["user:ann", "user:bob"]
      timeout: 24h
  - name: slot
    action: calendar.book
    compensate: calendar.cancel
    retry: {limit: 1}
"""
ONE = "saga: one\nsteps:\n  - {name: only, action: only.act, irreversible: true, retry: {limit: 1}}\n"
BROKEN = "saga: broken\nsteps:\n  - name: first\n    acton: a.b\n  - name: first\n    action: a.c\n"


class Worker:
    """Takes commands of these types from groups and answers them, until it is stopped."""

    def __init__(self, server, **answers):
        self.server, self.answers, self.seen, self.fault = server, answers, [], None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.guarded)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join(TIMEOUT)
        assert self.fault is None, self.fault

    def guarded(self):
        try:
            self.work()
        except Exception as fault:  # pylint: disable=broad-except
            self.fault = fault

    def work(self):
        keys = ["$type:" + name.replace("__", ".") for name in self.answers]
        with self.server.connect(timeout=TIMEOUT) as connection:
            for key in keys:
                reply = connection.call("XGROUP", "CREATE", key, "workers", "0")
                assert reply == "OK", reply
            while not self.stopped.is_set():
                got = connection.call("XREADGROUP", "GROUP", "workers", "w", "COUNT", 1, "BLOCK", 50, "STREAMS",
                                      *keys, *[">"] * len(keys))
                for key, entries in got or []:
                    for entry, fields in entries:
                        self.answer(connection, dict(zip(fields[::2], fields[1::2])))
                        connection.call("XACK", key, "workers", entry)

    def answer(self, connection, command):
        ending, data = self.answers[command[b"type"].decode().replace(".", "__")]
        self.seen.append((command[b"type"].decode(), json.loads(command[b"data"])))
        reply = connection.call("SPOOR.APPEND", "work", "*", command[b"type"].decode() + ending, json.dumps(data),
                                "source", "worker", "causationid", command[b"id"])
        assert not isinstance(reply, Error), reply


def cli(server, *args, code=0, **more):
    return spoor(*args, "--url", f"http://127.0.0.1:{server.http_port}", code=code, **more)


def ask(server, *args, code=0):
    """What the command line says, as JSON: of a list all lines."""
    return lines(cli(server, *args, "--json", code=code).stdout)


def resp(server, *words):
    with server.connect(timeout=TIMEOUT) as connection:
        return connection.call(*words)


def resp_json(server, *words):
    reply = resp(server, *words)
    assert not isinstance(reply, Error), reply
    return [json.loads(row) for row in reply] if isinstance(reply, list) else json.loads(reply)


def define(server, folder, text, name="saga.yaml", desk="saga", verb="define"):
    (folder / name).write_text(text, encoding="utf-8")
    return ask(server, desk, verb, folder / name)[0]


def wait(look, done):
    """Looks until it is as wanted; gives what was seen then."""
    deadline = time.monotonic() + TIMEOUT
    while not done(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)
    return seen


def show(server, sagaid):
    return ask(server, "saga", "show", sagaid)[0]


def is_status(status):
    return lambda saga: saga["status"] == status


def quoted(ident):
    return urllib.parse.quote(ident, safe="")


def definitions_are_checked_and_told_where(folder):
    with Server(folder) as server, Web(server) as web:
        (folder / "broken.yaml").write_text(BROKEN, encoding="utf-8")
        done = cli(server, "saga", "define", folder / "broken.yaml", code=1)
        assert f"{folder}/broken.yaml:4:5: " in done.stderr and "action" in done.stderr, done.stderr
        assert f"{folder}/broken.yaml:5:" in done.stderr and done.stdout == "", done.stderr
        reply = web.call("PUT", "/v1/saga-definitions/broken", BROKEN.encode(),
                         headers={"Content-Type": "application/yaml"})
        assert reply.status == 422 and reply.json["type"].endswith(":invalid-definition"), reply.body
        places = [(error["line"], error["column"]) for error in reply.json["errors"]]
        assert (4, 5) in places and len(places) >= 2 and all(error["text"] for error in reply.json["errors"])
        refused = resp(server, "SPOOR.SAGA", "DEFINE", BROKEN)
        assert isinstance(refused, Error) and "line 4, column 5" in refused, refused
        told = resp_json(server, "SPOOR.SAGA", "CHECK", BROKEN)
        assert told["valid"] is False and told["problems"][0]["line"] == 4, told
        for bad in (b"{", b"saga: [", b"", b"steps: []"):
            assert web.call("PUT", "/v1/saga-definitions/x", bad).status in (400, 422), bad
        web.refused("PUT", "/v1/saga-definitions/other", 422, "book", BOOK.encode())
        # The same again is unchanged, whichever way it comes.
        first = define(server, folder, BOOK)
        assert first["saga"] == "book" and not first["unchanged"] and len(first["sha256"]) == 64, first
        assert define(server, folder, BOOK)["unchanged"]
        assert web.ok("PUT", "/v1/saga-definitions/book", BOOK.encode())["sha256"] == first["sha256"]
        assert resp_json(server, "SPOOR.SAGA", "DEFINE", BOOK)["unchanged"]
        warned = define(server, folder, BOOK.replace("    compensate: sales.unqualify\n", ""), "warned.yaml")
        assert not warned["unchanged"] and warned["warnings"][0]["severity"] == "warning", warned
        (row,) = ask(server, "saga", "ls", "--definitions")
        assert row["saga"] == "book" and row["sha256"] == warned["sha256"] and row["running"] == 0, row
        assert web.ok("GET", "/v1/saga-definitions")["definitions"] == [row]
        whole = web.ok("GET", "/v1/saga-definitions/book")
        assert whole["definition"]["saga"] == "book" and whole["steps"] == 3, whole
        assert resp_json(server, "SPOOR.SAGA", "DEFINITION", "book") == whole
        cli(server, "saga", "rm", "book")
        web.refused("GET", "/v1/saga-definitions/book", 404, "no definition")
        web.refused("DELETE", "/v1/saga-definitions/book", 404, "book")
        assert cli(server, "saga", "start", "book", code=3).stderr


def a_saga_is_started_once_by_key(folder):
    with Server(folder) as server, Web(server) as web:
        define(server, folder, BOOK)
        (first,) = ask(server, "saga", "start", "book", '{"lead": "l-1"}', "--key", "l-1")
        assert list(first)[0] == "sagaid" and "known" not in first, first
        (again,) = ask(server, "saga", "start", "book", '{"lead": "l-1"}', "--key", "l-1")
        assert again == {**first, "known": True}, again
        body = {"saga": "book", "data": {"lead": "l-1"}, "key": "l-1"}
        assert web.ok("POST", "/v1/sagas", body) == again
        assert resp_json(server, "SPOOR.SAGA", "START", "book", '{"lead": "l-1"}', "KEY", "l-1") == again
        other = web.ok("POST", "/v1/sagas", {"saga": "book", "data": {"lead": "l-2"}, "key": "l-2"}, status=201)
        third = resp_json(server, "SPOOR.SAGA", "START", "book")
        fourth = lines(cli(server, "saga", "start", "book", "-", stdin='{"lead": "stdin"}').stdout)[0]
        ids = [one["sagaid"] for one in (first, other, third, fourth)]
        assert len(set(ids)) == 4
        rows = ask(server, "saga", "ls")
        assert [row["sagaid"] for row in rows] == ids, rows
        assert all(row["saga"] == "book" and row["waiting_for"] == "worker" and row["step"] == "qualify"
                   for row in rows), rows
        assert [row["sagaid"] for row in resp_json(server, "SPOOR.SAGA", "LS")] == ids
        assert [row.get("key") for row in rows] == ["l-1", "l-2", None, None], rows
        # Pages, and filters.
        page = web.ok("GET", "/v1/sagas", query={"limit": 3})
        assert [row["sagaid"] for row in page["sagas"]] == ids[:3], page
        rest = web.ok("GET", "/v1/sagas", query={"limit": 3, "after": page["next"]})
        assert [row["sagaid"] for row in rest["sagas"]] == ids[3:] and "next" not in rest, rest
        assert len(ask(server, "saga", "ls", "--limit", 2)) == 2
        for query, count in (({"name": "book"}, 4), ({"name": "x"}, 0), ({"waiting_for": "worker"}, 4),
                             ({"waiting_for": "timer"}, 0), ({"step": "qualify"}, 4),
                             ({"status": "failing"}, 0), ({"status": "completed"}, 0)):
            assert len(web.ok("GET", "/v1/sagas", query=query)["sagas"]) == count, query
        assert ask(server, "saga", "ls", "--waiting", "approval") == []
        # The command has the saga's data by the program of the definition.
        (command,) = web.ok("GET", "/v1/events", query={"type": "sales.qualify", "correlation": ids[0]})
        assert command["data"] == {"lead": "l-1"} and command["sagaid"] == ids[0], command
        assert command["sagastep"] == "qualify" and command["idempotencykey"].startswith(ids[0]), command


def a_saga_completes_and_is_shown_alike(folder):
    with Server(folder) as server, Web(server) as web:
        define(server, folder, ONE)
        with Worker(server, only__act=(".completed", {"done": 7})) as worker:
            done = cli(server, "saga", "start", "one", '{"n": 1}', "--wait", "--timeout", "100s", "--json")
            started, told = lines(done.stdout)
            assert worker.seen == [("only.act", {"n": 1})], worker.seen
        assert told["sagaid"] == started["sagaid"] and told["status"] == "completed", told
        (step,) = told["steps"]
        assert {name: step[name] for name in ("name", "status", "attempts", "result", "error")} == {
            "name": "only", "status": "completed", "attempts": 1, "result": {"done": 7}, "error": None}, step
        assert show(server, started["sagaid"]) == told
        assert web.ok("GET", f"/v1/sagas/{started['sagaid']}") == told
        assert resp_json(server, "SPOOR.SAGA", "SHOW", started["sagaid"]) == told
        words = web.ok("GET", f"/v1/sagas/{started['sagaid']}/story")
        assert words["status"] == "completed" and "only" in words["words"], words
        code, shown = on_terminal("saga", "show", started["sagaid"], "--url",
                                  f"http://127.0.0.1:{server.http_port}")
        assert code == 0 and "only" in shown and "{" not in shown.splitlines()[0], shown
        wait(lambda: ask(server, "saga", "ls", "--status", "completed"),
             lambda rows: [row["sagaid"] for row in rows] == [told["sagaid"]])
        (ended,) = web.ok("GET", "/v1/sagas", query={"status": "completed", "name": "one"})["sagas"]
        assert ended["sagaid"] == told["sagaid"] and ended["status"] == "completed" and ended["ended"], ended
        assert web.ok("GET", "/v1/sagas", query={"status": "cancelled"}) == {"sagas": []}
        events = ask(server, "saga", "show", started["sagaid"], "--events")
        assert [event["type"] for event in events][0] == "saga.started", events
        assert events[-1]["type"] == "saga.completed", events
        assert ask(server, "saga", "ls") == []


def a_wait_ends_with_its_time_and_its_outcome(folder):
    with Server(folder) as server:
        define(server, folder, ONE)
        done = cli(server, "saga", "start", "one", "--wait", "--timeout", "1s", "--json", code=7)
        sagaid = lines(done.stdout)[0]["sagaid"]
        assert show(server, sagaid)["status"] == "running" and "in time" in done.stderr, done.stderr
        assert cli(server, "saga", "start", "one", "--timeout", "1s", code=2).stderr
        with Worker(server, only__act=(".failed", {"error": "no such thing", "retryable": False})):
            wait(lambda: show(server, sagaid), lambda saga: saga["status"] not in ("running", "compensating"))
            done = cli(server, "saga", "start", "one", "--wait", "--json", code=1)
            told = lines(done.stdout)[1]
            assert told["status"] == "compensated" and told["steps"][0]["error"] == "no such thing", told


def the_first_decision_counts(folder):
    with Server(folder) as server, Web(server) as web:
        define(server, folder, BOOK)
        with Worker(server, sales__qualify=(".completed", {"score": 9}), calendar__book=(".completed", {"at": 3})):
            sagas = [ask(server, "saga", "start", "book", '{"lead": "l"}')[0]["sagaid"] for _ in range(3)]
            inbox = wait(lambda: ask(server, "approval", "ls"), lambda rows: len(rows) == 3)
            assert all(row["prompt"] == "Book the demo?" and row["saga"] == "book" and row["deadline"] and
                       row["choices"] == ["approve", "reject"] and row["who"] == ["user:ann", "user:bob"]
                       for row in inbox), inbox
            assert web.ok("GET", "/v1/approvals", query={"who": "user:ann"})["approvals"] == inbox
            assert web.ok("GET", "/v1/approvals", query={"who": "user:eve"})["approvals"] == []
            assert resp_json(server, "SPOOR.APPROVAL", "LS", "WHO", "user:bob") == inbox
            assert ask(server, "approval", "ls", "--limit", 1) == inbox[:1]
            assert web.ok("GET", f"/v1/approvals/{quoted(inbox[0]['id'])}") == inbox[0]
            web.refused("GET", "/v1/approvals", 400, "pending", query={"status": "old"})
            assert {row["waiting_for"] for row in ask(server, "saga", "ls")} == {"approval"}
            # Who may not, what is no choice.
            assert "eve" in cli(server, "saga", "approve", sagas[0], "--by", "user:eve", code=5).stderr
            web.refused("POST", f"/v1/sagas/{sagas[0]}/approve", 400, "later", {"by": "user:ann", "choice": "later"})
            # One by each way; the second is answered with the first, whichever way it comes.
            cli(server, "saga", "approve", sagas[0], "--by", "user:ann", "--reason", "good lead")
            taken = web.ok("POST", f"/v1/sagas/{sagas[1]}/reject", {"by": "user:bob", "reason": "too small"})
            assert taken["choice"] == "reject" and taken["by"] == "user:bob", taken
            assert resp_json(server, "SPOOR.APPROVAL", "APPROVE", inbox[2]["id"], "BY", "user:ann")["position"]
            first = wait(lambda: show(server, sagas[0]), is_status("completed"))
            assert [step["status"] for step in first["steps"]] == ["completed"] * 3, first
            second = cli(server, "approval", "reject", inbox[0]["id"], "--by", "user:bob", code=4)
            assert "approve by user:ann at 20" in second.stderr, second.stderr
            problem = web.refused("POST", f"/v1/approvals/{quoted(inbox[1]['id'])}/approve", 409, "reject",
                                  {"by": "user:ann"})
            assert problem["decision"]["choice"] == "reject" and problem["decision"]["by"] == "user:bob", problem
            assert problem["decision"]["at"] and problem["decision"]["position"] > 0, problem
            refused = resp(server, "SPOOR.APPROVAL", "REJECT", inbox[2]["id"], "BY", "user:bob")
            assert isinstance(refused, Error) and refused.startswith("CONFLICT"), refused
        assert ask(server, "approval", "ls") == []
        rejected = show(server, sagas[1])
        assert rejected["status"] in ("compensating", "compensated"), rejected


def what_fails_for_good_waits_for_a_person(folder):
    text = BOOK.replace("    compensate: sales.unqualify\n",
                        "    compensate: {action: sales.unqualify, retry: {limit: 1}}\n")
    text = text[:text.index("  - name: confirm")] + text[text.index("  - name: slot"):]
    with Server(folder) as server, Web(server) as web:
        define(server, folder, text)
        with Worker(server, sales__qualify=(".completed", {"score": 9}),
                    calendar__book=(".failed", {"error": "no slot", "retryable": False}),
                    sales__unqualify=(".failed", {"error": "CRM is down", "retryable": False})) as worker:
            ids = [ask(server, "saga", "start", "book", '{"lead": "l"}')[0]["sagaid"] for _ in range(3)]
            for ident in ids:
                wait(lambda ident=ident: show(server, ident), is_status("needs_attention"))
            rows = ask(server, "saga", "ls", "--status", "needs_attention")
            assert [row["sagaid"] for row in rows] == ids and rows[0]["waiting_for"] == "operator", rows
            assert cli(server, "saga", "approve", ids[0], code=3).stderr
            web.refused("POST", f"/v1/sagas/{ids[0]}/skip", 404, "nothing", {"step": "nothing"})
            done = web.ok("POST", f"/v1/sagas/{ids[0]}/done", {"by": "user:ann", "reason": "by phone",
                                                              "result": {"ticket": 4}})
            assert done["asked"] == "done", done
            cli(server, "saga", "skip", ids[1], "--by", "user:bob", "--reason", "not worth it")
            for ident in ids[:2]:
                ended = wait(lambda ident=ident: show(server, ident), is_status("compensated"))
                assert ended["error"] or ended["reason"], ended
            before = len(worker.seen)
            assert resp_json(server, "SPOOR.SAGA", "RETRY", ids[2], "REASON", "CRM is back")["position"]
            wait(lambda: len(worker.seen), lambda count: count > before)
            wait(lambda: show(server, ids[2]), is_status("needs_attention"))
            # An ended one cannot be cancelled; it can be gone on with, in a fork.
            web.refused("POST", f"/v1/sagas/{ids[0]}/cancel", 409, "has ended")
            fork = ask(server, "saga", "fork", ids[0], "--at", "slot")[0]
            assert fork["sagaid"] not in ids, fork
            wait(lambda: show(server, fork["sagaid"]), lambda saga: saga["status"] != "running")
            assert show(server, fork["sagaid"])["forked_from"]["sagaid"] == ids[0]


def a_saga_is_cancelled(folder):
    with Server(folder) as server, Web(server) as web:
        define(server, folder, ONE)
        (first,) = ask(server, "saga", "start", "one")
        (second,) = ask(server, "saga", "start", "one")
        (asked,) = ask(server, "saga", "cancel", first["sagaid"], "--by", "user:ann", "--reason", "wrong one")
        assert asked["asked"] == "cancel" and asked["position"] > 0, asked
        web.ok("POST", f"/v1/sagas/{second['sagaid']}/cancel", {"reason": "too"})
        (told,) = web.ok("GET", "/v1/events", query={"type": "saga.step.cancelled",
                                                     "stream": f"saga:{first['sagaid']}"})
        (command,) = web.ok("GET", "/v1/events", query={"type": "only.act", "correlation": first["sagaid"]})
        assert told["causationid"] == command["id"], told
        story = show(server, first["sagaid"])
        assert story["cancel"]["by"] == "user:ann" and story["cancel"]["reason"] == "wrong one", story
        cli(server, "saga", "cancel", first["sagaid"], code=4)


def wrong_use_is_told_what_was_expected(folder):
    with Server(folder) as server, Web(server) as web:
        define(server, folder, ONE)
        nobody = "01938f6a-7c1b-7e0a-9a64-0c9d5f3b2e11"
        for verb in ("show", "approve", "reject", "cancel", "retry", "skip", "done", "compensate", "resume", "fork"):
            done = cli(server, "saga", verb, nobody, code=3)
            assert done.stderr.startswith("spoor: ") and done.stdout == "", (verb, done.stderr)
            refused = resp(server, "SPOOR.SAGA", verb, nobody)
            assert isinstance(refused, Error) and refused.startswith("NOTFOUND"), (verb, refused)
            method = "GET" if verb == "show" else "POST"
            path = f"/v1/sagas/{nobody}" + ("" if verb == "show" else f"/{verb}")
            web.refused(method, path, 404, "")
        web.refused("POST", "/v1/sagas", 404, "nothing", {"saga": "nothing"})
        web.refused("POST", "/v1/sagas", 400, "name", {})
        web.refused("POST", "/v1/sagas", 400, "expected an object", [1])
        web.refused("POST", "/v1/sagas", 400, "kee", {"saga": "one", "kee": 1})
        web.refused("POST", "/v1/sagas", 400, "expected a string", {"saga": "one", "key": {}})
        web.refused("POST", "/v1/sagas", 400, "", b"{")
        web.refused("GET", "/v1/sagas", 400, "limit: expected", query={"limit": 0})
        web.refused("GET", "/v1/sagas", 400, "after", query={"after": "x"})
        web.refused("GET", "/v1/sagas", 400, "needs_attention", query={"status": "lost"})
        web.refused("GET", "/v1/sagas", 400, "approval", query={"waiting_for": "godot"})
        assert "read model sagas" in resp(server, "SPOOR.SAGA", "LS", "STATUS", "completed")
        web.refused("GET", "/v1/sagas", 400, "expected one of", query={"statu": "x"})
        assert "not JSON" in cli(server, "saga", "start", "one", "{bad", code=2).stderr
        for words in (("SPOOR.SAGA", "START", "one", "{bad"), ("SPOOR.SAGA", "START", "one", "{}", "KEY"),
                      ("SPOOR.SAGA", "START", "one", "{}", "KEE", "x"), ("SPOOR.SAGA", "LS", "LIMIT", "0"),
                      ("SPOOR.SAGA", "START"), ("SPOOR.SAGA", "NONE", "x"), ("SPOOR.TIMER", "LS", "AFTER", "x")):
            refused = resp(server, *words)
            assert isinstance(refused, Error) and refused.startswith("ERR"), (words, refused)
        # The help is there, and MULTI takes none of them.
        assert any(str(line).startswith("DEFINE") for line in resp(server, "SPOOR.SAGA", "HELP"))
        with server.connect() as connection:
            connection.call("MULTI")
            assert isinstance(connection.call("SPOOR.SAGA", "START", "one"), Error)
        # An answer that is none: no saga is disturbed.
        (saga,) = ask(server, "saga", "start", "one")
        command = f"{saga['sagaid']}/only:1"
        for cause in (command + "0", f"{nobody}/only:1", f"{saga['sagaid']}/nothing:1"):
            web.ok("POST", "/v1/events", {"type": "only.act.completed", "source": "w", "causationid": cause,
                                          "data": {"n": 1}}, status=201)
        assert show(server, saga["sagaid"])["status"] == "running"


def a_folder_answers_as_a_server_does(folder):
    data = folder / "data"
    (folder / "one.yaml").write_text(ONE, encoding="utf-8")
    assert lines(spoor("saga", "define", folder / "one.yaml", "--json", data=data).stdout)[0]["unchanged"] is False
    (folder / "broken.yaml").write_text(BROKEN, encoding="utf-8")
    assert "broken.yaml:4:5: " in spoor("saga", "define", folder / "broken.yaml", data=data, code=1).stderr
    (saga,) = lines(spoor("saga", "start", "one", "{}", "--json", data=data).stdout)
    (row,) = lines(spoor("saga", "ls", "--json", data=data).stdout)
    assert row["sagaid"] == saga["sagaid"] and row["saga"] == "one", row
    told = lines(spoor("saga", "show", saga["sagaid"], "--json", data=data).stdout)[0]
    assert told["status"] == "running", told
    assert spoor("saga", "show", "nothing", data=data, code=3).stderr
    with Server(folder) as server:
        with Worker(server, only__act=(".completed", None)):
            wait(lambda: show(server, saga["sagaid"]), is_status("completed"))
        # Beside a server the folder can be read.
        told = lines(spoor("saga", "show", saga["sagaid"], "--json", data=data).stdout)[0]
        assert told["status"] == "completed", told


def joins_are_defined_and_shown(folder):
    with Server(folder) as server, Web(server) as web:
        text = ("join: onboarding\nof: [provisioning.completed, crm.created]\nneed: all\nkey: data.customer\n"
                "window: 24h\nemit: {type: onboarding.complete}\n")
        first = define(server, folder, text, "join.yaml", "join", "add")
        assert first["join"] == "onboarding" and not first["unchanged"], first
        assert web.ok("PUT", "/v1/joins/onboarding", text.encode())["unchanged"]
        web.refused("PUT", "/v1/joins/onboarding", 422, "line 1", b"join: onboarding")
        for customer in ("c1", "c2"):
            web.ok("POST", "/v1/events", {"type": "crm.created", "source": "crm", "data": {"customer": customer}},
                   status=201)
        (row,) = ask(server, "join", "ls")
        assert row["join"] == "onboarding" and row["open"] == 2 and row["emitted"] == 0, row
        (shown,) = ask(server, "join", "show", "onboarding")
        assert [window["key"] for window in shown["windows"]] == ["c1", "c2"], shown
        assert shown["definition"]["window"] == "24h" and resp_json(server, "SPOOR.JOIN", "SHOW", "onboarding") == shown
        web.ok("POST", "/v1/events", {"type": "provisioning.completed", "source": "p", "data": {"customer": "c1"}},
               status=201)
        wait(lambda: ask(server, "join", "ls")[0]["emitted"], lambda emitted: emitted == 1)
        assert len(web.ok("GET", "/v1/events", query={"type": "onboarding.complete"})) == 1
        cli(server, "join", "rm", "onboarding")
        web.refused("GET", "/v1/joins/onboarding", 404, "onboarding")
        web.refused("DELETE", "/v1/joins/onboarding", 404, "onboarding")
        assert ask(server, "join", "ls") == []


def schedules_are_defined_and_shown(folder):
    with Server(folder) as server, Web(server) as web:
        text = "schedule: pulse\nevery: 1s\nemit: {type: pulse.beat}\n"
        first = define(server, folder, text, "pulse.yaml", "schedule", "add")
        assert first["schedule"] == "pulse" and not first["unchanged"], first
        assert resp_json(server, "SPOOR.SCHEDULE", "ADD", text)["unchanged"]
        web.refused("PUT", "/v1/schedules/pulse", 422, "line 2",
                    b"schedule: pulse\ncron: nonsense\nemit: {type: pulse.beat}\n")
        wait(lambda: ask(server, "schedule", "ls")[0]["fired"], lambda fired: fired >= 2)
        shown = web.ok("GET", "/v1/schedules/pulse")
        assert shown["next"] > shown["last"] and shown["definition"]["every"] == "1s" and not shown["paused"], shown
        assert len(web.ok("GET", "/v1/events", query={"type": "pulse.beat"})) >= 2
        assert web.call("DELETE", "/v1/schedules/pulse").status == 204
        assert ask(server, "schedule", "ls") == []
        cli(server, "schedule", "show", "pulse", code=3)


def events_wait_for_their_time(folder):
    with Server(folder) as server, Web(server) as web:
        (first,) = ask(server, "publish", "mail.remind", '{"to": "ann"}', "--in", "2h", "--id", "m1")
        assert first["delayed"] and first["due"] and first["stream"] == "$delayed", first
        second = web.ok("POST", "/v1/events", {"id": "m2", "type": "mail.remind", "source": "w",
                                               "deliverat": "2100-01-01T00:00:00Z"}, status=201)
        assert second["delayed"] and second["due"].startswith("2100-"), second
        third = resp(server, "SPOOR.APPEND", "s", "*", "mail.remind", "{}", "id", "m3", "deliverat",
                     "2099-01-01T00:00:00Z")
        told = dict(zip(third[::2], third[1::2])) if isinstance(third, list) else third
        assert told[b"delayed"] == 1 and told[b"due"].startswith(b"2099-"), third
        rows = ask(server, "timer", "ls")
        assert [row["id"] for row in rows] == ["m1", "m3", "m2"], rows
        assert ask(server, "timer", "ls", "--limit", 2) == rows[:2]
        page = web.ok("GET", "/v1/timers", query={"limit": 1})
        rest = web.ok("GET", "/v1/timers", query={"after": page["next"]})
        assert page["timers"] + rest["timers"] == rows and "next" not in rest, (page, rest)
        cli(server, "timer", "cancel", "m1", "--reason", "not needed")
        assert web.call("DELETE", "/v1/timers/m2").status == 204
        assert resp_json(server, "SPOOR.TIMER", "CANCEL", "m3")["cancelled"]
        cli(server, "timer", "cancel", "m1", code=3)
        assert ask(server, "timer", "ls") == []
        # What is past happens at once, and what is due soon happens once.
        (past,) = ask(server, "publish", "mail.sent", "--deliver-at", "2020-01-01T00:00:00Z")
        assert "delayed" not in past, past
        ask(server, "publish", "mail.soon", "--in", "1s", "--id", "soon")
        wait(lambda: web.ok("GET", "/v1/events", query={"type": "mail.soon"}), lambda seen: len(seen) == 1)
        for wrong in (("--in", "x"), ("--deliver-at", "x"), ("--in", "1s", "--deliver-at", "2100-01-01T00:00:00Z")):
            assert cli(server, "publish", "a.b", *wrong, code=2).stderr


def an_approval_stands_alone(folder):
    with Server(folder) as server, Web(server) as web:
        web.ok("POST", "/v1/events", {"id": "p1", "type": "action.proposed", "source": "deployer",
                                      "data": {"prompt": "Deploy?", "choices": ["approve", "later", "reject"],
                                               "who": ["user:ann"], "timeout": "1h"}}, status=201)
        (row,) = ask(server, "approval", "ls", "--who", "user:ann")
        assert row["id"] == "p1" and row["prompt"] == "Deploy?" and row["asked_by"] == "deployer", row
        assert row["choices"] == ["approve", "later", "reject"] and row["deadline"], row
        assert ask(server, "approval", "ls", "--who", "user:bob") == []
        assert cli(server, "approval", "approve", "p1", "--by", "user:bob", code=5).stderr
        cli(server, "approval", "decide", "p1", "--choice", "later", "--by", "user:ann", "--reason", "friday")
        second = cli(server, "approval", "approve", "p1", "--by", "user:ann", code=4)
        assert "later by user:ann" in second.stderr, second.stderr
        settled = web.ok("GET", "/v1/approvals/p1")
        assert settled["status"] == "granted" and settled["choice"] == "later", settled
        assert ask(server, "approval", "ls") == []


if __name__ == "__main__":
    harness.run(
        definitions_are_checked_and_told_where,
        a_saga_is_started_once_by_key,
        a_saga_completes_and_is_shown_alike,
        a_wait_ends_with_its_time_and_its_outcome,
        the_first_decision_counts,
        what_fails_for_good_waits_for_a_person,
        a_saga_is_cancelled,
        wrong_use_is_told_what_was_expected,
        a_folder_answers_as_a_server_does,
        joins_are_defined_and_shown,
        schedules_are_defined_and_shown,
        events_wait_for_their_time,
        an_approval_stands_alone,
    )
