/*
 * Claiming: entries change hands. XCLAIM and XAUTOCLAIM, option by option as Redis has them.
 */
#include "core/bytes.h"
#include "core/groups_int.h"

enum { AUTOCLAIM_LOOKS = 10 }; /* entries looked at for one that is wanted */

/* A claim in the making. */
struct claiming {
    const struct sp_group *group;
    const struct sp_group_claim *claim;
    uint64_t room; /* entries that may still come into flight */
    uint64_t made; /* entries that are pending only since now */
    struct sp_group_given *given;
    size_t count;
    struct sp_rows seen; /* positions that were looked at */
    struct sp_rows gone; /* and those whose event is gone: an op of their own behind this one */
    struct sp_buf *to;
    struct sp_op_positions list;
    size_t start;
};

static struct claiming begin_claim(const struct sp_group *group, const struct sp_group_claim *claim,
                                   struct sp_group_given *given, struct sp_buf *to) {
    sp_require(sp_consumer_at(group, claim->consumer) != NULL);
    struct claiming claiming = {.group = group,
                                .claim = claim,
                                .room = sp_group_room(group),
                                .given = given,
                                .to = to,
                                .list = sp_op_positions_of(group),
                                .start = to->len};
    uint64_t time_ms = claim->time_ms < claim->now_ms ? claim->time_ms : claim->now_ms;
    sp_rows_init(&claiming.seen, 1, 1);
    sp_rows_init(&claiming.gone, 1, 1);
    sp_op_begin(to, SP_OP_CLAIM, group);
    sp_add_number(to, claim->consumer);
    sp_add_number(to, claim->now_ms);
    sp_add_number(to, claim->now_ms - time_ms);
    return claiming;
}

static bool still_exists(const struct sp_group_claim *claim, uint64_t position,
                         struct sp_entry_id id) {
    return claim->exists == NULL || claim->exists(claim->context, position, id);
}

/* Long enough with its consumer, and room for it. */
static bool may_claim(const struct claiming *claiming, const struct sp_pending *row) {
    if (row->state == SP_PENDING_WAITING) {
        return claiming->room > 0;
    }
    uint64_t now_ms = claiming->claim->now_ms;
    uint64_t idle_ms = now_ms > row->time_ms ? now_ms - row->time_ms : 0;
    return idle_ms >= claiming->claim->idle_min_ms;
}

static uint32_t count_after(const struct sp_group_claim *claim, uint32_t count) {
    if (claim->has_retry_count) {
        return claim->retry_count;
    }
    return claim->justid || count == UINT32_MAX ? count : count + 1;
}

static void put_claimed(struct claiming *claiming, uint64_t position, struct sp_entry_id id,
                        uint32_t count, bool fresh) {
    sp_op_add_position(&claiming->list, claiming->to, position);
    sp_add_number(claiming->to, (uint64_t)count << 1 | (fresh ? 1 : 0));
    if (fresh) {
        sp_add_id(claiming->to, id);
    }
    claiming->given[claiming->count++] =
        (struct sp_group_given){.position = position, .id = id, .count = count};
}

static void claim_row(struct claiming *claiming, const struct sp_pending *row) {
    claiming->room -= row->state == SP_PENDING_WAITING ? 1 : 0;
    put_claimed(claiming, row->position, row->id, count_after(claiming->claim, row->count), false);
}

/* Entries whose event is gone are pending no more. */
static void put_gone(struct claiming *claiming) {
    if (claiming->gone.count == 0) {
        return;
    }
    struct sp_op_positions list = sp_op_positions_of(claiming->group);
    struct sp_rows_at at = sp_rows_first();
    sp_op_begin(claiming->to, SP_OP_FORGET, claiming->group);
    for (const uint64_t *row = sp_rows_get(&claiming->gone, at); row != NULL;
         row = sp_rows_get(&claiming->gone, at)) {
        sp_op_add_position(&list, claiming->to, *row);
        at = sp_rows_next(&claiming->gone, at);
    }
    sp_buf_add_byte(claiming->to, 0);
}

static void end_claim(struct claiming *claiming, sp_status status) {
    sp_buf_add_byte(claiming->to, 0);
    if (claiming->count == 0) { /* it asked, and got nothing */
        claiming->to->len = claiming->start;
        sp_consumer_seen(claiming->group, claiming->claim->consumer, claiming->claim->now_ms,
                         claiming->to);
    }
    put_gone(claiming);
    if (status == SP_NO_MEMORY) {
        claiming->to->status = status;
    }
    sp_rows_fini(&claiming->seen);
    sp_rows_fini(&claiming->gone);
}

