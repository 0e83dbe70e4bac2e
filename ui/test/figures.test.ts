import assert from "node:assert/strict";
import { test } from "node:test";

import { Metrics } from "../src/api/metrics.js";
import { matches } from "../src/api/patterns.js";
import { bytes } from "../src/parts/bytes.js";
import { ago, duration } from "../src/parts/time.js";
import { csvOf } from "../src/views/csv.js";
import { completions } from "../src/views/sql.js";

const TEXT = `# HELP a of no interest
events_total 10
lag{key="$type:a.\\"b\\"",group="x\\ny"} 3
lag{key="k",group="g"} 4.5
`;

test("lines of metrics are read, with their labels", () => {
    const metrics = new Metrics(TEXT, 1000);
    assert.equal(metrics.sum("events_total"), 10);
    assert.equal(metrics.sum("lag"), 7.5);
    assert.equal(metrics.sum("lag", { group: "g" }), 4.5);
    assert.deepEqual(metrics.all("lag")[0]!.labels, { key: '$type:a."b"', group: "x\ny" });
    assert.equal(metrics.sum("nothing"), 0);
});

test("a rate is what a counter grew by, and none where the server began anew", () => {
    const before = new Metrics("events_total 10\n", 1000);
    assert.equal(new Metrics("events_total 30\n", 3000).rate("events_total", before), 10);
    assert.equal(new Metrics("events_total 2\n", 3000).rate("events_total", before), 0);
    assert.equal(before.rate("events_total", undefined), 0);
});

test("sizes, durations and ages are as people read them", () => {
    assert.deepEqual([0, 1023, 1536, 212860928].map(bytes), ["0 B", "1023 B", "1.5 KiB", "203 MiB"]);
    assert.deepEqual([12, 4200, 65_000, 8_000_000, 90_000_000].map(duration), ["12 ms", "4.2 s", "1 min 05 s", "2 h 13 min", "1 d 1 h"]);
    assert.equal(ago("2026-01-01T00:00:00Z", Date.parse("2026-01-01T00:00:30Z")), "30 s ago");
});

test("an answer as CSV keeps quotes, commas and lines apart", () => {
    assert.equal(csvOf({ columns: ["a", "b"], rows: [['x"y', null], ["1,2", { k: 1 }]] }), 'a,b\r\n"x""y",\r\n"1,2","{""k"":1}"\r\n');
});

test("what is being written is completed by names of tables", () => {
    const names = ["runs", "agent_stats", "active_runs"];
    assert.deepEqual(completions("SELECT * FROM ru", names), ["runs"]);
    assert.deepEqual(completions("select A", names), ["agent_stats", "active_runs"]);
    assert.deepEqual(completions("SELECT * FROM runs", names), []);
    assert.deepEqual(completions("SELECT ", names), []);
});

test("patterns mean what they mean on the server", () => {
    const yes = ["#|a", "#|a.b", "a.#|a", "a.#|a.b.c", "a.*|a.b", "a.>|a.b.c", "#.c|a.b.c", "a.*.c|a.b.c", "a|a"];
    const no = ["a.*|a", "a.*|a.b.c", "a.>|a", "b|a", "a.b|a", "*|a.b", "#.c|a.b"];
    const fit = (pair: string) => matches(pair.split("|")[0]!, pair.split("|")[1]!);
    assert.deepEqual(yes.map(fit), yes.map(() => true));
    assert.deepEqual(no.map(fit), no.map(() => false));
});
