/*
 * The insides of live.h; only live*.c include this.
 *
 * Names, and what the store knows an event by, are *topics*: one table for all of them, an array of
 * members each. What has neither (queries by type alone, keys of a type) is found through the trie,
 * whose ids are numbers of `by_id`.
 */
#ifndef SP_SERVER_LIVE_INT_H
#define SP_SERVER_LIVE_INT_H

#include "match/demand.h"
#include "match/filter.h"
#include "match/globs.h"
#include "match/trie.h"
#include "server/live.h"

enum {
    LIVE_NONE = UINT32_MAX,
    LIVE_FIRST = 16,
    LIVE_CROWD = 1, /* so many others in a place: filters are worth being told apart */
};

/* What a topic's name is a name of. The first ones are those of the same kinds of interests. */
enum topic_kind {
    TOPIC_CHANNEL = SP_LIVE_CHANNEL,
    TOPIC_SHARD = SP_LIVE_SHARD,
    TOPIC_GLOB = SP_LIVE_GLOB,
    TOPIC_STREAM,
    TOPIC_SOURCE,
    TOPIC_CORRELATION,
    TOPIC_ALL,     /* every event; its name is empty */
    TOPIC_VALUE,   /* what a filter demands (match/demand.h); its name is the key's bytes */
    TOPIC_PATTERN, /* only a count: of the interests that the trie finds by this pattern */
    TOPIC_KINDS,
};

struct topic {
    enum topic_kind kind;
    uint32_t name_len;
    char *name; /* NULL: a freed one */
    uint64_t hash;
    struct sp_live_interest **members;
    uint32_t count; /* of a freed one: the next freed one */
    uint32_t capacity;
};

/* A filter that one query or many have. */
struct shared_filter {
    struct sp_filter *filter;
    char *text; /* NULL: a freed one */
    uint32_t text_len;
    uint32_t users; /* of a freed one: the next freed one */
    uint64_t hash;
    uint64_t event; /* compared last with this one, by live's own count */
    bool matched;
};

struct sp_live_query {
    sp_str source; /* of all texts a NULL ptr where there is no such condition */
    sp_str stream;
    sp_str correlation;
    sp_str *types;
    size_t type_count;
    uint32_t filter;  /* LIVE_NONE: there is none */
    bool types_apart; /* not compared by the trie already */
    bool demanded;    /* found by what its filter demands */
    char *text;       /* what the slices point into */
};

struct sp_live {
    struct topic *topics;
    uint32_t topic_count; /* used and freed ones */
    uint32_t topic_capacity;
    uint32_t topic_free;
    uint32_t topics_of[TOPIC_KINDS];
    struct sp_htab topic_table;
    struct sp_globs globs; /* ids are numbers of topics */
    struct sp_trie trie;
    struct sp_live_interest **by_id; /* of a free id: NULL */
    uint32_t *ids_free;
    uint32_t ids_free_count;
    uint32_t id_count;
    uint32_t id_capacity;
    struct shared_filter *filters;
    uint32_t filter_count;
    uint32_t filter_capacity;
    uint32_t filter_free;
    struct sp_htab filter_table;
    struct sp_demands demands; /* of queries that are found so */
    uint32_t interest_count;
    uint64_t events; /* matched so far */
    bool matching;
};

/* ---- live.c ---- */

SP_WARN_UNUSED sp_status live_check_room(const struct sp_live *live,
                                         const struct sp_live_interest *interest,
                                         struct sp_error *error);

/* The number of a topic, LIVE_NONE where nobody is there. */
uint32_t live_topic_find(const struct sp_live *live, enum topic_kind kind, sp_str name);

/* Puts an interest among the members of a topic, which is made where it is new. */
SP_WARN_UNUSED sp_status live_topic_add(struct sp_live *live, enum topic_kind kind, sp_str name,
                                        struct sp_live_interest *interest, struct sp_error *error);

/* Counts one more, or one fewer, under a topic without members. */
SP_WARN_UNUSED sp_status live_topic_count_up(struct sp_live *live, enum topic_kind kind,
                                             sp_str name, struct sp_error *error);
void live_topic_count_down(struct sp_live *live, enum topic_kind kind, sp_str name);

/* ---- live_query.c ---- */

/* Takes an interest that is found by type out of the trie. */
void live_type_remove(struct sp_live *live, const struct sp_live_interest *interest);

/* NULL is fine. */
void live_query_free(struct sp_live *live, struct sp_live_query *query);

#endif
