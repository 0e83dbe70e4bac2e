// A server on a folder of its own, and a browser before it: what every browser test needs.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { SPOOR, SPOOR_SOURCE, SPOOR_UI_MODULES, SPOOR_CHROMIUM } = process.env;
const require = createRequire(join(SPOOR_UI_MODULES, "x.js"));
const { chromium } = require("playwright-core");
const AXE = readFileSync(join(SPOOR_UI_MODULES, "axe-core/axe.min.js"), "utf8");

export class Server {
    constructor(options = []) {
        this.options = options;
        this.folder = mkdtempSync(join(tmpdir(), "spoor-ui-test-"));
        this.port = "0";
    }

    async start() {
        const words = ["serve", "--data", join(this.folder, "data"), "--resp-port", "0", "--http-port", this.port];
        this.process = spawn(SPOOR, [...words, ...this.options], { stdio: ["ignore", "pipe", "ignore"] });
        const ready = await new Promise((resolve, reject) => {
            let text = "";
            this.process.stdout.on("data", piece => {
                text += piece;
                if (text.includes("\n")) {
                    resolve(text);
                }
            });
            this.process.once("exit", code => reject(new Error(`the server ended with ${code}: ${text}`)));
        });
        this.address = /http=(\S+)/.exec(ready)[1];
        this.port = this.address.split(":").at(-1);
        this.url = `http://${this.address}`;
    }

    async stop(signal = "SIGTERM") {
        const ended = new Promise(resolve => this.process.once("exit", resolve));
        this.process.kill(signal);
        await ended;
    }

    async remove() {
        await this.stop("SIGKILL");
        rmSync(this.folder, { recursive: true, force: true });
    }

    run(...words) {
        const ended = spawnSync(SPOOR, [...words, "--url", this.url], { encoding: "utf8", cwd: SPOOR_SOURCE });
        if (ended.status !== 0) {
            throw new Error(`spoor ${words.join(" ")}: ${ended.stderr}`);
        }
        return ended.stdout;
    }

    async publish(event) {
        const response = await fetch(`${this.url}/v1/events`, {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify(event),
        });
        if (!response.ok) {
            throw new Error(await response.text());
        }
        return response.json();
    }
}

export async function openBrowser() {
    return chromium.launch({ executablePath: SPOOR_CHROMIUM, args: ["--no-sandbox"] });
}

// A page of the dashboard. What it logs as an error, or asks another origin for, fails the test.
export async function openPage(browser, server, hash = "", options = {}) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, ...options });
    page.faults = [];
    page.on("pageerror", error => page.faults.push(error.message));
    page.on("console", message => {
        const expected = /Failed to load resource|net::ERR/.test(message.text());
        if (message.type() === "error" && !expected) {
            page.faults.push(message.text());
        }
    });
    page.on("request", request => {
        if (new URL(request.url()).origin !== server.url) {
            page.faults.push(`asked ${request.url()}`);
        }
    });
    await page.goto(`${server.url}/ui/${hash}`);
    return page;
}

// Violations of the accessibility rules on the page as it stands, in words.
export async function violations(page) {
    await page.evaluate(AXE);
    const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa"] }));
    return found.violations.map(v => `${v.id}: ${v.nodes.map(node => node.target.join(" ")).slice(0, 3).join(", ")}`);
}
