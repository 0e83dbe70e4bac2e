#!/usr/bin/env python3
"""The workers of examples/sagas/workers, as programs of their own: the success, the failure that is undone, the
compensation that fails and waits for a person, the approval; and the same in TypeScript."""
import json
import os
import pathlib
import shutil
import subprocess
import time

import sdk_typescript
from harness import SOURCE, Skip, run, spoor
from http_help import Server

CLIENTS = pathlib.Path(os.environ.get("SPOOR_CLIENTS", SOURCE / "build" / "clients"))
PYTHON = CLIENTS / "bin/python"
SAGAS = SOURCE / "examples" / "sagas"
PATIENCE_S = 120


class Stage(Server):
    """A server with a worker, and the command line."""

    def __init__(self, folder, definition, command, env):
        super().__init__(folder)
        self.place, self.definition, self.command, self.env = folder, definition, command, env
        self.worker, self.said = None, ""

    def __enter__(self):
        super().__enter__()
        spoor("saga", "define", SAGAS / self.definition, "--url", self.url)
        with open(self.place / "worker.log", "w", encoding="utf-8") as log:
            self.worker = subprocess.Popen(self.command, cwd=self.place, env={**self.env, "SPOOR_URL": self.url},
                                           stdout=subprocess.PIPE, stderr=log, text=True)
        return self

    def __exit__(self, kind, *rest):
        if self.worker is not None:
            self.worker.terminate()
            self.said = self.worker.communicate(timeout=PATIENCE_S)[0]
            ended = self.worker.returncode
            if kind is not None:
                print("# " + (self.place / "worker.log").read_text(encoding="utf-8").replace("\n", "\n# "))
            else:
                assert ended == 0, ended
        super().__exit__(kind, *rest)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http_port}"

    def cli(self, *words, code=0):
        return spoor(*words, "--url", self.url, code=code).stdout

    def start_saga(self, name, data):
        return json.loads(self.cli("saga", "start", name, json.dumps(data)))["sagaid"]

    def show(self, sagaid):
        return json.loads(self.cli("saga", "show", sagaid, "--json"))

    def wait(self, look, what):
        end = time.monotonic() + PATIENCE_S
        while not (found := look()):
            assert time.monotonic() < end, f"in vain: {what}"
            time.sleep(0.05)
        return found

    def until(self, sagaid, status):
        def look():
            shown = self.show(sagaid)
            return shown if shown["status"] == status else None
        return self.wait(look, f"{sagaid} {status}")

    def approved(self, lead):
        """A saga about a lead, behind its approval."""
        sagaid = self.start_saga("book-demo", {"lead_id": lead})
        self.wait(lambda: self.show(sagaid).get("waiting_for") == "approval", "the approval")
        self.cli("saga", "approve", sagaid, "--by", "ann")
        return sagaid


def python(folder, definition, program):
    if not PYTHON.exists():
        raise Skip("no Python with redis-py in build/clients; ./dev test installs it")
    env = {**os.environ, "PYTHONPATH": str(SOURCE / "sdk/python"), "PYTHONDONTWRITEBYTECODE": "1"}
    return Stage(folder, definition, [PYTHON, SAGAS / "workers" / program], env)


def undone(stage, sagaid):
    found = stage.cli("events", "--stream", f"saga:{sagaid}", "--type", "saga.step.compensated", "--json")
    return [json.loads(line)["data"]["step"] for line in found.splitlines()]


def demos(stage):
    """What every worker of book-demo shows."""
    good = stage.until(stage.approved("lead-7"), "completed")
    steps = {step["name"]: step for step in good["steps"]}
    assert steps["qualify_lead"]["result"] == {"lead_id": "lead-7", "score": 7}, steps
    assert steps["book/slot"]["result"] == {"slot": "Tuesday, 10:00"}, steps
    assert steps["book/crm"]["result"] == {"opportunity": "opp-lead-7"}, steps
    nobody = stage.start_saga("book-demo", {"lead_id": "lead-nobody"})
    assert "there is no such lead" in stage.until(nobody, "compensated")["error"]
    assert undone(stage, nobody) == []
    busy = stage.approved("lead-busy")
    assert "no slot is free" in stage.until(busy, "compensated")["error"]
    assert undone(stage, busy)[-1] == "qualify_lead", "what was done first is undone last"
    rejected = stage.start_saga("book-demo", {"lead_id": "lead-8"})
    stage.wait(lambda: stage.show(rejected).get("waiting_for") == "approval", "the approval")
    stage.cli("saga", "reject", rejected, "--by", "ann", "--reason", "not now")
    stage.until(rejected, "compensated")
    assert undone(stage, rejected) == ["qualify_lead"]


