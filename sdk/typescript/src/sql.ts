/** SELECTs over read models: what SPOOR.QUERY is sent, and what it answers. */
import { milliseconds, type Duration } from "./duration.js";
import { SpoorError } from "./errors.js";
import type { Published } from "./event.js";

/** A value of a row. Whole numbers beyond 2^53 lose digits: cast them to text in the SQL. */
export type SqlValue = string | number | null | Uint8Array;
/** A value for a parameter; what is no SqlValue is sent as JSON. */
export type SqlParam = SqlValue | bigint | boolean | readonly unknown[] | { [name: string]: unknown };

export interface SqlOptions {
    /** Values for `?` in order, or for `:name` by name. */
    params?: readonly SqlParam[] | { readonly [name: string]: SqlParam } | undefined;
    /** Waits until the read models have seen this: a position, or what publishing returned. */
    seen?: number | Published | readonly Published[] | undefined;
    /** How long it may take, waiting included; 10 s where it is absent. */
    timeout?: Duration | undefined;
    /** More rows are an error; 10,000 where it is absent. */
    maxRows?: number | undefined;
}

export interface SqlAnswer<T = { [column: string]: SqlValue }> {
    readonly columns: readonly string[];
    /** Each row as an object; of columns with the same name the last one. */
    readonly rows: T[];
    /** Each row as its values, in the order of the columns. */
    readonly values: SqlValue[][];
    /** What the read models had seen; undefined where none was read. */
    readonly position: number | undefined;
}

function jsonOf(value: SqlParam): string {
    if (typeof value === "bigint") {
        return value.toString();
    }
    if (value instanceof Uint8Array) {
        return JSON.stringify({ $base64: Buffer.from(value).toString("base64") });
    }
    if (typeof value === "number" && !Number.isFinite(value)) {
        throw new SpoorError(`params: ${value} is no value of SQL`);
    }
    return JSON.stringify(value);
}

function positionOf(seen: number | Published | readonly Published[]): number {
    if (typeof seen === "number") {
        return seen;
    }
    const all = "position" in seen ? [seen] : seen;
    return Math.max(0, ...all.map((one) => one.position));
}

/** The command. */
export function sqlWords(sql: string, options: SqlOptions): string[] {
    const { params = [], seen, timeout, maxRows } = options;
    const words = ["SPOOR.QUERY", sql, "ASJSON"];
    const named = Array.isArray(params)
        ? params.map((value): [string, SqlParam] => ["", value as SqlParam])
        : Object.entries(params as { readonly [name: string]: SqlParam });
    for (const [name, value] of named) {
        words.push("JSON", name, jsonOf(value));
    }
    if (seen !== undefined) {
        words.push("SEEN", String(positionOf(seen)));
    }
    if (timeout !== undefined) {
        words.push("TIMEOUT", String(Math.ceil(milliseconds(timeout, "timeout"))));
    }
    if (maxRows !== undefined) {
        words.push("MAXROWS", String(maxRows));
    }
    return words;
}

type Told = string | number | null | { $base64: string };

function valueOf(told: Told): SqlValue {
    return typeof told === "object" && told !== null
        ? new Uint8Array(Buffer.from(told.$base64, "base64"))
        : told;
}

/** The answer, from its JSON. */
export function asSqlAnswer<T>(text: string): SqlAnswer<T> {
    const told = JSON.parse(text) as {
        columns: string[];
        rows: Told[][];
        position: number | null;
    };
    const values = told.rows.map((row) => row.map(valueOf));
    return {
        columns: told.columns,
        values,
        rows: values.map(
            (row) => Object.fromEntries(told.columns.map((name, at) => [name, row[at]])) as T,
        ),
        position: told.position ?? undefined,
    };
}
