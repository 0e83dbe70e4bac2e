/*
 * The body of a request as one JSON object whose members are known. loop-thread
 *
 *     static const char *const names[] = {"consumer", "max", NULL};
 *     struct sp_http_value values[2];
 *     sp_http_body_members(request, names, values, &error);    all of it is JSON, no other member
 *     sp_http_value_text(&values[0], names[0], …);             each as what it is to be
 *
 * Every error names the member and what was expected. A member that is null is absent.
 */
#ifndef SP_SERVER_HTTP_BODY_H
#define SP_SERVER_HTTP_BODY_H

#include "base/json.h"
#include "record/entry_id.h"
#include "server/http.h"

struct sp_http_value {
    bool given;
    struct sp_json_token token; /* where it begins; of a string its text, still escaped */
    sp_str raw;                 /* the whole value as JSON, borrowed from the body */
};

/*
 * Reads the body, an object, into values by the order of names, which ends with NULL. An empty body
 * is an object without members. SP_INVALID: it is no object, has another member, or one twice.
 */
SP_WARN_UNUSED sp_status sp_http_body_members(const struct sp_http_request *request,
                                              const char *const *names,
                                              struct sp_http_value *ret_values,
                                              struct sp_error *error);

/*
 * The value as a text, its escapes resolved into `to`, which must have room reserved for what was
 * read before or the slices move. Absent: SP_OK, and *ret is as it was. SP_INVALID, SP_LIMIT
 * beyond bytes_max.
 */
SP_WARN_UNUSED sp_status sp_http_value_text(const struct sp_http_value *value, const char *name,
                                            size_t bytes_max, struct sp_buf *to, sp_str *ret_text,
                                            struct sp_error *error);

/* A whole number within bounds. Absent: SP_OK, and *ret is as it was. */
SP_WARN_UNUSED sp_status sp_http_value_number(const struct sp_http_value *value, const char *name,
                                              uint64_t least, uint64_t most, uint64_t *ret_number,
                                              struct sp_error *error);

/* true or false. Absent: SP_OK, and *ret is as it was. */
SP_WARN_UNUSED sp_status sp_http_value_bool(const struct sp_http_value *value, const char *name,
                                            bool *ret_yes, struct sp_error *error);

/*
 * An array of entry ids, appended to `to` as struct sp_entry_id; *ret_count of them, at most `most`
 * (SP_LIMIT). Absent: SP_OK, and *ret is as it was.
 */
SP_WARN_UNUSED sp_status sp_http_value_ids(const struct sp_http_value *value, const char *name,
                                           uint32_t most, struct sp_buf *to, uint32_t *ret_count,
                                           struct sp_error *error);

/* SP_INVALID where it is absent. */
SP_WARN_UNUSED sp_status sp_http_value_needed(const struct sp_http_value *value, const char *name,
                                              struct sp_error *error);

#endif
