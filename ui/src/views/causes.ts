/** Effects as a tree. Pure. */
import type { StoredEvent } from "../api/types.js";

export interface Branch {
    readonly event: StoredEvent;
    readonly effects: Branch[];
}

/** The effects of the first event, itself included, as the server gives them: causes before effects. */
export function treeOf(events: readonly StoredEvent[]): Branch | undefined {
    const byId = new Map<string, Branch>();
    let root: Branch | undefined;
    for (const event of events) {
        const branch: Branch = { event, effects: [] };
        const cause = event.causationid === undefined ? undefined : byId.get(event.causationid);
        if (root === undefined) {
            root = branch;
        } else {
            (cause ?? root).effects.push(branch);
        }
        byId.set(event.id, branch);
    }
    return root;
}

/** Neighbours of one type and source without effects of their own stand together. */
export function groupsOf(branches: readonly Branch[]): Branch[][] {
    const groups: Branch[][] = [];
    for (const branch of branches) {
        const last = groups.at(-1);
        const first = last?.[0];
        const alike =
            first !== undefined &&
            first.event.type === branch.event.type &&
            first.event.source === branch.event.source &&
            first.effects.length === 0 &&
            branch.effects.length === 0;
        if (alike) {
            last!.push(branch);
        } else {
            groups.push([branch]);
        }
    }
    return groups;
}
