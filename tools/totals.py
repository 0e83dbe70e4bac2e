#!/usr/bin/env python3
"""Adds up the test cases in Meson's testlog.json files.

usage: totals.py [--passed NAME]... [--failed NAME]... LOG...

Meson counts programs; this counts the cases that each reported in TAP. Names what failed and what
was skipped, and ends with "N passed, N failed". A program that failed without saying which case
counts as one failure, and so does a missing log. Exits 1 when anything failed or nothing ran.
"""
import argparse
import json
import os
import re
import sys

CASE = re.compile(r"^(not ok|ok) \d+(?: - )?(.*?)(?:(# SKIP) ?(.*))?$", re.MULTILINE)


class Totals:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def add_program(self, label, entry):
        failed_before = len(self.failed)
        cases = CASE.findall(entry.get("stdout") or "")
        for verdict, name, skip, reason in cases:
            where = f"{label}: {name.strip()}"
            if skip:
                self.skipped.append(f"{where} ({reason})" if reason else where)
            elif verdict == "ok":
                self.passed += 1
            else:
                self.failed.append(where)
        said_so = len(self.failed) > failed_before
        if not said_so and (entry["result"] not in ("OK", "SKIP") or not cases):
            self.failed.append(f"{label}: {entry['result']}, {len(cases)} cases reported")

    def add_log(self, path):
        folder = os.path.normpath(path).split(os.sep)[0]
        try:
            with open(path, encoding="utf-8") as log:
                for line in log:
                    entry = json.loads(line)
                    # Meson's name is "project:suite / test".
                    self.add_program(f"{folder} {entry['name'].split(' / ')[-1]}", entry)
        except FileNotFoundError:
            self.failed.append(f"{folder}: no test ran")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--passed", action="append", default=[])
    parser.add_argument("--failed", action="append", default=[])
    parser.add_argument("logs", nargs="+")
    args = parser.parse_args()

    totals = Totals()
    totals.passed += len(args.passed)
    totals.failed += args.failed
    for path in args.logs:
        totals.add_log(path)

    print()
    for name in totals.skipped:
        print(f"skipped: {name}")
    for name in totals.failed:
        print(f"failed: {name}")
    print(f"{totals.passed} passed, {len(totals.failed)} failed")
    return 1 if totals.failed or totals.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
