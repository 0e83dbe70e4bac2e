#!/usr/bin/env python3
"""Projections as they run: lazily, each on its own, stopped by one event and resumed, built anew beside
what is there, and going on after a kill with what was under way."""
import json
import pathlib
import sqlite3
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
# pylint: disable=wrong-import-position
from harness import SPOOR, lines, on_terminal, run, spoor
from http_help import Server, Web

WAIT_S = 90

COUNTS = """-- spoor: projection counts version {version}
CREATE TABLE counts (source TEXT PRIMARY KEY, n BIGINT NOT NULL);
-- spoor: on work.done
INSERT INTO counts VALUES (:source, {step}) ON CONFLICT (source) DO UPDATE SET n = counts.n + {step};
"""
DIVIDES = """-- spoor: projection divides version 1
CREATE TABLE divides (position BIGINT PRIMARY KEY, share BIGINT NOT NULL);
-- spoor: on work.done
INSERT INTO divides VALUES (:position, 100 / CAST(:data ->> 'n' AS BIGINT));
"""


def counts(version=1, step=1):
    return COUNTS.format(version=version, step=step).encode()


def wait_for(condition, what="it"):
    """Until it holds, and gives what it says; machines are slow."""
    end = time.monotonic() + WAIT_S
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.02)


def status(web, name):
    return web.ok("GET", f"/v1/projections/{name}/status")


def settled(web, name):
    """Waits until the build that was asked for last is what queries see, and is at the head."""
    def look():
        now = status(web, name)
        return now if now["settled"] and now["state"] == "running" and not now["lag_events"] else None
    return wait_for(look, f"{name} settles")


def done(web, count, source="a", n=1):
    events = [{"type": "work.done", "source": source, "data": {"n": n}} for _ in range(count)]
    web.ok("POST", "/v1/events", events, status=201)


def table(folder, name, sql):
    """As anybody may open a read model."""
    file = folder / "data" / "projections" / f"{name}.db"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30) as base:
        rows = base.execute(sql).fetchall()
    base.close()
    return rows


def told(web, name):
    """What the store says of a projection: the words behind `projection.`, in order."""
    reply = web.call("GET", "/v1/events", query={"stream": "$projections"})
    return [event["type"].removeprefix("projection.") for event in reply.json
            if event["data"]["name"] == name]


def files(folder, pattern):
    return sorted(file.name for file in (folder / "data" / "projections").glob(pattern))


def nothing_runs_that_has_nothing_to_do(folder):
    with Server(folder) as server, Web(server) as web:
        connection = server.connect()
        for number in range(100):
            connection.call("XADD", "orders", "*", "number", number)
        time.sleep(0.3)
        assert files(folder, "*.db") == []
        names = {row["name"]: row for row in web.ok("GET", "/v1/projections")["projections"]}
        assert {"runs", "agent_stats", "tool_usage"} <= set(names), names
        assert {row["state"] for row in names.values()} == {"waiting"}, names
        threads = pathlib.Path(f"/proc/{server.process.pid}/task")
        kinds = {(task / "comm").read_text().strip() for task in threads.iterdir()}
        assert "projection" not in kinds, kinds
        web.ok("POST", "/v1/events", [{"type": "agent.started", "source": "a"}], status=201)
        settled(web, "agent_stats")
        assert table(folder, "agent_stats", "SELECT agent_id FROM agent_stats") == [("a",)]
        assert status(web, "tool_usage")["state"] == "waiting"
        assert told(web, "agent_stats") == [], "the first build of what ships says nothing"


def added_read_replaced_removed(folder):
    with Server(folder) as server, Web(server) as web:
        done(web, 3)
        reply = web.call("PUT", "/v1/projections/counts", counts())
        assert reply.status == 201 and reply.json["version"] == 1, reply.body
        now = settled(web, "counts")
        assert now["build"] == 1 and now["tables"] == ["counts"] and not now["shipped"], now
        assert table(folder, "counts", "SELECT * FROM counts") == [("a", 3)]
        done(web, 2, "b")
        settled(web, "counts")
        assert table(folder, "counts", "SELECT n FROM counts WHERE source = 'b'") == [(2,)]
        assert web.call("PUT", "/v1/projections/counts", counts()).status == 200
        assert told(web, "counts") == ["added"], "the same again is nothing new"
        assert web.ok("GET", "/v1/projections/counts")["text"] == counts().decode()
        web.ok("PUT", "/v1/projections/counts", counts(2, 10))
        assert settled(web, "counts")["build"] == 2
        assert table(folder, "counts", "SELECT sum(n) FROM counts") == [(50,)]
        wait_for(lambda: told(web, "counts") == ["added", "added", "swapped"], "the swap being told")
        assert web.call("DELETE", "/v1/projections/counts").status == 204
        web.refused("GET", "/v1/projections/counts/status", 404, "no projection 'counts'")
        wait_for(lambda: files(folder, "counts*") == [], "dropping the tables")
        web.ok("PUT", "/v1/projections/counts", counts(), status=201)
        settled(web, "counts")
        assert table(folder, "counts", "SELECT sum(n) FROM counts") == [(5,)]


