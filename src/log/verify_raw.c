/*
 * One raw segment. Its blocks are a chain, each with its own checksums and a tag per record, so
 * that damage is pinned to the event. What was never acknowledged and was torn by a crash is only
 * noticed, and ends the log, as recovery would have it; damage that recovery would refuse is a
 * finding, and the walk goes on with the next block that can be found.
 */
#include <stdlib.h>

#include "base/wire.h"
#include "log/verify_int.h"

struct walk {
    struct verifier *v;
    const struct verify_raw *raw;
    const struct verify_raw *next; /* the segment after it, or NULL */
    struct sp_scan_window window;
    uint64_t offset;
    uint64_t last_first; /* first position and offset of the block before */
    uint64_t last_offset;
    bool ended;
};

/* ---- listing ---- */

/*
 * A header that is damaged is put together again from the first block, so that the blocks can
 * still be checked. The salt key is lost, and with it the hashes.
 */
static bool rebuild_header(struct verifier *v, struct verify_raw *raw) {
    char path[RAW_PATH_BYTES];
    local_raw_path(raw->file.number, path);
    uint8_t bytes[SP_BLOCK_HEADER_BYTES];
    struct sp_file *file = NULL;
    size_t got = 0;
    struct sp_block_header block;
    if (v->fs->ops->open(v->fs, path, SP_FS_READ, &file, NULL) != SP_OK) {
        return false;
    }
    sp_status status =
        v->fs->ops->read(file, bytes, sizeof(bytes), SP_RAW_HEADER_BYTES, &got, NULL);
    v->fs->ops->close(file);
    if (status != SP_OK || sp_block_read_header(sp_str_of(bytes, got), &block) != SP_OK ||
        block.file_offset != SP_RAW_HEADER_BYTES) {
        return false;
    }
    raw->header_lost = true;
    raw->file.header = (struct sp_raw_header){.epoch = block.epoch,
                                              .segment_bytes = raw->file.bytes,
                                              .first_block = block.number,
                                              .first_position = block.first_position,
                                              .prev_check = block.prev_check};
    memcpy(raw->file.header.uuid, v->manifest.uuid, 16);
    return true;
}

/* Reads one file's header; false where it is a spare, or hopeless. */
static bool read_raw(struct verifier *v, uint32_t number, struct verify_raw *raw,
                     struct sp_buf *spares) {
    struct sp_error error;
    *raw = (struct verify_raw){.header_lost = false};
    sp_status status = wal_file_read(v->fs, number, &raw->file, &error);
    if (status == SP_OK) {
        return true;
    }
    if (status == SP_NOT_FOUND) {
        if (raw->file.bytes > 0) {
            sp_buf_add(spares, &number, sizeof(number));
        }
        return false; /* or gone meanwhile: whoever misses it will say so */
    }
    char path[RAW_PATH_BYTES];
    local_raw_path(number, path);
    memcpy(v->file, path, sizeof(path));
    bool known = raw->file.header.epoch != 0;
    if (known) {
        raw->file.header.segment_bytes = raw->file.bytes / SP_BLOCK_ALIGN * SP_BLOCK_ALIGN;
        raw->header_odd = true;
    } else if (status == SP_CORRUPT) {
        known = rebuild_header(v, raw);
    }
    verify_failed(v, status, known ? raw->file.header.first_position : 0, 0, &error);
    return known && raw->file.header.segment_bytes > SP_RAW_HEADER_BYTES;
}

static int by_epoch(const void *a, const void *b) {
    uint64_t left = ((const struct verify_raw *)a)->file.header.epoch;
    uint64_t right = ((const struct verify_raw *)b)->file.header.epoch;
    return (left > right) - (left < right);
}

/* Takes down what the header says of the tree and of what was durable. */
static sp_status take_claim(struct verifier *v, const struct verify_raw *raw, uint64_t offset,
                            const struct sp_block_header *header) {
    uint64_t upto = sp_block_vouches_upto(header);
    v->durable_upto = upto > v->durable_upto ? upto : v->durable_upto;
    struct verify_claim claim = {.size = header->tree_size,
                                 .block = header->number,
                                 .offset = offset,
                                 .file_number = raw->file.number};
    memcpy(claim.root, header->tree_root, SP_HASH_BYTES);
    return header->tree_size < header->first_position ? verify_claim_add(v, &claim) : SP_OK;
}

