#!/usr/bin/env python3
"""HTTP as a client meets it, whatever the route: what is refused and how, limits, pipelining, chunks,
gzip, keep-alive, passwords, origins, the upgrade to the Redis protocol, metrics, draining."""
import base64
import gzip
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import zlib

import harness
from harness import SOURCE, SPOOR, Skip

READY = re.compile(r"^ready resp=[\d.]+:(\d+) http=(?:[\d.]+:(\d+)|off) data=(.*) position=(\d+)\n$")


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
        self.resp = int(match[1])
        self.port = int(match[2]) if match[2] else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def stop(self):
        """SIGTERM; gives the exit code and the log."""
        self.process.send_signal(signal.SIGTERM)
        log = self.process.communicate(timeout=60)[1].decode()
        return self.process.returncode, log


class Reply:
    """One reply, read from a file of bytes."""

    def __init__(self, file, head_only=False):
        line = file.readline()
        if not line:
            raise EOFError
        version, status, _ = line.decode().split(" ", 2)
        assert version == "HTTP/1.1", line
        self.status = int(status)
        self.headers = {}
        for line in iter(file.readline, b"\r\n"):
            assert line.endswith(b"\r\n"), line
            name, value = line.decode().rstrip("\r\n").split(": ", 1)
            self.headers.setdefault(name.lower(), []).append(value)
        self.body = b""
        if head_only or self.status in (100, 101, 204, 304):
            return
        if self.get("transfer-encoding") == "chunked":
            self.body = self.read_chunks(file)
        elif "content-length" in self.headers:
            length = int(self.get("content-length"))
            self.body = file.read(length)
            assert len(self.body) == length
        else:
            self.body = file.read()

    @staticmethod
    def read_chunks(file):
        body = b""
        while True:
            size = int(file.readline(), 16)
            body += file.read(size)
            assert file.readline() == b"\r\n"
            if size == 0:
                return body

    def get(self, name):
        values = self.headers.get(name, [None])
        return values[0]

    def json(self):
        return json.loads(self.body)

    def is_problem(self, status, kind=None):
        assert self.status == status, (self.status, self.body)
        assert self.get("content-type") == "application/problem+json", self.headers
        problem = self.json()
        assert problem["status"] == status and problem["title"] and problem["detail"], problem
        assert problem["type"].startswith("urn:spoor:problem:"), problem
        if kind is not None:
            assert problem["type"] == "urn:spoor:problem:" + kind, problem
        return problem


class Client:
    """Bytes to and from the server."""

    def __init__(self, server, port=None):
        self.socket = socket.create_connection(("127.0.0.1", port or server.port), timeout=60)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def read(self, head_only=False):
        return Reply(self.file, head_only)

    def ask(self, target, method="GET", headers=(), body=None, version="1.1"):
        head = f"{method} {target} HTTP/{version}\r\nHost: localhost\r\n"
        head += "".join(f"{line}\r\n" for line in headers)
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        self.send(head.encode() + b"\r\n" + (body or b""))
        return self.read(head_only=method == "HEAD")

    def is_closed(self):
        """True when the server closes; what it still sends is an error."""
        assert self.file.read() == b""
        return True


def once(server, data):
    """Says something on a connection of its own; gives the reply and demands that it ends."""
    with Client(server) as client:
        client.send(data)
        reply = client.read()
        assert reply.get("connection") == "close", reply.headers
        assert client.is_closed()
        return reply


def raw(line="GET /healthz HTTP/1.1", *headers, host=True, body=""):
    head = [line, *(["Host: h"] if host else []), *headers]
    return "\r\n".join(head) + "\r\n\r\n" + body


# ---- what is refused --------------------------------------------------------------------------


