-- spoor: projection approvals version 1
--
-- What people were asked to decide, in sagas and without one: what is pending, and who decided what.
-- docs/read-models.md says what each column means.

CREATE TABLE approvals (
    approval TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    prompt TEXT,
    choices TEXT,
    who TEXT,
    requested_by TEXT,
    requested_at TEXT NOT NULL,
    deadline TEXT,
    escalated_at TEXT,
    choice TEXT,
    decided_by TEXT,
    decided_at TEXT,
    reason TEXT,
    on_timeout BIGINT NOT NULL DEFAULT 0,
    ignored BIGINT NOT NULL DEFAULT 0,
    sagaid TEXT,
    saga TEXT,
    step TEXT,
    data TEXT,
    correlationid TEXT NOT NULL,
    proposal_position BIGINT NOT NULL
);
CREATE INDEX approvals_status ON approvals (status, requested_at);
CREATE INDEX approvals_saga ON approvals (sagaid, step);
CREATE INDEX approvals_proposal ON approvals (proposal_position);

-- ---- without a saga ----

-- spoor: on action.proposed where {"$not": {"stream": {"$prefix": "saga:"}}}
INSERT INTO approvals (approval, status, prompt, choices, who, requested_by, requested_at,
    deadline, data, correlationid, proposal_position)
VALUES (:id, 'pending', CAST(COALESCE(:data ->> 'prompt', :data ->> 'action') AS TEXT),
    CAST(:data ->> 'choices' AS TEXT), CAST(:data ->> 'who' AS TEXT), :source, :recordedtime,
    :data ->> 'deadline', :data_text, :correlationid, :position)
ON CONFLICT (approval) DO NOTHING;

-- spoor: on approval.granted, approval.rejected, approval.expired where {"stream": "$approvals"}
UPDATE approvals SET status = substr(:type, 10), choice = :data ->> 'choice',
    decided_by = :data ->> 'by', decided_at = :recordedtime, reason = :data ->> 'reason'
WHERE proposal_position = CAST(:proposalposition AS BIGINT) AND sagaid IS NULL
    AND status = 'pending';
-- spoor: on approval.granted, approval.rejected where {"stream": "$approvals", "data.on_timeout": true}
UPDATE approvals SET on_timeout = 1
WHERE proposal_position = CAST(:proposalposition AS BIGINT) AND sagaid IS NULL;

-- spoor: on approval.escalated where {"stream": "$approvals"}
UPDATE approvals SET escalated_at = :recordedtime,
    who = COALESCE(CAST(:data ->> 'to' AS TEXT), who)
WHERE proposal_position = CAST(:proposalposition AS BIGINT) AND sagaid IS NULL;

-- A decision without effect; or a proposal that was not taken, which then was never pending.
-- spoor: on approval.ignored where {"stream": "$approvals"}
UPDATE approvals SET ignored = ignored + 1,
    status = CASE WHEN :data ->> 'reason' IN ('invalid', 'same_id', 'full') AND status = 'pending'
        THEN 'ignored' ELSE status END,
    reason = CASE WHEN :data ->> 'reason' IN ('invalid', 'same_id', 'full') AND status = 'pending'
        THEN COALESCE(:data ->> 'error', :data ->> 'reason') ELSE reason END
WHERE proposal_position = CAST(:proposalposition AS BIGINT) AND sagaid IS NULL;

-- ---- in sagas ----

-- spoor: on saga.approval.requested where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
INSERT INTO approvals (approval, status, prompt, choices, who, requested_by, requested_at,
    deadline, sagaid, saga, step, data, correlationid, proposal_position)
VALUES (COALESCE(:data ->> 'proposal', substr(:stream, 6) || '/' || (:sagastep)), 'pending',
    :data ->> 'prompt', CAST(:data ->> 'choices' AS TEXT), CAST(:data ->> 'who' AS TEXT), :source,
    :recordedtime, :data ->> 'deadline', substr(:stream, 6), :saga, :sagastep,
    CAST(:data ->> 'data' AS TEXT), :correlationid, :position)
ON CONFLICT (approval) DO NOTHING;

-- spoor: on saga.approval.granted, saga.approval.rejected where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE approvals SET status = substr(:type, 15), choice = :data ->> 'choice',
    decided_by = :data ->> 'by', decided_at = :recordedtime, reason = :data ->> 'reason'
WHERE sagaid = substr(:stream, 6) AND step = :sagastep AND status = 'pending';
-- spoor: on saga.approval.granted, saga.approval.rejected where {"stream": {"$prefix": "saga:"}, "data.on_timeout": true}
UPDATE approvals SET on_timeout = 1
WHERE sagaid = substr(:stream, 6) AND step = :sagastep AND decided_at = :recordedtime;

-- spoor: on saga.approval.escalated where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE approvals SET escalated_at = :recordedtime,
    who = COALESCE(CAST(:data ->> 'to' AS TEXT), who)
WHERE sagaid = substr(:stream, 6) AND step = :sagastep AND status = 'pending';

-- spoor: on saga.answer.ignored where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE approvals SET ignored = ignored + 1 WHERE sagaid = substr(:stream, 6) AND step = :sagastep;

-- Its time ran out where that is a failure of the step.
-- spoor: on saga.step.timed_out, saga.step.failed where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE approvals SET status = 'expired', decided_at = :recordedtime, on_timeout = 1
WHERE sagaid = substr(:stream, 6) AND step = :sagastep AND status = 'pending';

-- Nobody needs to decide any more.
-- spoor: on saga.step.cancelled, saga.step.skipped where {"stream": {"$prefix": "saga:"}, "sagastep": {"$prefix": ""}}
UPDATE approvals SET status = 'withdrawn', decided_at = :recordedtime
WHERE sagaid = substr(:stream, 6) AND step = :sagastep AND status = 'pending';
-- spoor: on saga.compensation.started, saga.completed, saga.compensated, saga.cancelled where {"stream": {"$prefix": "saga:"}}
UPDATE approvals SET status = 'withdrawn', decided_at = :recordedtime
WHERE sagaid = substr(:stream, 6) AND status = 'pending';
