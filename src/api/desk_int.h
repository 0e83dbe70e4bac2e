/*
 * What the verbs of the desk share; only desk*.c include this. loop-thread
 */
#ifndef SP_API_DESK_INT_H
#define SP_API_DESK_INT_H

#include "api/desk.h"
#include "engine/flows.h"

enum { DESK_ANSWER_BYTES_MAX = 256 << 20, DESK_MEMBER_BYTES_MAX = 1 << 20 };

/* One request being answered. */
struct sp_desk_call {
    struct sp_engine *engine;
    const struct sp_desk_request *request;
    sp_str by; /* who asks */
    uint64_t now_us;
    struct sp_desk_answer *answer;
};

/* An option's text; empty where it was not given. */
static inline sp_str desk_option(const struct sp_desk_call *call, enum sp_desk_option option) {
    sp_str value = call->request->options[option];
    return value.ptr != NULL ? value : SP_STR("");
}

/* Appends `"name":` with a comma where it is not the first member. */
void desk_add_name(struct sp_buf *to, const char *name);
void desk_add_text(struct sp_buf *to, const char *name, sp_str text);
void desk_add_u64(struct sp_buf *to, const char *name, uint64_t value);
void desk_add_bool(struct sp_buf *to, const char *name, bool value);
/* The definition of something, which is JSON unless it is unusable. */
void desk_add_definition(struct sp_buf *to, sp_str text);
/* Digits and nothing else, at most 18 of them. */
bool desk_read_u64(sp_str text, uint64_t *ret_number);
/* RFC 3339; nothing where it is 0 or UINT64_MAX. */
void desk_add_time(struct sp_buf *to, const char *name, uint64_t time_us);

/*
 * A page of a list whose rows have positions: those behind AFTER, LIMIT of them, the lowest first.
 * All rows are noted, then the page is cut, then all are looked at again and those within are
 * written: so they may come in any order, and nothing is written that is not shown.
 */
struct desk_page {
    uint64_t after;
    uint64_t *positions;
    size_t count;
    size_t capacity;
    uint64_t last; /* of the page */
    bool failed;   /* out of memory */
};

/* Reads AFTER. SP_INVALID. */
SP_WARN_UNUSED sp_status desk_page_begin(const struct sp_desk_call *call, struct desk_page *page,
                                         struct sp_error *error);
void desk_page_note(struct desk_page *page, uint64_t position);
/* Says in the answer whether there are more. SP_NO_MEMORY. Frees. */
SP_WARN_UNUSED sp_status desk_page_cut(struct sp_desk_call *call, struct desk_page *page,
                                       struct sp_error *error);
static inline bool desk_page_has(const struct desk_page *page, uint64_t position) {
    return position > page->after && position <= page->last;
}
/*
 * The event at a position; NULL where it cannot be read (any more). It lasts as long as the cursor,
 * which is to be closed in any case.
 */
struct sp_cursor;
struct sp_event;
const struct sp_event *desk_open_at(const struct sp_desk_call *call, uint64_t position,
                                    struct sp_cursor **ret_cursor);
/* Ends a row that was written to the answer. */
void desk_end_row(struct sp_desk_call *call);

/* SP_INVALID where something is no JSON. */
SP_WARN_UNUSED sp_status desk_check_json(sp_str text, const char *what, struct sp_error *error);

/* ---- the verbs, one function each ---- */

/* desk_saga.c */
sp_desk_fn desk_saga_start;
sp_desk_fn desk_saga_ls;
sp_desk_fn desk_saga_request; /* cancel, retry, skip, done, compensate */
sp_desk_fn desk_saga_resume;
sp_desk_fn desk_saga_fork;

/* desk_story.c */
sp_desk_fn desk_saga_show;
sp_desk_fn desk_saga_story;

/* desk_define.c */
sp_desk_fn desk_define;
sp_desk_fn desk_check;
sp_desk_fn desk_undefine;
sp_desk_fn desk_saga_definitions;
sp_desk_fn desk_saga_definition;

/* desk_approval.c */
sp_desk_fn desk_decide; /* of sagas and approvals */
sp_desk_fn desk_approval_ls;
sp_desk_fn desk_approval_show;

/* desk_auto.c */
sp_desk_fn desk_join_ls;
sp_desk_fn desk_join_show;
sp_desk_fn desk_schedule_ls;
sp_desk_fn desk_schedule_show;
sp_desk_fn desk_timer_ls;
sp_desk_fn desk_timer_cancel;

#endif
