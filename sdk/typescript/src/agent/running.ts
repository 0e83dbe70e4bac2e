/** An agent that runs: its workers and its presence, over any bus. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { Port } from "../port.js";
import type { Plan, Reaction } from "./definition.js";
import { Live } from "./live.js";
import { Logger, standardError } from "./log.js";
import { Presence } from "./presence.js";
import { Worker } from "./worker.js";

export class RunningAgent {
    readonly #port: Port;
    readonly #log: Logger;
    readonly #live: Live;
    readonly #workers: Worker[] = [];
    readonly #presence: Presence;
    #stopped: Promise<void> | undefined;

    private constructor(plan: Plan, port: Port) {
        this.#port = port;
        const log = new Logger(plan.definition.log ?? standardError, { agent: plan.name });
        this.#log = log;
        this.#live = new Live(port, log);
        const { capabilities = [], version, data } = plan.definition;
        const announcement = {
            id: plan.name,
            capabilities,
            capacity: plan.concurrency,
            version,
            data,
        };
        this.#presence = new Presence(
            port,
            announcement,
            plan.heartbeat,
            () => this.load,
            this.#log,
        );
    }

    /**
     * Makes the groups, announces the agent and begins to take events. The port is its own from now
     * on.
     */
    static async start(plan: Plan, port: Port): Promise<RunningAgent> {
        const agent = new RunningAgent(plan, port);
        await agent.#begin(plan);
        return agent;
    }

    /** Handlers that run now. */
    get load(): number {
        return this.#workers.reduce((sum, worker) => sum + worker.load, 0);
    }

    /** Takes nothing more, finishes what it has, says good-bye. */
    stop(reason = "stopped"): Promise<void> {
        this.#stopped ??= this.#end(reason);
        return this.#stopped;
    }

    /** Stops in the middle, as a process that is killed. */
    abandon(): void {
        this.#presence.abandon();
        this.#live.stop();
        this.#workers.forEach((worker) => worker.abandon());
    }

    async #begin(plan: Plan): Promise<void> {
        if (plan.reactions.some(({ answers }) => answers)) {
            await this.#live.start();
        }
        for (const { group } of plan.reactions) {
            await this.#port.ensureGroup(group);
        }
        await this.#presence.start();
        const consumer = consumerName(plan.name);
        for (const reactions of lanesOf(plan.reactions)) {
            const { group, concurrency } = {
                group: reactions[0]!.group.group,
                concurrency: reactions[0]!.concurrency,
            };
            const lane = await this.#port.openLane(group, consumer);
            const settings = {
                agent: plan.name,
                concurrency: concurrency ?? plan.concurrency,
                prefetch: plan.prefetch,
            };
            this.#workers.push(
                new Worker(this.#port, lane, reactions, settings, this.#log, this.#live),
            );
        }
        this.#workers.forEach((worker) => worker.start());
        this.#log.info("started", {
            consumer,
            patterns: plan.reactions.map(({ pattern }) => pattern),
        });
    }

    async #end(reason: string): Promise<void> {
        await Promise.all(this.#workers.map((worker) => worker.stop()));
        this.#live.stop();
        try {
            await this.#presence.stop(reason);
        } catch (error) {
            this.#log.error("could not say good-bye", { error });
        }
        await this.#port.close();
        this.#log.info("stopped", { reason });
    }
}

/**
 * One worker for all handlers of a group name; one of its own for each that has a limit of its own.
 */
function lanesOf(reactions: readonly Reaction[]): Reaction[][] {
    const lanes = new Map<string, Reaction[]>();
    for (const reaction of reactions) {
        const own = reaction.concurrency === undefined ? "" : reaction.group.key;
        const id = `${reaction.group.group}\n${own}`;
        lanes.set(id, [...(lanes.get(id) ?? []), reaction]);
    }
    return [...lanes.values()];
}

/** Who takes part in the work: each process has a name of its own. */
function consumerName(agent: string): string {
    return `${agent}:${hostname()}:${process.pid}:${randomBytes(4).toString("hex")}`;
}
