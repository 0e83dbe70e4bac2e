#!/usr/bin/env python3
"""The read models that ship: the figures of the recorded runs, the views of the articles and what those get
wrong, and that they agree with one another whatever is told, twice, late or in the wrong order.
"""
import collections
import functools
import json
import re
import shutil

import agent_history
import postgres
from harness import RUNS, SOURCE, Skip, lasting_folder, lines, run, spoor, truth
from projection_help import Server

SEEDS = range(3)


def query(sql, **options):
    """The rows of a query as objects."""
    return lines(spoor("query", "--json", sql, **options).stdout)


def values(sql, **options):
    return [tuple(row.values()) for row in query(sql, **options)]


@functools.lru_cache(maxsize=None)
def recorded():
    """A folder with the recorded runs, imported once."""
    truth()
    data = lasting_folder() / "data"
    spoor("import", "--quiet", RUNS, data=data)
    return data


def counter(*names):
    return dict(sum(map(collections.Counter, names), collections.Counter()))


def check_figures(ask):
    """`ask` answers a query with its rows."""
    datasets = truth()["datasets"]
    seen = collections.Counter()
    for name, figures in datasets.items():
        raw = figures["raw"]
        of_it = f"FROM runs WHERE correlationid LIKE '{name}/%'"
        outcome = dict(ask(f"SELECT status, COUNT(*) {of_it} GROUP BY status"))
        assert outcome == {"completed": raw["reward_1"], "failed": raw["reward_0"]}, outcome
        calls, errors, handoffs, tokens, run_errors, mean = ask(
            "SELECT SUM(tool_calls), SUM(tool_errors), SUM(handoffs), SUM(tokens), SUM(errors), "
            f"AVG(CAST(tool_calls AS DOUBLE PRECISION)) {of_it}")[0]
        assert calls == raw["tool_calls"] and errors == raw["tool_output_errors"]
        assert handoffs == figures["events"]["events_by_type"]["handoff.initiated"]
        assert tokens == raw.get("prompt_tokens", 0) + raw.get("completion_tokens", 0)
        assert run_errors == 0
        assert round(mean, 3) == raw["calls_per_run"]["mean"]
        for status, wanted in (("completed", "mean_calls_reward_1"), ("failed", "mean_calls_reward_0")):
            mean = ask(f"SELECT AVG(CAST(tool_calls AS DOUBLE PRECISION)) {of_it} AND status = '{status}'")
            assert round(mean[0][0], 6) == raw[wanted], mean
        in_order = ask("SELECT correlationid, name FROM run_steps WHERE kind = 'tool' AND correlationid "
                       f"LIKE '{name}/%' ORDER BY position")
        for run_id, sample in figures["events"]["sample_runs"].items():
            tools = [tool for run, tool in in_order if run == run_id]
            assert tools[:40] == sample["tools_in_order"], run_id
        seen[None] += raw["tool_calls"]
    usage = ask("SELECT tool, calls, errors FROM tool_usage")
    assert {tool: calls for tool, calls, _ in usage} == counter(
        *(each["events"]["tool_called_by_tool"] for each in datasets.values()))
    assert {tool: errors for tool, _, errors in usage if errors} == counter(
        *(each["events"]["tool_result_errors_by_tool"] for each in datasets.values()))
    whole = truth()["all"]
    assert sum(calls for _, calls, _ in usage) == whole["tool_calls"] == seen[None]
    assert sum(errors for _, _, errors in usage) == whole["tool_result_errors"]
    runs, mean = ask("SELECT COUNT(*), AVG(CAST(tool_calls AS DOUBLE PRECISION)) FROM runs")[0]
    assert runs == whole["runs"] and round(mean, 6) == whole["mean_calls_per_run"]
    assert ask("SELECT COUNT(*) FROM active_runs") == [(0,)]
    top = ask("SELECT tool, calls FROM tool_usage ORDER BY calls DESC, tool LIMIT 5")
    assert [list(row) for row in top] == whole["top_5_tools"]


def figures_over_a_folder(_folder):
    check_figures(functools.partial(values, data=recorded()))


def figures_over_a_server(_folder):
    with Server(recorded()) as server:
        check_figures(server.values)


