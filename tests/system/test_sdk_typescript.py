#!/usr/bin/env python3
"""The TypeScript SDK: it is built, type-checked with its tests, and its tests run over this program.

Without Node.js and the packages that `./dev test` installs it is skipped.
"""
import os
import re
import shutil
import subprocess

import sdk_typescript as sdk
from harness import SOURCE, SPOOR, Skip, run

TIMEOUT_S = 900


def tests_pass(folder):
    """The package's own tests; their lines are shown where one fails."""
    made = sdk.build(folder / "package", "--test", timeout=TIMEOUT_S,
                     env={"SPOOR": SPOOR, "SPOOR_SDK_IDS": str(SOURCE / "sdk" / "ids.json")})
    for line in made.stdout.splitlines():
        print("# " + line)
    assert made.returncode == 0, made.stderr + "\n".join(
        line for line in made.stdout.splitlines() if line.lstrip().startswith("not ok"))
    assert re.search(r"^# pass [1-9]", made.stdout, re.MULTILINE), "no test ran"
    assert re.search(r"^# (skipped|todo|cancelled) [1-9]", made.stdout, re.MULTILINE) is None


def nothing_is_written_into_the_sources(_folder):
    if shutil.which("git") is None or not (SOURCE / ".git").exists():
        raise Skip("not a git repository")
    listed = subprocess.run(["git", "ls-files", "sdk/typescript"], cwd=SOURCE, capture_output=True, text=True, check=True)
    built = [name for name in listed.stdout.split() if re.search(r"/(dist|node_modules)/|\.tgz$|\.d\.ts$", name)]
    assert not built, built


os.environ.pop("SPOOR_URL", None)
run(sdk.needed(tests_pass), nothing_is_written_into_the_sources)
