import assert from "node:assert/strict";
import { test } from "node:test";

import type { Frame } from "../src/api/sse.js";
import { RATE_SECONDS, TAIL_EVENTS_MAX, Tail } from "../src/views/tail.js";

function frames(first: number, count: number): Frame[] {
    return Array.from({ length: count }, (_, i) => ({
        event: "message",
        data: JSON.stringify({ position: first + i, type: "t" }),
        id: `${first + i}@log`,
    }));
}

test("the newest is first, and the oldest are forgotten", () => {
    const tail = new Tail();
    tail.take(frames(1, 10), 1000);
    assert.equal(tail.at(0).position, 10);
    tail.take(frames(11, TAIL_EVENTS_MAX), 2000);
    assert.equal(tail.count, TAIL_EVENTS_MAX);
    assert.equal(tail.at(TAIL_EVENTS_MAX - 1).position, 11);
});

test("while it is paused nothing moves, and nothing is lost", () => {
    const tail = new Tail();
    tail.take(frames(1, 3), 1000);
    tail.pause();
    tail.take(frames(4, 2), 1000);
    assert.equal(tail.at(0).position, 3);
    assert.equal(tail.newer, 2);
    tail.resume();
    assert.equal(tail.at(0).position, 5);
    assert.equal(tail.count, 5);
    assert.equal(tail.newer, 0);
});

test("a long pause keeps the newest and counts all", () => {
    const tail = new Tail();
    tail.pause();
    tail.take(frames(1, TAIL_EVENTS_MAX + 7), 1000);
    assert.equal(tail.newer, TAIL_EVENTS_MAX + 7);
    tail.resume();
    assert.equal(tail.at(0).position, TAIL_EVENTS_MAX + 7);
});

test("rates are by second, and seconds without events count", () => {
    const tail = new Tail();
    tail.take(frames(1, 5), 10_000);
    tail.take(frames(6, 2), 10_900);
    tail.take(frames(8, 1), 13_000);
    const rates = tail.perSecond(13_500);
    assert.equal(rates.length, RATE_SECONDS);
    assert.deepEqual(rates.slice(-4), [7, 0, 0, 1]);
});

test("what the server says is missing is kept for the reader", () => {
    const tail = new Tail();
    tail.take([{ event: "gap", data: '{"position":9}', id: undefined }], 1000);
    assert.deepEqual(tail.gaps, ['{"position":9}']);
    assert.equal(tail.count, 0);
});