def what_ships_can_be_removed_and_comes_back(folder):
    with Server(folder) as server, Web(server) as web:
        web.ok("POST", "/v1/events", [{"type": "tool.called", "source": "a", "data": {"tool": "x"}}], status=201)
        settled(web, "tool_usage")
        assert web.call("DELETE", "/v1/projections/tool_usage").status == 204
        assert server.stop() == 0
    with Server(folder) as server, Web(server) as web:
        web.ok("POST", "/v1/events", [{"type": "tool.called", "source": "a", "data": {"tool": "x"}}], status=201)
        web.refused("GET", "/v1/projections/tool_usage", 404, "no projection 'tool_usage'")
        assert "tool_usage" not in [row["name"] for row in web.ok("GET", "/v1/projections")["projections"]]
        wait_for(lambda: files(folder, "tool_usage*") == [], "dropping the tables")
        assert web.ok("PUT", "/v1/projections/tool_usage", status=201)["shipped"]
        settled(web, "tool_usage")
        assert table(folder, "tool_usage", "SELECT calls FROM tool_usage") == [(2,)]


def what_is_wrong_is_told_with_its_place(folder):
    with Server(folder) as server, Web(server) as web:
        bad = counts().replace(b"counts.n", b"counts.m")
        web.refused("PUT", "/v1/projections/counts", 400, "line 4, column", bad)
        web.refused("PUT", "/v1/projections/other", 400, "the projection 'counts', not 'other'", counts())
        web.refused("PUT", "/v1/projections/counts", 400, "line 1, column", b"SELECT 1;")
        web.refused("PUT", "/v1/projections/nix", 404, "ships no projection 'nix'")
        web.refused("POST", "/v1/projections/nix/rebuild", 404, "no projection 'nix'")
        web.ok("PUT", "/v1/projections/counts", counts(), status=201)
        web.refused("POST", "/v1/projections/counts/resume", 409, "has not failed")
        assert told(web, "counts") == ["added"]
        connection = server.connect()
        reply = str(connection.call("SPOOR.PROJECTION", "ADD", bad))
        assert "line 4, column" in reply, reply
        assert json.loads(connection.call("SPOOR.PROJECTION", "STATUS", "counts"))["name"] == "counts"


def one_event_stops_one_projection(folder):
    with Server(folder) as server, Web(server) as web:
        web.ok("PUT", "/v1/projections/divides", DIVIDES.encode(), status=201)
        web.ok("PUT", "/v1/projections/counts", counts(), status=201)
        done(web, 5)
        done(web, 1, n=0)
        done(web, 5)
        failed = wait_for(lambda: (now := status(web, "divides"))["state"] == "failed" and now, "failing")
        settled(web, "counts")
        assert table(folder, "counts", "SELECT n FROM counts") == [(11,)]
        error = failed["error"]
        event = web.ok("GET", f"/v1/events/{error['id']}")
        event = event[0] if isinstance(event, list) else event
        assert event["data"] == {"n": 0} and event["position"] == error["position"], (event, error)
        assert "line 4" in error["text"], error
        assert failed["position"] == error["position"] - 1 and failed["lag_events"] > 0, failed
        assert len(table(folder, "divides", "SELECT * FROM divides")) == 5, "nothing of the event stays"
        wait_for(lambda: told(web, "divides") == ["added", "failed"], "telling")
        metrics = web.call("GET", "/metrics").body.decode().splitlines()
        assert 'spoor_projection_failed{projection="divides"} 1' in metrics
        assert 'spoor_projection_failed{projection="counts"} 0' in metrics
        web.ok("POST", "/v1/projections/divides/resume", status=202)
        wait_for(lambda: told(web, "divides") == ["added", "failed", "resumed", "failed"], "failing again")
    # It is the same after a restart, and nothing is told twice; then it is mended.
    with Server(folder) as server, Web(server) as web:
        assert status(web, "divides")["error"] == error
        wait_for(lambda: told(web, "divides") == ["added", "failed", "resumed", "failed"], "the failures being told")
        fixed = DIVIDES.replace("version 1", "version 2").replace(
            "on work.done", 'on work.done where {"data.n": {"$ne": 0}}')
        web.ok("PUT", "/v1/projections/divides", fixed.encode())
        settled(web, "divides")
        assert len(table(folder, "divides", "SELECT * FROM divides")) == 10
        wait_for(lambda: told(web, "divides")[-2:] == ["added", "swapped"], "the swap being told")


