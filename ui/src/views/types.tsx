/** The vocabulary, and the schemas that events are held to. */
import { address } from "../api/base.js";
import type { SchemaRow } from "../api/types.js";
import { useResource } from "../app/resource.js";
import { hrefOf, route, setParams } from "../app/route.js";
import { Empty, Failure } from "../parts/empty.js";
import { Json } from "../parts/json.js";
import { Table, type Column } from "../parts/table.js";

const COLUMNS: readonly Column<SchemaRow>[] = [
    { title: "Type", cell: row => <a href={hrefOf("type", [row.type])}>{row.type}</a> },
    { title: "Version", cell: row => row.version },
    { title: "Held to it", cell: row => row.mode ?? "–" },
    { title: "Meaning", cell: row => row.meaning ?? "" },
    { title: "Emitted by", cell: row => row.emitted_by ?? "" },
];

export function TypesView() {
    const { find } = route.value.params;
    const found = useResource<SchemaRow[]>("/v1/schemas");
    if (found.error) {
        return <Failure error={found.error} onRetry={found.reload} />;
    }
    const wanted = (find ?? "").toLowerCase();
    const rows = (found.value ?? []).filter(row => `${row.type} ${row.meaning ?? ""}`.toLowerCase().includes(wanted));
    return (
        <section class="view">
            <h1>Types</h1>
            <form class="bar" role="search" onSubmit={event => event.preventDefault()}>
                <label>
                    Find{" "}
                    <input type="text" value={find ?? ""} onInput={event => setParams({ find: event.currentTarget.value })} />
                </label>
                <span class="dim">{rows.length} types</span>
            </form>
            <Table label="Types of events" columns={COLUMNS} rows={rows} keyOf={row => `${row.type}\n${row.version}\n${row.mode ?? ""}`} />
        </section>
    );
}

export function TypeView() {
    const type = route.value.args[0];
    const found = useResource<unknown>(type === undefined ? undefined : address(["v1", "schemas", type]));
    if (type === undefined) {
        return <Empty title="Which type?" />;
    }
    if (found.error) {
        return <Failure error={found.error} onRetry={found.reload} />;
    }
    return (
        <section class="view">
            <h1>{type}</h1>
            <div class="bar">
                <a class="button" href={hrefOf("live", [], { type, from: "1" })}>
                    Its events
                </a>
            </div>
            {found.value !== undefined && <Json value={found.value} />}
        </section>
    );
}
