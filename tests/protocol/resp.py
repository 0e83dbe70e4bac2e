"""A Redis client of nothing but the standard library, which keeps the type of every reply.

A client library turns replies into what suits its language and hides the difference between a null
string and a null array, or a map and a flat list. Tests of the protocol need just that difference.
Both protocols are read; nothing is ever sent that was not asked for.
"""
import socket
import time


class Nil:
    """A null: of a string ($-1), of an array (*-1), or RESP3's own (_)."""

    def __init__(self, kind):
        self.kind = kind

    def __bool__(self):
        return False

    def __repr__(self):
        return f"nil({self.kind})"


class Simple(str):
    """+OK"""


class Error(str):
    """-ERR text"""


class Bulk(bytes):
    """$5"""


class Verbatim(bytes):
    """=9, its three letters of format included"""


class BigNumber(str):
    """(123"""


class Map(list):
    """%2: a list of pairs, in the order in which they came"""


class Set(list):
    """~2"""


class Push(list):
    """>2"""


class Closed(Exception):
    """The server closed the connection."""


class Timeout(Exception):
    """No reply within the time."""


def encode(*words):
    """A command as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if isinstance(word, str):
            word = word.encode("utf-8", "surrogateescape")
        elif not isinstance(word, bytes):
            word = str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


class Connection:
    """One connection. Replies come in order by read(); call() sends one command and reads one."""

    def __init__(self, port, host="127.0.0.1", timeout=10):
        self.timeout = timeout
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.at = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def send(self, *words):
        self.send_bytes(encode(*words))

    def call(self, *words, timeout=None):
        self.send(*words)
        return self.read(timeout)

    def pipeline(self, commands):
        """Sends all, then reads as many replies."""
        commands = list(commands)
        self.send_bytes(b"".join(encode(*words) for words in commands))
        return [self.read() for _ in commands]

    def read(self, timeout=None):
        """The next reply or push. Timeout leaves what came so far for the next read."""
        start = self.at
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        try:
            reply = self._value(deadline)
        except Timeout:
            self.at = start
            raise
        if self.at == len(self.buffer) or self.at > 1 << 20:
            del self.buffer[:self.at]
            self.at = 0
        return reply

    def silent(self, seconds):
        """True where nothing comes within the time."""
        if self.at < len(self.buffer):
            return False
        self.socket.settimeout(seconds)
        try:
            return self._receive() is None
        except Timeout:
            return True

    def _receive(self):
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError as error:
            raise Timeout from error
        except ConnectionResetError as error:
            raise Closed from error
        if not data:
            raise Closed
        self.buffer += data
        return data

    def _more(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise Timeout
        self.socket.settimeout(left)
        self._receive()

    def _line(self, deadline):
        while (end := self.buffer.find(b"\r\n", self.at)) < 0:
            self._more(deadline)
        line = bytes(self.buffer[self.at:end])
        self.at = end + 2
        return line

    def _bytes(self, size, deadline):
        while len(self.buffer) < self.at + size + 2:
            self._more(deadline)
        data = bytes(self.buffer[self.at:self.at + size])
        assert self.buffer[self.at + size:self.at + size + 2] == b"\r\n", "a string ends in CR LF"
        self.at += size + 2
        return data

    def _value(self, deadline):
        line = self._line(deadline)
        kind, rest = line[:1], line[1:].decode("utf-8", "surrogateescape")
        if kind == b"+":
            return Simple(rest)
        if kind == b"-":
            return Error(rest)
        if kind == b":":
            return int(rest)
        if kind == b"_":
            return Nil("null")
        if kind == b"#":
            return rest == "t"
        if kind == b",":
            return float(rest)
        if kind == b"(":
            return BigNumber(rest)
        if kind in (b"$", b"="):
            if rest == "-1":
                return Nil("string")
            return (Bulk if kind == b"$" else Verbatim)(self._bytes(int(rest), deadline))
        if kind == b"*" and rest == "-1":
            return Nil("array")
        if kind == b"%":
            return Map([self._value(deadline), self._value(deadline)] for _ in range(int(rest)))
        if kind in (b"*", b"~", b">"):
            shape = {b"*": list, b"~": Set, b">": Push}[kind]
            return shape([self._value(deadline) for _ in range(int(rest))])
        raise AssertionError(f"no reply begins like {line!r}")
