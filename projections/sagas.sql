-- spoor: projection sagas version 1
--
-- Each saga: how it stands, what it waits for, what came of it.
-- docs/read-models.md says what each column means.

CREATE TABLE sagas (
    sagaid TEXT PRIMARY KEY,
    saga TEXT,
    version TEXT,
    saga_key TEXT,
    status TEXT NOT NULL,
    waiting_for TEXT,
    waiting_step TEXT,
    due_at TEXT,
    started_at TEXT NOT NULL,
    started_by TEXT,
    timeout_at TEXT,
    ended_at TEXT,
    duration_ms BIGINT,
    correlationid TEXT NOT NULL,
    causationid TEXT,
    forked_from TEXT,
    failed_step TEXT,
    error TEXT,
    reason TEXT,
    ended_by TEXT,
    not_undone TEXT,
    attempts BIGINT NOT NULL DEFAULT 0,
    steps_completed BIGINT NOT NULL DEFAULT 0,
    steps_compensated BIGINT NOT NULL DEFAULT 0,
    retries BIGINT NOT NULL DEFAULT 0,
    answers_ignored BIGINT NOT NULL DEFAULT 0,
    interventions BIGINT NOT NULL DEFAULT 0,
    definition TEXT,
    started_ms BIGINT NOT NULL,
    updated_at TEXT NOT NULL,
    position BIGINT NOT NULL,
    phase TEXT NOT NULL
);
CREATE INDEX sagas_status ON sagas (status, saga);
CREATE INDEX sagas_correlation ON sagas (correlationid);

-- What each running saga waits for; `urgency` says which of several things is shown.
CREATE TABLE sagas_waits (
    sagaid TEXT NOT NULL,
    step TEXT NOT NULL,
    waiting_for TEXT NOT NULL,
    urgency BIGINT NOT NULL,
    due_at TEXT,
    PRIMARY KEY (sagaid, step)
);

-- spoor: on saga.started where {"stream": {"$prefix": "saga:"}}
INSERT INTO sagas (sagaid, saga, version, saga_key, status, started_at, started_by, timeout_at,
    correlationid, causationid, forked_from, definition, started_ms, updated_at, position, phase)
VALUES (substr(:stream, 6), :data ->> 'saga', CAST(:data ->> 'version' AS TEXT), :data ->> 'key',
    'running',
    :recordedtime, :data ->> 'by', :data ->> 'timeout_at', :correlationid, :causationid,
    :data -> 'forked_from' ->> 'sagaid', :data ->> 'definition', :recordedtime_ms, :recordedtime,
    :position, 'running')
ON CONFLICT (sagaid) DO NOTHING;

-- What a step begins to wait for: its worker, its time or its event.
-- spoor: on saga.step.started where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
INSERT INTO sagas_waits (sagaid, step, waiting_for, urgency, due_at)
SELECT substr(:stream, 6), :sagastep,
    CASE WHEN :data ->> 'action' IS NOT NULL THEN 'worker'
        WHEN :data ->> 'event' IS NOT NULL THEN 'event' ELSE 'timer' END,
    CASE WHEN :data ->> 'action' IS NOT NULL THEN 3
        WHEN :data ->> 'event' IS NOT NULL THEN 2 ELSE 1 END,
    COALESCE(:data ->> 'until', :data ->> 'timeout_at')
WHERE :data ->> 'action' IS NOT NULL OR :data ->> 'kind' = 'wait'
ON CONFLICT (sagaid, step) DO UPDATE SET waiting_for = excluded.waiting_for,
    urgency = excluded.urgency, due_at = excluded.due_at;
UPDATE sagas SET attempts = attempts + 1
WHERE sagaid = substr(:stream, 6) AND :data ->> 'action' IS NOT NULL;

-- spoor: on saga.step.failed, saga.step.timed_out, saga.step.compensation_failed where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
DELETE FROM sagas_waits
WHERE sagaid = substr(:stream, 6) AND step = :sagastep AND :data ->> 'retry_at' IS NULL;
UPDATE sagas_waits SET waiting_for = 'timer', urgency = 1, due_at = :data ->> 'retry_at'
WHERE sagaid = substr(:stream, 6) AND step = :sagastep;
UPDATE sagas SET retries = retries + 1
WHERE sagaid = substr(:stream, 6) AND :data ->> 'retry_at' IS NOT NULL;

