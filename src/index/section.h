/*
 * The index section of a sealed segment: encoding and reading. helper, loop-thread
 *
 * The layout is in docs/format-index.md, byte by byte. A section is one run of bytes that the log
 * stores within a sealed file without knowing what is in it. It is immutable. Every byte is under a
 * checksum, and each is verified before anything is believed: a damaged section gives SP_CORRUPT,
 * never a wrong answer.
 *
 * Opening reads the head, which stays in memory: directories and times, 64 KiB at most and some 50
 * usually. Everything else is read when it is asked for, in pieces of half a KiB to a few.
 *
 * A reader has no lock and no state of its own besides the head; whoever calls brings a scratch
 * buffer.
 */
#ifndef SP_INDEX_SECTION_H
#define SP_INDEX_SECTION_H

#include "base/buf.h"
#include "base/error.h"
#include "index/keys.h"
#include "index/postings.h"

struct sp_tail;
struct sp_section;

/* Where the bytes of a section come from. A value; whoever takes it over calls `release` once. */
struct sp_section_reader {
    /* any-thread. Reads `len` bytes at `offset` of the section, all of them: SP_OK, or SP_IO. */
    sp_status (*read)(void *context, uint64_t offset, size_t len, void *to);
    void (*release)(void *context); /* may be NULL */
    void *context;
    uint64_t size_bytes; /* of the section */
};

/* Where a walk over one key's postings stands. Private; valid as long as the section. */
struct sp_section_cursor {
    uint64_t pages_offset; /* of a long list's pages, within the section */
    uint32_t pages_bytes;
    uint32_t count; /* of postings; 0: the section does not have the key */
    uint32_t page;  /* that was taken out last; UINT32_MAX: none */
    uint32_t page_first;
    uint32_t page_last;
    bool is_long; /* has pages; else everything came with sp_section_find */
};

/*
 * helper. Appends the section of a finished tail to `to`, about 16 bytes an event, in 100 to 200 ns
 * an event; takes some 20 bytes an entry of the id table meanwhile. SP_OK, SP_NO_MEMORY, or
 * SP_LIMIT where the buffer's maximum is too small; on failure `to` is as it was.
 */
SP_WARN_UNUSED sp_status sp_section_encode(const struct sp_tail *tail, struct sp_buf *to,
                                           struct sp_error *error);

/*
 * Opens a section; takes the reader over where SP_OK. SP_CORRUPT, SP_UNSUPPORTED (a later version
 * of the format), SP_NO_MEMORY, or what the reader says. Two reads.
 */
SP_WARN_UNUSED sp_status sp_section_open(const struct sp_section_reader *reader,
                                         struct sp_section **ret_section, struct sp_error *error);

/* Frees it and releases the reader. NULL is fine. */
void sp_section_free(struct sp_section *section);

/* Frees it and leaves the reader to the caller. */
void sp_section_discard(struct sp_section *section);

uint64_t sp_section_first(const struct sp_section *section);
uint32_t sp_section_count(const struct sp_section *section); /* of events */
size_t sp_section_bytes(const struct sp_section *section);   /* of memory */

/*
 * Sets the cursor on a key. Short lists (SP_SECTION_SHORT_MAX) come at once, in *ret_run; for
 * others the run is empty. A key that is not there gives SP_OK and count 0. One read of about 1
 * KiB.
 */
enum { SP_SECTION_SHORT_MAX = 128 };
SP_WARN_UNUSED sp_status sp_section_find(const struct sp_section *section, enum sp_index_kind kind,
                                         uint64_t hash, struct sp_buf *scratch,
                                         struct sp_section_cursor *ret_cursor,
                                         struct sp_postings *ret_run);

/*
 * Takes a run out of a long list: one that begins with the first posting at or after `bound`
 * (reverse: ends with the last one at or before it); empty where there is none, and for short
 * lists. One read of 512 bytes beside the run taken out last; else also of the list's directory,
 * 1/100 of the list.
 */
SP_WARN_UNUSED sp_status sp_section_fill(const struct sp_section *section,
                                         struct sp_section_cursor *cursor, uint32_t bound,
                                         bool reverse, struct sp_buf *scratch,
                                         struct sp_postings *ret_run);

/*
 * Calls `found` for the candidates of an id hash; *ret_more is false where `found` ended the walk.
 * For each role they ascend, save where hashes collide. One read of about 1 KiB, and more where a
 * role has very many.
 */
typedef bool sp_section_found_fn(void *context, uint32_t ordinal, enum sp_index_role role);
SP_WARN_UNUSED sp_status sp_section_find_id(const struct sp_section *section, uint64_t hash,
                                            unsigned roles, struct sp_buf *scratch,
                                            sp_section_found_fn *found, void *context,
                                            bool *ret_more);

/* Calls `each` per type text; SP_LIMIT where not all types are listed. One read. */
typedef bool sp_section_type_fn(void *context, sp_str type);
SP_WARN_UNUSED sp_status sp_section_each_type(const struct sp_section *section,
                                              struct sp_buf *scratch, sp_section_type_fn *each,
                                              void *context);

/* As sp_tail_ordinal_at_time. No read. */
uint32_t sp_section_ordinal_at_time(const struct sp_section *section, uint64_t recorded_us);

/* The filter for the sieve: its size in blocks of 64 bytes; its bits, appended to `to`. */
uint32_t sp_section_filter_blocks(const struct sp_section *section);
SP_WARN_UNUSED sp_status sp_section_filter_read(const struct sp_section *section,
                                                struct sp_buf *to);

#endif
