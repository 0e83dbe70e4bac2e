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
