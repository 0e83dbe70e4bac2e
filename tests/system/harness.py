"""What the system tests share: running the program, making events, printing TAP.

A test is a function; run(…) calls each and prints its verdict. What a test raises fails it, Skip skips
it. $SPOOR is the program, $SPOOR_SOURCE the source tree; recorded agent runs, where they are there,
lie beside it.
"""
import atexit
import fcntl
import json
import os
import pathlib
import pty
import random
import shutil
import struct
import subprocess
import tempfile
import termios
import time
import traceback

SPOOR = os.environ["SPOOR"]
SOURCE = pathlib.Path(os.environ["SPOOR_SOURCE"])
SHARED = SOURCE.parent / "shared" / "data"
RUNS = SHARED / "agent_runs.jsonl.zst"
TRUTH = SHARED / "public_truth.json"
TIMEOUT = 120


class Skip(Exception):
    """Raised by a test that cannot run here; the text says why."""


def run(*tests):
    """Runs the tests in order, each in a fresh folder of its own."""
    print(f"1..{len(tests)}", flush=True)
    for number, test in enumerate(tests, 1):
        name = test.__name__.replace("_", " ")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="spoor-test-"))
        try:
            test(folder)
            verdict = f"ok {number} - {name}"
        except Skip as reason:
            verdict = f"ok {number} - {name} # SKIP {reason}"
        except Exception:  # pylint: disable=broad-except
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            verdict = f"not ok {number} - {name}"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(verdict, flush=True)


def spoor(*args, data=None, code=0, stdin=None, environ=None, binary=False, timeout=TIMEOUT):
    """Runs the program and checks its exit code (None: any); gives the completed process."""
    command = [SPOOR, *map(str, args)] + (["--data", str(data)] if data is not None else [])
    env = {key: value for key, value in os.environ.items() if key not in ("SPOOR_DATA", "NO_COLOR")}
    env.update(environ or {})
    done = subprocess.run(command, input=stdin, capture_output=True, text=not binary, env=env,
                          timeout=timeout, check=False)
    if code is not None:
        show = done.stderr if not binary else done.stderr.decode("utf-8", "replace")
        assert done.returncode == code, f"{command}: exit {done.returncode}, not {code}: {show}"
    return done


def lines(text):
    """The objects of NDJSON."""
    return [json.loads(line) for line in text.splitlines()]


def events(data, *args, code=0):
    return lines(spoor("events", "--json", *args, data=data, code=code).stdout)


def truth():
    if not TRUTH.exists() or not RUNS.exists():
        raise Skip("the recorded agent runs are not here")
    return json.loads(TRUTH.read_text(encoding="utf-8"))


WORDS = [f"{a}{b}{c}" for a in "bcdfglmnprst" for b in "aeiou" for c in "klmnrstx"]


def make_events(path, count, seed=1, size=300):
    """Writes a file of unique events, some of them caused by others; gives their ids in order."""
    dice = random.Random(seed)
    ids, runs = [], {}
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            run_id = f"run-{number // 300}-{dice.randrange(10)}"
            ident = f"{dice.getrandbits(128):032x}"
            text = " ".join(dice.choices(WORDS, k=max(1, (size - 200) // 4)))
            event = {"id": ident, "type": dice.choice(("tool.called", "tool.result", "message.user")),
                     "source": f"agent:{dice.randrange(20)}", "stream": f"task-{dice.randrange(500)}",
                     "correlationid": run_id, "data": {"number": number, "text": text}}
            if run_id in runs:
                event["causationid"] = runs[run_id]
            runs[run_id] = ident
            ids.append(ident)
            file.write(json.dumps(event, separators=(",", ":")) + "\n")
    return ids


def seal(data):
    """Keeps a writer open until the background has sealed every full segment."""
    pipe = data.parent / (data.name + ".pipe")
    os.mkfifo(pipe)
    with subprocess.Popen([SPOOR, "import", "--quiet", pipe, "--data", data]) as process:
        with open(pipe, "w", encoding="utf-8"):
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                raw = [file for file in (data / "wal").glob("*.seg") if file.stat().st_blocks > 0]
                if len(raw) <= 2 and list((data / "seg").glob("*")):
                    break
                time.sleep(0.05)
    pipe.unlink()
    assert process.returncode == 0


def lasting_folder():
    """A folder that several tests share; removed at the end."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="spoor-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def on_terminal(*args, data=None, columns=100, environ=None):
    """Runs the program on a terminal of that width; gives its exit code and what it showed."""
    command = [SPOOR, *map(str, args)] + (["--data", str(data)] if data is not None else [])
    child, terminal = pty.fork()
    if child == 0:
        os.environ.pop("NO_COLOR", None)
        os.environ.update({"TERM": "xterm", **(environ or {})})
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.execv(command[0], command)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, shown.decode("utf-8").replace("\r\n", "\n")
