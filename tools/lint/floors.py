#!/usr/bin/env python3
"""Every include edge is in floors.txt, every file lies on a floor, every source is built."""
import re

import lint

INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]')
LISTED = re.compile(r"'([^']+\.c)'")


def check_file(path, floor, allowed, known, problems):
    text = (lint.ROOT / path).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        target = match.group(1)
        first = target.split("/")[0]
        if target.startswith("spoor.h"):
            first = "spoor.h"
        elif first not in known:
            # <stdio.h>, <sys/stat.h>: from outside. In quotes it must name its floor.
            if '"' in line:
                problems.append(f'{path}:{number}: write "floor/{target}", from src/')
            continue
        if first != floor and first not in allowed:
            problems.append(f"{path}:{number}: {floor} may not include {target}")


def check_listed(folder, problems):
    """Each .c of a floor stands in its meson.build; main.c is known to the top one."""
    listed = set(LISTED.findall((lint.ROOT / folder / "meson.build").read_text(encoding="utf-8")))
    sources = {path[len(folder) + 1:] for path in lint.tracked(f"{folder}/*.c")} - {"main.c"}
    for name in sorted(sources - listed):
        problems.append(f"{folder}/{name}: not in {folder}/meson.build")
    for name in sorted(listed):
        if not (lint.ROOT / folder / name).exists():
            problems.append(f"{folder}/meson.build: {name} does not exist")


def main():
    problems = []
    floors = lint.floors()
    folders = set()
    for path in lint.tracked("src/*.c", "src/*.h", "sim/*.c", "sim/*.h"):
        parts = path.split("/")
        floor = "sim" if parts[0] == "sim" else parts[1]
        if floor not in floors:
            problems.append(f"{path}: {floor} is no floor of tools/lint/floors.txt")
            continue
        folders.add("sim" if floor == "sim" else f"src/{floor}")
        check_file(path, floor, floors[floor][1], floors, problems)
    for folder in sorted(folders):
        check_listed(folder, problems)
    lint.report("floors", problems)


main()
