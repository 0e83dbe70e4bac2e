#!/usr/bin/env python3
"""Recorded agent runs go in and come out unchanged, and what is asked about them is true."""
import collections
import hashlib
import json
import subprocess

import harness
import http_help
from harness import RUNS, events, lines, spoor

ALIASES = {"correlation_id": "correlationid", "causation_id": "causationid"}
ASSIGNED = {"position", "version", "recordedtime", "entryid", "hash"}
DECODER = json.JSONDecoder()


def raw_data(line):
    """The bytes of `data` as they stand in the line."""
    start = line.index('"data":') + len('"data":')
    return line[start:DECODER.raw_decode(line, start)[1]]


class State:
    """The store that most tests read; imported once."""
    data = None
    given = []   # lines as they were imported
    stored = []  # lines as they were exported


def imported():
    if State.data is None:
        harness.truth()
        State.data = harness.lasting_folder() / "store"
        State.given = subprocess.run(["zstd", "-dc", RUNS], check=True, capture_output=True,
                                     text=True).stdout.splitlines()
        spoor("import", RUNS, data=State.data)
        State.stored = spoor("export", data=State.data).stdout.splitlines()
    return State.data


def all_events_are_imported_once(folder):
    total = harness.truth()["all"]["events"]
    data = folder / "store"
    first = lines(spoor("import", RUNS, "--json", data=data).stdout)[0]
    assert (first["events"], first["new"], first["known"]) == (total, total, 0), first
    again = lines(spoor("import", RUNS, "--json", data=data).stdout)[0]
    assert (again["events"], again["new"], again["known"]) == (total, 0, total), again
    words = spoor("import", RUNS, data=data)
    assert f"0 events imported, {total} known already" in words.stderr, words.stderr
    assert words.stdout == "", "import has no data for stdout"


def every_attribute_and_every_byte_of_data_comes_back(_folder):
    imported()
    assert len(State.given) == len(State.stored)
    for number, (before, after) in enumerate(zip(State.given, State.stored), 1):
        given = {ALIASES.get(key, key): value for key, value in json.loads(before).items()
                 if value is not None}
        stored = json.loads(after)
        assert stored.pop("position") == number
        assert stored.pop("stream") == stored["source"]
        for key in ASSIGNED - {"position"}:
            assert stored.pop(key, None), f"{key} is missing in line {number}"
        assert stored == given, f"line {number}: {given} became {stored}"
        assert raw_data(before) == raw_data(after), f"data of line {number}"


def figures_agree_with_the_recordings(_folder):
    imported()
    figures = harness.truth()
    stored = [json.loads(line) for line in State.stored]
    for key, dataset in figures["datasets"].items():
        mine = [event for event in stored if event["correlationid"].startswith(key + "/")]
        want = dataset["events"]
        assert len(mine) == want["events"]
        assert collections.Counter(event["type"] for event in mine) == want["events_by_type"]
        called = collections.Counter(event["data"]["tool"] for event in mine
                                     if event["type"] == "tool.called")
        assert called == want["tool_called_by_tool"]
        wrong = collections.Counter(event["data"]["tool"] for event in mine
                                    if event["type"] == "tool.result" and event["data"]["is_error"])
        assert wrong == want["tool_result_errors_by_tool"]
        order = hashlib.sha256()
        for event in mine:
            tool = event["data"].get("tool", "")
            order.update(f"{event['correlationid']}\t{event['seq']}\t{event['type']}\t{tool}\n"
                         .encode())
        assert order.hexdigest() == want["sequence_sha256"], key
    assert len({event["correlationid"] for event in stored}) == figures["all"]["runs"]


def queries_agree_with_the_recordings(_folder):
    data = imported()
    figures = harness.truth()["all"]
    for kind, count in figures["events_by_type"].items():
        assert len(events(data, "--type", kind)) == count, kind
    assert len(events(data, "--type", "tool.*", "--filter", '{"data.is_error": true}')) == \
        figures["tool_result_errors"]
    both = events(data, "--type", "run.*", "--type", "handoff.#")
    assert len(both) == sum(count for kind, count in figures["events_by_type"].items()
                            if kind.startswith(("run.", "handoff.")))
    for tool, count in figures["top_5_tools"]:
        found = events(data, "--type", "tool.called", "--filter", json.dumps({"data.tool": tool}))
        assert len(found) == count, tool
        assert {event["source"] for event in events(data, "--source", f"tool:{tool}")} == \
            {f"tool:{tool}"}


