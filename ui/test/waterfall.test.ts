import assert from "node:assert/strict";
import { test } from "node:test";

import type { StoredEvent } from "../src/api/types.js";
import { groupsOf, treeOf } from "../src/views/causes.js";
import { GRAPH_NODES_MAX, graphOf } from "../src/views/graph.js";
import { tokensOf, waterfallOf } from "../src/views/waterfall.js";

function event(id: string, ms: number, more: Partial<StoredEvent> = {}): StoredEvent {
    return {
        id,
        type: "note",
        source: "a",
        stream: "a",
        correlationid: "r",
        time: new Date(ms).toISOString(),
        position: Number(id),
        version: 1,
        recordedtime: new Date(0).toISOString(),
        entryid: "0-1",
        ...more,
    };
}

test("an answer is a span from what it answers, anything else a mark", () => {
    const { rows, lanes } = waterfallOf([
        event("1", 0, { type: "tool.called" }),
        event("2", 400, { type: "tool.result", source: "tool", causationid: "1" }),
        event("3", 1000, { type: "message.agent", causationid: "2" }),
    ]);
    assert.deepEqual(lanes, ["a", "tool"]);
    assert.deepEqual([rows[1]!.begin, rows[1]!.ms], [0, 400]);
    assert.deepEqual([rows[2]!.begin, rows[2]!.end], [rows[2]!.end, 1]);
});

test("a long gap is folded, and said", () => {
    const { folds, rows, ms } = waterfallOf([event("1", 0), event("2", 100), event("3", 100_000), event("4", 100_100)]);
    assert.equal(ms, 100_100);
    assert.equal(folds.length, 1);
    assert.equal(folds[0]!.ms, 99_900);
    assert.ok(rows[1]!.begin > 0.01, "the work before the gap can be seen");
});

test("an effect is not before its cause, whatever the clocks say", () => {
    const { rows } = waterfallOf([event("1", 1000), event("2", 500, { causationid: "1" }), event("3", 2000)]);
    assert.equal(rows[1]!.begin, rows[0]!.begin);
});

test("events without times of their own stand in their order", () => {
    const bare = ["1", "2", "3"].map(id => {
        const { time: _, ...rest } = event(id, 0);
        return rest as StoredEvent;
    });
    const { rows, timed } = waterfallOf(bare);
    assert.equal(timed, false);
    assert.deepEqual(rows.map(row => row.begin), [0, 0.5, 1]);
});

test("failures are those by type and those that data tells", () => {
    const { rows } = waterfallOf([
        event("1", 0, { type: "run.failed" }),
        event("2", 1, { type: "tool.result", data: { is_error: true } }),
        event("3", 2, { type: "tool.result", data: { is_error: false } }),
    ]);
    assert.deepEqual(rows.map(row => row.failed), [true, true, false]);
});

test("tokens are read under the names that agents use", () => {
    assert.equal(tokensOf(event("1", 0, { data: { usage: { prompt_tokens: 7, completion_tokens: 3 } } })), 10);
    assert.equal(tokensOf(event("1", 0, { data: { usage: { input_tokens: 7 } } })), 7);
    assert.equal(tokensOf(event("1", 0, { data: { tokens: 5 } })), 5);
    assert.equal(tokensOf(event("1", 0)), undefined);
});

test("no event is an empty picture, one is all of it", () => {
    assert.deepEqual(waterfallOf([]), { rows: [], lanes: [], folds: [], ms: 0, timed: true });
    assert.equal(waterfallOf([event("1", 5)]).rows[0]!.begin, 0);
});

test("effects are a tree, and repeats stand together", () => {
    const tree = treeOf([
        event("1", 0),
        event("2", 1, { causationid: "1" }),
        event("3", 1, { causationid: "1" }),
        event("4", 1, { causationid: "1", type: "other" }),
        event("5", 1, { causationid: "4" }),
    ])!;
    assert.deepEqual(
        groupsOf(tree.effects).map(group => group.map(branch => branch.event.id)),
        [["2", "3"], ["4"]],
    );
    assert.equal(tree.effects[2]!.effects[0]!.event.id, "5");
});

test("causes and effects are one graph, repeats one node, and too much none", () => {
    const root = event("1", 0);
    const here = event("2", 1, { causationid: "1" });
    const effects = [here, event("3", 2, { causationid: "2" }), event("4", 2, { causationid: "2" })];
    const graph = graphOf([here, root], effects)!;
    assert.deepEqual(graph.edges, [["1", "2"], ["2", "3"]]);
    assert.deepEqual(graph.nodes.map(node => [node.id, node.count, node.here]), [["2", 1, true], ["1", 1, false], ["3", 2, false]]);
    const wide = Array.from({ length: GRAPH_NODES_MAX + 1 }, (_, i) =>
        event(String(i + 3), 2, { causationid: "2", type: `type-${i}` }),
    );
    assert.equal(graphOf([here, root], [here, ...wide]), undefined);
});
