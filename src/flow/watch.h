/*
 * Types of events that some part waits for: what begins sagas, what waits and joins look for. pure
 *
 * All parts share one trie, so that an event that nobody waits for costs one look at it, whatever
 * the parts hold. A pattern has one number however often it is added; a part finds what it means by
 * it in a table of its own, by that number. Numbers of patterns that are gone are used again.
 *
 * The numbers are nothing to be stored: parts add their patterns anew when they are restored.
 */
#ifndef SP_FLOW_WATCH_H
#define SP_FLOW_WATCH_H

#include "match/trie.h"

struct sp_watch_pattern;

struct sp_watch {
    struct sp_trie trie;
    struct sp_htab by_text;
    struct sp_watch_pattern *patterns; /* by number */
    uint32_t count;                    /* numbers given out so far, free ones too */
    uint32_t capacity;
    uint32_t live;    /* patterns that somebody has added */
    uint32_t free_at; /* the first free number, UINT32_MAX: none */
    uint32_t changes; /* of the trie: `matched` is of no use after one */
    /* What the type of the event that is being applied matches; set by sp_flow_apply. */
    const uint32_t *matched;
    size_t matched_count;
};

void sp_watch_init(struct sp_watch *watch);
void sp_watch_fini(struct sp_watch *watch);

/* One more wants the pattern. As sp_trie_add. */
SP_WARN_UNUSED sp_status sp_watch_add(struct sp_watch *watch, sp_str pattern, uint32_t *ret_number,
                                      struct sp_error *error);

/* One less does. */
void sp_watch_remove(struct sp_watch *watch, uint32_t number);

/* The patterns that the type matches, into `matched`; false: none. */
bool sp_watch_match(struct sp_watch *watch, sp_str type);

#endif
