/*
 * From a finished tail to the bytes of a section: the kinds' terms, the id table, type texts and
 * filter are written one after another behind a head that is filled in last. Pages of long lists
 * gather in a buffer of their own meanwhile, as they lie behind all terms.
 *
 * Terms and ids are sorted as 64-bit numbers that hold the place (bucket, and tag or fingerprint)
 * above and what is to be written there below.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/assert.h"
#include "index/filter.h"
#include "index/radix.h"
#include "index/section.h"
#include "index/section_format.h"
#include "index/tail_state.h"

/* Where the terms of a part come from: a kind of the tail, or the spilled lists of a role. */
struct term_source {
    const struct sp_tail *tail;
    const struct sp_terms *terms; /* NULL: the lists */
    const struct id_list *lists;
    uint32_t count;
};

/* The nodes of one hash and role that are too many for the id table. */
struct id_list {
    uint64_t hash;
    uint32_t count;
    uint32_t role; /* its number in a node */
};

struct encoder {
    const struct sp_tail *tail;
    struct sp_buf *to;
    size_t base; /* where the section begins in `to` */
    size_t head_size;
    enum sp_section_part part; /* that is being written */
    struct sp_buf pages;
    struct sp_buf directories;
    struct term_source sources[SP_PART_IDS]; /* of the parts that hold terms */
    struct {
        uint64_t offset;
        uint64_t size;
        uint32_t items;
        uint32_t buckets;
    } parts[SP_PART_COUNT];
    uint64_t *filter; /* words */
    uint32_t filter_blocks;
    uint32_t filter_keys;
    uint32_t *ordinals;    /* room for the longest list */
    struct id_list *lists; /* by role */
    uint32_t list_count;
    uint32_t list_capacity;
    uint32_t role_lists[SP_IDTAB_ROLES];
    uint64_t *ids;          /* sorted entries of the id table */
    uint64_t *lists_sorted; /* places of the lists */
    uint32_t id_count;
    sp_status status;
};

static size_t encoded(const struct encoder *enc) {
    return enc->to->len - enc->base;
}

/* -- Pieces ------------------------------------------------------------------------------------ */

static void add_u32(struct sp_buf *to, uint32_t value) {
    sp_buf_add(to, &value, sizeof(value));
}

static void add_u64(struct sp_buf *to, uint64_t value) {
    sp_buf_add(to, &value, sizeof(value));
}

static void add_varint(struct sp_buf *to, uint64_t value) {
    uint8_t *at = sp_buf_reserve(to, SP_VARINT_BYTES_MAX);
    if (at != NULL) {
        sp_buf_advance(to, sp_put_varint(at, value));
    }
}

/* Closes the piece that began at `start` of the part with its checksum. */
static void add_checksum(struct encoder *enc, size_t start) {
    size_t offset = enc->parts[enc->part].offset + start;
    if (enc->to->status == SP_OK) {
        const uint8_t *bytes = enc->to->data + enc->base + offset;
        add_u64(enc->to, sp_section_checksum(enc->tail->first_position, enc->part, start, bytes,
                                             encoded(enc) - offset));
    }
}

static void begin_part(struct encoder *enc, enum sp_section_part part) {
    enc->part = part;
    enc->parts[part].offset = encoded(enc);
}

static size_t part_size(const struct encoder *enc) {
    return encoded(enc) - enc->parts[enc->part].offset;
}

static void end_part(struct encoder *enc) {
    enc->parts[enc->part].size = part_size(enc);
}

/* Notes where the next bucket begins; after the last one, where it ends. */
static void add_to_directory(struct encoder *enc) {
    sp_invariant(part_size(enc) <= UINT32_MAX);
    add_u32(&enc->directories, (uint32_t)part_size(enc));
}

static void add_to_filter(struct encoder *enc, uint64_t key) {
    uint64_t *block =
        enc->filter + (size_t)sp_filter_block(key, enc->filter_blocks) * SP_FILTER_BLOCK_WORDS;
    uint64_t probes = sp_filter_probes(key);
    for (int i = 0; i < SP_FILTER_PROBES; i++) {
        unsigned bit = probes & (SP_FILTER_BLOCK_BITS - 1);
        block[bit / 64] |= (uint64_t)1 << bit % 64;
        probes >>= SP_FILTER_PROBE_BITS;
    }
}

