/** Sagas over a server: workers, clients, questions, and what is delivered later. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
    connect,
    ConflictError,
    defineAgent,
    NonRetryableError,
    SpoorError,
    type Bus,
    type Saga,
} from "../src/index.js";
import { createTestBus } from "../src/testing/index.js";
import { eventually, Server } from "./server.js";

let server: Server;
let bus: Bus;
before(async () => {
    server = await Server.start();
    bus = await connect(server.url, { source: "web" });
});
after(async () => {
    await bus.close();
    await server.stop();
});

const log = (): void => undefined;

function definition(name: string): { [member: string]: unknown } {
    return {
        saga: name,
        steps: [
            { name: "qualify", action: `${name}.qualify`, compensate: `${name}.unqualify` },
            {
                name: "slot",
                action: `${name}.book`,
                compensate: `${name}.cancel`,
                input: "{lead: .lead, score: .steps.qualify.result.score}",
                retry: { limit: 1 },
            },
        ],
        output: ".steps.slot.result",
    };
}

async function run(name: string, data: unknown): Promise<Saga> {
    const { sagaid } = await bus.startSaga(name, data);
    return bus.waitSaga(sagaid, { timeout: "60s" });
}

test("a saga completes, undoes itself, and waits for a person", async () => {
    const did: unknown[] = [];
    let isLocked = true;
    const agent = defineAgent({
        name: "desk",
        log,
        steps: {
            "one.qualify": () => ({ score: 7 }),
            "one.book": ({ data }) => {
                if (data.lead !== "good") {
                    throw new NonRetryableError("no slot is free");
                }
                return data;
            },
        },
        compensate: {
            "one.unqualify": (_, ctx) => {
                did.push([ctx.input, ctx.result]);
                if (isLocked && ctx.input.lead === "stuck") {
                    throw new NonRetryableError("the CRM is locked");
                }
            },
        },
    });
    await agent.start({ url: server.url });
    const defined = await bus.defineSaga(definition("one"));
    assert.ok(defined["position"] > 0);
    const first = await bus.startSaga("one", { lead: "good" }, { key: "k" });
    const again = await bus.startSaga("one", { lead: "good" }, { key: "k" });
    assert.deepEqual([again.sagaid, again.known], [first.sagaid, true]);
    const good = await bus.waitSaga(first.sagaid, { timeout: "60s" });
    assert.deepEqual([good.status, good.result], ["completed", { lead: "good", score: 7 }]);
    const bad = await run("one", { lead: "bad" });
    assert.deepEqual([bad.status, bad.error], ["compensated", "no slot is free"]);
    assert.deepEqual(did, [[{ lead: "bad" }, { score: 7 }]]);
    const stuck = await run("one", { lead: "stuck" });
    assert.deepEqual([stuck.status, stuck.waiting_for], ["needs_attention", "operator"]);
    assert.equal((await bus.sagas({ status: "needs_attention" }))[0]?.["sagaid"], stuck.sagaid);
    isLocked = false;
    await bus.retryStep(stuck.sagaid, undefined, { by: "ann", reason: "it is open again" });
    const undone = await bus.waitSaga(stuck.sagaid, { timeout: "60s", forAttention: false });
    assert.equal(undone.status, "compensated");
    await agent.stop();
});

test("cancelling reaches the worker", async () => {
    let hasBegun = false;
    const agent = defineAgent({
        name: "desk",
        log,
        steps: {
            "two.qualify": () => ({ score: 7 }),
            "two.book": (_, ctx) =>
                new Promise((_, reject) => {
                    hasBegun = true;
                    ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason));
                }),
        },
        compensate: { "two.unqualify": () => null, "two.cancel": () => null },
    });
    await agent.start({ url: server.url });
    await bus.defineSaga(definition("two"));
    const { sagaid } = await bus.startSaga("two", { lead: "l" });
    await eventually(() => hasBegun, "the step begins");
    await bus.cancelSaga(sagaid, { by: "ann", reason: "enough" });
    const saga = await bus.waitSaga(sagaid, { timeout: "60s" });
    assert.equal(saga.status, "cancelled");
    const [failed] = await bus.query({ type: "two.book.failed" });
    assert.equal((failed?.data as { unknown?: boolean }).unknown, true);
    assert.equal((await bus.query({ type: "two.cancel.completed" })).length, 1);
    await agent.stop();
});

test("an agent asks, and a person decides once", async () => {
    const agent = defineAgent({
        name: "assistant",
        log,
        on: {
            "demo.wanted": async (_, ctx) => {
                const said = await ctx.ask("Book it?", { choices: ["morning", "evening", "reject"] });
                await ctx.emit("demo.decided", said);
            },
        },
    });
    await agent.start({ url: server.url });
    await bus.publish("demo.wanted", {});
    await eventually(async () => (await bus.approvals()).length === 1, "it is asked");
    const [asked] = await bus.approvals();
    await assert.rejects(bus.approve(asked?.["id"], { choice: "noon" }), SpoorError);
    await bus.approve(asked?.["id"], { choice: "evening", by: "ann", reason: "it is quiet" });
    for await (const { data } of bus.subscribe({ type: "demo.decided", from: 1 })) {
        assert.deepEqual(data, {
            granted: true,
            choice: "evening",
            by: "ann",
            reason: "it is quiet",
            expired: false,
        });
        break;
    }
    await assert.rejects(bus.reject(asked?.["id"], { by: "eve" }), ConflictError);
    const { id } = await bus.propose("Deploy?", { timeout: "200ms", onTimeout: "reject" });
    const said = await bus.decision(id, { timeout: "60s" });
    assert.deepEqual([said.granted, said.expired], [false, true]);
    await agent.stop();
});

test("what is delivered later, joined and scheduled", async () => {
    await bus.publish("mail.due", { n: 1 }, { id: "m-1", delay: "200ms" });
    for await (const event of bus.subscribe({ type: "mail.due", from: 1 })) {
        assert.deepEqual([event.id, event.source, event.data], ["m-1", "web", { n: 1 }]);
        break;
    }
    const late = new Date(Date.now() + 86_400_000);
    await bus.publish("mail.due", { n: 2 }, { id: "m-2", deliverAt: late });
    assert.deepEqual(
        (await bus.timers()).map(({ id }) => id),
        ["m-2"],
    );
    await bus.cancelTimer("m-2", { by: "ann", reason: "no need" });
    assert.deepEqual(await bus.timers(), []);
    await bus.defineJoin({
        join: "both",
        of: ["a.done", "b.done"],
        need: "all",
        key: "data.k",
        window: "1h",
        emit: { type: "both.done", data: "{k: .key}" },
    });
    await bus.publish("b.done", { k: "four" });
    await bus.publish("a.done", { k: "four" });
    for await (const { data } of bus.subscribe({ type: "both.done", from: 1 })) {
        assert.deepEqual(data, { k: "four" });
        break;
    }
    assert.equal((await bus.joins()).length, 1);
    await bus.removeJoin("both");
    await bus.defineSchedule({ schedule: "often", every: "1s", emit: { type: "tick" } });
    for await (const _ of bus.subscribe({ type: "tick", from: 1 })) {
        break;
    }
    await bus.removeSchedule("often");
    assert.deepEqual(await bus.schedules(), []);
});

test("agents of a test work on sagas", async () => {
    const agent = defineAgent({ name: "tester", log, steps: { "three.add": ({ data }) => data.a + 1 } });
    const own = createTestBus({ agents: [agent], real: server.url });
    await own.start();
    await own.defineSaga({ saga: "three", steps: [{ name: "add", action: "three.add" }] });
    const saga = await own.runSaga("three", { a: 1 });
    assert.deepEqual([saga.status, saga.steps[0]?.result], ["completed", 2]);
    assert.equal(own.spy(agent, "three.add").count, 1);
    await own.close();
});

test("a bus in memory has none of it", async () => {
    const memory = createTestBus();
    await assert.rejects(memory.startSaga("x"), /ask a server/);
    await assert.rejects(memory.publish("x", 1, { delay: 5 }), /ask a server/);
    await memory.close();
});
