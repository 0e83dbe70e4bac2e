"""spoor: event-driven agents, and a record of why they did what they did.

    from spoor import Agent

    agent = Agent("reviewer")

    @agent.on("code.committed")
    async def review(event, ctx):
        await ctx.emit("review.done", {"commit": event.data["commit"], "risk": "low"})

    agent.run()
"""
from .agent import Agent
from .client import AsyncClient, connect
from .context import Context, SyncContext
from .draft import NewEvent
from .errors import (Conflict, NonRetryable, NotFound, RetryAfter, SpoorError,
                     StepCancelled, StepUnknown, Unavailable, Unsupported)
from .event import Appended, Event
from .handler import Call, Handler
from .logs import JsonFormatter
from .policy import Policy
from .query import Query
from .retry import Retry
from .sagas import Decision, Forked, Saga, Started
from .session import AgentInfo, DeadLetter, Delivery, Group
from .sql import Rows
from .step_context import StepContext, SyncStepContext
from .sync import Client

__version__ = "0.1.0"
__all__ = ["Agent", "AgentInfo", "Appended", "AsyncClient", "Call", "Client", "Conflict",
           "Context", "DeadLetter", "Decision", "Delivery", "Event", "Forked", "Group", "Handler",
           "JsonFormatter", "NewEvent", "NonRetryable", "NotFound", "Policy", "Query", "Retry",
           "RetryAfter", "Rows", "Saga", "SpoorError", "Started", "StepCancelled", "StepContext",
           "StepUnknown", "SyncContext", "SyncStepContext", "Unavailable", "Unsupported",
           "connect"]
