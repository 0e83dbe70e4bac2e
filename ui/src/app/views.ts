/** The table of views: their names in the address, their labels, and what shows them. */
import type { ComponentType } from "preact";

import { EventView } from "../views/event.js";
import { LiveView } from "../views/live.js";
import { RunView } from "../views/run.js";
import { RunsView } from "../views/runs.js";
import { WhyView } from "../views/why.js";

export interface View {
    readonly name: string;
    readonly label: string;
    readonly show: ComponentType;
}

/** Those of the navigation, in its order. */
export const VIEWS: readonly View[] = [
    { name: "live", label: "Live", show: LiveView },
    { name: "runs", label: "Runs", show: RunsView },
];

/** Those that are about one thing. */
const DETAILS: readonly View[] = [
    { name: "run", label: "Run", show: RunView },
    { name: "event", label: "Event", show: EventView },
    { name: "why", label: "Why", show: WhyView },
];

export function viewNamed(name: string): View | undefined {
    return [...VIEWS, ...DETAILS].find(view => view.name === name);
}
