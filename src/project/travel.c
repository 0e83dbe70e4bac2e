#include "project/travel.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "project/travel_int.h"

enum { BOUNDS_BYTES_MAX = 256 << 20 };

void travel_say(const struct sp_travel *travel, const char *what, const struct sp_error *error) {
    if (travel->options.say != NULL) {
        char text[SP_ERROR_TEXT_SIZE + 64];
        (void)snprintf(text, sizeof(text), "%s: %s", what, error->text);
        travel->options.say(travel->options.say_context, text);
    }
}

/*
 * ---- opening
 * --------------------------------------------------------------------------------------
 */

static sp_status set_folder(struct sp_travel *travel, const char *folder, struct sp_error *error) {
    int len = snprintf(travel->folder, sizeof(travel->folder), "%s/snapshots", folder);
    return len > 0 && (size_t)len < sizeof(travel->folder) - SP_FS_PATH_BYTES_MAX - 2
               ? SP_OK
               : sp_error_set(error, SP_INVALID, "the path of the folder is too long");
}

void travel_key(const struct sp_travel *travel, const uint8_t sha256[SP_SNAPSHOT_KEY_BYTES],
                uint8_t ret_key[SP_SNAPSHOT_KEY_BYTES]) {
    memcpy(ret_key, sha256, SP_SNAPSHOT_KEY_BYTES);
    for (size_t i = 0; i < sizeof(travel->log); i++) {
        ret_key[i] ^= travel->log[i];
    }
}

/* Which log it is, and where it ends now. */
static sp_status look_at_log(struct sp_travel *travel, struct sp_error *error) {
    struct sp_log *log = sp_engine_log(travel->engine);
    struct sp_log_description description;
    struct sp_cut now;
    log->ops->describe(log, &description);
    memcpy(travel->log, description.uuid, sizeof(travel->log));
    sp_status status = sp_cut_resolve(travel->engine, SP_STR("now"), true, 0, &now, error);
    travel->head = status == SP_OK ? now.position : 0;
    return status;
}

sp_status sp_travel_open(const struct sp_travel_options *options, struct sp_travel **ret_travel,
                         struct sp_error *error) {
    struct sp_travel *travel = calloc(1, sizeof(*travel));
    if (travel == NULL || pthread_mutex_init(&travel->mutex, NULL) != 0) {
        free(travel);
        return sp_error_set(error, SP_NO_MEMORY, "time travel");
    }
    travel->engine = options->engine;
    travel->options = *options;
    travel->options.folder = NULL;
    travel->options.snapshot_events = options->snapshot_events != 0
                                          ? options->snapshot_events
                                          : (uint64_t)SP_TRAVEL_SNAPSHOT_EVENTS;
    sp_status status = set_folder(travel, options->folder, error);
    status = status == SP_OK ? look_at_log(travel, error) : status;
    if (status != SP_OK) {
        sp_travel_close(travel);
        return status;
    }
    *ret_travel = travel;
    return SP_OK;
}

static void model_free(struct model *model) {
    sp_bounds_fini(&model->bounds);
    pthread_mutex_destroy(&model->mutex);
    free(model);
}

void sp_travel_close(struct sp_travel *travel) {
    if (travel == NULL) {
        return;
    }
    sp_worker_free(travel->worker);
    while (travel->models != NULL) {
        struct model *model = travel->models;
        travel->models = model->next;
        travel_save_bounds(travel, model, 1);
        model_free(model);
    }
    sp_snapshots_close(travel->snapshots);
    if (travel->fs != NULL) {
        travel->fs->ops->destroy(travel->fs);
    }
    pthread_mutex_destroy(&travel->mutex);
    free(travel);
}

static void say_of_snapshots(void *context, const char *text) {
    const struct sp_travel *travel = context;
    if (travel->options.say != NULL) {
        travel->options.say(travel->options.say_context, text);
    }
}

