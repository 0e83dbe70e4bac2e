/** What can go wrong. Every error of this package is a SpoorError. */

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