/* -- Long lists -------------------------------------------------------------------------------- */

/* Writes one page; returns how many of the ordinals it holds. */
static uint32_t page_fill(uint8_t page[SP_PAGE_BYTES], const uint32_t *ordinals, uint32_t count,
                          size_t *ret_used) {
    uint32_t taken = 1;
    size_t used = SP_PAGE_HEAD;
    while (taken < count && taken < SP_POSTINGS_MAX) {
        uint32_t gap = ordinals[taken] - ordinals[taken - 1] - 1;
        if (used + sp_varint_size(gap) > SP_PAGE_DATA_END) {
            break;
        }
        used += sp_put_varint(page + used, gap);
        taken++;
    }
    sp_put_u32(page, ordinals[0]);
    sp_put_u16(page + 4, (uint16_t)taken);
    *ret_used = used;
    return taken;
}

static void add_pages_checksum(struct encoder *enc, size_t start) {
    if (enc->pages.status == SP_OK) {
        add_u64(&enc->pages, sp_section_checksum(enc->tail->first_position, SP_PART_PAGES, start,
                                                 enc->pages.data + start, enc->pages.len - start));
    }
}

/* Appends pages and directory to enc->pages; returns the size of the pages. */
static uint32_t add_pages(struct encoder *enc, const uint32_t *ordinals, uint32_t count) {
    size_t begin = enc->pages.len;
    uint32_t done = 0;
    while (done < count) {
        uint8_t page[SP_PAGE_BYTES] = {0};
        size_t used;
        size_t start = enc->pages.len;
        done += page_fill(page, ordinals + done, count - done, &used);
        sp_buf_add(&enc->pages, page, done == count ? used : SP_PAGE_DATA_END);
        add_pages_checksum(enc, start);
    }
    size_t size = enc->pages.len - begin;
    for (size_t at = begin; at < begin + size && enc->pages.status == SP_OK; at += SP_PAGE_BYTES) {
        add_u32(&enc->pages, sp_get_u32(enc->pages.data + at));
    }
    add_pages_checksum(enc, begin + size);
    return (uint32_t)size;
}

/* -- Terms ------------------------------------------------------------------------------------- */

static uint64_t source_hash(const struct term_source *source, uint32_t number) {
    return source->terms != NULL ? sp_terms_at(source->terms, number)->hash
                                 : source->lists[number].hash;
}

static uint32_t source_count(const struct term_source *source, uint32_t number) {
    return source->terms != NULL ? sp_terms_at(source->terms, number)->count
                                 : source->lists[number].count;
}

static void source_copy(const struct term_source *source, uint32_t number, uint32_t *to) {
    if (source->terms != NULL) {
        sp_terms_copy(source->terms, &source->tail->words, number, to);
        return;
    }
    const struct id_list *list = &source->lists[number];
    struct sp_idtab_walk walk = sp_idtab_find(&source->tail->ids, sp_idtab_hash48(list->hash));
    uint32_t copied = 0;
    sp_idtab_node node;
    while (sp_idtab_next(&walk, &node)) {
        if (node >> SP_IDTAB_ORDINAL_BITS == list->role) {
            to[copied++] = node & ((1u << SP_IDTAB_ORDINAL_BITS) - 1);
        }
    }
    sp_ensure(copied == list->count);
}

static uint32_t term_buckets(const struct term_source *source) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < source->count; i++) {
        uint32_t count = source_count(source, i);
        bytes += count > SP_SECTION_SHORT_MAX ? 12 : 5 + 2 * (uint64_t)count;
    }
    uint64_t buckets = (bytes + SP_TERM_BUCKET_BYTES - 1) / SP_TERM_BUCKET_BYTES;
    return buckets > SP_TERM_BUCKETS_MAX ? SP_TERM_BUCKETS_MAX : (uint32_t)buckets;
}

