#!/usr/bin/env python3
"""The command line over a server does what it does over a folder; what only a server can answer is right."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import time

import harness
from harness import SOURCE, SPOOR, lines, make_events, spoor

sys.path.insert(0, str(SOURCE / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from resp import Connection, Error

LONG_S = 60


class Server:
    """A server on the folder's ./data, at the ports it had before if there were any."""

    def __init__(self, folder, *options):
        self.data = pathlib.Path(folder) / "data"
        self.options = options
        self.ports = ("0", "0")
        self.process = None

    def start(self):
        log = open(self.data.parent / "log", "ab")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [SPOOR, "serve", "--data", self.data, "--resp-port", self.ports[0], "--http-port",
             self.ports[1], *self.options], stdout=subprocess.PIPE, stderr=log, text=True)
        ready = self.process.stdout.readline()
        log.close()
        self.ports = re.search(r"resp=\S+:(\d+) http=\S+:(\d+)", ready).groups()
        return self

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(LONG_S)
        self.process.stdout.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def urls(self):
        return f"redis://127.0.0.1:{self.ports[0]}", f"http://127.0.0.1:{self.ports[1]}"

    @property
    def url(self):
        return self.urls[1]

    def call(self, *words):
        """A command of the Redis protocol, over a connection of its own."""
        with Connection(int(self.ports[0])) as connection:
            reply = connection.call(*words)
            assert not isinstance(reply, Error), reply
            return reply


def over(server, *args, code=0, **more):
    return spoor(*args, "--url", server.url, code=code, **more)


def a_server_shows_what_its_folder_holds(folder):
    make_events(folder / "in.jsonl", 2500)
    with Server(folder) as server:
        done = over(server, "import", folder / "in.jsonl", "--json")
        assert json.loads(done.stdout)["new"] == 2500
        done = over(server, "import", folder / "in.jsonl", "--json")
        assert json.loads(done.stdout)["known"] == 2500
        first = lines(over(server, "events", "--limit", 1).stdout)[0]
        cases = [("events",), ("events", "--type", "tool.*", "--reverse", "--limit", 700),
                 ("events", "--from", "10", "--until", "1900"),
                 ("events", "--filter", '{"data.number": {"$lt": 40}}'),
                 ("event", "7"), ("event", first["id"]), ("why", "2400"), ("effects", "1"),
                 ("stream", "ls"), ("stream", "show", "task-3"), ("run", "ls"),
                 ("run", "ls", "--reverse", "--limit", 3),
                 ("run", "show", first["correlationid"]), ("export",)]
        told = [[spoor(*case, "--url", url).stdout for case in cases] for url in server.urls]
    here = [spoor(*case, data=server.data).stdout for case in cases]
    for answers in told:
        for case, one, other in zip(cases, answers, here):
            assert one == other, f"{case}: {one[:300]} is not {other[:300]}"


def exit_codes_and_messages_are_those_of_a_folder(folder):
    with Server(folder) as server:
        over(server, "publish", "a.b", "--source", "s", "--expect", "none")
        done = over(server, "publish", "a.b", "--source", "s", "--expect", "none", code=4)
        assert "stream s is at version 1, expected 0" in done.stderr
        assert over(server, "event", "nobody", code=3).stderr.count("no event has the id") == 1
        assert server.url in over(server, "stream", "show", "nothing", code=3).stderr
        over(server, "publish", "a b", code=2)
        over(server, "events", "--filter", "{", code=2)
        done = over(server, "publish", "a.b", "-", stdin=json.dumps("x" * (2 << 20)), code=1)
        assert "1048576" in done.stderr, done.stderr
    done = over(server, "events", code=1)
    assert "cannot connect" in done.stderr and "spoor serve" in done.stderr
    assert "no TLS" in spoor("events", "--url", "https://127.0.0.1", code=1).stderr
    assert "expected http://" in spoor("events", "--url", "ftp://127.0.0.1", code=2).stderr
    spoor("events", "--url", server.url, "--data", folder, code=2)
    done = spoor("tail", data=folder, code=2)
    assert "asks a server" in done.stderr
    done = spoor("verify", "--url", server.url, code=2)
    assert "takes no --url" in done.stderr


def a_password_is_asked_for_and_never_shown(folder):
    with Server(folder, "--password", "s3cret") as server:
        for url in server.urls:
            assert spoor("events", "--url", url, code=5).stdout == ""
            wrong = url.replace("://", "://:other@")
            done = spoor("events", "--url", wrong, code=5)
            assert "other" not in done.stderr
            right = url.replace("://", "://:s3cret@")
            done = spoor("event", "nothing", "--url", right, code=3)
            assert "s3cret" not in done.stderr, done.stderr
            spoor("publish", "a.b", environ={"SPOOR_URL": right})


