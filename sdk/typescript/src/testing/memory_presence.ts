/** Who is there, in memory: as the server keeps it, with its default limits. */
import type { AgentInfo, AgentQuery, AgentStatus } from "../bus.js";
import type { Clock, Timer } from "../clock.js";
import type { SpoorEvent } from "../event.js";
import type { Announcement } from "../port.js";
import type { MemoryLog } from "./memory_log.js";

const STALE_MS = 30_000;
const SUSPECT_MS = 90_000;
const GRACE_MS = 2_000; // for one whose connection was lost

interface Known {
    facts: Announcement;
    announced: number;
    seen: number;
    lastEvent: number | undefined;
    load: number;
    suspected: boolean;
    suspectedAt: number;
    gone: boolean;
    timer: Timer | undefined;
}

export class MemoryPresence {
    readonly #log: MemoryLog;
    readonly #clock: Clock;
    readonly #agents = new Map<string, Known>();

    constructor(log: MemoryLog, clock: Clock) {
        this.#log = log;
        this.#clock = clock;
        log.listen((event) => this.#hear(event));
    }

    online(facts: Announcement): void {
        const known = this.#agents.get(facts.id);
        const same =
            known !== undefined &&
            !known.gone &&
            JSON.stringify(known.facts) === JSON.stringify(facts);
        if (!same) {
            const now = this.#clock.now();
            known?.timer?.cancel();
            this.#agents.set(facts.id, {
                facts,
                announced: now,
                seen: known?.seen ?? now,
                lastEvent: known?.lastEvent,
                load: 0,
                suspected: known?.suspected === true && !known.gone,
                suspectedAt: known?.suspectedAt ?? now,
                gone: false,
                timer: undefined,
            });
            const { id, capabilities, capacity, version, data } = facts;
            this.#log.note(
                "agent.online",
                id,
                { ...data, capabilities, capacity, ...(version === undefined ? {} : { version }) },
                undefined,
                id,
            );
        }
        this.#sign(facts.id);
    }

    heartbeat(id: string, load: number): boolean {
        const known = this.#agents.get(id);
        if (known === undefined || known.gone) {
            return false;
        }
        known.load = load;
        this.#sign(id);
        return true;
    }

    offline(id: string, reason: string): void {
        const known = this.#agents.get(id);
        if (known !== undefined && !known.gone) {
            known.gone = true;
            known.load = 0;
            known.timer?.cancel();
            this.#log.note("agent.offline", id, { reason }, undefined, id);
        }
    }

    /** The last connection of the agent is gone. */
    lost(id: string): void {
        this.#suspectAfter(id, GRACE_MS, "connection lost");
    }

    list(query: AgentQuery): AgentInfo[] {
        const needed =
            typeof query.capability === "string" ? [query.capability] : (query.capability ?? []);
        return [...this.#agents.keys()]
            .sort()
            .map((id) => this.get(id)!)
            .filter(
                (agent) =>
                    needed.every((capability) => agent.capabilities.includes(capability)) &&
                    (query.status === undefined || agent.status === query.status) &&
                    (query.free !== true ||
                        (agent.status === "online" &&
                            (agent.capacity === null || agent.load < agent.capacity))),
            );
    }

    get(id: string): AgentInfo | undefined {
        const known = this.#agents.get(id);
        if (known === undefined) {
            return undefined;
        }
        const { facts, load } = known;
        return {
            id,
            status: this.#status(known),
            capabilities: facts.capabilities,
            capacity: facts.capacity,
            load,
            free: Math.max(0, facts.capacity - load),
            version: facts.version ?? null,
            announced: text(known.announced),
            last_seen: text(known.seen),
            last_event: known.lastEvent === undefined ? null : text(known.lastEvent),
            data: facts.data ?? {},
        };
    }

    #status(known: Known): AgentStatus {
        const silent = this.#clock.now() - known.seen;
        return known.gone
            ? "offline"
            : known.suspected
              ? "suspected"
              : silent < STALE_MS
                ? "online"
                : "stale";
    }

    /** Every event of an agent is a sign of its life. */
    #hear(event: SpoorEvent): void {
        const known = this.#agents.get(event.source);
        if (known !== undefined && !known.gone) {
            known.lastEvent = this.#clock.now();
            this.#sign(event.source);
        }
    }

    #sign(id: string): void {
        const known = this.#agents.get(id);
        if (known === undefined) {
            return;
        }
        const before = known.seen;
        known.seen = this.#clock.now();
        this.#suspectAfter(id, SUSPECT_MS, "silent");
        if (known.suspected) {
            known.suspected = false;
            const silent = this.#clock.now() - before;
            this.#log.note("agent.recovered", "$agents", {
                agent: id,
                suspected_at: text(known.suspectedAt),
                last_seen: text(before),
                silent_ms: silent,
            });
        }
    }

    #suspectAfter(id: string, ms: number, reason: string): void {
        const known = this.#agents.get(id);
        if (known === undefined || known.gone || known.suspected) {
            return;
        }
        known.timer?.cancel();
        known.timer = this.#clock.after(ms, () => {
            known.suspected = true;
            known.suspectedAt = this.#clock.now();
            this.#log.note("agent.suspected_failure", "$agents", {
                agent: id,
                last_seen: text(known.seen),
                silent_ms: known.suspectedAt - known.seen,
                reason,
            });
        });
    }
}

function text(ms: number): string {
    return `${new Date(ms).toISOString().slice(0, -1)}000Z`;
}