/* A term as a number to sort by: bucket, tag, and its number in the source. */
enum { TERM_NUMBER_BITS = 22, TERM_PLACE_BITS = 42 };

static uint64_t *sort_terms(const struct term_source *source, uint32_t buckets) {
    static_assert(SP_TAIL_EVENTS_MAX <= 1 << TERM_NUMBER_BITS, "as many terms as events");
    static_assert(SP_TERM_BUCKETS_MAX <= 1 << (TERM_PLACE_BITS - 32), "bucket and tag fit");
    uint64_t *sorted = malloc(2 * (size_t)source->count * sizeof(*sorted));
    if (sorted == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < source->count; i++) {
        uint64_t hash = source_hash(source, i);
        uint64_t place = (uint64_t)sp_spread(hash, buckets) << 32 | sp_term_tag(hash);
        sorted[i] = place << TERM_NUMBER_BITS | i;
    }
    sp_radix_sort(sorted, sorted + source->count, source->count, TERM_NUMBER_BITS, 64);
    return sorted;
}

static uint32_t number_of(uint64_t sorted) {
    return (uint32_t)(sorted & ((1u << TERM_NUMBER_BITS) - 1));
}

static int compare_ordinals(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/*
 * Collects the postings of `terms` terms that share bucket and tag: nearly always one. No event is
 * in two of them, as it has one key of each kind.
 */
static uint32_t collect(struct encoder *enc, const struct term_source *source,
                        const uint64_t *sorted, uint32_t terms) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < terms; i++) {
        source_copy(source, number_of(sorted[i]), enc->ordinals + count);
        count += source_count(source, number_of(sorted[i]));
    }
    sp_invariant(count <= enc->tail->count);
    if (terms > 1) {
        qsort(enc->ordinals, count, sizeof(*enc->ordinals), compare_ordinals);
    }
    return count;
}

static void add_record(struct encoder *enc, uint32_t count) {
    struct sp_buf *to = enc->to;
    const uint32_t *ordinals = enc->ordinals;
    bool is_long = count > SP_SECTION_SHORT_MAX;
    add_varint(to, (uint64_t)count * 2 + is_long);
    if (is_long) {
        add_varint(to, enc->pages.len);
        add_varint(to, add_pages(enc, ordinals, count));
        return;
    }
    add_varint(to, ordinals[0]);
    for (uint32_t i = 1; i < count; i++) {
        add_varint(to, ordinals[i] - ordinals[i - 1] - 1);
    }
}

/* How many of the sorted terms share the place of the first. */
static uint32_t same_place(const uint64_t *sorted, uint32_t count) {
    uint32_t same = 1;
    while (same < count && sorted[same] >> TERM_NUMBER_BITS == sorted[0] >> TERM_NUMBER_BITS) {
        same++;
    }
    return same;
}

/* Writes a bucket out of the `count` sorted terms that belong to it; returns its distinct tags. */
static uint32_t add_term_bucket(struct encoder *enc, const struct term_source *source,
                                const uint64_t *sorted, uint32_t count) {
    size_t start = part_size(enc);
    uint32_t tags = 0;
    add_u32(enc->to, 0);
    for (uint32_t i = 0; i < count; i += same_place(sorted + i, count - i)) {
        add_u32(enc->to, (uint32_t)(sorted[i] >> TERM_NUMBER_BITS));
        tags++;
    }
    for (uint32_t i = 0; i < count;) {
        uint32_t terms = same_place(sorted + i, count - i);
        add_record(enc, collect(enc, source, sorted + i, terms));
        i += terms;
    }
    if (enc->to->status == SP_OK) {
        sp_put_u32(enc->to->data + enc->base + enc->parts[enc->part].offset + start, tags);
    }
    add_checksum(enc, start);
    return tags;
}