/* The mutex is held. */
static sp_status open_snapshots(struct sp_travel *travel, bool create, struct sp_error *error) {
    bool read_only = travel->options.read_only;
    sp_status status =
        sp_fs_posix_open(travel->folder, create && !read_only, read_only, &travel->fs, error);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_snapshots_options options = {
        .fs = travel->fs,
        .read_only = read_only,
        .bytes_max = travel->options.snapshot_bytes_max,
        .say = say_of_snapshots,
        .say_context = travel,
    };
    status = sp_snapshots_open(&options, &travel->snapshots, error);
    if (status != SP_OK) {
        travel->fs->ops->destroy(travel->fs);
        travel->fs = NULL;
    } else {
        sp_snapshots_trim(travel->snapshots, travel->head);
    }
    return status;
}

struct sp_snapshots *travel_snapshots(struct sp_travel *travel, bool create) {
    struct sp_error error;
    pthread_mutex_lock(&travel->mutex);
    if (travel->snapshots == NULL && travel->options.snapshot_bytes_max > 0) {
        sp_status status = open_snapshots(travel, create, &error);
        if (status != SP_OK && (create || status != SP_NOT_FOUND)) {
            travel_say(travel, "snapshots of read models", &error);
        }
    }
    struct sp_snapshots *snapshots = travel->snapshots;
    pthread_mutex_unlock(&travel->mutex);
    return snapshots;
}

/*
 * ---- models
 * ---------------------------------------------------------------------------------------
 */

static struct model *model_find(struct sp_travel *travel, const struct sp_definition *definition) {
    uint8_t key[SP_SNAPSHOT_KEY_BYTES];
    travel_key(travel, definition->sha256, key);
    for (struct model *model = travel->models; model != NULL; model = model->next) {
        if (strcmp(model->name, definition->name) == 0 &&
            memcmp(model->key.sha256, key, SP_SNAPSHOT_KEY_BYTES) == 0) {
            return model;
        }
    }
    return NULL;
}

static struct model *model_new(struct sp_travel *travel, const struct sp_definition *definition) {
    struct model *model = calloc(1, sizeof(*model));
    if (model == NULL || pthread_mutex_init(&model->mutex, NULL) != 0) {
        free(model);
        return NULL;
    }
    memcpy(model->name, definition->name, sizeof(model->name));
    model->key.name = sp_str_from(model->name);
    travel_key(travel, definition->sha256, model->key.sha256);
    sp_bounds_init(&model->bounds);
    model->next = travel->models;
    travel->models = model;
    return model;
}

sp_status travel_model(struct sp_travel *travel, const struct sp_definition *definition,
                       struct model **ret_model, struct sp_error *error) {
    struct sp_snapshots *snapshots = travel_snapshots(travel, false);
    pthread_mutex_lock(&travel->mutex);
    struct model *model = model_find(travel, definition);
    if (model == NULL) {
        model = model_new(travel, definition);
        if (model != NULL && snapshots != NULL &&
            sp_snapshots_load_bounds(snapshots, &model->key, &model->bounds, NULL) == SP_OK) {
            if (model->bounds.known > travel->head) { /* of events that the log has lost */
                sp_bounds_fini(&model->bounds);
            }
            model->bounds_saved = model->bounds.known;
        }
    }
    pthread_mutex_unlock(&travel->mutex);
    if (model == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "time travel");
    }
    *ret_model = model;
    return SP_OK;
}

void travel_save_bounds(struct sp_travel *travel, struct model *model, uint64_t more) {
    struct sp_snapshots *snapshots =
        travel->options.read_only ? NULL : travel_snapshots(travel, false);
    struct sp_buf encoded;
    struct sp_error error;
    sp_buf_init(&encoded, BOUNDS_BYTES_MAX);
    pthread_mutex_lock(&model->mutex);
    bool worth = snapshots != NULL && model->bounds.known >= model->bounds_saved + more;
    if (worth) {
        sp_bounds_encode(&model->bounds, &encoded);
        model->bounds_saved = model->bounds.known;
    }
    pthread_mutex_unlock(&model->mutex);
    if (worth && encoded.status == SP_OK &&
        sp_snapshots_save_bounds(snapshots, &model->key, sp_buf_str(&encoded), &error) != SP_OK) {
        travel_say(travel, "bounds of times", &error);
    }
    sp_buf_fini(&encoded);
}

