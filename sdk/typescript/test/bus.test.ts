/** connect(): what only a server shows. What every bus does is in bus_common.test.ts. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { connect, ConnectionError, type Bus } from "../src/index.js";
import { freePort, Server } from "./server.js";

let server: Server;
let bus: Bus;
before(async () => {
    server = await Server.start();
    bus = await connect(server.url, { source: "tester" });
});
after(async () => {
    await bus.close();
    await server.stop();
});

test("a subscription is history, then live, and goes on over a restart of the server", async () => {
    for (let n = 1; n <= 3; n++) {
        await bus.publish("sub.tick", n);
    }
    const seen: number[] = [];
    const subscription = bus.subscribe<number>({ type: "sub.*", from: 1 });
    for await (const event of subscription) {
        seen.push(event.data);
        if (event.data === 3 || event.data === 5) {
            await bus.publish("sub.tick", event.data + 1);
            await bus.publish("sub.tick", event.data + 2);
        }
        if (event.data === 4) {
            await server.kill("SIGKILL");
            await server.start();
        }
        if (event.data === 7) {
            break;
        }
    }
    assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(await subscription.next(), { done: true, value: undefined });
});

test("a consumer that is slow gets everything", async () => {
    await bus.publishBatch(
        Array.from({ length: 3000 }, (_, n) => ({ type: "slow.tick", data: n })),
    );
    let next = 0;
    for await (const event of bus.subscribe<number>({ type: "slow.tick", from: 1 })) {
        assert.equal(event.data, next++);
        if (next % 500 === 0) {
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
        if (next === 3000) {
            break;
        }
    }
});

test("a publish that the server did not hear is sent again, and stored once", async () => {
    const publishing: Promise<unknown>[] = [];
    for (let n = 0; n < 200; n++) {
        publishing.push(bus.publish("again.tick", n));
    }
    await server.kill("SIGKILL");
    publishing.push(bus.publish("again.tick", 200));
    await server.start();
    await Promise.all(publishing);
    const seen = (await bus.query<number>({ type: "again.tick" }))
        .map(({ data }) => data)
        .sort((a, b) => a - b);
    assert.deepEqual(
        seen,
        Array.from({ length: 201 }, (_, n) => n),
    );
});

test("a server that is not there, and a URL that is none", async () => {
    await assert.rejects(connect("redis://127.0.0.1:1", { patience: 50 }), ConnectionError);
    await assert.rejects(
        connect(`http://127.0.0.1:${await freePort()}`, { patience: 50 }),
        /cannot be reached: .*ECONNREFUSED/,
    );
    await assert.rejects(connect("amqp://127.0.0.1"), /expected a URL such as redis/);
    await assert.rejects(connect("nonsense"), /not a URL/);
    const nobody = await connect(server.url);
    await assert.rejects(nobody.publish("a.b"), /no source/);
    await nobody.close();
    await assert.rejects(nobody.publish("a.b", 1, { source: "x" }), /the connection is closed/);
});

test("a URL of HTTP is asked where the Redis protocol is spoken", async () => {
    const other = await connect(server.http, { source: "tester" });
    await other.publish("http.tick", 1);
    assert.equal((await bus.query({ type: "http.tick" })).length, 1);
    const [event] = [await other.subscribe({ type: "http.tick", from: 1 }).next()];
    assert.equal(event.value?.data, 1);
    await other.close();
});
