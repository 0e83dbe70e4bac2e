#!/usr/bin/env python3
"""The vocabulary: its schemas are schemas, its examples are examples, and nothing that articles, recorded
runs or the server itself call an event is missing from it.
"""
import http.client
import json
import pathlib
import re
import subprocess
import sys
import urllib.parse

from harness import RUNS, SHARED, SOURCE, SPOOR, TIMEOUT, Skip, lines, on_terminal, run, spoor

sys.path.insert(0, str(SOURCE / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from servers import Spoor

CLIENTS = SOURCE / "build" / "clients"
SEEDS = SHARED.parent / "seeds"
SAGAS = SHARED.parent / "reference" / "sagas.md"

# What looks like a type in the articles and is none.
NO_EVENTS = {
    "payload.domain": "a path in a filter",
    "payload.priority": "a path in a filter",
    "event.received": "a message in a log file",
    "event.processed": "a message in a log file",
    "event.failed": "a message in a log file",
}
# How the articles write them: quoted, alone on a line, as a cell of a table, as the value of an enum or
# of a log of events.
IN_ARTICLES = (
    r"""["'`]([a-z][a-z_]*(?:\.[a-z_{}]+)+)["'`]""",
    r"(?m)^([a-z][a-z_]*(?:\.[a-z_]+)+)\s*$",
    r"│ ([a-z][a-z_]*(?:\.[a-z_]+)+)\s+│",
    r'(?m)^[A-Z_]+ = "([a-z]+_[a-z_]+)"',
    r"(?m)^\[\d\] ([A-Z][A-Za-z]+)$",
)


def validators():
    """The library of JSON Schema, as a user installs it."""
    sys.path[:0] = map(str, CLIENTS.glob("lib/python3*/site-packages"))
    try:
        # pylint: disable=import-outside-toplevel
        from jsonschema import Draft202012Validator
    except ImportError:
        raise Skip("jsonschema is not installed; ./dev test does") from None
    return Draft202012Validator


def vocabulary():
    """Everything that the program knows of each type, by type."""
    found = {}
    for row in lines(spoor("schema", "ls").stdout):
        found[row["type"]] = json.loads(spoor("schema", "show", row["type"]).stdout)
        assert {key: found[row["type"]][key] for key in row} == row, row
    return found


def complaints(validator, whole, data):
    return [f"{whole['type']}: {error.json_path}: {error.message}"
            for error in validator(whole["schema"]).iter_errors(data)]


def every_file_is_compiled_in(_folder):
    files = {}
    for path in sorted((SOURCE / "vocabulary").glob("*.json")):
        domain = json.loads(path.read_text(encoding="utf-8"))
        assert domain["domain"] == path.stem, path
        files.update({event["type"]: (path.stem, event) for event in domain["events"]})
    program = vocabulary()
    assert files.keys() == program.keys(), files.keys() ^ program.keys()
    for name, (domain, event) in files.items():
        assert program[name]["domain"] == domain
        for key in event.keys() - {"schema"}:
            assert program[name][key] == event[key], f"{name}: {key}"
        assert event["schema"].items() <= program[name]["schema"].items(), name


def a_bad_file_stops_the_build(folder):
    good = json.loads((SOURCE / "vocabulary" / "trust.json").read_text(encoding="utf-8"))
    path = folder / "trust.json"

    def complaint(change):
        domain = json.loads(json.dumps(good))
        change(domain["events"][0])
        path.write_text(json.dumps(domain), encoding="utf-8")
        done = subprocess.run([sys.executable, SOURCE / "tools" / "vocabulary.py", folder / "out.c", path],
                              capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == (folder / "out.c").exists(), done.stderr
        (folder / "out.c").unlink(missing_ok=True)
        return done.stderr

    assert complaint(lambda event: None) == ""
    for change, words in (
            (lambda event: event.pop("meaning"), "lacks ['meaning']"),
            (lambda event: event.update(colour="red"), "has also ['colour']"),
            (lambda event: event.update(type="score.*"), "no such type"),
            (lambda event: event.update(type="violation.detected"), "is there twice"),
            (lambda event: event.update(see=["no.such"]), "no.such"),
            (lambda event: event["schema"].update(required=["x"]), "x is required and not described"),
            (lambda event: event["schema"]["properties"]["score"].pop("description"), "score")):
        said = complaint(change)
        assert words in said and said.startswith("vocabulary: "), said
    path.write_text("{", encoding="utf-8")
    done = subprocess.run([sys.executable, SOURCE / "tools" / "vocabulary.py", folder / "out.c", path],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "trust.json" in done.stderr, done.stderr


def schemas_hold_against_the_metaschema(_folder):
    validator = validators()
    for whole in vocabulary().values():
        assert whole["schema"]["$schema"] == validator.META_SCHEMA["$id"]
        validator.check_schema(whole["schema"])


def examples_hold_against_their_schemas(_folder):
    validator = validators()
    for whole in vocabulary().values():
        assert not complaints(validator, whole, whole["example"])


def what_is_wrong_is_told(_folder):
    """The schemas are not so lenient that they accept anything."""
    validator, program = validators(), vocabulary()
    assert complaints(validator, program["task.assigned"], {"agent_id": "a"})
    assert complaints(validator, program["tool.called"], {"tool": 7})
    assert complaints(validator, program["agent.tokens_generated"], {"count": -1})
    assert complaints(validator, program["deployment.failed"], {"error": "no service named"})


def covers(name):
    return spoor("schema", "show", name, code=None).returncode == 0


def every_type_of_the_articles_is_there(_folder):
    articles = sorted(SEEDS.glob("*.txt"))
    if not articles:
        raise Skip("the articles are not here")
    named = set()
    for article in articles:
        text = article.read_text(encoding="utf-8").replace("self.agent_id", "agent")
        named |= {name for pattern in IN_ARTICLES for name in re.findall(pattern, text)}
    assert len(named) > 70, f"only {len(named)} types were found in the articles"
    missing = {name for name in named - NO_EVENTS.keys() if not covers(name)}
    assert not missing, missing
    assert NO_EVENTS.keys() <= named, "an exception that no article needs"


def every_type_of_runs_that_resume_is_there(_folder):
    """The events that a run records so that it can be resumed, replayed and forked."""
    if not SAGAS.exists():
        raise Skip("the description of runs is not here")
    named = set()
    for cell in re.findall(r"(?m)^\| ([a-z]+\.[^|]+) \|", SAGAS.read_text(encoding="utf-8")):
        prefix = ""
        for word in re.split(r"[,/]\s*", cell):
            prefix = word.split(".")[0] if "." in word else prefix
            named.add(f"{prefix}.{word.split('.')[-1].strip()}")
    assert len(named) > 25, named
    missing = {name for name in named if not covers(name)}
    assert not missing, missing


def recorded_runs_hold_against_their_schemas(_folder):
    validator = validators()
    if not RUNS.exists():
        raise Skip("the recorded agent runs are not here")
    text = subprocess.run(["zstd", "-dcq", RUNS], capture_output=True, text=True, check=True).stdout
    program = vocabulary()
    checks = {name: validator(whole["schema"]) for name, whole in program.items()}
    events = lines(text)
    assert len(events) > 9000
    for event in events:
        wrong = list(checks[event["type"]].iter_errors(event["data"]))
        assert not wrong, f"{event['type']}: {wrong[0].message}"


def make_an_agent_come_and_go(server, connection):
    """It is lost, comes back, and then leaves."""
    with server.connect() as agent:
        assert agent.call("SPOOR.AGENT", "ONLINE", "ann", "CAPABILITY", "search") == "OK"
    while json.loads(connection.call("SPOOR.AGENT", "GET", "ann"))["status"] != "suspected":
        pass
    assert connection.call("SPOOR.AGENT", "HEARTBEAT", "ann") == b"online"
    assert connection.call("SPOOR.AGENT", "OFFLINE", "ann", "REASON", "done") == "OK"


def make_the_server_speak(connection):
    """Has the server write each kind of event that it writes by itself."""
    def say(*words):
        reply = connection.call(*words)
        assert type(reply).__name__ != "Error", f"{words}: {reply}"
        return reply

    policy = ("max-deliveries", "2", "backoff", "1ms..1ms")
    say("SPOOR.GROUP", "CREATE", "workers", "jobs", "MKSTREAM", *policy)
    say("SPOOR.GROUP", "SET", "workers", "jobs", "ack-wait", "1m")
    entries = [say("XADD", "jobs", "*", "type", "mail.asked", "n", number) for number in range(3)]
    for kind in ("REDRIVE", "DISCARD"):
        for _ in range(2):
            read = say("XREADGROUP", "GROUP", "workers", "w1", "COUNT", "1", "BLOCK", "10000",
                       "STREAMS", "jobs", ">")
            say("SPOOR.NACK", "jobs", "workers", read[0][1][0][0], "ERROR", "no", "DELAY", "0")
        assert say("SPOOR.DEAD", kind, "jobs", "workers", "ALL") == 1
    say("XGROUP", "CREATE", "jobs", "plain", "0")
    say("XGROUP", "SETID", "jobs", "plain", "$")
    say("XGROUP", "DESTROY", "jobs", "plain")
    say("SPOOR.GROUP", "CREATE", "all", "$type:task.*")
    say("XDEL", "jobs", entries[0])
    say("XTRIM", "jobs", "MAXLEN", "1")
    say("XADD", "short", "*", "a", "b")
    say("PEXPIRE", "short", "1")
    while say("EXISTS", "short"):
        pass
    say("SPOOR.SCHEMA", "ADD", "mail.asked", "1", '{"type":"object"}')
    say("SPOOR.SCHEMA", "REMOVE", "mail.asked", "1")
    say("RENAME", "jobs", "work")
    say("DEL", "work")


def what_the_server_writes_holds_against_its_schema(_folder):
    """Every event that the server writes by itself is described, and is as described."""
    validator, program = validators(), vocabulary()
    with Spoor(program=SPOOR, options=("--agent-grace", "10ms")) as server:
        with server.connect() as connection:
            make_the_server_speak(connection)
            make_an_agent_come_and_go(server, connection)
        server.stop()  # who reads beside it may see the last block a second late
        exported = lines(spoor("export", "--json", data=server.folder).stdout)
    own = [event for event in exported if event["stream"].startswith("$") or event["source"] == "ann"]
    for event in own:
        assert event["type"] in program, f"{event['type']} is not described"
        assert not complaints(validator, program[event["type"]], event["data"]), event
    described = {name for name, whole in program.items() if whole["domain"] in ("delivery", "store")}
    described |= {"agent.online", "agent.offline", "agent.suspected_failure", "agent.recovered"}
    missing = described - {event["type"] for event in exported} - {"redis.entry"}
    assert not missing, f"described, and not seen: {missing}"


def what_the_engine_names_is_there(_folder):
    """Types that the engine writes, or goes by: it knows from some that a run has ended."""
    sources = sorted((SOURCE / "src" / "engine").glob("*.c"))
    named = {name for path in sources for name in
             re.findall(r'"([a-z_]+(?:\.[a-z_]+)+)"', path.read_text(encoding="utf-8"))
             if not name.endswith((".h", ".c", ".data"))}
    assert len(named) > 20, named
    places = {"emit.data", "on_timeout.data"}  # in definitions of joins; no types
    missing = {name for name in named - places if not covers(name)}
    assert not missing, missing


def it_is_browsed_on_a_terminal(_folder):
    code, shown = on_terminal("schema", "show", "task.assigned", columns=100)
    assert code == 0 and "A task was given to an agent." in shown and "task_id" in shown, shown
    code, shown = on_terminal("schema", "ls", "task.*", columns=100)
    assert code == 0 and "task.created" in shown and "task.assigned.{agent}" not in shown, shown
    assert len(shown.splitlines()) < 20


def what_is_not_there_is_said(_folder):
    done = spoor("schema", "show", "no.such", code=3)
    assert "no.such" in done.stderr and not done.stdout
    assert "nothing.*" in spoor("schema", "ls", "nothing.*", code=3).stderr
    assert "token 2" in spoor("schema", "ls", "a.>.b", code=2).stderr


def schemas_are_exported(folder):
    validator = validators()
    spoor("schema", "export", folder / "out")
    spoor("schema", "export", folder / "out")  # over what is there
    program = vocabulary()
    files = sorted((folder / "out").glob("*/*.json"))
    assert len(files) == len(program)
    for path in files:
        schema = json.loads(path.read_text(encoding="utf-8"))
        whole = program[path.parent.name]
        assert path.stem == whole["version"] and schema == whole["schema"], path
        validator.check_schema(schema)
    assert "no-such-folder" in spoor("schema", "export", folder / "no-such-folder/x", code=1).stderr


def it_is_served(_folder):
    """Over HTTP, as the program itself knows it."""
    program = vocabulary()
    with Spoor(program=SPOOR) as server:
        connection = http.client.HTTPConnection(server.ready[3], timeout=TIMEOUT)

        def get(path, code=200, media="application/json"):
            connection.request("GET", path)
            reply = connection.getresponse()
            body = json.loads(reply.read())
            assert reply.status == code, (path, reply.status, body)
            assert reply.getheader("Content-Type") == (media if code == 200 else "application/problem+json")
            return body

        assert [row["type"] for row in get("/v1/schemas")] == list(program)
        assert [row["type"] for row in get("/v1/schemas?type=trust")] == ["score.updated",
                                                                         "violation.detected"]
        assert get("/v1/schemas?type=nothing.*") == []
        assert get("/v1/schemas/tool_called") == program["tool.called"]
        for name, whole in program.items():
            path = f"/v1/schemas/{urllib.parse.quote(name)}/{whole['version']}"
            assert get(path, media="application/schema+json") == whole["schema"], name
        assert "only version 1" in get("/v1/schemas/task.created/2", 404)["detail"]
        assert "no.such" in get("/v1/schemas/no.such/1", 404)["detail"]
        assert "token 2" in get("/v1/schemas?type=a.%3E.b", 400)["detail"]
        connection.close()


def documents_tell_the_domains(_folder):
    """docs/vocabulary.md has a row for each domain, with what the file says and how many types it has."""
    text = (SOURCE / "docs" / "vocabulary.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `(\w+)` \| (\d+) \| (.+) \|$", text)
    wanted = []
    for path in sorted(pathlib.Path(SOURCE / "vocabulary").glob("*.json")):
        domain = json.loads(path.read_text(encoding="utf-8"))
        wanted.append((domain["domain"], str(len(domain["events"])), domain["about"]))
    assert rows == wanted, [row for row in wanted if row not in rows]


run(every_file_is_compiled_in, a_bad_file_stops_the_build, schemas_hold_against_the_metaschema,
    examples_hold_against_their_schemas, what_is_wrong_is_told, every_type_of_the_articles_is_there,
    every_type_of_runs_that_resume_is_there, recorded_runs_hold_against_their_schemas,
    what_the_server_writes_holds_against_its_schema, what_the_engine_names_is_there,
    it_is_browsed_on_a_terminal,
    what_is_not_there_is_said, schemas_are_exported, it_is_served, documents_tell_the_domains)
