/*
 * Leaving snapshots: a copy of a build that becomes a file, and their end with the projection.
 *
 * A build in a file is copied by the helper, through a connection of its own: it sees one moment
 * of the build, which goes on meanwhile, and the copy says itself which position it has. Only a
 * build in memory has to be copied where it is.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "project/sqlite.h"
#include "project/travel_int.h"

enum {
    BYTES_PER_EVENT = 1200, /* of a build, for which one more event goes by between snapshots */
    BOUNDS_SAVED_MORE = 1 << 20, /* positions known, after which they are written again */
    BUSY_MS = 10000,
};

/* What the helper does: a build or its copy becomes a snapshot, or a projection's are dropped. */
struct saving {
    struct sp_job job; /* first */
    struct sp_travel *travel;
    struct model *model;
    uint64_t position;
    uint64_t applied;
    char source[TRAVEL_PATH_SIZE];       /* of a build in a file; empty: it is copied already */
    char copy[SP_FS_PATH_BYTES_MAX + 1]; /* in the snapshots' folder */
    char path[TRAVEL_PATH_SIZE];         /* the same, whole */
};

struct forgetting {
    struct sp_job job; /* first */
    struct sp_travel *travel;
    char name[SP_PROJECTION_NAME_MAX + 1];
    bool keeps;
    uint8_t sha256[SP_SNAPSHOT_KEY_BYTES];
};

static void free_job(struct sp_job *job) {
    free(job);
}

/* Hands a job over; does it within the call where there are no threads, or none is to be had. */
static void hand_over(struct sp_travel *travel, struct sp_job *job) {
    pthread_mutex_lock(&travel->mutex);
    if (travel->worker == NULL && travel->options.threads) {
        const struct sp_worker_options options = {.name = "spoor-travel", .idle_io = true};
        travel->worker = sp_worker_new(&options, NULL);
    }
    struct sp_worker *worker = travel->worker;
    if (worker != NULL) {
        (void)sp_worker_poll(worker); /* frees those that are finished */
        sp_worker_submit(worker, job);
    }
    pthread_mutex_unlock(&travel->mutex);
    if (worker == NULL) {
        job->work(job);
        job->done(job);
    }
}

/*
 * ---- copying a file
 * -------------------------------------------------------------------------------
 */

static sp_status fail(sqlite3 *db, struct sp_error *error) {
    return sp_error_set(error, SP_IO, "copy of a read model: %s", sqlite3_errmsg(db));
}

