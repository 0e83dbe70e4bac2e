#include "flow/delayed.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/htab.h"
#include "base/put.h"
#include "base/time.h"
#include "event/event_json.h"
#include "flow/members.h"
#include "flow/timers.h"

#define STREAM     SP_STR("$delayed")
#define T_DELAYED  SP_STR("event.delayed")
#define T_DUE      SP_STR("event.due")
#define T_CANCELED SP_STR("event.cancelled")
#define X_DUE      SP_STR("dueus")
#define X_POSITION SP_STR("delayedposition")

enum {
    FORMAT = 1, /* of a snapshot */
    WORK_DUE = 1,
    FIRST_SLOTS = 16,
    SMALL_MAX = 4096, /* below it the slots double, from there on they grow by an eighth */
    THIN_MIN = 64,    /* fewer timers are not worth looking through */
    FIND_MAX = 64,    /* candidates of one id that are looked at */
};

#define NONE UINT32_MAX

/* A place for one that waits. A free one has the position 0, and in due_us the next free one. */
struct slot {
    uint64_t position;
    uint64_t due_us;
};

struct sp_delayed {
    struct slot *slots;
    uint32_t *tags; /* of each slot: the upper half of its id's hash, as the table has it */
    uint32_t slot_count;
    uint32_t capacity;
    uint32_t free; /* the first free slot; NONE */
    uint32_t count;
    uint64_t sum; /* over all that wait, in no order: the state's hash */
    struct sp_htab by_id;
    struct sp_timers timers;
    bool is_short; /* a timer could not be armed again: all are, in the next `next` */
    struct sp_buf scratch;
};

sp_status sp_delayed_new(struct sp_delayed **ret_delayed) {
    struct sp_delayed *delayed = calloc(1, sizeof(*delayed));
    if (delayed == NULL) {
        return SP_NO_MEMORY;
    }
    delayed->free = NONE;
    sp_htab_init(&delayed->by_id);
    sp_timers_init(&delayed->timers);
    sp_buf_init(&delayed->scratch, SIZE_MAX);
    *ret_delayed = delayed;
    return SP_OK;
}

void sp_delayed_free(struct sp_delayed *delayed) {
    if (delayed != NULL) {
        free(delayed->slots);
        free(delayed->tags);
        sp_htab_fini(&delayed->by_id);
        sp_timers_fini(&delayed->timers);
        sp_buf_fini(&delayed->scratch);
        free(delayed);
    }
}

static uint64_t hash_id(sp_str id) {
    return sp_hash(id.ptr, id.len);
}

static uint64_t mark_of(uint64_t position, uint64_t due_us, uint32_t tag) {
    const uint64_t numbers[] = {position, due_us, tag};
    return sp_hash(numbers, sizeof(numbers));
}

/* ---- slots ---- */

static sp_status grow(struct sp_delayed *delayed) {
    uint32_t old = delayed->capacity;
    uint32_t wanted = old < SMALL_MAX ? old * 2 : old + old / 8;
    wanted = wanted < FIRST_SLOTS ? FIRST_SLOTS : wanted;
    struct slot *slots = realloc(delayed->slots, wanted * sizeof(*slots));
    if (slots == NULL) {
        return SP_NO_MEMORY;
    }
    delayed->slots = slots;
    uint32_t *tags = realloc(delayed->tags, wanted * sizeof(*tags));
    if (tags == NULL) {
        return SP_NO_MEMORY;
    }
    delayed->tags = tags;
    delayed->capacity = wanted;
    return SP_OK;
}

static sp_status take_slot(struct sp_delayed *delayed, uint32_t *ret_slot) {
    if (delayed->free != NONE) {
        *ret_slot = delayed->free;
        delayed->free = (uint32_t)delayed->slots[delayed->free].due_us;
        return SP_OK;
    }
    sp_status status = delayed->slot_count < delayed->capacity ? SP_OK : grow(delayed);
    if (status == SP_OK) {
        *ret_slot = delayed->slot_count++;
    }
    return status;
}

static void give_slot(struct sp_delayed *delayed, uint32_t slot) {
    delayed->slots[slot] = (struct slot){.position = 0, .due_us = delayed->free};
    delayed->free = slot;
}

static bool is_alive(const void *context, const struct sp_timer *timer) {
    const struct sp_delayed *delayed = context;
    return delayed->slots[timer->b].position == timer->a;
}

/*
 * Timers of those that ended stay where they are until their time comes. On replay most have ended,
 * so it is counted here how many are left, and not by whom they were dropped.
 */