def figures_as_they_were(_folder):
    """`spoor state` counts the events whose time is not after the moment, wherever they stand in the log."""
    sql = ("SELECT status, COUNT(*) AS runs, SUM(tool_calls) AS calls FROM runs "
           "WHERE correlationid LIKE '{}/%' GROUP BY status")
    asked = 0
    for name, figures in truth()["datasets"].items():
        for moment, wanted in (figures["events"]["as_of"] or {}).items():
            rows = lines(spoor("state", "runs", "--json", "--until", moment, "--sql", sql.format(name),
                               data=recorded()).stdout)
            counts = {row["status"]: row["runs"] for row in rows}
            assert counts.get("completed", 0) == wanted["runs_completed"], (moment, counts)
            assert counts.get("failed", 0) == wanted["runs_failed"], (moment, counts)
            assert counts.get("running", 0) == wanted["runs_open"], (moment, counts)
            assert sum(counts.values()) == wanted["runs_started"], (moment, counts)
            assert sum(row["calls"] for row in rows) == wanted["tool_called"], moment
            asked += 1
    assert asked == 10


# ---- the articles -------------------------------------------------------------------------------------------

def told(folder, *events, name="data"):
    """A folder with these events: (type, source, run, data, time), of which the last may be left out."""
    path = folder / f"{name}.ndjson"
    with open(path, "w", encoding="utf-8") as file:
        for number, (type_, source, run_id, *rest) in enumerate(events):
            event = {"id": f"e-{number}", "type": type_, "source": source, "correlationid": run_id}
            event |= {key: value for key, value in zip(("data", "time"), rest) if value is not None}
            file.write(json.dumps(event) + "\n")
    data = folder / name
    spoor("import", "--quiet", path, data=data)
    return data


def dashboard_of_the_first_article(folder):
    """Its mean forgets no run that tells no duration, and an agent that ends does not end another's run."""
    data = told(
        folder,
        ("agent.started", "a", "r1"), ("agent.tool_called", "a", "r1", {"tool_name": "search"}),
        ("agent.tokens_generated", "a", "r1", {"count": 100}),
        ("agent.tokens_generated", "a", "r1", {"count": 50}),
        ("agent.completed", "a", "r1", {"result": "fine", "duration_ms": 1500}),
        ("agent.started", "a", "r2", None, "2026-03-14T10:00:00Z"),
        ("agent.completed", "a", "r2", None, "2026-03-14T10:00:02.5Z"),  # 2,500 ms, not 0
        ("agent.started", "a", "r3"), ("agent.failed", "a", "r3", {"error": "overloaded"}),
        ("agent.started", "a", "r4"), ("agent.started", "b", "r4"), ("agent.completed", "b", "r4"),
        ("agent.started", "b", "r5"), ("agent.started", "b", "r5"),  # told twice
        ("agent.completed", "b", "r6", {"result": "early"}), ("agent.started", "b", "r6"))
    stats = query("SELECT agent_id, total_runs, total_tokens, total_errors FROM agent_stats ORDER BY agent_id",
                  data=data)
    assert stats == [
        {"agent_id": "a", "total_runs": 4, "total_tokens": 150, "total_errors": 1},
        {"agent_id": "b", "total_runs": 3, "total_tokens": 0, "total_errors": 0}], stats
    assert values("SELECT avg_latency_ms FROM agent_stats WHERE agent_id = 'a'", data=data) == [(2000,)]
    active = values("SELECT correlationid, agent_id FROM active_runs ORDER BY correlationid", data=data)
    assert active == [("r4", "a"), ("r5", "b")], active
    runs = values("SELECT correlationid, status, tool_calls, tokens, errors, final_response, last_error "
                  "FROM runs ORDER BY correlationid", data=data)
    assert runs == [("r1", "completed", 1, 150, 0, "fine", None), ("r2", "completed", 0, 0, 0, None, None),
                    ("r3", "failed", 0, 0, 1, None, "overloaded"), ("r4", "running", 0, 0, 0, None, None),
                    ("r5", "running", 0, 0, 0, None, None), ("r6", "completed", 0, 0, 0, "early", None)], runs
    steps = values("SELECT correlationid, kind, name, detail FROM run_steps ORDER BY position", data=data)
    assert steps == [("r1", "tool", "search", None), ("r3", "error", None, "overloaded")], steps


