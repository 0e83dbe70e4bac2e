/*
 * Reading goes in pieces: a bucket, a page, a directory, each under its own checksum, which is
 * compared before a byte of the piece is used. What follows checks lengths and numbers all the
 * same: a mistake of an encoder must not lead outside a buffer.
 */
#include "index/section.h"

#include <assert.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/wire.h"
#include "index/filter.h"
#include "index/section_format.h"
#include "index/tail_state.h"

struct part {
    uint64_t offset;
    uint64_t size;
    uint32_t buckets;
    /* buckets + 1 offsets within the part; NULL where there are no buckets */
    const uint32_t *directory;
};

struct sp_section {
    struct sp_section_reader reader;
    uint8_t *head;
    size_t head_size;
    uint64_t first_position;
    uint32_t count;
    uint32_t filter_blocks;
    bool types_complete;
    const uint64_t *times; /* in the head */
    uint32_t time_count;
    struct part parts[SP_PART_COUNT];
};

/* -- Opening ----------------------------------------------------------------------------------- */

static sp_status section_damaged(struct sp_error *error, const char *what) {
    return sp_error_set(error, SP_CORRUPT, "index section: damaged %s", what);
}

static sp_status section_read(const struct sp_section *section, uint64_t offset, size_t len,
                              void *to, struct sp_error *error) {
    const struct sp_section_reader *reader = &section->reader;
    if (offset > reader->size_bytes || len > reader->size_bytes - offset) {
        return section_damaged(error, "size");
    }
    sp_status status = reader->read(reader->context, offset, len, to);
    if (status != SP_OK) {
        sp_error_set_at(error, status, offset, "index section: read %zu bytes: %s", len,
                        sp_status_text(status));
    }
    return status;
}

/* Reads the fixed head into the section, and says how long the whole is. */
static sp_status open_fixed(struct sp_section *section, struct sp_error *error) {
    uint8_t fixed[SP_HEAD_FIXED];
    sp_status status = section_read(section, 0, sizeof(fixed), fixed, error);
    if (status != SP_OK) {
        return status;
    }
    uint64_t checksum = sp_get_u64(fixed + SP_HEAD_FIXED_CHECKSUM);
    if (memcmp(fixed + SP_HEAD_MAGIC, SP_SECTION_MAGIC, 8) != 0 ||
        checksum != sp_hash(fixed, SP_HEAD_FIXED_CHECKSUM)) {
        return section_damaged(error, "head");
    }
    uint32_t version = sp_get_u32(fixed + SP_HEAD_VERSION);
    if (version != SP_SECTION_VERSION) {
        return sp_error_set(error, SP_UNSUPPORTED,
                            "index section: version %u, this program reads version %d", version,
                            SP_SECTION_VERSION);
    }
    section->first_position = sp_get_u64(fixed + SP_HEAD_FIRST);
    section->count = sp_get_u32(fixed + SP_HEAD_COUNT);
    section->filter_blocks = sp_get_u32(fixed + SP_HEAD_FILTER_BLOCKS);
    section->types_complete = (sp_get_u32(fixed + SP_HEAD_FLAGS) & SP_HEAD_TYPES_COMPLETE) != 0;
    section->head_size = sp_get_u32(fixed + SP_HEAD_SIZE);
    if (sp_get_u64(fixed + SP_HEAD_SECTION_SIZE) != section->reader.size_bytes ||
        section->count > SP_TAIL_EVENTS_MAX || section->first_position == 0 ||
        section->head_size > SP_HEAD_SIZE_MAX ||
        section->head_size < SP_HEAD_FIXED + SP_PART_COUNT * SP_PART_ENTRY + SP_SECTION_CHECKSUM) {
        return section_damaged(error, "head");
    }
    return SP_OK;
}

