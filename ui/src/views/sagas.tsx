/** Sagas: where each stands, what it waits for, and what a person can do about it. */
import { useState } from "preact/hooks";

import { address, send } from "../api/base.js";
import type { SagaRow, SagaStep, SagaStory } from "../api/types.js";
import { hrefOf, route, setParams } from "../app/route.js";
import { useWatched } from "../app/watch.js";
import { Empty, Failure } from "../parts/empty.js";
import { Json } from "../parts/json.js";
import { Sign, type Deed } from "../parts/sign.js";
import { Table, type Column } from "../parts/table.js";
import { ago, clockTime } from "../parts/time.js";

const PAGE = 500;
const CHANGES = ["saga.#"];
const STATUSES = ["", "running", "compensating", "needs_attention", "completed", "compensated", "cancelled"];

function Status({ status }: { status: string }) {
    return <span class={`status status-${status}`}>{status.replace("_", " ")}</span>;
}

const COLUMNS: readonly Column<SagaRow>[] = [
    { title: "Saga", cell: saga => <a href={hrefOf("saga", [saga.sagaid])}>{saga.saga}</a> },
    { title: "Status", cell: saga => <Status status={saga.status} /> },
    { title: "Step", cell: saga => saga.step ?? "" },
    { title: "Waits for", cell: saga => saga.waiting_for ?? "" },
    { title: "Until", cell: saga => (saga.due ? clockTime(saga.due) : "") },
    { title: "Began", cell: saga => ago(saga.started) },
    { title: "Id", cell: saga => <span class="dim">{saga.sagaid}</span> },
];

export function SagasView() {
    const { status } = route.value.params;
    const path = address(["v1", "sagas"], { status, limit: PAGE });
    const found = useWatched<{ sagas: SagaRow[]; next?: string }>(path, CHANGES);
    if (found.error) {
        return <Failure error={found.error} onRetry={found.reload} />;
    }
    const sagas = found.value?.sagas ?? [];
    if (found.value && sagas.length === 0 && status === undefined) {
        return (
            <Empty title="No saga runs">
                <p>
                    A saga takes work through several agents, and undoes it where it cannot be finished. Those that have ended are
                    under their status: <a href={hrefOf("sagas", [], { status: "completed" })}>completed</a>,{" "}
                    <a href={hrefOf("sagas", [], { status: "compensated" })}>compensated</a>.
                </p>
                <pre>
                    <code>{`spoor saga define examples/sagas/book-demo.yaml\nspoor saga start book-demo '{"lead_id": "lead-1"}'`}</code>
                </pre>
            </Empty>
        );
    }
    return (
        <section class="view">
            <h1>Sagas</h1>
            <form class="bar" onSubmit={event => event.preventDefault()}>
                <label>
                    Status{" "}
                    <select value={status ?? ""} onChange={event => setParams({ status: event.currentTarget.value })}>
                        {STATUSES.map(name => (
                            <option key={name} value={name}>
                                {name === "" ? "under way" : name.replace("_", " ")}
                            </option>
                        ))}
                    </select>
                </label>
                {found.value?.next !== undefined && <span class="dim">The first {PAGE} are shown.</span>}
            </form>
            {found.value && sagas.length === 0 && <p class="dim">None.</p>}
            <Table label="Sagas" columns={COLUMNS} rows={sagas} keyOf={saga => saga.sagaid} />
        </section>
    );
}

function Undoing({ step }: { step: SagaStep }) {
    const undo = step.compensation;
    if (!undo) {
        return <></>;
    }
    if (undo.status === undefined || undo.status === "armed") {
        return <span class="dim">by {undo.action}</span>;
    }
    return (
        <>
            <Status status={undo.status} /> {undo.error !== undefined && undo.error !== null && String(undo.error)}
        </>
    );
}

const STEP_COLUMNS: readonly Column<SagaStep>[] = [
    { title: "Step", cell: step => step.name },
    { title: "Status", cell: step => <Status status={step.status} /> },
    { title: "Attempts", number: true, cell: step => step.attempts },
    { title: "Next", cell: step => (step.due ? clockTime(step.due) : "") },
    { title: "Result or error", cell: step => <Outcome step={step} /> },
    { title: "Undoing it", cell: step => <Undoing step={step} /> },
];

function Outcome({ step }: { step: SagaStep }) {
    if (step.error !== null && step.error !== undefined) {
        return <span class="letter-error">{typeof step.error === "string" ? step.error : JSON.stringify(step.error)}</span>;
    }
    return step.result === null || step.result === undefined ? <></> : <Json value={step.result} depth={3} />;
}

interface Offer {
    readonly verb: string;
    readonly label: string;
    readonly text: string;
}

const RESCUES: readonly Offer[] = [
    { verb: "retry", label: "Try again", text: "What failed is tried once more, with all its attempts." },
    { verb: "skip", label: "Skip", text: "It is left as it is, and the saga goes on without it." },
    { verb: "done", label: "Mark as done", text: "Somebody did it by hand: the saga goes on as if it had succeeded." },
];
const CANCEL: Offer = {
    verb: "cancel",
    label: "Cancel",
    text: "Workers are told to stop, nothing new begins, and what was done is undone.",
};

function offersFor(story: SagaStory): readonly Offer[] {
    switch (story.status) {
        case "needs_attention":
            return [...RESCUES, CANCEL];
        case "running":
            return [CANCEL];
        default:
            return [];
    }
}

export function SagaView() {
    const id = route.value.args[0];
    const at = (...rest: string[]) => address(["v1", "sagas", id ?? "", ...rest]);
    const story = useWatched<SagaStory>(id === undefined ? undefined : at(), CHANGES);
    const words = useWatched<{ words: string }>(id === undefined ? undefined : at("story"), CHANGES);
    const [deed, setDeed] = useState<Deed>();
    if (id === undefined) {
        return <Empty title="Which saga?">Ctrl-K takes its id.</Empty>;
    }
    if (story.error) {
        return <Failure error={story.error} onRetry={story.reload} />;
    }
    const saga = story.value;
    if (saga === undefined) {
        return <p class="dim">Loading…</p>;
    }
    const offer = (choice: Offer) =>
        setDeed({
            title: `${choice.label}: ${saga.saga}`,
            text: choice.text,
            verb: choice.label,
            act: (by, reason) => send(at(choice.verb), { method: "POST", body: { by, reason } }),
        });
    return (
        <section class="view">
            <h1>{saga.saga}</h1>
            <div class="bar">
                <Status status={saga.status} />
                {saga.waiting_for && <span>waits for {saga.waiting_for}</span>}
                {saga.due && <span class="dim">until {clockTime(saga.due)}</span>}
                <a class="button" href={hrefOf("run", [saga.correlationid ?? saga.sagaid])}>
                    As a run
                </a>
                {offersFor(saga).map(choice => (
                    <button key={choice.verb} type="button" onClick={() => offer(choice)}>
                        {choice.label}
                    </button>
                ))}
                {saga.waiting_for === "approval" && <a href={hrefOf("approvals")}>Decide it</a>}
            </div>
            <pre class="raw">{words.value?.words ?? ""}</pre>
            <Table label="Steps" columns={STEP_COLUMNS} rows={saga.steps} keyOf={step => step.name} />
            {deed && (
                <Sign
                    deed={deed}
                    onClose={done => {
                        setDeed(undefined);
                        if (done) {
                            story.reload();
                            words.reload();
                        }
                    }}
                />
            )}
        </section>
    );
}
