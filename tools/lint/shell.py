#!/usr/bin/env python3
"""Shell scripts pass shellcheck."""
import shutil
import subprocess
import sys

import lint


def main():
    if shutil.which("shellcheck") is None:
        print("1..0 # SKIP shellcheck is not installed")
        sys.exit(0)
    files = lint.tracked("dev", ".ci/run", "tools/tap", "*.sh")
    run = subprocess.run(["shellcheck", "--format=gcc", *files], cwd=lint.ROOT,
                         capture_output=True, text=True, check=False)
    lint.report("shell scripts", (run.stdout + run.stderr).splitlines())


main()
