/*
 * From text to tree, by recursive descent:
 *
 *     alternation = sequence { "|" sequence }
 *     sequence    = { item }
 *     item        = atom { repetition }
 *
 * Flags hold from where they are set to the end of the group.
 */
#include "base/json_escape.h"
#include "base/utf8.h"
#include "match/regex_parts.h"

enum { REPETITIONS_MAX = 8 }; /* of one item, as in a*?{2}+ */

struct re_parse {
    const char *start;
    const char *at;
    const char *end;
    struct sp_pool *pool;
    struct sp_error *error;
    enum sp_regex_dialect dialect;
    uint32_t depth;
    bool fold; /* (?i) */
    bool all;  /* (?s): the dot takes newlines as well */
};

static sp_status fail_at(struct re_parse *p, const char *at, sp_status status,
                         const char *problem) {
    sp_require(at >= p->start && at <= p->end && status != SP_OK);
    uint64_t offset = (uint64_t)(at - p->start);
    return sp_error_set_at(p->error, status, offset, "byte %llu: %s", (unsigned long long)offset,
                           problem);
}

static sp_status fail(struct re_parse *p, const char *problem) {
    return fail_at(p, p->at, SP_INVALID, problem);
}

static sp_status unsupported(struct re_parse *p, const char *what) {
    return fail_at(p, p->at, SP_UNSUPPORTED, what);
}

static sp_status too_large(struct re_parse *p) {
    return p->pool->full ? fail_at(p, p->at, SP_LIMIT, "the expression is too large")
                         : sp_error_set(p->error, SP_NO_MEMORY, "out of memory");
}

static bool looking_at(const struct re_parse *p, const char *text) {
    size_t len = strlen(text);
    return (size_t)(p->end - p->at) >= len && memcmp(p->at, text, len) == 0;
}

static bool accept(struct re_parse *p, const char *text) {
    bool found = looking_at(p, text);
    p->at += found ? strlen(text) : 0;
    return found;
}

static sp_status node_new(struct re_parse *p, enum sp_re_kind kind, struct sp_re_node **ret_node) {
    struct sp_re_node *node = sp_pool_take(p->pool, sizeof(*node));
    if (node == NULL) {
        return too_large(p);
    }
    node->kind = kind;
    *ret_node = node;
    return SP_OK;
}

static void node_append(struct sp_re_node *list, struct sp_re_node *part) {
    sp_require(part->prev == NULL);
    part->prev = list->last_part;
    list->last_part = part;
}

static sp_status place_node(struct re_parse *p, enum sp_re_place place,
                            struct sp_re_node **ret_node) {
    sp_status status = node_new(p, SP_RE_ASSERT, ret_node);
    if (status == SP_OK) {
        (*ret_node)->place = place;
    }
    return status;
}

/* Ends a class and makes it a node. */
static sp_status class_node(struct re_parse *p, struct sp_re_class *class, bool fold, bool negate,
                            struct sp_re_node **ret_node) {
    sp_re_class_finish(class, fold, negate);
    if (class->failed) {
        return too_large(p);
    }
    sp_status status = node_new(p, SP_RE_CLASS, ret_node);
    if (status == SP_OK) {
        (*ret_node)->ranges = class->ranges;
        (*ret_node)->range_count = class->count;
    }
    return status;
}

/* Reads one code point as it stands. */
static sp_status read_code(struct re_parse *p, uint32_t *ret_code) {
    sp_require(p->at < p->end);
    size_t len = sp_utf8_decode(p->at, p->end, ret_code);
    if (len == 0) {
        return fail(p, "not UTF-8");
    }
    p->at += len;
    sp_ensure(p->at <= p->end && *ret_code <= SP_RE_CODE_MAX);
    return SP_OK;
}

/* Reads `count` hexadecimal digits, or with 0 those up to a closing brace. */
static sp_status read_hex(struct re_parse *p, int count, uint32_t *ret_code) {
    const char *from = p->at;
    uint32_t code = 0;
    while (p->at < p->end && (count == 0 || p->at - from < count)) {
        uint32_t digit = sp_json_hex[(uint8_t)*p->at];
        if (digit == 0) {
            break;
        }
        code = code << 4 | (digit - 1);
        p->at++;
        if (code > SP_RE_CODE_MAX) {
            return fail(p, "a code point is at most 10ffff");
        }
    }
    if (count == 0 ? p->at == from : p->at - from != count) {
        return fail(p, "expected a hexadecimal digit");
    }
    if (count == 0 && !accept(p, "}")) {
        return fail(p, "expected `}`");
    }
    *ret_code = code;
    return SP_OK;
}

