#!/usr/bin/env python3
"""The TypeScript SDK: it is built, type-checked with its tests, and its tests run over this program; then it is
packed, and the package is loaded as its users load it, by import and by require.

Without Node.js and the packages that `./dev test` installs it is skipped.
"""
import json
import os
import re
import shutil
import subprocess

import sdk_typescript as sdk
from harness import SOURCE, SPOOR, Skip, run

TIMEOUT_S = 900
USE = {
    "use.mjs": """import { defineAgent, connect, NonRetryableError } from "spoor";
import { createTestBus } from "spoor/testing";
const agent = defineAgent({ name: "a", on: { "t.x": async (event, ctx) => { await ctx.emit("t.y", event.data); } } });
const bus = createTestBus({ agents: [agent] });
await bus.when({ type: "t.x", data: 5 }).thenEmits([{ type: "t.y", data: 5, source: "a" }]);
await bus.close();
console.log(typeof connect, typeof NonRetryableError);
""",
    "use.cjs": """const { defineAgent, connect, NonRetryableError } = require("spoor");
const { createTestBus } = require("spoor/testing");
const agent = defineAgent({ name: "a", on: { "t.x": async (event, ctx) => { await ctx.emit("t.y", event.data); } } });
const bus = createTestBus({ agents: [agent] });
bus.when({ type: "t.x", data: 5 }).thenEmits([{ type: "t.y", data: 5, source: "a" }])
  .then(() => bus.close()).then(() => console.log(typeof connect, typeof NonRetryableError));
""",
}
TYPED = """import { defineAgent, type SpoorEvent } from "spoor";
import { createTestBus } from "spoor/testing";
export const agent = defineAgent({
  name: "a",
  on: { "t.x": async (event: SpoorEvent<{ n: number }>, ctx) => { await ctx.emit("t.y", event.data.n); } },
});
export const bus = createTestBus({ agents: [agent] });
const several = [
  { name: "c", on: { "t.x": async (event: SpoorEvent) => event.id } },
  { name: "d", on: { "t.y": { handler: async (event: SpoorEvent) => event.id } } },
  { name: "e" },
];
export const agents = several.map((definition) => defineAgent(definition));
// @ts-expect-error a handler is a function
defineAgent({ name: "b", on: { "t.x": 5 } });
"""


def tests_pass(folder):
    """The package's own tests; their lines are shown where one fails."""
    made = sdk.build(folder / "package", "--test", timeout=TIMEOUT_S,
                     env={"SPOOR": SPOOR, "SPOOR_SOURCE": str(SOURCE)})
    for line in made.stdout.splitlines():
        print("# " + line)
    assert made.returncode == 0, made.stderr + "\n".join(
        line for line in made.stdout.splitlines() if line.lstrip().startswith("not ok"))
    assert re.search(r"^# pass [1-9]", made.stdout, re.MULTILINE), "no test ran"
    assert re.search(r"^# (skipped|todo|cancelled) [1-9]", made.stdout, re.MULTILINE) is None


def a_packed_package_is_loaded_by_import_and_by_require(folder):
    made = sdk.build(folder / "package", timeout=TIMEOUT_S)
    assert made.returncode == 0, made.stderr
    if not sdk.NPM.exists():
        raise Skip("npm is not there")
    subprocess.run([sdk.NPM, "pack", "--ignore-scripts", "--pack-destination", folder], check=True, cwd=folder / "package",
                   env=sdk.environment(), capture_output=True, timeout=TIMEOUT_S)
    user = folder / "user"
    unpack(next(folder.glob("spoor-*.tgz")), user)
    for name, program in USE.items():
        (user / name).write_text(program, encoding="utf-8")
        done = subprocess.run([sdk.NODE, name], cwd=user, env=sdk.environment(), capture_output=True, text=True,
                              timeout=TIMEOUT_S, check=False)
        assert done.returncode == 0 and done.stdout == "function function\n", (name, done.stdout, done.stderr)
    for name, module in (("use.mts", "NodeNext"), ("use.cts", "NodeNext"), ("user.mts", "Preserve")):
        (user / name).write_text(TYPED, encoding="utf-8")
        resolution = "NodeNext" if module == "NodeNext" else "Bundler"
        checked = subprocess.run(
            [sdk.NODE, user / "node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--target", "ES2022", "--types", "node",
             "--module", module, "--moduleResolution", resolution, name],
            cwd=user, env=sdk.environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert checked.returncode == 0, (name, checked.stdout)


def unpack(package, user):
    """A folder whose node_modules have the package as npm would install it, with nothing beside."""
    into = user / "node_modules" / "spoor"
    into.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", package, "--strip-components=1", "-C", into], check=True)
    names = sorted(str(path.relative_to(into)) for path in into.rglob("*") if path.is_file())
    assert not [name for name in names if not re.match(r"package\.json|README\.md|dist/(esm|cjs)/", name)], names
    wanted = json.loads((into / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert list(wanted) == ["redis"], wanted
    for name in ("redis", "@redis", "cluster-key-slot", "typescript", "@typescript", "@types", "undici-types"):
        if (sdk.MODULES / name).exists():
            (user / "node_modules" / name).symlink_to(sdk.MODULES / name)


def nothing_is_written_into_the_sources(_folder):
    if shutil.which("git") is None or not (SOURCE / ".git").exists():
        raise Skip("not a git repository")
    listed = subprocess.run(["git", "ls-files", "sdk/typescript"], cwd=SOURCE, capture_output=True, text=True, check=True)
    built = [name for name in listed.stdout.split() if re.search(r"/(dist|node_modules)/|\.tgz$|\.d\.ts$", name)]
    assert not built, built


os.environ.pop("SPOOR_URL", None)
run(*(sdk.needed(test) for test in (tests_pass, a_packed_package_is_loaded_by_import_and_by_require)),
    nothing_is_written_into_the_sources)
