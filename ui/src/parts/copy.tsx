/** A button that copies a text, and says that it did. */
import { useState } from "preact/hooks";

const SAID_MS = 1500;

export function Copy({ label, text }: { label: string; text: () => string }) {
    const [said, setSaid] = useState("");
    const copy = async () => {
        try {
            await navigator.clipboard.writeText(text());
            setSaid("Copied");
        } catch {
            setSaid("The browser did not allow it");
        }
        setTimeout(() => setSaid(""), SAID_MS);
    };
    return (
        <button type="button" onClick={() => void copy()}>
            <span aria-live="polite">{said || label}</span>
        </button>
    );
}
