/**
 * What agents are promised. Every test runs on the bus in memory and over a server: they must not
 * differ.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
    defineAgent,
    emitId,
    NonRetryableError,
    stepId,
    type Context,
    type SpoorEvent,
} from "../src/index.js";
import { createTestBus, type TestBus } from "../src/testing/index.js";
import { Server } from "./server.js";

let server: Server;
before(async () => {
    server = await Server.start();
});
after(async () => {
    await server.stop();
});

const silent = (): void => undefined;
let number = 0;
/** Names that no other test has: all share one server. */
function fresh(): (name: string) => string {
    const own = ++number;
    return (name) => `${name}${own}`;
}

function both(
    name: string,
    run: (n: (name: string) => string, make: typeof createTestBus) => Promise<void>,
): void {
    for (const real of [false, true]) {
        test(`${name}, ${real ? "over a server" : "in memory"}`, async () => {
            const buses: TestBus[] = [];
            await run(fresh(), (options) => {
                const bus = createTestBus(real ? { ...options, real: server.url } : options);
                buses.push(bus);
                return bus;
            }).finally(() => Promise.all(buses.map((bus) => bus.close())));
        });
    }
}

describe("reacting", () => {
    both(
        "an emit has the event as its cause, its run, and an id that follows from both",
        async (n, make) => {
            const agent = defineAgent({
                name: n("reviewer"),
                log: silent,
                on: {
                    [n("code.committed")]: async (event, ctx) => {
                        await ctx.emit(n("review.done"), {
                            commit: event.data.commit,
                            risk: "low",
                        });
                        await ctx.emit(
                            n("review.noted"),
                            {},
                            { stream: n("notes"), extensions: { tone: "calm" } },
                        );
                    },
                },
            });
            const bus = make({ agents: [agent] });
            const emitted = await bus
                .given([
                    {
                        type: n("code.committed"),
                        id: n("old"),
                        source: "git",
                        data: { commit: "before" },
                    },
                ])
                .when({
                    type: n("code.committed"),
                    id: n("c-1"),
                    source: "git",
                    correlationid: n("run"),
                    data: { commit: "abc" },
                })
                .thenEmits([
                    {
                        type: n("review.done"),
                        source: n("reviewer"),
                        data: { commit: "abc", risk: "low" },
                    },
                    { type: n("review.noted"), stream: n("notes"), tone: "calm" },
                ]);
            const handled = {
                source: "git",
                id: n("c-1"),
                agent: n("reviewer"),
                handler: n("code.committed"),
            };
            assert.deepEqual(
                emitted.map((event) => [event.id, event.causationid, event.correlationid]),
                [
                    [emitId(handled, "", 1), n("c-1"), n("run")],
                    [emitId(handled, "", 2), n("c-1"), n("run")],
                ],
            );
            assert.equal(bus.spy(agent, n("code.committed")).count, 1);
        },
    );

    both("agents react to each other, and the story is told", async (n, make) => {
        const bus = make({
            agents: [
                defineAgent({
                    name: n("deployer"),
                    on: { [n("review.done")]: (_, ctx) => ctx.emit(n("deploy.failed")) },
                }),
                defineAgent({
                    name: n("reviewer"),
                    on: { [n("commit")]: (_, ctx) => ctx.emit(n("review.done")) },
                }),
                defineAgent({
                    name: n("incident"),
                    on: {
                        [n("deploy.*")]: silent,
                        [n("deploy.failed")]: (_, ctx) => ctx.emit(n("incident.opened")),
                    },
                }),
            ],
        });
        const emitted = await bus
            .when({ type: n("commit"), id: n("c"), source: "git" })
            .thenEmits([
                { type: n("review.done") },
                { type: n("deploy.failed") },
                { type: n("incident.opened") },
            ]);
        const last = emitted.find(({ type }) => type === n("incident.opened"))!;
        assert.deepEqual(
            (await bus.why(last.id)).map(({ type }) => type),
            [n("incident.opened"), n("deploy.failed"), n("review.done"), n("commit")],
        );
        assert.equal(
            await bus.tree(n("c")),
            [
                `${n("commit")} by git`,
                `  ${n("review.done")} by ${n("reviewer")}`,
                `    ${n("deploy.failed")} by ${n("deployer")}`,
                `      ${n("incident.opened")} by ${n("incident")}`,
            ].join("\n"),
        );
    });

    both("filters, patterns and several handlers of one pattern", async (n, make) => {
        const agent = defineAgent({
            name: n("many"),
            on: {
                [`${n("task")}.*`]: [
                    {
                        name: "small",
                        filter: { "data.size": { $lt: 10 } },
                        handler: (e, ctx) => ctx.emit(n("small"), e.data.size),
                    },
                    { name: "all", handler: (e, ctx) => ctx.emit(n("any"), e.data.size) },
                ],
                [`${n("task")}.made.>`]: (e, ctx) => ctx.emit(n("deep"), e.data.size),
            },
        });
        const bus = make({ agents: [agent] });
        const at = (type: string, size: number): { type: string; data: unknown } => ({
            type: n("task") + type,
            data: { size },
        });
        await bus.when([at(".made", 5), at(".made", 50), at(".made.late", 7)]).thenEmits([
            { type: n("small"), data: 5 },
            { type: n("any"), data: 5 },
            { type: n("any"), data: 50 },
            { type: n("deep"), data: 7 },
        ]);
        assert.equal(bus.spy(agent, "small").count, 1);
        assert.equal(bus.spy(agent, "all").count, 2);
    });

    both("start: all handles what was there", async (n, make) => {
        const agent = defineAgent({
            name: n("late"),
            on: { [n("x")]: { start: "all", handler: (e, ctx) => ctx.emit(n("y"), e.data) } },
        });
        await make({ agents: [agent] })
            .given([{ type: n("x"), data: 1 }])
            .when({ type: n("x"), data: 2 })
            .thenEmits([
                { type: n("y"), data: 1 },
                { type: n("y"), data: 2 },
            ]);
    });

    both("no more at a time than concurrency allows", async (n, make) => {
        let now = 0;
        let most = 0;
        const agent = defineAgent({
            name: n("few"),
            concurrency: 3,
            on: {
                [n("x")]: async () => {
                    most = Math.max(most, ++now);
                    await new Promise((resolve) => setTimeout(resolve, 5));
                    now--;
                },
            },
        });
        const bus = make({ agents: [agent] });
        await bus.when(Array.from({ length: 20 }, () => ({ type: n("x") })));
        assert.equal(bus.spy(agent, n("x")).count, 20);
        assert.equal(most, 3);
    });

    both("ctx.sleep follows the clock of the bus", async (n, make) => {
        const agent = defineAgent({
            name: n("patient"),
            on: {
                [n("x")]: async (_, ctx) => {
                    await ctx.sleep("5m");
                    await ctx.emit(n("y"));
                },
            },
        });
        const bus = make({ agents: [agent] });
        await bus.when({ type: n("x") }).thenEmits([]);
        await bus.advance("4m");
        assert.equal((await bus.emitted(n("y"))).length, 0);
        await bus.advance("1m");
        assert.equal((await bus.emitted(n("y"))).length, 1);
        assert.equal(bus.spy(agent, n("x")).count, 1);
    });
});

