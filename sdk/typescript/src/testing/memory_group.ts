/**
 * A group of workers in memory (docs/groups.md).
 *
 *     new ──► in flight ──ack──► done
 *      │       ▲    │ nack, ack-wait over, worker gone
 *      ▼       │    ▼
 *     parked ──┴─ waiting ──attempts used up──► dead
 */
import type { Clock, Timer } from "../clock.js";
import type { DeadLetter } from "../bus.js";
import type { SpoorEvent } from "../event.js";
import type { Backoff, Delivery, Failure, GroupSpec } from "../port.js";
import { compileFilter, type EventTest } from "./filter.js";
import type { MemoryLog } from "./memory_log.js";
import { compilePattern, isWild } from "./pattern.js";

interface Entry {
    readonly event: SpoorEvent;
    state: "parked" | "flight" | "waiting" | "dead";
    attempts: number;
    consumer: string;
    /** When it may be handed out again. */
    due: number;
    /** Ack-wait of the attempt, or the backoff behind it. */
    timer: Timer | undefined;
    reason: string;
    error: string;
    died: number;
    delivered: number;
    /** Position of the letter that says it is dead. */
    letter: number;
}

export class MemoryGroup {
    readonly key: string;
    readonly name: string;
    readonly #log: MemoryLog;
    readonly #clock: Clock;
    readonly #wake: () => void;
    readonly #entries = new Map<string, Entry>();
    #spec: GroupSpec;
    #accepts: EventTest;
    #cursor: number;

    constructor(spec: GroupSpec, log: MemoryLog, clock: Clock, first: number, wake: () => void) {
        this.key = spec.key;
        this.name = spec.group;
        this.#spec = spec;
        this.#accepts = acceptsOf(spec);
        this.#log = log;
        this.#clock = clock;
        this.#cursor = first - 1;
        this.#wake = wake;
    }

    get policy(): GroupSpec {
        return this.#spec;
    }

    set policy(spec: GroupSpec) {
        this.#spec = spec;
        this.#accepts = acceptsOf(spec);
        this.#wake();
    }

    count(state: Entry["state"]): number {
        return this.#in(state).length;
    }

    /** Whether something could be handed out now. */
    get isReady(): boolean {
        this.#readOn(1);
        return this.#roomInFlight() > 0 && this.#ready().length > 0;
    }

