/**
 * A subscription that comes again by itself and misses nothing: it keeps the last id it was given,
 * and asks for what follows it. Frames that have come are handed over once for each picture that
 * the browser draws, so that no number of events holds up the page.
 */
import { signal, type ReadonlySignal } from "@preact/signals";

import { Problem, address, send, type Query } from "./base.js";
import { FrameParser, type Frame } from "./sse.js";

const RETRY_MS_MAX = 15000;
const SILENCE_MS = 40000; // the server says something every 15 s

export type LinkState = "none" | "connecting" | "open" | "lost" | "refused";

export interface LiveOptions {
    readonly query: Query;
    readonly onFrames: (frames: readonly Frame[]) => void;
    /** The stream cannot be had, and trying again will not help. */
    readonly onRefused?: (problem: Problem) => void;
}

/** How the newest subscription of the page stands: the header shows it. */
const state = signal<LinkState>("none");
export const linkState: ReadonlySignal<LinkState> = state;

export class Live {
    private readonly abort = new AbortController();
    private lastId: string | undefined;
    private waiting: Frame[] = [];
    private drawing = false;

    constructor(private readonly options: LiveOptions) {
        void this.run();
    }

    close(): void {
        this.abort.abort();
        state.value = "none";
    }

    private get closed(): boolean {
        return this.abort.signal.aborted;
    }

    private async run(): Promise<void> {
        let tries = 0;
        while (!this.closed) {
            state.value = tries === 0 ? "connecting" : "lost";
            const parser = new FrameParser();
            const ended = await this.follow(parser);
            if (this.closed || ended === "refused") {
                return;
            }
            tries = ended === "came" ? 1 : tries + 1;
            state.value = "lost";
            const wait = Math.min(parser.retryMs * 2 ** (tries - 1), RETRY_MS_MAX);
            await new Promise(resolve => setTimeout(resolve, wait * (0.5 + Math.random() / 2)));
        }
    }

    /** One connection until it ends: whether something came by it. */
    private async follow(parser: FrameParser): Promise<"came" | "nothing" | "refused"> {
        let ended: "came" | "nothing" | "refused" = "nothing";
        const connection = new AbortController();
        const stop = () => connection.abort();
        this.abort.signal.addEventListener("abort", stop);
        let watch = setTimeout(stop, SILENCE_MS);
        try {
            const response = await this.open(connection.signal);
            const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
            state.value = "open";
            for (;;) {
                const { done, value } = await reader.read();
                if (done) {
                    break;
                }
                ended = "came";
                clearTimeout(watch);
                watch = setTimeout(stop, SILENCE_MS);
                this.take(parser.push(value));
            }
        } catch (error) {
            if (error instanceof Problem && error.status < 500 && error.status !== 429) {
                ended = "refused";
                state.value = "refused";
                this.options.onRefused?.(error);
            }
        } finally {
            clearTimeout(watch);
            this.abort.signal.removeEventListener("abort", stop);
            connection.abort();
        }
        return ended;
    }

    private open(signal: AbortSignal): Promise<Response> {
        const query = { ...this.options.query, last_event_id: this.lastId };
        return send(address(["v1", "subscribe"], query), { accept: "text/event-stream", signal });
    }

    private take(frames: readonly Frame[]): void {
        for (const frame of frames) {
            this.lastId = frame.id ?? this.lastId;
            if (frame.data !== "") {
                this.waiting.push(frame);
            }
        }
        if (!this.drawing && this.waiting.length > 0) {
            this.drawing = true;
            const show = () => {
                this.drawing = false;
                const ready = this.waiting;
                this.waiting = [];
                if (!this.closed) {
                    this.options.onFrames(ready);
                }
            };
            // A page in the background draws nothing, and shall not gather for ever.
            if (document.hidden) {
                setTimeout(show, 1000);
            } else {
                requestAnimationFrame(show);
            }
        }
    }
}
