/**
 * What was recorded of a handling: by its earlier attempts, and in the runs that its run was forked
 * from.
 *
 * A fork publishes the event to go on from once more, with the id of the original (`forkedfrom`) and
 * the position up to which its run shares what was (`forkposition`). Steps of the original's
 * handling are found by the original's ids: those up to that position count, and irreversible ones
 * wherever they stand.
 */
import { describeError, SpoorError, StepUnknownError } from "../errors.js";
import type { NewEvent, SpoorEvent } from "../event.js";
import { askId, emitId, failureId, startId, stepId, type Handled } from "../ids.js";
import type { Port } from "../port.js";

const COMPLETED = "agent.step.completed";
const STARTED = "agent.step.started";
const FAILED = "agent.step.failed";
/** What is recorded of steps. */
export const STEP_TYPES: readonly string[] = [STARTED, COMPLETED, FAILED];
const ORIGINS_MAX = 64; // forks of forks that are followed

interface Origin extends Handled {
    /** The last position whose records count; of the handling itself, none. */
    readonly until: number | undefined;
}

/** A step that is to run now, and which try it is where it is irreversible, else 0. */
export interface Begun {
    readonly name: string;
    readonly ordinal: number;
}

type Outcome = { readonly begun: Begun } | { readonly result: unknown };

export class Recorded {
    readonly #port: Port;
    readonly #event: SpoorEvent;
    readonly #own: Origin;
    #origins: Promise<readonly Origin[]> | undefined;

    constructor(port: Port, event: SpoorEvent, handled: Handled) {
        this.#port = port;
        this.#event = event;
        this.#own = { ...handled, until: undefined };
    }

    emitId(step: string, ordinal: number): string {
        return emitId(this.#own, step, ordinal);
    }

    askId(ordinal: number): string {
        return askId(this.#own, ordinal);
    }

    get isForked(): boolean {
        return typeof this.#event["forkedfrom"] === "string";
    }

    /**
     * The extensions of an emit whose like was emitted in the run that was forked: then what
     * handles it goes on from what was recorded there, too.
     */
    async forked(type: string, step: string, ordinal: number): Promise<Record<string, string>> {
        for (const origin of await this.#allOrigins()) {
            const id = emitId(origin, step, ordinal);
            if ((await this.#port.find(id, origin.agent))?.type === type) {
                return { forkedfrom: id, forkposition: String(origin.until) };
            }
        }
        return {};
    }

    /** The step to run, or its result where it was done. Throws StepUnknownError. */
    async begin(name: string, irreversible: boolean): Promise<Outcome> {
        const origins = await this.#allOrigins();
        for (const handled of [this.#own, ...origins]) {
            const done = await this.#port.find(stepId(handled, name), handled.agent);
            const data = done?.data as { result?: unknown; irreversible?: boolean } | undefined;
            if (
                done !== undefined &&
                (handled.until === undefined ||
                    done.position <= handled.until ||
                    data?.irreversible === true)
            ) {
                return { result: data?.result };
            }
        }
        for (const origin of origins) {
            if ((await this.#port.find(stepId(origin, name), origin.agent)) === undefined) {
                await this.#freeTry(origin, name); // else it is done, and may be done anew
            }
        }
        if (!irreversible) {
            return { begun: { name, ordinal: 0 } };
        }
        const ordinal = await this.#freeTry(this.#own, name);
        await this.#start(name, ordinal);
        return { begun: { name, ordinal } };
    }

    /** Records the result; gives what is recorded. */
    async end({ name, ordinal }: Begun, result: unknown): Promise<unknown> {
        const id = stepId(this.#own, name);
        const data = { step: name, result, ...(ordinal > 0 ? { irreversible: true } : {}) };
        if (!(await this.#append(COMPLETED, id, data))) {
            return result;
        }
        const recorded = await this.#port.find(id, this.#own.agent); // another attempt was faster
        return (recorded?.data as { result?: unknown } | undefined)?.result;
    }

    /** Records that an irreversible step did not do what it was to do, so that it may again. */
    async fail({ name, ordinal }: Begun, error: unknown): Promise<void> {
        if (ordinal > 0) {
            await this.#append(FAILED, failureId(this.#own, name, ordinal), {
                step: name,
                irreversible: true,
                try: ordinal,
                error: describeError(error),
            });
        }
    }

    /** The originals of a forked event, the nearest first. */
    #allOrigins(): Promise<readonly Origin[]> {
        this.#origins ??= this.#findOrigins();
        return this.#origins;
    }

    async #findOrigins(): Promise<Origin[]> {
        const found: Origin[] = [];
        let event: SpoorEvent | undefined = this.#event;
        let until = Infinity;
        while (typeof event?.["forkedfrom"] === "string" && found.length < ORIGINS_MAX) {
            const id: string = event["forkedfrom"];
            until = Math.min(until, Number(event["forkposition"] ?? 0));
            found.push({ ...this.#own, source: event.source, id, until });
            event = await this.#port.find(id, event.source);
        }
        return found;
    }

    /** The first try that was not begun. Throws where the one before it did not end. */
    async #freeTry(handled: Origin, name: string): Promise<number> {
        for (let ordinal = 1; ; ordinal++) {
            const started = await this.#port.find(startId(handled, name, ordinal), handled.agent);
            if (started === undefined) {
                return ordinal;
            }
            const failed = failureId(handled, name, ordinal);
            if ((await this.#port.find(failed, handled.agent)) === undefined) {
                throw new StepUnknownError(name, started);
            }
        }
    }

    async #start(name: string, ordinal: number): Promise<void> {
        const id = startId(this.#own, name, ordinal);
        const isTaken = await this.#append(STARTED, id, {
            step: name,
            irreversible: true,
            try: ordinal,
            completed: stepId(this.#own, name),
            failed: failureId(this.#own, name, ordinal),
        });
        const started = isTaken ? await this.#port.find(id, this.#own.agent) : undefined;
        if (started !== undefined) {
            throw new StepUnknownError(name, started); // another attempt goes on still
        }
    }

    /** Whether it was there already. */
    async #append(type: string, id: string, data: unknown): Promise<boolean> {
        const { duplicate } = await this.#port.append({
            type,
            data,
            source: this.#own.agent,
            stream: `${this.#own.agent}:steps`,
            correlationid: this.#event.correlationid,
            causationid: this.#event.id,
            id,
        });
        return duplicate;
    }
}

/** The event that tells what came of an irreversible step, from the one that says it began. */
export function settled(
    started: SpoorEvent,
    outcome: { result?: unknown; failed?: string | undefined },
): NewEvent {
    const data = started.data as { step?: string; completed?: string; failed?: string; try?: number };
    if (
        started.type !== STARTED ||
        data?.completed === undefined ||
        data.failed === undefined ||
        data.step === undefined
    ) {
        throw new SpoorError(`event ${started.id} is no ${STARTED} of an irreversible step`);
    }
    const hasFailed = outcome.failed !== undefined;
    const told = hasFailed
        ? { try: data.try, error: outcome.failed }
        : { result: outcome.result ?? null };
    return {
        type: hasFailed ? FAILED : COMPLETED,
        data: { step: data.step, irreversible: true, ...told },
        source: started.source,
        stream: started.stream,
        id: hasFailed ? data.failed : data.completed,
        correlationid: started.correlationid,
        causationid: started.causationid,
    };
}
