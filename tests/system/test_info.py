#!/usr/bin/env python3
"""spoor info: it says what is there, makes a store only when told to, and works beside a writer."""
import json
import subprocess
import time

import harness
from harness import SPOOR, SOURCE, spoor

SAMPLE = SOURCE / "examples/refund.jsonl"


def info(data, *args):
    return json.loads(spoor("info", "--json", *args, data=data).stdout)


def a_missing_store_is_made_only_when_told_to(folder):
    data = folder / "store"
    assert "there is no event store" in spoor("info", data=data, code=3).stderr
    assert not data.exists()
    assert info(data, "--create")["events"] == 0
    first = info(data)
    assert first == info(data, "--create"), "made once"
    assert "checkpoint_root" not in first


def it_counts_what_was_imported(folder):
    data = folder / "store"
    spoor("import", SAMPLE, data=data)
    shown = info(data)
    assert (shown["events"], shown["first_position"], shown["last_position"]) == (15, 1, 15), shown
    streams = spoor("stream", "ls", "--json", data=data).stdout.splitlines()
    assert shown["streams"] == len(streams) == 7
    assert shown["sealed_segments"] == shown["waiting_segments"] == 0 < shown["bytes"]
    root = json.loads(spoor("verify", "--json", data=data).stdout)["root"]
    assert (shown["checkpoint_events"], shown["checkpoint_root"]) == (15, root), shown


def it_works_beside_a_writer(folder):
    data = folder / "store"
    spoor("import", SAMPLE, data=data)
    writer = subprocess.Popen([SPOOR, "import", "-", "--data", data], stdin=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while (data / "LOCK").read_text(encoding="ascii").strip() != str(writer.pid):
            assert time.monotonic() < end, "the writer never took the folder"
            time.sleep(0.01)
        assert str(writer.pid) in spoor("publish", "a.b", data=data, code=1).stderr
        assert info(data, "--create")["events"] == 15
    finally:
        writer.stdin.close()
        writer.wait(timeout=60)


harness.run(a_missing_store_is_made_only_when_told_to, it_counts_what_was_imported,
            it_works_beside_a_writer)
