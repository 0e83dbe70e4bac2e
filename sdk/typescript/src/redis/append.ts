/** SPOOR.APPEND: an event as the words of the command. */
import { SpoorError } from "../errors.js";
import { checkEvent, encodeData, type NewEvent } from "../event.js";
import { newId } from "../ids.js";
import type { Argument } from "./connection.js";

/** The event with its id and source, which it needs before it is sent. */
export type Identified = NewEvent & { id: string; source: string };

export function identify(event: NewEvent, source: string | undefined): Identified {
    const from = event.source ?? source;
    if (from === undefined) {
        throw new SpoorError(
            `${event.type}: no source: say who publishes, in the event or in connect(url, {source})`,
        );
    }
    const identified = { ...event, id: event.id ?? newId(), source: from };
    checkEvent(identified);
    return identified;
}

const ATTRIBUTES = ["id", "source", "correlationid", "causationid", "datacontenttype"] as const;

export function appendWords(event: Identified): Argument[] {
    const expected = event.expectedVersion === undefined ? "*" : String(event.expectedVersion);
    const words: Argument[] = [
        "SPOOR.APPEND",
        event.stream ?? event.source,
        expected,
        event.type,
        encodeData(event),
    ];
    for (const name of ATTRIBUTES) {
        const value = event[name];
        if (value !== undefined) {
            words.push(name, value);
        }
    }
    if (event.schemaversion !== undefined) {
        words.push("schemaversion", String(event.schemaversion));
    }
    if (event.time !== undefined) {
        words.push("time", event.time instanceof Date ? event.time.toISOString() : event.time);
    }
    if (event.metadata !== undefined) {
        words.push("metadata", JSON.stringify(event.metadata));
    }
    for (const [name, value] of Object.entries(event.extensions ?? {})) {
        words.push(name, String(value));
    }
    return words;
}
