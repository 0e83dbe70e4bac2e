/** One delivery: calls the handler, and says to the bus where it failed. */
import { sleep } from "../clock.js";
import { ConnectionError, describeError, NonRetryableError } from "../errors.js";
import type { Delivery, Failure, Port } from "../port.js";
import { answer } from "./answering.js";
import { HandlingContext } from "./context.js";
import { isOneOf, type Reaction } from "./definition.js";
import type { Live } from "./live.js";
import type { Logger } from "./log.js";
import { HandlingStep } from "./step_context.js";

const RETRY_MS = 500;

/**
 * Calls the handler; gives what it failed with, or nothing where the event is done. Does not throw.
 */
export async function handle(
    port: Port,
    agent: string,
    reaction: Reaction,
    delivery: Delivery,
    log: Logger,
    live: Live,
): Promise<Failure | undefined> {
    const { event, attempt } = delivery;
    const lines = log.with({
        event_id: event.id,
        event_type: event.type,
        correlation_id: event.correlationid,
        attempt,
        handler: reaction.name,
    });
    const context = reaction.answers
        ? new HandlingStep(port, agent, reaction.name, delivery, lines)
        : new HandlingContext(port, agent, reaction.name, event, attempt, lines);
    try {
        if (context instanceof HandlingStep) {
            const { handler, giveUpOn } = reaction;
            const error = await answer(port, live, context, handler, giveUpOn);
            if (error !== undefined) {
                lines.error("the step failed", { error, saga: context.sagaId });
            }
        } else {
            await reaction.handler(event, context);
        }
        return undefined;
    } catch (error) {
        const dead = error instanceof NonRetryableError || isOneOf(error, reaction.giveUpOn);
        lines.error(messageOf(dead, attempt >= reaction.group.maxDeliveries), { error });
        return { error: describeError(error), dead };
    } finally {
        context.end();
    }
}

function messageOf(refused: boolean, last: boolean): string {
    if (refused) {
        return "handler refused the event; it is a dead letter";
    }
    return last
        ? "handler failed for the last time; the event is a dead letter"
        : "handler failed; it is tried again";
}

/**
 * Says that the attempt failed, until the bus has heard it; without a connection, until it is over.
 */
export async function refuse(
    port: Port,
    delivery: Delivery,
    group: string,
    failure: Failure,
    log: Logger,
    isOver: () => boolean,
): Promise<void> {
    for (;;) {
        try {
            await port.nack(delivery.key, group, delivery.entryid, failure);
            return;
        } catch (error) {
            const again = error instanceof ConnectionError && !isOver();
            log.error(
                again
                    ? "a failure could not be reported; it is tried again"
                    : "a failure could not be reported",
                { event_id: delivery.event.id, error },
            );
            if (!again) {
                return;
            }
            await sleep(port.clock, RETRY_MS);
        }
    }
}
