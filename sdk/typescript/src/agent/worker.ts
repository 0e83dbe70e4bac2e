/**
 * Takes events of one group, or of several with one name, and runs handlers with them: at most
 * `concurrency` at a time, with a bounded number held ready. Everything held is extended before its
 * time runs out.
 *
 *     receive ──► queue ──► running ──► acknowledged
 *                              └──────► failed (the server keeps it for later)
 */
import { sleep, type Timer } from "../clock.js";
import type { Delivery, Lane, Port } from "../port.js";
import { Acks } from "./acks.js";
import type { Reaction } from "./definition.js";
import { handle, refuse } from "./handling.js";
import type { Live } from "./live.js";
import type { Logger } from "./log.js";
import { Prefetch } from "./prefetch.js";

const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5000;
const BATCH_MAX = 1000;

/** An entry that is here and not acknowledged yet. */
interface Held {
    readonly delivery: Delivery;
    readonly reaction: Reaction;
    extended: number;
}

export interface WorkerSettings {
    readonly agent: string;
    readonly concurrency: number;
    readonly prefetch: number | undefined;
}

export class Worker {
    readonly #port: Port;
    readonly #lane: Lane;
    readonly #log: Logger;
    readonly #live: Live;
    readonly #settings: WorkerSettings;
    readonly #reactions: ReadonlyMap<string, Reaction>;
    readonly #acks = new Map<string, Acks>();
    readonly #prefetch: Prefetch;
    readonly #held = new Map<string, Held>();
    /** Entries of attempts that failed, of which the bus is being told. */
    readonly #refused = new Set<string>();
    readonly #queue: Held[] = [];
    #running = 0;
    #stopping = false;
    #dead = false;
    #changed: (() => void) | undefined;
    #loop: Promise<void> | undefined;
    #sweep: Timer | undefined;

    /** Reactions all have one group name; the lane is theirs. */
    constructor(
        port: Port,
        lane: Lane,
        reactions: readonly Reaction[],
        settings: WorkerSettings,
        log: Logger,
        live: Live,
    ) {
        this.#port = port;
        this.#live = live;
        this.#lane = lane;
        this.#log = log;
        this.#settings = settings;
        this.#prefetch = new Prefetch(settings.prefetch, settings.concurrency);
        this.#reactions = new Map(reactions.map((reaction) => [reaction.group.key, reaction]));
        for (const { group } of reactions) {
            this.#acks.set(
                group.key,
                new Acks(
                    port,
                    group.key,
                    group.group,
                    log,
                    (id) => this.#release(group.key, id),
                    () => this.#stopping,
                ),
            );
        }
    }

    /** Handlers that run now. */
    get load(): number {
        return this.#running;
    }

    start(): void {
        this.#loop = this.#receive();
        this.#sweepLater();
    }

    /** Takes nothing more; returns when all that it has is done. */
    async stop(): Promise<void> {
        this.#stopping = true;
        this.#signal();
        await this.#lane.wake();
        await this.#loop;
        while ((this.#held.size > 0 || this.#running > 0) && !this.#dead) {
            await this.#change();
        }
        this.#sweep?.cancel();
        await this.#lane.close();
    }

    /** Stops in the middle, as a process that is killed; nothing is said to anybody. */
    abandon(): void {
        this.#dead = true;
        this.#stopping = true;
        this.#sweep?.cancel();
        this.#acks.forEach((acks) => acks.end());
        this.#signal();
    }

    async #receive(): Promise<void> {
        const keys = [...this.#reactions.keys()];
        const { concurrency } = this.#settings;
        const isHere = (key: string, entryid: string): boolean =>
            this.#held.has(`${key}\n${entryid}`) || this.#refused.has(`${key}\n${entryid}`);
        let failures = 0;
        while (!this.#stopping) {
            const room = Math.min(
                BATCH_MAX,
                concurrency + this.#prefetch.allowance - this.#held.size,
            );
            if (room <= 0) {
                await this.#change();
                continue;
            }
            try {
                for (const delivery of await this.#lane.receive(keys, room, isHere)) {
                    this.#take(delivery);
                }
                failures = 0;
            } catch (error) {
                if (this.#stopping) {
                    return;
                }
                const wait = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(failures++, 10));
                this.#log.error("receiving failed; it is tried again", { error, wait_ms: wait });
                await sleep(this.#port.clock, wait);
            }
        }
    }

    #take(delivery: Delivery): void {
        const reaction = this.#reactions.get(delivery.key);
        const id = `${delivery.key}\n${delivery.entryid}`;
        // What came again while it is worked on here stays with the attempt that runs.
        if (reaction === undefined || this.#held.has(id)) {
            return;
        }
        const held = { delivery, reaction, extended: this.#port.clock.now() };
        this.#held.set(id, held);
        this.#queue.push(held);
        this.#startSome();
    }

    #startSome(): void {
        while (this.#running < this.#settings.concurrency && !this.#dead) {
            const held = this.#queue.shift();
            if (held === undefined) {
                return;
            }
            this.#running++;
            void this.#run(held);
        }
    }

    async #run({ delivery, reaction }: Held): Promise<void> {
        const began = performance.now();
        const failure = await handle(
            this.#port,
            this.#settings.agent,
            reaction,
            delivery,
            this.#log,
            this.#live,
        );
        this.#prefetch.took(performance.now() - began);
        if (this.#dead) {
            return;
        }
        if (failure === undefined) {
            this.#acks.get(delivery.key)?.add(delivery.entryid);
        } else {
            // Before the bus hears of it: it may come again faster than the answer.
            const id = `${delivery.key}\n${delivery.entryid}`;
            this.#refused.add(id);
            this.#release(delivery.key, delivery.entryid);
            await refuse(
                this.#port,
                delivery,
                reaction.group.group,
                failure,
                this.#log,
                () => this.#stopping,
            );
            this.#refused.delete(id);
        }
        this.#running--;
        this.#startSome();
        this.#signal();
    }

    #release(key: string, entryid: string): void {
        this.#held.delete(`${key}\n${entryid}`);
        this.#signal();
    }

    #change(): Promise<void> {
        return new Promise((resolve) => {
            const before = this.#changed;
            this.#changed = () => {
                before?.();
                resolve();
            };
        });
    }

    #signal(): void {
        const changed = this.#changed;
        this.#changed = undefined;
        changed?.();
    }

    /** Looks four times in ack-wait; what is here for half of it is extended. */
    #sweepLater(): void {
        const shortest = Math.min(
            ...[...this.#reactions.values()].map(({ group }) => group.ackWait),
        );
        this.#sweep = this.#port.clock.after(shortest / 4, () => {
            if (!this.#dead && !(this.#stopping && this.#held.size === 0)) {
                void this.#extend();
                this.#sweepLater();
            }
        });
    }

    async #extend(): Promise<void> {
        const now = this.#port.clock.now();
        for (const [key, { group }] of this.#reactions) {
            const due = [...this.#held.values()].filter(
                (held) => held.delivery.key === key && now - held.extended >= group.ackWait / 2 - 1,
            );
            if (due.length === 0) {
                continue;
            }
            try {
                await this.#port.extend(
                    key,
                    group.group,
                    due.map((held) => held.delivery.entryid),
                );
                due.forEach((held) => {
                    held.extended = now;
                });
            } catch (error) {
                this.#log.error("extending failed; another worker may be given the same", {
                    key,
                    count: due.length,
                    error,
                });
            }
        }
    }
}
