-- spoor: projection timers version 1
--
-- What is to happen later: delayed events that wait for their time, and schedules.
-- docs/read-models.md says what each column means.

CREATE TABLE timers (
    timer TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT,
    type TEXT,
    saga TEXT,
    source TEXT,
    stream TEXT,
    due_at TEXT,
    due_ms BIGINT,
    cron TEXT,
    every TEXT,
    timezone TEXT,
    fired BIGINT NOT NULL DEFAULT 0,
    failed BIGINT NOT NULL DEFAULT 0,
    last_due_at TEXT,
    set_at TEXT NOT NULL,
    position BIGINT NOT NULL
);
CREATE INDEX timers_due ON timers (due_ms);

-- spoor: on event.delayed where {"stream": "$delayed", "dueus": {"$gte": 0, "$lt": 2.5e17}}
-- spoor: only sqlite
INSERT INTO timers (timer, kind, name, type, source, stream, due_at, due_ms, set_at, position)
VALUES ('delayed:' || :position, 'delayed', :data ->> 'id', :data ->> 'type',
    :data ->> 'source', :data ->> 'stream',
    strftime('%Y-%m-%dT%H:%M:%S', CAST(:dueus AS BIGINT) / 1000000, 'unixepoch') || '.'
        || substr('000000' || (CAST(:dueus AS BIGINT) % 1000000), -6) || 'Z',
    CAST(:dueus AS BIGINT) / 1000, :recordedtime, :position)
ON CONFLICT (timer) DO NOTHING;
-- spoor: only postgresql
INSERT INTO timers (timer, kind, name, type, source, stream, due_at, due_ms, set_at, position)
VALUES ('delayed:' || :position, 'delayed', :data ->> 'id', :data ->> 'type',
    :data ->> 'source', :data ->> 'stream',
    to_char(to_timestamp(CAST(:dueus AS BIGINT) / 1000000) AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS') || '.'
        || lpad(CAST(CAST(:dueus AS BIGINT) % 1000000 AS TEXT), 6, '0') || 'Z',
    CAST(:dueus AS BIGINT) / 1000, :recordedtime, :position)
ON CONFLICT (timer) DO NOTHING;

-- spoor: on event.due, event.cancelled where {"stream": "$delayed"}
DELETE FROM timers WHERE timer = 'delayed:' || :delayedposition;

-- spoor: on schedule.defined where {"stream": "$schedules", "data.schedule": {"$prefix": ""}}
INSERT INTO timers (timer, kind, name, type, saga, stream, cron, every, timezone, set_at, position)
VALUES ('schedule:' || (:data ->> 'schedule'), 'schedule', :data ->> 'schedule',
    :data -> 'definition' -> 'emit' ->> 'type', :data -> 'definition' -> 'start' ->> 'saga',
    :data -> 'definition' -> 'emit' ->> 'stream', :data -> 'definition' ->> 'cron',
    CAST(:data -> 'definition' ->> 'every' AS TEXT), :data -> 'definition' ->> 'timezone',
    :recordedtime, :position)
ON CONFLICT (timer) DO UPDATE SET type = excluded.type, saga = excluded.saga,
    stream = excluded.stream, cron = excluded.cron, every = excluded.every,
    timezone = excluded.timezone, set_at = excluded.set_at, position = excluded.position;

-- spoor: on schedule.removed where {"stream": "$schedules", "data.schedule": {"$prefix": ""}}
DELETE FROM timers WHERE timer = 'schedule:' || (:data ->> 'schedule');

-- spoor: on schedule.fired where {"stream": "$schedules", "data.schedule": {"$prefix": ""}, "dueus": {"$gte": 0, "$lt": 2.5e17}}
-- spoor: only sqlite
UPDATE timers SET fired = fired + 1,
    last_due_at = strftime('%Y-%m-%dT%H:%M:%S', CAST(:dueus AS BIGINT) / 1000000, 'unixepoch') || '.'
        || substr('000000' || (CAST(:dueus AS BIGINT) % 1000000), -6) || 'Z'
WHERE timer = 'schedule:' || (:data ->> 'schedule');
-- spoor: only postgresql
UPDATE timers SET fired = fired + 1,
    last_due_at = to_char(to_timestamp(CAST(:dueus AS BIGINT) / 1000000) AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS') || '.'
        || lpad(CAST(CAST(:dueus AS BIGINT) % 1000000 AS TEXT), 6, '0') || 'Z'
WHERE timer = 'schedule:' || (:data ->> 'schedule');
-- spoor: on schedule.failed where {"stream": "$schedules", "data.schedule": {"$prefix": ""}}
UPDATE timers SET failed = failed + 1 WHERE timer = 'schedule:' || (:data ->> 'schedule');
