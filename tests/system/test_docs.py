#!/usr/bin/env python3
"""What README and docs show is true: their snippets are run, in order, in a fresh folder per document.

    ```sh      lines that begin with `$ ` (or go on with `> `) are commands, run on a terminal of 100
               columns; what follows is what they print, where `…` in a line stands for anything and a
               line of `…` alone for any lines. A command that fails must show `$?`. Without any `$ `,
               every line is a command that must succeed.
    ```c       a program, or statements for a function that has `store`, `error` and check(); both run
    ```python  a program; one that ends in `agent.run()` runs until the document ends, then stops well
    ```ts      a module without type annotations, run by node; so is ```js. With the TypeScript SDK it is
               type-checked first; `// name.ts` as its first line names it for others; one that ends in
               `.run();` runs until the document ends, then stops well
    ```text    after one of the last three: what it printed

Other fences (```console, ```json) are for reading only. A document whose snippets speak of port 7379 or 7380,
or import an SDK, has a server running on its folder's ./data, on other ports, which its snippets are
given instead.
"""
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import fcntl

import harness
import sdk_typescript
from harness import SOURCE, SPOOR, Skip

BUILD = pathlib.Path(SPOOR).parent
CLIENTS = BUILD / "clients"
TIMEOUT = 60
PORT = "7379"
HTTP_PORT = "7380"
AGENT = "agent.run()"
SDK = r"^(?:from|import) spoor\b"
TS_SDK = 'from "spoor'
TS_CHECKS = ("--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--module", "NodeNext", "--target",
             "ES2022", "--types", "node")
NEEDS_SERVER = re.compile(f"{PORT}|{HTTP_PORT}|{SDK}|{TS_SDK}", re.MULTILINE)
RUN = ("sh", "c", "python", "ts", "js")
# Its examples are about a store of the reader's own: only that they are understood is checked.
USAGE_ONLY = ("docs/cli.md",)
USAGE_CODES = (2, 126, 127)

PRELUDE = """#include <spoor.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define UNUSED __attribute__((unused))
UNUSED static void check(spoor_status status, const spoor_error *error) {
    if (status != SPOOR_OK) { fprintf(stderr, "%s\\n", error->text); exit(1); }
}
"""
MAIN = """int main(void) {
    spoor *store = NULL;
    spoor_error error = {0};
    check(spoor_open("c-data", NULL, &store, &error), &error);
    spoor_event first = SPOOR_EVENT_INIT;
    first.type = spoor_text("task.created");
    first.source = spoor_text("agent:planner");
    first.id = spoor_text("t-1");
    check(spoor_append(store, &first, SPOOR_ANY_VERSION, NULL, &error), &error);
    {
%s
    }
    spoor_close(store);
    return 0;
}
"""


class Snippet:
    def __init__(self, path, line, kind, text):
        self.place, self.kind, self.text = f"{path}:{line}", kind, text
        self.output = None


def snippets(path):
    """The snippets of a document that are run, each with the output shown below it."""
    found, inside, start, kind, gap = [], None, 0, "", True
    for number, line in enumerate((SOURCE / path).read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r"```(\w*)\s*$", line)
        if inside is None and fence:
            inside, start, kind = [], number, fence.group(1)
        elif inside is not None and line == "```":
            text = "\n".join(inside)
            if kind in RUN:
                found.append(Snippet(path, start, kind, text))
            elif kind == "text" and not gap and found and found[-1].kind != "sh":
                found[-1].output = text
            inside, gap = None, False
        elif inside is not None:
            inside.append(line)
        elif line.strip():
            gap = True
    assert inside is None, f"{path}:{start}: a fence that does not end"
    return found


def matches(expected, printed):
    """Whether the lines printed are those expected, `…` standing for anything."""
    pattern = ""
    for line in expected:
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(part) for part in line.rstrip().split("…")) + r" *\n"
    text = "".join(line.rstrip() + "\n" for line in printed)
    return re.fullmatch(pattern, text) is not None


def show(place, expected, printed):
    return "\n".join([place, "shown:", *expected, "printed:", *printed])


