-- spoor: projection system_health version 1
--
-- The fleet in one row. It is counted from the same events as agent_status, by the same rules.
-- docs/read-models.md says what each column means.

CREATE TABLE system_health_agents (
    agent_id TEXT PRIMARY KEY,
    status TEXT GENERATED ALWAYS AS (CASE
        WHEN presence <> 'on' THEN presence
        WHEN current_task_count > 0 OR (assigned_tasks = 0 AND open_runs > 0) THEN 'active'
        ELSE 'idle' END) STORED,
    current_task_count BIGINT NOT NULL DEFAULT 0,
    assigned_tasks BIGINT NOT NULL DEFAULT 0,
    open_runs BIGINT NOT NULL DEFAULT 0,
    presence TEXT NOT NULL DEFAULT 'on'
);

-- Each task, with the agent that has or had it and how it stands: open, completed, failed or
-- cancelled. `was_agent` and `was_state` are what the event at position `changed` found. `early` is
-- 1 where the end of the task came before its assignment.
CREATE TABLE system_health_tasks (
    task_id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    was_agent TEXT NOT NULL DEFAULT '',
    was_state TEXT NOT NULL DEFAULT '',
    changed BIGINT NOT NULL,
    early BIGINT NOT NULL DEFAULT 0,
    ended_time_ms BIGINT
);

-- Each run that an agent began: open, ended, or early, where the end came and the start has not.
CREATE TABLE system_health_runs (
    correlationid TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    was_state TEXT NOT NULL DEFAULT '',
    changed BIGINT NOT NULL,
    ended_time_ms BIGINT,
    PRIMARY KEY (correlationid, agent_id)
);

CREATE VIEW system_health AS
SELECT COUNT(*) FILTER (WHERE status = 'active') AS active_agents,
    COUNT(*) FILTER (WHERE status = 'idle') AS idle_agents,
    COUNT(*) FILTER (WHERE status = 'failed') AS failed_agents,
    COALESCE(AVG(CAST(current_task_count AS DOUBLE PRECISION))
        FILTER (WHERE status <> 'offline'), 0.0) AS avg_task_load,
    COUNT(*) FILTER (WHERE status = 'suspected') AS suspected_agents,
    COUNT(*) FILTER (WHERE status = 'paused') AS paused_agents,
    COUNT(*) FILTER (WHERE status = 'offline') AS offline_agents,
    COALESCE(CAST(SUM(current_task_count) AS BIGINT), 0) AS open_tasks
FROM system_health_agents;

-- Agents come and go. What an agent does itself shows that it has not failed; one that is offline
-- or paused stays so until it says otherwise.
-- spoor: on agent.initialized, agent.online, agent.started, agent.resumed
INSERT INTO system_health_agents (agent_id, presence)
VALUES (COALESCE(:data ->> 'agent_id', :source), 'on')
ON CONFLICT (agent_id) DO UPDATE SET presence = 'on';
-- spoor: on agent.heartbeat, agent.completed
INSERT INTO system_health_agents (agent_id, presence)
VALUES (COALESCE(:data ->> 'agent_id', :source), 'on')
ON CONFLICT (agent_id) DO UPDATE SET
    presence = CASE WHEN system_health_agents.presence IN ('failed', 'suspected')
        THEN 'on' ELSE system_health_agents.presence END;
-- spoor: on agent.recovered
INSERT INTO system_health_agents (agent_id, presence)
VALUES (COALESCE(:data ->> 'agent_id', :data ->> 'agent', :source), 'on')
ON CONFLICT (agent_id) DO UPDATE SET
    presence = CASE WHEN system_health_agents.presence IN ('failed', 'suspected')
        THEN 'on' ELSE system_health_agents.presence END;
-- spoor: on agent.paused
INSERT INTO system_health_agents (agent_id, presence)
VALUES (COALESCE(:data ->> 'agent_id', :source), 'paused')
ON CONFLICT (agent_id) DO UPDATE SET presence = 'paused';
-- spoor: on agent.offline, agent.stopped
INSERT INTO system_health_agents (agent_id, presence)
VALUES (COALESCE(:data ->> 'agent_id', :source), 'offline')
ON CONFLICT (agent_id) DO UPDATE SET presence = 'offline';
-- spoor: on agent.failed
INSERT INTO system_health_agents (agent_id, presence)
VALUES (COALESCE(:data ->> 'agent_id', :source), 'failed')
ON CONFLICT (agent_id) DO UPDATE SET
    presence = CASE WHEN system_health_agents.presence = 'offline' THEN 'offline' ELSE 'failed' END;
