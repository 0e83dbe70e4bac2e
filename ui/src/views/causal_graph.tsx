/** The graph of causes and effects, laid out from left to right. */
import dagre from "@dagrejs/dagre";
import { useMemo } from "preact/hooks";

import { hrefOf } from "../app/route.js";
import type { Graph } from "./graph.js";
import { isFailure } from "./waterfall.js";

const WIDTH = 190;
const HEIGHT = 44;

interface Placed {
    readonly x: number;
    readonly y: number;
}

function layout(graph: Graph) {
    const drawn = new dagre.graphlib.Graph();
    drawn.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 46, marginx: 8, marginy: 8 });
    drawn.setDefaultEdgeLabel(() => ({}));
    graph.nodes.forEach(node => drawn.setNode(node.id, { width: WIDTH, height: HEIGHT }));
    graph.edges.forEach(([from, to]) => drawn.setEdge(from, to));
    dagre.layout(drawn);
    const { width = 0, height = 0 } = drawn.graph();
    return {
        width,
        height,
        place: (id: string) => drawn.node(id) as unknown as Placed,
        points: (from: string, to: string) => (drawn.edge(from, to) as unknown as { points: Placed[] }).points,
    };
}

function shortened(text: string, most: number): string {
    return text.length > most ? text.slice(0, most - 1) + "…" : text;
}

export function CausalGraph({ graph }: { graph: Graph }) {
    const drawn = useMemo(() => layout(graph), [graph]);
    return (
        <div class="scroll graph" tabIndex={0} role="region" aria-label="Graph of causes and effects">
            <svg width={drawn.width} height={drawn.height}>
                {graph.edges.map(([from, to]) => (
                    <polyline
                        key={`${from} ${to}`}
                        class="edge"
                        points={drawn.points(from, to).map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ")}
                    />
                ))}
                {graph.nodes.map(node => {
                    const { x, y } = drawn.place(node.id);
                    const kind = node.here ? "node node-here" : isFailure(node.event) ? "node node-failed" : "node";
                    return (
                        <a key={node.id} href={hrefOf("event", [node.id])}>
                            <rect class={kind} x={x - WIDTH / 2} y={y - HEIGHT / 2} width={WIDTH} height={HEIGHT} rx={5} />
                            <text x={x - WIDTH / 2 + 8} y={y - 4}>
                                {shortened(node.count > 1 ? `${node.count} × ${node.event.type}` : node.event.type, 26)}
                            </text>
                            <text class="node-source" x={x - WIDTH / 2 + 8} y={y + 13}>
                                {shortened(node.event.source, 28)}
                            </text>
                        </a>
                    );
                })}
            </svg>
        </div>
    );
}
