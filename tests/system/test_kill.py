#!/usr/bin/env python3
"""A writer killed at any moment loses nothing that it acknowledged, and is resumed without doubles."""
import os
import random
import signal
import subprocess
import time

import harness
from harness import SPOOR, lines, spoor

EVENTS = 90_000
KILLS = 10


def import_time(path, folder):
    started = time.monotonic()
    spoor("import", path, data=folder / "timing")
    return time.monotonic() - started


def kill_after(seconds, path, data):
    """Starts an import and kills it; True where it was still at work."""
    with subprocess.Popen([SPOOR, "import", "--quiet", path, "--data", data],
                          stderr=subprocess.PIPE) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        assert process.wait() in (0, -signal.SIGKILL), process.stderr.read()
        return process.returncode == -signal.SIGKILL


def check_prefix(data, ids):
    """What is there is a beginning of what was imported, once each; gives its length."""
    stored = lines(spoor("events", "--json", data=data).stdout)
    found = [event["id"] for event in stored]
    assert found == ids[:len(found)], "neither gaps nor doubles nor another order"
    assert [event["position"] for event in stored] == list(range(1, len(found) + 1))
    return len(found)


def an_import_survives_kills_at_random_moments(folder):
    path = folder / "events.jsonl"
    ids = harness.make_events(path, EVENTS)
    whole = import_time(path, folder)
    dice = random.Random(7)
    data = folder / "store"
    killed, before = 0, 0
    for number in range(KILLS):
        # Later kills come soon: with most events known, the end comes sooner too.
        killed += kill_after(dice.uniform(0.02, whole), path, data)
        if number % 3 == 0 and (data / "MANIFEST").exists():
            there = check_prefix(data, ids)
            assert there >= before, f"{before} events were there, now {there}"
            before = there
            spoor("verify", data=data)
    print(f"# {killed} of {KILLS} imports were killed at work; a whole one takes {whole:.2f} s")
    assert killed > 0
    report = lines(spoor("import", path, "--json", data=data).stdout)[0]
    assert report["events"] == EVENTS and report["new"] + report["known"] == EVENTS
    assert check_prefix(data, ids) == EVENTS
    given = [line.split('"data":')[1] for line in path.read_text("utf-8").splitlines()]
    exported = spoor("export", data=data).stdout.splitlines()
    for before_line, after in zip(given, exported):
        text = before_line.split("},")[0].rstrip("}")
        assert text in after
    verdict = lines(spoor("verify", "--json", data=data).stdout)[-1]
    assert verdict["whole"] and verdict["events"] == EVENTS


def sealing_survives_kills_at_random_moments(folder):
    """A writer that has nothing to do but to seal is killed while it does."""
    path = folder / "events.jsonl"
    ids = harness.make_events(path, EVENTS)
    data = folder / "store"
    dice = random.Random(5)
    kill_after(import_time(path, folder) * 0.9, path, data)
    there = check_prefix(data, ids)
    for number in range(8):
        pipe = folder / f"pipe-{number}"
        os.mkfifo(pipe)
        with subprocess.Popen([SPOOR, "import", "--quiet", pipe, "--data", data]) as process:
            with open(pipe, "w", encoding="utf-8"):
                time.sleep(dice.uniform(0.01, 0.3))
                process.send_signal(signal.SIGKILL)
                process.wait()
        assert check_prefix(data, ids) == there
        spoor("verify", data=data)
    harness.seal(data)
    assert check_prefix(data, ids) == there
    spoor("import", path, data=data)
    assert check_prefix(data, ids) == EVENTS
    spoor("verify", data=data)


def recorded_runs_survive_kills(folder):
    """The real thing: many runs over one folder, killed early, then the known figures."""
    truth = harness.truth()["all"]
    data = folder / "store"
    dice = random.Random(3)
    for _ in range(10):
        kill_after(dice.uniform(0.005, 0.12), harness.RUNS, data)
    report = lines(spoor("import", harness.RUNS, "--json", data=data).stdout)[0]
    assert report["events"] == truth["events"]
    stored = harness.events(data)
    assert len(stored) == len({event["id"] for event in stored}) == truth["events"]
    for kind, count in truth["events_by_type"].items():
        assert sum(event["type"] == kind for event in stored) == count
    spoor("verify", data=data)


def what_was_acknowledged_is_there_after_a_kill(folder):
    """bench open kills a writer at full speed and compares what it had acknowledged."""
    out = lines(spoor("bench", "open", "--bytes", "60Mi", data=folder / "data").stdout)
    assert len(out) == 2
    for each in out:
        assert each["lost"] == 0 and each["acknowledged"] > 0, each


harness.run(an_import_survives_kills_at_random_moments,
            sealing_survives_kills_at_random_moments, recorded_runs_survive_kills,
            what_was_acknowledged_is_there_after_a_kill)