class Place:
    """The folder in which the snippets of one document run."""

    def __init__(self, folder):
        self.folder = folder
        self.server, self.port, self.http_port = None, PORT, HTTP_PORT
        self.agents = []
        (folder / "build").mkdir()
        (folder / "bin").mkdir()
        (folder / "build/spoor").symlink_to(SPOOR)
        (folder / "bin/spoor").symlink_to(SPOOR)
        (folder / "examples").symlink_to(SOURCE / "examples")
        self.env = {key: value for key, value in os.environ.items()
                    if not key.startswith(("SPOOR", "NO_COLOR"))}
        self.env.update({"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "USER": "ann",
                         "SPOOR_DATA": "./data",  # whatever runs at the usual ports here
                         "TERM": "dumb", "LC_ALL": "C.UTF-8", "TZ": "UTC"})
        if (CLIENTS / "node_modules").exists():
            (folder / "node_modules").symlink_to(CLIENTS / "node_modules")

    def serve(self):
        """Starts a server on a free port."""
        self.server = subprocess.Popen(
            [SPOOR, "serve", "--data", "data", "--resp-port", "0", "--http-port", "0"],
            cwd=self.folder, env=self.env, stdout=subprocess.PIPE, text=True)
        ready = self.server.stdout.readline()
        found = re.match(r"ready resp=127\.0\.0\.1:(\d+) http=127\.0\.0\.1:(\d+) ", ready)
        assert found, f"no server: {ready!r}"
        self.port, self.http_port = found.groups()
        del self.env["SPOOR_DATA"]  # what is shown finds the server at the usual port
        self.env["SPOOR_URL"] = f"http://127.0.0.1:{self.http_port}"

    def run_agent(self, snippet, python):
        """Starts a program that runs until it is told to stop, and waits until it is ready."""
        agent = subprocess.Popen([python, "-c", self.here(snippet.text)], cwd=self.folder, text=True,
                                 env=self.python_env(), stderr=subprocess.PIPE)
        self.agents.append((snippet, agent))
        said = agent.stderr.readline()
        assert " is there, with " in said, f"{snippet.place}: {said}{agent.stderr.read()}"

    def run_typescript(self, snippet):
        """Checks and compiles a module that uses the SDK; None where it runs on, else what came of it."""
        folder = self.folder / "ts"
        if not folder.exists():
            (folder / "node_modules").mkdir(parents=True)
            for module in (*sdk_typescript.MODULES.iterdir(), sdk_typescript.package()):
                name = "spoor" if module.name == "typescript" and module.parent.name == "sdk" else module.name
                (folder / "node_modules" / name).symlink_to(module)
            (folder / "package.json").write_text('{"type": "module"}\n', encoding="utf-8")
        named = re.match(r"// (\w+)\.ts$", snippet.text.split("\n", 1)[0])
        stem = named.group(1) if named else "snippet"
        (folder / f"{stem}.ts").write_text(self.here(snippet.text), encoding="utf-8")
        env = sdk_typescript.environment({"SPOOR_URL": f"redis://127.0.0.1:{self.port}"})
        checked = self.run([sdk_typescript.NODE, sdk_typescript.MODULES / "typescript/bin/tsc", *TS_CHECKS,
                            folder / f"{stem}.ts"], env)
        assert checked.returncode == 0, f"{snippet.place}:\n{checked.stdout}"
        command = [sdk_typescript.node(), folder / f"{stem}.js"]
        if not snippet.text.rstrip().endswith(".run();"):
            return self.run(command, env)
        agent = subprocess.Popen(command, cwd=self.folder, text=True, env=env, stderr=subprocess.PIPE)
        self.agents.append((snippet, agent))
        said = agent.stderr.readline()
        assert '"started"' in said, f"{snippet.place}: {said}{agent.stderr.read()}"
        return None

    def python_env(self):
        """With the SDK, whose default is this place's server."""
        return {**self.env, "PYTHONPATH": str(SOURCE / "sdk" / "python"),
                "PYTHONDONTWRITEBYTECODE": "1", "SPOOR_URL": f"redis://127.0.0.1:{self.port}"}

    def stop(self):
        for snippet, agent in self.agents:
            agent.terminate()
            said = agent.communicate(timeout=TIMEOUT)[1]
            assert agent.returncode == 0, f"{snippet.place}: exit {agent.returncode}:\n{said}"
        if self.server is not None:
            self.server.terminate()
            assert self.server.wait(TIMEOUT) == 0, "the server did not end well"

    def here(self, text):
        """The text with the ports that the server has here."""
        ports = {PORT: self.port, HTTP_PORT: self.http_port}
        return re.sub(f"{PORT}|{HTTP_PORT}", lambda found: ports[found.group()], text)

    def on_terminal(self, command):
        """Runs a command on a terminal; gives its exit code and what it printed."""
        child, terminal = pty.fork()
        if child == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
            os.chdir(self.folder)
            os.execvpe("sh", ["sh", "-c", command], self.env)
        printed, end = b"", time.monotonic() + TIMEOUT
        while True:
            if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
                os.kill(child, signal.SIGKILL)
                break
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            printed += piece
        os.close(terminal)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return code, printed.decode("utf-8").replace("\r\n", "\n").splitlines()

    def run(self, command, env=None, **more):
        return subprocess.run(command, cwd=self.folder, env=env or self.env, capture_output=True, text=True,
                              timeout=TIMEOUT, check=False, stdin=subprocess.DEVNULL, **more)