/* Every byte belongs to a part: they lie one after another, from the head to the end. */
static bool parse_parts(struct sp_section *section) {
    const uint8_t *at = section->head + SP_HEAD_FIXED;
    uint64_t offset = section->head_size;
    for (int i = 0; i < SP_PART_COUNT; i++, at += SP_PART_ENTRY) {
        struct part *part = &section->parts[i];
        part->offset = sp_get_u64(at + SP_PART_OFFSET);
        part->size = sp_get_u64(at + SP_PART_SIZE);
        part->buckets = sp_get_u32(at + SP_PART_BUCKETS);
        if (part->offset != offset || part->size > section->reader.size_bytes - offset) {
            return false;
        }
        offset += part->size;
    }
    const struct part *filter = &section->parts[SP_PART_FILTER];
    uint64_t filter_size = (uint64_t)section->filter_blocks * SP_FILTER_BLOCK_BYTES;
    return offset == section->reader.size_bytes && section->filter_blocks > 0 &&
           filter->size == filter_size + SP_SECTION_CHECKSUM;
}

static bool parse_directory(struct part *part, const uint8_t *at, const uint8_t *end,
                            uint32_t buckets_max) {
    if (part->buckets == 0) {
        return part->size == 0;
    }
    if (part->buckets > buckets_max ||
        (part->buckets + 1) * sizeof(uint32_t) > (size_t)(end - at)) {
        return false;
    }
    part->directory = (const uint32_t *)(const void *)at;
    for (uint32_t i = 0; i < part->buckets; i++) {
        if (part->directory[i] > part->directory[i + 1]) {
            return false;
        }
    }
    return part->directory[0] == 0 && part->directory[part->buckets] == part->size;
}

static bool parse_head(struct sp_section *section) {
    static_assert((SP_HEAD_FIXED + SP_PART_COUNT * SP_PART_ENTRY) % sizeof(uint64_t) == 0,
                  "the times are aligned");
    const uint8_t *at = section->head + SP_HEAD_FIXED + SP_PART_COUNT * SP_PART_ENTRY;
    const uint8_t *end = section->head + section->head_size - SP_SECTION_CHECKSUM;
    section->time_count = (section->count + SP_TAIL_TIME_EVENTS - 1) / SP_TAIL_TIME_EVENTS;
    if (section->time_count * sizeof(uint64_t) > (size_t)(end - at) || !parse_parts(section)) {
        return false;
    }
    section->times = (const uint64_t *)(const void *)at;
    at += section->time_count * sizeof(uint64_t);
    for (int i = 0; i < SP_PART_COUNT; i++) {
        struct part *part = &section->parts[i];
        uint32_t buckets_max = i < SP_PART_IDS    ? SP_TERM_BUCKETS_MAX
                               : i == SP_PART_IDS ? SP_ID_BUCKETS_MAX
                                                  : 0;
        if (buckets_max == 0 ? part->buckets != 0 : !parse_directory(part, at, end, buckets_max)) {
            return false;
        }
        at += part->buckets == 0 ? 0 : (part->buckets + 1) * sizeof(uint32_t);
    }
    return at == end;
}

static sp_status open_head(struct sp_section *section, struct sp_error *error) {
    sp_status status = open_fixed(section, error);
    if (status != SP_OK) {
        return status;
    }
    section->head = malloc(section->head_size);
    if (section->head == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "index section: out of memory");
    }
    status = section_read(section, 0, section->head_size, section->head, error);
    if (status != SP_OK) {
        return status;
    }
    size_t covered = section->head_size - SP_SECTION_CHECKSUM;
    if (sp_get_u64(section->head + covered) != sp_hash(section->head, covered) ||
        !parse_head(section)) {
        return section_damaged(error, "head");
    }
    return SP_OK;
}

sp_status sp_section_open(const struct sp_section_reader *reader, struct sp_section **ret_section,
                          struct sp_error *error) {
    sp_require(reader->read != NULL);
    struct sp_section *section = calloc(1, sizeof(*section));
    if (section == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "index section: out of memory");
    }
    section->reader = *reader;
    sp_status status = open_head(section, error);
    if (status != SP_OK) {
        free(section->head);
        free(section);
        return status;
    }
    *ret_section = section;
    return SP_OK;
}

