// Builds the package: dist/esm and dist/cjs, both with types.
//
//     node build.mjs [--into FOLDER] [--modules FOLDER] [--bench | --test]
//
// --into FOLDER     builds a copy of the package there, so that nothing is written here
// --modules FOLDER  the node_modules with redis, typescript and @types/node; else the package's own
// --bench           type-checks tests and benchmarks as well, and builds them into dist/check
// --test            the same, and runs the tests
import { spawnSync } from "node:child_process";
import {
    cpSync,
    existsSync,
    lstatSync,
    mkdirSync,
    readdirSync,
    realpathSync,
    rmSync,
    symlinkSync,
    unlinkSync,
    writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCES = [
    "package.json",
    "README.md",
    "tsconfig.json",
    "tsconfig.esm.json",
    "tsconfig.cjs.json",
    "tsconfig.test.json",
    "build.mjs",
    "src",
    "test",
    "bench",
];
const here = dirname(fileURLToPath(import.meta.url));

function options(words) {
    const given = { bench: false, test: false };
    for (let word = words.shift(); word !== undefined; word = words.shift()) {
        if (word === "--test" || word === "--bench") {
            given[word.slice(2)] = true;
        } else if ((word === "--into" || word === "--modules") && words.length > 0) {
            given[word.slice(2)] = resolve(words.shift());
        } else {
            throw new Error(`${word}: expected --into FOLDER, --modules FOLDER, --bench or --test`);
        }
    }
    return given;
}

/** A fresh copy of the sources; what else lies there stays. */
function copy(to) {
    mkdirSync(to, { recursive: true });
    for (const name of SOURCES) {
        rmSync(join(to, name), { recursive: true, force: true });
        cpSync(join(here, name), join(to, name), { recursive: true });
    }
}

function link(modules, to) {
    const at = join(to, "node_modules");
    if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink()) {
        unlinkSync(at);
    }
    if (!existsSync(at)) {
        symlinkSync(realpathSync(modules), at);
    }
}

function run(folder, command, args) {
    const done = spawnSync(command, args, { cwd: folder, stdio: "inherit" });
    if (done.error !== undefined || done.status !== 0) {
        console.error(
            `build: ${command} ${args.join(" ")}: ${done.error?.message ?? `exit ${done.status ?? done.signal}`}`,
        );
        process.exit(1);
    }
}

function compile(folder, project) {
    run(folder, process.execPath, [join(folder, "node_modules/typescript/bin/tsc"), "-p", project]);
}

function build(folder) {
    rmSync(join(folder, "dist"), { recursive: true, force: true });
    compile(folder, "tsconfig.esm.json");
    compile(folder, "tsconfig.cjs.json");
    writeFileSync(join(folder, "dist/cjs/package.json"), '{ "type": "commonjs" }\n');
}

function test(folder) {
    const tests = readdirSync(join(folder, "dist/check/test")).filter((name) =>
        name.endsWith(".test.js"),
    );
    run(folder, process.execPath, [
        "--test",
        ...tests.map((name) => join("dist/check/test", name)),
    ]);
}

const { into, modules, bench, test: testing } = options(process.argv.slice(2));
const folder = into ?? here;
if (into !== undefined) {
    copy(into);
}
if (modules !== undefined) {
    link(modules, folder);
}
build(folder);
if (bench || testing) {
    compile(folder, "tsconfig.test.json");
}
if (testing) {
    test(folder);
}
