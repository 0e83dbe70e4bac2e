#include "server/subscribe.h"

#include "base/assert.h"

void sp_feeds_init(struct sp_feeds *feeds, const struct sp_feeds_io *io, void *context,
                   size_t unsent_max) {
    sp_require(unsent_max > 0);
    *feeds = (struct sp_feeds){.io = io, .context = context, .unsent_max = unsent_max};
}

void sp_feeds_listen(struct sp_feeds *feeds, uint64_t durable) {
    sp_require(durable >= feeds->seen);
    feeds->seen = durable;
    feeds->began = false;
}

void sp_feeds_live(struct sp_feeds *feeds, uint64_t position) {
    sp_require(feeds->began ? position == feeds->seen + 1 : position > feeds->seen);
    feeds->seen = position;
    feeds->began = true;
}

/* -- The list of those that go on -------------------------------------------------------------- */

static bool is_linked(const struct sp_feeds *feeds, const struct sp_feed *feed) {
    return feed->earlier != NULL || feeds->first == feed;
}

static void link_last(struct sp_feeds *feeds, struct sp_feed *feed) {
    sp_require(!is_linked(feeds, feed));
    feed->earlier = feeds->last;
    feed->later = NULL;
    if (feeds->last != NULL) {
        feeds->last->later = feed;
    } else {
        feeds->first = feed;
    }
    feeds->last = feed;
    feeds->ready_count++;
}

static void take_off(struct sp_feeds *feeds, struct sp_feed *feed) {
    if (!is_linked(feeds, feed)) {
        return;
    }
    if (feed->earlier != NULL) {
        feed->earlier->later = feed->later;
    } else {
        feeds->first = feed->later;
    }
    if (feed->later != NULL) {
        feed->later->earlier = feed->earlier;
    } else {
        feeds->last = feed->earlier;
    }
    feed->earlier = NULL;
    feed->later = NULL;
    feeds->ready_count--;
}

static void close_cursor(struct sp_feeds *feeds, struct sp_feed *feed) {
    if (feed->cursor != NULL) {
        feeds->io->close(feeds->context, feed->cursor);
        feed->cursor = NULL;
    }
}

/* -- Starting and ending ----------------------------------------------------------------------- */

static bool is_behind(const struct sp_feed *feed) {
    return feed->state == SP_FEED_HISTORY || feed->state == SP_FEED_LAGGING;
}

void sp_feed_start(struct sp_feeds *feeds, struct sp_feed *feed, uint64_t from, uint64_t limit) {
    sp_require(feed->state == SP_FEED_OFF);
    *feed = (struct sp_feed){
        .state = SP_FEED_HISTORY, .next = from, .left = limit == 0 ? UINT64_MAX : limit};
    link_last(feeds, feed);
}

void sp_feed_start_live(struct sp_feeds *feeds, struct sp_feed *feed, uint64_t after) {
    sp_require(feed->state == SP_FEED_OFF && after >= feeds->seen);
    *feed = (struct sp_feed){.state = SP_FEED_LIVE, .next = after + 1, .left = UINT64_MAX};
}

static void end_episode(struct sp_feeds *feeds, struct sp_feed *feed) {
    if (feed->fell_at == 0) {
        return;
    }
    if (!feed->quiet) {
        feeds->io->episode(feeds->context, feed, false);
    }
    sp_invariant(feeds->lagging_now > 0);
    feeds->lagging_now--;
    feed->fell_at = 0;
}

void sp_feed_stop(struct sp_feeds *feeds, struct sp_feed *feed) {
    close_cursor(feeds, feed);
    take_off(feeds, feed);
    end_episode(feeds, feed);
    feed->state = SP_FEED_OFF;
    feed->asleep = false;
}

void sp_feed_reopen(struct sp_feeds *feeds, struct sp_feed *feed) {
    close_cursor(feeds, feed);
}