describe("failing", () => {
    both(
        "an attempt that fails is repeated after the backoff, and its error is kept",
        async (n, make) => {
            const agent = defineAgent({
                name: n("flaky"),
                log: silent,
                on: {
                    [n("x")]: {
                        retry: { maxAttempts: 3, first: "1s", factor: 3, max: "1m" },
                        handler: async (_, ctx) => {
                            if (ctx.attempt < 3) {
                                throw new RangeError(`attempt ${ctx.attempt}`);
                            }
                            await ctx.emit(n("y"), ctx.attempt);
                        },
                    },
                },
            });
            const bus = make({ agents: [agent] });
            const spy = bus.spy(agent, n("x"));
            await bus.when({ type: n("x"), id: n("e") }).thenEmits([]);
            for (const [span, calls] of [
                ["999ms", 1],
                ["1ms", 2],
                ["2999ms", 2],
                ["1ms", 3],
                ["1h", 3],
            ] as const) {
                await bus.advance(span);
                assert.equal(spy.count, calls, `after ${span}`);
            }
            assert.deepEqual(
                spy.calls.map(({ attempt, outcome }) => [attempt, outcome]),
                [
                    [1, "threw"],
                    [2, "threw"],
                    [3, "returned"],
                ],
            );
            assert.deepEqual(
                (await bus.emitted(n("y"))).map(({ data }) => data),
                [3],
            );
            const failures = await bus.query<{ error: string; attempt: number }>({
                type: "delivery.failed",
                stream: `$group:$type:${n("x")}:${n("flaky")}`,
            });
            assert.deepEqual(
                failures.map(({ data, causationid }) => [data.error, data.attempt, causationid]),
                [
                    ["RangeError: attempt 1", 1, n("e")],
                    ["RangeError: attempt 2", 2, n("e")],
                ],
            );
            const lines = bus.logs.filter(({ level }) => level === "error");
            assert.deepEqual(
                lines.map((line) => [line.event_id, line.attempt, line.error]),
                [
                    [n("e"), 1, "RangeError: attempt 1"],
                    [n("e"), 2, "RangeError: attempt 2"],
                ],
            );
        },
    );

    both("attempts used up: a dead letter, which is redriven or discarded", async (n, make) => {
        let works = false;
        const agent = defineAgent({
            name: n("doomed"),
            log: silent,
            on: {
                [n("x")]: {
                    retry: { maxAttempts: 2 },
                    handler: (_, ctx) => {
                        if (!works) {
                            throw new Error("no such customer", { cause: new Error("404") });
                        }
                        return ctx.emit(n("y"));
                    },
                },
            },
        });
        const bus = make({ agents: [agent] });
        await bus
            .when([
                { type: n("x"), id: n("e-1"), data: 1 },
                { type: n("x"), id: n("e-2"), data: 2 },
            ])
            .after("1m")
            .thenEmits([]);
        const where = { agent: n("doomed"), on: n("x") };
        const letters = await bus.deadLetters.list(where);
        assert.deepEqual(
            letters.map(({ event, attempts, reason, error }) => [
                event.id,
                event.data,
                attempts,
                reason,
                error,
            ]),
            [
                [n("e-1"), 1, 2, "attempts", "no such customer; caused by 404"],
                [n("e-2"), 2, 2, "attempts", "no such customer; caused by 404"],
            ],
        );
        works = true;
        assert.equal(await bus.deadLetters.redrive(where, [letters[0]!.entryid]), 1);
        await bus.settle();
        assert.deepEqual(
            (await bus.emitted(n("y"))).map(({ causationid }) => causationid),
            [n("e-1")],
        );
        assert.equal(bus.spy(agent, n("x")).last!.attempt, 1);
        assert.equal(await bus.deadLetters.discard(where), 1);
        assert.deepEqual(await bus.deadLetters.list(where), []);
    });

    both("what no attempt would help is a dead letter at once", async (n, make) => {
        const agent = defineAgent({
            name: n("strict"),
            log: silent,
            on: {
                [n("a")]: () => {
                    throw new NonRetryableError("never");
                },
                [n("b")]: {
                    retry: { giveUpOn: [TypeError] },
                    handler: () => {
                        throw new TypeError("nor this");
                    },
                },
                [n("c")]: {
                    retry: { giveUpOn: [{ test: (error) => error === 5 }] },
                    handler: () => {
                        throw 5;
                    },
                },
            },
        });
        const bus = make({ agents: [agent] });
        await bus.when([{ type: n("a") }, { type: n("b") }, { type: n("c") }]).thenEmits([]);
        for (const [on, error] of [
            ["a", "NonRetryableError: never"],
            ["b", "TypeError: nor this"],
            ["c", "thrown: 5"],
        ] as const) {
            const letters = await bus.deadLetters.list({ agent: n("strict"), on: n(on) });
            assert.deepEqual(
                letters.map((letter) => [letter.reason, letter.error, letter.attempts]),
                [["refused", error, 1]],
            );
        }
    });

    both("an attempt that emitted and failed emits nothing twice", async (n, make) => {
        const agent = defineAgent({
            name: n("twice"),
            log: silent,
            on: {
                [n("x")]: async (_, ctx) => {
                    await ctx.emit(n("first"));
                    if (ctx.attempt === 1) {
                        throw new Error("in the middle");
                    }
                    const second = await ctx.emit(n("second"));
                    assert.equal(second.duplicate, false);
                },
            },
        });
        const bus = make({ agents: [agent] });
        await bus
            .when({ type: n("x") })
            .after("10s")
            .thenEmits([{ type: n("first") }, { type: n("second") }]);
    });

    both("what a handler forgot to await is an error, not a loss", async (n, make) => {
        let late: Promise<unknown> = Promise.resolve();
        const agent = defineAgent({
            name: n("hasty"),
            on: {
                [n("x")]: (_, ctx) => {
                    late = new Promise((resolve) => setTimeout(resolve, 20)).then(() =>
                        ctx.emit(n("y")),
                    );
                    late.catch(() => undefined);
                },
            },
        });
        const bus = make({ agents: [agent] });
        await bus.when({ type: n("x") }).thenEmits([]);
        await assert.rejects(late, /is an await missing/);
    });
});

