/** Ctrl-K: to any view, or to whatever an id names. */
import { useEffect, useRef, useState } from "preact/hooks";

import { go, hrefOf } from "./route.js";
import { VIEWS } from "./views.js";

interface Choice {
    readonly label: string;
    readonly hint: string;
    readonly href: string;
}

/** What a text may mean; the server is not asked, the view says where nothing is there. */
export function choicesFor(text: string): Choice[] {
    const wanted = text.trim();
    const views = VIEWS.filter(view =>
        view.label.toLowerCase().includes(wanted.toLowerCase()),
    ).map(view => ({ label: view.label, hint: "view", href: hrefOf(view.name) }));
    if (wanted === "") {
        return views;
    }
    return [
        ...views,
        { label: wanted, hint: "event", href: hrefOf("event", [wanted]) },
        { label: wanted, hint: "run", href: hrefOf("run", [wanted]) },
        { label: wanted, hint: "why", href: hrefOf("why", [wanted]) },
        { label: wanted, hint: "saga", href: hrefOf("saga", [wanted]) },
        { label: wanted, hint: "events of this stream", href: hrefOf("live", [], { stream: wanted, from: "1" }) },
        { label: wanted, hint: "events of this source", href: hrefOf("live", [], { source: wanted, from: "1" }) },
        { label: wanted, hint: "events of this type", href: hrefOf("live", [], { type: wanted, from: "1" }) },
    ];
}

export function Palette({ onClose }: { readonly onClose: () => void }) {
    const [text, setText] = useState("");
    const [at, setAt] = useState(0);
    const dialog = useRef<HTMLDialogElement>(null);
    const choices = choicesFor(text);
    useEffect(() => dialog.current?.showModal(), []);

    const choose = (choice: Choice | undefined) => {
        if (choice !== undefined) {
            onClose();
            go(choice.href);
        }
    };
    const onKey = (event: KeyboardEvent) => {
        if (event.key === "ArrowDown" || event.key === "ArrowUp") {
            const step = event.key === "ArrowDown" ? 1 : choices.length - 1;
            setAt((at + step) % Math.max(choices.length, 1));
            event.preventDefault();
        } else if (event.key === "Enter") {
            choose(choices[at]);
            event.preventDefault();
        }
    };
    return (
        <dialog ref={dialog} class="palette" aria-label="Go to" onClose={onClose}>
            <input
                type="text"
                role="combobox"
                aria-expanded="true"
                aria-controls="palette-choices"
                aria-activedescendant={`choice-${at}`}
                aria-label="View, event id, run, stream, agent or type"
                placeholder="View, event id, run, stream, agent or type"
                value={text}
                autoFocus
                onInput={event => {
                    setText(event.currentTarget.value);
                    setAt(0);
                }}
                onKeyDown={onKey}
            />
            <ul id="palette-choices" role="listbox" aria-label="Choices">
                {choices.map((choice, i) => (
                    <li
                        key={choice.href}
                        id={`choice-${i}`}
                        role="option"
                        aria-selected={i === at}
                        onClick={() => choose(choice)}
                    >
                        <span class="grow">{choice.label}</span>
                        <span class="dim">{choice.hint}</span>
                    </li>
                ))}
            </ul>
        </dialog>
    );
}
