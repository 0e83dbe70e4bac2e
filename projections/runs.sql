-- spoor: projection runs version 1
--
-- Each run, as its events tell it: how it stands, who is at it, what it called, what went wrong,
-- what came of it. docs/read-models.md says what each column means.

CREATE TABLE runs (
    correlationid TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    active_agent TEXT,
    tool_calls BIGINT NOT NULL DEFAULT 0,
    tool_errors BIGINT NOT NULL DEFAULT 0,
    handoffs BIGINT NOT NULL DEFAULT 0,
    tokens BIGINT NOT NULL DEFAULT 0,
    errors BIGINT NOT NULL DEFAULT 0,
    final_response TEXT,
    last_error TEXT,
    reason TEXT,
    started_at TEXT,
    ended_at TEXT,
    ended_by TEXT,
    ended_time_ms BIGINT
);

-- Who takes part, and whether he is at it: open, ended, or early, where the end came and the start
-- has not. `opened` is the position of the start.
CREATE TABLE runs_agents (
    correlationid TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    opened BIGINT NOT NULL DEFAULT 0,
    ended_time_ms BIGINT,
    PRIMARY KEY (correlationid, agent_id)
);

-- What a run did, in order: the tools it called (kind tool), their errors (tool_error), handoffs
-- (handoff; name is who gets it) and errors of its own (error).
CREATE TABLE run_steps (
    correlationid TEXT NOT NULL,
    position BIGINT NOT NULL,
    kind TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    name TEXT,
    detail TEXT,
    PRIMARY KEY (correlationid, position)
);

-- A run that is over begins again only where the producer's times say so: a start that comes late,
-- or twice, must not open it.
-- spoor: on conversation.started, conversation_started, ConversationStarted, run.started
INSERT INTO runs (correlationid, status, active_agent, started_at)
VALUES (:correlationid, 'running', :source, COALESCE(:time, :recordedtime))
ON CONFLICT (correlationid) DO UPDATE SET
    status = CASE WHEN :time_ms > runs.ended_time_ms THEN 'running' ELSE runs.status END,
    active_agent = COALESCE(runs.active_agent, excluded.active_agent),
    started_at = COALESCE(runs.started_at, excluded.started_at),
    ended_at = CASE WHEN :time_ms > runs.ended_time_ms THEN NULL ELSE runs.ended_at END,
    ended_by = CASE WHEN :time_ms > runs.ended_time_ms THEN NULL ELSE runs.ended_by END,
    ended_time_ms = CASE WHEN :time_ms > runs.ended_time_ms THEN NULL ELSE runs.ended_time_ms END;

-- An agent begins. Where the run as a whole is over, or the agent's end came before its start, it
-- is not at it any more.
-- spoor: on agent.started
INSERT INTO runs_agents (correlationid, agent_id, state, opened)
SELECT :correlationid, COALESCE(:data ->> 'agent_id', :source),
    CASE WHEN EXISTS (SELECT 1 FROM runs WHERE correlationid = :correlationid
        AND ended_by = 'run' AND NOT COALESCE(:time_ms > ended_time_ms, FALSE))
        THEN 'ended' ELSE 'open' END,
    :position
WHERE TRUE
ON CONFLICT (correlationid, agent_id) DO UPDATE SET
    state = CASE
        WHEN excluded.state = 'ended' OR runs_agents.state = 'open' THEN runs_agents.state
        WHEN runs_agents.state = 'early'
            AND NOT COALESCE(:time_ms > runs_agents.ended_time_ms, FALSE) THEN 'ended'
        WHEN :time_ms <= runs_agents.ended_time_ms THEN 'ended'
        ELSE 'open' END,
    opened = CASE
        WHEN excluded.state = 'ended' OR runs_agents.state = 'open' THEN runs_agents.opened
        WHEN runs_agents.state = 'early'
            AND NOT COALESCE(:time_ms > runs_agents.ended_time_ms, FALSE) THEN runs_agents.opened
        WHEN :time_ms <= runs_agents.ended_time_ms THEN runs_agents.opened
        ELSE excluded.opened END;
INSERT INTO runs (correlationid, status, active_agent, started_at)
SELECT :correlationid, 'running', agent.agent_id, COALESCE(:time, :recordedtime)
FROM runs_agents AS agent
WHERE agent.correlationid = :correlationid
    AND agent.agent_id = COALESCE(:data ->> 'agent_id', :source)
    AND agent.state = 'open' AND agent.opened = :position
ON CONFLICT (correlationid) DO UPDATE SET
    status = 'running',
    active_agent = excluded.active_agent,
    started_at = COALESCE(runs.started_at, excluded.started_at),
    ended_at = NULL, ended_by = NULL, ended_time_ms = NULL;
