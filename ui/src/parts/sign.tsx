/** Something that a person does, and that is recorded with who did it and why. */
import { useEffect, useRef, useState } from "preact/hooks";

import { Problem } from "../api/base.js";
import { person, setPerson } from "../app/person.js";

export interface Deed {
    readonly title: string;
    readonly text: string;
    readonly verb: string;
    readonly act: (by: string, reason: string) => Promise<unknown>;
}

/** What the server says; where somebody was first, who that was. */
function wordsOf(error: unknown): string {
    const decision = error instanceof Problem ? error.members["decision"] : undefined;
    if (typeof decision === "object" && decision !== null) {
        const { choice, by } = decision as { choice?: string; by?: string };
        return `Already decided: ${choice ?? "?"} by ${by || "nobody named"}.`;
    }
    return (error as Error).message;
}

export function Sign({ deed, onClose }: { deed: Deed; onClose: (done: boolean) => void }) {
    const dialog = useRef<HTMLDialogElement>(null);
    const [by, setBy] = useState(person.value);
    const [reason, setReason] = useState("");
    const [error, setError] = useState("");
    const [busy, setBusy] = useState(false);
    useEffect(() => dialog.current?.showModal(), []);
    const act = () => {
        setBusy(true);
        setPerson(by);
        deed.act(by, reason).then(
            () => onClose(true),
            (problem: unknown) => {
                setBusy(false);
                setError(wordsOf(problem));
            },
        );
    };
    return (
        <dialog ref={dialog} class="ask" aria-labelledby="sign-title" onClose={() => onClose(false)}>
            <form
                onSubmit={event => {
                    event.preventDefault();
                    act();
                }}
            >
                <h2 id="sign-title">{deed.title}</h2>
                <p>{deed.text}</p>
                <label class="field">
                    Who you are
                    <input type="text" name="by" required value={by} onInput={event => setBy(event.currentTarget.value)} />
                </label>
                <label class="field">
                    Why
                    <input type="text" name="reason" value={reason} onInput={event => setReason(event.currentTarget.value)} />
                </label>
                {error !== "" && <p role="alert">{error}</p>}
                <div class="bar">
                    <button type="submit" disabled={busy}>
                        {deed.verb}
                    </button>
                    <button type="button" onClick={() => dialog.current?.close()}>
                        Leave it
                    </button>
                </div>
            </form>
        </dialog>
    );
}
