/** A run: its events as a waterfall in lanes by agent, and its state at each of them. */
import { useEffect, useMemo, useState } from "preact/hooks";

import { address, get, send } from "../api/base.js";
import type { Run, StoredEvent } from "../api/types.js";
import { useResource } from "../app/resource.js";
import { hrefOf, route, setParams } from "../app/route.js";
import { Empty, Failure } from "../parts/empty.js";
import { Json } from "../parts/json.js";
import { Rows } from "../parts/rows.js";
import { clockTime, duration } from "../parts/time.js";
import { waterfallOf, type Row, type Waterfall } from "./waterfall.js";

const PAGE = 5000;
const LANE_COLOURS = 8;

/** All events of the run, a page at a time, so that a long one shows its begin at once. */
function useEvents(id: string | undefined): { events: StoredEvent[]; whole: boolean; error: Error | undefined } {
    const [state, setState] = useState<{ events: StoredEvent[]; whole: boolean; error: Error | undefined }>({
        events: [],
        whole: false,
        error: undefined,
    });
    useEffect(() => {
        if (id === undefined) {
            return;
        }
        const abort = new AbortController();
        const load = async () => {
            let events: StoredEvent[] = [];
            for (let whole = false; !whole; ) {
                const from = (events.at(-1)?.position ?? 0) + 1;
                const path = address(["v1", "events"], { correlation: id, from, limit: PAGE });
                const page = await get<StoredEvent[]>(path, abort.signal);
                events = [...events, ...page];
                whole = page.length < PAGE;
                setState({ events, whole, error: undefined });
            }
        };
        setState({ events: [], whole: false, error: undefined });
        load().catch((error: unknown) => {
            if (!abort.signal.aborted) {
                setState(before => ({ ...before, error: error as Error }));
            }
        });
        return () => abort.abort();
    }, [id]);
    return state;
}

interface StateAnswer {
    readonly columns: readonly string[];
    readonly rows: readonly (readonly unknown[])[];
}

/** The run's row of the read model `runs` as it was at a position. */
function useStateAt(id: string, position: number | undefined): Record<string, unknown> | Error | undefined {
    const [state, setState] = useState<Record<string, unknown> | Error>();
    useEffect(() => {
        if (position === undefined) {
            setState(undefined);
            return;
        }
        const abort = new AbortController();
        const path = address(["v1", "state", "runs"], { correlation: id, until: position });
        send(path, { signal: abort.signal })
            .then(response => response.json() as Promise<StateAnswer>)
            .then(answer => {
                const row = answer.rows[0] ?? [];
                setState(Object.fromEntries(answer.columns.map((name, i) => [name, row[i] ?? null])));
            })
            .catch((error: unknown) => abort.signal.aborted || setState(error as Error));
        return () => abort.abort();
    }, [id, position]);
    return state;
}

function Bar({ row }: { row: Row }) {
    const width = Math.max(0.3, (row.end - row.begin) * 100);
    const left = Math.min(row.begin * 100, 100 - width);
    const kind = row.end > row.begin ? "span" : "mark";
    const colour = row.failed ? "failed" : `lane-${row.lane % LANE_COLOURS}`;
    return <span class={`${kind} ${colour}`} style={{ left: `${left}%`, width: `${width}%` }} />;
}

function RunRow({ row, chosen, onChoose }: { row: Row; chosen: boolean; onChoose: () => void }) {
    const { event } = row;
    return (
        <div role="listitem" class={`row waterfall-row${row.failed ? " row-failed" : ""}${chosen ? " chosen" : ""}`}>
            <button type="button" class="cell-type" aria-pressed={chosen} onClick={onChoose}>
                {event.type}
            </button>
            <span class="cell-source">{event.source}</span>
            <span class="cell-tool">{row.tool ?? ""}</span>
            <span class="cell-tokens number">{row.tokens ?? ""}</span>
            <span class="cell-bar">
                <Bar row={row} />
            </span>
            <span class="cell-ms number">{row.ms > 0 ? duration(row.ms) : ""}</span>
        </div>
    );
}

function Legend({ waterfall }: { waterfall: Waterfall }) {
    return (
        <ul class="legend" aria-label="Agents">
            {waterfall.lanes.map((source, lane) => (
                <li key={source}>
                    <span class={`swatch lane-${lane % LANE_COLOURS}`} /> {source}
                </li>
            ))}
        </ul>
    );
}

