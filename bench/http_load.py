#!/usr/bin/env python3
"""Measures HTTP: durable appends and reads over keep-alive connections, with wrk on the same machine.

usage: http_load.py [--seconds N] [--connections N] [--threads N] [--only PART,…] [--data DIR]

Parts: one (an event a request), batch (a hundred a request), read (the ten newest events). Each runs on
a server of its own with durability `always`; afterwards the events in the log are counted, and there
must be one for each that was acknowledged.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
EVENTS = {"one": 1, "batch": 100, "read": 0}
READY = re.compile(r"ready resp=\S+ http=(\S+) ")


def load(address, part, options):
    command = ["wrk", f"-t{options.threads}", f"-c{options.connections}", f"-d{options.seconds}s",
               "-s", str(ROOT / "bench" / "http_load.lua"), f"http://{address}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True,
                          env={**os.environ, "WHAT": part}, timeout=options.seconds + 60)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return json.loads(line[len("RESULT "):])


def position(address):
    with urllib.request.urlopen(f"http://{address}/v1", timeout=30) as reply:
        return json.load(reply)["position"]


def fill(address):
    """Something to read."""
    body = json.dumps([{"type": "a.b", "source": "bench", "data": {"n": n}} for n in range(100)]).encode()
    asked = urllib.request.Request(f"http://{address}/v1/events", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as reply:
        reply.read()


def measure(part, options):
    data = tempfile.mkdtemp(prefix="spoor-http-", dir=options.data)
    server = subprocess.Popen(
        [options.spoor, "serve", "--data", data, "--resp-port", "0", "--http-port", "0"],
        stdout=subprocess.PIPE, text=True)
    try:
        address = READY.match(server.stdout.readline())[1]
        if part == "read":
            fill(address)
        result = load(address, part, options)
        appended = position(address)
    finally:
        server.terminate()
        server.communicate(timeout=60)
        shutil.rmtree(data, ignore_errors=True)
    events = result["requests"] * EVENTS[part]
    if result["failed"] or result["refused"] or appended < events:
        sys.exit(f"http_load.py: {part}: {result}, {appended} events in the log")
    rate = result["requests"] / result["seconds"]
    print(f"| {part} | {rate:,.0f} | {rate * EVENTS[part]:,.0f} | {result['p50_ms']:.2f} | "
          f"{result['p99_ms']:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default=",".join(EVENTS))
    parser.add_argument("--data", default=str(ROOT / "build"), help="where folders are made")
    parser.add_argument("--spoor", default=str(ROOT / "build" / "spoor"))
    options = parser.parse_args()
    print(f"{options.connections} connections, {options.seconds} s, {options.threads} threads of wrk\n")
    print("| part | requests/s | events/s | p50 ms | p99 ms |\n|---|---|---|---|---|", flush=True)
    for part in options.only.split(","):
        measure(part, options)


main()
