/*
 * The oracle of an engine: which events it should have, where, and what every question about them
 * should answer; found by looking at all events. pure
 *
 * Names are numbers here, from which the texts are made: comparing is cheap, and a story is short
 * to tell.
 */
#ifndef SIM_MODEL_ENGINE_H
#define SIM_MODEL_ENGINE_H

#include "core/core.h"
#include "record/tree.h"

enum {
    SIM_BATCH_MAX = 6,
    SIM_EXPECTS_MAX = 2,
    SIM_TEXT_SIZE = 48,
    SIM_STREAMS = 14,
    SIM_SOURCES = 4,
    SIM_TYPES = 6,
    SIM_RUNS = 8,
    SIM_IDS = 4000,
    SIM_SCHEMA_STREAM = SIM_STREAMS, /* what is registered, and nothing else */
    SIM_SCHEMA_TYPE = SIM_TYPES,
    SIM_MODES = 3, /* of schemas: enforce, warn, off */
};

/* The run of an event: given, or made of an id. */
enum sim_run_kind { SIM_RUN_GIVEN, SIM_RUN_OF_ID, SIM_RUN_OF_MADE_ID };

struct sim_run_name {
    enum sim_run_kind kind;
    uint64_t number; /* of the run, of the id, or the position of the event with the made id */
};

/* An event as it is given to the engine. */
struct sim_event_spec {
    int stream;
    int source;
    int type;
    int id;    /* -1: the engine makes one */
    int cause; /* -1: none */
    int run;   /* -1: not given */
    uint64_t data_seed;
    uint32_t data_bytes;
    int held_type; /* of SIM_SCHEMA_STREAM: the type whose schema is registered, */
    int held_mode; /* and its mode */
};

struct sim_expect_spec {
    int stream;
    uint64_t version;
};

struct sim_append_spec {
    struct sim_event_spec events[SIM_BATCH_MAX];
    uint32_t count;
    struct sim_expect_spec expects[SIM_EXPECTS_MAX];
    uint32_t expect_count;
};

/* An event where it should be; position p is at p - 1. */
struct sim_engine_event {
    struct sim_event_spec spec;
    struct sim_run_name run;
    uint64_t version;
    uint64_t batch_first; /* positions of the append that it came with */
    uint64_t batch_last;
    bool placed; /* what only the engine knows has been seen: */
    uint64_t recorded_us;
    uint32_t entry_seq;
    char made_id[SIM_TEXT_SIZE];
    bool leaf_known;
    uint8_t leaf[SP_HASH_BYTES];
};

struct sim_engine_model {
    struct sim_engine_event *events;
    size_t count;
    size_t capacity;
    uint64_t acked; /* everything up to here was said to be durable */
};

/* What an append should come to. */
struct sim_prediction {
    sp_status status; /* SP_OK, SP_CONFLICT, or SP_INVALID where a schema refuses it */
    uint64_t actual_version;
    uint64_t positions[SIM_BATCH_MAX];
    uint64_t versions[SIM_BATCH_MAX];
    bool duplicates[SIM_BATCH_MAX];
};

void sim_engine_model_fini(struct sim_engine_model *model);

/* Texts of the numbers; `text` has SIM_TEXT_SIZE bytes, and is returned as a slice. */
sp_str sim_stream_text(int stream, char *text);
sp_str sim_source_text(int source, char *text);
sp_str sim_type_text(int type, char *text);
sp_str sim_id_text(int id, char *text);
sp_str sim_run_text(const struct sim_engine_model *model, struct sim_run_name run, char *text);
/* The id of the event at a position; empty where it was made and was not seen yet. */
sp_str sim_event_id(const struct sim_engine_model *model, uint64_t position, char *text);
void sim_data_bytes(const struct sim_event_spec *spec, uint8_t *to);
/* Makes the event one that registers a schema, which accepts no data that a story has. */
void sim_schema_event(struct sim_event_spec *spec, int held_type, int held_mode);

/*
 * Says what the append should come to, where `first` is the first event kept, and where that is
 * SP_OK adds its new events.
 */
void sim_engine_model_append(struct sim_engine_model *model, const struct sim_append_spec *spec,
                             uint64_t first, struct sim_prediction *ret_prediction);

uint64_t sim_engine_model_version(const struct sim_engine_model *model, int stream);

/* Forgets the events after a position: they were never acknowledged, and are lost. */
void sim_engine_model_cut(struct sim_engine_model *model, uint64_t last);

/* The core's hash after all events, whose places are known, and ops of groups. */
uint64_t sim_engine_model_hash(const struct sim_engine_model *model, sp_str ops,
                               uint64_t control_number);

/* The Merkle root over the first `size` events; false where a leaf was never seen. */
bool sim_engine_model_root(const struct sim_engine_model *model, uint64_t size,
                           uint8_t ret_root[SP_HASH_BYTES]);

/* A question about the events from `from` to `until`; -1: any. */
struct sim_question {
    int stream;
    int source;
    int type;
    int run; /* a given one */
    uint64_t from;
    uint64_t until;
};

bool sim_matches(const struct sim_engine_model *model, const struct sim_question *question,
                 uint64_t position);

#endif
