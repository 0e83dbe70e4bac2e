#!/usr/bin/env python3
"""Measures sagas, timers and joins, and beside them PostgreSQL with the same steps as rows.

usage: sagas.py [--quick] [PART …]

Parts: latency, throughput, memory, timers, restart, joins, postgres; all of them where none is named. The
worker and the load are bench/saga_load.c, which speaks the Redis protocol. Everything is durable. Each
part prints one line of JSON, which is also appended to build/sagas.jsonl; at the end stands a table in
Markdown of what was measured beside its targets.
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "protocol"), str(ROOT / "tests" / "system")]
# pylint: disable=wrong-import-position
from postgres import Missing, Postgres
from servers import Spoor

BUILD = ROOT / os.environ.get("SPOOR_BUILD", "build")
LOAD = BUILD / "bench" / "saga_load"
TIMEOUT_S = 600
SAGA = {"saga": "bench", "steps": [{"name": name, "action": f"bench.{name}", "timeout": "1h"}
                                   for name in ("a", "b", "c")]}
JOIN = {"join": "bench", "of": ["join.a", "join.b"], "need": "all", "key": "data.customer_id",
        "window": "24h", "emit": {"type": "join.done"}}
# What is done per saga with rows: it is put in with its first step, and each step is taken, ended, and
# followed by the next, in one transaction.
ROWS = """
CREATE TABLE sagas (id bigserial PRIMARY KEY, status text NOT NULL, data text, ended timestamptz);
CREATE TABLE steps (saga bigint NOT NULL, step int NOT NULL, status text NOT NULL, attempt int NOT NULL,
    data text, result text, due timestamptz, PRIMARY KEY (saga, step));
CREATE INDEX steps_ready ON steps (step, saga) WHERE status = 'ready';
"""
STEP = """BEGIN;
WITH mine AS (SELECT saga FROM steps WHERE status = 'ready' AND step = {step}
    ORDER BY saga FOR UPDATE SKIP LOCKED LIMIT 1),
done AS (UPDATE steps SET status = 'done', result = '{{"ok": true}}' FROM mine
    WHERE steps.saga = mine.saga AND steps.step = {step} RETURNING steps.saga)