def tasks_of_the_second_article(folder):
    """There, the handler deletes the row of the task whose agent it then looks for, so no count ever falls."""
    assigned = {"agent_id": "w1", "task_id": "t1", "task_type": "review", "priority": "high"}
    data = told(
        folder,
        ("agent.started", "w1", "x1", {"agent_id": "w1", "capabilities": ["review"]}),
        ("task.assigned", "task-manager", "k1", assigned),
        ("task.assigned", "task-manager", "k1", assigned),  # told twice
        ("task.assigned", "task-manager", "k2", {**assigned, "task_id": "t2", "priority": "medium"}),
        ("task.assigned", "task-manager", "k3", {**assigned, "task_id": "t3", "priority": "critical"}),
        ("task.completed", "w1", "k1", {"task_id": "t1", "result": {"ok": True}}),
        ("task.completed", "w1", "k1", {"task_id": "t1"}),  # told twice
        ("task.completed", "w2", "k4", {"task_id": "t4"}),  # its assignment comes late
        ("task.assigned", "task-manager", "k4", {"agent_id": "w2", "task_id": "t4"}),
        ("task.assigned", "task-manager", "k5", {"agent_id": "w1", "task_id": "t5"}),
        ("task.failed", "w1", "k5", {"task_id": "t5", "error": "no"}),
        ("task.assigned", "task-manager", "k5", {"agent_id": "w2", "task_id": "t5"}),  # another tries
        ("agent.failed", "w3", "x3", {"error": "gone"}), ("agent.online", "w4", "x4"),
        ("agent.suspected_failure", "monitor", "x4", {"agent_id": "w4"}),
        ("agent.online", "w5", "x5"), ("agent.offline", "w5", "x5"), ("agent.online", "w6", "x6"))
    status = values("SELECT agent_id, status, current_task_count, completed_tasks, failed_tasks "
                    "FROM agent_status ORDER BY agent_id", data=data)
    assert status == [("w1", "active", 2, 1, 1), ("w2", "active", 1, 1, 0), ("w3", "failed", 0, 0, 0),
                      ("w4", "suspected", 0, 0, 0), ("w5", "offline", 0, 0, 0), ("w6", "idle", 0, 0, 0)], status
    # Most urgent first: as text, medium would come before high, and high before critical.
    tasks = values("SELECT task_id, agent_id, task_type, priority FROM active_tasks "
                   "ORDER BY priority_rank DESC, assigned_at, task_id", data=data)
    assert tasks == [("t3", "w1", "review", "critical"), ("t2", "w1", "review", "medium"),
                     ("t5", "w2", None, None)], tasks
    health = query("SELECT * FROM system_health", data=data)
    assert health == [{"active_agents": 2, "idle_agents": 1, "failed_agents": 1, "avg_task_load": 0.6,
                       "suspected_agents": 1, "paused_agents": 0, "offline_agents": 1, "open_tasks": 3}], health
    last = values("SELECT COUNT(*) FROM agent_status WHERE last_active IS NULL", data=data)
    assert last == [(0,)]


def refund(second):
    """The conversation of the fifth article, up to a second of it."""
    events = (("ConversationStarted", "triage-agent", {"user_message": "I want a refund for order ORD-5521"}),
              ("ToolCalled", "triage-agent", {"tool": "lookup_order", "output": {"status": "delivered"}}),
              ("HandoffInitiated", "triage-agent", {"from_agent": "triage-agent", "to_agent": "refund-agent"}),
              ("ToolCalled", "refund-agent", {"tool": "check_refund_policy"}),
              ("ToolCalled", "refund-agent", {"tool": "issue_refund"}),
              ("ResponseGenerated", "refund-agent", {"response": "I have issued a partial refund of $44.99"}),
              ("message.user", "customer", {"content": "Thanks. And the rest?"}))
    return [(type_, source, "conv-8842", data, f"2026-03-14T10:23:0{at}Z")
            for at, (type_, source, data) in enumerate(events) if at <= second]


