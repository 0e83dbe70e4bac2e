"""How a worker answers a command: what its handler returns is the step's result, what it raises is
the step's failure. There is one answer of an agent to a command, whatever happens on the way."""
from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict, Optional, Tuple, Type

from .draft import NewEvent, dump
from .errors import NonRetryable, SpoorError, StepCancelled, StepUnknown, Unavailable
from .event import Event
from .ids import answer_id
from .step_context import StepContext

if TYPE_CHECKING:
    from .client import AsyncClient
    from .live import Live

ERROR_CHARS = 1000
OLD_S = 5.0  # a command that waited so long may have been overtaken
OVER = ("saga.completed", "saga.compensated", "saga.cancelled")
# What ends the wait for an answer to a command, forwards and backwards.
ENDS = ("saga.step.completed", "saga.step.failed", "saga.step.timed_out", "saga.step.skipped",
        "saga.step.cancelled", "saga.step.compensated", "saga.step.compensation_failed")
log = logging.getLogger("spoor.answering")
GiveUpOn = Tuple[Type[BaseException], ...]


async def answer(client: "AsyncClient", live: "Live", context: StepContext, give_up_on: GiveUpOn,
                 is_async: bool, call: Callable[[], Awaitable[Any]]) -> Optional[BaseException]:
    """Runs a handler and answers; what it raised. An error of the server is raised: then the
    command is handed out again."""
    command = context.event
    why = await unwanted(client, live, context)
    if why is not None:
        log.info("%s of %s is not run: %s", command.type, context.saga_id or command.source, why)
        return None
    data: Dict[str, Any]
    problem: Optional[BaseException] = None
    try:
        with live.running(context):
            result = await _run(context, is_async, call)
    except (Unavailable, asyncio.CancelledError):
        raise
    except Exception as raised:  # pylint: disable=broad-except
        problem = raised
        await _tell(client, command, "failed", failure(raised, give_up_on))
    else:
        try:
            await _tell(client, command, "completed", result)
        except Unavailable:
            raise
        except SpoorError as refused:  # such as a result that is too large
            problem = refused
            data = {"error": f"the result was refused: {refused}", "retryable": False}
            await _tell(client, command, "failed", data)
    return problem


async def _run(context: StepContext, is_async: bool, call: Callable[[], Awaitable[Any]]) -> Any:
    """What the handler returns. StepCancelled where it was cancelled for the saga's sake: what runs
    in a thread goes on to its end."""
    running = asyncio.ensure_future(call())
    context.running = running if is_async else None
    try:
        result = await running
        _check(result)
        return result
    except asyncio.CancelledError:
        if context.cancel_reason is None:
            raise
        raise StepCancelled(f"cancelled: {context.cancel_reason}") from None
    finally:
        context.running = None


def _check(result: Any) -> None:
    try:
        dump(result, "the result")
    except ValueError as problem:
        raise NonRetryable(str(problem)) from problem


def failure(problem: BaseException, give_up_on: GiveUpOn = ()) -> Dict[str, Any]:
    """The data of an answer that says that it failed. `unknown`: it may have been done after all,
    so that it has to be undone."""
    text = str(problem) if type(problem) is NonRetryable else f"{type(problem).__name__}: {problem}"
    text = text.replace("\x00", "")
    told: Dict[str, Any] = {
        "error": text if len(text) <= ERROR_CHARS else text[:ERROR_CHARS - 1] + "…",
        "retryable": not isinstance(problem, (NonRetryable, *give_up_on))}
    if isinstance(problem, (StepUnknown, StepCancelled)):
        told["unknown"] = True
    return told


async def _tell(client: "AsyncClient", command: Event, outcome: str, data: Any) -> None:
    await client.append(NewEvent(
        type=f"{command.type}.{outcome}", data=data, source=client.source,
        id=answer_id(command.source, command.id, client.source or ""),
        correlationid=command.correlationid, causationid=command.id))


# -- commands that are no longer wanted

async def unwanted(client: "AsyncClient", live: "Live", context: StepContext) -> Optional[str]:
    """Why a command is not to be run; None: it is. Only one that is handed out again, or that has
    waited, is looked up."""
    command = context.event
    reason = live.was_cancelled(command.id)
    if reason is not None:
        await _tell(client, command, "failed", {
            "error": f"cancelled before it began: {reason}", "retryable": False})
        return f"it was cancelled: {reason}"
    if context.delivery == 1 and _age_s(command, client) < OLD_S:
        return None
    source = client.source or ""
    if await client.find(answer_id(command.source, command.id, source), source):
        return "it is answered already"
    if context.saga_id is not None and await _overtaken(client, command, context):
        return "the saga went on without it"
    if context.delivery > 1 and command.get("semantics") == "at_most_once":
        return "it may have been begun before, and is to be done once at most"
    return None


def _age_s(command: Event, client: "AsyncClient") -> float:
    if not command.recordedtime:
        return 0
    recorded = datetime.strptime(command.recordedtime, "%Y-%m-%dT%H:%M:%S.%fZ")
    return client.session.clock.wall() - recorded.replace(tzinfo=timezone.utc).timestamp()


async def _overtaken(client: "AsyncClient", command: Event, context: StepContext) -> bool:
    """Whether the saga waits no longer for the answer to this command."""
    backward = f"/{context.step_name}~" in command.id
    async for event in client.events([*ENDS, *OVER], stream=f"saga:{context.saga_id}",
                                     from_=command.position + 1):
        data = event.data if isinstance(event.data, dict) else {}
        if event.type in OVER:
            return True
        about = "compensat" in event.type
        if data.get("step") == context.step_name and about == backward and \
                int(data.get("attempt") or context.attempt) >= context.attempt:
            return True
    return False
