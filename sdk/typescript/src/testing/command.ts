/** Commands as the store gives them to the workers of sagas, for tests without a saga. */
import type { NewEvent } from "../event.js";

export interface CommandOptions {
    saga?: string | undefined;
    /** The step's path. */
    step?: string | undefined;
    attempt?: number | undefined;
    /** It is that of the compensation; its data has `input`, `result` and `error`. */
    compensates?: boolean | undefined;
    extensions?: { readonly [name: string]: string | number | boolean } | undefined;
}

export function command(action: string, data?: unknown, options: CommandOptions = {}): NewEvent {
    const { saga = "00000000-0000-7000-8000-000000000001", step = "step", attempt = 1 } = options;
    const mark = options.compensates === true ? "~" : "";
    return {
        type: action,
        data,
        id: `${saga}/${step}${mark === "" ? ":" : mark}${attempt}`,
        correlationid: saga,
        extensions: {
            sagaid: saga,
            saga: "test",
            sagastep: step,
            attempt,
            idempotencykey: `${saga}/${step}${mark}`,
            ...options.extensions,
        },
    };
}
