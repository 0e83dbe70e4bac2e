/** Dark or light: as the system has it, until the reader chooses. */
import { signal, type ReadonlySignal } from "@preact/signals";

const KEY = "spoor.theme";
export type Theme = "dark" | "light";

function system(): Theme {
    return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
}

function chosen(): Theme | null {
    const text = localStorage.getItem(KEY);
    return text === "dark" || text === "light" ? text : null;
}

const current = signal<Theme>("dark");
export const theme: ReadonlySignal<Theme> = current;

function show(value: Theme): void {
    current.value = value;
    document.documentElement.dataset["theme"] = value;
}

export function startTheme(): void {
    show(chosen() ?? system());
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => {
        if (chosen() === null) {
            show(system());
        }
    });
}

export function toggleTheme(): void {
    const next = current.value === "dark" ? "light" : "dark";
    localStorage.setItem(KEY, next);
    show(next);
}
