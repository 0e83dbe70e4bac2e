/** What can go wrong. Every error of this package is a SpoorError. */

import type { SpoorEvent } from "./event.js";

export class SpoorError extends Error {
    override name = "SpoorError";
}

/** The stream is not at the version that was expected. */
export class ConflictError extends SpoorError {
    override name = "ConflictError";
    /** The version it is at. */
    readonly actualVersion: number | undefined;
    constructor(message: string, actualVersion?: number) {
        super(message);
        this.actualVersion = actualVersion;
    }
}

/** The server could not be reached, or not in time. */
export class ConnectionError extends SpoorError {
    override name = "ConnectionError";
}

/** The server does not have a command that this needs. */
export class UnsupportedError extends SpoorError {
    override name = "UnsupportedError";
}

/** Thrown by a handler: trying again is of no use. The event becomes a dead letter at once. */
export class NonRetryableError extends Error {
    override name = "NonRetryableError";
}

/**
 * An irreversible step was begun, and nobody knows what came of it: it is not begun again.
 * bus.settleStep() tells what came of it.
 */
export class StepUnknownError extends NonRetryableError {
    override name = "StepUnknownError";
    readonly step: string;
    /** The event that says that it began. */
    readonly event: SpoorEvent;
    constructor(step: string, event: SpoorEvent) {
        super(
            `step '${step}' is irreversible and was begun by event ${event.id} at position ` +
                `${event.position}; what came of it is unknown, so it is not begun again`,
        );
        this.step = step;
        this.event = event;
    }
}

/**
 * A step was stopped in the middle, for its saga no longer wants it: whether there is something to
 * undo is not known. It is the reason of the signal of such a step, and what its handler throws.
 */
export class StepCancelledError extends NonRetryableError {
    override name = "StepCancelledError";
}

/**
 * The text that is kept with a failed attempt: the error's name, its message and those of its
 * causes.
 */
export function describeError(error: unknown): string {
    if (!(error instanceof Error)) {
        return typeof error === "string" ? error : `thrown: ${safeJson(error)}`;
    }
    const own =
        error.name !== "Error" ? `${error.name}: ${error.message}` : error.message || "Error";
    return error.cause === undefined || error.cause === error
        ? own
        : `${own}; caused by ${describeError(error.cause)}`;
}

function safeJson(value: unknown): string {
    try {
        return JSON.stringify(value) ?? String(value);
    } catch {
        return String(value);
    }
}

/** The error that the server's answer stands for. */
export function fromServer(error: Error): Error {
    const text = error.message;
    const conflict = /^CONFLICT .*?(?:is at version (\d+)|$)/.exec(text);
    if (conflict !== null) {
        return new ConflictError(text, conflict[1] === undefined ? undefined : Number(conflict[1]));
    }
    if (/^ERR unknown (?:sub)?command/i.test(text)) {
        return new UnsupportedError(`${text}; the server is older than this package`);
    }
    return new SpoorError(text, { cause: error });
}
