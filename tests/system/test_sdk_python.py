#!/usr/bin/env python3
"""The Python SDK's own tests, a line each, and its types.

They run with the Python of build/clients, which has redis-py and mypy; `./dev test` installs them.
Where they could not be had, the tests are skipped."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

from harness import SOURCE

FOLDER = SOURCE / "sdk" / "python"
PYTHON = pathlib.Path(os.environ.get("SPOOR_CLIENTS", SOURCE / "build" / "clients")) / "bin/python"
OLDEST = ("3.9", "3.10", "3.11", "3.12", "3.13")
AT_ONCE = 6  # they mostly wait
SLOW = ("Processes", "Failures", "Silence", "Model", "OnServer")  # begun first
TIMEOUT_S = 280


def environment():
    # Nothing is written beside the sources, and no server but the tests' own is asked.
    kept = {name: value for name, value in os.environ.items() if name != "SPOOR_URL"}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(FOLDER)}


def run(*command):
    return subprocess.run([str(word) for word in command], cwd=FOLDER, env=environment(),
                          capture_output=True, text=True, check=False, timeout=TIMEOUT_S)


def has(module):
    return PYTHON.exists() and run(PYTHON, "-c", f"import {module}").returncode == 0


def compiled():
    """(name, problem): every file is understood by the oldest Python there is, as Python 3.9."""
    found = (shutil.which(f"python{version}") for version in OLDEST)
    python = next((path for path in found
                   if path and run(path, "--version").returncode == 0), sys.executable)
    program = ("import ast, pathlib\n"
               "for path in sorted(pathlib.Path('.').rglob('*.py')):\n"
               "    text = path.read_text(encoding='utf-8')\n"
               "    compile(text, str(path), 'exec', dont_inherit=True)\n"
               "    ast.parse(text, str(path), feature_version=(3, 9))\n")
    done = run(python, "-c", program)
    return "every file compiles, and is Python 3.9", done.stderr if done.returncode else None


def typed(version):
    """(name, problem): the types hold."""
    done = run(PYTHON, "-m", "mypy", "--strict", "--python-version", version, "--cache-dir",
               os.devnull, "spoor", "tests")
    return (f"mypy --strict, for Python {version}",
            done.stdout + done.stderr if done.returncode else None)


def verdicts(group):
    """(name, problem, reason of a skip) of each test of a class."""
    done = run(PYTHON, "-W", "error::ResourceWarning", "-m", "tests.run", group)
    said, planned, count = "", 0, 0
    for line in done.stdout.splitlines():
        verdict = re.match(r"(not )?ok \d+ - (.*?)(?: # SKIP (.*))?$", line)
        if line.startswith("1.."):
            planned = int(line[3:])
        elif verdict:
            count += 1
            yield verdict[2], (said or "failed") if verdict[1] else None, verdict[3]
            said = ""
        else:
            said += line[2:] + "\n"
    if done.returncode != 0 and count < planned or planned == 0 or done.stderr:
        yield f"{group} runs to its end, in silence", (
            f"exit {done.returncode}, {count} of {planned} tests\n{said}{done.stderr}"), None


def tests(pool):
    """What verdicts() gives, of all classes."""
    listing = run(PYTHON, "-m", "tests.run", "--list")
    if listing.returncode != 0 or not listing.stdout:
        yield "the tests are found", listing.stdout + listing.stderr or "there are none", None
        return
    groups = sorted(listing.stdout.split(),
                    key=lambda group: not any(word in group for word in SLOW))
    for found in pool.map(lambda group: list(verdicts(group)), groups):
        yield from found


def outcomes(pool):
    yield (*compiled(), None)
    if not has("redis"):
        yield "the tests", None, "redis-py is not there; ./dev test installs it"
        return
    types = []
    if has("mypy"):
        types = [pool.submit(typed, version) for version in ("3.9", "3.13")]
    else:
        yield "mypy --strict", None, "mypy is not there; ./dev test installs it"
    yield from tests(pool)
    for each in types:
        yield (*each.result(), None)


def main():
    number = 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for title, problem, skipped in outcomes(pool):
            number += 1
            for line in (problem or "").splitlines():
                print(f"# {line}")
            reason = f" # SKIP {skipped}" if skipped else ""
            print(f"{'not ok' if problem else 'ok'} {number} - {title}{reason}", flush=True)
    print(f"1..{number}")


main()
