/*
 * Subscribers: history through a cursor, then live, back to the log when they are slow; no event
 * may be missing or come twice across any of these seams.
 */
#include "engine/engine_int.h"
#include "match/pattern.h"
#include "sim/world_bus_int.h"

static bool is_for(const struct bus_system *sys, const struct bus_subscriber *subscriber,
                   uint64_t position) {
    return subscriber->pattern == 0 ||
           sp_pattern_match(sp_str_from(bus_patterns[subscriber->pattern]),
                            sp_str_from(sys->log.events[position - 1].type));
}

/* The next event that is for the subscriber, up to `last`; 0: none. */
static uint64_t next_for(const struct bus_system *sys, const struct bus_subscriber *subscriber,
                         uint64_t first, uint64_t last) {
    uint64_t from = subscriber->next > first ? subscriber->next : first;
    for (uint64_t p = from; p <= last; p++) {
        if (is_for(sys, subscriber, p)) {
            return p;
        }
    }
    return 0;
}

static void take_event(struct bus_system *sys, struct bus_subscriber *subscriber,
                       const struct sp_event *event, uint64_t last) {
    /* What was read before it was dropped may come all the same. */
    uint64_t first = event->position < sys->log.first ? 1 : sys->log.first;
    uint64_t expected = next_for(sys, subscriber, first, last);
    if (event->position != expected ||
        sys->log.events[expected - 1].hash != bus_hash_event(event)) {
        sim_wrong(sys->world, "a subscriber of '%s' was sent event %llu instead of %llu, %s",
                  bus_patterns[subscriber->pattern], (unsigned long long)event->position,
                  (unsigned long long)expected, subscriber->live ? "live" : "from the log");
    }
    subscriber->next = event->position + 1;
}

/* ---- live ---- */

static void on_live(void *context, const struct sp_event *event) {
    struct bus_system *sys = context;
    if (sys->lost || sys->world->wrong || bus_is_blind(sys)) {
        return;
    }
    if (event->position != sys->live_next) {
        sim_wrong(sys->world, "event %llu came live instead of %llu",
                  (unsigned long long)event->position, (unsigned long long)sys->live_next);
        return;
    }
    sys->live_next++;
    for (int i = 0; i < BUS_SUBSCRIBERS; i++) {
        struct bus_subscriber *subscriber = &sys->subscribers[i];
        if (subscriber->live && event->position >= subscriber->next &&
            is_for(sys, subscriber, event->position)) {
            take_event(sys, subscriber, event, event->position);
            subscriber->live = !sim_chance(sys->world, 5); /* too slow */
        }
    }
}

static void on_ready(void *context, uint64_t number) {
    struct bus_system *sys = context;
    for (int i = 0; i < BUS_GROUPS; i++) {
        if (sys->model.groups[i].used && sys->model.groups[i].number == number) {
            sys->blocked[i] = false;
        }
    }
}

void bus_listen_all(struct bus_system *sys) {
    sys->live_next = bus_durable(sys) + 1;
    sp_bus_listen(sys->bus, on_live, sys);
    sp_bus_on_ready(sys->bus, on_ready, sys);
}

/* ---- from the log ---- */

static void stop(struct bus_subscriber *subscriber) {
    sp_cursor_close(subscriber->cursor);
    *subscriber = (struct bus_subscriber){.used = false};
}

void bus_end_subscribers(struct bus_system *sys) {
    for (int i = 0; i < BUS_SUBSCRIBERS; i++) {
        stop(&sys->subscribers[i]);
    }
}

static bool open_cursor(struct bus_system *sys, struct bus_subscriber *subscriber) {
    struct sp_error error = {.status = SP_OK};
    sp_str type = sp_str_from(bus_patterns[subscriber->pattern]);
    char text[24];
    size_t at = sizeof(text);
    uint64_t number = subscriber->next > sys->log.first ? subscriber->next : sys->log.first;
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    const struct sp_query query = {.types = &type,
                                   .type_count = type.len > 0 ? 1 : 0,
                                   .from = sp_str_of(text + at, sizeof(text) - at),
                                   .follow = true};
    sp_status status = sp_cursor_open(sys->engine, &query, &subscriber->cursor, &error);
    if (status != SP_OK) {
        subscriber->cursor = NULL;
        if (!bus_is_blind(sys)) {
            sim_wrong(sys->world, "subscribe: %s: %s", sp_status_name(status), error.text);
        }
    }
    return status == SP_OK;
}

