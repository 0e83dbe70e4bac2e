/** Read models: how far they are, mending them, and asking them. */
import { useState } from "preact/hooks";

import { address, send } from "../api/base.js";
import type { Projection } from "../api/types.js";
import { hrefOf } from "../app/route.js";
import { useMetrics, useWatched } from "../app/watch.js";
import { Ask, type Asked } from "../parts/ask.js";
import { Failure } from "../parts/empty.js";
import { Table, type Column } from "../parts/table.js";
import { duration } from "../parts/time.js";

function progressOf(model: Projection): string {
    const build = model.rebuild ?? (model.state === "building" ? model : null);
    if (build === null || build.percent === undefined) {
        return "";
    }
    const left = build.eta_s === null || build.eta_s === undefined ? "" : `, ${duration(build.eta_s * 1000)} left`;
    return `${Math.floor(build.percent)} %${left}`;
}

function Poison({ model }: { model: Projection }) {
    const error = model.error ?? model.rebuild?.error;
    if (!error) {
        return null;
    }
    return (
        <li>
            <strong>{model.name}</strong> stopped
            {error.id !== null && (
                <>
                    {" "}
                    at event <a href={hrefOf("event", [error.id])}>{error.position}</a>
                </>
            )}
            : {error.text}
        </li>
    );
}

export function ModelsView() {
    const found = useWatched<{ projections: Projection[] }>("/v1/projections", ["projection.#"]);
    const figures = useMetrics().at(-1);
    const [asked, setAsked] = useState<Asked>();
    if (found.error) {
        return <Failure error={found.error} onRetry={found.reload} />;
    }
    const models = found.value?.projections ?? [];
    const lagOf = (model: Projection) =>
        figures?.sum("spoor_projection_lag_events", { projection: model.name }) ?? model.lag_events;
    const post = (model: Projection, verb: string) =>
        send(address(["v1", "projections", model.name, verb]), { method: "POST" });
    const columns: readonly Column<Projection>[] = [
        { title: "Read model", cell: model => model.name },
        { title: "Version", number: true, cell: model => model.version },
        { title: "State", cell: model => <span class={`status status-${model.state}`}>{model.state}</span> },
        { title: "Behind", number: true, cell: lagOf },
        { title: "Events in it", number: true, cell: model => model.applied },
        { title: "Being built", cell: progressOf },
        {
            title: "Tables",
            cell: model =>
                model.tables.slice(0, 3).map((table, i) => (
                    <span key={table}>
                        {i > 0 && ", "}
                        <a href={hrefOf("sql", [], { q: `SELECT * FROM ${table} LIMIT 100` })}>{table}</a>
                    </span>
                )),
        },
        {
            title: "",
            cell: model => (
                <>
                    <button
                        type="button"
                        aria-label={`Build ${model.name} anew`}
                        onClick={() =>
                            setAsked({
                                title: `Build ${model.name} anew?`,
                                text: "Queries go on with what is there until the new build has caught up, and see it from one instant on.",
                                verb: "Build anew",
                                act: () => post(model, "rebuild"),
                            })
                        }
                    >
                        Build anew
                    </button>
                    {model.state === "failed" && (
                        <button type="button" onClick={() => void post(model, "resume").then(found.reload)}>
                            Try that event again
                        </button>
                    )}
                </>
            ),
        },
    ];
    return (
        <section class="view">
            <h1>Read models</h1>
            <div class="bar">
                <a class="button" href={hrefOf("sql")}>
                    Ask in SQL
                </a>
            </div>
            <ul class="poison" role="alert">
                {models.map(model => (
                    <Poison key={model.name} model={model} />
                ))}
            </ul>
            <Table label="Read models" columns={columns} rows={models} keyOf={model => model.name} />
            {asked && (
                <Ask
                    asked={asked}
                    onClose={done => {
                        setAsked(undefined);
                        if (done) {
                            found.reload();
                        }
                    }}
                />
            )}
        </section>
    );
}
