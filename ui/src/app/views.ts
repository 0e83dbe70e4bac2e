/** The table of views: their names in the address, their labels, and what shows them. */
import type { ComponentType } from "preact";

import { AgentsView } from "../views/agents.js";
import { ApprovalsView } from "../views/approvals.js";
import { EventView } from "../views/event.js";
import { LiveView } from "../views/live.js";
import { ModelsView } from "../views/models.js";
import { QueueView, QueuesView } from "../views/queues.js";
import { RunView } from "../views/run.js";
import { RunsView } from "../views/runs.js";
import { SagaView, SagasView } from "../views/sagas.js";
import { SqlView } from "../views/sql.js";
import { SystemView } from "../views/system.js";
import { TypeView, TypesView } from "../views/types.js";
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
    { name: "agents", label: "Agents", show: AgentsView },
    { name: "queues", label: "Queues", show: QueuesView },
    { name: "sagas", label: "Sagas", show: SagasView },
    { name: "approvals", label: "Approvals", show: ApprovalsView },
    { name: "models", label: "Read models", show: ModelsView },
    { name: "sql", label: "SQL", show: SqlView },
    { name: "types", label: "Types", show: TypesView },
    { name: "system", label: "System", show: SystemView },
];

/** Those that are about one thing. */
const DETAILS: readonly View[] = [
    { name: "run", label: "Run", show: RunView },
    { name: "event", label: "Event", show: EventView },
    { name: "why", label: "Why", show: WhyView },
    { name: "queue", label: "Queue", show: QueueView },
    { name: "saga", label: "Saga", show: SagaView },
    { name: "type", label: "Type", show: TypeView },
];

export function viewNamed(name: string): View | undefined {
    return [...VIEWS, ...DETAILS].find(view => view.name === name);
}