static void add_term_part(struct encoder *enc, enum sp_section_part part) {
    const struct term_source *source = &enc->sources[part];
    uint32_t buckets = enc->parts[part].buckets;
    begin_part(enc, part);
    uint64_t *sorted = source->count == 0 ? NULL : sort_terms(source, buckets);
    if (sorted == NULL) {
        enc->status = source->count == 0 ? enc->status : SP_NO_MEMORY;
        return;
    }
    uint32_t at = 0;
    for (uint32_t bucket = 0; bucket < buckets; bucket++) {
        uint32_t begin = at;
        while (at < source->count && sorted[at] >> (TERM_NUMBER_BITS + 32) == bucket) {
            add_to_filter(enc, source_hash(source, number_of(sorted[at])));
            at++;
        }
        add_to_directory(enc);
        enc->parts[part].items += add_term_bucket(enc, source, sorted + begin, at - begin);
    }
    add_to_directory(enc);
    end_part(enc);
    free(sorted);
    sp_ensure(at == source->count);
}

/* -- Ids --------------------------------------------------------------------------------------- */

/* An id entry as a number to sort by: bucket 13 bits, fingerprint 16, ordinal 22, role 2. */
enum { ID_PLACE = 24, ID_BUCKET = 40, ID_END = 53 };

static uint64_t id_place(uint64_t hash, uint32_t buckets) {
    return (uint64_t)sp_spread(hash, buckets) << 16 | sp_id_fingerprint(hash);
}

static bool list_add(struct encoder *enc, struct id_list list) {
    if (enc->list_count == enc->list_capacity) {
        uint32_t capacity = enc->list_capacity == 0 ? 64 : enc->list_capacity * 2;
        struct id_list *lists = realloc(enc->lists, capacity * sizeof(*lists));
        if (lists == NULL) {
            enc->status = SP_NO_MEMORY;
            return false;
        }
        enc->lists = lists;
        enc->list_capacity = capacity;
    }
    enc->lists[enc->list_count++] = list;
    enc->role_lists[list.role]++;
    return true;
}

/* Turns the nodes of one hash into entries, and into lists where a role has too many of them. */
static bool gather_hash(struct encoder *enc, uint64_t hash48, struct sp_idtab_walk walk,
                        uint32_t buckets) {
    uint64_t hash = hash48 << 16;
    uint64_t place = id_place(hash, buckets) << ID_PLACE;
    uint32_t begin = enc->id_count;
    uint32_t counts[SP_IDTAB_ROLES] = {0};
    sp_idtab_node node;
    while (sp_idtab_next(&walk, &node)) {
        uint32_t role = node >> SP_IDTAB_ORDINAL_BITS;
        uint32_t ordinal = node & ((1u << SP_IDTAB_ORDINAL_BITS) - 1);
        counts[role]++;
        enc->ids[enc->id_count++] = place | (uint64_t)ordinal << 2 | role;
    }
    for (uint32_t role = 0; role < SP_IDTAB_ROLES; role++) {
        if (counts[role] <= SP_ID_SPILL) {
            continue;
        }
        uint32_t kept = begin;
        for (uint32_t i = begin; i < enc->id_count; i++) {
            if ((enc->ids[i] & 3) != role) {
                enc->ids[kept++] = enc->ids[i];
            }
        }
        enc->id_count = kept;
        if (!list_add(enc, (struct id_list){.hash = hash, .count = counts[role], .role = role})) {
            return false;
        }
    }
    return true;
}

static bool gather_ids(struct encoder *enc, uint32_t buckets) {
    const struct sp_idtab *tab = &enc->tail->ids;
    enc->ids = malloc((2 * (size_t)tab->node_count + 1) * sizeof(*enc->ids));
    if (enc->ids == NULL) {
        enc->status = SP_NO_MEMORY;
        return false;
    }
    for (uint32_t table = 0; table < SP_IDTAB_TABLES; table++) {
        uint32_t slots = tab->tables[table].slots == NULL ? 0 : tab->tables[table].mask + 1;
        for (uint32_t slot = 0; slot < slots; slot++) {
            uint64_t hash48;
            struct sp_idtab_walk walk;
            sp_idtab_prefetch_walk(tab, table, slot);
            if (!sp_idtab_slot(tab, table, slot, &hash48, &walk)) {
                continue;
            }
            add_to_filter(enc, hash48 << 16);
            if (!gather_hash(enc, hash48, walk, buckets)) {
                return false;
            }
        }
    }
    sp_radix_sort(enc->ids, enc->ids + tab->node_count, enc->id_count, 0, ID_END);
    return true;
}

