#!/usr/bin/env python3
"""Embeds a JSON file as a C text. usage: embed.py FILE.json OUTPUT.c NAME HEADER

The text is checked and written without needless blanks; NAME_len is its length. Names that stand
twice in an object are refused: one of them would be lost."""
import json
import sys


def unique(pairs):
    names = [name for name, _ in pairs]
    double = {name for name in names if names.count(name) > 1}
    if double:
        sys.exit(f"embed: twice in one object: {', '.join(sorted(double))}")
    return dict(pairs)


def main():
    source, target, name, header = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        value = json.load(file, object_pairs_hook=unique)
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n"
    with open(target, "w", encoding="utf-8") as out:
        out.write(f'#include "{header}"\n\nconst char {name}[] = {{\n')
        data = text.encode()
        for at in range(0, len(data), 20):
            out.write("    " + " ".join(f"{byte}," for byte in data[at:at + 20]) + "\n")
        out.write(f"    0,\n}};\n\nconst size_t {name}_len = {len(data)};\n")


main()
