/** The log of the bus in memory: order, versions, and no event twice. */
import type { Clock } from "../clock.js";
import type { Effect } from "../bus.js";
import { ConflictError, SpoorError, UnsupportedError } from "../errors.js";
import { encodeData, type NewEvent, type Published, type SpoorEvent } from "../event.js";
import { newId } from "../ids.js";
import { checkLimits, expectations, placeOf, type Identified } from "../redis/append.js";

export class MemoryLog {
    readonly events: SpoorEvent[] = [];
    readonly #clock: Clock;
    readonly #byId = new Map<string, SpoorEvent[]>();
    readonly #versions = new Map<string, number>();
    readonly #listeners = new Set<(event: SpoorEvent) => void>();
    #last = { ms: 0, seq: 0 };

    constructor(clock: Clock) {
        this.#clock = clock;
    }

    /** Hears of every event that is appended, in order; returns how to end that. */
    listen(listener: (event: SpoorEvent) => void): () => void {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
    }

    append(event: Identified): Published {
        return this.appendAll([event])[0]!;
    }

    /** All of them or none. Whoever hears of one finds all of them there. */
    appendAll(events: readonly Identified[]): Published[] {
        if (events.some(({ extensions }) => extensions?.["deliverat"] !== undefined)) {
            throw new UnsupportedError("a bus in memory delivers nothing later: ask a server");
        }
        events.forEach((event, at) => checkOne(event, at, events.length));
        const wanted = expectations(events);
        if (events.some(({ id, source }) => this.find(id, source) === undefined)) {
            wanted.forEach((version, stream) => this.#checkVersion(stream, version));
        }
        const before = this.events.length;
        const results = events.map((event) => this.#store(event));
        for (const stored of this.events.slice(before)) {
            this.#listeners.forEach((listener) => listener(stored));
        }
        return results;
    }

    #checkVersion(stream: string, expected: number): void {
        const version = this.#versions.get(stream) ?? 0;
        if (version !== expected) {
            throw new ConflictError(
                `CONFLICT stream ${stream} is at version ${version}, expected ${expected}`,
                version,
            );
        }
    }

    #store(event: Identified): Published {
        const stream = placeOf(event);
        const known = this.find(event.id, event.source);
        if (known !== undefined) {
            return published(known, stream, true);
        }
        const stored = this.#complete(event, stream, (this.#versions.get(stream) ?? 0) + 1);
        this.events.push(stored);
        this.#versions.set(stream, stored.version);
        this.#byId.set(stored.id, [...this.withId(stored.id), stored]);
        return published(stored, stream, false);
    }

    /** What the bus itself has to tell of an event; gives the position. */
    note(
        type: string,
        stream: string,
        data: unknown,
        cause?: SpoorEvent,
        source = "spoor",
    ): number {
        const because =
            cause === undefined
                ? {}
                : { causationid: cause.id, correlationid: cause.correlationid };
        return this.append({ type, stream, data, source, id: newId(this.#clock.now()), ...because })
            .position;
    }

    withId(id: string): readonly SpoorEvent[] {
        return this.#byId.get(id) ?? [];
    }

    find(id: string, source: string): SpoorEvent | undefined {
        return this.withId(id).find((event) => event.source === source);
    }

    causes(id: string): SpoorEvent[] {
        const chain: SpoorEvent[] = [];
        for (
            let at: SpoorEvent | undefined = this.#needed(id);
            at !== undefined && !chain.includes(at);
        ) {
            chain.push(at);
            at = at.causationid === undefined ? undefined : this.withId(at.causationid)[0];
        }
        return chain;
    }

    effects(id: string): Effect[] {
        const seen = new Set<SpoorEvent>();
        const walk = (event: SpoorEvent, depth: number): Effect[] => {
            if (seen.has(event)) {
                return [];
            }
            seen.add(event);
            return [
                { depth, event },
                ...this.events
                    .filter(({ causationid }) => causationid === event.id)
                    .flatMap((effect) => walk(effect, depth + 1)),
            ];
        };
        return walk(this.#needed(id), 0);
    }

    #needed(id: string): SpoorEvent {
        const [event] = this.withId(id);
        if (event === undefined) {
            throw new SpoorError("ERR no such event");
        }
        return event;
    }

    #complete(event: Identified, stream: string, version: number): SpoorEvent {
        const cause =
            event.causationid === undefined ? undefined : this.withId(event.causationid)[0];
        const { id, type, source, causationid, datacontenttype, metadata, schemaversion, time } =
            event;
        const given = {
            id,
            type,
            source,
            stream,
            time: time instanceof Date ? time.toISOString() : time,
            correlationid: event.correlationid ?? cause?.correlationid ?? id,
            causationid,
            schemaversion: schemaversion === undefined ? undefined : String(schemaversion),
            datacontenttype,
            metadata:
                metadata === undefined
                    ? undefined
                    : (JSON.parse(JSON.stringify(metadata)) as unknown),
        };
        const extensions = Object.entries(event.extensions ?? {}).map(([name, value]) => [
            name,
            String(value),
        ]);
        return Object.freeze({
            ...Object.fromEntries([
                ...Object.entries(given).filter(([, value]) => value !== undefined),
                ...extensions,
            ]),
            data: storedData(event),
            position: this.events.length + 1,
            version,
            recordedtime: `${new Date(this.#clock.now()).toISOString().slice(0, -1)}000Z`,
            entryid: this.#nextEntry(),
        }) as unknown as SpoorEvent;
    }

    #nextEntry(): string {
        const ms = this.#clock.now();
        this.#last =
            ms > this.#last.ms ? { ms, seq: 0 } : { ms: this.#last.ms, seq: this.#last.seq + 1 };
        return `${this.#last.ms}-${this.#last.seq}`;
    }
}

/** Data as it comes back from a server: nobody shares it. */
function storedData(event: NewEvent): unknown {
    const encoded = encodeData(event);
    if (typeof encoded !== "string") {
        return new Uint8Array(encoded);
    }
    const { datacontenttype: type } = event;
    return type === undefined || /json$/i.test(type.split(";")[0]!.trim())
        ? (JSON.parse(encoded) as unknown)
        : encoded;
}

/** Throws where a server would refuse the event, in its words. */
function checkOne(event: Identified, at: number, count: number): void {
    try {
        checkLimits(event);
    } catch (error) {
        throw error instanceof SpoorError && count > 1
            ? new SpoorError(error.message.replace(/^(LIMIT )?/, `$1event ${at + 1}: `))
            : error;
    }
}

/** Of one that was there already, the stream is the one that was named now. */
function published(
    { id, position, version, entryid }: SpoorEvent,
    stream: string,
    duplicate: boolean,
): Published {
    return { id, position, stream, version, entryid, duplicate };
}
