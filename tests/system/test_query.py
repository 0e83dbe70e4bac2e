#!/usr/bin/env python3
"""Queries over read models: answers, limits, and that nothing else is harmed by them."""
import json
import os
import pathlib
import socket
import sqlite3
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
# pylint: disable=wrong-import-position
from harness import lines, run, spoor
from http_help import Server as RealServer
from http_help import Web

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "protocol"))
from resp import Connection, Error, Nil

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
NAMES = ("anna", "bert", "carla")


class Server(RealServer):
    """A server that leaves the read models alone that were made by hand."""

    def __init__(self, folder, *options):
        config = folder / "spoor.conf"
        config.write_text("projections no\n", encoding="utf-8")
        super().__init__(folder, "--config", str(config), *options)


class Models:
    """Read models as they lie in the data folder, made by hand: this is about asking."""

    def __init__(self, folder):
        self.folder = folder / "data" / "projections"
        self.folder.mkdir(parents=True)

    def build(self, name, number, position, sql):
        file = f"{name}.{number}.db"
        with sqlite3.connect(self.folder / file) as base:
            base.executescript("PRAGMA journal_mode = WAL; CREATE TABLE spoor_build (position);" + sql)
            base.execute("INSERT INTO spoor_build VALUES (?)", [position])
        base.close()
        self.swap(name, number)

    def swap(self, name, number):
        os.symlink(f"{name}.{number}.db", self.folder / "next")
        os.rename(self.folder / "next", self.folder / f"{name}.db")

    def advance(self, file, position):
        with sqlite3.connect(self.folder / file) as base:
            base.execute("UPDATE spoor_build SET position = ?", [position])
        base.close()


def agents(folder):
    models = Models(folder)
    models.build("agent_stats", 1, 0,
                 "CREATE TABLE agent_stats (agent_id TEXT PRIMARY KEY, runs BIGINT, rate REAL);"
                 "INSERT INTO agent_stats VALUES ('anna', 3, 0.5), ('bert', 1, NULL),"
                 " ('carla', 7, 2.25)")
    return models


class Refused(Exception):
    """The reply is an error."""


def plain(reply):
    if isinstance(reply, Nil):
        return None
    if isinstance(reply, bytes):
        return reply.decode()
    return [plain(one) for one in reply] if isinstance(reply, list) else reply


class Redis(Connection):
    """Replies as Python has them."""

    def __init__(self, server):
        super().__init__(server.port, timeout=60)

    def command(self, *words):
        reply = self.call(*words)
        if isinstance(reply, Error):
            raise Refused(reply)
        return plain(reply)

    def refused(self, told, *words):
        try:
            reply = self.command(*words)
        except Refused as error:
            assert str(error).startswith(told), error
        else:
            raise AssertionError((words, reply))


