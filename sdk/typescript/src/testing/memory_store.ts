/** All of the bus in memory: the log, the groups and who is there. */
import type { Clock } from "../clock.js";
import { SpoorError } from "../errors.js";
import type { GroupSpec } from "../port.js";
import { MemoryGroup } from "./memory_group.js";
import { MemoryLog } from "./memory_log.js";
import { MemoryPresence } from "./memory_presence.js";
import { firstFrom } from "./select.js";

function policyText({
    filter,
    ackWait,
    maxDeliveries,
    backoff,
    orderBy,
    maxInFlight,
}: GroupSpec): string {
    return JSON.stringify({ filter, ackWait, maxDeliveries, backoff, orderBy, maxInFlight });
}

export class MemoryStore {
    readonly clock: Clock;
    readonly log: MemoryLog;
    readonly presence: MemoryPresence;
    readonly #groups = new Map<string, MemoryGroup>();
    readonly #sleepers = new Set<() => void>();

    constructor(clock: Clock) {
        this.clock = clock;
        this.log = new MemoryLog(clock);
        this.presence = new MemoryPresence(this.log, clock);
        this.log.listen(() => this.wake());
    }

    get groups(): readonly MemoryGroup[] {
        return [...this.#groups.values()];
    }

    ensureGroup(spec: GroupSpec): void {
        const known = this.#groups.get(`${spec.key}\n${spec.group}`);
        if (known !== undefined) {
            if (policyText(known.policy) !== policyText(spec)) {
                known.policy = spec;
                this.#tellPolicy(spec);
            }
            return;
        }
        const first = firstFrom(this.log.events, spec.from, this.clock.now());
        const group = new MemoryGroup(spec, this.log, this.clock, first, () => this.wake());
        this.#groups.set(`${spec.key}\n${spec.group}`, group);
        const after = this.log.events[first - 2]?.entryid ?? "0-0";
        this.log.note("group.created", `$group:${spec.key}:${spec.group}`, {
            key: spec.key,
            group: spec.group,
            after,
            position: first - 1,
        });
        this.#tellPolicy(spec);
    }

    #tellPolicy(spec: GroupSpec): void {
        const { key, group, filter, ackWait, maxDeliveries, backoff, orderBy, maxInFlight } = spec;
        this.log.note("group.policy_changed", `$group:${key}:${group}`, {
            key,
            group,
            policy: "set",
            type: "",
            filter: filter === undefined ? "" : JSON.stringify(filter),
            ack_wait_ms: ackWait,
            max_deliveries: maxDeliveries,
            backoff_first_ms: backoff.first,
            backoff_max_ms: backoff.max,
            backoff_factor_milli: backoff.factor * 1000,
            backoff_jitter_milli: backoff.jitter * 1000,
            order_by: orderBy,
            max_in_flight: maxInFlight,
            keep_on_leave: 0,
        });
    }

    group(key: string, name: string): MemoryGroup {
        const group = this.#groups.get(`${key}\n${name}`);
        if (group === undefined) {
            throw new SpoorError(`NOGROUP No such key '${key}' or consumer group '${name}'`);
        }
        return group;
    }

    /** Those who wait look again. */
    wake(): void {
        const sleepers = [...this.#sleepers];
        this.#sleepers.clear();
        sleepers.forEach((look) => look());
    }

    /** Calls when something may have changed. */
    onChange(look: () => void): void {
        this.#sleepers.add(look);
    }
}