describe("steps", () => {
    both("a step is done once, whatever happens behind it", async (n, make) => {
        let charged = 0;
        const agent = defineAgent({
            name: n("till"),
            log: silent,
            on: {
                [n("order")]: async (event, ctx) => {
                    const receipt = await ctx.step("charge", async () => ({
                        receipt: ++charged,
                        amount: event.data.amount,
                    }));
                    if (ctx.attempt < 3) {
                        throw new Error("the printer is jammed");
                    }
                    await ctx.emit(n("paid"), receipt);
                },
            },
        });
        const bus = make({ agents: [agent] });
        await bus
            .when({ type: n("order"), id: n("o-1"), source: "shop", data: { amount: 80 } })
            .after("10s")
            .thenEmits([{ type: n("paid"), data: { receipt: 1, amount: 80 } }]);
        assert.equal(charged, 1);
        const kept = await bus.query<{ step: string; result: unknown }>({
            type: "agent.step.completed",
            source: n("till"),
        });
        assert.deepEqual(
            kept.map(({ id, data, stream, causationid }) => [id, data, stream, causationid]),
            [
                [
                    stepId(
                        { source: "shop", id: n("o-1"), agent: n("till"), handler: n("order") },
                        "charge",
                    ),
                    { step: "charge", result: { receipt: 1, amount: 80 } },
                    `${n("till")}:steps`,
                    n("o-1"),
                ],
            ],
        );
    });

    both("emits of a step count by themselves", async (n, make) => {
        const agent = defineAgent({
            name: n("stepper"),
            on: {
                [n("x")]: async (_, ctx) => {
                    await ctx.emit(n("y"), "outside");
                    await Promise.all(
                        ["a", "b"].map((name) =>
                            ctx.step(name, async () => {
                                await ctx.emit(n("y"), `${name}1`);
                                await ctx.emit(n("y"), `${name}2`);
                            }),
                        ),
                    );
                    await ctx.emit(n("y"), "behind");
                },
            },
        });
        const bus = make({ agents: [agent] });
        const emitted = await bus.when({ type: n("x"), id: n("e"), source: "s" });
        const handled = { source: "s", id: n("e"), agent: n("stepper"), handler: n("x") };
        assert.deepEqual(Object.fromEntries(emitted.map(({ data, id }) => [data, id])), {
            outside: emitId(handled, "", 1),
            behind: emitId(handled, "", 2),
            a1: emitId(handled, "a", 1),
            a2: emitId(handled, "a", 2),
            b1: emitId(handled, "b", 1),
            b2: emitId(handled, "b", 2),
        });
    });

    both(
        "a step that fails is tried again, and what cannot be kept is an error",
        async (n, make) => {
            const agent = defineAgent({
                name: n("steps"),
                log: silent,
                on: {
                    [n("x")]: async (_, ctx) =>
                        ctx.emit(
                            n("y"),
                            await ctx.step("s", () => {
                                if (ctx.attempt === 1) {
                                    throw new Error("not yet");
                                }
                                return ctx.attempt;
                            }),
                        ),
                    [n("bad")]: (_, ctx: Context) => ctx.step("s", () => () => 1),
                    [n("same")]: async (_, ctx) => {
                        await ctx.step("s", () => 1);
                        await ctx.step("s", () => 2);
                    },
                    [n("nothing")]: async (_, ctx) =>
                        ctx.emit(n("y"), await ctx.step("s", () => undefined)),
                },
            });
            const bus = make({ agents: [agent] });
            await bus
                .when([{ type: n("x") }, { type: n("nothing") }])
                .after("2s")
                .thenEmits([
                    { type: n("y"), data: 2 },
                    { type: n("y"), data: null },
                ]);
            await bus.when([{ type: n("bad") }, { type: n("same") }]).thenEmits([]);
            assert.match(
                String(bus.spy(agent, n("bad")).last?.error),
                /expected a result that JSON can hold, found a function/,
            );
            assert.match(String(bus.spy(agent, n("same")).last?.error), /the name is taken/);
        },
    );
});

