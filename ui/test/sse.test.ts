import assert from "node:assert/strict";
import { test } from "node:test";

import { FrameParser, type Frame } from "../src/api/sse.js";

const STREAM =
    "retry: 1500\nid: 7@log\nevent: start\ndata: {\"position\":8}\n\n" +
    ": still there\n\n" +
    "id: 8@log\ndata: {\"type\":\"a\"}\n\n" +
    "event: gap\r\ndata: one\r\ndata: two\r\n\r\n" +
    "id: 9@log\n\n";

const FRAMES: Frame[] = [
    { event: "start", data: '{"position":8}', id: "7@log" },
    { event: "message", data: '{"type":"a"}', id: "8@log" },
    { event: "gap", data: "one\ntwo", id: undefined },
    { event: "message", data: "", id: "9@log" },
];

test("a stream is the same frames however it is cut", () => {
    for (let size = 1; size <= STREAM.length; size++) {
        const parser = new FrameParser();
        const frames: Frame[] = [];
        for (let at = 0; at < STREAM.length; at += size) {
            frames.push(...parser.push(STREAM.slice(at, at + size)));
        }
        assert.deepEqual(frames, FRAMES, `pieces of ${size}`);
        assert.equal(parser.retryMs, 1500);
    }
});

test("what is not finished is no frame", () => {
    const parser = new FrameParser();
    assert.deepEqual(parser.push("data: half\n"), []);
    assert.deepEqual(parser.push("\n"), [{ event: "message", data: "half", id: undefined }]);
});
