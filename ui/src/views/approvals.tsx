/** What waits for a person: one inbox over all sagas and agents. */
import { useState } from "preact/hooks";

import { address, send } from "../api/base.js";
import type { Approval } from "../api/types.js";
import { hrefOf, route, setParams } from "../app/route.js";
import { useWatched } from "../app/watch.js";
import { Empty, Failure } from "../parts/empty.js";
import { Sign, type Deed } from "../parts/sign.js";
import { ago, duration } from "../parts/time.js";

const CHANGES = ["action.#", "approval.#", "saga.approval.#"];
const PAGE = 200;

function left(deadline: string): string {
    const ms = Date.parse(deadline) - Date.now();
    return ms > 0 ? `${duration(ms)} left` : "its time is over";
}

function Card({ approval, onChoose }: { approval: Approval; onChoose: (choice: string) => void }) {
    return (
        <li class="letter">
            <h2>{approval.prompt}</h2>
            <p class="dim">
                {approval.sagaid === undefined ? (
                    <>asked by {approval.asked_by ?? "nobody named"}</>
                ) : (
                    <>
                        <a href={hrefOf("saga", [approval.sagaid])}>{approval.saga ?? "a saga"}</a>, step {approval.step}
                    </>
                )}
                {approval.since !== undefined && <> · {ago(approval.since)}</>}
                {approval.deadline !== undefined && <> · {left(approval.deadline)}</>}
                {approval.who.length > 0 && <> · for {approval.who.join(", ")}</>}
                {approval.escalated_to !== undefined && approval.escalated_to.length > 0 && (
                    <> · escalated to {approval.escalated_to.join(", ")}</>
                )}{" "}
                · <a href={hrefOf("why", [approval.id])}>why?</a>
            </p>
            <div class="bar">
                {approval.choices.map(choice => (
                    <button key={choice} type="button" onClick={() => onChoose(choice)}>
                        {choice}
                    </button>
                ))}
            </div>
        </li>
    );
}

export function ApprovalsView() {
    const { who } = route.value.params;
    const path = address(["v1", "approvals"], { who, limit: PAGE });
    const found = useWatched<{ approvals: Approval[]; next?: string }>(path, CHANGES);
    const [deed, setDeed] = useState<Deed>();
    if (found.error) {
        return <Failure error={found.error} onRetry={found.reload} />;
    }
    const approvals = found.value?.approvals ?? [];
    if (found.value && approvals.length === 0 && who === undefined) {
        return (
            <Empty title="Nothing waits for a decision">
                <p>An agent that wants to be allowed something asks by an event:</p>
                <pre>
                    <code>{`spoor publish action.proposed '{"action": "refund 89.99"}' --source refunds`}</code>
                </pre>
            </Empty>
        );
    }
    const decide = (approval: Approval, choice: string) =>
        setDeed({
            title: `${choice}: ${approval.prompt}`,
            text: "The first decision counts, and is recorded with your name and your reason.",
            verb: choice,
            act: (by, reason) =>
                send(address(["v1", "approvals", approval.id, "decide"]), { method: "POST", body: { choice, by, reason } }),
        });
    return (
        <section class="view">
            <h1>Approvals</h1>
            <form class="bar" onSubmit={event => event.preventDefault()}>
                <label>
                    For{" "}
                    <input
                        type="text"
                        placeholder="anybody"
                        value={who ?? ""}
                        onChange={event => setParams({ who: event.currentTarget.value })}
                    />
                </label>
                <span class="dim">
                    {approvals.length} pending{found.value?.next === undefined ? "" : ", and more"}
                </span>
            </form>
            <ul class="letters">
                {approvals.map(approval => (
                    <Card key={approval.id} approval={approval} onChoose={choice => decide(approval, choice)} />
                ))}
            </ul>
            {deed && (
                <Sign
                    deed={deed}
                    onClose={done => {
                        setDeed(undefined);
                        if (done) {
                            found.reload();
                        }
                    }}
                />
            )}
        </section>
    );
}
