-- spoor: projection saga_steps version 1
--
-- Each step of each saga that was reached: how it went forth, and how it was undone.
-- docs/read-models.md says what each column means.

CREATE TABLE saga_steps (
    sagaid TEXT NOT NULL,
    step TEXT NOT NULL,
    saga TEXT,
    correlationid TEXT NOT NULL,
    kind TEXT NOT NULL,
    action TEXT,
    status TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    started_at TEXT,
    ended_at TEXT,
    duration_ms BIGINT,
    due_at TEXT,
    result TEXT,
    error TEXT,
    reason TEXT,
    decided_by TEXT,
    choice TEXT,
    why TEXT,
    needs_attention BIGINT NOT NULL DEFAULT 0,
    irreversible BIGINT NOT NULL DEFAULT 0,
    compensation TEXT,
    compensation_status TEXT,
    compensation_attempts BIGINT NOT NULL DEFAULT 0,
    compensation_error TEXT,
    compensated_at TEXT,
    started_ms BIGINT,
    position BIGINT NOT NULL,
    PRIMARY KEY (sagaid, step)
);
CREATE INDEX saga_steps_action ON saga_steps (action, status);
CREATE INDEX saga_steps_attention ON saga_steps (needs_attention, sagaid);

-- spoor: on saga.step.started where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
INSERT INTO saga_steps (sagaid, step, saga, correlationid, kind, action, status, attempts,
    started_at, due_at, irreversible, compensation, compensation_status, started_ms, position)
VALUES (substr(:stream, 6), :sagastep, :saga, :correlationid,
    COALESCE(:data ->> 'kind', 'action'),
    :data ->> 'action', CASE WHEN :data ->> 'kind' IN ('wait', 'approval') THEN 'waiting'
        ELSE 'running' END,
    1, :recordedtime, COALESCE(:data ->> 'until', :data ->> 'timeout_at'), 0,
    :data ->> 'compensation',
    CASE WHEN :data ->> 'compensation' IS NULL THEN NULL ELSE 'armed' END, :recordedtime_ms,
    :position)
ON CONFLICT (sagaid, step) DO UPDATE SET status = excluded.status, kind = excluded.kind,
    action = excluded.action, attempts = saga_steps.attempts + 1, due_at = excluded.due_at,
    started_at = COALESCE(saga_steps.started_at, excluded.started_at), ended_at = NULL,
    duration_ms = NULL, started_ms = excluded.started_ms,
    compensation = COALESCE(excluded.compensation, saga_steps.compensation),
    compensation_status =
        COALESCE(excluded.compensation_status, saga_steps.compensation_status);
-- spoor: on saga.step.started where {"stream": {"$prefix": "saga:"}, "data.irreversible": true}
UPDATE saga_steps SET irreversible = 1
WHERE sagaid = substr(:stream, 6) AND step = :sagastep;

-- spoor: on saga.step.completed where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE saga_steps SET status = 'completed', ended_at = :recordedtime, due_at = NULL,
    duration_ms = :recordedtime_ms - started_ms, result = CAST(:data -> 'result' AS TEXT),
    error = NULL
WHERE sagaid = substr(:stream, 6) AND step = :sagastep;

-- spoor: on saga.step.failed, saga.step.timed_out where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE saga_steps SET
    status = CASE WHEN :data ->> 'retry_at' IS NOT NULL THEN 'retrying' ELSE substr(:type, 11) END,
    ended_at = :recordedtime, due_at = :data ->> 'retry_at',
    duration_ms = :recordedtime_ms - started_ms,
    error = CASE WHEN :type = 'saga.step.timed_out' THEN 'no answer in time'
        ELSE CAST(:data ->> 'error' AS TEXT) END
WHERE sagaid = substr(:stream, 6) AND step = :sagastep;

-- A step may be passed over, or a condition of it may fail, before it was ever started.
-- spoor: on saga.step.skipped, saga.step.failed, saga.step.completed where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
INSERT INTO saga_steps (sagaid, step, saga, correlationid, kind, status, ended_at, result, error,
    position)
