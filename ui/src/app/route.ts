/**
 * Where in the page one is: all of it stands in the address behind `#`, so that it can be sent to
 * somebody else, and works under any path.
 *
 *     #/run/tau-bench%2F0?at=33     view "run", its argument, its parameters
 */
import { signal, type ReadonlySignal } from "@preact/signals";

export interface Route {
    readonly view: string;
    readonly args: readonly string[];
    readonly params: Readonly<Record<string, string>>;
}

export const HOME = "live";

export function parseRoute(hash: string): Route {
    const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
    const [view = "", ...args] = path.split("/").map(decode);
    return { view: view || HOME, args, params: Object.fromEntries(new URLSearchParams(search)) };
}

/** A link that somebody cut off in the middle of a %-escape still leads somewhere. */
function decode(text: string): string {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

export function hrefOf(
    view: string,
    args: readonly string[] = [],
    params: Readonly<Record<string, string | undefined>> = {},
): string {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(params)) {
        if (value !== undefined && value !== "") {
            search.set(name, value);
        }
    }
    const text = search.toString();
    return "#/" + [view, ...args].map(encodeURIComponent).join("/") + (text === "" ? "" : "?" + text);
}

const current = signal<Route>(parseRoute(typeof location === "undefined" ? "" : location.hash));
export const route: ReadonlySignal<Route> = current;

export function listenToAddress(): void {
    addEventListener("hashchange", () => {
        current.value = parseRoute(location.hash);
    });
}

export function go(href: string): void {
    location.hash = href;
}

/** Other parameters of the same view; does not make a step in the browser's history. */
export function setParams(changes: Readonly<Record<string, string | undefined>>): void {
    const now = current.value;
    const next = hrefOf(now.view, now.args, { ...now.params, ...changes });
    history.replaceState(null, "", next);
    current.value = parseRoute(next);
}