/* The lists' places in order, as ids are sorted. */
static bool sort_list_places(struct encoder *enc, uint32_t buckets) {
    uint64_t *places = malloc((2 * (size_t)enc->list_count + 1) * sizeof(*places));
    if (places == NULL) {
        enc->status = SP_NO_MEMORY;
        return false;
    }
    for (uint32_t i = 0; i < enc->list_count; i++) {
        places[i] = id_place(enc->lists[i].hash, buckets) << ID_PLACE;
    }
    sp_radix_sort(places, places + enc->list_count, enc->list_count, ID_PLACE, ID_END);
    enc->lists_sorted = places;
    return true;
}

/* A cause that follows an entry of its fingerprint needs none of its own. */
static bool id_is_same_cause(const uint64_t *ids, uint32_t i) {
    return i > 0 && (ids[i] & 3) == SP_TAIL_ROLE_CAUSE &&
           ids[i] >> ID_PLACE == ids[i - 1] >> ID_PLACE;
}

static void add_fingerprints(struct sp_buf *to, const uint64_t *ids, uint32_t count,
                             bool skip_same) {
    for (uint32_t i = 0; i < count; i++) {
        if (!skip_same || !id_is_same_cause(ids, i)) {
            uint16_t fingerprint = (uint16_t)(ids[i] >> ID_PLACE);
            sp_buf_add(to, &fingerprint, sizeof(fingerprint));
        }
    }
}

static uint32_t id_buckets(const struct sp_tail *tail) {
    uint32_t buckets = (tail->ids.node_count + SP_ID_BUCKET_ENTRIES - 1) / SP_ID_BUCKET_ENTRIES;
    return buckets > SP_ID_BUCKETS_MAX ? SP_ID_BUCKETS_MAX : buckets;
}

static int compare_lists(const void *a, const void *b) {
    const struct id_list *left = a;
    const struct id_list *right = b;
    return (left->role > right->role) - (left->role < right->role);
}

static void add_id_bucket(struct encoder *enc, const uint64_t *ids, uint32_t count,
                          const uint64_t *lists, uint32_t list_count) {
    size_t start = part_size(enc);
    uint32_t fingerprints = 0;
    for (uint32_t i = 0; i < count; i++) {
        fingerprints += !id_is_same_cause(ids, i);
    }
    add_u32(enc->to, fingerprints);
    add_u32(enc->to, list_count);
    add_fingerprints(enc->to, ids, count, true);
    add_fingerprints(enc->to, lists, list_count, false);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t code = id_is_same_cause(ids, i) ? SP_ID_CODE_SAME_CAUSE : (uint32_t)ids[i] & 3;
        uint32_t entry = ((uint32_t)ids[i] & 0xfffffc) | code;
        sp_buf_add(enc->to, &entry, SP_ID_ENTRY);
    }
    add_checksum(enc, start);
}

static void add_id_part(struct encoder *enc) {
    uint32_t buckets = enc->parts[SP_PART_IDS].buckets;
    const uint64_t *lists = enc->lists_sorted;
    begin_part(enc, SP_PART_IDS);
    enc->parts[SP_PART_IDS].items = enc->id_count;
    uint32_t at = 0;
    uint32_t list = 0;
    for (uint32_t bucket = 0; bucket < buckets; bucket++) {
        uint32_t begin = at;
        uint32_t list_begin = list;
        while (at < enc->id_count && enc->ids[at] >> ID_BUCKET == bucket) {
            at++;
        }
        while (list < enc->list_count && lists[list] >> ID_BUCKET == bucket) {
            list++;
        }
        add_to_directory(enc);
        add_id_bucket(enc, enc->ids + begin, at - begin, lists + list_begin, list - list_begin);
    }
    if (buckets > 0) {
        add_to_directory(enc);
    }
    end_part(enc);
    sp_ensure(at == enc->id_count && list == enc->list_count);
}

