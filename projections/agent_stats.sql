-- spoor: projection agent_stats version 1
--
-- What each agent has done: its runs, its tokens, its errors, and how long a run of its takes.
-- docs/read-models.md says what each column means.

CREATE TABLE agent_stats (
    agent_id TEXT PRIMARY KEY,
    total_runs BIGINT NOT NULL DEFAULT 0,
    total_tokens BIGINT NOT NULL DEFAULT 0,
    total_errors BIGINT NOT NULL DEFAULT 0,
    measured_runs BIGINT NOT NULL DEFAULT 0,
    total_latency_ms DOUBLE PRECISION NOT NULL DEFAULT 0,
    avg_latency_ms DOUBLE PRECISION
);

-- One row for each run of each agent, so that what is told twice counts once, and a start that
-- comes after its end does not open the run again. `state` is open, ended, or early: the end came
-- and the start has not. `counted` and `closed` are the positions of the events that did it.
CREATE TABLE agent_stats_runs (
    correlationid TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    counted BIGINT NOT NULL DEFAULT 0,
    closed BIGINT NOT NULL DEFAULT 0,
    started_time_ms BIGINT,
    started_recorded_ms BIGINT,
    ended_time_ms BIGINT,
    elapsed_ms DOUBLE PRECISION,
    PRIMARY KEY (correlationid, agent_id)
);

-- A start counts unless the run is open. After an end it begins the next one, unless its own time
-- says that it is an old one.
-- spoor: on agent.started, run.started, conversation.started, conversation_started, ConversationStarted
INSERT INTO agent_stats_runs
    (correlationid, agent_id, state, counted, started_time_ms, started_recorded_ms)
VALUES (:correlationid, COALESCE(:data ->> 'agent_id', :source), 'open', :position, :time_ms,
    :recordedtime_ms)
ON CONFLICT (correlationid, agent_id) DO UPDATE SET
    state = CASE
        WHEN agent_stats_runs.state = 'early'
            AND NOT COALESCE(excluded.started_time_ms > agent_stats_runs.ended_time_ms, FALSE)
            THEN 'ended'
        WHEN agent_stats_runs.state = 'ended'
            AND excluded.started_time_ms <= agent_stats_runs.ended_time_ms THEN 'ended'
        ELSE 'open' END,
    counted = CASE
        WHEN agent_stats_runs.state = 'open' THEN agent_stats_runs.counted
        WHEN agent_stats_runs.state = 'ended'
            AND excluded.started_time_ms <= agent_stats_runs.ended_time_ms
            THEN agent_stats_runs.counted
        ELSE excluded.counted END,
    started_time_ms = CASE WHEN agent_stats_runs.state = 'open'
        THEN agent_stats_runs.started_time_ms ELSE excluded.started_time_ms END,
    started_recorded_ms = CASE WHEN agent_stats_runs.state = 'open'
        THEN agent_stats_runs.started_recorded_ms ELSE excluded.started_recorded_ms END;
INSERT INTO agent_stats (agent_id, total_runs)
SELECT run.agent_id, 1 FROM agent_stats_runs AS run
WHERE run.correlationid = :correlationid AND run.agent_id = COALESCE(:data ->> 'agent_id', :source)
    AND run.counted = :position
ON CONFLICT (agent_id) DO UPDATE SET total_runs = agent_stats.total_runs + 1;

-- An end that is told twice closes once. How long the run took is what the two times say: those of
-- the producer, or, where one of them is missing, those of the store.
-- spoor: on agent.completed, agent.failed, run.completed, run.failed, conversation.completed, conversation.failed
INSERT INTO agent_stats_runs (correlationid, agent_id, state, closed, ended_time_ms)
VALUES (:correlationid, COALESCE(:data ->> 'agent_id', :source), 'early', :position, :time_ms)
ON CONFLICT (correlationid, agent_id) DO UPDATE SET
    state = CASE WHEN agent_stats_runs.state = 'early' THEN 'early' ELSE 'ended' END,
    closed = CASE WHEN agent_stats_runs.state = 'open'
        THEN excluded.closed ELSE agent_stats_runs.closed END,
    elapsed_ms = CASE WHEN agent_stats_runs.state = 'open' THEN COALESCE(
        excluded.ended_time_ms - agent_stats_runs.started_time_ms,
        :recordedtime_ms - agent_stats_runs.started_recorded_ms) END,
    ended_time_ms = excluded.ended_time_ms;

-- What the event itself says of the time goes before.
-- spoor: on agent.completed, run.completed, conversation.completed where {"data.duration_ms": {"$gte": 0, "$lte": 1e12}}
UPDATE agent_stats_runs SET elapsed_ms = CAST(:data ->> 'duration_ms' AS DOUBLE PRECISION)
WHERE correlationid = :correlationid AND agent_id = COALESCE(:data ->> 'agent_id', :source)
    AND closed = :position;
-- spoor: on run.completed, conversation.completed where {"data.duration_ms": {"$exists": false}, "data.duration_s": {"$gte": 0, "$lte": 1e9}}
UPDATE agent_stats_runs SET elapsed_ms = CAST(:data ->> 'duration_s' AS DOUBLE PRECISION) * 1000
WHERE correlationid = :correlationid AND agent_id = COALESCE(:data ->> 'agent_id', :source)
    AND closed = :position;

