#!/usr/bin/env python3
"""Each header compiles by itself: it includes what it uses. usage: headers.py COMPILER..."""
import concurrent.futures
import os
import subprocess
import sys

import lint


def compile_alone(header):
    run = subprocess.run(
        [*sys.argv[1:], "-std=c17", "-D_GNU_SOURCE", "-Iinclude", "-Isrc", "-I.", "-Wall",
         "-Wextra", "-Wno-unused-function", "-Werror", "-fsyntax-only", "-x", "c", "-"],
        cwd=lint.ROOT, input=f'#include "{header}"\n', capture_output=True, text=True, check=False)
    return [line for line in run.stderr.splitlines() if "error:" in line]


def main():
    headers = lint.tracked("include/*.h", "src/*.h", "sim/*.h")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [problem for each in pool.map(compile_alone, headers) for problem in each]
    lint.report("headers alone", problems)


main()
