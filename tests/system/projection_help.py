"""A server with projections: starting, killing, asking it."""
import http.client
import json
import subprocess
import time

from harness import SPOOR, TIMEOUT


class Refused(Exception):
    """An answer that is not 2xx; `problem` is its body."""

    def __init__(self, status, problem):
        super().__init__(f"{status}: {problem}")
        self.status, self.problem = status, problem


class Client:
    """One connection over HTTP; for one thread."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def call(self, method, path, body=None, kind="application/json"):
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        self.connection.request(method, path, body, {"Content-Type": kind} if body is not None else {})
        answer = self.connection.getresponse()
        text = answer.read()
        if not 200 <= answer.status < 300:
            raise Refused(answer.status, json.loads(text) if text else None)
        return json.loads(text) if text else None

    def append(self, events):
        """Appends NDJSON objects; gives the position of the last one."""
        body = "".join(json.dumps(event) + "\n" for event in events)
        return self.call("POST", "/v1/events", body, "application/x-ndjson")

    def head(self):
        last = self.call("GET", "/v1/events?reverse=true&limit=1")
        return last[0]["position"] if last else 0

    def ask(self, sql, position=None, timeout_ms=60000):
        """The rows; with a position, as of it or later."""
        query = {"sql": sql, "timeout_ms": timeout_ms}
        if position is not None:
            query["position"] = position
        return [tuple(row) for row in self.call("POST", "/v1/query", query)["rows"]]

    def values(self, sql):
        """Rows as of everything that is in the log."""
        return self.ask(sql, self.head())

    def put(self, name, text):
        return self.call("PUT", f"/v1/projections/{name}", text, "application/sql")

    def status(self, name):
        return self.call("GET", f"/v1/projections/{name}/status")

    def wait(self, name, done):
        """Waits until the status is as `done` wants it, and gives it."""
        deadline = time.monotonic() + TIMEOUT
        while not done(status := self.status(name)):
            assert time.monotonic() < deadline, status
            time.sleep(0.005)
        return status

    def settle(self, *names):
        """Waits until these have taken in all that there is; gives the numbers of their builds."""
        return {name: self.wait(name, lambda status: status["state"] == "running"
                                and status["lag_events"] == 0)["build"] for name in names}


class Server(Client):
    """A server on a folder, with free ports; killed, or ended well at the end of a `with`."""

    def __init__(self, data, *options):
        self.process = subprocess.Popen(
            [SPOOR, "serve", "--data", data, "--resp-port", "0", "--http-port", "0", *map(str, options)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        ready = self.process.stdout.readline()
        assert ready.startswith("ready "), ready
        self.port = int(ready.split(" http=")[1].split(" ")[0].rsplit(":", 1)[1])
        super().__init__(self.port)

    def kill(self):
        self.process.kill()
        self.process.wait(TIMEOUT)
        self.process.stdout.close()

    def stop(self):
        self.connection.close()
        self.process.terminate()
        assert self.process.wait(TIMEOUT) == 0
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            if kind is None:
                self.stop()
            else:
                self.kill()
