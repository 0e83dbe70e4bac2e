/**
 * How a worker answers a command: what its handler returns is the step's result, what it throws is
 * the step's failure. There is one answer of an agent to a command, whatever happens on the way.
 */
import {
    ConnectionError,
    describeError,
    NonRetryableError,
    SpoorError,
    StepCancelledError,
    StepUnknownError,
} from "../errors.js";
import type { SpoorEvent } from "../event.js";
import { answerId } from "../ids.js";
import type { Port } from "../port.js";
import { asJson } from "./context.js";
import { isOneOf, type ErrorTest, type Handler } from "./definition.js";
import type { Live } from "./live.js";
import type { HandlingStep } from "./step_context.js";

const ERROR_CHARS = 1000;
const OLD_MS = 5000; // a command that waited so long may have been overtaken
const OVER = ["saga.completed", "saga.compensated", "saga.cancelled"];
/** What ends the wait for an answer to a command, forwards and backwards. */
const ENDS = [
    "saga.step.completed",
    "saga.step.failed",
    "saga.step.timed_out",
    "saga.step.skipped",
    "saga.step.cancelled",
    "saga.step.compensated",
    "saga.step.compensation_failed",
];

/**
 * Runs a handler and answers; gives what it threw. Without a connection it throws that error: then
 * the command is handed out again.
 */
export async function answer(
    port: Port,
    live: Live,
    context: HandlingStep,
    handler: Handler,
    giveUpOn: readonly ErrorTest[],
): Promise<unknown> {
    const why = await unwanted(port, live, context);
    if (why !== undefined) {
        context.log.info("the command is not run", { why });
        return undefined;
    }
    const done = live.begin(context);
    try {
        let result: unknown;
        try {
            result = asResult(await handler(context.event, context));
        } catch (error) {
            await tell(port, context, "failed", failure(error, context, giveUpOn));
            return error;
        }
        return await complete(port, context, result);
    } finally {
        done();
    }
}

function asResult(value: unknown): unknown {
    try {
        return asJson(value, "the result");
    } catch (error) {
        throw new NonRetryableError((error as Error).message, { cause: error });
    }
}

async function complete(port: Port, context: HandlingStep, result: unknown): Promise<unknown> {
    try {
        await tell(port, context, "completed", result);
        return undefined;
    } catch (error) {
        if (error instanceof ConnectionError || !(error instanceof SpoorError)) {
            throw error;
        }
        // Such as a result that is too large.
        const text = `the result was refused: ${error.message}`;
        await tell(port, context, "failed", { error: text, retryable: false });
        return error;
    }
}

/**
 * The data of an answer that says that it failed. `unknown`: it may have been done after all, so
 * that it has to be undone.
 */
function failure(
    error: unknown,
    { signal }: HandlingStep,
    giveUpOn: readonly ErrorTest[],
): { error: string; retryable: boolean; unknown?: true } {
    const isCancelled =
        error instanceof StepCancelledError ||
        (signal.aborted && error instanceof Error && error.name === "AbortError");
    const final = isCancelled || error instanceof NonRetryableError || isOneOf(error, giveUpOn);
    const isPlain = error instanceof NonRetryableError && error.name === "NonRetryableError";
    const told = isPlain ? error.message : describeError(isCancelled ? signal.reason ?? error : error);
    const text = told.replaceAll("\0", "");
    return {
        error: text.length <= ERROR_CHARS ? text : `${text.slice(0, ERROR_CHARS - 1)}…`,
        retryable: !final,
        ...(isCancelled || error instanceof StepUnknownError ? { unknown: true } : {}),
    };
}

async function tell(
    port: Port,
    { event: command, agent }: HandlingStep,
    outcome: "completed" | "failed",
    data: unknown,
): Promise<void> {
    await port.append({
        type: `${command.type}.${outcome}`,
        data,
        source: agent,
        id: answerId(command.source, command.id, agent),
        correlationid: command.correlationid,
        causationid: command.id,
    });
}

/**
 * Why a command is not to be run; undefined: it is. Only one that is handed out again, or that has
 * waited, is looked up.
 */
async function unwanted(
    port: Port,
    live: Live,
    context: HandlingStep,
): Promise<string | undefined> {
    const { event: command, agent, delivery } = context;
    const reason = live.wasCancelled(command.id);
    if (reason !== undefined) {
        const error = `cancelled before it began: ${reason}`;
        await tell(port, context, "failed", { error, retryable: false });
        return `it was cancelled: ${reason}`;
    }
    const age = port.clock.now() - Date.parse(command.recordedtime);
    if (delivery === 1 && !(age >= OLD_MS)) {
        return undefined;
    }
    const id = answerId(command.source, command.id, agent);
    if ((await port.find(id, agent)) !== undefined) {
        return "it is answered already";
    }
    if (context.sagaId !== undefined && (await isOvertaken(port, command, context))) {
        return "the saga went on without it";
    }
    return delivery > 1 && command["semantics"] === "at_most_once"
        ? "it may have been begun before, and is to be done once at most"
        : undefined;
}

/** Whether the saga waits no longer for the answer to this command. */
async function isOvertaken(
    port: Port,
    command: SpoorEvent,
    { sagaId, stepName, attempt }: HandlingStep,
): Promise<boolean> {
    const backward = command.id.includes(`/${stepName ?? ""}~`);
    const events = await port.query({
        type: [...ENDS, ...OVER],
        stream: `saga:${sagaId ?? ""}`,
        from: command.position + 1,
    });
    return events.some(({ type, data }) => {
        const told = (data ?? {}) as { step?: string; attempt?: number };
        return (
            OVER.includes(type) ||
            (told.step === stepName &&
                type.includes("compensat") === backward &&
                (told.attempt ?? attempt) >= attempt)
        );
    });
}