UPDATE runs SET started_at = COALESCE(:time, :recordedtime)
WHERE correlationid = :correlationid AND started_at IS NULL;

-- An agent ends. The run is over when nobody is at it any more; how it ended is what the last one
-- says. A run that ended as a whole stays as it ended, unless an agent then tells of a failure.
-- spoor: on agent.completed, agent.failed
INSERT INTO runs_agents (correlationid, agent_id, state, ended_time_ms)
VALUES (:correlationid, COALESCE(:data ->> 'agent_id', :source), 'early', :time_ms)
ON CONFLICT (correlationid, agent_id) DO UPDATE SET
    state = CASE WHEN runs_agents.state = 'early' THEN 'early' ELSE 'ended' END,
    ended_time_ms = excluded.ended_time_ms;
-- spoor: on agent.completed
INSERT INTO runs (correlationid, status, active_agent, final_response, ended_at, ended_by,
    ended_time_ms)
VALUES (:correlationid, 'completed', COALESCE(:data ->> 'agent_id', :source), :data ->> 'result',
    COALESCE(:time, :recordedtime), 'agent', :time_ms)
ON CONFLICT (correlationid) DO UPDATE SET
    final_response = COALESCE(excluded.final_response, runs.final_response),
    active_agent = COALESCE((SELECT agent.agent_id FROM runs_agents AS agent
        WHERE agent.correlationid = excluded.correlationid AND agent.state = 'open'
        ORDER BY agent.opened DESC LIMIT 1), runs.active_agent, excluded.active_agent);
UPDATE runs SET status = 'completed', ended_at = COALESCE(:time, :recordedtime), ended_by = 'agent',
    ended_time_ms = :time_ms
WHERE correlationid = :correlationid AND COALESCE(ended_by, '') <> 'run'
    AND NOT EXISTS (SELECT 1 FROM runs_agents AS agent
        WHERE agent.correlationid = :correlationid AND agent.state = 'open');
-- spoor: on agent.failed
INSERT INTO runs (correlationid, status, active_agent, errors, last_error, ended_at, ended_by,
    ended_time_ms)
VALUES (:correlationid, 'failed', COALESCE(:data ->> 'agent_id', :source), 1,
    COALESCE(:data -> 'error' ->> 'message', :data ->> 'error'),
    COALESCE(:time, :recordedtime), 'agent', :time_ms)
ON CONFLICT (correlationid) DO UPDATE SET
    errors = runs.errors + 1,
    last_error = COALESCE(excluded.last_error, runs.last_error),
    active_agent = COALESCE((SELECT agent.agent_id FROM runs_agents AS agent
        WHERE agent.correlationid = excluded.correlationid AND agent.state = 'open'
        ORDER BY agent.opened DESC LIMIT 1), runs.active_agent, excluded.active_agent);
UPDATE runs SET status = 'failed', ended_at = COALESCE(:time, :recordedtime),
    ended_by = COALESCE(ended_by, 'agent'), ended_time_ms = :time_ms
WHERE correlationid = :correlationid
    AND NOT EXISTS (SELECT 1 FROM runs_agents AS agent
        WHERE agent.correlationid = :correlationid AND agent.state = 'open');
INSERT INTO run_steps (correlationid, position, kind, agent_id, detail)
VALUES (:correlationid, :position, 'error', COALESCE(:data ->> 'agent_id', :source),
    COALESCE(:data -> 'error' ->> 'message', :data ->> 'error'));

-- The run ends as a whole, for everybody in it. What it is told last counts.
-- spoor: on run.completed, run.failed, run.compensated, conversation.completed, conversation.failed
UPDATE runs_agents SET state = 'ended', ended_time_ms = :time_ms
WHERE correlationid = :correlationid AND state = 'open';
INSERT INTO runs (correlationid, status, final_response, reason, ended_at, ended_by, ended_time_ms)
VALUES (:correlationid,
    CASE WHEN :type IN ('run.completed', 'conversation.completed')
        THEN 'completed' ELSE 'failed' END,
    :data ->> 'result', :data ->> 'reason', COALESCE(:time, :recordedtime), 'run', :time_ms)
ON CONFLICT (correlationid) DO UPDATE SET
    status = excluded.status,
    final_response = COALESCE(excluded.final_response, runs.final_response),
    reason = excluded.reason,
    ended_at = excluded.ended_at, ended_by = 'run', ended_time_ms = excluded.ended_time_ms;
-- spoor: on run.failed, conversation.failed where {"data.error": {"$exists": true, "$nin": [null, false, ""]}}
UPDATE runs SET errors = errors + 1,
    last_error = COALESCE(:data -> 'error' ->> 'message', :data ->> 'error')
