import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Server, openBrowser, openPage, violations } from "./stage.mjs";

const RUNS = "../shared/data/agent_runs.jsonl.zst";
const RUN = "tau-bench-airline/task0/trial0";
let server;
let browser;
let saga; // that waits for an approval

before(async () => {
    server = new Server();
    await server.start();
    server.run("import", RUNS);
    server.run("group", "create", "mailers", "$type:mail.#", "--max-deliveries", "1");
    await letter("mail-1");
    server.run("saga", "define", "examples/sagas/book-demo.yaml");
    saga = await startSaga();
    await startSaga();
    await server.publish({ type: "agent.started", source: "planner", data: { capabilities: ["plan"] } });
    browser = await openBrowser();
});

after(async () => {
    await browser?.close();
    await server?.remove();
});

// An event that the group's worker cannot handle.
async function letter(id) {
    await server.publish({ type: "mail.send", source: "shop", id, data: { to: "ann@example" } });
    const post = async (path, body) => {
        const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
        return (await fetch(`${server.url}/v1/groups/mailers/${path}`, options)).json();
    };
    const { entries } = await post("receive", { consumer: "w1", wait_ms: 60000 });
    await post("nack", { ids: [entries[0].id], error: "no such box", dead: true });
}

const answer = (id, step, type, data = {}) =>
    server.publish({ type: `${type}.completed`, source: "worker", causationid: `${id}/${step}`, data });

// A saga whose first step is done.
async function startSaga() {
    const { sagaid } = JSON.parse(server.run("saga", "start", "book-demo", '{"lead_id": "lead-1"}', "--json"));
    await answer(sagaid, "qualify_lead:1", "sales.qualify_lead", { score: 7 });
    return sagaid;
}

async function lastOf(correlation) {
    const query = new URLSearchParams({ correlation, reverse: "true", limit: "1" });
    return (await (await fetch(`${server.url}/v1/events?${query}`)).json())[0];
}

const hashOf = (view, id) => `#/${view}/${encodeURIComponent(id)}`;

// Colours and widths change independently of each other: two of the four say it all.
for (const [colorScheme, width] of [
    ["dark", 1280],
    ["light", 390],
]) {
    test(`no view breaks a rule of accessibility, ${colorScheme}, ${width} pixels`, async () => {
        const last = await lastOf(RUN);
        const views = {
            "#/live": ".row",
            "#/runs": ".list td a",
            [`${hashOf("run", RUN)}?at=12`]: ".moment .envelope td",
            [hashOf("event", last.id)]: ".related a",
            [hashOf("why", last.id)]: ".graph a",
            [`${hashOf("why", last.id)}?text=1`]: ".chain a",
            "#/agents": ".list td a",
            "#/queues": ".list td a",
            "#/queue/mailers": ".letter",
            "#/models": ".list td a",
            "#/sql?q=SELECT%20count(*)%20FROM%20runs": ".list td",
            "#/sagas": ".list td a",
            [hashOf("saga", saga)]: ".list td",
            "#/approvals": ".letter",
            "#/types": ".list td a",
            "#/type/task.created": ".json",
            "#/system": ".figures td",
            "#/nothing": ".empty",
        };
        for (const [hash, shown] of Object.entries(views)) {
            const page = await openPage(browser, server, hash, {
                viewport: { width, height: 800 },
                colorScheme,
            });
            await page.waitForSelector(shown);
            assert.deepEqual(await violations(page), [], hash);
            const wide = await page.evaluate(() => document.documentElement.scrollWidth);
            assert.ok(wide <= width, `${hash} is ${wide} pixels wide`);
            assert.deepEqual(page.faults, [], hash);
            await page.close();
        }
    });
}

test("the tail shows what is there, then what comes, first the newest", async () => {
    const page = await openPage(browser, server, "#/live");
    await page.waitForSelector(".row");
    const newest = (await (await fetch(`${server.url}/v1/events?reverse=true&limit=1`)).json())[0];
    assert.equal(await page.textContent(".row .cell-position"), String(newest.position));
    await server.publish({ type: "task.created", source: "me", id: "live-1", data: { title: "<b>x</b>" } });
    await page.waitForFunction(() => document.querySelector(".row .cell-type")?.textContent === "task.created");
    assert.match(await page.textContent(".row .cell-data"), /<b>x<\/b>/);
    await page.close();
});

test("a paused tail counts what comes, and shows it when it goes on", async () => {
    const page = await openPage(browser, server, "#/live?type=pause.%23");
    await page.waitForSelector("text=No event yet");
    await page.waitForSelector(".link-open");
    await page.click("text=Pause");
    await server.publish({ type: "pause.one", source: "me" });
    await page.waitForSelector("text=Go on (1 new)");
    assert.equal(await page.$(".row"), null);
    await page.click("text=Go on");
    await page.waitForSelector(".row");
    await page.close();
});

