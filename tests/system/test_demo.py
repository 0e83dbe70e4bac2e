#!/usr/bin/env python3
"""The demo: 47 agents in Python and TypeScript, whose story is right and stays right when a process of
theirs is killed. Nothing is said of how fast that is.
"""
import collections
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import sdk_typescript as sdk
from harness import SOURCE, SPOOR, run, spoor

PYTHON = sdk.CLIENTS / "bin" / "python"
BUILD = pathlib.Path(SPOOR).resolve().parent
TIMEOUT_S = 280
DEPARTMENTS = {"review": 8, "deployment": 7, "monitoring": 12, "security": 8, "incident": 4,
               "notification": 8}


def needed(test):
    return sdk.needed(test)


def command(*options):
    return [PYTHON, SOURCE / "demo" / "demo.py", *options]


def environment():
    return {**os.environ, "SPOOR": SPOOR, "PYTHONPATH": str(SOURCE / "sdk" / "python"),
            "SPOOR_CLIENTS": str(sdk.CLIENTS), "PYTHONDONTWRITEBYTECODE": "1"}


@functools.lru_cache(maxsize=None)
def demo(*options):
    """What the demo found, as an object; run once for the same options."""
    sdk.package()  # whose building is not the demo's time
    done = subprocess.run(command("--json", *options), env=environment(), capture_output=True, text=True,
                          timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return json.loads(done.stdout)


def whole():
    return demo("--story", "fleet", "--rounds", "2", "--compare", "1", "--work", "2", "--poll", "0.05",
                "--kills", "4")


def told(event):
    return event["type"], event["source"]


def types_are_right(folder):
    """The agents in TypeScript, as the compiler sees them; Node.js only strips their types."""
    modules = folder / "node_modules"
    modules.mkdir()
    for package in sdk.MODULES.iterdir():
        (modules / package.name).symlink_to(package)
    (modules / "spoor").symlink_to(sdk.package())
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    shutil.copytree(SOURCE / "demo", folder / "demo")
    done = subprocess.run(
        [sdk.NODE, modules / "typescript/bin/tsc", "--noEmit", "--strict", "--target", "ES2022",
         "--module", "NodeNext", "--types", "node", "--exactOptionalPropertyTypes",
         "--allowImportingTsExtensions", "--erasableSyntaxOnly", *sorted((folder / "demo").rglob("*.ts"))],
        cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout


def all_agents_are_there(_folder):
    found = whole()
    prefixes = collections.Counter(name.split("-")[0] for name in found["online"])
    assert sorted(prefixes.values()) == sorted(DEPARTMENTS.values()), prefixes
    assert len(set(found["online"])) == 47


def the_story_leads_back_to_the_commit(_folder):
    """The chain that `spoor why` tells: who did what, oldest first, each the next one's cause."""
    chain = whole()["why"]
    assert [told(event) for event in chain] == [
        ("code.commit.pushed", "forge"),
        ("code.review.completed", "review-lead"),
        ("deployment.triggered", "deploy-manager"),
        ("deployment.failed", "deploy-canary"),
        ("service.health.degraded", "monitor-errors"),
        ("alert.triggered", "incident-alerts"),
        ("incident.created", "incident-commander"),
    ], chain
    for cause, event in zip(chain, chain[1:]):
        assert event["causationid"] == cause["id"]
        assert event["correlationid"] == chain[0]["id"]
        assert event["position"] > cause["position"]
    commit = chain[0]["data"]["commit"]
    assert commit in chain[-1]["data"]["incident_id"], "the incident is of another commit"


def counted(events):
    """How often who did what because of what."""
    by_id = {event["id"]: event for event in events}
    return collections.Counter(
        (*told(event), event.get("causationid") and told(by_id[event["causationid"]]))
        for event in events)


def check_whole_story(events):
    """Every expected reaction once, and nothing else."""
    counts = counted(events)
    assert set(counts.values()) == {1}, [what for what, count in counts.items() if count != 1]
    assert len({event["id"] for event in events}) == len(events) == 54
    assert {event["source"] for event in events} - {"forge"} == set(whole()["online"])
    after = collections.Counter((type_, cause[0]) for type_, _, cause in counts if cause)
    assert after == {
        ("code.review.completed", "code.commit.pushed"): 1,
        ("deployment.triggered", "code.review.completed"): 1,
        ("deployment.started", "deployment.triggered"): 1,
        ("deployment.failed", "deployment.triggered"): 1,
        ("code.review.completed", "deployment.failed"): 6,
        ("code.risk.identified", "deployment.failed"): 1,
        ("service.health.degraded", "deployment.failed"): 12,
        ("security.scan.completed", "deployment.failed"): 7,
        ("anomaly.detected", "deployment.failed"): 1,
        ("correlation.found", "anomaly.detected"): 1,
        ("alert.triggered", "service.health.degraded"): 1,
        ("incident.created", "alert.triggered"): 1,
        ("incident.updated", "incident.created"): 1,
        ("deployment.rolled_back", "incident.created"): 6,
        ("notification.sent", "incident.created"): 8,
        ("agent.step.completed", "incident.created"): 1,
        ("service.health.recovered", "deployment.rolled_back"): 1,
        ("incident.resolved", "service.health.recovered"): 1,
        ("notification.sent", "incident.resolved"): 1,
    }, after


def everybody_reacts_once(_folder):
    check_whole_story(whole()["story"])


def events_are_those_of_the_vocabulary(_folder):
    sys.path[:0] = map(str, sdk.CLIENTS.glob("lib/python3*/site-packages"))
    from jsonschema import Draft202012Validator  # pylint: disable=import-outside-toplevel
    for event in whole()["story"]:
        schema = json.loads(spoor("schema", "show", event["type"]).stdout)["schema"]
        wrong = list(Draft202012Validator(schema).iter_errors(event["data"]))
        assert not wrong, f"{event['type']}: {wrong[0].message}"


def all_ways_are_measured(_folder):
    found = whole()
    for name, count in (("events_ms", 2), ("events_working_ms", 1), ("http_ms", 1), ("polled_ms", 1),
                        ("http_working_ms", 1)):
        assert len(found[name]) == count and all(value > 0 for value in found[name]), found[name]


def check_kill(killed, department):
    """A process died in the middle: all of its agents are suspected, recover, and nothing is lost."""
    agents = killed["agents"]
    assert killed["department"] == department and len(agents) == DEPARTMENTS[department]
    check_whole_story(killed["events"])
    noticed = collections.Counter((notice["type"], notice["data"]["agent"])
                                  for notice in killed["notices"] if "agent" in notice["data"])
    for agent in agents:
        assert noticed[("agent.suspected_failure", agent)] >= 1, f"{agent} was not suspected"
        assert noticed[("agent.recovered", agent)] == noticed[("agent.suspected_failure", agent)]
    # What was in flight at the kill, and nothing else of this story, was handed out again.
    again = [notice for notice in killed["notices"] if notice["type"] == "delivery.failed"
             and notice["correlationid"] == killed["events"][0]["id"]]
    assert len(again) == killed["in_flight"] > 0, again
    assert {notice["data"]["group"] for notice in again} <= set(agents)
    assert killed["rings"] == 1, "the pager is a step: it rings once"


def a_killed_process_costs_nothing(_folder):
    """The notifiers die after one has rung, two have told and all others have yet to."""
    killed = whole()["kill"]
    check_kill(killed, "notification")
    assert killed["in_flight"] == 9 and killed["emitted"] == 54 - 7, killed["emitted"]


def nor_does_one_killed_at_any_moment(_folder):
    """The demo compares the log with the story after each, and all of it at the end."""
    assert whole()["runs"] == 3 + 2 + 1 + 1 + 4, whole()["runs"]


def so_in_every_department(_folder):
    for department in ("deployment", "incident", "monitoring"):
        found = demo("--story", "fleet", "--rounds", "1", "--compare", "0", "--kills", "0", "--kill",
                     department)
        check_kill(found["kill"], department)


def a_rollback_is_approved_on_the_command_line(_folder):
    """The deployment failed, a person said yes, and what it did was undone in its order."""
    found = demo("--story", "rollback")["rollback"]
    actions = ["database.undo_migration", "deploy.undo", "flags.disable"]
    assert found["done"] == actions, found["done"]
    types = [event["type"] for event in found["events"]]
    assert [type_ for type_ in types if type_ in actions] == actions, types
    story = ["deployment.failed", "saga.started", "action.proposed", "action.approved", "saga.approval.granted",
             actions[0], f"{actions[0]}.completed", actions[1], f"{actions[1]}.completed", actions[2],
             f"{actions[2]}.completed", "deployment.rolled_back", "saga.completed"]
    assert [type_ for type_ in types if type_ in story] == story, types
    first, *lines = found["words"].splitlines()
    assert first.startswith("Rollback deploy-117 is done: undo migration, undo deploy and "), first
    assert any("ann answered “rollback” to “Roll the deployment back?”" in line for line in lines), lines


def plain(text):
    """Lines without what differs from one run to the next: numbers, ids, services, white space."""
    found = []
    for line in text.splitlines():
        line = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", line)
        if re.match(r"\s*\d+ +\d{4}-\d\d-\d\d ", line):  # a row of `why`; its data is cut to the width
            line = " ".join(line.split()[3:6])
        line = re.sub(r"\b(user-service|cart|checkout|search|mail)(?=:| fails)", "SERVICE", line)
        line = re.sub(r"\d[\d.,]*( µs| ms| min| s\b)?", "N", line)
        line = re.sub(r": done after N", ": done", line)
        found.append(" ".join(line.split()))
    return [line for line in found if line]


def documents_show_what_is_printed(_folder):
    """docs/demo.md shows the demo's own lines; those of a round may come in another order."""
    text = (SOURCE / "docs" / "demo.md").read_text(encoding="utf-8")
    shown = re.search(r"```console\n\$ \./dev demo\n(.*?)```", text, re.DOTALL).group(1)
    done = subprocess.run(command("--rounds", "2", "--compare", "1", "--poll", "0.05"), env=environment(),
                          capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    ours = [re.sub(r" \(N\)", "", line) for line in plain(done.stdout)]
    theirs = [re.sub(r" \(N\)", "", line) for line in plain(shown)]
    missing, more = set(theirs) - set(ours), set(ours) - set(theirs)
    assert not missing and not more, f"only in docs/demo.md: {missing}; only printed: {more}"


def left_behind():
    """Folders and processes of demos; a process is one of ours where its command names such a folder."""
    folders = [str(path) for path in BUILD.glob("demo-*")]
    processes = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cwd"):
        try:
            if f"{BUILD}/demo-" in os.readlink(path):
                processes.append(path.parent.name)
        except OSError:  # it ended, or is somebody else's
            continue
    return folders, processes


def nothing_stays_behind(_folder):
    """Nor where it is interrupted."""
    before = left_behind()
    whole()
    assert left_behind() == before, left_behind()
    with subprocess.Popen(command("--rounds", "1000"), env=environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        while "agents online" not in process.stdout.readline():
            assert process.poll() is None, process.stderr.read()
        assert left_behind() != before
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, errors
    assert not errors, errors
    assert left_behind() == before, left_behind()


run(*map(needed, (
    types_are_right, all_agents_are_there, the_story_leads_back_to_the_commit, everybody_reacts_once,
    events_are_those_of_the_vocabulary, all_ways_are_measured, a_killed_process_costs_nothing,
    nor_does_one_killed_at_any_moment, so_in_every_department,
    a_rollback_is_approved_on_the_command_line, documents_show_what_is_printed, nothing_stays_behind)))
