#include "cli/workload.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/prng.h"
#include "base/str.h"
#include "base/time.h"

enum {
    RUN_COUNT = 100,
    RUN_EVENTS_MIN = 15,
    RUN_EVENTS_SPREAD = 21,
    AGENT_COUNT = 200,
    TOOL_COUNT = 24,
    WORD_COUNT = 8192,
    WORD_MAGNITUDES = 13,    /* 2 to this power is WORD_COUNT */
    WORD_COMMON_COUNT = 256, /* the most frequent, and short */
    WORD_SIZE = 16,          /* copied whole; the length says how much counts */
    NAME_SIZE = 48,
    TEXT_BYTES = 8 << 20, /* words made beforehand: a store seals what is some megabytes apart */
    TEXT_SHIFT = 131,     /* where the next round begins: no slice comes twice */
    SLACK = 64,           /* room behind the data for its closing */
};

struct word {
    char text[WORD_SIZE];
    uint32_t len;
};

struct name {
    char text[NAME_SIZE];
    size_t len;
};

struct run {
    char correlation[SP_UUID_TEXT_SIZE];
    char cause[SP_UUID_TEXT_SIZE];
    bool has_cause;
    uint32_t left; /* events to come */
    uint32_t step;
    uint32_t agent;
    uint32_t tool;
    uint32_t call; /* number of the tool call that waits for its result */
    uint32_t generation;
};

struct sp_workload {
    struct sp_workload_options options;
    struct sp_prng prng;
    uint64_t count;
    struct run runs[RUN_COUNT];
    char *text; /* TEXT_BYTES of words */
    size_t text_at;
    size_t text_round;
    struct name agents[AGENT_COUNT];
    struct name tools[TOOL_COUNT]; /* "tool:search_code" */
    char id[SP_UUID_TEXT_SIZE];    /* of the last event, where the producer makes ids */
    uint32_t slot;                 /* run of the last event */
    char stream[NAME_SIZE];
    spoor_event event;
    char data[]; /* options.event_bytes and SLACK */
};

/* ---- pieces of text -------------------------------------------------------------------------- */

static char *add_bytes(char *at, const char *text, size_t len) {
    memcpy(at, text, len);
    return at + len;
}

#define add(at, literal) add_bytes((at), "" literal, sizeof(literal) - 1)

static char *add_number(char *at, uint64_t value) {
    char digits[24];
    size_t i = sizeof(digits);
    do {
        digits[--i] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(at, digits + i, sizeof(digits) - i);
    return at + (sizeof(digits) - i);
}

static char *add_hex(char *at, uint32_t value) {
    for (unsigned shift = 32; shift > 0; shift -= 4) {
        *at++ = "0123456789abcdef"[(value >> (shift - 4)) & 15];
    }
    return at;
}

/*
 * A word by Zipf's law, as in natural text: the n-th most frequent word comes about 1/n as often as
 * the first. Four of the sixteen random bits choose the order of magnitude, the others the word
 * within it.
 */
static uint32_t word_index(uint32_t random) {
    uint32_t magnitude = (random & 15) * WORD_MAGNITUDES / 16;
    uint32_t within = (1u << magnitude) - 1;
    return within + ((random >> 4) & within);
}

/* Adds so many bytes of words. Making them costs more than storing them: they are there already. */
static char *add_words(struct sp_workload *workload, char *at, size_t bytes) {
    if (workload->text_at + bytes > TEXT_BYTES) {
        workload->text_at = ++workload->text_round * TEXT_SHIFT % TEXT_BYTES;
    }
    memcpy(at, workload->text + workload->text_at, bytes);
    workload->text_at += bytes;
    at[bytes - 1] = '.'; /* instead of a blank, or of a letter within a word */
    return at + bytes;
}

static void make_uuid(struct sp_workload *workload, char text[SP_UUID_TEXT_SIZE]) {
    uint64_t random[2] = {sp_prng_next(&workload->prng), sp_prng_next(&workload->prng)};
    uint8_t bytes[16];
    memcpy(bytes, random, sizeof(bytes));
    bytes[6] = (uint8_t)(0x40 | (bytes[6] & 0x0f));
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));
    sp_uuid_format(bytes, text);
}

/* ---- vocabulary ------------------------------------------------------------------------------ */

/* Common words are short; each is a few consonants and vowels in turn. */
static void make_words(struct sp_prng *prng, struct word words[WORD_COUNT]) {
    static const char CONSONANTS[] = "bcdfghjklmnprstvwxyz";
    static const char VOWELS[] = "aeiou";
    for (unsigned i = 0; i < WORD_COUNT; i++) {
        struct word *word = &words[i];
        bool is_common = i < WORD_COMMON_COUNT;
        word->len = (is_common ? 2 : 4) + sp_prng_below(prng, is_common ? 4 : 6);
        for (unsigned j = 0; j < word->len; j++) {
            word->text[j] =
                j % 2 == 0 ? CONSONANTS[sp_prng_below(prng, 20)] : VOWELS[sp_prng_below(prng, 5)];
        }
        word->text[word->len++] = ' ';
        sp_ensure(word->len <= WORD_SIZE);
    }
}

