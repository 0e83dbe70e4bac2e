/*
 * Feeds: history, then live, as one sequence without gap or double, at the pace of who reads it.
 * loop-thread
 *
 *                    caught up                    does not read
 *     HISTORY ──────────────────► LIVE ────────────────────────────► LAGGING
 *     (reads the log)              ▲  (is handed what is durable)    (reads the log)
 *                                  └─────────────────────────────────┘
 *                                               caught up
 *
 * A feed is one subscription of one client. It knows the position it goes on from, `next`; that is
 * all it holds while it is not live: nothing is queued for it but what the client's output takes.
 * Behind (HISTORY, LAGGING) it reads the log in slices, and only while the client's output is
 * small; in between it sleeps, and holds no cursor. It is live once it has read all that is durable
 * and all that live events were told of; live events below `next` are not for it.
 *
 * An *episode* is the time from falling out of LIVE to being back.
 *
 * Feeds take turns: a slice is bounded by events looked at and by bytes, and so is the sum of
 * slices of a turn of the loop.
 *
 * What is read, and where it goes, is behind `sp_feeds_io`: a log and connections in the server,
 * arrays in tests.
 *
 * Invariants: a feed that is LIVE has no cursor and is on no list; one that is HISTORY or LAGGING
 * is either on the list of those that go on, or asleep until sp_feed_wake. A feed is given every
 * event from its first position on, in order, and each once.
 */
#ifndef SP_SERVER_SUBSCRIBE_H
#define SP_SERVER_SUBSCRIBE_H

#include "base/error.h"
#include "record/event.h"

enum {
    SP_FEED_SLICE_EVENTS = 256,     /* looked at in a slice, and */
    SP_FEED_SLICE_BYTES = 64 << 10, /* unsent more than at its beginning */
    SP_FEED_TURN_EVENTS = 2048,     /* looked at in a turn */
    SP_FEED_TURN_BYTES = 1 << 20,
    SP_FEED_CURSORS_MAX =
        64, /* of feeds that go on; where they are more, each opens its own anew */
};

enum sp_feed_state {
    SP_FEED_OFF = 0,
    SP_FEED_HISTORY,
    SP_FEED_LIVE,
    SP_FEED_LAGGING,
    SP_FEED_OVER, /* the limit is reached: sp_feeds_io.over will be called */
};

/* Embedded in what it belongs to. All fields are its own; state, next and episode may be read. */
struct sp_feed {
    enum sp_feed_state state;
    bool asleep;           /* until the client has read */
    bool quiet;            /* the episode is not told of */
    uint64_t next;         /* the first position that is not done with */
    uint32_t given;        /* messages of the event at `at` that were given */
    uint64_t at;           /* an event of which a message was given, or was to be */
    uint64_t left;         /* of the limit */
    uint64_t fell_at;      /* where the running episode began; 0: none */
    void *cursor;          /* NULL: none */
    struct sp_feed *later; /* the list of those that go on */
    struct sp_feed *earlier;
};

/* What a feed needs of the world. `context` is that of sp_feeds_init. */
struct sp_feeds_io {
    /* Opens a cursor over what concerns the feed, from a position on. */
    sp_status (*open)(void *context, struct sp_feed *feed, uint64_t from, void **ret_cursor,
                      struct sp_error *error);
    void (*close)(void *context, void *cursor);
    /*
     * The next event, borrowed until the next call. *steps is how many events it may look at, and
     * is lowered; SP_BUSY where they are used up. SP_TIMEOUT: all that is durable has been read.
     * SP_NOT_FOUND and SP_CORRUPT: something is lost, the next call goes on behind. In every case
     * *ret_next is the first position that was not looked at.
     */
    sp_status (*read)(void *context, void *cursor, uint32_t *steps,
                      const struct sp_event **ret_event, uint64_t *ret_next,
                      struct sp_error *error);
    /*
     * Gives the client the feed's messages of the event, all but the first `feed->given`, and
     * raises that by each (sp_feed_gave). False where the client takes no more.
     */
    bool (*give)(void *context, struct sp_feed *feed, const struct sp_event *event);
    /* Bytes that wait for the feed's client. */
    size_t (*unsent)(void *context, const struct sp_feed *feed);
    /*
     * The feed falls asleep: sp_feed_wake is to be called when so many bytes wait, or fewer. What
     * was said last counts.
     */
    void (*await)(void *context, struct sp_feed *feed, size_t unsent_max);
    /*
     * Something the feed should have had is lost; or it cannot go on, and is OFF. It must not be
     * freed here.
     */
    void (*trouble)(void *context, struct sp_feed *feed, sp_status status,
                    const struct sp_error *error);
    /* An episode began or is over. */
    void (*episode)(void *context, struct sp_feed *feed, bool begins);
    /* The feed's limit is reached; it is OFF already and may be freed. */
    void (*over)(void *context, struct sp_feed *feed);
};

struct sp_feeds {
    const struct sp_feeds_io *io;
    void *context;
    bool began;            /* since somebody listens an event was live */
    uint64_t seen;         /* the last event that was live */
    size_t unsent_max;     /* a feed reads on below half of it, and stops at it */
    struct sp_feed *first; /* those that go on, in turn */
    struct sp_feed *last;
    uint32_t ready_count;
    uint32_t lagging_now;
    uint64_t lagging_count; /* falls since the start, for metrics */
};

void sp_feeds_init(struct sp_feeds *feeds, const struct sp_feeds_io *io, void *context,
                   size_t unsent_max);

/* Events from `durable + 1` on will be live: nobody was listening until now. */
void sp_feeds_listen(struct sp_feeds *feeds, uint64_t durable);

/* An event is live: before its findings are given. */
void sp_feeds_live(struct sp_feeds *feeds, uint64_t position);

/* Goes on with those that are behind. True where there is more to do at once. */
bool sp_feeds_turn(struct sp_feeds *feeds);

/* Starts a feed, zeroed or OFF, with history. `limit`: events in all, 0: none. */
void sp_feed_start(struct sp_feeds *feeds, struct sp_feed *feed, uint64_t from, uint64_t limit);

/* Starts a feed with what becomes durable behind `after`, which the log has come to already. */
void sp_feed_start_live(struct sp_feeds *feeds, struct sp_feed *feed, uint64_t after);

/* Ends it. Nothing more is given; an episode is over. */
void sp_feed_stop(struct sp_feeds *feeds, struct sp_feed *feed);

/* The query behind the feed has changed: what it reads with is opened anew. */
void sp_feed_reopen(struct sp_feeds *feeds, struct sp_feed *feed);

/* From within sp_feeds_io.open: what stands before this position is lost, it goes on there. */
void sp_feed_skip(struct sp_feed *feed, uint64_t next);

/* The client has read: the feed goes on, if it is asleep. */
void sp_feed_wake(struct sp_feeds *feeds, struct sp_feed *feed);

/* ---- what is live ---- */

/* True where a message of the live event at this position is to be given to the feed now. */
bool sp_feed_takes(struct sp_feed *feed, uint64_t position);

/* A message of the event at `at` was given. */
static inline void sp_feed_gave(struct sp_feed *feed) {
    feed->given++;
}

/* All messages of the event were given, live: the limit counts it. */
void sp_feed_took(struct sp_feeds *feeds, struct sp_feed *feed);

/*
 * A message of the live event at this position, which sp_feed_takes allowed, was refused by the
 * client: the feed reads the log from there. `quiet`: the episode is not told of, for telling
 * would cause another.
 */
void sp_feed_falls(struct sp_feeds *feeds, struct sp_feed *feed, uint64_t position, bool quiet);

#endif
