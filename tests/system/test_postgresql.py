#!/usr/bin/env python3
"""Read models on PostgreSQL, over the real program: served, killed, cut off, shared with others."""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time

import harness
from harness import RUNS, SOURCE, SPOOR, Skip, events, spoor, truth
from http_help import Server, Web
from postgres import Missing, Postgres
from resp import Connection  # http_help says where it lies

WAIT = 120
TICKS = 20000
KILLS = int(os.environ.get("SPOOR_TEST_KILLS", "6"))  # of each kind
TALLY = """-- spoor: projection tally version {version}
CREATE TABLE tally (source TEXT PRIMARY KEY, n BIGINT NOT NULL, total BIGINT NOT NULL,
    last BIGINT NOT NULL);
-- spoor: on tick
INSERT INTO tally (source, n, total, last)
VALUES (:source, 1, CAST(:data ->> 'n' AS BIGINT), :position)
ON CONFLICT (source) DO UPDATE SET n = tally.n + 1, total = tally.total + excluded.total{wrong},
    last = excluded.last;
"""
ROWS = "SELECT source, n, total, last FROM tally ORDER BY source"


def start_postgres():
    """A server, where this spoor can speak to one."""
    with tempfile.TemporaryDirectory(prefix="spoor-test-") as data:
        told = spoor("serve", "--resp-port", "0", "--read-models", "postgres:///none?host=/nowhere",
                     data=data, code=None).stderr
    assert "read models" in told, told
    if "built without PostgreSQL" in told:
        raise Skip("built without libpq")
    try:
        return Postgres()
    except Missing as reason:
        raise Skip(str(reason)) from None


def serve(folder, postgres, *options):
    return Server(folder, "--read-models", postgres.url, "--projection-grace", "1s", *options)


def write_ticks(path, first, count):
    with open(path, "w", encoding="utf-8") as file:
        for number in range(first, first + count):
            event = {"id": f"tick-{number}", "type": "tick", "source": f"agent:{number % 7}",
                     "data": {"n": number % 100}}
            file.write(json.dumps(event) + "\n")


def tally_of(ticks):
    """What the tables must hold for these events: the rows of the query."""
    rows = {}
    for event in ticks:
        row = rows.setdefault(event["source"], [0, 0, 0])
        row[0] += 1
        row[1] += event["data"]["n"]
        row[2] = event["position"]
    return [[source, *row] for source, row in sorted(rows.items())]


def put(web, version=1, wrong=""):
    text = TALLY.format(version=version, wrong=wrong).encode()
    reply = web.call("PUT", "/v1/projections/tally", text, headers={"Content-Type": "application/sql"})
    assert reply.status in (200, 201), (reply.status, reply.body)


def status(web):
    return web.ok("GET", "/v1/projections/tally/status")


