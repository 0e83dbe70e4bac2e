/** Says that the agent is there, what it can do and how busy it is, until it leaves. */
import type { Timer } from "../clock.js";
import { UnsupportedError } from "../errors.js";
import type { Announcement, Port } from "../port.js";
import type { Logger } from "./log.js";

export class Presence {
    readonly #port: Port;
    readonly #agent: Announcement;
    readonly #interval: number;
    readonly #load: () => number;
    readonly #log: Logger;
    #timer: Timer | undefined;
    #beating: Promise<void> | undefined;
    #over = false;

    constructor(
        port: Port,
        agent: Announcement,
        interval: number,
        load: () => number,
        log: Logger,
    ) {
        this.#port = port;
        this.#agent = agent;
        this.#interval = interval;
        this.#load = load;
        this.#log = log;
    }

    async start(): Promise<void> {
        try {
            await this.#port.online(this.#agent);
        } catch (error) {
            if (!(error instanceof UnsupportedError)) {
                throw error;
            }
            this.#log.warning(
                "the server keeps no presence; nobody will see this agent as online",
                { error },
            );
            this.#over = true;
            return;
        }
        this.#later();
    }

    async stop(reason: string): Promise<void> {
        if (this.#over) {
            return;
        }
        this.abandon();
        await this.#beating;
        await this.#port.offline(this.#agent.id, reason);
    }

    /** No further sign of life. */
    abandon(): void {
        this.#over = true;
        this.#timer?.cancel();
    }

    #later(): void {
        this.#timer = this.#port.clock.after(this.#interval, () => {
            this.#beating = this.#beat();
        });
    }

    async #beat(): Promise<void> {
        try {
            if (!(await this.#port.heartbeat(this.#agent.id, this.#load()))) {
                await this.#port.online(this.#agent);
            }
        } catch (error) {
            if (!this.#over) {
                this.#log.error("a heartbeat failed", { error });
            }
        }
        if (!this.#over) {
            this.#later();
        }
    }
}
