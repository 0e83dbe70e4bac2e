// Workers of ../book-demo.yaml, as book_demo.py has them: either of the two may go on where the other
// one died, as both are the agent "demo-desk".
import { defineAgent, NonRetryableError, type SpoorEvent, type StepContext } from "spoor";

interface Lead {
  lead_id: string;
}

const world = new Map<string, unknown>(); // what is remembered outside, by idempotency key

function once<T>(key: string, effect: T): T {
  if (!world.has(key)) {
    world.set(key, effect);
  }
  console.log("did", key);
  return world.get(key) as T;
}

/** Takes back what the step did: nothing to take back is well, too. */
function undo(_: SpoorEvent, ctx: StepContext): { undone: boolean } {
  console.log("undid", ctx.idempotencyKey);
  return { undone: world.delete(ctx.idempotencyKey.replace(/~$/, "")) };
}

defineAgent({
  name: "demo-desk",
  capabilities: ["sales", "calendar", "crm"],
  steps: {
    "sales.qualify_lead": ({ data }: SpoorEvent<Lead>, ctx) => {
      if (data.lead_id === "lead-nobody") {
        throw new NonRetryableError("there is no such lead");
      }
      return once(ctx.idempotencyKey, { lead_id: data.lead_id, score: 7 });
    },
    "calendar.book": ({ data }: SpoorEvent<Lead>, ctx) => {
      if (data.lead_id === "lead-busy" || data.lead_id === "lead-stuck") {
        throw new NonRetryableError("no slot is free");
      }
      return once(ctx.idempotencyKey, { slot: "Tuesday, 10:00" });
    },
    "crm.create_opportunity": ({ data }: SpoorEvent<Lead>, ctx) =>
      once(ctx.idempotencyKey, { opportunity: `opp-${data.lead_id}` }),
  },
  compensate: {
    "sales.unqualify_lead": undo,
    "calendar.cancel": undo,
    "crm.delete_opportunity": (command: SpoorEvent, ctx) => {
      if (ctx.input.lead_id === "lead-stuck") {
        throw new NonRetryableError("the record is locked by an audit");
      }
      return undo(command, ctx);
    },
  },
}).run();
