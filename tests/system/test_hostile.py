#!/usr/bin/env python3
"""Clients that break every rule, beside clients that break none: those are served as if nothing was.

usage: test_hostile.py [--seconds N] [--seed N]      (6 s where nothing is said)

What a hostile client gets is an error or a closed connection. The server lives, its memory stays within
its settings, and what it acknowledged to the others is there, also after it has been killed.
"""
import argparse
import random
import socket
import sys
import threading
import time

import harness
from harness import SOURCE, SPOOR

sys.path.insert(0, str(SOURCE / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from resp import Closed, Connection, Error, Timeout, encode
from servers import Spoor

MIB = 1 << 20
U64 = str((1 << 64) - 1)
GOOD = 3
HOSTILE = 6
OPTIONS = ("--memory-budget", "64Mi", "--query-buffer", "4Mi", "--bulk-bytes-max", "2Mi",
           "--reply-bytes-max", "8Mi", "--output-buffer", "1Mi", "--max-connections", "200")
NUMBERS = ("0", "1", "-1", "2147483648", "4294967296", str((1 << 63) - 1), str(-(1 << 63)), U64, U64 + "0",
           "01", "+1", "1e9", "", " 1", "0x10", "none")
IDS = ("0", "-", "+", "$", ">", "*", "1-1", "1-*", U64, f"{U64}-{U64}", "(1", f"({U64}-{U64}", "1-", "-1",
       "1-1-1", "now")
KEYS = ("good:0", "h", "$all", "$type:#", "$type:a.*", "$type:", "$source:x", "$correlation:x", "", "\xff",
        "k" * 4096, "k" * 4097, "a\nb", "a\0b")
WORDS = ("COUNT", "BLOCK", "STREAMS", "GROUP", "MAXLEN", "MINID", "~", "=", "LIMIT", "NOMKSTREAM", "IDMP",
         "NOACK", "JUSTID", "FORCE", "IDLE", "TIME", "RETRYCOUNT", "LASTID", "ENTRIESREAD", "MKSTREAM",
         "FROM", "TYPE", "FILTER", "ack-wait", "max-deliveries", "backoff", "order-by", "stream", "ALL",
         "AFTER", "DELAY", "DEAD", "ERROR", "{}", '{"$or":[]}', "30s", "1s..60s x2 jitter 0.2", "FULL", "g",
         "c", "type", "a.b", "payload", "{\"x\":1}", "REVERSE", "UNTIL", "NAME")


class Good(threading.Thread):
    """Adds entries of its own, reads them back, and hears of them; notes what goes wrong."""

    def __init__(self, server, number, end):
        super().__init__(daemon=True)
        self.connection = server.connect(timeout=60)
        self.key, self.end = f"good:{number}", end
        self.ids, self.slowest, self.wrong = [], 0, None

    def run(self):
        try:
            while time.monotonic() < self.end:
                self.once()
        except Exception as error:  # pylint: disable=broad-except
            self.wrong = f"{self.key}: {error!r}"

    def once(self):
        begun = time.monotonic()
        number = str(len(self.ids))
        ident = self.connection.call("XADD", self.key, "*", "n", number)
        assert not isinstance(ident, Error), ident
        self.ids.append(ident)
        found = self.connection.call("XREVRANGE", self.key, "+", "-", "COUNT", "1")
        assert found == [[ident, [b"n", number.encode()]]], found
        self.slowest = max(self.slowest, time.monotonic() - begun)


class Hostile(threading.Thread):
    """One after another, connections that misbehave in a way of the dice."""

    def __init__(self, server, commands, seed, end):
        super().__init__(daemon=True)
        self.server, self.commands, self.end = server, commands, end
        self.dice = random.Random(seed)
        self.kinds = (self.mutated, self.mutated, self.commanded, self.commanded, self.commanded,
                      self.noise, self.oversized, self.by_bytes, self.half_closed, self.deaf,
                      self.hoarder, self.vanishing, self.many_words)
        self.held = []
        self.rounds, self.wrong = 0, None

    def run(self):
        while time.monotonic() < self.end and self.wrong is None:
            kind = self.dice.choice(self.kinds)
            try:
                kind()
            except (Closed, Timeout, OSError):
                pass
            except Exception as error:  # pylint: disable=broad-except
                self.wrong = f"{kind.__name__}: {error!r}"
            self.rounds += 1
            while len(self.held) > 6:
                self.held.pop(0).close()
        for connection in self.held:
            connection.close()

    def connect(self, small=False):
        connection = Connection(self.server.port, timeout=5)
        if small:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        return connection

    def words(self):
        pools = (NUMBERS, IDS, KEYS, WORDS)
        count = self.dice.choice((0, 1, 2, 3, 4, 5, 6, 8, 12))
        return [self.dice.choice(self.dice.choice(pools)) for _ in range(count)]

    def command(self):
        name = self.dice.choice(self.commands)
        # What would end, silence or throttle the others is not for this test.
        while name.lower() in ("config", "client", "flushall", "flushdb", "debug"):
            name = self.dice.choice(self.commands)
        words = self.words()
        if any(word.startswith("good:") for word in words) and name.upper() in ("DEL", "UNLINK", "XTRIM"):
            words = []
        words = ["h" if word == "good:0" else word for word in words]
        if name.lower() in ("xinfo", "xgroup", "spoor.group", "spoor.dead", "object", "memory", "pubsub",
                            "command"):
            words.insert(0, self.dice.choice(("CREATE", "SETID", "STREAM", "GROUPS", "CONSUMERS", "SET", "GET",
                                              "LIST", "LAG", "DROP", "REDRIVE", "DISCARD", "USAGE",
                                              "CHANNELS", "NUMSUB", "DOCS", "GETKEYS", "HELP")))
        return [name, *words]

    def commanded(self):
        """Words that are no command, or one that makes no sense: a reply, whole, for each."""
        with self.connect() as connection:
            for _ in range(30):
                connection.send(*self.command())
            for _ in range(30):
                connection.read(timeout=0.2)

    def mutated(self):
        data = bytearray(b"".join(encode(*self.command()) for _ in range(10)))
        for _ in range(self.dice.choice((1, 1, 2, 10))):
            at = self.dice.randrange(len(data))
            data[at:at + self.dice.choice((0, 1, 1, 3))] = self.dice.randbytes(self.dice.choice((0, 1, 2)))
        with self.connect() as connection:
            connection.send_bytes(bytes(data))
            while True:
                connection.read(timeout=0.1)

    def noise(self):
        with self.connect() as connection:
            connection.send_bytes(self.dice.randbytes(self.dice.choice((10, 1000, 100000))))
            connection.send_bytes(b"\r\n")
            while True:
                connection.read(timeout=0.1)

    def oversized(self):
        """More than query-buffer, bulk-bytes-max, or what a header may say."""
        with self.connect() as connection:
            begin = self.dice.choice((b"*1000000\r\n", b"*2\r\n$4\r\nECHO\r\n$2000000\r\n", b"*-5\r\n$9\r\n",
                                      b"*2147483648\r\n", b"*1\r\n$536870913\r\n", b"$5\r\n", b"*1" * 40000,
                                      b"PING " * 20000))
            connection.send_bytes(begin)
            for _ in range(self.dice.choice((1, 10, 100))):
                connection.send_bytes(b"$60000\r\n" + b"x" * 60000 + b"\r\n")
            connection.read(timeout=0.2)

    def by_bytes(self):
        with self.connect() as connection:
            for byte in encode(*self.command())[:200]:
                connection.send_bytes(bytes([byte]))
            connection.read(timeout=0.2)

    def half_closed(self):
        """What was said before the end of the stream is still done and answered."""
        with self.connect() as connection:
            connection.send("XADD", "h", "*", "f", "v")
            connection.send("ECHO", "last")
            connection.send_bytes(self.dice.choice((b"", b"*3\r\n$4\r\n", b"PI")))
            connection.socket.shutdown(socket.SHUT_WR)
            connection.read()
            assert connection.read() == b"last"
            try:
                connection.read()
                raise AssertionError("a half closed connection stays")
            except Closed:
                pass

    def deaf(self):
        """Asks for much and reads nothing of it."""
        connection = self.connect(small=True)
        self.held.append(connection)
        connection.socket.settimeout(0.3)
        line = self.dice.choice((encode("ECHO", "x" * 100000), encode("COMMAND"), encode("XRANGE", "$all", "-", "+"),
                                 encode("SPOOR.SUBSCRIBE", "FROM", "1"), encode("PSUBSCRIBE", "*")))
        for _ in range(200):
            connection.send_bytes(line)

    def hoarder(self):
        """Keeps what the server must remember: a queue, subscriptions, watched keys, half a command."""
        connection = self.connect()
        self.held.append(connection)
        what = self.dice.randrange(5)
        if what == 0:
            connection.send("MULTI")
            for _ in range(self.dice.choice((10, 300))):
                connection.send("XADD", "h", "*", *["f", ""] * 5000)
        elif what == 1:
            name = self.dice.randrange(1 << 30)
            connection.send("SUBSCRIBE", *[f"hoard.{name}.{i}" for i in range(20000)])
        elif what == 2:
            connection.send("WATCH", *["w" * 4000 + str(i) for i in range(500)])
        elif what == 3:
            connection.send_bytes(b"*1000000\r\n" + b"$0\r\n\r\n" * 400000)
        else:
            connection.send("XREAD", "BLOCK", "0", "STREAMS", *["b" * 3000 + str(i) for i in range(500)],
                            *["$"] * 500)

    def vanishing(self):
        """Gone while it waits for an answer."""
        connection = self.connect()
        connection.send(*self.dice.choice((("XREAD", "BLOCK", "0", "STREAMS", "h", "$"), ("MULTI",),
                                           ("SUBSCRIBE", "h"), ("XADD", "h", "*", "f", "v"), ("INFO",))))
        linger = self.dice.choice((None, b"\1\0\0\0\0\0\0\0"))
        if linger:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()

    def many_words(self):
        with self.connect() as connection:
            words = self.dice.choice((
                ("XADD", "h", "*", *["f", "v"] * 20000),
                ("XREAD", "STREAMS", *["h"] * 5000, *["0"] * 5000),
                ("XREAD", "BLOCK", "1", "STREAMS", *["nil"] * 2000, *["$"] * 2000),
                ("DEL", *["h"] * 50000),
                ("XDEL", "h", *["1-1"] * 50000),
                ("EXISTS", *["h"] * 50000),
                ("CLIENT", "LIST", "ID", *["7"] * 50000),
                ("SPOOR.READ", *["TYPE", "a.b"] * 3000),
                ("XACK", "h", "g", *[f"{U64}-{U64}"] * 50000)))
            connection.send(*words)
            connection.read(timeout=5)


def command_names(server):
    with server.connect() as connection:
        return [name.decode() for name in connection.call("COMMAND", "LIST")]


def check_good(server, goods):
    for good in goods:
        with server.connect(timeout=60) as connection:
            found = [entry[0] for entry in connection.call("XRANGE", good.key, "-", "+", timeout=60)]
        assert found == good.ids, f"{good.key}: {len(found)} entries, {len(good.ids)} were acknowledged"


def hostile_clients_hurt_nobody_else(folder):
    with Spoor(folder / "data", options=OPTIONS) as server:
        commands = command_names(server)
        with server.connect() as connection:
            connection.call("XADD", "h", "1-1", "f", "v")
            connection.call("XGROUP", "CREATE", "h", "g", "0")
        end = time.monotonic() + ARGS.seconds
        goods = [Good(server, number, end) for number in range(GOOD)]
        bads = [Hostile(server, commands, f"{ARGS.seed}-{number}", end) for number in range(HOSTILE)]
        for thread in goods + bads:
            thread.start()
        for thread in goods + bads:
            thread.join(ARGS.seconds + 120)
            assert not thread.is_alive(), "a client does not come to an end; " + server.log_end()
            assert thread.wrong is None, thread.wrong + "; " + server.log_end()
        rounds, adds = sum(bad.rounds for bad in bads), sum(len(good.ids) for good in goods)
        slowest = max(good.slowest for good in goods)
        print(f"# seed {ARGS.seed}: {rounds} hostile connections, {adds} entries beside them, the slowest "
              f"took {slowest:.2f} s, {server.rss_kib('VmHWM') >> 10} MiB at most")
        assert adds > 0 and rounds > 0
        check_good(server, goods)
        server.kill()
        server.start()
        check_good(server, goods)
        assert server.stop() == 0, server.log_end()


def expect_closed(connection, *begins):
    """An error that begins so, or nothing; and then the end."""
    try:
        reply = connection.read(timeout=20)
        assert isinstance(reply, Error) and reply.startswith(begins), reply
        connection.read(timeout=20)
        raise AssertionError("the connection stays")
    except Closed:
        pass


def limits_are_errors_or_the_end_of_a_connection(folder):
    with Spoor(folder / "data", options=("--reply-bytes-max", "8Mi")) as server:
        with server.connect(timeout=60) as connection:
            connection.send_bytes(b"*3\r\n$4\r\nXADD\r\n$16777217\r\n")
            expect_closed(connection, "ERR Protocol error: invalid bulk length")
        with server.connect(timeout=60) as connection:
            connection.send_bytes(b"*1048577\r\n")
            expect_closed(connection, "ERR Protocol error: invalid multibulk length")
        with server.connect(timeout=60) as connection:
            add_too_much(connection.call)
            ask_for_too_much(connection.call)
            say_silly_numbers(connection.call)


def expect_error(reply, *words):
    assert isinstance(reply, Error) and all(word in reply for word in words), str(reply)[:200]


def add_too_much(call):
    expect_error(call("XADD", "s", "*", *["f", "v"] * 500000), "at most 1048576")
    expect_error(call("XADD", "k" * MIB, "*", "f", "v"), "at most")
    expect_error(call("XADD", "k" * 4097, "*", "f", "v"), "4096")
    expect_error(call("XADD", "s", "*", "f", "v" * (MIB + 1)), "at most 1048576")
    assert not isinstance(call("XADD", "s", "1-1", "f", "v" * (MIB // 2)), Error)
    expect_error(call("XADD", "s", f"{U64}0-1", "f", "v"), "Invalid stream ID")
    assert call("XADD", "last", f"{U64}-{U64}", "f", "v") == f"{U64}-{U64}".encode()
    expect_error(call("XADD", "last", "*", "f", "v"), "exhausted")


def ask_for_too_much(call):
    expect_error(call("XREAD", "STREAMS", *["s"] * 1000, *["0"] * 1000), "COUNT")
    expect_error(call("XREAD", "STREAMS", *["none"] * 10000, *["0"] * 10000), "too many streams")
    assert call("XGROUP", "CREATE", "s", "g", "0") == "OK"
    expect_error(call("XAUTOCLAIM", "s", "g", "c", "0", "0", "COUNT", str((1 << 63) - 1)), "COUNT")
    assert call("XAUTOCLAIM", "s", "g", "c", "0", "0", "COUNT", str(1 << 58)) == [b"0-0", [], []]
    found = call("XREADGROUP", "GROUP", "g", "c", "COUNT", str(1 << 31), "STREAMS", "s", ">")
    assert found[0][1][0][0] == b"1-1", str(found)[:200]
    assert call("XRANGE", "s", "-", f"{U64}-{U64}", "COUNT", "-1") != []
    expect_error(call("XPENDING", "s", "g", "-", "+", str(1 << 63)), "integer")


def say_silly_numbers(call):
    for option in ("ack-wait", "max-deliveries", "backoff", "max-in-flight"):
        for number in ("-1", U64, "1e30", "99999999999999999999999s", ""):
            expect_error(call("SPOOR.GROUP", "SET", "g", "s", option, number), option)


def a_transaction_has_an_end(folder):
    with Spoor(folder / "data", options=OPTIONS) as server, server.connect(timeout=60) as connection:
        assert connection.call("MULTI") == "OK"
        replies = connection.pipeline([("PING",)] * 65536)
        assert set(replies) == {"QUEUED"}
        assert isinstance(connection.call("PING"), Error)
        replies = connection.pipeline([("PING",)] * 5000)
        assert connection.call("EXEC").startswith("EXECABORT")
        assert connection.call("PING") == "PONG"


def what_a_client_makes_the_server_remember_counts(folder):
    """A queue, names, half a command: beyond memory-budget the one that holds most goes."""
    with Spoor(folder / "data", options=("--memory-budget", "16Mi", *OPTIONS[2:])) as server:
        for send in (lambda c: [c.send("MULTI"), *[c.send("XADD", "s", "*", *["f", ""] * 20000)
                                                   for _ in range(100)]],
                     lambda c: [c.send("SUBSCRIBE", *[f"{k}.{i}" for i in range(20000)]) or c.read_all()
                                for k in range(20)],
                     lambda c: c.send_bytes(b"*1048576\r\n" + b"$0\r\n\r\n" * 690000)):
            small, large = server.connect(), server.connect(timeout=30)
            assert small.call("PING") == "PONG"
            large.read_all = lambda c=large: [c.read() for _ in range(20000)]
            try:
                send(large)
                while True:
                    large.read(timeout=20)
            except Closed:
                pass
            assert small.call("PING") == "PONG"
            small.close()
        log = server.log_path().read_text("utf-8", "replace")
        assert log.count("memory-budget exceeded") == 3, server.log_end()


def max_connections_and_idle_timeout(folder):
    options = ("--max-connections", "3", "--idle-timeout", "1s")
    with Spoor(folder / "data", options=options) as server:
        held = [server.connect() for _ in range(3)]
        assert [connection.call("PING") for connection in held] == ["PONG"] * 3
        with server.connect() as connection:
            expect_closed(connection, "ERR max number of clients reached")
        held[0].send("SUBSCRIBE", "a.b")
        held[1].send("XREAD", "BLOCK", "0", "STREAMS", "s", "$")
        expect_closed(held[2], "nothing")
        assert held[0].read()[0] == b"subscribe" and held[1].silent(1)
        with server.connect() as connection:
            assert connection.call("PING") == "PONG"


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--seconds", type=float, default=6)
    PARSER.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    ARGS = PARSER.parse_args()
    assert SPOOR
    harness.run(hostile_clients_hurt_nobody_else, limits_are_errors_or_the_end_of_a_connection,
                a_transaction_has_an_end, what_a_client_makes_the_server_remember_counts,
                max_connections_and_idle_timeout)
