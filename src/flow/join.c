#include "flow/join_int.h"

#include <stdlib.h>

#include "flow/members.h"

#define STREAM      SP_STR("$joins")
#define T_EMITTED   SP_STR("join.emitted")
#define T_FAILED    SP_STR("join.failed")
#define T_TIMED_OUT SP_STR("join.timed_out")
#define T_LATE      SP_STR("join.late")
#define T_FULL      SP_STR("join.full")
#define X_POSITION  SP_STR("joinposition")
#define X_DEFINED   SP_STR("joindefined")
#define X_JOIN      SP_STR("join")
#define LATE_MAX    100000 /* join.late to be appended at a time; more are only counted */

const struct sp_rule_kind join_kind = {
    .key = "join",
    .stream = "$joins",
    .defined = "join.defined",
    .removed = "join.removed",
};

sp_status sp_joins_new(struct sp_watch *watch, struct sp_joins **ret_joins) {
    struct sp_joins *joins = calloc(1, sizeof(*joins));
    if (joins == NULL) {
        return SP_NO_MEMORY;
    }
    joins->watch = watch;
    sp_htab_init(&joins->by_key);
    sp_queue_init(&joins->queue);
    sp_timers_init(&joins->timers);
    sp_buf_init(&joins->scratch, SIZE_MAX);
    *ret_joins = joins;
    return SP_OK;
}

void sp_joins_free(struct sp_joins *joins) {
    if (joins == NULL) {
        return;
    }
    for (uint32_t i = 0; i < joins->window_count; i++) {
        free(joins->windows[i]);
    }
    for (uint32_t i = 0; i < joins->count; i++) {
        join_free(joins->list[i]);
    }
    free(joins->list);
    free(joins->heads);
    free(joins->watchers);
    free(joins->windows);
    free(joins->free_slots);
    sp_htab_fini(&joins->by_key);
    sp_queue_fini(&joins->queue);
    sp_timers_fini(&joins->timers);
    sp_buf_fini(&joins->scratch);
    free(joins);
}

/* ---- windows that end, are complete, are late ---- */

static sp_status tell(struct sp_joins *joins, struct join *join, uint32_t kind, uint64_t a,
                      uint32_t slot) {
    struct sp_queue_item item = {.kind = kind, .a = a, .b = slot, .c = join->defined_position};
    sp_status status = sp_queue_add(&joins->queue, item);
    join->works += status == SP_OK;
    return status;
}

/* The windows that ended by this time. */
static sp_status expire(struct sp_joins *joins, struct join *join, uint64_t now_us) {
    sp_status status = SP_OK;
    while (status == SP_OK && join->first != JOIN_NONE &&
           window_end(join, joins->windows[join->first]) <= now_us) {
        uint32_t slot = join->first;
        struct window *window = joins->windows[slot];
        window_leave(joins, join);
        if (window->state == WINDOW_OPEN) {
            join->open--;
        } else {
            join->done--;
        }
        if (window->state == WINDOW_OPEN && join->definition->on_timeout.type.len > 0) {
            window->state = WINDOW_TIMING;
            status = tell(joins, join, JOIN_TIMEOUT, window_first(window), slot);
        } else if (window->state != WINDOW_READY) {
            window_free(joins, slot);
        }
    }
    uint64_t used = (uint64_t)join->open + join->done;
    if (join->is_full &&
        used <= join->definition->open_max - (join->definition->open_max + 9) / 10) {
        join->is_full = false;
    }
    return status;
}

static sp_status complete(struct sp_joins *joins, struct join *join, uint32_t slot) {
    struct window *window = joins->windows[slot];
    if ((uint32_t)__builtin_popcount(window->mask) < join->definition->need) {
        return SP_OK;
    }
    window->state = WINDOW_READY;
    join->open--;
    join->done++;
    return tell(joins, join, JOIN_EMIT, window_first(window), slot);
}

static sp_status begin(struct sp_joins *joins, struct join *join, const struct sp_event *event,
                       sp_str key) {
    uint32_t slot = JOIN_NONE;
    if (join->open + join->done >= join->definition->open_max) {
        join->refused++;
        if (join->is_full) {
            return SP_OK;
        }
        join->is_full = true;
        return tell(joins, join, JOIN_FULL, event->position, 0);
    }
    sp_status status = window_new(joins, join, key, &slot);
    if (status != SP_OK) {
        return status;
    }
    struct window *window = joins->windows[slot];
    window->first_us = event->recorded_us;
    window->mask = (uint16_t)(1u << join->hit_type);
    window->positions[join->hit_type] = event->position;
    join->open++;
    status = window_enter(joins, join, slot);
    return status == SP_OK ? complete(joins, join, slot) : status;
}

