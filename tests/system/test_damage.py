#!/usr/bin/env python3
"""Damage anywhere is found by verify and named, and no read gives a damaged event as a good one."""
import json
import pathlib
import random
import shutil
import subprocess

import harness
from harness import lines, spoor

EVENTS = 70_000
FLIPS_PER_FILE = 7
# Files that hold nothing yet, or nothing that anybody reads.
IDLE = ("LOCK", ".tmp")


class State:
    """A store with sealed and open segments, and what a sound export of it gives."""
    data = None
    lines = {}  # by position
    files = []  # relative, those with content


def stored(path):
    """Bytes of a file up to the last that is not zero: what lies behind was only prepared."""
    return len(path.read_bytes().rstrip(b"\0"))


def built():
    if State.data is not None:
        return State.data
    folder = harness.lasting_folder()
    path = folder / "events.jsonl"
    harness.make_events(path, EVENTS)
    data = folder / "store"
    spoor("import", path, data=data)
    harness.seal(data)
    path.unlink()
    for line in spoor("export", data=data).stdout.splitlines():
        State.lines[json.loads(line)["position"]] = line
    assert len(State.lines) == EVENTS, f"{len(State.lines)} events of {EVENTS}"
    spoor("verify", data=data)
    assert list((data / "seg").iterdir()), "something is sealed"
    State.files = [file.relative_to(data) for file in sorted(data.rglob("*"))
                   if file.is_file() and not file.name.endswith(IDLE)
                   and not is_spare(data, file)]
    State.data = data
    print("#", ", ".join(f"{file} {stored(data / file)}" for file in State.files))
    return data


def is_spare(data, file):
    """A raw segment prepared for later has no block behind its header."""
    return file.suffix == ".seg" and stored(file) <= 4096 and file.stat().st_size > 4096 and data


def copy_of(data, folder):
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-r", "--sparse=always", data, copy], check=True)
    return copy


def check_reads(data, what):
    """Every event that any command prints is as it was stored; damage is said, and nothing dies."""
    for args in (("export",), ("events", "--reverse", "--limit", "50"),
                 ("events", "--type", "tool.result", "--limit", "200"),
                 ("events", "--stream", "task-7"), ("stream", "ls", "--limit", "20")):
        done = spoor(*args, data=data, code=None)
        assert done.returncode in (0, 6), f"{what}: {args} exits {done.returncode}: {done.stderr}"
        for line in done.stdout.splitlines() if args[0] != "stream" else ():
            position = json.loads(line)["position"]
            assert line == State.lines[position], f"{what}: {args} altered event {position}"
        if args == ("export",):
            given = len(done.stdout.splitlines())
            assert done.returncode == 6 or given == EVENTS, \
                f"{what}: an incomplete export ({given} events) ends with exit 0"


def check_found(data, what, file):
    done = spoor("verify", "--json", data=data, code=None)
    assert done.returncode == 6, f"{what}: verify exits {done.returncode}: {done.stderr}{done.stdout}"
    findings = lines(done.stdout)
    named = [finding for finding in findings if finding.get("file")]
    assert any(pathlib.Path(str(file)).name in (finding["file"] or "") for finding in named) or \
        pathlib.Path(str(file)).name in done.stderr + done.stdout, \
        f"{what}: the file is not named: {done.stderr}{done.stdout[:500]}"


def flipped_bits_are_found(folder):
    data = built()
    dice = random.Random(11)
    problems = []
    for file in State.files:
        size = stored(data / file)
        for number in range(FLIPS_PER_FILE):
            copy = copy_of(data, folder)
            # The first flips fall on the ends, where headers and footers are.
            offset = (0, size - 1, min(size - 1, 70))[number] if number < 3 else dice.randrange(size)
            with open(copy / file, "r+b") as damaged:
                damaged.seek(offset)
                byte = damaged.read(1)[0]
                damaged.seek(offset)
                damaged.write(bytes([byte ^ 1 << dice.randrange(8)]))
            what = f"a bit of byte {offset} of {file} ({size} bytes)"
            for check in (lambda: check_found(copy, what, file), lambda: check_reads(copy, what)):
                try:
                    check()
                except AssertionError as problem:
                    problems.append(str(problem))
    for problem in problems:
        print("#", problem.replace("\n", " ")[:400])
    assert not problems, f"{len(problems)} of the flips"


def cut_files_are_found(folder):
    data = built()
    for file in State.files:
        size = stored(data / file)
        for cut in (size // 2, max(0, size - 5000), 0):
            copy = copy_of(data, folder)
            with open(copy / file, "r+b") as damaged:
                damaged.truncate(cut)
            what = f"{file} cut from {size} to {cut} bytes"
            check_found(copy, what, file)
            check_reads(copy, what)


def missing_files_are_found(folder):
    """All but snapshots, which only make opening faster: those are not missed by anybody."""
    data = built()
    for file in State.files:
        copy = copy_of(data, folder)
        (copy / file).unlink()
        what = f"{file} removed"
        done = spoor("verify", data=copy, code=None)
        # Without its manifest a folder may be taken for no store at all, but never for a whole one.
        wanted = (3, 6) if file.name == "MANIFEST" else (0,) if file.suffix == ".snap" else (6,)
        assert done.returncode in wanted, f"{what}: verify exits {done.returncode}: {done.stderr}"
        for args in (("export",), ("events", "--limit", "10")):
            done = spoor(*args, data=copy, code=None)
            wanted = (0,) if file.suffix == ".snap" else (0, 3, 6)
            assert done.returncode in wanted, f"{what}: {args}: {done.returncode} {done.stderr}"
            for line in done.stdout.splitlines():
                assert line == State.lines[json.loads(line)["position"]]
            if file.suffix == ".snap" and args == ("export",):
                assert len(done.stdout.splitlines()) == EVENTS


def swapped_files_are_found(folder):
    """Sound files in the wrong places: another store's segment, or an older one's."""
    data = built()
    other = folder / "other"
    path = folder / "events.jsonl"
    harness.make_events(path, EVENTS, seed=2)
    spoor("import", path, data=other)
    harness.seal(other)
    for file in State.files:
        if not (other / file).exists():
            continue
        copy = copy_of(data, folder)
        shutil.copyfile(other / file, copy / file)
        what = f"{file} of another store"
        done = spoor("verify", data=copy, code=None)
        assert done.returncode == 6, f"{what}: verify exits {done.returncode}: {done.stderr}"


harness.run(flipped_bits_are_found, cut_files_are_found, missing_files_are_found,
            swapped_files_are_found)