def a_build_that_fails_leaves_the_old_one(folder):
    with Server(folder) as server, Web(server) as web:
        done(web, 4)
        web.ok("PUT", "/v1/projections/counts", counts(), status=201)
        settled(web, "counts")
        wrong = counts(2).replace(b"{step}", b"1").replace(b"(:source, 1)", b"(:source, NULL)")
        web.ok("PUT", "/v1/projections/counts", wrong)
        now = wait_for(lambda: (now := status(web, "counts"))["rebuild"] and now["rebuild"]["error"] and now,
                       "the failure of the rebuild")
        assert now["state"] == "running" and now["build"] == 1 and not now["settled"], now
        assert now["rebuild"]["number"] == 2 and now["rebuild"]["error"]["position"] == 1, now
        done(web, 1)
        wait_for(lambda: table(folder, "counts", "SELECT n FROM counts") == [(5,)], "following on")
        web.ok("PUT", "/v1/projections/counts", counts(3, 2))
        settled(web, "counts")
        assert table(folder, "counts", "SELECT n FROM counts") == [(10,)]


def readers_never_see_half_a_swap(folder):
    """Every look sees the old tables whole, or the new ones, and nobody goes back in time."""
    with Server(folder, "--projection-grace", "1s") as server, Web(server) as web:
        done(web, 500)
        web.ok("PUT", "/v1/projections/counts", counts(), status=201)
        settled(web, "counts")
        seen, over, problems = [], threading.Event(), []

        def look():
            while not over.is_set():
                try:
                    file = folder / "data" / "projections" / "counts.db"
                    base = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)
                    seen.append(base.execute("SELECT (SELECT n FROM counts WHERE source = 'a'), "
                                             "position FROM spoor_build").fetchone())
                    base.close()
                except sqlite3.Error as problem:
                    problems.append(problem)
                time.sleep(0.001)

        looking = threading.Thread(target=look)
        looking.start()
        try:
            for step in (2, 3):
                web.ok("PUT", "/v1/projections/counts", counts(step, step))
                done(web, 20)
                settled(web, "counts")
            web.ok("POST", "/v1/projections/counts/rebuild", status=202)
            settled(web, "counts")
            time.sleep(0.1)
        finally:
            over.set()
            looking.join()
        assert not problems, problems[:3]
        assert seen[-1][0] == 540 * 3, seen[-1]
        positions = [position for _, position in seen]
        assert positions == sorted(positions), "a swap went back in time"
        wait_for(lambda: len([name for name in files(folder, "counts.*.db")]) == 1, "the end of the grace")


def fresh_fold(web):
    """What the counts must be, from the events."""
    events = web.ok("GET", "/v1/events", query={"type": "work.done", "limit": 10000})
    sums = {}
    for event in events:
        sums[event["source"]] = sums.get(event["source"], 0) + 1
    return sorted(sums.items())


def kills_at_any_moment(folder):
    """Killed while it projects, builds anew and swaps: it goes on, and the tables are right."""
    for turn in range(12):
        step = turn + 1
        with Server(folder) as server, Web(server) as web:
            done(web, 300, f"s{turn % 4}")
            if turn == 0:
                web.ok("PUT", "/v1/projections/counts", counts(), status=201)
            elif turn % 3 == 2:
                web.ok("POST", "/v1/projections/counts/rebuild", status=202)
            else:
                web.ok("PUT", "/v1/projections/counts", counts(step, step))
            time.sleep((turn * 7 % 11) * 0.006)
            server.kill()
    with Server(folder) as server, Web(server) as web:
        now = settled(web, "counts")
        version = now["version"]
        wanted = [(source, n * version) for source, n in fresh_fold(web)]
        assert table(folder, "counts", "SELECT * FROM counts ORDER BY source") == wanted, (now, wanted)
        wait_for(lambda: told(web, "counts")[-1] == "swapped", "telling of the swap")
        assert server.stop() == 0
        server.start()
    left = [name for name in files(folder, "counts.*.db")]
    assert f"counts.{now['build']}.db" in left, left


