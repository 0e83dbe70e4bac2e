#!/usr/bin/env python3
"""No C file over 900 lines, no function over 70, save those of length.txt; and the public header,
which is one file and its own manual, not over 1400.

Relies on the format that clang-format keeps: a function starts in the first column, its body opens
after a closing parenthesis, and its last brace stands in the first column. A test program's main
is a table of tests and may be of any length.
"""
import lint

FILE_LINES_MAX = 900
HEADER = "include/spoor.h"
HEADER_LINES_MAX = 1400
FUNCTION_LINES_MAX = 70


def name_of(signature):
    return signature.split("(")[0].split()[-1].lstrip("*")


def functions(lines):
    """(name, first line, count of lines) of each function."""
    signature, start, inside = "", 0, False
    for number, line in enumerate(lines, 1):
        if inside:
            if line.startswith("}"):
                yield name_of(signature), start, number - start + 1
                inside, signature = False, ""
            continue
        if line[:1].isalpha() or line[:1] == "_":
            signature, start = line, number
        elif signature:
            signature += " " + line.strip()
        if signature.rstrip().endswith(") {"):
            inside = True
        elif signature.rstrip().endswith((";", "{", "}")):
            signature = ""


def main():
    excepted = {(path, name): int(count) for path, name, count in lint.table("length.txt")}
    problems = []
    for path in lint.tracked("*.c", "*.h"):
        lines = (lint.ROOT / path).read_text(encoding="utf-8").splitlines()
        most = HEADER_LINES_MAX if path == HEADER else FILE_LINES_MAX
        if len(lines) > most:
            problems.append(f"{path}: {len(lines)} lines, more than {most}")
        for name, start, count in functions(lines):
            limit = excepted.pop((path, name), None)
            if path.startswith("tests/") and name == "main":
                continue
            if limit is None and count > FUNCTION_LINES_MAX:
                problems.append(f"{path}:{start}: {name} has {count} lines, "
                                f"more than {FUNCTION_LINES_MAX}")
            elif limit is not None and count != limit:
                problems.append(f"{path}:{start}: {name} has {count} lines, "
                                f"length.txt says {limit}")
    problems += [f"length.txt: {path} has no function {name}" for path, name in excepted]
    lint.report("length of files and functions", problems)


main()