WHERE correlationid = :correlationid;
INSERT INTO run_steps (correlationid, position, kind, agent_id, detail)
VALUES (:correlationid, :position, 'error', :source,
    COALESCE(:data -> 'error' ->> 'message', :data ->> 'error'));

-- Over, however it went: well, where nobody says otherwise.
-- spoor: on conversation.ended
UPDATE runs_agents SET state = 'ended', ended_time_ms = :time_ms
WHERE correlationid = :correlationid AND state = 'open';
INSERT INTO runs (correlationid, status, reason, ended_at, ended_by, ended_time_ms)
VALUES (:correlationid, 'completed', :data ->> 'reason',
    COALESCE(:time, :recordedtime), 'run', :time_ms)
ON CONFLICT (correlationid) DO UPDATE SET
    status = CASE WHEN runs.status = 'running' THEN 'completed' ELSE runs.status END,
    reason = COALESCE(runs.reason, excluded.reason),
    ended_at = COALESCE(runs.ended_at, excluded.ended_at), ended_by = 'run',
    ended_time_ms = COALESCE(runs.ended_time_ms, excluded.ended_time_ms);

-- A run that somebody wanted to end has failed. What has another scope is a call of the run only.
-- spoor: on cancel.acknowledged where {"$or": [{"data.scope": {"$exists": false}}, {"data.scope": "run"}]}
UPDATE runs_agents SET state = 'ended', ended_time_ms = :time_ms
WHERE correlationid = :correlationid AND state = 'open';
INSERT INTO runs (correlationid, status, reason, ended_at, ended_by, ended_time_ms)
VALUES (:correlationid, 'failed', 'cancelled', COALESCE(:time, :recordedtime), 'run', :time_ms)
ON CONFLICT (correlationid) DO UPDATE SET
    status = 'failed', reason = excluded.reason,
    ended_at = excluded.ended_at, ended_by = 'run', ended_time_ms = excluded.ended_time_ms;

-- spoor: on tool.called, tool_called, ToolCalled, tool.invoked, tool.requested, agent.tool_called
INSERT INTO runs (correlationid, status, active_agent, tool_calls)
VALUES (:correlationid, 'running', :source, 1)
ON CONFLICT (correlationid) DO UPDATE SET tool_calls = runs.tool_calls + 1;
INSERT INTO run_steps (correlationid, position, kind, agent_id, name)
VALUES (:correlationid, :position, 'tool', :source,
    COALESCE(:data ->> 'tool', :data ->> 'tool_name'));

-- spoor: on tool.result, tool_result, ToolResult, agent.tool_result, tool.completed where {"$or": [{"data.is_error": true}, {"data.error": {"$exists": true, "$nin": [null, false, ""]}}]}
INSERT INTO runs (correlationid, status, tool_errors) VALUES (:correlationid, 'running', 1)
ON CONFLICT (correlationid) DO UPDATE SET tool_errors = runs.tool_errors + 1;
INSERT INTO run_steps (correlationid, position, kind, agent_id, name, detail)
VALUES (:correlationid, :position, 'tool_error', :source,
    COALESCE(:data ->> 'tool', :data ->> 'tool_name'),
    COALESCE(:data -> 'error' ->> 'message', :data ->> 'error', :data ->> 'content'));
-- spoor: on tool.failed
INSERT INTO runs (correlationid, status, tool_errors) VALUES (:correlationid, 'running', 1)
ON CONFLICT (correlationid) DO UPDATE SET tool_errors = runs.tool_errors + 1;
INSERT INTO run_steps (correlationid, position, kind, agent_id, name, detail)
VALUES (:correlationid, :position, 'tool_error', :source,
    COALESCE(:data ->> 'tool', :data ->> 'tool_name'),
    COALESCE(:data -> 'error' ->> 'message', :data ->> 'error'));

-- spoor: on handoff.initiated, handoff_initiated, HandoffInitiated
INSERT INTO runs (correlationid, status, active_agent, handoffs)
VALUES (:correlationid, 'running', COALESCE(:data ->> 'to', :data ->> 'to_agent'), 1)
ON CONFLICT (correlationid) DO UPDATE SET
    handoffs = runs.handoffs + 1,
    active_agent = COALESCE(excluded.active_agent, runs.active_agent);
INSERT INTO run_steps (correlationid, position, kind, agent_id, name, detail)
VALUES (:correlationid, :position, 'handoff',
    COALESCE(:data ->> 'from', :data ->> 'from_agent', :source),
    COALESCE(:data ->> 'to', :data ->> 'to_agent'), :data ->> 'reason');