static sp_status go_on(struct sp_joins *joins, struct join *join, const struct sp_event *event,
                       uint32_t slot) {
    struct window *window = joins->windows[slot];
    if (window->state != WINDOW_OPEN) {
        join->late++;
        bool tells = join->definition->late == SP_JOIN_LATE_EMIT && joins->queue.live < LATE_MAX;
        return tells ? tell(joins, join, JOIN_LATE, event->position, 0) : SP_OK;
    }
    if ((window->mask >> join->hit_type & 1) != 0) {
        join->repeated++;
        return SP_OK;
    }
    window->mask = (uint16_t)(window->mask | 1u << join->hit_type);
    window->positions[join->hit_type] = event->position;
    return complete(joins, join, slot);
}

/* ---- events ---- */

static bool is_own(const struct join *join, const struct sp_event *event) {
    for (unsigned i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, X_JOIN)) {
            return sp_str_eq(event->extensions[i].value, sp_str_from(join->name));
        }
    }
    return false;
}

/* The key of the event for the join. False: it has none. */
static bool key_of(struct sp_joins *joins, const struct join *join, sp_str *ret_key) {
    struct sp_value value =
        sp_path_get(&join->paths, &joins->values, join->path_of[join->hit_type]);
    switch (value.type) {
    case SP_TYPE_MISSING:
    case SP_TYPE_NULL:
    case SP_TYPE_OBJECT:
    case SP_TYPE_ARRAY:
        return false;
    case SP_TYPE_FALSE:
        *ret_key = SP_STR("false");
        return true;
    case SP_TYPE_TRUE:
        *ret_key = SP_STR("true");
        return true;
    case SP_TYPE_NUMBER:
    case SP_TYPE_TEXT:
        break;
    }
    *ret_key = value.raw;
    if (value.type == SP_TYPE_TEXT && value.escaped) {
        sp_buf_reset(&joins->scratch);
        sp_json_unescape(&joins->scratch, value.raw);
        *ret_key = sp_buf_str(&joins->scratch);
    }
    return ret_key->len > 0 && ret_key->len <= SP_JOIN_KEY_BYTES_MAX;
}

static sp_status hit(struct sp_joins *joins, struct join *join, const struct sp_event *event) {
    sp_str key;
    sp_status status = expire(joins, join, event->recorded_us);
    const struct sp_filter *filter = join->definition->filter;
    if (status != SP_OK || is_own(join, event) ||
        (filter != NULL && !sp_filter_match(filter, event))) {
        return status;
    }
    sp_path_values_init(&joins->values, event);
    if (!key_of(joins, join, &key)) {
        join->unkeyed++;
        return joins->scratch.status == SP_NO_MEMORY ? SP_NO_MEMORY : SP_OK;
    }
    uint32_t slot = window_find(joins, join, key);
    return slot == JOIN_NONE ? begin(joins, join, event, key) : go_on(joins, join, event, slot);
}

enum { HITS_MAX = SP_JOINS_MAX };

/* Which joins the event may be for, and as which of their types. By age, each once. */
static uint32_t find_hits(struct sp_joins *joins, const struct sp_event *event,
                          struct join *hits[HITS_MAX]) {
    uint32_t count = 0;
    for (size_t i = 0; i < joins->watch->matched_count; i++) {
        uint32_t number = joins->watch->matched[i];
        uint32_t at = number < joins->head_count ? joins->heads[number] : JOIN_NONE;
        for (; at != JOIN_NONE; at = joins->watchers[at].next) {
            const struct watcher *watcher = &joins->watchers[at];
            struct join *join = watcher->join;
            bool is_first = join->hit_at != event->position;
            if (is_first || watcher->type < join->hit_type) {
                join->hit_at = event->position;
                join->hit_type = watcher->type;
            }
            uint32_t place = count;
            while (is_first && place > 0 &&
                   hits[place - 1]->defined_position > join->defined_position) {
                hits[place] = hits[place - 1];
                place--;
            }
            if (is_first) {
                hits[place] = join;
                count++;
            }
        }
    }
    return count;
}

