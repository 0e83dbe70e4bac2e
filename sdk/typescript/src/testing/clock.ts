/** Time that passes when a test says so. */
import type { Clock, Timer } from "../clock.js";

interface Alarm {
    readonly at: number;
    readonly number: number;
    readonly call: () => void;
}

export class VirtualClock implements Clock {
    #now: number;
    #number = 0;
    #alarms: Alarm[] = [];

    constructor(now: number) {
        this.#now = now;
    }

    now(): number {
        return this.#now;
    }

    after(ms: number, call: () => void): Timer {
        const alarm = { at: this.#now + Math.max(0, ms), number: this.#number++, call };
        let index = this.#alarms.length;
        while (index > 0 && this.#alarms[index - 1]!.at > alarm.at) {
            index--;
        }
        this.#alarms.splice(index, 0, alarm);
        return {
            cancel: () => {
                this.#alarms = this.#alarms.filter((other) => other !== alarm);
            },
        };
    }

    /**
     * Goes on by so much: each alarm rings at its time, and what it sets off is over before the
     * next one.
     */
    async advance(ms: number, settle: () => Promise<void>): Promise<void> {
        const end = this.#now + ms;
        for (
            let next = this.#alarms[0];
            next !== undefined && next.at <= end;
            next = this.#alarms[0]
        ) {
            const due = this.#alarms.filter(({ at }) => at === next.at);
            this.#alarms = this.#alarms.filter(({ at }) => at !== next.at);
            this.#now = next.at;
            due.forEach(({ call }) => call());
            await settle();
        }
        this.#now = end;
    }
}