SELECT coalesce((SELECT saga FROM done), 0) AS saga \\gset
{then}
COMMIT;
"""
NEXT = """INSERT INTO steps SELECT :saga, {step}, 'ready', 1, '{{"n": 1}}', NULL, now() + '5 min'
    WHERE :saga > 0;"""
END = "UPDATE sagas SET status = 'completed', ended = now() WHERE id = :saga;"
BEGIN = """BEGIN;
INSERT INTO sagas (status, data) VALUES ('running', '{"n": 1}') RETURNING id AS saga \\gset
INSERT INTO steps VALUES (:saga, 1, 'ready', 1, '{"n": 1}', NULL, now() + '5 min');
COMMIT;
"""


class Store(Spoor):
    """A server on an empty folder of the disk that the build is on."""

    def __init__(self):
        BUILD.mkdir(exist_ok=True)
        super().__init__(folder=tempfile.mkdtemp(prefix="sagas-", dir=BUILD),
                         program=os.environ.get("SPOOR", BUILD / "spoor"))
        self.own_folder = True

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=TIMEOUT_S)
        connection.request(method, path, json.dumps(body) if body is not None else None,
                           {"Content-Type": "application/json"} if body is not None else {})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert 200 <= answer.status < 300, f"{method} {path}: {answer.status} {text}"
        return text

    def define(self):
        self.request("PUT", "/v1/saga-definitions/bench", SAGA)

    @contextlib.contextmanager
    def program(self, *words):
        """A program of the load beside it, once it says that it is there."""
        with subprocess.Popen([LOAD, words[0], str(self.port), *map(str, words[1:])],
                              stdout=subprocess.PIPE, text=True) as process:
            try:
                assert json.loads(process.stdout.readline() or "{}") == {"ready": True}, words
                yield process
            finally:
                process.kill()

    def worker(self):
        return self.program("work", "bench.*")

    def load(self, *words):
        done = subprocess.run([LOAD, words[0], str(self.port), *map(str, words[1:])], text=True,
                              stdout=subprocess.PIPE, check=True, timeout=TIMEOUT_S)
        return json.loads(done.stdout)

    def memory_kib(self):
        """What is its own: pages of files are not counted."""
        time.sleep(1)  # what runs behind the appends has run
        return self.rss_kib("RssAnon")


def latency(options):
    """A saga of three steps after another, nothing else going on."""
    with Store() as server:
        server.define()
        with server.worker():
            server.load("one", "bench", 200)
            found = server.load("one", "bench", 1000 if options.quick else 5000)
    return {"p50_ms": found["saga_p50_us"] / 1e3, "p99_ms": found["saga_p99_us"] / 1e3,
            "sagas": found["sagas"]}


def throughput(options):
    """512 sagas at once, two workers."""
    count = 10_000 if options.quick else 100_000
    rates = []
    with Store() as server:
        server.define()
        with server.worker(), server.worker():
            begun = server.cpu_s()
            for _ in range(2 if options.quick else 3):
                rates.append(server.load("many", "bench", count, 512)["sagas_per_s"] * 3)
            cpu_us = (server.cpu_s() - begun) * 1e6 / (3 * count * len(rates))
    return {"steps_per_s": statistics.median(rates), "sagas": count, "server_cpu_us_per_step": cpu_us}


def kept_bytes(make, plain_events, count):
    """Bytes for each of the things that `make` appends, while it runs and after a restart: what a server
    takes with them and without, where its log has as many plain events instead."""
    kib = []
    for fill in (make, lambda server: server.load("append", "plain", 1000, plain_events)):
        with Store() as server:
            server.define()
            server.load("append", "plain", 1000, 1000)
            found = fill(server)
            running = server.memory_kib()
            server.stop()
            server.start()
            kib.append((running, server.memory_kib(), found))
    (running, restarted, found), (plain_running, plain_restarted, _) = kib
    return ((running - plain_running) * 1024 / count, (restarted - plain_restarted) * 1024 / count, found)


def memory(options):
    """Sagas that wait for their first worker; each has appended its start, a command and its record."""
    count = 20_000 if options.quick else 200_000
    running, restarted, found = kept_bytes(lambda server: server.load("start", "bench", count), 3 * count,
                                           count)
    return {"bytes_per_saga": running, "restarted_bytes_per_saga": restarted, "sagas": count,
            "started_per_s": count / found["seconds"]}


def timers(options):
    """Delayed events, far away and by the million; and how late those are that are due."""
    far, near, over_ms = (100_000, 5_000, 5000) if options.quick else (1_000_000, 20_000, 10_000)
    hour_ms = 3_600_000

    def arm(server):
        return server.load("delay", "bench.late", far, int(time.time() * 1000) + hour_ms, hour_ms)

    running, restarted, armed = kept_bytes(arm, far, far)
    with Store() as server:
        arm(server)
        with server.program("listen", "bench.due", near) as listener:
            first = int(time.time() * 1000) + (3000 if options.quick else 6000)
            server.load("delay", "bench.due", near, first, over_ms)
            assert time.time() * 1000 < first, "arming took too long: those that were due are late"
            found = json.loads(listener.stdout.readline())
    return {"bytes_per_timer": running, "restarted_bytes_per_timer": restarted,
            "late_p50_ms": found["late_p50_us"] / 1e3, "late_p99_ms": found["late_p99_us"] / 1e3,
            "armed_per_s": far / armed["seconds"], "timers": far}


def first_step_s(server, begun, known):
    """Until a step ended that the one before the kill did not know of."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        found = json.loads(server.request(
            "GET", f"/v1/events?type=saga.step.completed&from={known + 1}&limit=1"))
        if found:
            return time.monotonic() - begun
    raise AssertionError("no saga goes on")


def restart(options):
    """kill -9 while 10,000 sagas run, and the worker with it."""
    count = 10_000
    seconds, ready = [], []
    with Store() as server:
        server.define()
        server.load("start", "bench", count)
        for _ in range(2 if options.quick else 5):
            with server.worker():
                time.sleep(0.2)
            server.kill()
            begun = time.monotonic()
            server.start()
            ready.append(time.monotonic() - begun)
            newest = json.loads(server.request(
                "GET", "/v1/events?type=saga.step.completed&reverse=true&limit=1"))
            known = newest[0]["position"] if newest else 0
            with server.worker():
                seconds.append(first_step_s(server, begun, known))
            server.load("start", "bench", count)
    return {"first_progress_s": statistics.median(seconds), "ready_s": statistics.median(ready),
            "sagas": count}


def joins(options):
    """Events of a join over 100,000 open keys, and the same events without it."""
    keys, count = 100_000, 200_000 if options.quick else 1_000_000
    rates = {}
    for name in ("without", "with"):
        with Store() as server:
            if name == "with":
                server.request("PUT", "/v1/joins/bench", JOIN)
            server.load("append", "join.a", keys, keys)  # opens all of them
            begun = server.cpu_s()
            rates[name] = server.load("append", "join.a", keys, count)["events_per_s"]
            rates[f"{name}_cpu"] = (server.cpu_s() - begun) * 1e6 / count
            if name == "with":
                rates["completing"] = server.load("append", "join.b", keys, keys)["events_per_s"]
    return {"events_per_s": rates["with"], "without_events_per_s": rates["without"],
            "completing_events_per_s": rates["completing"], "keys": keys,
            "server_cpu_us_per_event": rates["with_cpu"], "without_cpu_us_per_event": rates["without_cpu"]}


