/** What a worker of a saga's step is given beside its command. */
import { StepCancelledError } from "../errors.js";
import type { Delivery, Port } from "../port.js";
import { HandlingContext, type Context } from "./context.js";
import type { Logger } from "./log.js";

/**
 * One attempt of a step, or of its compensation. What is emitted and recorded by way of it counts
 * once over all attempts.
 */
export interface StepContext<T = any> extends Context<T> {
    /** The saga's attempt, from 1. */
    readonly attempt: number;
    /** Deliveries of this command, this one included. */
    readonly delivery: number;
    /** The same at all attempts: give it to whoever does the work. */
    readonly idempotencyKey: string;
    readonly sagaId: string | undefined;
    /** The saga's name. */
    readonly saga: string | undefined;
    /** The step's path, such as `book/slot`. */
    readonly stepName: string | undefined;
    /** Aborted when the saga no longer wants the step: give it to fetch() and the like. */
    readonly signal: AbortSignal;
    /** The data of the command; of a compensation that of the step's command. */
    readonly input: any;
    /** Of a compensation: what the step gave; null where nobody knows. */
    readonly result: any;
    /** Of a compensation: what the step failed with, or null. */
    readonly error: any;
}

export class HandlingStep extends HandlingContext implements StepContext {
    readonly delivery: number;
    readonly idempotencyKey: string;
    readonly sagaId: string | undefined;
    readonly saga: string | undefined;
    readonly stepName: string | undefined;
    readonly input: any;
    readonly result: any;
    readonly error: any;
    readonly #abort = new AbortController();

    constructor(port: Port, agent: string, handler: string, delivery: Delivery, log: Logger) {
        const { event } = delivery;
        const key = text(event["idempotencykey"]) ?? event.id;
        super(port, agent, handler, event, Number(event["attempt"] ?? delivery.attempt), log, key);
        this.delivery = delivery.attempt;
        this.idempotencyKey = key;
        this.sagaId = text(event["sagaid"]);
        this.saga = text(event["saga"]);
        this.stepName = text(event["sagastep"]);
        const told = isObject(event.data) ? event.data : {};
        this.input = "input" in told ? told["input"] : event.data;
        this.result = told["result"] ?? null;
        this.error = told["error"] ?? null;
    }

    get signal(): AbortSignal {
        return this.#abort.signal;
    }

    cancel(reason: string): void {
        if (!this.signal.aborted) {
            this.#abort.abort(new StepCancelledError(`cancelled: ${reason}`));
        }
    }
}

function text(value: unknown): string | undefined {
    return typeof value === "string" ? value : undefined;
}

function isObject(value: unknown): value is { [key: string]: unknown } {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}