/* Steps over the block headers of one file, before anything else of it is read. */
static void collect_claims(struct verifier *v, const struct verify_raw *raw) {
    char path[RAW_PATH_BYTES];
    local_raw_path(raw->file.number, path);
    struct sp_file *file = NULL;
    struct sp_scan_window window = {.blob = NULL};
    const struct sp_raw_header *segment = &raw->file.header;
    sp_status status = v->fs->ops->open(v->fs, path, SP_FS_READ | SP_FS_DIRECT, &file, NULL);
    if (status != SP_OK) {
        return; /* the walk will say so */
    }
    status = sp_scan_window_init(&window, v->fs, file, segment, NULL);
    uint64_t at = SP_RAW_HEADER_BYTES;
    while (status == SP_OK && at < segment->segment_bytes) {
        sp_str bytes;
        struct sp_block_header header;
        status = sp_scan_bytes(&window, at, SP_BLOCK_ALIGN, &bytes, NULL);
        uint64_t step = SP_BLOCK_ALIGN;
        if (status == SP_OK && sp_block_read_header(bytes, &header) == SP_OK &&
            header.log_id == v->state.chain.log_id && header.epoch == segment->epoch &&
            header.file_offset == at) {
            status = take_claim(v, raw, at, &header);
            step = sp_block_stored_bytes(header.body_bytes);
        }
        at += step;
    }
    if (status == SP_NO_MEMORY) {
        verify_stop(v, status, NULL);
    }
    sp_scan_window_fini(&window);
    v->fs->ops->close(file);
}

sp_status verify_raw_list(struct verifier *v, struct verify_raw_list *ret_list,
                          struct sp_error *error) {
    struct sp_buf numbers;
    sp_buf_init(&numbers, 1 << 26);
    struct verify_raw_list list = {.files = NULL};
    sp_buf_init(&list.spares, 1 << 26);
    sp_status status = wal_numbers(v->fs, &numbers, error);
    size_t count = numbers.len / sizeof(uint32_t);
    if (status == SP_OK || status == SP_NOT_FOUND) {
        list.files = calloc(count + 1, sizeof(*list.files));
        status = list.files == NULL ? sp_error_set(error, SP_NO_MEMORY, "wal") : SP_OK;
    }
    for (size_t i = 0; status == SP_OK && i < count; i++) {
        uint32_t number;
        memcpy(&number, numbers.data + i * sizeof(number), sizeof(number));
        list.count += read_raw(v, number, &list.files[list.count], &list.spares) ? 1 : 0;
    }
    sp_buf_fini(&numbers);
    if (status != SP_OK) {
        verify_raw_list_fini(&list);
        return status;
    }
    qsort(list.files, list.count, sizeof(*list.files), by_epoch);
    *ret_list = list;
    return SP_OK;
}

void verify_raw_claims(struct verifier *v, const struct verify_raw_list *list) {
    for (size_t i = 0; i < list->count && v->stop == SP_OK; i++) {
        if (list->files[i].file.header.epoch > v->state.last_id) {
            collect_claims(v, &list->files[i]);
        }
    }
}

void verify_raw_list_fini(struct verify_raw_list *list) {
    free(list->files);
    list->files = NULL;
    sp_buf_fini(&list->spares);
}

/* ---- records ---- */

static bool padding_zero(const struct sp_record *record) {
    size_t used = SP_RECORD_FIXED_BYTES + record->header.len + record->data.len;
    uint8_t any = 0;
    for (size_t i = used; i < record->size; i++) {
        any |= record->bytes[i];
    }
    return any == 0;
}

static void compare_times(struct verifier *v, const struct sp_record *record, uint64_t offset) {
    if (record->recorded_us < v->state.last_recorded_us) {
        verify_say(v, SP_VERIFY_ALTERATION, record->position, record->position, offset,
                   "the recorded time falls at event %llu", (unsigned long long)record->position);
    }
    v->state.last_recorded_us = record->recorded_us;
}

