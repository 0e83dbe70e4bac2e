"""What the tests of sagas share: a server, workers in processes of their own, the command line, a sink."""
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import time

from harness import SOURCE, SPOOR, TIMEOUT, Skip, lines, on_terminal, spoor

sys.path.insert(0, str(SOURCE / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from servers import Spoor

PYTHON = pathlib.Path(os.environ.get("SPOOR_CLIENTS", SOURCE / "build" / "clients")) / "bin/python"
EXAMPLES = SOURCE / "examples" / "sagas"
PATIENCE_S = 240  # machines are slow; nothing here takes so long
OVER = ("completed", "compensated", "cancelled")


def needs_python():
    """The SDK needs redis-py, which ./dev puts there."""
    if not PYTHON.exists():
        raise Skip("no Python with redis-py in build/clients")


class Stage(Spoor):
    """A server, and what is asked of it on the command line."""

    def __init__(self, folder, options=()):
        super().__init__(folder=folder / "data", program=SPOOR,
                         options=("--agent-grace", "500ms", *options))
        self.place = folder
        self.workers = []

    def __exit__(self, *exc):
        for process in list(self.workers):
            self.kill_worker(process)
        super().__exit__(*exc)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http_port}"

    def cli(self, *words, code=0, stdin=None):
        return spoor(*words, "--url", self.url, code=code, stdin=stdin)

    def json(self, *words, code=0):
        return json.loads(self.cli(*words, "--json", code=code).stdout)

    def start_saga(self, name, data=None, *words):
        operands = [json.dumps(data)] if data is not None else []
        return json.loads(self.cli("saga", "start", name, *operands, *words).stdout)["sagaid"]

    def show(self, sagaid):
        return self.json("saga", "show", sagaid)

    def words(self, sagaid):
        """Its story, as people see it: on a terminal."""
        code, shown = on_terminal("saga", "show", sagaid, "--url", self.url, "--no-color", columns=200)
        assert code == 0, shown
        return shown

    def events(self, *words):
        return lines(self.cli("events", "--json", *words).stdout)

    def of_saga(self, sagaid):
        return self.events("--stream", f"saga:{sagaid}", "--limit", "100000")

    def wait(self, what, look):
        """Until `look` gives something true; that."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := look()):
            assert time.monotonic() < deadline, f"in vain: {what}"
            time.sleep(0.02)
        return found

    def until(self, sagaid, *statuses):
        """The saga once it stands so."""
        def look():
            shown = self.show(sagaid)
            assert shown["status"] in statuses or shown["status"] not in OVER, shown
            return shown if shown["status"] in statuses else None
        return self.wait(f"saga {sagaid} {statuses}", look)

    # -- workers

    def worker(self, agent, actions, undo=(), **rules):
        needs_python()
        path = self.place / f"{agent}.{len(list(self.place.glob('*.rules')))}.rules"
        path.write_text(json.dumps({"url": f"redis://127.0.0.1:{self.port}", "agent": agent,
                                    "sink": str(self.place / "sink.db"), "actions": list(actions),
                                    "undo": list(undo), **rules}), encoding="utf-8")
        with open(self.place / f"{agent}.log", "ab") as log:
            process = subprocess.Popen(
                [PYTHON, SOURCE / "tests/system/saga_worker.py", path], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "PYTHONPATH": str(SOURCE / "sdk/python"), "PYTHONDONTWRITEBYTECODE": "1"})
        process.agent = agent
        self.workers.append(process)
        return process

    def at_work(self, process):
        line = process.stdout.readline()
        log = (self.place / f"{process.agent}.log").read_text(encoding="utf-8", errors="replace")
        assert line and json.loads(line) == {"ready": True}, log[-3000:]
        return process

    def kill_worker(self, process):
        process.kill()
        process.wait(TIMEOUT)
        process.stdout.close()
        process.stdin.close()
        self.workers.remove(process)

    def sink(self):
        """{key: (action, done, undone, number)}; 1 where it happened."""
        path = self.place / "sink.db"
        if not path.exists():
            return {}
        base = sqlite3.connect(path, timeout=60)
        try:
            return {row[0]: row[1:] for row in base.execute("SELECT key, action, done, undone, number FROM effects")}
        finally:
            base.close()


def check_order(events):
    """What must hold of the events of any one saga, whatever happened to it. Gives its last status."""
    types = [event["type"] for event in events]
    assert types[0] == "saga.started" and types.count("saga.started") == 1, types
    ends = [at for at, type_ in enumerate(types) if type_ in [f"saga.{status}" for status in OVER]]
    assert len(ends) <= 1, f"more than one end: {types}"
    if ends:  # nothing is begun behind the end; answers that come late are told
        assert set(types[ends[0] + 1:]) <= {"saga.answer.ignored"}, types
    commands = [event["id"] for event in events if event.get("idempotencykey")]
    assert len(set(commands)) == len(commands), "a command twice"
    undoing = types.index("saga.compensation.started") if "saga.compensation.started" in types else len(types)
    assert "saga.step.started" not in types[undoing:], "a step begins while others are undone"
    assert "saga.step.compensating" not in types[:undoing], types
    started = {event["data"]["step"] for event in events if event["type"] == "saga.step.started"}
    undone = [event["data"]["step"] for event in events if event["type"] == "saga.step.compensated"]
    assert len(set(undone)) == len(undone), f"undone twice: {undone}"
    assert set(undone) <= started, f"undone, never begun: {set(undone) - started}"
    return types[ends[0]].removeprefix("saga.") if ends else None


def compensated_in_order(events):
    return [event["data"]["step"] for event in events if event["type"] == "saga.step.compensated"]
