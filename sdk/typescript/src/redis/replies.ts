/** Replies of the server as values. */
import { SpoorError } from "../errors.js";
import { parseEvent, type Published, type SpoorEvent } from "../event.js";
import { placeOf, type Identified } from "./append.js";
import type { Reply } from "./connection.js";

function unexpected(what: string, reply: unknown): SpoorError {
    return new SpoorError(
        `${what}: not the reply that was expected: ${JSON.stringify(reply)?.slice(0, 200)}`,
    );
}

export function asList(reply: Reply, what: string): Reply[] {
    if (!Array.isArray(reply)) {
        throw unexpected(what, reply);
    }
    return reply;
}

export function asText(reply: Reply | undefined, what: string): string {
    if (typeof reply !== "string") {
        throw unexpected(what, reply);
    }
    return reply;
}

export function asNumber(reply: Reply | undefined, what: string): number {
    const number = typeof reply === "string" ? Number(reply) : reply;
    if (typeof number !== "number" || Number.isNaN(number)) {
        throw unexpected(what, reply);
    }
    return number;
}

/** A map of RESP2, which is a flat list. */
export function asMap(reply: Reply, what: string): Map<string, Reply> {
    const list = asList(reply, what);
    const map = new Map<string, Reply>();
    for (let at = 0; at + 1 < list.length; at += 2) {
        map.set(asText(list[at], what), list[at + 1] ?? null);
    }
    return map;
}

export function asEvents<T>(reply: Reply, what: string): SpoorEvent<T>[] {
    return asList(reply, what).map((line) => parseEvent<T>(asText(line, what)));
}

export function asPublished(reply: Reply, id: string): Published {
    const map = asMap(reply, "SPOOR.APPEND");
    return {
        id,
        position: asNumber(map.get("position"), "position"),
        stream: asText(map.get("stream"), "stream"),
        version: asNumber(map.get("version"), "version"),
        entryid: asText(map.get("entryid"), "entryid"),
        duplicate: asNumber(map.get("duplicate"), "duplicate") === 1,
    };
}

/** What SPOOR.BATCH answers, an array for each event. */
export function asPublishedAll(reply: Reply, events: readonly Identified[]): Published[] {
    const list = asList(reply, "SPOOR.BATCH");
    if (list.length !== events.length) {
        throw unexpected("SPOOR.BATCH", reply);
    }
    return events.map((event, at) => {
        const [position, version, entryid, , duplicate] = asList(list[at] ?? null, "SPOOR.BATCH");
        return {
            id: event.id,
            position: asNumber(position, "position"),
            stream: placeOf(event),
            version: asNumber(version, "version"),
            entryid: asText(entryid, "entryid"),
            duplicate: asNumber(duplicate, "duplicate") === 1,
        };
    });
}
