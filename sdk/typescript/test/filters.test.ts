/** Patterns and filters of the bus in memory are those of docs/filters.md: its examples are run. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { SpoorEvent } from "../src/index.js";
import { compileFilter } from "../src/testing/filter.js";
import { compilePattern } from "../src/testing/pattern.js";
import { compileRegex } from "../src/testing/regex.js";

const document = readFileSync(
    join(process.env["SPOOR_SOURCE"] ?? join(process.cwd(), "../.."), "docs/filters.md"),
    "utf8",
);

type Sign = "+" | "-" | "!";
interface Block {
    line: number;
    subject: string;
    cases: [Sign, string][];
}

function blocks(kind: string): Block[] {
    const found: Block[] = [];
    const lines = document.split("\n");
    for (let at = 0; at < lines.length; at++) {
        if (lines[at] === `\`\`\`${kind}`) {
            const end = lines.indexOf("```", at);
            found.push({
                line: at + 1,
                subject: lines[at + 1]!,
                cases: lines.slice(at + 2, end).map((line) => [line[0] as Sign, line.slice(2)]),
            });
        }
    }
    assert.ok(found.length > 0, `no ${kind} in the document`);
    return found;
}

/** The event of an example: what it leaves out is anything. */
function event(json: string): SpoorEvent {
    const given = JSON.parse(json) as Record<string, unknown>;
    if (typeof given["payload"] === "object" && given["data"] === undefined) {
        given["data"] = given["payload"];
    }
    return { type: "any.type", source: "anybody", ...given } as unknown as SpoorEvent;
}

function check(kind: string, accepts: (subject: string, text: string) => boolean): void {
    let cases = 0;
    for (const { line, subject, cases: list } of blocks(kind)) {
        for (const [sign, text] of list) {
            const where = `docs/filters.md:${line}: ${subject} ${sign} ${text}`;
            cases++;
            if (sign === "!") {
                assert.throws(() => accepts(text, "{}"), Error, where);
            } else {
                assert.equal(accepts(subject, text), sign === "+", where);
            }
        }
    }
    assert.ok(cases > 5);
}

test("patterns", () => check("pattern", (pattern, type) => compilePattern(pattern)(type)));
test("filters", () =>
    check("filter", (filter, json) =>
        compileFilter(JSON.parse(filter) as object as never)(event(json)),
    ));
test("regular expressions", () => check("regex", (regex, text) => compileRegex(regex).test(text)));