def conversation_of_the_fifth_article(folder):
    sql = ("SELECT id, active_agent, status, tool_count, handoff_count, last_tool, duration_ms "
           "FROM conversations")
    answered = ("conv-8842", "refund-agent", "completed", 3, 1, "issue_refund", 5000)
    assert values(sql, data=told(folder, *refund(5))) == [answered]
    # There, a conversation that was answered once is over, though the user goes on.
    assert values(sql, data=told(folder, *refund(6), name="on"))[0][2] == "active"
    start, *rest = refund(5)
    assert values(sql, data=told(folder, *rest, start, name="late")) == [answered]
    assert values(sql, data=told(folder, *rest, name="none")) == []  # runs that are no conversations
    runs = values("SELECT status, active_agent, tool_calls, handoffs, final_response FROM runs",
                  data=folder / "data")
    assert runs == [("running", "refund-agent", 3, 1, "I have issued a partial refund of $44.99")], runs
    metrics = values("SELECT active_agent, COUNT(*), AVG(duration_ms), SUM(handoff_count) FROM conversations "
                     "WHERE started_at > '2026-03-01' GROUP BY active_agent", data=folder / "data")
    assert metrics == [("refund-agent", 1, 5000, 1)], metrics


def ends_of_runs(folder):
    """The last word counts, a late start opens nothing, and a run in which somebody works is not over."""
    data = told(
        folder,
        ("conversation.started", "system", "fails-after"), ("run.completed", "system", "fails-after"),
        ("run.failed", "system", "fails-after", {"error": "the refund bounced"}),
        ("run.completed", "system", "late-start"), ("conversation.started", "system", "late-start"),
        ("agent.started", "a", "two"), ("agent.started", "b", "two"), ("agent.failed", "b", "two"),
        ("run.failed", "system", "authority"), ("agent.started", "a", "authority"),
        ("agent.completed", "a", "authority"),
        ("agent.started", "a", "again"), ("agent.completed", "a", "again"), ("agent.started", "a", "again"),
        ("conversation.started", "s", "cancelled"), ("cancel.acknowledged", "s", "cancelled", {"scope": "run"}),
        ("conversation.started", "s", "old", None, "2026-03-14T10:00:00Z"),
        ("run.completed", "s", "old", None, "2026-03-14T11:00:00Z"),
        ("conversation.started", "s", "old", None, "2026-03-14T12:00:00Z"))
    found = dict(values("SELECT correlationid, status FROM runs", data=data))
    assert found == {"fails-after": "failed", "late-start": "completed", "two": "running",
                     "authority": "failed", "again": "running", "cancelled": "failed", "old": "running"}, found
    active = {name for name, in values("SELECT correlationid FROM active_runs", data=data)}
    assert active == {"two", "again", "old"}, active
    assert values("SELECT errors, last_error FROM runs WHERE correlationid = 'fails-after'",
                  data=data) == [(1, "the refund bounced")]


# ---- sagas --------------------------------------------------------------------------------------------------

STORIES = SOURCE / "tests" / "unit" / "flow" / "stories"
NOW_US = 1795169701234567

OTHER_FLOWS = (  # type, stream, data, extensions
    ("action.proposed", "ann", {"action": "refund 89.99", "who": ["bob"]}, {"id": "p-1"}),
    ("action.proposed", "ann", {"prompt": "Deploy?"}, {"id": "p-2"}),
    ("action.proposed", "ann", {"action": {"kind": "close"}}, {"id": "p-3"}),
    ("action.proposed", "ann", {"who": 7}, {"id": "p-4"}),
    ("approval.granted", "$approvals", {"choice": "approve", "by": "bob", "reason": "fine"}, {"proposal": "p-1"}),
    ("approval.ignored", "$approvals", {"reason": "duplicate"}, {"proposal": "p-1"}),
    ("approval.escalated", "$approvals", {"to": ["carol"]}, {"proposal": "p-2"}),
    ("approval.rejected", "$approvals", {"choice": "reject", "by": None, "on_timeout": True}, {"proposal": "p-3"}),
    ("approval.ignored", "$approvals", {"reason": "invalid", "error": "who: expected a list"}, {"proposal": "p-4"}),
    ("event.delayed", "$delayed", {"id": "d-1", "type": "reminder", "source": "cli", "stream": "s"}, {"dueus": NOW_US}),
    ("event.delayed", "$delayed", {"id": "d-2", "type": "reminder", "source": "cli"}, {"dueus": 5}),
    ("event.delayed", "$delayed", {"id": "d-3", "type": "reminder", "source": "cli"}, {"dueus": "soon"}),
    ("event.due", "$delayed", {"id": "d-2"}, {"delayed": "d-2"}),
    ("schedule.defined", "$schedules", {"schedule": "nightly", "definition": {
        "schedule": "nightly", "cron": "0 3 * * *", "timezone": "UTC", "start": {"saga": "report"}}}, {}),
    ("schedule.defined", "$schedules", {"schedule": "pulse", "definition": {
        "schedule": "pulse", "every": "10m", "emit": {"type": "beat"}}}, {}),
    ("schedule.defined", "$schedules", {"schedule": "gone", "definition": {"every": 60}}, {}),
    ("schedule.removed", "$schedules", {"schedule": "gone"}, {}),
    ("schedule.fired", "$schedules", {"schedule": "pulse"}, {"dueus": NOW_US}),
    ("schedule.failed", "$schedules", {"schedule": "nightly"}, {"dueus": NOW_US}))


