#!/usr/bin/env python3
"""Clients as their users install them: redis-py, ioredis, node-redis, redis-cli; over HTTP eventsource
and cloudevents.

`./dev test` installs them under build/; where they could not be had, their cases are skipped. With
SPOOR_ORACLE set the cases run against Redis: what fails there is wrong itself.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import threading

from harness import SOURCE, SPOOR

sys.path.insert(0, str(SOURCE / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from servers import Redis, Spoor

SCRIPTS = SOURCE / "tests" / "clients"
INSTALLED = pathlib.Path(os.environ.get("SPOOR_CLIENTS", SOURCE / "build" / "clients"))
PYTHON = INSTALLED / "bin" / "python"
NODE = INSTALLED / "bin" / "node"
MODULES = INSTALLED / "node_modules"
TIMEOUT_S = 60
ORACLE = bool(os.environ.get("SPOOR_ORACLE"))


def server():
    if ORACLE:
        return Redis(appendfsync="always")
    return Spoor(program=SPOOR)


def programs():
    """(name, command, what must be there) of each script."""
    for script in ("redis_py.py", "articles.py"):
        yield script, [PYTHON, SCRIPTS / script], PYTHON
    for script in ("ioredis.mjs", "node_redis.mjs", "eventsource.mjs", "cloudevents.mjs"):
        yield script, [NODE, SCRIPTS / script], MODULES


def cases(command):
    listing = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return listing.stdout.split()


def environment(running=None):
    return {**os.environ, "SPOOR_NODE_MODULES": str(MODULES), "PYTHONDONTWRITEBYTECODE": "1",
            "SPOOR_HTTP_PORT": str(running.http_port if running else 0)}


def run_case(command, name, running):
    """Runs one case in a process of its own; gives None or what it complained of."""
    process = subprocess.Popen([*command, str(running.port), name], env=environment(running),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    late = threading.Timer(TIMEOUT_S, process.kill)
    late.start()
    for line in process.stdout:
        if line.strip() == "restart":
            running.stop()
            running.start()
            process.stdin.write("go\n")
            process.stdin.flush()
    errors = process.communicate()[1]
    late.cancel()
    if process.returncode < 0:
        errors += f"\nit was killed, at the latest after {TIMEOUT_S} s"
    return errors or "it failed without a word" if process.returncode != 0 else None


def cli_case(running, arguments, wanted, typed=""):
    done = subprocess.run(["redis-cli", "-p", str(running.port), *arguments], input=typed,
                          capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    if done.returncode != 0 or done.stdout != wanted:
        return f"redis-cli {arguments}: exit {done.returncode}, {done.stdout!r}, not {wanted!r}"
    return None


def cli_cases(running):
    """(name, problem) of redis-cli's cases."""
    yield "one command", cli_case(running, ["XADD", "cli:s", "1-1", "f", "v"], "1-1\n")
    yield "RESP3", cli_case(running, ["-3", "XRANGE", "cli:s", "-", "+"], "1-1\nf\nv\n")
    yield "a map in RESP3", cli_case(running, ["-3", "--no-raw", "XREAD", "STREAMS", "cli:s", "0"],
                                     '1# "cli:s" => \n   1) 1) "1-1"\n'
                                     '      2) 1) "f"\n         2) "v"\n')
    yield "commands from a pipe", cli_case(running, [], "PONG\n1\n1-2\n",
                                           "PING\nXLEN cli:s\nXADD cli:s 1-2 f v\n")
    yield "an error", cli_case(running, ["XADD", "cli:s", "1-1", "f", "v"],
                               "ERR The ID specified in XADD is equal or smaller than the target "
                               "stream top item\n\n")
    yield "--pipe", cli_case(running, ["--pipe"], "All data transferred. Waiting for the last reply"
                             "...\nLast reply received from server.\nerrors: 0, replies: 1000\n",
                             "XADD cli:pipe * f v\r\n" * 1000)
    yield "--scan", cli_case(running, ["--scan", "--pattern", "cli:pi*"], "cli:pipe\n")


def cli_history_and_live(running):
    """redis-cli goes on printing what is pushed: history, then live. A pipe is not its habit."""
    def publish(text):
        return cli_case(running, ["PUBLISH", "cli.job", text], "0\n")

    problem = publish("one")
    command = ["stdbuf", "-oL", "redis-cli", "-3", "--show-pushes", "yes", "-p", str(running.port),
               "SPOOR.SUBSCRIBE", "TYPE", "cli.job", "FROM", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        late = threading.Timer(TIMEOUT_S, process.kill)
        late.start()
        shown = ""
        for text in ("one", "two", "three"):
            problem = problem or (publish(text) if text != "one" else None)
            for line in process.stdout:
                shown += line
                if f'"data":"{text}"' in line.replace("\\", ""):
                    break
            else:
                problem = problem or f"redis-cli ended before {text!r}: {shown!r}"
        late.cancel()
        process.kill()
    return problem


def cli_cases_of_spoor(running):
    """(name, problem) of what only spoor has."""
    yield "SPOOR.SUBSCRIBE, history and live", cli_history_and_live(running)
    group = ["XGROUP", "CREATE", "$type:task.*", "workers", "0"]
    yield "a group on a virtual stream", cli_case(running, group, "OK\n")
    for number in (1, 2):
        cli_case(running, ["XADD", f"s{number}", f"{number}-1", "type", "task.created"], "")
    reading = subprocess.run(
        ["redis-cli", "-p", str(running.port), "XREADGROUP", "GROUP", "workers", "me", "STREAMS",
         "$type:task.*", ">"], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    yield "its entries", None if reading.stdout.count("task.created") == 2 else reading.stdout


def outcomes():
    """(title, problem, reason why it was skipped) of every case."""
    for script, command, needs in programs():
        if not (SCRIPTS / script).exists() or (ORACLE and script == "eventsource.mjs"):
            continue
        if not needs.exists():
            yield script, None, f"{needs.relative_to(SOURCE)} is not there; ./dev test installs it"
            continue
        with server() as running:
            for name in cases(command):
                yield f"{script}: {name.replace('_', ' ')}", run_case(command, name, running), None
    if not shutil.which("redis-cli"):
        yield "redis-cli", None, "it is not installed"
        return
    with server() as running:
        for name, problem in cli_cases(running):
            yield f"redis-cli: {name}", problem, None
        if not ORACLE:
            for name, problem in cli_cases_of_spoor(running):
                yield f"redis-cli: {name}", problem, None


def main():
    number = 0
    for title, problem, skipped in outcomes():
        number += 1
        for line in (problem or "").splitlines():
            print(f"# {line}")
        reason = f" # SKIP {skipped}" if skipped else ""
        print(f"{'not ok' if problem else 'ok'} {number} - {title}{reason}", flush=True)
    print(f"1..{number}")


main()
