// Builds the page into a folder of static files.
//
//     node build.mjs --into FOLDER [--modules FOLDER] [--test]
//
// --into FOLDER     where index.html, app.js, app.css and icon.svg go
// --modules FOLDER  the node_modules with preact, esbuild and typescript; else ./node_modules
// --test            checks the types and runs the unit tests; builds into a temporary folder
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

function options(words) {
    const given = { into: undefined, modules: join(here, "node_modules"), test: false };
    for (let i = 0; i < words.length; i++) {
        if (words[i] === "--test") {
            given.test = true;
        } else if (words[i] === "--into" || words[i] === "--modules") {
            given[words[i].slice(2)] = resolve(words[++i]);
        } else {
            throw new Error(`unknown option ${words[i]}`);
        }
    }
    if (!given.test && given.into === undefined) {
        throw new Error("--into FOLDER is missing");
    }
    return given;
}

function run(program, words, cwd) {
    const ended = spawnSync(process.execPath, [program, ...words], { cwd, stdio: "inherit" });
    if (ended.status !== 0) {
        process.exit(ended.status ?? 1);
    }
}

// A copy of the sources beside the modules, so that nothing is written to the source tree.
function workplace(modules) {
    const folder = mkdtempSync(join(tmpdir(), "spoor-ui-"));
    for (const name of ["src", "test", "tsconfig.json", "package.json"]) {
        cpSync(join(here, name), join(folder, name), { recursive: true });
    }
    symlinkSync(modules, join(folder, "node_modules"));
    return folder;
}

async function bundle(folder, modules, into) {
    const require = createRequire(join(modules, "x.js"));
    const esbuild = require("esbuild");
    await esbuild.build({
        absWorkingDir: folder,
        entryPoints: { app: "src/main.tsx" },
        outdir: into,
        bundle: true,
        minify: true,
        format: "esm",
        target: "es2022",
        jsx: "automatic",
        jsxImportSource: "preact",
        legalComments: "none",
        logLevel: "warning",
    });
    await esbuild.build({
        absWorkingDir: folder,
        entryPoints: { app: "src/style/app.css" },
        outdir: into,
        minify: true,
        logLevel: "warning",
    });
    for (const name of ["index.html", "icon.svg"]) {
        cpSync(join(folder, "src", name), join(into, name));
    }
}

async function test(folder, modules) {
    const require = createRequire(join(modules, "x.js"));
    const esbuild = require("esbuild");
    const built = join(folder, "built");
    const names = readdirSync(join(folder, "test")).filter(name => name.endsWith(".test.ts"));
    await esbuild.build({
        absWorkingDir: folder,
        entryPoints: names.map(name => join("test", name)),
        outdir: built,
        outExtension: { ".js": ".mjs" },
        bundle: true,
        platform: "node",
        format: "esm",
        logLevel: "warning",
    });
    const files = names.map(name => join(built, name.replace(/\.ts$/, ".mjs")));
    const ended = spawnSync(process.execPath, ["--test", "--test-reporter=tap", ...files], { stdio: "inherit" });
    return ended.status ?? 1;
}

const given = options(process.argv.slice(2));
const folder = workplace(given.modules);
let status = 0;
try {
    if (given.test) {
        run(join(given.modules, "typescript/bin/tsc"), ["-p", "tsconfig.json"], folder);
        status = await test(folder, given.modules);
    } else {
        mkdirSync(given.into, { recursive: true });
        await bundle(folder, given.modules, given.into);
    }
} finally {
    rmSync(folder, { recursive: true, force: true });
}
process.exit(status);
