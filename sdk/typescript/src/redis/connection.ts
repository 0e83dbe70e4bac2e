/**
 * One connection to the server, over the `redis` package. It comes back by itself; a command that
 * was lost with the connection is sent again, for all commands of this package may be repeated:
 * appends have their id, and acknowledging twice does no harm.
 */
import { createClient } from "redis";
import { ConnectionError, fromServer } from "../errors.js";
import { hideSecret } from "./address.js";

export type Argument = string | Buffer;
export type Reply = string | number | null | Reply[];

export interface ConnectionOptions {
    /** How long to try to reach the server at first; without it, for ever. */
    patience?: number | undefined;
    /** How long a command waits for a connection that was lost. */
    retryFor?: number | undefined;
    /** Hears why there is no connection, each time one was lost or refused. */
    onTrouble?: ((error: Error, attempt: number) => void) | undefined;
}

/** The connection went before the reply came. */
export class LostError extends ConnectionError {
    override name = "LostError";
}

const BACKOFF_FIRST_MS = 25;
const BACKOFF_MAX_MS = 2000;

/** The client as far as it is used here; its full type depends on the modules it was made with. */
interface Client {
    readonly isReady: boolean;
    on(event: "error" | "ready", listener: (error: Error) => void): unknown;
    connect(): Promise<unknown>;
    close(): Promise<void>;
    destroy(): void;
    sendCommand(words: readonly Argument[]): Promise<unknown>;
}

export class Connection {
    readonly #client: Client;
    readonly #options: ConnectionOptions;
    readonly #retryFor: number;
    readonly #waiting: (() => void)[] = [];
    #closed = false;
    /** Rises with each connection that was made. */
    generation = 0;

    private constructor(url: string, options: ConnectionOptions) {
        this.#options = options;
        this.#retryFor = options.retryFor ?? 30_000;
        const began = Date.now();
        let trouble = 0;
        this.#client = createClient({
            url,
            RESP: 2,
            disableOfflineQueue: true,
            socket: {
                connectTimeout: 5000,
                noDelay: true,
                reconnectStrategy: (retries: number, cause: Error) => {
                    const patience = this.generation === 0 ? this.#options.patience : undefined;
                    if (patience !== undefined && Date.now() - began >= patience) {
                        return cause;
                    }
                    const wait = Math.min(
                        BACKOFF_MAX_MS,
                        BACKOFF_FIRST_MS * 2 ** Math.min(retries, 10),
                    );
                    return wait * (0.5 + Math.random() / 2);
                },
            },
        }) as unknown as Client;
        this.#client.on("ready", () => {
            this.generation++;
            trouble = 0;
            this.#waiting.splice(0).forEach((go) => go());
        });
        this.#client.on("error", (error: Error) => {
            if (!this.#closed) {
                this.#options.onTrouble?.(error, ++trouble);
            }
        });
    }

    static async open(url: string, options: ConnectionOptions = {}): Promise<Connection> {
        const connection = new Connection(url, options);
        try {
            await connection.#client.connect();
        } catch (error) {
            connection.#closed = true;
            throw new ConnectionError(
                `${hideSecret(url)} cannot be reached: ${(error as Error).message || String(error)}`,
                { cause: error },
            );
        }
        return connection;
    }

    /** Sends one command and gives its reply. */
    send(words: readonly Argument[]): Promise<Reply> {
        return this.#again(() => this.#client.sendCommand(words) as Promise<Reply>);
    }

    /** Sends a command that must not be repeated blindly; a LostError where the connection went. */
    async sendOnce(words: readonly Argument[]): Promise<Reply> {
        try {
            return (await this.#client.sendCommand(words)) as Reply;
        } catch (error) {
            throw isReply(error)
                ? fromServer(error)
                : isLoss(error)
                  ? new LostError("the connection was lost", { cause: error })
                  : error;
        }
    }

    async close(): Promise<void> {
        if (this.#closed) {
            return;
        }
        this.#closed = true;
        this.#waiting.splice(0).forEach((go) => go());
        if (!this.#client.isReady) {
            this.#client.destroy();
            return;
        }
        await this.#client.close().catch(() => this.#client.destroy());
    }

    /** Ends at once, whatever is under way. */
    destroy(): void {
        if (!this.#closed) {
            this.#closed = true;
            this.#waiting.splice(0).forEach((go) => go());
            this.#client.destroy();
        }
    }

    async #again<T>(run: () => Promise<T>): Promise<T> {
        let deadline = 0;
        for (;;) {
            if (this.#closed) {
                throw new ConnectionError("the connection is closed");
            }
            try {
                return await run();
            } catch (error) {
                if (isReply(error)) {
                    throw fromServer(error);
                }
                if (!isLoss(error)) {
                    throw error;
                }
                const now = Date.now();
                deadline ||= now + this.#retryFor;
                if (now >= deadline || this.#closed) {
                    throw new ConnectionError(
                        `no connection to the server: ${(error as Error).message}`,
                        { cause: error },
                    );
                }
                await this.#readyBy(deadline);
            }
        }
    }

    /** Returns when there is a connection, or at the deadline. */
    #readyBy(deadline: number): Promise<void> {
        return new Promise((resolve) => {
            const done = (): void => {
                clearTimeout(timer);
                clearTimeout(pause);
                resolve();
            };
            const timer = setTimeout(done, deadline - Date.now());
            // Where it is ready again already, or closed, nobody would say so.
            const pause = setTimeout(() => {
                if (this.#client.isReady || this.#closed) {
                    done();
                }
            }, BACKOFF_FIRST_MS);
            this.#waiting.push(done);
        });
    }
}

/** The server answered, and said no. */
function isReply(error: unknown): error is Error {
    const names = classNames(error);
    return (
        names.includes("ErrorReply") || names.includes("SimpleError") || names.includes("BlobError")
    );
}

const LOST = new Set([
    "SocketClosedUnexpectedlyError",
    "ClientOfflineError",
    "ClientClosedError",
    "DisconnectsClientError",
    "ConnectionTimeoutError",
    "SocketTimeoutError",
    "ReconnectStrategyError",
    "AbortError",
]);

/** The connection went, and with it whatever was under way. */
function isLoss(error: unknown): boolean {
    const { code } = error as { code?: unknown };
    return (
        classNames(error).some((name) => LOST.has(name)) ||
        (typeof code === "string" && /^E(CONN|PIPE|HOST|NET|TIMEDOUT|AI_)/.test(code))
    );
}

/**
 * Names of the classes of an error: the package's own are not the same where it was loaded twice.
 */
function classNames(error: unknown): string[] {
    const names: string[] = [];
    for (let at: unknown = error; at instanceof Error; at = Object.getPrototypeOf(at)) {
        const { constructor } = at as { constructor?: { name?: string } };
        names.push(constructor?.name ?? "");
    }
    return names;
}
