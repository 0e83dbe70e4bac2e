#include "match/globs.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "match/glob.h"

enum {
    NONE = UINT32_MAX,
    PAIRS_FIRST = 16,
    MIDDLE_BYTES = 4,
    MIDDLES_LOOKED_AT_MAX = 64, /* of one pattern, when it is filed */
};

/* Short texts under neighbouring seeds have equal hashes. */
static const uint64_t SEED_STEP = 0x9e3779b97f4a7c15u;

/* What of a pattern it is filed under; part of the hash, so that they share one table. */
enum place_kind {
    PLACE_WHOLE = 1,
    PLACE_HEAD,
    PLACE_TAIL,
    PLACE_MIDDLE,
    PLACE_EVERY, /* no bytes at all: compared with every text */
};

struct sp_globs_pair {
    char *pattern; /* NULL: a freed one */
    uint32_t len;
    uint32_t id;
    uint32_t place;
    uint32_t next; /* of the same place; of a freed one: the next freed one */
    uint32_t before;
};

/*
 * Where the patterns are that are filed under the same bytes. Bytes of equal hashes share a place,
 * which costs comparisons, not answers.
 */
struct sp_globs_place {
    uint64_t hash;
    uint64_t looked; /* the match that came by last */
    uint32_t first;  /* of a freed one: the next freed one */
    uint32_t count;  /* 0: a freed one */
    uint8_t kind;
    uint8_t len;
};

void sp_globs_init(struct sp_globs *globs, uint32_t pair_count_max) {
    sp_require(pair_count_max <= SP_GLOBS_PAIRS_MAX);
    *globs =
        (struct sp_globs){.pair_free = NONE, .place_free = NONE, .live_count_max = pair_count_max};
    sp_htab_init(&globs->pair_table);
    sp_htab_init(&globs->place_table);
}

void sp_globs_fini(struct sp_globs *globs) {
    for (uint32_t i = 0; i < globs->pair_count; i++) {
        free(globs->pairs[i].pattern);
    }
    free(globs->pairs);
    free(globs->places);
    free(globs->found);
    sp_htab_fini(&globs->pair_table);
    sp_htab_fini(&globs->place_table);
    *globs = (struct sp_globs){.pairs = NULL};
}

/* -- Places ------------------------------------------------------------------------------------ */

static uint64_t place_hash(enum place_kind kind, sp_str bytes) {
    return sp_hash_seeded(bytes.ptr, bytes.len, (uint64_t)kind * SEED_STEP);
}

static uint8_t place_len(enum place_kind kind, sp_str bytes) {
    return kind == PLACE_WHOLE ? 0 : (uint8_t)bytes.len;
}

/* The number of the place, NONE where there is none. */
static uint32_t place_find(const struct sp_globs *globs, enum place_kind kind, sp_str bytes) {
    uint64_t hash = place_hash(kind, bytes);
    struct sp_htab_probe probe = sp_htab_find(&globs->place_table, hash);
    uint32_t number = 0;
    while (sp_htab_next(&probe, &number)) {
        const struct sp_globs_place *place = &globs->places[number];
        if (place->hash == hash && place->kind == kind && place->len == place_len(kind, bytes)) {
            return number;
        }
    }
    return NONE;
}

static uint32_t *places_of_kind(struct sp_globs *globs, const struct sp_globs_place *place) {
    switch ((enum place_kind)place->kind) {
    case PLACE_HEAD:
        return &globs->heads_of_length[place->len];
    case PLACE_TAIL:
        return &globs->tails_of_length[place->len];
    case PLACE_MIDDLE:
        return &globs->middle_count;
    case PLACE_WHOLE:
    case PLACE_EVERY:
        break;
    }
    return NULL;
}

static sp_status places_reserve(struct sp_globs *globs) {
    sp_status status = sp_htab_reserve(&globs->place_table, (size_t)globs->place_table.count + 1);
    if (status != SP_OK || globs->place_free != NONE ||
        globs->place_count < globs->place_capacity) {
        return status;
    }
    uint32_t capacity = globs->place_capacity == 0 ? PAIRS_FIRST : globs->place_capacity * 2;
    struct sp_globs_place *places = realloc(globs->places, capacity * sizeof(*places));
    if (places == NULL) {
        return SP_NO_MEMORY;
    }
    globs->places = places;
    globs->place_capacity = capacity;
    return SP_OK;
}

