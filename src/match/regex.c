/*
 * Searching. A state of the search is a set of instructions: those that the next byte may be
 * compared by, before places such as `^` and `\b` have been looked at, since these depend on that
 * byte too. To the set belongs what came before it, as far as the expression asks. From every state
 * and byte there is one next state, and to every next state belongs a fresh start of the
 * expression, as a match may begin anywhere.
 *
 * The table has all states that can be reached, made when the expression is compiled. Bytes that no
 * instruction tells apart share a column. Where there would be too many states there is no table,
 * and the search makes each state when it gets there.
 */
#include "match/regex.h"

#include <stdlib.h>

#include "match/regex_parts.h"
#include "match/text.h"

enum {
    MEMORY_MAX = 4 << 20,      /* bytes, while compiling */
    TABLE_ENTRIES_MAX = 32768, /* states times columns */
    TABLE_WORK_MAX = 4 << 20,  /* instructions visited to make it */
    STATE_MATCH = 0xffff,      /* an entry: the text matches, whatever follows */
    STATE_NEVER = 0xfffe,      /* an entry: no match can come any more */
    BYTE_NONE = -1,            /* in place of a next byte: the end of the text */
};

/* What came before a byte. */
enum before { BEFORE_START, BEFORE_WORD, BEFORE_OTHER };

struct sp_regex {
    struct sp_re_program program;
    uint16_t *table; /* by state and column; NULL where there is none */
    bool *at_end;    /* by state: the text matches if it ends here */
    uint16_t columns;
    uint16_t state_count;
    uint8_t column_of[256];
};

/* A set of instructions and room to follow them. */
struct re_set {
    uint16_t insts[SP_REGEX_PROGRAM_MAX];
    uint16_t count;
    enum before before;
};

struct re_follow {
    const struct sp_re_program *program;
    uint16_t stack[SP_REGEX_PROGRAM_MAX];
    uint32_t seen[SP_REGEX_PROGRAM_MAX]; /* the turn in which it was followed last */
    uint32_t kept[SP_REGEX_PROGRAM_MAX]; /* the turn in which it came into the next set */
    uint32_t turn;
    uint64_t steps;
};

static bool is_word(int byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || byte == '_' ||
           (byte >= 'a' && byte <= 'z');
}

static bool is_at(enum sp_re_place place, enum before before, int next) {
    bool edge = (before == BEFORE_WORD) != is_word(next);
    switch (place) {
    case SP_RE_START:
        return before == BEFORE_START;
    case SP_RE_END:
        return next == BYTE_NONE;
    case SP_RE_WORD_EDGE:
        return edge;
    case SP_RE_NO_WORD_EDGE:
        return !edge;
    }
    sp_never();
}

static void follow_init(struct re_follow *f, const struct sp_re_program *program) {
    sp_require(program->count > 0 && program->count <= SP_REGEX_PROGRAM_MAX);
    f->program = program;
    f->turn = 0;
    f->steps = 0;
    memset(f->seen, 0, program->count * sizeof(f->seen[0]));
    memset(f->kept, 0, program->count * sizeof(f->kept[0]));
}

static void keep(struct re_follow *f, struct re_set *next, uint16_t inst) {
    sp_require(inst < f->program->count && next->count <= f->program->count);
    if (f->kept[inst] != f->turn) {
        f->kept[inst] = f->turn;
        next->insts[next->count++] = inst;
    }
}

static uint32_t push(struct re_follow *f, uint32_t depth, uint16_t inst) {
    sp_require(inst < f->program->count && depth < SP_REGEX_PROGRAM_MAX);
    if (f->seen[inst] != f->turn) {
        f->seen[inst] = f->turn;
        f->stack[depth++] = inst;
    }
    return depth;
}

/*
 * Follows one instruction as far as no byte is needed; byte instructions that fit lead into `next`.
 * True where the end of the expression is reached. Each instruction is followed once a turn at
 * most.
 */
