/*
 * From tree to program. Instructions are written from the end of the expression to its beginning,
 * so that each knows what follows it; only a loop has to be closed afterwards.
 */
#include <stdlib.h>

#include "match/regex_parts.h"

enum {
    EMITS_MAX = 64 * SP_REGEX_PROGRAM_MAX, /* repetitions of nothing write nothing, and take time */
    SEQUENCE_BYTES_MAX = 4,
    SETS_MAX = SP_REGEX_PROGRAM_MAX,
    BRANCHES_MAX = 128, /* first bytes, or those that follow some: at most 64 and the ASCII ones */
};

struct re_emit {
    struct sp_re_program *program;
    uint32_t emits;
    bool full;
    bool out_of_memory;
};

static uint16_t inst_new(struct re_emit *e, struct sp_re_inst inst) {
    struct sp_re_program *program = e->program;
    if (program->count == SP_REGEX_PROGRAM_MAX) {
        e->full = true;
        return 0;
    }
    /* What follows is written already; a loop is closed when its body is. */
    sp_require(inst.op == SP_RE_MATCH || inst.next < program->count);
    program->insts[program->count] = inst;
    return program->count++;
}

static uint16_t emit_split(struct re_emit *e, uint16_t next, uint16_t other) {
    return inst_new(e, (struct sp_re_inst){.op = SP_RE_SPLIT, .next = next, .other = other});
}

/* The instruction, or one like it among those from `first` on: equal tails of a class are one. */
static uint16_t inst_shared(struct re_emit *e, uint16_t first, struct sp_re_inst inst) {
    for (uint16_t i = first; i < e->program->count; i++) {
        if (memcmp(&e->program->insts[i], &inst, sizeof(inst)) == 0) {
            return i;
        }
    }
    return inst_new(e, inst);
}

/* The number of a set of bytes. */
static uint16_t set_number(struct re_emit *e, const struct sp_re_bytes *bytes) {
    struct sp_re_program *program = e->program;
    for (uint16_t i = 0; i < program->set_count; i++) {
        if (memcmp(&program->sets[i], bytes, sizeof(*bytes)) == 0) {
            return i;
        }
    }
    uint16_t count = program->set_count;
    if (count == SETS_MAX) {
        e->full = true;
        return 0;
    }
    if ((count & (count - 1)) == 0) { /* room is a power of two */
        size_t room = count == 0 ? 1 : 2 * (size_t)count;
        struct sp_re_bytes *sets = realloc(program->sets, room * sizeof(*sets));
        if (sets == NULL) {
            e->out_of_memory = true;
            e->full = true;
            return 0;
        }
        program->sets = sets;
    }
    program->sets[count] = *bytes;
    return program->set_count++;
}

/* Code points of one length in UTF-8 that are the product of byte ranges, as bytes. */
struct byte_sequence {
    uint8_t low[SEQUENCE_BYTES_MAX];
    uint8_t high[SEQUENCE_BYTES_MAX];
    uint32_t len;
};

