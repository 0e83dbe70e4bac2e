/** Structured logs: one JSON object a line, with the ids that lead to the event and its run. */
import { describeError } from "../errors.js";

export type LogLevel = "debug" | "info" | "warning" | "error";

export interface LogRecord {
    readonly time: string;
    readonly level: LogLevel;
    readonly msg: string;
    readonly agent: string;
    readonly event_id?: string;
    readonly event_type?: string;
    readonly correlation_id?: string;
    readonly attempt?: number;
    readonly error?: string;
    readonly stack?: string;
    readonly [field: string]: unknown;
}

export type LogSink = (record: LogRecord) => void;

export type LogFields = { readonly [field: string]: unknown };

/** Writes to standard error; debug lines only where $SPOOR_DEBUG is set. */
export const standardError: LogSink = (record) => {
    if (record.level !== "debug" || process.env["SPOOR_DEBUG"] !== undefined) {
        process.stderr.write(`${toJson(record)}\n`);
    }
};

function toJson(record: LogRecord): string {
    try {
        return JSON.stringify(record, (_, value: unknown) =>
            typeof value === "bigint" ? String(value) : value,
        );
    } catch (error) {
        const { time, level, msg, agent } = record;
        return JSON.stringify({ time, level, msg, agent, log_error: String(error) });
    }
}

export class Logger {
    readonly #sink: LogSink;
    readonly #fields: LogFields & { agent: string };

    constructor(sink: LogSink, fields: LogFields & { agent: string }) {
        this.#sink = sink;
        this.#fields = fields;
    }

    /** A logger whose lines have these fields, too. */
    with(fields: LogFields): Logger {
        return new Logger(this.#sink, { ...this.#fields, ...fields });
    }

    debug(msg: string, fields?: LogFields): void {
        this.#write("debug", msg, fields);
    }

    info(msg: string, fields?: LogFields): void {
        this.#write("info", msg, fields);
    }

    warning(msg: string, fields?: LogFields): void {
        this.#write("warning", msg, fields);
    }

    /** An error among the fields, under the name `error`, becomes its text and its stack. */
    error(msg: string, fields?: LogFields): void {
        this.#write("error", msg, fields);
    }

    #write(level: LogLevel, msg: string, fields: LogFields = {}): void {
        const error = fields["error"];
        const about =
            error === undefined
                ? {}
                : {
                      error: describeError(error),
                      ...(error instanceof Error && error.stack !== undefined
                          ? { stack: error.stack }
                          : {}),
                  };
        this.#sink({
            time: new Date().toISOString(),
            level,
            msg,
            ...this.#fields,
            ...fields,
            ...about,
        });
    }
}