def wait_for(what, found):
    deadline = time.monotonic() + WAIT
    while not (seen := found()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
    return seen


def wait_until_caught_up(web, version=1):
    def caught_up():
        now = status(web)
        ready = now["version"] == version and now["rebuild"] is None and now["state"] == "running"
        return ready and now["position"] >= now["head"] and now
    return wait_for("the projection has caught up", caught_up)


def ask(web, sql, **more):
    return web.ok("POST", "/v1/query", {"sql": sql, **more})["rows"]


def the_recorded_runs_are_there_as_tables(folder):
    figures = truth()
    with start_postgres() as postgres:
        spoor("import", RUNS, data=folder / "data")
        head = len(events(folder / "data"))
        with serve(folder, postgres) as server, Web(server) as web:
            postgres.wait_for("SELECT MIN(position) FROM spoor.spoor_builds WHERE name IN "
                              "('runs', 'tool_usage', 'agent_stats') AND current HAVING COUNT(*) = 3",
                              head)
            ours = ask(web, "SELECT status, COUNT(*) FROM runs GROUP BY status ORDER BY status",
                       position=head)
            theirs = postgres.psql("SELECT status, COUNT(*) FROM spoor.runs GROUP BY status "
                                   "ORDER BY status")
            assert theirs == "\n".join(f"{name}|{count}" for name, count in ours), (ours, theirs)
            calls = ask(web, "SELECT SUM(calls), SUM(errors) FROM tool_usage")
            assert calls[0][0] == sum(dict(ask(web, "SELECT tool, calls FROM tool_usage")).values())
            assert sum(count for _, count in ours) == ask(web, "SELECT COUNT(*) FROM runs")[0][0]
            assert figures and calls[0][0] > 1000


def send_ticks(web, first, count):
    lines = "".join(json.dumps({"id": f"more-{number}", "type": "tick", "source": f"agent:{number % 7}",
                                "data": {"n": number % 100}}) + "\n"
                    for number in range(first, first + count))
    reply = web.call("POST", "/v1/events", lines.encode(), headers={"Content-Type": "application/x-ndjson"})
    assert reply.status == 200, (reply.status, reply.body)


def while_it_projects(web, _postgres, number):
    send_ticks(web, number * 1000, 1000)


def start_rebuild(web):
    """It may be over before anybody looks: then there is another build."""
    before = wait_for("a build", lambda: status(web)["build"])
    web.ok("POST", "/v1/projections/tally/rebuild", status=202)
    wait_for("a rebuild", lambda: (now := status(web))["rebuild"] or now["build"] != before)


def while_it_rebuilds(web, _postgres, _number):
    start_rebuild(web)


def while_it_swaps(web, postgres, _number):
    """Somebody reads the old tables for so long that the swap must wait."""
    wait_until_caught_up(web)
    reader = threading.Thread(target=postgres.psql, args=(
        "BEGIN; SELECT COUNT(*) FROM spoor.tally; SELECT pg_sleep(0.6); COMMIT",))
    reader.start()
    start_rebuild(web)
    reader.join(0.3)


def kill_9_changes_nothing(folder, when):
    dice = random.Random(when.__name__)
    write_ticks(folder / "ticks", 0, TICKS)
    spoor("import", folder / "ticks", data=folder / "data")
    with start_postgres() as postgres:
        for number in range(KILLS):
            with serve(folder, postgres) as server, Web(server) as web:
                if number == 0:
                    put(web)
                when(web, postgres, number)
                time.sleep(dice.random() * 0.4)
                server.kill()
        with serve(folder, postgres) as server, Web(server) as web:
            wait_until_caught_up(web)
            rows = ask(web, ROWS)
            web.ok("POST", "/v1/projections/tally/rebuild", status=202)
            wait_until_caught_up(web)
            assert ask(web, ROWS) == rows
            postgres.wait_for("SELECT COUNT(*) FROM spoor.spoor_builds WHERE name = 'tally'", 1)
            postgres.wait_for("SELECT COUNT(*) FROM pg_namespace WHERE nspname LIKE '%_tally'", 1)
        assert rows == tally_of(events(folder / "data", "--type", "tick"))


def kill_9_while_it_projects_changes_nothing(folder):
    kill_9_changes_nothing(folder, while_it_projects)


def kill_9_while_it_rebuilds_changes_nothing(folder):
    kill_9_changes_nothing(folder, while_it_rebuilds)


def kill_9_while_it_swaps_changes_nothing(folder):
    kill_9_changes_nothing(folder, while_it_swaps)


def what_happens_while_postgresql_is_away_is_caught_up(folder):
    with start_postgres() as postgres, serve(folder, postgres) as server, Web(server) as web:
        put(web)
        sent = 0
        for how in ("crash", "stop"):
            for _ in range(50):
                web.ok("POST", "/v1/events",
                       {"type": "tick", "source": "agent:a", "data": {"n": sent % 100}}, status=201)
                sent += 1
            wait_until_caught_up(web)
            postgres.ask(how)
            for _ in range(50):  # the log takes them all the same
                web.ok("POST", "/v1/events",
                       {"type": "tick", "source": "agent:b", "data": {"n": sent % 100}}, status=201)
                sent += 1
            told = wait_for("the status says so", lambda: status(web)["error"])
            assert "PostgreSQL" in told["text"], told
            assert web.call("POST", "/v1/query", {"sql": ROWS}).status >= 500
            postgres.start()
            wait_until_caught_up(web)
            assert status(web)["error"] is None
        rows = ask(web, ROWS)
        assert sum(row[1] for row in rows) == sent
        assert rows == tally_of(web.ok("GET", "/v1/events", query={"type": "tick", "limit": 1000}))


def a_crash_of_postgresql_takes_back_whole_batches(folder):
    """Projectors do not wait for its disk, so a crash loses their last commits: they are made again."""
    dice = random.Random(3)
    write_ticks(folder / "ticks", 0, TICKS)
    spoor("import", folder / "ticks", data=folder / "data")
    with start_postgres() as postgres, serve(folder, postgres) as server, Web(server) as web:
        put(web)
        for number in range(6):
            if number % 2 == 1:
                web.call("POST", "/v1/projections/tally/rebuild")
            send_ticks(web, number * 3000, 3000)
            time.sleep(dice.random() * 0.3)
            postgres.crash()
            postgres.start()
            wait_until_caught_up(web)
        assert ask(web, ROWS) == tally_of(events(folder / "data", "--type", "tick"))


class Askers:
    """Queries without pause until they are told to stop; what was wrong is kept."""

    def __init__(self, server, sql, judge):
        self.server, self.sql, self.judge = server, sql, judge
        self.over, self.asked, self.problems = False, 0, []
        self.threads = [threading.Thread(target=self.ask) for _ in range(2)]

    def ask(self):
        seen = []  # by this thread: another one's answer may be told earlier or later
        with Web(self.server) as web:
            while not self.over:
                reply = web.call("POST", "/v1/query", {"sql": self.sql})
                self.asked += 1
                if reply.status != 200:
                    self.problems.append((reply.status, reply.body))
                elif problem := self.judge(reply.json["rows"], seen):
                    self.problems.append(problem)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for thread in self.threads:
            thread.join()


def a_planted_bug_is_mended_while_queries_run(folder):
    write_ticks(folder / "ticks", 0, TICKS)
    spoor("import", folder / "ticks", data=folder / "data")
    with start_postgres() as postgres, serve(folder, postgres) as server, Web(server) as web:
        put(web, wrong=" + 1")
        wait_until_caught_up(web)
        right = tally_of(events(folder / "data", "--type", "tick"))
        bad = ask(web, ROWS)
        assert bad != right

        def judge(rows, seen):
            if rows not in (bad, right):
                return f"neither before nor after: {rows}"
            if rows == bad and right in seen:
                return "back to what was before"
            seen.append(rows)
            return None

        with Askers(server, ROWS, judge) as askers:
            wait_for("both ask", lambda: askers.asked > 20)
            put(web, version=2)
            wait_until_caught_up(web, version=2)
            before = askers.asked
            wait_for("they ask on", lambda: askers.asked > before + 20)
            # The old build goes; nobody notices.
            postgres.wait_for("SELECT COUNT(*) FROM spoor.spoor_builds WHERE name = 'tally'", 1)
        assert not askers.problems, askers.problems[:3]
        assert ask(web, ROWS) == right


def a_schema_belongs_to_one_log_and_one_server(folder):
    with start_postgres() as postgres:
        (folder / "one").mkdir()
        (folder / "two").mkdir()
        with serve(folder / "one", postgres):
            done = subprocess.run(
                [SPOOR, "serve", "--data", folder / "two" / "data", "--resp-port", "0",
                 "--read-models", postgres.url], capture_output=True, text=True, timeout=WAIT,
                check=False)
            assert done.returncode != 0 and "read models of another log" in done.stderr, done.stderr
            assert "?schema=NAME" in done.stderr
            other = postgres.url + "&schema=second"
            with Server(folder / "two", "--read-models", other) as server, Web(server) as web:
                put(web)
                web.ok("POST", "/v1/events",
                       {"type": "tick", "source": "agent:a", "data": {"n": 5}}, status=201)
                wait_until_caught_up(web)
                assert ask(web, ROWS)[0][:3] == ["agent:a", 1, 5]
                assert postgres.psql("SELECT total FROM second.tally") == "5"


def rows_and_refusals_are_those_of_sqlite(folder):
    with start_postgres() as postgres, serve(folder, postgres) as server, Web(server) as web:
        put(web)
        for number in range(5):
            web.ok("POST", "/v1/events", {"type": "tick", "source": "agent:a", "data": {"n": number}},
                   status=201)
        wait_until_caught_up(web)
        with Connection(server.port) as redis:
            row = redis.call("HGETALL", "tally:agent:a")
            assert dict(zip(row[::2], row[1::2]))[b"total"] == b"10", row
            assert redis.call("HGET", "tally:agent:a", "n") == b"5"
            assert redis.call("HGETALL", "tally:agent:nobody") == []
        assert ask(web, "SELECT n FROM tally WHERE source = :who", params={"who": "agent:a"}) == [[5]]
        assert ask(web, "SELECT total > ? FROM tally WHERE n = ?", params=[9.5, 5]) == [[1]]
        web.refused("POST", "/v1/query", 403, "DELETE", {"sql": "DELETE FROM tally"})
        web.refused("POST", "/v1/query", 403, "pg_sleep", {"sql": "SELECT pg_sleep(100)"})
        web.refused("POST", "/v1/query", 404, "tally", {"sql": "SELECT * FROM tallly"})
        web.refused("POST", "/v1/query", 400, "line 1, column 8", {"sql": "SELECT wrong FROM tally"})
        web.refused("POST", "/v1/query", 504, "longer than 200 ms", {
            "sql": "SELECT COUNT(*) FROM generate_series(1, 100000000) AS endless", "timeout_ms": 200})
        web.refused("POST", "/v1/query", 422, "more than 3 rows", {
            "sql": "SELECT * FROM generate_series(1, 10) AS many", "max_rows": 3})


def an_event_that_cannot_be_applied_stops_one_projection(folder):
    with start_postgres() as postgres, serve(folder, postgres) as server, Web(server) as web:
        put(web)
        for number in range(100):
            data = {"n": "no number" if number == 70 else 1}
            web.ok("POST", "/v1/events", {"type": "tick", "source": "agent:a", "data": data},
                   status=201)
        told = wait_for("it stops", lambda: (now := status(web))["state"] == "failed" and now)
        assert "invalid input syntax" in told["error"]["text"], told
        ticks = web.ok("GET", "/v1/events", query={"type": "tick", "limit": 1000})
        poison = next(event for event in ticks if event["data"]["n"] == "no number")
        assert told["error"]["position"] == poison["position"], told
        assert told["error"]["id"] == poison["id"], told
        assert ask(web, ROWS) == tally_of(ticks[:70])


def what_the_page_shows_is_true(folder):
    """The SQL of docs/postgresql.md, with a role that is no superuser."""
    page = (SOURCE / "docs/postgresql.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    statements = [one for block in blocks for one in re.split(r";\n", block) if one.strip()]
    making = [one for one in statements if re.match(r"CREATE (ROLE spoor|DATABASE)", one)]
    looking = [one for one in statements if one not in making]
    assert len(making) == 2 and len(looking) >= 4, statements
    with open(folder / "runs", "w", encoding="utf-8") as file:
        for number in range(30):
            for kind in ("conversation.started", "agent.started", "tool.called"):
                file.write(json.dumps({"type": kind, "source": "agent:a", "correlationid": f"r{number}",
                                       "id": f"{kind}-{number}", "data": {"tool": "search"}}) + "\n")
    spoor("import", folder / "runs", data=folder / "data")
    with start_postgres() as postgres:
        for one in making:
            assert postgres.psql(one) == "", one
        url = postgres.url.replace("///postgres?", "///agents?").replace("user=spoor", "user=spoor_models")
        with Server(folder, "--read-models", url) as server, Web(server) as web:
            for name in ("runs", "agent_stats"):
                wait_for(name, lambda: web.ok("GET", f"/v1/projections/{name}/status")["position"] == 90)
            assert ask(web, "SELECT COUNT(*) FROM runs, agent_stats", position=90) == [[30]]
            for one in looking:
                seen = postgres.psql(one, "agents")
                assert "ERROR" not in seen, (one, seen)
            assert "agent_stats|" in postgres.psql(looking[1], "agents")
            assert postgres.psql("SET ROLE dashboard; SELECT COUNT(*) FROM spoor.runs", "agents") == "30"
            refused = postgres.psql("SET ROLE dashboard; SELECT COUNT(*) FROM spoor.spoor_builds", "agents")
            assert "permission denied" in refused
            web.ok("POST", "/v1/projections/runs/rebuild", status=202)
            wait_for("the rebuild", lambda: web.ok("GET", "/v1/projections/runs/status")["build"] > 1)
            assert postgres.psql("SET ROLE dashboard; SELECT COUNT(*) FROM spoor.runs", "agents") == "30"


if __name__ == "__main__":
    try:
        harness.run(the_recorded_runs_are_there_as_tables,
                    kill_9_while_it_projects_changes_nothing,
                    kill_9_while_it_rebuilds_changes_nothing,
                    kill_9_while_it_swaps_changes_nothing,
                    what_happens_while_postgresql_is_away_is_caught_up,
                    a_crash_of_postgresql_takes_back_whole_batches,
                    a_planted_bug_is_mended_while_queries_run,
                    a_schema_belongs_to_one_log_and_one_server,
                    rows_and_refusals_are_those_of_sqlite,
                    an_event_that_cannot_be_applied_stops_one_projection,
                    what_the_page_shows_is_true)
    except KeyboardInterrupt:
        sys.exit(130)