FLOW_TABLES = ("sagas", "sagas_waits", "saga_steps", "approvals", "timers")
FLOW_FILES = ("sagas", "saga_steps", "approvals", "timers")


def told_of(text):
    """The same text of streams that anybody may write, and of tables beside those that ship."""
    for own, anybody in (("$approvals", "told.a"), ("$delayed", "told.d"), ("$schedules", "told.s"),
                         ("saga:", "told:")):
        text = text.replace(own, anybody)
    return re.sub(r"(?<![\w:'])(" + "|".join(FLOW_TABLES) + r")(?!\w)", r"told_\1", text)


def flow_files():
    """The read models of sagas, by name, as told_of() has them."""
    return {f"told_{name}": told_of((SOURCE / "projections" / f"{name}.sql").read_text(encoding="utf-8"))
            for name in FLOW_FILES}


def flow_events(first=0):
    """What sagas and the like leave in a log that begins behind the position `first`, as told_of() has it."""
    events = []
    for path in sorted(STORIES.glob("*.events")):
        for line in path.read_text(encoding="utf-8").splitlines():
            _, type_, data = line.removeprefix("+1 ").split(" ", 2)
            data = json.loads(data)
            step = {"sagastep": data["step"]} if isinstance(data, dict) and "step" in data else {}
            events.append({"type": type_, "source": "spoor", "stream": f"told:{path.stem}",
                           "correlationid": path.stem, "data": data, **step})
    places = {}
    for type_, stream, data, more in OTHER_FLOWS:
        event = {"type": type_, "source": stream, "stream": told_of(stream), "data": data}
        if "proposal" in more:
            event["proposalposition"] = places[more["proposal"]]
        if "delayed" in more:
            event["delayedposition"] = places[more["delayed"]]
        events.append(event | {key: more[key] for key in ("id", "dueus") if key in more})
        places[more.get("id", data.get("id"))] = first + len(events)
    return [{"id": f"flow-{number}", **event} for number, event in enumerate(events)]


