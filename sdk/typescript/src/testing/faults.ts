/**
 * Stands between an agent and its bus, and does to the agent what the world does: kills it at a
 * chosen point, gives it an event twice, or events in another order. Over a bus in memory and over
 * a server alike.
 */
import type { Subscription } from "../bus.js";
import type { Clock } from "../clock.js";
import type { NewEvent, Published, SpoorEvent } from "../event.js";
import type { Announcement, Delivery, Failure, GroupSpec, IsHere, Lane, Port } from "../port.js";
import type { Query, SubscribeQuery } from "../query.js";
import { shuffle } from "./random.js";

/**
 * Where an agent can be killed: `"emit"`, `"step"` or `"step:name"` (its result is being kept),
 * `"ack"`, `"nack"`.
 */
export type CrashPoint = "emit" | "step" | `step:${string}` | "ack" | "nack";

export interface CrashPlan {
    readonly point: CrashPoint;
    /** After the bus has done it, but before the agent hears so. */
    readonly after: boolean;
}

/** What a test has asked for; all processes of an agent share it. */
export interface FaultPlan {
    crash: CrashPlan | undefined;
    /** So many of the next deliveries come twice. */
    duplicates: number;
    /** Deliveries come in an order of chance. */
    random: (() => number) | undefined;
}

/** Never comes: the process is dead. */
const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

const SHUFFLED = 64; // deliveries that are mixed with one another

export class FaultyPort implements Port {
    readonly clock: Clock;
    readonly #port: Port;
    readonly #plan: FaultPlan;
    readonly #die: () => void;
    readonly lanes: FaultyLane[] = [];
    isDead = false;

    constructor(port: Port, plan: FaultPlan, die: () => void) {
        this.#port = port;
        this.#plan = plan;
        this.#die = die;
        this.clock = port.clock;
    }

    async openLane(group: string, consumer: string): Promise<Lane> {
        const lane = new FaultyLane(
            await this.#port.openLane(group, consumer),
            this.#plan,
            () => this.isDead,
        );
        this.lanes.push(lane);
        return lane;
    }

    async ack(key: string, group: string, entryids: readonly string[]): Promise<void> {
        // What comes once more is not acknowledged yet; it comes when the worker has let go of all
        // that it acknowledges here: until then it would take it for a delivery that it works on.
        const comesAgain = (id: string): boolean =>
            this.lanes.some((lane) => lane.comesAgain(key, id));
        const again = entryids.filter(comesAgain);
        const really = entryids.filter((id) => !comesAgain(id));
        if (really.length > 0) {
            await this.#at(["ack"], () => this.#port.ack(key, group, really));
        }
        again.forEach((id) => this.lanes.forEach((lane) => lane.repeat(key, id)));
    }

    nack(key: string, group: string, entryid: string, failure: Failure): Promise<void> {
        return this.#at(["nack"], () => this.#port.nack(key, group, entryid, failure));
    }

    append(event: NewEvent): Promise<Published> {
        const { step } = (event.data ?? {}) as { step?: string };
        const points =
            event.type === "agent.step.completed" ? ["step", `step:${step ?? ""}`] : ["emit"];
        return this.#at(points, () => this.#port.append(event));
    }

    find(id: string, source: string): Promise<SpoorEvent | undefined> {
        return this.#at([], () => this.#port.find(id, source));
    }

    ensureGroup(spec: GroupSpec): Promise<void> {
        return this.#port.ensureGroup(spec);
    }

    extend(key: string, group: string, entryids: readonly string[]): Promise<void> {
        return this.#at([], () => this.#port.extend(key, group, entryids));
    }

    query(query: Query): Promise<SpoorEvent[]> {
        return this.#at([], () => this.#port.query(query));
    }

    subscribe(query: SubscribeQuery): Subscription {
        return this.#port.subscribe(query);
    }

    online(agent: Announcement): Promise<void> {
        return this.#at([], () => this.#port.online(agent));
    }

    heartbeat(id: string, load: number): Promise<boolean> {
        return this.#at([], () => this.#port.heartbeat(id, load));
    }

    offline(id: string, reason: string): Promise<void> {
        return this.#at([], () => this.#port.offline(id, reason));
    }

    close(): Promise<void> {
        return this.#port.close();
    }

    destroy(): void {
        this.isDead = true;
        this.#port.destroy();
    }

    async #at<T>(points: readonly string[], act: () => Promise<T>): Promise<T> {
        if (this.isDead) {
            return never<T>();
        }
        const { crash } = this.#plan;
        const dies = crash !== undefined && points.includes(crash.point);
        if (dies) {
            this.#plan.crash = undefined;
            if (crash.after) {
                await act();
            }
            this.#die();
            return never<T>();
        }
        try {
            const result = await act();
            return this.isDead ? never<T>() : result;
        } catch (error) {
            if (this.isDead) {
                return never<T>();
            }
            throw error;
        }
    }
}

export class FaultyLane implements Lane {
    readonly #lane: Lane;
    readonly #plan: FaultPlan;
    readonly #isDead: () => boolean;
    readonly #local: Delivery[] = [];
    readonly #twice = new Map<string, Delivery>();
    #coming = 0;

    constructor(lane: Lane, plan: FaultPlan, isDead: () => boolean) {
        this.#lane = lane;
        this.#plan = plan;
        this.#isDead = isDead;
    }

    /** Deliveries that were taken from the bus and not handed on yet. */
    get waiting(): number {
        return this.#local.length + this.#coming;
    }

    async receive(keys: readonly string[], count: number, isHere: IsHere): Promise<Delivery[]> {
        const { random } = this.#plan;
        if (this.#local.length === 0) {
            const deliveries = await this.#lane.receive(
                keys,
                random === undefined ? count : Math.max(count, SHUFFLED),
                isHere,
            );
            if (this.#isDead()) {
                return never<Delivery[]>();
            }
            if (random !== undefined) {
                shuffle(deliveries, random);
            }
            deliveries.forEach((delivery) => this.#mark(delivery));
            this.#local.push(...deliveries);
        }
        return this.#local.splice(0, count);
    }

    /** Whether the delivery comes once more in place of being acknowledged. */
    comesAgain(key: string, entryid: string): boolean {
        return this.#twice.has(`${key}\n${entryid}`);
    }

    /** Brings it once more, if it is of this lane. */
    repeat(key: string, entryid: string): void {
        const delivery = this.#twice.get(`${key}\n${entryid}`);
        if (delivery === undefined) {
            return;
        }
        this.#twice.delete(`${key}\n${entryid}`);
        this.#coming++;
        setImmediate(() => {
            // when the worker has let go of the first one
            this.#coming--;
            this.#local.push({ ...delivery, attempt: delivery.attempt + 1 });
            this.#lane.wake().catch((error: unknown) => {
                if (!this.#isDead()) {
                    throw error;
                }
            });
        });
    }

    wake(): Promise<void> {
        return this.#lane.wake();
    }

    close(): Promise<void> {
        return this.#lane.close();
    }

    #mark(delivery: Delivery): void {
        if (this.#plan.duplicates > 0) {
            this.#plan.duplicates--;
            this.#twice.set(`${delivery.key}\n${delivery.entryid}`, delivery);
        }
    }
}
