-- spoor: projection event_search version 1
--
-- Every event, to be found by the words in it. The same question for both databases:
--     SELECT position, type, source FROM event_search('refund "partial refund"') ORDER BY position
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
-- spoor: only postgresql
CREATE FUNCTION event_search(query TEXT) RETURNS TABLE (content TEXT, type TEXT, source TEXT,
    correlationid TEXT, "position" BIGINT, id TEXT, recordedtime TEXT, rank DOUBLE PRECISION)
LANGUAGE sql STABLE AS '
    SELECT found.content, found.type, found.source, found.correlationid, found."position",
        found.id, found.recordedtime,
        CAST(-ts_rank(found.words, wanted.words) AS DOUBLE PRECISION)
    FROM event_search AS found, websearch_to_tsquery(''simple'',
        regexp_replace(query, ''[^[:alnum:]"\u0080-\U0010FFFF]+'', '' '', ''g'')) AS wanted (words)
    WHERE found.words @@ wanted.words';

-- spoor: on #
-- spoor: only sqlite
INSERT INTO event_search
    (rowid, content, type, source, correlationid, position, id, recordedtime)
VALUES (:position, CAST(:data AS TEXT), :type, :source, :correlationid, :position, :id,
    :recordedtime);
-- spoor: only postgresql
INSERT INTO event_search
    (content, type, source, correlationid, position, id, recordedtime, words)
VALUES (CAST(:data AS TEXT), :type, :source, :correlationid, :position, :id, :recordedtime,
    to_tsvector('simple', regexp_replace(substr(
        concat_ws(' ', CAST(:data AS TEXT), :type, :source, :correlationid), 1, 200000),
        '[^[:alnum:]\u0080-\U0010FFFF]+', ' ', 'g')));