-- spoor: on agent.completed
INSERT INTO agent_stats (agent_id, measured_runs, total_latency_ms, avg_latency_ms)
SELECT run.agent_id, 1, run.elapsed_ms, run.elapsed_ms FROM agent_stats_runs AS run
WHERE run.correlationid = :correlationid AND run.agent_id = COALESCE(:data ->> 'agent_id', :source)
    AND run.closed = :position AND run.elapsed_ms >= 0
ON CONFLICT (agent_id) DO UPDATE SET
    measured_runs = agent_stats.measured_runs + 1,
    total_latency_ms = agent_stats.total_latency_ms + excluded.total_latency_ms,
    avg_latency_ms = (agent_stats.total_latency_ms + excluded.total_latency_ms)
        / (agent_stats.measured_runs + 1);

-- The end of a run, and its failure, are counted to the one that began it.
-- spoor: on run.completed, conversation.completed
UPDATE agent_stats SET
    measured_runs = agent_stats.measured_runs + 1,
    total_latency_ms = agent_stats.total_latency_ms + run.elapsed_ms,
    avg_latency_ms = (agent_stats.total_latency_ms + run.elapsed_ms)
        / (agent_stats.measured_runs + 1)
FROM agent_stats_runs AS run
WHERE run.correlationid = :correlationid AND run.agent_id = COALESCE(:data ->> 'agent_id', :source)
    AND run.closed = :position AND run.elapsed_ms >= 0 AND run.counted > 0
    AND agent_stats.agent_id = run.agent_id;
-- spoor: on run.failed, conversation.failed
UPDATE agent_stats SET total_errors = agent_stats.total_errors + 1
FROM agent_stats_runs AS run
WHERE run.correlationid = :correlationid AND run.agent_id = COALESCE(:data ->> 'agent_id', :source)
    AND run.counted > 0 AND agent_stats.agent_id = run.agent_id;

-- spoor: on agent.failed, agent.error, error.occurred, error_occurred, ErrorOccurred
INSERT INTO agent_stats (agent_id, total_errors)
VALUES (COALESCE(:data ->> 'agent_id', :source), 1)
ON CONFLICT (agent_id) DO UPDATE SET total_errors = agent_stats.total_errors + 1;

-- spoor: on agent.tokens_generated, token.generated where {"data.count": {"$gte": 0, "$lte": 1e12}}
INSERT INTO agent_stats (agent_id, total_tokens)
VALUES (:source, CAST(ROUND(CAST(:data ->> 'count' AS NUMERIC)) AS BIGINT))
ON CONFLICT (agent_id) DO UPDATE SET
    total_tokens = agent_stats.total_tokens + excluded.total_tokens;
-- spoor: on token.usage where {"data.total_tokens": {"$gte": 0, "$lte": 1e12}}
INSERT INTO agent_stats (agent_id, total_tokens)
VALUES (:source, CAST(ROUND(CAST(:data ->> 'total_tokens' AS NUMERIC)) AS BIGINT))
ON CONFLICT (agent_id) DO UPDATE SET
    total_tokens = agent_stats.total_tokens + excluded.total_tokens;
-- spoor: on token.usage where {"data.total_tokens": {"$exists": false}, "data.input_tokens": {"$gte": 0, "$lte": 1e12}, "data.output_tokens": {"$gte": 0, "$lte": 1e12}}
INSERT INTO agent_stats (agent_id, total_tokens)
VALUES (:source, CAST(ROUND(CAST(:data ->> 'input_tokens' AS NUMERIC)
    + CAST(:data ->> 'output_tokens' AS NUMERIC)) AS BIGINT))
ON CONFLICT (agent_id) DO UPDATE SET
    total_tokens = agent_stats.total_tokens + excluded.total_tokens;
-- spoor: on response.generated, response_generated, ResponseGenerated, tool.called, tool_called, ToolCalled, model.completed where {"data.usage.prompt_tokens": {"$gte": 0, "$lte": 1e12}, "data.usage.completion_tokens": {"$gte": 0, "$lte": 1e12}}
INSERT INTO agent_stats (agent_id, total_tokens)
VALUES (:source, CAST(ROUND(CAST(:data -> 'usage' ->> 'prompt_tokens' AS NUMERIC)
    + CAST(:data -> 'usage' ->> 'completion_tokens' AS NUMERIC)) AS BIGINT))
ON CONFLICT (agent_id) DO UPDATE SET
    total_tokens = agent_stats.total_tokens + excluded.total_tokens;
-- spoor: on response.generated, response_generated, ResponseGenerated, tool.called, tool_called, ToolCalled, model.completed where {"data.usage.prompt_tokens": {"$exists": false}, "data.usage.input_tokens": {"$gte": 0, "$lte": 1e12}, "data.usage.output_tokens": {"$gte": 0, "$lte": 1e12}}
INSERT INTO agent_stats (agent_id, total_tokens)
VALUES (:source, CAST(ROUND(CAST(:data -> 'usage' ->> 'input_tokens' AS NUMERIC)
    + CAST(:data -> 'usage' ->> 'output_tokens' AS NUMERIC)) AS BIGINT))
ON CONFLICT (agent_id) DO UPDATE SET
    total_tokens = agent_stats.total_tokens + excluded.total_tokens;
