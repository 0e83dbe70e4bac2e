#!/usr/bin/env python3
"""Read models as they were: the figures of the recorded runs at each of their moments, over folder and server;
what changed; stepping through a run; snapshots under kill -9, damage and many who ask; what cannot be told."""
import collections
import concurrent.futures
import random
import time

import harness
from harness import RUNS, lines, spoor
from http_help import Server, Web

TALLY = """-- spoor: projection tally version 1
CREATE TABLE tally (source TEXT PRIMARY KEY, n BIGINT NOT NULL, total BIGINT NOT NULL);
-- spoor: on tool.called
INSERT INTO tally (source, n, total) VALUES (:source, 1, :data ->> 'number')
  ON CONFLICT (source) DO UPDATE SET n = tally.n + 1, total = tally.total + (:data ->> 'number');
"""
FRAGILE = """-- spoor: projection fragile version 1
CREATE TABLE fragile (n BIGINT CHECK (n <> 13));
-- spoor: on order.#
INSERT INTO fragile VALUES (:data ->> 'n');
"""
KILLS = 6
MANY = 120_000


def recorded(folder):
    figures = harness.truth()
    spoor("import", "--quiet", RUNS, data=folder)
    return figures


def timed(figures):
    return {name: dataset["events"]["as_of"] for name, dataset in figures["datasets"].items()
            if dataset["events"]["as_of"]}


def check_rows(rows, dataset, want):
    """The rows of `runs` as they were, against the truth."""
    rows = [row for row in rows if row["correlationid"].startswith(dataset + "/")]
    status = collections.Counter(row["status"] for row in rows)
    found = {"runs_started": len(rows), "runs_completed": status["completed"], "runs_failed": status["failed"],
             "runs_open": status["running"], "tool_called": sum(row["tool_calls"] for row in rows)}
    assert found == {name: want[name] for name in found}, (dataset, found, want)


def the_recorded_runs_stand_as_they_stood(folder):
    data = folder / "data"
    figures = recorded(data)
    cuts = timed(figures)
    assert len(cuts) == 2 and all(len(cut) >= 5 for cut in cuts.values())
    for dataset, moments in cuts.items():
        for moment, want in moments.items():
            check_rows(lines(spoor("state", "runs", "--until", moment, "--json", data=data).stdout), dataset, want)
    with Server(folder) as server, Web(server) as web:
        url = f"http://127.0.0.1:{server.http_port}"
        for dataset, moments in cuts.items():
            for moment, want in moments.items():
                answer = web.ok("GET", "/v1/state/runs", query={"until": moment})
                assert answer["projection"] == "runs" and answer["time"].startswith(moment[:-1]), answer["time"]
                rows = [dict(zip(answer["columns"], row)) for row in answer["rows"]]
                check_rows(rows, dataset, want)
                check_rows(lines(spoor("state", "runs", "--until", moment, "--url", url).stdout), dataset, want)
        # What the store knew by then: nothing yet, for all of it was recorded today.
        empty = web.ok("GET", "/v1/state/runs", query={"until": "2025-12-31T00:00:00Z", "by": "recorded"})
        assert empty["rows"] == [] and empty["position"] == 0, empty


def a_run_alone_is_as_it_is_among_all(folder):
    data = folder / "data"
    recorded(data)
    dice = random.Random(5)
    rows = {row["correlationid"]: row for row in
            lines(spoor("state", "runs", "--until", 7000, "--json", data=data).stdout)}
    for run in dice.sample(sorted(rows), 12):
        alone = lines(spoor("state", "runs", "--until", 7000, "--correlation", run, "--json", data=data).stdout)
        assert alone == [rows[run]], (run, alone, rows[run])


def what_changed_leads_from_one_state_to_the_other(folder):
    data = folder / "data"
    recorded(data)
    with Server(folder) as server, Web(server) as web:
        for a, b in ((100, 400), (6000, 6003), (9000, 5500), (50, 50)):
            states = []
            for moment in (a, b):
                answer = web.ok("GET", "/v1/state/runs", query={"until": moment})
                states.append({row[0]: dict(zip(answer["columns"], row)) for row in answer["rows"]})
            before, after = states
            told = web.ok("GET", "/v1/state/runs", query={"diff": f"{a}..{b}", "table": "runs"})
            assert told["position"] == b and told["before"]["position"] == a
            assert (told["changes"] == []) == (a == b)
            for change in told["changes"]:
                key = change["key"]["correlationid"]
                if change["change"] == "removed":
                    assert before.pop(key) == change["before"] and change["after"] is None
                elif change["change"] == "added":
                    assert key not in before and change["before"] is None
                    before[key] = change["after"]
                else:
                    assert {name: before[key][name] for name in change["before"]} == change["before"]
                    assert all(change["before"][name] != value for name, value in change["after"].items())
                    before[key].update(change["after"])
            assert before == after, (a, b)
            shown = lines(spoor("state", "runs", "--diff", f"{a}..{b}", "--table", "runs", "--json",
                                "--url", f"http://127.0.0.1:{server.http_port}").stdout)
            assert shown == told["changes"]


