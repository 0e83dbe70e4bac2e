#!/usr/bin/env python3
"""A server killed under load keeps what it acknowledged: events, work that was done, and groups.

usage: test_bus_kill.py [--rounds N]      (5 rounds where nothing is said)

Fifty clients add events and work through them in a consumer group, over the same folder round after
round; each ends with kill -9. What a reply had said before the kill must hold after it:

    XADD's id         the event is there, once, under that id; one whose reply was lost may be there
    XACK's count      the entry is not pending, and is never handed out again
    group             it stands at or behind the last entry that was acknowledged, its consumers are
                      there, and nothing between was skipped: in the end each event was acknowledged
"""
import argparse
import os
import random
import sys
import threading
import time

import harness
from harness import SOURCE, SPOOR, spoor

sys.path.insert(0, str(SOURCE / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from resp import Closed, Error, Nil
from servers import Redis, Spoor

STREAMS = [b"kill:a", b"kill:b", b"kill:c"]
GROUP = b"workers"
PRODUCERS, CONSUMERS = 38, 12
ORACLE = bool(os.environ.get("SPOOR_ORACLE"))


class Ledger:
    """What the clients know, over all rounds."""

    def __init__(self):
        self.lock = threading.Lock()
        self.added = {key: {} for key in STREAMS}     # id: token, of acknowledged XADDs
        self.unsure = set()                           # tokens whose reply was lost
        self.done = {key: set() for key in STREAMS}   # ids that XACK counted
        self.half_done = {key: set() for key in STREAMS}  # ids whose XACK's reply was lost
        self.seen = {key: {} for key in STREAMS}      # id: token, of everything that was delivered
        self.problems = []

    def problem(self, text):
        with self.lock:
            self.problems.append(text)


class Client(threading.Thread):
    """A connection that works until the server is gone."""

    def __init__(self, server, ledger, name):
        super().__init__(name=name)
        self.connection = server.connect(timeout=20)
        self.ledger = ledger

    def run(self):
        try:
            while True:
                self.turn()
        except Closed:
            pass
        except Exception as problem:  # pylint: disable=broad-except
            self.ledger.problem(f"{self.name}: {problem!r}")
        finally:
            self.connection.close()

    def turn(self):
        raise NotImplementedError

    def check(self, reply):
        if isinstance(reply, Error):
            raise AssertionError(reply)
        return reply


class Producer(Client):
    def __init__(self, *args):
        super().__init__(*args)
        self.dice = random.Random(self.name)
        self.count = 0

    def turn(self):
        key = self.dice.choice(STREAMS)
        tokens = []
        for _ in range(self.dice.choice((1, 1, 1, 2, 8))):
            self.count += 1
            tokens.append(f"{self.name}-{self.count}".encode())
        try:
            for token in tokens:
                self.connection.send("XADD", key, "*", "token", token, "type", "kill.test")
            while tokens:
                ident = bytes(self.check(self.connection.read()))
                token = tokens.pop(0)
                with self.ledger.lock:
                    if ident in self.ledger.added[key]:
                        self.ledger.problems.append(f"{ident} of {key} was given twice")
                    self.ledger.added[key][ident] = token
        finally:
            with self.ledger.lock:
                self.ledger.unsure.update(tokens)


class Consumer(Client):
    def __init__(self, server, ledger, name, number):
        super().__init__(server, ledger, name)
        self.consumer = f"consumer-{number}".encode()
        self.dice = random.Random(name)

    def turn(self):
        reply = self.check(self.connection.call(
            "XREADGROUP", "GROUP", GROUP, self.consumer, "COUNT", self.dice.choice((1, 5, 20)),
            "BLOCK", 100, "STREAMS", *STREAMS, *[">"] * len(STREAMS)))
        for key, entries in reply or []:
            ids = note_delivered(self.ledger, bytes(key), entries, self.name)
            if self.dice.random() < 0.9:
                acknowledge(self.connection, self.ledger, bytes(key), ids)


def note_delivered(ledger, key, entries, who):
    ids = []
    with ledger.lock:
        for ident, fields in entries:
            ident, token = bytes(ident), bytes(fields[1])
            if ident in ledger.done[key]:
                ledger.problems.append(f"{who}: {ident} of {key} came again, though acknowledged")
            if ledger.seen[key].setdefault(ident, token) != token:
                ledger.problems.append(f"{who}: {ident} of {key} is another event now")
            ids.append(ident)
    return ids


def acknowledge(connection, ledger, key, ids):
    with ledger.lock:
        ledger.half_done[key].update(ids)
    count = connection.call("XACK", key, GROUP, *ids)
    with ledger.lock:
        if count != len(ids):
            ledger.problems.append(f"XACK of {len(ids)} that were just delivered says {count}")
        ledger.half_done[key].difference_update(ids)
        ledger.done[key].update(ids)


def entries_behind(connection, key, last):
    """The entries behind an id, read in pieces."""
    while True:
        found = connection.call("XRANGE", key, b"(" + last, "+", "COUNT", 1000)
        assert not isinstance(found, Error), found
        yield from ((bytes(ident), bytes(fields[1])) for ident, fields in found)
        if len(found) < 1000:
            return
        last = bytes(found[-1][0])


class Checker:
    """Compares the server with the ledger after each kill."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.tokens = {}  # token: (stream, id), of everything stored
        self.last = {key: b"0-0" for key in STREAMS}

    def check(self, server):
        with server.connect(timeout=60) as connection:
            for key in STREAMS:
                self.check_events(connection, key)
                self.check_group(connection, key)
        assert not self.ledger.problems, self.ledger.problems[:10]

    def check_events(self, connection, key):
        added = self.ledger.added[key]
        for ident, token in entries_behind(connection, key, self.last[key]):
            assert token not in self.tokens, f"{token} is doubled"
            assert ident in added or token in self.ledger.unsure, f"nobody added {ident} {token}"
            assert added.get(ident, token) == token, f"{ident} holds {token}, not {added[ident]}"
            self.tokens[token] = (key, ident)
            self.last[key] = ident
        lost = [(ident, token) for ident, token in added.items()
                if self.tokens.get(token) != (key, ident)]
        assert not lost, f"{len(lost)} acknowledged events are lost: {lost[:5]}"
        assert connection.call("XLEN", key) == sum(each[0] == key for each in self.tokens.values())

    def check_group(self, connection, key):
        done = self.ledger.done[key]
        pending = {bytes(row[0]) for row in connection.call("XPENDING", key, GROUP, "-", "+", 10**7)}
        assert not pending & done, f"{len(pending & done)} acknowledged entries are pending again"
        group = dict(pairs(connection.call("XINFO", "GROUPS", key)[0]))
        highest = max(done, key=order, default=b"0-0")
        assert order(bytes(group[b"last-delivered-id"])) >= order(highest), (group, highest)
        assert group[b"pending"] == len(pending)


def pairs(flat):
    return zip(map(bytes, flat[::2]), flat[1::2])


def order(ident):
    return tuple(map(int, ident.split(b"-")))


def finish(server, ledger, checker):
    """Whatever is left is worked through; then every event has been acknowledged."""
    with server.connect(timeout=60) as connection:
        for key in STREAMS:
            cursor = b"0-0"
            while True:
                cursor, entries, gone = connection.call("XAUTOCLAIM", key, GROUP, "heir", 0, cursor,
                                                        "COUNT", 500)
                assert gone == [], gone
                ids = note_delivered(ledger, key, entries, "heir")
                if ids:
                    acknowledge(connection, ledger, key, ids)
                if bytes(cursor) == b"0-0":
                    break
            while not isinstance(reply := connection.call(
                    "XREADGROUP", "GROUP", GROUP, "heir", "COUNT", 500, "STREAMS", key, ">"), Nil):
                acknowledge(connection, ledger, key, note_delivered(ledger, key, reply[0][1], "heir"))
            stored = {ident for stream, ident in checker.tokens.values() if stream == key}
            undone = stored - ledger.done[key] - ledger.half_done[key]
            assert not undone, f"{len(undone)} events were never handed out: {sorted(undone)[:5]}"
            assert connection.call("XPENDING", key, GROUP)[0] == 0
            assert dict(pairs(connection.call("XINFO", "GROUPS", key)[0]))[b"lag"] == 0
    assert not ledger.problems, ledger.problems[:10]


def make_groups(server):
    with server.connect() as connection:
        for key in STREAMS:
            assert connection.call("XGROUP", "CREATE", key, GROUP, "0", "MKSTREAM") == "OK"


def load_until_killed(server, ledger, number, dice):
    clients = [Producer(server, ledger, f"r{number}p{index}") for index in range(PRODUCERS)]
    clients += [Consumer(server, ledger, f"r{number}c{index}", index) for index in range(CONSUMERS)]
    for client in clients:
        client.start()
    time.sleep(dice.uniform(0.3, 1.5))
    server.kill()
    for client in clients:
        client.join(30)
        assert not client.is_alive(), f"{client.name} did not notice that the server is gone"


def a_server_killed_under_load_keeps_what_it_acknowledged(folder):
    server = Redis(folder / "redis", "always") if ORACLE else Spoor(folder / "data", SPOOR)
    ledger, dice = Ledger(), random.Random(11)
    checker = Checker(ledger)
    server.start()
    try:
        make_groups(server)
        for number in range(ROUNDS):
            before = len(checker.tokens)
            load_until_killed(server, ledger, number, dice)
            server.start()
            checker.check(server)
            assert len(checker.tokens) > before, "nothing was added in this round"
        finish(server, ledger, checker)
        checker.check(server)
    finally:
        server.stop()
    print(f"# {ROUNDS} kills, {len(checker.tokens)} events, "
          f"{sum(map(len, ledger.done.values()))} acknowledged as done")
    if not ORACLE:
        spoor("verify", data=folder / "data")


parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=5)
ROUNDS = parser.parse_args().rounds
harness.run(a_server_killed_under_load_keeps_what_it_acknowledged)