static bool is_ascii_letter(char byte) {
    return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
}

/* Reads the digits of \uHHHH, or of the two that write a code point as a surrogate pair. */
static sp_status read_unicode(struct re_parse *p, uint32_t *ret_code) {
    sp_status status = read_hex(p, 4, ret_code);
    bool high = status == SP_OK && sp_json_is_high_surrogate(*ret_code);
    if (high && p->dialect == SP_REGEX_ECMA && p->end - p->at >= 6 && looking_at(p, "\\u")) {
        uint32_t low = sp_json_hex4(p->at + 2);
        if (sp_json_is_low_surrogate(low)) {
            *ret_code = 0x10000 + ((*ret_code - 0xd800) << 10) + (low - 0xdc00);
            p->at += 6;
        }
    }
    return status;
}

/* Reads what follows a backslash where it stands for one code point. */
static sp_status read_escape_code(struct re_parse *p, uint32_t *ret_code) {
    static const char LETTERS[] = "ntrfv0ae";
    static const char CODES[] = "\n\t\r\f\v\0\a\x1b";
    sp_require(p->at < p->end);
    char letter = *p->at;
    bool ecma = p->dialect == SP_REGEX_ECMA;
    const char *known = letter != '\0' ? memchr(LETTERS, letter, ecma ? 6 : 8) : NULL;
    if (known != NULL) {
        p->at++;
        *ret_code = (uint8_t)CODES[known - LETTERS];
        return SP_OK;
    }
    if (accept(p, ecma ? "u{" : "x{")) {
        return read_hex(p, 0, ret_code);
    }
    if (accept(p, "x")) {
        return read_hex(p, 2, ret_code);
    }
    if (accept(p, "u")) {
        return read_unicode(p, ret_code);
    }
    if (ecma && letter == 'c' && p->end - p->at > 1 && is_ascii_letter(p->at[1])) {
        *ret_code = (uint8_t)p->at[1] & 31;
        p->at += 2;
        return SP_OK;
    }
    if ((letter >= '1' && letter <= '9') || (ecma && looking_at(p, "k<"))) {
        return unsupported(p, "references to groups are not supported");
    }
    if (is_ascii_letter(letter) || (uint8_t)letter <= ' ' || (uint8_t)letter >= 0x7f) {
        return fail_at(p, p->at, ecma ? SP_INVALID : SP_UNSUPPORTED, "this escape is not known");
    }
    *ret_code = (uint8_t)*p->at++;
    return SP_OK;
}

static bool is_named_class(char letter) {
    return letter != '\0' && strchr("dDwWsSpP", letter) != NULL;
}

/* Reads a class named by a letter, or by a property of Unicode. */
static sp_status read_named_class(struct re_parse *p, struct sp_re_class *class) {
    const char *from = p->at++;
    if ((*from | 0x20) != 'p') {
        sp_re_class_add_named(class, p->dialect, *from);
        return SP_OK;
    }
    const char *name = p->at + 1;
    const char *close = looking_at(p, "{") ? memchr(name, '}', (size_t)(p->end - name)) : NULL;
    if (close == NULL) {
        return fail(p, "expected `{`, the name of a property of Unicode and `}`");
    }
    if (!sp_re_class_add_property(class, sp_str_of(name, (size_t)(close - name)), *from == 'P')) {
        return unsupported(p, "of Unicode's properties only the general categories are known");
    }
    p->at = close + 1;
    return SP_OK;
}