def sagas_and_who_must_act(folder):
    """The stories that the words are tested with, as tables."""
    path = folder / "flows.ndjson"
    path.write_text("".join(json.dumps(event) + "\n" for event in flow_events()), encoding="utf-8")
    data = folder / "data"
    spoor("import", "--quiet", path, data=data)
    for name, text in flow_files().items():
        (folder / f"{name}.sql").write_text(text, encoding="utf-8")
        spoor("projection", "add", folder / f"{name}.sql", data=data)
    sagas = values("SELECT sagaid, saga, saga_key, status, waiting_for, waiting_step, failed_step, attempts, "
                   "retries, steps_completed, steps_compensated, answers_ignored, interventions FROM told_sagas "
                   "ORDER BY sagaid", data=data)
    demo, order = "book-demo", "order-fulfilment"
    assert sagas == [
        ("asked", demo, None, "running", "approval", "confirm", None, 1, 0, 1, 0, 0, 0),
        ("asked_three", "rollback", None, "running", "approval", "how", None, 0, 0, 0, 0, 1, 0),
        ("attention", demo, "lead-456", "needs_attention", "operator", "book/crm", "book/crm", 2, 1, 1, 1, 0, 0),
        ("cancelled", demo, "lead-9", "cancelled", None, None, None, 1, 0, 0, 1, 0, 0),
        ("nobody_answers", demo, None, "compensated", None, None, "confirm", 1, 0, 1, 1, 0, 0),
        ("resolved", demo, "lead-456", "compensated", None, None, "book/crm", 2, 1, 1, 2, 0, 1),
        ("seed_order", order, "o-7", "compensated", None, None, "schedule_shipping", 3, 0, 2, 3, 0, 0),
        ("shipped", order, "1234", "completed", None, None, None, 4, 1, 3, 0, 1, 0),
        ("undone", order, "1234", "compensated", None, None, "ship_order", 3, 0, 2, 2, 0, 0),
        ("waiting", "ship-all", "7", "running", "worker", "ship[0]/pack", None, 2, 0, 2, 0, 0, 0)], sagas
    steps = values("SELECT step, kind, status, attempts, result, error, compensation_status, compensation_attempts, "
                   "compensation_error, needs_attention, decided_by, why FROM told_saga_steps "
                   "WHERE sagaid IN ('attention', 'resolved') ORDER BY sagaid, position", data=data)
    slot = ("book/slot", "action", "timed_out", 1, None, "no answer in time", "compensated", 1, None, 0, None, None)
    crm = ("book/crm", "action", "completed", 1, '{"id":7}', None)
    assert steps == [
        ("book", "parallel", "running", 1, None, None, None, 0, None, 0, None, None), slot,
        (*crm, "failed", 2, "CRM is down", 1, None, None),
        ("book", "parallel", "running", 1, None, None, None, 0, None, 0, None, None), slot,
        (*crm, "marked_done", 2, "CRM is down", 0, "ann", "deleted it in the CRM's own page")], steps
    approvals = values("SELECT approval, status, who, choice, decided_by, on_timeout, ignored, step "
                       "FROM told_approvals ORDER BY proposal_position", data=data)
    assert approvals == [  # two sagas of the same name for an id: the first one's
        ("s/confirm:1", "pending", '["ann","bob"]', None, None, 0, 0, "confirm"),
        ("s/how:1", "pending", "[]", None, None, 0, 1, "how"),
        ("p-1", "granted", '["bob"]', "approve", "bob", 0, 1, None),
        ("p-2", "pending", '["carol"]', None, None, 0, 0, None),
        ("p-3", "rejected", None, "reject", None, 1, 0, None),
        ("p-4", "ignored", "7", None, None, 0, 1, None)], approvals
    timers = values("SELECT timer, name, type, saga, due_at, due_ms, cron, every, fired, failed, last_due_at "
                    "FROM told_timers ORDER BY name", data=data)
    due = "2026-11-20T10:15:01.234567Z"
    assert [(row[0].partition(":")[0], *row[1:]) for row in timers] == [
        ("delayed", "d-1", "reminder", None, due, NOW_US // 1000, None, None, 0, 0, None),
        ("schedule", "nightly", None, "report", None, None, "0 3 * * *", None, 0, 1, None),
        ("schedule", "pulse", "beat", None, None, None, None, "10m", 1, 0, due)], timers


# ---- agreement ----------------------------------------------------------------------------------------------

def check_agreement(ask):
    """What two read models both tell is the same in both, and every count is that of the rows behind it."""
    counts = dict(ask("SELECT agent_id, current_task_count FROM agent_status WHERE current_task_count <> 0"))
    assert counts == dict(ask("SELECT agent_id, COUNT(*) FROM active_tasks GROUP BY agent_id"))
    assert sorted(ask("SELECT task_id, agent_id FROM agent_status_tasks WHERE state = 'open'")) == \
        sorted(ask("SELECT task_id, agent_id FROM active_tasks"))
    least = ask("SELECT MIN(current_task_count), MIN(completed_tasks), MIN(failed_tasks), "
                "MIN(cancelled_tasks), MIN(open_runs) FROM agent_status")[0]
    assert min(least) >= 0, least
    assert dict(ask("SELECT agent_id, open_runs FROM agent_status WHERE open_runs <> 0")) == dict(
        ask("SELECT agent_id, COUNT(*) FROM agent_status_runs WHERE state = 'open' GROUP BY agent_id"))
    health = ask("SELECT active_agents, idle_agents, failed_agents, suspected_agents, paused_agents, "
                 "offline_agents, open_tasks FROM system_health")[0]
    statuses = collections.Counter(status for status, in ask("SELECT status FROM agent_status"))
    assert health == (*(statuses[name] for name in ("active", "idle", "failed", "suspected", "paused",
                                                    "offline")), sum(counts.values())), health
    assert sorted(ask("SELECT correlationid FROM active_runs")) == sorted(
        ask("SELECT correlationid FROM runs WHERE status = 'running' AND started_at IS NOT NULL"))
    assert ask("SELECT SUM(tool_calls), SUM(tool_errors), SUM(errors) FROM runs") == ask(
        "SELECT SUM(CASE WHEN kind = 'tool' THEN 1 ELSE 0 END), SUM(CASE WHEN kind = 'tool_error' THEN 1 "
        "ELSE 0 END), SUM(CASE WHEN kind = 'error' THEN 1 ELSE 0 END) FROM run_steps")


def they_agree_whatever_is_told(folder):
    for seed in SEEDS:
        path = folder / f"{seed}.ndjson"
        agent_history.write(path, agent_history.history(600, seed))
        data = folder / str(seed)
        spoor("import", "--quiet", path, data=data)
        check_agreement(functools.partial(values, data=data))


TABLES = ("agent_stats", "agent_stats_runs", "active_runs", "active_runs_over", "active_runs_agents",
          "agent_status", "agent_status_tasks", "agent_status_runs", "active_tasks", "active_tasks_over",
          "active_tasks_created", "runs", "runs_agents", "run_steps", "conversations", "conversations_early",
          "tool_usage", "tool_usage_calls", "system_health", "system_health_agents", "system_health_tasks",
          "system_health_runs", *(f"told_{name}" for name in FLOW_TABLES))


def without_blanks(value):
    """Text that is a JSON object or array, as both databases would write it."""
    try:
        return json.dumps(json.loads(value), sort_keys=True) if value[:1] in ("[", "{") else value
    except (TypeError, ValueError):
        return value


def rows_of(data, *options):
    with Server(data, *options) as server:
        server.call("PUT", "/v1/projections/event_search")
        for name, text in flow_files().items():
            server.put(name, text)
        head = server.head()
        found = {table: sorted(json.dumps(tuple(map(without_blanks, row)))
                               for row in server.ask(f"SELECT * FROM {table}", head))
                 for table in TABLES}
        found["event_search"] = server.ask(
            "SELECT content, type, source, correlationid, position, id FROM event_search "
            "WHERE position <= 2000 ORDER BY position", head)
    return found


def same_rows_on_postgresql(folder):
    path = folder / "events.ndjson"
    agent_history.write(path, agent_history.history(2000, 11, runs=40))
    told_before = len(path.read_text(encoding="utf-8").splitlines())
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in flow_events(first=told_before))
    spoor("import", "--quiet", path, data=folder / "data")
    shutil.copytree(folder / "data", folder / "copy", ignore=shutil.ignore_patterns("LOCK"))
    try:
        database = postgres.Postgres()
    except postgres.Missing as reason:
        raise Skip(reason) from reason
    with database:
        theirs = rows_of(folder / "copy", "--read-models", database.url)
    ours = rows_of(folder / "data")
    for table, rows in ours.items():
        assert rows, f"{table} is empty: nothing was compared"
        differ = [pair for pair in zip(rows, theirs[table]) if pair[0] != pair[1]]
        assert rows == theirs[table], f"{table}: {differ[:3]}"


def events_are_found_by_their_words(folder):
    data = told(folder, *refund(6), ("note.taken", "ann", "n", "a plain REFUND note"))
    spoor("projection", "add", "event_search", data=data)
    found = values("SELECT position, type FROM event_search('refund') ORDER BY position", data=data)
    assert (1, "ConversationStarted") in found and (8, "note.taken") in found, found
    assert values("SELECT position FROM event_search('\"partial refund\"')", data=data) == [(6,)]
    assert values("SELECT position FROM event_search('refund NOT agent')", data=data) == [(8,)]
    assert values("SELECT COUNT(*) FROM event_search('unheard')", data=data) == [(0,)]


run(figures_over_a_folder, figures_over_a_server, figures_as_they_were, dashboard_of_the_first_article,
    tasks_of_the_second_article, conversation_of_the_fifth_article, ends_of_runs, sagas_and_who_must_act,
    they_agree_whatever_is_told, same_rows_on_postgresql,
    events_are_found_by_their_words)
