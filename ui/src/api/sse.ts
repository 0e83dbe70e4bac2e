/**
 * Server-sent events, read from a fetch, since a browser's EventSource can send no token.
 *
 * The parser is that of the HTML standard (section 9.2.6) for what the server sends: lines end with
 * LF or CRLF, fields are `event`, `data`, `id` and `retry`, an empty line ends a frame.
 */
export interface Frame {
    readonly event: string;
    readonly data: string;
    readonly id: string | undefined;
}

export class FrameParser {
    private rest = "";
    private event = "";
    private data: string[] = [];
    private id: string | undefined;

    /** What the server wants waited before coming again, in ms. */
    retryMs = 1000;

    /** Takes a piece of the stream and gives the frames that it finishes. */
    push(piece: string): Frame[] {
        const frames: Frame[] = [];
        const text = this.rest + piece;
        let from = 0;
        for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", from)) {
            const end = at > from && text[at - 1] === "\r" ? at - 1 : at;
            this.line(text.slice(from, end), frames);
            from = at + 1;
        }
        this.rest = text.slice(from);
        return frames;
    }

    private line(line: string, frames: Frame[]): void {
        if (line === "") {
            this.finish(frames);
            return;
        }
        const colon = line.indexOf(":");
        const name = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
        if (name === "data") {
            this.data.push(value);
        } else if (name === "event") {
            this.event = value;
        } else if (name === "id") {
            this.id = value;
        } else if (name === "retry" && /^\d+$/.test(value)) {
            this.retryMs = Number(value);
        }
    }

    private finish(frames: Frame[]): void {
        if (this.data.length > 0 || this.id !== undefined) {
            frames.push({ event: this.event || "message", data: this.data.join("\n"), id: this.id });
        }
        this.event = "";
        this.data = [];
        this.id = undefined;
    }
}
