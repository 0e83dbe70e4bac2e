#!/usr/bin/env python3
"""A subscriber that stops reading costs the server and the others nothing, and misses nothing.

usage: test_bus_slow.py [--seconds N] [--rate EVENTS_PER_S]      (5 s and 20,000 where nothing is said)

One SPOOR.SUBSCRIBE does not read for so long, while events come at that rate. Meanwhile the server
holds no more for it than `output-buffer`, its memory does not grow with what it owes, and other
subscribers are told as fast as before. Then it reads: every event, once, in order.
"""
import argparse
import re
import socket
import sys
import threading
import time

import harness
from harness import SOURCE, SPOOR

sys.path.insert(0, str(SOURCE / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from resp import Closed, Connection, Error, Push
from servers import Spoor

NUMBER = re.compile(rb'"number":"(\d{9})"')
BATCH_S = 0.01
OUTPUT_BUFFER = 8 << 20
# Under load the log's own tables and caches grow by some 120 MiB within a minute, whoever listens; what is
# owed after a minute at 50,000 events/s is 1.2 GiB.
GROWTH_KIB = 192 << 10
MIB = 1 << 20
COMMAND = (b"*9\r\n$4\r\nXADD\r\n$7\r\nslow:%02d\r\n$1\r\n*\r\n$4\r\ntype\r\n$9\r\nslow.load\r\n"
           b"$6\r\nnumber\r\n$9\r\n%09d\r\n$7\r\nfilling\r\n$100\r\n" + b"x" * 100 + b"\r\n")


class Load:
    """Adds events at a rate; each carries its number."""

    def __init__(self, server):
        self.connection = server.connect(timeout=60)
        self.sent = 0
        self.start = 0

    def batch(self, count):
        """Adds so many and waits for their ids; a reply of two lines each."""
        self.connection.send_bytes(b"".join(
            COMMAND % (number % 50, number) for number in range(self.sent, self.sent + count)))
        self.sent += count
        lines = 0
        while lines < 2 * count:
            data = self.connection.socket.recv(1 << 18)
            assert data and not data.startswith(b"-") and b"\n-" not in data, data[:200]
            lines += data.count(b"\r\n")

    def run(self, seconds, rate, watch):
        """Calls watch between batches; gives the rate that was reached."""
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < seconds:
            due = int((passed + BATCH_S) * rate) - (self.sent - self.start)
            if due > 0:
                self.batch(min(due, rate // 20))
            else:
                time.sleep(BATCH_S / 2)
            watch()
        return (self.sent - self.start) / (time.monotonic() - begun)

    def begin(self):
        self.start = self.sent


class Listener(threading.Thread):
    """A subscriber that reads, and notes how long each probe took to reach it."""

    def __init__(self, server, *command):
        super().__init__(daemon=True)
        self.connection = server.connect(timeout=120)
        self.connection.call("HELLO", "3")
        first = self.connection.call(*command)
        assert isinstance(first, Push), first
        self.delays = []

    def run(self):
        try:
            while True:
                push = self.connection.read(timeout=120)
                found = re.search(rb"probe-(\d+)", bytes(push[-1]))
                if found:
                    self.delays.append(time.monotonic() - int(found[1]) / 1e9)
        except (Closed, OSError):
            pass

    def take(self):
        delays, self.delays = self.delays, []
        assert delays, "a subscriber that reads was told of nothing"
        return sorted(delays)


class Prober(threading.Thread):
    """Publishes the time, a hundred times a second."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.connection = server.connect(timeout=60)
        self.over = False

    def run(self):
        while not self.over:
            reply = self.connection.call("PUBLISH", "slow.probe", f"probe-{time.monotonic_ns()}")
            assert not isinstance(reply, Error), reply
            time.sleep(0.01)


def subscribe_slowly(server):
    """A subscriber with little room of its own, so that the server feels at once that it stops."""
    connection = Connection.__new__(Connection)
    connection.timeout, connection.buffer, connection.at = 60, bytearray(), 0
    connection.socket = socket.socket()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    connection.socket.connect(("127.0.0.1", server.port))
    connection.call("HELLO", "3")
    connection.call("CLIENT", "SETNAME", "slow")
    first = connection.call("SPOOR.SUBSCRIBE", "TYPE", "slow.load", "FROM", "now")
    assert isinstance(first, Push), first
    return connection


def owed_bytes(control):
    """What the server holds for the slow subscriber, by CLIENT LIST."""
    listing = bytes(control.call("CLIENT", "LIST")).decode()
    row = next(line for line in listing.splitlines() if " name=slow " in line)
    return sum(int(re.search(rf" {field}=(\d+)", row)[1]) for field in ("obl", "omem"))


def catch_up(connection, first, last):
    """Reads until the last number; every one must come, once, in order."""
    expected, tail, begun = first, b"", time.monotonic()
    while expected <= last:
        assert time.monotonic() < begun + 300, f"at {expected} of {last} after five minutes"
        connection.socket.settimeout(60)
        data = connection.socket.recv(1 << 20)
        assert data, f"the server closed the connection at {expected} of {last}"
        data = tail + data
        end = 0
        for match in NUMBER.finditer(data):
            assert int(match[1]) == expected, f"{int(match[1])} came where {expected} is next"
            expected += 1
            end = match.end()
        tail = data[max(end, len(data) - 40):]
    return time.monotonic() - begun


def percentile(times, share):
    return times[min(len(times) - 1, int(len(times) * share))]


class Watch:
    """Samples what the server takes while it owes."""

    def __init__(self, server, control):
        self.server, self.control = server, control
        self.rss_kib = self.owed = 0
        self.next = 0

    def __call__(self):
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + 0.2
        self.rss_kib = max(self.rss_kib, self.server.rss_kib("RssAnon"))
        self.owed = max(self.owed, owed_bytes(self.control))


def backpressure_events(server):
    """(those that begin an episode, those that end one), as they stand in the log."""
    found = harness.events(server.folder, "--type", "agent.backpressure",
                           "--type", "agent.backpressure_cleared")
    return [event["type"] for event in found]


def a_subscriber_that_stops_reading_holds_nobody_up(folder):
    with Spoor(folder / "data", SPOOR) as server, server.connect() as control:
        listeners = [Listener(server, "SPOOR.SUBSCRIBE", "TYPE", "slow.probe", "FROM", "now"),
                     Listener(server, "SUBSCRIBE", "slow.probe"),
                     Listener(server, "PSUBSCRIBE", "slow.pr*")]
        prober, load = Prober(server), Load(server)
        for thread in (*listeners, prober):
            thread.start()
        load.begin()
        load.run(2, RATE, lambda: None)
        before = [percentile(listener.take(), 0.9) for listener in listeners]
        memory_kib = server.rss_kib("RssAnon")
        slow, watch, first = subscribe_slowly(server), Watch(server, control), load.sent
        load.begin()
        rate = load.run(SECONDS, RATE, watch)
        during = [percentile(listener.take(), 0.9) for listener in listeners]
        last = load.sent - 1
        took = catch_up(slow, first, last)
        # Live again: what comes now is told at once.
        load.batch(10)
        catch_up(slow, last + 1, last + 10)
        prober.over = True
        prober.join()
        print(f"# {last + 1 - first} events at {rate:.0f}/s while it did not read, read in {took:.1f} s; "
              f"memory {memory_kib >> 10} to {watch.rss_kib >> 10} MiB, at most {watch.owed} B owed; "
              f"others 90 %: {[round(each * 1e3, 1) for each in before]} ms before, "
              f"{[round(each * 1e3, 1) for each in during]} ms meanwhile")
        assert watch.owed <= OUTPUT_BUFFER + MIB, f"{watch.owed} bytes wait for the slow one"
        grown = watch.rss_kib - memory_kib
        assert grown < GROWTH_KIB, f"the server's memory grew by {grown >> 10} MiB"
        for was, now in zip(before, during):
            assert now < 5 * was + 0.05, f"others waited {now:.3f} s, {was:.3f} s before"
        # The announcement of an episode and of its end, once each.
        slow.close()
    kinds = backpressure_events(server)
    print(f"# {kinds}")
    assert len(kinds) == 2, kinds


parser = argparse.ArgumentParser()
parser.add_argument("--seconds", type=float, default=5)
parser.add_argument("--rate", type=int, default=20000)
ARGUMENTS = parser.parse_args()
SECONDS, RATE = ARGUMENTS.seconds, ARGUMENTS.rate
harness.run(a_subscriber_that_stops_reading_holds_nobody_up)
