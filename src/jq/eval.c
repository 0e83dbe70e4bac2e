/*
 * libjq itself; see eval.h.
 *
 * A program is compiled as a part of one of ours, which takes apart what it is run over (an array:
 * the input, then the arguments) and hides what a program must not have. It stands on lines of its
 * own, so that the line of an error is known. Standing in brackets it can neither import nor name a
 * module.
 */
#include "jq/eval.h"

#include <jq.h>
#include <limits.h>
#include <stdlib.h>

#include "jq/frame.h"
#include "jq/jq.h"

enum { PRELUDE_LINES = 1 };

/* What is hidden: by its own name, so that nothing beneath it can be reached. One line. */
#define HIDDEN(name)                                                                               \
    "def " name ": error(\"" name " is not there: a program sees its input only\"); "
static const char prelude[] = HIDDEN("input") HIDDEN("inputs") HIDDEN("env") HIDDEN("halt")
    HIDDEN("halt_error") "def halt_error($code): halt_error; " HIDDEN("modulemeta") HIDDEN(
        "get_search_list") HIDDEN("input_filename") HIDDEN("input_line_number") HIDDEN("now")
        HIDDEN("localtime") "def strflocaltime($format): localtime; def debug: .; def stderr: .; "
                            "def debug($message): .; {} as $ENV | ";

struct sp_jq_eval {
    jq_state *jq;
    uint64_t value_count;
};

/* ---- compiling ------------------------------------------------------------------------------- */

/* What jq says while it compiles: the first message is the one that tells. */
struct complaint {
    struct sp_buf text;
    bool heard;
};

static void on_message(void *context, jv message) {
    struct complaint *complaint = context;
    message = jq_format_error(message);
    if (!complaint->heard && jv_get_kind(message) == JV_KIND_STRING) {
        complaint->heard = true;
        sp_buf_add(&complaint->text, jv_string_value(message),
                   (size_t)jv_string_length_bytes(jv_copy(message)));
    }
    jv_free(message);
}

static bool name_is_right(sp_str name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return name.len > 0;
}

static sp_status write_program(sp_str text, struct sp_wire names, uint64_t name_count,
                               struct sp_buf *to, struct sp_error *error) {
    if (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL) {
        return sp_error_set(error, SP_INVALID, "a program has no zero bytes");
    }
    sp_buf_add_str(to, sp_str_from(prelude));
    for (uint64_t i = 0; i < name_count; i++) {
        sp_str name = sp_wire_lstr(&names);
        if (!name_is_right(name)) {
            return sp_error_set(error, SP_INVALID, "'%.*s' is no name of an argument",
                                SP_STR_ARG(name));
        }
        sp_buf_add_str(to, SP_STR(".["));
        sp_buf_add_u64(to, i + 1);
        sp_buf_add_str(to, SP_STR("] as $"));
        sp_buf_add_str(to, name);
        sp_buf_add_str(to, SP_STR(" | "));
    }
    sp_buf_add_str(to, SP_STR(".[0] | (\n"));
    sp_buf_add_str(to, text);
    sp_buf_add(to, "\n)", 3); /* with its zero byte */
    return to->status == SP_OK ? SP_OK : sp_error_set(error, to->status, "program");
}

/* The place of `what` in `text`; text.len where it is not there. */
static size_t find(sp_str text, const char *what) {
    size_t len = strlen(what);
    for (size_t i = 0; len <= text.len && i <= text.len - len; i++) {
        if (memcmp(text.ptr + i, what, len) == 0) {
            return i;
        }
    }
    return text.len;
}

static sp_str before(sp_str text, const char *what) {
    return sp_str_of(text.ptr, find(text, what));
}

static uint64_t lines_of(sp_str text) {
    uint64_t lines = 1;
    for (size_t i = 0; i < text.len; i++) {
        lines += text.ptr[i] == '\n';
    }
    return lines;
}

/* The number behind `, line `; 0 where there is none. */
static uint64_t line_of(sp_str message) {
    size_t at = find(message, ", line ");
    uint64_t line = 0;
    for (at += at < message.len ? 7 : 0; at < message.len; at++) {
        char c = message.ptr[at];
        if (c < '0' || c > '9' || line > UINT32_MAX) {
            break;
        }
        line = line * 10 + (uint64_t)(c - '0');
    }
    return line;
}

/*
 * Says in our words what jq says in its own:
 *   jq: error: syntax error, unexpected ')' (Unix shell quoting issues?) at <top-level>, line 3:
 *   .foo )
 */
static sp_status refuse_program(sp_str text, sp_str message, struct sp_error *error) {
    static const char label[] = "jq: error: ";
    if (sp_str_starts_with(message, SP_STR("jq: error: "))) {
        message = sp_str_from_byte(message, sizeof(label) - 1);
    }
    uint64_t line = line_of(message);
    sp_str what = before(before(message, " at <top-level>"), " (Unix shell");
    if (line <= PRELUDE_LINES) {
        return sp_error_set(error, SP_INVALID, "not a jq program: %.*s", SP_STR_ARG(what));
    }
    line -= PRELUDE_LINES;
    if (line > lines_of(text)) {
        bool closed = find(what, "expecting $end") < what.len;
        return sp_error_set(error, SP_INVALID, "not a jq program: line %llu: %s",
                            (unsigned long long)lines_of(text),
                            closed ? "a ')' too many" : "it ends in the middle");
    }
    size_t newline = find(message, "\n");
    sp_str near = sp_str_from_byte(message, newline < message.len ? newline + 1 : newline);
    near = before(near, "\n");
    while (near.len > 0 && near.ptr[near.len - 1] == ' ') {
        near.len--;
    }
    return sp_error_set_at(error, SP_INVALID, line, "not a jq program: line %llu: %.*s, at '%.*s'",
                           (unsigned long long)line, SP_STR_ARG(what),
                           (int)(near.len < 60 ? near.len : 60), near.ptr);
}

