/**
 * The one connection behind a page that shows states: whatever its parts want to hear of goes over
 * the same subscription, which is opened anew when their wishes change. Nothing is missed by that:
 * who is new fetches the state first, and a change in between is asked for by position.
 */
import { Live } from "./live.js";
import { matches } from "./patterns.js";
import type { Frame } from "./sse.js";

export interface Listener {
    /** Patterns of the types whose events it wants to hear of. */
    readonly types: readonly string[];
    /** Whether it wants the server's figures. */
    readonly metrics: boolean;
    readonly onEvents: () => void;
    readonly onMetrics: (text: string) => void;
}

const METRICS_EVERY = "2s";
const NO_TYPE = "spoor.ui.none"; // no event is of it: the connection is for figures alone

const listeners = new Set<Listener>();
let live: Live | undefined;
let wishes = "";
let position: number | undefined;
let planned = false;

export function listen(listener: Listener): () => void {
    listeners.add(listener);
    plan();
    return () => {
        listeners.delete(listener);
        plan();
    };
}

/** Parts come and go together when the view changes: one look when they are done. */
function plan(): void {
    if (!planned) {
        planned = true;
        queueMicrotask(() => {
            planned = false;
            connect();
        });
    }
}

function connect(): void {
    const types = [...new Set([...listeners].flatMap(listener => listener.types))].sort();
    const metrics = [...listeners].some(listener => listener.metrics);
    const wanted = listeners.size === 0 ? "" : JSON.stringify([types, metrics]);
    if (wanted === wishes) {
        return;
    }
    wishes = wanted;
    live?.close();
    live = undefined;
    if (listeners.size === 0) {
        position = undefined;
        return;
    }
    live = new Live({
        query: {
            type: types.length > 0 ? types : NO_TYPE,
            from: position === undefined ? "now" : position + 1,
            metrics: metrics ? METRICS_EVERY : undefined,
        },
        onFrames: hand,
    });
}

function typeOf(frame: Frame): string {
    const event = JSON.parse(frame.data) as { type: string; position: number };
    position = event.position;
    return event.type;
}

function hand(frames: readonly Frame[]): void {
    const types = new Set(frames.filter(frame => frame.event === "message").map(typeOf));
    const gap = frames.some(frame => frame.event === "gap");
    const figures = frames.filter(frame => frame.event === "metrics").at(-1);
    for (const listener of listeners) {
        const hears = (type: string) => listener.types.some(pattern => matches(pattern, type));
        if (gap || [...types].some(hears)) {
            listener.onEvents();
        }
        if (listener.metrics && figures !== undefined) {
            listener.onMetrics(figures.data);
        }
    }
}
