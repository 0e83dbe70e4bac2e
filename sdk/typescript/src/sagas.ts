/**
 * What programs ask of sagas, approvals, joins, schedules, delayed events and runs. All of it is the
 * server's: docs/sagas.md, docs/approvals.md, docs/joins.md, docs/timers.md and docs/forks.md say
 * what comes of it.
 */
import { readFile } from "node:fs/promises";
import { settled } from "./agent/recorded.js";
import type { Subscription } from "./bus.js";
import { milliseconds, type Duration } from "./duration.js";
import { SpoorError } from "./errors.js";
import type { NewEvent, Published, SpoorEvent } from "./event.js";
import type { Query, SubscribeQuery } from "./query.js";

/** The path of a file (JSON or YAML), text of more than a line, or an object. */
export type Definition = string | { readonly [member: string]: unknown };

/** Who asks, and why. */
export interface Asking {
    by?: string | undefined;
    reason?: string | undefined;
}

export interface StartSagaOptions {
    /** By a key that was used before, the saga that is there is given. */
    key?: string | undefined;
    correlationid?: string | undefined;
    causationid?: string | undefined;
    by?: string | undefined;
}

export interface StartedSaga {
    readonly sagaid: string;
    readonly position: number;
    /** It was there by its key, and nothing was started. */
    readonly known?: boolean;
}

export interface SagaStep {
    /** Its path, such as `book/slot`. */
    readonly name: string;
    readonly status: string;
    readonly attempts?: number;
    readonly result: any;
    readonly error: string | null;
    readonly [member: string]: unknown;
}

/** A saga as it is now; docs/sagas.md names all of its members. */
export interface Saga {
    readonly sagaid: string;
    readonly saga: string;
    readonly status:
        | "running"
        | "compensating"
        | "needs_attention"
        | "completed"
        | "compensated"
        | "cancelled";
    readonly waiting_for?: string;
    readonly result?: any;
    readonly error?: string;
    readonly steps: readonly SagaStep[];
    readonly [member: string]: unknown;
}

export interface SagaQuery {
    name?: string | undefined;
    status?: string | undefined;
    step?: string | undefined;
    waitingFor?: string | undefined;
    limit?: number | undefined;
}

export interface WaitOptions {
    /** How long; then it throws. */
    timeout?: Duration | undefined;
    /** Also until it needs a person; true. */
    forAttention?: boolean | undefined;
}

export interface DecideOptions extends Asking {
    choice?: string | undefined;
    /** Of a saga in which several steps ask. */
    step?: string | undefined;
    data?: unknown;
}

export interface AskOptions {
    choices?: readonly string[] | undefined;
    timeout?: Duration | undefined;
    onTimeout?: "expire" | "reject" | "approve" | undefined;
    /** Who may decide; anybody where it is absent. */
    who?: readonly string[] | undefined;
    escalate?: { after: string; to: readonly string[] } | undefined;
    data?: unknown;
}

/** What was decided. */
export interface Decision {
    /** False where it was rejected, or nobody decided in time. */
    readonly granted: boolean;
    readonly choice: string | undefined;
    /** Undefined where time decided. */
    readonly by: string | undefined;
    readonly reason: string | undefined;
    readonly data: any;
    readonly expired: boolean;
}

export interface ForkOptions extends Asking {
    /** The last event that is shared, by its position or id. */
    at: number | string;
    /** Of the new run; one is made where it is absent. */
    id?: string | undefined;
}

export interface ForkedRun {
    /** The new run. */
    readonly run: string;
    /** Of its first event. */
    readonly position: number;
    /** The last position that is shared. */
    readonly shared: number;
    /** Of the event to go on from, published anew. */
    readonly eventPosition: number;
    readonly duplicate: boolean;
}

type Row = { readonly [member: string]: any };
type Options = { readonly [name: string]: string | number | undefined };

const ENDED: readonly string[] = ["saga.completed", "saga.compensated", "saga.cancelled"];
const OUTCOMES = ["approval.granted", "approval.rejected", "approval.expired"];

