/**
 * How many events a second one process handles, each acknowledged by itself:
 *
 *     node build.mjs --bench; node dist/check/bench/throughput.js [SECONDS] [URL]
 *
 * Without a URL it starts the program in $SPOOR. The backlog is published first; then an agent with
 * an empty handler takes it, and what it did between the first event and the end of the time
 * counts. With --emit the handler emits.
 */
import { connect, defineAgent } from "../src/index.js";
import { Server } from "../test/server.js";

const words = process.argv.slice(2);
const emits = words.includes("--emit");
const [seconds = "10", given] = words.filter((word) => !word.startsWith("--"));
const server = given === undefined ? await Server.start() : undefined;
const url = given ?? server!.url;
const name = `bench-${process.pid}`;

const bus = await connect(url, { source: "bench" });
const backlog = Number(seconds) * 40_000;
for (let at = 0; at < backlog; at += 1000) {
    await bus.publishBatch(
        Array.from({ length: 1000 }, (_, n) => ({
            type: `${name}.job`,
            stream: `${name}-${n % 100}`,
            data: { n: at + n, text: "x".repeat(100) },
        })),
    );
}

let handled = 0;
let began = 0;
let done: () => void;
const over = new Promise<void>((resolve) => {
    done = resolve;
});
const agent = defineAgent({
    name,
    log: () => undefined,
    on: {
        [`${name}.job`]: {
            start: "all",
            handler: async (event, ctx) => {
                if (began === 0) {
                    began = performance.now();
                    setTimeout(done, Number(seconds) * 1000);
                }
                if (emits) {
                    await ctx.emit(`${name}.done`, { n: event.data.n });
                }
                if (++handled === backlog) {
                    done();
                }
            },
        },
    },
});
const cpu = process.cpuUsage();
await agent.start({ url });
await over;
const took = (performance.now() - began) / 1000;
const counted = handled;
const { user, system } = process.cpuUsage(cpu);
await agent.stop();
console.log(
    JSON.stringify({
        what: emits ? "handled, emitted and acknowledged" : "handled and acknowledged",
        events: counted,
        seconds: Number(took.toFixed(2)),
        per_second: Math.round(counted / took),
        agent_cpu: Number(((user + system) / 1e6 / took).toFixed(2)),
    }),
);
await bus.close();
await server?.stop();
