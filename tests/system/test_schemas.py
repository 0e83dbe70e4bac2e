#!/usr/bin/env python3
"""Schemas: registering them, and what becomes of events that do not keep to them, by every way in."""
import json

from harness import lines, run, spoor
from http_help import Error, Server, Web

TASK = {"type": "object", "required": ["task_id", "count"],
        "properties": {"task_id": {"type": "string"}, "count": {"type": "integer", "minimum": 1}}}
PATH = "/v1/schemas/task.created/1"


def event(count, **more):
    return {"type": "task.created", "source": "a", "data": {"task_id": "t", "count": count}, **more}


def invalid_events_are_refused_over_http(folder):
    with Server(folder) as server, Web(server) as web:
        added = web.ok("PUT", PATH, TASK, status=201)
        assert (added["mode"], added["compatibility"]) == ("enforce", "backward"), added
        assert web.ok("PUT", PATH, TASK) == {**added, "position": added["position"]}
        assert web.ok("GET", PATH) == TASK
        web.ok("POST", "/v1/events", event(1), status=201)
        problem = web.refused("POST", "/v1/events", 422, "expected at least 1", event(0))
        assert problem["type"] == "urn:spoor:problem:invalid-data", problem
        assert (problem["event_type"], problem["version"]) == ("task.created", "1"), problem
        assert problem["pointer"] == "/count" and problem["rule"] == "/properties/count/minimum", problem
        # What is wrong otherwise says nothing of schemas.
        assert "rule" not in web.refused("POST", "/v1/events", 400, "type", {"source": "a"})
        # A batch is all or nothing, and the error names the event.
        problem = web.refused("POST", "/v1/events", 422, "event 3", [event(1), event(2), event("x")])
        assert problem["event"] == 3 and problem["rule"] == "/properties/count/type", problem
        assert len(web.ok("GET", "/v1/events", query={"type": "task.created"})) == 1
        # A version that is not registered, data that is no JSON, no data.
        web.refused("POST", "/v1/events", 422, "no schema of this version", event(1, schemaversion="7"))
        web.refused("POST", "/v1/events", 422, "not JSON",
                    event(1, data="x", datacontenttype="text/plain"))
        web.refused("POST", "/v1/events", 422, "no data", {"type": "task.created", "source": "a"})
        # Other types, and the store's own streams, are not concerned.
        web.ok("POST", "/v1/events", {"type": "task.other", "source": "a"}, status=201)


def imports_name_the_line(folder):
    text = "".join(json.dumps(event(count)) + "\n" for count in (1, 2, 0, 3))
    with Server(folder) as server, Web(server) as web:
        web.ok("PUT", PATH, TASK, status=201)
        problem = web.refused("POST", "/v1/events", 422, "line 3", text.encode(),
                              headers={"Content-Type": "application/x-ndjson"})
        assert problem["line"] == 3 and problem["appended"] == 2 and problem["pointer"] == "/count", problem
    (folder / "lines").write_text(text, encoding="utf-8")
    done = spoor("import", folder / "lines", data=folder / "data", code=1)
    assert "line 3" in done.stderr and "minimum" in done.stderr, done.stderr
    spoor("import", "--skip-bad", folder / "lines", data=folder / "data", code=None)
    found = lines(spoor("events", "--json", "--type", "task.created", data=folder / "data").stdout)
    assert sorted({row["data"]["count"] for row in found}) == [1, 2, 3], found


def invalid_events_are_refused_over_resp(folder):
    with Server(folder) as server, Web(server) as web:
        web.ok("PUT", PATH, TASK, status=201)
        with server.connect() as client:
            refused(client, "schema task.created version 1: /count: expected at least 1",
                    "SPOOR.APPEND", "s", "*", "task.created", '{"task_id":"t","count":0}')
            refused(client, "is required", "XADD", "s", "*", "type", "task.created", "data", "{}")
            refused(client, "expected an object", "PUBLISH", "task.created", "7")
            assert client.call("XADD", "s", "*", "type", "task.created", "data",
                               '{"task_id":"t","count":3}')
            row = json.loads(client.call("SPOOR.SCHEMA", "GET", "task.created"))
            assert row["schema"] == TASK and row["refused"] == 3, row
            added = json.loads(client.call("SPOOR.SCHEMA", "ADD", "x", "1", '{"type":"null"}', "MODE",
                                           "warn"))
            assert added["mode"] == "warn", added
            assert len(client.call("SPOOR.SCHEMA", "LIST")) == 2
            refused(client, "does not change", "SPOOR.SCHEMA", "ADD", "x", "1", '{"type":"string"}')
            assert client.call("SPOOR.SCHEMA", "REMOVE", "x", "1") == "OK"
            refused(client, "there is no version", "SPOOR.SCHEMA", "REMOVE", "x", "1")