/* One record: its tag tells whether it is what it was. */
static void take_record(struct walk *walk, const struct sp_record *record, bool body_whole) {
    struct verifier *v = walk->v;
    bool event = record->kind == SP_RECORD_EVENT;
    bool fine = sp_record_tag_valid(record);
    enum sp_verify_level level = body_whole ? SP_VERIFY_ALTERATION : SP_VERIFY_DAMAGE;
    if (!fine) {
        verify_say(v, level, event ? record->position : 0, event ? record->position : 0,
                   walk->offset, "%s %llu is not what was recorded: its tag does not fit",
                   event ? "event" : "the control record after event",
                   (unsigned long long)record->position);
    } else if (!padding_zero(record)) {
        verify_say(v, SP_VERIFY_ALTERATION, record->position, record->position, walk->offset,
                   "bytes behind the record at event %llu are not zero",
                   (unsigned long long)record->position);
    }
    if (fine || body_whole) {
        compare_times(v, record, walk->offset);
        verify_hash_add(v, record, walk->offset, fine && v->salt_known);
    } else if (event) {
        verify_hash_gap(v, 1);
    }
}

/*
 * In a damaged body, a record that makes no sense but for its size is passed over as one event, so
 * that the ones behind it are not lost with it.
 */
static bool pass_over(struct walk *walk, struct sp_block_walk *records) {
    if (records->rest.len < SP_RECORD_FIXED_BYTES) {
        return false;
    }
    uint32_t size = sp_get_u32(records->rest.ptr);
    if (size < SP_RECORD_FIXED_BYTES || size % SP_RECORD_ALIGN != 0 || size > records->rest.len) {
        return false;
    }
    verify_say(walk->v, SP_VERIFY_DAMAGE, records->next_position, records->next_position,
               walk->offset, "event %llu is damaged", (unsigned long long)records->next_position);
    verify_hash_gap(walk->v, 1);
    records->next_position++;
    records->rest = sp_str_from_byte(records->rest, size);
    return true;
}

/* All records of a block; what cannot be read of them is lost. */
static void take_records(struct walk *walk, const struct sp_scan_probe *probe, bool body_whole) {
    struct verifier *v = walk->v;
    const struct sp_block_header *header = &probe->header;
    uint64_t next = header->first_position + header->event_count;
    struct sp_block_walk records =
        sp_block_walk_of(sp_str_of(probe->stored.ptr + SP_BLOCK_HEADER_BYTES, header->body_bytes),
                         header->first_position);
    struct sp_record record;
    sp_status status = SP_OK;
    uint64_t before = v->state.result.finding_count + v->held_count;
    uint32_t count = 0;
    while (v->stop == SP_OK) {
        status = sp_block_walk_next(&records, &record);
        bool passed = status == SP_CORRUPT && !body_whole && records.next_position < next &&
                      pass_over(walk, &records);
        if ((status != SP_OK && !passed) || records.next_position > next) {
            break;
        }
        if (!passed) {
            take_record(walk, &record, body_whole);
        }
        count++;
    }
    uint64_t reached = records.next_position < next ? records.next_position : next;
    bool whole = status == SP_END && reached == next && count == header->record_count &&
                 (count == 0 || v->state.last_recorded_us == header->recorded_us);
    if (!whole && v->stop == SP_OK &&
        (body_whole || reached < next || before == v->state.result.finding_count + v->held_count)) {
        verify_say(v, body_whole ? SP_VERIFY_ALTERATION : SP_VERIFY_DAMAGE, reached,
                   reached < next ? next - 1 : reached, walk->offset,
                   "block %llu does not hold the records that its header says, from event %llu on",
                   (unsigned long long)header->number, (unsigned long long)reached);
    } else if (!body_whole && before == v->state.result.finding_count + v->held_count) {
        verify_say(v, SP_VERIFY_DAMAGE, 0, 0, walk->offset,
                   "block %llu is damaged behind its records; the events are whole",
                   (unsigned long long)header->number);
    }
    verify_hash_gap(v, next - reached);
}

/* Takes a block that follows, whole or with a damaged body, and goes on behind it. */
static void take_block(struct walk *walk, const struct sp_scan_probe *probe) {
    struct verifier *v = walk->v;
    const struct sp_block_header *header = &probe->header;
    if (header->tree_size >= header->first_position || header->durable_upto >= header->number) {
        verify_say(v, SP_VERIFY_ALTERATION, 0, 0, walk->offset,
                   "the header of block %llu knows of events or blocks that come after it",
                   (unsigned long long)header->number);
    }
    take_records(walk, probe, probe->problem == SP_SCAN_FINE);
    v->state.chain.next_block = header->number + 1;
    v->state.chain.next_position = header->first_position + header->event_count;
    v->state.chain.prev_check = header->check;
    walk->last_first = header->first_position;
    walk->last_offset = walk->offset;
    walk->offset += sp_block_stored_bytes(header->body_bytes);
}

