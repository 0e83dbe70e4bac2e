/**
 * createTestBus: agents on a bus that a test has in its hand, with time, crashes and order at its
 * will.
 */
import { readFile } from "node:fs/promises";
import { planFor, type Agent } from "../agent/agent.js";
import type { LogRecord } from "../agent/log.js";
import type { AgentInfo, AgentQuery, Bus, DeadLetters, Effect, Subscription } from "../bus.js";
import { milliseconds, type Duration } from "../duration.js";
import { SpoorError } from "../errors.js";
import {
    republish,
    type NewEvent,
    type Published,
    type PublishOptions,
    type SpoorEvent,
} from "../event.js";
import type { Query, SubscribeQuery } from "../query.js";
import type { SqlAnswer, SqlOptions } from "../sql.js";
import { SagaMethods, type Saga, type StartSagaOptions } from "../sagas.js";
import { STEP_TYPES } from "../agent/recorded.js";
import { VirtualClock } from "./clock.js";
import type { CrashPoint, FaultPlan } from "./faults.js";
import { TestProcess } from "./process.js";
import { randomOf } from "./random.js";
import { Scenario, type Given, type Stage } from "./scenario.js";
import { Spy } from "./spy.js";
import { MemoryWorld, RealWorld, realUrl, type World } from "./world.js";

export interface TestBusOptions {
    /** Agents of the test; they are started by the first when(), or by start(). */
    agents?: readonly Agent[] | undefined;
    /** A server in place of the bus in memory: its URL, or true for $SPOOR_URL. */
    real?: string | true | undefined;
    /** What time it is at first, by the virtual clock; over a server, now. */
    now?: Date | undefined;
    /** Source of events that do not name one. */
    source?: string | undefined;
    /** How long, in real milliseconds, reactions may take until a test is over; 30 s. */
    patience?: number | undefined;
}

/** Types that tell of agents, not of their work. */
const HOUSEKEEPING = new Set([
    "agent.online",
    "agent.offline",
    "agent.suspected_failure",
    "agent.recovered",
    ...STEP_TYPES,
]);

export function createTestBus(options: TestBusOptions = {}): TestBus {
    return new TestBus(options);
}

export class TestBus extends SagaMethods implements Bus {
    /** What agents have logged. */
    readonly logs: LogRecord[] = [];
    readonly #options: TestBusOptions;
    readonly #clock: VirtualClock;
    readonly #world: Promise<World>;
    readonly #source: string;
    readonly #agents = new Map<string, Agent>();
    readonly #processes: TestProcess[] = [];
    readonly #faults = new Map<string, FaultPlan>();
    readonly #spies = new Map<string, Spy>();
    #started = false;

