/** Forks and resumed runs: what agents run again, what they are given, what they never repeat. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
    connect,
    ConflictError,
    defineAgent,
    StepUnknownError,
    type Agent,
    type Bus,
    type SpoorEvent,
} from "../src/index.js";
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

interface World {
    ran: string[];
    fail: string | undefined;
    hang: string | undefined;
    errors: unknown[];
    letGo: () => void;
}

/** Three steps, of which the last is irreversible. */
function shop(name: string, world: World): Agent {
    const take = (step: string) => async (): Promise<string> => {
        world.ran.push(step);
        if (world.fail === step) {
            throw new Error(`${step} failed`);
        }
        if (world.hang === step) {
            await new Promise<void>((resolve) => {
                world.letGo = resolve;
            });
        }
        return `${step} ${world.ran.length}`;
    };
    return defineAgent({
        name,
        log: () => undefined,
        on: {
            [`${name}.placed`]: {
                retry: { maxAttempts: 2, first: "10ms" },
                handler: async (_, ctx) => {
                    try {
                        const one = await ctx.step("reserve", take("reserve"));
                        const two = await ctx.step("pack", take("pack"));
                        const charged = await ctx.step("charge", take("charge"), {
                            irreversible: true,
                        });
                        await ctx.emit(`${name}.done`, [one, two, charged]);
                    } catch (error) {
                        world.errors.push(error);
                        throw error;
                    }
                },
            },
        },
    });
}

function fresh(): World {
    return { ran: [], fail: undefined, hang: undefined, errors: [], letGo: () => undefined };
}

async function done(name: string, run: string): Promise<unknown> {
    for await (const event of bus.subscribe({ type: `${name}.done`, correlation: run, from: 1 })) {
        return event.data;
    }
    return undefined;
}

async function step(run: string, name: string, type = "agent.step.completed"): Promise<SpoorEvent> {
    const found = await bus.query({ type, correlation: run, filter: { "data.step": name } });
    return found.at(-1)!;
}

test("what was recorded up to the point, and what is irreversible, is not run again", async () => {
    const world = fresh();
    const agent = shop("one", world);
    await agent.start({ url: server.url });
    await bus.publish("one.placed", {}, { correlationid: "one-a" });
    assert.deepEqual(await done("one", "one-a"), ["reserve 1", "pack 2", "charge 3"]);
    world.ran.length = 0;
    const point = await step("one-a", "reserve");
    const forked = await bus.forkRun("one-a", { at: point.id, id: "one-b", reason: "another box" });
    assert.deepEqual(
        [forked.run, forked.shared, forked.eventPosition, forked.duplicate],
        ["one-b", point.position, forked.position + 1, false],
    );
    assert.deepEqual(await done("one", "one-b"), ["reserve 1", "pack 1", "charge 3"]);
    assert.deepEqual(world.ran, ["pack"]);
    const types = (await bus.query({ correlation: "one-b" })).map(({ type }) => type);
    assert.deepEqual(types.slice(0, 4), [
        "one.placed",
        "agent.step.completed",
        "run.forked",
        "one.placed",
    ]);
    await agent.stop();
});

test("a resumed run goes on with the step that failed", async () => {
    const world = fresh();
    world.fail = "pack";
    const agent = shop("two", world);
    await agent.start({ url: server.url });
    await bus.publish("two.placed", {}, { correlationid: "two" });
    const group = { agent: "two", on: "two.placed" };
    await eventually(async () => (await bus.deadLetters.list(group)).length === 1, "it is dead");
    assert.deepEqual(world.ran, ["reserve", "pack", "pack"]);
    world.fail = undefined;
    assert.equal(await bus.resumeRun("two"), 1);
    assert.deepEqual(await done("two", "two"), ["reserve 1", "pack 4", "charge 5"]);
    await assert.rejects(bus.resumeRun("two"), ConflictError);
    await agent.stop();
});

test("what nobody knows is not repeated, until somebody says what came of it", async () => {
    const world = fresh();
    world.hang = "charge";
    const agent = shop("three", world);
    await agent.start({ url: server.url });
    await bus.publish("three.placed", {}, { correlationid: "three" });
    await eventually(() => world.ran.includes("charge"), "it is being charged");
    // Another process of the agent is handed the event of a fork, and knows nothing of this one.
    const other = fresh();
    const pack = await step("three", "pack");
    const second = shop("three", other);
    await second.start({ url: server.url });
    await bus.forkRun("three", { at: pack.id, id: "three-b" });
    const errors = (): unknown[] => [...world.errors, ...other.errors];
    await eventually(() => errors().length > 0, "a handler is told");
    const [error] = errors();
    const started = await step("three", "charge", "agent.step.started");
    assert.ok(error instanceof StepUnknownError);
    assert.deepEqual([error.step, error.event.id], ["charge", started.id]);
    assert.match(error.message, new RegExp(started.id));
    const group = { agent: "three", on: "three.placed" };
    await eventually(async () => (await bus.deadLetters.list(group)).length === 1, "it is dead");
    await assert.rejects(bus.settleStep(pack.id, { result: 1 }), /is no agent.step.started/);
    await bus.settleStep(started.id, { result: "receipt 7" });
    assert.equal(await bus.resumeRun("three-b"), 1);
    assert.deepEqual(await done("three", "three-b"), ["reserve 1", "pack 2", "receipt 7"]);
    assert.equal([...world.ran, ...other.ran].filter((one) => one === "charge").length, 1);
    await second.stop();
    world.letGo();
    assert.deepEqual(await done("three", "three"), ["reserve 1", "pack 2", "receipt 7"]);
    await agent.stop();
});
