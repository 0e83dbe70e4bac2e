/** A question before something is done: what would happen, and a way back. */
import { useEffect, useRef, useState } from "preact/hooks";

export interface Asked {
    readonly title: string;
    readonly text: string;
    readonly verb: string;
    readonly act: () => Promise<unknown>;
}

export function Ask({ asked, onClose }: { asked: Asked; onClose: (done: boolean) => void }) {
    const dialog = useRef<HTMLDialogElement>(null);
    const [error, setError] = useState("");
    const [busy, setBusy] = useState(false);
    useEffect(() => dialog.current?.showModal(), []);
    const act = () => {
        setBusy(true);
        asked.act().then(
            () => onClose(true),
            (problem: unknown) => {
                setBusy(false);
                setError((problem as Error).message);
            },
        );
    };
    return (
        <dialog ref={dialog} class="ask" aria-labelledby="ask-title" onClose={() => onClose(false)}>
            <h2 id="ask-title">{asked.title}</h2>
            <p>{asked.text}</p>
            {error !== "" && <p role="alert">{error}</p>}
            <div class="bar">
                <button type="button" disabled={busy} onClick={act}>
                    {asked.verb}
                </button>
                <button type="button" onClick={() => dialog.current?.close()}>
                    Leave it
                </button>
            </div>
        </dialog>
    );
}
