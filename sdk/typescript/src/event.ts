/**
 * Events as they are stored and as they are given. The shape is that of the server's JSON, so what
 * an export holds, what a query answers and what a handler is given are one and the same.
 */
import { SpoorError } from "./errors.js";

/** A JSON value. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** An event of the log. Extension attributes are members beside the ones named here. */
export interface SpoorEvent<T = unknown> {
    /** Unique per source. */
    readonly id: string;
    /** What happened: tokens joined by dots. */
    readonly type: string;
    /** Who did it. */
    readonly source: string;
    /** What it happened to. */
    readonly stream: string;
    /** The producer's time, as given. */
    readonly time?: string;
    /** The run. */
    readonly correlationid: string;
    /** The id of the event that caused it. */
    readonly causationid?: string;
    readonly schemaversion?: string;
    readonly datacontenttype?: string;
    /**
     * The payload: parsed JSON, a string where it is other text, bytes (`Uint8Array`) where it is
     * neither.
     */
    readonly data: T;
    readonly metadata?: { readonly [key: string]: unknown };
    /** Place in the whole log, from 1, without gaps. */
    readonly position: number;
    /** Place in its stream, from 1, without gaps. */
    readonly version: number;
    /** When the store took it. */
    readonly recordedtime: string;
    readonly entryid: string;
    readonly hash?: string;
    readonly [extension: string]: unknown;
}

/** What may be said of an event that is published, beside its type and its data. */
export interface PublishOptions {
    /** Who did it; else the `source` that connect() was given. */
    source?: string | undefined;
    /** Unique per source; made where it is absent. The same again appends nothing. */
    id?: string | undefined;
    /** What it happened to; the source where it is absent. */
    stream?: string | undefined;
    /** The run; else that of the cause, else the event's own id. */
    correlationid?: string | undefined;
    /** The id of the event that caused it. */
    causationid?: string | undefined;
    schemaversion?: string | number | undefined;
    /** The producer's time. */
    time?: string | Date | undefined;
    /** The media type of data that is no JSON: then `data` is a string or bytes. */
    datacontenttype?: string | undefined;
    metadata?: { readonly [key: string]: unknown } | undefined;
    /** Extension attributes. They are stored as text. */
    extensions?: { readonly [name: string]: string | number | boolean } | undefined;
    /**
     * Deliver it then, and not before: until then cancelTimer() takes it back. In place of it
     * `delay`: after so long.
     */
    deliverAt?: string | Date | undefined;
    delay?: string | number | undefined;
    /** Append only if the stream is at this version; `"none"`: if it is new. */
    expectedVersion?: number | "none" | undefined;
}

/** An event that is to be published. */
export interface NewEvent<T = unknown> extends PublishOptions {
    type: string;
    data?: T | undefined;
}

/** What became of an event that was published. */
export interface Published {
    readonly id: string;
    readonly position: number;
    readonly stream: string;
    readonly version: number;
    readonly entryid: string;
    /** It was there already; nothing was appended. */
    readonly duplicate: boolean;
}

/** Reads an event from a line of JSON as the server writes it. */
export function parseEvent<T = unknown>(json: string): SpoorEvent<T> {
    const event = JSON.parse(json) as Record<string, unknown>;
    const { data_base64: bytes } = event;
    if (typeof bytes === "string") {
        delete event["data_base64"];
        event["data"] = new Uint8Array(Buffer.from(bytes, "base64"));
    }
    return event as unknown as SpoorEvent<T>;
}

/** An event that was exported, as one to be published: what the store assigned is left out. */
export function republish(event: Readonly<Record<string, unknown>>): NewEvent {
    const result: Record<string, unknown> = {};
    const extensions: Record<string, string> = {};
    for (const [name, value] of Object.entries(event)) {
        if (value === null || value === undefined || ASSIGNED.has(name)) {
            continue;
        }
        if (GIVEN.has(name)) {
            result[name] = value;
        } else {
            extensions[name] = typeof value === "string" ? value : JSON.stringify(value);
        }
    }
    return { ...result, extensions } as unknown as NewEvent;
}

