/**
 * An agent as a process of its own, for kill.test.ts: it is told by its environment where to hang.
 */
import { appendFileSync } from "node:fs";
import { defineAgent } from "../src/index.js";

const { HANG: hang = "", LEDGER: ledger = "" } = process.env;

const forever = (): Promise<never> => new Promise(() => undefined);

void defineAgent({
    name: "till",
    capabilities: ["pay"],
    on: {
        "order.placed": async (event, ctx) => {
            const receipt = await ctx.step("charge", () => {
                appendFileSync(ledger, `charged ${String(event.data.order)}\n`);
                return { receipt: event.data.order };
            });
            await ctx.emit("order.paid", receipt);
            if (hang === "handler") {
                await forever();
            }
            await ctx.emit("order.closed", { attempt: ctx.attempt });
        },
        "order.slow": async (_, ctx) => {
            await ctx.emit("slow.begun");
            await new Promise((resolve) => setTimeout(resolve, 500));
            await ctx.emit("slow.ended");
        },
    },
}).run();
