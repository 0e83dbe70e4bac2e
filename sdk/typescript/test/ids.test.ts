import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
    answerId,
    askId,
    emitId,
    failureId,
    NAMESPACE,
    newId,
    startId,
    stepId,
} from "../src/ids.js";

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
    start: {
        source: string;
        id: string;
        agent: string;
        handler: string;
        name: string;
        ordinal: number;
        uuid: string;
    }[];
    failure: {
        source: string;
        id: string;
        agent: string;
        handler: string;
        name: string;
        ordinal: number;
        uuid: string;
    }[];
    ask: {
        source: string;
        id: string;
        agent: string;
        handler: string;
        ordinal: number;
        uuid: string;
    }[];
    answer: { source: string; id: string; agent: string; uuid: string }[];
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
    for (const { name, ordinal, uuid, ...handled } of vectors.start) {
        assert.equal(startId(handled, name, ordinal), uuid);
    }
    for (const { name, ordinal, uuid, ...handled } of vectors.failure) {
        assert.equal(failureId(handled, name, ordinal), uuid);
    }
    for (const { ordinal, uuid, ...handled } of vectors.ask) {
        assert.equal(askId(handled, ordinal), uuid);
    }
    for (const { source: by, id, agent, uuid } of vectors.answer) {
        assert.equal(answerId(by, id, agent), uuid);
    }
    assert.ok(vectors.start.length + vectors.failure.length + vectors.ask.length >= 3);
    assert.ok(vectors.answer.length > 1);
});

test("ids that are made are UUIDv7 and rise with time", () => {
    const [early, late] = [newId(1_000), newId(2_000)];
    assert.match(early, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.ok(early < late);
    assert.notEqual(newId(1_000), newId(1_000));
});
