#!/usr/bin/env python3
"""Tracked text has no machine path, no blank at a line end, no tab, no mark of unfinished work."""
import re

import lint

RULES = [
    # Brackets keep the patterns from matching themselves.
    (re.compile(r"(?<![\w.])/(?:work|root|home)/"), "path of a machine"),
    (re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b"), "mark of unfinished work"),
    (re.compile(r"[ \t\r]$"), "blank at the end of the line"),
    (re.compile(r"^\t*[^\t]*\t"), "tab"),
]
COLUMNS_MAX = 100  # in C; clang-format leaves comments alone, lest it reflow a diagram
# What is stored byte for byte: inputs of tests, and the licence as published.
VERBATIM = ("tests/fuzz/corpus/", "tests/golden/", "tests/data/", "LICENSE")


def main():
    problems = []
    for path in lint.tracked():
        data = (lint.ROOT / path).read_bytes()
        if path.startswith(VERBATIM) or b"\0" in data:
            continue
        if data and not data.endswith(b"\n"):
            problems.append(f"{path}: no newline at the end of the file")
        for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
            for pattern, what in RULES:
                if pattern.search(line):
                    problems.append(f"{path}:{number}: {what}")
            if path.endswith((".c", ".h")) and len(line) > COLUMNS_MAX:
                problems.append(f"{path}:{number}: {len(line)} columns, more than {COLUMNS_MAX}")
    lint.report("text", problems)


main()
