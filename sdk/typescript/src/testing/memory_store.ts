/** All of the bus in memory: the log, the groups and who is there. */
import type { Clock } from "../clock.js";
import { SpoorError } from "../errors.js";
import type { GroupSpec } from "../port.js";
import { MemoryGroup } from "./memory_group.js";
import { MemoryLog } from "./memory_log.js";
import { MemoryPresence } from "./memory_presence.js";
import { firstFrom } from "./select.js";

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
      known.policy = spec;
      return;
    }
    const first = firstFrom(this.log.events, spec.from, this.clock.now());
    const group = new MemoryGroup(spec, this.log, this.clock, first, () => this.wake());
    this.#groups.set(`${spec.key}\n${spec.group}`, group);
    this.log.note("group.created", `$group:${spec.key}:${spec.group}`, { key: spec.key, group: spec.group });
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
