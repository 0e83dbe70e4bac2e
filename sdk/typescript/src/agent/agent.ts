/**
 * defineAgent: an agent as a value, which runs in a process of its own or inside another program.
 */
import type { Port } from "../port.js";
import { RedisPort } from "../redis/port.js";
import { planOf, type AgentDefinition, type Plan } from "./definition.js";
import { Logger, standardError } from "./log.js";
import { RunningAgent } from "./running.js";

export interface StartOptions {
    /**
     * The server, by its Redis protocol or by HTTP; else $SPOOR_URL, else redis://127.0.0.1:7379.
     */
    url?: string | undefined;
    /**
     * How long to try to reach the server at first, in milliseconds; for ever where it is absent.
     */
    patience?: number | undefined;
}

export interface Agent {
    readonly name: string;
    readonly definition: AgentDefinition;
    /** Handlers that run now. */
    readonly load: number;
    /** Starts it, and returns when it takes events. */
    start(options?: StartOptions): Promise<void>;
    /** Takes nothing more, finishes what it has, and says good-bye. */
    stop(reason?: string): Promise<void>;
    /**
     * Runs it until SIGTERM or SIGINT, then finishes what it has. A second signal ends it at once.
     */
    run(options?: StartOptions): Promise<void>;
}

const plans = new WeakMap<Agent, Plan>();

export function defineAgent(definition: AgentDefinition): Agent {
    const plan = planOf(definition);
    const agent = new DefinedAgent(plan);
    plans.set(agent, plan);
    return agent;
}

/** What was defined, with everything filled in. */
export function planFor(agent: Agent): Plan {
    return plans.get(agent) ?? planOf(agent.definition);
}

class DefinedAgent implements Agent {
    readonly name: string;
    readonly definition: AgentDefinition;
    readonly #plan: Plan;
    #running: Promise<RunningAgent> | undefined;
    #agent: RunningAgent | undefined;

    constructor(plan: Plan) {
        this.name = plan.name;
        this.definition = plan.definition;
        this.#plan = plan;
    }

    get load(): number {
        return this.#agent?.load ?? 0;
    }

    async start(options: StartOptions = {}): Promise<void> {
        this.#running ??= this.#begin(options);
        try {
            this.#agent = await this.#running;
        } catch (error) {
            this.#running = undefined;
            throw error;
        }
    }

    async stop(reason?: string): Promise<void> {
        const running = this.#running;
        this.#running = undefined;
        await (await running)?.stop(reason);
        this.#agent = undefined;
    }

    async run(options: StartOptions = {}): Promise<void> {
        const signal = waitForSignal(this.#log());
        await this.start(options);
        await this.stop(await signal);
    }

    async #begin({ url, patience }: StartOptions): Promise<RunningAgent> {
        const log = this.#log();
        const port: Port = await RedisPort.open(url, {
            patience,
            onTrouble: (error, attempt) =>
                log.warning("no connection to the server; it is tried again", {
                    error,
                    try: attempt,
                }),
        });
        try {
            return await RunningAgent.start(this.#plan, port);
        } catch (error) {
            await port.close();
            throw error;
        }
    }

    #log(): Logger {
        return new Logger(this.definition.log ?? standardError, { agent: this.name });
    }
}

/** The name of the signal that asks the process to end. */
function waitForSignal(log: Logger): Promise<string> {
    return new Promise((resolve) => {
        let asked = false;
        const hear = (signal: NodeJS.Signals): void => {
            if (asked) {
                log.warning("stopped at once; what was under way is handed out again", { signal });
                process.exit(signal === "SIGINT" ? 130 : 143);
            }
            asked = true;
            log.info("stopping; a second signal stops at once", { signal });
            resolve(signal);
        };
        process.on("SIGTERM", hear);
        process.on("SIGINT", hear);
    });
}
