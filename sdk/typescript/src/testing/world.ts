/** What a test runs on: a bus in memory, or a server. */
import type { Bus } from "../bus.js";
import { SpoorError } from "../errors.js";
import type { Port } from "../port.js";
import { connect } from "../redis/connect.js";
import { findServer } from "../redis/address.js";
import { Connection } from "../redis/connection.js";
import { RedisPort } from "../redis/port.js";
import { asMap, asNumber } from "../redis/replies.js";
import type { VirtualClock } from "./clock.js";
import { HeldGroups, HeldPort } from "./held_port.js";
import { MemoryBus } from "./memory_bus.js";
import { MemoryPort } from "./memory_port.js";
import { MemoryStore } from "./memory_store.js";
import type { TestProcess } from "./process.js";

export interface World {
    readonly bus: Bus;
    openPort(): Promise<Port>;
    /** Whether nothing would happen any more without time passing. */
    isIdle(processes: readonly TestProcess[]): Promise<boolean>;
    close(): Promise<void>;
}

export class MemoryWorld implements World {
    readonly bus: Bus;
    readonly #store: MemoryStore;

    constructor(clock: VirtualClock, source: string) {
        this.#store = new MemoryStore(clock);
        this.bus = new MemoryBus(this.#store, source);
    }

    async openPort(): Promise<Port> {
        return new MemoryPort(this.#store);
    }

    async isIdle(processes: readonly TestProcess[]): Promise<boolean> {
        const alive = processes.filter(({ isDead }) => !isDead);
        if (alive.some(({ isBusy }) => isBusy)) {
            return false;
        }
        return alive.every(({ plan }) =>
            plan.reactions.every(({ group: { key, group: name } }) => {
                const group = this.#store.group(key, name);
                const of = processes.filter((process) => process.plan.name === plan.name);
                const asleep = of.reduce((sum, process) => sum + process.asleep(key), 0);
                const lost = of.some(({ isDead }) => isDead);
                // What a dead process had stays in flight until time passes.
                return (
                    (!group.isReady || asleep >= plan.concurrency) &&
                    (lost || group.count("flight") === asleep)
                );
            }),
        );
    }

    close(): Promise<void> {
        return this.bus.close();
    }
}

export class RealWorld implements World {
    readonly bus: Bus;
    readonly #url: string;
    readonly #clock: VirtualClock;
    readonly #groups = new HeldGroups();
    readonly #asking: Connection;
    readonly #ports: HeldPort[] = [];

    private constructor(url: string, clock: VirtualClock, bus: Bus, asking: Connection) {
        this.#url = url;
        this.#clock = clock;
        this.bus = bus;
        this.#asking = asking;
    }

    static async open(url: string, clock: VirtualClock, source: string): Promise<RealWorld> {
        const at = await findServer(url, { patience: 10_000 });
        return new RealWorld(
            at,
            clock,
            await connect(at, { source }),
            await Connection.open(at, { patience: 10_000 }),
        );
    }

    async openPort(): Promise<Port> {
        const port = new HeldPort(
            await RedisPort.open(this.#url, { patience: 10_000 }),
            this.#clock,
            this.#groups,
        );
        this.#ports.push(port);
        return port;
    }

    async isIdle(processes: readonly TestProcess[]): Promise<boolean> {
        const alive = processes.filter(({ isDead }) => !isDead);
        for (const { plan } of alive) {
            for (const { group } of plan.reactions) {
                if (!(await this.#isQuiet(group.key, group.group, plan.concurrency, processes))) {
                    return false;
                }
            }
        }
        return !alive.some(({ isBusy }) => isBusy) && !this.#lanes().some(({ hasDue }) => hasDue);
    }

    async close(): Promise<void> {
        await this.bus.close();
        await this.#asking.close();
    }

    async #isQuiet(
        key: string,
        group: string,
        concurrency: number,
        processes: readonly TestProcess[],
    ): Promise<boolean> {
        const lag = asMap(
            await this.#asking.send(["SPOOR.GROUP", "LAG", group, key]),
            "SPOOR.GROUP LAG",
        );
        const number = (name: string): number => asNumber(lag.get(name), name);
        const asleep = processes
            .filter(
                ({ isDead, plan }) =>
                    !isDead &&
                    plan.reactions.some(
                        (one) => one.group.key === key && one.group.group === group,
                    ),
            )
            .reduce((sum, process) => sum + process.asleep(key), 0);
        const held = this.#lanes()
            .filter((lane) => lane.group === group)
            .reduce((sum, lane) => sum + lane.held(key), 0);
        const still = number("in-flight") === asleep + held && number("waiting") === 0;
        return (
            still &&
            ((number("events") === 0 && (number("parked") === 0 || asleep + held > 0)) ||
                asleep >= concurrency)
        );
    }

    #lanes(): HeldPort["lanes"] {
        return this.#ports.flatMap(({ lanes }) => lanes);
    }
}

export function realUrl(real: string | true): string {
    const url = real === true ? process.env["SPOOR_URL"] : real;
    if (url === undefined) {
        throw new SpoorError('real: true needs $SPOOR_URL; or say real: "redis://…"');
    }
    return url;
}
