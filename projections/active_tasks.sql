-- spoor: projection active_tasks version 1
--
-- The tasks that agents have: assigned, and neither completed nor failed nor cancelled.
-- docs/read-models.md says what each column means.

CREATE TABLE active_tasks (
    task_id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    task_type TEXT,
    priority TEXT,
    priority_rank BIGINT GENERATED ALWAYS AS (CASE lower(priority)
        WHEN 'low' THEN 1 WHEN 'medium' THEN 2 WHEN 'normal' THEN 2 WHEN 'high' THEN 3
        WHEN 'critical' THEN 4 WHEN 'urgent' THEN 4 ELSE 2 END) STORED,
    assigned_at TEXT NOT NULL
);
CREATE INDEX active_tasks_agent ON active_tasks (agent_id);

-- What a task's creation says of it, until the task is over.
CREATE TABLE active_tasks_created (
    task_id TEXT PRIMARY KEY,
    task_type TEXT,
    priority TEXT
);

-- The tasks that are over, so that an assignment which comes late does not open one again. `early`
-- is 1 where the end came before the assignment.
CREATE TABLE active_tasks_over (
    task_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    early BIGINT NOT NULL,
    ended_time_ms BIGINT
);

-- spoor: on task.created where {"$or": [{"data.task_id": {"$exists": true, "$ne": null}}, {"data.id": {"$exists": true, "$ne": null}}, {"data.taskId": {"$exists": true, "$ne": null}}]}
INSERT INTO active_tasks_created (task_id, task_type, priority)
SELECT CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT),
    :data ->> 'task_type', :data ->> 'priority'
WHERE NOT EXISTS (SELECT 1 FROM active_tasks_over
    WHERE task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT))
ON CONFLICT (task_id) DO UPDATE SET
    task_type = COALESCE(excluded.task_type, active_tasks_created.task_type),
    priority = COALESCE(excluded.priority, active_tasks_created.priority);
UPDATE active_tasks SET
    task_type = COALESCE(task_type, :data ->> 'task_type'),
    priority = COALESCE(priority, :data ->> 'priority')
WHERE task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT);

-- The rules are those of agent_status: which assignment counts, and which comes too late.
-- spoor: on task.assigned, task.assigned.> where {"$or": [{"data.task_id": {"$exists": true, "$ne": null}}, {"data.id": {"$exists": true, "$ne": null}}, {"data.taskId": {"$exists": true, "$ne": null}}]}
INSERT INTO active_tasks (task_id, agent_id, task_type, priority, assigned_at)
SELECT given.task_id, given.agent_id, COALESCE(:data ->> 'task_type', created.task_type),
    COALESCE(:data ->> 'priority', created.priority), COALESCE(:time, :recordedtime)
FROM (SELECT CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT)
        AS task_id,
    COALESCE(:data ->> 'agent_id', :data ->> 'agent',
        CASE WHEN :type <> 'task.assigned' THEN substr(:type, 15) END, :source)
        AS agent_id) AS given
LEFT JOIN active_tasks_created AS created ON created.task_id = given.task_id
WHERE NOT EXISTS (SELECT 1 FROM active_tasks_over AS gone
    WHERE gone.task_id = given.task_id
        AND NOT (gone.state IN ('failed', 'cancelled') AND gone.early = 0
                AND NOT COALESCE(:time_ms <= gone.ended_time_ms, FALSE)
            OR COALESCE(:time_ms > gone.ended_time_ms, FALSE)))
ON CONFLICT (task_id) DO UPDATE SET
    agent_id = excluded.agent_id,
    task_type = COALESCE(excluded.task_type, active_tasks.task_type),
    priority = COALESCE(excluded.priority, active_tasks.priority),
    assigned_at = CASE WHEN excluded.agent_id <> active_tasks.agent_id
        THEN excluded.assigned_at ELSE active_tasks.assigned_at END;
DELETE FROM active_tasks_over
WHERE task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT)
    AND task_id IN (SELECT task_id FROM active_tasks);
UPDATE active_tasks_over SET early = 0
WHERE task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT);
-- spoor: on task.received, task.acknowledged, task.started where {"$or": [{"data.task_id": {"$exists": true, "$ne": null}}, {"data.id": {"$exists": true, "$ne": null}}, {"data.taskId": {"$exists": true, "$ne": null}}]}
INSERT INTO active_tasks (task_id, agent_id, task_type, priority, assigned_at)
SELECT given.task_id, given.agent_id, COALESCE(:data ->> 'task_type', created.task_type),
    COALESCE(:data ->> 'priority', created.priority), COALESCE(:time, :recordedtime)
FROM (SELECT CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT)
        AS task_id,
    COALESCE(:data ->> 'agent_id', :source) AS agent_id) AS given
LEFT JOIN active_tasks_created AS created ON created.task_id = given.task_id
WHERE NOT EXISTS (SELECT 1 FROM active_tasks_over AS gone
    WHERE gone.task_id = given.task_id
        AND NOT (COALESCE(:time_ms > gone.ended_time_ms, FALSE)))
ON CONFLICT (task_id) DO NOTHING;
DELETE FROM active_tasks_over
WHERE task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT)
    AND task_id IN (SELECT task_id FROM active_tasks);

-- spoor: on task.completed, task.failed, task.cancelled where {"$or": [{"data.task_id": {"$exists": true, "$ne": null}}, {"data.id": {"$exists": true, "$ne": null}}, {"data.taskId": {"$exists": true, "$ne": null}}]}
INSERT INTO active_tasks_over (task_id, state, early, ended_time_ms)
SELECT CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT),
    substr(:type, 6),
    CASE WHEN EXISTS (SELECT 1 FROM active_tasks
        WHERE task_id =
            CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT))
        THEN 0 ELSE 1 END,
    :time_ms
WHERE TRUE
ON CONFLICT (task_id) DO UPDATE SET
    state = excluded.state, ended_time_ms = CASE WHEN active_tasks_over.state = excluded.state
        THEN active_tasks_over.ended_time_ms ELSE excluded.ended_time_ms END;
DELETE FROM active_tasks
WHERE task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT);
DELETE FROM active_tasks_created
WHERE task_id = CAST(COALESCE(:data ->> 'task_id', :data ->> 'id', :data ->> 'taskId') AS TEXT);
