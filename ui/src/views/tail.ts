/**
 * What the live tail holds: the newest events, newest first, and how many came per second. Events
 * stay the texts they came as until a row shows them, so that thousands a second cost little.
 */
import type { Frame } from "../api/sse.js";
import type { StoredEvent } from "../api/types.js";

export const TAIL_EVENTS_MAX = 5000;
export const RATE_SECONDS = 60;

class Entry {
    constructor(private content: string | StoredEvent) {}

    get event(): StoredEvent {
        if (typeof this.content === "string") {
            this.content = JSON.parse(this.content) as StoredEvent;
        }
        return this.content;
    }
}

export class Tail {
    private entries: Entry[] = []; // oldest first
    private held: Entry[] = [];
    private heldDropped = 0;
    private readonly rates: number[] = [];
    private second = 0;
    private pausedNow = false;

    /** Events that were lost to retention or damage: said by the server. */
    readonly gaps: string[] = [];

    get count(): number {
        return this.entries.length;
    }

    get paused(): boolean {
        return this.pausedNow;
    }

    /** How many came since it was paused. */
    get newer(): number {
        return this.held.length + this.heldDropped;
    }

    /** 0: the newest. */
    at(index: number): StoredEvent {
        return this.entries[this.entries.length - 1 - index]!.event;
    }

    /** Events in each of the last seconds, the current one last. */
    perSecond(nowMs: number): readonly number[] {
        this.turnTo(Math.floor(nowMs / 1000));
        return this.rates;
    }

    /** What was there before the tail began; it counts as no rate. */
    fill(history: readonly StoredEvent[]): void {
        this.entries = newest([...history.map(event => new Entry(event)), ...this.entries]);
    }

    take(frames: readonly Frame[], nowMs: number): void {
        this.turnTo(Math.floor(nowMs / 1000));
        for (const frame of frames) {
            if (frame.event === "gap") {
                this.gaps.push(frame.data);
            } else if (frame.event === "message") {
                (this.pausedNow ? this.held : this.entries).push(new Entry(frame.data));
                this.rates[this.rates.length - 1]!++;
            }
        }
        this.entries = newest(this.entries);
        const held = newest(this.held);
        this.heldDropped += this.held.length - held.length;
        this.held = held;
    }

    pause(): void {
        this.pausedNow = true;
    }

    resume(): void {
        this.pausedNow = false;
        this.entries = newest([...this.entries, ...this.held]);
        this.held = [];
        this.heldDropped = 0;
    }

    private turnTo(second: number): void {
        const passed = this.second === 0 ? RATE_SECONDS : second - this.second;
        for (let i = 0; i < Math.min(passed, RATE_SECONDS); i++) {
            this.rates.push(0);
        }
        this.rates.splice(0, this.rates.length - RATE_SECONDS);
        this.second = Math.max(second, this.second);
    }
}

function newest(entries: Entry[]): Entry[] {
    return entries.length > TAIL_EVENTS_MAX ? entries.slice(-TAIL_EVENTS_MAX) : entries;
}
