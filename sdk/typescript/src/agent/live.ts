/**
 * What an agent must hear at once: that a step which runs here is no longer wanted. One
 * subscription, where the agent has steps.
 */
import type { Subscription } from "../bus.js";
import type { SpoorEvent } from "../event.js";
import type { Port } from "../port.js";
import type { Logger } from "./log.js";
import type { HandlingStep } from "./step_context.js";

const REMEMBERED_MAX = 10_000; // cancelled commands that may be handed out still

export class Live {
    readonly #port: Port;
    readonly #log: Logger;
    readonly #running = new Map<string, Set<HandlingStep>>();
    readonly #cancelled = new Map<string, string>();
    #subscription: Subscription | undefined;

    constructor(port: Port, log: Logger) {
        this.#port = port;
        this.#log = log;
    }

    /** When this returns, nothing that is appended from now on is missed. */
    async start(): Promise<void> {
        const last = await this.#port.query({ limit: 1, reverse: true });
        const from = (last[0]?.position ?? 0) + 1;
        this.#subscription = this.#port.subscribe({ type: "saga.step.cancelled", from });
        void this.#follow(this.#subscription);
    }

    stop(): void {
        this.#subscription?.close();
        this.#subscription = undefined;
    }

    /** Why the command was cancelled; undefined: it was not. */
    wasCancelled(command: string): string | undefined {
        return this.#cancelled.get(command);
    }

    /** Until what is returned is called, the context hears that its command is cancelled. */
    begin(context: HandlingStep): () => void {
        const { id } = context.event;
        const same = this.#running.get(id) ?? new Set();
        this.#running.set(id, same.add(context));
        const reason = this.#cancelled.get(id);
        if (reason !== undefined) {
            context.cancel(reason);
        }
        return () => {
            same.delete(context);
            if (same.size === 0) {
                this.#running.delete(id);
            }
        };
    }

    async #follow(subscription: Subscription): Promise<void> {
        try {
            for await (const event of subscription) {
                this.#take(event);
            }
        } catch (error) {
            this.#log.error("what is cancelled could not be followed", { error });
        }
    }

    #take({ causationid, data }: SpoorEvent): void {
        const told = (data ?? {}) as { command?: string; reason?: string };
        const command = causationid ?? told.command ?? "";
        const reason = told.reason ?? "the saga no longer wants it";
        this.#cancelled.set(command, reason);
        if (this.#cancelled.size > REMEMBERED_MAX) {
            this.#cancelled.delete(this.#cancelled.keys().next().value ?? "");
        }
        for (const context of this.#running.get(command) ?? []) {
            context.log.info("cancelled", { reason });
            context.cancel(reason);
        }
    }
}
