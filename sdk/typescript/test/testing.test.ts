/** The harness itself, and what only virtual time shows. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { defineAgent, SpoorError, type Context } from "../src/index.js";
import { createTestBus, ExpectationError } from "../src/testing/index.js";

const echo = defineAgent({
    name: "echo",
    capabilities: ["echo"],
    on: { "say.*": (event, ctx) => ctx.emit("said", event.data) },
});

test("an expectation that is not met says what is different", async () => {
    const bus = createTestBus({ agents: [echo] });
    await assert.rejects(
        bus.when({ type: "say.a", data: 1 }).thenEmits([{ type: "said", data: 2 }]),
        (error: unknown) => {
            assert.ok(error instanceof ExpectationError && error instanceof SpoorError);
            assert.match(
                error.message,
                /missing: {4}\{"type":"said","data":2\}\n {2}unexpected: .*"data":1/,
            );
            return true;
        },
    );
    await assert.rejects(
        bus.when({ type: "other" }).thenEmits([{ type: "said" }]),
        /nothing was emitted/,
    );
    await bus
        .when([
            { type: "say.a", data: 1 },
            { type: "say.b", data: 2 },
        ])
        .thenEmits([{ data: 2 }, { data: (data: unknown) => data === 1, source: "echo" }]);
    await bus.close();
});

test("nothing happens by itself: time is virtual", async () => {
    const bus = createTestBus({ agents: [echo], now: new Date("2026-05-01T12:00:00Z") });
    await bus.when({ type: "say.a" });
    assert.equal((await bus.query())[0]!.recordedtime.slice(0, 19), "2026-05-01T12:00:00");
    await bus.advance("1h30m");
    assert.equal(bus.now().toISOString(), "2026-05-01T13:30:00.000Z");
    await bus.close();
});

test("an agent that is silent is stale, then suspected, and recovers", async () => {
    const bus = createTestBus({ agents: [echo] });
    await bus.start();
    await bus.advance("10m");
    assert.equal((await bus.agent("echo"))?.status, "online");
    bus.crash(echo);
    await bus.advance("1s");
    assert.equal((await bus.agent("echo"))?.status, "online");
    await bus.advance("1s");
    assert.equal((await bus.agent("echo"))?.status, "suspected");
    assert.deepEqual(await bus.agents({ capability: "echo", free: true }), []);
    await bus.start(echo);
    assert.equal((await bus.agent("echo"))?.status, "online");
    assert.deepEqual(
        (await bus.query({ stream: "$agents" })).map(({ type, data }) => [
            type,
            data.agent,
            data.silent_ms,
        ]),
        [
            ["agent.suspected_failure", "echo", 2000],
            ["agent.recovered", "echo", 2000],
        ],
    );
    await bus.close();
});

test("a handler that takes long is extended", async () => {
    const slow = defineAgent({
        name: "slow",
        on: { "long.job": { ackWait: "10s", handler: (_, ctx) => ctx.sleep("5m") } },
    });
    const bus = createTestBus({ agents: [slow] });
    await bus.when({ type: "long.job" });
    await bus.advance("10m");
    assert.deepEqual(
        bus.spy(slow, "long.job").calls.map(({ outcome }) => outcome),
        ["returned"],
    );
    await bus.close();
});

test("NDJSON is replayed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "spoor-replay-"));
    const file = join(folder, "run.ndjson");
    writeFileSync(
        file,
        '{"id":"1","type":"say.a","source":"ann","correlationid":"r","data":{"n":1},"position":7,"version":3,"mood":"calm"}\n' +
            '{"id":"2","type":"say.b","source":"bob","data":{"n":2},"hash":"00"}\n' +
            '{"id":"3","type":"group.created","source":"spoor","stream":"$group:x","data":{}}\n',
    );
    const bus = createTestBus({ agents: [echo] });
    const emitted = await bus.replay(file);
    assert.deepEqual(
        emitted.map(({ data, correlationid }) => [data, correlationid]),
        [
            [{ n: 1 }, "r"],
            [{ n: 2 }, "2"],
        ],
    );
    assert.deepEqual((await bus.get("1"))?.["mood"], "calm");
    assert.equal(await bus.get("3"), undefined);
    assert.deepEqual(await bus.replay([{ id: "1", type: "say.a", source: "ann" }]), []);
    rmSync(folder, { recursive: true });
    await bus.close();
});

test("a handler that never ends is said", async () => {
    const stuck = defineAgent({ name: "stuck", on: { x: () => new Promise(() => undefined) } });
    const bus = createTestBus({ agents: [stuck], patience: 50 });
    await assert.rejects(async () => bus.when({ type: "x" }), /still at work/);
    await bus.close();
});

test("definitions that cannot be are refused at once", () => {
    const handler = (): void => undefined;
    for (const [definition, complaint] of [
        [{ name: "" }, /needs a name/],
        [{ name: "a", on: { x: 5 } }, /expected a function/],
        [{ name: "a", on: { x: [handler, handler] } }, /each needs a name/],
        [
            {
                name: "a",
                on: {
                    x: [
                        { name: "s", handler },
                        { name: "s", handler },
                    ],
                },
            },
            /have one name/,
        ],
        [{ name: "a", concurrency: 0 }, /concurrency: expected a whole number/],
        [{ name: "a", on: { x: { handler, ackWait: "soon" } } }, /a, x: ackWait: expected a span/],
        [
            { name: "a", on: { x: { handler, retry: { maxAttempts: 1.5 } } } },
            /maxAttempts: expected a whole number/,
        ],
    ] as const) {
        assert.throws(() => defineAgent(definition as never), complaint);
    }
});

test("definitions in one array have each their own patterns", async () => {
    const definitions = [
        { name: "first", on: { "one.x": (_: unknown, ctx: Context) => ctx.emit("did.one") } },
        { name: "second", on: { "two.x": (_: unknown, ctx: Context) => ctx.emit("did.two") } },
        { name: "third", on: { "one.x": undefined } },
    ];
    const bus = createTestBus({ agents: definitions.map((each) => defineAgent(each)) });
    await bus
        .when([{ type: "one.x" }, { type: "two.x" }])
        .thenEmits([
            { type: "did.one", source: "first" },
            { type: "did.two", source: "second" },
        ]);
    await bus.close();
});