/* NULL where memory is out. */
static char *make_text(struct sp_prng *prng, size_t bytes) {
    char *text = malloc(bytes + WORD_SIZE);
    struct word *words = calloc(WORD_COUNT, sizeof(*words));
    if (text == NULL || words == NULL) {
        free(text);
        free(words);
        return NULL;
    }
    make_words(prng, words);
    for (size_t at = 0; at < bytes;) {
        uint64_t random = sp_prng_next(prng);
        for (unsigned i = 0; i < 4 && at < bytes; i++, random >>= 16) {
            const struct word *word = &words[word_index((uint32_t)random & 0xffff)];
            memcpy(text + at, word->text, WORD_SIZE);
            at += word->len;
        }
    }
    free(words);
    return text;
}

static void end_name(struct name *name, const char *end) {
    name->len = (size_t)(end - name->text);
    sp_ensure(name->len < NAME_SIZE);
}

static void make_names(struct sp_workload *workload) {
    static const char *const ROLES[] = {"researcher", "reviewer", "planner", "coder",
                                        "triager",    "deployer", "support", "billing"};
    static const char *const VERBS[] = {"search", "get", "update", "list", "create", "run"};
    static const char *const NOUNS[] = {"code", "orders", "tickets", "tests"};
    for (unsigned i = 0; i < AGENT_COUNT; i++) {
        struct name *agent = &workload->agents[i];
        char *at = add(agent->text, "agent:");
        at = add_bytes(at, ROLES[i % 8], strlen(ROLES[i % 8]));
        end_name(agent, add_number(add(at, "-"), i));
    }
    for (unsigned i = 0; i < TOOL_COUNT; i++) {
        struct name *tool = &workload->tools[i];
        char *at = add(tool->text, "tool:");
        at = add_bytes(at, VERBS[i / 4], strlen(VERBS[i / 4]));
        end_name(tool, add_bytes(add(at, "_"), NOUNS[i % 4], strlen(NOUNS[i % 4])));
    }
}

struct sp_workload *sp_workload_new(const struct sp_workload_options *options) {
    uint32_t bytes = options->event_bytes;
    bytes = bytes < SP_WORKLOAD_BYTES_MIN ? SP_WORKLOAD_BYTES_MIN : bytes;
    bytes = bytes > SP_WORKLOAD_BYTES_MAX ? SP_WORKLOAD_BYTES_MAX : bytes;
    struct sp_workload *workload = calloc(1, sizeof(*workload) + bytes + SLACK);
    if (workload == NULL) {
        return NULL;
    }
    workload->options = *options;
    workload->options.event_bytes = bytes;
    workload->prng = sp_prng_seed(options->seed);
    workload->text = make_text(&workload->prng, TEXT_BYTES);
    if (workload->text == NULL) {
        free(workload);
        return NULL;
    }
    make_names(workload);
    return workload;
}

