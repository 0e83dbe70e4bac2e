/** What a program can do with a bus, be it a server (connect) or one in memory (spoor/testing). */
import type { NewEvent, Published, PublishOptions, SpoorEvent } from "./event.js";
import type { Query, SubscribeQuery } from "./query.js";
import type { SagaMethods } from "./sagas.js";
import type { SqlAnswer, SqlOptions, SqlValue } from "./sql.js";

export interface Bus extends Public<SagaMethods> {
    /** Appends an event; returns when it is durable. */
    publish<T = unknown>(type: string, data?: T, options?: PublishOptions): Promise<Published>;
    /** Appends all of them, in this order, or none; an expected version counts those before it. */
    publishBatch(events: readonly NewEvent[]): Promise<Published[]>;
    /** The events that a query asks for, at most 1000 where it has no limit. */
    query<T = unknown>(query?: Query): Promise<SpoorEvent<T>[]>;
    /** All events that a query asks for, read piece by piece. */
    scan<T = unknown>(query?: Query): AsyncIterableIterator<SpoorEvent<T>>;
    /** The event with this id; where several sources used one, the first of them. */
    get<T = unknown>(id: string, source?: string): Promise<SpoorEvent<T> | undefined>;
    /** Why it happened: the event itself, its cause, the cause of that, up to the root. */
    why(id: string): Promise<SpoorEvent[]>;
    /** What it caused, depth first; it is itself the first, at depth 0. */
    effects(id: string): Promise<Effect[]>;
    /** The rows that a SELECT over the read models gives; a bus in memory has none. */
    sql<T = { [column: string]: SqlValue }>(
        sql: string,
        options?: SqlOptions,
    ): Promise<SqlAnswer<T>>;
    /**
     * History from `from` on, then what comes, as one sequence without gap or double; without
     * `from`, from now on.
     */
    subscribe<T = unknown>(query?: SubscribeQuery): Subscription<T>;
    /** Agents, by what they can do and whether they are there. */
    agents(query?: AgentQuery): Promise<AgentInfo[]>;
    /** One agent; undefined where it never announced itself. */
    agent(id: string): Promise<AgentInfo | undefined>;
    /** What groups of workers have given up. */
    readonly deadLetters: DeadLetters;
    /** Ends all of it, subscriptions included. */
    close(): Promise<void>;
}

/** What a class offers to everybody. */
type Public<T> = { [member in keyof T]: T[member] };

export interface Effect {
    readonly depth: number;
    readonly event: SpoorEvent;
}

/** Iterate it; to end it, leave the loop or call close(). */
export interface Subscription<T = unknown> extends AsyncIterableIterator<SpoorEvent<T>> {
    /** Resolves when the server has taken it: what is appended from then on will be seen. */
    readonly ready: Promise<void>;
    close(): void;
}

export type AgentStatus = "online" | "stale" | "suspected" | "offline";

export interface AgentQuery {
    /** All of these. */
    capability?: string | readonly string[] | undefined;
    status?: AgentStatus | undefined;
    /** Only those that are online and can take more. */
    free?: boolean | undefined;
}

export interface AgentInfo {
    readonly id: string;
    readonly status: AgentStatus;
    readonly capabilities: readonly string[];
    readonly capacity: number | null;
    readonly load: number;
    readonly free: number | null;
    readonly version: string | null;
    readonly announced: string;
    readonly last_seen: string;
    readonly last_event: string | null;
    readonly data: { readonly [key: string]: unknown };
}

/** A group of workers: that of an agent's handler, or any by its key and name. */
export type GroupRef =
    | { readonly agent: string; readonly on: string; readonly handler?: string | undefined }
    | { readonly key: string; readonly group: string };

export interface DeadLetter<T = unknown> {
    /** The entry, for redrive() and discard(). */
    readonly entryid: string;
    readonly attempts: number;
    /** `attempts`: they were used up; `refused`: a worker gave it up. */
    readonly reason: string;
    /** What the last attempt failed with. */
    readonly error: string;
    readonly time: Date;
    readonly event: SpoorEvent<T>;
}

export interface DeadLetters {
    list<T = unknown>(
        group: GroupRef,
        options?: { limit?: number | undefined },
    ): Promise<DeadLetter<T>[]>;
    /** Back to the group, with attempts from 0. Without entry ids: all. Returns how many. */
    redrive(group: GroupRef, entryids?: readonly string[]): Promise<number>;
    /** Away for good. Without entry ids: all. Returns how many. */
    discard(group: GroupRef, entryids?: readonly string[]): Promise<number>;
}

/** The key and the name of a group. */
export function groupOf(ref: GroupRef): { key: string; group: string } {
    if ("key" in ref) {
        return ref;
    }
    return {
        key: `$type:${ref.on}`,
        group: ref.handler === undefined ? ref.agent : `${ref.agent}/${ref.handler}`,
    };
}
