// The dashboard in headless Chromium: first paint, a busy tail, a long run, an idle page.
//
//     node bench/ui.mjs        (./dev bench --ui)
//
// Frames are those that the browser asks the page for (requestAnimationFrame); client, browser and
// server share the machine, and the browser paints in software.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { Server, openBrowser, openPage } from "../ui/browser/stage.mjs";

const TAIL_PER_SECOND = 5000;
const TAIL_SECONDS = 10;
const RUN_EVENTS = 10000;
const IDLE_SECONDS = 20;
const BATCH = 250;

function row(what, measured) {
    console.log(`| ${what} | ${measured} |`);
}

async function publish(server, events) {
    const response = await fetch(`${server.url}/v1/events`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(events),
    });
    if (!response.ok) {
        throw new Error(await response.text());
    }
}

// Longest and median time between two frames while `during` goes on.
async function frames(page, during) {
    await page.evaluate(() => {
        globalThis.gaps = [];
        let last = performance.now();
        const tick = now => {
            globalThis.gaps.push(now - last);
            last = now;
            globalThis.frame = requestAnimationFrame(tick);
        };
        globalThis.frame = requestAnimationFrame(tick);
    });
    await during();
    const gaps = await page.evaluate(() => {
        cancelAnimationFrame(globalThis.frame);
        return globalThis.gaps.slice(1).sort((a, b) => a - b);
    });
    return { longest: gaps.at(-1), median: gaps[gaps.length >> 1], fps: 1000 / gaps[gaps.length >> 1] };
}

function cpuSeconds(pid) {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function size() {
    const folder = mkdtempSync(join(tmpdir(), "spoor-ui-size-"));
    const modules = process.env.SPOOR_UI_MODULES;
    execFileSync(process.execPath, ["ui/build.mjs", "--into", folder, "--modules", modules]);
    const names = readdirSync(folder).filter(name => /\.(js|css)$/.test(name));
    const total = names.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name)), { level: 9 }).length, 0);
    rmSync(folder, { recursive: true });
    row("scripts and styles, compressed", `${(total / 1024).toFixed(1)} KiB`);
}

async function firstPaint(server) {
    const times = [];
    for (let i = 0; i < 5; i++) {
        const browser = await openBrowser();
        const page = await browser.newPage();
        const begun = performance.now();
        await page.goto(`${server.url}/ui/#/live`);
        await page.waitForSelector(".row");
        times.push(performance.now() - begun);
        await browser.close();
    }
    times.sort((a, b) => a - b);
    row("first useful paint (rows of the tail), fresh browser, median / slowest of 5", `${Math.round(times[2])} / ${Math.round(times[4])} ms`);
}

async function tail(server, browser) {
    const page = await openPage(browser, server, "#/live");
    await page.waitForSelector(".link-open");
    const seen = await frames(page, async () => {
        const begun = performance.now();
        for (let sent = 0; sent < TAIL_PER_SECOND * TAIL_SECONDS; sent += BATCH) {
            const events = Array.from({ length: BATCH }, (_, i) => ({
                type: "token.generated",
                source: `agent-${i % 20}`,
                data: { text: "some words that a model said", count: i },
            }));
            await publish(server, events);
            const due = begun + ((sent + BATCH) / TAIL_PER_SECOND) * 1000;
            await new Promise(resolve => setTimeout(resolve, Math.max(0, due - performance.now())));
        }
    });
    row(`tail at ${TAIL_PER_SECOND} events/s for ${TAIL_SECONDS} s: longest / median frame`, `${Math.round(seen.longest)} / ${Math.round(seen.median)} ms`);
    await page.close();
}

async function longRun(server, browser) {
    const begun = Date.parse("2026-01-01T00:00:00Z");
    for (let at = 0; at < RUN_EVENTS; at += BATCH) {
        await publish(
            server,
            Array.from({ length: BATCH }, (_, i) => ({
                id: `long-${at + i}`,
                type: (at + i) % 2 === 0 ? "tool.called" : "tool.result",
                source: `agent-${(at + i) % 7}`,
                correlationid: "long",
                causationid: at + i === 0 ? undefined : `long-${at + i - 1}`,
                time: new Date(begun + (at + i) * 50).toISOString(),
                data: { tool: "search", is_error: (at + i) % 100 === 99 },
            })),
        );
    }
    const page = await openPage(browser, server, "#/runs");
    await page.waitForSelector(".list");
    const start = performance.now();
    await page.goto(`${server.url}/ui/#/run/long`);
    await page.waitForSelector(".waterfall-row");
    const first = performance.now() - start;
    await page.waitForSelector(`text=${RUN_EVENTS} events`);
    const whole = performance.now() - start;
    const seen = await frames(page, () =>
        page.evaluate(async () => {
            const rows = document.querySelector(".rows");
            for (let i = 0; i < 120; i++) {
                rows.scrollTop += 1500;
                await new Promise(requestAnimationFrame);
            }
        }),
    );
    row(`run of ${RUN_EVENTS} events: first rows / all of it`, `${Math.round(first)} / ${Math.round(whole)} ms`);
    row("scrolling through it: median / longest frame", `${Math.round(seen.median)} / ${Math.round(seen.longest)} ms`);
    await page.close();
}

async function idle(server, browser) {
    for (const hash of ["#/live", "#/system"]) {
        const page = await openPage(browser, server, hash);
        await page.waitForSelector(".link-open");
        const before = cpuSeconds(server.process.pid);
        await new Promise(resolve => setTimeout(resolve, IDLE_SECONDS * 1000));
        const used = ((cpuSeconds(server.process.pid) - before) / IDLE_SECONDS) * 100;
        await page.close();
        await new Promise(resolve => setTimeout(resolve, 500));
        const alone = cpuSeconds(server.process.pid);
        await new Promise(resolve => setTimeout(resolve, IDLE_SECONDS * 1000));
        const without = ((cpuSeconds(server.process.pid) - alone) / IDLE_SECONDS) * 100;
        row(`cost to the server of one idle page at ${hash}, beside ${without.toFixed(2)} % without`, `${(used - without).toFixed(2)} % of a core`);
    }
}

console.log("| what | measured |\n|---|---|");
await size();
const server = new Server();
await server.start();
server.run("import", "../shared/data/agent_runs.jsonl.zst");
await firstPaint(server);
const browser = await openBrowser();
await idle(server, browser);
await tail(server, browser);
await longRun(server, browser);
await browser.close();
await server.remove();
