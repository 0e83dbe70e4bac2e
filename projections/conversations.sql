-- spoor: projection conversations version 1
--
-- Each conversation: who answers, how much it took, whether an answer is owed, how long it took.
-- docs/read-models.md says what each column means.

CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    started_at TEXT NOT NULL,
    active_agent TEXT,
    status TEXT NOT NULL,
    tool_count BIGINT NOT NULL DEFAULT 0,
    handoff_count BIGINT NOT NULL DEFAULT 0,
    last_tool TEXT,
    duration_ms DOUBLE PRECISION,
    user_messages BIGINT NOT NULL DEFAULT 0,
    responses BIGINT NOT NULL DEFAULT 0,
    updated_at TEXT,
    completed_at TEXT,
    ended BIGINT NOT NULL DEFAULT 0,
    started_time_ms BIGINT,
    started_recorded_ms BIGINT NOT NULL
);
CREATE INDEX conversations_agent ON conversations (active_agent);

-- What was seen of a conversation before its start; runs that are no conversations stay here.
CREATE TABLE conversations_early (
    id TEXT PRIMARY KEY,
    active_agent TEXT,
    status TEXT NOT NULL DEFAULT 'active',
    tool_count BIGINT NOT NULL DEFAULT 0,
    handoff_count BIGINT NOT NULL DEFAULT 0,
    last_tool TEXT,
    user_messages BIGINT NOT NULL DEFAULT 0,
    responses BIGINT NOT NULL DEFAULT 0,
    updated_at TEXT,
    completed_at TEXT,
    completed_time_ms BIGINT,
    ended BIGINT NOT NULL DEFAULT 0
);

-- spoor: on conversation.started, conversation_started, ConversationStarted
INSERT INTO conversations (id, started_at, active_agent, status, tool_count, handoff_count,
    last_tool, user_messages, responses, updated_at, completed_at, duration_ms, ended,
    started_time_ms, started_recorded_ms)
SELECT :correlationid, COALESCE(:time, :recordedtime), COALESCE(early.active_agent, :source),
    COALESCE(early.status, 'active'), COALESCE(early.tool_count, 0),
    COALESCE(early.handoff_count, 0), early.last_tool, COALESCE(early.user_messages, 0),
    COALESCE(early.responses, 0), COALESCE(early.updated_at, :time, :recordedtime),
    early.completed_at, early.completed_time_ms - :time_ms, COALESCE(early.ended, 0), :time_ms,
    :recordedtime_ms
FROM (SELECT 1 AS one) AS always
LEFT JOIN conversations_early AS early ON early.id = :correlationid
WHERE TRUE
ON CONFLICT (id) DO NOTHING;
DELETE FROM conversations_early WHERE id = :correlationid;

-- A conversation that goes on is active again, unless it was ended.
-- spoor: on message.user
UPDATE conversations SET user_messages = user_messages + 1,
    status = CASE WHEN ended = 1 THEN status ELSE 'active' END,
    updated_at = COALESCE(:time, :recordedtime)
WHERE id = :correlationid;
INSERT INTO conversations_early (id, user_messages, updated_at)
SELECT :correlationid, 1, COALESCE(:time, :recordedtime)
WHERE NOT EXISTS (SELECT 1 FROM conversations WHERE id = :correlationid)
ON CONFLICT (id) DO UPDATE SET user_messages = conversations_early.user_messages + 1,
    status = CASE WHEN conversations_early.ended = 1
        THEN conversations_early.status ELSE 'active' END,
    updated_at = excluded.updated_at;

-- spoor: on tool.called, tool_called, ToolCalled, tool.invoked, tool.requested, agent.tool_called
UPDATE conversations SET tool_count = tool_count + 1,
    last_tool = COALESCE(:data ->> 'tool', :data ->> 'tool_name', last_tool),
    status = CASE WHEN ended = 1 THEN status ELSE 'active' END,
    updated_at = COALESCE(:time, :recordedtime)
WHERE id = :correlationid;
INSERT INTO conversations_early (id, tool_count, last_tool, updated_at)
SELECT :correlationid, 1, COALESCE(:data ->> 'tool', :data ->> 'tool_name'),
    COALESCE(:time, :recordedtime)
WHERE NOT EXISTS (SELECT 1 FROM conversations WHERE id = :correlationid)
ON CONFLICT (id) DO UPDATE SET tool_count = conversations_early.tool_count + 1,
    last_tool = COALESCE(excluded.last_tool, conversations_early.last_tool),
    status = CASE WHEN conversations_early.ended = 1
        THEN conversations_early.status ELSE 'active' END,
    updated_at = excluded.updated_at;

-- spoor: on handoff.initiated, handoff_initiated, HandoffInitiated
UPDATE conversations SET handoff_count = handoff_count + 1,
    active_agent = COALESCE(:data ->> 'to', :data ->> 'to_agent', active_agent),
    status = CASE WHEN ended = 1 THEN status ELSE 'active' END,
    updated_at = COALESCE(:time, :recordedtime)
