/**
 * Reads replies of RESP2 from the bytes of a connection, for subscriptions: what a server sends
 * without being asked, the `redis` package does not hand out.
 */
import { SpoorError } from "../errors.js";
import type { Reply } from "./connection.js";

const CR = 13;
const [PLUS, MINUS, COLON, DOLLAR, STAR] = [43, 45, 58, 36, 42];

/** An error as the server replied it. */
export class ErrorLine {
    constructor(readonly text: string) {}
}

export class RespReader {
    #bytes: Buffer = Buffer.alloc(0);
    #at = 0;

    add(piece: Buffer): void {
        const left = this.#bytes.subarray(this.#at);
        this.#bytes = left.length === 0 ? piece : Buffer.concat([left, piece]);
        this.#at = 0;
    }

    /** The next whole reply; undefined where more bytes are needed. */
    next(): Reply | ErrorLine | undefined {
        const from = this.#at;
        const reply = this.#read();
        if (reply === undefined) {
            this.#at = from;
        }
        return reply;
    }

    #read(): Reply | ErrorLine | undefined {
        const line = this.#line();
        if (line === undefined) {
            return undefined;
        }
        const [kind, text] = line;
        switch (kind) {
            case PLUS:
                return text;
            case MINUS:
                return new ErrorLine(text);
            case COLON:
                return Number(text);
            case DOLLAR:
                return this.#bulk(Number(text));
            case STAR:
                return this.#list(Number(text));
            default:
                throw new SpoorError(`not the Redis protocol: a reply begins with byte ${kind}`);
        }
    }

    #line(): [number, string] | undefined {
        const end = this.#bytes.indexOf(CR, this.#at);
        if (end < 0 || end + 1 >= this.#bytes.length) {
            return undefined;
        }
        const kind = this.#bytes[this.#at] ?? 0;
        const text = this.#bytes.toString("utf8", this.#at + 1, end);
        this.#at = end + 2;
        return [kind, text];
    }

    #bulk(length: number): string | null | undefined {
        if (length < 0) {
            return null;
        }
        if (this.#at + length + 2 > this.#bytes.length) {
            return undefined;
        }
        const text = this.#bytes.toString("utf8", this.#at, this.#at + length);
        this.#at += length + 2;
        return text;
    }

    #list(count: number): Reply[] | null | undefined {
        if (count < 0) {
            return null;
        }
        const list: Reply[] = [];
        for (let i = 0; i < count; i++) {
            const item = this.#read();
            if (item === undefined) {
                return undefined;
            }
            list.push(item instanceof ErrorLine ? item.text : item);
        }
        return list;
    }
}

/** A command as its bytes. */
export function encodeCommand(words: readonly string[]): string {
    return (
        `*${words.length}\r\n` +
        words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")
    );
}