static sp_status on_event(struct sp_joins *joins, const struct sp_event *event) {
    struct join *hits[HITS_MAX];
    sp_status status = SP_OK;
    uint32_t count = find_hits(joins, event, hits);
    for (uint32_t i = 0; status == SP_OK && i < count; i++) {
        status = hit(joins, hits[i], event);
    }
    joins->last_us = count > 0 ? event->recorded_us : joins->last_us;
    return status;
}

static sp_status on_defined(struct sp_joins *joins, const struct sp_event *event, sp_str name,
                            sp_str text) {
    struct join *join = NULL;
    struct join *old = join_find(joins, name);
    if (old == NULL && sp_joins_count(joins) >= SP_JOINS_MAX) {
        return SP_OK;
    }
    sp_status status = join_make(name, text, &join);
    if (status != SP_OK) {
        return status;
    }
    join->defined_position = event->position;
    join->defined_us = event->recorded_us;
    status = old == NULL ? SP_OK : join_retire(joins, old);
    status = status == SP_OK ? join_insert(joins, join) : status;
    if (status != SP_OK) {
        join_free(join);
        return status;
    }
    return join_rewatch(joins);
}

/* A timeout is told whose window has not ended by what was recorded: clocks may go back. */
static sp_status on_early_timeout(struct sp_joins *joins, struct join *join,
                                  const struct sp_event *event, uint64_t first_position) {
    struct sp_member member = {.name = "key"};
    sp_buf_reset(&joins->scratch);
    sp_status status = sp_members_of(event, &member, 1, &joins->scratch);
    uint32_t slot = status == SP_OK && !join->is_gone
                        ? window_find(joins, join, sp_member_text(&member))
                        : JOIN_NONE;
    if (slot != JOIN_NONE && joins->windows[slot]->state == WINDOW_OPEN &&
        window_first(joins->windows[slot]) == first_position) {
        joins->windows[slot]->state = WINDOW_CLOSED;
        join->open--;
        join->done++;
        join->timed_out++;
    }
    return status;
}

static uint32_t kind_of(sp_str type) {
    if (sp_str_eq(type, T_EMITTED) || sp_str_eq(type, T_FAILED)) {
        return JOIN_EMIT;
    }
    if (sp_str_eq(type, T_TIMED_OUT)) {
        return JOIN_TIMEOUT;
    }
    if (sp_str_eq(type, T_LATE)) {
        return JOIN_LATE;
    }
    return sp_str_eq(type, T_FULL) ? JOIN_FULL : 0;
}

/* Something is told. */
static sp_status on_told(struct sp_joins *joins, const struct sp_event *event) {
    uint32_t kind = kind_of(event->attr[SP_ATTR_TYPE]);
    uint64_t position = 0;
    uint64_t defined = 0;
    if (kind == 0 || !sp_event_number(event, X_POSITION, &position) ||
        !sp_event_number(event, X_DEFINED, &defined)) {
        return SP_OK;
    }
    struct join *join = join_at(joins, defined);
    if (join == NULL || join->definition == NULL) {
        return SP_OK;
    }
    sp_status status = join->is_gone ? SP_OK : expire(joins, join, event->recorded_us);
    struct sp_queue_item *item =
        status == SP_OK ? sp_queue_find(&joins->queue, kind, position, defined) : NULL;
    if (item == NULL) {
        return status == SP_OK && kind == JOIN_TIMEOUT
                   ? on_early_timeout(joins, join, event, position)
                   : status;
    }
    uint32_t slot = item->b;
    sp_queue_end(&joins->queue, item);
    join->works--;
    if (kind == JOIN_EMIT || kind == JOIN_TIMEOUT) {
        joins->windows[slot]->state = WINDOW_CLOSED;
        join->emitted += sp_str_eq(event->attr[SP_ATTR_TYPE], T_EMITTED);
        join->timed_out += kind == JOIN_TIMEOUT;
        if (!joins->windows[slot]->in_list) {
            window_free(joins, slot);
        }
    }
    if (join->is_gone) {
        join_sweep(joins);
        status = join_rewatch(joins);
    }
    return status;
}

static sp_status on_own(struct sp_joins *joins, const struct sp_event *event) {
    sp_str type = event->attr[SP_ATTR_TYPE];
    bool is_defined = sp_str_eq(type, sp_str_from(join_kind.defined));
    if (!is_defined && !sp_str_eq(type, sp_str_from(join_kind.removed))) {
        return on_told(joins, event);
    }
    sp_str name;
    sp_str text;
    sp_status status = sp_rule_read(&join_kind, event, &joins->scratch, &name, &text);
    if (status != SP_OK || name.len == 0) {
        return status;
    }
    if (is_defined) {
        return on_defined(joins, event, name, text);
    }
    struct join *join = join_find(joins, name);
    return join == NULL ? SP_OK : join_retire(joins, join);
}