def one_steps_through_a_run(folder):
    data = folder / "data"
    recorded(data)
    listed = lines(spoor("run", "ls", "--type", "conversation.started", "--json", data=data).stdout)
    run = [run for run in listed if 10 <= run["events"] <= 20 and "tau2" in run["correlationid"]][-1]
    name, count = run["correlationid"], run["events"]
    events = harness.events(data, "--correlation", name)
    steps = [lines(spoor("run", "show", name, "--at", number, "--json", data=data).stdout)[0]
             for number in range(1, count + 1)]
    assert [step["event"] for step in steps] == events
    assert steps[0]["before"] is None and "previous" not in steps[0]["at"] and "next" not in steps[-1]["at"]
    for number, step in enumerate(steps, 1):
        assert step["at"]["number"] == number and step["at"]["of"] == count
        assert step["events"] == events[:number] and sum(step["types"].values()) == number
        before = step["before"] or dict.fromkeys(step["after"] or {})
        after = step["after"] or dict.fromkeys(before)
        assert set(step["changed"]) == {column for column in after if before[column] != after[column]}, step
    for one, two in zip(steps, steps[1:]):
        assert one["after"] == two["before"] and one["at"]["next"] == two["at"]["number"]
        assert two["at"]["previous"] == one["at"]["number"]
    assert steps[-1]["after"] == lines(spoor("state", "runs", "--correlation", name, "--json", data=data).stdout)[0]
    middle = steps[count // 2]
    for at in (middle["event"]["entryid"], middle["event"]["position"]):
        if at == middle["event"]["entryid"] or at > count:
            assert lines(spoor("run", "show", name, "--at", at, "--json", data=data).stdout)[0] == middle, at
    by_time = lines(spoor("run", "show", name, "--at", events[3]["time"], "--json", data=data).stdout)[0]
    assert by_time["event"]["time"] == events[3]["time"]
    spoor("run", "show", name, "--at", "2001-01-01", data=data, code=3)
    spoor("run", "show", name, "--at", "yesterday", data=data, code=2)


def what_cannot_be_told_is_said(folder):
    with Server(folder) as server, Web(server) as web:
        url = f"http://127.0.0.1:{server.http_port}"
        for number in range(1, 21):
            web.ok("POST", "/v1/events", {"type": "order.placed", "source": "shop", "data": {"n": number}}, status=201)
        reply = web.call("PUT", "/v1/projections/fragile", FRAGILE.encode(), headers={"Content-Type": "application/sql"})
        assert reply.status in (200, 201), reply.body
        state = "/v1/state/fragile"
        fine = web.ok("GET", state, query={"until": 12})
        assert [row[0] for row in fine["rows"]] == list(range(1, 13)) and fine["events"] == 12
        failed = web.refused("GET", state, 503, "cannot be applied", query={"until": 15})
        assert "event 13" in failed["detail"], failed
        web.refused("GET", "/v1/state/nothing", 404, "nothing")
        web.refused("GET", state, 404, "no table other", query={"table": "other", "until": 5})
        web.refused("GET", state, 400, "next week", query={"until": "next week"})
        web.refused("GET", state, 400, "by:", query={"by": "guess"})
        web.refused("GET", state, 400, "A..B", query={"diff": "12"})
        web.refused("GET", state, 400, "unknown parameter", query={"utnil": "12"})
        web.refused("GET", state, 403, "read", query={"sql": "DELETE FROM fragile", "until": 5})
        web.refused("GET", state, 400, "syntax", query={"sql": "SELEKT 1", "until": 5})
        web.refused("GET", state, 400, "no sql beside", query={"sql": "SELECT 1", "diff": "1..2"})
        web.refused("GET", state, 504, "", query={"until": 5, "timeout_ms": 200, "sql":
                    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"})
        future = web.ok("GET", state, query={"until": "999999", "correlation": "none"})
        assert future["rows"] == [] and "end of the log" in future["notices"][0], future
        cut = web.ok("GET", state, query={"until": 12, "limit": 3})
        assert len(cut["rows"]) == 3 and cut["cut"] is True
        told = spoor("state", "fragile", "--until", 12, "--limit", 3, "--json", "--url", url)
        assert len(lines(told.stdout)) == 3 and "more than these 3 rows" in told.stderr
        spoor("state", "nothing", "--url", url, code=3)
        spoor("state", "fragile", "--until", "next week", "--url", url, code=2)
        spoor("state", "fragile", "--by", "guess", "--url", url, code=2)
        # The server is none the worse for it.
        assert web.ok("GET", state, query={"until": 12})["rows"] == fine["rows"]


class Many:
    """Many events, and what they add up to at each position."""

    def __init__(self, folder):
        self.data = folder / "data"
        file = folder / "events.jsonl"
        dice = random.Random(3)
        self.events = []
        with open(file, "w", encoding="utf-8") as out:
            for number in range(MANY):
                event = (f"agent:{dice.randrange(20)}", dice.random() < 0.9)
                self.events.append(event)
                out.write('{"id":"e%d","type":"%s","source":"%s","data":{"number":%d}}\n' % (
                    number, "tool.called" if event[1] else "other.thing", event[0], number))
        spoor("import", "--quiet", file, data=self.data)

    def want(self, position):
        rows = collections.defaultdict(lambda: [0, 0])
        for number, (source, counts) in enumerate(self.events[:position]):
            if counts:
                rows[source][0] += 1
                rows[source][1] += number
        return {source: tuple(row) for source, row in rows.items()}

    def check(self, web, position):
        """Whether the state is right; tells the snapshot that it was begun from."""
        answer = web.ok("GET", "/v1/state/tally", query={"until": position})
        found = {row[0]: (row[1], row[2]) for row in answer["rows"]}
        assert found == self.want(position), position
        return answer.get("snapshot")

    def snapshots(self):
        return sorted((self.data / "projections" / "snapshots").glob("tally.*.snap"))


def add_tally(web):
    reply = web.call("PUT", "/v1/projections/tally", TALLY.encode(), headers={"Content-Type": "application/sql"})
    assert reply.status in (200, 201), reply.body


def wait_for(what):
    until = time.monotonic() + 100
    while not what():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def snapshots_survive_kills_and_damage(folder):
    many = Many(folder)
    dice = random.Random(11)
    for number in range(KILLS):
        server = Server(folder)
        server.start()
        with Web(server) as web:
            if number == 0:
                add_tally(web)
            elif number % 2 == 0: # all over again
                web.ok("POST", "/v1/projections/tally/rebuild", status=202)
                for path in many.snapshots():
                    path.unlink()
            if number % 3 == 1:
                many.check(web, dice.randrange(1, MANY))
            time.sleep(dice.random() * 0.6)
        server.kill()
    with Server(folder) as server, Web(server) as web:
        leftovers = list((many.data / "projections" / "snapshots").glob("*.tmp"))
        many.check(web, MANY)
        wait_for(lambda: web.ok("GET", "/v1/projections/tally/status")["position"] >= MANY)
        used = [many.check(web, dice.randrange(1, MANY)) for _ in range(12)]
        assert any(used), (used, leftovers)
    kept = many.snapshots()
    assert kept
    for path in kept: # one byte of each
        content = bytearray(path.read_bytes())
        content[dice.randrange(len(content))] ^= 0x20
        path.write_bytes(content)
    with Server(folder) as server, Web(server) as web:
        for _ in range(6):
            many.check(web, dice.randrange(1, MANY))
        assert "damaged" in server.log_end(), server.log_end()
        web.ok("DELETE", "/v1/projections/tally", status=204)
        wait_for(lambda: not many.snapshots())
        web.refused("GET", "/v1/state/tally", 404, "tally")


def many_may_ask_at_once(folder):
    many = Many(folder)
    with Server(folder) as server, Web(server) as web:
        add_tally(web)
        wait_for(lambda: web.ok("GET", "/v1/projections/tally/status")["position"] >= MANY)
        dice = random.Random(13)
        moments = [dice.randrange(1, MANY) for _ in range(12)]

        def ask(moment):
            with Web(server) as own:
                many.check(own, moment)
                return own.ok("POST", "/v1/query", {"sql": "SELECT count(*) FROM tally"})["rows"]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, moments)) == [[[20]]] * len(moments)
        # What is built anew has reason to be: copies of what was there before are not gone on from.
        assert many.snapshots()
        before = time.time()
        web.ok("POST", "/v1/projections/tally/rebuild", status=202)
        wait_for(lambda: web.ok("GET", "/v1/projections/tally/status")["build"] == 2)
        wait_for(lambda: all(path.stat().st_mtime >= before for path in many.snapshots()))
        many.check(web, moments[0])


harness.run(the_recorded_runs_stand_as_they_stood, a_run_alone_is_as_it_is_among_all,
            what_changed_leads_from_one_state_to_the_other, one_steps_through_a_run, what_cannot_be_told_is_said,
            snapshots_survive_kills_and_damage, many_may_ask_at_once)
