/** Who is there: by what they say of themselves, and by what they do. */
import { address } from "../api/base.js";
import type { Agent } from "../api/types.js";
import { hrefOf, route, setParams } from "../app/route.js";
import { useWatched } from "../app/watch.js";
import { Empty, Failure } from "../parts/empty.js";
import { Table, type Column } from "../parts/table.js";
import { ago } from "../parts/time.js";

const PAGE = 500;
const STATUSES = ["", "online", "stale", "suspected", "offline"];

const COLUMNS: readonly Column<Agent>[] = [
    { title: "Agent", cell: agent => <a href={hrefOf("live", [], { source: agent.id, from: "1" })}>{agent.id}</a> },
    { title: "Status", cell: agent => <span class={`status status-${agent.status}`}>{agent.status}</span> },
    { title: "Can do", cell: agent => agent.capabilities.join(", ") },
    {
        title: "Load",
        number: true,
        cell: agent => (agent.capacity === null ? agent.load : `${agent.load} of ${agent.capacity}`),
    },
    { title: "Version", cell: agent => agent.version ?? "–" },
    { title: "Last sign of life", cell: agent => ago(agent.last_seen) },
    { title: "Last event", cell: agent => (agent.last_event === null ? "–" : ago(agent.last_event)) },
];

export function AgentsView() {
    const { status, capability } = route.value.params;
    const found = useWatched<{ agents: Agent[]; next?: string }>(
        address(["v1", "agents"], { status, capability, limit: PAGE }),
        ["agent.#"],
    );
    if (found.error) {
        return <Failure error={found.error} onRetry={found.reload} />;
    }
    const agents = found.value?.agents ?? [];
    const narrowed = status !== undefined || capability !== undefined;
    if (found.value && agents.length === 0 && !narrowed) {
        return (
            <Empty title="No agent has announced itself yet">
                <p>One does by an event, or by the SDKs as they start:</p>
                <pre>
                    <code>{`spoor publish agent.started '{"capabilities": ["review"]}' --source reviewer`}</code>
                </pre>
            </Empty>
        );
    }
    return (
        <section class="view">
            <h1>Agents</h1>
            <form class="bar" onSubmit={event => event.preventDefault()}>
                <label>
                    Status{" "}
                    <select value={status ?? ""} onChange={event => setParams({ status: event.currentTarget.value })}>
                        {STATUSES.map(name => (
                            <option key={name} value={name}>
                                {name || "any"}
                            </option>
                        ))}
                    </select>
                </label>
                <label>
                    Can do{" "}
                    <input
                        type="text"
                        value={capability ?? ""}
                        onChange={event => setParams({ capability: event.currentTarget.value })}
                    />
                </label>
                {found.value?.next !== undefined && <span class="dim">The first {PAGE} are shown.</span>}
            </form>
            {agents.length === 0 && found.value && <p class="dim">None is as asked.</p>}
            <Table label="Agents" columns={COLUMNS} rows={agents} keyOf={agent => agent.id} />
        </section>
    );
}
