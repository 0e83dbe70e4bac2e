/** One event: what it says, what it came from, what came of it. */
import { useState } from "preact/hooks";

import { address, serverBase } from "../api/base.js";
import type { StoredEvent } from "../api/types.js";
import { useResource } from "../app/resource.js";
import { hrefOf, route } from "../app/route.js";
import { Copy } from "../parts/copy.js";
import { Empty, Failure } from "../parts/empty.js";
import { Json } from "../parts/json.js";

const ENVELOPE = [
    "id",
    "type",
    "source",
    "stream",
    "version",
    "position",
    "time",
    "recordedtime",
    "entryid",
    "correlationid",
    "causationid",
    "schemaversion",
    "datacontenttype",
    "hash",
] as const;
const OTHERS = new Set(["data", "data_base64", "metadata", "depth", ...ENVELOPE]);

function linkOf(name: string, event: StoredEvent): string | undefined {
    switch (name) {
        case "correlationid":
            return hrefOf("run", [event.correlationid], { at: String(event.position) });
        case "causationid":
            return event.causationid === undefined ? undefined : hrefOf("event", [event.causationid]);
        case "stream":
            return hrefOf("live", [], { stream: event.stream, from: "1" });
        case "source":
            return hrefOf("live", [], { source: event.source, from: "1" });
        case "type":
            return hrefOf("live", [], { type: event.type, from: "1" });
        default:
            return undefined;
    }
}

function Envelope({ event }: { event: StoredEvent }) {
    const extensions = Object.keys(event).filter(name => !OTHERS.has(name));
    return (
        <table class="envelope">
            <tbody>
                {[...ENVELOPE, ...extensions].map(name => {
                    const value = event[name];
                    const link = linkOf(name, event);
                    return value === undefined ? null : (
                        <tr key={name}>
                            <th scope="row">{name}</th>
                            <td>{link === undefined ? String(value) : <a href={link}>{String(value)}</a>}</td>
                        </tr>
                    );
                })}
            </tbody>
        </table>
    );
}

function Data({ event }: { event: StoredEvent }) {
    const [raw, setRaw] = useState(false);
    const value = event.data ?? event.data_base64;
    if (value === undefined) {
        return <p class="dim">No data.</p>;
    }
    return (
        <>
            <button type="button" aria-pressed={raw} onClick={() => setRaw(!raw)}>
                Raw
            </button>
            {raw ? <pre class="raw">{JSON.stringify(value, null, 2)}</pre> : <Json value={value} />}
        </>
    );
}

/** The events before and after it in its stream. */
function Neighbours({ event }: { event: StoredEvent }) {
    const path = ["v1", "streams", event.stream, "events"];
    const before = useResource<StoredEvent[]>(
        event.version === 1
            ? undefined
            : address(path, { until: event.position - 1, reverse: true, limit: 1 }),
    );
    const after = useResource<StoredEvent[]>(address(path, { from: event.position + 1, limit: 1 }));
    const link = (other: StoredEvent | undefined, label: string) =>
        other === undefined ? null : <a href={hrefOf("event", [other.id])}>{label}</a>;
    return (
        <nav class="neighbours" aria-label="In its stream">
            {link(before.value?.[0], "← before it in the stream")}
            {link(after.value?.[0], "after it in the stream →")}
        </nav>
    );
}

function Related({ id, side, title }: { id: string; side: "causes" | "effects"; title: string }) {
    const found = useResource<StoredEvent[]>(address(["v1", "events", id, side], { limit: 50 }));
    const others = (found.value ?? []).filter(event => event.id !== id);
    return (
        <section>
            <h2>{title}</h2>
            {found.error && <p role="alert">{found.error.message}</p>}
            {found.value && others.length === 0 && (
                <p class="dim">{side === "causes" ? "Nothing caused it: it begins here." : "Nothing came of it."}</p>
            )}
            <ul class="related">
                {others.map(event => (
                    <li key={event.position} style={{ paddingLeft: `${Math.max(0, (event.depth ?? 1) - 1) * 16}px` }}>
                        <a href={hrefOf("event", [event.id])}>{event.type}</a>{" "}
                        <span class="dim">
                            {event.source} · {event.position}
                        </span>
                    </li>
                ))}
            </ul>
        </section>
    );
}

function shellWord(text: string): string {
    return `'${text.replaceAll("'", "'\\''")}'`;
}

export function EventView() {
    const id = route.value.args[0];
    const found = useResource<StoredEvent>(id === undefined ? undefined : address(["v1", "events", id]));
    if (id === undefined) {
        return <Empty title="Which event?">Ctrl-K takes an id.</Empty>;
    }
    if (found.error) {
        return <Failure error={found.error} onRetry={found.reload} />;
    }
    const event = found.value;
    if (event === undefined) {
        return <p class="dim">Loading…</p>;
    }
    const url = serverBase(location.href) + address(["v1", "events", id]);
    return (
        <section class="view view-event">
            <h1>{event.type}</h1>
            <div class="bar">
                <a class="button" href={hrefOf("why", [event.id])}>
                    Why?
                </a>
                <Copy label="Copy as curl" text={() => `curl -s ${shellWord(url)}`} />
                <Copy label="Copy as command" text={() => `spoor event ${shellWord(event.id)}`} />
                <Neighbours event={event} />
            </div>
            <div class="columns">
                <section>
                    <h2>Data</h2>
                    <Data event={event} />
                    {event.metadata !== undefined && (
                        <>
                            <h2>Metadata</h2>
                            <Json value={event.metadata} />
                        </>
                    )}
                </section>
                <section>
                    <h2>Envelope</h2>
                    <Envelope event={event} />
                </section>
                <Related id={event.id} side="causes" title="Causes" />
                <Related id={event.id} side="effects" title="Effects" />
            </div>
        </section>
    );
}
