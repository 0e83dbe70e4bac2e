"""Builds sdk/typescript for tests, outside of the sources, with the packages that `./dev test` installs."""
import fcntl
import functools
import hashlib
import os
import pathlib
import shutil
import subprocess

from harness import SOURCE, SPOOR, Skip

PACKAGE = SOURCE / "sdk" / "typescript"
CLIENTS = pathlib.Path(os.environ.get("SPOOR_CLIENTS", SOURCE / "build" / "clients"))
MODULES = CLIENTS / "node_modules"
NODE = CLIENTS / "bin" / "node"
NPM = CLIENTS / "bin" / "npm"
BUILT = pathlib.Path(SPOOR).parent / "sdk" / "typescript"


def installed():
    return NODE.exists() and (MODULES / "redis").exists() and (MODULES / "typescript").exists()


@functools.lru_cache(maxsize=None)
def node():
    """The program itself: what PyPI puts into bin/ starts it as a child, and hands no signals on."""
    return subprocess.run([NODE, "-p", "process.execPath"], capture_output=True, text=True, check=True).stdout.strip()


def needed(test):
    """The test, skipped where the packages are not there."""
    def with_packages(folder):
        if not installed():
            raise Skip("Node.js, redis and typescript are not in build/clients; ./dev test installs them")
        test(folder)
    with_packages.__name__ = test.__name__
    return with_packages


def environment(more=None):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SPOOR")}
    return {**kept, "PATH": f"{CLIENTS / 'bin'}:{os.environ['PATH']}", "NO_UPDATE_NOTIFIER": "1", **(more or {})}


def build(into, *options, timeout=300, env=None):
    """Builds the package into a folder; gives the finished process."""
    return subprocess.run([NODE, PACKAGE / "build.mjs", "--into", into, "--modules", MODULES, *options], env=environment(env),
                          capture_output=True, text=True, timeout=timeout, check=False)


def _state():
    """What the sources are now."""
    hashed = hashlib.sha256()
    for path in sorted(path for path in [*PACKAGE.glob("*.*"), *PACKAGE.glob("src/**/*.ts")] if path.is_file()):
        hashed.update(str(path).encode() + b"\0" + path.read_bytes())
    return hashed.hexdigest()


def package():
    """A folder with the built package, built anew only where its sources have changed."""
    BUILT.parent.mkdir(parents=True, exist_ok=True)
    with open(BUILT.parent / "typescript.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = BUILT / "dist" / "built.txt"
        state = _state()
        if not mark.exists() or mark.read_text(encoding="utf-8") != state:
            shutil.rmtree(BUILT, ignore_errors=True)
            done = build(BUILT)
            assert done.returncode == 0, done.stdout + done.stderr
            mark.write_text(state, encoding="utf-8")
    return BUILT
