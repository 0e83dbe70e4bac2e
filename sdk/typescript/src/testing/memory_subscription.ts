/**
 * A subscription to the bus in memory: a place in the log, and who waits for what comes behind it.
 */
import type { Subscription } from "../bus.js";
import type { SpoorEvent } from "../event.js";
import type { SubscribeQuery } from "../query.js";
import type { EventTest } from "./filter.js";
import type { MemoryLog } from "./memory_log.js";
import type { MemoryStore } from "./memory_store.js";
import { compileConditions, firstFrom } from "./select.js";

export class MemorySubscription<T> implements Subscription<T> {
    readonly ready = Promise.resolve();
    readonly #log: MemoryLog;
    readonly #wanted: EventTest;
    readonly #unlisten: () => void;
    #next: number;
    #done = false;
    #waiting: (() => void)[] = [];

    constructor(log: MemoryLog, from: number, wanted: EventTest, signal: AbortSignal | undefined) {
        this.#log = log;
        this.#next = from;
        this.#wanted = wanted;
        this.#unlisten = log.listen(() => this.#look());
        signal?.addEventListener("abort", () => this.close(), { once: true });
        if (signal?.aborted === true) {
            this.close();
        }
    }

    [Symbol.asyncIterator](): this {
        return this;
    }

    async next(): Promise<IteratorResult<SpoorEvent<T>>> {
        for (;;) {
            while (!this.#done && this.#next <= this.#log.events.length) {
                const event = this.#log.events[this.#next++ - 1]!;
                if (this.#wanted(event)) {
                    return { done: false, value: event as SpoorEvent<T> };
                }
            }
            if (this.#done) {
                return { done: true, value: undefined };
            }
            await new Promise<void>((resolve) => this.#waiting.push(resolve));
        }
    }

    async return(): Promise<IteratorResult<SpoorEvent<T>>> {
        this.close();
        return { done: true, value: undefined };
    }

    close(): void {
        this.#done = true;
        this.#unlisten();
        this.#look();
    }

    #look(): void {
        this.#waiting.splice(0).forEach((go) => go());
    }
}

/** A subscription to what the store has, from where the query says; else from now on. */
export function subscribeTo<T>(
    { log, clock }: MemoryStore,
    query: SubscribeQuery,
): MemorySubscription<T> {
    const from =
        query.from === undefined
            ? log.events.length + 1
            : firstFrom(log.events, query.from, clock.now());
    return new MemorySubscription<T>(log, from, compileConditions(query), query.signal);
}
