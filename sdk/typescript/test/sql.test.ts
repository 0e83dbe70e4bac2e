/** sql(): read models of a server. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { connect, UnsupportedError, type Bus } from "../src/index.js";
import { createTestBus } from "../src/testing/index.js";
import { Server } from "./server.js";

let server: Server;
let bus: Bus;
before(async () => {
    server = await Server.start();
    bus = await connect(server.url, { source: "anna" });
});
after(async () => {
    await bus.close();
    await server.stop();
});

test("rows tell of what was just published", async () => {
    await bus.publish("agent.started", undefined, { correlationid: "run-1" });
    const last = await bus.publish(
        "agent.tokens_generated",
        { count: 7 },
        { correlationid: "run-1" },
    );
    const answer = await bus.sql<{ agent_id: string; total_tokens: number }>(
        "SELECT agent_id, total_tokens FROM agent_stats WHERE agent_id = :id",
        { params: { id: "anna" }, seen: last },
    );
    assert.deepEqual(answer.columns, ["agent_id", "total_tokens"]);
    assert.deepEqual(answer.rows, [{ agent_id: "anna", total_tokens: 7 }]);
    assert.ok(answer.position !== undefined && answer.position >= last.position);
});

test("values go there and come back", async () => {
    const params = [1, 2.5, "ü", null, new Uint8Array([0, 255])];
    const answer = await bus.sql("SELECT ?, ?, ?, ?, ?, ?, ?", {
        params: [...params, true, 2n ** 62n],
        timeout: "20s",
        maxRows: 1,
    });
    assert.deepEqual(answer.values, [[...params, 1, Number(2n ** 62n)]]);
    assert.equal(answer.position, undefined);
});

test("what is wrong is told", async () => {
    await assert.rejects(bus.sql("SELEC 1"), /line 1, column 1: near/);
    await assert.rejects(bus.sql("SELECT * FROM absent"), /there is no table 'absent'/);
    await assert.rejects(bus.sql("CREATE TABLE x (y)"), /may only read/);
    await assert.rejects(bus.sql("SELECT :id"), /:id has no value/);
    await assert.rejects(bus.sql("SELECT ?", { params: [NaN] }), /NaN is no value/);
});

test("a bus in memory has no read models", async () => {
    const memory = createTestBus();
    await assert.rejects(memory.sql("SELECT 1"), UnsupportedError);
    await memory.close();
});