describe("crashing", () => {
    const worker = (n: (name: string) => string, done: string[]): ReturnType<typeof defineAgent> =>
        defineAgent({
            name: n("worker"),
            on: {
                [n("x")]: async (_, ctx) => {
                    await ctx.emit(n("begun"));
                    await ctx.step("work", () => {
                        done.push("work");
                    });
                    await ctx.emit(n("ended"));
                },
            },
        });
    for (const [point, afterwards, times] of [
        ["emit", false, 1],
        ["emit", true, 1],
        ["step", false, 2],
        ["step:work", true, 1],
        ["ack", false, 1],
    ] as const) {
        both(
            `killed ${afterwards ? "behind" : "before"} ${point}: nothing is lost or doubled`,
            async (n, make) => {
                const done: string[] = [];
                const agent = worker(n, done);
                const bus = make({ agents: [agent] });
                bus.crashAt(agent, point, { after: afterwards });
                await bus.when({ type: n("x") });
                await bus.start(agent);
                assert.equal(bus.spy(agent, n("x")).count, 1);
                await bus.advance("1s");
                assert.deepEqual(
                    bus.spy(agent, n("x")).calls.map(({ attempt }) => attempt),
                    [1, 2],
                );
                assert.deepEqual(
                    (await bus.emitted()).map(({ type }) => type),
                    [n("begun"), n("ended")],
                );
                assert.equal(done.length, times);
            },
        );
    }

    both("killed behind its acknowledgement: it is not handed out again", async (n, make) => {
        const agent = worker(n, []);
        const bus = make({ agents: [agent] });
        bus.crashAt(agent, "ack", { after: true });
        await bus.when({ type: n("x") }).thenEmits([{ type: n("begun") }, { type: n("ended") }]);
        await bus.start(agent);
        await bus.advance("10m");
        assert.equal(bus.spy(agent, n("x")).count, 1);
    });

    both("killed in the middle of a handler: another process goes on", async (n, make) => {
        let hang = true;
        const agent = defineAgent({
            name: n("pair"),
            on: {
                [n("x")]: async (event, ctx) => {
                    await ctx.emit(n("seen"), event.data);
                    if (hang) {
                        hang = false;
                        await ctx.sleep("1h");
                    }
                    await ctx.emit(n("done"), event.data);
                },
            },
        });
        const bus = make({ agents: [agent] });
        await bus.when({ type: n("x"), data: 1 }).thenEmits([{ type: n("seen") }]);
        bus.crash(agent);
        await bus.start(agent);
        await bus.advance("1s");
        assert.deepEqual(
            (await bus.emitted()).map(({ type }) => type),
            [n("seen"), n("done")],
        );
        await bus.advance("2h");
        assert.equal((await bus.emitted()).length, 2);
    });

    both("a delivery that comes twice does nothing twice", async (n, make) => {
        const agent = worker(n, []);
        const bus = make({ agents: [agent] });
        bus.duplicate(agent, 2);
        await bus.when([{ type: n("x") }, { type: n("x") }, { type: n("x") }]);
        assert.equal(bus.spy(agent, n("x")).count, 5);
        assert.equal((await bus.emitted()).length, 6);
    });

    both("stop finishes, and says good-bye", async (n, make) => {
        const agent = worker(n, []);
        const bus = make({ agents: [agent] });
        await bus.when({ type: n("x") });
        await bus.stop(agent);
        await bus.publish(n("x"));
        assert.equal(bus.spy(agent, n("x")).count, 1);
        await bus.start(agent);
        assert.equal(bus.spy(agent, n("x")).count, 2);
    });
});

