/**
 * Ids. Those of emits and steps are derived from what is handled, so that a redelivery makes the
 * same ones and nothing is appended twice; every SDK makes the same (sdk/ids.json).
 */
import { createHash, randomBytes } from "node:crypto";

/** UUIDv5(DNS, "spoor.events"). */
export const NAMESPACE = "cc8264ea-3dd0-5e17-b02c-9f291fc10da4";
const NAMESPACE_BYTES = Buffer.from(NAMESPACE.replaceAll("-", ""), "hex");

/** What is handled, and by whom. */
export interface Handled {
    source: string;
    id: string;
    agent: string;
    handler: string;
}

export function uuid5(namespace: Uint8Array, name: string): string {
    const hash = createHash("sha1").update(namespace).update(name, "utf8").digest();
    return format(hash, 5);
}

/** The id of an emit; ordinal counts from 1 within the handling, or within the step. */
export function emitId(handled: Handled, step: string, ordinal: number): string {
    const { source, id, agent, handler } = handled;
    return uuid5(
        NAMESPACE_BYTES,
        `emit\n${source}\n${id}\n${agent}\n${handler}\n${step}\n${ordinal}`,
    );
}

/** The id of the event that keeps a step's result. */
export function stepId(handled: Handled, name: string): string {
    const { source, id, agent, handler } = handled;
    return uuid5(NAMESPACE_BYTES, `step\n${source}\n${id}\n${agent}\n${handler}\n${name}`);
}

/** The id of the event that says that a try (from 1) of an irreversible step begins. */
export function startId(handled: Handled, name: string, ordinal: number): string {
    return derived("start", handled, name, String(ordinal));
}

/** The id of the event that says that this try of an irreversible step failed. */
export function failureId(handled: Handled, name: string, ordinal: number): string {
    return derived("failure", handled, name, String(ordinal));
}

/** The id of a question of a handling; ordinal counts from 1. */
export function askId(handled: Handled, ordinal: number): string {
    return derived("ask", handled, String(ordinal));
}

/** The id of an agent's answer to a command, whatever it says: there is one. */
export function answerId(source: string, id: string, agent: string): string {
    return uuid5(NAMESPACE_BYTES, `answer\n${source}\n${id}\n${agent}`);
}

function derived(kind: string, handled: Handled, ...more: readonly string[]): string {
    const { source, id, agent, handler } = handled;
    return uuid5(NAMESPACE_BYTES, [kind, source, id, agent, handler, ...more].join("\n"));
}

/** A UUIDv7: rises with time, to the millisecond. */
export function newId(now: number = Date.now()): string {
    const bytes = randomBytes(16);
    bytes.writeUIntBE(now, 0, 6);
    return format(bytes, 7);
}

function format(bytes: Buffer, version: number): string {
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | (version << 4);
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    const hex = bytes.toString("hex", 0, 16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
