#!/usr/bin/env python3
"""A write that fails ends the writer, is never retried, and nothing it did not store was acknowledged."""
import json
import shutil
import subprocess

import harness
from harness import SPOOR, Skip, lines, spoor

EVENTS = 40_000


def inject(folder, calls, fault, when, *command):
    """Runs the program with a fault put into its `when`-th call of each of `calls`."""
    if shutil.which("strace") is None:
        raise Skip("strace is not installed")
    trace = folder / "trace"
    done = subprocess.run(
        ["strace", "-f", "-o", trace, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}:when={when}",
         SPOOR, *map(str, command)], capture_output=True, text=True, timeout=100, check=False)
    text = trace.read_text("utf-8", "replace") if trace.exists() else ""
    if "ptrace" in done.stderr and "not permitted" in done.stderr:
        raise Skip("tracing is not permitted here")
    return done, text


def check_after(done, data, path, ids, what):
    """Fail-stop, honest, and resumable."""
    assert done.returncode == 1, f"{what}: exit {done.returncode}: {done.stderr}"
    acknowledged = lines(done.stdout)[0]["new"] if done.stdout else 0  # it may not even have opened
    kept = harness.events(data)
    assert len(kept) >= acknowledged, f"{what}: {acknowledged} acknowledged, {len(kept)} there"
    assert [event["id"] for event in kept] == ids[:len(kept)], what
    spoor("verify", data=data)
    rest = lines(spoor("import", path, "--json", data=data).stdout)[0]
    assert rest["events"] == len(ids), what
    assert [event["id"] for event in harness.events(data)] == ids, what


def failing_block_writes(folder):
    path = folder / "events.jsonl"
    ids = harness.make_events(path, EVENTS)
    met = 0
    for number, (fault, when) in enumerate((("error=EIO", "1+"), ("error=EIO", "3+"),
                                            ("error=EIO", "7"), ("error=ENOSPC", "5+"),
                                            ("retval=4096", "4"))):
        data = folder / f"store-{number}"
        done, trace = inject(folder, "pwritev2", fault, when, "import", path, "--json", "--data", data)
        if "(INJECTED)" not in trace:
            continue
        met += 1
        what = f"pwritev2 {fault} at {when}"
        if done.returncode == 0:
            # A full device may have been waited out; a short write and an error may not.
            assert "ENOSPC" in fault, f"{what} went unnoticed"
            assert lines(done.stdout)[0]["new"] == len(ids)
        if not (data / "MANIFEST").exists():
            assert done.returncode == 1 and lines(done.stdout or "{}")[0].get("new", 0) == 0, what
            continue
        if done.returncode != 0:
            check_after(done, data, path, ids, what)
    assert met > 0, "the program makes no pwritev2"


def failing_syncs(folder):
    """Faults of fsync and fdatasync: of new segments, folders, the manifest."""
    path = folder / "events.jsonl"
    ids = harness.make_events(path, EVENTS)
    for number, when in enumerate(("1", "2", "4", "6", "9")):
        for call in ("fsync", "fdatasync"):
            data = folder / f"store-{call}-{number}"
            done, trace = inject(folder, call, "error=EIO", when, "import", path, "--json", "--data",
                                 data)
            if "(INJECTED)" not in trace:
                continue
            what = f"{call} fails at {when}"
            assert done.returncode in (0, 1), f"{what}: {done.returncode} {done.stderr}"
            acknowledged = lines(done.stdout)[0]["new"] if done.stdout else 0
            kept = harness.events(data, code=None) if (data / "MANIFEST").exists() else []
            assert len(kept) >= acknowledged, f"{what}: {acknowledged} acknowledged, {len(kept)} there"
            rest = spoor("import", path, "--json", data=data)
            assert lines(rest.stdout)[0]["events"] == len(ids), what
            assert [event["id"] for event in harness.events(data)] == ids, what


def one_event_is_not_acknowledged_when_its_write_fails(folder):
    data = folder / "store"
    spoor("publish", "a.b", "--source", "s", "--id", "1", data=data)
    done, trace = inject(folder, "pwritev2", "error=EIO", "1+", "publish", "a.b", "--source", "s",
                         "--id", "2", "--data", data)
    assert "(INJECTED)" in trace
    assert done.returncode == 1 and done.stdout == "", (done.returncode, done.stdout, done.stderr)
    kept = [event["id"] for event in harness.events(data)]
    assert kept in (["1"], ["1", "2"]), kept
    answer = json.loads(spoor("publish", "a.b", "--source", "s", "--id", "2", data=data).stdout)
    assert answer["position"] == 2


harness.run(failing_block_writes, failing_syncs, one_event_is_not_acknowledged_when_its_write_fails)
