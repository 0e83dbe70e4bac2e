/** Compares what was emitted with what was expected, and says what is different. */
import { isDeepStrictEqual } from "node:util";
import { SpoorError } from "../errors.js";
import type { SpoorEvent } from "../event.js";

/** Some attributes of an event: what is given must be equal; a function is asked. */
export interface Expected {
    type?: string | undefined;
    source?: string | undefined;
    stream?: string | undefined;
    correlationid?: string | undefined;
    causationid?: string | undefined;
    data?: unknown;
    [attribute: string]: unknown;
}

export class ExpectationError extends SpoorError {
    override name = "ExpectationError";
}

function fits(event: SpoorEvent, expected: Expected): boolean {
    return Object.entries(expected).every(
        ([name, wanted]) =>
            wanted === undefined ||
            (typeof wanted === "function"
                ? Boolean((wanted as (value: unknown) => unknown)(event[name]))
                : isDeepStrictEqual(event[name], wanted)),
    );
}

/** Each expected event must be there, and no other; their order does not matter. */
export function compareEmitted(events: readonly SpoorEvent[], expected: readonly Expected[]): void {
    const left = [...events];
    const missing: Expected[] = [];
    for (const wanted of expected) {
        const at = left.findIndex((event) => fits(event, wanted));
        if (at < 0) {
            missing.push(wanted);
        } else {
            left.splice(at, 1);
        }
    }
    if (missing.length > 0 || left.length > 0) {
        throw new ExpectationError(
            [
                "what was emitted is not what was expected",
                ...missing.map((one) => `  missing:    ${show(one)}`),
                ...left.map(
                    (one) =>
                        `  unexpected: ${show({ type: one.type, source: one.source, data: one.data })}`,
                ),
                ...(events.length === 0 ? ["  nothing was emitted"] : []),
            ].join("\n"),
        );
    }
}

function show(value: unknown): string {
    return JSON.stringify(value, (_, member: unknown) =>
        typeof member === "function" ? `(${String(member)})` : member,
    );
}
