#!/usr/bin/env python3
"""Measures spoor's bus beside redis-server: the same command lines, on the same device, in one run.

usage: bus.py [--quick] [--rounds N] [--only PART,…] [--data DIR]

The servers take turns, each round on fresh folders; what is shown is the median of the rounds. Spoor
always runs with durability `always`; Redis with `appendfsync always`, and once more without any
persistence. Clients share the processors with the servers. After every load what is in the stream is
counted. The lines stay in build/bus.jsonl, the table in build/bus.md.

Parts: throughput (XADD, XREAD, XREADGROUP with XACK, PUBLISH, latency), space (bytes on disk, memory
per pending entry, restart), connections (memory per idle connection), matching.
"""
import argparse
import contextlib
import csv
import io
import json
import os
import pathlib
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "protocol"))
# pylint: disable=wrong-import-position
import report
from resp import Connection, encode
from servers import Redis, Spoor

BUILD = ROOT / os.environ.get("SPOOR_BUILD", "build")
PAYLOAD = "x" * 100
# For what is kept on disk: digits of redis-benchmark's choice, which no compression makes vanish.
RANDOM_PAYLOAD = "__rand_int__" * 8 + "xxxx"
SETTLE_S = 1.5


def redis_always(folder):
    return Redis(folder, appendfsync="always")


def redis_none(folder):
    return Redis(folder)


def spoor(folder):
    return Spoor(folder, program=str(BUILD / "spoor"))


CONTESTANTS = {"spoor": spoor, "redis-always": redis_always, "redis-none": redis_none}


def chosen(*names):
    return [name for name in names if name in CONTESTANTS]


class Bench:
    def __init__(self, options):
        self.options = options
        self.lines = []

    def scale(self, count):
        return max(1000, count // 10) if self.options.quick else count

    def note(self, bench, server, **values):
        line = {"bench": bench, "server": server, **values}
        self.lines.append(line)
        print(json.dumps(line), file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def server(self, name):
        """A server on a fresh folder, which is removed afterwards."""
        folder = pathlib.Path(self.options.data) / f"bus-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with CONTESTANTS[name](folder) as server:
                time.sleep(SETTLE_S)  # spoor prepares segments behind its ready line
                yield server
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name(folder.name + ".log").unlink(missing_ok=True)


def call(server, *words):
    with server.connect(timeout=120) as connection:
        return connection.call(*words)


def redis_benchmark(server, count, clients, pipeline, *command):
    """The row that redis-benchmark prints, as numbers."""
    random = ["-r", 2**31 - 1] if any("__rand_int__" in word for word in command) else []
    line = ["redis-benchmark", "-p", server.port, "--csv", "-n", count, "-c", clients, "-P", pipeline,
            *random, *command]
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False)
    rows = list(csv.DictReader(io.StringIO(done.stdout[done.stdout.find('"test"'):])))
    if done.returncode != 0 or not rows:
        raise SystemExit(f"bus: {line}: {done.stdout}{done.stderr}")
    row = rows[0]
    return {"per_s": float(row["rps"]), "p50_ms": float(row["p50_latency_ms"]),
            "p99_ms": float(row["p99_latency_ms"])}


def load(server, kind, *args):
    """The JSON lines of bench/bus_load."""
    line = [BUILD / "bench" / "bus_load", kind, server.port, *args]
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False,
                          timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"bus: {line}: {done.stderr}")
    return [json.loads(text) for text in done.stdout.splitlines()]


def expect(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"bus: {what} is {found}, not {wanted}")


# Throughput --------------------------------------------------------------------------------------------

def add(server, key, count, clients=50, pipeline=100, payload=PAYLOAD):
    """XADD by redis-benchmark, counted afterwards."""
    result = redis_benchmark(server, count, clients, pipeline, "XADD", key, "*", "f", payload)
    expect(f"XLEN {key} of {server.name}", call(server, "XLEN", key), count)
    return result