static void thin_timers(struct sp_delayed *delayed) {
    if (delayed->timers.count >= THIN_MIN && delayed->timers.count / 2 > delayed->count) {
        sp_timers_keep(&delayed->timers, is_alive, delayed);
    }
}

static sp_status add(struct sp_delayed *delayed, uint64_t position, uint64_t due_us, uint32_t tag) {
    uint32_t slot = NONE;
    struct sp_timer timer = {.at_us = due_us, .a = position};
    sp_status status = take_slot(delayed, &slot);
    if (status != SP_OK) {
        return status;
    }
    timer.b = slot;
    thin_timers(delayed);
    status = sp_htab_add(&delayed->by_id, (uint64_t)tag << 32, slot);
    status = status == SP_OK ? sp_timers_arm(&delayed->timers, timer) : status;
    if (status != SP_OK) {
        return status;
    }
    delayed->slots[slot] = (struct slot){.position = position, .due_us = due_us};
    delayed->tags[slot] = tag;
    delayed->sum += mark_of(position, due_us, tag);
    delayed->count++;
    return SP_OK;
}

static void take_out(struct sp_delayed *delayed, uint32_t slot) {
    const struct slot *at = &delayed->slots[slot];
    uint32_t tag = delayed->tags[slot];
    delayed->sum -= mark_of(at->position, at->due_us, tag);
    delayed->count--;
    sp_htab_remove(&delayed->by_id, (uint64_t)tag << 32, slot);
    give_slot(delayed, slot);
}

/* ---- fold ---- */

static sp_status read_id(struct sp_delayed *delayed, const struct sp_event *event, sp_str *ret_id) {
    struct sp_member member = {.name = "id"};
    sp_buf_reset(&delayed->scratch);
    sp_status status = sp_members_of(event, &member, 1, &delayed->scratch);
    *ret_id = sp_member_text(&member);
    return status;
}

static sp_status on_delayed(struct sp_delayed *delayed, const struct sp_event *event, sp_str id) {
    uint64_t due_us = 0;
    if (id.len == 0 || !sp_event_number(event, X_DUE, &due_us) || due_us > SP_TIME_US_MAX ||
        delayed->count >= SP_DELAYED_MAX) {
        return SP_OK;
    }
    return add(delayed, event->position, due_us, (uint32_t)(hash_id(id) >> 32));
}

static void on_ended(struct sp_delayed *delayed, const struct sp_event *event, sp_str id) {
    uint64_t position = 0;
    uint32_t slot = 0;
    if (!sp_event_number(event, X_POSITION, &position) || position == 0) {
        return;
    }
    struct sp_htab_probe probe = sp_htab_find(&delayed->by_id, hash_id(id));
    while (sp_htab_next(&probe, &slot)) {
        if (delayed->slots[slot].position == position) {
            take_out(delayed, slot);
            break;
        }
    }
}

static sp_status part_apply(void *self, const struct sp_event *event, struct sp_error *error) {
    struct sp_delayed *delayed = self;
    if (!sp_str_eq(event->attr[SP_ATTR_STREAM], STREAM)) {
        return SP_OK;
    }
    sp_str type = event->attr[SP_ATTR_TYPE];
    bool is_delayed = sp_str_eq(type, T_DELAYED);
    if (!is_delayed && !sp_str_eq(type, T_DUE) && !sp_str_eq(type, T_CANCELED)) {
        return SP_OK;
    }
    sp_str id;
    sp_status status = read_id(delayed, event, &id);
    if (status == SP_OK && is_delayed) {
        status = on_delayed(delayed, event, id);
    } else if (status == SP_OK) {
        on_ended(delayed, event, id);
    }
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "delayed events");
}

/* ---- work ---- */