test("a condition that is typed is in the address, and one that is wrong is explained", async () => {
    const page = await openPage(browser, server, "#/live");
    await page.fill("input[name=type]", "tool.*");
    await page.press("input[name=type]", "Enter");
    await page.waitForFunction(() => location.hash.includes("type=tool.*"));
    await page.waitForFunction(() =>
        [...document.querySelectorAll(".row .cell-type")].every(cell => cell.textContent.startsWith("tool.")),
    );
    await page.fill("input[name=filter]", "{");
    await page.press("input[name=filter]", "Enter");
    await page.waitForSelector("[role=alert]");
    assert.match(await page.textContent("[role=alert]"), /filter/);
    await page.close();
});

test("killing the server under the page: it says so, comes again, and misses nothing", async () => {
    const page = await openPage(browser, server, "#/live?type=seen.%23");
    await page.waitForSelector(".link-open");
    await server.publish({ type: "seen.before", source: "me" });
    await page.waitForSelector("text=seen.before");
    await server.stop("SIGKILL");
    await page.waitForSelector(".link-lost");
    await server.start();
    await server.publish({ type: "seen.meanwhile", source: "me" });
    await page.waitForSelector("text=seen.meanwhile", { timeout: 60000 });
    const seen = await page.$$eval(".row .cell-type", cells => cells.map(cell => cell.textContent));
    assert.deepEqual(seen, ["seen.meanwhile", "seen.before"]);
    await page.close();
});

test("a run: its figures, its failures, its state at an event", async () => {
    const page = await openPage(browser, server, hashOf("run", RUN));
    await page.waitForSelector("text=33 events");
    assert.equal(await page.textContent(".status"), "failed");
    await page.click(".waterfall-row >> nth=11 >> button");
    await page.waitForFunction(() => location.hash.includes("at=12"));
    await page.waitForSelector(".moment .envelope td");
    const state = await page.$$eval(".moment .envelope tr", rows =>
        Object.fromEntries(rows.map(row => [row.children[0].textContent, row.children[1].textContent])),
    );
    assert.equal(state.status, "running");
    assert.equal(state.tool_calls, "2");
    await page.click("text=Compare from here");
    await page.click(".waterfall-row >> nth=13 >> button");
    await page.waitForSelector(".changed del");
    const changed = await page.$$eval(".changed", rows => rows.map(row => row.innerText.replace(/\s+/g, " ")));
    assert.ok(changed.includes("tool_calls 2 3"), changed.join(", "));
    await page.click("text=failed >> nth=1");
    await page.waitForFunction(() => document.querySelectorAll(".waterfall-row").length === 2);
    await page.close();
});

test("why: from an event to the first cause by clicks", async () => {
    const last = await lastOf(RUN);
    const page = await openPage(browser, server, hashOf("event", last.id));
    await page.click("text=Why?");
    await page.waitForSelector(".graph .node-here");
    await page.click("text=As text");
    await page.waitForSelector(".chain");
    const first = await page.textContent(".chain li:first-child a");
    assert.equal(first, "conversation.started");
    await page.click(".chain li:first-child a");
    await page.waitForFunction(() => document.querySelectorAll(".graph rect").length > 10);
    await page.close();
});

test("the palette leads from an id to what it names, by keys alone", async () => {
    const page = await openPage(browser, server, "#/runs");
    await page.waitForSelector(".list");
    await page.keyboard.press("Control+k");
    await page.waitForSelector(".palette input:focus");
    await page.keyboard.type(RUN);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.waitForSelector("text=33 events");
    await page.close();
});

test("what is not there is said in the server's words", async () => {
    const page = await openPage(browser, server, "#/event/nobody-knows");
    await page.waitForSelector("[role=alert]");
    assert.match(await page.textContent("[role=alert]"), /nobody-knows/);
    await page.close();
});

test("a dead letter shows its reason, is tried again from the page, and succeeds", async () => {
    const page = await openPage(browser, server, "#/queues");
    await page.click("text=mailers");
    await page.waitForSelector("text=no such box");
    await page.click(".letter >> text=Try again");
    await page.click(".ask button >> nth=0");
    await page.waitForSelector("text=None: everything was done");
    const received = await fetch(`${server.url}/v1/groups/mailers/receive`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ consumer: "w1", wait_ms: 60000 }),
    });
    const { entries } = await received.json();
    assert.equal(entries[0].event.id, "mail-1");
    await fetch(`${server.url}/v1/groups/mailers/ack`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ ids: [entries[0].id] }),
    });
    await page.close();
});

