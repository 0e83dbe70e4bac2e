#!/usr/bin/env python3
"""What comes live: channels in both protocols, SPOOR.SUBSCRIBE with its history, readers that stop.

What each command answers is in tests/protocol/pubsub.script; here are time and load.
"""
import json
import random
import socket
import sys
import threading
import time

import harness
from harness import SOURCE, SPOOR

sys.path.insert(0, str(SOURCE / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from resp import Connection, Error, Nil, Push, Timeout
from servers import Spoor


def serve(folder, *options):
    return Spoor(folder / "data", SPOOR, options)


def connect(server, protocol, name=None, receive_bytes=None):
    connection = Connection.__new__(Connection)
    connection.timeout, connection.buffer, connection.at = 30, bytearray(), 0
    connection.socket = socket.socket()
    if receive_bytes:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.socket.connect(("127.0.0.1", server.port))
    if protocol == 3:
        connection.call("HELLO", "3")
    if name:
        assert connection.call("CLIENT", "SETNAME", name) == "OK"
    return connection


def shape(protocol):
    return Push if protocol == 3 else list


def event_of(push):
    """(subscription, position, event) of a push of SPOOR.SUBSCRIBE."""
    kind, name, position, entry, line = push
    assert kind == b"event", push
    event = json.loads(line)
    assert event["position"] == position and event["entryid"] == entry.decode(), push
    return name.decode(), position, event


class Producer(threading.Thread):
    """Appends events, a batch at a time, until it is told to end; counts them."""

    def __init__(self, server, number, pause_s=0.0):
        super().__init__(daemon=True)
        self.connection = server.connect(timeout=60)
        self.number, self.pause_s = number, pause_s
        self.sent, self.over, self.failure = 0, False, None

    def run(self):
        prng = random.Random(self.number)
        try:
            while not self.over:
                count = prng.randrange(1, 40)
                ids = self.connection.pipeline(self.command(self.sent + i) for i in range(count))
                assert not any(isinstance(each, Error) for each in ids), ids
                self.sent += count
                time.sleep(self.pause_s)
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def command(self, n):
        return ("XADD", f"made:{self.number}", "*", "type", f"load.p{self.number}", "n", n)

    def end(self):
        self.over = True
        self.join()
        assert self.failure is None, self.failure


class Follower(threading.Thread):
    """Subscribes from a position, reads until it has all, and checks the sequence."""

    def __init__(self, server, protocol, start, *query, drop=0.0):
        super().__init__(daemon=True)
        self.server, self.protocol, self.start_at, self.query = server, protocol, start, query
        self.drop = drop  # how likely it is that it hangs up after an event, and comes again
        self.got, self.until, self.failure, self.connections = [], None, None, 0

    def run(self):
        try:
            prng = random.Random(self.start_at)
            position = self.start_at
            while not self.complete(position):
                connection = connect(self.server, self.protocol)
                self.connections += 1
                first = connection.call("SPOOR.SUBSCRIBE", *self.query, "FROM", position)
                assert first[0] == b"spoor.subscribe" and first[3] == position, first
                while not self.complete(position):
                    try:
                        push = connection.read(timeout=0.2)
                    except Timeout:
                        continue
                    assert isinstance(push, shape(self.protocol)), push
                    _, at, event = event_of(push)
                    self.got.append((at, event["type"], event["data"]["n"]))
                    position = at + 1
                    if prng.random() < self.drop:
                        break
                connection.close()
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def complete(self, position):
        return self.until is not None and position > self.until

    def end(self, last):
        self.until = last
        self.join(60)
        if self.failure:
            raise self.failure
        assert not self.is_alive(), f"it waits at {self.got[-1:]}, {last} is the last one"


def all_events(server):
    """(position, type, n) of the load, as SPOOR.READ has it."""
    with server.connect(timeout=60) as connection:
        lines = connection.call("SPOOR.READ", "TYPE", "load.#", "LIMIT", 10_000_000)
    events = [json.loads(line) for line in lines]
    return [(event["position"], event["type"], event["data"]["n"]) for event in events]


def history_and_live_are_one_sequence(folder):
    with serve(folder) as server:
        producers = [Producer(server, number) for number in range(2)]
        for producer in producers:
            producer.start()
        time.sleep(0.3)
        followers = []
        for number in range(12):
            query = (("TYPE", "load.#"), ("TYPE", "load.p1"), ("STREAM", "made:0"),
                     ("TYPE", "load.p0", "FILTER", '{"data.n": {"$regex": "[02468]$"}}'))[number % 4]
            drop = 0.02 if number >= 8 else 0.0
            followers.append(Follower(server, 2 + number % 2, 1 + number * 7, *query, drop=drop))
            followers[-1].start()
            time.sleep(0.1)
        for producer in producers:
            producer.end()
        events = all_events(server)
        total = sum(producer.sent for producer in producers)
        assert len(events) == total and total > 1000, (len(events), total)
        wanted = (lambda e: True, lambda e: e[1] == "load.p1", lambda e: e[1] == "load.p0",
                  lambda e: e[1] == "load.p0" and int(e[2]) % 2 == 0)
        for number, follower in enumerate(followers):
            expected = [e for e in events
                        if e[0] >= follower.start_at and wanted[number % 4](e)]
            follower.end(expected[-1][0])
            assert follower.got == expected, (number, len(follower.got), len(expected))
        print(f"# {total} events, {[len(f.got) for f in followers]} of them told, "
              f"{sum(f.connections for f in followers)} subscriptions")


def a_subscriber_goes_on_after_the_server_was_killed(folder):
    server = serve(folder)
    server.start()
    with server.connect() as control, connect(server, 3) as subscriber:
        subscriber.call("SPOOR.SUBSCRIBE", "TYPE", "load.#", "FROM", 1)
        for n in range(300):
            control.call("XADD", "made", "*", "type", "load.a", "n", n)
        at = [event_of(subscriber.read())[1] for _ in range(200)][-1]
    server.kill()
    server.start()
    with connect(server, 3) as subscriber, server.connect() as control:
        subscriber.call("SPOOR.SUBSCRIBE", "TYPE", "load.#", "FROM", at + 1)
        control.call("XADD", "made", "*", "type", "load.a", "n", 300)
        got = [int(event_of(subscriber.read())[2]["data"]["n"]) for _ in range(101)]
        assert got == list(range(200, 301)), got
    assert server.stop() == 0


def several_subscriptions_on_one_connection(folder):
    for protocol in (2, 3):
        with serve(folder / str(protocol)) as server, server.connect() as control:
            for n in range(5):
                control.call("XADD", "s", "*", "type", f"t.{n}", "n", n)
            with connect(server, protocol) as connection:
                subscribe_to_several(control, connection, protocol)


def subscribe_to_several(control, connection, protocol):
    first = connection.call("SPOOR.SUBSCRIBE", "AS", "old", "TYPE", "t.*", "FROM", 1)
    assert first == [b"spoor.subscribe", b"old", 1, 1], first
    assert isinstance(first, shape(protocol))
    got = [event_of(connection.read())[:2] for _ in range(5)]
    assert got == [("old", n) for n in range(1, 6)], got
    second = connection.call("SPOOR.SUBSCRIBE", "TYPE", "t.1", "TYPE", "t.9")
    assert second == [b"spoor.subscribe", b"1", 2, 6], second
    again = connection.call("SPOOR.SUBSCRIBE", "AS", "old")
    assert isinstance(again, Error) and "already" in again, again
    control.call("XADD", "s", "*", "type", "t.9", "n", 9)
    both = sorted(event_of(connection.read())[0] for _ in range(2))
    assert both == ["1", "old"], both
    ended = connection.call("SPOOR.UNSUBSCRIBE", "old")
    assert ended == [b"spoor.unsubscribe", b"old", 1], ended
    control.call("XADD", "s", "*", "type", "t.1", "n", 1)
    assert event_of(connection.read())[0] == "1"
    if protocol == 2:
        refused = connection.call("XLEN", "s")
        assert isinstance(refused, Error) and "Can't execute 'xlen'" in refused, refused
        assert connection.call("PING") == [b"pong", b""]
    else:
        assert connection.call("XLEN", "s") == 7
    ended = connection.call("SPOOR.UNSUBSCRIBE")
    assert ended == [b"spoor.unsubscribe", b"1", 0], ended
    ended = connection.call("SPOOR.UNSUBSCRIBE")
    assert isinstance(ended[1], Nil) and ended[2] == 0, ended
    assert connection.call("PING") == "PONG"
    control.call("XADD", "s", "*", "type", "t.1", "n", 2)
    assert connection.silent(0.1)


def a_limit_ends_a_subscription(folder):
    with serve(folder) as server, server.connect() as control, connect(server, 3) as connection:
        for n in range(3):
            control.call("PUBLISH", "t", n)
        connection.call("SPOOR.SUBSCRIBE", "TYPE", "t", "FROM", 2, "LIMIT", 3, "AS", "three")
        assert [event_of(connection.read())[1] for _ in range(2)] == [2, 3]
        control.pipeline([("PUBLISH", "t", n) for n in range(5)])
        assert event_of(connection.read())[1] == 4
        assert connection.read() == [b"spoor.unsubscribe", b"three", 0]
        assert connection.silent(0.1)


def bad_subscriptions_are_refused(folder):
    with serve(folder) as server, connect(server, 3) as connection:
        for words, piece in ((("TYPE", "a b"), "type"), (("FILTER", "{"), "filter"),
                             (("FROM", "yesterday"), "from"), (("UNTIL", "now"), "UNTIL"),
                             (("REVERSE",), "REVERSE"), (("TYPE",), "nothing follows"),
                             (("COLOUR", "red"), "COLOUR"), (("LIMIT", "-1"), "LIMIT"),
                             (("STREAM", "a", "STREAM", "b"), "twice")):
            reply = connection.call("SPOOR.SUBSCRIBE", *words)
            assert isinstance(reply, Error) and piece in reply, (words, reply)
        assert connection.call("SPOOR.UNSUBSCRIBE")[2] == 0


class Stopped:
    """A subscriber with little room of its own, which does not read until it is told to."""

    def __init__(self, server, protocol, *command):
        self.connection = connect(server, protocol, "stopped", receive_bytes=64 << 10)
        self.first = self.connection.call(*command)

    def read_until(self, last, text):
        """Every payload up to the last one, as `text` finds them in messages."""
        got = []
        while not got or got[-1] != last:
            got.append(text(self.connection.read()))
        return got


def channels_of_a_reader_that_stops_come_in_order(folder):
    payload = "x" * 2000
    with serve(folder, "--output-buffer", "1Mi") as server, server.connect(timeout=60) as control:
        stopped = [Stopped(server, 3, "SUBSCRIBE", "load.a"), Stopped(server, 2, "SUBSCRIBE", "load.a"),
                   Stopped(server, 3, "PSUBSCRIBE", "load.*"), Stopped(server, 2, "PSUBSCRIBE", "l*a")]
        assert stopped[2].connection.call("SUBSCRIBE", "load.b")[2] == 2
        reading = connect(server, 3)
        reading.call("SUBSCRIBE", "load.b")
        count = 6000
        before = server.rss_kib("RssAnon")
        for start in range(0, count, 500):
            replies = control.pipeline(
                ("PUBLISH", "load.b" if n % 10 == 0 else "load.a", f"{n:06}{payload}")
                for n in range(start, start + 500))
            assert not any(isinstance(each, Error) for each in replies)
            for n in range(start, start + 500, 10):
                assert bytes(reading.read()[2][:6]) == b"%06d" % n
        grown = server.rss_kib("RssAnon") - before
        info = bytes(control.call("INFO", "stats")).decode()
        assert "spoor_subscriptions_lagging:4\r\nspoor_backpressure_episodes:4\r\n" in info, info
        # Late subscriptions of somebody who lags are for what comes late.
        all_numbers = list(range(count))
        of_a = [n for n in all_numbers if n % 10]

        def number(push):
            return int(push[-1][:6])

        for each in (stopped[0], stopped[1]):
            assert each.read_until(of_a[-1], number) == of_a
        both = stopped[2].read_until(of_a[-1], number)
        expected = [n for n in all_numbers for _ in range(1 if n % 10 else 2)]
        assert both == expected, len(both)
        assert stopped[3].read_until(of_a[-1], number) == of_a
        control.call("PUBLISH", "load.a", "000000 live again")
        for each in stopped:
            assert bytes(each.connection.read(timeout=5)[-1]) == b"000000 live again"
        assert grown < 64 << 10, f"memory grew by {grown} KiB"
        episodes = [json.loads(line) for line in control.call("SPOOR.READ", "STREAM", "$subscribers")]
        kinds = [event["type"] for event in episodes]
        assert kinds.count("agent.backpressure") == 4, kinds
        deadline = time.monotonic() + 5
        while kinds.count("agent.backpressure_cleared") < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
            kinds = [json.loads(line)["type"]
                     for line in control.call("SPOOR.READ", "STREAM", "$subscribers")]
        assert len(kinds) == 8 and kinds.count("agent.backpressure_cleared") == 4, kinds
        begun = episodes[0]["data"]
        assert begun["name"] == "stopped" and begun["subscription"] == "channels", begun
        assert begun["buffered"] > 900 << 10 and begun["client"] > 0, begun


def announcements_do_not_feed_on_themselves(folder):
    with serve(folder, "--output-buffer", "1Mi") as server, server.connect(timeout=60) as control:
        slow = [Stopped(server, 3, "SPOOR.SUBSCRIBE", "TYPE", "#"), Stopped(server, 3, "PSUBSCRIBE", "*")]
        count = 1500  # more than the kernel keeps for a connection
        for _ in range(4):
            control.pipeline([("PUBLISH", "big", "y" * 10000)] * count)
            for each in slow:
                seen = 0
                while seen < count:
                    push = each.connection.read()
                    seen += b"yyyy" in bytes(push[-1])
        time.sleep(0.5)
        kinds = [json.loads(line)["type"]
                 for line in control.call("SPOOR.READ", "STREAM", "$subscribers")]
        assert 2 <= len(kinds) <= 100 and len(kinds) % 2 == 0, kinds
        assert kinds.count("agent.backpressure") == len(kinds) // 2, kinds


def ephemeral_topics_are_delivered_and_not_stored(folder):
    with serve(folder, "--ephemeral-topics", "typing.# presence.*") as server:
        with server.connect() as control, connect(server, 3) as a, connect(server, 2) as b:
            a.call("SUBSCRIBE", "typing.ann")
            b.call("PSUBSCRIBE", "*")
            assert control.call("PUBLISH", "typing.ann", "…") == 2
            assert a.read() == [b"message", b"typing.ann", "…".encode()]
            assert b.read() == [b"pmessage", b"*", b"typing.ann", "…".encode()]
            assert control.call("PUBLISH", "presence.bob", "on") == 1
            assert b.read()[2:] == [b"presence.bob", b"on"]
            assert control.call("PUBLISH", "presence.bob.x", "kept") == 1
            assert b.read()[3] == b"kept"
            # Of oneself, and within a transaction.
            a.call("SUBSCRIBE", "typing.me")
            assert a.call("PUBLISH", "typing.me", "1") == 2
            assert a.read() == [b"message", b"typing.me", b"1"]
            b.read()
            replies = control.pipeline([("MULTI",), ("PUBLISH", "typing.me", "2"),
                                        ("PUBLISH", "stored", "3"), ("EXEC",)])
            assert replies[3] == [2, 1], replies
            assert a.read()[2] == b"2"
            assert sorted(bytes(b.read()[3]) for _ in range(2)) == [b"2", b"3"]
            stored = [json.loads(line)["data"] for line in control.call("SPOOR.READ")]
            assert stored == ["kept", 3], stored


def what_is_published_unread_and_unstored_is_dropped(folder):
    with serve(folder, "--ephemeral-topics", "e.#", "--output-buffer", "1Mi") as server:
        with server.connect(timeout=60) as control:
            stopped = Stopped(server, 3, "PSUBSCRIBE", "*")
            for _ in range(40):
                control.pipeline([("PUBLISH", "e.x", "z" * 10000)] * 100)
            assert server.rss_kib("RssAnon") < 200 << 10
            assert control.call("PUBLISH", "stored", "after") == 1
            seen = 0
            while (push := stopped.connection.read())[2] != b"stored":
                seen += 1
            assert bytes(push[3]) == b"after" and 0 < seen < 4000, seen


def a_message_larger_than_the_buffer_comes_alone(folder):
    size = 1_000_000  # as JSON a third more, which is more than output-buffer
    with serve(folder, "--output-buffer", "1Mi") as server, server.connect(timeout=60) as control:
        stopped = [Stopped(server, 3, "SPOOR.SUBSCRIBE", "TYPE", "big"),
                   Stopped(server, 2, "SUBSCRIBE", "big")]
        for n in range(8):
            assert control.call("PUBLISH", "big", b"\xff%d" % n + bytes(size)) == 1
            control.call("PUBLISH", "small", "s")
        time.sleep(0.3)
        before = server.cpu_s()
        time.sleep(1)
        assert server.cpu_s() - before < 0.5, "the server is busy with waiting"
        for n in range(8):
            event = event_of(stopped[0].connection.read())[2]
            assert len(event["data_base64"]) > size * 4 // 3, n
            message = stopped[1].connection.read()[2]
            assert message[:2] == b"\xff%d" % n and len(message) == size + 2, n


def the_server_ends_though_somebody_does_not_read(folder):
    server = serve(folder, "--output-buffer", "1Mi")
    server.start()
    with server.connect(timeout=60) as control:
        stopped = Stopped(server, 3, "SUBSCRIBE", "big")
        control.pipeline([("PUBLISH", "big", "y" * 10000)] * 500)
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 15
        stopped.connection.close()


def messages_come_with_replies_off(folder):
    with serve(folder) as server, server.connect() as control, connect(server, 3) as quiet:
        quiet.send("CLIENT", "REPLY", "OFF")
        quiet.send("SUBSCRIBE", "ch")
        assert quiet.read() == [b"subscribe", b"ch", 1]
        quiet.send("PING")
        control.call("PUBLISH", "ch", "m")
        assert quiet.read() == [b"message", b"ch", b"m"]
        quiet.send("UNSUBSCRIBE", "ch")
        assert quiet.read() == [b"unsubscribe", b"ch", 0]


def many_subscriptions_come_and_go(folder):
    with serve(folder) as server, server.connect(timeout=60) as control:
        prng = random.Random(3)
        connections = [connect(server, 3) for _ in range(20)]
        wanted = [set() for _ in connections]
        for _ in range(300):
            at = prng.randrange(len(connections))
            channel = f"c{prng.randrange(5)}"
            verb = "UNSUBSCRIBE" if channel in wanted[at] else "SUBSCRIBE"
            connections[at].call(verb, channel)
            wanted[at] ^= {channel}
            if prng.random() < 0.05:
                connections[at].close()
                connections[at], wanted[at] = connect(server, 3), set()
            sent = f"c{prng.randrange(5)}"
            receivers = [n for n, channels in enumerate(wanted) if sent in channels]
            deadline = time.monotonic() + 5
            while control.call("PUBSUB", "NUMSUB", sent)[1] != len(receivers):
                assert time.monotonic() < deadline, "a client that left is still counted"
            assert control.call("PUBLISH", sent, "m") == len(receivers)
            for n in receivers:
                assert connections[n].read() == [b"message", sent.encode(), b"m"]
        for connection in connections:
            connection.close()


harness.run(
    history_and_live_are_one_sequence,
    a_subscriber_goes_on_after_the_server_was_killed,
    several_subscriptions_on_one_connection,
    a_limit_ends_a_subscription,
    bad_subscriptions_are_refused,
    channels_of_a_reader_that_stops_come_in_order,
    announcements_do_not_feed_on_themselves,
    ephemeral_topics_are_delivered_and_not_stored,
    what_is_published_unread_and_unstored_is_dropped,
    a_message_larger_than_the_buffer_comes_alone,
    the_server_ends_though_somebody_does_not_read,
    messages_come_with_replies_off,
    many_subscriptions_come_and_go,
)
