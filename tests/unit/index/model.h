/*
 * A naive index to compare with: the events' keys in an array, questions answered by looking at all
 * of them; and sections kept in memory, with a reader that can be told to fail.
 */
#ifndef SP_TESTS_INDEX_MODEL_H
#define SP_TESTS_INDEX_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "index/index.h"

struct model_event {
    struct sp_index_keys keys;
    uint64_t recorded_us;
    char type[24];
};

/* How events are drawn. Hashes come from `hash_mask`: few bits make many collisions. */
struct model_shape {
    uint32_t streams;
    uint32_t types;
    uint32_t sources;
    uint32_t runs;
    uint64_t hash_mask;
    uint32_t cause_percent;
    uint32_t source_id_percent;
    uint32_t hot_cause_percent; /* of causes: the segment's first event */
};

extern const struct model_shape MODEL_USUAL;
extern const struct model_shape MODEL_COLLIDING;
extern const struct model_shape MODEL_SKEWED;

struct model {
    struct sp_prng prng;
    struct model_shape shape;
    uint64_t first_position;
    size_t count;
    size_t capacity;
    struct model_event *events; /* event i has position first_position + i */
};

void model_init(struct model *model, uint64_t seed, const struct model_shape *shape,
                uint64_t first_position);
void model_fini(struct model *model);

/* Draws one more event. */
const struct model_event *model_draw(struct model *model);

uint64_t model_key(const struct model_event *event, enum sp_index_kind kind);

/* A hash that some event has, or, now and then, none. */
uint64_t model_pick(struct model *model, enum sp_index_kind kind);
uint64_t model_pick_id(struct model *model);

/* The next position at or after `position` and below `until` with the key; 0: none. */
uint64_t model_next(const struct model *model, enum sp_index_kind kind, uint64_t hash,
                    uint64_t position, uint64_t until);
/* The last position below `until` and at or after `from` with the key; 0 where there is none. */
uint64_t model_previous(const struct model *model, enum sp_index_kind kind, uint64_t hash,
                        uint64_t from, uint64_t until);

/* True where the event at `position` stands under the upper 48 bits of `hash` in that role. */
bool model_has_id(const struct model *model, uint64_t position, uint64_t hash,
                  enum sp_index_role role);

/* A tail with the model's events [begin, end). */
struct sp_tail *model_tail(const struct model *model, size_t begin, size_t end, uint64_t seed);

/* Bytes that a section reader reads. */
struct model_bytes {
    struct sp_buf buf;
    sp_status fail; /* what the next reads answer instead, where not SP_OK */
    uint32_t reads;
    uint32_t released;
};

struct model_bytes *model_encode(const struct sp_tail *tail);
struct sp_section_reader model_reader(struct model_bytes *bytes);
void model_bytes_free(struct model_bytes *bytes);

#endif
