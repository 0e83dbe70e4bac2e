/*
 * The same events in SQLite, durably: what people would otherwise use, measured beside spoor. WAL
 * with synchronous=FULL, so that a commit is on stable storage as an acknowledged append is; a row
 * per event, an id unique per source, indexes on type, stream and correlation. One transaction per
 * batch.
 *
 * usage: sqlite FOLDER [EVENTS_SINGLE [EVENTS_BATCHED]]
 * Prints a JSON line for batches of 1 and of 1000, and one for reading everything in order.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "cli/histogram.h"
#include "cli/workload.h"

enum { EVENT_BYTES = 300, PATH_SIZE = 1024, SINGLE_DEFAULT = 5000, BATCHED_DEFAULT = 300000 };

static const char SCHEMA[] =
    "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    "PRAGMA cache_size = -65536;"
    "CREATE TABLE event (position INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL,"
    " source TEXT NOT NULL, stream TEXT NOT NULL, correlation TEXT NOT NULL, causation TEXT,"
    " recorded INTEGER NOT NULL, data TEXT NOT NULL);"
    "CREATE UNIQUE INDEX event_id ON event (id, source);"
    "CREATE INDEX event_type ON event (type); CREATE INDEX event_stream ON event (stream);"
    "CREATE INDEX event_correlation ON event (correlation);";

static uint64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void die(sqlite3 *db, const char *what) {
    (void)fprintf(stderr, "sqlite: %s: %s\n", what, db != NULL ? sqlite3_errmsg(db) : "");
    exit(1);
}

static void run(sqlite3 *db, const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        die(db, sql);
    }
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        die(db, sql);
    }
    return statement;
}

static void bind(sqlite3_stmt *insert, int column, spoor_str text) {
    (void)sqlite3_bind_text(insert, column, text.ptr, (int)text.len, SQLITE_STATIC);
}

static void add_event(sqlite3 *db, sqlite3_stmt *insert, const spoor_event *event) {
    bind(insert, 1, event->id);
    bind(insert, 2, event->type);
    bind(insert, 3, event->source);
    bind(insert, 4, event->stream.ptr != NULL ? event->stream : event->source);
    bind(insert, 5, event->correlationid);
    bind(insert, 6, event->causationid);
    (void)sqlite3_bind_int64(insert, 7, (sqlite3_int64)(now_ns() / 1000));
    bind(insert, 8, event->data);
    if (sqlite3_step(insert) != SQLITE_DONE) {
        die(db, "insert");
    }
    (void)sqlite3_reset(insert);
}

static void show(const char *name, uint64_t events, uint64_t batch, double seconds) {
    (void)printf("{\"bench\":\"%s\",\"events\":%" PRIu64 ",\"batch\":%" PRIu64
                 ",\"seconds\":%.4f,\"events_per_s\":%.0f,\"size\":%d}\n",
                 name, events, batch, seconds, (double)events / seconds, EVENT_BYTES);
    (void)fflush(stdout);
}

static void measure_insert(sqlite3 *db, struct sp_workload *workload, uint64_t events,
                           uint64_t batch) {
    sqlite3_stmt *insert = prepare(
        db, "INSERT INTO event (id, type, source, stream, correlation, causation, recorded, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    uint64_t before_ns = now_ns();
    for (uint64_t i = 0; i < events; i++) {
        uint64_t ticket = 0;
        if (i % batch == 0) {
            run(db, "BEGIN");
        }
        add_event(db, insert, sp_workload_next(workload, &ticket));
        if (i % batch == batch - 1 || i == events - 1) {
            run(db, "COMMIT");
        }
    }
    show("sqlite_append", events, batch, (double)(now_ns() - before_ns) / 1e9);
    (void)sqlite3_finalize(insert);
}

static void measure_replay(sqlite3 *db) {
    sqlite3_stmt *all = prepare(db, "SELECT id, type, source, stream, correlation, causation, data"
                                    " FROM event ORDER BY position");
    uint64_t events = 0;
    uint64_t bytes = 0;
    uint64_t before_ns = now_ns();
    while (sqlite3_step(all) == SQLITE_ROW) {
        bytes += (uint64_t)sqlite3_column_bytes(all, 6);
        events++;
    }
    double seconds = (double)(now_ns() - before_ns) / 1e9;
    (void)sqlite3_finalize(all);
    if (bytes > 0) {
        show("sqlite_replay", events, 0, seconds);
    }
}

static void remove_files(const char *path) {
    static const char *const SUFFIXES[] = {"", "-wal", "-shm"};
    char name[PATH_SIZE + 8];
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, SUFFIXES[i]);
        (void)unlink(name);
    }
}

int main(int argc, char *argv[]) {
    if (argc < 2) {
        (void)fprintf(stderr, "usage: sqlite FOLDER [EVENTS_SINGLE [EVENTS_BATCHED]]\n");
        return 2;
    }
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/bench-sqlite-%ld.db", argv[1], (long)getpid());
    uint64_t single = argc > 2 ? strtoull(argv[2], NULL, 10) : SINGLE_DEFAULT;
    uint64_t batched = argc > 3 ? strtoull(argv[3], NULL, 10) : BATCHED_DEFAULT;
    struct sp_workload_options options = {.seed = 1, .event_bytes = EVENT_BYTES, .makes_ids = true};
    struct sp_workload *workload = sp_workload_new(&options);
    sqlite3 *db = NULL;
    if (workload == NULL || sqlite3_open(path, &db) != SQLITE_OK) {
        die(db, path);
    }
    run(db, SCHEMA);
    measure_insert(db, workload, single, 1);
    measure_insert(db, workload, batched, 1000);
    measure_replay(db);
    (void)sqlite3_close(db);
    sp_workload_free(workload);
    remove_files(path);
    return 0;
}