export abstract class SagaMethods {
    /** Any command of the server, for what has no method here; its reply. */
    abstract command(words: readonly string[]): Promise<unknown>;
    abstract publishBatch(events: readonly NewEvent[]): Promise<Published[]>;
    abstract get<T = any>(id: string, source?: string): Promise<SpoorEvent<T> | undefined>;
    abstract query<T = any>(query?: Query): Promise<SpoorEvent<T>[]>;
    abstract subscribe<T = any>(query?: SubscribeQuery): Subscription<T>;

    // ---- sagas

    /**
     * Defines a saga. Sagas that run keep the definition that they began with. What is wrong with
     * it is a SpoorError, with lines.
     */
    defineSaga(definition: Definition, options: { by?: string | undefined } = {}): Promise<Row> {
        return this.#define("SAGA", "DEFINE", definition, options);
    }

    startSaga(name: string, data?: unknown, options: StartSagaOptions = {}): Promise<StartedSaga> {
        const { key, correlationid: correlation, causationid: causation, by } = options;
        return this.#one(["SAGA", "START", name, JSON.stringify(data ?? null)], {
            key,
            correlation,
            causation,
            by,
        });
    }

    /** A saga as it is now. */
    saga(id: string): Promise<Saga> {
        return this.#one(["SAGA", "SHOW", id], {});
    }

    /** Sagas that run, as they are listed. */
    sagas({ waitingFor: waiting, ...query }: SagaQuery = {}): Promise<Row[]> {
        return this.#many(["SAGA", "LS"], { ...query, waiting });
    }

    /** Waits until it has ended or needs a person; gives it. */
    async waitSaga(id: string, options: WaitOptions = {}): Promise<Saga> {
        const { timeout, forAttention = true } = options;
        const isStopped = ({ status }: Saga): boolean =>
            ["completed", "compensated", "cancelled"].includes(status) ||
            (forAttention && status === "needs_attention");
        const known = await this.saga(id); // else it would be waited for for ever
        if (isStopped(known)) {
            return known;
        }
        const stream = `saga:${id}`;
        const last = await this.query({ stream, limit: 1, reverse: true });
        const type = forAttention ? [...ENDED, "saga.needs_attention"] : ENDED;
        return within(timeout, `saga ${id} goes on`, async (signal) => {
            const from = known.status === "needs_attention" ? 1 : (last[0]?.position ?? 1);
            for await (const _ of this.subscribe({ type, stream, from, signal })) {
                const saga = await this.saga(id);
                if (isStopped(saga)) {
                    return saga;
                }
            }
            return undefined;
        });
    }

    /**
     * Approves what a proposal (by its id) or a saga (by its id, and the step where several ask)
     * asks. A ConflictError where it was decided before.
     */
    approve(id: string, options: DecideOptions = {}): Promise<Row> {
        return this.#decide("APPROVE", id, options);
    }

    reject(id: string, options: Omit<DecideOptions, "choice"> = {}): Promise<Row> {
        return this.#decide("REJECT", id, options);
    }

    /** Stops a saga: what runs is cancelled, what was done is undone. */
    cancelSaga(id: string, { by, reason }: Asking = {}): Promise<Row> {
        return this.#one(["SAGA", "CANCEL", id], { by, reason });
    }

    /** Tries the step (or compensation) that needs attention once more. */
    retryStep(id: string, step?: string, asking: Asking = {}): Promise<Row> {
        return this.#request("RETRY", id, step, asking);
    }

    /** Goes on without it. */
    skipStep(id: string, step?: string, asking: Asking = {}): Promise<Row> {
        return this.#request("SKIP", id, step, asking);
    }

    /** Goes on as if it were done: a person did it, with this result. */
    markDone(id: string, step?: string, options: Asking & { result?: unknown } = {}): Promise<Row> {
        const result = JSON.stringify(options.result ?? null);
        return this.#request("DONE", id, step, options, { result });
    }

    /** Gives up on a step that needs attention: what was done is undone. */
    compensateSaga(id: string, step?: string, asking: Asking = {}): Promise<Row> {
        return this.#request("COMPENSATE", id, step, asking);
    }

    /** Goes on with the step that failed: of a saga that has ended, in a new one. */
    resumeSaga(id: string, step?: string, asking: Asking = {}): Promise<Row> {
        return this.#request("RESUME", id, step, asking);
    }

    /** A new saga that inherits what this one did before the step `at`, or the failed one. */
    forkSaga(
        id: string,
        options: { at?: string | undefined; data?: unknown; by?: string | undefined } = {},
    ): Promise<StartedSaga> {
        const { at, by, data } = options;
        return this.#one(["SAGA", "FORK", id], { at, by, data: jsonOf(data) });
    }

    // ---- approvals

    /** What waits for a decision, of sagas and of agents alone. */
    approvals(query: { who?: string | undefined; limit?: number | undefined } = {}): Promise<Row[]> {
        return this.#many(["APPROVAL", "LS"], { ...query });
    }

    /**
     * Asks somebody to decide (docs/approvals.md): the proposal, which has the id to decide by. The
     * same id again is the same proposal.
     */
    async propose(
        prompt: string,
        options: AskOptions & { id?: string | undefined; correlationid?: string | undefined } = {},
    ): Promise<Published> {
        const { id, correlationid, ...asked } = options;
        const type = "action.proposed";
        const data = proposalOf(prompt, asked);
        return (await this.publishBatch([{ type, data, id, correlationid }]))[0]!;
    }

    /** Waits for what is decided about a proposal. */
    async decision(id: string, options: { timeout?: Duration | undefined } = {}): Promise<Decision> {
        const proposed = await this.get(id);
        if (proposed?.type !== "action.proposed") {
            throw new SpoorError(`there is no proposal ${id}`);
        }
        return within(options.timeout, `nobody has decided ${id}`, (signal) =>
            awaitDecision(proposed.position, (query) => this.subscribe({ ...query, signal })),
        );
    }

    // ---- joins, schedules, delayed events

    defineJoin(definition: Definition, options: { by?: string | undefined } = {}): Promise<Row> {
        return this.#define("JOIN", "ADD", definition, options);
    }

    joins(): Promise<Row[]> {
        return this.#many(["JOIN", "LS"], {});
    }

    removeJoin(name: string, { by }: { by?: string | undefined } = {}): Promise<Row> {
        return this.#one(["JOIN", "RM", name], { by });
    }

    defineSchedule(
        definition: Definition,
        options: { by?: string | undefined } = {},
    ): Promise<Row> {
        return this.#define("SCHEDULE", "ADD", definition, options);
    }

    schedules(): Promise<Row[]> {
        return this.#many(["SCHEDULE", "LS"], {});
    }

    removeSchedule(name: string, { by }: { by?: string | undefined } = {}): Promise<Row> {
        return this.#one(["SCHEDULE", "RM", name], { by });
    }

    /** Events that are to be delivered later. */
    timers(query: { limit?: number | undefined } = {}): Promise<Row[]> {
        return this.#many(["TIMER", "LS"], { ...query });
    }

    /** Takes back an event that is not delivered yet. */
    cancelTimer(
        id: string,
        { by, reason, source }: Asking & { source?: string | undefined } = {},
    ): Promise<Row> {
        return this.#one(["TIMER", "CANCEL", id], { by, reason, source });
    }

    // ---- runs

    /** A run that shares what this one was up to an event, and goes on from there. */
    async forkRun(run: string, { at, id, by, reason }: ForkOptions): Promise<ForkedRun> {
        const words = ["SPOOR.RUN", "FORK", run, String(at), ...wordsOf({ id, by, reason })];
        const reply = (await this.command(words)) as (string | number)[];
        const told = new Map<string, string | number>();
        for (let i = 0; i + 1 < reply.length; i += 2) {
            told.set(String(reply[i]), reply[i + 1]!);
        }
        return {
            run: String(told.get("correlationid")),
            position: Number(told.get("position")),
            shared: Number(told.get("fork_position")),
            eventPosition: Number(told.get("event_position")),
            duplicate: Number(told.get("duplicate")) === 1,
        };
    }

    /** Gives what groups gave up of a run to them again; how many deliveries that were. */
    async resumeRun(run: string): Promise<number> {
        return Number(await this.command(["SPOOR.RUN", "RESUME", run]));
    }

    /**
     * Tells what came of an irreversible step of which nobody knew: its result, or that it failed,
     * and why. The id is that of the event that says that it began, as StepUnknownError names it.
     */
    async settleStep(
        id: string,
        outcome: { result?: unknown; failed?: string | undefined },
    ): Promise<Published> {
        const started = await this.get(id);
        if (started === undefined) {
            throw new SpoorError(`there is no event ${id}`);
        }
        return (await this.publishBatch([settled(started, outcome)]))[0]!;
    }

    // ---- inside

    async #define(
        desk: string,
        verb: string,
        definition: Definition,
        { by }: { by?: string | undefined },
    ): Promise<Row> {
        if (typeof definition !== "string") {
            return this.#one([desk, verb, JSON.stringify(definition)], { by });
        }
        if (definition.includes("\n") || definition.trimStart().startsWith("{")) {
            return this.#one([desk, verb, definition], { by });
        }
        return this.#one([desk, verb, await readFile(definition, "utf8")], { by });
    }

    #decide(
        verb: string,
        id: string,
        { choice, step, by, reason, data }: DecideOptions,
    ): Promise<Row> {
        const options = { choice, step, by, reason, data: jsonOf(data) };
        return this.#one(["APPROVAL", verb, id], options);
    }

    #request(
        verb: string,
        id: string,
        step: string | undefined,
        { by, reason }: Asking,
        more: Options = {},
    ): Promise<Row> {
        return this.#one(["SAGA", verb, id], { step, by, reason, ...more });
    }

    async #one<T>(words: readonly string[], options: Options): Promise<T> {
        const [desk, ...rest] = words;
        const reply = await this.command([`SPOOR.${desk ?? ""}`, ...rest, ...wordsOf(options)]);
        return JSON.parse(reply as string) as T;
    }

    async #many<T>(words: readonly string[], options: Options): Promise<T[]> {
        const [desk, ...rest] = words;
        const reply = await this.command([`SPOOR.${desk ?? ""}`, ...rest, ...wordsOf(options)]);
        return (reply as string[]).map((line) => JSON.parse(line) as T);
    }
}