def book_demo_in_python(folder):
    with python(folder, "book-demo.yaml", "book_demo.py") as stage:
        demos(stage)
        # The opportunity may not have been opened when the slot failed: then there is nothing to delete.
        stuck = stage.approved("lead-stuck")
        shown = stage.wait(lambda: next((s for s in [stage.show(stuck)]
                                         if s["status"] in ("needs_attention", "compensated")), None), "its end")
        if shown["status"] == "needs_attention":
            assert "locked by an audit" in json.dumps(shown), shown
            assert undone(stage, stuck) == [], "what was before it waits"
            stage.cli("saga", "done", stuck, "--step", "book/crm", "--by", "ann", "--reason", "deleted by hand")
            stage.until(stuck, "compensated")
        assert undone(stage, stuck)[-1] == "qualify_lead"
        world = json.loads((folder / "demo-world.json").read_text(encoding="utf-8"))
    assert sorted(key.split("/", 1)[1] for key in world if not key.startswith(stuck)) == [
        "book/crm", "book/slot", "qualify_lead"], world


def order_fulfilment_in_python(folder):
    order = {"amount": 80, "currency": "EUR", "items": ["tea"]}
    with python(folder, "order-fulfilment.yaml", "order_fulfilment.py") as stage:
        for name in ("o-1", "o-2", "o-1"):
            stage.cli("publish", "order.placed", json.dumps({**order, "order_id": name}), "--source", "shop")
        started = stage.wait(lambda: (found := stage.cli("events", "--type", "saga.started", "--json").splitlines())
                             and len(found) == 2 and found, "two sagas")
        ids = {json.loads(line)["data"]["data"]["order_id"]: json.loads(line)["sagaid"] for line in started}
        good = stage.until(ids["o-1"], "completed")
        assert good["result"] == {"order": "o-1", "tracking": "trk-o-1"}, good
        bad = stage.until(ids["o-2"], "compensated")
        assert "no anvils" in bad["error"], bad
        assert undone(stage, ids["o-2"]) == ["reserve_inventory", "charge_card"]
    said = stage.said.splitlines()
    assert said.count("confirmed o-1") == 1 and "released o-2: res-o-2" in said, said
    assert [line.split(":")[0] for line in said if "o-2" in line] == [
        "charged o-2", "reserved o-2", "released o-2", "refunded o-2"], said


def rollback_in_python(folder):
    failed = {"deployment_id": "d-1", "service": "shop", "error": "5xx", "migration": 7, "previous_version": "1.4",
              "flag": "new-cart"}
    with python(folder, "rollback.yaml", "rollback.py") as stage:
        stage.cli("publish", "deployment.failed", json.dumps(failed), "--source", "ci")
        asked = stage.wait(lambda: stage.cli("approval", "ls", "--json").splitlines(), "the approval")
        sagaid = json.loads(asked[0])["sagaid"]
        stage.cli("saga", "approve", sagaid, "--choice", "rollback", "--by", "ann")
        stage.until(sagaid, "completed")
        assert stage.cli("events", "--type", "deployment.rolled_back", "--json")
    assert stage.said.splitlines() == ["undid migration 7", "deployed shop 1.4", "disabled new-cart"], stage.said


def book_demo_in_typescript(folder):
    place = folder / "ts"
    (place / "node_modules").mkdir(parents=True)
    for module in (*sdk_typescript.MODULES.iterdir(), sdk_typescript.package()):
        name = "spoor" if module.name == "typescript" and module.parent.name == "sdk" else module.name
        (place / "node_modules" / name).symlink_to(module)
    (place / "package.json").write_text('{"type": "module"}\n', encoding="utf-8")
    shutil.copy(SAGAS / "workers" / "book_demo.ts", place)
    checked = subprocess.run(
        [sdk_typescript.NODE, sdk_typescript.MODULES / "typescript/bin/tsc", "--strict", "--module", "NodeNext",
         "--target", "ES2022", "--types", "node", place / "book_demo.ts"],
        cwd=place, env=sdk_typescript.environment(), capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    with Stage(folder, "book-demo.yaml", [sdk_typescript.node(), place / "book_demo.js"],
               sdk_typescript.environment()) as stage:
        demos(stage)


run(book_demo_in_python, order_fulfilment_in_python, rollback_in_python,
    sdk_typescript.needed(book_demo_in_typescript))