def throughput(bench, name, server):
    add(server, "warm", bench.scale(50000))
    for clients, pipeline, count in ((50, 1, 100000), (50, 16, 600000), (50, 100, 1000000),
                                     (1, 1, 5000)):
        key = f"c{clients}p{pipeline}"
        cpu = server.cpu_s()
        count = bench.scale(count)
        result = add(server, key, count, clients, pipeline)
        bench.note("xadd", name, clients=clients, pipeline=pipeline, events=count, **result,
                   cpu_us=(server.cpu_s() - cpu) / count * 1e6)
    result = redis_benchmark(server, bench.scale(20000), 10, 1, "XREAD", "COUNT", "100", "STREAMS",
                             "c50p100", "0")
    bench.note("xread", name, events_per_s=result["per_s"] * 100, p99_ms=result["p99_ms"])
    count = call(server, "XLEN", "c50p16")
    call(server, "XGROUP", "CREATE", "c50p16", "g", "0")
    result = load(server, "drain", "c50p16", "g", 4, 100, "now")[0]
    expect("what the group read", result["events"], count)
    expect("what stayed pending", call(server, "XPENDING", "c50p16", "g")[0], 0)
    bench.note("drain", name, events_per_s=result["events_per_s"])
    for subscribers, count in ((1, 200000), (10, 100000), (100, 20000)):
        result = load(server, "publish", subscribers, 10, 16, bench.scale(count), len(PAYLOAD))[0]
        bench.note("publish", name, subscribers=subscribers,
                   deliveries_per_s=result["deliveries_per_s"])
    for kind in ("xread", "group"):
        result = load(server, "latency", kind, bench.scale(3000), 1000, len(PAYLOAD))[0]
        bench.note("latency", name, **result)


def part_throughput(bench):
    for number in range(bench.options.rounds):
        names = list(CONTESTANTS)
        for name in names[number % len(names):] + names[:number % len(names)]:
            with bench.server(name) as server:
                throughput(bench, name, server)


# Space, memory of pending entries, restart -------------------------------------------------------------

def used_bytes(folder):
    """Bytes of the files up to the last that is not zero: prepared room is not counted."""
    total = 0
    for path in pathlib.Path(folder).rglob("*"):
        try:
            total += end_of_data(path) if path.is_file() and path.name != "log" else 0
        except FileNotFoundError:
            pass  # removed meanwhile
    return total


def end_of_data(path):
    chunk = 1 << 20
    size = path.stat().st_size
    with open(path, "rb") as file:
        while size > 0:
            start = (size - 1) // chunk * chunk
            file.seek(start)
            data = file.read(size - start).rstrip(b"\0")
            if data:
                return start + len(data)
            size = start
    return 0


