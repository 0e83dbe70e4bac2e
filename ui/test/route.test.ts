import assert from "node:assert/strict";
import { test } from "node:test";

import { address, serverBase } from "../src/api/base.js";
import { hrefOf, parseRoute } from "../src/app/route.js";

test("what is written into the address is read from it", () => {
    const params = { type: "task.#", filter: '{"data.n": {"$gt": 1}}', from: "1" };
    const route = parseRoute(hrefOf("run", ["tau/task 0?x#y", "ä%"], params));
    assert.deepEqual(route, { view: "run", args: ["tau/task 0?x#y", "ä%"], params });
});

test("an empty address is the live tail, and broken escapes are kept as they are", () => {
    assert.deepEqual(parseRoute(""), { view: "live", args: [], params: {} });
    assert.deepEqual(parseRoute("#/event/100%"), { view: "event", args: ["100%"], params: {} });
});

test("parameters without a value are left out", () => {
    assert.equal(hrefOf("live", [], { type: "", stream: undefined, from: "3" }), "#/live?from=3");
    assert.equal(address(["v1", "events", "a/b"], { type: ["x", "y"], limit: 5, until: undefined }), "/v1/events/a%2Fb?type=x&type=y&limit=5");
});

test("the interface lies beside the page, under any path", () => {
    assert.equal(serverBase("http://h:7380/ui/#/live"), "http://h:7380");
    assert.equal(serverBase("https://h/team/spoor/ui/index.html?x"), "https://h/team/spoor");
});