/* What the copy says of itself. */
static sp_status read_state(sqlite3 *db, struct saving *saving, struct sp_error *error) {
    sqlite3_stmt *statement = NULL;
    int code =
        sqlite3_prepare_v2(db, "SELECT position, applied FROM spoor_build", -1, &statement, NULL);
    code = code == SQLITE_OK ? sqlite3_step(statement) : code;
    if (code == SQLITE_ROW) {
        saving->position = (uint64_t)sqlite3_column_int64(statement, 0);
        saving->applied = (uint64_t)sqlite3_column_int64(statement, 1);
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SP_OK : fail(db, error);
}

static sp_status copy_pages(sqlite3 *from, sqlite3 *to, struct sp_error *error) {
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    int code = backup != NULL ? sqlite3_backup_step(backup, -1) : SQLITE_ERROR;
    if (backup != NULL) {
        int end = sqlite3_backup_finish(backup);
        code = code == SQLITE_DONE ? end : code;
    }
    return code == SQLITE_OK ? SP_OK : fail(to, error);
}

/* One step takes all pages of one moment, whatever is written meanwhile. */
static sp_status copy_file(struct saving *saving, struct sp_error *error) {
    sqlite3 *from = NULL;
    sqlite3 *to = NULL;
    int code =
        sqlite3_open_v2(saving->source, &from, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    (void)sqlite3_busy_timeout(from, BUSY_MS);
    sp_status status = code == SQLITE_OK ? SP_OK : fail(from, error);
    if (status == SP_OK) {
        code =
            sqlite3_open_v2(saving->path, &to,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
        (void)sqlite3_exec(to, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF", NULL, NULL,
                           NULL);
        status = code == SQLITE_OK ? copy_pages(from, to, error) : fail(to, error);
    }
    /* The copy says of itself that it has a write-ahead log, as its source has. It needs none. */
    if (status == SP_OK &&
        sqlite3_exec(to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) != SQLITE_OK) {
        status = fail(to, error);
    }
    status = status == SP_OK ? read_state(to, saving, error) : status;
    (void)sqlite3_close_v2(to);
    (void)sqlite3_close_v2(from);
    return status;
}

/*
 * ---- taking snapshots
 * -----------------------------------------------------------------------------
 */

static bool is_forgotten(struct model *model) {
    pthread_mutex_lock(&model->mutex);
    bool forgotten = model->is_forgotten;
    pthread_mutex_unlock(&model->mutex);
    return forgotten;
}

static bool begin_saving(struct model *model) {
    pthread_mutex_lock(&model->mutex);
    bool begun = !model->is_saving && !model->is_forgotten;
    model->is_saving = model->is_saving || begun;
    pthread_mutex_unlock(&model->mutex);
    return begun;
}

static void end_saving(struct model *model) {
    pthread_mutex_lock(&model->mutex);
    sp_invariant(model->is_saving);
    model->is_saving = false;
    pthread_mutex_unlock(&model->mutex);
}

static void saving_work(struct sp_job *job) {
    struct saving *saving = (struct saving *)(void *)job;
    struct sp_travel *travel = saving->travel;
    struct sp_error error;
    sp_status status = saving->source[0] != '\0' ? copy_file(saving, &error) : SP_OK;
    if (status == SP_OK && !is_forgotten(saving->model)) {
        status = sp_snapshots_save(travel->snapshots, &saving->model->key, saving->position,
                                   saving->applied, saving->copy, &error);
    }
    if (status != SP_OK) {
        travel_say(travel, "a read model's snapshot is not kept", &error);
    }
    (void)travel->fs->ops->unlink(travel->fs, saving->copy, NULL);
    travel_save_bounds(travel, saving->model, BOUNDS_SAVED_MORE);
    end_saving(saving->model);
}

void travel_copy_name(struct sp_travel *travel, char name[SP_FS_PATH_BYTES_MAX + 1],
                      char path[TRAVEL_PATH_SIZE]) {
    pthread_mutex_lock(&travel->mutex);
    uint64_t number = ++travel->copies;
    pthread_mutex_unlock(&travel->mutex);
    (void)snprintf(name, SP_FS_PATH_BYTES_MAX + 1, "copy-%lu-%llu.tmp",
                   (unsigned long)sp_process_id(), (unsigned long long)number);
    int len = snprintf(path, TRAVEL_PATH_SIZE, "%s/%s", travel->folder, name);
    sp_ensure(len > 0 && len < TRAVEL_PATH_SIZE);
}

static uint64_t build_bytes(struct sp_build *build) {
    sqlite3 *db = sp_sqlite_handle(build);
    int64_t bytes = 0;
    sqlite3_stmt *statement = NULL;
    (void)sqlite3_set_authorizer(db, NULL, NULL);
    if (sqlite3_prepare_v2(db,
                           "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                           -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        bytes = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    sp_sqlite_handle_return(build);
    return bytes > 0 ? (uint64_t)bytes : 0;
}

uint64_t travel_snapshot_events(const struct sp_travel *travel, struct sp_build *build) {
    uint64_t by_size = build_bytes(build) / BYTES_PER_EVENT;
    uint64_t least = travel->options.snapshot_events;
    return by_size > least ? by_size : least;
}

/* Where the build is a file that can be copied by somebody else, its path. */
static bool source_of(const struct sp_travel *travel, struct sp_build *build,
                      char path[TRAVEL_PATH_SIZE]) {
    const char *file = sqlite3_db_filename(sp_sqlite_handle(build), "main");
    bool there = travel->options.threads && file != NULL && file[0] != '\0' &&
                 strlen(file) < TRAVEL_PATH_SIZE;
    (void)snprintf(path, TRAVEL_PATH_SIZE, "%s", there ? file : "");
    return there;
}

void travel_take(struct sp_travel *travel, struct model *model, struct sp_build *build,
                 uint64_t events) {
    struct sp_build_state state;
    build->ops->state(build, &state);
    struct sp_snapshots *snapshots =
        travel->options.read_only ? NULL : travel_snapshots(travel, true);
    if (snapshots == NULL || state.position == 0 ||
        sp_snapshots_near(snapshots, &model->key, state.position, state.applied, events / 2) ||
        !begin_saving(model)) {
        return;
    }
    struct saving *saving = calloc(1, sizeof(*saving));
    struct sp_error error;
    sp_status status = saving != NULL ? SP_OK : sp_error_set(&error, SP_NO_MEMORY, "no memory");
    if (status == SP_OK) {
        *saving = (struct saving){
            .job = {.work = saving_work, .done = free_job},
            .travel = travel,
            .model = model,
            .position = state.position,
            .applied = state.applied,
        };
        travel_copy_name(travel, saving->copy, saving->path);
        bool by_helper = source_of(travel, build, saving->source);
        status = by_helper ? SP_OK : sp_sqlite_backup(build, saving->path, &error);
    }
    if (status != SP_OK) {
        travel_say(travel, "a read model cannot be copied", &error);
        end_saving(model);
        free(saving);
        return;
    }
    hand_over(travel, &saving->job);
}

/*
 * ---- forgetting
 * -----------------------------------------------------------------------------------
 */

static void forgetting_work(struct sp_job *job) {
    const struct forgetting *forgetting = (struct forgetting *)(void *)job;
    sp_snapshots_forget(forgetting->travel->snapshots, sp_str_from(forgetting->name),
                        forgetting->keeps ? forgetting->sha256 : NULL);
}

/* Who still follows an old text leaves nothing any more. */
static void mark_models(struct sp_travel *travel, sp_str name, const uint8_t *kept_key) {
    pthread_mutex_lock(&travel->mutex);
    for (struct model *model = travel->models; model != NULL; model = model->next) {
        bool same = sp_str_eq(sp_str_from(model->name), name);
        bool kept =
            kept_key != NULL && memcmp(model->key.sha256, kept_key, SP_SNAPSHOT_KEY_BYTES) == 0;
        pthread_mutex_lock(&model->mutex);
        model->is_forgotten = model->is_forgotten || (same && !kept);
        pthread_mutex_unlock(&model->mutex);
    }
    pthread_mutex_unlock(&travel->mutex);
}

void sp_travel_forget(struct sp_travel *travel, sp_str name, const uint8_t *sha256_kept) {
    uint8_t key[SP_SNAPSHOT_KEY_BYTES];
    if (sha256_kept != NULL) {
        travel_key(travel, sha256_kept, key);
    }
    mark_models(travel, name, sha256_kept != NULL ? key : NULL);
    if (travel->options.read_only || travel_snapshots(travel, false) == NULL ||
        name.len > SP_PROJECTION_NAME_MAX) {
        return;
    }
    struct forgetting *forgetting = calloc(1, sizeof(*forgetting));
    if (forgetting == NULL) {
        return; /* they go when there are too many, at the latest */
    }
    *forgetting = (struct forgetting){
        .job = {.work = forgetting_work, .done = free_job},
        .travel = travel,
        .keeps = sha256_kept != NULL,
    };
    memcpy(forgetting->name, name.ptr, name.len);
    if (sha256_kept != NULL) {
        memcpy(forgetting->sha256, key, sizeof(forgetting->sha256));
    }
    hand_over(travel, &forgetting->job);
}
