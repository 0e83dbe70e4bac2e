/** The server's figures: lines of Prometheus' text format, as far as spoor writes them. */

export interface Sample {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
}

const LINE = /^([a-zA-Z_][a-zA-Z0-9_]*)(?:\{(.*)\})? ([^ ]+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

function unescape(text: string): string {
    return text.replace(/\\(.)/g, (_, mark: string) => (mark === "n" ? "\n" : mark));
}

export class Metrics {
    private readonly samples = new Map<string, Sample[]>();

    constructor(
        text: string,
        readonly atMs: number,
    ) {
        for (const line of text.split("\n")) {
            const found = LINE.exec(line);
            if (found === null) {
                continue;
            }
            const [, name = "", inner = "", value = ""] = found;
            const labels = [...inner.matchAll(LABEL)].map(([, key = "", text = ""]) => [key, unescape(text)]);
            const sample = { name, labels: Object.fromEntries(labels) as Record<string, string>, value: Number(value) };
            this.samples.set(name, [...(this.samples.get(name) ?? []), sample]);
        }
    }

    all(name: string): readonly Sample[] {
        return this.samples.get(name) ?? [];
    }

    /** The sum over all labels, or over those that are as wanted. */
    sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
        return this.all(name)
            .filter(sample => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
            .reduce((total, sample) => total + sample.value, 0);
    }

    /** What a counter grew by in a second since an earlier reading; 0 where the server began anew. */
    rate(name: string, before: Metrics | undefined): number {
        const seconds = before === undefined ? 0 : (this.atMs - before.atMs) / 1000;
        const grown = before === undefined ? 0 : this.sum(name) - before.sum(name);
        return seconds > 0 && grown > 0 ? grown / seconds : 0;
    }
}