void sp_feed_skip(struct sp_feed *feed, uint64_t next) {
    sp_require(is_behind(feed) && next >= feed->next);
    feed->next = next;
}

/* -- Live -------------------------------------------------------------------------------------- */

bool sp_feed_takes(struct sp_feed *feed, uint64_t position) {
    if (feed->state != SP_FEED_LIVE || position < feed->next) {
        return false;
    }
    if (feed->at != position) {
        feed->at = position;
        feed->given = 0;
    }
    return true;
}

/* One event less of the limit; at the last one the feed waits for its turn to be ended. */
static void count_down(struct sp_feeds *feeds, struct sp_feed *feed) {
    sp_invariant(feed->left > 0);
    if (feed->left != UINT64_MAX && --feed->left == 0) {
        close_cursor(feeds, feed);
        end_episode(feeds, feed);
        feed->state = SP_FEED_OVER;
        if (!is_linked(feeds, feed)) {
            link_last(feeds, feed);
        }
    }
}

void sp_feed_took(struct sp_feeds *feeds, struct sp_feed *feed) {
    sp_require(feed->state == SP_FEED_LIVE);
    count_down(feeds, feed);
}

static void sleep_until_read(struct sp_feeds *feeds, struct sp_feed *feed) {
    close_cursor(feeds, feed);
    take_off(feeds, feed);
    feed->asleep = true;
    feeds->io->await(feeds->context, feed, feeds->unsent_max / 2);
}

/* The client took no more: a message may be so large that it must have read nearly all before. */
static void sleep_refused(struct sp_feeds *feeds, struct sp_feed *feed) {
    size_t half = feeds->io->unsent(feeds->context, feed) / 2;
    sleep_until_read(feeds, feed);
    if (half < feeds->unsent_max / 2) {
        feeds->io->await(feeds->context, feed, half);
    }
}

void sp_feed_falls(struct sp_feeds *feeds, struct sp_feed *feed, uint64_t position, bool quiet) {
    sp_require(feed->state == SP_FEED_LIVE && feed->at == position && feed->cursor == NULL);
    feed->state = SP_FEED_LAGGING;
    feed->next = position;
    feed->fell_at = position;
    feed->quiet = quiet;
    feeds->lagging_count++;
    feeds->lagging_now++;
    sleep_refused(feeds, feed);
    if (!quiet) {
        feeds->io->episode(feeds->context, feed, true);
    }
}

void sp_feed_wake(struct sp_feeds *feeds, struct sp_feed *feed) {
    if (feed->asleep && (is_behind(feed) || feed->state == SP_FEED_OVER)) {
        feed->asleep = false;
        link_last(feeds, feed);
    }
}

/* -- Behind ------------------------------------------------------------------------------------ */

/* All that is durable has been read up to `next`. */
static void catch_up(struct sp_feeds *feeds, struct sp_feed *feed) {
    if (feed->next <= feeds->seen) {
        return; /* what was live already is not readable yet: soon */
    }
    close_cursor(feeds, feed);
    take_off(feeds, feed);
    feed->state = SP_FEED_LIVE;
    end_episode(feeds, feed);
}

/* Gives one event that was read. False where the slice ends with it. */
static bool give_read(struct sp_feeds *feeds, struct sp_feed *feed, const struct sp_event *event) {
    if (feed->at != event->position) {
        feed->at = event->position;
        feed->given = 0;
    }
    if (!feeds->io->give(feeds->context, feed, event)) {
        feed->next = event->position;
        sleep_refused(feeds, feed);
        return false;
    }
    feed->next = event->position + 1;
    count_down(feeds, feed);
    return feed->state != SP_FEED_OVER;
}

static void fail(struct sp_feeds *feeds, struct sp_feed *feed, sp_status status,
                 const struct sp_error *error) {
    sp_feed_stop(feeds, feed);
    feeds->io->trouble(feeds->context, feed, status, error);
}

