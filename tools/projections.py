#!/usr/bin/env python3
"""Embeds the read models that ship with spoor. usage: projections.py OUTPUT.c FILE.sql…

A file's name is that of its projection, and its first line says so too. The table is in the order of
the names."""
import pathlib
import re
import sys

# They run only where somebody has added them by name: what they cost is too much for most.
ON_REQUEST = {"event_search"}


def load(names):
    for name in sorted(names, key=lambda name: pathlib.Path(name).stem):
        path = pathlib.Path(name)
        data = path.read_bytes()
        first = data.split(b"\n", 1)[0].decode()
        if not re.fullmatch(rf"-- spoor: projection {path.stem} version \d+", first):
            sys.exit(f"projections: {path}: found {first!r}, expected "
                     f"'-- spoor: projection {path.stem} version N'")
        yield path.stem, data


def write(target, projections):
    lines = ["/* Made from projections/ by tools/projections.py. */",
             '#include "project/shipped.h"', ""]
    for name, data in projections:
        lines.append(f"static const char {name}[] = {{")
        for at in range(0, len(data), 20):
            lines.append("    " + " ".join(f"{byte}," for byte in data[at:at + 20]))
        lines += ["    0,", "};"]
    lines += ["", "const struct sp_projects_shipped sp_shipped_projections[] = {"]
    for name, data in projections:
        request = "true" if name in ON_REQUEST else "false"
        lines.append(f'    {{.name = {{"{name}", {len(name)}}}, .text = {{{name}, {len(data)}}}, '
                     f".on_request = {request}}},")
    lines += ["};", f"const size_t sp_shipped_projection_count = {len(projections)};", ""]
    pathlib.Path(target).write_text("\n".join(lines), encoding="utf-8")


write(sys.argv[1], list(load(sys.argv[2:])))