def windows_are_exact(_folder):
    data = imported()
    stored = [json.loads(line) for line in State.stored]
    last = len(stored)
    assert [event["position"] for event in events(data, "--from", 100, "--until", 199)] == \
        list(range(100, 200))
    assert [event["position"] for event in events(data, "--reverse", "--limit", 3)] == \
        [last, last - 1, last - 2]
    assert [event["position"] for event in events(data, "--from", last - 1)] == [last - 1, last]
    assert events(data, "--from", last + 1) == []
    assert len(events(data, "--limit", 7)) == 7
    moment = stored[4000]
    assert events(data, "--from", moment["entryid"], "--limit", 1)[0]["position"] == 4001
    assert events(data, "--until", moment["entryid"], "--reverse", "--limit", 1)[0]["position"] == 4001
    until = events(data, "--until", moment["recordedtime"])
    assert [event["recordedtime"] for event in until] == \
        [event["recordedtime"] for event in stored if event["recordedtime"] <= moment["recordedtime"]]
    assert len(events(data, "--until", "now")) == last
    assert len(events(data, "--from", "-10d")) == last
    assert events(data, "--until", "-10d") == []
    source = [event for event in stored if event["source"] == "agent:gpt-4.1"]
    backwards = events(data, "--source", "agent:gpt-4.1", "--reverse")
    assert backwards == source[::-1]
    assert events(data, "--stream", "agent:gpt-4.1", "--type", "tool.*", "--limit", 4) == \
        [event for event in source if event["type"].startswith("tool.")][:4]


def runs_agree_with_the_recordings(_folder):
    data = imported()
    figures = harness.truth()
    listed = {run["correlationid"]: run for run in
              lines(spoor("run", "ls", "--json", data=data).stdout)}
    assert len(listed) == figures["all"]["runs"]
    status = collections.Counter(run["status"] for run in listed.values())
    kinds = figures["all"]["events_by_type"]
    assert status == {"completed": kinds["run.completed"], "failed": kinds["run.failed"]}, status
    for dataset in figures["datasets"].values():
        for name, want in dataset["events"]["sample_runs"].items():
            found = events(data, "--correlation", name)
            assert [event["seq"] for event in found] == list(range(want["events"]))
            assert (found[0]["id"], found[-1]["id"]) == (want["first_id"], want["last_id"])
            assert listed[name]["events"] == want["events"]
            assert listed[name]["last_type"] == want["last_type"]
            shown = lines(spoor("run", "show", name, "--json", data=data).stdout)[0]
            assert shown["types"] == want["counts_whole"] and shown["events"] == found
            assert shown["status"] == listed[name]["status"]
            tenth = found[min(9, len(found) - 1)]["position"]
            past = lines(spoor("run", "show", name, "--at", tenth, "--json", data=data).stdout)[0]
            assert past["types"] == want["counts_seq_0_to_9"], past["types"]
            tools = [event["data"]["tool"] for event in found if event["type"] == "tool.called"]
            assert tools[:40] == want["tools_in_order"]
    spoor("run", "show", "no such run", data=data, code=3)


def every_failure_is_traced_to_its_start(_folder):
    data = imported()
    stored = {event["id"]: event for event in map(json.loads, State.stored)}
    links = 0
    for event in stored.values():
        if event["type"] != "run.failed":
            continue
        want = [event]
        while "causationid" in want[0]:
            want.insert(0, stored[want[0]["causationid"]])
        told = lines(spoor("why", event["id"], "--json", data=data).stdout)
        assert told == want, event["id"]
        assert told[0]["type"] == "conversation.started"
        links += len(told) - 1
    assert links > 0


