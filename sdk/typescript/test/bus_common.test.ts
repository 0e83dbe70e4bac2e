/** What a program does with a bus: over a server, and over one in memory. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
    connect,
    ConflictError,
    SpoorError,
    type Bus,
    type NewEvent,
    type Published,
    type SpoorEvent,
} from "../src/index.js";
import { createTestBus } from "../src/testing/index.js";
import { Server } from "./server.js";

let server: Server | undefined;
const worlds: Record<string, () => Promise<Bus>> = {
    "in memory": async () => createTestBus({ source: "tester" }),
    "over a server": async () => connect((server = await Server.start()).url, { source: "tester" }),
};

for (const [world, open] of Object.entries(worlds))
    describe(world, () => {
        let bus: Bus;
        before(async () => {
            bus = await open();
        });
        after(async () => {
            await bus.close();
            await server?.stop();
        });

        test("what is published is there as it was given", async () => {
            const order = { order: 7, items: ["ä", "b"], nested: { deep: null } };
            const done = await bus.publish("order.placed", order, {
                id: "o-7",
                source: "shop",
                stream: "order-7",
                schemaversion: 2,
                metadata: { tenant: "x" },
                extensions: { region: "eu", weight: 3 },
            });
            assert.equal(done.duplicate, false);
            assert.deepEqual([done.id, done.stream, done.version], ["o-7", "order-7", 1]);
            const event = await bus.get<typeof order>("o-7");
            assert.ok(event);
            assert.deepEqual(event.data, order);
            assert.deepEqual(
                [event.type, event.source, event.stream, event.correlationid, event.schemaversion],
                ["order.placed", "shop", "order-7", "o-7", "2"],
            );
            assert.deepEqual(event.metadata, { tenant: "x" });
            assert.deepEqual([event["region"], event["weight"]], ["eu", "3"]);
            assert.equal(event.position, done.position);
        });

        test("the same source and id again appends nothing", async () => {
            const first = await bus.publish("a.b", 1, { id: "same" });
            const again = await bus.publish("a.b", 2, { id: "same" });
            assert.deepEqual([again.duplicate, again.position], [true, first.position]);
        });

        test("data of every kind comes back", async () => {
            for (const data of [null, "text", 5, true, [], {}, ["ü", { a: 1 }]]) {
                const { id } = await bus.publish("kind.json", data);
                assert.deepEqual((await bus.get(id))?.data, data);
            }
            const bytes = new Uint8Array([0, 255, 128, 7]);
            const binary = await bus.publish("kind.bytes", bytes, {
                datacontenttype: "application/octet-stream",
            });
            assert.deepEqual((await bus.get(binary.id))?.data, bytes);
            const text = await bus.publish("kind.text", "<a/>", { datacontenttype: "text/xml" });
            assert.equal((await bus.get(text.id))?.data, "<a/>");
            await assert.rejects(
                bus.publish("kind.none", () => 1),
                /expected what JSON can hold/,
            );
        });

        test("a wrong expected version is a conflict that names the actual one", async () => {
            await bus.publish("s.made", {}, { stream: "s-1", expectedVersion: "none" });
            await assert.rejects(
                bus.publish("s.made", {}, { stream: "s-1", expectedVersion: "none" }),
                (error: unknown) => {
                    assert.ok(error instanceof ConflictError && error instanceof SpoorError);
                    assert.equal(error.actualVersion, 1);
                    return true;
                },
            );
            await bus.publish("s.changed", {}, { stream: "s-1", expectedVersion: 1 });
        });

        test("what the store would refuse is an error that says why", async () => {
            await assert.rejects(bus.publish("task.*"), /wildcard \*/);
            await assert.rejects(bus.publish("a b"), /white space/);
            await assert.rejects(bus.publish("a", {}, { source: "" }), /source: expected a text/);
            await assert.rejects(bus.query({ from: "soon" }), /found soon/);
            await assert.rejects(bus.query({ limit: 0 }), /limit: expected a whole number/);
        });

        test("a batch is whole or not at all", async () => {
            const before = (await bus.query({ reverse: true, limit: 1 }))[0]!.position;
            const done = await bus.publishBatch([
                { type: "b.one", data: 1, stream: "b1" },
                { type: "b.two", data: 2, stream: "b2" },
            ]);
            assert.deepEqual(
                done.map(({ position }) => position),
                [before + 1, before + 2],
            );
            await assert.rejects(
                bus.publishBatch([{ type: "b.three" }, { type: "b.*" }]),
                /wildcard/,
            );
            assert.deepEqual(
                (await bus.query({ type: "b.*" })).map(({ type }) => type),
                ["b.one", "b.two"],
            );
            assert.deepEqual(await bus.publishBatch([]), []);
        });

        test("a batch of which one event is refused stores nothing", async () => {
            const before = (await bus.query({ reverse: true, limit: 1 }))[0]!.position;
            const good = { type: "r.good", stream: "r1" };
            const many = Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`e${n}`, n]));
            const refused: [NewEvent, RegExp][] = [
                [
                    { type: "r.large", data: "x".repeat(1 << 20) },
                    /^LIMIT event 2: event: found 10486\d\d bytes, expected at most 1048576$/,
                ],
                [{ type: "r.many", extensions: many }, /^LIMIT .*attributes/],
                [{ type: "r.*" }, /^event 2: type: found the wildcard/],
                [{ type: "r.own", stream: "$r" }, /^event 2: stream: "\$r" begins with \$/],
                [
                    { type: "r.taken", extensions: { position: 7 } },
                    /^event 2: extensions: "position" cannot be/,
                ],
                [
                    { type: "r.version", expectedVersion: -1 },
                    /^event 2: expectedVersion: .*found -1$/,
                ],
                [{ type: "r.code", data: () => 1 }, /expected what JSON can hold/],
            ];
            for (const [event, message] of refused) {
                await assert.rejects(bus.publishBatch([good, event, good]), (error: unknown) => {
                    assert.ok(error instanceof SpoorError);
                    assert.match(error.message, message);
                    return true;
                });
            }
            const [last] = await bus.query({ reverse: true, limit: 1 });
            assert.equal(last!.position, before);
            assert.equal((await bus.publishBatch([good]))[0]!.version, 1);
        });

        test("expected versions in a batch hold, all of them, or are a conflict", async () => {
            const batch: NewEvent[] = [
                { type: "x.a", id: "x-1", stream: "x1", expectedVersion: "none" },
                { type: "x.b", id: "x-2", stream: "x2" },
                { type: "x.c", id: "x-3", stream: "x1", expectedVersion: 1 },
                { type: "x.d", id: "x-4", stream: "x2", expectedVersion: 1 },
            ];
            const places = (list: Published[]): unknown[] =>
                list.map(({ id, stream, version, duplicate }) => [id, stream, version, duplicate]);
            const done = await bus.publishBatch(batch);
            assert.deepEqual(places(done), [
                ["x-1", "x1", 1, false],
                ["x-2", "x2", 1, false],
                ["x-3", "x1", 2, false],
                ["x-4", "x2", 2, false],
            ]);
            assert.deepEqual(
                (await bus.query({ type: "x.*" })).map(({ id, position, entryid }) => [
                    id,
                    position,
                    entryid,
                ]),
                done.map(({ id, position, entryid }) => [id, position, entryid]),
            );
            // The whole batch again is no conflict: it is there.
            const again = await bus.publishBatch(batch);
            assert.deepEqual(
                again,
                done.map((one) => ({ ...one, duplicate: true })),
            );
            const conflict = (stale: NewEvent[], actual: number, message: RegExp): Promise<void> =>
                assert.rejects(bus.publishBatch(stale), (error: unknown) => {
                    assert.ok(error instanceof ConflictError);
                    assert.equal(error.actualVersion, actual);
                    assert.match(error.message, message);
                    return true;
                });
            await conflict(
                [
                    { type: "x.e", stream: "x3" },
                    { type: "x.f", stream: "x1", expectedVersion: 1 },
                ],
                2,
                /^CONFLICT stream x1 is at version 2, expected 1$/,
            );
            await conflict(
                [
                    { type: "x.e", stream: "x1" },
                    { type: "x.f", stream: "x1", expectedVersion: 2 },
                ],
                2,
                /^CONFLICT stream x1 is at version 2, expected 1$/,
            );
            await conflict([batch[0]!, { type: "x.g", stream: "x9" }], 2, /expected 0$/);
            await assert.rejects(
                bus.publishBatch([
                    { type: "x.e", stream: "x3" },
                    { type: "x.f", stream: "x3", expectedVersion: "none" },
                ]),
                /expectedVersion: 0 of x3 cannot hold behind 1 other events/,
            );
            assert.equal((await bus.query({ type: "x.*" })).length, 4);
        });

        test("events that are there already, or twice in a batch, are stored once", async () => {
            const first = await bus.publish("d.one", 1, { id: "d-1", stream: "d1" });
            const done = await bus.publishBatch([
                { type: "d.two", data: 2, id: "d-2", stream: "d1" },
                { type: "d.one", data: 7, id: "d-1", stream: "d1" },
                { type: "d.two", data: 8, id: "d-2", stream: "d1" },
                { type: "d.one", data: 3, id: "d-1", source: "another", stream: "d1" },
            ]);
            assert.deepEqual(
                done.map(({ position, version, duplicate }) => [
                    position - first.position,
                    version,
                    duplicate,
                ]),
                [
                    [1, 2, false],
                    [0, 1, true],
                    [1, 2, true],
                    [2, 3, false],
                ],
            );
            assert.deepEqual(
                (await bus.query({ stream: "d1" })).map(({ data }) => data),
                [1, 2, 3],
            );
        });

        test("an event of a batch is stored as it was given", async () => {
            const bytes = new Uint8Array([0, 255, 128, 7]);
            const [one, two] = await bus.publishBatch([
                {
                    type: "g.json",
                    data: { a: ["ä"] },
                    stream: "g1",
                    correlationid: "run-g",
                    schemaversion: 2,
                    time: new Date(0),
                    metadata: { tenant: "x" },
                    extensions: { region: "eu", weight: 3 },
                },
                { type: "g.bytes", data: bytes, datacontenttype: "application/octet-stream" },
            ]);
            const event = (await bus.get(one!.id))!;
            assert.deepEqual(
                [event.data, event.stream, event.correlationid, event.schemaversion, event.time],
                [{ a: ["ä"] }, "g1", "run-g", "2", "1970-01-01T00:00:00.000Z"],
            );
            assert.deepEqual(
                [event.metadata, event["region"], event["weight"]],
                [{ tenant: "x" }, "eu", "3"],
            );
            assert.deepEqual((await bus.get(two!.id))?.data, bytes);
            assert.deepEqual([two!.stream, (await bus.get(two!.id))?.source], ["tester", "tester"]);
        });

        test("queries", async () => {
            for (let n = 1; n <= 5; n++) {
                await bus.publish(
                    `q.${n % 2 === 0 ? "even" : "odd"}`,
                    { n },
                    { source: `asker-${n % 2}`, correlationid: "run-q" },
                );
            }
            const numbers = (events: SpoorEvent<{ n: number }>[]): number[] =>
                events.map(({ data }) => data.n);
            assert.deepEqual(numbers(await bus.query({ type: "q.*" })), [1, 2, 3, 4, 5]);
            assert.deepEqual(numbers(await bus.query({ type: ["q.even"] })), [2, 4]);
            assert.deepEqual(numbers(await bus.query({ source: "asker-1" })), [1, 3, 5]);
            assert.deepEqual(
                numbers(
                    await bus.query({ correlation: "run-q", filter: { "data.n": { $gte: 4 } } }),
                ),
                [4, 5],
            );
            assert.deepEqual(
                numbers(await bus.query({ type: "q.#", reverse: true, limit: 2 })),
                [5, 4],
            );
            const [third] = await bus.query({ type: "q.*", filter: { "data.n": 3 } });
            assert.deepEqual(
                numbers(
                    await bus.query({ type: "q.*", from: third!.position, until: third!.entryid }),
                ),
                [3],
            );
            assert.deepEqual(numbers(await bus.query({ type: "q.*", until: new Date(0) })), []);
        });

        test("scan reads everything, in pieces", async () => {
            const count = 2500;
            for (let at = 0; at < count; at += 500) {
                await bus.publishBatch(
                    Array.from({ length: 500 }, (_, n) => ({ type: "many.one", data: at + n })),
                );
            }
            for (const reverse of [false, true]) {
                const seen: number[] = [];
                for await (const event of bus.scan<number>({ type: "many.one", reverse })) {
                    seen.push(event.data);
                }
                const expected = Array.from({ length: count }, (_, n) => n);
                assert.deepEqual(seen, reverse ? expected.reverse() : expected);
            }
        });

        test("why and effects tell the story", async () => {
            await bus.publish("w.root", 1, { id: "w-1" });
            await bus.publish("w.middle", 2, { id: "w-2", causationid: "w-1" });
            await bus.publish("w.leaf", 3, { id: "w-3", causationid: "w-2" });
            assert.deepEqual(
                (await bus.why("w-3")).map(({ id }) => id),
                ["w-3", "w-2", "w-1"],
            );
            assert.deepEqual(
                (await bus.effects("w-1")).map(({ depth, event }) => [depth, event.id]),
                [
                    [0, "w-1"],
                    [1, "w-2"],
                    [2, "w-3"],
                ],
            );
            assert.equal((await bus.get("w-3"))?.correlationid, "w-1");
            assert.equal(await bus.get("nobody"), undefined);
            await assert.rejects(bus.why("nobody"), /no such event/);
        });

        test("a subscription from now on sees what comes after it is ready", async () => {
            const abort = new AbortController();
            const subscription = bus.subscribe<number>({ type: "now.tick", signal: abort.signal });
            await subscription.ready;
            await bus.publish("now.tick", 1);
            assert.equal((await subscription.next()).value?.data, 1);
            const waiting = subscription.next();
            abort.abort();
            assert.equal((await waiting).done, true);
            await assert.rejects(bus.subscribe({ filter: { $nonsense: 1 } }).next(), SpoorError);
        });

        test("a query by time and by entry", async () => {
            const [first, second] = [
                await bus.publish("time.x", 1),
                await bus.publish("time.x", 2),
            ];
            const at = (await bus.get(second.id))!.recordedtime;
            assert.ok((await bus.query({ type: "time.x", until: at })).length === 2);
            assert.deepEqual(
                (await bus.query({ type: "time.x", from: second.entryid })).map(({ id }) => id),
                [second.id],
            );
            assert.deepEqual(
                (await bus.query({ type: "time.x", from: "-1h", until: first.entryid })).map(
                    ({ id }) => id,
                ),
                [first.id],
            );
            assert.deepEqual(await bus.query({ type: "time.x", from: "now" }), []);
        });
    });
