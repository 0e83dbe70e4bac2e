/** Workers of sagas' steps, on commands that a test gives them: in memory and over a server. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
    answerId,
    defineAgent,
    NonRetryableError,
    StepCancelledError,
    type NewEvent,
    type StepContext,
} from "../src/index.js";
import { command, createTestBus, type TestBus } from "../src/testing/index.js";
import { eventually, Server } from "./server.js";

let server: Server;
before(async () => {
    server = await Server.start();
});
after(async () => {
    await server.stop();
});

const log = (): void => undefined;
let number = 0;

function both(name: string, run: (bus: TestBus, n: string) => Promise<void>): void {
    for (const real of [false, true]) {
        test(`${name}, ${real ? "over a server" : "in memory"}`, async () => {
            const bus = createTestBus(real ? { real: server.url } : {});
            await run(bus, String(++number)).finally(() => bus.close());
        });
    }
}

/** Sagas of one test have ids that no other test has: all share one server. */
function of(n: string, action: string, data: unknown, more: object = {}): NewEvent {
    return command(action, data, { saga: `0000-${n}`, ...more });
}

async function answers(bus: TestBus, action: string): Promise<[string, unknown][]> {
    const found = await bus.query({ type: [`${action}.completed`, `${action}.failed`] });
    return found.map(({ type, data }) => [type.slice(action.length + 1), data]);
}

