/** What the harness does to a delivery between the bus and the agent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FaultyPort } from "../src/testing/faults.js";
import { VirtualClock } from "../src/testing/clock.js";
import type { Delivery, Lane, Port } from "../src/port.js";

const delivery = (entryid: string): Delivery => ({
    key: "k",
    entryid,
    attempt: 1,
    event: { id: entryid } as Delivery["event"],
});

test("what comes twice comes again when the whole acknowledgement is through", async () => {
    const bus = [[delivery("1"), delivery("2")]];
    const lane: Lane = {
        receive: async () => bus.shift() ?? [],
        wake: async () => undefined,
        close: async () => undefined,
    };
    let answer = (): void => undefined;
    const inner: Partial<Port> = {
        clock: new VirtualClock(0),
        openLane: async () => lane,
        ack: () => new Promise<void>((resolve) => (answer = resolve)),
    };
    const plan = { crash: undefined, duplicates: 1, random: undefined };
    const port = new FaultyPort(inner as Port, plan, () => undefined);
    const worker = await port.openLane("g", "c");
    const first = await worker.receive(["k"], 10, () => false);
    assert.deepEqual(
        first.map(({ entryid }) => entryid),
        ["1", "2"],
    );
    const acknowledged = port.ack("k", "g", ["1", "2"]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(await worker.receive(["k"], 10, () => false), []);
    answer();
    await acknowledged;
    await new Promise((resolve) => setImmediate(resolve));
    const again = await worker.receive(["k"], 10, () => false);
    assert.deepEqual(
        again.map(({ entryid, attempt }) => [entryid, attempt]),
        [["1", 2]],
    );
});
