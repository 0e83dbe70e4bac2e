/*
 * Matching in the spoor dialect: from test to test through the decision graph that the compiler
 * made, until one says accept or reject. Values are read from the event when a test first asks for
 * them.
 */
#include "match/filter_parts.h"

/*
 * A text that is a JSON number becomes that number: a schema version is a text that people count.
 */
static struct sp_value as_number(struct sp_value value) {
    if (value.type == SP_TYPE_TEXT && !value.escaped) {
        struct sp_value number = sp_value_of_json(value.raw);
        if (number.type == SP_TYPE_NUMBER && number.raw.len == value.raw.len) {
            return number;
        }
    }
    return value;
}

static bool equals_any(struct sp_value value, const struct sp_test *test) {
    for (uint32_t i = 0; i < test->operand_count; i++) {
        if (sp_value_equals(value, &test->operands[i])) {
            return true;
        }
    }
    return false;
}

static bool is_ordered(struct sp_value value, const struct sp_test *test) {
    int order = 0;
    sp_require(test->operand_count == 1);
    if (!sp_value_compare(value, &test->operands[0], &order)) {
        return false;
    }
    uint8_t found = order < 0 ? SP_ORDER_LESS : order > 0 ? SP_ORDER_GREATER : SP_ORDER_EQUAL;
    return (test->orders & found) != 0;
}

static bool holds(const struct sp_test *test, struct sp_value value) {
    if (test->reads_number) {
        sp_invariant(test->kind == SP_TEST_EQUAL || test->kind == SP_TEST_ORDER);
        value = as_number(value);
    }
    switch (test->kind) {
    case SP_TEST_EXISTS:
        return value.type != SP_TYPE_MISSING;
    case SP_TEST_EQUAL:
        return equals_any(value, test);
    case SP_TEST_ORDER:
        return is_ordered(value, test);
    case SP_TEST_GLOB:
        return value.type == SP_TYPE_TEXT && sp_glob_match(&test->glob, value.raw, value.escaped);
    case SP_TEST_CONTAINS:
        if (value.type == SP_TYPE_ARRAY) {
            return sp_value_has_element(value, test->operands, test->operand_count);
        }
        return value.type == SP_TYPE_TEXT && test->operands[0].type == SP_TYPE_TEXT &&
               sp_glob_match(&test->glob, value.raw, value.escaped);
    case SP_TEST_REGEX:
        return value.type == SP_TYPE_TEXT && sp_regex_search(test->regex, value.raw, value.escaped);
    }
    sp_never();
}

SP_HOT bool sp_spoor_match(const struct sp_filter *filter, const struct sp_event *event) {
    struct sp_path_values values;
    sp_path_values_init(&values, event);
    uint16_t at = filter->entry;
    while (at < filter->test_count) {
        const struct sp_test *test = &filter->tests[at];
        struct sp_value value = sp_path_get(&filter->paths, &values, test->path);
        at = holds(test, value) ? test->yes : test->no;
    }
    sp_ensure(at == SP_TEST_ACCEPT || at == SP_TEST_REJECT);
    return at == SP_TEST_ACCEPT;
}