/* There is room: places_reserve. */
static uint32_t place_make(struct sp_globs *globs, enum place_kind kind, sp_str bytes) {
    uint32_t number = globs->place_free;
    if (number != NONE) {
        globs->place_free = globs->places[number].first;
    } else {
        sp_require(globs->place_count < globs->place_capacity);
        number = globs->place_count++;
    }
    struct sp_globs_place *place = &globs->places[number];
    *place = (struct sp_globs_place){
        .hash = place_hash(kind, bytes),
        .first = NONE,
        .kind = (uint8_t)kind,
        .len = place_len(kind, bytes),
    };
    sp_status status = sp_htab_add(&globs->place_table, place->hash, number);
    sp_ensure(status == SP_OK);
    uint32_t *of_kind = places_of_kind(globs, place);
    if (of_kind != NULL) {
        (*of_kind)++;
    }
    return number;
}

static void place_free(struct sp_globs *globs, uint32_t number) {
    struct sp_globs_place *place = &globs->places[number];
    sp_require(place->count == 0 && place->first == NONE);
    uint32_t *of_kind = places_of_kind(globs, place);
    if (of_kind != NULL) {
        sp_invariant(*of_kind > 0);
        (*of_kind)--;
    }
    sp_htab_remove(&globs->place_table, place->hash, number);
    place->first = globs->place_free;
    globs->place_free = number;
}

/* -- Choosing one ------------------------------------------------------------------------------ */

struct choice {
    enum place_kind kind;
    uint32_t others; /* patterns that are there already */
    uint32_t len;
    char bytes[SP_GLOBS_EDGE_BYTES];
};

/* The bytes in a row that a walk over a pattern has seen last, all of which a text must have. */
struct run {
    char bytes[SP_GLOBS_EDGE_BYTES];
    uint32_t len;
    bool is_head; /* nothing but these came before */
};

static void offer(const struct sp_globs *globs, struct choice *best, enum place_kind kind,
                  sp_str bytes) {
    if (bytes.len == 0) {
        return;
    }
    uint32_t number = place_find(globs, kind, bytes);
    uint32_t others = number == NONE ? 0 : globs->places[number].count;
    bool better = best->kind == PLACE_EVERY || others < best->others ||
                  (others == best->others && bytes.len > best->len);
    if (better) {
        *best = (struct choice){.kind = kind, .others = others, .len = (uint32_t)bytes.len};
        memcpy(best->bytes, bytes.ptr, bytes.len);
    }
}

static void run_add(struct run *run, char byte) {
    if (run->len == SP_GLOBS_EDGE_BYTES) {
        memmove(run->bytes, run->bytes + 1, SP_GLOBS_EDGE_BYTES - 1);
        run->len--;
    }
    run->bytes[run->len++] = byte;
}

/*
 * Walks the pattern and is offered everything it may be filed under. A bracket ends the walk: what
 * comes behind it is not looked at.
 */
static void offer_parts(const struct sp_globs *globs, struct choice *best, sp_str pattern) {
    struct run run = {.is_head = true};
    uint32_t middles = 0;
    const char *end = pattern.ptr + pattern.len;
    const char *at = pattern.ptr;
    for (; at < end && *at != '['; at++) {
        if (*at == '*' || *at == '?') {
            run = (struct run){.len = 0};
            continue;
        }
        at += *at == '\\' && end - at >= 2;
        run_add(&run, *at);
        if (run.is_head && (run.len == SP_GLOBS_EDGE_BYTES || at + 1 == end || at[1] == '*' ||
                            at[1] == '?' || at[1] == '[')) {
            offer(globs, best, PLACE_HEAD, sp_str_of(run.bytes, run.len));
            run.is_head = false;
        }
        if (run.len >= MIDDLE_BYTES && middles++ < MIDDLES_LOOKED_AT_MAX) {
            offer(globs, best, PLACE_MIDDLE,
                  sp_str_of(run.bytes + run.len - MIDDLE_BYTES, MIDDLE_BYTES));
        }
    }
    if (at == end) {
        offer(globs, best, PLACE_TAIL, sp_str_of(run.bytes, run.len));
    }
}

