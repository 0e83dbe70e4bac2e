/**
 * Spans of time, written as in the rest of spoor: `500ms`, `30s`, `2m`, `1h30m`, `1d`; a number is
 * milliseconds.
 */
import { SpoorError } from "./errors.js";

export type Duration = number | string;

const UNITS: Readonly<Record<string, number>> = {
    ms: 1,
    s: 1000,
    m: 60_000,
    h: 3_600_000,
    d: 86_400_000,
};

/** Milliseconds. */
export function milliseconds(span: Duration, what = "duration"): number {
    if (typeof span === "number") {
        if (!Number.isFinite(span) || span < 0) {
            throw new SpoorError(`${what}: expected milliseconds, found ${span}`);
        }
        return span;
    }
    const parts = [...span.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
    if (parts.length === 0 || parts.map((part) => part[0]).join("") !== span) {
        throw new SpoorError(
            `${what}: expected a span such as 500ms, 30s, 2m or 1h30m, found ${JSON.stringify(span)}`,
        );
    }
    return parts.reduce((sum, part) => sum + Number(part[1]) * (UNITS[part[2] ?? ""] ?? 0), 0);
}