static bool follow(struct re_follow *f, uint16_t from, enum before before, int byte,
                   struct re_set *next) {
    uint32_t depth = push(f, 0, from);
    while (depth > 0) {
        const struct sp_re_inst *inst = &f->program->insts[f->stack[--depth]];
        f->steps++;
        switch ((enum sp_re_op)inst->op) {
        case SP_RE_MATCH:
            return true;
        case SP_RE_BYTE:
            if (byte >= inst->low && byte <= inst->high) {
                keep(f, next, inst->next);
            }
            break;
        case SP_RE_SET:
            if (byte != BYTE_NONE &&
                sp_re_bytes_has(&f->program->sets[inst->other], (uint8_t)byte)) {
                keep(f, next, inst->next);
            }
            break;
        case SP_RE_SPLIT:
            depth = push(f, depth, inst->other);
            depth = push(f, depth, inst->next);
            break;
        case SP_RE_AT:
            if (is_at((enum sp_re_place)inst->place, before, byte)) {
                depth = push(f, depth, inst->next);
            }
            break;
        }
    }
    return false;
}

/* Steps from a set over a byte, or over the end of the text; true where the text matches. */
static bool step(struct re_follow *f, const struct re_set *set, int byte, struct re_set *next) {
    sp_require(set != next && set->count > 0);
    f->turn++;
    next->count = 0;
    for (uint16_t i = 0; i < set->count; i++) {
        if (follow(f, set->insts[i], set->before, byte, next)) {
            return true;
        }
    }
    if (byte != BYTE_NONE) {
        keep(f, next, f->program->start);
    }
    next->before = !f->program->has_places ? BEFORE_OTHER
                   : is_word(byte)         ? BEFORE_WORD
                                           : BEFORE_OTHER;
    return false;
}

static void start_set(const struct sp_re_program *program, struct re_set *set) {
    set->insts[0] = program->start;
    set->count = 1;
    set->before = program->has_places ? BEFORE_START : BEFORE_OTHER;
}

/* Making the table. */

/* The states found so far; their sets lie one behind the other in `insts`. */
struct re_builder {
    struct sp_regex *regex;
    struct sp_pool *pool;
    struct re_follow follow;
    struct re_set from;
    struct re_set to;
    struct {
        uint16_t *insts; /* sorted */
        uint16_t count;
        enum before before;
    } states[SP_REGEX_STATES_MAX];
};

/* Gives bytes that no instruction, and no place, tells apart the same column. */
static void find_columns(struct sp_regex *regex) {
    bool starts[257] = {true}; /* a new column begins at this byte */
    const struct sp_re_program *program = &regex->program;
    for (uint16_t i = 0; i < program->count; i++) {
        if (program->insts[i].op == SP_RE_BYTE) {
            starts[program->insts[i].low] = true;
            starts[program->insts[i].high + 1] = true;
        }
    }
    for (uint16_t i = 0; i < program->set_count; i++) {
        for (int byte = 1; byte < 256; byte++) {
            starts[byte] |= sp_re_bytes_has(&program->sets[i], (uint8_t)byte) !=
                            sp_re_bytes_has(&program->sets[i], (uint8_t)(byte - 1));
        }
    }
    for (int byte = 1; program->has_places && byte < 256; byte++) {
        starts[byte] |= is_word(byte) != is_word(byte - 1);
    }
    regex->columns = 0;
    for (int byte = 0; byte < 256; byte++) {
        regex->columns = (uint16_t)(regex->columns + (byte > 0 && starts[byte]));
        regex->column_of[byte] = (uint8_t)regex->columns;
    }
    regex->columns++;
    sp_ensure(regex->columns >= 1 && regex->columns <= 256);
}

static void sort_set(struct re_set *set) {
    for (uint16_t i = 1; i < set->count; i++) {
        uint16_t inst = set->insts[i];
        uint16_t at = i;
        for (; at > 0 && set->insts[at - 1] > inst; at--) {
            set->insts[at] = set->insts[at - 1];
        }
        set->insts[at] = inst;
    }
}