-- spoor: on agent.suspected_failure
INSERT INTO system_health_agents (agent_id, presence)
VALUES (COALESCE(:data ->> 'agent_id', :data ->> 'agent', :source), 'suspected')
ON CONFLICT (agent_id) DO UPDATE SET
    presence = CASE WHEN system_health_agents.presence IN ('on', 'paused')
    THEN 'suspected' ELSE system_health_agents.presence END;

-- A start that names capabilities is an agent that comes up; any other is a run that it begins.
-- spoor: on agent.started where {"data.capabilities": {"$exists": false}}
INSERT INTO system_health_runs (correlationid, agent_id, state, changed)
VALUES (:correlationid, COALESCE(:data ->> 'agent_id', :source), 'open', :position)
ON CONFLICT (correlationid, agent_id) DO UPDATE SET
    state = CASE WHEN system_health_runs.state = 'early'
            AND NOT COALESCE(:time_ms > system_health_runs.ended_time_ms, FALSE)
        THEN 'ended' ELSE 'open' END,
    was_state = system_health_runs.state, changed = excluded.changed
WHERE system_health_runs.state <> 'open'
    AND NOT (system_health_runs.state = 'ended'
        AND COALESCE(:time_ms <= system_health_runs.ended_time_ms, FALSE));
UPDATE system_health_agents SET open_runs = open_runs + 1
FROM system_health_runs AS run
WHERE run.correlationid = :correlationid AND run.agent_id = COALESCE(:data ->> 'agent_id', :source)
    AND run.changed = :position AND run.state = 'open'
    AND system_health_agents.agent_id = run.agent_id;
-- spoor: on agent.completed, agent.failed
INSERT INTO system_health_runs (correlationid, agent_id, state, changed, ended_time_ms)
VALUES (:correlationid, COALESCE(:data ->> 'agent_id', :source), 'early', :position, :time_ms)
ON CONFLICT (correlationid, agent_id) DO UPDATE SET
    state = 'ended', was_state = system_health_runs.state, changed = excluded.changed,
    ended_time_ms = excluded.ended_time_ms
WHERE system_health_runs.state = 'open';
UPDATE system_health_agents SET open_runs = open_runs - 1
FROM system_health_runs AS run
WHERE run.correlationid = :correlationid AND run.agent_id = COALESCE(:data ->> 'agent_id', :source)
    AND run.changed = :position AND run.was_state = 'open'
    AND system_health_agents.agent_id = run.agent_id;
-- spoor: on run.completed, run.failed, run.compensated, conversation.completed, conversation.failed, conversation.ended
UPDATE system_health_agents SET open_runs = open_runs - 1
WHERE agent_id IN (SELECT run.agent_id FROM system_health_runs AS run
    WHERE run.correlationid = :correlationid AND run.state = 'open');
UPDATE system_health_runs SET state = 'ended', was_state = 'open', changed = :position,
    ended_time_ms = :time_ms
WHERE correlationid = :correlationid AND state = 'open';

-- An assignment takes a task that is new, or that another agent has. One that is completed it takes
-- only where the producer's times say that it is later; one that failed or was cancelled, unless
-- they say that it is earlier, or this is the assignment whose end came before it.
-- spoor: on task.assigned, task.assigned.> where {"$or": [{"data.task_id": {"$exists": true, "$ne": null}}, {"data.id": {"$exists": true, "$ne": null}}, {"data.taskId": {"$exists": true, "$ne": null}}]}
INSERT INTO system_health_tasks (task_id, agent_id, state, changed)
VALUES (CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT),
    COALESCE(:data ->> 'agent_id', :data ->> 'agent',
        CASE WHEN :type <> 'task.assigned' THEN substr(:type, 15) END, :source), 'open', :position)
ON CONFLICT (task_id) DO UPDATE SET
    agent_id = excluded.agent_id, state = 'open', was_agent = system_health_tasks.agent_id,
    was_state = system_health_tasks.state, changed = excluded.changed, early = 0,
    ended_time_ms = NULL
WHERE (system_health_tasks.state = 'open' AND system_health_tasks.agent_id <> excluded.agent_id)
    OR (system_health_tasks.state IN ('failed', 'cancelled') AND system_health_tasks.early = 0
        AND NOT COALESCE(:time_ms <= system_health_tasks.ended_time_ms, FALSE))
    OR (system_health_tasks.state <> 'open' AND :time_ms > system_health_tasks.ended_time_ms);