static uint32_t encode(uint32_t code, uint8_t *to) {
    sp_require(code <= SP_RE_CODE_MAX && (code < 0xd800 || code > 0xdfff));
    if (code < 0x80) {
        to[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (uint8_t)(0xc0 | code >> 6);
        to[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (uint8_t)(0xe0 | code >> 12);
        to[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        to[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | code >> 18);
    to[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    to[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    to[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

/*
 * The last code point such that first to it is one byte sequence: where lengths change, around the
 * surrogates, and where the bytes behind the leading one do not run through all their values.
 */
static uint32_t sequence_end(uint32_t first, uint32_t last) {
    sp_require(first <= last && last <= SP_RE_CODE_MAX);
    static const uint32_t ENDS[] = {0x7f, 0x7ff, 0xd7ff, 0xffff, SP_RE_CODE_MAX};
    for (int i = 0; i < 5; i++) {
        if (first <= ENDS[i] && last > ENDS[i]) {
            last = ENDS[i];
        }
    }
    if (first < 0x80) {
        return last;
    }
    for (uint32_t bits = 6; bits <= 18; bits += 6) {
        uint32_t mask = (UINT32_C(1) << bits) - 1;
        if ((first & ~mask) != (last & ~mask)) {
            last = (first & mask) != 0     ? first | mask
                   : (last & mask) != mask ? (last & ~mask) - 1
                                           : last;
        }
    }
    return last;
}

/* The sequences of a class, in their order. */
struct class_bytes {
    struct byte_sequence *items;
    uint32_t count;
    uint32_t room;
};

static bool add_sequence(struct re_emit *e, struct class_bytes *all, uint32_t first,
                         uint32_t last) {
    if (all->count == all->room) {
        uint32_t room = all->room == 0 ? 16 : 2 * all->room;
        struct byte_sequence *items = realloc(all->items, room * sizeof(*items));
        if (items == NULL) {
            e->out_of_memory = true;
            e->full = true;
            return false;
        }
        all->items = items;
        all->room = room;
    }
    struct byte_sequence *bytes = &all->items[all->count++];
    bytes->len = encode(first, bytes->low);
    uint32_t last_len = encode(last, bytes->high);
    sp_invariant(last >= first && last_len == bytes->len);
    return true;
}

static void find_sequences(struct re_emit *e, const struct sp_re_node *node,
                           struct class_bytes *all) {
    for (uint32_t i = 0; i < node->range_count; i++) {
        uint32_t first = node->ranges[i].first;
        while (first <= node->ranges[i].last) {
            if (first >= 0xd800 && first <= 0xdfff) {
                first = 0xe000; /* surrogates are no characters */
                continue;
            }
            uint32_t last = sequence_end(first, node->ranges[i].last);
            if (!add_sequence(e, all, first, last)) {
                return;
            }
            first = last + 1;
        }
    }
}

/* Bytes that lead to one and the same instruction. */
struct branch {
    uint16_t next;
    struct sp_re_bytes bytes;
};

static void add_branch(struct branch *branches, uint32_t *count, uint16_t next, uint8_t low,
                       uint8_t high) {
    uint32_t at = 0;
    while (at < *count && branches[at].next != next) {
        at++;
    }
    if (at == *count) {
        sp_require(*count < BRANCHES_MAX);
        branches[(*count)++] = (struct branch){.next = next};
    }
    for (uint32_t byte = low; byte <= high; byte++) {
        branches[at].bytes.bits[byte >> 6] |= UINT64_C(1) << (byte & 63);
    }
}

/* Writes a branch: a range where its bytes are one, else a set. */
static uint16_t emit_branch(struct re_emit *e, const struct branch *branch, uint16_t first_inst) {
    uint32_t low = 0;
    while (!sp_re_bytes_has(&branch->bytes, (uint8_t)low)) {
        low++;
    }
    uint32_t high = low;
    while (high < 255 && sp_re_bytes_has(&branch->bytes, (uint8_t)(high + 1))) {
        high++;
    }
    bool range = true;
    for (uint32_t byte = high + 1; byte < 256 && range; byte++) {
        range = !sp_re_bytes_has(&branch->bytes, (uint8_t)byte);
    }
    struct sp_re_inst inst = {.op = range ? SP_RE_BYTE : SP_RE_SET, .next = branch->next};
    if (range) {
        inst.low = (uint8_t)low;
        inst.high = (uint8_t)high;
    } else {
        inst.other = set_number(e, &branch->bytes);
    }
    return e->full ? 0 : inst_shared(e, first_inst, inst);
}

/*
 * Writes sequences that agree in their first `place` bytes, from there on. What they have in common
 * is written once: beginnings for they stand together, ends for equal instructions are shared.
 */
static uint16_t emit_sequences(struct re_emit *e, const struct byte_sequence *items, uint32_t count,
                               uint32_t place, uint16_t first_inst, uint16_t next) {
    struct branch branches[BRANCHES_MAX];
    uint32_t branch_count = 0;
    sp_require(place < SEQUENCE_BYTES_MAX && count > 0);
    for (uint32_t i = 0; i < count && !e->full;) {
        uint8_t low = items[i].low[place];
        uint8_t high = items[i].high[place];
        uint32_t end = i + 1;
        uint16_t child = next;
        if (items[i].len > place + 1) {
            while (end < count && items[end].low[place] == low && items[end].high[place] == high) {
                end++;
            }
            child = emit_sequences(e, items + i, end - i, place + 1, first_inst, next);
        }
        add_branch(branches, &branch_count, child, low, high);
        i = end;
    }
    uint16_t entry = SP_RE_NONE;
    for (uint32_t i = branch_count; i > 0 && !e->full; i--) {
        uint16_t part = emit_branch(e, &branches[i - 1], first_inst);
        struct sp_re_inst split = {.op = SP_RE_SPLIT, .next = part, .other = entry};
        entry = entry == SP_RE_NONE || e->full ? part : inst_shared(e, first_inst, split);
    }
    return e->full ? 0 : entry;
}

static uint16_t emit_class(struct re_emit *e, const struct sp_re_node *node, uint16_t next) {
    struct class_bytes all = {.items = NULL};
    find_sequences(e, node, &all);
    uint16_t entry = 0;
    if (all.count == 0 && !e->full) { /* a class of nothing, [^\s\S]: no byte is from 1 to 0 */
        entry = inst_new(e, (struct sp_re_inst){.op = SP_RE_BYTE, .low = 1, .next = next});
    } else if (!e->full) {
        entry = emit_sequences(e, all.items, all.count, 0, e->program->count, next);
    }
    free(all.items);
    return entry;
}

static uint16_t emit(struct re_emit *e, const struct sp_re_node *node, uint16_t next);

static uint16_t emit_repeat(struct re_emit *e, const struct sp_re_node *node, uint16_t next) {
    const struct sp_re_node *part = node->last_part;
    sp_require(part != NULL && part->prev == NULL && node->min <= node->max);
    uint16_t entry = next;
    uint32_t min = node->min;
    if (node->max == UINT32_MAX) {
        uint16_t loop = emit_split(e, next, next);
        uint16_t body = emit(e, part, loop);
        if (e->full) {
            return 0;
        }
        e->program->insts[loop].next = body;
        entry = min == 0 ? loop : body;
        min -= min > 0;
    } else {
        for (uint32_t i = node->min; i < node->max && !e->full; i++) {
            entry = emit_split(e, emit(e, part, entry), next);
        }
    }
    for (uint32_t i = 0; i < min && !e->full; i++) {
        entry = emit(e, part, entry);
    }
    return entry;
}

static uint16_t emit(struct re_emit *e, const struct sp_re_node *node, uint16_t next) {
    if (++e->emits > EMITS_MAX) {
        e->full = true;
    }
    if (e->full) {
        return 0;
    }
    switch (node->kind) {
    case SP_RE_EMPTY:
        return next;
    case SP_RE_CLASS:
        return emit_class(e, node, next);
    case SP_RE_CAT:
        for (const struct sp_re_node *part = node->last_part; part != NULL; part = part->prev) {
            next = emit(e, part, next);
        }
        return next;
    case SP_RE_ALT: {
        uint16_t entry = emit(e, node->last_part, next);
        for (const struct sp_re_node *part = node->last_part->prev; part != NULL;
             part = part->prev) {
            entry = emit_split(e, emit(e, part, next), entry);
        }
        return entry;
    }
    case SP_RE_REPEAT:
        return emit_repeat(e, node, next);
    case SP_RE_ASSERT:
        e->program->has_places = true;
        return inst_new(
            e, (struct sp_re_inst){.op = SP_RE_AT, .place = (uint8_t)node->place, .next = next});
    }
    sp_never();
}

sp_status sp_re_program_make(const struct sp_re_node *tree, struct sp_re_program *ret_program) {
    struct sp_re_program program = {.count = 0};
    program.insts = malloc(SP_REGEX_PROGRAM_MAX * sizeof(*program.insts));
    if (program.insts == NULL) {
        return SP_NO_MEMORY;
    }
    struct re_emit e = {.program = &program};
    uint16_t match = inst_new(&e, (struct sp_re_inst){.op = SP_RE_MATCH});
    program.start = emit(&e, tree, match);
    if (e.full) {
        free(program.insts);
        free(program.sets);
        return e.out_of_memory ? SP_NO_MEMORY : SP_LIMIT;
    }
    struct sp_re_inst *exact = realloc(program.insts, program.count * sizeof(*exact));
    program.insts = exact != NULL ? exact : program.insts;
    sp_ensure(program.count >= 1 && program.start < program.count);
    *ret_program = program;
    return SP_OK;
}
