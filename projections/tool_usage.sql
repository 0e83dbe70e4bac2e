-- spoor: projection tool_usage version 1
--
-- How often each tool was called, and how often it answered with an error.
-- docs/read-models.md says what each column means.

CREATE TABLE tool_usage (
    tool TEXT PRIMARY KEY,
    calls BIGINT NOT NULL DEFAULT 0,
    errors BIGINT NOT NULL DEFAULT 0,
    last_called TEXT,
    last_error TEXT
);

-- Which tool a call was of, for results that name only the call. Ids of calls are not unique, not
-- even in one run: a result belongs to the latest call of its id.
CREATE TABLE tool_usage_calls (
    correlationid TEXT NOT NULL,
    tool_call_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    PRIMARY KEY (correlationid, tool_call_id)
);

-- spoor: on tool.called, tool_called, ToolCalled, tool.invoked, tool.requested, agent.tool_called where {"$or": [{"data.tool": {"$prefix": ""}}, {"data.tool_name": {"$prefix": ""}}]}
INSERT INTO tool_usage (tool, calls, last_called)
VALUES (COALESCE(:data ->> 'tool', :data ->> 'tool_name'), 1, COALESCE(:time, :recordedtime))
ON CONFLICT (tool) DO UPDATE SET
    calls = tool_usage.calls + 1, last_called = excluded.last_called;

-- spoor: on tool.called, tool_called, ToolCalled, tool.invoked, tool.requested, agent.tool_called where {"$or": [{"data.tool": {"$prefix": ""}}, {"data.tool_name": {"$prefix": ""}}], "data.tool_call_id": {"$exists": true, "$ne": null}}
INSERT INTO tool_usage_calls (correlationid, tool_call_id, tool)
VALUES (:correlationid, :data ->> 'tool_call_id', COALESCE(:data ->> 'tool', :data ->> 'tool_name'))
ON CONFLICT (correlationid, tool_call_id) DO UPDATE SET tool = excluded.tool;

-- An error that names its tool, or whose call is known.
-- spoor: on tool.result, tool_result, ToolResult, agent.tool_result, tool.completed where {"$or": [{"data.is_error": true}, {"data.error": {"$exists": true, "$nin": [null, false, ""]}}]}
INSERT INTO tool_usage (tool, errors, last_error)
SELECT found.tool, 1, found.error
FROM (SELECT COALESCE(:data ->> 'tool', :data ->> 'tool_name',
        (SELECT tool FROM tool_usage_calls AS call
         WHERE call.correlationid = :correlationid
            AND call.tool_call_id = CAST(:data ->> 'tool_call_id' AS TEXT))) AS tool,
        COALESCE(:data -> 'error' ->> 'message', :data ->> 'error', :data ->> 'content') AS error
    ) AS found
WHERE found.tool IS NOT NULL
ON CONFLICT (tool) DO UPDATE SET
    errors = tool_usage.errors + 1, last_error = excluded.last_error;
-- spoor: on tool.failed
INSERT INTO tool_usage (tool, errors, last_error)
SELECT found.tool, 1, found.error
FROM (SELECT COALESCE(:data ->> 'tool', :data ->> 'tool_name',
        (SELECT tool FROM tool_usage_calls AS call
         WHERE call.correlationid = :correlationid
            AND call.tool_call_id = CAST(:data ->> 'tool_call_id' AS TEXT))) AS tool,
        COALESCE(:data -> 'error' ->> 'message', :data ->> 'error') AS error
    ) AS found
WHERE found.tool IS NOT NULL
ON CONFLICT (tool) DO UPDATE SET
    errors = tool_usage.errors + 1, last_error = excluded.last_error;

-- spoor: on tool.result, tool_result, ToolResult, agent.tool_result, tool.completed, tool.failed, tool.unknown where {"data.tool_call_id": {"$exists": true, "$ne": null}}
DELETE FROM tool_usage_calls
WHERE correlationid = :correlationid AND tool_call_id = CAST(:data ->> 'tool_call_id' AS TEXT);
