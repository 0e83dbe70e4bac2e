"""The server and the agents' processes: starting them, waiting for them, leaving nothing behind."""
import asyncio
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from story import DEPARTMENTS

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PATIENCE_S = 120  # machines are slow; nothing here takes so long


class Trouble(Exception):
    """What went wrong, for whoever runs the demo."""


class Stage:
    """A folder of its own, and everything that runs in it."""

    def __init__(self, program, clients, sdk):
        self.program, self.clients, self.sdk = program, clients, sdk
        self.folder = None
        self.processes = []
        # What is installed as node may start another program, which would outlive it.
        self.node = subprocess.run([clients / "bin/node", "-p", "process.execPath"], text=True,
                                   capture_output=True, check=True).stdout.strip()

    async def __aenter__(self):
        # Beside the program and not in /tmp, which may be memory: durable should mean durable.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="demo-", dir=self.program.parent))
        self._place_typescript()
        return self

    async def __aexit__(self, *_):
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.stdin.close()
            await process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _place_typescript(self):
        """Node.js looks for packages above the file that needs them: so the files go where packages are."""
        modules = self.folder / "node_modules"
        modules.mkdir()
        for package in (self.clients / "node_modules").iterdir():
            if package.name != "spoor" and not package.name.startswith("."):
                (modules / package.name).symlink_to(package)
        (modules / "spoor").symlink_to(self.sdk)
        (self.folder / "package.json").write_text('{"type": "module"}\n', encoding="utf-8")
        (self.folder / "departments").mkdir()
        for file in HERE.rglob("*.ts"):
            shutil.copy(file, self.folder / file.relative_to(HERE))

    async def start(self, name, *command, env=None):
        log = open(self.folder / f"{name}.log", "ab")
        with log:
            process = await asyncio.create_subprocess_exec(
                *map(str, command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=log, cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT / "sdk/python"), **(env or {})},
                start_new_session=True)  # Ctrl-C is for the demo, which then ends the others
        process.name = name
        self.processes.append(process)
        return process

    async def line(self, process):
        """The next line of its stdout."""
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        if not line:
            await process.wait()
            raise Trouble(f"{process.name} ended with {process.returncode}:\n{self._log(process)}")
        return line.decode()

    def _log(self, process):
        """How the log of a process ends."""
        log = self.folder / f"{process.name}.log"
        return log.read_text(encoding="utf-8", errors="replace")[-2000:]

    async def stop(self, process):
        """Ends it in order; a server by its signal, the others by their stdin."""
        if process.name.startswith("server"):
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        await asyncio.wait_for(process.wait(), PATIENCE_S)
        self.processes.remove(process)
        if process.returncode != 0:
            raise Trouble(f"{process.name} did not end well: {process.returncode}:\n{self._log(process)}")

    async def server(self, name, port="0"):
        """A server with a folder of this name, on a free port where none is given; gives it and
        its URL."""
        data = self.folder / name
        process = await self.start(name, self.program, "serve", "--data", data, "--resp-port", port,
                                   "--http-port", "0", "--agent-grace", "1s")
        ready = re.match(r"ready resp=(\S+) http=(\S+) ", await self.line(process))
        return process, "redis://" + ready.group(1)

    async def host(self, mode, department, *arguments, env=None):
        """A department's process, once it is ready; gives it and what it said."""
        if DEPARTMENTS[department] == "Python":
            command = (sys.executable, HERE / "host.py")
        else:
            command = (self.node, "--disable-warning=ExperimentalWarning",
                       self.folder / "host.ts")
        process = await self.start(f"{mode}-{department}", *command, mode, department, *arguments,
                                   env=env)
        return process, json.loads(await self.line(process))

    async def hosts(self, mode, *arguments, env=None):
        """All departments, started side by side: {department: (process, what it said)}."""
        tasks = [asyncio.ensure_future(self.host(mode, department, *arguments, env=env))
                 for department in DEPARTMENTS]
        try:
            return dict(zip(DEPARTMENTS, await asyncio.gather(*tasks)))
        finally:
            for task in tasks:
                task.cancel()

    async def work(self, hosts, work_ms):
        """How long the agents of these processes work on an event, from now on."""
        for process, _ in hosts.values():
            process.stdin.write(f"work {work_ms}\n".encode())
            await process.stdin.drain()
            assert json.loads(await self.line(process)) == {"work_ms": work_ms}


def sync_us(folder, count=32):
    """What one durable write of 4 KiB takes on this disk: the median, in microseconds."""
    block = bytes(4096)
    file = os.open(folder / "sync", os.O_RDWR | os.O_CREAT | os.O_DSYNC)
    times = []
    loop = asyncio.get_running_loop()
    try:
        os.pwrite(file, block * count, 0)
        for number in range(count):
            begun = loop.time()
            os.pwrite(file, block, number * 4096)
            times.append(loop.time() - begun)
    finally:
        os.close(file)
        (folder / "sync").unlink()
    return sorted(times)[count // 2] * 1e6
