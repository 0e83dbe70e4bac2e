/** What an agent is: its name, what it can do, and what it does with which events. */
import { milliseconds, type Duration } from "../duration.js";
import { SpoorError } from "../errors.js";
import type { SpoorEvent } from "../event.js";
import type { Backoff, GroupSpec } from "../port.js";
import type { Filter, Moment } from "../query.js";
import type { Context } from "./context.js";
import type { LogSink } from "./log.js";
import type { StepContext } from "./step_context.js";

/**
 * Is called with each event. When it returns, the event is done; when it throws, it comes again
 * later.
 */
export type Handler<T = any> = (event: SpoorEvent<T>, context: Context) => unknown;

/** How a failed attempt is repeated. The server keeps count, so it survives the agent. */
export interface Retry {
    /** Attempts, the first one included; 5 where it is absent. Then the event is a dead letter. */
    maxAttempts?: number | undefined;
    /** The wait before the second attempt; 1 s. */
    first?: Duration | undefined;
    /** The longest wait; 60 s. */
    max?: Duration | undefined;
    /** What each wait is multiplied with for the next one; 2. */
    factor?: number | undefined;
    /** The share of a wait that is left to chance, 0 to 1; 0.2. */
    jitter?: number | undefined;
    /**
     * Errors that no further attempt would help: classes, or a test. NonRetryableError is always
     * one.
     */
    giveUpOn?: readonly ErrorTest[] | undefined;
}

export type ErrorTest =
    (abstract new (...args: never[]) => Error) | { readonly test: (error: unknown) => boolean };

export interface HandlerOptions<T = any> {
    handler: Handler<T>;
    /**
     * Names it where several handlers have one pattern; part of the ids of what it emits. The
     * pattern where absent.
     */
    name?: string | undefined;
    /** Only events whose content fits (docs/filters.md). */
    filter?: Filter | undefined;
    retry?: Retry | undefined;
    /** One event of a key at a time, and in order. */
    orderBy?: "none" | "stream" | "source" | "correlation" | undefined;
    /**
     * How long an attempt may go without a sign of life; 30 s. It is extended while the handler
     * runs.
     */
    ackWait?: Duration | undefined;
    /**
     * Events of this handler at a time in this process; else it shares the agent's `concurrency`.
     */
    concurrency?: number | undefined;
    /** Events in flight of all processes together. */
    maxInFlight?: number | undefined;
    /** Where a new group begins: `"new"`, what comes from now on, `"all"`, or a moment. */
    start?: "new" | "all" | Exclude<Moment, string> | (string & {}) | undefined;
}

/** Is called with each command of an action. */
export type StepHandler<T = any> = (command: SpoorEvent<T>, context: StepContext<any>) => unknown;

export interface StepOptions<T = any>
    extends Omit<HandlerOptions<T>, "handler" | "name" | "filter"> {
    handler: StepHandler<T>;
}

export interface AgentDefinition {
    /** Who it is: the source of what it emits. */
    name: string;
    /** What it can do, for those who look for an agent. */
    capabilities?: readonly string[] | undefined;
    version?: string | undefined;
    /** Further facts, shown with the agent. */
    data?: { readonly [key: string]: unknown } | undefined;
    /** Events at a time in this process; 10. */
    concurrency?: number | undefined;
    /** Events held ready beyond that; by default as many as are done in 50 ms, at most 256. */
    prefetch?: number | undefined;
    /** 10 s. */
    heartbeat?: Duration | undefined;
    /** What it reacts to, by pattern. */
    on?:
        | {
              readonly [pattern: string]:
                  Handler | HandlerOptions | readonly (Handler | HandlerOptions)[] | undefined;
          }
        | undefined;
    /**
     * The actions of sagas that it does, by the type of their commands. What the handler returns is
     * the step's result, what it throws its failure (docs/sagas.md).
     */
    steps?: { readonly [action: string]: StepHandler | StepOptions | undefined } | undefined;
    /**
     * The actions that undo others. Their context has the `input`, the `result` and the `error` of
     * what is to be undone; both of these are null where nobody knows whether there is anything.
     */
    compensate?: { readonly [action: string]: StepHandler | StepOptions | undefined } | undefined;
    /** Where its log lines go; standard error, one JSON object a line. */
    log?: LogSink | undefined;
}

/** A handler with all of its settings. */
export interface Reaction {
    readonly pattern: string;
    /** Part of the ids of emits and steps. */
    readonly name: string;
    readonly handler: Handler;
    readonly group: GroupSpec;
    readonly giveUpOn: readonly ErrorTest[];
    readonly concurrency: number | undefined;
    /** It is a step of sagas, or a compensation. */
    readonly answers: boolean;
}