static sp_status compile(jq_state *jq, sp_str text, const char *whole, struct sp_error *error) {
    struct complaint complaint = {.heard = false};
    sp_buf_init(&complaint.text, SP_JQ_TEXT_BYTES_MAX * 2);
    jq_set_error_cb(jq, on_message, &complaint);
    int compiled = jq_compile(jq, whole);
    jq_set_error_cb(jq, NULL, NULL);
    sp_status status = SP_OK;
    if (!compiled) {
        sp_str message = before(sp_buf_str(&complaint.text), "\njq: ");
        status = refuse_program(text, message, error);
    }
    sp_buf_fini(&complaint.text);
    return status;
}

sp_status sp_jq_eval_new(sp_str text, struct sp_wire names, uint64_t name_count,
                         struct sp_jq_eval **ret_eval, struct sp_error *error) {
    struct sp_buf whole;
    sp_buf_init(&whole, SP_JQ_TEXT_BYTES_MAX * 2);
    struct sp_jq_eval *eval = NULL;
    sp_status status = write_program(text, names, name_count, &whole, error);
    if (status == SP_OK) {
        eval = calloc(1, sizeof(*eval));
        jq_state *jq = eval != NULL ? jq_init() : NULL;
        if (jq == NULL) {
            status = sp_error_set(error, SP_NO_MEMORY, "program");
        } else {
            eval->jq = jq;
            eval->value_count = name_count + 1;
            status = compile(jq, text, (const char *)whole.data, error);
        }
    }
    sp_buf_fini(&whole);
    if (status != SP_OK) {
        sp_jq_eval_free(eval);
        return status;
    }
    *ret_eval = eval;
    return SP_OK;
}

void sp_jq_eval_free(struct sp_jq_eval *eval) {
    if (eval != NULL) {
        if (eval->jq != NULL) {
            jq_teardown(&eval->jq);
        }
        free(eval);
    }
}

/* ---- running --------------------------------------------------------------------------------- */

static sp_status refuse_message(jv message, const char *what, struct sp_error *error) {
    if (jv_get_kind(message) != JV_KIND_STRING) {
        message = jv_dump_string(message, 0);
    }
    sp_status status = sp_error_set(error, SP_INVALID, "%s%s", what, jv_string_value(message));
    jv_free(message);
    return status;
}

/* All values as one array; libjq's own parser reads them. */
static sp_status read_values(struct sp_wire values, uint64_t count, jv *ret_array,
                             struct sp_error *error) {
    jv array = jv_array();
    for (uint64_t i = 0; i < count; i++) {
        sp_str text = sp_wire_lstr(&values);
        sp_require(text.len <= INT_MAX);
        jv value = text.len > 0 ? jv_parse_sized(text.ptr, (int)text.len) : jv_invalid();
        if (!jv_is_valid(value)) {
            jv_free(array);
            bool told = jv_invalid_has_msg(jv_copy(value));
            jv message = told ? jv_invalid_get_msg(value) : jv_string("it is empty");
            if (!told) {
                jv_free(value);
            }
            return refuse_message(message, "the value is no JSON that jq reads: ", error);
        }
        array = jv_array_append(array, value);
    }
    *ret_array = array;
    return SP_OK;
}

static void add_result(jv value, struct sp_buf *to) {
    jv text = jv_dump_string(value, 0);
    sp_jq_frame_add_text(
        to, sp_str_of(jv_string_value(text), (size_t)jv_string_length_bytes(jv_copy(text))));
    jv_free(text);
}

/* `value` is the one that jq said there is none with. */
static sp_status finish(jv value, struct sp_error *error) {
    if (!jv_invalid_has_msg(jv_copy(value))) {
        jv_free(value);
        return SP_OK;
    }
    return refuse_message(jv_invalid_get_msg(value), "", error);
}

sp_status sp_jq_eval_run(struct sp_jq_eval *eval, struct sp_wire values, uint64_t value_count,
                         struct sp_buf *to, uint64_t *ret_count, struct sp_error *error) {
    sp_require(value_count == eval->value_count);
    jv array;
    sp_status status = read_values(values, value_count, &array, error);
    if (status != SP_OK) {
        return status;
    }
    uint64_t count = 0;
    jq_start(eval->jq, array, 0);
    for (;;) {
        jv value = jq_next(eval->jq);
        if (!jv_is_valid(value)) {
            status = finish(value, error);
            break;
        }
        if (count == SP_JQ_RESULTS_MAX) {
            jv_free(value);
            status = sp_error_set(error, SP_LIMIT, "more than %d results", SP_JQ_RESULTS_MAX);
            break;
        }
        add_result(value, to);
        count++;
        if (to->status != SP_OK) {
            status = sp_error_set(error, to->status, "the results are too long");
            break;
        }
    }
    *ret_count = count;
    return status;
}
