/** Paths of filters: which value of an event they name (docs/filters.md). */
import type { SpoorEvent } from "../event.js";

/** What stands where nothing is. */
export const MISSING = Symbol("missing");

const OTHER_NAMES: Readonly<Record<string, string>> = {
    event_id: "id",
    event_type: "type",
    source_agent: "source",
    agent_id: "source",
    agent_name: "source",
    agent: "source",
    stream_id: "stream",
    timestamp: "time",
    correlation_id: "correlationid",
    correlationId: "correlationid",
    conversation_id: "correlationid",
    causation_id: "causationid",
    causationId: "causationid",
    parent_event_id: "causationid",
    schema_version: "schemaversion",
    schemaVersion: "schemaversion",
    event_version: "schemaversion",
    payload: "data",
};

const ATTRIBUTES = new Set([
    "id",
    "type",
    "source",
    "stream",
    "time",
    "correlationid",
    "causationid",
    "schemaversion",
    "datacontenttype",
    "data",
    "metadata",
    "position",
    "version",
    "recordedtime",
    "entryid",
    "hash",
]);

/** Whether a name with a `$` before it stands for an extension whose name is an attribute's. */
export function isEscaped(name: string): boolean {
    return (
        name.startsWith("$") &&
        (ATTRIBUTES.has(name.slice(1)) || Object.hasOwn(OTHER_NAMES, name.slice(1)))
    );
}

/** The root's value of a name: an extension of exactly that name comes before another spelling. */
export function rootValue(event: SpoorEvent, name: string): unknown {
    if (name !== "hash" && Object.hasOwn(event, name) && event[name] !== undefined) {
        return event[name];
    }
    const other = OTHER_NAMES[name];
    return other !== undefined && Object.hasOwn(event, other) && event[other] !== undefined
        ? event[other]
        : MISSING;
}

/** The value at a path; keys that have dots are found as if they were nested. */
export function valueAt(event: SpoorEvent, path: string): unknown {
    const names = path.split(".");
    for (let taken = 1; taken <= names.length; taken++) {
        const value = rootValue(event, names.slice(0, taken).join("."));
        if (value !== MISSING && (taken === 1 || !(value instanceof Uint8Array))) {
            const found = inside(value, names.slice(taken));
            if (found !== MISSING) {
                return found;
            }
        }
    }
    return MISSING;
}

function inside(value: unknown, names: readonly string[]): unknown {
    if (names.length === 0) {
        return value;
    }
    if (Array.isArray(value)) {
        const [name = ""] = names;
        return /^\d+$/.test(name) && Number(name) < value.length
            ? inside(value[Number(name)], names.slice(1))
            : MISSING;
    }
    if (typeof value !== "object" || value === null || value instanceof Uint8Array) {
        return MISSING;
    }
    // In the order of the text, whichever way its dots are taken.
    for (const [key, member] of Object.entries(value)) {
        const parts = key.split(".");
        if (parts.length <= names.length && parts.every((part, at) => part === names[at])) {
            const found = inside(member, names.slice(parts.length));
            if (found !== MISSING) {
                return found;
            }
        }
    }
    return MISSING;
}
