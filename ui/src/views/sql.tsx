/** Questions in SQL over the read models, as of now or as of a moment. */
import { useEffect, useRef, useState } from "preact/hooks";

import { address, send } from "../api/base.js";
import type { Projection, QueryAnswer } from "../api/types.js";
import { useResource } from "../app/resource.js";
import { route, setParams } from "../app/route.js";
import { duration } from "../parts/time.js";
import { csvOf } from "./csv.js";

const ROWS_MAX = 1000;

interface Outcome {
    readonly answer?: QueryAnswer;
    readonly error?: Error;
    readonly ms: number;
}

/** The read model whose table the text names: a moment of the past is asked of one. */
function modelOf(sql: string, models: readonly Projection[]): string | undefined {
    const words = new Set(sql.toLowerCase().match(/[a-z_][a-z0-9_]*/g) ?? []);
    return models.find(model => model.tables.some(table => words.has(table.toLowerCase())))?.name;
}

async function ask(sql: string, at: string | undefined, models: readonly Projection[]): Promise<QueryAnswer> {
    if (at === undefined || at === "") {
        const response = await send("/v1/query", { method: "POST", body: { sql, max_rows: ROWS_MAX } });
        return (await response.json()) as QueryAnswer;
    }
    const model = modelOf(sql, models);
    if (model === undefined) {
        throw new Error("The question names no table of a read model; a moment of the past is asked of one.");
    }
    const response = await send(address(["v1", "state", model], { until: at, sql }));
    return (await response.json()) as QueryAnswer;
}

function Answer({ answer }: { answer: QueryAnswer }) {
    return (
        <div class="scroll" tabIndex={0} role="region" aria-label="Answer">
            <table class="list">
                <thead>
                    <tr>
                        {answer.columns.map((name, i) => (
                            <th key={i} scope="col">
                                {name}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {answer.rows.map((row, i) => (
                        <tr key={i}>
                            {row.map((value, k) => (
                                <td key={k} class={typeof value === "number" ? "number" : ""}>
                                    {value === null ? <span class="dim">null</span> : String(value)}
                                </td>
                            ))}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

/** The names that the text at the cursor may become. */
export function completions(text: string, names: readonly string[]): string[] {
    const word = /[A-Za-z_][A-Za-z0-9_]*$/.exec(text)?.[0] ?? "";
    return word === ""
        ? []
        : names.filter(name => name.toLowerCase().startsWith(word.toLowerCase()) && name !== word).slice(0, 8);
}

function Completions({ text, names, onTake }: { text: string; names: readonly string[]; onTake: (name: string) => void }) {
    const found = completions(text, names);
    return (
        <p class="completions" aria-live="polite">
            {found.map(name => (
                <button key={name} type="button" onClick={() => onTake(name)}>
                    {name}
                </button>
            ))}
        </p>
    );
}

function download(answer: QueryAnswer): void {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csvOf(answer)], { type: "text/csv" }));
    link.download = "answer.csv";
    link.click();
    URL.revokeObjectURL(link.href);
}

export function SqlView() {
    const { q, at } = route.value.params;
    const models = useResource<{ projections: Projection[] }>("/v1/projections").value?.projections ?? [];
    const [text, setText] = useState(q ?? "");
    const [before, setBefore] = useState("");
    const [outcome, setOutcome] = useState<Outcome>();
    const box = useRef<HTMLTextAreaElement>(null);
    const run = (sql: string, moment: string | undefined) => {
        const begun = performance.now();
        setParams({ q: sql, at: moment });
        ask(sql, moment, models).then(
            answer => setOutcome({ answer, ms: performance.now() - begun }),
            (error: unknown) => setOutcome({ error: error as Error, ms: performance.now() - begun }),
        );
    };
    // A link with a question in it is answered at once; one about the past needs to know the tables.
    const ready = q !== undefined && q !== "" && (at === undefined || models.length > 0);
    useEffect(() => {
        if (ready) {
            setText(q);
            run(q, at);
        }
    }, [ready]);
    const tables = models.flatMap(model => model.tables);
    const take = (name: string) => {
        const element = box.current!;
        const head = element.value.slice(0, element.selectionStart).replace(/[A-Za-z_][A-Za-z0-9_]*$/, "");
        const next = head + name + element.value.slice(element.selectionStart);
        setText(next);
        setBefore("");
        element.focus();
    };
    return (
        <section class="view">
            <h1>SQL</h1>
            <form
                class="sql"
                onSubmit={event => {
                    event.preventDefault();
                    run(text, at);
                }}
            >
                <label>
                    <span class="hidden">Question</span>
                    <textarea
                        ref={box}
                        rows={5}
                        spellcheck={false}
                        value={text}
                        placeholder="SELECT status, count(*) AS runs FROM runs GROUP BY status"
                        onInput={event => {
                            setText(event.currentTarget.value);
                            setBefore(event.currentTarget.value.slice(0, event.currentTarget.selectionStart));
                        }}
                        onKeyDown={event => {
                            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
                                event.preventDefault();
                                run(text, at);
                            }
                        }}
                    />
                </label>
                <Completions text={before} names={tables} onTake={take} />
                <div class="bar">
                    <button type="submit">
                        Ask <kbd>Ctrl Enter</kbd>
                    </button>
                    <label>
                        As of{" "}
                        <input
                            type="text"
                            placeholder="now, a position, a time, -10m"
                            value={at ?? ""}
                            onChange={event => setParams({ at: event.currentTarget.value })}
                        />
                    </label>
                    {outcome?.answer && (
                        <>
                            <button type="button" onClick={() => download(outcome.answer!)}>
                                As CSV
                            </button>
                            <span class="dim">
                                {outcome.answer.rows.length} rows in {duration(outcome.ms)}
                            </span>
                        </>
                    )}
                </div>
            </form>
            {outcome?.error && <p role="alert">{outcome.error.message}</p>}
            {outcome?.answer && <Answer answer={outcome.answer} />}
            {outcome === undefined && tables.length > 0 && <p class="dim">Tables: {tables.join(", ")}</p>}
        </section>
    );
}
