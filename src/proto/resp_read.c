/*
 * The state is small: where reading stopped, how many arguments are still to come, and whether the
 * length of the next one is known.
 *
 *     START ──`*<n>`──▶ ARGUMENTS (args_left) ──`$<bytes>`──▶ bulk_known ──its bytes──▶ ARGUMENTS
 *       │                   └── args_left is 0: a command ──▶ START
 *       └── any other byte: one line, a command or nothing ──▶ START
 *
 * The numbers of ordinary requests are read by a short loop; whatever that does not understand (a
 * sign, a leading zero, an incomplete line) goes to the slow way, which decides what is wrong.
 */
#include "proto/resp_read.h"

#include <stdlib.h>

#include "proto/resp_parts.h"

enum {
    ARGS_FIRST = 16,
    ARGS_KEPT_MAX = 1024,        /* a larger array is freed once its command is done with */
    WORDS_KEPT_BYTES_MAX = 4096, /* and so is a larger buffer of words */
    NUMBER_BYTES_MAX = 20,       /* digits and sign of 64 bits */
    FAST_DIGITS_MAX = 9,
};

void sp_resp_reader_init(struct sp_resp_reader *reader) {
    memset(reader, 0, sizeof(*reader));
    sp_buf_init(&reader->words, SIZE_MAX);
}

void sp_resp_reader_fini(struct sp_resp_reader *reader) {
    free(reader->args);
    sp_buf_fini(&reader->words);
    memset(reader, 0, sizeof(*reader));
}

bool resp_grow_args(struct sp_resp_reader *reader) {
    uint32_t capacity = reader->args_capacity == 0 ? ARGS_FIRST : 2 * reader->args_capacity;
    sp_str *args = realloc(reader->args, capacity * sizeof(*args));
    if (args == NULL) {
        return false;
    }
    reader->args = args;
    reader->args_capacity = capacity;
    return true;
}

/* What the last command needed beyond the usual is not kept for the next. */
static void release_command(struct sp_resp_reader *reader) {
    if (SP_UNLIKELY(reader->args_capacity > ARGS_KEPT_MAX)) {
        free(reader->args);
        reader->args = NULL;
        reader->args_capacity = 0;
    }
    if (SP_UNLIKELY(reader->words.capacity > WORDS_KEPT_BYTES_MAX)) {
        sp_buf_fini(&reader->words);
        sp_buf_init(&reader->words, SIZE_MAX);
    }
}

/* The input may lie elsewhere than when it was read last: moves the slices that are there. */
static void rebase(struct sp_resp_reader *reader, const char *bytes) {
    for (uint32_t i = 0; i < reader->argc; i++) {
        reader->args[i].ptr = bytes + ((uintptr_t)reader->args[i].ptr - reader->base);
    }
    reader->base = (uintptr_t)bytes;
}

/* One read at work. */
struct reading {
    struct sp_resp_reader *reader;
    const struct sp_resp_limits *limits;
    const char *bytes;
    size_t len;
    size_t start; /* of the command: everything before it is done with */
    size_t more;
};

/* How a step ended. GO_ON is none of the results. */
enum step {
    STEP_GO_ON,
    STEP_MORE,
    STEP_ERROR,
};

static enum step fail(struct reading *r, sp_str problem) {
    sp_require(problem.len > 0 && problem.len <= SP_RESP_PROBLEM_BYTES);
    memcpy(r->reader->problem, problem.ptr, problem.len);
    r->reader->problem_len = (uint32_t)problem.len;
    return STEP_ERROR;
}

static enum step want(struct reading *r, size_t more) {
    sp_require(more > 0);
    r->more = more;
    return STEP_MORE;
}

/*
 * Takes the line at reader->at, up to `end_byte`; the reader stands on that then. A line that is
 * longer than `bytes_max` is refused whether its end has come or not, so that it is the same
 * however the input was cut.
 */