/* Reads one event and gives it. False where the slice ends with it. */
static bool read_one(struct sp_feeds *feeds, struct sp_feed *feed, uint32_t *steps) {
    const struct sp_event *event = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    uint64_t next = feed->next;
    sp_status status = feeds->io->read(feeds->context, feed->cursor, steps, &event, &next, &error);
    if (status == SP_OK) {
        return give_read(feeds, feed, event);
    }
    feed->next = next > feed->next ? next : feed->next;
    switch (status) {
    case SP_TIMEOUT:
        catch_up(feeds, feed);
        return false;
    case SP_BUSY:
        return false;
    case SP_NOT_FOUND:
    case SP_CORRUPT:
        *steps -= *steps > 0;
        feeds->io->trouble(feeds->context, feed, status, &error);
        return *steps > 0;
    case SP_OK:
    case SP_INVALID:
    case SP_LIMIT:
    case SP_CONFLICT:
    case SP_DENIED:
    case SP_END:
    case SP_UNSUPPORTED:
    case SP_IO:
    case SP_NO_SPACE:
    case SP_FENCED:
    case SP_FAILED:
    case SP_NO_MEMORY:
    case SP_CANCELLED:
        break;
    }
    fail(feeds, feed, status, &error);
    return false;
}

static bool open_cursor(struct sp_feeds *feeds, struct sp_feed *feed) {
    struct sp_error error;
    sp_error_clear(&error);
    if (feed->cursor != NULL) {
        return true;
    }
    sp_status status = feeds->io->open(feeds->context, feed, feed->next, &feed->cursor, &error);
    if (status != SP_OK) {
        fail(feeds, feed, status, &error);
    }
    return status == SP_OK;
}

/* What the slices of a turn have used up. */
struct used {
    uint32_t events;
    size_t bytes;
};

/* One slice of a feed that is behind. */
static void slice(struct sp_feeds *feeds, struct sp_feed *feed, struct used *used) {
    uint32_t steps = SP_FEED_SLICE_EVENTS;
    size_t before = feeds->io->unsent(feeds->context, feed);
    size_t unsent = before;
    used->events++;
    if (before > feeds->unsent_max / 2) {
        sleep_until_read(feeds, feed);
        return;
    }
    bool goes_on = open_cursor(feeds, feed);
    while (goes_on) {
        goes_on = read_one(feeds, feed, &steps);
        unsent = feeds->io->unsent(feeds->context, feed);
        if (goes_on && unsent >= feeds->unsent_max) {
            sleep_until_read(feeds, feed);
            goes_on = false;
        }
        goes_on = goes_on && unsent - before < SP_FEED_SLICE_BYTES;
    }
    used->events += SP_FEED_SLICE_EVENTS - steps;
    used->bytes += unsent - before;
}

/* The limit was reached. The client may have to read first. */
static void tell_over(struct sp_feeds *feeds, struct sp_feed *feed) {
    sleep_until_read(feeds, feed);
    if (feeds->io->unsent(feeds->context, feed) <= feeds->unsent_max) {
        sp_feed_stop(feeds, feed);
        feeds->io->over(feeds->context, feed);
    }
}

bool sp_feeds_turn(struct sp_feeds *feeds) {
    struct used used = {.events = 0};
    uint32_t slices = feeds->ready_count; /* each goes on once */
    while (feeds->first != NULL && slices-- > 0 && used.events < SP_FEED_TURN_EVENTS &&
           used.bytes < SP_FEED_TURN_BYTES) {
        struct sp_feed *feed = feeds->first;
        if (feed->state == SP_FEED_OVER) {
            tell_over(feeds, feed);
            continue;
        }
        slice(feeds, feed, &used);
        if (feeds->first == feed) { /* it did not leave the list */
            take_off(feeds, feed);
            link_last(feeds, feed);
            if (feeds->ready_count > SP_FEED_CURSORS_MAX) {
                close_cursor(feeds, feed);
            }
        }
    }
    return feeds->first != NULL;
}
