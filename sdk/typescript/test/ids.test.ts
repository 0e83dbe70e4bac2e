import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { emitId, NAMESPACE, newId, stepId } from "../src/ids.js";

interface Vectors {
    namespace: string;
    emit: {
        source: string;
        id: string;
        agent: string;
        handler: string;
        step: string;
        ordinal: number;
        uuid: string;
    }[];
    step: {
        source: string;
        id: string;
        agent: string;
        handler: string;
        name: string;
        uuid: string;
    }[];
}

const source = process.env["SPOOR_SOURCE"] ?? join(process.cwd(), "../..");
// The file stands beside the SDKs: theirs are the same ids.
const vectors = JSON.parse(readFileSync(join(source, "sdk/ids.json"), "utf8")) as Vectors;

test("ids are those of every SDK", () => {
    assert.equal(NAMESPACE, vectors.namespace);
    assert.ok(vectors.emit.length > 0 && vectors.step.length > 0);
    for (const { step, ordinal, uuid, ...handled } of vectors.emit) {
        assert.equal(emitId(handled, step, ordinal), uuid);
    }
    for (const { name, uuid, ...handled } of vectors.step) {
        assert.equal(stepId(handled, name), uuid);
    }
});

test("ids that are made are UUIDv7 and rise with time", () => {
    const [early, late] = [newId(1_000), newId(2_000)];
    assert.match(early, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.ok(early < late);
    assert.notEqual(newId(1_000), newId(1_000));
});
