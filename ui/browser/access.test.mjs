import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { after, before, test } from "node:test";

import { Server, openBrowser, openPage } from "./stage.mjs";

let server;
let browser;

before(async () => {
    server = new Server(["--password", "open sesame"]);
    await server.start();
    browser = await openBrowser();
});

after(async () => {
    await browser?.close();
    await server?.remove();
});

// A proxy that has the server under a path, as people put one before it.
async function behindPath(prefix) {
    const to = new URL(server.url);
    const proxy = createServer((incoming, outgoing) => {
        if (!incoming.url.startsWith(prefix)) {
            outgoing.writeHead(404).end();
            return;
        }
        const options = {
            host: to.hostname,
            port: to.port,
            method: incoming.method,
            path: incoming.url.slice(prefix.length),
            headers: incoming.headers,
        };
        incoming.pipe(
            request(options, answer => {
                outgoing.writeHead(answer.statusCode, answer.headers);
                answer.pipe(outgoing);
            }),
        );
    });
    await new Promise(resolve => proxy.listen(0, "127.0.0.1", resolve));
    return { proxy, url: `http://127.0.0.1:${proxy.address().port}${prefix}` };
}

async function enter(page) {
    await page.waitForSelector("input[type=password]");
    await page.fill("input[type=password]", "open sesame");
    await page.press("input[type=password]", "Enter");
    await page.waitForSelector(".link-open");
}

test("a server with a password asks for it, and then all of it works", async () => {
    const page = await openPage(browser, server, "#/live");
    await enter(page);
    await page.waitForSelector("text=No event yet");
    assert.deepEqual(page.faults, []);
    await page.close();
});

test("the page works under the path of a proxy", async () => {
    const { proxy, url } = await behindPath("/team/spoor");
    const page = await openPage(browser, { url: new URL(url).origin }, "../team/spoor/ui/#/live");
    await enter(page);
    await page.waitForSelector("text=No event yet");
    assert.deepEqual(page.faults, []);
    await page.close();
    proxy.closeAllConnections();
    proxy.close();
});

test("no other page may hold it in a frame, and it may run nothing from elsewhere", async () => {
    const response = await fetch(`${server.url}/ui/`);
    const policy = response.headers.get("content-security-policy");
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*/);
});
