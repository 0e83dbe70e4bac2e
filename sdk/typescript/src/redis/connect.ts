/** A bus that is a server. */
import type { AgentInfo, AgentQuery, Bus, DeadLetters, Effect, Subscription } from "../bus.js";
import type { NewEvent, Published, PublishOptions, SpoorEvent } from "../event.js";
import { queryWords, type Query, type SubscribeQuery } from "../query.js";
import { appendWords, batchWords, identify, identifyAll } from "./append.js";
import { findServer } from "./address.js";
import { Connection } from "./connection.js";
import { RedisDeadLetters } from "./dead_letters.js";
import {
    asEvents,
    asList,
    asMap,
    asNumber,
    asPublished,
    asPublishedAll,
    asText,
} from "./replies.js";
import { RedisSubscription } from "./subscription.js";
import { SagaMethods } from "../sagas.js";
import { asSqlAnswer, sqlWords, type SqlAnswer, type SqlOptions } from "../sql.js";

export interface ConnectOptions {
    /** The source of events that do not name one. */
    source?: string | undefined;
    /** How long to try to reach the server, in milliseconds; 10 s where it is absent. */
    patience?: number | undefined;
    /** How long a command waits for a connection that was lost; 30 s where it is absent. */
    retryFor?: number | undefined;
    /** Hears of every lost connection; it comes back by itself. */
    onTrouble?: ((error: Error) => void) | undefined;
}

/**
 * Connects to a server: $SPOOR_URL, else redis://127.0.0.1:7379, where no URL is given. A http://
 * URL is asked where the Redis protocol is spoken.
 */
export async function connect(url?: string, options: ConnectOptions = {}): Promise<Bus> {
    const { source, patience = 10_000, retryFor, onTrouble } = options;
    const at = await findServer(url, { patience, onTrouble });
    return new RedisBus(at, await Connection.open(at, { patience, retryFor, onTrouble }), source);
}

const PAGE = 1000; // events that scan() reads at a time

class RedisBus extends SagaMethods implements Bus {
    readonly deadLetters: DeadLetters;
    readonly #url: string;
    readonly #connection: Connection;
    readonly #source: string | undefined;
    readonly #subscriptions = new Set<Subscription<never>>();

    constructor(url: string, connection: Connection, source: string | undefined) {
        super();
        this.#url = url;
        this.#connection = connection;
        this.#source = source;
        this.deadLetters = new RedisDeadLetters(connection);
    }

    command(words: readonly string[]): Promise<unknown> {
        return this.#connection.send([...words]);
    }

    async publish<T>(type: string, data?: T, options: PublishOptions = {}): Promise<Published> {
        const event = identify({ ...options, type, data }, this.#source);
        return asPublished(await this.#connection.send(appendWords(event)), event.id);
    }

    async publishBatch(events: readonly NewEvent[]): Promise<Published[]> {
        const batch = identifyAll(events, this.#source);
        return batch.length === 0
            ? []
            : asPublishedAll(await this.#connection.send(batchWords(batch)), batch);
    }

    async query<T>(query: Query = {}): Promise<SpoorEvent<T>[]> {
        return asEvents<T>(
            await this.#connection.send(["SPOOR.READ", ...queryWords(query)]),
            "SPOOR.READ",
        );
    }

    async *scan<T>(query: Query = {}): AsyncIterableIterator<SpoorEvent<T>> {
        let left = query.limit ?? Infinity;
        let page = { ...query };
        while (left > 0) {
            const limit = Math.min(left, PAGE);
            const events = await this.query<T>({ ...page, limit });
            yield* events;
            const last = events.at(-1);
            if (last === undefined || events.length < limit) {
                return;
            }
            left -= events.length;
            if (query.reverse === true && last.position === 1) {
                return;
            }
            page =
                query.reverse === true
                    ? { ...page, until: last.position - 1 }
                    : { ...page, from: last.position + 1 };
        }
    }

    async get<T>(id: string, source?: string): Promise<SpoorEvent<T> | undefined> {
        const words = ["SPOOR.EVENT", id, ...(source === undefined ? [] : ["SOURCE", source])];
        return asEvents<T>(await this.#connection.send(words), "SPOOR.EVENT")[0];
    }

    async why(id: string): Promise<SpoorEvent[]> {
        const trace = asMap(await this.#connection.send(["SPOOR.TRACE", id]), "SPOOR.TRACE");
        return asEvents(trace.get("causes") ?? null, "SPOOR.TRACE");
    }

    async effects(id: string): Promise<Effect[]> {
        const trace = asMap(await this.#connection.send(["SPOOR.TRACE", id]), "SPOOR.TRACE");
        return asList(trace.get("effects") ?? null, "SPOOR.TRACE").map((row) => {
            const [depth, event] = asList(row, "SPOOR.TRACE");
            return {
                depth: asNumber(depth, "depth"),
                event: asEvents([asText(event, "event")], "SPOOR.TRACE")[0]!,
            };
        });
    }

    async sql<T>(sql: string, options: SqlOptions = {}): Promise<SqlAnswer<T>> {
        const reply = await this.#connection.send(sqlWords(sql, options));
        return asSqlAnswer<T>(asText(reply, "SPOOR.QUERY"));
    }

    subscribe<T>(query: SubscribeQuery = {}): Subscription<T> {
        const subscription: Subscription<T> = new RedisSubscription<T>(this.#url, query, () =>
            this.#subscriptions.delete(subscription as Subscription<never>),
        );
        this.#subscriptions.add(subscription as Subscription<never>);
        return subscription;
    }

    async agents(query: AgentQuery = {}): Promise<AgentInfo[]> {
        const words = ["SPOOR.AGENT", "LIST"];
        const { capability = [], status, free } = query;
        for (const needed of typeof capability === "string" ? [capability] : capability) {
            words.push("CAPABILITY", needed);
        }
        if (status !== undefined) {
            words.push("STATUS", status);
        }
        if (free === true) {
            words.push("FREE");
        }
        const lines = asList(await this.#connection.send(words), "SPOOR.AGENT");
        return lines.map((line) => JSON.parse(asText(line, "SPOOR.AGENT")) as AgentInfo);
    }

    async agent(id: string): Promise<AgentInfo | undefined> {
        const reply = await this.#connection.send(["SPOOR.AGENT", "GET", id]);
        return reply === null ? undefined : (JSON.parse(asText(reply, "SPOOR.AGENT")) as AgentInfo);
    }

    async close(): Promise<void> {
        for (const subscription of [...this.#subscriptions]) {
            subscription.close();
        }
        await this.#connection.close();
    }
}
