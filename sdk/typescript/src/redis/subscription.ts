/**
 * A subscription: a connection of its own on which the server sends history and then what comes. A
 * consumer that is slow stops the socket, so that nothing piles up here; the server then lags for
 * it. After a lost connection it goes on behind the last event it gave, which is the whole trick of
 * no gap and no double.
 */
import * as net from "node:net";
import * as tls from "node:tls";
import type { Subscription } from "../bus.js";
import { ConnectionError, fromServer } from "../errors.js";
import { parseEvent, type SpoorEvent } from "../event.js";
import { conditionWords, momentText, type SubscribeQuery } from "../query.js";
import type { Reply } from "./connection.js";
import { encodeCommand, ErrorLine, RespReader } from "./resp.js";

const WAITING_MAX = 256; // events that were read and not asked for; then the socket rests
const BACKOFF_MAX_MS = 2000;

type Waiter<T> = {
    resolve(result: IteratorResult<SpoorEvent<T>>): void;
    reject(error: Error): void;
};

export class RedisSubscription<T> implements Subscription<T> {
    readonly ready: Promise<void>;
    readonly #url: URL;
    readonly #words: string[];
    readonly #onEnd: () => void;
    readonly #events: SpoorEvent<T>[] = [];
    readonly #waiters: Waiter<T>[] = [];
    #from: string;
    #socket: net.Socket | undefined;
    #retry: NodeJS.Timeout | undefined;
    #attempts = 0;
    #done = false;
    #error: Error | undefined;
    #isReady!: () => void;
    #isNotReady!: (error: Error) => void;

    constructor(url: string, query: SubscribeQuery, onEnd: () => void) {
        this.#url = new URL(url);
        this.#words = conditionWords(query);
        this.#from = query.from === undefined ? "now" : momentText(query.from);
        this.#onEnd = onEnd;
        this.ready = new Promise((resolve, reject) => {
            this.#isReady = resolve;
            this.#isNotReady = reject;
        });
        this.ready.catch(() => undefined); // next() says it as well
        query.signal?.addEventListener("abort", () => this.close(), { once: true });
        if (query.signal?.aborted === true) {
            this.close();
        } else {
            this.#connect();
        }
    }

    [Symbol.asyncIterator](): this {
        return this;
    }

    next(): Promise<IteratorResult<SpoorEvent<T>>> {
        const event = this.#events.shift();
        if (event !== undefined) {
            if (this.#events.length < WAITING_MAX / 2) {
                this.#socket?.resume();
            }
            return Promise.resolve({ done: false, value: event });
        }
        if (this.#error !== undefined) {
            const error = this.#error;
            this.#error = undefined;
            return Promise.reject(error);
        }
        if (this.#done) {
            return Promise.resolve({ done: true, value: undefined });
        }
        return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
    }

    return(): Promise<IteratorResult<SpoorEvent<T>>> {
        this.close();
        this.#events.length = 0;
        return Promise.resolve({ done: true, value: undefined });
    }

    close(): void {
        this.#end(undefined);
    }

    #end(error: Error | undefined): void {
        if (this.#done) {
            return;
        }
        this.#done = true;
        clearTimeout(this.#retry);
        this.#socket?.destroy();
        const first = this.#waiters.shift();
        if (first !== undefined && error !== undefined) {
            first.reject(error);
        } else {
            this.#error = error;
            first?.resolve({ done: true, value: undefined });
        }
        for (const waiter of this.#waiters.splice(0)) {
            waiter.resolve({ done: true, value: undefined });
        }
        if (error === undefined) {
            this.#isReady();
        } else {
            this.#isNotReady(error);
        }
        this.#onEnd();
    }

    #connect(): void {
        const { hostname, port, protocol } = this.#url;
        const to = { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) };
        const socket =
            protocol === "rediss:" ? tls.connect({ ...to, servername: to.host }) : net.connect(to);
        const reader = new RespReader();
        this.#socket = socket;
        socket.setNoDelay(true);
        socket.setKeepAlive(true, 10_000);
        socket.once(protocol === "rediss:" ? "secureConnect" : "connect", () =>
            this.#subscribe(socket),
        );
        socket.on("data", (piece: Buffer) => {
            try {
                reader.add(piece);
                for (
                    let reply = reader.next();
                    reply !== undefined && !this.#done;
                    reply = reader.next()
                ) {
                    this.#take(reply);
                }
            } catch (error) {
                this.#end(error as Error);
            }
            if (this.#events.length >= WAITING_MAX) {
                socket.pause();
            }
        });
        socket.on("error", () => undefined); // close follows
        socket.once("close", () => this.#again());
    }

    #subscribe(socket: net.Socket): void {
        const { username, password, pathname } = this.#url;
        const commands: string[][] = [];
        if (password !== "") {
            commands.push([
                "AUTH",
                ...(username === "" ? [] : [decodeURIComponent(username)]),
                decodeURIComponent(password),
            ]);
        }
        if (pathname.length > 1) {
            commands.push(["SELECT", pathname.slice(1)]);
        }
        commands.push(["SPOOR.SUBSCRIBE", ...this.#words, "FROM", this.#from]);
        socket.write(commands.map(encodeCommand).join(""));
    }

    #again(): void {
        if (this.#done) {
            return;
        }
        const wait =
            Math.min(BACKOFF_MAX_MS, 25 * 2 ** Math.min(this.#attempts++, 10)) *
            (0.5 + Math.random() / 2);
        this.#retry = setTimeout(() => this.#connect(), wait);
    }

    #take(reply: Reply | ErrorLine): void {
        if (reply instanceof ErrorLine) {
            if (!/^(LOADING|BUSY|MASTERDOWN)/.test(reply.text)) {
                this.#end(fromServer(new Error(reply.text)));
            }
            return;
        }
        if (!Array.isArray(reply)) {
            return; // OK of AUTH or SELECT
        }
        const [kind, , ...rest] = reply;
        if (kind === "spoor.subscribe") {
            this.#attempts = 0;
            // From now on the place is known: should the connection go before the first event,
            // nothing is missed.
            this.#from = String(rest[1]);
            this.#isReady();
        } else if (kind === "event") {
            this.#from = String(Number(rest[0]) + 1);
            this.#give(parseEvent<T>(String(rest[2])));
        } else if (kind === "gap") {
            this.#end(
                new ConnectionError(
                    `events from position ${String(rest[0])} on are not to be had: ${String(rest[1])}`,
                ),
            );
        } else if (kind === "spoor.unsubscribe") {
            this.close();
        }
    }

    #give(event: SpoorEvent<T>): void {
        const waiter = this.#waiters.shift();
        if (waiter === undefined) {
            this.#events.push(event);
        } else {
            waiter.resolve({ done: false, value: event });
        }
    }
}
