#!/usr/bin/env python3
"""Embeds the commands that ship with spoor. usage: commands.py OUTPUT.c FILE.json…

A file's name is that of its command, and its member `name` says so too. The table is in the order
of the names."""
import json
import pathlib
import sys


def load(names):
    for name in sorted(names, key=lambda name: pathlib.Path(name).stem):
        path = pathlib.Path(name)
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["name"] != path.stem:
            sys.exit(f"commands: {path}: its name is {value['name']!r}")
        yield path.stem, json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


def write(target, commands):
    lines = ["/* Made from commands/ by tools/commands.py. */",
             '#include "project/shipped_commands.h"', ""]
    for number, (_, data) in enumerate(commands):
        lines.append(f"static const char text_{number}[] = {{")
        for at in range(0, len(data), 20):
            lines.append("    " + " ".join(f"{byte}," for byte in data[at:at + 20]))
        lines += ["    0,", "};"]
    lines += ["", "const struct sp_shipped_command sp_shipped_commands[] = {"]
    for number, (name, data) in enumerate(commands):
        lines.append(f'    {{.name = {{"{name}", {len(name)}}}, '
                     f".text = {{text_{number}, {len(data)}}}}},")
    lines += ["};", f"const size_t sp_shipped_command_count = {len(commands)};", ""]
    pathlib.Path(target).write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1], list(load(sys.argv[2:])))
