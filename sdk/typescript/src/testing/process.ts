/** A process of an agent, as far as a test is concerned: it can be killed in the middle. */
import type { HandlingContext } from "../agent/context.js";
import type { Plan } from "../agent/definition.js";
import { RunningAgent } from "../agent/running.js";
import type { Port } from "../port.js";
import { FaultyPort, type FaultPlan } from "./faults.js";
import { watched, type Spy } from "./spy.js";

export class TestProcess {
    readonly plan: Plan;
    readonly port: FaultyPort;
    readonly #running = new Set<HandlingContext>();
    #agent: RunningAgent | undefined;

    private constructor(
        plan: Plan,
        port: Port,
        faults: FaultPlan,
        spyOf: (handler: string) => Spy,
    ) {
        this.plan = {
            ...plan,
            prefetch: 0,
            reactions: plan.reactions.map((reaction) => ({
                ...reaction,
                handler: watched(reaction.handler, spyOf(reaction.name), this.#running),
            })),
        };
        this.port = new FaultyPort(port, faults, () => this.kill());
    }

    static async start(
        plan: Plan,
        port: Port,
        faults: FaultPlan,
        spyOf: (handler: string) => Spy,
    ): Promise<TestProcess> {
        const process = new TestProcess(plan, port, faults, spyOf);
        process.#agent = await RunningAgent.start(process.plan, process.port);
        return process;
    }

    get isDead(): boolean {
        return this.port.isDead;
    }

    /** Handlers that wait for time to pass. */
    asleep(key: string): number {
        return [...this.#running].filter(
            (context) => context.isAsleep && `$type:${this.#patternOf(context)}` === key,
        ).length;
    }

    /** Whether a handler is at work, or has something to begin with. */
    get isBusy(): boolean {
        return (
            !this.isDead &&
            ([...this.#running].some((context) => !context.isAsleep) ||
                this.port.lanes.some((lane) => lane.waiting > 0))
        );
    }

    kill(): void {
        if (!this.isDead) {
            this.port.destroy();
            this.#agent?.abandon();
            this.#running.clear();
        }
    }

    async stop(): Promise<void> {
        if (!this.isDead) {
            await this.#agent?.stop();
            this.port.isDead = true;
        }
    }

    #patternOf(context: HandlingContext): string {
        return this.plan.reactions.find(({ name }) => name === context.handler)?.pattern ?? "";
    }
}