def wait_until(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "in vain"
        time.sleep(0.01)


def answers_have_three_forms(folder):
    agents(folder)
    with Server(folder) as server, Web(server) as web:
        asked = {"sql": "SELECT agent_id, runs, rate FROM agent_stats ORDER BY agent_id"}
        reply = web.call("POST", "/v1/query", asked)
        assert reply.status == 200 and reply.headers["Spoor-Position"] == "0", reply.status
        assert reply.json == {"columns": ["agent_id", "runs", "rate"],
                              "rows": [["anna", 3, 0.5], ["bert", 1, None], ["carla", 7, 2.25]],
                              "position": 0}, reply.json
        reply = web.call("POST", "/v1/query", asked, headers={"Accept": "application/x-ndjson"})
        rows = [json.loads(line) for line in reply.body.splitlines()]
        assert [row["agent_id"] for row in rows] == list(NAMES) and rows[1]["rate"] is None, rows
        reply = web.call("POST", "/v1/query", asked, headers={"Accept": "text/csv"})
        assert reply.body == b"agent_id,runs,rate\r\nanna,3,0.5\r\nbert,1,\r\ncarla,7,2.25\r\n"
        reply = web.call("POST", "/v1/query", b"SELECT 1 AS one;",
                         headers={"Content-Type": "application/sql"})
        assert reply.json == {"columns": ["one"], "rows": [[1]], "position": None}, reply.json


def parameters_go_by_name_or_by_order(folder):
    agents(folder)
    with Server(folder) as server, Web(server) as web:
        def first(sql, params):
            return web.ok("POST", "/v1/query", {"sql": sql, "params": params})["rows"]
        assert first("SELECT runs FROM agent_stats WHERE agent_id = :id", {"id": "anna"}) == [[3]]
        assert first("SELECT ?, ?, ?, ?", [1, 2.5, "x\n\"", None]) == [[1, 2.5, "x\n\"", None]]
        assert first("SELECT ?, typeof(?)", [True, False]) == [[1, "integer"]]
        assert first("SELECT typeof(?)", [{"$base64": "AAE="}]) == [["blob"]]
        assert first("SELECT ? ->> 'a'", [{"a": "b"}]) == [["b"]]
        web.refused("POST", "/v1/query", 400, ":id has no value", {"sql": "SELECT :id"})
        web.refused("POST", "/v1/query", 400, "no parameter :x",
                    {"sql": "SELECT :id", "params": {"id": 1, "x": 2}})
        web.refused("POST", "/v1/query", 400, "2 parameters, and 1 were given",
                    {"sql": "SELECT ?, ?", "params": [1]})
        web.refused("POST", "/v1/query", 400, "params: expected an array or an object",
                    {"sql": "SELECT 1", "params": 7})


def what_is_wrong_is_said(folder):
    agents(folder)
    with Server(folder) as server, Web(server) as web:
        def refused(status, told, kind, **body):
            if "sql" in body:
                body.setdefault("timeout_ms", 50000)  # whatever the machine
            problem = web.refused("POST", "/v1/query", status, told, body)
            assert problem["type"] == "urn:spoor:problem:" + kind, problem
        refused(400, "line 2, column 2: near \"FORM\"", "invalid-query", sql="SELECT *\n FORM x")
        refused(400, "no such column: age", "invalid-query", sql="SELECT age FROM agent_stats")
        refused(404, "there are agent_stats", "no-such-table", sql="SELECT * FROM agent_stat")
        refused(403, "DELETE from agent_stats", "read-only", sql="DELETE FROM agent_stats")
        refused(403, "ATTACH", "read-only", sql="ATTACH '/etc/passwd' AS p")
        refused(400, "one statement at a time", "invalid-query", sql="SELECT 1; DROP TABLE x")
        refused(400, "sql is needed", "invalid-query")
        refused(400, "unknown member 'slq'", "invalid-query", slq="SELECT 1")
        refused(400, "not there yet: the log ends at", "invalid-query", sql="SELECT 1", position=9)
        refused(400, "300000 ms at most", "invalid-query", sql="SELECT 1", timeout_ms=10 ** 9)
        refused(422, "more than 2 rows", "query-limit", sql="SELECT * FROM agent_stats", max_rows=2)
        refused(422, "more than 8 MiB", "query-limit", sql="SELECT hex(zeroblob(8000000))")
        refused(422, "MiB of memory", "query-limit",
                sql="WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 2000)"
                    " SELECT count(*) FROM (SELECT hex(zeroblob(500000)) || x AS y FROM c ORDER BY y)")
        refused(422, "bytes", "query-limit", max_rows=1000000,
                sql="WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
                    " SELECT hex(zeroblob(1000)) FROM c")
        refused(504, "longer than 200 ms", "query-timeout", sql=ENDLESS, timeout_ms=200)
        assert web.ok("POST", "/v1/query", {"sql": "SELECT count(*) FROM agent_stats"})["rows"] == [[3]]


def endless_queries_hold_up_nobody_and_end_with_their_clients(folder):
    agents(folder)
    with Server(folder, "--query-queue", "3") as server, Web(server) as web:
        body = json.dumps({"sql": ENDLESS, "timeout_ms": 300000}).encode()
        ask = (b"POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)) + body
        clients = []
        for _ in range(5):  # two run, three wait
            client = socket.create_connection(("127.0.0.1", server.http_port))
            client.sendall(ask)
            clients.append(client)

        def is_full():
            reply = web.call("POST", "/v1/query", {"sql": "SELECT 1", "timeout_ms": 1})
            assert reply.status in (503, 504), reply.status
            return reply.status == 503
        wait_until(is_full)
        problem = web.refused("POST", "/v1/query", 503, "queries wait already", {"sql": "SELECT 1"})
        assert problem["type"] == "urn:spoor:problem:query-queue-full"
        with Redis(server) as redis:  # the loop goes on
            for number in range(100):
                assert redis.command("XADD", "s", "*", "n", str(number))
            redis.refused("BUSY ", "HGETALL", "agent_stats:anna")
        for client in clients:
            client.close()
        assert web.call("GET", "/healthz").status == 200

        def is_free():
            return web.call("POST", "/v1/query", {"sql": "SELECT 1"}).status == 200
        wait_until(is_free)


def a_thousand_at_once(folder):
    agents(folder)
    with Server(folder) as server:
        body = json.dumps({"sql": "SELECT runs FROM agent_stats WHERE agent_id = ?",
                           "params": ["carla"]}).encode()
        ask = (b"POST /v1/query HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
               % len(body)) + body
        clients = [socket.create_connection(("127.0.0.1", server.http_port)) for _ in range(1000)]
        for client in clients:
            client.sendall(ask)
        for client in clients:
            client.settimeout(60)
            reply = b""
            while piece := client.recv(65536):
                reply += piece
            client.close()
            assert reply.startswith(b"HTTP/1.1 200 ") and b'"rows":[[7]]' in reply, reply
        with Redis(server) as redis, Web(server) as web:
            assert redis.command("PING") == "PONG"
            metrics = web.call("GET", "/metrics").body.decode()
            assert "\nspoor_queries_total 1000\n" in metrics and "\nspoor_queries_waiting 0\n" in metrics


def large_answers_leave_as_they_are_read(folder):
    agents(folder)
    sql = ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 200000)"
           " SELECT x, 'row ' || x AS name FROM c")
    with Server(folder) as server, Web(server) as web:
        for accept in ("application/json", "application/x-ndjson"):
            reply = web.call("POST", "/v1/query", {"sql": sql, "max_rows": 200000},
                             headers={"Accept": accept})
            assert reply.status == 200
            if accept == "application/json":
                rows = reply.json["rows"]
                assert len(rows) == 200000 and rows[-1] == [200000, "row 200000"], len(rows)
            else:
                told = reply.body.splitlines()
                assert json.loads(told[199999]) == {"x": 200000, "name": "row 200000"}
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.http_port))
        body = json.dumps({"sql": sql, "max_rows": 200000}).encode()
        client.sendall(b"POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
                       + body)
        client.settimeout(60)
        got = client.recv(1000)
        assert web.ok("POST", "/v1/query", {"sql": "SELECT 1"})["rows"] == [[1]]
        while not got.endswith(b"0\r\n\r\n"):
            piece = client.recv(1 << 20)
            assert piece, got[-100:]
            got += piece
        assert b'[200000,"row 200000"]]' in got
        client.close()
        with Redis(server) as redis:
            answer = redis.command("SPOOR.QUERY", sql, "MAXROWS", "200000")
            assert answer[0] == "columns" and answer[1] == ["x", "name"]
            assert len(answer[3]) == 200000 and answer[3][-1] == [200000, "row 200000"]
            assert redis.command("PING") == "PONG"