void sp_section_free(struct sp_section *section) {
    if (section == NULL) {
        return;
    }
    if (section->reader.release != NULL) {
        section->reader.release(section->reader.context);
    }
    sp_section_discard(section);
}

void sp_section_discard(struct sp_section *section) {
    free(section->head);
    free(section);
}

uint64_t sp_section_first(const struct sp_section *section) {
    return section->first_position;
}

uint32_t sp_section_count(const struct sp_section *section) {
    return section->count;
}

size_t sp_section_bytes(const struct sp_section *section) {
    return sizeof(*section) + section->head_size;
}

/* -- Pieces ------------------------------------------------------------------------------------ */

/* Reads `size` bytes of a part, of which the last are the checksum, and compares that. */
static sp_status section_piece(const struct sp_section *section, enum sp_section_part number,
                               uint64_t start, uint64_t size, struct sp_buf *scratch,
                               sp_str *ret_piece) {
    const struct part *part = &section->parts[number];
    if (start > part->size || size > part->size - start || size < SP_SECTION_CHECKSUM) {
        return SP_CORRUPT;
    }
    sp_buf_reset(scratch);
    uint8_t *bytes = sp_buf_reserve(scratch, (size_t)size);
    if (bytes == NULL) {
        return scratch->status;
    }
    sp_status status = section_read(section, part->offset + start, (size_t)size, bytes, NULL);
    if (status != SP_OK) {
        return status;
    }
    size_t len = (size_t)size - SP_SECTION_CHECKSUM;
    if (sp_get_u64(bytes + len) !=
        sp_section_checksum(section->first_position, number, start, bytes, len)) {
        return SP_CORRUPT;
    }
    *ret_piece = sp_str_of(bytes, len);
    return SP_OK;
}

/* Reads the bucket that a hash belongs to. The part has buckets. */
static sp_status section_bucket(const struct sp_section *section, enum sp_section_part number,
                                uint64_t hash, struct sp_buf *scratch, sp_str *ret_bucket) {
    const struct part *part = &section->parts[number];
    uint32_t bucket = sp_spread(hash, part->buckets);
    uint32_t begin = part->directory[bucket];
    return section_piece(section, number, begin, part->directory[bucket + 1] - begin, scratch,
                         ret_bucket);
}

/* -- Terms ------------------------------------------------------------------------------------- */

/* The first of `count` tags that is not below `tag`. */
static uint32_t tag_find(const char *tags, uint32_t count, uint32_t tag) {
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sp_get_u32(tags + 4 * (size_t)middle) < tag) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Passes over varints without looking at their values. */
static void skip_varints(struct sp_wire *wire, uint64_t count) {
    const uint8_t *at = wire->at;
    while (count > 0 && at < wire->end) {
        count -= *at++ < 0x80;
    }
    wire->at = at;
    wire->bad = wire->bad || count > 0;
}

static void skip_records(struct sp_wire *wire, uint32_t count) {
    for (uint32_t i = 0; i < count && !wire->bad; i++) {
        uint64_t record = sp_wire_varint(wire);
        skip_varints(wire, (record & 1) != 0 ? 2 : record / 2);
    }
}

/* Reads `count` more ordinals behind those of the run, as gaps. */
static bool read_gaps(struct sp_wire *wire, uint32_t events, uint32_t count,
                      struct sp_postings *run) {
    uint64_t ordinal = run->ordinals[run->end - 1];
    for (uint32_t i = 0; i < count; i++) {
        ordinal += sp_wire_varint(wire) + 1;
        if (ordinal >= events) {
            return false;
        }
        run->ordinals[run->end++] = (uint32_t)ordinal;
    }
    return !wire->bad;
}

static bool read_short(struct sp_wire *wire, uint32_t events, uint32_t count,
                       struct sp_postings *run) {
    uint64_t first = sp_wire_varint(wire);
    if (wire->bad || first >= events || count > SP_SECTION_SHORT_MAX) {
        return false;
    }
    run->ordinals[0] = (uint32_t)first;
    run->end = 1;
    return read_gaps(wire, events, count - 1, run);
}