static sp_status arm_all(struct sp_delayed *delayed) {
    delayed->timers.count = 0;
    for (uint32_t slot = 0; slot < delayed->slot_count; slot++) {
        const struct slot *at = &delayed->slots[slot];
        struct sp_timer timer = {.at_us = at->due_us, .a = at->position, .b = slot};
        sp_status status = at->position == 0 ? SP_OK : sp_timers_arm(&delayed->timers, timer);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

static bool part_next(void *self, uint64_t now_us, struct sp_flow_work *ret_work) {
    struct sp_delayed *delayed = self;
    struct sp_timer timer;
    if (delayed->is_short) {
        delayed->is_short = arm_all(delayed) != SP_OK;
    }
    while (sp_timers_take(&delayed->timers, now_us, &timer)) {
        if (is_alive(delayed, &timer)) {
            *ret_work = (struct sp_flow_work){
                .kind = WORK_DUE, .a = timer.a, .b = timer.b, .c = timer.at_us};
            return true;
        }
    }
    return false;
}

static void part_back(void *self, const struct sp_flow_work *work) {
    struct sp_delayed *delayed = self;
    struct sp_timer timer = {.at_us = work->c, .a = work->a, .b = (uint32_t)work->b};
    if (is_alive(delayed, &timer) && sp_timers_arm(&delayed->timers, timer) != SP_OK) {
        delayed->is_short = true;
    }
}

static sp_status part_ask(void *self, const struct sp_flow_work *work,
                          const struct sp_flow_ports *ports, struct sp_buf *to,
                          struct sp_error *error) {
    (void)self;
    (void)work;
    (void)ports;
    (void)to;
    return sp_error_set(error, SP_NOT_FOUND, "delayed events have no programs");
}

static void write_data(struct sp_flow_out *out, sp_str id, sp_str source, uint64_t due_us,
                       sp_str refused) {
    struct sp_buf *data = sp_flow_out_data_begin(out);
    sp_buf_add_byte(data, '{');
    sp_put_text(data, "id", id);
    sp_put_text(data, "source", source);
    sp_put_time(data, "due", due_us);
    sp_put_text(data, "refused", refused);
    sp_buf_add_byte(data, '}');
    sp_flow_out_data_end(out);
}

/* event.due: what was due, and why it could not be appended where it could not. */
static void write_due(struct sp_flow_out *out, const struct sp_event *delayed_event,
                      const struct sp_event *inner, uint64_t due_us, sp_str refused) {
    sp_flow_out_begin(out, T_DUE, STREAM);
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, delayed_event->attr[SP_ATTR_ID]);
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, delayed_event->attr[SP_ATTR_CORRELATION]);
    sp_flow_out_number(out, X_POSITION, delayed_event->position);
    write_data(out, inner->attr[SP_ATTR_ID], inner->attr[SP_ATTR_SOURCE], due_us, refused);
}

/* The event within an event.delayed. What cannot be read as one is told, and over. */
static sp_status read_inner(struct sp_delayed *delayed, const struct sp_event *event,
                            struct sp_event *ret_inner, struct sp_error *error) {
    *ret_inner = (struct sp_event){.position = 0};
    sp_buf_reset(&delayed->scratch);
    sp_status status =
        event->has_data && event->data_is_json
            ? sp_event_from_json(event->data, SP_EVENT_LENIENT, &delayed->scratch, ret_inner, error)
            : sp_error_set(error, SP_INVALID, "it holds no event");
    if (status == SP_OK && !sp_event_has(ret_inner, SP_ATTR_TYPE)) {
        status = sp_error_set(error, SP_INVALID, "it holds an event without a type");
    }
    return status;
}

static sp_status part_act(void *self, const struct sp_flow_work *work,
                          const struct sp_flow_now *now, struct sp_flow_out *out,
                          struct sp_error *error) {
    struct sp_delayed *delayed = self;
    struct sp_timer timer = {.a = work->a, .b = (uint32_t)work->b};
    sp_require(timer.b < delayed->slot_count);
    if (!is_alive(delayed, &timer)) {
        return sp_error_set(error, SP_NOT_FOUND, "cancelled meanwhile");
    }
    struct sp_event event;
    struct sp_event inner;
    struct sp_error why;
    sp_status status = now->ports->read(now->ports->context, work->a, &event, error);
    if (status != SP_OK) {
        return status;
    }
    sp_error_clear(&why);
    status = read_inner(delayed, &event, &inner, &why);
    if (status == SP_NO_MEMORY) {
        return sp_error_set(error, status, "delayed event at %llu", (unsigned long long)work->a);
    }
    sp_str refused = now->answer.refused ? now->answer.error : sp_str_from(why.text);
    if (now->answer.refused && refused.len == 0) {
        refused = SP_STR("it is there already");
    }
    if (status == SP_OK && !now->answer.refused) {
        refused = SP_STR("");
        if (!sp_event_has(&inner, SP_ATTR_STREAM)) { /* as any append has it */
            inner.attr[SP_ATTR_STREAM] = inner.attr[SP_ATTR_SOURCE];
        }
        sp_flow_out_copy(out, &inner);
        if (inner.extension_count < SP_EVENT_EXTENSIONS_MAX) {
            sp_flow_out_number(out, X_POSITION, work->a);
        }
    }
    if (!sp_event_has(&inner, SP_ATTR_ID)) {
        status = read_id(delayed, &event, &inner.attr[SP_ATTR_ID]);
    }
    write_due(out, &event, &inner, work->c, refused);
    return sp_flow_out_status(out);
}

