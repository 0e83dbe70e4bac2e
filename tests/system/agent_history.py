"""Histories of a fleet, made by seed: agents that start, end, fail and vanish, tasks that are given, taken
and ended, runs and conversations. Things are told twice, too late and in the wrong order, with and without
the producer's time, and with data that nobody expects: that is what they are for.
"""
import json
import random

AGENTS = ("ann", "bob", "cleo", "dan")
TASKS = (*(f"t-{number}" for number in range(12)), 7, 8)
ERRORS = ("overloaded", {"message": "out of memory", "code": 3}, None, "")


class Dice(random.Random):
    def maybe(self, chance, **members):
        return members if self.random() < chance else {}


def agent_data(dice, type_):
    data = dice.maybe(0.3, agent_id=dice.choice(AGENTS))
    if type_ == "agent.started":
        data |= dice.maybe(0.3, capabilities=["review"])
    elif type_ == "agent.completed":
        data |= dice.maybe(0.6, duration_ms=dice.choice((1, 2.5, 1000, 1e3, -4, "long")))
        data |= dice.maybe(0.5, result=dice.choice(("done", "nothing found", 5)))
    elif type_ == "agent.failed":
        data |= dice.maybe(0.7, error=dice.choice(ERRORS))
    elif type_ == "agent.tool_called":
        data = {"tool_name": dice.choice("xyz")}
    elif type_ == "agent.tokens_generated":
        data = {"count": dice.choice((1, 20, 300, -5, "7", 1.5, None, 1e30))}
    elif type_ in ("agent.suspected_failure", "agent.recovered"):
        data = {"agent": dice.choice(AGENTS)}
    return data


def task_data(dice, type_):
    name = dice.choice(("task_id",) * 8 + ("id", "taskId"))
    data = dice.maybe(0.97, **{name: dice.choice(TASKS)})
    if type_ == "task.assigned":
        data |= dice.maybe(0.9, agent_id=dice.choice(AGENTS))
    data |= dice.maybe(0.5, task_type="review")
    return data | dice.maybe(0.5, priority=dice.choice(("low", "high", "urgent", 3, "HIGH")))


def run_data(dice, type_):
    data = dice.maybe(0.5, duration_s=1.25) if type_.endswith("completed") else {}
    if type_.endswith("failed"):
        data |= dice.maybe(0.6, error=dice.choice(ERRORS))
    if type_ == "cancel.acknowledged":
        data |= dice.maybe(0.6, scope=dice.choice(("run", "call")))
    return data | dice.maybe(0.3, reason="user_stop")


def tool_data(dice, type_):
    data = {"tool": dice.choice("xyz"), "tool_call_id": dice.choice(("c-1", "c-2", 3))}
    if type_ == "tool.result":
        data |= {"is_error": dice.random() < 0.5}
    elif type_ == "tool.failed":
        data |= {"error": "locked"}
        if dice.random() < 0.3:
            del data["tool"]
    return data


def talk_data(dice, type_):
    if type_ == "handoff.initiated":
        return dice.choice(({"to": "cleo"}, {"from_agent": "ann", "to_agent": "bob", "reason": "why"}, {}))
    if type_ == "handoff.rejected":
        return {"from": "ann", "to": "cleo"}
    if type_ == "token.usage":
        return dice.choice(({"total_tokens": 5}, {"input_tokens": 1, "output_tokens": 2}, {}))
    if type_ == "response.generated":
        return dice.choice(({"content": "hi", "usage": {"prompt_tokens": 5, "completion_tokens": 6}},
                            {"response": "well", "usage": {"input_tokens": 1, "output_tokens": 2.6}},
                            {"usage": "none"}))
    return dice.maybe(0.7, error=dice.choice(ERRORS), content="hello")


KINDS = {
    agent_data: (*["agent.started"] * 4, *["agent.completed"] * 3, "agent.failed", "agent.tool_called",
                 "agent.tokens_generated", "agent.online", "agent.offline", "agent.suspected_failure",
                 "agent.recovered", "agent.paused", "agent.resumed", "agent.heartbeat", "agent.stopped"),
    task_data: (*["task.assigned"] * 5, "task.assigned.bob", *["task.completed"] * 4, "task.failed",
                "task.failed", "task.cancelled", "task.created", "task.received", "task.started",
                "task.acknowledged"),
    run_data: ("run.started", "run.completed", "run.failed", "run.compensated", "conversation.started",
               "ConversationStarted", "conversation.completed", "conversation.failed", "conversation.ended",
               "cancel.acknowledged"),
    tool_data: ("tool.called", "ToolCalled", "tool.result", "tool.failed"),
    talk_data: ("handoff.initiated", "handoff.rejected", "response.generated", "message.user",
                "error.occurred", "token.usage"),
}
TYPES = [(type_, make) for make, types in KINDS.items() for type_ in types]


def history(count, seed, runs=12):
    """Events as objects, in the order in which they are to be appended."""
    dice = Dice(seed)
    for number in range(count):
        type_, make = dice.choice(TYPES)
        event = {"id": f"{seed}-{number}", "type": type_, "source": dice.choice(AGENTS),
                 "correlationid": f"run-{dice.randrange(runs)}"}
        if dice.random() < 0.03:
            event |= {"data": "not JSON", "datacontenttype": "text/plain"}
        else:
            event |= dice.maybe(0.95, data=make(dice, type_))
        event |= dice.maybe(0.5, time=f"2026-11-20T{dice.randrange(24):02}:{dice.randrange(60):02}:00.25Z")
        yield event


def write(path, *histories):
    with open(path, "w", encoding="utf-8") as file:
        for events in histories:
            for event in events:
                file.write(json.dumps(event) + "\n")