def the_environment_names_a_server_or_a_folder(folder):
    with Server(folder) as server:
        named = {"SPOOR_URL": server.url}
        spoor("publish", "over.server", environ=named)
        assert lines(spoor("events", environ=named).stdout)[0]["type"] == "over.server"
        other = folder / "other"
        spoor("publish", "in.folder", data=other)
        assert lines(spoor("events", data=other, environ=named).stdout)[0]["type"] == "in.folder"
        done = spoor("events", "--url", server.url, environ={"SPOOR_DATA": str(other)})
        assert lines(done.stdout)[0]["type"] == "over.server"
        done = spoor("events", environ={"SPOOR_DATA": str(other)})
        assert lines(done.stdout)[0]["type"] == "in.folder"


def a_store_that_lies_here_is_meant_where_nothing_is_named(folder):
    spoor("publish", "in.folder", data=folder / "data")
    env = {key: value for key, value in os.environ.items() if not key.startswith("SPOOR_")}
    done = subprocess.run([SPOOR, "events", "--json"], cwd=folder, env=env, capture_output=True,
                          text=True, timeout=LONG_S, check=True)
    assert lines(done.stdout)[0]["type"] == "in.folder"


def read_lines(process, count):
    """So many lines of a program that goes on."""
    found, deadline = b"", time.monotonic() + LONG_S
    while found.count(b"\n") < count and time.monotonic() < deadline:
        if select.select([process.stdout], [], [], 1)[0]:
            found += os.read(process.stdout.fileno(), 65536)
    return [json.loads(line) for line in found.decode().splitlines()]


def tail_shows_history_and_what_comes_over_a_restart(folder):
    server = Server(folder).start()
    for number in range(5):
        over(server, "publish", "n.told", json.dumps({"n": number}))
    with subprocess.Popen([SPOOR, "tail", "n.*", "--from", "2", "--url", server.url,
                           "--filter", '{"data.n": {"$gte": 1}}'], stdout=subprocess.PIPE) as tail:
        assert [event["data"]["n"] for event in read_lines(tail, 4)] == [1, 2, 3, 4]
        server.stop(signal.SIGKILL)
        server.start()
        over(server, "publish", "other.told", '{"n": 5}')
        over(server, "publish", "n.told", '{"n": 6}')
        assert [event["data"]["n"] for event in read_lines(tail, 1)] == [6]
        tail.send_signal(signal.SIGINT)
        assert tail.wait(LONG_S) == 130
    done = over(server, "tail", "--from", "1", "--limit", 3)
    assert [event["position"] for event in lines(done.stdout)] == [1, 2, 3]
    server.stop()


def an_import_outlives_the_server(folder):
    make_events(folder / "in.jsonl", 30000)
    server = Server(folder).start()
    with subprocess.Popen([SPOOR, "import", folder / "in.jsonl", "--url", server.url],
                          stderr=subprocess.PIPE, text=True) as process:
        for _ in range(3):
            before = int(server.call("SPOOR.INFO")[5])
            deadline = time.monotonic() + LONG_S
            while process.poll() is None and time.monotonic() < deadline and \
                    int(server.call("SPOOR.INFO")[5]) < before + 1000:
                time.sleep(0.01)
            server.stop(signal.SIGKILL)
            server.start()
        said = process.stderr.read()
        assert process.wait(LONG_S) == 0, said
    assert len(lines(over(server, "events").stdout)) == 30000
    server.stop()


