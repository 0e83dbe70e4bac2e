/*
 * A sealed segment: an immutable, compressed, self-contained file. any-thread
 *
 *     header | frames | directory | dictionary | tags | tiles | tree | index | footer
 *
 * Opening reads the footer and nothing else; the directory is read with the first event. Damage
 * costs the frame it lies in. Counted references: readers keep a file open that retention has
 * already unlinked.
 */
#ifndef SP_LOG_SEALED_H
#define SP_LOG_SEALED_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "os/fs.h"
#include "record/tree.h"

enum {
    SP_SEALED_HEADER_BYTES = 64,
    SP_SEALED_FOOTER_BYTES = 512,
    SP_SEALED_DIRECTORY_ROW_BYTES = 32,
    SP_SEALED_BYTES_MAX = 0x7fffffff, /* offsets in the directory are 32 bits */
};

enum sp_sealed_section {
    SP_SECTION_FRAMES = 0, /* no check of its own: every frame has one in the directory */
    SP_SECTION_DIRECTORY,
    SP_SECTION_DICTIONARY, /* zstd dictionary; may be empty */
    SP_SECTION_TAGS,       /* first two bytes of each event's leaf hash: names the altered event */
    SP_SECTION_TILES,      /* roots of the level-0 Merkle tiles that end in this segment */
    SP_SECTION_TREE,       /* packed right edge before the first event, and after the last */
    SP_SECTION_INDEX,      /* the index floor's */
    SP_SECTION_COUNT,
    SP_SECTION_SLOTS = 13, /* the footer's: a later program may add sections that this one skips */
};

/* For messages. Static storage. */
const char *sp_sealed_section_name(enum sp_sealed_section section);

/* How the salts are kept: an erasure replaces the one key by what the events it leaves need. */
enum { SP_SALT_FORM_KEY = 0 };

/* What the frames are compressed with. */
enum { SP_CODEC_ZSTD = 1 };

struct sp_sealed_extent {
    uint64_t offset;
    uint64_t bytes;
    uint64_t check;
};

struct sp_sealed_footer {
    uint8_t uuid[16];
    uint64_t id;
    uint64_t first_position;
    uint64_t last_position;
    uint64_t first_block;
    uint64_t last_block;
    uint64_t prev_check;
    uint64_t last_check;
    uint64_t first_recorded_us;
    uint64_t last_recorded_us;
    uint64_t record_count;
    uint32_t frame_count;
    uint32_t tile_count;
    uint8_t salt_key[SP_HASH_BYTES];
    uint32_t salt_form;
    uint32_t codec;
    uint64_t generation; /* rises when a sealed segment is written anew; 0 */
    struct sp_sealed_extent sections[SP_SECTION_SLOTS];
    uint64_t check;
};

void sp_sealed_header_encode(const struct sp_sealed_footer *footer, uint8_t *to);
/* Computes footer->check. */
void sp_sealed_footer_encode(struct sp_sealed_footer *footer, uint8_t *to);

/* One frame, as the directory lists it. */
struct sp_sealed_frame {
    uint64_t check;  /* XXH3-64 of the stored bytes */
    uint32_t offset; /* in the file */
    uint32_t stored_bytes;
    uint32_t column_bytes;  /* decompressed */
    uint32_t raw_bytes;     /* of the records as rows */
    uint32_t first_ordinal; /* of its first event: position - first_position of the segment */
    uint16_t event_count;
    uint16_t flags; /* SP_FRAME_STORED */
};

enum { SP_FRAME_STORED = 1 /* not compressed */ };

void sp_sealed_directory_row_encode(const struct sp_sealed_frame *frame, uint8_t *to);

struct sp_log_sealed;

/* The path of a segment's sealed file, with its NUL. */
enum { SP_SEALED_PATH_BYTES = 40 };
void sp_sealed_path(uint64_t id, char path[SP_SEALED_PATH_BYTES]);

/*
 * Opens a sealed file; one reference is the caller's. SP_CORRUPT, SP_NOT_FOUND, SP_UNSUPPORTED,
 * SP_IO.
 */
SP_WARN_UNUSED sp_status sp_log_sealed_open(struct sp_fs *fs, uint64_t id,
                                            struct sp_log_sealed **ret_sealed,
                                            struct sp_error *error);
struct sp_log_sealed *sp_log_sealed_ref(struct sp_log_sealed *sealed);
void sp_log_sealed_unref(struct sp_log_sealed *sealed);

const struct sp_sealed_footer *sp_log_sealed_footer(const struct sp_log_sealed *sealed);

/* Bytes of the file. */
uint64_t sp_log_sealed_bytes(const struct sp_log_sealed *sealed);

/* Index of the frame that holds the position, which the segment holds. Reads the directory once. */
SP_WARN_UNUSED sp_status sp_log_sealed_find(struct sp_log_sealed *sealed, uint64_t position,
                                            uint32_t *ret_frame, struct sp_error *error);

/* The directory's row; `frame` is below footer->frame_count. */
SP_WARN_UNUSED sp_status sp_log_sealed_frame(struct sp_log_sealed *sealed, uint32_t frame,
                                             struct sp_sealed_frame *ret_frame,
                                             struct sp_error *error);

/* Decompression scratch of one thread. */
struct sp_sealed_scratch;
struct sp_sealed_scratch *sp_sealed_scratch_new(void);
void sp_sealed_scratch_free(struct sp_sealed_scratch *scratch);

/*
 * Reads one frame and yields its records as rows, borrowed from the scratch until its next use.
 * SP_CORRUPT names segment, offset and positions.
 */
SP_WARN_UNUSED sp_status sp_log_sealed_read(struct sp_log_sealed *sealed, uint32_t frame,
                                            struct sp_sealed_scratch *scratch, sp_str *ret_rows,
                                            struct sp_error *error);

/* Reads a part of a section. SP_INVALID beyond its end. */
SP_WARN_UNUSED sp_status sp_log_sealed_section(struct sp_log_sealed *sealed,
                                               enum sp_sealed_section section, uint64_t offset,
                                               size_t len, void *to, struct sp_error *error);

/* Reads a whole section and compares its check. SP_CORRUPT. */
SP_WARN_UNUSED sp_status sp_log_sealed_section_all(struct sp_log_sealed *sealed,
                                                   enum sp_sealed_section section,
                                                   struct sp_buf *to, struct sp_error *error);

/* Compares the parts that no other check covers: file header, gaps between sections. */
SP_WARN_UNUSED sp_status sp_log_sealed_check_layout(struct sp_log_sealed *sealed,
                                                    struct sp_error *error);

#endif
