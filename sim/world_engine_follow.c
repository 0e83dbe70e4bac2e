/*
 * A subscription that goes on from step to step: history, then what comes, without gap or double.
 */
#include "sim/world_engine_int.h"

void engine_unfollow(struct engine_system *sys) {
    sp_cursor_close(sys->follower);
    sys->follower = NULL;
}

static void begin(struct engine_system *sys) {
    struct sim_world *world = sys->world;
    struct sp_error error = {.status = SP_OK};
    struct sim_question_texts texts;
    uint64_t durable = sp_engine_durable_position(sys->engine);
    sys->followed = (struct sim_question){
        .stream = sim_chance(world, 20) ? (int)sim_pick(world, SIM_STREAMS) : -1,
        .source = sim_chance(world, 30) ? (int)sim_pick(world, SIM_SOURCES) : -1,
        .type = sim_chance(world, 20) ? (int)sim_pick(world, SIM_TYPES) : -1,
        .run = -1,
        .from = engine_first(sys),
        .until = UINT64_MAX,
    };
    bool now = sim_chance(world, 30);
    sys->followed.from = now ? durable + 1 : sys->followed.from;
    struct sp_query query = sim_query_of(&sys->model, &sys->followed, &texts);
    query.follow = true;
    query.until.ptr = NULL;
    query.from = now ? SP_STR("now") : query.from;
    sp_status status = sp_cursor_open(sys->engine, &query, &sys->follower, &error);
    sim_note(world, "follow from event %llu on: %s", (unsigned long long)sys->followed.from,
             sp_status_name(status));
    if (status != SP_OK) {
        sys->follower = NULL;
        (void)engine_judge(sys, "follow", status, &error);
    }
}

/* The next event that should come, up to `last`; 0 where there is none. */
static uint64_t next_expected(const struct engine_system *sys, uint64_t last) {
    for (uint64_t i = sys->followed.from; i <= last; i++) {
        if (sim_matches(&sys->model, &sys->followed, i)) {
            return i;
        }
    }
    return 0;
}

/* One event, or what stands in its way. False where nothing more comes for now. */
static bool follow_once(struct engine_system *sys) {
    struct sp_error error = {.status = SP_OK};
    const struct sp_event *event = NULL;
    uint64_t durable = sp_engine_durable_position(sys->engine);
    sp_status status = sp_cursor_next(sys->follower, &event, &error);
    uint64_t expected = next_expected(sys, engine_last(sys));
    if (status == SP_OK) {
        if (event->position != expected) {
            sim_wrong(sys->world, "a subscription gave event %llu, not %llu",
                      (unsigned long long)event->position, (unsigned long long)expected);
        }
        sys->followed.from = event->position + 1;
        return !sys->world->wrong;
    }
    if (status == SP_TIMEOUT) {
        if (expected != 0 && expected <= durable) {
            sim_wrong(sys->world, "a subscription kept event %llu back",
                      (unsigned long long)expected);
        }
        return false;
    }
    if (status == SP_NOT_FOUND && engine_first(sys) > sys->followed.from) {
        sim_note(sys->world, "the subscription was overtaken: %s", error.text);
        sys->followed.from = engine_first(sys);
        return true;
    }
    (void)engine_judge(sys, "follow", status, &error);
    engine_unfollow(sys);
    return false;
}

void engine_follow(struct engine_system *sys) {
    uint64_t before = sys->followed.from;
    if (sys->follower == NULL) {
        begin(sys);
    }
    while (sys->follower != NULL && follow_once(sys)) {
    }
    sim_note(sys->world, "followed from event %llu to %llu", (unsigned long long)before,
             (unsigned long long)sys->followed.from);
    if (sys->follower != NULL && sim_chance(sys->world, 5)) {
        engine_unfollow(sys);
    }
}