describe("order", () => {
    const runs = (
        n: (name: string) => string,
    ): { type: string; correlationid: string; data: number }[] =>
        Array.from({ length: 30 }, (_, at) => ({
            type: n("step"),
            correlationid: n(`run-${at % 3}-`),
            data: at,
        }));

    both("by correlation: one of a run at a time and in order, whatever fails", async (n, make) => {
        const busy = new Set<string>();
        const finished: Record<string, number[]> = {};
        const agent = defineAgent({
            name: n("orderly"),
            log: silent,
            on: {
                [n("step")]: {
                    orderBy: "correlation",
                    handler: async (event: SpoorEvent<number>, ctx) => {
                        const run = event.correlationid;
                        assert.ok(!busy.has(run));
                        busy.add(run);
                        await new Promise((resolve) => setTimeout(resolve, 1));
                        busy.delete(run);
                        if (event.data % 7 === 0 && ctx.attempt === 1) {
                            throw new Error("later");
                        }
                        (finished[run] ??= []).push(event.data);
                    },
                },
            },
        });
        const bus = make({ agents: [agent] });
        bus.reorder(agent, 7);
        await bus.when(runs(n));
        // The first one of one run has failed, the third of another, the fifth of the last.
        assert.deepEqual(
            Object.values(finished)
                .map((list) => list.length)
                .sort(),
            [2, 4],
        );
        await bus.advance("1m");
        assert.deepEqual(
            Object.values(finished).map((list) => list.length),
            [10, 10, 10],
        );
        for (const list of Object.values(finished)) {
            assert.deepEqual(
                list,
                [...list].sort((a, b) => a - b),
            );
        }
        assert.deepEqual(
            bus.logs.filter(({ error }) => error !== undefined && !error.includes("later")),
            [],
        );
    });

    both("reorder: without an order by key, events come in any", async (n, make) => {
        const seen: number[] = [];
        const agent = defineAgent({
            name: n("any"),
            concurrency: 1,
            on: {
                [n("step")]: {
                    start: "all",
                    handler: (event) => {
                        seen.push(event.data);
                    },
                },
            },
        });
        const bus = make({ agents: [agent] });
        bus.reorder(agent, 3);
        await bus.given(runs(n));
        await bus.start();
        assert.equal(seen.length, 30);
        assert.notDeepEqual(
            seen,
            [...seen].sort((a, b) => a - b),
        );
    });
});

describe("presence", () => {
    both("an agent is found by what it can do, until it leaves", async (n, make) => {
        const agent = defineAgent({
            name: n("python"),
            capabilities: [n("review"), n("python")],
            concurrency: 4,
            version: "2.1",
            data: { team: "core" },
        });
        const bus = make({ agents: [agent] });
        assert.deepEqual(await bus.agents({ capability: n("review") }), []);
        await bus.start();
        const [found] = await bus.agents({
            capability: [n("review"), n("python")],
            status: "online",
            free: true,
        });
        assert.deepEqual(
            [
                found?.id,
                found?.capabilities,
                found?.capacity,
                found?.load,
                found?.free,
                found?.version,
                found?.data["team"],
            ],
            [n("python"), [n("review"), n("python")], 4, 0, 4, "2.1", "core"],
        );
        await bus.stop(agent);
        assert.equal((await bus.agent(n("python")))?.status, "offline");
        assert.deepEqual(await bus.agents({ capability: n("review"), free: true }), []);
        assert.equal(await bus.agent(n("nobody")), undefined);
        assert.deepEqual(
            (await bus.query({ source: n("python") })).map(({ type }) => type),
            ["agent.online", "agent.offline"],
        );
    });
});