static uint32_t page_count(const struct sp_section_cursor *cursor) {
    return (cursor->pages_bytes + SP_PAGE_BYTES - 1) / SP_PAGE_BYTES;
}

static bool read_long(struct sp_wire *wire, struct sp_section_cursor *cursor) {
    uint64_t offset = sp_wire_varint(wire);
    uint64_t bytes = sp_wire_varint(wire);
    if (wire->bad || bytes == 0 || bytes > UINT32_MAX) {
        return false;
    }
    cursor->pages_offset = offset;
    cursor->pages_bytes = (uint32_t)bytes;
    cursor->page = UINT32_MAX;
    cursor->is_long = true;
    return true;
}

static sp_status read_record(const struct sp_section *section, struct sp_wire *wire,
                             struct sp_section_cursor *cursor, struct sp_postings *run) {
    uint64_t record = sp_wire_varint(wire);
    if (wire->bad || record / 2 == 0 || record / 2 > section->count) {
        return SP_CORRUPT;
    }
    cursor->count = (uint32_t)(record / 2);
    bool good = (record & 1) != 0 ? read_long(wire, cursor)
                                  : read_short(wire, section->count, cursor->count, run);
    return good ? SP_OK : SP_CORRUPT;
}

static sp_status term_find(const struct sp_section *section, enum sp_section_part part,
                           uint64_t hash, struct sp_buf *scratch, struct sp_section_cursor *cursor,
                           struct sp_postings *run) {
    *cursor = (struct sp_section_cursor){.count = 0};
    run->begin = 0;
    run->end = 0;
    if (section->parts[part].buckets == 0) {
        return SP_OK;
    }
    sp_str bucket;
    sp_status status = section_bucket(section, part, hash, scratch, &bucket);
    if (status != SP_OK) {
        return status;
    }
    struct sp_wire wire = sp_wire_of(bucket.ptr, bucket.len);
    uint32_t count = sp_wire_u32(&wire);
    sp_str tags = sp_wire_bytes(&wire, 4 * (size_t)count);
    if (wire.bad) {
        return SP_CORRUPT;
    }
    uint32_t tag = sp_term_tag(hash);
    uint32_t found = tag_find(tags.ptr, count, tag);
    if (found == count || sp_get_u32(tags.ptr + 4 * (size_t)found) != tag) {
        return SP_OK;
    }
    skip_records(&wire, found);
    return read_record(section, &wire, cursor, run);
}

sp_status sp_section_find(const struct sp_section *section, enum sp_index_kind kind, uint64_t hash,
                          struct sp_buf *scratch, struct sp_section_cursor *ret_cursor,
                          struct sp_postings *ret_run) {
    sp_require((unsigned)kind < SP_INDEX_KIND_COUNT);
    return term_find(section, (enum sp_section_part)kind, hash, scratch, ret_cursor, ret_run);
}

/* -- Long lists -------------------------------------------------------------------------------- */

static sp_status page_load(const struct sp_section *section, struct sp_section_cursor *cursor,
                           uint32_t page, struct sp_buf *scratch, struct sp_postings *run) {
    uint32_t start = page * SP_PAGE_BYTES;
    uint32_t left = cursor->pages_bytes - start;
    sp_str bytes;
    sp_status status = section_piece(section, SP_PART_PAGES, cursor->pages_offset + start,
                                     left < SP_PAGE_BYTES ? left : SP_PAGE_BYTES, scratch, &bytes);
    if (status != SP_OK) {
        return status;
    }
    struct sp_wire wire = sp_wire_of(bytes.ptr, bytes.len);
    uint32_t first = sp_wire_u32(&wire);
    uint32_t count = sp_wire_u16(&wire);
    if (wire.bad || count == 0 || count > SP_POSTINGS_MAX || first >= section->count) {
        return SP_CORRUPT;
    }
    run->begin = 0;
    run->end = 1;
    run->ordinals[0] = first;
    if (!read_gaps(&wire, section->count, count - 1, run)) {
        return SP_CORRUPT;
    }
    cursor->page = page;
    cursor->page_first = first;
    cursor->page_last = run->ordinals[count - 1];
    return SP_OK;
}