/* Reads the escape behind a backslash, outside a class. */
static sp_status read_escape(struct re_parse *p, struct sp_re_node **ret_node) {
    if (p->at == p->end) {
        return fail(p, "nothing after the backslash");
    }
    struct sp_re_class class = {.pool = p->pool};
    if (is_named_class(*p->at)) {
        sp_status named = read_named_class(p, &class);
        return named == SP_OK ? class_node(p, &class, false, false, ret_node) : named;
    }
    if (accept(p, "b")) {
        return place_node(p, SP_RE_WORD_EDGE, ret_node);
    }
    if (accept(p, "B")) {
        return place_node(p, SP_RE_NO_WORD_EDGE, ret_node);
    }
    bool ecma = p->dialect == SP_REGEX_ECMA;
    if (!ecma && accept(p, "A")) {
        return place_node(p, SP_RE_START, ret_node);
    }
    if (!ecma && accept(p, "z")) {
        return place_node(p, SP_RE_END, ret_node);
    }
    uint32_t code = 0;
    sp_status status = read_escape_code(p, &code);
    if (status != SP_OK) {
        return status;
    }
    sp_re_class_add(&class, code, code);
    return class_node(p, &class, p->fold, false, ret_node);
}

/* Reads an end of a range inside a class; *ret_named where it was a class such as \d instead. */
static sp_status read_class_code(struct re_parse *p, struct sp_re_class *class, uint32_t *ret_code,
                                 bool *ret_named) {
    *ret_named = false;
    if (looking_at(p, "[:")) {
        return unsupported(p, "classes such as [:alpha:] are not supported");
    }
    if (!accept(p, "\\")) {
        return read_code(p, ret_code);
    }
    if (p->at == p->end) {
        return fail(p, "nothing after the backslash");
    }
    if (is_named_class(*p->at)) {
        *ret_named = true;
        return read_named_class(p, class);
    }
    if (accept(p, "b")) {
        *ret_code = '\b';
        return SP_OK;
    }
    return read_escape_code(p, ret_code);
}

/* Reads one member of a class: a code point, a range, or a class such as \d. */
static sp_status read_class_member(struct re_parse *p, struct sp_re_class *class) {
    uint32_t first = 0;
    bool named = false;
    const char *from = p->at;
    sp_status status = read_class_code(p, class, &first, &named);
    if (status != SP_OK || named) {
        return status;
    }
    uint32_t last = first;
    bool range = p->end - p->at >= 2 && *p->at == '-' && p->at[1] != ']';
    if (range) {
        p->at++;
        status = read_class_code(p, class, &last, &named);
        if (status != SP_OK) {
            return status;
        }
        if (named || last < first) {
            return fail_at(p, from, SP_INVALID, "a range ends below its start");
        }
    }
    sp_re_class_add(class, first, last);
    return SP_OK;
}

/* Reads a class behind its opening bracket. */
static sp_status read_class(struct re_parse *p, struct sp_re_node **ret_node) {
    const char *open = p->at - 1;
    sp_require(*open == '[');
    struct sp_re_class class = {.pool = p->pool};
    bool negate = accept(p, "^");
    bool first = p->dialect != SP_REGEX_ECMA; /* where a `]` is one of the class */
    while (first || !accept(p, "]")) {
        if (p->at == p->end) {
            return fail_at(p, open, SP_INVALID, "this bracket is never closed");
        }
        sp_status status = read_class_member(p, &class);
        if (status != SP_OK) {
            return status;
        }
        first = false;
    }
    return class_node(p, &class, p->fold, negate, ret_node);
}

static sp_status read_alternation(struct re_parse *p, struct sp_re_node **ret_node);

/* Reads `i`, `s`, `-i` and the like up to `:` or `)`. */
static sp_status read_flags(struct re_parse *p) {
    bool value = true;
    for (; p->at < p->end && *p->at != ':' && *p->at != ')'; p->at++) {
        if (*p->at == 'i') {
            p->fold = value;
        } else if (*p->at == 's') {
            p->all = value;
        } else if (*p->at == '-' && value) {
            value = false;
        } else {
            return fail_at(p, p->at, p->dialect == SP_REGEX_ECMA ? SP_INVALID : SP_UNSUPPORTED,
                           "expected one of the flags i and s");
        }
    }
    return SP_OK;
}

