/** The tail of the log, or of what a query names, as it happens. */
import { useEffect, useRef, useState } from "preact/hooks";

import { address, get, type Query } from "../api/base.js";
import { Live } from "../api/live.js";
import type { ServerFacts, StoredEvent } from "../api/types.js";
import { hrefOf, route, setParams } from "../app/route.js";
import { Empty } from "../parts/empty.js";
import { Rows } from "../parts/rows.js";
import { Spark } from "../parts/spark.js";
import { clockTime } from "../parts/time.js";
import { Tail } from "./tail.js";

const CONDITIONS = ["type", "source", "stream", "correlation", "filter"] as const;
const HISTORY_EVENTS = 200;
const RATE_MS = 1000;

function Conditions() {
    const { params } = route.value;
    return (
        <form class="conditions" role="search" onSubmit={event => event.preventDefault()}>
            {CONDITIONS.map(name => (
                <label key={name}>
                    {name}
                    <input
                        type="text"
                        name={name}
                        spellcheck={false}
                        placeholder={name === "type" ? "task.#" : name === "filter" ? '{"data.n": {"$gt": 1}}' : ""}
                        value={params[name] ?? ""}
                        onChange={event => setParams({ [name]: event.currentTarget.value })}
                    />
                </label>
            ))}
        </form>
    );
}

function Row({ tail, index }: { tail: Tail; index: number }) {
    const event = tail.at(index);
    const failed = /(^|\.)(failed|error)$/.test(event.type);
    return (
        <div role="listitem" class={failed ? "row row-failed" : "row"}>
            <span class="cell-position">{event.position}</span>
            <span class="cell-time">{clockTime(event.recordedtime)}</span>
            <a class="cell-type" href={hrefOf("event", [event.id])}>
                {event.type}
            </a>
            <a class="cell-source" href={hrefOf("live", [], { source: event.source, from: "1" })}>
                {event.source}
            </a>
            <a class="cell-run" href={hrefOf("run", [event.correlationid])}>
                {event.correlationid}
            </a>
            <span class="cell-data">{event.data === undefined ? "" : JSON.stringify(event.data)}</span>
        </div>
    );
}

/** What a tail begins with: a little history, and the position that what is live goes on from. */
async function begin(query: Query, signal: AbortSignal): Promise<{ history: StoredEvent[]; from: string }> {
    const { position } = await get<ServerFacts>("/v1", signal);
    const asked = { ...query, until: position, reverse: true, limit: HISTORY_EVENTS };
    const history = position === 0 ? [] : await get<StoredEvent[]>(address(["v1", "events"], asked), signal);
    return { history: history.reverse(), from: String(position + 1) };
}

function useTail(): { tail: Tail; problem: Error | undefined } {
    const { params } = route.value;
    const key = JSON.stringify([...CONDITIONS, "from"].map(name => params[name]));
    const [problem, setProblem] = useState<Error>();
    const [, redraw] = useState(0);
    const tail = useRef(new Tail());
    useEffect(() => {
        const abort = new AbortController();
        tail.current = new Tail();
        setProblem(undefined);
        const query = Object.fromEntries(CONDITIONS.map(name => [name, params[name]]));
        let live: Live | undefined;
        const follow = (from: string) => {
            live = new Live({
                query: { ...query, from },
                onFrames: frames => {
                    tail.current.take(frames, Date.now());
                    redraw(n => n + 1);
                },
                onRefused: setProblem,
            });
        };
        const start = async () => {
            if (params["from"] !== undefined) {
                follow(params["from"]);
                return;
            }
            const { history, from } = await begin(query, abort.signal);
            tail.current.fill(history);
            redraw(n => n + 1);
            if (!abort.signal.aborted) {
                follow(from);
            }
        };
        start().catch((error: unknown) => abort.signal.aborted || setProblem(error as Error));
        const clock = setInterval(() => redraw(n => n + 1), RATE_MS);
        return () => {
            abort.abort();
            clearInterval(clock);
            live?.close();
        };
    }, [key]);
    return { tail: tail.current, problem };
}

export function LiveView() {
    const { tail, problem } = useTail();
    const rates = tail.perSecond(Date.now());
    const [, redraw] = useState(0);
    const toggle = () => {
        if (tail.paused) {
            tail.resume();
        } else {
            tail.pause();
        }
        redraw(n => n + 1);
    };
    return (
        <section class="view view-live">
            <h1>Live</h1>
            <div class="bar">
                <Conditions />
                <Spark values={rates} label={`Events a second: ${rates.at(-2) ?? 0}`} />
                <span class="dim">{rates.at(-2) ?? 0}/s</span>
                <button type="button" aria-pressed={tail.paused} onClick={toggle}>
                    {tail.paused ? `Go on (${tail.newer} new)` : "Pause"}
                </button>
            </div>
            {problem && <p role="alert">{problem.message}</p>}
            {tail.gaps.length > 0 && <p role="alert">Events are missing here: {tail.gaps.at(-1)}</p>}
            {tail.count === 0 && !problem ? (
                <Empty title="No event yet">
                    <p>The first one appears here at once. From a shell:</p>
                    <pre>
                        <code>{`spoor publish task.created '{"title": "say hello"}' --source me`}</code>
                    </pre>
                </Empty>
            ) : (
                <Rows
                    count={tail.count}
                    label="Events, newest first"
                    row={index => <Row key={tail.at(index).position} tail={tail} index={index} />}
                />
            )}
        </section>
    );
}