def the_command_line_over_a_server(folder):
    file = folder / "counts.sql"
    file.write_bytes(counts())
    with Server(folder) as server, Web(server) as web:
        url = f"http://127.0.0.1:{server.http_port}"
        done(web, 7)
        added = lines(spoor("projection", "add", file, "--url", url).stdout)
        assert added[0]["state"] == "running" and added[0]["applied"] == 7, added
        shown = lines(spoor("projection", "ls", "--url", url).stdout)
        assert "counts" in [row["name"] for row in shown], shown
        assert spoor("projection", "show", "counts", "--url", url).stdout == counts().decode()
        rebuilt = lines(spoor("projection", "rebuild", "counts", "--url", url).stdout)
        assert rebuilt[0]["build"] == 2, rebuilt
        file.write_bytes(counts().replace(b"counts.n", b"counts.m"))
        refused = spoor("projection", "add", file, "--url", url, code=1).stderr
        assert f"{file}: line 4, column" in refused, refused
        spoor("projection", "status", "nix", "--url", url, code=3)
        spoor("projection", "resume", "counts", "--url", url, code=4)
        spoor("projection", "add", "event_search", "--url", url)
        assert settled(web, "event_search")["applied"] > 0
        code, shown = on_terminal("projection", "ls", "--url", url)
        assert code == 0 and "PROJECTION" in shown and "running" in shown, shown
        spoor("projection", "rm", "counts", "--url", url)
        spoor("projection", "status", "counts", "--url", url, code=3)


def the_command_line_over_a_folder(folder):
    data = folder / "data"
    for number in range(5):
        spoor("publish", "work.done", json.dumps({"n": number}), "--source", "a", data=data)
    file = folder / "divides.sql"
    file.write_text(DIVIDES, encoding="utf-8")
    failed = spoor("projection", "add", file, data=data, code=1).stderr
    assert "stops at event 1" in failed and "line 4" in failed, failed
    file.write_bytes(counts())
    added = lines(spoor("projection", "add", file, data=data).stdout)
    assert added[0]["applied"] == 5 and added[0]["lag_events"] == 0, added
    assert table(folder, "counts", "SELECT * FROM counts") == [("a", 5)]
    states = {row["name"]: row["state"] for row in lines(spoor("projection", "ls", data=data).stdout)}
    assert states["counts"] == "running" and states["divides"] == "failed", states
    # A server goes on with what the command line has begun, and has the folder to itself meanwhile.
    with Server(folder) as server, Web(server) as web:
        done(web, 3)
        settled(web, "counts")
        assert table(folder, "counts", "SELECT * FROM counts") == [("a", 8)]
        seen = lines(spoor("projection", "status", "counts", data=data).stdout)
        assert seen[0]["applied"] == 8, seen
        denied = spoor("projection", "rebuild", "counts", data=data, code=1).stderr
        assert str(server.process.pid) in denied, denied
        assert status(web, "divides")["state"] == "failed"


def projections_can_be_off(folder):
    config = folder / "off.conf"
    config.write_text("projections no\n", encoding="utf-8")
    with Server(folder, "--config", str(config)) as server, Web(server) as web:
        web.refused("GET", "/v1/projections", 503, "the setting projections is off")
        assert "the setting projections is off" in str(server.connect().call("SPOOR.PROJECTION", "LIST"))
        assert not (folder / "data" / "projections").exists()
    config.write_text("read-models mysql://x\n", encoding="utf-8")
    refused = spoor("serve", "--config", config, "--resp-port", 0, data=folder / "data", code=None)
    assert refused.returncode != 0 and "expected sqlite or postgres://" in refused.stderr, refused.stderr


if __name__ == "__main__":
    assert SPOOR
    run(nothing_runs_that_has_nothing_to_do, added_read_replaced_removed,
        what_ships_can_be_removed_and_comes_back,
        what_is_wrong_is_told_with_its_place, one_event_stops_one_projection,
        a_build_that_fails_leaves_the_old_one, readers_never_see_half_a_swap, kills_at_any_moment,
        the_command_line_over_a_server, the_command_line_over_a_folder, projections_can_be_off)