static uint64_t part_due(const void *self) {
    const struct sp_delayed *delayed = self;
    return delayed->is_short ? 0 : sp_timers_due(&delayed->timers);
}

static uint64_t part_oldest(const void *self) {
    const struct sp_delayed *delayed = self;
    uint64_t oldest = UINT64_MAX;
    for (uint32_t slot = 0; slot < delayed->slot_count; slot++) {
        uint64_t position = delayed->slots[slot].position;
        oldest = position != 0 && position < oldest ? position : oldest;
    }
    return oldest;
}

/* ---- lists ---- */

uint32_t sp_delayed_count(const struct sp_delayed *delayed) {
    return delayed->count;
}

/* Whether the event.delayed there is of this id and source; its source into *ret_source. */
static sp_status is_of(const struct sp_flow_ports *ports, uint64_t position, sp_str source,
                       sp_str id, struct sp_buf *scratch, bool *ret_is, struct sp_error *error) {
    struct sp_event event;
    struct sp_member members[] = {{.name = "id"}, {.name = "source"}};
    sp_status status = ports->read(ports->context, position, &event, error);
    sp_buf_reset(scratch);
    if (status == SP_OK) {
        status = sp_members_of(&event, members, 2, scratch);
    }
    if (status == SP_OK) {
        *ret_is = sp_str_eq(sp_member_text(&members[0]), id) &&
                  (source.len == 0 || sp_str_eq(sp_member_text(&members[1]), source));
    }
    return status;
}

static sp_status find(const struct sp_delayed *delayed, const struct sp_flow_ports *ports,
                      sp_str source, sp_str id, struct sp_buf *scratch,
                      struct sp_delayed_info *ret_info, struct sp_error *error) {
    uint32_t slot = 0;
    uint32_t found = 0;
    struct sp_htab_probe probe = sp_htab_find(&delayed->by_id, hash_id(id));
    for (uint32_t looked = 0; looked < FIND_MAX && sp_htab_next(&probe, &slot); looked++) {
        bool is = false;
        const struct slot *at = &delayed->slots[slot];
        sp_status status = is_of(ports, at->position, source, id, scratch, &is, error);
        if (status != SP_OK) {
            return status;
        }
        if (is && found++ == 0) {
            *ret_info = (struct sp_delayed_info){.position = at->position, .due_us = at->due_us};
        }
    }
    if (found > 1) {
        return sp_error_set(
            error, SP_CONFLICT,
            "delayed events of several sources have the id %.*s: say the source too",
            SP_STR_ARG(id));
    }
    return found == 1 ? SP_OK
                      : sp_error_set(error, SP_NOT_FOUND, "no delayed event waits by the id %.*s",
                                     SP_STR_ARG(id));
}

sp_status sp_delayed_find(const struct sp_delayed *delayed, const struct sp_flow_ports *ports,
                          sp_str source, sp_str id, struct sp_delayed_info *ret_info,
                          struct sp_error *error) {
    struct sp_buf scratch;
    sp_buf_init(&scratch, SIZE_MAX);
    sp_status status = find(delayed, ports, source, id, &scratch, ret_info, error);
    sp_buf_fini(&scratch);
    return status;
}

sp_status sp_delayed_wrap(const struct sp_delayed *delayed, const struct sp_event *event,
                          uint64_t due_us, struct sp_flow_out *out, struct sp_error *error) {
    sp_require(sp_event_has(event, SP_ATTR_ID) && due_us <= SP_TIME_US_MAX);
    if (delayed->count >= SP_DELAYED_MAX) {
        return sp_error_set(error, SP_LIMIT, "%d events are delayed already, and no more can be",
                            SP_DELAYED_MAX);
    }
    sp_flow_out_begin(out, T_DELAYED, STREAM);
    if (sp_event_has(event, SP_ATTR_CORRELATION)) {
        sp_flow_out_attr(out, SP_ATTR_CORRELATION, event->attr[SP_ATTR_CORRELATION]);
    }
    if (sp_event_has(event, SP_ATTR_CAUSATION)) {
        sp_flow_out_attr(out, SP_ATTR_CAUSATION, event->attr[SP_ATTR_CAUSATION]);
    }
    sp_flow_out_number(out, X_DUE, due_us);
    sp_event_to_json(event, NULL, sp_flow_out_data_begin(out));
    sp_flow_out_data_end(out);
    return sp_flow_out_status(out);
}