/*
 * ---- tracks
 * ---------------------------------------------------------------------------------------
 */

struct sp_travel_track {
    struct sp_travel *travel;
    struct model *model;
    const struct sp_fold_source *inner;
    uint64_t first;      /* every wanted event from here on was noted */
    uint64_t covered;    /* up to here others know */
    uint64_t events;     /* yielded since the last snapshot */
    uint64_t events_due; /* when the next one is looked at */
};

sp_status sp_travel_track_new(struct sp_travel *travel, struct sp_build *build,
                              struct sp_travel_track **ret_track, struct sp_error *error) {
    struct sp_build_state state;
    struct sp_travel_track *track = calloc(1, sizeof(*track));
    if (track == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "time travel");
    }
    build->ops->state(build, &state);
    track->travel = travel;
    track->first = state.position + 1;
    track->covered = state.position;
    track->events_due = travel->options.snapshot_events;
    sp_status status = travel_model(travel, build->definition, &track->model, error);
    if (status != SP_OK) {
        free(track);
        return status;
    }
    pthread_mutex_lock(&track->model->mutex);
    track->model->is_forgotten = false;
    pthread_mutex_unlock(&track->model->mutex);
    *ret_track = track;
    return SP_OK;
}

static sp_status track_next(void *context, const struct sp_event **ret_event,
                            struct sp_error *error) {
    struct sp_travel_track *track = context;
    sp_status status = track->inner->next(track->inner->context, ret_event, error);
    if (status == SP_OK) {
        struct model *model = track->model;
        track->events++;
        pthread_mutex_lock(&model->mutex);
        sp_status noted =
            sp_bounds_note(&model->bounds, (*ret_event)->position, sp_cut_time_of(*ret_event));
        pthread_mutex_unlock(&model->mutex);
        if (noted != SP_OK) { /* what comes behind it is a new span */
            track->first = (*ret_event)->position + 1;
        }
    }
    return status;
}

static uint64_t track_position(void *context) {
    const struct sp_travel_track *track = context;
    return track->inner->position(track->inner->context);
}

static sp_status track_seek(void *context, uint64_t position, struct sp_error *error) {
    struct sp_travel_track *track = context;
    sp_status status = track->inner->seek(track->inner->context, position, error);
    if (status == SP_OK && (position + 1 < track->first || position > track->covered)) {
        track->first = position + 1; /* what lies between was not seen */
        track->covered = position;
    }
    return status;
}

struct sp_fold_source sp_travel_track_source(struct sp_travel_track *track,
                                             const struct sp_fold_source *inner) {
    track->inner = inner;
    return (struct sp_fold_source){
        .next = track_next, .position = track_position, .seek = track_seek, .context = track};
}

void sp_travel_track_committed(struct sp_travel_track *track, struct sp_build *build,
                               uint64_t position) {
    struct model *model = track->model;
    if (position > track->covered) {
        pthread_mutex_lock(&model->mutex);
        sp_bounds_cover(&model->bounds, track->first, position);
        pthread_mutex_unlock(&model->mutex);
        track->covered = position;
    }
    if (track->travel->options.copies && track->events >= track->events_due) {
        uint64_t due = travel_snapshot_events(track->travel, build);
        if (track->events >= due) {
            travel_take(track->travel, model, build, due);
            track->events = 0;
        }
        track->events_due = due;
    }
}

void sp_travel_track_free(struct sp_travel_track *track) {
    if (track != NULL) {
        travel_save_bounds(track->travel, track->model, 1);
        free(track);
    }
}
