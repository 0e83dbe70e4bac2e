#!/usr/bin/env python3
"""Read models while things go wrong: the server is killed while it projects, rebuilds and swaps; a projection
has a bug that is mended under load, divides by zero, is no SQL; a query runs for ever. Nothing else is
harmed, and in the end every read model is what a fresh fold of the log gives.

SPOOR_KILLS is how often each of the three is killed (20).
"""
import functools
import itertools
import json
import os
import random
import shutil
import threading
import time

import agent_history
from harness import Skip, run, spoor
from projection_help import Client, Refused, Server

KILLS = int(os.environ.get("SPOOR_KILLS", "20"))
GRACE = ("--projection-grace", "0")
TABLES = {
    "runs": ("runs", "runs_agents", "run_steps"),
    "agent_status": ("agent_status", "agent_status_tasks", "agent_status_runs"),
    "active_tasks": ("active_tasks", "active_tasks_over"),
    "tool_usage": ("tool_usage", "tool_usage_calls"),
}


def everything(ask):
    """All rows of all tables, in an order of their own."""
    found = {}
    for tables in TABLES.values():
        for table in tables:
            found[table] = sorted(map(json.dumps, ask(f"SELECT * FROM {table}")))
    return found


def settled(data):
    with Server(data, *GRACE) as server:
        server.settle(*TABLES)
        return everything(functools.partial(server.ask, position=server.head()))


def compare(folder, data):
    """What is there, and what a copy of the log without read models is folded into."""
    built = settled(data)
    shutil.copytree(data, folder / "fresh", ignore=shutil.ignore_patterns("projections", "LOCK"))
    again = settled(folder / "fresh")
    for table, rows in again.items():
        assert rows, f"{table} is empty: nothing was compared"
        assert built[table] == rows, f"{table}: {len(built[table])} rows, a fresh fold has {len(rows)}"


def fill(folder, count, seed):
    data = folder / "data"
    path = folder / "events.ndjson"
    agent_history.write(path, agent_history.history(count, seed, runs=150))
    spoor("import", "--quiet", path, data=data)
    return data


def killed_while_it_projects(folder):
    data = fill(folder, 5000, 1)
    dice = random.Random(7)
    for number in range(KILLS):
        server = Server(data, *GRACE)
        events = agent_history.history(300, 100 + number, runs=150)
        for batch in iter(lambda: list(itertools.islice(events, 50)), []):
            server.append(batch)
        time.sleep(dice.choice((0, 0, 0.001, 0.005, 0.02)))
        server.kill()
    compare(folder, data)


def rebuild_all(server):
    for name in TABLES:
        try:
            server.call("POST", f"/v1/projections/{name}/rebuild")
        except Refused as refused:
            assert refused.status in (409, 503), refused


def killed_while_it_rebuilds(folder):
    data = fill(folder, 5000, 2)
    dice = random.Random(8)
    with Server(data, *GRACE) as server:
        server.settle(*TABLES)
    for _ in range(KILLS):
        server = Server(data, *GRACE)
        before = server.status("runs")["build"]
        rebuild_all(server)
        if dice.random() < 0.5:  # the new build has begun to fill
            server.wait("runs", lambda status, old=before: status["build"] != old or (
                status["rebuild"] is not None and status["rebuild"]["position"] > 0))
        else:
            time.sleep(dice.random() * 0.03)
        server.kill()
    compare(folder, data)


def killed_while_it_swaps(folder):
    """A small read model is rebuilt in no time: the kill comes at about the moment of the swap."""
    data = fill(folder, 300, 3)
    dice = random.Random(9)
    for number in range(KILLS):
        server = Server(data, *GRACE)
        server.append(agent_history.history(5, 500 + number, runs=150))
        before = server.settle(*TABLES)
        rebuild_all(server)
        if dice.random() < 0.5:  # as soon as one has been swapped, while the others may be
            server.wait(dice.choice(list(TABLES)),
                        lambda status, old=before: status["build"] != old[status["name"]])
        else:
            time.sleep(dice.random() * 0.02)
        server.kill()
    compare(folder, data)