/* -- The rest ---------------------------------------------------------------------------------- */

static void add_types(struct encoder *enc) {
    const struct sp_tail *tail = enc->tail;
    begin_part(enc, SP_PART_TYPES);
    enc->parts[SP_PART_TYPES].items = sp_tail_type_count(tail);
    add_u32(enc->to, sp_tail_type_count(tail));
    for (uint32_t i = 0; i < sp_tail_type_count(tail); i++) {
        sp_str type = sp_tail_type(tail, i);
        add_varint(enc->to, type.len);
        sp_buf_add_str(enc->to, type);
    }
    add_checksum(enc, 0);
    end_part(enc);
}

static void add_filter(struct encoder *enc) {
    begin_part(enc, SP_PART_FILTER);
    sp_buf_add(enc->to, enc->filter, (size_t)enc->filter_blocks * SP_FILTER_BLOCK_BYTES);
    add_checksum(enc, 0);
    end_part(enc);
}

static void add_parts(struct encoder *enc) {
    for (int part = 0; part < SP_PART_IDS; part++) {
        add_term_part(enc, (enum sp_section_part)part);
    }
    add_id_part(enc);
    begin_part(enc, SP_PART_PAGES);
    sp_buf_add(enc->to, enc->pages.data, enc->pages.len);
    end_part(enc);
    add_types(enc);
    add_filter(enc);
}

static uint32_t time_count(const struct sp_tail *tail) {
    return (tail->count + SP_TAIL_TIME_EVENTS - 1) / SP_TAIL_TIME_EVENTS;
}

static void put_fixed_head(const struct encoder *enc, uint8_t *head) {
    memcpy(head + SP_HEAD_MAGIC, SP_SECTION_MAGIC, 8);
    sp_put_u32(head + SP_HEAD_VERSION, SP_SECTION_VERSION);
    sp_put_u32(head + SP_HEAD_FLAGS, enc->tail->types_complete ? SP_HEAD_TYPES_COMPLETE : 0);
    sp_put_u64(head + SP_HEAD_FIRST, enc->tail->first_position);
    sp_put_u32(head + SP_HEAD_COUNT, enc->tail->count);
    sp_put_u32(head + SP_HEAD_SIZE, (uint32_t)enc->head_size);
    sp_put_u64(head + SP_HEAD_SECTION_SIZE, encoded(enc));
    sp_put_u32(head + SP_HEAD_FILTER_BLOCKS, enc->filter_blocks);
    sp_put_u32(head + SP_HEAD_FILTER_KEYS, enc->filter_keys);
    sp_put_u64(head + SP_HEAD_FIXED_CHECKSUM, sp_hash(head, SP_HEAD_FIXED_CHECKSUM));
}

/* Fills the room that was left for the head. */
static void put_head(const struct encoder *enc) {
    uint8_t *head = enc->to->data + enc->base;
    put_fixed_head(enc, head);
    uint8_t *at = head + SP_HEAD_FIXED;
    for (int part = 0; part < SP_PART_COUNT; part++) {
        sp_put_u64(at + SP_PART_OFFSET, enc->parts[part].offset);
        sp_put_u64(at + SP_PART_SIZE, enc->parts[part].size);
        sp_put_u32(at + SP_PART_ITEMS, enc->parts[part].items);
        sp_put_u32(at + SP_PART_BUCKETS, enc->parts[part].buckets);
        at += SP_PART_ENTRY;
    }
    size_t times_size = time_count(enc->tail) * sizeof(uint64_t);
    memcpy(at, enc->tail->times, times_size);
    at += times_size;
    if (enc->directories.len > 0) {
        memcpy(at, enc->directories.data, enc->directories.len);
        at += enc->directories.len;
    }
    sp_ensure(at + SP_SECTION_CHECKSUM == head + enc->head_size);
    sp_put_u64(at, sp_hash(head, (size_t)(at - head)));
}

