"""What the Python clients' cases share: finding and running one, and asking for a restart.

A script is run as: python SCRIPT PORT CASE. Without a case it lists them. A case that wants the server
to go away and come back prints `restart` and waits for a line; the one that started the script does it.
"""
import inspect
import sys
import time


def main(module):
    """Runs the case that the command line names; a case is a function that takes the port."""
    cases = {name: value for name, value in vars(module).items()
             if inspect.isfunction(value) and value.__module__ == module.__name__
             and not name.startswith("_") and list(inspect.signature(value).parameters) == ["port"]}
    if len(sys.argv) < 3:
        print("\n".join(cases))
        return
    cases[sys.argv[2]](int(sys.argv[1]))


def restart_server():
    print("restart", flush=True)
    assert sys.stdin.readline(), "nobody restarts the server"


def eventually(check, seconds=10):
    """Waits until the check holds."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.01)
