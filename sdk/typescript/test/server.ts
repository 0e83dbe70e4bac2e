/** A server for tests: the program in $SPOOR, on a free port, over a folder of its own. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { LogRecord } from "../src/index.js";

export class Server {
    readonly folder = mkdtempSync(join(tmpdir(), "spoor-ts-"));
    #process: ChildProcess | undefined;
    #port = 0;
    #httpPort = 0;

    static async start(): Promise<Server> {
        const server = new Server();
        server.#port = await freePort();
        await server.start();
        return server;
    }

    get url(): string {
        return `redis://127.0.0.1:${this.#port}`;
    }

    get http(): string {
        return `http://127.0.0.1:${this.#httpPort}`;
    }

    async start(): Promise<void> {
        const program = process.env["SPOOR"];
        assert.ok(program, "$SPOOR names the program");
        const child = spawn(
            program,
            [
                "serve",
                "--data",
                join(this.folder, "data"),
                "--resp-port",
                String(this.#port),
                "--http-port",
                "0",
            ],
            { stdio: ["ignore", "pipe", "ignore"] },
        );
        this.#process = child;
        for await (const line of createInterface(child.stdout!)) {
            const ready = /^ready .*http=127\.0\.0\.1:(\d+) /.exec(line);
            if (ready !== null) {
                this.#httpPort = Number(ready[1]);
                child.stdout!.resume();
                return;
            }
        }
        throw new Error("the server did not start");
    }

    async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
        const child = this.#process;
        if (child !== undefined && child.exitCode === null && child.signalCode === null) {
            const gone = once(child, "exit");
            child.kill(signal);
            await gone;
        }
        this.#process = undefined;
    }

    async stop(): Promise<void> {
        await this.kill("SIGTERM");
        rmSync(this.folder, { recursive: true, force: true });
    }
}

export async function freePort(): Promise<number> {
    const listener = createServer().listen(0, "127.0.0.1");
    await once(listener, "listening");
    const { port } = listener.address() as { port: number };
    listener.close();
    await once(listener, "close");
    return port;
}

/** Waits until it is so. */
export async function eventually(
    check: () => boolean | Promise<boolean>,
    what: string,
    seconds = 60,
): Promise<void> {
    const end = Date.now() + seconds * 1000;
    while (!(await check())) {
        assert.ok(Date.now() < end, `it did not come to that in time: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
}

/** A place for log lines, to look at them. */
export function records(): { list: LogRecord[]; log: (record: LogRecord) => void } {
    const list: LogRecord[] = [];
    return { list, log: (record) => list.push(record) };
}
