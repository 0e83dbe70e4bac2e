/** What an agent needs, from a bus in memory. */
import type { Subscription } from "../bus.js";
import type { Clock } from "../clock.js";
import type { NewEvent, Published, SpoorEvent } from "../event.js";
import type { Announcement, Delivery, Failure, GroupSpec, Lane, Port } from "../port.js";
import { identify } from "../redis/append.js";
import type { Query, SubscribeQuery } from "../query.js";
import type { MemoryStore } from "./memory_store.js";
import { subscribeTo } from "./memory_subscription.js";
import { select } from "./select.js";

const LEAVE_MS = 1000; // after which a server hands on what a worker had whose connection is gone

export class MemoryPort implements Port {
    readonly clock: Clock;
    readonly #store: MemoryStore;
    readonly #lanes: MemoryLane[] = [];
    readonly #subscriptions: Subscription[] = [];
    #agent: string | undefined;

    constructor(store: MemoryStore) {
        this.#store = store;
        this.clock = store.clock;
    }

    async ensureGroup(spec: GroupSpec): Promise<void> {
        this.#store.ensureGroup(spec);
    }

    async openLane(group: string, consumer: string): Promise<Lane> {
        const lane = new MemoryLane(this.#store, group, consumer);
        this.#lanes.push(lane);
        return lane;
    }

    async ack(key: string, group: string, entryids: readonly string[]): Promise<void> {
        entryids.forEach((id) => this.#store.group(key, group).ack(id));
    }

    async nack(key: string, group: string, entryid: string, failure: Failure): Promise<void> {
        this.#store.group(key, group).nack(entryid, failure);
    }

    async extend(key: string, group: string, entryids: readonly string[]): Promise<void> {
        entryids.forEach((id) => this.#store.group(key, group).extend(id));
    }

    async append(event: NewEvent): Promise<Published> {
        return this.#store.log.append(identify(event, undefined));
    }

    async find(id: string, source: string): Promise<SpoorEvent | undefined> {
        return this.#store.log.find(id, source);
    }

    async query(query: Query): Promise<SpoorEvent[]> {
        return select(this.#store.log.events, query, this.#store.clock.now());
    }

    subscribe(query: SubscribeQuery): Subscription {
        const subscription = subscribeTo(this.#store, query);
        this.#subscriptions.push(subscription);
        return subscription;
    }

    async online(agent: Announcement): Promise<void> {
        this.#agent = agent.id;
        this.#store.presence.online(agent);
    }

    async heartbeat(id: string, load: number): Promise<boolean> {
        return this.#store.presence.heartbeat(id, load);
    }

    async offline(id: string, reason: string): Promise<void> {
        this.#store.presence.offline(id, reason);
    }

    async close(): Promise<void> {
        this.#subscriptions.forEach((subscription) => subscription.close());
        await Promise.all(this.#lanes.map((lane) => lane.close()));
    }

    /** As if the process had been killed. */
    destroy(): void {
        this.#subscriptions.forEach((subscription) => subscription.close());
        this.#lanes.forEach((lane) => void lane.close());
        if (this.#agent !== undefined) {
            this.#store.presence.lost(this.#agent);
        }
    }
}

class MemoryLane implements Lane {
    readonly #store: MemoryStore;
    readonly #group: string;
    readonly #consumer: string;
    readonly #keys = new Set<string>();
    #woken = false;
    #closed = false;
    #turn = 0;

    constructor(store: MemoryStore, group: string, consumer: string) {
        this.#store = store;
        this.#group = group;
        this.#consumer = consumer;
    }

    async receive(keys: readonly string[], count: number): Promise<Delivery[]> {
        keys.forEach((key) => this.#keys.add(key));
        for (;;) {
            if (this.#closed || this.#woken) {
                this.#woken = false;
                return [];
            }
            const deliveries = this.#take(keys, count);
            if (deliveries.length > 0) {
                return deliveries;
            }
            await new Promise<void>((resolve) => this.#store.onChange(resolve));
        }
    }

    async wake(): Promise<void> {
        this.#woken = true;
        this.#store.wake();
    }

    async close(): Promise<void> {
        if (this.#closed) {
            return;
        }
        this.#closed = true;
        this.#store.wake();
        this.#store.clock.after(LEAVE_MS, () => {
            this.#keys.forEach((key) => this.#store.group(key, this.#group).leave(this.#consumer));
        });
    }

    /** The keys take turns at being asked first. */
    #take(keys: readonly string[], count: number): Delivery[] {
        const first = this.#turn++ % keys.length;
        const deliveries: Delivery[] = [];
        for (const key of [...keys.slice(first), ...keys.slice(0, first)]) {
            if (deliveries.length < count) {
                deliveries.push(
                    ...this.#store
                        .group(key, this.#group)
                        .receive(this.#consumer, count - deliveries.length),
                );
            }
        }
        return deliveries;
    }
}