/* ---- what is not as it should be ---- */

/* Looks for the next block of this segment behind `from`; its offset, or 0 where there is none. */
static uint64_t find_block(struct walk *walk, uint64_t from, struct sp_block_header *ret_header) {
    const struct sp_raw_header *segment = &walk->raw->file.header;
    for (uint64_t at = from; at < segment->segment_bytes; at += SP_BLOCK_ALIGN) {
        sp_str bytes;
        if (sp_scan_bytes(&walk->window, at, SP_BLOCK_ALIGN, &bytes, NULL) == SP_OK &&
            sp_block_read_header(bytes, ret_header) == SP_OK &&
            ret_header->log_id == walk->v->state.chain.log_id &&
            ret_header->epoch == segment->epoch && ret_header->file_offset == at &&
            ret_header->number >= walk->v->state.chain.next_block &&
            ret_header->first_position >= walk->v->state.chain.next_position) {
            return at;
        }
    }
    return 0;
}

/* Goes on with a block further on; the events in between are lost. */
static void jump(struct walk *walk, uint64_t offset, const struct sp_block_header *header) {
    struct sp_scan_chain *chain = &walk->v->state.chain;
    verify_hash_gap(walk->v, header->first_position - chain->next_position);
    chain->next_block = header->number;
    chain->next_position = header->first_position;
    chain->prev_check = header->prev_check;
    walk->offset = offset;
}

/* Whether block `number`, with events from `position` on, was durable: something later says so. */
static bool vouched(const struct verifier *v, uint64_t number, uint64_t position) {
    return number <= v->durable_upto || (v->checkpoint.present && position <= v->checkpoint.size);
}

/*
 * The last byte of the segment that is not zero, from the walk's offset on; 0 where there is none.
 */
static uint64_t find_junk(struct walk *walk) {
    uint64_t end = 0;
    const uint64_t bytes_all = walk->raw->file.header.segment_bytes;
    for (uint64_t at = walk->offset; at < bytes_all; at += SP_BLOCK_ALIGN) {
        sp_str bytes;
        if (sp_scan_bytes(&walk->window, at, SP_BLOCK_ALIGN, &bytes, NULL) != SP_OK) {
            break;
        }
        bool zero = bytes.ptr[0] == 0 && memcmp(bytes.ptr, bytes.ptr + 1, SP_BLOCK_ALIGN - 1) == 0;
        for (size_t i = zero ? 0 : SP_BLOCK_ALIGN; i > 0; i--) {
            if (bytes.ptr[i - 1] != 0) {
                end = at + i;
                break;
            }
        }
    }
    return end;
}

/*
 * A block that follows lies behind, where it does not belong: a write, or this read, was
 * misdirected.
 */
static bool later_block_astray(struct walk *walk) {
    const struct sp_raw_header *segment = &walk->raw->file.header;
    const struct sp_scan_chain *chain = &walk->v->state.chain;
    for (uint64_t at = walk->offset; at < segment->segment_bytes; at += SP_BLOCK_ALIGN) {
        sp_str bytes;
        struct sp_block_header header;
        if (sp_scan_bytes(&walk->window, at, SP_BLOCK_ALIGN, &bytes, NULL) == SP_OK &&
            sp_block_read_header(bytes, &header) == SP_OK && header.log_id == chain->log_id &&
            header.epoch == segment->epoch && header.number >= chain->next_block &&
            header.file_offset != at) {
            return true;
        }
    }
    return false;
}

/*
 * A torn write, as recovery judges it: nothing vouches for the block, and sectors of it are
 * missing.
 */
static bool is_torn(struct walk *walk, const struct sp_scan_probe *probe) {
    const struct sp_scan_chain *chain = &walk->v->state.chain;
    if (vouched(walk->v, chain->next_block, chain->next_position) || walk->next != NULL ||
        later_block_astray(walk)) {
        return false;
    }
    sp_str bytes;
    size_t want = probe->problem > SP_SCAN_BAD_HEADER
                      ? sp_block_stored_bytes(probe->header.body_bytes)
                      : SP_BLOCK_ALIGN;
    return sp_scan_bytes(&walk->window, walk->offset, want, &bytes, NULL) == SP_OK &&
           sp_block_diagnose(bytes) == SP_BLOCK_TORN;
}