describe("steps", () => {
    both("what is returned is the result, what is thrown the failure", async (bus, n) => {
        const seen: unknown[] = [];
        const action = `sales.qualify${n}`;
        const agent = defineAgent({
            name: `sales${n}`,
            log,
            steps: {
                [action]: (event, ctx) => {
                    seen.push([ctx.idempotencyKey, ctx.attempt, ctx.stepName, ctx.sagaId]);
                    switch (event.data) {
                        case "slow":
                            throw new Error("the CRM is slow");
                        case "broken":
                            throw new NonRetryableError("no such lead");
                        case "odd":
                            return () => undefined;
                        case "large":
                            return "x".repeat(1_200_000);
                        default:
                            return { score: 7 };
                    }
                },
            },
        });
        await bus.start(agent);
        const first = of(n, action, { lead: 1 }, { step: "book/qualify", attempt: 2 });
        await bus.when([first]);
        const [found] = await bus.query({ type: `${action}.completed` });
        assert.equal(found?.id, answerId("test", first.id!, `sales${n}`));
        assert.equal(found?.causationid, first.id);
        assert.equal(found?.correlationid, `0000-${n}`);
        assert.deepEqual(seen, [[`0000-${n}/book/qualify`, 2, "book/qualify", `0000-${n}`]]);
        for (const step of ["slow", "broken", "odd", "large"]) {
            await bus.when([of(n, action, step, { step })]);
        }
        const told = await answers(bus, action);
        assert.deepEqual(told.slice(0, 4), [
            ["completed", { score: 7 }],
            ["failed", { error: "the CRM is slow", retryable: true }],
            ["failed", { error: "no such lead", retryable: false }],
            [
                "failed",
                {
                    error: "the result: expected a result that JSON can hold, found a function",
                    retryable: false,
                },
            ],
        ]);
        const [outcome, large] = told[4] as [string, { error: string; retryable: boolean }];
        assert.match(large.error, /^the result was refused: /);
        assert.deepEqual([outcome, large.retryable], ["failed", false]);
    });

    both("a compensation has what it is to undo", async (bus, n) => {
        const action = `sales.unqualify${n}`;
        const seen: unknown[] = [];
        const agent = defineAgent({
            name: `sales${n}`,
            log,
            compensate: {
                [action]: (_, ctx) => {
                    seen.push([ctx.input, ctx.result, ctx.error]);
                },
            },
        });
        await bus.start(agent);
        const data = { input: { lead: 1 }, result: { score: 7 }, error: null };
        await bus.when([of(n, action, data, { compensates: true })]);
        assert.deepEqual(seen, [[{ lead: 1 }, { score: 7 }, null]]);
        assert.deepEqual(await answers(bus, action), [["completed", null]]);
    });

    both("a command that is handed out again is answered once", async (bus, n) => {
        const action = `job.run${n}`;
        let ran = 0;
        const agent = defineAgent({ name: `a${n}`, log, steps: { [action]: () => ++ran } });
        await bus.start(agent);
        bus.crashAt(agent, "ack");
        await bus.when([of(n, action, null)]);
        await bus.start(agent);
        await bus.advance("2s");
        assert.deepEqual([ran, await answers(bus, action)], [1, [["completed", 1]]]);
    });

    both("once at most is not begun again", async (bus, n) => {
        const action = `job.run${n}`;
        let ran = 0;
        const agent = defineAgent({
            name: `a${n}`,
            log,
            steps: { [action]: async (_, ctx) => (await ctx.emit(`begun${n}`), ++ran) },
        });
        await bus.start(agent);
        bus.crashAt(agent, "emit");
        await bus.when([of(n, action, null, { extensions: { semantics: "at_most_once" } })]);
        await bus.start(agent);
        await bus.advance("2s");
        assert.deepEqual([ran, await answers(bus, action)], [0, []]);
    });

    both("what is emitted and recorded counts over all attempts", async (bus, n) => {
        const action = `shop.charge${n}`;
        let charges = 0;
        const agent = defineAgent({
            name: `shop${n}`,
            log,
            steps: {
                [action]: async (_, ctx) => {
                    const receipt = await ctx.step("charge", () => ++charges);
                    await ctx.emit(`charged${n}`, { receipt });
                    if (ctx.attempt === 1) {
                        throw new Error("the printer is on fire");
                    }
                    return receipt;
                },
            },
        });
        await bus.start(agent);
        await bus.when([of(n, action, 5)]);
        await bus.when([of(n, action, 5, { attempt: 2 })]);
        assert.equal(charges, 1);
        assert.equal((await bus.query({ type: `charged${n}` })).length, 1);
        assert.deepEqual(
            (await answers(bus, action)).map(([outcome]) => outcome),
            ["failed", "completed"],
        );
    });

    both("a step that is cancelled hears it at once", async (bus, n) => {
        const action = `slow.think${n}`;
        let begun = 0;
        const wait = ({ signal }: StepContext): Promise<never> =>
            new Promise((_, reject) => {
                signal.addEventListener("abort", () => reject(signal.reason), { once: true });
            });
        const agent = defineAgent({
            name: `slow${n}`,
            log,
            steps: {
                [action]: async (event, ctx) => {
                    begun++;
                    try {
                        return await wait(ctx);
                    } catch (error) {
                        assert.ok(error instanceof StepCancelledError);
                        switch (event.data) {
                            case "clean":
                                throw new NonRetryableError("nothing was done");
                            case "done":
                                return "done in time";
                            case "fetch":
                                throw new DOMException("aborted", "AbortError");
                            default:
                                throw error;
                        }
                    }
                },
            },
        });
        await bus.start(agent);
        const unknown = {
            error: "StepCancelledError: cancelled: too late",
            retryable: false,
            unknown: true,
        };
        const wanted: [string, string, unknown][] = [
            ["dirty", "failed", unknown],
            ["clean", "failed", { error: "nothing was done", retryable: false }],
            ["done", "completed", "done in time"],
            ["fetch", "failed", unknown],
        ];
        for (const [at, [step, outcome, data]] of wanted.entries()) {
            const given = of(n, action, step, { step });
            await bus.publishBatch([{ ...given, source: "test" }]);
            await eventually(() => begun === at + 1, `${step} begins`);
            await bus.publish(
                "saga.step.cancelled",
                { step, attempt: 1, reason: "too late", command: given.id },
                { causationid: given.id! },
            );
            await eventually(
                async () => (await answers(bus, action)).length === at + 1,
                `${step} is answered`,
            );
            assert.deepEqual((await answers(bus, action))[at], [outcome, data]);
        }
    });
});

test("a step is no pattern", () => {
    assert.throws(
        () => defineAgent({ name: "a", steps: { "job.*": () => 1 } }),
        /expected the type of a command, no pattern/,
    );
    assert.throws(
        () => defineAgent({ name: "a", steps: { job: () => 1 }, compensate: { job: () => 1 } }),
        /two handlers of job have one name/,
    );
});
