#!/usr/bin/env python3
"""Measures server-sent events: one event to all subscribers, and what a subscriber takes in memory.

usage: sse.py [--subscribers N] [--events N] [--data DIR]

All subscribers are read by this one process, which shares the processors with the server. An event is
appended (durable) over the Redis protocol; its time ends when the last subscriber has all of it. The
numbers are printed as one line of JSON, which is also appended to build/sse.jsonl.
"""
import argparse
import json
import os
import pathlib
import resource
import select
import socket
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from servers import Spoor

BUILD = ROOT / os.environ.get("SPOOR_BUILD", "build")
REQUEST = b"GET /v1/subscribe?type=bench.%23 HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n"
PAUSE_S = 0.02


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Readers:
    """Sockets that are read until each of them has seen a mark."""

    def __init__(self, server, count):
        self.epoll = select.epoll()
        self.sockets = {}
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", server.http_port))
            one.sendall(REQUEST)
            self.sockets[one.fileno()] = one
            self.epoll.register(one, select.EPOLLIN)

    def until(self, mark, timeout=60):
        """Reads until all have got the mark; gives when the first and the last one had."""
        left = set(self.sockets)
        first = None
        rest = dict.fromkeys(left, b"")
        deadline = time.monotonic() + timeout
        while left:
            assert time.monotonic() < deadline, f"{len(left)} subscribers have not got {mark}"
            for number, _ in self.epoll.poll(1):
                got = rest[number] + self.sockets[number].recv(65536)
                rest[number] = got[-200:]
                if mark in got and number in left:
                    left.discard(number)
                    first = first or time.monotonic()
        return first, time.monotonic()

    def close(self):
        for one in self.sockets.values():
            one.close()


def measure(server, options):
    with server.connect() as writer:
        warm = Readers(server, 10)
        warm.until(b"event: start")
        writer.call("SPOOR.APPEND", "s", "*", "bench.warm", "{}")
        warm.until(b"bench.warm")
        warm.close()
        time.sleep(0.5)
        before_kib = server.rss_kib()
        readers = Readers(server, options.subscribers)
        readers.until(b"event: start")
        idle_kib = server.rss_kib()
        firsts, lasts, cpu_s = [], [], server.cpu_s()
        for number in range(options.events):
            data = json.dumps({"number": number, "text": "x" * 200})
            begun = time.monotonic()
            writer.call("SPOOR.APPEND", "s", "*", "bench.event", data)
            first, last = readers.until(b'"number": %d,' % number)
            firsts.append(first - begun)
            lasts.append(last - begun)
            time.sleep(PAUSE_S)
        cpu_s = server.cpu_s() - cpu_s
        after_kib = server.rss_kib()
        readers.close()
    return {
        "subscribers": options.subscribers, "events": options.events,
        "first_p50_ms": round(1000 * percentile(firsts, 0.5), 2),
        "last_p50_ms": round(1000 * percentile(lasts, 0.5), 2),
        "last_p99_ms": round(1000 * percentile(lasts, 0.99), 2),
        "last_max_ms": round(1000 * max(lasts), 2),
        "server_us_each": round(1e6 * cpu_s / options.subscribers / options.events, 2),
        "idle_kib_each": round((idle_kib - before_kib) / options.subscribers, 2),
        "kib_each": round((after_kib - before_kib) / options.subscribers, 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--data", type=pathlib.Path)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with Spoor(options.data, program=str(BUILD / "spoor")) as server:
        line = json.dumps(measure(server, options))
    print(line)
    with open(BUILD / "sse.jsonl", "a", encoding="utf-8") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    main()