-- spoor: on saga.step.completed, saga.step.skipped, saga.approval.granted, saga.approval.rejected, saga.step.compensated, saga.attention.resolved where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
DELETE FROM sagas_waits WHERE sagaid = substr(:stream, 6) AND step = :sagastep;
UPDATE sagas SET
    steps_completed = steps_completed + CASE WHEN :type = 'saga.step.completed' THEN 1 ELSE 0 END,
    steps_compensated =
        steps_compensated + CASE WHEN :type = 'saga.step.compensated' THEN 1 ELSE 0 END,
    interventions =
        interventions + CASE WHEN :type = 'saga.attention.resolved' THEN 1 ELSE 0 END
WHERE sagaid = substr(:stream, 6)
    AND :type NOT IN ('saga.approval.granted', 'saga.approval.rejected');

-- spoor: on saga.approval.requested where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
INSERT INTO sagas_waits (sagaid, step, waiting_for, urgency, due_at)
VALUES (substr(:stream, 6), :sagastep, 'approval', 4, :data ->> 'deadline')
ON CONFLICT (sagaid, step) DO UPDATE SET waiting_for = excluded.waiting_for,
    urgency = excluded.urgency, due_at = excluded.due_at;

-- spoor: on saga.cancel.requested where {"stream": {"$prefix": "saga:"}}
UPDATE sagas SET reason = COALESCE(:data ->> 'reason', reason), ended_by = :data ->> 'by'
WHERE sagaid = substr(:stream, 6);

-- No step goes forth from here on.
-- spoor: on saga.compensation.started where {"stream": {"$prefix": "saga:"}}
DELETE FROM sagas_waits WHERE sagaid = substr(:stream, 6) AND waiting_for <> 'operator';
UPDATE sagas SET phase = 'compensating', failed_step = :data ->> 'step',
    error = CAST(:data ->> 'error' AS TEXT), reason = COALESCE(reason, :data ->> 'reason')
WHERE sagaid = substr(:stream, 6);

-- spoor: on saga.step.compensating where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
INSERT INTO sagas_waits (sagaid, step, waiting_for, urgency, due_at)
VALUES (substr(:stream, 6), :sagastep, 'worker', 3, :data ->> 'timeout_at')
ON CONFLICT (sagaid, step) DO UPDATE SET waiting_for = excluded.waiting_for,
    urgency = excluded.urgency, due_at = excluded.due_at;

-- spoor: on saga.needs_attention where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
INSERT INTO sagas_waits (sagaid, step, waiting_for, urgency, due_at)
VALUES (substr(:stream, 6), :sagastep, 'operator', 5, NULL)
ON CONFLICT (sagaid, step) DO UPDATE SET waiting_for = excluded.waiting_for,
    urgency = excluded.urgency, due_at = excluded.due_at;
UPDATE sagas SET failed_step = :sagastep,
    error = COALESCE(CAST(:data ->> 'error' AS TEXT), error)
WHERE sagaid = substr(:stream, 6);

-- spoor: on saga.answer.ignored where {"stream": {"$prefix": "saga:"}}
UPDATE sagas SET answers_ignored = answers_ignored + 1 WHERE sagaid = substr(:stream, 6);

-- spoor: on saga.completed, saga.compensated, saga.cancelled where {"stream": {"$prefix": "saga:"}}
DELETE FROM sagas_waits WHERE sagaid = substr(:stream, 6);
UPDATE sagas SET status = substr(:type, 6), phase = 'over', ended_at = :recordedtime,
    duration_ms = :recordedtime_ms - started_ms,
    error = CASE WHEN :type = 'saga.completed' THEN NULL
        ELSE COALESCE(CAST(:data ->> 'error' AS TEXT), error) END,
    reason = CASE WHEN :type = 'saga.completed' THEN NULL
        ELSE COALESCE(:data ->> 'reason', reason) END,
    ended_by = COALESCE(:data ->> 'by', ended_by),
    not_undone = CASE WHEN CAST(:data ->> 'not_undone' AS TEXT) = '[]' THEN NULL
        ELSE CAST(:data ->> 'not_undone' AS TEXT) END
WHERE sagaid = substr(:stream, 6);

-- How it stands now, from what it waits for.
-- spoor: on saga.# where {"stream": {"$prefix": "saga:"}}
UPDATE sagas SET updated_at = :recordedtime, position = :position,
    waiting_for = shown.waiting_for, waiting_step = shown.step, due_at = shown.due_at,
    status = CASE WHEN phase = 'over' THEN status
        WHEN shown.waiting_for = 'operator' THEN 'needs_attention' ELSE phase END
FROM (SELECT waits.step, waits.waiting_for, waits.due_at FROM (SELECT 1 AS one) AS always
    LEFT JOIN (SELECT step, waiting_for, due_at FROM sagas_waits
        WHERE sagaid = substr(:stream, 6) ORDER BY urgency DESC, step LIMIT 1) AS waits ON TRUE)
    AS shown
WHERE sagas.sagaid = substr(:stream, 6);