/* The number of the state that b->to is; a new one where it was not met before. */
static bool find_state(struct re_builder *b, uint16_t *ret_state) {
    struct re_set *set = &b->to;
    sp_require(set->count > 0);
    sort_set(set);
    size_t bytes = set->count * sizeof(set->insts[0]);
    uint16_t count = b->regex->state_count;
    for (uint16_t i = 0; i < count; i++) {
        if (b->states[i].count == set->count && b->states[i].before == set->before &&
            memcmp(b->states[i].insts, set->insts, bytes) == 0) {
            *ret_state = i;
            return true;
        }
    }
    uint16_t *insts = count < SP_REGEX_STATES_MAX ? sp_pool_take(b->pool, bytes) : NULL;
    if (insts == NULL || (uint32_t)(count + 1) * b->regex->columns > TABLE_ENTRIES_MAX) {
        return false;
    }
    memcpy(insts, set->insts, bytes);
    b->states[count].insts = insts;
    b->states[count].count = set->count;
    b->states[count].before = set->before;
    *ret_state = b->regex->state_count++;
    return true;
}

static void load_state(struct re_builder *b, uint16_t state) {
    sp_require(state < b->regex->state_count);
    b->from.count = b->states[state].count;
    b->from.before = b->states[state].before;
    memcpy(b->from.insts, b->states[state].insts, b->from.count * sizeof(b->from.insts[0]));
}

/* Fills the row of a state; false where the table would grow too large. */
static bool build_row(struct re_builder *b, uint16_t *table, bool *at_end, uint16_t state) {
    struct sp_regex *regex = b->regex;
    uint16_t *row = table + (size_t)state * regex->columns;
    bool never = true; /* until something leads out of the state */
    load_state(b, state);
    for (int byte = 0; byte < 256; byte++) {
        uint16_t column = regex->column_of[byte];
        if (byte > 0 && regex->column_of[byte - 1] == column) {
            continue;
        }
        if (step(&b->follow, &b->from, byte, &b->to)) {
            row[column] = STATE_MATCH;
        } else if (!find_state(b, &row[column])) {
            return false;
        }
        never &= row[column] == state;
    }
    at_end[state] = step(&b->follow, &b->from, BYTE_NONE, &b->to);
    for (uint16_t i = 0; never && !at_end[state] && i < regex->columns; i++) {
        row[i] = STATE_NEVER;
    }
    return b->follow.steps <= TABLE_WORK_MAX;
}

/* Makes the table if it is small enough. Without it the expression works as well. */
static void build_table(struct sp_regex *regex, struct sp_pool *pool) {
    find_columns(regex);
    struct re_builder *b = sp_pool_take(pool, sizeof(*b));
    uint16_t *table = sp_pool_take(pool, TABLE_ENTRIES_MAX * sizeof(*table));
    bool *at_end = sp_pool_take(pool, SP_REGEX_STATES_MAX * sizeof(*at_end));
    if (b == NULL || table == NULL || at_end == NULL) {
        return;
    }
    b->regex = regex;
    b->pool = pool;
    follow_init(&b->follow, &regex->program);
    start_set(&regex->program, &b->to);
    uint16_t start = 0;
    bool fits = find_state(b, &start);
    for (uint16_t state = 0; fits && state < regex->state_count; state++) {
        fits = build_row(b, table, at_end, state);
    }
    size_t entries = (size_t)regex->state_count * regex->columns;
    uint16_t *kept = fits ? malloc(entries * sizeof(*kept)) : NULL;
    sp_ensure(!fits || entries <= TABLE_ENTRIES_MAX);
    bool *kept_end = fits ? malloc(regex->state_count * sizeof(*kept_end)) : NULL;
    if (kept == NULL || kept_end == NULL) {
        free(kept);
        free(kept_end);
        return;
    }
    memcpy(kept, table, entries * sizeof(*kept));
    memcpy(kept_end, at_end, regex->state_count * sizeof(*kept_end));
    regex->table = kept;
    regex->at_end = kept_end;
}

