/**
 * What a handler is given beside its event: the means to act on it such that a redelivery does
 * nothing twice. Emits and steps have ids that follow from the event and the place in the handler,
 * so the second attempt makes those of the first one.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { sleep } from "../clock.js";
import { milliseconds, type Duration } from "../duration.js";
import { SpoorError } from "../errors.js";
import type { Published, PublishOptions, SpoorEvent } from "../event.js";
import type { Port } from "../port.js";
import { awaitDecision, proposalOf, type AskOptions, type Decision } from "../sagas.js";
import type { Logger } from "./log.js";
import { Recorded } from "./recorded.js";

/** What may be said of an emit; source, correlation and causation are those of the handling. */
export type EmitOptions = Omit<PublishOptions, "source" | "id" | "causationid">;

export interface StepOptions {
    /**
     * What it does cannot be undone. That it begins is recorded before it does, and it is not begun
     * again, in no attempt, fork or resume, unless it threw: its result is used, wherever it was
     * recorded, and where nobody knows what came of it, this is a StepUnknownError.
     */
    irreversible?: boolean | undefined;
}

export interface Context<T = unknown> {
    /** The event that is handled. */
    readonly event: SpoorEvent<T>;
    /** Deliveries of this event, this one included. */
    readonly attempt: number;
    /** The agent's name. */
    readonly agent: string;
    /** Lines with the ids of the event and its run. */
    readonly log: Logger;
    /**
     * Appends an event caused by the one handled; returns when it is durable. Again, on another
     * attempt: nothing.
     */
    emit<D = unknown>(type: string, data?: D, options?: EmitOptions): Promise<Published>;
    /**
     * Does something once: its result is kept, and another attempt is given it without doing it
     * again.
     */
    step<R>(name: string, run: () => R | Promise<R>, options?: StepOptions): Promise<R>;
    /**
     * Asks somebody to decide (docs/approvals.md), and waits for it, however long it takes. Another
     * attempt, also after the agent died, asks nothing anew: it waits on, or is given what was
     * decided.
     */
    ask(prompt: string, options?: AskOptions): Promise<Decision>;
    /** Waits, by the clock of the bus: in tests, time is virtual. */
    sleep(span: Duration): Promise<void>;
    /** The time, by the clock of the bus. */
    now(): Date;
}

/** The step in which code runs, with the number of its emits. */
interface Scope {
    readonly context: HandlingContext;
    readonly step: string;
    emits: number;
}
const scopes = new AsyncLocalStorage<Scope>();

export class HandlingContext implements Context {
    readonly event: SpoorEvent;
    readonly attempt: number;
    readonly agent: string;
    readonly log: Logger;
    readonly #port: Port;
    readonly handler: string;
    readonly #recorded: Recorded;
    readonly #own: Scope = { context: this, step: "", emits: 0 };
    readonly #steps = new Set<string>();
    #asks = 0;
    #sleeps = 0;
    #over = false;

    constructor(
        port: Port,
        agent: string,
        handler: string,
        event: SpoorEvent,
        attempt: number,
        log: Logger,
        key: string = event.id,
    ) {
        this.#port = port;
        this.event = event;
        this.attempt = attempt;
        this.agent = agent;
        this.log = log;
        this.handler = handler;
        this.#recorded = new Recorded(port, event, {
            source: event.source,
            id: key,
            agent,
            handler,
        });
    }

    emit<D>(type: string, data?: D, options: EmitOptions = {}): Promise<Published> {
        if (this.#over) {
            return Promise.reject(
                new SpoorError(
                    `emit of ${type}: the handler has returned already; is an await missing?`,
                ),
            );
        }
        const inner = scopes.getStore();
        const scope = inner?.context === this ? inner : this.#own;
        scope.emits++;
        const { step, emits: ordinal } = scope;
        const event = {
            correlationid: this.event.correlationid,
            ...options,
            type,
            data,
            source: this.agent,
            causationid: this.event.id,
            id: this.#recorded.emitId(step, ordinal),
        };
        return this.#recorded.isForked
            ? this.#recorded
                  .forked(type, step, ordinal)
                  .then((origin) =>
                      this.#port.append({
                          ...event,
                          extensions: { ...event.extensions, ...origin },
                      }),
                  )
            : this.#port.append(event);
    }

    async step<R>(
        name: string,
        run: () => R | Promise<R>,
        options: StepOptions = {},
    ): Promise<R> {
        if (name === "" || this.#steps.has(name)) {
            throw new SpoorError(
                name === ""
                    ? "a step needs a name"
                    : `step ${name}: the name is taken in this handling`,
            );
        }
        this.#steps.add(name);
        const outcome = await this.#recorded.begin(name, options.irreversible ?? false);
        if ("result" in outcome) {
            this.log.debug("step was done before", { step: name });
            return outcome.result as R;
        }
        let result: R;
        try {
            result = await scopes.run({ context: this, step: name, emits: 0 }, async () => run());
        } catch (error) {
            await this.#recorded.fail(outcome.begun, error);
            throw error;
        }
        const kept = asJson(result, `step ${name}: its result`);
        return (await this.#recorded.end(outcome.begun, kept)) as R;
    }

    async ask(prompt: string, options: AskOptions = {}): Promise<Decision> {
        const proposed = await this.#port.append({
            type: "action.proposed",
            data: proposalOf(prompt, options),
            source: this.agent,
            id: this.#recorded.askId(++this.#asks),
            correlationid: this.event.correlationid,
            causationid: this.event.id,
        });
        this.#sleeps++;
        try {
            return await awaitDecision(proposed.position, (query) => this.#port.subscribe(query));
        } finally {
            this.#sleeps--;
        }
    }

    async sleep(span: Duration): Promise<void> {
        const ms = milliseconds(span, "sleep");
        this.#sleeps++;
        await sleep(this.#port.clock, ms);
        this.#sleeps--;
    }

    /** Whether it waits for time to pass. */
    get isAsleep(): boolean {
        return this.#sleeps > 0;
    }

    now(): Date {
        return new Date(this.#port.clock.now());
    }

    /** No more emits: the handler is done, and what it forgot to await would be lost in a crash. */
    end(): void {
        this.#over = true;
    }
}

/** The result as another attempt will be given it: what JSON keeps of it. */
export function asJson(result: unknown, what: string): unknown {
    if (result === undefined) {
        return null;
    }
    let text: string | undefined;
    try {
        text = JSON.stringify(result) as string | undefined;
    } catch (error) {
        throw new SpoorError(`${what} cannot be kept: ${(error as Error).message}`, {
            cause: error,
        });
    }
    if (text === undefined) {
        throw new SpoorError(
            `${what}: expected a result that JSON can hold, found a ${typeof result}`,
        );
    }
    return JSON.parse(text) as unknown;
}
