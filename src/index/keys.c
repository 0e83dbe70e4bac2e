#include "index/keys.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/time.h"

/*
 * Seeds keep the kinds apart: an agent's name as source and as stream gives unrelated hashes. They
 * are part of the stored format (docs/format-index.md) and never change.
 */
static const uint64_t KEY_SEEDS[SP_INDEX_KIND_COUNT] = {
    [SP_INDEX_STREAM] = 0x73747265616d0001u,
    [SP_INDEX_TYPE] = 0x7479706500000002u,
    [SP_INDEX_SOURCE] = 0x736f757263650003u,
    [SP_INDEX_CORRELATION] = 0x636f7272656c0004u,
};
static const uint64_t KEY_SEED_ID = 0x6964000000000005u;
static const uint64_t KEY_SEED_SOURCE_ID = 0x7372636964000006u;

uint64_t sp_index_hash(enum sp_index_kind kind, sp_str text) {
    sp_require((unsigned)kind < SP_INDEX_KIND_COUNT);
    return sp_hash_seeded(text.ptr, text.len, KEY_SEEDS[kind]);
}

uint64_t sp_index_hash_id(sp_str id) {
    return sp_hash_seeded(id.ptr, id.len, KEY_SEED_ID);
}

/* The source's hash seeds the id's: no separator is needed that either of them might contain. */
uint64_t sp_index_hash_source_id(sp_str source, sp_str id) {
    uint64_t seed = sp_hash_seeded(source.ptr, source.len, KEY_SEED_SOURCE_ID);
    return sp_hash_seeded(id.ptr, id.len, seed);
}

static bool key_is_uuid(sp_str id) {
    uint8_t packed[16];
    return id.len == SP_UUID_TEXT_SIZE && sp_uuid_pack(id, packed);
}

enum sp_index_role sp_index_hash_unique(sp_str source, sp_str id, uint64_t *ret_hash) {
    if (key_is_uuid(id)) {
        *ret_hash = sp_index_hash_id(id);
        return SP_INDEX_ID;
    }
    *ret_hash = sp_index_hash_source_id(source, id);
    return SP_INDEX_SOURCE_ID;
}

struct sp_index_keys sp_index_keys_of(const struct sp_event *event) {
    const sp_str *attr = event->attr;
    sp_require(sp_event_has(event, SP_ATTR_ID) && sp_event_has(event, SP_ATTR_STREAM));
    struct sp_index_keys keys = {
        .stream = sp_index_hash(SP_INDEX_STREAM, attr[SP_ATTR_STREAM]),
        .type = sp_index_hash(SP_INDEX_TYPE, attr[SP_ATTR_TYPE]),
        .source = sp_index_hash(SP_INDEX_SOURCE, attr[SP_ATTR_SOURCE]),
        .correlation = sp_index_hash(SP_INDEX_CORRELATION, attr[SP_ATTR_CORRELATION]),
        .id = sp_index_hash_id(attr[SP_ATTR_ID]),
    };
    if (sp_event_has(event, SP_ATTR_CAUSATION)) {
        keys.has_cause = true;
        keys.cause = sp_index_hash_id(attr[SP_ATTR_CAUSATION]);
    }
    if (!key_is_uuid(attr[SP_ATTR_ID])) {
        keys.has_source_id = true;
        keys.source_id = sp_index_hash_source_id(attr[SP_ATTR_SOURCE], attr[SP_ATTR_ID]);
    }
    return keys;
}