/** An agent's definition with everything checked and filled in. */
export interface Plan {
    readonly name: string;
    readonly concurrency: number;
    readonly prefetch: number | undefined;
    readonly heartbeat: number;
    readonly definition: AgentDefinition;
    readonly reactions: readonly Reaction[];
}

export function planOf(definition: AgentDefinition): Plan {
    if (typeof definition.name !== "string" || definition.name === "") {
        throw new SpoorError("an agent needs a name");
    }
    const reactions = Object.entries(definition.on ?? {}).flatMap(([pattern, value]) => {
        if (value === undefined) {
            return []; // a pattern of another agent, where definitions are in one array
        }
        const list: readonly (Handler | HandlerOptions)[] = Array.isArray(value)
            ? value
            : [value as Handler];
        return list.map((one) => reactionOf(definition.name, pattern, one, list.length > 1));
    });
    for (const [action, value] of [
        ...Object.entries(definition.steps ?? {}),
        ...Object.entries(definition.compensate ?? {}),
    ]) {
        if (value !== undefined) {
            reactions.push(stepOf(definition.name, action, value));
        }
    }
    const groups = new Set<string>();
    for (const { group, pattern } of reactions) {
        const id = `${group.key}\n${group.group}`;
        if (groups.has(id)) {
            throw new SpoorError(
                `${definition.name}: two handlers of ${pattern} have one name; give each its own`,
            );
        }
        groups.add(id);
    }
    return {
        name: definition.name,
        concurrency: whole(definition.concurrency ?? 10, "concurrency"),
        prefetch: definition.prefetch,
        heartbeat: milliseconds(definition.heartbeat ?? 10_000, "heartbeat"),
        definition,
        reactions,
    };
}

function reactionOf(
    agent: string,
    pattern: string,
    given: Handler | HandlerOptions,
    several: boolean,
): Reaction {
    const options: HandlerOptions = typeof given === "function" ? { handler: given } : given;
    const where = `${agent}, ${pattern}`;
    if (typeof options.handler !== "function") {
        throw new SpoorError(
            `${where}: expected a function, or an object with a function named handler`,
        );
    }
    if (several && options.name === undefined) {
        throw new SpoorError(`${where}: it has several handlers; each needs a name`);
    }
    const name = options.name ?? pattern;
    return {
        pattern,
        name,
        handler: options.handler,
        giveUpOn: options.retry?.giveUpOn ?? [],
        answers: false,
        concurrency:
            options.concurrency === undefined
                ? undefined
                : whole(options.concurrency, `${where}: concurrency`),
        group: {
            key: `$type:${pattern}`,
            group: several ? `${agent}/${name}` : agent,
            from:
                options.start === undefined || options.start === "new"
                    ? "now"
                    : options.start === "all"
                      ? 0
                      : options.start,
            filter: options.filter,
            ackWait: milliseconds(options.ackWait ?? 30_000, `${where}: ackWait`),
            maxDeliveries: whole(options.retry?.maxAttempts ?? 5, `${where}: maxAttempts`),
            backoff: backoffOf(options.retry ?? {}, where),
            orderBy: options.orderBy ?? "none",
            maxInFlight: options.maxInFlight ?? 0,
        },
    };
}

/** A worker that is new begins with the commands of the last day that still wait. */
function stepOf(agent: string, action: string, given: StepHandler | StepOptions): Reaction {
    if (action.split(".").some((token) => ["", "*", "#", ">"].includes(token))) {
        throw new SpoorError(`${agent}, ${action}: expected the type of a command, no pattern`);
    }
    const options = typeof given === "function" ? { handler: given } : given;
    const more = { start: "-1d", ...options } as unknown as HandlerOptions;
    return { ...reactionOf(agent, action, more, false), answers: true };
}

function backoffOf(retry: Retry, where: string): Backoff {
    const first = milliseconds(retry.first ?? 1000, `${where}: first`);
    const max = milliseconds(retry.max ?? Math.max(60_000, first), `${where}: max`);
    const { factor = 2, jitter = 0.2 } = retry;
    if (max < first) {
        throw new SpoorError(`${where}: max: the longest wait is shorter than the first one`);
    }
    if (!(factor >= 1) || !(jitter >= 0 && jitter <= 1)) {
        throw new SpoorError(`${where}: expected a factor from 1 and a jitter from 0 to 1`);
    }
    return { first, max, factor, jitter };
}

function whole(value: number, what: string): number {
    if (!Number.isSafeInteger(value) || value < 1) {
        throw new SpoorError(`${what}: expected a whole number from 1, found ${value}`);
    }
    return value;
}

/** Whether an error is one of those. */
export function isOneOf(error: unknown, tests: readonly ErrorTest[]): boolean {
    return tests.some((test) =>
        typeof test === "function" ? error instanceof test : test.test(error),
    );
}
