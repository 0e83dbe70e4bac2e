#!/usr/bin/env python3
"""Pure floors call only what symbols.txt lists, and hold no data that could change.

usage: symbols.py LIBRARY...    the static libraries of the pure floors, libsp_<floor>.a
"""
import fnmatch
import pathlib
import subprocess
import sys

import lint


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def symbols(library):
    """The undefined ones, as (object, name), and the names of the defined ones."""
    undefined, defined = [], set()
    for line in output("nm", "-A", "-P", library).splitlines():
        place, name, kind = line.split()[:3]
        if kind == "U":
            undefined.append((place.split("[")[-1].rstrip("]:"), name))
        elif kind.isupper():
            defined.add(name)
    return undefined, defined


def check_data(floor, library, problems):
    """Sections one can write to are empty; constants that only need relocation are fine."""
    member = ""
    for line in output("size", "-A", library).splitlines():
        words = line.split()
        if len(words) >= 2 and words[0].startswith((".data", ".bss", ".tdata", ".tbss")):
            if int(words[1]) > 0 and not words[0].startswith(".data.rel.ro"):
                problems.append(f"{floor}: {words[1]} bytes to write to in {words[0]} of {member}")
        elif len(words) > 1 and words[1] == "(ex":
            member = words[0]


def main():
    floors = lint.floors()
    permitted = {}
    for floor, *patterns in lint.table("symbols.txt"):
        permitted.setdefault(floor, []).extend(patterns)
    libraries = {pathlib.Path(path).stem[len("libsp_"):]: path for path in sys.argv[1:]}
    found = {floor: symbols(path) for floor, path in libraries.items()}

    problems = []
    for floor, path in libraries.items():
        own = set(found[floor][1])
        for lower in floors[floor][1]:
            own |= found[lower][1] if lower in found else set()
        patterns = permitted["all"] + permitted.get(floor, [])
        for place, name in found[floor][0]:
            if name not in own and not any(fnmatch.fnmatchcase(name, each) for each in patterns):
                problems.append(f"{floor}: {place} calls {name}, which symbols.txt does not list")
        check_data(floor, path, problems)
    if not libraries:
        problems.append("no library of a pure floor was given")
    lint.report("symbols of pure floors", problems)


main()