function wordsOf(options: Options): string[] {
    return Object.entries(options).flatMap(([name, value]) =>
        value === undefined ? [] : [name.toUpperCase(), String(value)],
    );
}

function jsonOf(value: unknown): string | undefined {
    return value === undefined ? undefined : JSON.stringify(value);
}

/** The data of `action.proposed`. */
export function proposalOf(prompt: string, options: AskOptions): { [member: string]: unknown } {
    const { choices, timeout, onTimeout, who, escalate, data } = options;
    return {
        prompt,
        ...(choices === undefined ? {} : { choices }),
        ...(timeout === undefined ? {} : { timeout: `${milliseconds(timeout, "timeout")}ms` }),
        ...(onTimeout === undefined ? {} : { on_timeout: onTimeout }),
        ...(who === undefined ? {} : { who }),
        ...(escalate === undefined ? {} : { escalate }),
        ...(data === undefined ? {} : { data }),
    };
}

/** Waits for what is decided about the proposal at a position, as long as it takes. */
export async function awaitDecision(
    position: number,
    subscribe: (query: SubscribeQuery) => Subscription,
): Promise<Decision> {
    const outcomes = subscribe({
        type: OUTCOMES,
        stream: "$approvals",
        from: position,
        filter: { proposalposition: position },
    });
    for await (const { type, data } of outcomes) {
        const told = (data ?? {}) as {
            choice?: string;
            by?: string;
            reason?: string;
            data?: unknown;
            on_timeout?: boolean;
        };
        return {
            granted: type === "approval.granted",
            choice: told.choice,
            by: told.by,
            reason: told.reason,
            data: told.data,
            expired: type === "approval.expired" || told.on_timeout === true,
        };
    }
    throw new SpoorError("the wait for a decision ended");
}

/** What it gives, unless time is over first; it is told by the signal then. */
async function within<T>(
    timeout: Duration | undefined,
    what: string,
    run: (signal: AbortSignal) => Promise<T | undefined>,
): Promise<T> {
    const over = new AbortController();
    const ms = timeout === undefined ? undefined : milliseconds(timeout, "timeout");
    const timer = ms === undefined ? undefined : setTimeout(() => over.abort(), ms);
    try {
        const found = await run(over.signal);
        if (found !== undefined) {
            return found;
        }
    } catch (error) {
        if (!over.signal.aborted) {
            throw error;
        }
    } finally {
        clearTimeout(timer);
    }
    throw new SpoorError(`${what} after ${String(timeout)}`);
}