def pgbench(server, folder, seconds, clients, *scripts):
    """(transactions per second, latency in ms) of scripts that alternate."""
    program = shutil.which("pgbench") or str(sorted(
        pathlib.Path("/usr/lib/postgresql").glob("*/bin/pgbench"))[-1])
    words = [program, "--no-vacuum", "--protocol", "prepared", "--time", str(seconds), "--client",
             str(clients), "--jobs", "1", "--log", "--log-prefix", str(folder / "log")]
    for script in scripts:
        words += ["--file", str(script)]
    for log in folder.glob("log*"):
        log.unlink()
    done = subprocess.run([*words, server.url], capture_output=True, text=True, check=False,
                          timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    rate = float(re.search(r"tps = ([\d.]+)", done.stdout)[1])
    times = sorted(int(line.split()[2]) for log in folder.glob("log*")
                   for line in log.read_text(encoding="ascii").splitlines())
    return rate, [times[len(times) // 2] / 1e3, times[len(times) * 99 // 100] / 1e3]


def postgres(options):
    """Rows in PostgreSQL: a saga after another on one connection, which is its worker too and so never
    has to be told; and 32 connections, each of which takes whatever step is ready."""
    seconds = 4 if options.quick else 20
    begin = BEGIN
    steps = [STEP.format(step=step, then=NEXT.format(step=step + 1) if step < 3 else END)
             for step in (1, 2, 3)]
    try:
        server = Postgres(durable=True)
    except Missing as reason:
        print(f"sagas.py: no PostgreSQL: {reason}", file=sys.stderr)
        return {}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sagas-", dir=BUILD))
    try:
        with server:
            subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", ROWS, server.url], check=True)
            whole = folder / "whole.sql"
            whole.write_text(begin + "".join(steps), encoding="ascii")
            _, times = pgbench(server, folder, seconds, 1, whole)
            rate, _ = pgbench(server, folder, seconds, 32, whole)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"p50_ms": times[0], "p99_ms": times[1], "steps_per_s": rate * 3}


PARTS = {"latency": latency, "throughput": throughput, "memory": memory, "timers": timers,
         "restart": restart, "joins": joins, "postgres": postgres}
# (what, part, member, unit, floor, aim, more is better)
TARGETS = (
    ("saga of 3 steps, end to end, p50", "latency", "p50_ms", "ms", 5, 2, False),
    ("the same, p99", "latency", "p99_ms", "ms", 20, 6, False),
    ("steps completed, 512 sagas at once", "throughput", "steps_per_s", "/s", 15e3, 50e3, True),
    ("memory of a running saga, after a restart", "memory", "restarted_bytes_per_saga", "B", 4096, 1024, False),
    ("memory of an armed timer, after a restart", "timers", "restarted_bytes_per_timer", "B", 128, 64, False),
    ("firing delay, p99", "timers", "late_p99_ms", "ms", 50, 10, False),
    ("kill -9 with 10,000 sagas: first progress", "restart", "first_progress_s", "s", 1, 0.3, False),
    ("joins, over 100,000 open keys", "joins", "events_per_s", "/s", 100e3, 300e3, True),
)
BESIDE = (
    ("PostgreSQL: saga of 3 steps as rows, 1 connection, p50", "postgres", "p50_ms", "ms"),
    ("the same, p99", "postgres", "p99_ms", "ms"),
    ("PostgreSQL: steps, 32 connections", "postgres", "steps_per_s", "/s"),
    ("the same events without a join", "joins", "without_events_per_s", "/s"),
    ("events that complete their join", "joins", "completing_events_per_s", "/s"),
    ("a saga just started, with what the log keeps in memory", "memory", "bytes_per_saga", "B"),
    ("a timer just armed, with what the log keeps in memory", "timers", "bytes_per_timer", "B"),
    ("sagas started", "memory", "started_per_s", "/s"),
    ("timers armed", "timers", "armed_per_s", "/s"),
)


def shown(value, unit):
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} {unit}" if unit != "/s" else f"{text}/s"


def table(found):
    print("\n| | measured | floor | aim | |\n|---|---|---|---|---|")
    for what, part, member, unit, floor, aim, more in TARGETS:
        value = found.get(part, {}).get(member)
        if value is None:
            continue
        good = (lambda target, value=value: value >= target) if more else (
            lambda target, value=value: value <= target)
        verdict = "aim met" if good(aim) else "floor met" if good(floor) else "**missed**"
        print(f"| {what} | {shown(value, unit)} | {shown(floor, unit)} | {shown(aim, unit)} | {verdict} |")
    for what, part, member, unit in BESIDE:
        if found.get(part, {}).get(member) is not None:
            print(f"| {what} | {shown(found[part][member], unit)} | | | |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", default=[])
    parser.add_argument("--quick", action="store_true", help="a minute in all, and less exact")
    options = parser.parse_args()
    subprocess.run(["ninja", "-C", BUILD, "spoor", "bench/saga_load"], check=True, stdout=sys.stderr)
    found = {}
    with open(BUILD / "sagas.jsonl", "a", encoding="utf-8") as kept:
        for name in options.parts or PARTS:
            print(f"sagas.py: {name}", file=sys.stderr)
            found[name] = PARTS[name](options)
            line = json.dumps({"bench": f"sagas_{name}", **found[name]})
            print(line, flush=True)
            kept.write(line + "\n")
    table(found)


main()