def refused(client, told, *command):
    try:
        reply = client.call(*command)
    except Error as error:
        reply = error
    assert isinstance(reply, Error) and told in str(reply), (command, reply)


def warned_events_are_stored_and_counted(folder):
    with Server(folder) as server, Web(server) as web:
        web.ok("PUT", PATH, TASK, query={"mode": "warn"}, status=201)
        web.ok("POST", "/v1/events", event(0), status=201)
        metrics = web.call("GET", "/metrics").body.decode()
        assert "\nspoor_schema_warned_total 1\n" in metrics, metrics
        assert "\nspoor_schema_refused_total 0\n" in metrics
        assert "event does not keep to its schema" in server.log_end(), server.log_end()
        # The same schema in another mode.
        assert web.ok("PUT", PATH, query={"mode": "enforce"})["mode"] == "enforce"
        web.refused("POST", "/v1/events", 422, "at least", event(0))
        assert web.ok("PUT", PATH, query={"mode": "off"})["mode"] == "off"
        web.ok("POST", "/v1/events", event(0), status=201)
        # And away with it.
        web.ok("DELETE", PATH, status=204)
        web.refused("DELETE", PATH, 404, "there is no version")
        web.ok("POST", "/v1/events", event("x", schemaversion="9"), status=201)


def versions_have_to_be_compatible(folder):
    wider = {**TASK, "required": ["task_id"]}
    narrower = {**TASK, "required": ["task_id", "count", "agent"]}
    with Server(folder) as server, Web(server) as web:
        web.ok("PUT", PATH, TASK, status=201)
        problem = web.refused("PUT", "/v1/schemas/task.created/2", 409,
                              'not backward compatible with version 1: at /required: "agent"', narrower)
        assert problem["type"] == "urn:spoor:problem:incompatible-schema"
        web.refused("PUT", PATH, 409, "a version does not change", wider)
        web.ok("PUT", "/v1/schemas/task.created/2", wider, status=201)
        web.refused("PUT", "/v1/schemas/task.created/10", 409, "forward", {"type": "object"},
                    query={"compatibility": "full"})
        web.ok("PUT", "/v1/schemas/task.created/10", narrower, query={"compatibility": "none"}, status=201)
        # An event is held to its version, or to the newest: 10 is above 2.
        web.ok("POST", "/v1/events", {**event(1), "schemaversion": "1"}, status=201)
        web.refused("POST", "/v1/events", 422, '"agent" is required', event(1))
        known = web.ok("GET", "/v1/schemas/task.created")
        assert [row["version"] for row in known["versions"]] == ["1", "2", "10"], known
        assert known["version"] == "10" and known["schema"] == narrower
        assert known["vocabulary"]["type"] == "task.created"
        listed = web.ok("GET", "/v1/schemas", query={"of": "registered"})
        assert [(row["type"], row["version"]) for row in listed] == [("task.created", "1"),
                                                                    ("task.created", "2"),
                                                                    ("task.created", "10")]


def mistakes_are_told(folder):
    with Server(folder) as server, Web(server) as web:
        problem = web.refused("PUT", PATH, 400, "at /properties/a/type", b'{"properties":{"a":{"type":"strng"}}}')
        assert problem["type"] == "urn:spoor:problem:invalid-schema" and problem["byte"] > 20, problem
        web.refused("PUT", PATH, 400, "expected", b'{"type":')
        web.refused("PUT", "/v1/schemas/no.such/1", 400, "empty", b"")
        web.refused("PUT", PATH, 400, "looking ahead", {"pattern": "(?=a)"})
        web.refused("PUT", PATH, 400, "mode: expected", TASK, query={"mode": "strict"})
        web.refused("PUT", "/v1/schemas/a.*/1", 400, "type: expected the type", TASK)
        assert web.ok("GET", "/v1/schemas", query={"of": "registered"}) == []
        # The vocabulary's own, by name alone.
        assert web.ok("PUT", "/v1/schemas/task.assigned/1", status=201)["version"] == "1"
        web.refused("POST", "/v1/events", 422, "required",
                    {"type": "task.assigned", "source": "a", "data": {}})