    constructor(options: TestBusOptions) {
        super();
        const { real, now, source = "test", agents = [] } = options;
        this.#options = options;
        this.#source = source;
        const begin = real === undefined ? (now ?? new Date("2026-01-01T00:00:00Z")) : new Date();
        this.#clock = new VirtualClock(begin.getTime());
        this.#world =
            real === undefined
                ? Promise.resolve(new MemoryWorld(this.#clock, source))
                : RealWorld.open(realUrl(real), this.#clock, source);
        this.#world.catch(() => undefined); // the first use says it
        agents.forEach((agent) => this.#agents.set(agent.name, agent));
    }

    // ---- scenarios

    given(events: Given): Scenario {
        return this.#scenario().given(events);
    }

    when(what: Given | (() => unknown)): Scenario {
        return this.#scenario().when(what);
    }

    /** Starts all agents that have no process, or one more process of one agent. */
    async start(agent?: Agent | string): Promise<void> {
        this.#started = true;
        if (agent === undefined) {
            for (const one of this.#agents.values()) {
                if (
                    !this.#processes.some(({ isDead, plan }) => !isDead && plan.name === one.name)
                ) {
                    await this.#startProcess(one);
                }
            }
        } else {
            const one = typeof agent === "string" ? this.#agents.get(agent) : agent;
            if (one === undefined) {
                throw new SpoorError(`no agent named ${String(agent)} in this test`);
            }
            this.#agents.set(one.name, one);
            await this.#startProcess(one);
        }
        await this.settle();
    }

    /** Stops all processes of an agent, as SIGTERM does. */
    async stop(agent: Agent | string): Promise<void> {
        await Promise.all(this.#of(agent).map((process) => process.stop()));
    }

    /** Waits until nothing would happen any more without time passing. */
    async settle(): Promise<void> {
        const world = await this.#world;
        const patience = this.#options.patience ?? 30_000;
        const end = Date.now() + patience;
        for (let still = 0, turn = 0; still < 3; turn++) {
            await new Promise<void>((resolve) =>
                turn < 50 ? setImmediate(resolve) : setTimeout(resolve, 2),
            );
            still = (await world.isIdle(this.#processes)) ? still + 1 : 0;
            if (Date.now() > end) {
                throw new SpoorError(
                    `agents are still at work after ${patience} ms; is a handler waiting for something?`,
                );
            }
        }
    }

    /**
     * Time passes: retries, ack-waits, heartbeats and ctx.sleep() that are due happen, in order.
     */
    async advance(span: Duration): Promise<void> {
        await this.settle();
        await this.#clock.advance(milliseconds(span, "advance"), () => this.settle());
        await this.settle();
    }

    /** The time by the virtual clock. */
    now(): Date {
        return new Date(this.#clock.now());
    }

    // ---- faults

    /** Kills all processes of an agent, now. */
    crash(agent: Agent | string): void {
        this.#of(agent).forEach((process) => process.kill());
    }

    /**
     * Kills the process of an agent that next comes to a point: before the bus hears of what it
     * does there, or with `after`, when the bus has done it and the agent has not heard so.
     */
    crashAt(
        agent: Agent | string,
        point: CrashPoint,
        options: { after?: boolean | undefined } = {},
    ): void {
        this.#plan(nameOf(agent)).crash = { point, after: options.after ?? false };
    }

    /**
     * The next deliveries to an agent come twice each, as if their acknowledgements had been lost.
     */
    duplicate(agent: Agent | string, count = 1): void {
        this.#plan(nameOf(agent)).duplicates += count;
    }

    /** From now on deliveries to an agent come in an order of chance, the same one for one seed. */
    reorder(agent: Agent | string, seed = 1): void {
        this.#plan(nameOf(agent)).random = randomOf(seed);
    }

    // ---- what happened

    /** The calls of a handler, by its agent and its pattern (or its name, where it has one). */
    spy<T = any>(agent: Agent | string, handler: string): Spy<T> {
        const id = `${nameOf(agent)}\n${handler}`;
        let spy = this.#spies.get(id);
        if (spy === undefined) {
            spy = new Spy();
            this.#spies.set(id, spy);
        }
        return spy as Spy<T>;
    }

    /** All that agents have emitted, in the order of the log. */
    async emitted<T = any>(type?: string): Promise<SpoorEvent<T>[]> {
        const { bus } = await this.#world;
        const found: SpoorEvent<T>[] = [];
        for await (const event of bus.scan<T>(type === undefined ? {} : { type })) {
            if (this.#agents.has(event.source) && !HOUSEKEEPING.has(event.type)) {
                found.push(event);
            }
        }
        return found;
    }

    /** An event and what it caused, as an indented list of types and sources. */
    async tree(id: string): Promise<string> {
        return (await this.effects(id))
            .filter(({ event }) => !HOUSEKEEPING.has(event.type) && !event.stream.startsWith("$"))
            .map(({ depth, event }) => `${"  ".repeat(depth)}${event.type} by ${event.source}`)
            .join("\n");
    }

    /**
     * Publishes what was exported: the path of an NDJSON file, its lines, or events. Gives what
     * agents emitted.
     */
    async replay(
        from: string | readonly (string | Readonly<Record<string, unknown>>)[],
    ): Promise<SpoorEvent[]> {
        const lines =
            typeof from === "string"
                ? (await readFile(from, "utf8")).split("\n").filter((line) => line.trim() !== "")
                : from;
        const events = lines.map((line) =>
            republish(
                typeof line === "string" ? (JSON.parse(line) as Record<string, unknown>) : line,
            ),
        );
        // What the store said of groups and agents then, it says again where it is true again.
        return this.when(events.filter(({ stream }) => stream?.startsWith("$") !== true));
    }

    /**
     * Starts a saga, which is defined, and waits until it has ended or needs a person. Only over a
     * server.
     */
    async runSaga(
        name: string,
        data?: unknown,
        { timeout = "60s", ...options }: StartSagaOptions & { timeout?: Duration } = {},
    ): Promise<Saga> {
        const { sagaid } = await this.startSaga(name, data, options);
        return this.waitSaga(sagaid, { timeout });
    }

    // ---- the bus

    async command(words: readonly string[]): Promise<unknown> {
        return (await this.#world).bus.command(words);
    }

    async publish<T = unknown>(
        type: string,
        data?: T,
        options?: PublishOptions,
    ): Promise<Published> {
        return (await this.#world).bus.publish(type, data, options);
    }

    async publishBatch(events: readonly NewEvent[]): Promise<Published[]> {
        return (await this.#world).bus.publishBatch(events);
    }

    async query<T = any>(query?: Query): Promise<SpoorEvent<T>[]> {
        return (await this.#world).bus.query<T>(query);
    }

    async *scan<T = any>(query?: Query): AsyncIterableIterator<SpoorEvent<T>> {
        yield* (await this.#world).bus.scan<T>(query);
    }

    async get<T = any>(id: string, source?: string): Promise<SpoorEvent<T> | undefined> {
        return (await this.#world).bus.get<T>(id, source);
    }

    async why(id: string): Promise<SpoorEvent[]> {
        return (await this.#world).bus.why(id);
    }

    async effects(id: string): Promise<Effect[]> {
        return (await this.#world).bus.effects(id);
    }

    async sql<T>(sql: string, options: SqlOptions = {}): Promise<SqlAnswer<T>> {
        return (await this.#world).bus.sql<T>(sql, options);
    }

    /** The world of a server is there only after a while: await start() or a publish() first. */
    subscribe<T = any>(query?: SubscribeQuery): Subscription<T> {
        return new LaterSubscription<T>(this.#world.then(({ bus }) => bus.subscribe<T>(query)));
    }

    async agents(query?: AgentQuery): Promise<AgentInfo[]> {
        return (await this.#world).bus.agents(query);
    }

    async agent(id: string): Promise<AgentInfo | undefined> {
        return (await this.#world).bus.agent(id);
    }

    readonly deadLetters: DeadLetters = {
        list: async (group, options) => (await this.#world).bus.deadLetters.list(group, options),
        redrive: async (group, ids) => (await this.#world).bus.deadLetters.redrive(group, ids),
        discard: async (group, ids) => (await this.#world).bus.deadLetters.discard(group, ids),
    };

    /** Kills what still runs, and ends. */
    async close(): Promise<void> {
        this.#processes.forEach((process) => process.kill());
        await (await this.#world).close();
    }

    // ---- inside

    #scenario(): Scenario {
        const stage: Stage = {
            arrange: (events) => this.#publishAll(events),
            act: async (what) => {
                if (!this.#started) {
                    await this.start();
                }
                await (typeof what === "function" ? what() : this.#publishAll(what));
                await this.settle();
            },
            mark: async () =>
                (await (await this.#world).bus.query({ reverse: true, limit: 1 }))[0]?.position ??
                0,
            emittedSince: async (mark) =>
                (await this.emitted()).filter(({ position }) => position > mark),
            advance: (span) => this.advance(span),
        };
        return new Scenario(stage);
    }

    async #publishAll(events: readonly NewEvent[]): Promise<void> {
        const { bus } = await this.#world;
        for (const { type, data, ...options } of events) {
            await bus.publish(type, data, { ...options, source: options.source ?? this.#source });
        }
    }

    async #startProcess(agent: Agent): Promise<void> {
        const world = await this.#world;
        const plan = planFor(agent);
        const log = (record: LogRecord): void => {
            this.logs.push(record);
            agent.definition.log?.(record);
        };
        this.#processes.push(
            await TestProcess.start(
                { ...plan, definition: { ...plan.definition, log } },
                await world.openPort(),
                this.#plan(agent.name),
                (handler) => this.spy(agent.name, handler),
            ),
        );
    }

    #plan(agent: string): FaultPlan {
        let plan = this.#faults.get(agent);
        if (plan === undefined) {
            plan = { crash: undefined, duplicates: 0, random: undefined };
            this.#faults.set(agent, plan);
        }
        return plan;
    }

    #of(agent: Agent | string): TestProcess[] {
        const processes = this.#processes.filter(
            ({ plan, isDead }) => plan.name === nameOf(agent) && !isDead,
        );
        if (processes.length === 0) {
            throw new SpoorError(`${nameOf(agent)} has no process in this test; start() starts it`);
        }
        return processes;
    }
}

function nameOf(agent: Agent | string): string {
    return typeof agent === "string" ? agent : agent.name;
}

/** A subscription of a bus that is only about to be there. */
class LaterSubscription<T> implements Subscription<T> {
    readonly ready: Promise<void>;
    readonly #inner: Promise<Subscription<T>>;

    constructor(inner: Promise<Subscription<T>>) {
        this.#inner = inner;
        this.ready = inner.then(({ ready }) => ready);
        this.ready.catch(() => undefined); // next() says it as well
    }

    [Symbol.asyncIterator](): this {
        return this;
    }

    async next(): Promise<IteratorResult<SpoorEvent<T>>> {
        return (await this.#inner).next();
    }

    async return(): Promise<IteratorResult<SpoorEvent<T>>> {
        this.close();
        return { done: true, value: undefined };
    }

    close(): void {
        void this.#inner.then(
            (subscription) => subscription.close(),
            () => undefined,
        );
    }
}
