#!/usr/bin/env python3
"""Runs protocol scripts (script.py tells how they are written) against servers.

usage: run.py [--redis] [--spoor PROGRAM] [--record] [SCRIPT...]

With --record, prints the script with the replies of Redis put in where there are none yet.
"""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
# pylint: disable=wrong-import-position
from record import record
from script import Mismatch, Runner, parse, remove_keys
from servers import Redis, Spoor

HERE = pathlib.Path(__file__).parent


def run_script(path, start):
    """Yields (title, None or the problem) of each case that runs, in both protocols."""
    whole, cases = parse(path.read_text(encoding="utf-8"))
    for protocol in (2, 3):
        with start() as server:
            for case in cases:
                runner = Runner(server, protocol)
                if not runner.applies(whole):
                    continue
                problem = None
                try:
                    remove_keys(server)
                    runner.run(case)
                except (Mismatch, AssertionError) as error:
                    problem = f"{path.name} {error}"
                except ValueError as error:
                    problem = f"{path.name}, the script itself: {error}"
                yield f"{server.name} resp{protocol} {path.stem}: {case.title}", problem


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis", action="store_true")
    parser.add_argument("--spoor", metavar="PROGRAM")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("scripts", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    scripts = args.scripts or sorted(HERE.glob("*.script"))
    if args.record:
        for path in scripts:
            print(record(path.read_text(encoding="utf-8"), Redis), end="")
        return 0
    starts = [Redis] * args.redis
    if args.spoor:
        starts.append(lambda: Spoor(program=args.spoor, options=["--allow-flushall"]))
    bad = good = 0
    for path in scripts:
        for start in starts:
            for title, problem in run_script(path, start):
                if problem:
                    print(f"not ok - {title}\n    {problem}")
                bad, good = bad + bool(problem), good + (not problem)
    print(f"{good} cases passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
