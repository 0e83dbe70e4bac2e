/*
 * The verification's own state; only the verify*.c files include this. See verify.h. helper
 *
 *     verify.c         the order of things: manifest, sealed part, raw part, what else lies there
 *     verify_sealed.c  one sealed file             verify_raw.c  one raw segment
 *     verify_hash.c    leaf hashes, in batches, on a second thread, handed on in order
 *     verify_tree.c    the tree, and what recorded it: tags, tiles, edges, roots
 *     verify_report.c  findings
 */
#ifndef SP_LOG_VERIFY_INT_H
#define SP_LOG_VERIFY_INT_H

#include "log/checkpoint.h"
#include "log/local_open.h"
#include "log/manifest.h"
#include "log/scan.h"
#include "log/sealed.h"
#include "log/snapshot.h"
#include "log/verify.h"
#include "os/os.h"

enum {
    VERIFY_TEXT_BYTES = 240,
    VERIFY_FILE_BYTES = 48,
    VERIFY_BATCHES = 3, /* one is filled, one is hashed, one waits */
};

/* A tree size and the root that some place of the folder says it had. */
struct verify_claim {
    uint64_t size;
    uint64_t block;  /* whose header says so; 0: the checkpoint */
    uint64_t offset; /* of that header */
    uint32_t file_number;
    uint8_t root[SP_HASH_BYTES];
};

/* What a segment, sealed or raw, starts from; copied, so that a segment can be begun again. */
struct verify_state {
    struct sp_scan_chain chain; /* what comes next */
    uint64_t last_id;
    uint64_t last_recorded_us;
    struct sp_verify_result result;

    struct sp_tree tree;
    bool tree_known;     /* `tree` is that of all events so far */
    bool tile_known;     /* each leaf of the tile that is under way was added */
    bool tile_explained; /* a finding already says what is wrong in it */
    uint64_t proven;     /* the last size at which a root was confirmed */
    size_t next_claim;
    bool mismatch; /* at claims[mismatch_claim] the root was another */
    size_t mismatch_claim;
    uint64_t mismatch_proven; /* `proven` then */
};

/* What the sealed file under way recorded of its events; empty where it is damaged, or raw. */
struct verify_recorded {
    struct sp_buf tags;
    struct sp_buf tiles;
    uint64_t first_position; /* of the segment */
};

struct verify_item {
    uint64_t position; /* of an event; else of the one before */
    uint64_t count;    /* 0: a record; else so many events are missing here */
    uint64_t offset;   /* in the file, of its block or frame */
    size_t at;         /* in the rows */
    bool leaf;         /* its hash can be computed */
};

struct verify_batch {
    struct sp_job job;
    bool busy;
    struct sp_salter salter;
    struct sp_buf rows;
    struct verify_item *items;
    uint8_t (*leaves)[SP_HASH_BYTES];
    uint32_t count;
};

struct held_finding {
    struct sp_verify_finding finding;
    char text[VERIFY_TEXT_BYTES];
    char file[VERIFY_FILE_BYTES];
};

struct verifier {
    const struct sp_verify_options *options;
    struct sp_fs *fs;
    struct sp_error *error;
    sp_status stop; /* SP_OK, or why the verification ends */

    struct sp_manifest manifest;
    bool manifest_whole;
    struct sp_checkpoint checkpoint;
    uint64_t durable_upto; /* the largest that any block header names */
    uint64_t delivered;    /* last position that was handed to `record` */
    uint64_t progress_position;

    struct verify_claim *claims; /* by size */
    size_t claim_count;
    size_t claim_capacity;

    struct verify_state state;
    struct verify_recorded recorded;
    char file[VERIFY_FILE_BYTES]; /* the segment under way */
    uint8_t salt_key[SP_HASH_BYTES];
    bool salt_known;
    uint64_t raw_end; /* where the raw segment before ended; 0: not known, or it was sealed */

