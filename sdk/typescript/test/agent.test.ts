/**
 * Agents over a server: what only a server shows. What both buses promise is in behaviour.test.ts.
 */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { connect, defineAgent, type Agent, type AgentDefinition, type Bus } from "../src/index.js";
import { eventually, records, Server } from "./server.js";

let server: Server;
let bus: Bus;
const started: Agent[] = [];
const logs = records();
before(async () => {
    server = await Server.start();
    bus = await connect(server.url, { source: "tester" });
});
afterEach(async () => {
    await Promise.all(started.splice(0).map((agent) => agent.stop()));
});
after(async () => {
    await bus.close();
    await server.stop();
});

async function start(definition: AgentDefinition): Promise<Agent> {
    const agent = defineAgent({ log: logs.log, ...definition });
    await agent.start({ url: server.url });
    started.push(agent);
    return agent;
}

test("an agent reacts, and what it emits has its cause and its run", async () => {
    await start({
        name: "reviewer",
        on: {
            "code.committed": async (event, ctx) => {
                await ctx.emit("review.done", { commit: event.data.commit, risk: "low" });
            },
        },
    });
    const { id } = await bus.publish(
        "code.committed",
        { commit: "abc" },
        { correlationid: "run-1" },
    );
    await eventually(
        async () => (await bus.query({ type: "review.done" })).length === 1,
        "a review",
    );
    const [review] = await bus.query({ type: "review.done" });
    assert.deepEqual(
        [review!.source, review!.causationid, review!.correlationid, review!.data],
        ["reviewer", id, "run-1", { commit: "abc", risk: "low" }],
    );
});

test("many events, each handled once, by two processes' worth of one agent", async () => {
    const count = 3000;
    const seen = new Map<number, number>();
    const definition: AgentDefinition = {
        name: "counter",
        on: {
            "count.me": (event) => {
                seen.set(event.data, (seen.get(event.data) ?? 0) + 1);
            },
        },
    };
    const one = await start(definition);
    await start(definition);
    for (let at = 0; at < count; at += 500) {
        await bus.publishBatch(
            Array.from({ length: 500 }, (_, n) => ({ type: "count.me", data: at + n })),
        );
    }
    await eventually(() => seen.size === count, "all of them");
    await one.stop();
    assert.ok([...seen.values()].every((times) => times === 1));
});

test("stop finishes what runs, and takes nothing more", async () => {
    let begun = 0;
    let finished = 0;
    const agent = await start({
        name: "slow",
        concurrency: 2,
        prefetch: 0,
        on: {
            "slow.job": async () => {
                begun++;
                await new Promise((resolve) => setTimeout(resolve, 100));
                finished++;
            },
        },
    });
    await bus.publishBatch(Array.from({ length: 20 }, (_, n) => ({ type: "slow.job", data: n })));
    await eventually(() => begun > 0, "a beginning");
    assert.equal(agent.load, begun - finished);
    await agent.stop();
    assert.equal(begun, finished);
    assert.ok(finished < 20);
    assert.equal(agent.load, 0);
    await start({
        name: "slow",
        on: {
            "slow.job": () => {
                finished++;
            },
        },
    });
    await eventually(() => finished === 20, "the rest, by another process");
});

test("an agent lives through a restart of the server", async () => {
    const seen: number[] = [];
    await start({
        name: "lasting",
        on: {
            "last.tick": async (event, ctx) => {
                seen.push(event.data);
                await ctx.emit("last.tock", event.data);
            },
        },
    });
    await bus.publish("last.tick", 1);
    await eventually(() => seen.includes(1), "the first");
    await server.kill("SIGKILL");
    await server.start();
    await bus.publish("last.tick", 2);
    await eventually(() => seen.includes(2), "the second");
    await eventually(
        async () => (await bus.query({ type: "last.tock" })).length === 2,
        "both answers",
    );
});

test("what takes longer than ack-wait is extended, and handed out once", async () => {
    let calls = 0;
    let done = false;
    await start({
        name: "patient",
        on: {
            "long.job": {
                ackWait: "400ms",
                handler: async () => {
                    calls++;
                    await new Promise((resolve) => setTimeout(resolve, 1500));
                    done = true;
                },
            },
        },
    });
    await bus.publish("long.job");
    await eventually(() => done, "the end");
    assert.equal(calls, 1);
});

test("a policy follows its definition", async () => {
    const one = await start({
        name: "policied",
        on: { "pol.x": { handler: () => undefined, filter: { "data.n": { $gt: 1 } } } },
    });
    await one.stop();
    const seen: number[] = [];
    await start({
        name: "policied",
        on: {
            "pol.x": {
                handler: (event) => {
                    seen.push(event.data.n);
                },
                retry: { maxAttempts: 2 },
            },
        },
    });
    await bus.publish("pol.x", { n: 1 });
    await eventually(() => seen.length === 1, "the filter is gone");
});

test("start: all begins with history", async () => {
    await bus.publish("past.tick", 1);
    const seen: number[] = [];
    await start({
        name: "historian",
        on: {
            "past.*": {
                start: "all",
                handler: (event) => {
                    seen.push(event.data);
                },
            },
        },
    });
    await eventually(() => seen.length === 1, "history");
});

test("a group that cannot be is an error of start", async () => {
    await assert.rejects(
        start({ name: "wrong", on: { "wrong.x": { handler: () => 1, filter: { $bad: 1 } } } }),
        /bad/,
    );
});
