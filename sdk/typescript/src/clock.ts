/** Time, as agents see it. In tests it is virtual. */

export interface Timer {
    cancel(): void;
}

export interface Clock {
    /** Milliseconds since 1970. */
    now(): number;
    /** Calls once, later. */
    after(ms: number, call: () => void): Timer;
}

/** The clock on the wall. */
export const realClock: Clock = {
    now: () => Date.now(),
    after(ms, call) {
        const timer = setTimeout(call, ms);
        return { cancel: () => clearTimeout(timer) };
    },
};

export function sleep(clock: Clock, ms: number): Promise<void> {
    return new Promise((resolve) => {
        clock.after(ms, resolve);
    });
}