def read_all(server, key, group):
    """Delivers everything, then waits to acknowledge it: gives the process and what it printed."""
    line = [BUILD / "bench" / "bus_load", "drain", server.port, key, group, 4, 100, "later"]
    process = subprocess.Popen([str(word) for word in line], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    text = process.stdout.readline()
    if not text:
        raise SystemExit(f"bus: {line} ended with {process.wait()}")
    return process, json.loads(text)


def settle(server):
    """Waits until the server has nothing to do: spoor seals and trims in the background."""
    for _ in range(60):
        before = server.cpu_s()
        time.sleep(1)
        if server.cpu_s() - before < 0.03:
            return


def work_through(server, count, between):
    """Adds, delivers and acknowledges; calls between() after each."""
    add(server, "s", count, payload=RANDOM_PAYLOAD)
    call(server, "XGROUP", "CREATE", "s", "g", "0")
    between("added")
    process, result = read_all(server, "s", "g")
    expect("what was delivered", result["events"], count)
    expect("what is pending", call(server, "XPENDING", "s", "g")[0], count)
    between("delivered")
    process.communicate("go\n")
    expect("bus_load drain", process.returncode, 0)
    expect("what stayed pending", call(server, "XPENDING", "s", "g")[0], 0)
    between("acknowledged")


def space(bench, name, server):
    """Few enough to stay within spoor's first segment: what is written, before it is compressed."""
    count = 25000
    sizes = {"start": used_bytes(server.folder)}
    work_through(server, count, lambda what: sizes.update({what: used_bytes(server.folder)}))
    last, each = sizes["start"], {}
    for what in ("added", "delivered", "acknowledged"):
        each[what] = (sizes[what] - last) / count
        last = sizes[what]
    bench.note("space", name, events=count, total=(last - sizes["start"]) / count, **each)


def restart(bench, name, server):
    count = bench.scale(1000000)
    memory = {}

    def between(what):
        settle(server)
        memory[what] = server.rss_kib("RssAnon")

    start = used_bytes(server.folder)
    work_through(server, count, between)
    bench.note("settled", name, events=count, total=(used_bytes(server.folder) - start) / count,
               pending_bytes=(memory["delivered"] - memory["added"]) * 1024 / count,
               disk_bytes=server.disk_bytes())
    for number in range(3):
        server.kill()
        server.start()
        expect("XLEN after the restart", call(server, "XLEN", "s"), count)
        expect("XPENDING after the restart", call(server, "XPENDING", "s", "g")[0], 0)
        bench.note("restart", name, number=number, seconds=server.started_s)


def part_space(bench):
    for name in chosen("spoor", "redis-always"):
        with bench.server(name) as server:
            space(bench, name, server)
        with bench.server(name) as server:
            restart(bench, name, server)


def part_connections(bench):
    count = bench.scale(5000)
    for name in chosen("spoor", "redis-always"):
        with bench.server(name) as server:
            call(server, "PING")
            before = server.rss_kib("RssAnon")
            connections = [Connection(server.port, timeout=30) for _ in range(count)]
            for connection in connections:
                connection.send("PING")
            for connection in connections:
                expect("PING", connection.read(), "PONG")
            time.sleep(4)  # Redis lets go of a buffer after two seconds
            after = server.rss_kib("RssAnon")
            bench.note("connections", name, connections=count,
                       bytes_each=(after - before) * 1024 / count)
            for connection in connections:
                connection.close()


# Matching ----------------------------------------------------------------------------------------------

def subscribe_others(server, count):
    """Connections that hold `count` patterns which never match."""
    connections = []
    for first in range(0, count, 10000):
        connection = server.connect(timeout=120)
        patterns = [f"agent.{number}.task.*" for number in range(first, min(count, first + 10000))]
        for at in range(0, len(patterns), 1000):
            connection.send_bytes(encode("PSUBSCRIBE", *patterns[at:at + 1000]))
            for _ in patterns[at:at + 1000]:
                connection.read()
        connections.append(connection)
    return connections


def part_matching(bench):
    """The server's processor time per message, with ten subscribers who get it, and others."""
    for others in (0, 100000, 0, 100000):
        for name in chosen("spoor", "redis-none"):
            with bench.server(name) as server:
                matching(bench, name, server, others)


def matching(bench, name, server, others):
    slow = name != "spoor" and others
    messages = bench.scale(2000 if slow else 100000)
    connections = subscribe_others(server, others)
    before = server.cpu_s()
    result = load(server, "publish", 10, 10, 16, messages, len(PAYLOAD))[0]
    bench.note("matching", name, others=others, cpu_us=(server.cpu_s() - before) / messages * 1e6,
               messages_per_s=result["messages_per_s"])
    for connection in connections:
        connection.close()


# The report --------------------------------------------------------------------------------------------

class Results:
    def __init__(self, lines):
        self.lines = lines

    def median(self, bench, server, key, **want):
        """The median of the rounds; None where nothing was measured."""
        values = [line[key] for line in self.lines
                  if line["bench"] == bench and line["server"] == server
                  and all(line.get(name) == value for name, value in want.items())]
        return statistics.median(values) if values else None

    def ratio(self, over, bench, key, **want):
        mine, other = self.median(bench, "spoor", key, **want), self.median(bench, over, key, **want)
        return mine / other if mine and other else None


XADD_TARGETS = [("redis-always", 50, 1, 1.15, 1.4), ("redis-always", 50, 16, 1.7, 2.4),
                ("redis-always", 50, 100, 1.6, 3), ("redis-none", 50, 1, 0.85, 1),
                ("redis-none", 50, 16, 0.85, 1.2), ("redis-none", 50, 100, 0.9, 1.8),
                ("redis-always", 1, 1, 1, 1.1)]
WHO = {"redis-always": "Redis, appendfsync always", "redis-none": "Redis without persistence"}


def targets(results):
    """(what, value, unit, floor, aim, more is better) of each target."""
    for over, clients, pipeline, floor, aim in XADD_TARGETS:
        yield (f"XADD 100 B, {clients} connections, pipeline {pipeline}, of {WHO[over]}",
               results.ratio(over, "xadd", "per_s", clients=clients, pipeline=pipeline), "x", floor,
               aim, True)
    yield ("XREADGROUP COUNT 100 + XACK, events/s, of Redis, appendfsync always",
           results.ratio("redis-always", "drain", "events_per_s"), "x", 2, 5, True)
    yield ("PUBLISH with 100 subscribers, deliveries/s, of Redis without persistence",
           results.ratio("redis-none", "publish", "deliveries_per_s", subscribers=100), "x", 0.7, 1,
           True)
    for key, floor, aim in (("delivered_p50_us", 0.5, 0.25), ("delivered_p99_us", 2, 1)):
        value = results.median("latency", "spoor", key, kind="group")
        yield (f"durable append to delivery at a blocked consumer, {key[10:13]}",
               value / 1e3 if value else None, "ms", floor, aim, False)
    few = results.median("matching", "spoor", "cpu_us", others=0)
    many = results.median("matching", "spoor", "cpu_us", others=100000)
    yield ("matching with 100,000 subscriptions, of 10, same matches",
           many / few if many and few else None, "x", 1.5, 1.1, False)
    restart = results.ratio("redis-always", "restart", "seconds")
    yield ("restart after 1 M added, delivered, acknowledged, faster than Redis",
           1 / restart if restart else None, "x", 5, 30, True)
    for bench, when in (("space", "as written"), ("settled", "of 1 M, most of it sealed")):
        yield (f"bytes on disk per 100 B event added, delivered, acknowledged, {when}",
               results.median(bench, "spoor", "total"), "B", 230, 160, False)
    yield ("memory per idle connection", results.median("connections", "spoor", "bytes_each"), "B",
           8192, 4096, False)
    yield ("memory per pending entry", results.median("settled", "spoor", "pending_bytes"), "B", 64, 32,
           False)


def show_targets(results):
    table = report.Table("Targets", "what", "measured", "floor", "aim", "")
    for what, value, unit, floor, aim, more in targets(results):
        table.row(what, f"{report.short(value)} {unit}", report.short(floor), report.short(aim),
                  report.verdict(value, floor, aim, more))


def measured():
    """(what, unit, bench, key, what must hold) of each row of the comparison."""
    for clients, pipeline in ((50, 1), (50, 16), (50, 100), (1, 1)):
        where = {"clients": clients, "pipeline": pipeline}
        label = f"XADD c{clients} P{pipeline}"
        yield label, "/s", "xadd", "per_s", where
        yield f"{label}, p50", "ms", "xadd", "p50_ms", where
        yield f"{label}, p99", "ms", "xadd", "p99_ms", where
        yield f"{label}, processor time of the server", "us", "xadd", "cpu_us", where
    yield "XREAD COUNT 100 c10, events", "/s", "xread", "events_per_s", {}
    yield "XREADGROUP COUNT 100 + XACK c4, events", "/s", "drain", "events_per_s", {}
    for subscribers in (1, 10, 100):
        yield (f"PUBLISH, {subscribers} subscribers, deliveries", "/s", "publish",
               "deliveries_per_s", {"subscribers": subscribers})
    for kind in ("xread", "group"):
        for key in ("delivered_p50_us", "delivered_p99_us", "acknowledged_p50_us"):
            yield (f"added to {key[:-3].replace('_', ', ')}, blocked {kind}", "us", "latency", key,
                   {"kind": kind})
    for key in ("added", "delivered", "acknowledged", "total"):
        yield f"bytes on disk per event, {key}", "B", "space", key, {}
    yield "the same of 1 M, once the background is done", "B", "settled", "total", {}
    yield "restart after kill -9", "s", "restart", "seconds", {}
    yield "memory per pending entry", "B", "settled", "pending_bytes", {}
    yield "memory per idle connection", "B", "connections", "bytes_each", {}
    for others in (0, 100000):
        yield (f"processor time per PUBLISH, 10 subscribers, {others} other patterns", "us",
               "matching", "cpu_us", {"others": others})


def show_measured(results):
    table = report.Table("Measured", "what", *CONTESTANTS)
    for what, unit, bench, key, want in measured():
        values = [results.median(bench, name, key, **want) for name in CONTESTANTS]
        if any(value is not None for value in values):
            table.row(what, *(f"{report.short(value)} {unit}" if value is not None else "-"
                              for value in values))


def show(lines):
    results = Results(lines)
    print(f"# Measurements of the bus\n\n{os.cpu_count()} cores, shared with the clients; medians.")
    show_targets(results)
    show_measured(results)


PARTS = {"throughput": part_throughput, "space": part_space, "connections": part_connections,
         "matching": part_matching}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--servers", default=",".join(CONTESTANTS), help=argparse.SUPPRESS)
    parser.add_argument("--data", default=str(BUILD), help="folder on the device to measure")
    options = parser.parse_args()
    if options.quick:
        options.rounds = 1
    for name in set(CONTESTANTS) - set(options.servers.split(",")):
        del CONTESTANTS[name]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the servers, too
    bench = Bench(options)
    for part in options.only.split(","):
        PARTS[part](bench)
    (BUILD / "bus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in bench.lines),
                                     encoding="utf-8")
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        show(bench.lines)
    (BUILD / "bus.md").write_text(text.getvalue(), encoding="utf-8")
    print(text.getvalue(), end="")


main()