# ---- a bug is mended under load -----------------------------------------------------------------------------

BALANCE = """-- spoor: projection balance version {version}
CREATE TABLE balance (account TEXT PRIMARY KEY, amount BIGINT NOT NULL);
CREATE TABLE balance_moves (position BIGINT PRIMARY KEY, account TEXT NOT NULL);
CREATE TABLE balance_version (version BIGINT PRIMARY KEY);
INSERT INTO balance_version VALUES ({version});
-- spoor: on money.moved
INSERT INTO balance (account, amount) VALUES (:source, {step})
ON CONFLICT (account) DO UPDATE SET amount = balance.amount + {step};
INSERT INTO balance_moves (position, account) VALUES (:position, :source);
"""
SEEN = ("SELECT (SELECT version FROM balance_version), (SELECT SUM(amount) FROM balance), "
        "(SELECT COUNT(*) FROM balance_moves)")


class Watch(threading.Thread):
    """Asks every millisecond and notes what it sees, with the times before and after."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client, self.port = None, port
        self.seen, self.wrong, self.stop = [], None, threading.Event()

    def run(self):
        client = Client(self.port)
        try:
            while not self.stop.is_set():
                asked = time.monotonic()
                rows = client.ask(SEEN)
                self.seen.append((asked, time.monotonic(), *rows[0]))
                time.sleep(0.001)
        except Exception as problem:  # pylint: disable=broad-except
            self.wrong = problem


def moves(count, start):
    return [{"id": f"m-{start + number}", "type": "money.moved", "source": f"account-{number % 7}"}
            for number in range(count)]


def mended_under_load(data, *options):
    with Server(data, *options) as server:
        server.append(moves(20000, 0))
        server.put("balance", BALANCE.format(version=1, step=2))  # the bug: each move counts twice
        server.settle("balance")
        assert server.values(SEEN) == [(1, 40000, 20000)]
        watches = [Watch(server.port) for _ in range(2)]
        for watch in watches:
            watch.start()
        appended = 20000
        server.put("balance", BALANCE.format(version=2, step=1))
        while server.ask(SEEN)[0][0] != 2:
            server.append(moves(20, appended))
            appended += 20
        server.append(moves(20, appended))
        appended += 20
        assert server.values(SEEN) == [(2, appended, appended)]
        for watch in watches:
            watch.stop.set()
            watch.join()
            assert watch.wrong is None, watch.wrong
        check_seen([seen for watch in watches for seen in watch.seen])


def check_seen(seen):
    """Every answer is whole, of the one version or the other, and the new one is for good."""
    assert {version for _, _, version, _, _ in seen} == {1, 2}, "nobody looked before, or after, the swap"
    for _, _, version, amount, count in seen:
        assert amount == count * (2 if version == 1 else 1), (version, amount, count)
        assert count >= 20000, "a read model that was not whole yet"
    first_new = min(answered for _, answered, version, _, _ in seen if version == 2)
    last_old = max(asked for asked, _, version, _, _ in seen if version == 1)
    assert last_old <= first_new, "the old one was seen after the new one"


def a_bug_is_mended_under_load(folder):
    mended_under_load(folder / "data")


def and_on_postgresql(folder):
    import postgres  # pylint: disable=import-outside-toplevel
    try:
        database = postgres.Postgres()
    except postgres.Missing as reason:
        raise Skip(reason) from reason
    with database:
        mended_under_load(folder / "data", "--read-models", database.url)


# ---- what is wrong harms nothing else -----------------------------------------------------------------------

RATIO = """-- spoor: projection ratio version {version}
CREATE TABLE ratio (position BIGINT PRIMARY KEY, value BIGINT NOT NULL);
-- spoor: on part.measured{where}
INSERT INTO ratio (position, value) VALUES (:position, 1000 / CAST(:data ->> 'n' AS BIGINT));
"""


def divides_by_zero(folder):
    """SQLite's 1000 / 0 is NULL, which the column refuses: the projection stops there, and it alone."""
    with Server(folder / "data") as server:
        server.put("ratio", RATIO.format(version=1, where=""))
        server.append({"id": f"p-{n}", "type": "part.measured", "source": "s",
                       "data": {"n": 0 if n == 5000 else n}} for n in range(1, 6001))
        wrong = server.call("GET", "/v1/events/p-5000")["position"]
        status = server.wait("ratio", lambda status: status["state"] == "failed")
        assert status["error"]["position"] == wrong and status["error"]["id"] == "p-5000", status
        assert "ratio.value" in status["error"]["text"], status
        assert server.ask("SELECT COUNT(*) FROM ratio") == [(4999,)], "what came before stays to be read"
        server.append([{"id": "t", "type": "tool.called", "source": "s", "data": {"tool": "x"}}])
        server.settle("tool_usage")
        assert server.values("SELECT tool, calls FROM tool_usage") == [("x", 1)], "others go on"
        server.call("POST", "/v1/projections/ratio/resume")
        status = server.wait("ratio", lambda status: status["state"] == "failed")
        assert status["error"]["position"] == wrong, "it is tried again, and fails again"
        try:
            server.ask("SELECT COUNT(*) FROM ratio", server.head())
            raise AssertionError("what it was to have seen it never sees")
        except Refused as refused:
            assert "ratio" in json.dumps(refused.problem), refused
        server.put("ratio", RATIO.format(version=2, where=' where {"data.n": {"$ne": 0}}'))
        server.wait("ratio", lambda status: status["state"] == "running" and status["version"] == 2)
        assert server.values("SELECT COUNT(*) FROM ratio") == [(5999,)]


