/*
 * What the index costs: adding an event, encoding a segment, bytes an event, and lookups over many
 * sealed segments that lie in a file and are read with pread. Prints one JSON line a measure.
 *
 *     micro_index EVENTS SEGMENTS…    events per segment, and how many segments, one after another
 *     micro_index                     800000 64, then 50000 1 64 1024
 *
 * The events are those of a fleet: runs of some 40 events of one agent or a few, 200 runs at a
 * time, 60 types of which some are frequent, ids that are UUIDs, nine of ten events caused by one
 * before.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/prng.h"
#include "index/index.h"

enum { RUNS = 200, RUN_EVENTS = 40, SOURCES = 1000, TYPES = 60, LOOKUPS = 200000, SAMPLES = 20000 };

static double now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void must(sp_status status, const char *what) {
    if (status != SP_OK) {
        fprintf(stderr, "micro_index: %s: %s\n", what, sp_status_text(status));
        exit(1);
    }
}

static uint64_t hash_of(uint64_t number, uint64_t seed) {
    return sp_hash_seeded(&number, sizeof(number), seed);
}

/* -- Events ------------------------------------------------------------------------------------ */

struct run {
    uint64_t number;
    uint64_t last_id;
    uint32_t source;
    uint32_t left;
};

struct fleet {
    struct sp_prng prng;
    uint64_t events;
    uint64_t runs_begun;
    struct run runs[RUNS];
};

static uint64_t id_of(uint64_t event) {
    return hash_of(event, 5);
}

static uint32_t draw_type(struct fleet *fleet) {
    uint32_t a = sp_prng_below(&fleet->prng, TYPES);
    uint32_t b = sp_prng_below(&fleet->prng, TYPES);
    return a * b / TYPES;
}

static struct sp_index_keys draw(struct fleet *fleet, uint32_t *ret_type) {
    struct run *run = &fleet->runs[sp_prng_below(&fleet->prng, RUNS)];
    if (run->left == 0) {
        *run = (struct run){
            .number = fleet->runs_begun++,
            .source = sp_prng_below(&fleet->prng, SOURCES),
            .left = 1 + sp_prng_below(&fleet->prng, 2 * RUN_EVENTS),
        };
    }
    run->left--;
    *ret_type = draw_type(fleet);
    struct sp_index_keys keys = {
        .stream = run->number % 2 == 0 ? hash_of(run->source, 1) : hash_of(run->number, 1),
        .type = hash_of(*ret_type, 2),
        .source = hash_of(run->source, 3),
        .correlation = hash_of(run->number, 4),
        .id = id_of(fleet->events++),
        .cause = run->last_id,
        .has_cause = run->last_id != 0,
    };
    run->last_id = sp_prng_below(&fleet->prng, 10) == 0 ? run->last_id : keys.id;
    return keys;
}

/* -- Building ---------------------------------------------------------------------------------- */

struct stored {
    int file;
    uint64_t offset;
};

static sp_status stored_read(void *context, uint64_t offset, size_t len, void *to) {
    const struct stored *stored = context;
    ssize_t n = pread(stored->file, to, len, (off_t)(stored->offset + offset));
    return n == (ssize_t)len ? SP_OK : SP_IO;
}

struct building {
    struct sp_index *index;
    struct fleet fleet;
    struct stored *stored;
    int file;
    uint64_t file_bytes;
    uint64_t position;
    double add_ns;
    double worst_add_ns;
    double encode_ns;
    double tail_bytes;
    double section_bytes;
};

static char type_texts[TYPES][16];

/* Keys are drawn beforehand, some at a time, so that only the index is measured. */
static void add_segment(struct building *b, uint32_t events) {
    enum { BATCH = 64 };
    struct sp_index_keys keys[BATCH];
    uint32_t types[BATCH];
    for (uint32_t done = 0; done < events;) {
        uint32_t count = events - done < BATCH ? events - done : BATCH;
        for (uint32_t i = 0; i < count; i++) {
            keys[i] = draw(&b->fleet, &types[i]);
        }
        double start = now_ns();
        for (uint32_t i = 0; i < count; i++) {
            sp_str type = sp_str_from(type_texts[types[i]]);
            must(sp_index_add(b->index, b->position, &keys[i], type, b->position), "add");
            b->position++;
        }
        double took = now_ns() - start;
        b->add_ns += took;
        b->worst_add_ns = took > b->worst_add_ns ? took : b->worst_add_ns;
        done += count;
    }
}

