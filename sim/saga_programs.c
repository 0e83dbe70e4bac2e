#include "sim/saga_programs.h"

#include "base/json.h"

enum { DEPTH_MAX = 16 };

struct reader {
    const char *at;
    const char *end;
    sp_str input;
    bool bad;
};

/* The member of an object, as JSON text; null where there is none. */
static sp_str member(sp_str object, sp_str name) {
    struct sp_json json;
    sp_json_init(&json, object);
    if (sp_json_next(&json).type != SP_JSON_OBJECT) {
        return SP_STR("null");
    }
    for (struct sp_json_token token = sp_json_next(&json); token.type == SP_JSON_KEY;
         token = sp_json_next(&json)) {
        bool found = sp_json_equal(token, name);
        sp_str value = sp_json_skip(&json, sp_json_next(&json));
        if (found) {
            return value;
        }
    }
    return SP_STR("null");
}

static void skip_blanks(struct reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n')) {
        r->at++;
    }
}

static bool take(struct reader *r, const char *word) {
    sp_str wanted = sp_str_from(word);
    skip_blanks(r);
    if (!sp_str_starts_with(sp_str_of(r->at, (size_t)(r->end - r->at)), wanted)) {
        return false;
    }
    r->at += wanted.len;
    return true;
}

static bool is_in_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '"';
}

static sp_str read_path(struct reader *r) {
    sp_str value = r->input;
    while (r->at < r->end && *r->at == '.') {
        const char *begin = ++r->at;
        while (r->at < r->end && is_in_word(*r->at)) {
            r->at++;
        }
        value = r->at > begin ? member(value, sp_str_of(begin, (size_t)(r->at - begin))) : value;
    }
    return value;
}

static bool holds(sp_str value) {
    return !sp_str_eq(value, SP_STR("null")) && !sp_str_eq(value, SP_STR("false"));
}

static void run(struct reader *r, int depth, struct sp_buf *to);

static void run_if(struct reader *r, int depth, struct sp_buf *to) {
    bool done = false;
    do {
        struct sp_buf condition;
        struct sp_buf branch;
        sp_buf_init(&condition, to->size_bytes_max);
        sp_buf_init(&branch, to->size_bytes_max);
        run(r, depth, &condition);
        r->bad = r->bad || !take(r, "then");
        run(r, depth, &branch);
        if (!done && holds(sp_buf_str(&condition))) {
            sp_buf_add_str(to, sp_buf_str(&branch));
            done = true;
        }
        sp_buf_fini(&condition);
        sp_buf_fini(&branch);
    } while (!r->bad && take(r, "elif"));
    struct sp_buf rest;
    sp_buf_init(&rest, to->size_bytes_max);
    r->bad = r->bad || !take(r, "else");
    run(r, depth, &rest);
    r->bad = r->bad || !take(r, "end");
    sp_buf_add_str(to, done ? SP_STR("") : sp_buf_str(&rest));
    sp_buf_fini(&rest);
}

/* Recursion is as deep as the program's brackets, and bounded. */
static void run(struct reader *r, int depth, struct sp_buf *to) {
    skip_blanks(r);
    if (r->bad || depth > DEPTH_MAX || r->at == r->end) {
        r->bad = true;
    } else if (take(r, "(")) {
        run(r, depth + 1, to);
        r->bad = r->bad || !take(r, ")");
    } else if (take(r, "[")) {
        sp_buf_add_byte(to, '[');
        if (!take(r, "]")) {
            run(r, depth + 1, to);
            r->bad = r->bad || !take(r, "]");
        }
        sp_buf_add_byte(to, ']');
    } else if (take(r, "if ")) {
        run_if(r, depth + 1, to);
    } else if (*r->at == '.') {
        sp_buf_add_str(to, read_path(r));
    } else {
        const char *begin = r->at;
        while (r->at < r->end && is_in_word(*r->at)) {
            r->at++;
        }
        sp_buf_add(to, begin, (size_t)(r->at - begin));
        r->bad = r->bad || r->at == begin;
    }
}

sp_status saga_programs_run(void *context, sp_str program, sp_str input, struct sp_buf *to,
                            struct sp_error *error) {
    (void)context;
    struct reader r = {.at = program.ptr, .end = program.ptr + program.len, .input = input};
    run(&r, 0, to);
    skip_blanks(&r);
    if (r.bad || r.at != r.end) {
        return sp_error_set(error, SP_INVALID, "a program that the simulation does not understand");
    }
    return sp_json_check(sp_buf_str(to), error);
}