    receive(consumer: string, count: number): Delivery[] {
        const wanted = Math.min(count, this.#roomInFlight());
        const deliveries: Delivery[] = [];
        while (deliveries.length < wanted) {
            this.#readOn(wanted - deliveries.length);
            const [entry] = this.#ready();
            if (entry === undefined) {
                break;
            }
            deliveries.push(this.#handOut(entry, consumer));
        }
        return deliveries;
    }

    ack(entryid: string): void {
        const entry = this.#entries.get(entryid);
        if (entry !== undefined && entry.state !== "dead") {
            entry.timer?.cancel();
            this.#entries.delete(entryid);
            this.#wake();
        }
    }

    nack(entryid: string, failure: Failure): void {
        const entry = this.#entries.get(entryid);
        if (entry?.state === "flight") {
            this.#fail(entry, failure.error, failure.dead, failure.delay);
        }
    }

    extend(entryid: string): void {
        const entry = this.#entries.get(entryid);
        if (entry?.state === "flight") {
            this.#waitForAck(entry);
        }
    }

    /** A worker is gone: what it had is due at once. */
    leave(consumer: string): void {
        for (const entry of this.#in("flight").filter((one) => one.consumer === consumer)) {
            this.#fail(entry, "", false, 0);
        }
    }

    dead<T>(): DeadLetter<T>[] {
        return this.#in("dead").map(({ event, attempts, reason, error, died }) => ({
            entryid: event.entryid,
            attempts,
            reason,
            error,
            time: new Date(died),
            event: event as SpoorEvent<T>,
        }));
    }

    redrive(entryids: readonly string[] | undefined): number {
        const entries = this.#dead(entryids);
        for (const entry of entries) {
            this.#log.note(
                "delivery.redriven",
                `$group:${this.key}:${this.name}`,
                this.#decided(entry),
                entry.event,
            );
            Object.assign(entry, { state: "waiting", attempts: 0, due: this.#clock.now() });
        }
        this.#wake();
        return entries.length;
    }

    discard(entryids: readonly string[] | undefined): number {
        const entries = this.#dead(entryids);
        for (const entry of entries) {
            this.#entries.delete(entry.event.entryid);
            this.#log.note(
                "delivery.discarded",
                `$group:${this.key}:${this.name}`,
                this.#decided(entry),
                entry.event,
            );
        }
        return entries.length;
    }

    #dead(entryids: readonly string[] | undefined): Entry[] {
        return this.#in("dead").filter(
            ({ event }) => entryids === undefined || entryids.includes(event.entryid),
        );
    }

    /** In the order of the log. */
    #in(state: Entry["state"]): Entry[] {
        return [...this.#entries.values()]
            .filter((entry) => entry.state === state)
            .sort((a, b) => a.event.position - b.event.position);
    }

    #roomInFlight(): number {
        return this.#spec.maxInFlight === 0
            ? Infinity
            : this.#spec.maxInFlight - this.count("flight");
    }

    /** Takes what is new into the table, until so many of it could be handed out. */
    #readOn(count: number): void {
        for (
            let found = this.#ready().length;
            found < count && this.#cursor < this.#log.events.length;
        ) {
            const event = this.#log.events[this.#cursor++]!;
            if (this.#accepts(event)) {
                this.#entries.set(event.entryid, {
                    event,
                    state: "parked",
                    attempts: 0,
                    consumer: "",
                    due: 0,
                    timer: undefined,
                    reason: "",
                    error: "",
                    died: 0,
                    delivered: 0,
                    letter: 0,
                });
                found++;
            }
        }
    }

    /** What can be handed out now: first what waited, then what is the first of its key. */
    #ready(): Entry[] {
        const now = this.#clock.now();
        const waiting = this.#in("waiting")
            .filter(({ due }) => due <= now)
            .sort((a, b) => a.due - b.due);
        const busy = new Set(
            [...this.#in("flight"), ...this.#in("waiting")].map((entry) => this.#keyOf(entry)),
        );
        const first = this.#in("parked").filter((entry) => {
            const key = this.#keyOf(entry);
            const free = key === undefined || !busy.has(key);
            busy.add(key);
            return free;
        });
        return [...waiting, ...first];
    }

    #keyOf({ event }: Entry): string | undefined {
        switch (this.#spec.orderBy) {
            case "none":
                return undefined;
            case "stream":
                return event.stream;
            case "source":
                return event.source;
            case "correlation":
                return event.correlationid;
        }
    }

    #handOut(entry: Entry, consumer: string): Delivery {
        entry.state = "flight";
        entry.consumer = consumer;
        entry.attempts++;
        entry.delivered = this.#clock.now();
        this.#waitForAck(entry);
        return {
            key: this.key,
            entryid: entry.event.entryid,
            attempt: entry.attempts,
            event: entry.event,
        };
    }

    #waitForAck(entry: Entry): void {
        entry.timer?.cancel();
        entry.timer = this.#clock.after(this.#spec.ackWait, () =>
            this.#fail(entry, "", false, undefined),
        );
    }

    #fail(entry: Entry, error: string, refused: boolean, delay: number | undefined): void {
        entry.timer?.cancel();
        entry.timer = undefined;
        entry.error = error;
        if (refused || entry.attempts >= this.#spec.maxDeliveries) {
            this.#bury(entry, refused);
            return;
        }
        const wait = delay ?? backoffAfter(this.#spec.backoff, entry.attempts);
        entry.state = "waiting";
        entry.due = this.#clock.now() + wait;
        entry.timer = this.#clock.after(wait, this.#wake);
        this.#log.note(
            "delivery.failed",
            `$group:${this.key}:${this.name}`,
            { ...this.#about(entry), error, retry_at: new Date(entry.due).toISOString() },
            entry.event,
        );
    }

    #bury(entry: Entry, refused: boolean): void {
        const delivered = new Date(entry.delivered).toISOString();
        Object.assign(entry, {
            state: "dead",
            reason: refused ? "refused" : "attempts",
            died: this.#clock.now(),
        });
        entry.letter = this.#log.note(
            "delivery.dead_lettered",
            `$dead:${this.key}:${this.name}`,
            {
                ...this.#about(entry),
                error: entry.error,
                reason: refused ? "refused by a consumer" : "attempts used up",
                delivered_at: delivered,
                stream: entry.event.stream,
                event: entry.event,
            },
            entry.event,
        );
        this.#wake();
    }

    #decided({ event, attempts, letter }: Entry): Record<string, unknown> {
        const { key, name: group } = this;
        return {
            key,
            group,
            id: event.id,
            position: event.position,
            entryid: event.entryid,
            attempts,
            letter,
        };
    }

    #about({ event, consumer, attempts }: Entry): Record<string, unknown> {
        return {
            key: this.key,
            group: this.name,
            id: event.id,
            position: event.position,
            entryid: event.entryid,
            consumer,
            attempt: attempts,
        };
    }
}

/** The wait behind the n-th attempt. A server leaves some of it to chance; here it is exact. */
export function backoffAfter(backoff: Backoff, attempts: number): number {
    return Math.min(backoff.max, backoff.first * backoff.factor ** (attempts - 1));
}

/**
 * What the group is given: nothing of the bus's own failures, or a group that fails would feed on
 * them.
 */
function acceptsOf(spec: GroupSpec): EventTest {
    const pattern = spec.key.replace(/^\$type:/, "");
    const type = compilePattern(pattern);
    const wild = isWild(pattern);
    const filter = spec.filter === undefined ? undefined : compileFilter(spec.filter);
    return (event) =>
        type(event.type) &&
        !(wild && /^\$(group|dead):/.test(event.stream)) &&
        (filter === undefined || filter(event));
}