WHERE id = :correlationid;
INSERT INTO conversations_early (id, handoff_count, active_agent, updated_at)
SELECT :correlationid, 1, COALESCE(:data ->> 'to', :data ->> 'to_agent'),
    COALESCE(:time, :recordedtime)
WHERE NOT EXISTS (SELECT 1 FROM conversations WHERE id = :correlationid)
ON CONFLICT (id) DO UPDATE SET handoff_count = conversations_early.handoff_count + 1,
    active_agent = COALESCE(excluded.active_agent, conversations_early.active_agent),
    status = CASE WHEN conversations_early.ended = 1
        THEN conversations_early.status ELSE 'active' END,
    updated_at = excluded.updated_at;
-- spoor: on handoff.rejected where {"data.from": {"$prefix": ""}, "data.to": {"$prefix": ""}}
UPDATE conversations SET active_agent = :data ->> 'from',
    updated_at = COALESCE(:time, :recordedtime)
WHERE id = :correlationid AND active_agent = :data ->> 'to';

-- An answer completes what was asked. Who answers is at it, where nobody was named by a handoff.
-- Both times are the producer's, or, where one of them is missing, the store's.
-- spoor: on response.generated, response_generated, ResponseGenerated
UPDATE conversations SET responses = responses + 1,
    active_agent = CASE WHEN handoff_count = 0 THEN :source ELSE active_agent END,
    status = CASE WHEN ended = 1 THEN status ELSE 'completed' END,
    completed_at = CASE WHEN ended = 1 THEN completed_at ELSE COALESCE(:time, :recordedtime) END,
    duration_ms = CASE WHEN ended = 1 THEN duration_ms ELSE
        COALESCE(:time_ms - started_time_ms, :recordedtime_ms - started_recorded_ms) END,
    updated_at = COALESCE(:time, :recordedtime)
WHERE id = :correlationid;
INSERT INTO conversations_early (id, responses, active_agent, status, completed_at,
    completed_time_ms, updated_at)
SELECT :correlationid, 1, :source, 'completed', COALESCE(:time, :recordedtime), :time_ms,
    COALESCE(:time, :recordedtime)
WHERE NOT EXISTS (SELECT 1 FROM conversations WHERE id = :correlationid)
ON CONFLICT (id) DO UPDATE SET responses = conversations_early.responses + 1,
    active_agent = CASE WHEN conversations_early.handoff_count = 0
        THEN excluded.active_agent ELSE conversations_early.active_agent END,
    status = CASE WHEN conversations_early.ended = 1
        THEN conversations_early.status ELSE 'completed' END,
    completed_at = CASE WHEN conversations_early.ended = 1
        THEN conversations_early.completed_at ELSE excluded.completed_at END,
    completed_time_ms = CASE WHEN conversations_early.ended = 1
        THEN conversations_early.completed_time_ms ELSE excluded.completed_time_ms END,
    updated_at = excluded.updated_at;

-- The end. A failure stays one where `conversation.ended` follows.
-- spoor: on run.completed, run.failed, run.compensated, conversation.completed, conversation.failed, conversation.ended
UPDATE conversations SET
    status = CASE WHEN :type = 'conversation.ended' AND ended = 1 THEN status
        WHEN :type IN ('run.completed', 'conversation.completed', 'conversation.ended')
        THEN 'completed' ELSE 'failed' END,
    completed_at = COALESCE(:time, :recordedtime), ended = 1,
    duration_ms =
        COALESCE(:time_ms - started_time_ms, :recordedtime_ms - started_recorded_ms),
    updated_at = COALESCE(:time, :recordedtime)
WHERE id = :correlationid;
INSERT INTO conversations_early (id, status, completed_at, completed_time_ms, ended, updated_at)
SELECT :correlationid,
    CASE WHEN :type IN ('run.completed', 'conversation.completed', 'conversation.ended')
        THEN 'completed' ELSE 'failed' END,
    COALESCE(:time, :recordedtime), :time_ms, 1, COALESCE(:time, :recordedtime)
WHERE NOT EXISTS (SELECT 1 FROM conversations WHERE id = :correlationid)
ON CONFLICT (id) DO UPDATE SET
    status = CASE WHEN :type = 'conversation.ended' AND conversations_early.ended = 1
        THEN conversations_early.status ELSE excluded.status END,
    completed_at = excluded.completed_at, completed_time_ms = excluded.completed_time_ms,
    ended = 1, updated_at = excluded.updated_at;
-- spoor: on conversation.completed, conversation.failed, conversation.ended, run.completed, run.failed where {"data.duration_ms": {"$gte": 0, "$lte": 1e12}}
UPDATE conversations SET duration_ms = CAST(:data ->> 'duration_ms' AS DOUBLE PRECISION)
WHERE id = :correlationid;

-- An agent's failure stands until the conversation goes on.
-- spoor: on agent.failed
UPDATE conversations SET status = CASE WHEN ended = 1 THEN status ELSE 'failed' END,
    updated_at = COALESCE(:time, :recordedtime)
WHERE id = :correlationid;