void bus_step_subscribe(struct bus_system *sys) {
    struct bus_subscriber *subscriber = &sys->subscribers[sim_pick(sys->world, BUS_SUBSCRIBERS)];
    stop(subscriber);
    uint64_t durable = bus_durable(sys);
    subscriber->used = true;
    subscriber->pattern = sim_pick(sys->world, BUS_PATTERNS);
    subscriber->next =
        sim_chance(sys->world, 50) ? 1 : 1 + sim_pick(sys->world, (uint32_t)durable + 1);
    subscriber->live = sim_chance(sys->world, 20) && subscriber->next >= sys->live_next;
}

/* All that is durable was read: what comes from here on comes live, if it has not come already. */
static void catch_up(struct bus_system *sys, struct bus_subscriber *subscriber) {
    uint64_t at = sp_cursor_position(subscriber->cursor);
    uint64_t expected = next_for(sys, subscriber, sys->log.first, bus_durable(sys));
    if (expected != 0) {
        sim_wrong(sys->world, "a subscriber of '%s' was not sent event %llu",
                  bus_patterns[subscriber->pattern], (unsigned long long)expected);
        return;
    }
    subscriber->next = at > subscriber->next ? at : subscriber->next;
    if (subscriber->next >= sys->live_next) {
        sp_cursor_close(subscriber->cursor);
        subscriber->cursor = NULL;
        subscriber->live = true;
    }
}

static void read_on(struct bus_system *sys, struct bus_subscriber *subscriber, uint32_t steps) {
    struct sp_error error = {.status = SP_OK};
    const struct sp_event *event = NULL;
    if (subscriber->cursor == NULL && !open_cursor(sys, subscriber)) {
        return;
    }
    sp_cursor_allow(subscriber->cursor, steps);
    sp_status status = SP_OK;
    while (status == SP_OK && !sys->world->wrong) {
        status = sp_cursor_next(subscriber->cursor, &event, &error);
        if (bus_is_blind(sys)) {
            return;
        }
        if (status == SP_OK) {
            take_event(sys, subscriber, event, bus_durable(sys));
        }
    }
    if (status == SP_TIMEOUT) {
        catch_up(sys, subscriber);
    } else if (status == SP_NOT_FOUND && subscriber->next < sys->log.first) {
        subscriber->next = sys->log.first; /* overtaken by trimming, and told so */
    } else if (status != SP_BUSY && status != SP_OK) {
        sim_wrong(sys->world, "a subscriber reads on: %s: %s", sp_status_name(status), error.text);
    }
}

void bus_step_follow(struct bus_system *sys) {
    for (int i = 0; i < BUS_SUBSCRIBERS; i++) {
        struct bus_subscriber *subscriber = &sys->subscribers[i];
        if (subscriber->used && !subscriber->live && sim_chance(sys->world, 60)) {
            read_on(sys, subscriber, 1 + sim_pick(sys->world, 60));
        }
    }
}

/* At the end everybody has been sent everything. */
void bus_check_subscribers(struct bus_system *sys) {
    for (int i = 0; i < BUS_SUBSCRIBERS && !sys->world->wrong; i++) {
        struct bus_subscriber *subscriber = &sys->subscribers[i];
        for (int k = 0; k < 3 && subscriber->used && !subscriber->live; k++) {
            read_on(sys, subscriber, 1000000);
        }
        uint64_t missing = subscriber->used && !bus_is_blind(sys)
                               ? next_for(sys, subscriber, sys->log.first, bus_durable(sys))
                               : 0;
        if (missing != 0) {
            sim_wrong(sys->world, "at the end a subscriber of '%s' was not sent event %llu",
                      bus_patterns[subscriber->pattern], (unsigned long long)missing);
        }
    }
}
