/**
 * The server this page came from: where its interface lies, the token, and requests to it.
 *
 * The page stands at <prefix>/ui/, the interface at <prefix>/v1: so both work behind a proxy that
 * puts them under a path. The token is the server's password; it lives as long as the tab does.
 */
import { signal } from "@preact/signals";

const TOKEN_KEY = "spoor.token";

/** `https://host/prefix` of a page at `https://host/prefix/ui/`. */
export function serverBase(page: string): string {
    const url = new URL(page);
    const at = url.pathname.lastIndexOf("/ui/");
    return url.origin + (at < 0 ? "" : url.pathname.slice(0, at));
}

/** Set where the server asks for a token: the page then asks for it. */
export const tokenWanted = signal(false);

export function setToken(token: string): void {
    sessionStorage.setItem(TOKEN_KEY, token);
    tokenWanted.value = false;
}

function authorization(): Record<string, string> {
    const token = sessionStorage.getItem(TOKEN_KEY);
    return token === null ? {} : { Authorization: `Bearer ${token}` };
}

/** What the server refused, in its own words (RFC 9457). */
export class Problem extends Error {
    constructor(
        readonly status: number,
        readonly kind: string,
        detail: string,
        readonly members: Readonly<Record<string, unknown>>,
    ) {
        super(detail);
    }
}

async function problemOf(response: Response): Promise<Problem> {
    const text = await response.text();
    try {
        const body = JSON.parse(text) as Record<string, unknown>;
        const kind = String(body["type"] ?? "").replace("urn:spoor:problem:", "");
        return new Problem(response.status, kind, String(body["detail"] ?? response.statusText), body);
    } catch {
        return new Problem(response.status, "", text || response.statusText, {});
    }
}

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** Path segments are encoded, parameters that are undefined or empty are left out. */
export function address(segments: readonly string[], query: Query = {}): string {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
        for (const one of Array.isArray(value) ? value : [value]) {
            if (one !== undefined && one !== "") {
                search.append(name, String(one));
            }
        }
    }
    const text = search.toString();
    return "/" + segments.map(encodeURIComponent).join("/") + (text === "" ? "" : "?" + text);
}

export interface RequestOptions {
    readonly method?: string;
    readonly body?: unknown;
    readonly accept?: string;
    readonly signal?: AbortSignal;
}

export async function send(path: string, options: RequestOptions = {}): Promise<Response> {
    const init: RequestInit = {
        method: options.method ?? "GET",
        headers: {
            Accept: options.accept ?? "application/json",
            ...(options.body === undefined ? {} : { "Content-Type": "application/json" }),
            ...authorization(),
        },
        credentials: "same-origin",
    };
    if (options.body !== undefined) {
        init.body = JSON.stringify(options.body);
    }
    if (options.signal !== undefined) {
        init.signal = options.signal;
    }
    const response = await fetch(serverBase(location.href) + path, init);
    if (response.status === 401) {
        tokenWanted.value = true;
    }
    if (!response.ok) {
        throw await problemOf(response);
    }
    return response;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
    const response = await send(path, signal === undefined ? {} : { signal });
    return (await response.json()) as T;
}