test("figures in SQL are those that the history is known for, now and as of a moment", async () => {
    const sql = encodeURIComponent("SELECT status, count(*) AS n FROM runs WHERE tool_calls > 0 OR 1 GROUP BY status ORDER BY 1");
    const cells = async hash => {
        const page = await openPage(browser, server, hash);
        await page.waitForSelector(".list td");
        const found = await page.$$eval(".list tbody tr", rows => rows.map(row => row.innerText.split("\t")));
        await page.close();
        return found;
    };
    const now = await cells(`#/sql?q=${sql}`);
    assert.deepEqual(now.slice(0, 2), [["completed", "136"], ["failed", "144"]]);
    const then = await cells(`#/sql?q=${sql}&at=33`);
    assert.deepEqual(then, [["failed", "1"]]);
});

test("a read model is built anew from the page while queries run", async () => {
    const page = await openPage(browser, server, "#/models");
    await page.click("[aria-label='Build runs anew']");
    let failed = 0;
    let asked = 0;
    let over = false;
    const asking = (async () => {
        while (!over) {
            const response = await fetch(`${server.url}/v1/query`, {
                method: "POST",
                headers: { "Content-Type": "application/json" },
                body: JSON.stringify({ sql: "SELECT count(*) FROM runs WHERE status = 'completed'" }),
            });
            const answer = await response.json();
            failed += response.ok && answer.rows[0][0] === 136 ? 0 : 1;
            asked++;
        }
    })();
    await page.click(".ask button >> nth=0");
    await page.waitForFunction(
        async () => {
            const state = await (await fetch("../v1/projections/runs/status")).json();
            return state.build > 1 && state.rebuild === null;
        },
        undefined,
        { timeout: 60000, polling: 200 },
    );
    over = true;
    await asking;
    assert.ok(asked > 0);
    assert.equal(failed, 0);
    assert.deepEqual(page.faults, []);
    await page.close();
});

test("the figures of the server come over one connection, by themselves", async () => {
    const page = await openPage(browser, server, "#/system");
    await page.waitForSelector(".figures td");
    const position = () => page.textContent(".figures tr:first-child td");
    const before = Number(await position());
    await server.publish({ type: "figure.told", source: "me" });
    await page.waitForFunction(
        least => Number(document.querySelector(".figures tr:first-child td").textContent) > least,
        before,
    );
    await page.close();
});

test("an approval is given on the page, and the saga goes on to its end", async () => {
    const page = await openPage(browser, server, "#/approvals");
    await page.waitForSelector(".letter >> nth=1");
    await page.click(`.letter:has(a[href*="${saga}"]) button >> text=approve`);
    await page.fill("input[name=by]", "ann");
    await page.fill("input[name=reason]", "a good lead");
    await page.click(".ask button[type=submit]");
    await page.waitForFunction(() => document.querySelectorAll(".letter").length === 1);
    await page.goto(`${server.url}/ui/${hashOf("saga", saga)}`);
    await page.waitForSelector("text=ann answered");
    await answer(saga, "book/slot:1", "calendar.book");
    await answer(saga, "book/crm:1", "crm.create_opportunity");
    await page.waitForSelector(".bar .status-completed");
    assert.deepEqual(page.faults, []);
    await page.close();
});

test("who decides second is told who was first", async () => {
    const page = await openPage(browser, server, "#/approvals");
    await page.click(".letter button >> text=reject");
    const { approvals } = await (await fetch(`${server.url}/v1/approvals`)).json();
    await fetch(`${server.url}/v1/approvals/${encodeURIComponent(approvals[0].id)}/decide`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ choice: "approve", by: "bob" }),
    });
    await page.fill("input[name=by]", "ann");
    await page.click(".ask button[type=submit]");
    await page.waitForSelector("text=Already decided: approve by bob");
    await page.close();
});

test("a saga is cancelled from the page, with who and why in the record", async () => {
    const id = await startSaga();
    const page = await openPage(browser, server, hashOf("saga", id));
    await page.click("text=Cancel");
    await page.fill("input[name=by]", "ann");
    await page.fill("input[name=reason]", "the lead is gone");
    await page.click(".ask button[type=submit]");
    await page.waitForSelector(".bar .status-compensating");
    await answer(id, "qualify_lead~1", "sales.unqualify_lead");
    await page.waitForSelector(".bar .status-cancelled");
    const events = await (await fetch(`${server.url}/v1/events?type=saga.cancel.requested`)).json();
    assert.equal(events[0].data.by, "ann");
    assert.equal(events[0].data.reason, "the lead is gone");
    await page.close();
});
