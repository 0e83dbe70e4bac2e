/** What an agent needs, from a server. */
import type { Subscription } from "../bus.js";
import { realClock, sleep, type Clock } from "../clock.js";
import { milliseconds } from "../duration.js";
import { SpoorError } from "../errors.js";
import { parseEvent, type NewEvent, type Published, type SpoorEvent } from "../event.js";
import type { Announcement, Delivery, Failure, GroupSpec, IsHere, Lane, Port } from "../port.js";
import { momentText, queryWords, type Query, type SubscribeQuery } from "../query.js";
import { findServer } from "./address.js";
import { appendWords, identify } from "./append.js";
import { Connection, LostError, type ConnectionOptions, type Reply } from "./connection.js";
import { asEvents, asList, asMap, asNumber, asPublished, asText } from "./replies.js";
import { RedisSubscription } from "./subscription.js";

/** How long a receive() waits on the server, in milliseconds. */
const BLOCK_MS = 10_000;
const WAKE_AGAIN_MS = 20;
/** More than a worker holds. */
const PENDING_MAX = 10_000;

export class RedisPort implements Port {
    readonly clock: Clock = realClock;
    readonly #url: string;
    readonly #options: ConnectionOptions;
    readonly #connection: Connection;
    readonly #lanes: RedisLane[] = [];
    readonly #subscriptions = new Set<Subscription>();

    private constructor(url: string, options: ConnectionOptions, connection: Connection) {
        this.#url = url;
        this.#options = options;
        this.#connection = connection;
    }

    static async open(
        url: string | undefined,
        options: ConnectionOptions = {},
    ): Promise<RedisPort> {
        const at = await findServer(url, options);
        return new RedisPort(at, options, await Connection.open(at, options));
    }