    struct sp_worker *worker;
    struct verify_batch batches[VERIFY_BATCHES];
    uint32_t filling; /* the batch that is filled */
    uint32_t under_way;

    bool holding; /* findings wait, because a live writer may have caused them */
    struct held_finding *held;
    size_t held_count;
    size_t held_capacity;
};

/* ---- verify_report.c ---- */

/* Reports a finding in the file under way, or in another, or in none. */
void verify_say(struct verifier *v, enum sp_verify_level level, uint64_t first, uint64_t last,
                uint64_t offset, const char *format, ...) SP_PRINTF(6, 7);
void verify_say_file(struct verifier *v, enum sp_verify_level level, uint64_t first, uint64_t last,
                     const char *file, uint64_t offset, const char *format, ...) SP_PRINTF(7, 8);
/* Ends the verification; the first reason stays. */
void verify_stop(struct verifier *v, sp_status status, const struct sp_error *error);
/* A status of reading the file under way: damage where it says so, else the end. */
void verify_failed(struct verifier *v, sp_status status, uint64_t first, uint64_t last,
                   const struct sp_error *error);
void verify_hold(struct verifier *v);
/* Reports what was held, or forgets it. */
void verify_release(struct verifier *v);
void verify_drop(struct verifier *v);

/* ---- verify_hash.c ---- */

SP_WARN_UNUSED sp_status verify_hash_init(struct verifier *v, struct sp_error *error);
void verify_hash_fini(struct verifier *v);
/* Hands a record over; `leaf`: hash it. Its bytes are copied. */
void verify_hash_add(struct verifier *v, const struct sp_record *record, uint64_t offset,
                     bool leaf);
/* So many events are not there, or not readable. */
void verify_hash_gap(struct verifier *v, uint64_t count);
/* Waits until everything handed over has come out at the other end. */
void verify_hash_drain(struct verifier *v);

/* ---- verify_tree.c ---- */

void verify_tree_add(struct verifier *v, uint64_t position, uint64_t offset,
                     const uint8_t leaf[SP_HASH_BYTES]);
void verify_tree_gap(struct verifier *v, uint64_t count);
/* The next event is the one at `position`, wherever the tree is. */
void verify_tree_place(struct verifier *v, uint64_t position);
/* A sealed file says what the tree is before its first event, and after its last; NULL: unknown. */
void verify_tree_begin(struct verifier *v, const struct sp_tree *edge, uint64_t last_position);
void verify_tree_end(struct verifier *v, const struct sp_tree *edge);
SP_WARN_UNUSED sp_status verify_claim_add(struct verifier *v, const struct verify_claim *claim);
void verify_claims_sort(struct verifier *v);
/* Compares the claims about the tree as it is. */
void verify_claims_pass(struct verifier *v);
void verify_claims_finish(struct verifier *v);

/* ---- verify_sealed.c ---- */

void verify_sealed(struct verifier *v, const struct sp_manifest_segment *row);

/* ---- verify_raw.c ---- */

/* A raw segment's file, as far as its header can be had. */
struct verify_raw {
    struct wal_file file;
    bool header_odd;  /* the file has another size than its header says; the file's is taken */
    bool header_lost; /* `file.header` was put together from the first block; no salt key */
};

struct verify_raw_list {
    struct verify_raw *files; /* by epoch */
    size_t count;
    struct sp_buf spares; /* their numbers */
};

/* Lists the raw files and reports the bad ones. */
SP_WARN_UNUSED sp_status verify_raw_list(struct verifier *v, struct verify_raw_list *ret_list,
                                         struct sp_error *error);
void verify_raw_list_fini(struct verify_raw_list *list);
/* Collects what the block headers of the segments that are not sealed say of the tree. */
void verify_raw_claims(struct verifier *v, const struct verify_raw_list *list);
void verify_raw(struct verifier *v, const struct verify_raw *raw, const struct verify_raw *next);
/* A spare must be all zeros. */
void verify_spare(struct verifier *v, uint32_t file_number);

#endif
