/**
 * Which events: the conditions that queries and subscriptions share (docs/queries.md,
 * docs/filters.md).
 */
import { SpoorError } from "./errors.js";

/** A filter over the content of events, in either dialect of docs/filters.md. */
export type Filter = { readonly [path: string]: unknown };

/** A position, an entry id, a time, `"now"`, or `"-10m"`. */
export type Moment = number | string | Date;

/** All that is given must hold. */
export interface Query {
    /** A pattern over the type (`task.*`, `#`), or several of which one must match. */
    type?: string | readonly string[] | undefined;
    source?: string | undefined;
    stream?: string | undefined;
    correlation?: string | undefined;
    filter?: Filter | undefined;
    from?: Moment | undefined;
    until?: Moment | undefined;
    /** At most so many. */
    limit?: number | undefined;
    /** Newest first. */
    reverse?: boolean | undefined;
}

export interface SubscribeQuery extends Omit<Query, "until" | "limit" | "reverse"> {
    /** Ends the subscription. */
    signal?: AbortSignal | undefined;
}

/** A moment as the server reads it. */
export function momentText(moment: Moment): string {
    return moment instanceof Date ? moment.toISOString() : String(moment);
}

/** The words of SPOOR.READ and SPOOR.SUBSCRIBE for the conditions on events. */
export function conditionWords(
    query: Omit<Query, "from" | "until" | "limit" | "reverse">,
): string[] {
    const words: string[] = [];
    const types = typeof query.type === "string" ? [query.type] : (query.type ?? []);
    for (const type of types) {
        words.push("TYPE", type);
    }
    for (const [word, value] of [
        ["SOURCE", query.source],
        ["STREAM", query.stream],
        ["CORRELATION", query.correlation],
    ] as const) {
        if (value !== undefined) {
            words.push(word, value);
        }
    }
    if (query.filter !== undefined) {
        words.push("FILTER", JSON.stringify(query.filter));
    }
    return words;
}

/** The words of SPOOR.READ. */
export function queryWords(query: Query): string[] {
    const words = conditionWords(query);
    if (query.from !== undefined) {
        words.push("FROM", momentText(query.from));
    }
    if (query.until !== undefined) {
        words.push("UNTIL", momentText(query.until));
    }
    if (query.limit !== undefined) {
        if (!Number.isSafeInteger(query.limit) || query.limit < 1) {
            throw new SpoorError(`limit: expected a whole number from 1, found ${query.limit}`);
        }
        words.push("LIMIT", String(query.limit));
    }
    if (query.reverse === true) {
        words.push("REVERSE");
    }
    return words;
}
