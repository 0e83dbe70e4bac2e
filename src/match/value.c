#include "match/value.h"

enum { INTEGER_DIGITS_MAX = 18 };

struct scale_word {
    sp_str word;
    uint8_t scale;
    uint8_t rank;
};

#define WORD(text, scale, rank)                                                                    \
    { {(text), sizeof(text) - 1}, (scale), (rank) }

/* The known scales; two words of one rank are as good as one another. */
static const struct scale_word SCALES[] = {
    WORD("low", 1, 1),      WORD("medium", 1, 2), WORD("normal", 1, 2), WORD("high", 1, 3),
    WORD("critical", 1, 4), WORD("urgent", 1, 4), WORD("debug", 2, 1),  WORD("info", 2, 2),
    WORD("warning", 2, 3),  WORD("error", 2, 4),  WORD("fatal", 2, 5),
};

enum {
    SCALE_WORDS = sizeof(SCALES) / sizeof(SCALES[0]),
    SCALE_WORD_BYTES_MIN = 3,
    SCALE_WORD_BYTES_MAX = 8,
};

static int compare_texts(struct sp_value value, sp_str text) {
    struct sp_json_token token = {
        .type = SP_JSON_STRING, .escaped = value.escaped, .raw = value.raw};
    return sp_json_compare(token, text);
}

static const struct scale_word *find_word(struct sp_value value) {
    if (!value.escaped &&
        (value.raw.len < SCALE_WORD_BYTES_MIN || value.raw.len > SCALE_WORD_BYTES_MAX)) {
        return NULL;
    }
    for (uint32_t i = 0; i < SCALE_WORDS; i++) {
        if (compare_texts(value, SCALES[i].word) == 0) {
            return &SCALES[i];
        }
    }
    return NULL;
}

struct sp_value sp_value_of_token(struct sp_json_token token) {
    struct sp_value value = {.type = SP_TYPE_MISSING, .escaped = token.escaped, .raw = token.raw};
    switch (token.type) {
    case SP_JSON_OBJECT:
        value.type = SP_TYPE_OBJECT;
        break;
    case SP_JSON_ARRAY:
        value.type = SP_TYPE_ARRAY;
        break;
    case SP_JSON_STRING:
        value.type = SP_TYPE_TEXT;
        break;
    case SP_JSON_NUMBER:
        value.type = SP_TYPE_NUMBER;
        break;
    case SP_JSON_TRUE:
        value.type = SP_TYPE_TRUE;
        break;
    case SP_JSON_FALSE:
        value.type = SP_TYPE_FALSE;
        break;
    case SP_JSON_NULL:
        value.type = SP_TYPE_NULL;
        break;
    case SP_JSON_KEY:
    case SP_JSON_OBJECT_END:
    case SP_JSON_ARRAY_END:
    case SP_JSON_ERROR:
    case SP_JSON_END:
        break;
    }
    return value;
}

struct sp_value sp_value_of_json(sp_str text) {
    struct sp_json json;
    sp_json_init(&json, text);
    struct sp_value value = sp_value_of_token(sp_json_next(&json));
    if (value.type == SP_TYPE_ARRAY || value.type == SP_TYPE_OBJECT) {
        value.raw.len = text.len - (size_t)(value.raw.ptr - text.ptr);
    }
    return value;
}

static bool read_integer(sp_str text, int64_t *ret_value) {
    bool negative = text.len > 0 && text.ptr[0] == '-';
    if (text.len == negative || text.len > INTEGER_DIGITS_MAX + (size_t)negative) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = negative; i < text.len; i++) {
        uint8_t digit = (uint8_t)(text.ptr[i] - '0');
        if (digit > 9) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret_value = negative ? -value : value;
    return true;
}

struct sp_operand sp_operand_of_text(sp_str text) {
    struct sp_operand operand = {.type = SP_TYPE_TEXT, .text = text};
    const struct scale_word *word = find_word((struct sp_value){.type = SP_TYPE_TEXT, .raw = text});
    if (word != NULL) {
        operand.scale = word->scale;
        operand.rank = word->rank;
    }
    return operand;
}

struct sp_operand sp_operand_of_number(sp_str text) {
    sp_require(text.len > 0);
    struct sp_operand operand = {.type = SP_TYPE_NUMBER, .text = text};
    operand.is_integer = read_integer(text, &operand.integer);
    return operand;
}

struct sp_operand sp_operand_of_word(enum sp_value_type type) {
    sp_require(type == SP_TYPE_NULL || type == SP_TYPE_TRUE || type == SP_TYPE_FALSE);
    return (struct sp_operand){.type = type};
}

uint32_t sp_operand_synonyms(const struct sp_operand *operand,
                             sp_str ret_words[SP_SCALE_SYNONYMS_MAX]) {
    sp_require(operand->type == SP_TYPE_TEXT);
    uint32_t count = 0;
    for (uint32_t i = 0; operand->scale != 0 && i < SCALE_WORDS; i++) {
        if (SCALES[i].scale == operand->scale && SCALES[i].rank == operand->rank) {
            ret_words[count++] = SCALES[i].word;
        }
    }
    if (count == 0) {
        ret_words[count++] = operand->text;
    }
    sp_ensure(count >= 1 && count <= SP_SCALE_SYNONYMS_MAX);
    return count;
}

static int compare_numbers(sp_str raw, const struct sp_operand *operand) {
    sp_require(raw.len > 0 && operand->type == SP_TYPE_NUMBER);
    int64_t integer = 0;
    if (operand->is_integer && read_integer(raw, &integer)) {
        return (integer > operand->integer) - (integer < operand->integer);
    }
    return sp_json_compare_numbers(raw, operand->text);
}

bool sp_value_equals(struct sp_value value, const struct sp_operand *operand) {
    if (value.type != operand->type) {
        return false;
    }
    if (value.type == SP_TYPE_TEXT) {
        return value.escaped ? compare_texts(value, operand->text) == 0
                             : sp_str_eq(value.raw, operand->text);
    }
    return value.type != SP_TYPE_NUMBER || compare_numbers(value.raw, operand) == 0;
}

bool sp_value_compare(struct sp_value value, const struct sp_operand *operand, int *ret_order) {
    if (value.type != operand->type) {
        return false;
    }
    if (value.type == SP_TYPE_NUMBER) {
        *ret_order = compare_numbers(value.raw, operand);
        return true;
    }
    if (value.type != SP_TYPE_TEXT) {
        return false;
    }
    sp_invariant((operand->scale == 0) == (operand->rank == 0));
    const struct scale_word *word = operand->scale != 0 ? find_word(value) : NULL;
    if (word != NULL && word->scale == operand->scale) {
        *ret_order = word->rank - operand->rank;
    } else {
        *ret_order = compare_texts(value, operand->text);
    }
    return true;
}

bool sp_value_has_element(struct sp_value array, const struct sp_operand *operands,
                          uint32_t count) {
    sp_require(array.type == SP_TYPE_ARRAY);
    sp_require(operands != NULL && count > 0);
    struct sp_json json;
    sp_json_init(&json, array.raw);
    struct sp_json_token token = sp_json_next(&json);
    sp_invariant(token.type == SP_JSON_ARRAY);
    for (;;) {
        token = sp_json_next(&json);
        if (token.type == SP_JSON_ARRAY_END || token.type == SP_JSON_ERROR ||
            token.type == SP_JSON_END) {
            return false;
        }
        struct sp_value element = sp_value_of_token(token);
        (void)sp_json_skip(&json, token);
        for (uint32_t i = 0; i < count; i++) {
            if (sp_value_equals(element, &operands[i])) {
                return true;
            }
        }
    }
}