/* The segment ends here; what follows is zeros, or was never acknowledged. */
static void end_segment(struct walk *walk) {
    uint64_t junk = find_junk(walk);
    if (junk > 0 && walk->next == NULL) {
        verify_say(walk->v, SP_VERIFY_NOTICE, 0, 0, walk->offset,
                   "behind the last block, up to offset %llu, lies what a write that was cut short "
                   "left: it was never acknowledged",
                   (unsigned long long)junk);
    } else if (junk > 0) {
        verify_say(walk->v, SP_VERIFY_NOTICE, 0, 0, walk->offset,
                   "behind the last block, up to offset %llu, lies what no block owns: the segment "
                   "was ended there",
                   (unsigned long long)junk);
    }
    walk->ended = true;
}

/* No block can be read here: goes on with the next that can, or ends. */
static void lose_block(struct walk *walk, const struct sp_scan_probe *probe) {
    struct verifier *v = walk->v;
    const struct sp_scan_chain chain = v->state.chain;
    struct sp_block_header header;
    uint64_t found = find_block(walk, walk->offset + SP_BLOCK_ALIGN, &header);
    if (is_torn(walk, probe)) {
        end_segment(walk);
        return;
    }
    if (found == 0 && probe->problem == SP_SCAN_NO_HEADER && find_junk(walk) == 0) {
        walk->ended = true; /* zeros: whoever misses more blocks here says so */
        return;
    }
    const struct sp_raw_header *next = walk->next != NULL ? &walk->next->file.header : NULL;
    uint64_t behind = found != 0 ? header.first_position : next != NULL ? next->first_position : 0;
    bool none = behind == chain.next_position;
    bool altered = probe->problem == SP_SCAN_FOREIGN || probe->problem == SP_SCAN_MISPLACED;
    verify_say(v, altered ? SP_VERIFY_ALTERATION : SP_VERIFY_DAMAGE, none ? 0 : chain.next_position,
               behind != 0 && !none ? behind - 1 : 0, walk->offset, "block %llu at offset %llu: %s",
               (unsigned long long)chain.next_block, (unsigned long long)walk->offset,
               sp_scan_problem_text(probe->problem));
    if (found != 0) {
        jump(walk, found, &header);
    } else {
        walk->ended = true;
    }
}

/* A whole header in its place, whose number or position is not the next one. */
static void say_out_of_order(struct walk *walk, const struct sp_block_header *header) {
    struct verifier *v = walk->v;
    struct sp_scan_chain *chain = &v->state.chain;
    if (header->number >= chain->next_block && header->first_position > chain->next_position) {
        verify_say(v, SP_VERIFY_ALTERATION, chain->next_position, header->first_position - 1,
                   walk->offset, "events %llu to %llu before block %llu were removed",
                   (unsigned long long)chain->next_position,
                   (unsigned long long)header->first_position - 1,
                   (unsigned long long)header->number);
        jump(walk, walk->offset, header);
    } else if (header->number > chain->next_block &&
               header->first_position == chain->next_position) {
        verify_say(v, SP_VERIFY_ALTERATION, 0, 0, walk->offset,
                   "blocks %llu to %llu were removed; they held no event",
                   (unsigned long long)chain->next_block, (unsigned long long)header->number - 1);
        jump(walk, walk->offset, header);
    } else {
        verify_say(v, SP_VERIFY_ALTERATION, header->first_position,
                   header->first_position + header->event_count - 1, walk->offset,
                   "block %llu with events from %llu on stands where block %llu with events from "
                   "%llu on should: reordered, or there twice",
                   (unsigned long long)header->number, (unsigned long long)header->first_position,
                   (unsigned long long)chain->next_block, (unsigned long long)chain->next_position);
        walk->offset += sp_block_stored_bytes(header->body_bytes);
    }
}

/* The block names another predecessor than the one before it: that one was written anew. */
static void say_unchained(struct walk *walk, const struct sp_block_header *header) {
    struct verifier *v = walk->v;
    struct sp_scan_chain *chain = &v->state.chain;
    bool first = header->number == walk->raw->file.header.first_block;
    uint64_t from = first ? 0 : walk->last_first;
    verify_say(v, SP_VERIFY_ALTERATION, from, from == 0 ? 0 : chain->next_position - 1,
               first ? walk->offset : walk->last_offset,
               "block %llu is not the one that block %llu continues: it was altered",
               (unsigned long long)header->number - 1, (unsigned long long)header->number);
    chain->prev_check = header->prev_check;
}