def effects_of_each_start_are_its_whole_run(_folder):
    data = imported()
    stored = [json.loads(line) for line in State.stored]
    runs = collections.defaultdict(set)
    for event in stored:
        runs[event["correlationid"]].add(event["id"])
    for event in stored:
        if event["type"] == "conversation.started":
            told = lines(spoor("effects", event["position"], "--json", data=data).stdout)
            assert told[0] == event
            assert {each["id"] for each in told} == runs[event["correlationid"]]
            assert len(told) == len(runs[event["correlationid"]])
    leaf = stored[-1]
    assert lines(spoor("effects", leaf["id"], "--json", data=data).stdout) == [leaf]


def streams_have_dense_versions(_folder):
    data = imported()
    counts = collections.Counter(json.loads(line)["source"] for line in State.stored)
    listed = lines(spoor("stream", "ls", "--json", data=data).stdout)
    assert {each["stream"]: each["version"] for each in listed} == counts
    assert listed[0]["stream"] == "system"
    shown = lines(spoor("stream", "show", "system", "--json", data=data).stdout)
    assert [event["version"] for event in shown] == list(range(1, counts["system"] + 1))
    spoor("stream", "show", "nobody", data=data, code=3)


def one_event_is_found_by_id_and_position(_folder):
    data = imported()
    event = json.loads(State.stored[76])
    assert lines(spoor("event", event["id"], data=data).stdout) == [event]
    assert lines(spoor("event", 77, data=data).stdout) == [event]
    assert lines(spoor("event", event["id"], "--source", event["source"], data=data).stdout) == [event]
    spoor("event", event["id"], "--source", "nobody", data=data, code=3)
    spoor("event", "no such id", data=data, code=3)
    spoor("why", "no such id", data=data, code=3)
    spoor("effects", "99999999", data=data, code=3)


def an_export_imports_to_the_same(folder):
    data = imported()
    out = folder / "out.jsonl.zst"
    done = spoor("export", "--out", out, data=data)
    assert f"{len(State.stored)} events exported" in done.stderr
    assert out.stat().st_size < 2_000_000, "a .zst is compressed"
    assert not list(folder.glob("*.part"))
    copy = folder / "copy"
    spoor("import", out, data=copy)
    exported = spoor("export", data=copy).stdout.splitlines()
    drop = ("recordedtime", "entryid", "hash")
    for before, after in zip(State.stored, exported):
        before, after = json.loads(before), json.loads(after)
        assert {k: v for k, v in before.items() if k not in drop} == \
            {k: v for k, v in after.items() if k not in drop}
    assert len(exported) == len(State.stored)
    one_type = spoor("export", "--type", "run.failed", data=data).stdout.splitlines()
    assert one_type == [line for line in State.stored if json.loads(line)["type"] == "run.failed"]


def the_record_is_whole(_folder):
    data = imported()
    verdict = lines(spoor("verify", "--json", data=data).stdout)[-1]
    assert verdict["whole"] is True and verdict["findings"] == 0
    assert verdict["events"] == len(State.stored)
    assert len(verdict["root"]) == 64


def lines_without_ids_are_imported_once(folder):
    path = folder / "plain.jsonl"
    path.write_text('{"type":"a.b","source":"s","data":{"n":1}}\n\n'
                    '{"type":"a.b","source":"s","data":{"n":1}}\r\n'
                    '{"event_type":"c","agent_id":"t","payload":[1,2], "other": null}', "utf-8")
    data = folder / "store"
    assert lines(spoor("import", path, "--json", data=data).stdout)[0]["new"] == 3
    assert lines(spoor("import", path, "--json", data=data).stdout)[0]["known"] == 3
    with open(path, "a", encoding="utf-8") as file:
        file.write('\n{"type":"a.b","source":"s"}\n')
    assert lines(spoor("import", path, "--json", data=data).stdout)[0]["new"] == 1
    stored = events(data)
    assert [event["type"] for event in stored] == ["a.b", "a.b", "c", "a.b"]
    assert len({event["id"] for event in stored}) == 4
    assert stored[2]["source"] == "t" and stored[2]["data"] == [1, 2] and "other" not in stored[2]
    given = spoor("import", "-", "--json", data=data, stdin='{"type":"x","source":"y"}\n')
    assert lines(given.stdout)[0]["new"] == 1


