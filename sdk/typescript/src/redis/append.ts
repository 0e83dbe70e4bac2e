/** SPOOR.APPEND and SPOOR.BATCH: events as the words of the commands. */
import { milliseconds } from "../duration.js";
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
    const identified = { ...withDue(event), id: event.id ?? newId(), source: from };
    checkEvent(identified);
    return identified;
}

/** The event with the time of its delivery as the extension that it is stored as. */
function withDue(event: NewEvent): NewEvent {
    const { deliverAt, delay, ...rest } = event;
    if (deliverAt === undefined && delay === undefined) {
        return event;
    }
    if (deliverAt !== undefined && delay !== undefined) {
        throw new SpoorError(`${event.type}: deliverAt, delay: expected one of them`);
    }
    const due =
        delay === undefined ? deliverAt : new Date(Date.now() + milliseconds(delay, "delay"));
    const deliverat = due instanceof Date ? due.toISOString() : String(due);
    return { ...rest, extensions: { ...event.extensions, deliverat } };
}

/** identify() for each; an error says which of them it is about. */
export function identifyAll(events: readonly NewEvent[], source: string | undefined): Identified[] {
    return events.map((event, at) => {
        try {
            return identify(event, source);
        } catch (error) {
            throw error instanceof SpoorError && events.length > 1
                ? new SpoorError(`event ${at + 1}: ${error.message}`, { cause: error })
                : error;
        }
    });
}

/** The stream it goes to. */
export function placeOf(event: Identified): string {
    return event.stream ?? event.source;
}

const ATTRIBUTES = ["id", "source", "correlationid", "causationid", "datacontenttype"] as const;

export function appendWords(event: Identified): Argument[] {
    const expected = event.expectedVersion === undefined ? "*" : String(event.expectedVersion);
    const words: Argument[] = [
        "SPOOR.APPEND",
        placeOf(event),
        expected,
        event.type,
        encodeData(event),
        ...attributeWords(event),
    ];
    for (const [name, value] of Object.entries(event.extensions ?? {})) {
        words.push(name, String(value));
    }
    return words;
}

/** All of them as one command, which is done whole or not at all. */
export function batchWords(events: readonly Identified[]): Argument[] {
    const words: Argument[] = ["SPOOR.BATCH"];
    for (const [stream, version] of expectations(events)) {
        words.push("EXPECT", stream, String(version));
    }
    for (const event of events) {
        const pairs: Argument[] = ["type", event.type, "stream", placeOf(event)];
        pairs.push("data", encodeData(event), ...attributeWords(event));
        for (const [name, value] of Object.entries(event.extensions ?? {})) {
            const isMarked = /^[$=]/.test(name); // which means something to the command
            pairs.push(isMarked ? `$${name}` : name, String(value));
        }
        words.push("EVENT", String(pairs.length / 2));
        pairs.forEach((word) => words.push(word));
    }
    return words;
}

/**
 * The version that each stream must have before a batch, from what its events expect in turn;
 * throws where they contradict one another.
 */
export function expectations(events: readonly Identified[]): Map<string, number> {
    const found = new Map<string, number>();
    const counts = new Map<string, number>();
    for (const event of events) {
        const stream = placeOf(event);
        const behind = counts.get(stream) ?? 0;
        counts.set(stream, behind + 1);
        if (event.expectedVersion === undefined) {
            continue;
        }
        const wanted = event.expectedVersion === "none" ? 0 : event.expectedVersion;
        if (wanted < behind || (found.get(stream) ?? wanted - behind) !== wanted - behind) {
            throw new SpoorError(
                `expectedVersion: ${wanted} of ${stream} cannot hold behind ${behind} other ` +
                    "events of the batch in that stream",
            );
        }
        found.set(stream, wanted - behind);
    }
    return found;
}

/** Names and values of its attributes but for type, stream and data. */
function attributeWords(event: Identified): string[] {
    const words: string[] = [];
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
    return words;
}

const EVENT_BYTES_MAX = 1 << 20;
const ATTRIBUTES_MAX = 64;

/** Throws where the event is more than a server takes whose limits nobody changed. */
export function checkLimits(event: Identified): void {
    const words = ["type", event.type, "stream", placeOf(event), ...attributeWords(event)];
    words.push(...Object.entries(event.extensions ?? {}).flat().map(String));
    if (words.length / 2 > ATTRIBUTES_MAX) {
        throw new SpoorError(
            `LIMIT event: found ${words.length / 2} attributes, expected at most ${ATTRIBUTES_MAX}`,
        );
    }
    const bytes = [encodeData(event), ...words].reduce(
        (sum, word) => sum + Buffer.byteLength(word),
        0,
    );
    if (bytes > EVENT_BYTES_MAX) {
        throw new SpoorError(
            `LIMIT event: found ${bytes} bytes, expected at most ${EVENT_BYTES_MAX}`,
        );
    }
}