def schemas_survive(folder):
    with Server(folder) as server, Web(server) as web:
        web.ok("PUT", PATH, TASK, status=201)
        web.ok("PUT", "/v1/schemas/gone/1", TASK, status=201)
        web.ok("DELETE", "/v1/schemas/gone/1", status=204)
        server.kill()
    with Server(folder) as server, Web(server) as web:
        assert [row["type"] for row in web.ok("GET", "/v1/schemas", query={"of": "registered"})] == [
            "task.created"]
        web.refused("POST", "/v1/events", 422, "at least", event(0))
    done = spoor("publish", "task.created", '{"task_id":"t"}', data=folder / "data", code=None)
    assert done.returncode != 0 and '"count" is required' in done.stderr, done.stderr


def the_command_line_registers_and_checks(folder):
    data, schema = folder / "data", folder / "task.json"
    schema.write_text(json.dumps(TASK), encoding="utf-8")
    spoor("schema", "add", schema, "--type", "task.created", "--version", "1", data=data)
    done = spoor("publish", "task.created", '{"task_id":"t","count":0}', data=data, code=2)
    assert "/count: expected at least 1" in done.stderr, done.stderr
    rows = lines(spoor("schema", "ls", "--registered", data=data).stdout)
    assert [(row["type"], row["mode"]) for row in rows] == [("task.created", "enforce")], rows
    assert json.loads(spoor("schema", "show", "task.created", data=data).stdout)["schema"] == TASK
    spoor("schema", "add", schema, "--type", "task.created", "--version", "1", "--warn", data=data)
    spoor("publish", "task.created", '{"task_id":"t","count":0}', data=data)
    schema.write_text('{"required": ["x"]}', encoding="utf-8")
    done = spoor("schema", "add", schema, "--type", "task.created", "--version", "2", data=data, code=4)
    assert "not backward compatible" in done.stderr, done.stderr
    spoor("schema", "rm", "task.created", "1", data=data)
    spoor("schema", "rm", "task.created", "1", data=data, code=3)
    # A mistake: line and column, and nothing is registered.
    schema.write_text('{\n  "properties": {\n    "a": {"minimum": "1"}\n  }\n}\n', encoding="utf-8")
    for words in (("check", schema), ("add", schema, "--type", "a", "--version", "1")):
        place = data if words[0] == "add" else None
        done = spoor("schema", *words, data=place, code=1)
        assert f"{schema}:3:23: at /properties/a/minimum: expected a number" in done.stderr, done.stderr
    assert spoor("schema", "ls", "--registered", data=data).stdout == ""
    spoor("schema", "add", schema, data=data, code=2)
    spoor("schema", "add", schema, "--type", "a", "--version", "1", "--warn", "--off", data=data, code=2)
    # Events and plain data against a file.
    schema.write_text(json.dumps(TASK), encoding="utf-8")
    text = "\n".join(map(json.dumps, (event(1), event(0), event("x")))) + "\n"
    done = spoor("schema", "check", schema, "-", stdin=text, code=1)
    assert [(row["line"], row["pointer"]) for row in lines(done.stdout)] == [(2, "/count"), (3, "/count")]
    spoor("schema", "check", schema, "--plain", "-", stdin='{"task_id": "a",\n "count": 1}')
    done = spoor("schema", "check", schema, "--plain", "-", stdin='{"task_id": "a",\n "count": }', code=1)
    assert lines(done.stdout)[0]["line"] in (1, 2), done.stdout
    # The same over a server.
    with Server(folder / "other") as server:
        url = f"http://127.0.0.1:{server.http_port}"
        spoor("schema", "add", "--builtin", "--type", "task.assigned", "--warn", "--url", url)
        rows = lines(spoor("schema", "ls", "--registered", "--url", url).stdout)
        assert [(row["type"], row["mode"]) for row in rows] == [("task.assigned", "warn")], rows
        shown = json.loads(spoor("schema", "show", "task.assigned", "--url", url).stdout)
        assert shown["version"] == "1" and "task_id" in shown["schema"]["properties"], shown
        spoor("schema", "rm", "task.assigned", "1", "--url", url)
        spoor("schema", "rm", "task.assigned", "1", "--url", url, code=3)


run(invalid_events_are_refused_over_http, imports_name_the_line, invalid_events_are_refused_over_resp,
    warned_events_are_stored_and_counted, versions_have_to_be_compatible, mistakes_are_told,
    schemas_survive, the_command_line_registers_and_checks)