const ASSIGNED = new Set(["position", "version", "recordedtime", "entryid", "hash"]);
const GIVEN = new Set([
    "type",
    "data",
    "source",
    "id",
    "stream",
    "correlationid",
    "causationid",
    "schemaversion",
    "time",
    "datacontenttype",
    "metadata",
]);

/** The payload as it is sent: its bytes or its JSON. */
export function encodeData(event: NewEvent): string | Buffer {
    const { data, datacontenttype: type } = event;
    if (data instanceof Uint8Array) {
        return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    }
    if (type !== undefined && !isJsonType(type)) {
        if (typeof data !== "string") {
            throw new SpoorError(
                `data of the type ${type}: expected a string or a Uint8Array, found ${kindOf(data)}`,
            );
        }
        return data;
    }
    const json = JSON.stringify(data === undefined ? null : data) as string | undefined;
    if (json === undefined) {
        throw new SpoorError(`data: expected what JSON can hold, found ${kindOf(data)}`);
    }
    return json;
}

function isJsonType(type: string): boolean {
    const essence = type.split(";")[0]?.trim().toLowerCase() ?? "";
    return essence === "application/json" || essence.endsWith("+json");
}

function kindOf(value: unknown): string {
    return value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
}

const encoder = new TextEncoder();

/** Throws where the store would refuse the event, so that a batch is whole or not at all. */
export function checkEvent(event: NewEvent): void {
    checkType(event.type);
    for (const name of [
        "id",
        "source",
        "stream",
        "correlationid",
        "causationid",
        "datacontenttype",
    ] as const) {
        const value: unknown = event[name];
        if (value !== undefined && (typeof value !== "string" || value === "")) {
            throw new SpoorError(
                `${name}: expected a text that is not empty, found ${JSON.stringify(value) ?? kindOf(value)}`,
            );
        }
        if (typeof value === "string" && encoder.encode(value).length > 4096) {
            throw new SpoorError(`${name}: longer than 4096 bytes`);
        }
    }
    const [what, stream] =
        event.stream === undefined ? ["source", event.source] : ["stream", event.stream];
    if (stream?.startsWith("$") === true) {
        throw new SpoorError(
            `${what}: ${JSON.stringify(stream)} begins with $: only the store writes there`,
        );
    }
    for (const name of Object.keys(event.extensions ?? {})) {
        if (name === "" || TAKEN.has(name)) {
            throw new SpoorError(
                `extensions: ${JSON.stringify(name)} cannot be the name of an extension attribute`,
            );
        }
    }
    checkVersion(event.expectedVersion);
}

/** Names that every event has for itself. */
const TAKEN = new Set([...ASSIGNED, "id", "type", "source", "stream", "data"]);

function checkVersion(version: unknown): void {
    if (
        version !== undefined &&
        version !== "none" &&
        !(Number.isSafeInteger(version) && (version as number) >= 0)
    ) {
        const found = JSON.stringify(version) ?? kindOf(version);
        throw new SpoorError(
            `expectedVersion: expected a whole number from 0 or "none", found ${found}`,
        );
    }
}

function checkType(type: unknown): void {
    if (typeof type !== "string" || type === "") {
        throw new SpoorError(
            `type: expected a topic such as task.created, found ${JSON.stringify(type) ?? kindOf(type)}`,
        );
    }
    if (encoder.encode(type).length > 255) {
        throw new SpoorError(`type: longer than 255 bytes`);
    }
    // eslint-disable-next-line no-control-regex
    if (/[\s\u0000-\u001f\u007f-\u009f]/u.test(type)) {
        throw new SpoorError(
            `type: ${JSON.stringify(type)} has white space or a control character`,
        );
    }
    const wild = type.split(".").find((token) => token === "*" || token === "#" || token === ">");
    if (wild !== undefined) {
        throw new SpoorError(
            `type: found the wildcard ${wild} in ${JSON.stringify(type)}, expected a topic, not a pattern`,
        );
    }
}
