/*
 * From tree to program. Instructions are written from the end of the expression to its beginning,
 * so that each knows what follows it; only a loop has to be closed afterwards.
 */
#include <stdlib.h>

#include "match/regex_parts.h"

enum {
    EMITS_MAX = 64 * SP_REGEX_PROGRAM_MAX, /* repetitions of nothing write nothing, and take time */
    SEQUENCE_BYTES_MAX = 4,
};

struct re_emit {
    struct sp_re_program *program;
    uint32_t emits;
    bool full;
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

/* Code points of one length in UTF-8 that are the product of byte ranges, as bytes. */
struct byte_sequence {
    uint8_t low[SEQUENCE_BYTES_MAX];
    uint8_t high[SEQUENCE_BYTES_MAX];
    uint32_t len;
};

/*
 * Writes the sequence before `next`. Equal tails of one class, from `first` on, are written once.
 */
static uint16_t emit_bytes(struct re_emit *e, const struct byte_sequence *bytes, uint16_t first,
                           uint16_t next) {
    sp_require(bytes->len >= 1 && bytes->len <= SEQUENCE_BYTES_MAX);
    for (uint32_t i = bytes->len; i > 0; i--) {
        struct sp_re_inst inst = {
            .op = SP_RE_BYTE, .low = bytes->low[i - 1], .high = bytes->high[i - 1], .next = next};
        uint16_t same = SP_RE_NONE;
        for (uint16_t k = first; k < e->program->count && same == SP_RE_NONE; k++) {
            const struct sp_re_inst *have = &e->program->insts[k];
            bool equal = have->op == SP_RE_BYTE && have->low == inst.low &&
                         have->high == inst.high && have->next == inst.next;
            same = equal ? k : SP_RE_NONE;
        }
        next = same != SP_RE_NONE ? same : inst_new(e, inst);
    }
    return next;
}

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

static uint16_t emit_class(struct re_emit *e, const struct sp_re_node *node, uint16_t next) {
    uint16_t first_inst = e->program->count;
    uint16_t entry = SP_RE_NONE;
    for (uint32_t i = 0; i < node->range_count; i++) {
        uint32_t first = node->ranges[i].first;
        while (first <= node->ranges[i].last && !e->full) {
            if (first >= 0xd800 && first <= 0xdfff) {
                first = 0xe000; /* surrogates are no characters */
                continue;
            }
            struct byte_sequence bytes;
            uint32_t last = sequence_end(first, node->ranges[i].last);
            bytes.len = encode(first, bytes.low);
            uint32_t last_len = encode(last, bytes.high);
            sp_invariant(last >= first && last_len == bytes.len);
            uint16_t part = emit_bytes(e, &bytes, first_inst, next);
            entry = entry == SP_RE_NONE ? part : emit_split(e, entry, part);
            first = last + 1;
        }
    }
    if (entry == SP_RE_NONE) { /* a class of nothing, [^\s\S]: no byte is from 1 to 0 */
        entry = inst_new(e, (struct sp_re_inst){.op = SP_RE_BYTE, .low = 1, .next = next});
    }
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
        return SP_LIMIT;
    }
    struct sp_re_inst *exact = realloc(program.insts, program.count * sizeof(*exact));
    program.insts = exact != NULL ? exact : program.insts;
    sp_ensure(program.count >= 1 && program.start < program.count);
    *ret_program = program;
    return SP_OK;
}