static void seal_segment(struct building *b, uint64_t number) {
    struct sp_tail *tail = sp_index_tail_pin(b->index, number);
    struct sp_buf section;
    sp_buf_init(&section, (size_t)1 << 32);
    double start = now_ns();
    must(sp_section_encode(tail, &section, NULL), "encode");
    b->encode_ns += now_ns() - start;
    b->tail_bytes += (double)sp_tail_bytes(tail);
    b->section_bytes += (double)section.len;
    b->stored[number] = (struct stored){.file = b->file, .offset = b->file_bytes};
    if (pwrite(b->file, section.data, section.len, (off_t)b->file_bytes) != (ssize_t)section.len) {
        must(SP_IO, "write");
    }
    b->file_bytes += section.len;
    struct sp_section_reader reader = {
        .read = stored_read, .context = &b->stored[number], .size_bytes = section.len};
    must(sp_index_seal(b->index, number, &reader, NULL), "seal");
    sp_buf_fini(&section);
    sp_tail_unref(tail);
}

static void build(struct building *b, uint32_t events, uint32_t segments) {
    FILE *file = tmpfile();
    *b = (struct building){.fleet.prng = sp_prng_seed(7), .position = 1};
    b->stored = calloc(segments, sizeof(*b->stored));
    b->index = sp_index_new(&(struct sp_index_options){.seed = 99});
    if (file == NULL || b->stored == NULL || b->index == NULL) {
        must(SP_NO_MEMORY, "start");
    }
    b->file = fileno(file);
    double fold_ns = 0;
    for (uint64_t i = 0; i < segments; i++) {
        must(sp_index_tail_begin(b->index, i, b->position), "begin");
        add_segment(b, events);
        seal_segment(b, i);
        double start = now_ns();
        must(i % 16 == 15 ? sp_index_fold_all(b->index) : SP_OK, "fold");
        fold_ns += now_ns() - start;
    }
    must(sp_index_fold_all(b->index), "fold");
    must(sp_index_tail_begin(b->index, segments, b->position), "begin");
    double count = (double)events * segments;
    struct sp_index_stats stats;
    sp_index_stats(b->index, &stats);
    printf("{\"bench\":\"index_build\",\"events_per_segment\":%u,\"segments\":%u,"
           "\"add_ns\":%.1f,\"worst_64_adds_us\":%.1f,\"tail_bytes_per_event\":%.1f,"
           "\"encode_ns\":%.1f,\"section_bytes_per_event\":%.2f,\"fold_ms_per_segment\":%.2f,"
           "\"sieve_bytes_per_event\":%.2f,\"resident_kib_per_segment\":%.1f}\n",
           events, segments, b->add_ns / count, b->worst_add_ns / 1e3, b->tail_bytes / count,
           b->encode_ns / count, b->section_bytes / count, fold_ns / segments / 1e6,
           (double)stats.sieve_bytes / count,
           (double)stats.section_bytes / (double)stats.segments_sealed / 1024);
    fflush(stdout);
}

/* -- Lookups ----------------------------------------------------------------------------------- */

static bool count_found(void *context, uint64_t position, enum sp_index_role role) {
    (void)position;
    (void)role;
    (*(uint64_t *)context)++;
    return true;
}

static void measure_fresh_ids(struct building *b, uint32_t events, uint32_t segments,
                              uint32_t batch) {
    uint64_t found = 0;
    double start = now_ns();
    for (uint32_t i = 0; i < LOOKUPS; i += batch) {
        uint64_t hashes[16];
        for (uint32_t j = 0; j < batch; j++) {
            hashes[j] = hash_of(i + j, 777);
            if (batch > 1) {
                sp_index_prefetch_id(b->index, hashes[j]);
            }
        }
        for (uint32_t j = 0; j < batch; j++) {
            must(sp_index_find_id(b->index, hashes[j], SP_INDEX_ID, 0, UINT64_MAX, count_found,
                                  &found),
                 "find");
        }
    }
    printf("{\"bench\":\"index_fresh_id\",\"events_per_segment\":%u,\"segments\":%u,"
           "\"batch\":%u,\"ns\":%.1f,\"wrong_candidates_per_million\":%.1f}\n",
           events, segments, batch, (now_ns() - start) / LOOKUPS, (double)found * 1e6 / LOOKUPS);
    fflush(stdout);
}