VALUES (substr(:stream, 6), :sagastep, :saga, :correlationid, 'step', substr(:type, 11), :recordedtime,
    CAST(:data -> 'result' AS TEXT), CAST(:data ->> 'error' AS TEXT), :position)
ON CONFLICT (sagaid, step) DO NOTHING;
-- spoor: on saga.step.skipped where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE saga_steps SET status = 'skipped', ended_at = :recordedtime, due_at = NULL,
    reason = :data ->> 'reason', decided_by = COALESCE(:data ->> 'by', decided_by),
    why = COALESCE(:data ->> 'why', why)
WHERE sagaid = substr(:stream, 6) AND step = :sagastep;

-- spoor: on saga.step.cancelled where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE saga_steps SET status = 'cancelled', ended_at = :recordedtime, due_at = NULL,
    reason = :data ->> 'reason'
WHERE sagaid = substr(:stream, 6) AND step = :sagastep;

-- spoor: on saga.approval.requested where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
INSERT INTO saga_steps (sagaid, step, saga, correlationid, kind, status, attempts, started_at,
    due_at, started_ms, position)
VALUES (substr(:stream, 6), :sagastep, :saga, :correlationid, 'approval', 'waiting', 1, :recordedtime,
    :data ->> 'deadline', :recordedtime_ms, :position)
ON CONFLICT (sagaid, step) DO UPDATE SET kind = excluded.kind, status = excluded.status,
    due_at = excluded.due_at;

-- spoor: on saga.approval.granted, saga.approval.rejected where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE saga_steps SET status = 'completed', ended_at = :recordedtime, due_at = NULL,
    duration_ms = :recordedtime_ms - started_ms, choice = :data ->> 'choice',
    decided_by = :data ->> 'by', why = :data ->> 'reason'
WHERE sagaid = substr(:stream, 6) AND step = :sagastep;

-- spoor: on saga.step.compensating where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE saga_steps SET compensation_status = 'running',
    compensation = COALESCE(:data ->> 'action', compensation),
    compensation_attempts = compensation_attempts + 1, due_at = :data ->> 'timeout_at'
WHERE sagaid = substr(:stream, 6) AND step = :sagastep;

-- spoor: on saga.step.compensated where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE saga_steps SET compensated_at = :recordedtime, due_at = NULL,
    compensation_status = CASE WHEN COALESCE(:data ->> 'how', 'worker') = 'worker'
        THEN 'compensated' ELSE :data ->> 'how' END,
    compensation_error = CASE WHEN COALESCE(:data ->> 'how', 'worker') = 'worker'
        THEN NULL ELSE compensation_error END
WHERE sagaid = substr(:stream, 6) AND step = :sagastep;

-- spoor: on saga.step.compensation_failed where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE saga_steps SET compensation_error = CAST(:data ->> 'error' AS TEXT),
    compensation_status = CASE WHEN :data ->> 'retry_at' IS NULL THEN 'failed' ELSE 'retrying' END,
    due_at = :data ->> 'retry_at'
WHERE sagaid = substr(:stream, 6) AND step = :sagastep;

-- spoor: on saga.needs_attention where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE saga_steps SET needs_attention = 1, due_at = NULL
WHERE sagaid = substr(:stream, 6) AND step = :sagastep;

-- spoor: on saga.attention.resolved where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE saga_steps SET needs_attention = 0, decided_by = :data ->> 'by', why = :data ->> 'why',
    choice = :data ->> 'action'
WHERE sagaid = substr(:stream, 6) AND step = :sagastep;

-- spoor: on saga.completed, saga.compensated, saga.cancelled where {"stream": {"$prefix": "saga:"}}
UPDATE saga_steps SET needs_attention = 0, due_at = NULL
WHERE sagaid = substr(:stream, 6) AND (needs_attention = 1 OR due_at IS NOT NULL);