def groups_are_made_watched_and_dropped(folder):
    with Server(folder) as server:
        for number in range(3):
            over(server, "publish", "job.asked", json.dumps({"n": number}), "--source", "jobs")
        over(server, "group", "create", "workers", "jobs", "--from", "0", "--max-deliveries", "1")
        assert "exists" in over(server, "group", "create", "workers", "jobs", code=4).stderr
        assert "ack-wait" in over(server, "group", "set", "workers", "jobs", "--ack-wait", "soon",
                                  code=2).stderr
        over(server, "group", "set", "workers", "jobs", "--ack-wait", "1m")
        group = lines(over(server, "group", "ls").stdout)[0]
        assert (group["name"], group["key"], group["policy"]) == ("workers", "jobs", True)
        assert lines(over(server, "group", "ls", "nothing").stdout) == []
        lag = lines(over(server, "group", "lag", "workers", "jobs").stdout)[0]
        assert lag["events"] == 3 and lag["seconds"] >= 0, lag
        for _, ident, attempts, event in server.call("SPOOR.RECEIVE", "GROUP", "workers", "w",
                                                     "COUNT", 3, "KEYS", "jobs"):
            assert attempts == 1
            server.call("SPOOR.NACK", "jobs", "workers", ident, "ERROR",
                        f"cannot do {json.loads(event)['data']['n']}")
        dead = lines(over(server, "dead", "ls", "workers", "jobs").stdout)
        assert [one["error"] for one in dead] == [f"cannot do {n}" for n in range(3)]
        assert len(lines(over(server, "dead", "ls", "workers", "jobs", "--limit", 2).stdout)) == 2
        assert "which ones" in over(server, "dead", "redrive", "workers", "jobs", code=2).stderr
        done = over(server, "dead", "redrive", "workers", "jobs", dead[0]["id"])
        assert json.loads(done.stdout) == {"redriven": 1}
        done = over(server, "dead", "discard", "workers", "jobs", "--all")
        assert json.loads(done.stdout) == {"discarded": 2}
        over(server, "group", "rm", "workers", "jobs")
        over(server, "group", "rm", "workers", "jobs", code=3)
        over(server, "group", "lag", "workers", "jobs", code=3)


def agents_are_listed_and_shown(folder):
    with Server(folder) as server:
        server.call("SPOOR.AGENT", "ONLINE", "agent:one", "CAPABILITY", "code", "CAPACITY", 2)
        server.call("SPOOR.AGENT", "ONLINE", "agent:two", "CAPABILITY", "mail", "CAPACITY", 1)
        server.call("SPOOR.AGENT", "HEARTBEAT", "agent:two", "LOAD", 1)
        agents = lines(over(server, "agent", "ls").stdout)
        assert sorted(agent["id"] for agent in agents) == ["agent:one", "agent:two"]
        free = lines(over(server, "agent", "ls", "--free").stdout)
        assert [agent["id"] for agent in free] == ["agent:one"]
        able = lines(over(server, "agent", "ls", "--capability", "mail").stdout)
        assert [agent["id"] for agent in able] == ["agent:two"]
        one = json.loads(over(server, "agent", "show", "agent:one").stdout)
        assert one["capabilities"] == ["code"] and one["status"] == "online"
        assert "agent ls" in over(server, "agent", "show", "agent:three", code=3).stderr


def on_terminal_until(server, until, *args):
    """Runs a command on a terminal until it has shown a text, then Ctrl-C; gives all it showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update({"TERM": "xterm", "SPOOR_URL": server.url})
        os.environ.pop("NO_COLOR", None)
        os.execv(SPOOR, [SPOOR, *args])
    shown, deadline, asked = b"", time.monotonic() + LONG_S, False
    while time.monotonic() < deadline:
        try:
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 65536)
        except OSError:
            break
        if until in shown and not asked:
            asked = True
            os.write(terminal, b"\x03")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return shown, os.waitstatus_to_exitcode(status)


def top_watches_and_leaves_the_terminal_as_it_was(folder):
    with Server(folder) as server:
        over(server, "publish", "a.b", "--source", "s")
        over(server, "group", "create", "g", "s", "--from", "0")
        server.call("SPOOR.AGENT", "ONLINE", "agent:one", "CAPABILITY", "code")
        sample = json.loads(over(server, "top", "--once", "--json").stdout)
        assert sample["position"] >= 1 and sample["groups"][0]["events"] == 1, sample
        assert sample["agents"][0]["id"] == "agent:one"
        shown, code = on_terminal_until(server, b"agent:one", "top")
        assert code == 0, shown
        assert shown.startswith(b"\x1b[?1049h\x1b[?25l"), shown
        assert shown.rstrip().endswith(b"\x1b[?25h\x1b[?1049l"), shown[-200:]
        shown, code = on_terminal_until(server, b"a.b", "tail", "--from", "1")
        assert code == 130 and b"\x1b[" in shown, shown
        shown, _ = on_terminal_until(server, b"a.b", "tail", "--from", "1", "--no-color")
        assert b"\x1b[" not in shown, shown


harness.run(a_server_shows_what_its_folder_holds, exit_codes_and_messages_are_those_of_a_folder,
            a_password_is_asked_for_and_never_shown, the_environment_names_a_server_or_a_folder,
            a_store_that_lies_here_is_meant_where_nothing_is_named,
            tail_shows_history_and_what_comes_over_a_restart, an_import_outlives_the_server,
            groups_are_made_watched_and_dropped, agents_are_listed_and_shown,
            top_watches_and_leaves_the_terminal_as_it_was)
