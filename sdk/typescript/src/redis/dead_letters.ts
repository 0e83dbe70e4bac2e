/** What groups have given up, over SPOOR.DEAD. */
import { groupOf, type DeadLetter, type DeadLetters, type GroupRef } from "../bus.js";
import type { Connection, Reply } from "./connection.js";
import { asEvents, asList, asMap, asNumber, asText } from "./replies.js";

const PAGE = 1000; // what one SPOOR.DEAD LIST gives at most

export class RedisDeadLetters implements DeadLetters {
    readonly #connection: Connection;

    constructor(connection: Connection) {
        this.#connection = connection;
    }

    async list<T>(
        ref: GroupRef,
        options: { limit?: number | undefined } = {},
    ): Promise<DeadLetter<T>[]> {
        const { key, group } = groupOf(ref);
        const limit = options.limit ?? 100;
        const letters: DeadLetter<T>[] = [];
        let after = 0;
        while (letters.length < limit) {
            const count = Math.min(PAGE, limit - letters.length);
            const words = [
                "SPOOR.DEAD",
                "LIST",
                key,
                group,
                "COUNT",
                String(count),
                "AFTER",
                String(after),
            ];
            const rows = asList(await this.#connection.send(words), "SPOOR.DEAD LIST").map((row) =>
                asMap(row, "SPOOR.DEAD LIST"),
            );
            const page = await Promise.all(rows.map((row) => this.#letter<T>(row)));
            letters.push(...page.filter((letter): letter is DeadLetter<T> => letter !== undefined));
            after = asNumber(rows.at(-1)?.get("position") ?? after, "position");
            if (rows.length < count) {
                break;
            }
        }
        return letters;
    }

    redrive(ref: GroupRef, entryids?: readonly string[]): Promise<number> {
        return this.#decide("REDRIVE", ref, entryids);
    }

    discard(ref: GroupRef, entryids?: readonly string[]): Promise<number> {
        return this.#decide("DISCARD", ref, entryids);
    }

    /** The event as it is in the log; undefined where retention has dropped it meanwhile. */
    async #letter<T>(row: Map<string, Reply>): Promise<DeadLetter<T> | undefined> {
        const position = asNumber(row.get("position"), "position");
        const words = [
            "SPOOR.READ",
            "FROM",
            String(position),
            "UNTIL",
            String(position),
            "LIMIT",
            "1",
        ];
        const [event] = asEvents<T>(await this.#connection.send(words), "SPOOR.READ");
        return event === undefined
            ? undefined
            : {
                  entryid: asText(row.get("id"), "id"),
                  attempts: asNumber(row.get("attempts"), "attempts"),
                  reason: asText(row.get("reason"), "reason"),
                  error: asText(row.get("error") ?? "", "error"),
                  time: new Date(asNumber(row.get("time"), "time")),
                  event,
              };
    }

    async #decide(
        what: string,
        ref: GroupRef,
        entryids: readonly string[] | undefined,
    ): Promise<number> {
        const { key, group } = groupOf(ref);
        if (entryids?.length === 0) {
            return 0;
        }
        const words = ["SPOOR.DEAD", what, key, group, ...(entryids ?? ["ALL"])];
        return asNumber(await this.#connection.send(words), `SPOOR.DEAD ${what}`);
    }
}