/* Passes what follows `(` when it begins with `?`. *ret_body: a group's body comes next. */
static sp_status read_group_head(struct re_parse *p, bool *ret_body) {
    *ret_body = true;
    if (!accept(p, "?")) {
        return SP_OK;
    }
    if (looking_at(p, "=") || looking_at(p, "!") || looking_at(p, "<=") || looking_at(p, "<!")) {
        return unsupported(p, "looking ahead or behind is not supported");
    }
    bool ecma = p->dialect == SP_REGEX_ECMA;
    if (ecma && (looking_at(p, "P") || looking_at(p, "#"))) {
        return fail(p, "expected a group as ECMA-262 has it");
    }
    if (looking_at(p, ">") || looking_at(p, "(") || looking_at(p, "|") || looking_at(p, "#")) {
        return unsupported(p, "this kind of group is not supported");
    }
    if (accept(p, "P<") || accept(p, "<")) {
        const char *close = memchr(p->at, '>', (size_t)(p->end - p->at));
        if (close == NULL) {
            return fail(p, "expected `>` after the group's name");
        }
        p->at = close + 1;
        return SP_OK;
    }
    sp_status status = read_flags(p);
    if (status == SP_OK && !ecma && p->at < p->end && *p->at == ')') {
        *ret_body = false; /* (?i): flags for what follows it */
        return SP_OK;
    }
    return status != SP_OK || accept(p, ":") ? status : fail(p, "this group is never closed");
}

/* Reads a group behind its opening parenthesis. */
static sp_status read_group(struct re_parse *p, struct sp_re_node **ret_node) {
    const char *open = p->at - 1;
    sp_require(*open == '(');
    if (p->depth == SP_REGEX_DEPTH_MAX) {
        return fail_at(p, open, SP_LIMIT, "groups are nested too deep");
    }
    bool fold = p->fold;
    bool all = p->all;
    bool has_body = false;
    sp_status status = read_group_head(p, &has_body);
    if (status != SP_OK) {
        return status;
    }
    if (!has_body) {
        p->at++;
        return node_new(p, SP_RE_EMPTY, ret_node);
    }
    p->depth++;
    status = read_alternation(p, ret_node);
    sp_invariant(p->depth > 0);
    p->depth--;
    if (status == SP_OK && !accept(p, ")")) {
        status = fail_at(p, open, SP_INVALID, "this group is never closed");
    }
    p->fold = fold;
    p->all = all;
    return status;
}

static sp_status read_dot(struct re_parse *p, struct sp_re_node **ret_node) {
    struct sp_re_class class = {.pool = p->pool};
    if (p->all) {
        sp_re_class_add(&class, 0, SP_RE_CODE_MAX);
    } else {
        sp_re_class_add(&class, '\n', '\n');
    }
    if (!p->all && p->dialect == SP_REGEX_ECMA) {
        sp_re_class_add(&class, '\r', '\r');
        sp_re_class_add(&class, 0x2028, 0x2029);
    }
    return class_node(p, &class, false, !p->all, ret_node);
}

static sp_status read_atom(struct re_parse *p, struct sp_re_node **ret_node) {
    sp_require(p->at < p->end);
    char first = *p->at;
    if (first == '*' || first == '+' || first == '?') {
        return fail(p, "there is nothing to repeat");
    }
    if (accept(p, "(")) {
        return read_group(p, ret_node);
    }
    if (accept(p, "[")) {
        return read_class(p, ret_node);
    }
    if (accept(p, ".")) {
        return read_dot(p, ret_node);
    }
    if (accept(p, "^")) {
        return place_node(p, SP_RE_START, ret_node);
    }
    if (accept(p, "$")) {
        return place_node(p, SP_RE_END, ret_node);
    }
    if (accept(p, "\\")) {
        return read_escape(p, ret_node);
    }
    uint32_t code = 0;
    struct sp_re_class class = {.pool = p->pool};
    sp_status status = read_code(p, &code);
    if (status != SP_OK) {
        return status;
    }
    sp_re_class_add(&class, code, code);
    return class_node(p, &class, p->fold, false, ret_node);
}

/* Reads a decimal number of at most four digits; false where there is none. */
static bool read_count(const char **at, const char *end, uint32_t *ret_count) {
    const char *from = *at;
    uint32_t count = 0;
    while (*at < end && **at >= '0' && **at <= '9' && *at - from < 4) {
        count = count * 10 + (uint32_t)(**at - '0');
        (*at)++;
    }
    *ret_count = count;
    return *at > from;
}