def a_bad_line_is_named_and_what_came_before_is_kept(folder):
    path = folder / "bad.jsonl"
    good = '{"id":"%d","type":"t","source":"s"}\n'
    bad = ['{"id":"x","type":"t","source":"s",}\n', '{"id":"y","source":"s"}\n', '[]\n']
    path.write_text(good % 1 + good % 2 + bad[0] + good % 3 + bad[1] + bad[2] + good % 4, "utf-8")
    data = folder / "store"
    done = spoor("import", path, "--json", data=data, code=1)
    assert f"{path}: line 3: byte 34: " in done.stderr, done.stderr
    report = lines(done.stdout)[0]
    assert (report["new"], report["bad"]) == (2, 1), report
    assert [event["id"] for event in events(data)] == ["1", "2"]
    done = spoor("import", path, "--json", "--skip-bad", data=data)
    report = lines(done.stdout)[0]
    assert (report["new"], report["known"], report["bad"]) == (2, 2, 3), report
    for number in (3, 5, 6):
        assert f"{path}: line {number}: " in done.stderr
    assert [event["id"] for event in events(data)] == ["1", "2", "3", "4"]


def a_cut_file_is_said(folder):
    harness.truth()
    path = folder / "cut.zst"
    path.write_bytes(RUNS.read_bytes()[:200000])
    done = spoor("import", path, "--json", data=folder / "store", code=1)
    assert "ends too early" in done.stderr, done.stderr
    assert 0 < lines(done.stdout)[0]["new"] < 9211
    spoor("import", folder / "missing.jsonl", data=folder / "store", code=3)


HISTORY = [
    {"id": "1", "type": "saga.started", "source": "spoor", "stream": "saga:0190b1f0-0000-7000-8000-000000000000",
     "data": {"saga": "book"}, "recordedtime": "2026-01-01T00:00:00Z"},
    {"id": "2", "type": "event.delayed", "source": "spoor", "stream": "$delayed", "dueus": 1767225600000000,
     "data": {"id": "late", "source": "s", "type": "t"}, "recordedtime": "2026-01-01T00:00:00Z"},
    {"id": "3", "type": "action.proposed", "source": "ann", "data": {"prompt": "May I?"},
     "recordedtime": "2026-01-01T00:00:00Z"},
    {"id": "4", "type": "order.placed", "source": "ann", "deliverat": "2100-01-01T00:00:00Z",
     "recordedtime": "2026-01-01T00:00:00Z"},
]


def what_the_store_itself_wrote_elsewhere_comes_as_history(folder):
    path = folder / "history.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in HISTORY), "utf-8")
    claims = folder / "claims.jsonl"
    claims.write_text(json.dumps({"id": "5", "type": "saga.started", "source": "spoor", "stream": "saga:x"}),
                      "utf-8")
    data = folder / "store"
    spoor("import", path, data=data)
    spoor("import", path, data=data)  # opened again, nothing of it begins to run
    denied = spoor("import", claims, data=data, code=5)
    assert "streams that begin with $ or saga: are the store's own" in denied.stderr, denied.stderr
    with http_help.Server(folder / "served") as server:
        url = f"http://127.0.0.1:{server.http_port}"
        spoor("import", path, "--url", url)
        denied = spoor("import", claims, "--url", url, code=1)
        assert "the store's own" in denied.stderr, denied.stderr
        served = lines(spoor("export", "--url", url).stdout)
    for found in (events(data), served):
        assert [event["id"] for event in found] == ["1", "2", "3", "4"], found
        assert [event.get("spoorimported") for event in found] == [True, True, True, None], found
        assert [event["stream"] for event in found[:2]] == [event["stream"] for event in HISTORY[:2]]


harness.run(all_events_are_imported_once, every_attribute_and_every_byte_of_data_comes_back,
            figures_agree_with_the_recordings, queries_agree_with_the_recordings,
            windows_are_exact, runs_agree_with_the_recordings,
            every_failure_is_traced_to_its_start, effects_of_each_start_are_its_whole_run,
            streams_have_dense_versions, one_event_is_found_by_id_and_position,
            an_export_imports_to_the_same, the_record_is_whole,
            lines_without_ids_are_imported_once,
            a_bad_line_is_named_and_what_came_before_is_kept, a_cut_file_is_said,
            what_the_store_itself_wrote_elsewhere_comes_as_history)
