/** The bus in memory, as a program sees it. */
import {
    groupOf,
    type AgentInfo,
    type AgentQuery,
    type Bus,
    type DeadLetter,
    type DeadLetters,
    type Effect,
    type Subscription,
} from "../bus.js";
import { UnsupportedError } from "../errors.js";
import type { NewEvent, Published, PublishOptions, SpoorEvent } from "../event.js";
import type { Query, SubscribeQuery } from "../query.js";
import { identify, identifyAll } from "../redis/append.js";
import { SagaMethods } from "../sagas.js";
import type { MemoryStore } from "./memory_store.js";
import { select } from "./select.js";
import { subscribeTo, type MemorySubscription } from "./memory_subscription.js";

export class MemoryBus extends SagaMethods implements Bus {
    readonly deadLetters: DeadLetters;
    readonly #store: MemoryStore;
    readonly #source: string | undefined;
    readonly #subscriptions = new Set<MemorySubscription<never>>();

    constructor(store: MemoryStore, source: string | undefined) {
        super();
        this.#store = store;
        this.#source = source;
        this.deadLetters = {
            list: async <T>(
                ref: Parameters<DeadLetters["list"]>[0],
                options: { limit?: number | undefined } = {},
            ): Promise<DeadLetter<T>[]> => {
                const { key, group } = groupOf(ref);
                return store
                    .group(key, group)
                    .dead<T>()
                    .slice(0, options.limit ?? 100);
            },
            redrive: async (ref, ids) =>
                store.group(groupOf(ref).key, groupOf(ref).group).redrive(ids),
            discard: async (ref, ids) =>
                store.group(groupOf(ref).key, groupOf(ref).group).discard(ids),
        };
    }

    async command(words: readonly string[]): Promise<never> {
        throw new UnsupportedError(`a bus in memory has no ${words[0] ?? ""}: ask a server`);
    }

    async publish<T>(type: string, data?: T, options: PublishOptions = {}): Promise<Published> {
        return this.#store.log.append(identify({ ...options, type, data }, this.#source));
    }

    async publishBatch(events: readonly NewEvent[]): Promise<Published[]> {
        return this.#store.log.appendAll(identifyAll(events, this.#source));
    }

    async query<T>(query: Query = {}): Promise<SpoorEvent<T>[]> {
        return select(this.#store.log.events, query, this.#store.clock.now()) as SpoorEvent<T>[];
    }

    async *scan<T>(query: Query = {}): AsyncIterableIterator<SpoorEvent<T>> {
        yield* await this.query<T>({ ...query, limit: query.limit ?? Number.MAX_SAFE_INTEGER });
    }

    async get<T>(id: string, source?: string): Promise<SpoorEvent<T> | undefined> {
        const { log } = this.#store;
        return (source === undefined ? log.withId(id)[0] : log.find(id, source)) as
            SpoorEvent<T> | undefined;
    }

    async why(id: string): Promise<SpoorEvent[]> {
        return this.#store.log.causes(id);
    }

    async effects(id: string): Promise<Effect[]> {
        return this.#store.log.effects(id);
    }

    async sql(): Promise<never> {
        throw new UnsupportedError("a bus in memory has no read models: ask a server");
    }

    subscribe<T>(query: SubscribeQuery = {}): Subscription<T> {
        const subscription = subscribeTo<T>(this.#store, query);
        this.#subscriptions.add(subscription as unknown as MemorySubscription<never>);
        return subscription;
    }

    async agents(query: AgentQuery = {}): Promise<AgentInfo[]> {
        return this.#store.presence.list(query);
    }

    async agent(id: string): Promise<AgentInfo | undefined> {
        return this.#store.presence.get(id);
    }

    async close(): Promise<void> {
        this.#subscriptions.forEach((subscription) => subscription.close());
        this.#subscriptions.clear();
    }
}
