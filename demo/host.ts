/**
 * Runs the agents of one department in a process of their own, as host.py does for those in Python:
 *
 *     host.ts events DEPARTMENT URL
 *     host.ts poll DEPARTMENT URL INTERVAL
 *     host.ts http DEPARTMENT
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, defineAgent, type Bus, type Context, type SpoorEvent } from "spoor";
import type { Department, Member, Reaction } from "./department.ts";

interface Handler {
    agent: string;
    type: string;
    filter?: { [path: string]: unknown };
    react: Reaction;
}

let workMs = 0;
const work = async (): Promise<void> => {
    if (workMs > 0) {
        await sleep(workMs);
    }
};
const say = (facts: unknown): void => void process.stdout.write(`${JSON.stringify(facts)}\n`);

/** Follows what stdin says until it ends. */
async function obey(): Promise<void> {
    for await (const line of createInterface({ input: process.stdin })) {
        workMs = Number(line.split(" ")[1]);
        say({ work_ms: workMs });
    }
}

function handlersOf(members: Member[]): Handler[] {
    return members.flatMap(({ name, on }) =>
        Object.entries(on).map(([type, given]) =>
            typeof given === "function"
                ? { agent: name, type, react: given }
                : { agent: name, type, filter: given.filter, react: given.handler },
        ),
    );
}

const sayReady = (handlers: Handler[], more = {}): void =>
    say({
        ready: true,
        handlers: handlers.map(({ agent, type, filter }) => ({ agent, type, filter })),
        ...more,
    });

/** Stands in for the context where no agent of spoor runs: only what the departments use of it. */
const standIn = (
    emit: (type: string, data: unknown, options?: object) => Promise<unknown>,
): Context => ({ emit, step: (_name: string, run: () => unknown) => run() }) as unknown as Context;

async function runEvents(members: Member[], url: string): Promise<void> {
    const agents = members.map((member) => defineAgent(member));
    await Promise.all(agents.map((agent) => agent.start({ url })));
    say({ ready: true });
    await obey();
    await Promise.all(agents.map((agent) => agent.stop()));
}

/** Looks for news again and again, at moments of its own. */
async function poll(
    bus: Bus,
    { agent, type, filter, react }: Handler,
    position: number,
    interval: number,
): Promise<never> {
    for (let due = performance.now() + Math.random() * interval; ; due += interval) {
        await sleep(Math.max(0, due - performance.now()));
        for (const event of await bus.query({ type, filter, from: position + 1 })) {
            await react(
                event,
                standIn((emitted, data, options) =>
                    bus.publish(emitted, data, {
                        ...options,
                        source: agent,
                        causationid: event.id,
                        correlationid: event.correlationid,
                    }),
                ),
            );
            position = event.position;
        }
    }
}

async function runPoll(members: Member[], url: string, seconds: string): Promise<void> {
    const bus = await connect(url);
    const [newest] = await bus.query({ reverse: true, limit: 1 });
    const handlers = handlersOf(members);
    const polls = handlers.map((handler) =>
        poll(bus, handler, newest?.position ?? 0, Number(seconds) * 1000),
    );
    sayReady(handlers);
    await Promise.race([obey(), ...polls]);
    process.exit();
}

async function bodyOf(request: IncomingMessage): Promise<SpoorEvent> {
    const pieces: Buffer[] = [];
    for await (const piece of request) {
        pieces.push(piece as Buffer);
    }
    return JSON.parse(Buffer.concat(pieces).toString()) as SpoorEvent;
}

async function runHttp(members: Member[]): Promise<void> {
    const handlers = handlersOf(members);
    const reactions = new Map(
        handlers.map(({ agent, type, react }) => [`/${agent}/${type}`, react]),
    );
    const server = createServer(async (request, response) => {
        const emitted: { type: string; data: unknown }[] = [];
        await reactions.get(request.url ?? "")?.(
            await bodyOf(request),
            standIn(async (type, data) => emitted.push({ type, data })),
        );
        const answer = JSON.stringify(emitted);
        response
            .writeHead(200, {
                "content-type": "application/json",
                "content-length": Buffer.byteLength(answer),
            })
            .end(answer);
    });
    server.listen(0, "127.0.0.1", () =>
        sayReady(handlers, { port: (server.address() as AddressInfo).port }),
    );
    await obey();
    process.exit();
}

const [mode, name, url = "", seconds = ""] = process.argv.slice(2);
const { department } = (await import(`./departments/${name}.ts`)) as { department: Department };
const members = department(work);
await (mode === "events"
    ? runEvents(members, url)
    : mode === "poll"
      ? runPoll(members, url, seconds)
      : runHttp(members));
