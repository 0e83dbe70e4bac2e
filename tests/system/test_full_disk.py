#!/usr/bin/env python3
"""A full device is refused cleanly: nothing acknowledged is lost, and with room the work goes on."""
import contextlib
import os
import resource
import subprocess

import harness
from harness import SPOOR, Skip, lines, spoor

EVENTS = 150_000


@contextlib.contextmanager
def small_device(folder, mib):
    """A file system in memory of that size."""
    place = folder / "device"
    place.mkdir()
    if os.geteuid() != 0:
        raise Skip("mounting needs root")
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "spoor-test", place],
                           capture_output=True, text=True, check=False)
    if mount.returncode != 0:
        raise Skip(f"cannot mount: {mount.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=False)


def check_kept(data, report, ids):
    kept = harness.events(data)
    assert len(kept) >= report["new"] > 0, (len(kept), report)
    assert [event["id"] for event in kept] == ids[:len(kept)]
    spoor("verify", data=data)


def an_import_meets_a_full_device(folder):
    path = folder / "events.jsonl"
    ids = harness.make_events(path, EVENTS)
    with small_device(folder, 40) as place:
        data = place / "store"
        done = spoor("import", path, "--json", data=data, code=1)
        assert "space" in done.stderr.lower(), done.stderr
        report = lines(done.stdout)[0]
        print(f"# {report['new']} events fitted")
        check_kept(data, report, ids)
        again = spoor("import", path, "--json", data=data, code=1)
        assert "space" in again.stderr.lower(), again.stderr
        assert lines(again.stdout)[0]["new"] == 0
        check_kept(data, report, ids)
        subprocess.run(["mount", "-o", "remount,size=400m", place], check=True)
        last = lines(spoor("import", path, "--json", data=data).stdout)[0]
        assert last["events"] == EVENTS
        stored = harness.events(data)
        assert [event["id"] for event in stored] == ids
        spoor("verify", data=data)


def a_device_too_small_for_any_store(folder):
    with small_device(folder, 1) as place:
        done = spoor("publish", "a", "--source", "b", data=place / "store", code=1)
        assert "space" in done.stderr.lower(), done.stderr


def a_limit_on_the_size_of_files(folder):
    """As a user without rights can meet it; the signal that comes with it is the test's to ignore."""
    path = folder / "events.jsonl"
    ids = harness.make_events(path, 60_000)
    data = folder / "store"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))

    done = subprocess.run([SPOOR, "import", path, "--json", "--data", data], capture_output=True,
                          text=True, preexec_fn=limit, timeout=60, check=False)
    assert done.returncode in (1, -25), (done.returncode, done.stderr)
    report = lines(spoor("import", path, "--json", data=data).stdout)[0]
    assert report["events"] == len(ids)
    assert [event["id"] for event in harness.events(data)] == ids
    spoor("verify", data=data)


harness.run(an_import_meets_a_full_device, a_device_too_small_for_any_store,
            a_limit_on_the_size_of_files)
