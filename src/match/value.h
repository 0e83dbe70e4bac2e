/*
 * Values as filters see them: where they lie in the event, and how they compare. pure
 *
 * Equality is of the same kind of value only: numbers by value (1, 1.0 and 1e0 are equal), strings
 * byte by byte. Order is defined between two numbers, and between two strings: by rank where both
 * are words of the same scale, else bytewise over UTF-8. All else is not ordered, neither below nor
 * above.
 */
#ifndef SP_MATCH_VALUE_H
#define SP_MATCH_VALUE_H

#include "base/json.h"

enum sp_value_type {
    SP_TYPE_MISSING = 0,
    SP_TYPE_NULL,
    SP_TYPE_FALSE,
    SP_TYPE_TRUE,
    SP_TYPE_NUMBER,
    SP_TYPE_TEXT,
    SP_TYPE_OBJECT,
    SP_TYPE_ARRAY,
};

/* A value of an event, borrowed from it. */
struct sp_value {
    enum sp_value_type type;
    bool escaped; /* TEXT: raw has JSON escapes */
    sp_str
        raw; /* TEXT: the bytes; NUMBER: its JSON text; ARRAY: from its bracket, perhaps further */
};

/* A value of a filter; its text outlives it. */
struct sp_operand {
    enum sp_value_type type; /* NULL, FALSE, TRUE, NUMBER or TEXT */
    bool is_integer;         /* NUMBER: `integer` is its exact value */
    uint8_t scale;           /* TEXT: the scale the word is on, 0 if on none */
    uint8_t rank;
    int64_t integer;
    sp_str text; /* TEXT: plain UTF-8; NUMBER: JSON text */
};

enum { SP_SCALE_SYNONYMS_MAX = 2 };

/* The value that a scanner's token is or begins. Not for keys and closing brackets. */
struct sp_value sp_value_of_token(struct sp_json_token token);

/* The value that the whole text is; missing where it is no JSON. Looks at the first token only. */
struct sp_value sp_value_of_json(sp_str text);

struct sp_operand sp_operand_of_text(sp_str text);
struct sp_operand sp_operand_of_number(sp_str text);
struct sp_operand sp_operand_of_word(enum sp_value_type type);

/* All words of the same scale and rank as the operand, itself included: 1 or 2. */
uint32_t sp_operand_synonyms(const struct sp_operand *operand,
                             sp_str ret_words[SP_SCALE_SYNONYMS_MAX]);

/* Ranks play no part here: `medium` is not `normal`. */
bool sp_value_equals(struct sp_value value, const struct sp_operand *operand);

/* False where the two have no order, else their order in *ret_order: negative, 0 or positive. */
bool sp_value_compare(struct sp_value value, const struct sp_operand *operand, int *ret_order);

/* True where the array has an element that equals one of the operands. O(array). */
bool sp_value_has_element(struct sp_value array, const struct sp_operand *operands, uint32_t count);

#endif
