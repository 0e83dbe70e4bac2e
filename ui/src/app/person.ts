/** Who sits before the page, as they say themselves: what they do is recorded under this name. */
import { signal, type ReadonlySignal } from "@preact/signals";

const KEY = "spoor.person";

const current = signal(typeof localStorage === "undefined" ? "" : (localStorage.getItem(KEY) ?? ""));
export const person: ReadonlySignal<string> = current;

export function setPerson(name: string): void {
    localStorage.setItem(KEY, name);
    current.value = name;
}