static enum step take_line(struct reading *r, char end_byte, size_t bytes_max, sp_str too_big,
                           sp_str *ret_line) {
    struct sp_resp_reader *reader = r->reader;
    size_t from = reader->line_scanned > reader->at ? reader->line_scanned : reader->at;
    sp_invariant(from <= r->len);
    const char *found = r->len > from ? memchr(r->bytes + from, end_byte, r->len - from) : NULL;
    size_t end = found != NULL ? (size_t)(found - r->bytes) : r->len;
    if (end - reader->at > bytes_max) {
        return fail(r, too_big);
    }
    reader->line_scanned = end;
    if (found == NULL) {
        return want(r, 1);
    }
    *ret_line = sp_str_of(r->bytes + reader->at, end - reader->at);
    reader->at = end;
    return STEP_GO_ON;
}

/* Reads a decimal number as Redis does: a minus sign, digits, no leading zero, nothing else. */
static bool read_number(sp_str text, int64_t *ret_value) {
    bool negative = text.len > 0 && text.ptr[0] == '-';
    size_t at = negative;
    if (text.len == at || text.len > NUMBER_BYTES_MAX ||
        (text.ptr[at] == '0' && (negative || text.len > 1))) {
        return false;
    }
    uint64_t value = 0;
    for (; at < text.len; at++) {
        uint64_t digit = (uint64_t)(uint8_t)text.ptr[at] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (value > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    *ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/*
 * Reads digits and the line's end, all of which have come; returns what stands behind, or NULL
 * where the slow way must look.
 */
static SP_ALWAYS_INLINE const char *read_short_number(const char *at, const char *end,
                                                      uint32_t *ret_value) {
    if (end - at < 3) {
        return NULL;
    }
    uint32_t value = (uint32_t)(uint8_t)at[0] - '0';
    if (value > 9) {
        return NULL;
    }
    const char *from = at++;
    if (*at == '\r') {
        *ret_value = value;
        return at + 2;
    }
    const char *limit = end - 1 - from > FAST_DIGITS_MAX ? from + FAST_DIGITS_MAX : end - 1;
    uint32_t digit = 0;
    while (at < limit && (digit = (uint32_t)(uint8_t)*at - '0') <= 9) {
        value = value * 10 + digit;
        at++;
    }
    bool odd = *from == '0' && at - from > 1;
    if (odd || end - at < 2 || *at != '\r') {
        return NULL;
    }
    *ret_value = value;
    return at + 2;
}

/* Takes the line `*<n>` or `$<n>`, its two last bytes included; the number is not checked. */
static enum step take_number(struct reading *r, sp_str too_big, bool *ret_valid,
                             int64_t *ret_value) {
    sp_str line;
    size_t from = r->reader->at;
    enum step step = take_line(r, '\r', SP_RESP_LINE_BYTES_MAX, too_big, &line);
    if (step != STEP_GO_ON) {
        return step;
    }
    if (r->len - r->reader->at < 2) { /* the line feed has yet to come: read the line again */
        r->reader->at = from;
        return want(r, 1);
    }
    r->reader->at += 2;
    *ret_valid = read_number(sp_str_from_byte(line, 1), ret_value);
    return STEP_GO_ON;
}

/* Reads `*<n>`: how many arguments there are, 0 where there is no command. */
static enum step read_count(struct reading *r) {
    struct sp_resp_reader *reader = r->reader;
    const char *at = r->bytes + reader->at;
    uint32_t small = 0;
    const char *next = read_short_number(at + 1, r->bytes + r->len, &small);
    int64_t count = small;
    bool valid = true;
    if (SP_LIKELY(next != NULL)) {
        reader->at = (size_t)(next - r->bytes);
    } else {
        sp_str too_big = SP_STR("Protocol error: too big mbulk count string");
        enum step step = take_number(r, too_big, &valid, &count);
        if (step != STEP_GO_ON) {
            return step;
        }
    }
    if (!valid || count > INT32_MAX ||
        (count > (int64_t)r->limits->args_max && !r->limits->unauthenticated)) {
        return fail(r, SP_STR("Protocol error: invalid multibulk length"));
    }
    if (count > (int64_t)r->limits->args_max) {
        return fail(r, SP_STR("Protocol error: unauthenticated multibulk length"));
    }
    reader->args_left = count > 0 ? (uint32_t)count : 0;
    return STEP_GO_ON;
}

static enum step fail_no_dollar(struct reading *r, char found) {
    char text[] = "Protocol error: expected '$', got '?'";
    text[sizeof(text) - 3] = found;
    return fail(r, sp_str_of(text, sizeof(text) - 1));
}

/* Reads `$<n>` where it was not in the ordinary form, or refuses its number. */
static enum step read_length_slowly(struct reading *r) {
    struct sp_resp_reader *reader = r->reader;
    if (reader->at == r->len) {
        return want(r, 1);
    }
    if (r->bytes[reader->at] != '$') {
        return fail_no_dollar(r, r->bytes[reader->at]);
    }
    bool valid = false;
    int64_t length = 0;
    sp_str too_big = SP_STR("Protocol error: too big bulk count string");
    enum step step = take_number(r, too_big, &valid, &length);
    if (step != STEP_GO_ON) {
        return step;
    }
    bool too_long = length > (int64_t)r->limits->bulk_bytes_max;
    if (valid && too_long && length <= INT32_MAX && r->limits->unauthenticated) {
        return fail(r, SP_STR("Protocol error: unauthenticated bulk length"));
    }
    if (!valid || length < 0 || too_long) {
        return fail(r, SP_STR("Protocol error: invalid bulk length"));
    }
    reader->bulk_known = true;
    reader->bulk_bytes = (uint32_t)length;
    return STEP_GO_ON;
}

/* Reads the next argument's length, where that is not known, and then its bytes. */
static enum step read_argument_slowly(struct reading *r) {
    struct sp_resp_reader *reader = r->reader;
    if (!reader->bulk_known) {
        enum step step = read_length_slowly(r);
        if (step != STEP_GO_ON) {
            return step;
        }
    }
    size_t size = (size_t)reader->bulk_bytes + 2;
    if (r->len - reader->at < size) {
        return want(r, size - (r->len - reader->at));
    }
    if (!resp_push_arg(reader, sp_str_of(r->bytes + reader->at, reader->bulk_bytes))) {
        return fail(r, SP_STR("out of memory"));
    }
    reader->at += size;
    reader->bulk_known = false;
    reader->args_left--;
    return STEP_GO_ON;
}

/* Reads as many arguments as there is room for and have come whole and in the ordinary form. */
static void read_arguments_fast(struct reading *r) {
    struct sp_resp_reader *reader = r->reader;
    const char *at = r->bytes + reader->at;
    const char *end = r->bytes + r->len;
    uint32_t bytes_max = r->limits->bulk_bytes_max;
    uint32_t room = reader->args_capacity - reader->argc;
    uint32_t left = reader->args_left < room ? reader->args_left : room;
    if (left == 0) {
        return;
    }
    sp_str *to = reader->args + reader->argc;
    for (; left > 0 && at < end && *at == '$'; left--) {
        uint32_t length = 0;
        const char *next = read_short_number(at + 1, end, &length);
        if (next == NULL || length > bytes_max || (size_t)(end - next) < (size_t)length + 2) {
            break;
        }
        *to++ = sp_str_of(next, length);
        at = next + length + 2;
    }
    uint32_t taken = (uint32_t)(to - reader->args) - reader->argc;
    reader->at = (size_t)(at - r->bytes);
    reader->argc += taken;
    reader->args_left -= taken;
}

static enum step read_arguments(struct reading *r) {
    enum step step = STEP_GO_ON;
    while (r->reader->args_left > 0 && step == STEP_GO_ON) {
        if (!r->reader->bulk_known) {
            read_arguments_fast(r);
        }
        if (r->reader->args_left > 0) {
            step = read_argument_slowly(r);
        }
    }
    return step;
}

static enum step read_inline(struct reading *r) {
    sp_str line;
    sp_str too_big = SP_STR("Protocol error: too big inline request");
    enum step step = take_line(r, '\n', r->limits->inline_bytes_max, too_big, &line);
    if (step != STEP_GO_ON) {
        return step;
    }
    r->reader->at++;
    line.len -= line.len > 0 && line.ptr[line.len - 1] == '\r';
    switch (resp_split_inline(r->reader, line)) {
    case RESP_INLINE_DONE:
        return STEP_GO_ON;
    case RESP_INLINE_QUOTES:
        return fail(r, SP_STR("Protocol error: unbalanced quotes in request"));
    case RESP_INLINE_NO_MEMORY:
        return fail(r, SP_STR("out of memory"));
    }
    sp_never();
}

/* Reads one command, of no arguments where it was empty. */
static enum step read_command(struct reading *r) {
    struct sp_resp_reader *reader = r->reader;
    if (reader->args_left == 0) {
        if (reader->at == r->len) {
            return want(r, 1);
        }
        if (r->bytes[reader->at] != '*') {
            return read_inline(r);
        }
        enum step step = read_count(r);
        if (step != STEP_GO_ON) {
            return step;
        }
    }
    return read_arguments(r);
}

static enum sp_resp_result give_command(struct reading *r, struct sp_resp_command *ret_command) {
    struct sp_resp_reader *reader = r->reader;
    sp_ensure(reader->args_left == 0 && !reader->bulk_known && reader->at <= r->len);
    ret_command->args = reader->args;
    ret_command->argc = reader->argc;
    ret_command->consumed = reader->at;
    reader->argc = 0;
    reader->at = 0;
    reader->line_scanned = 0;
    return SP_RESP_COMMAND;
}

/* The part of a command that is there stays where it is, what stands before it is done with. */
static enum sp_resp_result give_more(struct reading *r, struct sp_resp_command *ret_command) {
    struct sp_resp_reader *reader = r->reader;
    ret_command->consumed = r->start;
    ret_command->more = r->more;
    reader->at -= r->start;
    reader->line_scanned -= reader->line_scanned > r->start ? r->start : reader->line_scanned;
    reader->base = (uintptr_t)(r->bytes + r->start);
    return SP_RESP_MORE;
}

static enum sp_resp_result give_problem(const struct sp_resp_reader *reader,
                                        struct sp_resp_command *ret_command) {
    ret_command->problem = sp_str_of(reader->problem, reader->problem_len);
    return SP_RESP_ERROR;
}

enum sp_resp_result sp_resp_read(struct sp_resp_reader *reader, const char *bytes, size_t len,
                                 const struct sp_resp_limits *limits,
                                 struct sp_resp_command *ret_command) {
    struct reading r = {.reader = reader, .limits = limits, .bytes = bytes, .len = len};
    *ret_command = (struct sp_resp_command){.args = NULL};
    if (SP_UNLIKELY(reader->problem_len > 0)) {
        return give_problem(reader, ret_command);
    }
    sp_require(reader->at <= len);
    if (reader->at == 0) {
        release_command(reader);
    } else if (reader->base != (uintptr_t)bytes) {
        rebase(reader, bytes);
    }
    for (;;) {
        switch (read_command(&r)) {
        case STEP_GO_ON:
            if (SP_LIKELY(reader->argc > 0)) {
                return give_command(&r, ret_command);
            }
            r.start = reader->at;
            break;
        case STEP_MORE:
            return give_more(&r, ret_command);
        case STEP_ERROR:
            return give_problem(reader, ret_command);
        }
    }
}