def a_query_sees_a_position(folder):
    models = agents(folder)
    models.build("tool_usage", 1, 2, "CREATE TABLE tool_usage (tool TEXT PRIMARY KEY)")
    with Server(folder) as server, Web(server) as web:
        for _ in range(3):
            web.ok("POST", "/v1/events", {"type": "a", "source": "s"}, status=201)
        sql = "SELECT count(*) FROM agent_stats, tool_usage"
        problem = web.refused("POST", "/v1/query", 504, "agent_stats is at position 0",
                              {"sql": sql, "position": 2, "timeout_ms": 300})
        assert problem["type"] == "urn:spoor:problem:position-not-seen", problem
        assert problem["projection"] == "agent_stats" and problem["position"] == 0, problem
        waiter = threading.Timer(0.2, models.advance, ["agent_stats.1.db", 2])
        waiter.start()
        answer = web.call("POST", "/v1/query", {"sql": sql, "timeout_ms": 60000},
                          headers={"Spoor-Position": "2"})
        waiter.join()
        assert answer.json["position"] == 2 and answer.headers["Spoor-Position"] == "2"
        with Redis(server) as redis:
            answer = redis.command("SPOOR.QUERY", sql, "SEEN", "2")
            assert answer[4:] == ["position", 2], answer
            answer = json.loads(redis.command("SPOOR.QUERY", sql, "ASJSON", "SEEN", "2"))
            assert answer == {"columns": ["count(*)"], "rows": [[0]], "position": 2}, answer
            redis.refused("TIMEOUT after 100 ms: the read model", "SPOOR.QUERY", sql, "SEEN", "3",
                          "TIMEOUT", "100")


