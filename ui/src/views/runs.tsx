/** The runs, newest first, a page at a time. */
import { address } from "../api/base.js";
import type { Run, RunPage } from "../api/types.js";
import { useResource } from "../app/resource.js";
import { hrefOf, route } from "../app/route.js";
import { Empty, Failure } from "../parts/empty.js";
import { clockTime, duration } from "../parts/time.js";

const PAGE = 100;

function RunRow({ run }: { run: Run }) {
    const lasted = Date.parse(run.last_recordedtime) - Date.parse(run.first_recordedtime);
    return (
        <tr>
            <td>
                <a href={hrefOf("run", [run.correlationid])}>{run.correlationid}</a>
            </td>
            <td>
                <span class={`status status-${run.status}`}>{run.status}</span>
            </td>
            <td class="number">{run.event_count}</td>
            <td>{run.first_type}</td>
            <td>{run.last_type}</td>
            <td>{clockTime(run.last_recordedtime)}</td>
            <td class="number">{duration(lasted)}</td>
        </tr>
    );
}

export function RunsView() {
    const { until } = route.value.params;
    const found = useResource<RunPage>(address(["v1", "runs"], { reverse: true, limit: PAGE, until }));
    if (found.error) {
        return <Failure error={found.error} onRetry={found.reload} />;
    }
    if (found.value && found.value.runs.length === 0) {
        return (
            <Empty title="No run yet">
                <p>Events that share a correlation id are a run. Bring some history in:</p>
                <pre>
                    <code>spoor import examples/refund.jsonl --url {location.origin}</code>
                </pre>
            </Empty>
        );
    }
    return (
        <section class="view">
            <h1>Runs</h1>
            <div class="scroll">
                <table class="list">
                    <thead>
                        <tr>
                            <th scope="col">Run</th>
                            <th scope="col">Status</th>
                            <th scope="col" class="number">
                                Events
                            </th>
                            <th scope="col">Began with</th>
                            <th scope="col">Latest</th>
                            <th scope="col">Recorded</th>
                            <th scope="col" class="number">
                                Lasted
                            </th>
                        </tr>
                    </thead>
                    <tbody>
                        {found.value?.runs.map(run => (
                            <RunRow key={run.correlationid} run={run} />
                        ))}
                    </tbody>
                </table>
            </div>
            <nav class="bar" aria-label="Pages">
                {until !== undefined && <a href={hrefOf("runs")}>Newest</a>}
                {found.value?.next !== undefined && (
                    <a href={hrefOf("runs", [], { until: String(found.value.next) })}>Older</a>
                )}
            </nav>
        </section>
    );
}