def run_sh(snippet, place, usage_only):
    lines = place.here(snippet.text).splitlines()
    shown = any(line.startswith("$ ") for line in lines)
    steps = []  # (command, lines expected)
    for line in lines:
        if shown and line.startswith("$ "):
            steps.append((line[2:], []))
        elif shown and line.startswith("> ") and steps and not steps[-1][1]:
            steps[-1] = (steps[-1][0] + "\n" + line[2:], [])
        elif shown:
            assert steps, f"{snippet.place}: output before the first command"
            steps[-1][1].append(line)
        elif steps and steps[-1][0].endswith("\\"):
            steps[-1] = (steps[-1][0] + "\n" + line, [])
        elif line.strip() and not line.startswith("#"):
            steps.append((line, []))
    for command, expected in steps:
        code, printed = place.on_terminal(command)
        what = f"{snippet.place}: $ {command}: exit {code}"
        fine = code not in USAGE_CODES if usage_only else code == 0 or "$?" in command
        assert fine, show(what, expected, printed)
        if shown:
            while expected and not expected[-1].strip():
                expected.pop()
            while printed and not printed[-1].strip():
                printed.pop()
            assert matches(expected, printed), show(what, expected, printed)


def as_program(text):
    """A whole C program from statements and functions."""
    if "int main(" in text:
        return text
    outside, inside, at_top = [], [], False
    for line in text.splitlines():
        at_top = at_top or line.startswith(("static ", "struct ", "enum ", "#include"))
        (outside if at_top else inside).append(line)
        if at_top and (line in ("}", "};") or line.startswith("#") or
                       (line.endswith(";") and not line.startswith(" "))):
            at_top = False
    return PRELUDE + "\n".join(outside) + "\n" + MAIN % "\n".join(inside)


def run_c(snippet, place):
    source, program = place.folder / "snippet.c", place.folder / "snippet"
    source.write_text(place.here(as_program(snippet.text)), encoding="utf-8")
    built = place.run([*os.environ.get("CC", "cc").split(), "-std=c17", "-D_POSIX_C_SOURCE=200809L",
                       "-Wall", "-Wextra", "-Werror", f"-I{SOURCE / 'include'}", "-o", str(program),
                       str(source), f"-L{BUILD}", f"-Wl,-rpath,{BUILD}", "-lspoor", "-pthread"])
    assert built.returncode == 0, f"{snippet.place}:\n{built.stderr}"
    shutil.rmtree(place.folder / "c-data", ignore_errors=True)
    return place.run([str(program)])


def run_program(snippet, place):
    if snippet.kind == "c":
        done = run_c(snippet, place)
    elif snippet.kind == "python":
        python = CLIENTS / "bin/python"
        if not python.exists() and re.search(f"import redis|{SDK}", snippet.text, re.MULTILINE):
            return False
        if snippet.text.rstrip().endswith(AGENT):
            place.run_agent(snippet, python)
            return True
        done = place.run([python if python.exists() else sys.executable, "-c",
                          place.here(snippet.text)], place.python_env())
    elif TS_SDK in snippet.text:
        if not sdk_typescript.installed():
            return False
        done = place.run_typescript(snippet)
        if done is None:
            return True
    else:
        installed = (place.folder / "node_modules").exists()
        if shutil.which("node") is None or \
                (re.search('"(redis|eventsource)"', snippet.text) and not installed):
            return False
        (place.folder / "snippet.mjs").write_text(place.here(snippet.text), encoding="utf-8")
        done = place.run(["node", "snippet.mjs"])
    assert done.returncode == 0, f"{snippet.place}: exit {done.returncode}:\n{done.stderr}"
    if snippet.output is not None:
        expected, printed = snippet.output.splitlines(), done.stdout.splitlines()
        assert matches(expected, printed), show(snippet.place, expected, printed)
    return True


def run_document(path):
    def test(folder):
        place = Place(folder)
        left_out = 0
        if any(NEEDS_SERVER.search(snippet.text) for snippet in snippets(path)) and path not in USAGE_ONLY:
            place.serve()
        try:
            for snippet in snippets(path):
                if snippet.kind == "sh":
                    run_sh(snippet, place, path in USAGE_ONLY)
                elif not run_program(snippet, place):
                    left_out += 1
        except BaseException:
            for process in (place.server, *(agent for _, agent in place.agents)):
                if process is not None:
                    process.kill()
            raise
        place.stop()
        if left_out:
            raise Skip(f"{left_out} snippets whose clients are not installed; the others passed")
    test.__name__ = "snippets of " + path
    return test


def expectations_are_compared(_folder):
    assert matches(["a … c", "…", "z"], ["a b b c", "1", "2", "z"])
    assert matches(["…"], [])
    assert not matches(["a"], ["a", "b"])
    assert not matches(["a … c"], ["a b"])
    assert not matches(["a.c"], ["abc"])


def links_lead_somewhere(_folder):
    """Relative links name files that exist, and headings where they name one."""
    for path in DOCUMENTS:
        text = (SOURCE / path).read_text(encoding="utf-8")
        text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, heading = target.partition("#")
            file = SOURCE / pathlib.Path(path).parent / name if name else SOURCE / path
            assert file.exists(), f"{path}: {target}"
            if heading:
                titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
                anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
                           for title in titles]
                assert heading in anchors, f"{path}: {target}"


DOCUMENTS = sorted(str(path.relative_to(SOURCE)) for path in
                   [*SOURCE.glob("*.md"), *(SOURCE / "docs").glob("*.md")])

harness.run(expectations_are_compared, links_lead_somewhere,
            *(run_document(path) for path in DOCUMENTS if snippets(path)))
