/** Replies that get lost on their way: a proxy cuts the connection in place of handing them on. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as tcp, createServer, type Server as Listener, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { connect, defineAgent, type Bus } from "../src/index.js";
import { eventually, records, Server } from "./server.js";

let server: Server;
let bus: Bus;
let proxy: Proxy;

/**
 * Hands everything on, but cuts the connection on which these words would come from the server,
 * once.
 */
class Proxy {
    cutAt: string | undefined;
    cuts = 0;
    readonly #listener: Listener;
    readonly #sockets = new Set<Socket>();

    constructor(to: number) {
        this.#listener = createServer((client) => {
            const upstream = tcp(to, "127.0.0.1");
            this.#sockets.add(client).add(upstream);
            const end = (): void => {
                client.destroy();
                upstream.destroy();
            };
            for (const socket of [client, upstream]) {
                socket.on("error", end).on("close", end);
            }
            client.on("data", (piece) => upstream.write(piece));
            upstream.on("data", (piece) => {
                if (this.cutAt !== undefined && piece.includes(this.cutAt)) {
                    this.cutAt = undefined;
                    this.cuts++;
                    end();
                } else {
                    client.write(piece);
                }
            });
        }).listen(0, "127.0.0.1");
    }

    get url(): string {
        return `redis://127.0.0.1:${(this.#listener.address() as { port: number }).port}`;
    }

    async ready(): Promise<void> {
        await once(this.#listener, "listening");
    }

    close(): void {
        this.#sockets.forEach((socket) => socket.destroy());
        this.#listener.close();
    }
}

before(async () => {
    server = await Server.start();
    bus = await connect(server.url, { source: "tester" });
    proxy = new Proxy(Number(new URL(server.url).port));
    await proxy.ready();
});
after(async () => {
    await bus.close();
    proxy.close();
    await server.stop();
});

test("deliveries that did not arrive are given back, not left until ack-wait is over", async () => {
    const attempts: number[] = [];
    const logs = records();
    const agent = defineAgent({
        name: "unlucky",
        log: logs.log,
        on: {
            "lost.job": {
                ackWait: "1h",
                retry: { first: 1 },
                handler: (_, ctx) => {
                    attempts.push(ctx.attempt);
                },
            },
        },
    });
    await agent.start({ url: proxy.url });
    proxy.cutAt = "lost.job";
    await bus.publish("lost.job");
    await eventually(() => attempts.length === 1, "the job");
    assert.equal(proxy.cuts, 1);
    assert.deepEqual(attempts, [2]);
    await agent.stop();
    assert.ok(logs.list.some(({ msg }) => msg.startsWith("no connection to the server")));
});

test("a publish whose answer did not arrive is stored once", async () => {
    const through = await connect(proxy.url, { source: "tester" });
    proxy.cutAt = "lost-stream";
    const done = await through.publish("lost.event", 1, {
        stream: "lost-stream",
        expectedVersion: "none",
    });
    assert.deepEqual([done.duplicate, done.version, proxy.cuts], [true, 1, 2]);
    assert.equal((await bus.query({ stream: "lost-stream" })).length, 1);
    await through.close();
});

test("a batch whose answer did not arrive is stored once", async () => {
    const through = await connect(proxy.url, { source: "tester" });
    const before = proxy.cuts;
    proxy.cutAt = "*5\r\n:"; // where the answer about one event begins
    const done = await through.publishBatch([
        { type: "lost.batch", stream: "lost-batch", expectedVersion: "none" },
        { type: "lost.batch", stream: "lost-batch", expectedVersion: 1 },
    ]);
    assert.deepEqual(
        done.map(({ version, duplicate }) => [version, duplicate]),
        [
            [1, true],
            [2, true],
        ],
    );
    assert.equal(proxy.cuts, before + 1);
    assert.equal((await bus.query({ stream: "lost-batch" })).length, 2);
    await through.close();
});

test("a subscription that was cut goes on behind what it gave", async () => {
    const through = await connect(proxy.url);
    await bus.publishBatch([1, 2, 3].map((n) => ({ type: "cut.tick", data: n })));
    const seen: number[] = [];
    for await (const event of through.subscribe<number>({ type: "cut.tick", from: 1 })) {
        seen.push(event.data);
        if (event.data === 2 || event.data === 3) {
            proxy.cutAt = `"data":${event.data + 2}`;
            await bus.publish("cut.tick", event.data + 2);
        }
        if (event.data === 5) {
            break;
        }
    }
    assert.deepEqual(seen, [1, 2, 3, 4, 5]);
    await through.close();
});