/* The last page that begins at or before the bound, by the list's directory; else the first. */
static sp_status page_find(const struct sp_section *section, const struct sp_section_cursor *cursor,
                           uint32_t bound, struct sp_buf *scratch, uint32_t *ret_page) {
    uint32_t pages = page_count(cursor);
    sp_str directory;
    sp_status status =
        section_piece(section, SP_PART_PAGES, cursor->pages_offset + cursor->pages_bytes,
                      4 * (uint64_t)pages + SP_SECTION_CHECKSUM, scratch, &directory);
    if (status != SP_OK) {
        return status;
    }
    uint32_t after = tag_find(directory.ptr, pages, bound);
    if (after < pages && sp_get_u32(directory.ptr + 4 * (size_t)after) == bound) {
        after++;
    }
    *ret_page = after == 0 ? 0 : after - 1;
    return SP_OK;
}

/*
 * Loads the page beside the last one where the bound lies in that direction, as it does in a plain
 * walk; or the last one again. *ret_done is false where the bound is elsewhere.
 */
static sp_status page_beside(const struct sp_section *section, struct sp_section_cursor *cursor,
                             uint32_t bound, bool reverse, struct sp_buf *scratch,
                             struct sp_postings *run, bool *ret_done) {
    *ret_done = false;
    uint32_t page = cursor->page;
    if (page == UINT32_MAX) {
        return SP_OK;
    }
    if (bound > cursor->page_last && !reverse) {
        *ret_done = ++page == page_count(cursor);
    } else if (bound < cursor->page_first && reverse) {
        *ret_done = page-- == 0;
    } else if (bound < cursor->page_first || bound > cursor->page_last) {
        return SP_OK;
    }
    if (*ret_done) {
        return SP_OK;
    }
    sp_status status = page_load(section, cursor, page, scratch, run);
    if (status == SP_OK) {
        sp_postings_cut(run, bound, reverse);
        *ret_done = run->begin < run->end;
    }
    return status;
}

static void run_clear(struct sp_postings *run) {
    run->begin = 0;
    run->end = 0;
}

sp_status sp_section_fill(const struct sp_section *section, struct sp_section_cursor *cursor,
                          uint32_t bound, bool reverse, struct sp_buf *scratch,
                          struct sp_postings *ret_run) {
    run_clear(ret_run);
    if (!cursor->is_long) {
        return SP_OK;
    }
    bool done;
    sp_status status = page_beside(section, cursor, bound, reverse, scratch, ret_run, &done);
    if (status != SP_OK || done) {
        return status;
    }
    uint32_t page;
    status = page_find(section, cursor, bound, scratch, &page);
    if (status == SP_OK) {
        status = page_load(section, cursor, page, scratch, ret_run);
    }
    if (status == SP_OK) {
        sp_postings_cut(ret_run, bound, reverse);
    }
    /* The bound may lie behind the last posting of its page. */
    if (status == SP_OK && !reverse && ret_run->begin == ret_run->end &&
        page + 1 < page_count(cursor)) {
        status = page_load(section, cursor, page + 1, scratch, ret_run);
    }
    if (status != SP_OK) {
        run_clear(ret_run);
    }
    return status;
}

/* -- Ids --------------------------------------------------------------------------------------- */

struct id_bucket {
    uint32_t fingerprint_count;
    uint32_t list_count;
    uint32_t entry_count;
    const char *fingerprints;
    const char *lists;
    const char *entries;
};

