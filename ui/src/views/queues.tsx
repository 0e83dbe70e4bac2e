/** Consumer groups: how far behind they are, what they gave up, and giving it another try. */
import { useState } from "preact/hooks";

import { address, send } from "../api/base.js";
import type { DeadLetter, Group, StoredEvent } from "../api/types.js";
import { hrefOf, route } from "../app/route.js";
import { useWatched } from "../app/watch.js";
import { Ask, type Asked } from "../parts/ask.js";
import { Empty, Failure } from "../parts/empty.js";
import { Json } from "../parts/json.js";
import { Table, type Column } from "../parts/table.js";
import { ago, duration } from "../parts/time.js";

/** What changes a group: its own events, and any event that it may have to read. */
const CHANGES = ["#"];
const LETTERS = 200;

function groupHref(group: Group): string {
    return hrefOf("queue", [group.name], { key: group.key });
}

const COLUMNS: readonly Column<Group>[] = [
    { title: "Group", cell: group => <a href={groupHref(group)}>{group.name}</a> },
    { title: "Reads", cell: group => group.key },
    { title: "Behind", number: true, cell: group => group.lag?.events ?? "–" },
    { title: "by", number: true, cell: group => (group.lag ? duration(group.lag.seconds * 1000) : "–") },
    { title: "In work", number: true, cell: group => group.in_flight },
    { title: "To be retried", number: true, cell: group => group.waiting },
    { title: "Behind their key", number: true, cell: group => group.parked },
    {
        title: "Dead",
        number: true,
        cell: group => (group.dead === 0 ? 0 : <a href={groupHref(group)}>{group.dead}</a>),
    },
    { title: "Consumers", number: true, cell: group => group.consumers },
];

export function QueuesView() {
    const found = useWatched<{ groups: Group[] }>(address(["v1", "groups"], { lag: true, limit: 1000 }), CHANGES);
    if (found.error) {
        return <Failure error={found.error} onRetry={found.reload} />;
    }
    const groups = [...(found.value?.groups ?? [])].sort((a, b) => b.dead - a.dead || (b.lag?.events ?? 0) - (a.lag?.events ?? 0));
    if (found.value && groups.length === 0) {
        return (
            <Empty title="No consumer group yet">
                <p>A group shares the events of a type among workers, retries and keeps what cannot be done:</p>
                <pre>
                    <code>{`spoor group create workers '$type:task.#' --max-deliveries 5`}</code>
                </pre>
            </Empty>
        );
    }
    return (
        <section class="view">
            <h1>Queues</h1>
            <Table label="Consumer groups" columns={COLUMNS} rows={groups} keyOf={group => `${group.key}\n${group.name}`} />
        </section>
    );
}

function Letter({ letter, onAsk }: { letter: DeadLetter; onAsk: (verb: "redrive" | "discard") => void }) {
    const event = letter.event as StoredEvent | null;
    return (
        <li class="letter">
            <div class="bar">
                {event === null ? (
                    <span>an event that is gone</span>
                ) : (
                    <a href={hrefOf("event", [event.id])}>{event.type}</a>
                )}
                <span class="dim">
                    position {letter.position} · {letter.attempts} {letter.attempts === 1 ? "attempt" : "attempts"} · given up{" "}
                    {ago(letter.time)}
                </span>
                <button type="button" onClick={() => onAsk("redrive")}>
                    Try again
                </button>
                <button type="button" onClick={() => onAsk("discard")}>
                    Discard
                </button>
            </div>
            <p class="letter-error">{letter.error ?? (letter.reason === "refused" ? "A worker refused it." : "No worker finished it.")}</p>
            {event !== null && event.data !== undefined && <Json value={event.data} depth={2} />}
        </li>
    );
}

export function QueueView() {
    const name = route.value.args[0];
    const { key } = route.value.params;
    const [asked, setAsked] = useState<Asked>();
    const path = (...rest: string[]) => ["v1", "groups", name ?? "", ...rest];
    const at = (segments: string[], query = {}) => (name === undefined ? undefined : address(segments, { key, ...query }));
    const group = useWatched<Group>(at(path()), CHANGES);
    const letters = useWatched<{ entries: DeadLetter[] }>(at(path("dead-letters"), { limit: LETTERS }), ["delivery.#"]);
    if (name === undefined) {
        return <Empty title="Which group?" />;
    }
    const error = group.error ?? letters.error;
    if (error) {
        return <Failure error={error} onRetry={group.reload} />;
    }
    const dead = group.value?.dead ?? 0;
    const entries = letters.value?.entries ?? [];
    const redrive = (body: object) => send(at(path("redrive"))!, { method: "POST", body });
    const discard = (query: object) => send(at(path("dead-letters"), query)!, { method: "DELETE" });
    const ask = (verb: "redrive" | "discard", letter?: DeadLetter) => {
        const what = letter === undefined ? `all ${dead} dead letters` : `the event at position ${letter.position}`;
        setAsked(
            verb === "redrive"
                ? {
                      title: "Try again?",
                      text: `${name} is handed ${what} once more, with all attempts before it.`,
                      verb: "Try again",
                      act: () => redrive(letter === undefined ? { all: true } : { ids: [letter.id] }),
                  }
                : {
                      title: "Discard?",
                      text: `${name} forgets ${what}. The log keeps the events, and that they were discarded.`,
                      verb: "Discard",
                      act: () => discard(letter === undefined ? { all: true } : { id: letter.id }),
                  },
        );
    };
    return (
        <section class="view">
            <h1>{name}</h1>
            {group.value && <Table label="The group" columns={COLUMNS.slice(1)} rows={[group.value]} keyOf={() => name} />}
            <h2>Dead letters</h2>
            {dead === 0 && group.value && <p class="dim">None: everything was done, or is being tried.</p>}
            {dead > 0 && (
                <div class="bar">
                    <button type="button" onClick={() => ask("redrive")}>
                        Try all {dead} again
                    </button>
                    <button type="button" onClick={() => ask("discard")}>
                        Discard all
                    </button>
                    {entries.length < dead && <span class="dim">The oldest {entries.length} are shown.</span>}
                </div>
            )}
            <ul class="letters">
                {entries.map(letter => (
                    <Letter key={letter.id} letter={letter} onAsk={verb => ask(verb, letter)} />
                ))}
            </ul>
            {asked && (
                <Ask
                    asked={asked}
                    onClose={done => {
                        setAsked(undefined);
                        if (done) {
                            group.reload();
                            letters.reload();
                        }
                    }}
                />
            )}
        </section>
    );
}
