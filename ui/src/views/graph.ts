/**
 * Causes and effects as a graph: what to draw. Pure.
 *
 * Repeats (neighbours of one type and source, without effects of their own) are one node. Beyond
 * GRAPH_NODES_MAX nobody sees anything in a picture: there is the tree instead.
 */
import type { StoredEvent } from "../api/types.js";
import { groupsOf, treeOf, type Branch } from "./causes.js";

export const GRAPH_NODES_MAX = 500;

export interface GraphNode {
    readonly id: string;
    readonly event: StoredEvent;
    /** How many events it stands for. */
    readonly count: number;
    readonly here: boolean;
}

export interface Graph {
    readonly nodes: readonly GraphNode[];
    readonly edges: readonly (readonly [string, string])[];
}

/** `causes`: from the event to the first cause; `effects`: the event and what came of it. */
export function graphOf(causes: readonly StoredEvent[], effects: readonly StoredEvent[]): Graph | undefined {
    const nodes = new Map<string, GraphNode>();
    const edges: (readonly [string, string])[] = [];
    const here = causes[0]?.id ?? effects[0]?.id;
    const add = (event: StoredEvent, count: number) => {
        if (!nodes.has(event.id)) {
            nodes.set(event.id, { id: event.id, event, count, here: event.id === here });
        }
    };
    causes.forEach((event, i) => {
        add(event, 1);
        const effect = causes[i - 1];
        if (effect !== undefined) {
            edges.push([event.id, effect.id]);
        }
    });
    const walk = (branch: Branch) => {
        add(branch.event, 1);
        for (const group of groupsOf(branch.effects)) {
            const first = group[0]!;
            add(first.event, group.length);
            edges.push([branch.event.id, first.event.id]);
            if (nodes.size <= GRAPH_NODES_MAX) {
                group.filter(one => one.effects.length > 0).forEach(walk);
            }
        }
    };
    const tree = treeOf(effects);
    if (tree !== undefined) {
        walk(tree);
    }
    return nodes.size === 0 || nodes.size > GRAPH_NODES_MAX ? undefined : { nodes: [...nodes.values()], edges };
}
