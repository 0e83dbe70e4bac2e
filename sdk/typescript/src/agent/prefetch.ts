/**
 * How many events a worker holds ready beyond those it works on. Quick handlers would wait for the
 * network most of the time without; slow ones would keep work from other processes with. So: what
 * is done in 50 ms.
 */
const AHEAD_MS = 50;
const MOST = 256;
const SETTLING = 4; // handlings before the mean means anything
const WEIGHT = 0.1;

export class Prefetch {
    readonly #fixed: number | undefined;
    readonly #concurrency: number;
    #mean = 0;
    #count = 0;

    constructor(fixed: number | undefined, concurrency: number) {
        this.#fixed = fixed;
        this.#concurrency = concurrency;
    }

    /** A handling took this long. */
    took(ms: number): void {
        this.#count++;
        this.#mean += (ms - this.#mean) * Math.max(WEIGHT, 1 / this.#count);
    }

    get allowance(): number {
        if (this.#fixed !== undefined) {
            return this.#fixed;
        }
        if (this.#count < SETTLING) {
            return 0;
        }
        return Math.min(
            MOST,
            Math.floor((AHEAD_MS * this.#concurrency) / Math.max(this.#mean, 0.01)),
        );
    }
}