/* Decides on the buckets, which gives the size of the head, and makes room for it. */
static void plan_head(struct encoder *enc) {
    uint32_t before = 0;
    for (uint32_t part = 0; part < SP_PART_IDS; part++) {
        struct term_source *source = &enc->sources[part];
        source->tail = enc->tail;
        if (part < SP_INDEX_KIND_COUNT) {
            source->terms = &enc->tail->kinds[part];
            source->count = source->terms->count;
        } else {
            source->count = enc->role_lists[part - SP_PART_ID_LISTS];
            source->lists = enc->lists == NULL ? NULL : enc->lists + before;
            before += source->count;
        }
        enc->parts[part].buckets = term_buckets(source);
    }
    enc->head_size = SP_HEAD_FIXED + SP_PART_COUNT * SP_PART_ENTRY + SP_SECTION_CHECKSUM +
                     time_count(enc->tail) * sizeof(uint64_t);
    for (int part = 0; part < SP_PART_DIRECTORIES; part++) {
        uint32_t buckets = enc->parts[part].buckets;
        enc->head_size += buckets == 0 ? 0 : (buckets + 1) * sizeof(uint32_t);
    }
    uint8_t *head = sp_buf_reserve(enc->to, enc->head_size);
    if (head != NULL) {
        sp_buf_advance(enc->to, enc->head_size);
    }
}

static bool allocate(struct encoder *enc) {
    const struct sp_tail *tail = enc->tail;
    enc->filter_keys = sp_idtab_count(&tail->ids);
    for (size_t kind = 0; kind < SP_INDEX_KIND_COUNT; kind++) {
        enc->filter_keys += tail->kinds[kind].count;
    }
    enc->filter_blocks = sp_filter_blocks(enc->filter_keys);
    enc->filter = calloc(enc->filter_blocks, SP_FILTER_BLOCK_BYTES);
    enc->ordinals = malloc((tail->count + 1) * sizeof(*enc->ordinals));
    if (enc->filter == NULL || enc->ordinals == NULL) {
        enc->status = SP_NO_MEMORY;
        return false;
    }
    return true;
}

static void encode(struct encoder *enc) {
    uint32_t buckets = id_buckets(enc->tail);
    enc->parts[SP_PART_IDS].buckets = buckets;
    if (!allocate(enc) || !gather_ids(enc, buckets) || !sort_list_places(enc, buckets)) {
        return;
    }
    if (enc->list_count > 0) {
        qsort(enc->lists, enc->list_count, sizeof(*enc->lists), compare_lists);
    }
    plan_head(enc);
    add_parts(enc);
    if (enc->status == SP_OK) {
        enc->status = enc->pages.status != SP_OK         ? enc->pages.status
                      : enc->directories.status != SP_OK ? enc->directories.status
                                                         : enc->to->status;
    }
    if (enc->status == SP_OK) {
        put_head(enc);
    }
}

sp_status sp_section_encode(const struct sp_tail *tail, struct sp_buf *to, struct sp_error *error) {
    sp_require(sp_tail_finished(tail));
    struct encoder enc = {.tail = tail, .to = to, .base = to->len};
    if (to->status != SP_OK) {
        return sp_error_set(error, to->status, "index section: %s", sp_status_text(to->status));
    }
    sp_buf_init(&enc.pages, UINT32_MAX);
    sp_buf_init(&enc.directories, UINT32_MAX);
    encode(&enc);
    sp_buf_fini(&enc.pages);
    sp_buf_fini(&enc.directories);
    free(enc.filter);
    free(enc.ordinals);
    free(enc.lists);
    free(enc.lists_sorted);
    free(enc.ids);
    if (enc.status != SP_OK) {
        to->len = enc.base;
        return sp_error_set(error, enc.status, "index section of %u events from position %llu: %s",
                            tail->count, (unsigned long long)tail->first_position,
                            sp_status_text(enc.status));
    }
    sp_ensure(to->len > enc.base);
    return SP_OK;
}