    async ensureGroup(spec: GroupSpec): Promise<void> {
        const { key, group } = spec;
        const policy = policyWords(spec);
        const from = spec.from === "now" ? "$" : momentText(spec.from);
        try {
            await this.#connection.send([
                "SPOOR.GROUP",
                "CREATE",
                group,
                key,
                "FROM",
                from,
                ...policy,
            ]);
        } catch (error) {
            if (!(error instanceof SpoorError) || !error.message.startsWith("BUSYGROUP")) {
                throw error;
            }
            const known = asMap(
                await this.#connection.send(["SPOOR.GROUP", "GET", group, key]),
                "SPOOR.GROUP GET",
            ).get("policy");
            if (!hasPolicy(known ?? null, policy)) {
                await this.#connection.send(["SPOOR.GROUP", "SET", group, key, ...policy]);
            }
        }
    }

    async openLane(group: string, consumer: string): Promise<Lane> {
        const lane = await RedisLane.open(
            this.#url,
            this.#options,
            this.#connection,
            group,
            consumer,
        );
        this.#lanes.push(lane);
        return lane;
    }

    async ack(key: string, group: string, entryids: readonly string[]): Promise<void> {
        await this.#connection.send(["XACK", key, group, ...entryids]);
    }

    async nack(key: string, group: string, entryid: string, failure: Failure): Promise<void> {
        const words = ["SPOOR.NACK", key, group, entryid, "ERROR", failure.error];
        if (failure.delay !== undefined) {
            words.push("DELAY", String(Math.ceil(failure.delay)));
        }
        if (failure.dead) {
            words.push("DEAD");
        }
        await this.#connection.send(words);
    }

    async extend(key: string, group: string, entryids: readonly string[]): Promise<void> {
        await this.#connection.send(["SPOOR.EXTEND", key, group, ...entryids]);
    }

    async append(event: NewEvent): Promise<Published> {
        const identified = identify(event, undefined);
        return asPublished(await this.#connection.send(appendWords(identified)), identified.id);
    }

    async find(id: string, source: string): Promise<SpoorEvent | undefined> {
        return asEvents(
            await this.#connection.send(["SPOOR.EVENT", id, "SOURCE", source]),
            "SPOOR.EVENT",
        )[0];
    }

    async query(query: Query): Promise<SpoorEvent[]> {
        const words = ["SPOOR.READ", ...queryWords(query)];
        return asEvents(await this.#connection.send(words), "SPOOR.READ");
    }

    subscribe(query: SubscribeQuery): Subscription {
        const subscription: Subscription = new RedisSubscription(this.#url, query, () =>
            this.#subscriptions.delete(subscription),
        );
        this.#subscriptions.add(subscription);
        return subscription;
    }

    async online(agent: Announcement): Promise<void> {
        const words = ["SPOOR.AGENT", "ONLINE", agent.id];
        for (const capability of agent.capabilities) {
            words.push("CAPABILITY", capability);
        }
        words.push("CAPACITY", String(agent.capacity));
        if (agent.version !== undefined) {
            words.push("VERSION", agent.version);
        }
        if (agent.data !== undefined) {
            words.push("DATA", JSON.stringify(agent.data));
        }
        await this.#connection.send(words);
    }

    async heartbeat(id: string, load: number): Promise<boolean> {
        try {
            await this.#connection.send(["SPOOR.AGENT", "HEARTBEAT", id, "LOAD", String(load)]);
            return true;
        } catch (error) {
            if (error instanceof SpoorError && error.message.startsWith("NOAGENT")) {
                return false;
            }
            throw error;
        }
    }

    async offline(id: string, reason: string): Promise<void> {
        await this.#connection.send(["SPOOR.AGENT", "OFFLINE", id, "REASON", reason]);
    }

    close(): Promise<void> {
        this.#subscriptions.forEach((subscription) => subscription.close());
        return this.#connection.close();
    }

    destroy(): void {
        this.#subscriptions.forEach((subscription) => subscription.close());
        this.#lanes.forEach((lane) => lane.destroy());
        this.#connection.destroy();
    }
}

class RedisLane implements Lane {
    readonly #receiving: Connection;
    readonly #asking: Connection;
    readonly #group: string;
    readonly #consumer: string;
    #client: { id: string; generation: number } | undefined;
    #waits = false;
    #isLost = false;
    /** Whether receive() is under way, and whether it is to end. */
    #isAsked = false;
    #isWoken = false;

    private constructor(
        receiving: Connection,
        asking: Connection,
        group: string,
        consumer: string,
    ) {
        this.#receiving = receiving;
        this.#asking = asking;
        this.#group = group;
        this.#consumer = consumer;
    }

    static async open(
        url: string,
        options: ConnectionOptions,
        asking: Connection,
        group: string,
        consumer: string,
    ): Promise<RedisLane> {
        return new RedisLane(await Connection.open(url, options), asking, group, consumer);
    }

    async receive(keys: readonly string[], count: number, isHere: IsHere): Promise<Delivery[]> {
        this.#isWoken = false;
        this.#isAsked = true;
        try {
            for (;;) {
                await this.#meet(keys, isHere);
                if (this.#isWoken) {
                    return [];
                }
                const deliveries = await this.#ask(keys, count);
                if (deliveries !== undefined) {
                    return deliveries;
                }
            }
        } finally {
            this.#isAsked = false;
        }
    }

    /**
     * What is handed out at this very moment still arrives: nothing is lost on a connection that is
     * closed.
     */
    async wake(): Promise<void> {
        this.#isWoken = true;
        while (this.#isAsked && this.#waits && this.#client !== undefined) {
            await this.#asking.send(["CLIENT", "UNBLOCK", this.#client.id, "TIMEOUT"]);
            await sleep(realClock, WAKE_AGAIN_MS); // it may have come before the command that waits
        }
    }

    async close(): Promise<void> {
        await this.#receiving.close();
    }

    destroy(): void {
        this.#receiving.destroy();
    }

    /** Undefined where the connection was lost meanwhile. */
    async #ask(keys: readonly string[], count: number): Promise<Delivery[] | undefined> {
        const words = ["SPOOR.RECEIVE", "GROUP", this.#group, this.#consumer, "COUNT"];
        words.push(String(count), "BLOCK", String(BLOCK_MS), "KEYS", ...keys);
        this.#waits = true;
        try {
            const reply = await this.#receiving.sendOnce(words);
            return reply === null ? [] : asList(reply, "SPOOR.RECEIVE").map(asDelivery);
        } catch (error) {
            if (!(error instanceof LostError)) {
                throw error;
            }
            this.#isLost = true;
            return undefined;
        } finally {
            this.#waits = false;
        }
    }

    /**
     * A new connection has a number of its own, and what the one before it was sent last may not
     * have come.
     */
    async #meet(keys: readonly string[], isHere: IsHere): Promise<void> {
        if (this.#client?.generation === this.#receiving.generation && !this.#isLost) {
            return;
        }
        const id = String(asNumber(await this.#receiving.send(["CLIENT", "ID"]), "CLIENT ID"));
        const { generation } = this.#receiving;
        if (this.#client !== undefined) {
            for (const key of keys) {
                await this.#giveBack(key, isHere);
            }
        }
        this.#client = { id, generation };
        this.#isLost = false;
    }

    async #giveBack(key: string, isHere: IsHere): Promise<void> {
        const words = ["XPENDING", key, this.#group, "-", "+", String(PENDING_MAX), this.#consumer];
        for (const row of asList(await this.#asking.send(words), "XPENDING")) {
            const entryid = asText(asList(row, "XPENDING")[0], "id");
            if (!isHere(key, entryid)) {
                await this.#asking.send([
                    "SPOOR.NACK",
                    key,
                    this.#group,
                    entryid,
                    "DELAY",
                    "0",
                    "ERROR",
                    "the connection was lost before the worker had the entry",
                ]);
            }
        }
    }
}

function asDelivery(row: Reply): Delivery {
    const [key, entryid, attempt, json] = asList(row, "SPOOR.RECEIVE");
    return {
        key: asText(key, "key"),
        entryid: asText(entryid, "id"),
        attempt: asNumber(attempt, "attempts"),
        event: parseEvent(asText(json, "event")),
    };
}

/** Whether a group has these options already, however its waits are written. */
function hasPolicy(known: Reply, wanted: readonly string[]): boolean {
    if (known === null) {
        return false;
    }
    const plain = (text: string): string =>
        text.startsWith("{")
            ? text
            : text.replace(
                  /\b(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+\b/g,
                  (span) => `${milliseconds(span)}ms`,
              );
    const has = asMap(known, "policy");
    return wanted.every(
        (word, at) =>
            at % 2 === 1 ||
            plain(asText(has.get(word) ?? "", "policy")) === plain(wanted[at + 1] ?? ""),
    );
}

/** The options of SPOOR.GROUP for a policy. */
export function policyWords(spec: GroupSpec): string[] {
    const { first, max, factor, jitter } = spec.backoff;
    return [
        "type",
        "",
        "filter",
        spec.filter === undefined ? "" : JSON.stringify(spec.filter),
        "ack-wait",
        `${Math.round(spec.ackWait)}ms`,
        "max-deliveries",
        String(spec.maxDeliveries),
        "backoff",
        `${Math.round(first)}ms..${Math.round(max)}ms x${factor} jitter ${jitter}`,
        "order-by",
        spec.orderBy,
        "max-in-flight",
        String(spec.maxInFlight),
    ];
}