def is_no_sql(folder):
    """A file that is wrong is refused with the place, and what is there stays."""
    right = RATIO.format(version=1, where="")
    with Server(folder / "data") as server:
        server.append([{"id": "p", "type": "part.measured", "source": "s", "data": {"n": 4}}])
        server.put("ratio", right)
        for text, line, said in (
                (right.replace("INSERT INTO", "INSRT INTO"), 4, "INSRT"),
                (right.replace("ratio (position, value)", "ratio (position, worth)"), 4, "worth"),
                (right.replace("on part.measured", "on part.*.>.x"), 3, ""),
                (right.replace("on part.measured", "onn part.measured"), 3, "onn"),
                (right.replace(":position,", ":positions,").replace("1000", ":event_id"), 4, "event_id")):
            text = text.replace("version 1", "version 2")
            try:
                server.put("ratio", text)
            except Refused as refused:
                told = refused.problem["detail"]
                assert refused.status == 400, refused
                assert f"line {line}" in told and said in told, told
            else:
                status = server.wait("ratio", lambda status: (status["rebuild"] or {}).get("error"))
                told = json.dumps(status["rebuild"]["error"])
                assert f"line {line}" in told and said in told, told
        assert server.values("SELECT value FROM ratio") == [(250,)]
        assert server.status("ratio")["version"] == 1


FOR_EVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"


def runs_for_ever(folder):
    with Server(folder / "data") as server:
        server.append(agent_history.history(200, 5))
        refusals = []

        def ask():
            try:
                Client(server.port).ask(FOR_EVER, timeout_ms=1500)
            except Refused as refused:
                refusals.append(refused)
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(20):  # meanwhile events come in, and are projected
            server.append([{"id": f"x-{number}", "type": "tool.called", "source": "s", "data": {"tool": "q"}}])
        for thread in threads:
            thread.join()
        assert len(refusals) == 2
        for refused in refusals:
            assert "1500 ms" in json.dumps(refused.problem) or "1.5 s" in json.dumps(refused.problem), refused
        assert server.values("SELECT calls FROM tool_usage WHERE tool = 'q'") == [(20,)]


run(killed_while_it_projects, killed_while_it_rebuilds, killed_while_it_swaps, a_bug_is_mended_under_load,
    and_on_postgresql, divides_by_zero, is_no_sql, runs_for_ever)
