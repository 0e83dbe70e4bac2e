/**
 * One story over both buses: the logs they leave are the same, event by event, the bus's own ones
 * included.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { defineAgent, NonRetryableError, type SpoorEvent } from "../src/index.js";
import { createTestBus, type TestBusOptions } from "../src/testing/index.js";
import { Server } from "./server.js";

let server: Server;
before(async () => {
    server = await Server.start();
});
after(async () => {
    await server.stop();
});

/** What differs from run to run, or is a matter of the clock or of this test's policies. */
const VOLATILE = new Set([
    "entryid",
    "consumer",
    "retry_at",
    "delivered_at",
    "after",
    "event",
    "position",
    "ack_wait_ms",
    "backoff_first_ms",
    "backoff_max_ms",
    "backoff_factor_milli",
    "backoff_jitter_milli",
]);

/** An event as far as it must be the same; of what may differ, that it is there. */
function essence(
    event: SpoorEvent<Record<string, unknown> | null>,
    names: Map<string, string>,
): unknown {
    const name = (id: string | undefined): string | undefined =>
        id === undefined ? undefined : (names.get(id) ?? id);
    const data =
        event.data === null || typeof event.data !== "object"
            ? event.data
            : Object.entries(event.data).map(([key, value]) => [
                  key,
                  VOLATILE.has(key) ? "any" : value,
              ]);
    const kept = Object.keys(event)
        .filter((key) => key !== "hash")
        .sort();
    return {
        position: event.position,
        version: event.version,
        type: event.type,
        source: event.source,
        stream: event.stream,
        id: name(event.id),
        correlationid: name(event.correlationid),
        causationid: name(event.causationid),
        data,
        kept,
    };
}

async function story(options: TestBusOptions): Promise<unknown[]> {
    const silent = (): void => undefined;
    const agent = defineAgent({
        name: "clerk",
        capabilities: ["file"],
        version: "1",
        log: silent,
        concurrency: 1,
        on: {
            "file.*": {
                retry: { maxAttempts: 2, first: "3s" },
                filter: { "data.n": { $gt: 0 } },
                orderBy: "correlation",
                handler: async (event, ctx) => {
                    await ctx.step("read", () => ({ n: event.data.n }));
                    await ctx.emit(
                        "shelf.read",
                        { n: event.data.n },
                        { stream: "files", extensions: { shelf: 5 }, metadata: { a: [1] } },
                    );
                    if (event.data.n === 2) {
                        throw new NonRetryableError("torn");
                    }
                    if (event.data.n === 3) {
                        throw new Error("locked");
                    }
                    if (ctx.attempt === 1) {
                        throw new Error("not yet");
                    }
                },
            },
        },
    });
    const bus = createTestBus({ ...options, agents: [agent] });
    await bus.given([{ type: "file.made", id: "f-0", data: { n: 1 } }]);
    for (let n = 0; n <= 3; n++) {
        await bus.when({ type: "file.made", id: `f-${n + 1}`, data: { n }, correlationid: "run" });
        await bus.advance("10s");
    }
    const where = { key: "$type:file.*", group: "clerk" };
    const [letter] = await bus.deadLetters.list(where);
    assert.equal(letter?.error, "NonRetryableError: torn");
    await bus.deadLetters.redrive(where, [letter.entryid]);
    await bus.settle();
    assert.equal(await bus.deadLetters.discard(where), 2);
    await bus.stop(agent);
    const events = await bus.query<Record<string, unknown>>({ limit: 1000 });
    await bus.close();
    // Ids that were made at random are named by their place.
    const names = new Map(
        events
            .filter(({ id }) => /^[0-9a-f]{8}-[0-9a-f]{4}-7/.test(id))
            .map(({ id, position }) => [id, `event ${position}`]),
    );
    return events.map((event) => essence(event, names));
}

test("both logs are the same", async () => {
    const [memory, real] = [await story({}), await story({ real: server.url })];
    assert.ok(memory.length > 20);
    for (const [at, event] of memory.entries()) {
        assert.deepEqual(event, real[at], `event ${at + 1}`);
    }
    assert.equal(memory.length, real.length);
});
