/**
 * A server under virtual time. The server's clock cannot be moved, so it is made to hand out
 * further attempts at once, and they are held here until they are due by the clock of the test.
 * What is held is in flight for the server, so order by key is kept.
 */
import type { Subscription } from "../bus.js";
import type { Clock } from "../clock.js";
import type { NewEvent, Published, SpoorEvent } from "../event.js";
import type { Announcement, Delivery, Failure, GroupSpec, IsHere, Lane, Port } from "../port.js";
import type { Query, SubscribeQuery } from "../query.js";
import { backoffAfter } from "./memory_group.js";

const REAL_ACK_WAIT_MS = 600_000;
const LEAVE_MS = 1000;

/** What is known of a server's groups, for all processes of a test. */
export class HeldGroups {
    readonly specs = new Map<string, GroupSpec>();
    /** When an entry may be handed out again. */
    readonly due = new Map<string, number>();
}

export class HeldPort implements Port {
    readonly clock: Clock;
    readonly #port: Port;
    readonly #groups: HeldGroups;
    readonly lanes: HeldLane[] = [];

    constructor(port: Port, clock: Clock, groups: HeldGroups) {
        this.#port = port;
        this.clock = clock;
        this.#groups = groups;
    }

    ensureGroup(spec: GroupSpec): Promise<void> {
        this.#groups.specs.set(`${spec.key}\n${spec.group}`, spec);
        return this.#port.ensureGroup({
            ...spec,
            ackWait: REAL_ACK_WAIT_MS,
            backoff: { first: 1, max: 1, factor: 1, jitter: 0 },
        });
    }

    async openLane(group: string, consumer: string): Promise<Lane> {
        const lane = new HeldLane(
            await this.#port.openLane(group, consumer),
            group,
            this.clock,
            this.#groups,
        );
        this.lanes.push(lane);
        return lane;
    }

    ack(key: string, group: string, entryids: readonly string[]): Promise<void> {
        this.lanes.forEach((lane) => lane.done(key, entryids));
        return this.#port.ack(key, group, entryids);
    }

    nack(key: string, group: string, entryid: string, failure: Failure): Promise<void> {
        const attempt =
            this.lanes
                .map((lane) => lane.attemptOf(key, entryid))
                .find((known) => known !== undefined) ?? 1;
        const spec = this.#groups.specs.get(`${key}\n${group}`);
        const wait =
            failure.delay ?? (spec === undefined ? 0 : backoffAfter(spec.backoff, attempt));
        this.#groups.due.set(`${key}\n${group}\n${entryid}`, this.clock.now() + wait);
        this.lanes.forEach((lane) => lane.done(key, [entryid]));
        return this.#port.nack(key, group, entryid, failure);
    }

    extend(key: string, group: string, entryids: readonly string[]): Promise<void> {
        return this.#port.extend(key, group, entryids);
    }

    append(event: NewEvent): Promise<Published> {
        return this.#port.append(event);
    }

    find(id: string, source: string): Promise<SpoorEvent | undefined> {
        return this.#port.find(id, source);
    }

    query(query: Query): Promise<SpoorEvent[]> {
        return this.#port.query(query);
    }

    subscribe(query: SubscribeQuery): Subscription {
        return this.#port.subscribe(query);
    }

    online(agent: Announcement): Promise<void> {
        return this.#port.online(agent);
    }

    heartbeat(id: string, load: number): Promise<boolean> {
        return this.#port.heartbeat(id, load);
    }

    offline(id: string, reason: string): Promise<void> {
        return this.#port.offline(id, reason);
    }

    close(): Promise<void> {
        return this.#port.close();
    }

    destroy(): void {
        const due = this.clock.now() + LEAVE_MS;
        this.lanes.forEach((lane) => lane.abandon(due));
        this.#port.destroy();
    }
}

export class HeldLane implements Lane {
    readonly #lane: Lane;
    readonly group: string;
    readonly #clock: Clock;
    readonly #groups: HeldGroups;
    readonly #held: { delivery: Delivery; due: number }[] = [];
    readonly #out = new Map<string, Delivery>();
    #isDead = false;

    constructor(lane: Lane, group: string, clock: Clock, groups: HeldGroups) {
        this.#lane = lane;
        this.group = group;
        this.#clock = clock;
        this.#groups = groups;
    }

    /** Entries of a key that wait here for their time. */
    held(key: string): number {
        const now = this.#clock.now();
        return this.#held.filter(({ delivery, due }) => delivery.key === key && due > now).length;
    }

    /** Whether some could be handed out now. */
    get hasDue(): boolean {
        const now = this.#clock.now();
        return this.#held.some(({ due }) => due <= now);
    }

    async receive(keys: readonly string[], count: number, isHere: IsHere): Promise<Delivery[]> {
        const isHeld: IsHere = (key, id) =>
            isHere(key, id) ||
            this.#held.some(({ delivery }) => delivery.key === key && delivery.entryid === id);
        for (;;) {
            const ready = this.#due(count);
            if (ready.length > 0) {
                return ready.map((delivery) => this.#handOut(delivery));
            }
            const deliveries = await this.#lane.receive(keys, count, isHeld);
            const now: Delivery[] = [];
            for (const delivery of deliveries) {
                const due =
                    this.#groups.due.get(`${delivery.key}\n${this.group}\n${delivery.entryid}`) ??
                    0;
                if (due > this.#clock.now()) {
                    this.#held.push({ delivery, due });
                    this.#clock.after(due - this.#clock.now(), () => this.#look());
                } else {
                    now.push(this.#handOut(delivery));
                }
            }
            if (now.length > 0 || (deliveries.length === 0 && !this.hasDue)) {
                return now;
            }
        }
    }

    attemptOf(key: string, entryid: string): number | undefined {
        return this.#out.get(`${key}\n${entryid}`)?.attempt;
    }

    done(key: string, entryids: readonly string[]): void {
        entryids.forEach((id) => this.#out.delete(`${key}\n${id}`));
    }

    /** The process is dead: the server hands on what it had, which is due a little later. */
    abandon(due: number): void {
        for (const { key, entryid } of this.#out.values()) {
            this.#groups.due.set(`${key}\n${this.group}\n${entryid}`, due);
        }
        this.#isDead = true;
        this.#held.length = 0;
        this.#out.clear();
    }

    wake(): Promise<void> {
        return this.#lane.wake();
    }

    close(): Promise<void> {
        return this.#lane.close();
    }

    #look(): void {
        if (!this.#isDead) {
            this.#lane.wake().catch((error: unknown) => {
                if (!this.#isDead) {
                    throw error;
                }
            });
        }
    }

    #due(count: number): Delivery[] {
        const now = this.#clock.now();
        const ready = this.#held
            .filter(({ due }) => due <= now)
            .sort((a, b) => a.due - b.due)
            .slice(0, count);
        ready.forEach((one) => this.#held.splice(this.#held.indexOf(one), 1));
        return ready.map(({ delivery }) => delivery);
    }

    #handOut(delivery: Delivery): Delivery {
        this.#out.set(`${delivery.key}\n${delivery.entryid}`, delivery);
        return delivery;
    }
}
