/** What the interface says, as far as this page reads it: docs/http.md has all of it. */

export interface StoredEvent {
    readonly id: string;
    readonly type: string;
    readonly source: string;
    readonly stream: string;
    readonly correlationid: string;
    readonly causationid?: string;
    readonly time?: string;
    readonly schemaversion?: string;
    readonly datacontenttype?: string;
    readonly data?: unknown;
    readonly data_base64?: string;
    readonly metadata?: unknown;
    readonly position: number;
    readonly version: number;
    readonly recordedtime: string;
    readonly entryid: string;
    readonly hash?: string;
    /** Of effects and causes: how far from the event that was asked for. */
    readonly depth?: number;
    readonly [extension: string]: unknown;
}

export interface Run {
    readonly correlationid: string;
    readonly status: "running" | "completed" | "failed";
    readonly event_count: number;
    readonly first_position: number;
    readonly last_position: number;
    readonly first_recordedtime: string;
    readonly last_recordedtime: string;
    readonly first_type: string;
    readonly last_type: string;
}

export interface RunPage {
    readonly runs: readonly Run[];
    readonly next?: number;
}

export interface ServerFacts {
    readonly name: string;
    readonly version: string;
    readonly resp: string;
    readonly position: number;
    readonly data: string;
}

export interface Agent {
    readonly id: string;
    readonly status: "online" | "stale" | "suspected" | "offline";
    readonly capabilities: readonly string[];
    readonly capacity: number | null;
    readonly load: number;
    readonly version: string | null;
    readonly last_seen: string;
    readonly last_event: string | null;
}

export interface Group {
    readonly name: string;
    readonly key: string;
    readonly policy: Readonly<Record<string, unknown>> | null;
    readonly consumers: number;
    readonly pending: number;
    readonly in_flight: number;
    readonly waiting: number;
    readonly parked: number;
    readonly dead: number;
    readonly lag?: { readonly events: number; readonly seconds: number };
}

export interface DeadLetter {
    readonly id: string;
    readonly position: number;
    readonly attempts: number;
    readonly reason: "attempts" | "refused";
    readonly time: string;
    readonly error: string | null;
    readonly event: unknown;
}

export interface ProjectionError {
    readonly position: number | null;
    readonly id: string | null;
    readonly text: string;
}

export interface Projection {
    readonly name: string;
    readonly version: number;
    readonly shipped: boolean;
    readonly state: "waiting" | "building" | "running" | "failed";
    readonly position: number;
    readonly head: number;
    readonly lag_events: number;
    readonly lag_seconds: number;
    readonly applied: number;
    readonly rate: number;
    readonly percent?: number;
    readonly eta_s?: number | null;
    readonly rebuild: {
        readonly percent: number;
        readonly rate: number;
        readonly eta_s: number | null;
        readonly error: ProjectionError | null;
    } | null;
    readonly error: ProjectionError | null;
    readonly tables: readonly string[];
}

export interface QueryAnswer {
    readonly columns: readonly string[];
    readonly rows: readonly (readonly unknown[])[];
    readonly position?: number;
}

/** A type of the vocabulary, or a schema that is registered. */
export interface SchemaRow {
    readonly type: string;
    readonly version: string;
    readonly domain?: string;
    readonly meaning?: string;
    readonly emitted_by?: string;
    readonly mode?: string;
    readonly compatibility?: string;
}

export interface SagaRow {
    readonly sagaid: string;
    readonly saga: string;
    readonly status: string;
    readonly step?: string | null;
    readonly waiting_for?: string | null;
    readonly due?: string | null;
    readonly started: string;
}

export interface SagaStep {
    readonly name: string;
    readonly kind?: string;
    readonly status: string;
    readonly attempts: number;
    readonly action?: string;
    readonly result: unknown;
    readonly error: unknown;
    readonly started?: string;
    readonly ended?: string;
    readonly due?: string | null;
    readonly compensation?: {
        readonly action?: string;
        readonly status?: string;
        readonly attempts?: number;
        readonly error?: unknown;
    } | null;
}

export interface SagaStory {
    readonly sagaid: string;
    readonly saga: string;
    readonly status: string;
    readonly correlationid?: string;
    readonly waiting_for?: string | null;
    readonly due?: string | null;
    readonly data?: unknown;
    readonly steps: readonly SagaStep[];
}

export interface Approval {
    readonly id: string;
    readonly status: string;
    readonly prompt: string;
    readonly asked_by?: string;
    readonly saga?: string;
    readonly sagaid?: string;
    readonly step?: string | null;
    readonly choices: readonly string[];
    readonly who: readonly string[];
    readonly escalated_to?: readonly string[];
    readonly deadline?: string;
    readonly since?: string;
    readonly position: number;
}
