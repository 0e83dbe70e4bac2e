/** The server itself: how much, how fast, how far behind. */
import type { Metrics } from "../api/metrics.js";
import { useMetrics } from "../app/watch.js";
import { Spark } from "../parts/spark.js";
import { bytes } from "../parts/bytes.js";
import { duration } from "../parts/time.js";

interface Figure {
    readonly label: string;
    readonly value: (now: Metrics, before: Metrics | undefined) => string;
    /** What is drawn beside it. */
    readonly line?: (now: Metrics, before: Metrics | undefined) => number;
}

const rate = (name: string) => (now: Metrics, before: Metrics | undefined) => now.rate(name, before);
const perSecond = (name: string) => (now: Metrics, before: Metrics | undefined) => `${Math.round(now.rate(name, before))}/s`;
const count = (name: string) => (now: Metrics) => String(now.sum(name));

const FIGURES: readonly (readonly [string, readonly Figure[]])[] = [
    [
        "Log",
        [
            { label: "Position", value: count("spoor_events_total") },
            { label: "Events appended", value: perSecond("spoor_events_total"), line: rate("spoor_events_total") },
            { label: "Streams", value: count("spoor_streams") },
            { label: "On disk", value: now => bytes(now.sum("spoor_log_bytes")) },
            { label: "Appends under way", value: count("spoor_outstanding_appends") },
            { label: "Tree behind by", value: now => `${now.sum("spoor_tree_lag_events")} events` },
            { label: "Store", value: now => (now.sum("spoor_store_failed") > 0 ? "failed" : "takes events") },
        ],
    ],
    [
        "Clients",
        [
            { label: "Connections", value: count("spoor_connections") },
            { label: "Requests", value: perSecond("spoor_commands_total"), line: rate("spoor_commands_total") },
            { label: "Errors", value: perSecond("spoor_error_replies_total"), line: rate("spoor_error_replies_total") },
            { label: "Received", value: (now, before) => `${bytes(now.rate("spoor_received_bytes_total", before))}/s` },
            { label: "Sent", value: (now, before) => `${bytes(now.rate("spoor_sent_bytes_total", before))}/s` },
            { label: "Held for clients", value: now => bytes(now.sum("spoor_client_buffer_bytes")) },
            { label: "Subscriptions", value: count("spoor_subscriptions") },
            { label: "Slow readers", value: count("spoor_subscriptions_lagging") },
        ],
    ],
    [
        "Process",
        [
            { label: "Memory", value: now => bytes(now.sum("process_resident_memory_bytes")) },
            {
                label: "Processor",
                value: (now, before) => `${(now.rate("process_cpu_seconds_total", before) * 100).toFixed(1)} %`,
                line: rate("process_cpu_seconds_total"),
            },
            { label: "Up for", value: now => duration(now.atMs - now.sum("process_start_time_seconds") * 1000) },
            { label: "Version", value: now => now.all("spoor_build_info")[0]?.labels["version"] ?? "" },
        ],
    ],
];

function FigureRow({ figure, readings }: { figure: Figure; readings: readonly Metrics[] }) {
    const now = readings.at(-1)!;
    const line = figure.line;
    return (
        <tr>
            <th scope="row">{figure.label}</th>
            <td class="number">{figure.value(now, readings.at(-2))}</td>
            <td>
                {line && readings.length > 2 && (
                    <Spark
                        values={readings.slice(1).map((reading, i) => line(reading, readings[i]))}
                        label={`${figure.label}, lately`}
                    />
                )}
            </td>
        </tr>
    );
}

export function SystemView() {
    const readings = useMetrics();
    return (
        <section class="view">
            <h1>System</h1>
            {readings.length === 0 && <p class="dim">Waiting for the first figures…</p>}
            <div class="columns">
                {readings.length > 0 &&
                    FIGURES.map(([title, figures]) => (
                        <section key={title}>
                            <h2>{title}</h2>
                            <table class="envelope figures">
                                <tbody>
                                    {figures.map(figure => (
                                        <FigureRow key={figure.label} figure={figure} readings={readings} />
                                    ))}
                                </tbody>
                            </table>
                        </section>
                    ))}
            </div>
        </section>
    );
}
