/** What a handler was called with, and what came of it. */
import type { HandlingContext } from "../agent/context.js";
import type { Handler } from "../agent/definition.js";
import type { SpoorEvent } from "../event.js";

export interface Call<T = any> {
    readonly event: SpoorEvent<T>;
    readonly attempt: number;
    /** It returned, or threw; neither where it still runs, or its process was killed. */
    outcome?: "returned" | "threw";
    result?: unknown;
    error?: unknown;
}

export class Spy<T = any> {
    readonly calls: Call<T>[] = [];

    get count(): number {
        return this.calls.length;
    }

    get last(): Call<T> | undefined {
        return this.calls.at(-1);
    }

    /** The events, in the order of the calls. */
    get events(): SpoorEvent<T>[] {
        return this.calls.map(({ event }) => event);
    }
}

/**
 * The handler with somebody who looks on; `running` has the contexts of calls that are under way.
 */
export function watched(handler: Handler, spy: Spy, running: Set<HandlingContext>): Handler {
    return async (event, context) => {
        const call: Call = { event, attempt: context.attempt };
        spy.calls.push(call);
        running.add(context as HandlingContext);
        try {
            call.result = await handler(event, context);
            call.outcome = "returned";
            return call.result;
        } catch (error) {
            call.error = error;
            call.outcome = "threw";
            throw error;
        } finally {
            running.delete(context as HandlingContext);
        }
    };
}
