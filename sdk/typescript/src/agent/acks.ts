/**
 * Acknowledgements of one group. While some are under way the next ones gather, and then go as one
 * command: so there is never more than one on its way, and no timer that makes anybody wait.
 */
import { sleep } from "../clock.js";
import { ConnectionError } from "../errors.js";
import type { Port } from "../port.js";
import type { Logger } from "./log.js";

const BATCH = 1000;
const RETRY_MS = 500;

export class Acks {
    readonly #port: Port;
    readonly #key: string;
    readonly #group: string;
    readonly #log: Logger;
    readonly #done: (entryid: string) => void;
    readonly #isStopping: () => boolean;
    #waiting: string[] = [];
    #sending: Promise<void> | undefined;
    #ended = false;

    constructor(
        port: Port,
        key: string,
        group: string,
        log: Logger,
        done: (entryid: string) => void,
        isStopping: () => boolean,
    ) {
        this.#port = port;
        this.#key = key;
        this.#group = group;
        this.#log = log;
        this.#done = done;
        this.#isStopping = isStopping;
    }

    add(entryid: string): void {
        this.#waiting.push(entryid);
        this.#sending ??= this.#send();
    }

    /** Gives up: what is not said yet will be handed out again. */
    end(): void {
        this.#ended = true;
    }

    async #send(): Promise<void> {
        await Promise.resolve(); // what else is done in this turn goes along
        while (this.#waiting.length > 0 && !this.#ended) {
            const batch = this.#waiting.splice(0, BATCH);
            try {
                await this.#port.ack(this.#key, this.#group, batch);
                batch.forEach(this.#done);
            } catch (error) {
                const again = error instanceof ConnectionError && !this.#isStopping();
                this.#log.error(
                    again
                        ? "acknowledging failed; it is tried again"
                        : "acknowledging failed; it is handed out again",
                    { key: this.#key, count: batch.length, error },
                );
                if (again) {
                    this.#waiting.unshift(...batch);
                    await sleep(this.#port.clock, RETRY_MS);
                } else {
                    batch.forEach(this.#done);
                }
            }
        }
        this.#sending = undefined;
    }
}