UPDATE system_health_tasks SET early = 0
WHERE task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT);
-- spoor: on task.received, task.acknowledged, task.started where {"$or": [{"data.task_id": {"$exists": true, "$ne": null}}, {"data.id": {"$exists": true, "$ne": null}}, {"data.taskId": {"$exists": true, "$ne": null}}]}
INSERT INTO system_health_tasks (task_id, agent_id, state, changed)
VALUES (CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT),
    COALESCE(:data ->> 'agent_id', :source), 'open', :position)
ON CONFLICT (task_id) DO UPDATE SET
    agent_id = excluded.agent_id, state = 'open', was_agent = system_health_tasks.agent_id,
    was_state = system_health_tasks.state, changed = excluded.changed, early = 0,
    ended_time_ms = NULL
WHERE system_health_tasks.state <> 'open' AND :time_ms > system_health_tasks.ended_time_ms;
-- spoor: on task.assigned, task.assigned.>, task.received, task.acknowledged, task.started where {"$or": [{"data.task_id": {"$exists": true, "$ne": null}}, {"data.id": {"$exists": true, "$ne": null}}, {"data.taskId": {"$exists": true, "$ne": null}}]}
INSERT INTO system_health_agents (agent_id, presence)
SELECT task.agent_id, 'on' FROM system_health_tasks AS task
WHERE task.task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT)
    AND task.agent_id <> ''
ON CONFLICT (agent_id) DO NOTHING;
UPDATE system_health_agents SET current_task_count = current_task_count + 1,
    assigned_tasks = assigned_tasks + 1
FROM system_health_tasks AS task
WHERE task.task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT)
    AND task.changed = :position AND system_health_agents.agent_id = task.agent_id;
UPDATE system_health_agents SET current_task_count = current_task_count - 1
FROM system_health_tasks AS task
WHERE task.task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT)
    AND task.changed = :position AND task.was_state = 'open'
    AND system_health_agents.agent_id = task.was_agent;

-- The end of a task lowers the count of the agent that has it, once. An end that contradicts the
-- one before takes its place. Of a task that nobody was seen to assign, the one who
-- tells has done it.
-- spoor: on task.completed, task.failed, task.cancelled where {"$or": [{"data.task_id": {"$exists": true, "$ne": null}}, {"data.id": {"$exists": true, "$ne": null}}, {"data.taskId": {"$exists": true, "$ne": null}}]}
INSERT INTO system_health_tasks (task_id, agent_id, state, changed, early, ended_time_ms)
VALUES (CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT),
    COALESCE(:data ->> 'agent_id', CASE WHEN :type = 'task.cancelled' THEN '' ELSE :source END),
    substr(:type, 6), :position, 1, :time_ms)
ON CONFLICT (task_id) DO UPDATE SET
    state = excluded.state, was_agent = system_health_tasks.agent_id,
    agent_id = CASE WHEN system_health_tasks.agent_id = ''
        THEN excluded.agent_id ELSE system_health_tasks.agent_id END,
    was_state = CASE WHEN system_health_tasks.agent_id = ''
        THEN '' ELSE system_health_tasks.state END,
    changed = excluded.changed, ended_time_ms = excluded.ended_time_ms
WHERE system_health_tasks.state <> excluded.state;
-- spoor: on task.completed, task.failed where {"$or": [{"data.task_id": {"$exists": true, "$ne": null}}, {"data.id": {"$exists": true, "$ne": null}}, {"data.taskId": {"$exists": true, "$ne": null}}]}
INSERT INTO system_health_agents (agent_id, presence)
SELECT task.agent_id, 'on' FROM system_health_tasks AS task
WHERE task.task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT)
    AND task.agent_id <> ''
ON CONFLICT (agent_id) DO UPDATE SET
    presence = CASE WHEN system_health_agents.presence = 'failed'
        AND system_health_agents.agent_id = :source
        AND :type = 'task.completed' THEN 'on' ELSE system_health_agents.presence END;
-- spoor: on task.completed, task.failed, task.cancelled where {"$or": [{"data.task_id": {"$exists": true, "$ne": null}}, {"data.id": {"$exists": true, "$ne": null}}, {"data.taskId": {"$exists": true, "$ne": null}}]}
UPDATE system_health_agents SET
    current_task_count = current_task_count - CASE WHEN task.was_state = 'open' THEN 1 ELSE 0 END
FROM system_health_tasks AS task
WHERE task.task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT)
    AND task.changed = :position AND system_health_agents.agent_id = task.agent_id;
