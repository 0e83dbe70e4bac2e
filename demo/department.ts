/** What a department is: the definitions of its agents, whatever they then run on. */
import type { AgentDefinition, Context, SpoorEvent } from "spoor";

export type Work = () => Promise<void>;
export type Reaction = (event: SpoorEvent<any>, context: Context) => Promise<void>;
export interface Member extends AgentDefinition {
    on: {
        readonly [pattern: string]:
            Reaction | { filter: { [path: string]: unknown }; handler: Reaction };
    };
}
/** `work` is awaited where an agent would think, or ask a model. */
export type Department = (work: Work) => Member[];
