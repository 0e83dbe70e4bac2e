/**
 * Where the server is: URLs of the Redis protocol, and of HTTP, which is asked where the other one
 * is.
 */
import { realClock, sleep } from "../clock.js";
import { ConnectionError, SpoorError } from "../errors.js";

const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 2000;
const ANSWER_MS = 5000;

export interface Search {
    /** How long to try, in milliseconds; for ever where it is absent. */
    patience?: number | undefined;
    /** Hears why it could not be asked, each time. */
    onTrouble?: ((error: Error, attempt: number) => void) | undefined;
}

/**
 * A URL of the Redis protocol for the one that was given, or that of $SPOOR_URL, or the default.
 */
export async function findServer(given: string | undefined, search: Search = {}): Promise<string> {
    const text = given ?? process.env["SPOOR_URL"] ?? "redis://127.0.0.1:7379";
    const url = parse(text);
    if (url.protocol === "http:" || url.protocol === "https:") {
        return ask(url, search);
    }
    if (url.protocol !== "redis:" && url.protocol !== "rediss:") {
        throw new SpoorError(
            `${hideSecret(text)}: expected a URL such as redis://127.0.0.1:7379 or http://127.0.0.1:7380`,
        );
    }
    if (url.port === "") {
        url.port = "7379";
    }
    return url.href;
}

function parse(text: string): URL {
    try {
        return new URL(text);
    } catch {
        throw new SpoorError(
            `not a URL: ${JSON.stringify(text)}, expected one such as redis://127.0.0.1:7379`,
        );
    }
}

/** GET /v1 says at which port of the same host the Redis protocol is spoken. */
async function ask(url: URL, { patience = Infinity, onTrouble }: Search): Promise<string> {
    const until = Date.now() + patience;
    for (let attempt = 1; ; attempt++) {
        try {
            return await askOnce(url);
        } catch (error) {
            if (error instanceof SpoorError) {
                throw error;
            }
            const trouble = new ConnectionError(
                `${hideSecret(url.href)} cannot be reached: ${reason(error)}`,
                { cause: error },
            );
            if (Date.now() >= until) {
                throw trouble;
            }
            onTrouble?.(trouble, attempt);
            await sleep(
                realClock,
                Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(attempt, 10)),
            );
        }
    }
}

async function askOnce(url: URL): Promise<string> {
    const { username, password } = url;
    const secret = Buffer.from(
        `${decodeURIComponent(username)}:${decodeURIComponent(password)}`,
    ).toString("base64");
    const reply = await fetch(new URL("/v1", url.origin), {
        signal: AbortSignal.timeout(ANSWER_MS),
        headers: password === "" ? {} : { authorization: `Basic ${secret}` },
    });
    const body = (await reply.json().catch(() => undefined)) as { resp?: unknown } | undefined;
    const port = typeof body?.resp === "string" ? /:(\d+)$/.exec(body.resp)?.[1] : undefined;
    if (!reply.ok || port === undefined) {
        throw new SpoorError(
            `${hideSecret(url.href)}: GET /v1 does not say where the Redis protocol is spoken (status ${reply.status})`,
        );
    }
    const login = password === "" ? "" : `${username}:${password}@`;
    return `${url.protocol === "https:" ? "rediss" : "redis"}://${login}${url.hostname}:${port}`;
}

function reason(error: unknown): string {
    const { message, cause } = error as Error;
    return cause instanceof Error
        ? cause.message || String((cause as { code?: unknown }).code)
        : message;
}

export function hideSecret(url: string): string {
    return url.replace(/\/\/[^@/]*@/, "//…@");
}
