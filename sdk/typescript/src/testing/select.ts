/** Queries over events in memory. */
import { milliseconds } from "../duration.js";
import { SpoorError } from "../errors.js";
import type { SpoorEvent } from "../event.js";
import { momentText, queryWords, type Moment, type Query } from "../query.js";
import { compileFilter, type EventTest } from "./filter.js";
import { compilePattern } from "./pattern.js";

/** Whether an event fits the conditions, whatever its place. */
export function compileConditions(query: Query): EventTest {
    const types = typeof query.type === "string" ? [query.type] : (query.type ?? []);
    const patterns = types.map(compilePattern);
    const filter = query.filter === undefined ? undefined : compileFilter(query.filter);
    const { source, stream, correlation } = query;
    return (event) =>
        (patterns.length === 0 || patterns.some((test) => test(event.type))) &&
        (source === undefined || event.source === source) &&
        (stream === undefined || event.stream === stream) &&
        (correlation === undefined || event.correlationid === correlation) &&
        (filter === undefined || filter(event));
}

export function select(events: readonly SpoorEvent[], query: Query, now: number): SpoorEvent[] {
    queryWords(query); // complains of what a server would complain of
    const test = compileConditions(query);
    const from = query.from === undefined ? 1 : firstFrom(events, query.from, now);
    const until = query.until === undefined ? events.length : lastUntil(events, query.until, now);
    const found = events.slice(from - 1, Math.max(until, 0)).filter(test);
    return (query.reverse === true ? found.reverse() : found).slice(0, query.limit ?? 1000);
}

/** The position of the first event at a moment or later. */
export function firstFrom(events: readonly SpoorEvent[], moment: Moment, now: number): number {
    const text = momentText(moment);
    if (/^\d+$/.test(text)) {
        return Math.max(1, Number(text));
    }
    if (text === "now" || text === "$") {
        return events.length + 1;
    }
    const earlier = isEarlier(text, now);
    return events.filter((event) => earlier(event) < 0).length + 1;
}

/** The position of the last event at a moment or earlier. */
function lastUntil(events: readonly SpoorEvent[], moment: Moment, now: number): number {
    const text = momentText(moment);
    if (/^\d+$/.test(text)) {
        return Number(text);
    }
    if (text === "now") {
        return events.length;
    }
    const order = isEarlier(text, now);
    return events.filter((event) => order(event) <= 0).length;
}

/** Compares an event with a moment: below 0 where it is earlier. */
function isEarlier(text: string, now: number): (event: SpoorEvent) => number {
    const entry = /^(\d+)-(\d+)$/.exec(text);
    if (entry !== null) {
        return ({ entryid }) => {
            const [ms = "0", seq = "0"] = entryid.split("-");
            return Number(ms) - Number(entry[1]) || Number(seq) - Number(entry[2]);
        };
    }
    const time = text.startsWith("-")
        ? now - milliseconds(text.slice(1))
        : Date.parse(/[zZ]|[+-]\d\d:\d\d$/.test(text) || !text.includes("T") ? text : `${text}Z`);
    if (Number.isNaN(time)) {
        throw new SpoorError(
            `from: found ${text}, expected a position, an entry id (<ms>-<seq>), a time (RFC 3339), now, or a span such as -10m`,
        );
    }
    return ({ recordedtime }) => Date.parse(recordedtime) - time;
}
