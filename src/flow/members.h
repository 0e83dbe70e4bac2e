/*
 * The members of a JSON object that a part wants to know, whatever else it holds. pure
 *
 * Data comes from anybody: what is no JSON, no object, or has a member of an unexpected type reads
 * as if the member were not there; the reader asks for the type that makes sense to it. Of a name
 * that occurs twice the first one counts.
 */
#ifndef SP_FLOW_MEMBERS_H
#define SP_FLOW_MEMBERS_H

#include "match/value.h"
#include "record/event.h"

struct sp_member {
    const char *name;        /* the one that is looked for */
    enum sp_value_type type; /* MISSING: it is not there */
    sp_str text;             /* TEXT: the text itself, escapes resolved; else as json */
    sp_str json;             /* as it stands in the object, whole; empty where MISSING */
};

/*
 * Fills the members from the text. Texts are borrowed from it and, where escapes were resolved,
 * from `scratch`, which is appended to at most text.len bytes, in one growth: texts of earlier
 * calls on the same buffer may move. SP_NO_MEMORY alone. O(bytes).
 */
SP_WARN_UNUSED sp_status sp_members_read(sp_str json, struct sp_member *members, size_t count,
                                         struct sp_buf *scratch);

/* The same for an event's data: an object, or nothing. */
SP_WARN_UNUSED sp_status sp_members_of(const struct sp_event *event, struct sp_member *members,
                                       size_t count, struct sp_buf *scratch);

/* The text of a member that is one, else the empty slice, whose ptr is NULL. */
static inline sp_str sp_member_text(const struct sp_member *member) {
    return member->type == SP_TYPE_TEXT ? member->text : (sp_str){.ptr = NULL, .len = 0};
}

/* A whole number among an event's extensions, in digits. False: it is not there, or is none. */
bool sp_event_number(const struct sp_event *event, sp_str name, uint64_t *ret_number);

/*
 * Add one member to the object that a buffer ends with, with a comma where it is not the first: a
 * text (nothing where it is empty), a time as RFC 3339, a number, JSON (nothing where empty).
 */
void sp_put_text(struct sp_buf *to, const char *name, sp_str text);
void sp_put_time(struct sp_buf *to, const char *name, uint64_t time_us);
void sp_put_number(struct sp_buf *to, const char *name, uint64_t number);
void sp_put_json(struct sp_buf *to, const char *name, sp_str json);

#endif
