#!/usr/bin/env python3
"""The shared library exports functions named spoor_*, all that spoor.h declares, and no others.

usage: exports.py LIBRARY
"""
import re
import subprocess
import sys

import lint

DECLARED = re.compile(r"\b(spoor_\w+)\s*\(")
ASIDE = re.compile(r"/\*.*?\*/|^#[^\n]*", re.DOTALL | re.MULTILINE)  # comment, directive


def main():
    listing = subprocess.run(["nm", "-D", "-P", "--defined-only", sys.argv[1]],
                             check=True, capture_output=True, text=True).stdout
    exported = {line.split()[0].split("@")[0] for line in listing.splitlines()}
    header = ASIDE.sub(" ", (lint.ROOT / "include/spoor.h").read_text(encoding="utf-8"))
    declared = set()
    for statement in header.split(";"):
        if "SPOOR_API" in statement:
            declared.update(DECLARED.findall(statement)[:1])
    problems = [f"exported but not in spoor.h: {name}" for name in sorted(exported - declared)]
    problems += [f"in spoor.h but not exported: {name}" for name in sorted(declared - exported)]
    lint.report("exports of libspoor.so", problems)


main()
