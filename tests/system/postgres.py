#!/usr/bin/env python3
"""A PostgreSQL server of a test's own: made from the installed package, gone when the test is.

It listens on a socket in a folder of its own and on no port, so that any number may run at once. A
keeper, this file run as a program, owns it: it obeys lines on its standard input, answers each with
one line, and at the end of its input, however the test ended, stops the server and removes the
folder. Tests in C start the same keeper.

    start         starts the server (again); answers `ready URL`
    stop          stops it as an administrator would, ending its connections
    crash         stops it at once, without a checkpoint: the next start recovers
    psql SQL      runs SQL as its superuser; answers with one line of JSON: what psql printed
    psql/DB SQL   the same in another database than `postgres`
"""
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve()
START_SECONDS = 120


class Missing(Exception):
    """There is no PostgreSQL server here, or none that this user may start."""


def binaries():
    """The folder of the newest installed server's programs."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"),
                   key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    inside = shutil.which("initdb")
    if inside is None:
        raise Missing("no initdb in /usr/lib/postgresql/*/bin or on the PATH")
    return pathlib.Path(inside).parent


def unprivileged():
    """Who runs the server, as it refuses to be run by root: a user's entry, None for ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Missing("root may not run PostgreSQL, and there is no user postgres or nobody")


class Keeper:
    """What owns the server; lives in the process of its own."""

    SETTINGS = {"listen_addresses": "''", "max_connections": "40", "shared_buffers": "64MB",
                "logging_collector": "off", "log_min_messages": "warning",
                "autovacuum_naptime": "5s"}

    def __init__(self, durable):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="spoor-pg-"))
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.user = unprivileged()
        self.bin = binaries()
        self.settings = {**self.SETTINGS, "unix_socket_directories": f"'{self.folder}'",
                         "fsync": "on" if durable else "off"}
        if self.user is not None:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        # The folder is closed to others: the server trusts whoever reaches its socket.
        self.program("initdb", "-D", self.data, "-U", "spoor", "-A", "trust", "-E", "UTF8",
                     "--locale=C", "--no-sync", "--no-instructions")
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as file:
            for name, value in self.settings.items():
                file.write(f"{name} = {value}\n")

    def program(self, name, *arguments, check=True):
        """Runs one of the server's programs as its owner; gives what it printed."""
        who = {} if self.user is None else {"user": self.user.pw_uid, "group": self.user.pw_gid,
                                            "extra_groups": []}
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        done = subprocess.run([str(self.bin / name), *map(str, arguments)], capture_output=True,
                              text=True, cwd=self.folder, check=False, env=environ,
                              stdin=subprocess.DEVNULL, start_new_session=True, **who)
        if check and done.returncode != 0:
            raise RuntimeError(f"{name}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def url(self):
        return f"postgres:///postgres?host={self.folder}&user=spoor"

    def start(self):
        # Its output goes to a file: a pipe would stay open as long as the server runs.
        self.program("pg_ctl", "-D", self.data, "-l", self.log, "-w", "-t", START_SECONDS, "start")
        return f"ready {self.url()}"

    def stop(self, how):
        self.program("pg_ctl", "-D", self.data, "-w", "-t", START_SECONDS, "-m", how, "stop")
        return "stopped"

    def psql(self, sql, database):
        text = self.program("psql", "-X", "-q", "-A", "-t", "-h", self.folder, "-U", "spoor",
                            "-d", database, "-v", "ON_ERROR_STOP=1", "-c", sql, check=False)
        return json.dumps(text.strip())

    def obey(self, line):
        verb, _, rest = line.strip().partition(" ")
        if verb == "start":
            return self.start()
        if verb in ("stop", "crash"):
            return self.stop("fast" if verb == "stop" else "immediate")
        if verb == "psql" or verb.startswith("psql/"):
            return self.psql(rest, verb.partition("/")[2] or "postgres")
        return f"unknown: {verb}"

    def close(self):
        if (self.data / "postmaster.pid").exists():
            self.program("pg_ctl", "-D", self.data, "-w", "-m", "immediate", "stop", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def keep(durable):
    """The keeper's life: from its start to the end of its input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # who started it decides, by closing the pipe
    try:
        keeper = Keeper(durable)
    except Missing as reason:
        print(f"missing {reason}", flush=True)
        return
    try:
        print(keeper.start(), flush=True)
        for line in sys.stdin:
            try:
                answer = keeper.obey(line)
            except (OSError, RuntimeError) as problem:
                answer = "error " + " ".join(str(problem).split())
            print(answer, flush=True)
    except BrokenPipeError:
        pass  # nobody is there to be told; what is left to do is to clean up
    finally:
        keeper.close()


class Postgres:
    """A running server; `url` is what spoor is given. Use it in a `with`."""

    def __init__(self, durable=False):
        self.keeper = subprocess.Popen(
            [sys.executable, str(HERE), *(["--durable"] if durable else [])], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        answer = self.keeper.stdout.readline().strip()
        if answer.startswith("missing "):
            self.close()
            raise Missing(answer.partition(" ")[2])
        assert answer.startswith("ready "), f"PostgreSQL did not start: {answer!r}"
        self.url = answer.partition(" ")[2]

    def ask(self, line):
        self.keeper.stdin.write(line + "\n")
        self.keeper.stdin.flush()
        answer = self.keeper.stdout.readline().strip()
        assert answer and not answer.startswith(("error ", "unknown")), f"{line}: {answer!r}"
        return answer

    def start(self):
        self.ask("start")

    def stop(self):
        self.ask("stop")

    def crash(self):
        self.ask("crash")

    def psql(self, sql, database="postgres"):
        """The lines that psql prints for one statement or several; columns are parted by `|`."""
        return json.loads(self.ask(f"psql/{database} " + " ".join(sql.split())))

    def wait_for(self, sql, wanted, seconds=120):
        """Waits until the statement prints what is wanted."""
        deadline = time.monotonic() + seconds
        while (seen := self.psql(sql)) != str(wanted):
            assert time.monotonic() < deadline, f"{sql}: {seen!r}, not {wanted!r}"
            time.sleep(0.05)

    def close(self):
        self.keeper.stdin.close()
        self.keeper.wait(timeout=START_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


if __name__ == "__main__":
    keep("--durable" in sys.argv[1:])