/* The place that a new pattern goes to; there is room for one more. */
static uint32_t place_choose(struct sp_globs *globs, sp_str pattern) {
    struct choice best = {.kind = PLACE_EVERY};
    sp_str bytes = pattern;
    if (sp_redis_glob_is_literal(pattern)) {
        best.kind = PLACE_WHOLE;
    } else {
        offer_parts(globs, &best, pattern);
        bytes = sp_str_of(best.bytes, best.len);
    }
    uint32_t number = place_find(globs, best.kind, bytes);
    return number != NONE ? number : place_make(globs, best.kind, bytes);
}

/* -- Pairs ------------------------------------------------------------------------------------- */

static uint64_t pair_hash(sp_str pattern, uint32_t id) {
    return sp_hash_seeded(pattern.ptr, pattern.len, id);
}

static sp_str pair_pattern(const struct sp_globs_pair *pair) {
    return sp_str_of(pair->pattern, pair->len);
}

static uint32_t pair_find(const struct sp_globs *globs, sp_str pattern, uint32_t id) {
    struct sp_htab_probe probe = sp_htab_find(&globs->pair_table, pair_hash(pattern, id));
    uint32_t number = 0;
    while (sp_htab_next(&probe, &number)) {
        const struct sp_globs_pair *pair = &globs->pairs[number];
        if (pair->id == id && sp_str_eq(pair_pattern(pair), pattern)) {
            return number;
        }
    }
    return NONE;
}

static sp_status pairs_reserve(struct sp_globs *globs) {
    sp_status status = sp_htab_reserve(&globs->pair_table, (size_t)globs->pair_table.count + 1);
    if (status != SP_OK || globs->pair_free != NONE || globs->pair_count < globs->pair_capacity) {
        return status;
    }
    uint32_t capacity = globs->pair_capacity == 0 ? PAIRS_FIRST : globs->pair_capacity * 2;
    uint32_t *found = realloc(globs->found, capacity * sizeof(*found));
    if (found == NULL) {
        return SP_NO_MEMORY;
    }
    globs->found = found;
    struct sp_globs_pair *pairs = realloc(globs->pairs, capacity * sizeof(*pairs));
    if (pairs == NULL) {
        return SP_NO_MEMORY;
    }
    globs->pairs = pairs;
    globs->pair_capacity = capacity;
    return SP_OK;
}

/* Takes over the copy of the pattern; there is room. */
static void pair_make(struct sp_globs *globs, char *copy, sp_str pattern, uint32_t id) {
    uint32_t number = globs->pair_free;
    if (number != NONE) {
        globs->pair_free = globs->pairs[number].next;
    } else {
        number = globs->pair_count++;
    }
    uint32_t place_number = place_choose(globs, pattern);
    struct sp_globs_place *place = &globs->places[place_number];
    globs->pairs[number] = (struct sp_globs_pair){
        .pattern = copy,
        .len = (uint32_t)pattern.len,
        .id = id,
        .place = place_number,
        .next = place->first,
        .before = NONE,
    };
    if (place->first != NONE) {
        globs->pairs[place->first].before = number;
    }
    place->first = number;
    place->count++;
    sp_status status = sp_htab_add(&globs->pair_table, pair_hash(pattern, id), number);
    sp_ensure(status == SP_OK);
    globs->live_count++;
}

sp_status sp_globs_add(struct sp_globs *globs, sp_str pattern, uint32_t id,
                       struct sp_error *error) {
    if (pattern.len > SP_GLOBS_PATTERN_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "a pattern of %zu bytes, at most %d", pattern.len,
                            SP_GLOBS_PATTERN_BYTES_MAX);
    }
    if (pair_find(globs, pattern, id) != NONE) {
        return sp_error_set(error, SP_CONFLICT, "subscribed to this pattern already");
    }
    if (globs->live_count >= globs->live_count_max) {
        return sp_error_set(error, SP_LIMIT, "subscription: %u patterns are subscribed already",
                            globs->live_count);
    }
    char *copy = malloc(pattern.len + 1);
    if (copy == NULL || pairs_reserve(globs) != SP_OK || places_reserve(globs) != SP_OK) {
        free(copy);
        return sp_error_set(error, SP_NO_MEMORY, "pattern");
    }
    if (pattern.len > 0) {
        memcpy(copy, pattern.ptr, pattern.len);
    }
    copy[pattern.len] = '\0';
    pair_make(globs, copy, pattern, id);
    return SP_OK;
}