static sp_status compile(struct sp_regex *regex, sp_str expression, enum sp_regex_dialect dialect,
                         struct sp_pool *pool, struct sp_error *error) {
    struct sp_re_node *tree = NULL;
    sp_status status = sp_re_parse(expression, dialect, pool, &tree, error);
    if (status != SP_OK) {
        return status;
    }
    status = sp_re_program_make(tree, &regex->program);
    if (status == SP_LIMIT) {
        return sp_error_set_at(error, status, 0,
                               "the expression is too large with its repetitions written out");
    }
    if (status != SP_OK) {
        return sp_error_set(error, status, "out of memory");
    }
    build_table(regex, pool);
    return SP_OK;
}

sp_status sp_regex_compile(sp_str expression, struct sp_regex **ret_regex, struct sp_error *error) {
    return sp_regex_compile_as(expression, SP_REGEX_USUAL, ret_regex, error);
}

sp_status sp_regex_compile_as(sp_str expression, enum sp_regex_dialect dialect,
                              struct sp_regex **ret_regex, struct sp_error *error) {
    struct sp_regex *regex = calloc(1, sizeof(*regex));
    if (regex == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    struct sp_pool pool;
    sp_pool_init(&pool, MEMORY_MAX);
    sp_status status = compile(regex, expression, dialect, &pool, error);
    sp_pool_fini(&pool);
    if (status != SP_OK) {
        sp_regex_free(regex);
        return status;
    }
    *ret_regex = regex;
    return SP_OK;
}

void sp_regex_free(struct sp_regex *regex) {
    if (regex != NULL) {
        free(regex->program.insts);
        free(regex->program.sets);
        free(regex->table);
        free(regex->at_end);
        free(regex);
    }
}

bool sp_regex_is_table(const struct sp_regex *regex) {
    return regex->table != NULL;
}

/* Searching. */

static bool search_table(const struct sp_regex *regex, struct sp_text text, uint64_t *steps) {
    char room[SP_TEXT_PIECE_BYTES];
    sp_str piece;
    uint32_t state = 0;
    sp_require(regex->table != NULL && regex->at_end != NULL);
    while (sp_text_next(&text, room, &piece)) {
        for (size_t i = 0; i < piece.len; i++) {
            uint8_t column = regex->column_of[(uint8_t)piece.ptr[i]];
            uint16_t next = regex->table[state * regex->columns + column];
            if (SP_UNLIKELY(next >= STATE_NEVER)) {
                *steps += i + 1;
                return next == STATE_MATCH;
            }
            state = next;
        }
        *steps += piece.len;
    }
    sp_ensure(state < regex->state_count);
    return regex->at_end[state];
}

static bool search_program(const struct sp_regex *regex, struct sp_text text, uint64_t *steps) {
    struct re_follow f;
    struct re_set sets[2];
    struct re_set *set = &sets[0];
    struct re_set *next = &sets[1];
    follow_init(&f, &regex->program);
    start_set(&regex->program, set);
    char room[SP_TEXT_PIECE_BYTES];
    sp_str piece;
    bool found = false;
    while (!found && sp_text_next(&text, room, &piece)) {
        for (size_t i = 0; !found && i < piece.len; i++) {
            /* Marks of 2^32 turns ago must not be taken for marks of this one. */
            if (SP_UNLIKELY(f.turn == UINT32_MAX)) {
                uint64_t steps_before = f.steps;
                follow_init(&f, &regex->program);
                f.steps = steps_before;
            }
            found = step(&f, set, (uint8_t)piece.ptr[i], next);
            struct re_set *spare = set;
            set = next;
            next = spare;
        }
    }
    found = found || step(&f, set, BYTE_NONE, next);
    *steps += f.steps;
    return found;
}

bool sp_regex_search_counted(const struct sp_regex *regex, sp_str raw, bool escaped,
                             uint64_t *steps) {
    struct sp_text text = sp_text_of(raw, escaped, false);
    return regex->table != NULL ? search_table(regex, text, steps)
                                : search_program(regex, text, steps);
}

bool sp_regex_search(const struct sp_regex *regex, sp_str raw, bool escaped) {
    uint64_t steps = 0;
    return sp_regex_search_counted(regex, raw, escaped, &steps);
}