/* Reads `{m}`, `{m,}` or `{m,n}`; what is none of them is text, and *ret_found false. */
static sp_status read_counts(struct re_parse *p, uint32_t *ret_min, uint32_t *ret_max,
                             bool *ret_found) {
    const char *at = p->at + 1;
    sp_require(p->at < p->end && *p->at == '{');
    *ret_found = false;
    if (!read_count(&at, p->end, ret_min)) {
        return SP_OK;
    }
    *ret_max = *ret_min;
    if (at < p->end && *at == ',') {
        at++;
        if (!read_count(&at, p->end, ret_max)) {
            *ret_max = UINT32_MAX;
        }
    }
    if (at == p->end || *at != '}') {
        return SP_OK;
    }
    if (*ret_min > SP_REGEX_REPEAT_MAX ||
        (*ret_max > SP_REGEX_REPEAT_MAX && *ret_max != UINT32_MAX)) {
        return fail_at(p, p->at, SP_LIMIT, "more than 1000 repetitions");
    }
    if (*ret_max < *ret_min) {
        return fail(p, "the maximum is below the minimum");
    }
    p->at = at + 1;
    *ret_found = true;
    return SP_OK;
}

/* Reads a repetition where one comes next, else *ret_found is false. */
static sp_status read_repetition(struct re_parse *p, uint32_t *ret_min, uint32_t *ret_max,
                                 bool *ret_found) {
    *ret_min = looking_at(p, "+") ? 1 : 0;
    *ret_max = looking_at(p, "?") ? 1 : UINT32_MAX;
    sp_status status = SP_OK;
    if (looking_at(p, "{")) {
        status = read_counts(p, ret_min, ret_max, ret_found);
    } else {
        *ret_found = accept(p, "*") || accept(p, "+") || accept(p, "?");
    }
    if (status != SP_OK || !*ret_found) {
        return status;
    }
    if (looking_at(p, "+")) {
        return unsupported(p, "possessive repetition is not supported");
    }
    (void)accept(p, "?"); /* lazy: another way to the same answer */
    return SP_OK;
}

static sp_status read_item(struct re_parse *p, struct sp_re_node **ret_node) {
    sp_status status = read_atom(p, ret_node);
    uint32_t repetitions = 0;
    while (status == SP_OK) {
        uint32_t min = 0;
        uint32_t max = 0;
        bool found = false;
        status = read_repetition(p, &min, &max, &found);
        if (status != SP_OK || !found) {
            return status;
        }
        if (repetitions++ == REPETITIONS_MAX) {
            return fail_at(p, p->at, SP_LIMIT, "too many repetitions of repetitions");
        }
        struct sp_re_node *inner = *ret_node;
        status = node_new(p, SP_RE_REPEAT, ret_node);
        if (status == SP_OK) {
            sp_invariant(min <= max);
            (*ret_node)->min = min;
            (*ret_node)->max = max;
            node_append(*ret_node, inner);
        }
    }
    return status;
}

static sp_status read_sequence(struct re_parse *p, struct sp_re_node **ret_node) {
    sp_status status = node_new(p, SP_RE_CAT, ret_node);
    while (status == SP_OK && p->at < p->end && *p->at != '|' && *p->at != ')') {
        struct sp_re_node *item = NULL;
        status = read_item(p, &item);
        if (status == SP_OK) {
            node_append(*ret_node, item);
        }
    }
    return status;
}

static sp_status read_alternation(struct re_parse *p, struct sp_re_node **ret_node) {
    sp_status status = node_new(p, SP_RE_ALT, ret_node);
    do {
        struct sp_re_node *sequence = NULL;
        status = status == SP_OK ? read_sequence(p, &sequence) : status;
        if (status == SP_OK) {
            node_append(*ret_node, sequence);
        }
    } while (status == SP_OK && accept(p, "|"));
    return status;
}

sp_status sp_re_parse(sp_str expression, enum sp_regex_dialect dialect, struct sp_pool *pool,
                      struct sp_re_node **ret_tree, struct sp_error *error) {
    const char *start = expression.len > 0 ? expression.ptr : "";
    struct re_parse p = {.start = start,
                         .at = start,
                         .end = start + expression.len,
                         .pool = pool,
                         .error = error,
                         .dialect = dialect};
    if (expression.len > SP_REGEX_BYTES_MAX) {
        return fail_at(&p, start + SP_REGEX_BYTES_MAX, SP_LIMIT, "the expression is too long");
    }
    sp_status status = read_alternation(&p, ret_tree);
    sp_ensure(p.at <= p.end && (status != SP_OK || p.depth == 0));
    if (status == SP_OK && p.at < p.end) {
        return fail(&p, "this parenthesis was never opened");
    }
    return status;
}