static void step(struct walk *walk) {
    struct verifier *v = walk->v;
    struct sp_scan_probe probe;
    struct sp_error error;
    sp_status status = sp_scan_probe(&walk->window, &v->state.chain, walk->offset, &probe, &error);
    if (status != SP_OK) {
        verify_failed(v, status, v->state.chain.next_position, 0, &error);
        walk->ended = true;
        return;
    }
    switch (probe.problem) {
    case SP_SCAN_FINE:
        take_block(walk, &probe);
        break;
    case SP_SCAN_NUMBER:
    case SP_SCAN_POSITION:
        say_out_of_order(walk, &probe.header);
        break;
    case SP_SCAN_PREV:
        say_unchained(walk, &probe.header);
        break;
    case SP_SCAN_BAD_BODY:
        if (is_torn(walk, &probe)) {
            end_segment(walk);
        } else {
            take_block(walk, &probe);
        }
        break;
    case SP_SCAN_NO_HEADER:
    case SP_SCAN_BAD_HEADER:
    case SP_SCAN_FOREIGN:
    case SP_SCAN_MISPLACED:
    case SP_SCAN_TOO_LONG:
        lose_block(walk, &probe);
        break;
    }
}

/* Whether the walk has come to where the next segment takes over, or to what is not durable yet. */
static bool at_end(const struct walk *walk) {
    const struct verifier *v = walk->v;
    const struct sp_scan_chain *chain = &v->state.chain;
    if (walk->next != NULL) {
        return chain->next_block >= walk->next->file.header.first_block;
    }
    return v->state.result.live && chain->next_block > v->durable_upto;
}

static void walk_blocks(struct walk *walk) {
    struct verifier *v = walk->v;
    const struct sp_raw_header *segment = &walk->raw->file.header;
    while (v->stop == SP_OK && !walk->ended && !at_end(walk) &&
           walk->offset < segment->segment_bytes) {
        step(walk);
    }
    if (v->stop == SP_OK && !walk->ended && !v->state.result.live) {
        end_segment(walk);
    }
}

/* Says where the segment does not continue what came before it, and follows it. */
static bool begin(struct walk *walk, uint64_t end_before) {
    struct verifier *v = walk->v;
    const struct sp_raw_header *header = &walk->raw->file.header;
    struct sp_scan_chain *chain = &v->state.chain;
    if (memcmp(header->uuid, v->manifest.uuid, 16) != 0) {
        verify_say(v, SP_VERIFY_ALTERATION, 0, 0, 0, "the file belongs to another log");
        return false;
    }
    if (header->first_position < chain->next_position || header->first_block < chain->next_block) {
        verify_say(v, SP_VERIFY_ALTERATION, header->first_position, 0, 0,
                   "the segment begins with event %llu, and the part before it already ends with "
                   "event %llu: out of order, or there twice",
                   (unsigned long long)header->first_position,
                   (unsigned long long)chain->next_position - 1);
        return false;
    }
    if (header->first_position > chain->next_position) {
        verify_say(v, SP_VERIFY_ALTERATION, chain->next_position, header->first_position - 1, 0,
                   "the segment begins with event %llu: events %llu to %llu before it are missing",
                   (unsigned long long)header->first_position,
                   (unsigned long long)chain->next_position,
                   (unsigned long long)header->first_position - 1);
    } else if (header->prev_check != chain->prev_check ||
               header->first_block != chain->next_block) {
        verify_say(v, SP_VERIFY_ALTERATION, 0, 0, 0,
                   "the segment does not continue the last block of the part before it");
    } else if (end_before != 0 && header->prev_end != 0 && header->prev_end != end_before) {
        verify_say(
            v, SP_VERIFY_ALTERATION, 0, 0, 0,
            "the segment says that the one before it ends at offset %llu, and it ends at %llu",
            (unsigned long long)header->prev_end, (unsigned long long)end_before);
    }
    chain->next_block = header->first_block;
    chain->next_position = header->first_position;
    chain->prev_check = header->prev_check;
    return true;
}