def malformed_requests_are_refused_and_end_the_connection(folder):
    cases = [
        (b"\x16\x03\x01\x02\x00", 400),
        (b"*1\r\n$4\r\nPING\r\n", 400),
        ("GET\r\n\r\n", 400),
        ("GET / FTP/1.1\r\n\r\n", 400),
        ("GET /\r\n\r\n", 505),
        (raw("GET / HTTP/2.0"), 505),
        (raw("GET / HTTP/3.1"), 505),
        (raw("BREW / HTTP/1.1"), 501),
        (raw("CONNECT example.org:80 HTTP/1.1"), 501),
        (raw(host=False), 400),
        (raw("GET /healthz HTTP/1.1", "Host: second"), 400),
        (raw("GET healthz HTTP/1.1"), 400),
        (raw("GET /heal\x01thz HTTP/1.1"), 400),
        (raw("GET /healthz#x HTTP/1.1"), 400),
        (raw("GET /heal\u00e4 HTTP/1.1"), 400),
        (raw("GET /healthz HTTP/1.1", "No colon"), 400),
        (raw("GET /healthz HTTP/1.1", "Blank : x"), 400),
        (raw("GET /healthz HTTP/1.1", "Folded: x", " y"), 400),
        (raw("GET /healthz HTTP/1.1", "A: b\x00c"), 400),
        (raw("POST /v1 HTTP/1.1", "Content-Length: 3", "Content-Length: 4", body="abcd"), 400),
        (raw("POST /v1 HTTP/1.1", "Content-Length: +3", body="abc"), 400),
        (raw("POST /v1 HTTP/1.1", "Content-Length: -1"), 400),
        (raw("POST /v1 HTTP/1.1", "Content-Length: 3, 3", body="abc"), 400),
        (raw("POST /v1 HTTP/1.1", "Content-Length: 99999999999999999999"), 400),
        (raw("POST /v1 HTTP/1.1", "Content-Length: 3", "Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
        (raw("POST /v1 HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 3", body="0\r\n\r\n"), 400),
        (raw("POST /v1 HTTP/1.1", "Transfer-Encoding: gzip, chunked", body="0\r\n\r\n"), 501),
        (raw("POST /v1 HTTP/1.1", "Transfer-Encoding: identity", body="abc"), 501),
        (raw("POST /v1 HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body="0\r\n\r\n"), 501),
        (raw("POST /v1 HTTP/1.0", "Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
        (raw("GET /healthz HTTP/1.1", "Expect: miracles"), 417),
        (raw("GET /" + "a" * 9000 + " HTTP/1.1"), 414),
        ("GET /" + "a" * 20000, 414),
        (raw("GET /healthz HTTP/1.1", "X: " + "y" * 70000), 431),
        (raw("GET /healthz HTTP/1.1", *[f"X-{i}: y" for i in range(120)]), 431),
    ]
    with Server(folder / "data") as server:
        for data, status in cases:
            try:
                once(server, data).is_problem(status)
            except (AssertionError, EOFError, ConnectionError) as error:
                raise AssertionError(f"{data[:80]!r}: {error!r}") from error
        with Client(server) as client:
            assert client.ask("/healthz").status == 200


def bad_targets_are_refused_by_name(folder):
    with Server(folder / "data") as server, Client(server) as client:
        assert "%zz" in client.ask("/v1/%zz").is_problem(400, "invalid-target")["detail"]
        assert "%2" in client.ask("/v1?a=%2").is_problem(400, "invalid-target")["detail"]
        assert "UTF-8" in client.ask("/v1/%ff%fe").is_problem(400, "invalid-target")["detail"]
        assert "UTF-8" in client.ask("/v1?x=%c0%af").is_problem(400, "invalid-target")["detail"]
        query = "&".join(f"a{i}=b" for i in range(70))
        assert "64" in client.ask("/v1?" + query).is_problem(400, "invalid-target")["detail"]
        assert client.ask("/v1?%61=%C3%A4+x&&b").status == 200
        assert client.ask("/%76%31").json()["name"] == "spoor"
        assert client.ask("http://anywhere:1/v1").json()["name"] == "spoor"
        for path in ("/", "/nix", "/v1/", "/v1/nix/x/y", "//v1", "/a/b/c/d/e/f/g/h/i/j/k/l"):
            client.ask(path).is_problem(404, "no-such-route")


def methods_a_path_does_not_have_are_named(folder):
    with Server(folder / "data") as server, Client(server) as client:
        reply = client.ask("/v1", "DELETE")
        reply.is_problem(405, "method-not-allowed")
        assert reply.get("allow") == "GET, HEAD, OPTIONS"
        client.ask("/v1", "PROPFIND").is_problem(405)
        client.ask("/v1", "POST", body=b"{}").is_problem(405)
        reply = client.ask("/v1", "OPTIONS")
        assert reply.status == 204 and reply.get("allow") == "GET, HEAD, OPTIONS"
        assert "content-length" not in reply.headers
        assert client.ask("*", "OPTIONS").status == 204
        head = client.ask("/v1", "HEAD")
        whole = client.ask("/v1")
        assert head.status == 200
        assert head.get("content-length") == whole.get("content-length") == str(len(whole.body))


# ---- connections ------------------------------------------------------------------------------


def requests_of_a_connection_are_answered_in_order(folder):
    with Server(folder / "data") as server, Client(server) as client:
        client.send((raw("GET /healthz HTTP/1.1") + "\r\n" + raw("GET /v1 HTTP/1.1") + raw("GET /no HTTP/1.1")) * 200)
        for _ in range(200):
            assert client.read().json() == {"status": "ok"}
            assert client.read().json()["name"] == "spoor"
            assert client.read().status == 404
        for byte in raw("GET /v1?slow=%20 HTTP/1.1").encode():
            client.send(bytes([byte]))
        assert client.read().json()["name"] == "spoor"


def connections_stay_open_or_close_as_asked(folder):
    with Server(folder / "data") as server:
        with Client(server) as client:
            for _ in range(3):
                assert client.ask("/healthz").get("connection") is None
            assert client.ask("/healthz", headers=["Connection: close"]).get("connection") == "close"
            assert client.is_closed()
        with Client(server) as client:
            assert client.ask("/healthz", version="1.0").get("connection") == "close"
            assert client.is_closed()
        with Client(server) as client:
            for _ in range(2):
                reply = client.ask("/healthz", version="1.0", headers=["Connection: keep-alive"])
                assert reply.get("connection") == "keep-alive"
        with Client(server) as client:  # the client says that nothing more comes
            client.send(raw("GET /v1 HTTP/1.1"))
            client.socket.shutdown(socket.SHUT_WR)
            assert client.read().status == 200 and client.is_closed()
        with Client(server) as client:  # and in the middle of a request
            client.send("GET /v1 HT")
            client.socket.shutdown(socket.SHUT_WR)
            assert client.is_closed()


def more_connections_than_allowed_are_told_so(folder):
    with Server(folder / "data", "--max-connections", "2") as server:
        with Client(server) as first, Client(server) as second:
            assert first.ask("/healthz").status == 200
            assert second.ask("/healthz").status == 200
            with Client(server) as third:
                reply = third.read()
                reply.is_problem(503, "too-many-connections")
                assert reply.get("retry-after")
                assert third.is_closed()


def idle_connections_end_and_unfinished_requests_are_refused(folder):
    options = ("--http-request-timeout", "1s", "--idle-timeout", "2s")
    with Server(folder / "data", *options) as server:
        with Client(server) as client:
            client.send("GET /healthz HTTP/1.1\r\nHost:")
            reply = client.read()
            reply.is_problem(408, "request-timeout")
            assert reply.get("connection") == "close" and client.is_closed()
        with Client(server) as client:
            assert client.ask("/healthz").status == 200
            assert client.is_closed()  # without a word: nothing was asked
        with Client(server) as client:
            for number in range(2):  # slowly, a byte at a time: the time counts from the first
                client.send("GE"[number])
            client.read().is_problem(408)


def http_can_be_switched_off(folder):
    with Server(folder / "data", "--no-http") as server:
        assert server.port is None
        with Client(server, server.resp) as client:
            client.send("PING\r\n")
            assert client.file.readline() == b"+PONG\r\n"


# ---- who may ------------------------------------------------------------------------------------


def a_password_is_demanded_of_all_but_health(folder):
    def basic(text):
        return ["Authorization: Basic " + base64.b64encode(text.encode()).decode()]

    with Server(folder / "data", "--password", "se cret") as server, Client(server) as client:
        for path in ("/healthz", "/readyz"):
            assert client.ask(path).status == 200
        for path in ("/v1", "/metrics", "/v1/openapi.json", "/nix", "/v1/resp"):
            reply = client.ask(path)
            reply.is_problem(401, "password-needed")
            assert {value.split()[0] for value in reply.headers["www-authenticate"]} == {"Bearer", "Basic"}
        assert client.ask("/v1", headers=["Authorization: Bearer se cret"]).status == 200
        assert client.ask("/v1", headers=["authorization: bearer se cret"]).status == 200
        assert client.ask("/v1", headers=basic("default:se cret")).status == 200
        assert client.ask("/v1", headers=basic(":se cret")).status == 200
        for headers in (["Authorization: Bearer se cre"], ["Authorization: Bearer se crett"],
                        ["Authorization: Bearer"], ["Authorization: Basic !!!"], basic("se cret"),
                        basic("root:se cret"), basic("default:"), ["Authorization: Digest se cret"]):
            client.ask("/v1", headers=headers).is_problem(401)
        reply = client.ask("/v1", "POST", body=b"x" * 100)
        reply.is_problem(401)
        assert client.ask("/healthz").status == 200  # the body was passed over


def pages_of_other_origins_are_kept_out(folder):
    preflight = ["Origin: https://app.example", "Access-Control-Request-Method: POST",
                 "Access-Control-Request-Headers: content-type"]
    with Server(folder / "closed") as server, Client(server) as client:
        reply = client.ask("/v1", headers=["Origin: https://app.example"])
        assert reply.status == 200 and "access-control-allow-origin" not in reply.headers
        client.ask("/v1", "POST", ["Origin: https://app.example"], b"{}").is_problem(403, "origin-refused")
        client.ask("/v1", "POST", ["Origin: null"], b"{}").is_problem(403, "origin-refused")
        client.ask("/v1", "POST", ["Origin: http://localhost"], b"{}").is_problem(405)
        assert "access-control-allow-origin" not in client.ask("/v1", "OPTIONS", preflight).headers
    options = ("--cors-origins", "https://app.example https://b.example", "--password", "x")
    with Server(folder / "open", *options) as server, Client(server) as client:
        reply = client.ask("/v1", "OPTIONS", preflight)
        assert reply.status == 204 and reply.get("access-control-allow-origin") == "https://app.example"
        assert "GET" in reply.get("access-control-allow-methods")
        assert reply.get("access-control-allow-headers") == "content-type"
        assert "Origin" in reply.headers["vary"]
        reply = client.ask("/v1", headers=["Origin: https://b.example", "Authorization: Bearer x"])
        assert reply.status == 200 and reply.get("access-control-allow-origin") == "https://b.example"
        reply = client.ask("/v1", headers=["Origin: https://b.example"])
        assert reply.status == 401 and reply.get("access-control-allow-origin") == "https://b.example"
        reply = client.ask("/v1", headers=["Origin: https://c.example", "Authorization: Bearer x"])
        assert reply.status == 200 and "access-control-allow-origin" not in reply.headers
        client.ask("/v1", "DELETE", ["Origin: https://c.example", "Authorization: Bearer x"]).is_problem(403)


# ---- bodies -------------------------------------------------------------------------------------


def event(number=0, size=0):
    return json.dumps({"type": "test.made", "source": "tester", "data": {"n": number, "x": "y" * size}}).encode()


def chunked(data, size=7, extension="", trailer=""):
    out = b""
    for at in range(0, len(data), size):
        piece = data[at:at + size]
        out += b"%x%s\r\n%s\r\n" % (len(piece), extension.encode(), piece)
    return out + b"0\r\n" + trailer.encode() + b"\r\n"


POST = ("Content-Type: application/json",)


def bodies_come_whole_in_chunks_and_compressed(folder):
    with Server(folder / "data") as server, Client(server) as client:
        def post(headers, body, length=True):
            head = raw("POST /v1/events HTTP/1.1", *POST, *headers,
                       *([f"Content-Length: {len(body)}"] if length else []))
            client.send(head.encode() + body)
            return client.read()

        positions = []
        for reply in (post([], event(1)),
                      post(["Transfer-Encoding: chunked"], chunked(event(2)), False),
                      post(["Transfer-Encoding: Chunked"], chunked(event(3), 1, ";a=b", "T: x\r\n"), False),
                      post(["Content-Encoding: gzip"], gzip.compress(event(4))),
                      post(["Content-Encoding: gzip", "Transfer-Encoding: chunked"],
                           chunked(gzip.compress(event(5, 5000))), False),
                      post(["Content-Encoding: identity"], event(6))):
            assert reply.status == 201, reply.body
            positions.append(reply.json()["position"])
        assert positions == [1, 2, 3, 4, 5, 6]
        for headers, body, status in (
                (["Content-Encoding: gzip"], event(7), 400),
                (["Content-Encoding: gzip"], gzip.compress(event(7))[:-3], 400),
                (["Content-Encoding: gzip"], gzip.compress(event(7)) + b"more", 400),
                (["Content-Encoding: gzip"], zlib.compress(event(7)), 400),
                (["Content-Encoding: br"], event(7), 415)):
            reply = once(server, raw("POST /v1/events HTTP/1.1", *POST, *headers,
                                     f"Content-Length: {len(body)}").encode() + body)
            reply.is_problem(status)
        for body in (b"zz\r\n", b"5\r\nabcdefgh\r\n", b"-1\r\n", b"fffffffffffffffff\r\n"):
            once(server, raw("POST /v1/events HTTP/1.1", *POST,
                             "Transfer-Encoding: chunked").encode() + body).is_problem(400)
        for byte in raw("POST /v1/events HTTP/1.1", *POST, "Content-Length: 38").encode() + \
                b'{"type":"test.made","source":"slowly"}':
            client.send(bytes([byte]))
        assert client.read().json()["position"] == 7


def bodies_that_are_too_large_are_refused(folder):
    options = ("--http-body-bytes-max", "64Ki", "--event-bytes-max", "16Ki")
    with Server(folder / "data", *options) as server:
        post = raw("POST /v1/events HTTP/1.1", *POST).encode()[:-2]
        big = event(1, 100000)
        cases = [
            post + b"Content-Length: %d\r\n\r\n" % len(big) + big,
            post + b"Content-Length: 999999999999\r\n\r\n",
            post + b"Content-Length: 999999999999\r\nExpect: 100-continue\r\n\r\n",
            post + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(big, 1000),
        ]
        bomb = gzip.compress(b" " * 50_000_000)
        cases += [
            post + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb,
            post + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(bomb, 999),
        ]
        for data in cases:
            with Client(server) as client:
                client.send(data)
                reply = client.read()
                reply.is_problem(413)
                assert reply.get("connection") in ("close", None)
        with Client(server) as client:  # an event has a limit of its own
            client.ask("/v1/events", "POST", POST, event(1, 20000)).is_problem(413)
            assert client.ask("/v1/events", "POST", POST, event(1, 10000)).json()["position"] == 1


def a_client_that_asks_first_is_told_to_go_on(folder):
    with Server(folder / "data") as server:
        with Client(server) as client:
            body = event()
            client.send(raw("POST /v1/events HTTP/1.1", *POST, "Expect: 100-continue",
                            f"Content-Length: {len(body)}"))
            assert client.read().status == 100
            client.send(body)
            assert client.read().status == 201
            client.send(raw("POST /v1/events HTTP/1.1", *POST, "Expect: 100-continue",
                            f"Content-Length: {len(body)}").encode() + body)
            assert client.read().status == 201  # it did not wait: nothing is said
            client.send(raw("POST /v1/nix HTTP/1.1", *POST, "Expect: 100-continue", "Content-Length: 5"))
            client.read().is_problem(404)
        body = folder / "body.json"
        body.write_bytes(event(1, 500000))
        done = subprocess.run(["curl", "-sS", "--fail", "-H", "Expect: 100-continue", "-H", POST[0], "--data-binary",
                               f"@{body}", f"http://127.0.0.1:{server.port}/v1/events"],
                              capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["position"] == 3


def large_replies_are_compressed_where_that_is_wanted(folder):
    with Server(folder / "data") as server, Client(server) as client:
        plain = client.ask("/v1/openapi.json")
        assert "content-encoding" not in plain.headers and plain.get("vary") == "Accept-Encoding"
        for accepted in ("gzip", "deflate, gzip;q=0.5", "*", "GZIP"):
            reply = client.ask("/v1/openapi.json", headers=["Accept-Encoding: " + accepted])
            assert reply.get("content-encoding") == "gzip", accepted
            assert len(reply.body) < len(plain.body) and gzip.decompress(reply.body) == plain.body
        for accepted in ("br", "gzip;q=0", "identity", "*;q=0", "gzip;q=0, *"):
            reply = client.ask("/v1/openapi.json", headers=["Accept-Encoding: " + accepted])
            assert "content-encoding" not in reply.headers, accepted
        small = client.ask("/healthz", headers=["Accept-Encoding: gzip"])
        assert "content-encoding" not in small.headers and small.json() == {"status": "ok"}


# ---- the server's own ---------------------------------------------------------------------------


def the_server_says_what_it_is(folder):
    with Server(folder / "data") as server, Client(server) as client:
        about = client.ask("/v1").json()
        assert about["resp"] == f"127.0.0.1:{server.resp}" and about["position"] == 0
        assert about["data"] == str(folder / "data")
        description = client.ask("/v1/openapi.json").json()
        assert description["openapi"].startswith("3.1") and "/v1/openapi.json" in description["paths"]
    with Server(folder / "everywhere", "--listen", "0.0.0.0") as server, Client(server) as client:
        for host, shown in (("box.example:80", "box.example"), ("10.1.2.3", "10.1.2.3"), ("[::1]:7380", "[::1]"),
                            ("", "0.0.0.0")):
            client.send(f"GET /v1 HTTP/1.1\r\nHost: {host}\r\n\r\n")
            assert client.read().json()["resp"] == f"{shown}:{server.resp}"


def a_connection_may_go_on_as_the_redis_protocol(folder):
    upgrade = ("Connection: keep-alive, Upgrade", "Upgrade: resp")
    with Server(folder / "data") as server:
        with Client(server) as client:
            client.send(raw("GET /healthz HTTP/1.1") + raw("GET /v1/resp HTTP/1.1", *upgrade) + "PING\r\nXADD s * a b\r\n")
            assert client.read().status == 200
            assert client.read().get("upgrade") == "resp"
            assert client.file.readline() == b"+PONG\r\n"
            assert client.file.readline().startswith(b"$")
            client.file.readline()
            client.send("XLEN s\r\n")
            assert client.file.readline() == b":1\r\n"
        with Client(server) as client:
            reply = client.ask("/v1/resp")
            reply.is_problem(426, "upgrade-needed")
            assert reply.get("upgrade") == "resp"
            # an upgrade to something else is no upgrade
            reply = client.ask("/v1", headers=["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x"])
            assert reply.json()["name"] == "spoor"
            assert client.ask("/healthz").status == 200
    with Server(folder / "locked", "--password", "x") as server, Client(server) as client:
        client.ask("/v1/resp", headers=upgrade).is_problem(401)
        assert client.ask("/v1/resp", headers=[*upgrade, "Authorization: Bearer x"]).status == 101
        client.send("PING\r\n")
        assert client.file.readline() == b"+PONG\r\n"


SAMPLE = re.compile(r'^([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? ([0-9.]+)$')


def parse_metrics(text):
    """The samples by name and labels; refuses what Prometheus would."""
    samples, types, helped = {}, {}, set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in helped, line
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name in helped and name not in types and kind in ("counter", "gauge"), line
            assert (kind == "counter") == name.endswith("_total"), line
            types[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match, line
            assert match[1] in types and (match[1], match[2]) not in samples, line
            samples[match[1], match[2]] = float(match[3])
    return samples


def metrics_are_as_prometheus_wants_them(folder):
    with Server(folder / "data") as server, Client(server) as client, Client(server, server.resp) as resp:
        def say(*words):
            resp.send(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w.encode()), w.encode()) for w in words))
            return resp.file.readline()

        for number in range(5):
            assert say("XADD", 'odd "key\\', "*", "n", str(number)).startswith(b"$")
            resp.file.readline()
        assert say("XGROUP", "CREATE", 'odd "key\\', "new\nline", "0") == b"+OK\r\n"
        assert say("XGROUP", "CREATE", "$type:a.*", "second", "$") == b"+OK\r\n"
        client.ask("/nix")
        reply = client.ask("/metrics")
        assert reply.get("content-type").startswith("text/plain; version=0.0.4")
        text = reply.body.decode()
        samples = parse_metrics(text)
        labels = 'key="odd \\"key\\\\",group="new\\nline"'
        assert samples["spoor_group_lag_events", labels] == 5
        assert samples["spoor_group_dead_letters", labels] == 0
        assert samples["spoor_groups", None] == 2
        assert samples["spoor_events_total", None] >= 5
        assert samples["spoor_connections", 'protocol="resp"'] == 1
        assert samples["spoor_connections", 'protocol="http"'] == 1
        assert samples["spoor_commands_total", 'protocol="resp"'] == 7
        assert samples["spoor_http_replies_total", 'class="4xx"'] == 1
        assert samples["process_resident_memory_bytes", None] > 1e6
        if shutil.which("promtool"):
            done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                                  capture_output=True, timeout=60, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


def metrics_are_read_by_a_client_of_prometheus(folder):
    python = pathlib.Path(os.environ.get("SPOOR_CLIENTS", SOURCE / "build" / "clients")) / "bin" / "python"
    program = ("import sys\nfrom prometheus_client.parser import text_string_to_metric_families as parse\n"
               "families = list(parse(sys.stdin.read()))\nassert all(f.documentation for f in families)\n"
               "print(len(families))\n")
    found = python.exists() and subprocess.run([python, "-c", "import prometheus_client"], check=False,
                                               capture_output=True, timeout=60).returncode == 0
    if not found:
        raise Skip("prometheus-client is not in build/clients; ./dev test installs it")
    with Server(folder / "data") as server, Client(server) as client:
        text = client.ask("/metrics").body.decode()
        done = subprocess.run([python, "-c", program], input=text, text=True, capture_output=True,
                              timeout=60, check=False)
        assert done.returncode == 0 and int(done.stdout) > 20, done.stderr


def what_was_asked_is_answered_before_the_end(folder):
    with Server(folder / "data") as server:
        with Client(server) as client, Client(server) as idle, Client(server) as half:
            assert idle.ask("/healthz").status == 200
            half.send("GET /v1 HT")
            client.send(raw("POST /v1/events HTTP/1.1", *POST, f"Content-Length: {len(event())}").encode() + event())
            client.send(raw("GET /v1 HTTP/1.1"))
            first = client.read()
            assert first.status == 201 and client.read().status == 200
            code, log = server.stop()
            assert code == 0, log
            assert idle.is_closed() and half.is_closed() and client.is_closed()
        assert "http_port" in log


def who_listens_or_waits_is_answered_at_the_end(folder):
    with Server(folder / "data") as server:
        with Client(server) as listener, Client(server) as waiter, Client(server) as reader:
            assert reader.ask("/v1/groups/g", "PUT", POST, b'{"key": "orders"}').status in (200, 201)
            listener.send(raw("GET /v1/subscribe HTTP/1.1"))
            assert listener.file.readline() == b"HTTP/1.1 200 OK\r\n"
            body = b'{"consumer": "c", "wait_ms": 50000}'
            waiter.send(raw("POST /v1/groups/g/receive HTTP/1.1", *POST, f"Content-Length: {len(body)}").encode() + body)
            deadline = time.monotonic() + 60
            while b"spoor_waiting_connections 1\n" not in reader.ask("/metrics").body:
                assert time.monotonic() < deadline
            code, log = server.stop()
            assert code == 0, log
            assert listener.file.read().endswith(b"\r\n0\r\n\r\n")
            reply = waiter.read()
            assert reply.status == 200 and reply.get("connection") == "close", reply.body
            assert waiter.is_closed()


def what_is_asked_is_logged(folder):
    with Server(folder / "data", "--log-level", "debug", "--log-format", "json") as server:
        with Client(server) as client:
            client.ask("/v1?x=secret")
            client.ask("/nix")
        _, log = server.stop()
    said = [line for line in map(json.loads, log.splitlines()) if line["msg"] == "http"]
    assert [(line["method"], line["path"], line["status"]) for line in said] == \
        [("GET", "/v1", 200), ("GET", "/nix", 404)], said
    assert "secret" not in log


harness.run(
    malformed_requests_are_refused_and_end_the_connection,
    bad_targets_are_refused_by_name,
    methods_a_path_does_not_have_are_named,
    requests_of_a_connection_are_answered_in_order,
    connections_stay_open_or_close_as_asked,
    more_connections_than_allowed_are_told_so,
    idle_connections_end_and_unfinished_requests_are_refused,
    http_can_be_switched_off,
    a_password_is_demanded_of_all_but_health,
    pages_of_other_origins_are_kept_out,
    bodies_come_whole_in_chunks_and_compressed,
    bodies_that_are_too_large_are_refused,
    a_client_that_asks_first_is_told_to_go_on,
    large_replies_are_compressed_where_that_is_wanted,
    the_server_says_what_it_is,
    a_connection_may_go_on_as_the_redis_protocol,
    metrics_are_as_prometheus_wants_them,
    metrics_are_read_by_a_client_of_prometheus,
    what_was_asked_is_answered_before_the_end,
    who_listens_or_waits_is_answered_at_the_end,
    what_is_asked_is_logged,
)