sp_status sp_delayed_cancel(const struct sp_delayed *delayed,
                            const struct sp_delayed_cancel *cancel,
                            const struct sp_flow_ports *ports, struct sp_flow_out *out,
                            struct sp_error *error) {
    struct sp_delayed_info info;
    struct sp_event event;
    sp_status status = sp_delayed_find(delayed, ports, cancel->source, cancel->id, &info, error);
    if (status == SP_OK) {
        status = ports->read(ports->context, info.position, &event, error);
    }
    if (status != SP_OK) {
        return status;
    }
    sp_flow_out_begin(out, T_CANCELED, STREAM);
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, event.attr[SP_ATTR_ID]);
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, event.attr[SP_ATTR_CORRELATION]);
    sp_flow_out_number(out, X_POSITION, info.position);
    struct sp_buf *data = sp_flow_out_data_begin(out);
    sp_buf_add_byte(data, '{');
    sp_put_text(data, "id", cancel->id);
    sp_put_text(data, "source", cancel->source);
    sp_put_time(data, "due", info.due_us);
    sp_put_text(data, "by", cancel->by);
    sp_put_text(data, "why", cancel->why);
    sp_buf_add_byte(data, '}');
    sp_flow_out_data_end(out);
    return sp_flow_out_status(out);
}

static bool is_before(struct sp_delayed_info x, struct sp_delayed_info y) {
    return x.due_us != y.due_us ? x.due_us < y.due_us : x.position < y.position;
}

/* The infos are a heap with the last one on top; the top gives way to the info. */
static void replace_top(struct sp_delayed_info *infos, size_t count, struct sp_delayed_info info) {
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child + 1 < count && is_before(infos[child], infos[child + 1])) {
            child++;
        }
        if (child >= count || !is_before(info, infos[child])) {
            break;
        }
        infos[at] = infos[child];
        at = child;
    }
    infos[at] = info;
}

static void add_bottom(struct sp_delayed_info *infos, size_t count, struct sp_delayed_info info) {
    size_t at = count;
    while (at > 0 && is_before(infos[(at - 1) / 2], info)) {
        infos[at] = infos[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    infos[at] = info;
}

size_t sp_delayed_list(const struct sp_delayed *delayed, struct sp_delayed_info after,
                       struct sp_delayed_info *ret_infos, size_t max) {
    size_t count = 0;
    for (uint32_t slot = 0; slot < delayed->slot_count; slot++) {
        struct sp_delayed_info info = {.position = delayed->slots[slot].position,
                                       .due_us = delayed->slots[slot].due_us};
        if (info.position == 0 || !is_before(after, info)) {
            continue;
        }
        if (count < max) {
            add_bottom(ret_infos, count++, info);
        } else if (max > 0 && is_before(info, ret_infos[0])) {
            replace_top(ret_infos, max, info);
        }
    }
    for (size_t end = count; end > 1; end--) { /* the last one goes to the end, again and again */
        struct sp_delayed_info last = ret_infos[0];
        replace_top(ret_infos, end - 1, ret_infos[end - 1]);
        ret_infos[end - 1] = last;
    }
    return count;
}

/* ---- snapshot ---- */

static uint64_t part_hash(const void *self) {
    const struct sp_delayed *delayed = self;
    return delayed->sum + delayed->count;
}

static void part_encode(const void *self, struct sp_buf *to) {
    const struct sp_delayed *delayed = self;
    sp_add_number(to, FORMAT);
    sp_add_number(to, delayed->count);
    for (uint32_t slot = 0; slot < delayed->slot_count; slot++) {
        const struct slot *at = &delayed->slots[slot];
        if (at->position != 0) {
            sp_add_number(to, at->position);
            sp_add_number(to, at->due_us);
            sp_add_number(to, delayed->tags[slot]);
        }
    }
}

static sp_status part_restore(void *self, struct sp_wire *wire) {
    struct sp_delayed *delayed = self;
    uint64_t format = sp_wire_varint(wire);
    uint64_t count = sp_wire_varint(wire);
    if (wire->bad || format != FORMAT || count > SP_DELAYED_MAX || count > sp_wire_left(wire) / 3) {
        return SP_CORRUPT;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t position = sp_wire_varint(wire);
        uint64_t due_us = sp_wire_varint(wire);
        uint64_t tag = sp_wire_varint(wire);
        if (wire->bad || position == 0 || due_us > SP_TIME_US_MAX || tag > UINT32_MAX) {
            return SP_CORRUPT;
        }
        sp_status status = add(delayed, position, due_us, (uint32_t)tag);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

const struct sp_flow_part_ops sp_delayed_part = {
    .name = "delayed",
    .apply = part_apply,
    .next = part_next,
    .back = part_back,
    .ask = part_ask,
    .act = part_act,
    .due = part_due,
    .oldest = part_oldest,
    .hash = part_hash,
    .encode = part_encode,
    .restore = part_restore,
};
