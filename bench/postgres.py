#!/usr/bin/env python3
"""Projecting on PostgreSQL, on a server of its own with fsync on.

usage: bench/postgres.py [EVENTS [BATCH]]
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "system"))

from postgres import Postgres  # noqa: E402  pylint: disable=wrong-import-position


def main():
    subprocess.run(["ninja", "-C", ROOT / "build", "bench/postgres"], check=True,
                   stdout=sys.stderr)
    with Postgres(durable=True) as server:
        subprocess.run([ROOT / "build/bench/postgres", server.url, *sys.argv[1:]], check=True)


main()
