#!/usr/bin/env python3
"""The protocol scripts of tests/protocol: spoor and Redis give the replies that stand there.

Redis is the oracle: a script that it does not fulfil is wrong itself. Where there is no redis-server,
only spoor runs.
"""
import pathlib
import sys

from harness import SOURCE, SPOOR

FOLDER = SOURCE / "tests" / "protocol"
sys.path.insert(0, str(FOLDER))
# pylint: disable=wrong-import-position
import run
import servers


def spoor_server():
    return servers.Spoor(program=SPOOR, options=["--allow-flushall"])


def outcomes():
    starts = [spoor_server]
    if servers.Redis.program():
        starts.append(servers.Redis)
    for path in sorted(pathlib.Path(FOLDER).glob("*.script")):
        for start in starts:
            yield from run.run_script(path, start)
    if len(starts) < 2:
        yield "the oracle # SKIP redis-server is not installed", None


def main():
    number = 0
    for title, problem in outcomes():
        number += 1
        for line in (problem or "").splitlines():
            print(f"# {line}")
        print(f"{'not ok' if problem else 'ok'} {number} - {title}", flush=True)
    print(f"1..{number}")


main()