def every_query_sees_one_build(folder):
    models = agents(folder)
    for number in range(2, 12):
        models.build("swapped", number, number,
                     f"CREATE TABLE swapped (n); INSERT INTO swapped VALUES ({number}), ({number});")
    seen = set()
    wrong = []
    over = threading.Event()

    def ask(server):
        with Web(server) as web:
            while not over.is_set():
                reply = web.call("POST", "/v1/query", {"sql": "SELECT n FROM swapped"})
                rows = reply.json.get("rows", [])
                if len(rows) == 2 and rows[0] == rows[1]:
                    seen.add(rows[0][0])
                else:
                    wrong.append(reply.body)
    with Server(folder) as server:
        askers = [threading.Thread(target=ask, args=[server]) for _ in range(3)]
        for asker in askers:
            asker.start()
        for _ in range(20):
            for number in range(2, 12):
                models.swap("swapped", number)
                time.sleep(0.002)
        over.set()
        for asker in askers:
            asker.join()
        assert len(seen) > 3 and not wrong, (seen, wrong[:3])
        with Web(server) as web:
            assert web.ok("POST", "/v1/query", {"sql": "SELECT n FROM swapped"})["rows"] == [[11]] * 2


def rows_are_hashes(folder):
    models = agents(folder)
    models.build("pairs", 1, 1,
                 "CREATE TABLE pairs (a TEXT, b TEXT, n BIGINT, PRIMARY KEY (a, b));"
                 "INSERT INTO pairs VALUES ('x', 'y:z', 1);"
                 "CREATE VIEW sums AS SELECT a, sum(n) AS n FROM pairs GROUP BY a;"
                 "CREATE TABLE keyless (a TEXT)")
    with Server(folder) as server, Redis(server) as redis:
        assert redis.command("HGETALL", "agent_stats:anna") == \
            ["agent_id", "anna", "runs", "3", "rate", "0.5"]
        assert redis.command("HGETALL", "agent_stats:bert") == ["agent_id", "bert", "runs", "1"]
        assert redis.command("HGETALL", "agent_stats:dora") == []
        assert redis.command("HGETALL", "nothing:dora") == []
        assert redis.command("HGETALL", "nothing") == []
        assert redis.command("HGET", "agent_stats:carla", "rate") == "2.25"
        assert redis.command("HGET", "agent_stats:bert", "rate") is None
        assert redis.command("HGET", "agent_stats:bert", "age") is None
        assert redis.command("HGET", "agent_stats:dora", "runs") is None
        assert redis.command("HGETALL", "pairs:x:y:z") == ["a", "x", "b", "y:z", "n", "1"]
        assert redis.command("HGETALL", "sums:x") == ["a", "x", "n", "1"]
        redis.command("XADD", "stream", "*", "a", "b")
        redis.refused("WRONGTYPE Operation against a key", "HGETALL", "stream")
        redis.refused("WRONGTYPE Operation against a key", "HGET", "stream", "a")
        redis.refused("ERR the primary key of pairs has 2 columns", "HGETALL", "pairs:x")
        redis.refused("ERR keyless has no primary key", "HGETALL", "keyless:x")
        redis.refused("ERR wrong number of arguments", "HGETALL")
        redis.refused("ERR syntax error", "SPOOR.QUERY", "SELECT 1", "SEEN")