void sp_workload_free(struct sp_workload *workload) {
    if (workload != NULL) {
        free(workload->text);
        free(workload);
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

enum kind { STARTED, MESSAGE, CALLED, RESULT, RESPONSE, COMPLETED, FAILED };

static void begin_run(struct sp_workload *workload, struct run *run) {
    make_uuid(workload, run->correlation);
    run->has_cause = false;
    run->left = RUN_EVENTS_MIN + sp_prng_below(&workload->prng, RUN_EVENTS_SPREAD);
    run->step = 0;
    run->agent = sp_prng_below(&workload->prng, AGENT_COUNT);
    run->generation++;
}

static enum kind kind_of(struct sp_workload *workload, const struct run *run) {
    static const enum kind STEPS[] = {MESSAGE, CALLED, RESULT, CALLED, RESULT, RESPONSE};
    if (run->step == 0) {
        return STARTED;
    }
    if (run->left == 1) {
        return sp_prng_below(&workload->prng, 20) == 0 ? FAILED : COMPLETED;
    }
    return STEPS[(run->step - 1) % 6];
}

static char *add_tool(const struct sp_workload *workload, const struct run *run, char *at) {
    const struct name *tool = &workload->tools[run->tool];
    return add_bytes(add(at, "{\"tool\":\""), tool->text + 5, tool->len - 5); /* no "tool:" */
}

/* Begins the data of an event; words and the closing follow. */
static char *begin_data(struct sp_workload *workload, struct run *run, enum kind kind, char *at) {
    uint32_t random = (uint32_t)sp_prng_next(&workload->prng);
    switch (kind) {
    case CALLED:
        run->tool = random % TOOL_COUNT;
        run->call = random;
        at = add_hex(add(add_tool(workload, run, at), "\",\"call_id\":\"call_"), run->call);
        return add(at, "\",\"arguments\":{\"limit\":20,\"query\":\"");
    case RESULT:
        at = add_hex(add(add_tool(workload, run, at), "\",\"call_id\":\"call_"), run->call);
        at = add_number(add(at, "\",\"is_error\":false,\"latency_ms\":"), random % 3000);
        return add(at, ",\"content\":\"");
    case STARTED:
        at = add_number(add(at, "{\"task_id\":"), random % 1000000);
        return add(at, ",\"priority\":\"normal\",\"goal\":\"");
    case COMPLETED:
    case FAILED:
        at = add_number(add(at, "{\"duration_ms\":"), random % 600000);
        return add(at, ",\"reason\":\"");
    case MESSAGE:
    case RESPONSE:
        at = add_number(add(at, "{\"tokens\":"), 20 + random % 4000);
        at = add_number(add(at, ",\"cost_usd\":0.00"), 1000 + (random >> 12) % 9000);
        return add(at, ",\"content\":\"");
    }
    sp_never();
}

static void set_attributes(struct sp_workload *workload, struct run *run, enum kind kind) {
#define TYPE(literal)                                                                              \
    { literal, sizeof(literal) - 1 }
    static const spoor_str TYPES[] = {TYPE("conversation.started"),
                                      TYPE("message.user"),
                                      TYPE("tool.called"),
                                      TYPE("tool.result"),
                                      TYPE("response.generated"),
                                      TYPE("run.completed"),
                                      TYPE("run.failed")};
#undef TYPE
    spoor_event *event = &workload->event;
    *event = (spoor_event){.size = sizeof(*event)};
    const struct name *source =
        kind == RESULT ? &workload->tools[run->tool] : &workload->agents[run->agent];
    event->type = TYPES[kind];
    event->source = (spoor_str){.ptr = source->text, .len = source->len};
    event->correlationid = (spoor_str){.ptr = run->correlation, .len = SP_UUID_TEXT_SIZE};
    if (run->has_cause) {
        event->causationid = (spoor_str){.ptr = run->cause, .len = SP_UUID_TEXT_SIZE};
    }
    if (workload->options.makes_ids) {
        make_uuid(workload, workload->id);
        event->id = (spoor_str){.ptr = workload->id, .len = SP_UUID_TEXT_SIZE};
    }
    uint64_t streams = workload->options.stream_count;
    if (streams > 0) {
        bool fills = workload->options.fills_streams && workload->count < streams;
        uint64_t stream = fills ? workload->count : sp_prng_next(&workload->prng) % streams;
        char *end = add_number(add(workload->stream, "task-"), stream);
        event->stream =
            (spoor_str){.ptr = workload->stream, .len = (size_t)(end - workload->stream)};
    }
}

/* A producer that makes ids knows the cause of the next event at once. */
static void remember_cause(struct sp_workload *workload) {
    if (workload->options.makes_ids && workload->count > 0) {
        struct run *run = &workload->runs[workload->slot];
        memcpy(run->cause, workload->id, SP_UUID_TEXT_SIZE);
        run->has_cause = true;
    }
}

const spoor_event *sp_workload_next(struct sp_workload *workload, uint64_t *ret_ticket) {
    remember_cause(workload);
    uint32_t slot = sp_prng_below(&workload->prng, RUN_COUNT);
    struct run *run = &workload->runs[slot];
    if (run->left == 0) {
        begin_run(workload, run);
    }
    enum kind kind = kind_of(workload, run);
    char *at = begin_data(workload, run, kind, workload->data);
    set_attributes(workload, run, kind);
    spoor_event *event = &workload->event;
    sp_str closing = kind == CALLED ? SP_STR("\"}}") : SP_STR("\"}");
    size_t used = event->type.len + event->source.len + event->stream.len + SP_UUID_TEXT_SIZE +
                  event->correlationid.len + event->causationid.len +
                  (size_t)(at - workload->data) + closing.len;
    size_t words = used < workload->options.event_bytes ? workload->options.event_bytes - used : 0;
    at = words == 0 ? at : add_words(workload, at, words);
    at = add_bytes(at, closing.ptr, closing.len);
    event->data = (spoor_str){.ptr = workload->data, .len = (size_t)(at - workload->data)};
    *ret_ticket = (uint64_t)run->generation << 32 | slot;
    workload->slot = slot;
    workload->count++;
    run->left--;
    run->step++;
    return event;
}

void sp_workload_acknowledge(struct sp_workload *workload, uint64_t ticket, const char *id) {
    struct run *run = &workload->runs[(uint32_t)ticket];
    if (run->generation == (uint32_t)(ticket >> 32) && id[0] != '\0') {
        memcpy(run->cause, id, SP_UUID_TEXT_SIZE);
        run->has_cause = true;
    }
}