-- spoor: on handoff.rejected where {"data.from": {"$prefix": ""}, "data.to": {"$prefix": ""}}
UPDATE runs SET active_agent = :data ->> 'from'
WHERE correlationid = :correlationid AND active_agent = :data ->> 'to';

-- Who answers is at it, where nobody was named by a handoff.
-- spoor: on response.generated, response_generated, ResponseGenerated
INSERT INTO runs (correlationid, status, active_agent, final_response)
VALUES (:correlationid, 'running', :source, COALESCE(:data ->> 'response', :data ->> 'content'))
ON CONFLICT (correlationid) DO UPDATE SET
    active_agent = CASE WHEN runs.handoffs = 0
        THEN excluded.active_agent ELSE runs.active_agent END,
    final_response = COALESCE(excluded.final_response, runs.final_response);

-- spoor: on error.occurred, error_occurred, ErrorOccurred, agent.error
INSERT INTO runs (correlationid, status, active_agent, errors, last_error)
VALUES (:correlationid, 'running', :source, 1,
    COALESCE(:data -> 'error' ->> 'message', :data ->> 'error'))
ON CONFLICT (correlationid) DO UPDATE SET
    errors = runs.errors + 1, last_error = COALESCE(excluded.last_error, runs.last_error);
INSERT INTO run_steps (correlationid, position, kind, agent_id, detail)
VALUES (:correlationid, :position, 'error', :source,
    COALESCE(:data -> 'error' ->> 'message', :data ->> 'error'));

-- spoor: on agent.tokens_generated, token.generated where {"data.count": {"$gte": 0, "$lte": 1e12}}
INSERT INTO runs (correlationid, status, active_agent, tokens)
VALUES (:correlationid, 'running', :source,
    CAST(ROUND(CAST(:data ->> 'count' AS NUMERIC)) AS BIGINT))
ON CONFLICT (correlationid) DO UPDATE SET tokens = runs.tokens + excluded.tokens;
-- spoor: on token.usage where {"data.total_tokens": {"$gte": 0, "$lte": 1e12}}
INSERT INTO runs (correlationid, status, active_agent, tokens)
VALUES (:correlationid, 'running', :source,
    CAST(ROUND(CAST(:data ->> 'total_tokens' AS NUMERIC)) AS BIGINT))
ON CONFLICT (correlationid) DO UPDATE SET tokens = runs.tokens + excluded.tokens;
-- spoor: on token.usage where {"data.total_tokens": {"$exists": false}, "data.input_tokens": {"$gte": 0, "$lte": 1e12}, "data.output_tokens": {"$gte": 0, "$lte": 1e12}}
INSERT INTO runs (correlationid, status, active_agent, tokens)
VALUES (:correlationid, 'running', :source,
    CAST(ROUND(CAST(:data ->> 'input_tokens' AS NUMERIC)
        + CAST(:data ->> 'output_tokens' AS NUMERIC)) AS BIGINT))
ON CONFLICT (correlationid) DO UPDATE SET tokens = runs.tokens + excluded.tokens;
-- spoor: on response.generated, response_generated, ResponseGenerated, message.user, tool.called, tool_called, ToolCalled, model.completed where {"data.usage.prompt_tokens": {"$gte": 0, "$lte": 1e12}, "data.usage.completion_tokens": {"$gte": 0, "$lte": 1e12}}
INSERT INTO runs (correlationid, status, active_agent, tokens)
VALUES (:correlationid, 'running', :source,
    CAST(ROUND(CAST(:data -> 'usage' ->> 'prompt_tokens' AS NUMERIC)
        + CAST(:data -> 'usage' ->> 'completion_tokens' AS NUMERIC)) AS BIGINT))
ON CONFLICT (correlationid) DO UPDATE SET tokens = runs.tokens + excluded.tokens;
-- spoor: on response.generated, response_generated, ResponseGenerated, message.user, tool.called, tool_called, ToolCalled, model.completed where {"data.usage.prompt_tokens": {"$exists": false}, "data.usage.input_tokens": {"$gte": 0, "$lte": 1e12}, "data.usage.output_tokens": {"$gte": 0, "$lte": 1e12}}
INSERT INTO runs (correlationid, status, active_agent, tokens)
VALUES (:correlationid, 'running', :source,
    CAST(ROUND(CAST(:data -> 'usage' ->> 'input_tokens' AS NUMERIC)
        + CAST(:data -> 'usage' ->> 'output_tokens' AS NUMERIC)) AS BIGINT))
ON CONFLICT (correlationid) DO UPDATE SET tokens = runs.tokens + excluded.tokens;
