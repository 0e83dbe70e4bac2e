/*
 * Lookups of what is there already: durable events through the index and the log, the latest ones
 * in the blocks that are open or under way. The index only names candidates; each is read and
 * compared.
 */
#include "engine/engine_int.h"
#include "engine/query.h"

/* The record at an index of a body that is in memory. O(records before it). */
static sp_status walk_to(sp_str body, uint64_t first_position, uint64_t position,
                         struct sp_record *ret_record) {
    struct sp_block_walk walk = sp_block_walk_of(body, first_position);
    struct sp_record record;
    sp_status status;
    while ((status = sp_block_walk_next(&walk, &record)) == SP_OK) {
        if (record.kind == SP_RECORD_EVENT && record.position == position) {
            *ret_record = record;
            return SP_OK;
        }
    }
    return status == SP_END ? SP_NOT_FOUND : status;
}

sp_status engine_record(struct sp_engine *engine, uint64_t position, struct sp_record *ret_record,
                        struct sp_error *error) {
    const struct open_block *open = &engine->open;
    if (open->event_count > 0 && position >= open->first_position) {
        sp_require(position - open->first_position < open->event_count);
        uint32_t offset = open->events[position - open->first_position].offset;
        return sp_record_read(
            sp_str_of(sp_log_block_body(open->blob) + offset, open->body_bytes - offset), position,
            ret_record);
    }
    const struct flight *flight = engine_block_find(engine, position);
    if (flight != NULL && flight->offsets == NULL) {
        return walk_to(sp_str_of(sp_log_block_body(flight->blob), flight->body_bytes),
                       flight->first_position, position, ret_record);
    }
    if (flight != NULL) {
        uint32_t offset = flight->offsets[position - flight->first_position];
        return sp_record_read(
            sp_str_of(sp_log_block_body(flight->blob) + offset, flight->body_bytes - offset),
            position, ret_record);
    }
    struct sp_log_chunk chunk;
    sp_status status = engine->reader->ops->seek(engine->reader, position, &chunk, error);
    return status == SP_OK ? walk_to(chunk.body, chunk.first_position, position, ret_record)
                           : status;
}

/* What a lookup by id looks for, and what it found. */
struct wanted {
    struct sp_engine *engine;
    sp_str source; /* empty ptr: any */
    sp_str id;
    uint64_t position; /* of the last match, 0: none */
    bool first_only;
    sp_status status;
    struct sp_error *error;
};

/* Reads the candidate and compares the text. False ends the lookup. */
static bool compare(void *context, uint64_t position, enum sp_index_role role) {
    struct wanted *wanted = context;
    struct sp_record record;
    struct sp_event event;
    char scratch[SP_RECORD_SCRATCH_BYTES];
    (void)role;
    sp_status status = engine_record(wanted->engine, position, &record, wanted->error);
    status = status == SP_OK ? sp_record_decode(&record, scratch, &event) : status;
    if (status != SP_OK) {
        wanted->status = status;
        return false;
    }
    if (sp_str_eq(event.attr[SP_ATTR_ID], wanted->id) &&
        (wanted->source.ptr == NULL || sp_str_eq(event.attr[SP_ATTR_SOURCE], wanted->source))) {
        wanted->position = position;
        return !wanted->first_only;
    }
    return true;
}

/* In the open block, whose events are not in the index yet; the newest match. */
static void find_in_open(struct wanted *wanted, uint64_t hash) {
    const struct open_block *open = &wanted->engine->open;
    if (open->event_count == 0) {
        return;
    }
    struct sp_htab_probe probe = sp_htab_find(&open->ids, hash);
    uint32_t ordinal;
    while (sp_htab_next(&probe, &ordinal)) {
        uint64_t position = open->first_position + ordinal;
        if (position > wanted->position) {
            uint64_t before = wanted->position;
            (void)compare(wanted, position, SP_INDEX_ID);
            wanted->position = wanted->position > before ? wanted->position : before;
        }
    }
}

static sp_status find(struct wanted *wanted, uint64_t hash, unsigned roles) {
    sp_status status =
        sp_index_find_id(wanted->engine->index, hash, roles, 0, UINT64_MAX, compare, wanted);
    if (status == SP_OK && wanted->status == SP_OK &&
        (wanted->position == 0 || !wanted->first_only)) {
        find_in_open(wanted, hash);
    }
    return status != SP_OK ? status : wanted->status;
}

sp_status engine_find_same(struct sp_engine *engine, sp_str source, sp_str id,
                           uint64_t *ret_position, struct sp_error *error) {
    uint64_t hash;
    enum sp_index_role role = sp_index_hash_unique(source, id, &hash);
    struct wanted wanted = {.engine = engine,
                            .source = source,
                            .id = id,
                            .first_only = true,
                            .status = SP_OK,
                            .error = error};
    sp_status status = find(&wanted, hash, role);
    if (status != SP_OK) {
        return sp_error_set(error, status, "looking for an earlier event with this id: %s",
                            sp_status_text(status));
    }
    *ret_position = wanted.position;
    return SP_OK;
}

sp_status sp_engine_find(struct sp_engine *engine, sp_str source, sp_str id, uint64_t *ret_position,
                         struct sp_error *error) {
    return engine_find_same(engine, source, id, ret_position, error);
}

sp_status engine_find_correlation(struct sp_engine *engine, sp_str id, struct sp_buf *to,
                                  sp_str *ret_correlation, struct sp_error *error) {
    struct wanted wanted = {.engine = engine, .id = id, .status = SP_OK, .error = error};
    sp_status status = find(&wanted, sp_index_hash_id(id), SP_INDEX_ID);
    sp_str correlation = {.ptr = NULL, .len = 0};
    if (status == SP_OK && wanted.position != 0) {
        struct sp_record record;
        struct sp_event event;
        char scratch[SP_RECORD_SCRATCH_BYTES];
        status = engine_record(engine, wanted.position, &record, error);
        status = status == SP_OK ? sp_record_decode(&record, scratch, &event) : status;
        if (status == SP_OK) {
            sp_str text = event.attr[SP_ATTR_CORRELATION];
            uint8_t *at = sp_buf_reserve(to, text.len);
            status = at != NULL ? SP_OK : to->status;
            if (at != NULL) {
                memcpy(at, text.ptr, text.len);
                sp_buf_advance(to, text.len);
                correlation = sp_str_of(at, text.len);
            }
        }
    }
    if (status != SP_OK) {
        return sp_error_set(error, status, "looking for the cause: %s", sp_status_text(status));
    }
    *ret_correlation = correlation;
    return SP_OK;
}

/*
 * ---- types
 * ----------------------------------------------------------------------------------------
 */

uint64_t sp_engine_type_count(const struct sp_engine *engine) {
    struct sp_index_stats stats;
    sp_index_stats(engine->index, &stats);
    return stats.types;
}

sp_status sp_engine_types(const struct sp_engine *engine, sp_engine_type_fn *each, void *context) {
    return sp_index_each_type(engine->index, each, context);
}