static bool parse_id_bucket(sp_str bytes, struct id_bucket *ret_bucket) {
    struct sp_wire wire = sp_wire_of(bytes.ptr, bytes.len);
    struct id_bucket bucket = {.fingerprint_count = sp_wire_u32(&wire),
                               .list_count = sp_wire_u32(&wire)};
    bucket.fingerprints = sp_wire_bytes(&wire, 2 * (size_t)bucket.fingerprint_count).ptr;
    bucket.lists = sp_wire_bytes(&wire, 2 * (size_t)bucket.list_count).ptr;
    if (wire.bad || sp_wire_left(&wire) % SP_ID_ENTRY != 0) {
        return false;
    }
    bucket.entry_count = (uint32_t)(sp_wire_left(&wire) / SP_ID_ENTRY);
    bucket.entries = sp_wire_bytes(&wire, sp_wire_left(&wire)).ptr;
    *ret_bucket = bucket;
    return true;
}

/* The first of `count` fingerprints that is not below `fingerprint`. */
static uint32_t fingerprint_find(const char *all, uint32_t count, uint32_t fingerprint) {
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sp_get_u16(all + 2 * (size_t)middle) < fingerprint) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool fingerprint_at(const char *all, uint32_t count, uint32_t at, uint32_t fingerprint) {
    return at < count && sp_get_u16(all + 2 * (size_t)at) == fingerprint;
}

static enum sp_index_role role_of_code(uint32_t code) {
    return code == SP_ID_CODE_ID          ? SP_INDEX_ID
           : code == SP_ID_CODE_SOURCE_ID ? SP_INDEX_SOURCE_ID
                                          : SP_INDEX_CAUSE;
}

/* The lookup that is under way, for the steps below. */
struct id_lookup {
    const struct sp_section *section;
    uint64_t hash;
    unsigned roles;
    struct sp_buf *scratch;
    sp_section_found_fn *found;
    void *context;
    bool more;
};

/*
 * Entries and fingerprints run side by side, but a further cause of one fingerprint has none of its
 * own: so the entries are counted from the first one. That happens only where a fingerprint
 * matched.
 */
static sp_status emit_entries(struct id_lookup *lookup, const struct id_bucket *bucket) {
    uint32_t fingerprint = sp_id_fingerprint(lookup->hash);
    uint32_t wanted =
        fingerprint_find(bucket->fingerprints, bucket->fingerprint_count, fingerprint);
    if (!fingerprint_at(bucket->fingerprints, bucket->fingerprint_count, wanted, fingerprint)) {
        return SP_OK;
    }
    uint32_t at = UINT32_MAX; /* of the entry's fingerprint: none before the first */
    for (uint32_t i = 0; i < bucket->entry_count && lookup->more; i++) {
        uint32_t entry = 0;
        memcpy(&entry, bucket->entries + (size_t)i * SP_ID_ENTRY, SP_ID_ENTRY);
        uint32_t code = entry & 3;
        at += code != SP_ID_CODE_SAME_CAUSE;
        if (at == UINT32_MAX || at < wanted) {
            continue;
        }
        if (!fingerprint_at(bucket->fingerprints, bucket->fingerprint_count, at, fingerprint)) {
            return SP_OK;
        }
        if (entry >> 2 >= lookup->section->count) {
            return SP_CORRUPT;
        }
        enum sp_index_role role = role_of_code(code);
        if ((lookup->roles & role) != 0) {
            lookup->more = lookup->found(lookup->context, entry >> 2, role);
        }
    }
    return SP_OK;
}

static bool emit_run(struct id_lookup *lookup, enum sp_index_role role,
                     const struct sp_postings *run) {
    for (uint16_t i = run->begin; i < run->end && lookup->more; i++) {
        lookup->more = lookup->found(lookup->context, run->ordinals[i], role);
    }
    return lookup->more;
}

static sp_status emit_list(struct id_lookup *lookup, uint32_t number) {
    struct sp_section_cursor cursor;
    struct sp_postings run;
    enum sp_index_role role = SP_TAIL_ROLES[number];
    sp_status status = term_find(lookup->section, (enum sp_section_part)(SP_PART_ID_LISTS + number),
                                 lookup->hash, lookup->scratch, &cursor, &run);
    if (status != SP_OK) {
        return status;
    }
    if (!cursor.is_long) {
        (void)emit_run(lookup, role, &run);
        return SP_OK;
    }
    uint32_t bound = 0;
    for (;;) {
        status = sp_section_fill(lookup->section, &cursor, bound, false, lookup->scratch, &run);
        if (status != SP_OK || run.begin == run.end || !emit_run(lookup, role, &run)) {
            return status;
        }
        bound = run.ordinals[run.end - 1] + 1;
    }
}

