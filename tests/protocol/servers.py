"""Starts the servers that tests and benchmarks talk to: spoor, and Redis as it comes with Debian."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from resp import Closed, Connection

READY = re.compile(r"^ready resp=(\S+):(\d+) http=(\S+) data=(.*) position=(\d+)$")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server as a process of its own, over a folder that outlives it where one is given."""

    name = ""

    def __init__(self, folder=None):
        self.own_folder = folder is None
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="spoor-serve-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self.http_port = 0
        self.process = None
        self.started_s = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self, timeout=10):
        return Connection(self.port, timeout=timeout)

    def start(self):
        raise NotImplementedError

    def stop(self, timeout=30):
        """Asks it to end and waits; gives the exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not end within {timeout} s of SIGTERM") from None
        finally:
            self.close_pipes()
        return self.process.returncode

    def kill(self):
        """As a power cut would, as far as the process is concerned."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close_pipes()

    def close_pipes(self):
        if self.process.stdout:
            self.process.stdout.close()

    def rss_kib(self, field="VmRSS"):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as status:
            for line in status:
                if line.startswith(field):
                    return int(line.split()[1])
        raise AssertionError(f"no {field} of process {self.process.pid}")

    def cpu_s(self):
        """Processor time of the process so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def disk_bytes(self):
        """What the folder takes on disk, by blocks."""
        return sum(file.stat().st_blocks * 512 for file in self.folder.rglob("*") if file.is_file())


class Redis(Server):
    """redis-server; appendfsync None is without any persistence."""

    name = "redis"

    def __init__(self, folder=None, appendfsync=None, options=()):
        super().__init__(folder)
        self.appendfsync = appendfsync
        self.options = list(options)

    @staticmethod
    def program():
        return shutil.which("redis-server")

    def start(self, timeout=120):
        # Somebody else may take the port between the look and the start; then another one is tried.
        # What is started again keeps its port.
        for _ in range(5):
            self.port = self.port or free_port()
            if self.try_start(timeout):
                return
            self.port = 0
        raise AssertionError("redis-server did not start")

    def try_start(self, timeout):
        persistence = ["--appendonly", "no"]
        if self.appendfsync:
            persistence = ["--appendonly", "yes", "--appendfsync", self.appendfsync,
                           "--auto-aof-rewrite-percentage", "0"]
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [self.program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--dir", str(self.folder), "--logfile", str(self.folder / "log"), *persistence,
             *self.options])
        while time.monotonic() < begun + timeout:
            if self.process.poll() is not None:
                return False
            try:
                with self.connect() as connection:
                    # While it loads its file it answers -LOADING.
                    if connection.call("PING") == "PONG":
                        self.started_s = time.monotonic() - begun
                        return True
            except (ConnectionRefusedError, Closed):
                pass
            time.sleep(0.003)
        return False


class Spoor(Server):
    """spoor serve; `ready` has what its ready line said."""

    name = "spoor"

    def __init__(self, folder=None, program=None, options=(), stderr=None):
        super().__init__(folder)
        self.path = program or os.environ["SPOOR"]
        self.options = list(options)
        self.stderr = stderr
        self.ready = None
        self.log = None

    @staticmethod
    def can_serve(program):
        """Whether this build has the command yet."""
        if not os.access(program, os.X_OK):
            return False
        done = subprocess.run([program, "serve", "--help"], capture_output=True, check=False)
        return done.returncode == 0

    def start(self):
        env = {key: value for key, value in os.environ.items() if key != "SPOOR_DATA"}
        begun = time.monotonic()
        if self.stderr is None:
            self.log = open(self.folder.with_name(self.folder.name + ".log"), "ab")
        self.process = subprocess.Popen(
            [self.path, "serve", "--data", str(self.folder), "--resp-port", str(self.port),
             "--http-port", str(self.http_port), *self.options],
            stdout=subprocess.PIPE, stderr=self.stderr or self.log, env=env)
        line = self.process.stdout.readline().decode("utf-8", "replace").rstrip("\n")
        self.started_s = time.monotonic() - begun
        match = READY.match(line)
        if not match:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"spoor serve said {line!r}, not ready; {self.log_end()}")
        self.ready = match
        # What is started again keeps its ports.
        self.port = int(match[2])
        self.http_port = 0 if match[3] == "off" else int(match[3].rpartition(":")[2])

    def log_path(self):
        return self.folder.with_name(self.folder.name + ".log")

    def log_end(self, lines=20):
        """The last lines of its log, for the text of a failure."""
        if not self.log_path().exists():
            return "it logged nothing"
        text = self.log_path().read_text("utf-8", "replace").splitlines()
        return "its log ends: " + "\n".join(text[-lines:])

    def close_pipes(self):
        super().close_pipes()
        if self.log:
            self.log.close()
            self.log = None

    def __exit__(self, *ignored):
        super().__exit__(*ignored)
        if self.own_folder:
            self.log_path().unlink(missing_ok=True)
