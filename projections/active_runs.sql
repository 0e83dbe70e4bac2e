-- spoor: projection active_runs version 1
--
-- The runs that are under way: those whose status in `runs` is running and whose start is known.
-- docs/read-models.md says what each column means.

CREATE TABLE active_runs (
    correlationid TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    started_at TEXT NOT NULL
);

-- The runs that are over, so that a start which comes late does not open one again.
CREATE TABLE active_runs_over (
    correlationid TEXT PRIMARY KEY,
    ended_by TEXT NOT NULL,
    ended_time_ms BIGINT
);

-- Who takes part: open, ended, or early, where the end came and the start has not.
CREATE TABLE active_runs_agents (
    correlationid TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    opened BIGINT NOT NULL DEFAULT 0,
    ended_time_ms BIGINT,
    PRIMARY KEY (correlationid, agent_id)
);

-- spoor: on conversation.started, conversation_started, ConversationStarted, run.started
DELETE FROM active_runs_over
WHERE correlationid = :correlationid AND :time_ms > ended_time_ms;
INSERT INTO active_runs (correlationid, agent_id, started_at)
SELECT :correlationid, :source, COALESCE(:time, :recordedtime)
WHERE NOT EXISTS (SELECT 1 FROM active_runs_over WHERE correlationid = :correlationid)
ON CONFLICT (correlationid) DO NOTHING;

-- spoor: on agent.started
INSERT INTO active_runs_agents (correlationid, agent_id, state, opened)
SELECT :correlationid, COALESCE(:data ->> 'agent_id', :source),
    CASE WHEN EXISTS (SELECT 1 FROM active_runs_over WHERE correlationid = :correlationid
        AND ended_by = 'run' AND NOT COALESCE(:time_ms > ended_time_ms, FALSE))
        THEN 'ended' ELSE 'open' END,
    :position
WHERE TRUE
ON CONFLICT (correlationid, agent_id) DO UPDATE SET
    state = CASE
        WHEN excluded.state = 'ended' OR active_runs_agents.state = 'open'
            THEN active_runs_agents.state
        WHEN active_runs_agents.state = 'early'
            AND NOT COALESCE(:time_ms > active_runs_agents.ended_time_ms, FALSE) THEN 'ended'
        WHEN :time_ms <= active_runs_agents.ended_time_ms THEN 'ended'
        ELSE 'open' END,
    opened = CASE
        WHEN excluded.state = 'ended' OR active_runs_agents.state = 'open'
            THEN active_runs_agents.opened
        WHEN active_runs_agents.state = 'early'
            AND NOT COALESCE(:time_ms > active_runs_agents.ended_time_ms, FALSE)
            THEN active_runs_agents.opened
        WHEN :time_ms <= active_runs_agents.ended_time_ms THEN active_runs_agents.opened
        ELSE excluded.opened END;
INSERT INTO active_runs (correlationid, agent_id, started_at)
SELECT agent.correlationid, agent.agent_id, COALESCE(:time, :recordedtime)
FROM active_runs_agents AS agent
WHERE agent.correlationid = :correlationid
    AND agent.agent_id = COALESCE(:data ->> 'agent_id', :source)
    AND agent.state = 'open' AND agent.opened = :position
ON CONFLICT (correlationid) DO UPDATE SET agent_id = excluded.agent_id;
DELETE FROM active_runs_over WHERE correlationid = :correlationid
    AND EXISTS (SELECT 1 FROM active_runs WHERE correlationid = :correlationid);

-- spoor: on agent.completed, agent.failed
INSERT INTO active_runs_agents (correlationid, agent_id, state, ended_time_ms)
VALUES (:correlationid, COALESCE(:data ->> 'agent_id', :source), 'early', :time_ms)
ON CONFLICT (correlationid, agent_id) DO UPDATE SET
    state = CASE WHEN active_runs_agents.state = 'early' THEN 'early' ELSE 'ended' END,
    ended_time_ms = excluded.ended_time_ms;
UPDATE active_runs SET agent_id = COALESCE((SELECT agent.agent_id FROM active_runs_agents AS agent
    WHERE agent.correlationid = :correlationid AND agent.state = 'open'
    ORDER BY agent.opened DESC LIMIT 1), agent_id)
WHERE correlationid = :correlationid;
DELETE FROM active_runs WHERE correlationid = :correlationid
    AND NOT EXISTS (SELECT 1 FROM active_runs_agents AS agent
        WHERE agent.correlationid = :correlationid AND agent.state = 'open');
INSERT INTO active_runs_over (correlationid, ended_by, ended_time_ms)
SELECT :correlationid, 'agent', :time_ms
WHERE NOT EXISTS (SELECT 1 FROM active_runs WHERE correlationid = :correlationid)
ON CONFLICT (correlationid) DO UPDATE SET
    ended_time_ms = CASE WHEN active_runs_over.ended_by = 'run' AND :type = 'agent.completed'
        THEN active_runs_over.ended_time_ms ELSE excluded.ended_time_ms END;

-- spoor: on run.completed, run.failed, run.compensated, conversation.completed, conversation.failed, conversation.ended
UPDATE active_runs_agents SET state = 'ended', ended_time_ms = :time_ms
WHERE correlationid = :correlationid AND state = 'open';
DELETE FROM active_runs WHERE correlationid = :correlationid;
INSERT INTO active_runs_over (correlationid, ended_by, ended_time_ms)
VALUES (:correlationid, 'run', :time_ms)
ON CONFLICT (correlationid) DO UPDATE SET
    ended_by = 'run',
    ended_time_ms = CASE WHEN :type = 'conversation.ended'
        THEN COALESCE(active_runs_over.ended_time_ms, excluded.ended_time_ms)
        ELSE excluded.ended_time_ms END;

-- spoor: on cancel.acknowledged where {"$or": [{"data.scope": {"$exists": false}}, {"data.scope": "run"}]}
UPDATE active_runs_agents SET state = 'ended', ended_time_ms = :time_ms
WHERE correlationid = :correlationid AND state = 'open';
DELETE FROM active_runs WHERE correlationid = :correlationid;
INSERT INTO active_runs_over (correlationid, ended_by, ended_time_ms)
VALUES (:correlationid, 'run', :time_ms)
ON CONFLICT (correlationid) DO UPDATE SET
    ended_by = 'run', ended_time_ms = excluded.ended_time_ms;
