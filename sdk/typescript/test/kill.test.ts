/** Agents as processes: killed in the middle of their work, and asked to end. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connect, type Bus, type LogRecord } from "../src/index.js";
import { eventually, Server } from "./server.js";

let server: Server;
let bus: Bus;
let ledger: string;
const children: ChildProcess[] = [];
before(async () => {
    server = await Server.start();
    bus = await connect(server.url, { source: "shop" });
    ledger = join(server.folder, "ledger");
});
after(async () => {
    children.forEach((child) => child.kill("SIGKILL"));
    await bus.close();
    await server.stop();
});

interface Child {
    process: ChildProcess;
    lines: LogRecord[];
}

async function agent(hang = ""): Promise<Child> {
    const child = spawn(process.execPath, [join(folderOf(import.meta.url), "child.js")], {
        env: { ...process.env, SPOOR_URL: server.url, HANG: hang, LEDGER: ledger },
        stdio: ["ignore", "ignore", "pipe"],
    });
    children.push(child);
    const lines: LogRecord[] = [];
    let rest = "";
    child.stderr!.setEncoding("utf8").on("data", (piece: string) => {
        const parts = (rest + piece).split("\n");
        rest = parts.pop() ?? "";
        lines.push(...parts.map((line) => JSON.parse(line) as LogRecord));
    });
    await eventually(() => lines.some(({ msg }) => msg === "started"), "an agent that has started");
    return { process: child, lines };
}

function folderOf(url: string): string {
    return decodeURIComponent(new URL(".", url).pathname);
}

const count = async (type: string): Promise<number> => (await bus.query({ type })).length;

test("killed with SIGKILL: suspected, redelivered to another process, and nothing done twice", async () => {
    const first = await agent("handler");
    await bus.publish("order.placed", { order: 7 });
    await eventually(async () => (await count("order.paid")) === 1, "a payment");
    const gone = once(first.process, "exit");
    first.process.kill("SIGKILL");
    await gone;
    await eventually(async () => (await bus.agent("till"))?.status === "suspected", "suspicion");
    assert.deepEqual(await bus.agents({ capability: "pay", free: true }), []);

    await agent();
    await eventually(async () => (await count("order.closed")) === 1, "the end of the work");
    assert.equal(await count("order.paid"), 1);
    assert.deepEqual(
        (await bus.query<{ attempt: number }>({ type: "order.closed" })).map(
            ({ data }) => data.attempt,
        ),
        [2],
    );
    assert.equal(readFileSync(ledger, "utf8"), "charged 7\n");
    assert.equal((await bus.agent("till"))?.status, "online");
    assert.equal(await count("agent.recovered"), 1);
});

test("SIGTERM: what runs is finished, and the process ends well", async () => {
    const all = children.filter(
        ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    );
    assert.equal(all.length, 1);
    await bus.publish("order.slow");
    await eventually(async () => (await count("slow.begun")) === 1, "a beginning");
    const gone = once(all[0]!, "exit");
    all[0]!.kill("SIGTERM");
    assert.deepEqual(await gone, [0, null]);
    assert.equal(await count("slow.ended"), 1);
    assert.equal((await bus.agent("till"))?.status, "offline");
});
