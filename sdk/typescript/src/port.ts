/**
 * What an agent needs of a bus. A server offers it (redis/port.ts), and so does the bus in memory
 * (testing/memory_port.ts): the code that runs handlers is the same over both.
 */
import type { Subscription } from "./bus.js";
import type { Clock } from "./clock.js";
import type { NewEvent, Published, SpoorEvent } from "./event.js";
import type { Filter, Moment, Query, SubscribeQuery } from "./query.js";

/** A group of workers with its policy (docs/groups.md). Times are milliseconds. */
export interface GroupSpec {
    key: string;
    group: string;
    from: Moment;
    filter: Filter | undefined;
    ackWait: number;
    maxDeliveries: number;
    backoff: Backoff;
    orderBy: "none" | "stream" | "source" | "correlation";
    maxInFlight: number;
}

export interface Backoff {
    first: number;
    max: number;
    factor: number;
    /** The share of a wait that is left to chance, 0 to 1. */
    jitter: number;
}

export interface Delivery {
    key: string;
    entryid: string;
    /** Deliveries of this entry, this one included. */
    attempt: number;
    event: SpoorEvent;
}

export interface Failure {
    error: string;
    /** No further attempt. */
    dead: boolean;
    /** In place of the backoff. */
    delay?: number | undefined;
}

export interface Announcement {
    id: string;
    capabilities: readonly string[];
    capacity: number;
    version: string | undefined;
    data: { readonly [key: string]: unknown } | undefined;
}

export type IsHere = (key: string, entryid: string) => boolean;

/** A worker of a group: a connection of its own, for it waits. */
export interface Lane {
    /**
     * At most count entries of these keys; none after a while without any, or when it was woken.
     * What the bus believes to be with this worker and is not here was lost on its way, and is
     * given back.
     */
    receive(keys: readonly string[], count: number, isHere: IsHere): Promise<Delivery[]>;
    /** Ends a receive() that waits. */
    wake(): Promise<void>;
    close(): Promise<void>;
}

export interface Port {
    readonly clock: Clock;
    ensureGroup(spec: GroupSpec): Promise<void>;
    openLane(group: string, consumer: string): Promise<Lane>;
    ack(key: string, group: string, entryids: readonly string[]): Promise<void>;
    nack(key: string, group: string, entryid: string, failure: Failure): Promise<void>;
    /** The entries stay with their consumer: ack-wait starts anew. */
    extend(key: string, group: string, entryids: readonly string[]): Promise<void>;
    append(event: NewEvent): Promise<Published>;
    /** The event with this id of this source. */
    find(id: string, source: string): Promise<SpoorEvent | undefined>;
    query(query: Query): Promise<SpoorEvent[]>;
    subscribe(query: SubscribeQuery): Subscription;
    online(agent: Announcement): Promise<void>;
    /** False where the bus does not know the agent: then it has to announce itself anew. */
    heartbeat(id: string, load: number): Promise<boolean>;
    offline(id: string, reason: string): Promise<void>;
    close(): Promise<void>;
    /** Ends all connections at once, as when the process is killed. */
    destroy(): void;
}
