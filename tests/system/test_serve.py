#!/usr/bin/env python3
"""spoor serve: it says when it is ready, answers, keeps what it acknowledged, and ends when asked."""
import os
import re
import signal
import socket
import subprocess
import time

import harness
from harness import SPOOR, spoor

READY = re.compile(r"^ready resp=127\.0\.0\.1:(\d+) http=(\S+) data=(.*) position=(\d+)\n$")


class Server:
    """A running server; leaving the block kills it."""

    def __init__(self, data, *options):
        env = {key: value for key, value in os.environ.items() if key != "SPOOR_DATA"}
        self.process = subprocess.Popen(
            [SPOOR, "serve", "--data", str(data), "--resp-port", "0", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        line = self.process.stdout.readline().decode()
        match = READY.match(line)
        assert match, f"not ready: {line!r}, {self.process.stderr.read().decode()}"
        self.port, self.folder, self.position = int(match[1]), match[3], int(match[4])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def stop(self):
        """SIGTERM; gives the exit code and the log."""
        self.process.send_signal(signal.SIGTERM)
        log = self.process.communicate(timeout=30)[1].decode()
        return self.process.returncode, log


class Client:
    """RESP over a socket: send() writes commands, read() reads one reply."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, *commands):
        out = bytearray()
        for command in commands:
            words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
            out += b"*%d\r\n" % len(words)
            for word in words:
                out += b"$%d\r\n%s\r\n" % (len(word), word)
        self.socket.sendall(out)

    def read(self):
        line = self.file.readline()
        if not line:
            raise EOFError
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return Exception(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b"%":
            return {self.read(): self.read() for _ in range(int(rest))}
        if kind == b"_":
            return None
        if kind == b"=":
            return self.file.read(int(rest) + 2)[4:-2]
        raise AssertionError(line)

    def call(self, *command):
        self.send(command)
        return self.read()


def refused(reply, text):
    assert isinstance(reply, Exception) and text in str(reply), reply


def it_says_when_it_is_ready_and_answers(folder):
    with Server(folder / "data") as server, Client(server) as client:
        assert (server.folder, server.position) == (str(folder / "data"), 0)
        assert client.call("PING") == "PONG"
        assert client.call("ECHO", "x\r\ny") == b"x\r\ny"
        client.socket.sendall(b"PING\r\nPING hello\r\n")
        assert (client.read(), client.read()) == ("PONG", b"hello")
        refused(client.call("NOPE", "a", "b"),
                "ERR unknown command 'NOPE', with args beginning with: 'a' 'b' ")
        refused(client.call("ECHO"), "ERR wrong number of arguments for 'echo' command")
        hello = client.call("HELLO", "3")
        assert hello[b"proto"] == 3 and hello[b"server"] == b"redis", hello


def entries_come_back_as_they_were_added(folder):
    with Server(folder / "data") as server, Client(server) as client:
        first = client.call("XADD", "s", "*", "name", "ann", "bytes", b"\x00\xff")
        second = client.call("XADD", "s", "*", "type", "order.placed", "data", '{"n": 1}')
        assert re.fullmatch(rb"\d+-\d+", first)
        assert client.call("XLEN", "s") == 2
        assert client.call("XRANGE", "s", "-", "+") == [
            [first, [b"name", b"ann", b"bytes", b"\x00\xff"]],
            [second, [b"type", b"order.placed", b"data", b'{"n": 1}']]]
        assert client.call("XREVRANGE", "s", "+", "-", "COUNT", "1")[0][0] == second
        assert client.call("XREAD", "STREAMS", "s", first) == [[b"s", [
            [second, [b"type", b"order.placed", b"data", b'{"n": 1}']]]]]
        assert client.call("XREAD", "STREAMS", "s", second) is None
        assert client.call("XREAD", "STREAMS", "$type:order.*", "0")[0][0] == b"$type:order.*"
        assert client.call("TYPE", "s") == "stream" and client.call("TYPE", "t") == "none"


def pipelines_are_answered_in_order(folder):
    with Server(folder / "data") as server, Client(server) as client:
        count = 2000
        client.send(*[("XADD", "s", "*", "n", n) for n in range(count)], ("XLEN", "s"),
                    ("XRANGE", "s", "-", "+"), ("PING",))
        ids = [client.read() for _ in range(count)]
        assert len(set(ids)) == count, "ids are unique"
        assert client.read() == count
        rows = client.read()
        assert [row[0] for row in rows] == ids, "a read behind writes sees them"
        assert [int(row[1][1]) for row in rows] == list(range(count))
        assert client.read() == "PONG"


def commands_may_come_byte_by_byte(folder):
    with Server(folder / "data") as server, Client(server) as client:
        for byte in b"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nk\r\n$3\r\na\r\n\r\n":
            client.socket.sendall(bytes([byte]))
            time.sleep(0.001)
        ident = client.read()
        assert client.call("XRANGE", "s", "-", "+") == [[ident, [b"k", b"a\r\n"]]]


def a_transaction_is_all_or_nothing(folder):
    with Server(folder / "data") as server, Client(server) as client, Client(server) as other:
        assert client.call("MULTI") == "OK"
        assert client.call("XADD", "a", "*", "n", "1") == "QUEUED"
        assert client.call("XLEN", "a") == "QUEUED"
        assert client.call("XRANGE", "a", "-", "+") == "QUEUED"
        assert client.call("XADD", "b", "*", "n", "2") == "QUEUED"
        reply = client.call("EXEC")
        assert reply[2] == [[reply[0], [b"n", b"1"]]], reply
        assert client.call("XLEN", "b") == 1
        client.call("MULTI")
        refused(client.call("XADD", "a"), "wrong number of arguments")
        client.call("XADD", "a", "*", "n", "3")
        refused(client.call("EXEC"), "EXECABORT")
        assert client.call("XLEN", "a") == 1
        client.call("WATCH", "a")
        other.call("XADD", "a", "*", "n", "4")
        client.call("MULTI")
        client.call("XADD", "a", "*", "n", "5")
        assert client.call("EXEC") is None, "somebody else wrote"
        assert client.call("XLEN", "a") == 2


def a_blocked_reader_is_woken(folder):
    with Server(folder / "data") as server, Client(server) as client, Client(server) as other:
        begun = time.monotonic()
        assert client.call("XREAD", "BLOCK", "50", "STREAMS", "s", "$") is None
        assert 0.04 < time.monotonic() - begun < 5
        client.send(("XREAD", "BLOCK", "0", "STREAMS", "s", "t", "$", "$"), ("PING",))
        while b"blocked_clients:1" not in other.call("INFO", "clients"):
            time.sleep(0.01)
        ident = other.call("XADD", "t", "*", "k", "v")
        assert client.read() == [[b"t", [[ident, [b"k", b"v"]]]]]
        assert client.read() == "PONG", "what waited behind it goes on"


def what_is_too_much_is_refused(folder):
    with Server(folder / "data", "--max-connections", "2", "--password", "secret",
                "--query-buffer", "1Mi") as server:
        with Client(server) as client, Client(server) as other:
            refused(client.call("XLEN", "s"), "NOAUTH Authentication required.")
            refused(client.call("AUTH", "wrong"), "WRONGPASS")
            assert client.call("AUTH", "secret") == "OK" and client.call("XLEN", "s") == 0
            with Client(server) as third:
                refused(third.read(), "ERR max number of clients reached")
            other.socket.sendall(b"*100000\r\n")
            refused(other.read(), "ERR Protocol error: unauthenticated multibulk length")
            refused(client.call("FLUSHALL"), "allow-flushall")
            big = b"*2\r\n$4\r\nECHO\r\n$2000000\r\n" + bytes(2000000)
            try:
                client.socket.sendall(big)
                assert client.file.read(1) == b"", "the connection is closed"
            except ConnectionError:
                pass


def a_second_server_is_refused_with_the_first_ones_pid(folder):
    with Server(folder / "data") as server:
        done = spoor("serve", "--resp-port", "0", data=folder / "data", code=1)
        assert str(server.process.pid) in done.stderr and done.stdout == "", done
        port = str(server.port)
        done = spoor("serve", "--resp-port", port, data=folder / "other", code=1)
        assert "cannot listen" in done.stderr and port in done.stderr, done.stderr


def sigterm_finishes_what_was_received(folder):
    with Server(folder / "data") as server, Client(server) as client, Client(server) as blocked:
        blocked.send(("XREAD", "BLOCK", "0", "STREAMS", "none", "$"))
        assert client.call("PING") == "PONG"
        count = 500
        client.send(*[("XADD", "s", "*", "n", n) for n in range(count)])
        code, log = server.stop()
        ids = [client.read() for _ in range(count)]
        assert code == 0, log
        assert all(isinstance(ident, bytes) for ident in ids)
        for word in ("msg=ready", "msg=stopping", "msg=stopped"):
            assert word in log, log
    with Server(folder / "data") as server, Client(server) as client:
        assert (server.position, client.call("XLEN", "s")) == (count, count)


def what_was_acknowledged_survives_a_kill(folder):
    for attempt, durability in enumerate(("always", "interval", "os", "always")):
        with Server(folder / "data", "--durability", durability) as server, \
                Client(server) as client:
            before = client.call("XLEN", "s")
            client.send(*[("XADD", "s", "*", "n", n) for n in range(3000)])
            ids = [client.read() for _ in range(1000)]
            server.process.kill()
            server.process.wait()
        with Server(folder / "data") as server, Client(server) as client:
            kept = [row[0] for row in client.call("XRANGE", "s", "-", "+")]
            assert kept[before:before + 1000] == ids, f"attempt {attempt}, {durability}: acknowledged and gone"
            assert len(kept) <= before + 3000 and len(set(kept)) == len(kept)


def settings_come_from_file_and_command_line(folder):
    conf = folder / "spoor.conf"
    conf.write_text("# a comment\nmax-connections 77\nlog-format json\nidle-timeout 2m\n")
    with Server(folder / "data", "--config", str(conf), "--max-connections", "78") as server:
        with Client(server) as client:
            assert client.call("CONFIG", "GET", "maxclients") == [b"maxclients", b"78"]
            assert client.call("CONFIG", "GET", "timeout") == [b"timeout", b"120"]
            assert client.call("CONFIG", "SET", "log-level", "debug") == "OK"
            assert client.call("CONFIG", "GET", "log-level") == [b"log-level", b"debug"]
            refused(client.call("CONFIG", "SET", "data", "x"), "immutable")
        assert '"msg":"ready"' in server.stop()[1]
    conf.write_text("max-connections 10\nno-such-thing 1\n")
    done = spoor("serve", "--config", str(conf), data=folder / "data", code=2)
    assert "line 2" in done.stderr and "no-such-thing" in done.stderr, done.stderr
    done = spoor("serve", "--max-connections", "many", data=folder / "data", code=2)
    assert "max-connections" in done.stderr
    done = spoor("serve", "--durability", "never", data=folder / "data", code=2)
    assert "always" in done.stderr and "interval" in done.stderr, done.stderr


harness.run(it_says_when_it_is_ready_and_answers, entries_come_back_as_they_were_added,
            pipelines_are_answered_in_order, commands_may_come_byte_by_byte,
            a_transaction_is_all_or_nothing, a_blocked_reader_is_woken,
            what_is_too_much_is_refused, a_second_server_is_refused_with_the_first_ones_pid,
            sigterm_finishes_what_was_received, what_was_acknowledged_survives_a_kill,
            settings_come_from_file_and_command_line)
