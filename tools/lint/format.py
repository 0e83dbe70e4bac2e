#!/usr/bin/env python3
"""Tracked C files are as clang-format would write them; ./dev format writes them so."""
import shutil
import subprocess
import sys

import lint


def main():
    if shutil.which("clang-format") is None:
        print("1..0 # SKIP clang-format is not installed")
        sys.exit(0)
    files = lint.tracked("*.c", "*.h")
    run = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], cwd=lint.ROOT,
                         capture_output=True, text=True, check=False) if files else None
    problems = [line for line in run.stderr.splitlines() if " error: " in line] if run else []
    if run and run.returncode != 0 and not problems:
        problems = run.stderr.splitlines()
    lint.report("format", problems)


main()
