#!/usr/bin/env python3
"""Measures presence: agents that send a heartbeat every 30 s, and what that costs the server.

usage: agents.py [--agents N] [--connections N] [--seconds S] [--http | --ping]

Heartbeats are spread evenly, over the Redis protocol or, with --http, over HTTP, on a few kept connections.
The share of a processor is that of the server's own time, less what it takes when nobody beats. With --ping
they send PING instead, which is what any command costs that comes alone: to wait, to read and to write. Printed
as one line of JSON, which is also appended to build/agents.jsonl.
"""
import argparse
import json
import os
import pathlib
import socket
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from servers import Spoor

BUILD = ROOT / os.environ.get("SPOOR_BUILD", "build")
EVERY_S = 30
BATCH = 500


def bulk(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def name(number):
    return b"agent-%06d" % number


def announce(server, count):
    with server.connect(timeout=60) as connection:
        for start in range(0, count, BATCH):
            some = range(start, min(start + BATCH, count))
            connection.send_bytes(b"".join(
                bulk(b"SPOOR.APPEND", b"fleet", b"*", b"agent.online",
                     b'{"capabilities":["x","c%d"],"capacity":4}' % (i % 100), b"source", name(i)) for i in some))
            for _ in some:
                connection.read()


def request(number, options):
    if options.ping:
        return bulk(b"PING")
    if options.http:
        return (b"POST /v1/agents/%s/heartbeat HTTP/1.1\r\nHost: bench\r\nContent-Length: 10\r\n\r\n"
                b'{"load":1}' % name(number))
    return bulk(b"SPOOR.AGENT", b"HEARTBEAT", name(number), b"LOAD", b"1")


def beat(sockets, options):
    """Heartbeats at the rate of so many agents, one after another; gives how many."""
    rate = options.agents / EVERY_S
    begun = time.monotonic()
    sent = 0
    answer = b'"online"' if options.http else b"+PONG\r\n" if options.ping else b"$6\r\nonline\r\n"
    while sent < rate * options.seconds:
        late = begun + sent / rate - time.monotonic()
        if late > 0:
            time.sleep(late)
        at = sockets[sent % len(sockets)]
        at.sendall(request(sent % options.agents, options))
        reply = b""
        while answer not in reply:
            more = at.recv(4096)
            assert more, reply
            reply += more
        sent += 1
    return sent


def cpu_share(server, seconds, work):
    before, begun = server.cpu_s(), time.monotonic()
    work()
    rest = begun + seconds - time.monotonic()
    if rest > 0:
        time.sleep(rest)
    return (server.cpu_s() - before) / (time.monotonic() - begun)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=10000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--http", action="store_true")
    how.add_argument("--ping", action="store_true")
    options = parser.parse_args()
    with Spoor(program=str(BUILD / "spoor")) as server:
        announce(server, options.agents)
        port = server.http_port if options.http else server.port
        sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(options.connections)]
        idle = cpu_share(server, options.seconds / 4, lambda: None)
        done = []
        busy = cpu_share(server, options.seconds, lambda: done.append(beat(sockets, options)))
        with server.connect() as connection:
            begun = time.monotonic()
            rounds = 200
            for _ in range(rounds):
                found = connection.call("SPOOR.AGENT", "LIST", "CAPABILITY", "c7", "FREE", "LIMIT", 10)
                assert len(found) == min(10, (options.agents + 92) // 100), found
            find_us = (time.monotonic() - begun) / rounds * 1e6
        line = json.dumps({"bench": "agents", "by": "http" if options.http else "ping" if options.ping else "resp",
                           "agents": options.agents, "heartbeats": done[0], "cpu_share_idle": round(idle, 5),
                           "cpu_share": round(busy - idle, 5),
                           "cpu_us_each": round((busy - idle) * options.seconds / done[0] * 1e6, 2),
                           "find_10_of_100_us": round(find_us, 1), "rss_kib": server.rss_kib()})
    print(line)
    with open(BUILD / "agents.jsonl", "a", encoding="utf-8") as out:
        out.write(line + "\n")


if __name__ == "__main__":
    main()
