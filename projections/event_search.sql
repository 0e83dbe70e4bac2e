-- spoor: projection event_search version 1
--
-- Every event, to be found by the words in it. It runs on request: it takes as much room as the
-- events do.
--     SQLite:      SELECT position, type FROM event_search('refund policy') ORDER BY position
--     PostgreSQL:  SELECT position, type FROM event_search
--                  WHERE words @@ websearch_to_tsquery('simple', 'refund policy') ORDER BY position
-- docs/read-models.md says what each column means, and where the two differ.

-- spoor: only sqlite
CREATE VIRTUAL TABLE event_search USING fts5 (
    content, type, source, correlationid,
    position UNINDEXED, id UNINDEXED, recordedtime UNINDEXED,
    tokenize = 'unicode61'
);

-- The words of both databases are the same: runs of letters and digits.
-- spoor: only postgresql
CREATE TABLE event_search (
    content TEXT, type TEXT, source TEXT, correlationid TEXT,
    position BIGINT PRIMARY KEY, id TEXT, recordedtime TEXT,
    words TSVECTOR
);
-- spoor: only postgresql
CREATE INDEX event_search_words ON event_search USING gin (words);

-- spoor: on #
-- spoor: only sqlite
INSERT INTO event_search
    (rowid, content, type, source, correlationid, position, id, recordedtime)
VALUES (:position, :data_text, :type, :source, :correlationid, :position, :id,
    :recordedtime);
-- spoor: only postgresql
INSERT INTO event_search
    (content, type, source, correlationid, position, id, recordedtime, words)
VALUES (:data_text, :type, :source, :correlationid, :position, :id, :recordedtime,
    to_tsvector('simple', regexp_replace(
        substr(concat_ws(' ', :data_text, :type, :source, :correlationid), 1, 200000),
        '[^[:alnum:]\u0080-\U0010FFFF]+', ' ', 'g')));
