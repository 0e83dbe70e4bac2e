#!/usr/bin/env python3
"""The programs of examples/ as a stranger meets them: built with the rest, and against an installed copy
with nothing but pkg-config, shared and static; spoor.h also from C++."""
import json
import os
import pathlib
import shutil
import subprocess

import harness
from harness import SOURCE, SPOOR, Skip

BUILD = pathlib.Path(SPOOR).parent
TIMEOUT = 60

PRINTED = {
    "hello": """history: 1 task.started {"task": "review"}
live: 2 task.completed {"task": "review", "ok": true}
read: 2 task.completed {"task": "review", "ok": true}
""",
    "why": """why was it refused?
refund.refused by agent:refunds, run ask: {"reason": "too old"}
  tool.result by tool:orders, run ask: {"age_days": 41}
    tool.called by agent:refunds, run ask: {"tool": "get_order"}
      message.user by user:ann, run ask: {"text": "refund order 7"}
what did the question lead to?
message.user by user:ann, run ask: {"text": "refund order 7"}
  tool.called by agent:refunds, run ask: {"tool": "get_order"}
    tool.result by tool:orders, run ask: {"age_days": 41}
      refund.refused by agent:refunds, run ask: {"reason": "too old"}
  message.agent by agent:refunds, run ask: {"text": "I look"}
""",
    "batch": """stream account-b is at version 1, expected 0
stored at 2 and 3
""",
    "follow": """task.review {"priority": "high", "number": 1}
task.deploy {"priority": "urgent", "number": 3}
task.last {"priority": "critical"}
6 events
""",
    "host_driven": """the pipe said x
1000 events durable, the last at 1000
""",
    "worker": """does card.charge
does stock.reserve
fails at parcel.ship
undoes by stock.release
undoes by card.refund
the order was undone
""",
}

HEADER_IN_CPP = """#include <spoor.h>
int main() {
    spoor_event event = SPOOR_EVENT_INIT;
    spoor_query query = SPOOR_QUERY_INIT;
    event.type = spoor_text("task.done");
    bool sized = event.size == sizeof(event) && query.size == sizeof(query);
    return sized && event.type.len == 9 && spoor_version()[0] != 0 ? 0 : 1;
}
"""


def run(*command, folder, **env):
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, **env}, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, f"{command}: exit {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def check_printed(name, program, folder, **env):
    printed = run(program, folder / f"{name}-data", folder=folder, **env)
    assert printed == PRINTED[name], f"{name} printed:\n{printed}"
    verified = harness.spoor("verify", "--json", data=folder / f"{name}-data").stdout
    assert json.loads(verified.splitlines()[-1])["whole"], verified


def installed(folder):
    """Installs into the folder; gives what pkg-config needs to find it there."""
    options = json.loads(run("meson", "introspect", "--buildoptions", BUILD, folder=folder))
    values = {option["name"]: option["value"] for option in options}
    if values["b_sanitize"] != "none" or values["b_coverage"]:
        raise Skip("a library with sanitizers or coverage is not for others to link")
    root = folder / "root"
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", root, folder=folder)
    file = next(root.rglob("spoor.pc"))
    return {"PKG_CONFIG_SYSROOT_DIR": str(root), "PKG_CONFIG_PATH": str(file.parent),
            "LD_LIBRARY_PATH": str(file.parent.parent)}


def flags(folder, env, *more):
    return run("pkg-config", "--cflags", "--libs", *more, "spoor", folder=folder, **env).split()


def compile_and_check(folder, env, libraries):
    for name in PRINTED:
        run(os.environ.get("CC", "cc").split()[0], "-std=c17", "-D_POSIX_C_SOURCE=200809L", "-Wall",
            "-Wextra", "-Wpedantic", "-Werror", "-o", name, SOURCE / f"examples/{name}.c",
            *libraries, "-pthread", folder=folder)
        check_printed(name, folder / name, folder, **env)
        shutil.rmtree(folder / f"{name}-data")


def every_example_is_tested(_folder):
    assert {path.stem for path in (SOURCE / "examples").glob("*.c")} == set(PRINTED)


def examples_do_what_they_say(folder):
    for name in PRINTED:
        check_printed(name, BUILD / f"examples/example_{name}", folder)


def examples_build_against_an_installed_library(folder):
    env = installed(folder)
    assert run("pkg-config", "--modversion", "spoor", folder=folder, **env).strip() == \
        harness.spoor("version").stdout.split()[-1].strip('"}')
    compile_and_check(folder, env, flags(folder, env))


def examples_build_against_the_static_library(folder):
    env = installed(folder)
    for shared in pathlib.Path(env["LD_LIBRARY_PATH"]).glob("libspoor.so*"):
        shared.unlink()
    compile_and_check(folder, env, flags(folder, env, "--static"))


def the_header_pleases_cpp(folder):
    env = installed(folder)
    compilers = [name for name in ("g++", "clang++") if shutil.which(name)]
    if not compilers:
        raise Skip("no C++ compiler is installed")
    (folder / "header.cpp").write_text(HEADER_IN_CPP, encoding="utf-8")
    for compiler in compilers:
        run(compiler, "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Wold-style-cast", "-Wshadow",
            "-Wconversion", "-Werror", "-o", "header", "header.cpp", *flags(folder, env),
            folder=folder)
        run(folder / "header", folder=folder, **env)


harness.run(every_example_is_tested, examples_do_what_they_say,
            examples_build_against_an_installed_library, examples_build_against_the_static_library,
            the_header_pleases_cpp)