/* ---- XCLAIM ---- */

/* FORCE: an entry that is not pending becomes so, as if delivered once before. */
static sp_status claim_fresh(struct claiming *claiming, const struct sp_group_claim_id *id,
                             uint64_t pending) {
    if (pending + claiming->made >= SP_GROUP_PENDING_MAX) {
        return SP_LIMIT;
    }
    claiming->made++;
    put_claimed(claiming, id->position, id->id, count_after(claiming->claim, 1), true);
    return SP_OK;
}

static sp_status claim_id(struct claiming *claiming, const struct sp_group_claim_id *id,
                          uint64_t pending, struct sp_rows_at *at) {
    const struct sp_pending *row = sp_pending_find_id(claiming->group, id->id, at);
    uint64_t position = row != NULL ? row->position : id->position;
    if (position == 0) {
        return SP_OK; /* nobody's */
    }
    sp_status status = sp_rows_add(&claiming->seen, &position);
    if (status != SP_OK) {
        return status == SP_CONFLICT ? SP_OK : status; /* named twice */
    }
    if (!still_exists(claiming->claim, position, id->id)) {
        return row != NULL ? sp_rows_add(&claiming->gone, &position) : SP_OK;
    }
    if (row == NULL) {
        return claim_fresh(claiming, id, pending);
    }
    if (may_claim(claiming, row)) {
        claim_row(claiming, row);
    }
    return SP_OK;
}

static bool is_forced(const struct sp_group_claim_id *ids, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (ids[i].position != 0) {
            return true;
        }
    }
    return false;
}

sp_status sp_group_claim(const struct sp_groups *groups, const struct sp_group *group,
                         const struct sp_group_claim *claim, const struct sp_group_claim_id *ids,
                         size_t count, struct sp_group_given *ret, size_t *ret_count,
                         struct sp_buf *to, struct sp_error *error) {
    if (group->care != NULL && is_forced(ids, count)) {
        return sp_error_set(error, SP_UNSUPPORTED,
                            "FORCE cannot be used in a group that has a policy");
    }
    struct claiming claiming = begin_claim(group, claim, ret, to);
    struct sp_rows_at at = sp_rows_first();
    sp_status status = SP_OK;
    for (size_t i = 0; i < count && status == SP_OK; i++) {
        status = claim_id(&claiming, &ids[i], groups->pending, &at);
    }
    end_claim(&claiming, status);
    if (status == SP_LIMIT) {
        to->len = claiming.start;
        return sp_error_set(error, status, "%d entries are pending, and no more can be",
                            SP_GROUP_PENDING_MAX);
    }
    if (claim->last != NULL && sp_entry_id_compare(claim->last->id, group->cursor.id) > 0) {
        sp_group_move(group, claim->last, to);
    }
    *ret_count = claiming.count;
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "%s", sp_status_text(status));
}

/* ---- XAUTOCLAIM ---- */

struct sp_group_autoclaimed sp_group_autoclaim(const struct sp_group *group,
                                               const struct sp_group_claim *claim,
                                               struct sp_entry_id from, struct sp_group_given *ret,
                                               struct sp_entry_id *ret_gone, size_t max,
                                               struct sp_buf *to) {
    struct claiming claiming = begin_claim(group, claim, ret, to);
    struct sp_rows_at at = sp_pending_seek_id(group, from);
    struct sp_group_autoclaimed done = {.next = SP_ENTRY_ID_NONE};
    size_t looks = max > SIZE_MAX / AUTOCLAIM_LOOKS ? SIZE_MAX : max * AUTOCLAIM_LOOKS;
    sp_status status = SP_OK;
    const struct sp_pending *row = sp_pending_row(&group->pending, at);
    while (row != NULL && status == SP_OK && looks > 0 && claiming.count + done.gone < max) {
        looks--;
        if (!still_exists(claim, row->position, row->id)) {
            status = sp_rows_add(&claiming.gone, &row->position);
            ret_gone[done.gone++] = row->id;
        } else if (may_claim(&claiming, row)) {
            claim_row(&claiming, row);
        }
        at = sp_rows_next(&group->pending, at);
        row = sp_pending_row(&group->pending, at);
    }
    done.given = claiming.count;
    done.next = row != NULL ? row->id : SP_ENTRY_ID_NONE;
    end_claim(&claiming, status);
    return done;
}