static sp_status find_id(struct id_lookup *lookup) {
    sp_str bytes;
    sp_status status =
        section_bucket(lookup->section, SP_PART_IDS, lookup->hash, lookup->scratch, &bytes);
    if (status != SP_OK) {
        return status;
    }
    struct id_bucket bucket;
    if (!parse_id_bucket(bytes, &bucket)) {
        return SP_CORRUPT;
    }
    uint32_t fingerprint = sp_id_fingerprint(lookup->hash);
    uint32_t list = fingerprint_find(bucket.lists, bucket.list_count, fingerprint);
    bool has_list = fingerprint_at(bucket.lists, bucket.list_count, list, fingerprint);
    status = emit_entries(lookup, &bucket);
    /* From here on the scratch buffer, and the bucket with it, is used anew. */
    for (uint32_t i = 0; has_list && i < SP_IDTAB_ROLES && status == SP_OK && lookup->more; i++) {
        if ((lookup->roles & SP_TAIL_ROLES[i]) != 0) {
            status = emit_list(lookup, i);
        }
    }
    return status;
}

sp_status sp_section_find_id(const struct sp_section *section, uint64_t hash, unsigned roles,
                             struct sp_buf *scratch, sp_section_found_fn *found, void *context,
                             bool *ret_more) {
    struct id_lookup lookup = {
        .section = section,
        .hash = sp_filter_id_key(hash),
        .roles = roles,
        .scratch = scratch,
        .found = found,
        .context = context,
        .more = true,
    };
    sp_status status = section->parts[SP_PART_IDS].buckets == 0 ? SP_OK : find_id(&lookup);
    *ret_more = lookup.more;
    return status;
}

/* -- The rest ---------------------------------------------------------------------------------- */

sp_status sp_section_each_type(const struct sp_section *section, struct sp_buf *scratch,
                               sp_section_type_fn *each, void *context) {
    sp_str bytes;
    sp_status status = section_piece(section, SP_PART_TYPES, 0, section->parts[SP_PART_TYPES].size,
                                     scratch, &bytes);
    if (status != SP_OK) {
        return status;
    }
    struct sp_wire wire = sp_wire_of(bytes.ptr, bytes.len);
    uint32_t count = sp_wire_u32(&wire);
    for (uint32_t i = 0; i < count; i++) {
        sp_str type = sp_wire_lstr(&wire);
        if (wire.bad) {
            return SP_CORRUPT;
        }
        if (!each(context, type)) {
            break;
        }
    }
    return section->types_complete ? SP_OK : SP_LIMIT;
}

uint32_t sp_section_ordinal_at_time(const struct sp_section *section, uint64_t recorded_us) {
    uint32_t found = sp_times_find(section->times, section->time_count, recorded_us);
    return found == section->time_count ? section->count : found * SP_TAIL_TIME_EVENTS;
}

uint32_t sp_section_filter_blocks(const struct sp_section *section) {
    return section->filter_blocks;
}

sp_status sp_section_filter_read(const struct sp_section *section, struct sp_buf *to) {
    const struct part *part = &section->parts[SP_PART_FILTER];
    uint8_t *bytes = sp_buf_reserve(to, (size_t)part->size);
    if (bytes == NULL) {
        return to->status;
    }
    sp_status status = section_read(section, part->offset, (size_t)part->size, bytes, NULL);
    if (status != SP_OK) {
        return status;
    }
    size_t len = (size_t)part->size - SP_SECTION_CHECKSUM;
    if (sp_get_u64(bytes + len) !=
        sp_section_checksum(section->first_position, SP_PART_FILTER, 0, bytes, len)) {
        return SP_CORRUPT;
    }
    sp_buf_advance(to, len);
    return SP_OK;
}