/** The run's row at a moment, and where it differed at another one. */
function StateTable({ id, position, since }: { id: string; position: number; since: number | undefined }) {
    const state = useStateAt(id, position);
    const before = useStateAt(id, since);
    const problem = state instanceof Error ? state : before instanceof Error ? before : undefined;
    if (problem !== undefined) {
        return <p role="alert">{problem.message}</p>;
    }
    const then = since === undefined ? undefined : (before as Record<string, unknown> | undefined);
    const text = (value: unknown) => (value === null || value === undefined ? "–" : String(value));
    return (
        <table class="envelope">
            <tbody>
                {Object.entries((state as Record<string, unknown> | undefined) ?? {}).map(([name, value]) => {
                    const changed = then !== undefined && text(then[name]) !== text(value);
                    return (
                        <tr key={name} class={changed ? "changed" : ""}>
                            <th scope="row">{name}</th>
                            <td>
                                {changed && (
                                    <>
                                        <del>{text(then[name])}</del>{" "}
                                    </>
                                )}
                                {text(value)}
                            </td>
                        </tr>
                    );
                })}
            </tbody>
        </table>
    );
}

function Moment({ id, event, since }: { id: string; event: StoredEvent; since: number | undefined }) {
    return (
        <aside class="moment" aria-label="The chosen event">
            <h2>
                <a href={hrefOf("event", [event.id])}>{event.type}</a>
            </h2>
            <p class="dim">
                {event.source} · position {event.position} · {clockTime(event.time ?? event.recordedtime)} ·{" "}
                <a href={hrefOf("why", [event.id])}>why?</a>
            </p>
            {event.data !== undefined && <Json value={event.data} depth={1} />}
            <h2>The run then</h2>
            <div class="bar">
                {since === undefined ? (
                    <button type="button" onClick={() => setParams({ since: String(event.position) })}>
                        Compare from here
                    </button>
                ) : (
                    <>
                        <span class="dim">What changed since position {since}:</span>
                        <button type="button" onClick={() => setParams({ since: undefined })}>
                            Show as it was
                        </button>
                    </>
                )}
            </div>
            <StateTable id={id} position={event.position} since={since} />
        </aside>
    );
}

export function RunView() {
    const id = route.value.args[0];
    const { failed, at, since } = route.value.params;
    const run = useResource<Run>(id === undefined ? undefined : address(["v1", "runs", id]));
    const { events, whole, error } = useEvents(id);
    const waterfall = useMemo(() => waterfallOf(events), [events]);
    const rows = failed === "1" ? waterfall.rows.filter(row => row.failed) : waterfall.rows;
    const chosenIndex = at === undefined ? -1 : events.findIndex(event => String(event.position) === at);
    const chosen = events[chosenIndex];
    if (id === undefined) {
        return <Empty title="Which run?">Ctrl-K takes a correlation id.</Empty>;
    }
    const problem = run.error ?? error;
    if (problem) {
        return <Failure error={problem} onRetry={run.reload} />;
    }
    const choose = (event: StoredEvent | undefined) => setParams({ at: event && String(event.position) });
    const failures = waterfall.rows.filter(row => row.failed).length;
    return (
        <section class="view view-run">
            <h1>{id}</h1>
            <div class="bar">
                {run.value && <span class={`status status-${run.value.status}`}>{run.value.status}</span>}
                <span>
                    {events.length}
                    {whole ? "" : "…"} events
                    {waterfall.timed ? ` in ${duration(waterfall.ms)}` : ", without times of their own: in their order"}
                </span>
                <button
                    type="button"
                    aria-pressed={failed === "1"}
                    onClick={() => setParams({ failed: failed === "1" ? undefined : "1" })}
                >
                    {failures} failed
                </button>
                {waterfall.folds.length > 0 && (
                    <span class="dim">
                        {waterfall.folds.length} long {waterfall.folds.length === 1 ? "gap" : "gaps"} folded
                    </span>
                )}
                <label class="grow">
                    <span class="hidden">Step through the run</span>
                    <input
                        type="range"
                        min={0}
                        max={Math.max(0, events.length - 1)}
                        value={chosenIndex < 0 ? 0 : chosenIndex}
                        onInput={event => choose(events[Number(event.currentTarget.value)])}
                    />
                </label>
            </div>
            <Legend waterfall={waterfall} />
            <div class="run-columns">
                <Rows
                    count={rows.length}
                    label="Events of the run"
                    row={index => {
                        const row = rows[index]!;
                        return (
                            <RunRow
                                key={row.event.position}
                                row={row}
                                chosen={row.event === chosen}
                                onChoose={() => choose(row.event)}
                            />
                        );
                    }}
                />
                {chosen && <Moment id={id} event={chosen} since={since === undefined ? undefined : Number(since)} />}
            </div>
        </section>
    );
}
