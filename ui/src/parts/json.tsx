/** JSON for people: indented, with values in colours; large ones fold. */
import { useState } from "preact/hooks";

const OPEN_DEPTH = 3;
const SHOWN_MEMBERS = 200;

function Scalar({ value }: { value: unknown }) {
    if (typeof value === "string") {
        return <span class="json-string">{JSON.stringify(value)}</span>;
    }
    return <span class={`json-${value === null ? "null" : typeof value}`}>{String(value)}</span>;
}

function Members({ value, depth }: { value: object; depth: number }) {
    const [open, setOpen] = useState(depth < OPEN_DEPTH);
    const list = Array.isArray(value);
    const entries = Object.entries(value);
    const [begin, end] = list ? ["[", "]"] : ["{", "}"];
    if (entries.length === 0) {
        return (
            <span>
                {begin}
                {end}
            </span>
        );
    }
    if (!open) {
        return (
            <button type="button" class="fold" onClick={() => setOpen(true)}>
                {begin} {entries.length} {list ? "items" : "members"} {end}
            </button>
        );
    }
    return (
        <span>
            <button type="button" class="fold" aria-label="Fold" onClick={() => setOpen(false)}>
                {begin}
            </button>
            <ul class="json">
                {entries.slice(0, SHOWN_MEMBERS).map(([name, member]) => (
                    <li key={name}>
                        {!list && <span class="json-name">{JSON.stringify(name)}: </span>}
                        <Json value={member} depth={depth + 1} />
                    </li>
                ))}
                {entries.length > SHOWN_MEMBERS && (
                    <li class="dim">… {entries.length - SHOWN_MEMBERS} more: see Raw</li>
                )}
            </ul>
            {end}
        </span>
    );
}

export function Json({ value, depth = 0 }: { value: unknown; depth?: number }) {
    return typeof value === "object" && value !== null ? (
        <Members value={value} depth={depth} />
    ) : (
        <Scalar value={value} />
    );
}