/* The header again, with what its check covers and nobody reads. */
static void check_header(struct walk *walk) {
    uint8_t expected[SP_RAW_HEADER_BYTES];
    sp_str bytes;
    sp_raw_header_encode(&walk->raw->file.header, expected);
    sp_status status = sp_scan_bytes(&walk->window, 0, sizeof(expected), &bytes, NULL);
    if (!walk->raw->header_lost && !walk->raw->header_odd &&
        (status != SP_OK || memcmp(bytes.ptr, expected, sizeof(expected)) != 0)) {
        verify_say(walk->v, SP_VERIFY_ALTERATION, 0, 0, 0,
                   "bytes of the segment header that nobody uses are not zero");
    }
}

static void hand_over_segment(struct verifier *v, const struct verify_raw *raw) {
    if (v->stop == SP_OK && v->options->segment != NULL) {
        struct sp_verify_segment segment = {
            .id = raw->file.header.epoch,
            .file = v->file,
            .first_position = raw->file.header.first_position,
            .last_position = v->state.chain.next_position - 1,
        };
        sp_status status = v->options->segment(v->options->context, &segment, v->error);
        v->stop = v->stop == SP_OK ? status : v->stop;
    }
}

void verify_raw(struct verifier *v, const struct verify_raw *raw, const struct verify_raw *next) {
    struct walk walk = {.v = v, .raw = raw, .next = next, .offset = SP_RAW_HEADER_BYTES};
    char path[RAW_PATH_BYTES];
    local_raw_path(raw->file.number, path);
    memcpy(v->file, path, sizeof(path));
    v->state.last_id = raw->file.header.epoch;
    uint64_t end_before = v->raw_end;
    v->raw_end = 0;
    struct sp_file *file = NULL;
    struct sp_error error;
    if (!begin(&walk, end_before)) {
        return;
    }
    sp_status status = v->fs->ops->open(v->fs, path, SP_FS_READ | SP_FS_DIRECT, &file, &error);
    status = status == SP_OK
                 ? sp_scan_window_init(&walk.window, v->fs, file, &raw->file.header, &error)
                 : status;
    if (status != SP_OK) {
        verify_failed(v, status, raw->file.header.first_position, 0, &error);
    } else {
        memcpy(v->salt_key, raw->file.header.salt_key, SP_HASH_BYTES);
        v->salt_known = !raw->header_lost;
        verify_tree_place(v, raw->file.header.first_position);
        check_header(&walk);
        walk_blocks(&walk);
        verify_hash_drain(v);
        hand_over_segment(v, raw);
        v->raw_end = walk.offset;
        v->state.result.bytes += raw->file.bytes;
        v->state.result.segments_raw++;
        sp_scan_window_fini(&walk.window);
    }
    if (file != NULL) {
        v->fs->ops->close(file);
    }
}

void verify_spare(struct verifier *v, uint32_t file_number) {
    struct verify_raw raw = {.file = {.number = file_number}};
    struct walk walk = {.v = v, .raw = &raw};
    char path[RAW_PATH_BYTES];
    local_raw_path(file_number, path);
    memcpy(v->file, path, sizeof(path));
    struct sp_file *file = NULL;
    struct sp_error error;
    sp_status status = v->fs->ops->open(v->fs, path, SP_FS_READ | SP_FS_DIRECT, &file, &error);
    status = status == SP_OK ? v->fs->ops->size(file, &raw.file.bytes, &error) : status;
    raw.file.header.segment_bytes = raw.file.bytes / SP_BLOCK_ALIGN * SP_BLOCK_ALIGN;
    status = status == SP_OK
                 ? sp_scan_window_init(&walk.window, v->fs, file, &raw.file.header, &error)
                 : status;
    if (status == SP_OK) {
        uint64_t junk = find_junk(&walk);
        if (junk > 0) {
            verify_say(
                v, SP_VERIFY_DAMAGE, 0, 0, junk - 1,
                "a spare file is not all zeros, up to offset %llu: it holds no event, remove it",
                (unsigned long long)junk);
        }
        v->state.result.bytes += raw.file.bytes;
        sp_scan_window_fini(&walk.window);
    } else if (status != SP_NOT_FOUND) {
        verify_failed(v, status, 0, 0, &error);
    }
    if (file != NULL) {
        v->fs->ops->close(file);
    }
}
