/** Why an event happened, and what came of it: a tree of causes above, of effects below. */
import { useMemo, useState } from "preact/hooks";

import { address } from "../api/base.js";
import type { StoredEvent } from "../api/types.js";
import { useResource } from "../app/resource.js";
import { hrefOf, route, setParams } from "../app/route.js";
import { Empty, Failure } from "../parts/empty.js";
import { groupsOf, treeOf, type Branch } from "./causes.js";
import { graphOf } from "./graph.js";
import { CausalGraph } from "./causal_graph.js";

const EFFECTS_MAX = 2000;

function Line({ event, here }: { event: StoredEvent; here: boolean }) {
    return (
        <span class={here ? "why-here" : ""}>
            <a href={hrefOf("why", [event.id])}>{event.type}</a>{" "}
            <span class="dim">
                {event.source} · <a href={hrefOf("event", [event.id])}>{event.position}</a>
            </span>
        </span>
    );
}

function Group({ branches }: { branches: readonly Branch[] }) {
    const [open, setOpen] = useState(branches.length === 1);
    const first = branches[0]!;
    if (open) {
        return (
            <>
                {branches.map(branch => (
                    <li key={branch.event.position}>
                        <Line event={branch.event} here={false} />
                        <Branches branches={branch.effects} />
                    </li>
                ))}
            </>
        );
    }
    return (
        <li>
            <button type="button" class="fold" onClick={() => setOpen(true)}>
                {branches.length} × {first.event.type} by {first.event.source}
            </button>
        </li>
    );
}

function Branches({ branches }: { branches: readonly Branch[] }) {
    return branches.length === 0 ? null : (
        <ul class="tree">
            {groupsOf(branches).map(group => (
                <Group key={group[0]!.event.position} branches={group} />
            ))}
        </ul>
    );
}

export function WhyView() {
    const id = route.value.args[0];
    const asText = route.value.params["text"] === "1";
    const at = (side: string) =>
        id === undefined ? undefined : address(["v1", "events", id, side], { limit: EFFECTS_MAX });
    const causes = useResource<StoredEvent[]>(at("causes"));
    const effects = useResource<StoredEvent[]>(at("effects"));
    const tree = useMemo(() => treeOf(effects.value ?? []), [effects.value]);
    const graph = useMemo(() => graphOf(causes.value ?? [], effects.value ?? []), [causes.value, effects.value]);
    if (id === undefined) {
        return <Empty title="Why what?">Ctrl-K takes an event's id.</Empty>;
    }
    const error = causes.error ?? effects.error;
    if (error) {
        return <Failure error={error} onRetry={causes.reload} />;
    }
    const chain = [...(causes.value ?? [])].reverse();
    return (
        <section class="view view-why">
            <h1>Why</h1>
            {graph && (
                <div class="bar">
                    <button type="button" aria-pressed={asText} onClick={() => setParams({ text: asText ? undefined : "1" })}>
                        As text
                    </button>
                </div>
            )}
            {graph && !asText ? <CausalGraph graph={graph} /> : <Text chain={chain} tree={tree} id={id} />}
            {(effects.value?.length ?? 0) >= EFFECTS_MAX && <p class="dim">The first {EFFECTS_MAX} effects are shown.</p>}
        </section>
    );
}

function Text({ chain, tree, id }: { chain: readonly StoredEvent[]; tree: Branch | undefined; id: string }) {
    return (
        <>
            <h2>What led to it</h2>
            <ol class="chain">
                {chain.map(event => (
                    <li key={event.position}>
                        <Line event={event} here={event.id === id} />
                    </li>
                ))}
            </ol>
            <h2>What came of it</h2>
            {tree && tree.effects.length === 0 && <p class="dim">Nothing yet.</p>}
            {tree && <Branches branches={tree.effects} />}
        </>
    );
}
