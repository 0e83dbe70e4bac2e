"""What the tests of HTTP share: requests with JSON, and streams of server-sent events."""
import http.client
import json
import socket
import sys
import urllib.parse

from harness import SOURCE, SPOOR

sys.path.insert(0, str(SOURCE / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from resp import Error
from servers import Spoor

TIMEOUT = 60


class Server(Spoor):
    """A server whose last words are shown where a test fails."""

    def __init__(self, folder, *options):
        super().__init__(folder / "data", SPOOR, options)

    def __exit__(self, kind, *rest):
        if kind is not None:
            print(f"# server's exit code so far: {self.process.poll()}")
            for line in self.log_end().splitlines():
                print(f"# {line}")
        super().__exit__(kind, *rest)


class Reply:
    """A whole reply."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


def url_of(path, query):
    pairs = [(name, one) for name, value in (query or {}).items()
             for one in (value if isinstance(value, (list, tuple)) else [value])]
    return path + ("?" + urllib.parse.urlencode(pairs) if pairs else "")


class Web:
    """A keep-alive connection."""

    def __init__(self, server, timeout=TIMEOUT):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def call(self, method, path, body=None, query=None, headers=None):
        """Any request; a body that is no bytes is sent as JSON."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        self.connection.request(method, url_of(path, query), body=body, headers=headers)
        return Reply(self.connection.getresponse())

    def ok(self, method, path, body=None, query=None, status=200):
        """A request that must succeed; gives its JSON."""
        reply = self.call(method, path, body, query)
        assert reply.status == status, (method, path, reply.status, reply.body)
        return reply.json if reply.body else None

    def refused(self, method, path, status, told, body=None, query=None, headers=None):
        """A request that must be refused with a problem whose detail has these words."""
        reply = self.call(method, path, body, query, headers)
        kind = reply.headers["Content-Type"]
        assert reply.status == status, (method, path, body, reply.status, reply.body)
        assert kind.startswith("application/problem+json"), kind
        problem = reply.json
        assert problem["status"] == status and told in problem["detail"], problem
        return problem


class Ended(Exception):
    """The stream is over."""


class Stream:
    """A GET whose reply is a stream of server-sent events."""

    def __init__(self, server, query=None, last=None, timeout=TIMEOUT, receive_bytes=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=timeout)
        if receive_bytes:
            self.connection.sock = socket.socket()
            self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            self.connection.sock.settimeout(timeout)
            self.connection.sock.connect(("127.0.0.1", server.http_port))
        headers = {"Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = last
        self.connection.request("GET", url_of("/v1/subscribe", query), headers=headers)
        self.response = self.connection.getresponse()
        self.last = last

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        # The reply has the socket as well.
        self.response.close()
        self.connection.close()

    def line(self):
        try:
            line = self.response.readline()
        except (http.client.IncompleteRead, ConnectionResetError):
            line = b""
        if not line:
            raise Ended
        assert line.endswith(b"\n"), line
        return line[:-1].decode()

    def frame(self):
        """The next one, comments too: its fields, of which `data` is read as JSON."""
        fields = {}
        while (line := self.line()) or not fields:
            if line:
                name, _, value = line.partition(":")
                fields[name or "comment"] = value.removeprefix(" ")
        self.last = fields.get("id", self.last)
        if "data" in fields:
            fields["data"] = json.loads(fields["data"])
        return fields

    def start(self):
        frame = self.frame()
        assert frame["event"] == "start", frame
        return frame["data"]

    def message(self):
        """The next frame with data."""
        while "data" not in (frame := self.frame()):
            pass
        return frame

    def event(self):
        """The next one that is no more than an event of the log."""
        frame = self.message()
        assert "event" not in frame, frame
        return frame["data"]

    def events(self, count):
        return [self.event() for _ in range(count)]


def append(connection, stream, kind="t.x", data="1", *more):
    """Appends over the Redis protocol; gives the reply as a dict."""
    reply = connection.call("SPOOR.APPEND", stream, "*", kind, data, *more)
    assert not isinstance(reply, Error), reply
    return {reply[i].decode(): reply[i + 1] for i in range(0, len(reply), 2)}
