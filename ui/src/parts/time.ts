/** Times and durations as people read them. */

export function clockTime(iso: string): string {
    const at = new Date(iso);
    return Number.isNaN(at.getTime())
        ? iso
        : at.toLocaleTimeString(undefined, { hour12: false }) + "." + String(at.getMilliseconds()).padStart(3, "0");
}

/** `320 ms`, `4.2 s`, `3 min 05 s`, `2 h 10 min`, `5 d 3 h`. */
export function duration(ms: number): string {
    if (ms < 1000) {
        return `${Math.round(ms)} ms`;
    }
    const s = ms / 1000;
    if (s < 60) {
        return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
    }
    const min = Math.floor(s / 60);
    if (min < 60) {
        return `${min} min ${String(Math.floor(s % 60)).padStart(2, "0")} s`;
    }
    const h = Math.floor(min / 60);
    return h < 24 ? `${h} h ${min % 60} min` : `${Math.floor(h / 24)} d ${h % 24} h`;
}

/** When an event happened: as its producer says, else when it was recorded. Milliseconds. */
export function eventMs(event: { readonly time?: string; readonly recordedtime: string }): number {
    const told = event.time === undefined ? Number.NaN : Date.parse(event.time);
    return Number.isNaN(told) ? Date.parse(event.recordedtime) : told;
}

/** How long ago, as of now. */
export function ago(iso: string, nowMs: number = Date.now()): string {
    const at = Date.parse(iso);
    if (Number.isNaN(at)) {
        return iso;
    }
    return nowMs - at < 1000 ? "just now" : `${duration(nowMs - at)} ago`;
}