def real_read_models_are_asked(folder):
    with RealServer(folder) as server, Web(server) as web, Redis(server) as redis:
        def ask(sql, **more):
            return web.ok("POST", "/v1/query", {"sql": sql, "timeout_ms": 60000, **more})
        # Nothing has happened yet: its tables are there all the same.
        assert ask("SELECT count(*) FROM agent_stats")["rows"] == [[0]]
        position = 0
        for number in range(30):
            agent = f"agent-{number % 3}"
            run_of = {"source": agent, "correlationid": f"run-{number}"}
            web.ok("POST", "/v1/events", {"type": "agent.started", **run_of}, status=201)
            position = web.ok("POST", "/v1/events", {"type": "agent.tokens_generated",
                              "data": {"count": 7}, **run_of}, status=201)["position"]
            answer = ask("SELECT total_runs, total_tokens FROM agent_stats WHERE agent_id = :id",
                         params={"id": agent}, position=position)
            assert answer["rows"] == [[number // 3 + 1, 7 * (number // 3 + 1)]], answer
            assert answer["position"] >= position, answer
        row = redis.command("HGETALL", "agent_stats:agent-1")
        assert row[row.index("total_runs") + 1] == "10", row
        assert redis.command("HGET", "agent_stats:agent-2", "total_tokens") == "70"
        assert redis.command("HGETALL", "agent_stats:nobody") == []
        web.refused("POST", "/v1/query", 404, "spoor projection add event_search",
                    {"sql": "SELECT * FROM event_search"})
        web.refused("POST", "/v1/query", 404, " agent_stats, ",  # among others, as they are built
                    {"sql": "SELECT * FROM agent_stat"})


def a_failed_read_model_is_not_waited_for(folder):
    text = (b"-- spoor: projection shares version 1\n"
            b"CREATE TABLE shares (n BIGINT NOT NULL CHECK (n > 0));\n"
            b"-- spoor: on share\nINSERT INTO shares VALUES (CAST(:data ->> 'n' AS BIGINT));\n")
    with RealServer(folder) as server, Web(server) as web:
        reply = web.call("PUT", "/v1/projections/shares", text)
        assert reply.status in (200, 201, 202), (reply.status, reply.body)
        for number in (1, 2, 0, 3):
            last = web.ok("POST", "/v1/events", {"type": "share", "source": "s",
                          "data": {"n": number}}, status=201)["position"]
        problem = web.refused("POST", "/v1/query", 503, "", {
            "sql": "SELECT sum(n) FROM shares", "position": last, "timeout_ms": 60000})
        assert problem["type"] == "urn:spoor:problem:projection-failed", problem
        assert str(last - 1) in problem["detail"], problem
        assert web.ok("POST", "/v1/query", {"sql": "SELECT sum(n) FROM shares"})["rows"] == [[3]]


def the_command_line_asks_folders_and_servers_alike(folder):
    data = folder / "data"
    for number in range(6):
        spoor("publish", "agent.started", "--source", f"agent-{number % 2}", "--correlation",
              f"run-{number}", data=data)
    sql = "SELECT agent_id, total_runs, ? AS given FROM agent_stats ORDER BY 1"

    def look(*place):
        def ask(*args, **more):
            return spoor("query", *args, *place, **more)
        assert lines(ask(sql, "--param", "=x y").stdout) == [
            {"agent_id": f"agent-{number}", "total_runs": 3, "given": "x y"} for number in (0, 1)]
        assert ask(sql, "--param", "7", "--csv", binary=True).stdout == \
            b"agent_id,total_runs,given\r\nagent-0,3,7\r\nagent-1,3,7\r\n"
        assert ask(sql, "--param", '"7"', "--table").stdout.splitlines()[1].split() == \
            ["agent-0", "3", "7"]
        assert ask("-", stdin="SELECT total_runs AS n FROM agent_stats LIMIT 1\n").stdout == '{"n":3}\n'
        assert "agent_stats" in [table["table"] for table in lines(ask().stdout)]
        assert "line 1, column 1" in ask("SELEC", code=2).stderr
        assert "has no value" in ask("SELECT :x", code=2).stderr
        assert "--seen" in ask("SELECT 1", "--seen", "soon", code=2).stderr
        assert "there is no table" in ask("SELECT * FROM absent", code=3).stderr
        assert "may only read" in ask("DELETE FROM agent_stats", code=5).stderr
        assert "longer than 150 ms" in ask(ENDLESS, "--timeout", "150ms", code=7).stderr
        assert "more than 1 rows" in ask(sql, "--param", "1", "--max-rows", "1", code=1).stderr
    look("--data", data)
    with RealServer(folder) as server:
        look("--url", f"http://127.0.0.1:{server.http_port}")
        look("--data", data)  # the server fills what is read here


run(answers_have_three_forms, parameters_go_by_name_or_by_order, what_is_wrong_is_said,
    endless_queries_hold_up_nobody_and_end_with_their_clients, a_thousand_at_once,
    large_answers_leave_as_they_are_read, a_query_sees_a_position, every_query_sees_one_build,
    rows_are_hashes, real_read_models_are_asked, a_failed_read_model_is_not_waited_for,
    the_command_line_asks_folders_and_servers_alike)
