#!/usr/bin/env python3
"""Measures what five projections cost who appends, and how far they are behind.

usage: projections.py [--seconds S] [--rounds N] [--rate N]

Appends as fast as a few pipelined connections can, with no projections and with the five that ship as
agent_stats, agent_status, conversations, runs and tool_usage, in turns, each time on a new store. Then
appends at a fixed rate, and looks every millisecond how far the tables of agent_stats and runs are: the lag
is the time from the acknowledgement of an event to where a reader of the database file sees it. Printed as
one line of JSON, which is also appended to build/projections.jsonl.
"""
import argparse
import http.client
import json
import multiprocessing
import os
import pathlib
import socket
import sqlite3
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from servers import Spoor

BUILD = ROOT / os.environ.get("SPOOR_BUILD", "build")
FIVE = ("agent_stats", "agent_status", "conversations", "runs", "tool_usage")
WATCHED = ("agent_stats", "runs")
CONNECTIONS = 4
BATCH = 128


def bulk(*words):
    words = [word if isinstance(word, bytes) else word.encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def add(run, kind, source, data):
    return bulk("XADD", f"run-{run}", "*", "type", kind, "source", source, "correlationid", f"run-{run}",
                "data", json.dumps({"text": "x" * 120, **data}))


def batch(number):
    """What an agent does in a run, over and over; every event is one that some of the five want."""
    story = (("agent.started", {}), ("tool.called", {"tool": "search"}),
             ("tool.result", {"tool": "search", "is_error": False}),
             ("agent.tokens_generated", {"count": 17}), ("agent.response_time", {"latency_ms": 12}),
             ("response.generated", {"response": "done"}), ("agent.completed", {"result": "ok"}),
             ("agent.tokens_generated", {"count": 5}))
    return b"".join(add(number * BATCH + i // len(story), *row(story, i)) for i in range(BATCH))


def row(story, i):
    kind, data = story[i % len(story)]
    return kind, f"agent-{i % 11}", data


class Replies:
    """Counts replies; an XADD is answered by two lines."""

    def __init__(self, connection):
        self.connection = connection
        self.lines = 0

    def read(self, count):
        while self.lines < 2 * count:
            self.lines += self.connection.recv(1 << 16).count(b"\n")
        self.lines -= 2 * count


def load(port, number, seconds, results):
    """One connection that always has some batches on their way."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        bytes_ = [batch(number * 100 + i) for i in range(16)]
        replies = Replies(connection)
        sent = done = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end or done < sent:
            while sent - done < 8 and time.monotonic() < end:
                connection.sendall(bytes_[sent % len(bytes_)])
                sent += 1
            if done < sent:
                replies.read(BATCH)
                done += 1
        results.put(done * BATCH)


def append_rate(server, seconds):
    results = multiprocessing.Queue()
    loads = [multiprocessing.Process(target=load, args=(server.port, i, seconds, results))
             for i in range(CONNECTIONS)]
    begun = time.monotonic()
    for one in loads:
        one.start()
    total = sum(results.get() for _ in loads)
    for one in loads:
        one.join()
    return total / (time.monotonic() - begun)


def ask(server, method, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    connection.request(method, path)
    body = connection.getresponse().read()
    connection.close()
    return json.loads(body) if body else None


def statuses(server):
    return {row["name"]: row for row in ask(server, "GET", "/v1/projections")["projections"]}


def only_five(server):
    for name in statuses(server):
        if name not in FIVE:
            ask(server, "DELETE", f"/v1/projections/{name}")


def is_behind(server):
    return any(row["lag_events"] for row in statuses(server).values() if row["state"] != "waiting")


class Store(Spoor):
    """A server on a new folder; `five` says whether projections run."""

    def __init__(self, five):
        self.config = BUILD / "bench-projections.conf"
        self.config.write_text(f"projections {'yes' if five else 'no'}\n", encoding="utf-8")
        super().__init__(program=str(BUILD / "spoor"), options=("--config", str(self.config)))


def measure_rates(options):
    rates = {False: [], True: []}
    behind = []
    for _ in range(options.rounds):
        for five in (False, True):
            with Store(five) as server:
                if five:
                    only_five(server)
                rates[five].append(append_rate(server, options.seconds))
                begun = time.monotonic()
                while five and is_behind(server):
                    time.sleep(0.05)
                if five:
                    behind.append(time.monotonic() - begun)
    none, five = statistics.median(rates[False]), statistics.median(rates[True])
    return {"appends_per_s_none": round(none), "appends_per_s_five": round(five),
            "ratio": round(five / none, 3), "caught_up_after_s": round(statistics.median(behind), 2)}


def watch(folder, name, over, results):
    """[(time, position)] wherever the position that a reader sees has moved."""
    base = sqlite3.connect(f"file:{folder}/projections/{name}.db?mode=ro", uri=True, timeout=30)
    seen = [(time.monotonic(), 0)]
    while not over.is_set():
        position = base.execute("SELECT position FROM spoor_build").fetchone()[0]
        if position != seen[-1][1]:
            seen.append((time.monotonic(), position))
        time.sleep(0.001)
    results.put((name, seen))


def pace(server, rate, seconds):
    """Appends at the rate, a batch at a time; gives [(time of the acknowledgement, last position)]."""
    position = statuses(server)["runs"]["head"]
    acknowledged = []
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bytes_ = [batch(i) for i in range(64)]
        replies = Replies(connection)
        begun = time.monotonic()
        count = int(rate * seconds / BATCH)
        for i in range(count):
            wait = begun + i * BATCH / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            connection.sendall(bytes_[i % len(bytes_)])
            replies.read(BATCH)
            position += BATCH
            acknowledged.append((time.monotonic(), position))
    return acknowledged


def lags(acknowledged, seen):
    """For each batch, how long after its acknowledgement a reader saw it; in milliseconds."""
    at = 0
    found = []
    for moment, position in acknowledged:
        while at < len(seen) and seen[at][1] < position:
            at += 1
        if at == len(seen):
            break
        found.append(max(0.0, seen[at][0] - moment) * 1000)
    return sorted(found)


def measure_lag(options):
    with Store(True) as server:
        only_five(server)
        pace(server, options.rate, 1)
        while is_behind(server):
            time.sleep(0.05)
        over, results = multiprocessing.Event(), multiprocessing.Queue()
        watchers = [multiprocessing.Process(target=watch, args=(server.folder, name, over, results))
                    for name in WATCHED]
        for one in watchers:
            one.start()
        acknowledged = pace(server, options.rate, options.seconds * 2)
        while is_behind(server):
            time.sleep(0.05)
        over.set()
        found = dict(results.get() for _ in watchers)
        for one in watchers:
            one.join()
        told = {"events_per_s": options.rate, "batches": len(acknowledged)}
        for name in WATCHED:
            some = lags(acknowledged, found[name])
            told[f"{name}_lag_p50_ms"] = round(some[len(some) // 2], 2)
            told[f"{name}_lag_p99_ms"] = round(some[len(some) * 99 // 100], 2)
        return told


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=10000)
    options = parser.parse_args()
    told = {"bench": "projections", **measure_rates(options), **measure_lag(options)}
    line = json.dumps(told)
    print(line)
    with open(BUILD / "projections.jsonl", "a", encoding="utf-8") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    main()