static int compare_doubles(const void *a, const void *b) {
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static void report(const char *name, struct building *b, uint32_t events, uint32_t segments,
                   double samples[SAMPLES], uint64_t candidates) {
    (void)b;
    qsort(samples, SAMPLES, sizeof(*samples), compare_doubles);
    printf("{\"bench\":\"%s\",\"events_per_segment\":%u,\"segments\":%u,\"p50_us\":%.2f,"
           "\"p99_us\":%.2f,\"max_us\":%.2f,\"candidates\":%.2f}\n",
           name, events, segments, samples[SAMPLES / 2] / 1e3, samples[SAMPLES / 100 * 99] / 1e3,
           samples[SAMPLES - 1] / 1e3, (double)candidates / SAMPLES);
    fflush(stdout);
}

static void measure_known_ids(struct building *b, uint32_t events, uint32_t segments) {
    static double samples[SAMPLES];
    uint64_t found = 0;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        uint64_t hash = id_of(sp_prng_next(&b->fleet.prng) % b->fleet.events);
        double start = now_ns();
        must(sp_index_find_id(b->index, hash, SP_INDEX_ID | SP_INDEX_CAUSE, 0, UINT64_MAX,
                              count_found, &found),
             "find");
        samples[i] = now_ns() - start;
    }
    report("index_known_id_and_effects", b, events, segments, samples, found);
}

/* The first page of 50 from a random position on. */
static uint64_t page(struct sp_index *index, enum sp_index_kind kind, uint64_t hash, uint64_t from,
                     bool reverse) {
    struct sp_index_scan scan;
    sp_index_scan_init(&scan, index, kind, hash, reverse ? 0 : from, reverse ? from : UINT64_MAX,
                       reverse);
    uint64_t count = 0;
    uint64_t position;
    sp_status status = SP_OK;
    while (count < 50 && (status = sp_index_scan_next(&scan, &position)) == SP_OK) {
        count++;
    }
    must(status == SP_END ? SP_OK : status, "scan");
    return count;
}

static void measure_pages(struct building *b, uint32_t events, uint32_t segments, const char *name,
                          enum sp_index_kind kind, uint64_t keys, uint64_t seed, bool reverse,
                          bool from_start) {
    static double samples[SAMPLES];
    uint64_t found = 0;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        uint64_t hash = hash_of(sp_prng_next(&b->fleet.prng) % keys, seed);
        uint64_t from = from_start ? 1 : 1 + sp_prng_next(&b->fleet.prng) % b->position;
        double start = now_ns();
        found += page(b->index, kind, hash, from, reverse);
        samples[i] = now_ns() - start;
    }
    report(name, b, events, segments, samples, found);
}

static void measure_scan(struct building *b, uint32_t events, uint32_t segments) {
    struct sp_index_scan scan;
    uint64_t count = 0;
    uint64_t position;
    double start = now_ns();
    for (uint64_t type = 0; type < 5; type++) {
        sp_index_scan_init(&scan, b->index, SP_INDEX_TYPE, hash_of(type, 2), 0, UINT64_MAX, false);
        while (sp_index_scan_next(&scan, &position) == SP_OK) {
            count++;
        }
    }
    printf("{\"bench\":\"index_scan\",\"events_per_segment\":%u,\"segments\":%u,"
           "\"ns_per_candidate\":%.2f,\"candidates\":%" PRIu64 "}\n",
           events, segments, (now_ns() - start) / (double)count, count);
    fflush(stdout);
}

static void bench(uint32_t events, uint32_t segments) {
    struct building b;
    build(&b, events, segments);
    measure_fresh_ids(&b, events, segments, 1);
    measure_fresh_ids(&b, events, segments, 16);
    measure_known_ids(&b, events, segments);
    measure_pages(&b, events, segments, "index_run_from_start", SP_INDEX_CORRELATION,
                  b.fleet.runs_begun, 4, false, true);
    measure_pages(&b, events, segments, "index_type_page", SP_INDEX_TYPE, TYPES, 2, false, false);
    measure_pages(&b, events, segments, "index_type_page_reverse", SP_INDEX_TYPE, TYPES, 2, true,
                  false);
    measure_pages(&b, events, segments, "index_source_page", SP_INDEX_SOURCE, SOURCES, 3, false,
                  false);
    measure_scan(&b, events, segments);
    sp_index_free(b.index);
    free(b.stored);
    (void)close(b.file);
}

int main(int count, char **words) {
    for (size_t i = 0; i < TYPES; i++) {
        (void)snprintf(type_texts[i], sizeof(type_texts[i]), "bench.type%zu", i);
    }
    if (count < 3) {
        bench(800000, 64);
        bench(50000, 1);
        bench(50000, 64);
        bench(50000, 1024);
        return 0;
    }
    for (int i = 2; i < count; i++) {
        bench((uint32_t)strtoul(words[1], NULL, 10), (uint32_t)strtoul(words[i], NULL, 10));
    }
    return 0;
}
