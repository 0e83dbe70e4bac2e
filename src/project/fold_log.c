/*
 * The log as a source of events for a fold: one following cursor.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/query.h"
#include "project/fold.h"

enum { ALLOWED_DEFAULT = 16384 };

struct sp_log_source {
    struct sp_engine *engine;
    struct sp_definition *definition;
    struct sp_cursor *cursor; /* NULL: seek first */
    bool follow;
    uint32_t allowed;
};

sp_status sp_log_source_new(struct sp_engine *engine, struct sp_definition *definition, bool follow,
                            struct sp_log_source **ret_source, struct sp_error *error) {
    struct sp_log_source *source = calloc(1, sizeof(*source));
    if (source == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "projection: out of memory");
    }
    source->engine = engine;
    source->definition = sp_definition_ref(definition);
    source->follow = follow;
    source->allowed = ALLOWED_DEFAULT;
    *ret_source = source;
    return SP_OK;
}

void sp_log_source_free(struct sp_log_source *source) {
    if (source != NULL) {
        sp_cursor_close(source->cursor);
        sp_definition_unref(source->definition);
        free(source);
    }
}

void sp_log_source_allow(struct sp_log_source *source, uint32_t events) {
    source->allowed = events;
}

static uint64_t log_position(void *context) {
    const struct sp_log_source *source = context;
    return sp_cursor_position(source->cursor) - 1;
}

static sp_status log_seek(void *context, uint64_t position, struct sp_error *error) {
    struct sp_log_source *source = context;
    char from[24];
    (void)snprintf(from, sizeof(from), "%llu", (unsigned long long)position + 1);
    struct sp_query query = {
        .types = source->definition->patterns,
        .type_count = source->definition->pattern_count,
        .from = sp_str_from(from),
        .follow = source->follow,
    };
    sp_cursor_close(source->cursor);
    source->cursor = NULL;
    return sp_cursor_open(source->engine, &query, &source->cursor, error);
}

/* A cursor that does not follow has come to its end, and the log may have grown since it began. */
static sp_status look_again(struct sp_log_source *source, struct sp_error *error) {
    uint64_t first;
    uint64_t last;
    sp_status status = log_seek(source, log_position(source), error);
    if (status == SP_OK) {
        sp_cursor_range(source->cursor, &first, &last);
        status = first > last ? SP_END : SP_BUSY;
    }
    return status;
}

static sp_status log_next(void *context, const struct sp_event **ret_event,
                          struct sp_error *error) {
    struct sp_log_source *source = context;
    sp_require(source->cursor != NULL);
    if (source->allowed != 0) {
        sp_cursor_allow(source->cursor, source->allowed);
    }
    sp_status status = sp_cursor_next(source->cursor, ret_event, error);
    if (status == SP_END) {
        return look_again(source, error);
    }
    return status == SP_NOT_FOUND ? SP_BUSY : status; /* dropped: it goes on with what is kept */
}

struct sp_fold_source sp_log_source_of(struct sp_log_source *source) {
    return (struct sp_fold_source){
        .next = log_next, .position = log_position, .seek = log_seek, .context = source};
}