static sp_status join_apply(void *self, const struct sp_event *event, struct sp_error *error) {
    struct sp_joins *joins = self;
    sp_str stream = event->attr[SP_ATTR_STREAM];
    sp_status status = SP_OK;
    if (stream.len == 0 || stream.ptr[0] != '$') {
        status = joins->watch->matched_count == 0 ? SP_OK : on_event(joins, event);
    } else if (sp_str_eq(stream, STREAM)) {
        status = on_own(joins, event);
    }
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "joins");
}

/* ---- requests and lists ---- */

sp_status sp_joins_define(const struct sp_joins *joins, const struct sp_join_definition *definition,
                          sp_str by, struct sp_flow_out *out, struct sp_rule_defined *ret_defined,
                          struct sp_error *error) {
    const struct join *old = join_find(joins, definition->name);
    sp_rule_sha256(definition->text, ret_defined->sha256);
    ret_defined->is_unchanged = old != NULL && sp_str_eq(old->text, definition->text);
    ret_defined->position = old != NULL ? old->defined_position : 0;
    if (ret_defined->is_unchanged) {
        return SP_OK;
    }
    if (old == NULL && sp_joins_count(joins) >= SP_JOINS_MAX) {
        return sp_error_set(error, SP_LIMIT, "there are %d joins, and no more can be",
                            SP_JOINS_MAX);
    }
    return sp_rule_define(&join_kind, definition->name, definition->text, by, out);
}

sp_status sp_joins_remove(const struct sp_joins *joins, sp_str name, sp_str by,
                          struct sp_flow_out *out, struct sp_error *error) {
    if (join_find(joins, name) == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "no join is called %.*s", SP_STR_ARG(name));
    }
    return sp_rule_remove(&join_kind, name, by, out);
}

uint32_t sp_joins_count(const struct sp_joins *joins) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < joins->count; i++) {
        count += !joins->list[i]->is_gone;
    }
    return count;
}

static void fill(const struct join *join, struct sp_join_info *ret_info) {
    *ret_info = (struct sp_join_info){
        .name = sp_str_from(join->name),
        .text = join->text,
        .unusable = join->definition == NULL ? join->unusable : NULL,
        .defined_position = join->defined_position,
        .defined_us = join->defined_us,
        .open = join->open,
        .done = join->done,
        .emitted = join->emitted,
        .timed_out = join->timed_out,
        .late = join->late,
        .repeated = join->repeated,
        .unkeyed = join->unkeyed,
        .refused = join->refused,
    };
}

void sp_joins_get(const struct sp_joins *joins, uint32_t at, struct sp_join_info *ret_info) {
    for (uint32_t i = 0; i < joins->count; i++) {
        if (!joins->list[i]->is_gone && at-- == 0) {
            fill(joins->list[i], ret_info);
            return;
        }
    }
    sp_never();
}

bool sp_joins_find(const struct sp_joins *joins, sp_str name, struct sp_join_info *ret_info) {
    const struct join *join = join_find(joins, name);
    if (join != NULL) {
        fill(join, ret_info);
    }
    return join != NULL;
}

size_t sp_joins_windows(const struct sp_joins *joins, sp_str name, size_t skip,
                        struct sp_join_window *ret_windows, size_t max) {
    const struct join *join = join_find(joins, name);
    size_t count = 0;
    uint32_t slot = join == NULL ? JOIN_NONE : join->first;
    for (; slot != JOIN_NONE && count < max; slot = joins->windows[slot]->next) {
        const struct window *window = joins->windows[slot];
        if (window->state != WINDOW_OPEN) {
            continue;
        }
        if (skip > 0) {
            skip--;
            continue;
        }
        ret_windows[count++] = (struct sp_join_window){
            .key = window_key(window),
            .first_us = window->first_us,
            .ends_us = window_end(join, window),
            .first_position = window_first(window),
            .have = (uint32_t)__builtin_popcount(window->mask),
            .have_types = window->mask,
        };
    }
    return count;
}

const struct sp_flow_part_ops sp_joins_part = {
    .name = "joins",
    .apply = join_apply,
    .next = join_next,
    .back = join_back,
    .ask = join_ask,
    .act = join_act,
    .due = join_due,
    .oldest = join_oldest,
    .hash = join_hash,
    .encode = join_encode,
    .restore = join_restore,
};
