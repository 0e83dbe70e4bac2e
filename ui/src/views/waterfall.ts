/**
 * Where the events of a run stand in its waterfall. Pure: from events to rows and places.
 *
 * Each source is a lane. An event that answers another (`tool.result` to `tool.called`, any
 * `.completed` or `.failed` to what it names as its cause) makes a span of the two; all else is a
 * mark. Gaps in which nothing happens, longer than a twentieth of the whole, are folded to that, so
 * that a night of waiting does not squeeze the work into one pixel. Where most events say no time of
 * their own (a history that was imported), they stand in their order, evenly.
 */
import type { StoredEvent } from "../api/types.js";
import { eventMs } from "../parts/time.js";

export interface Row {
    readonly event: StoredEvent;
    readonly lane: number;
    /** 0 to 1 in the picture. */
    readonly begin: number;
    readonly end: number;
    readonly ms: number;
    readonly failed: boolean;
    readonly tokens: number | undefined;
    readonly tool: string | undefined;
}

export interface Fold {
    /** 0 to 1: where it stands in the picture. */
    readonly at: number;
    readonly ms: number;
}

export interface Waterfall {
    readonly rows: readonly Row[];
    readonly lanes: readonly string[];
    readonly folds: readonly Fold[];
    readonly ms: number;
    /** Whether it is drawn by the events' own times, or by their order. */
    readonly timed: boolean;
}

const FOLD_SHARE = 0.05;
const ANSWERS = /(?:^|\.)(?:result|completed|failed|error|done)$/;
const FAILURES = /(?:^|\.)(?:failed|error|crashed|timed_out)$/;

function record(value: unknown): Readonly<Record<string, unknown>> {
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

export function isFailure(event: StoredEvent): boolean {
    const data = record(event.data);
    return FAILURES.test(event.type) || data["is_error"] === true;
}

/** Tokens that the event says it took, under the names that agents use. */
export function tokensOf(event: StoredEvent): number | undefined {
    const data = record(event.data);
    const usage = record(data["usage"]);
    const parts = [
        usage["prompt_tokens"] ?? usage["input_tokens"],
        usage["completion_tokens"] ?? usage["output_tokens"],
    ].filter((part): part is number => typeof part === "number");
    if (parts.length > 0) {
        return parts.reduce((sum, part) => sum + part, 0);
    }
    const all = usage["total_tokens"] ?? data["tokens"];
    return typeof all === "number" ? all : undefined;
}

export function toolOf(event: StoredEvent): string | undefined {
    const data = record(event.data);
    const name = data["tool"] ?? data["tool_name"];
    return typeof name === "string" ? name : undefined;
}

/** Times are never before those of the cause, whatever clocks say; so the picture has no arrows back. */
function risingTimes(events: readonly StoredEvent[]): number[] {
    const byId = new Map<string, number>();
    return events.map(event => {
        const cause = event.causationid === undefined ? undefined : byId.get(event.causationid);
        const ms = Math.max(eventMs(event), cause ?? Number.NEGATIVE_INFINITY);
        byId.set(event.id, ms);
        return ms;
    });
}

interface Scale {
    readonly place: (ms: number) => number;
    readonly folds: Fold[];
}

/** Maps times to 0…1, with long gaps folded. Equal times are spread by nothing: they happened at once. */
function scaleOf(times: readonly number[]): Scale {
    const sorted = [...new Set(times)].sort((a, b) => a - b);
    const first = sorted[0] ?? 0;
    const whole = (sorted.at(-1) ?? 0) - first;
    const longest = whole * FOLD_SHARE;
    const at = new Map<number, number>();
    const folded: { at: number; ms: number }[] = [];
    let shown = 0;
    for (let i = 0; i < sorted.length; i++) {
        const gap = i === 0 ? 0 : sorted[i]! - sorted[i - 1]!;
        if (gap > longest && sorted.length > 2) {
            folded.push({ at: shown + longest / 2, ms: gap });
            shown += longest;
        } else {
            shown += gap;
        }
        at.set(sorted[i]!, shown);
    }
    const share = shown === 0 ? 0 : 1 / shown;
    return {
        place: ms => at.get(ms)! * share,
        folds: folded.map(fold => ({ at: fold.at * share, ms: fold.ms })),
    };
}

/** Not Math.max(...times): a run may have more events than a call has arguments. */
function lengthOf(times: readonly number[]): number {
    const first = times[0] ?? 0;
    const least = times.reduce((found, time) => Math.min(found, time), first);
    return times.reduce((found, time) => Math.max(found, time), first) - least;
}

function isTimed(events: readonly StoredEvent[]): boolean {
    return events.filter(event => event.time !== undefined).length * 2 >= events.length;
}

export function waterfallOf(events: readonly StoredEvent[]): Waterfall {
    const timed = isTimed(events);
    const times = timed ? risingTimes(events) : events.map((_, i) => i);
    const scale = scaleOf(times);
    const lanes: string[] = [];
    const laneOf = new Map<string, number>();
    const indexOf = new Map<string, number>();
    const rows = events.map((event, i): Row => {
        if (!laneOf.has(event.source)) {
            laneOf.set(event.source, lanes.length);
            lanes.push(event.source);
        }
        indexOf.set(event.id, i);
        const cause = event.causationid === undefined ? undefined : indexOf.get(event.causationid);
        const from = cause !== undefined && ANSWERS.test(event.type) ? times[cause]! : times[i]!;
        return {
            event,
            lane: laneOf.get(event.source)!,
            begin: scale.place(from),
            end: scale.place(times[i]!),
            ms: timed ? times[i]! - from : 0,
            failed: isFailure(event),
            tokens: tokensOf(event),
            tool: toolOf(event),
        };
    });
    const ms = timed ? lengthOf(times) : 0;
    return { rows, lanes, folds: scale.folds, ms, timed };
}
