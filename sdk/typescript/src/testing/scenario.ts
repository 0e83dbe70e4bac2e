/** given … when … then: steps that are done in order when somebody awaits them. */
import type { NewEvent, SpoorEvent } from "../event.js";
import { compareEmitted, type Expected } from "./expect.js";

export type Given = NewEvent | readonly NewEvent[];

/** What a scenario needs of its bus. */
export interface Stage {
    arrange(events: readonly NewEvent[]): Promise<void>;
    act(events: readonly NewEvent[] | (() => unknown)): Promise<void>;
    /** What agents have emitted since the first act() of the scenario. */
    emittedSince(mark: number): Promise<SpoorEvent[]>;
    mark(): Promise<number>;
    advance(span: string | number): Promise<void>;
}

export class Scenario implements PromiseLike<SpoorEvent[]> {
    readonly #stage: Stage;
    readonly #steps: (() => Promise<void>)[] = [];
    #mark: number | undefined;

    constructor(stage: Stage) {
        this.#stage = stage;
    }

    /** What has happened before, to which no agent reacts if it was not started yet. */
    given(events: Given): this {
        this.#steps.push(() => this.#stage.arrange(listOf(events)));
        return this;
    }

    /**
     * What happens; then every reaction to it is awaited. A function is called in place of
     * publishing.
     */
    when(what: Given | (() => unknown)): this {
        this.#steps.push(async () => {
            this.#mark ??= await this.#stage.mark();
            await this.#stage.act(typeof what === "function" ? what : listOf(what));
        });
        return this;
    }

    /** Time passes. */
    after(span: string | number): this {
        this.#steps.push(() => this.#stage.advance(span));
        return this;
    }

    /** Exactly these events are emitted by agents, in whatever order. Gives the emitted ones. */
    async thenEmits(expected: readonly Expected[]): Promise<SpoorEvent[]> {
        const emitted = await this.#run();
        compareEmitted(emitted, expected);
        return emitted;
    }

    /** Does all of it; gives what was emitted. */
    then<A = SpoorEvent[], B = never>(
        resolve?: ((events: SpoorEvent[]) => A | PromiseLike<A>) | null,
        reject?: ((error: unknown) => B | PromiseLike<B>) | null,
    ): Promise<A | B> {
        return this.#run().then(resolve, reject);
    }

    async #run(): Promise<SpoorEvent[]> {
        for (const step of this.#steps.splice(0)) {
            await step();
        }
        return this.#mark === undefined ? [] : this.#stage.emittedSince(this.#mark);
    }
}

function listOf(events: Given): readonly NewEvent[] {
    return Array.isArray(events) ? (events as readonly NewEvent[]) : [events as NewEvent];
}