sp_status sp_globs_remove(struct sp_globs *globs, sp_str pattern, uint32_t id) {
    uint32_t number = pair_find(globs, pattern, id);
    if (number == NONE) {
        return SP_NOT_FOUND;
    }
    struct sp_globs_pair *pair = &globs->pairs[number];
    struct sp_globs_place *place = &globs->places[pair->place];
    if (pair->before == NONE) {
        place->first = pair->next;
    } else {
        globs->pairs[pair->before].next = pair->next;
    }
    if (pair->next != NONE) {
        globs->pairs[pair->next].before = pair->before;
    }
    sp_invariant(place->count > 0 && globs->live_count > 0);
    if (--place->count == 0) {
        place_free(globs, pair->place);
    }
    sp_htab_remove(&globs->pair_table, pair_hash(pattern, id), number);
    free(pair->pattern);
    *pair = (struct sp_globs_pair){.next = globs->pair_free};
    globs->pair_free = number;
    globs->live_count--;
    return SP_OK;
}

/* -- Matching ---------------------------------------------------------------------------------- */

/* Moves the id at `at` down until both below it are smaller. */
static void sift_down(uint32_t *ids, size_t count, size_t at) {
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            return;
        }
        child += child + 1 < count && ids[child + 1] > ids[child];
        if (ids[at] >= ids[child]) {
            return;
        }
        uint32_t id = ids[at];
        ids[at] = ids[child];
        ids[child] = id;
        at = child;
    }
}

static void sort_ids(uint32_t *ids, size_t count) {
    for (size_t i = count / 2; i-- > 0;) {
        sift_down(ids, count, i);
    }
    for (size_t left = count; left-- > 1;) {
        uint32_t id = ids[0];
        ids[0] = ids[left];
        ids[left] = id;
        sift_down(ids, left, 0);
    }
}

static size_t without_doubles(uint32_t *ids, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || ids[kept - 1] != ids[i]) {
            ids[kept++] = ids[i];
        }
    }
    return kept;
}

/* Compares the patterns filed under these bytes, at most once in a match. */
static size_t look(struct sp_globs *globs, enum place_kind kind, sp_str bytes, sp_str text,
                   size_t found) {
    uint32_t number = place_find(globs, kind, bytes);
    if (number == NONE || globs->places[number].looked == globs->match) {
        return found;
    }
    globs->places[number].looked = globs->match;
    for (uint32_t i = globs->places[number].first; i != NONE; i = globs->pairs[i].next) {
        globs->steps++;
        if (sp_redis_glob_match(pair_pattern(&globs->pairs[i]), text)) {
            globs->found[found++] = globs->pairs[i].id;
        }
    }
    return found;
}

static size_t look_at_edges(struct sp_globs *globs, sp_str text, size_t found) {
    size_t longest = text.len < SP_GLOBS_EDGE_BYTES ? text.len : SP_GLOBS_EDGE_BYTES;
    for (size_t len = 1; len <= longest; len++) {
        if (globs->heads_of_length[len] > 0) {
            found = look(globs, PLACE_HEAD, sp_str_of(text.ptr, len), text, found);
        }
        if (globs->tails_of_length[len] > 0) {
            found = look(globs, PLACE_TAIL, sp_str_from_byte(text, text.len - len), text, found);
        }
    }
    return found;
}

static size_t look_at_middles(struct sp_globs *globs, sp_str text, size_t found) {
    for (size_t i = 0; globs->middle_count > 0 && i + MIDDLE_BYTES <= text.len; i++) {
        found = look(globs, PLACE_MIDDLE, sp_str_of(text.ptr + i, MIDDLE_BYTES), text, found);
    }
    return found;
}

size_t sp_globs_match(struct sp_globs *globs, sp_str text, const uint32_t **ret_ids) {
    *ret_ids = globs->found;
    if (globs->live_count == 0) {
        return 0;
    }
    globs->match++;
    size_t found = look(globs, PLACE_WHOLE, text, text, 0);
    found = look(globs, PLACE_EVERY, SP_STR(""), text, found);
    found = look_at_edges(globs, text, found);
    found = look_at_middles(globs, text, found);
    sp_ensure(found <= globs->pair_capacity);
    sort_ids(globs->found, found);
    return without_doubles(globs->found, found);
}
