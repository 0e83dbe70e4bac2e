// Pictures of every view, for people to look at: node shots.mjs FOLDER
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { Server, openBrowser, openPage } from "./stage.mjs";

const RUNS = "../shared/data/agent_runs.jsonl.zst";
const RUN = "tau-bench-airline/task0/trial0";
const WIDTHS = [1280, 390];
const SETTLE_MS = 1500;

const folder = process.argv[2];
mkdirSync(folder, { recursive: true });
const server = new Server();
const browser = await openBrowser();
try {
    await server.start();
    server.run("import", RUNS);
    const newest = await (await fetch(`${server.url}/v1/events?correlation=${encodeURIComponent(RUN)}&reverse=true&limit=1`)).json();
    const views = {
        live: "#/live",
        runs: "#/runs",
        run: `#/run/${encodeURIComponent(RUN)}?at=12`,
        event: `#/event/${newest[0].id}`,
        why: `#/why/${newest[0].id}`,
        agents: "#/agents",
        queues: "#/queues",
        sagas: "#/sagas",
        approvals: "#/approvals",
        models: "#/models",
        sql: `#/sql?q=${encodeURIComponent("SELECT status, count(*) AS runs FROM runs GROUP BY status")}`,
        types: "#/types",
        system: "#/system",
    };
    for (const colorScheme of ["dark", "light"]) {
        for (const width of WIDTHS) {
            for (const [name, hash] of Object.entries(views)) {
                const page = await openPage(browser, server, hash, { viewport: { width, height: 800 }, colorScheme });
                await page.waitForTimeout(SETTLE_MS);
                await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${width}.png`) });
                await page.close();
            }
        }
    }
} finally {
    await browser.close();
    await server.remove();
}
