/*
 * A filter of spoor's dialect is a decision graph. From its entry on, as long as failing a test
 * means failing the filter, every test must hold: among these one is looked for that compares with
 * a single text or number.
 */
#include "match/demand.h"

#include <stdlib.h>

#include "base/hash.h"
#include "match/filter_parts.h"

enum { READER_BYTES_MAX = 1 << 20 };

struct sp_demand_reader {
    struct sp_pool pool;
    struct sp_paths paths; /* in the order of sp_demands.paths */
    struct sp_path_values values;
};

void sp_demands_init(struct sp_demands *demands) {
    *demands = (struct sp_demands){.path_count = 0};
}

static void reader_free(struct sp_demand_reader *reader) {
    if (reader != NULL) {
        sp_pool_fini(&reader->pool);
        free(reader);
    }
}

void sp_demands_fini(struct sp_demands *demands) {
    for (uint32_t i = 0; i < demands->path_count; i++) {
        free(demands->paths[i].text);
    }
    reader_free(demands->reader);
    *demands = (struct sp_demands){.path_count = 0};
}

/* -- Keys -------------------------------------------------------------------------------------- */

static uint64_t key_of(sp_str path, enum sp_value_type type, const void *bytes, size_t len) {
    uint64_t seed = sp_hash_seeded(path.ptr, path.len, (uint64_t)type);
    return sp_hash_seeded(bytes, len, seed);
}

/* Numbers that are equal have the same double, whatever their digits; 0 and -0 too. */
static uint64_t key_of_number(sp_str path, sp_str digits) {
    double number = sp_json_number(digits);
    number = number == 0 ? 0 : number;
    return key_of(path, SP_TYPE_NUMBER, &number, sizeof(number));
}

/* Paths that mean the same under their own name: what is left out has a form of its own. */
static bool is_plain_path(const struct sp_path *path) {
    return path->kind == SP_PATH_ATTRIBUTE || path->kind == SP_PATH_ALIAS ||
           path->kind == SP_PATH_TREE;
}

static bool demands_one(const struct sp_filter *filter, const struct sp_test *test) {
    return test->kind == SP_TEST_EQUAL && test->operand_count == 1 && !test->reads_number &&
           (test->operands[0].type == SP_TYPE_TEXT || test->operands[0].type == SP_TYPE_NUMBER) &&
           is_plain_path(&filter->paths.paths[test->path]);
}

/* The test that names what the filter demands, NULL where it has none. */
static const struct sp_test *find_test(const struct sp_filter *filter) {
    uint16_t at = filter->eventbridge != NULL ? SP_TEST_ACCEPT : filter->entry;
    while (at < filter->test_count) {
        const struct sp_test *test = &filter->tests[at];
        if (test->no != SP_TEST_REJECT) {
            return NULL; /* from here on it may go another way */
        }
        if (demands_one(filter, test)) {
            return test;
        }
        at = test->yes;
    }
    return NULL;
}

static sp_str path_of(const struct sp_filter *filter, const struct sp_test *test) {
    return filter->paths.paths[test->path].name;
}

/* -- Paths in use ------------------------------------------------------------------------------ */

static uint32_t find_path(const struct sp_demands *demands, sp_str text) {
    uint32_t i = 0;
    while (i < demands->path_count &&
           !sp_str_eq(sp_str_of(demands->paths[i].text, demands->paths[i].len), text)) {
        i++;
    }
    return i;
}

/* Compiles the paths anew, after one came or went. */
static bool make_reader(struct sp_demands *demands) {
    struct sp_demand_reader *reader = NULL;
    bool made = true;
    if (demands->path_count > 0) {
        reader = calloc(1, sizeof(*reader));
        made = reader != NULL;
    }
    if (reader != NULL) {
        sp_pool_init(&reader->pool, READER_BYTES_MAX);
        sp_paths_init(&reader->paths, &reader->pool);
    }
    for (uint32_t i = 0; made && i < demands->path_count; i++) {
        uint16_t number = 0;
        sp_str text = sp_str_of(demands->paths[i].text, demands->paths[i].len);
        made = sp_paths_add(&reader->paths, text, false, &number, NULL) == SP_OK && number == i;
    }
    if (!made) {
        reader_free(reader);
        return false;
    }
    reader_free(demands->reader);
    demands->reader = reader;
    return true;
}

static bool add_path(struct sp_demands *demands, sp_str text) {
    if (demands->path_count == SP_DEMAND_PATHS_MAX) {
        return false;
    }
    char *copy = malloc(text.len + 1);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    demands->paths[demands->path_count++] =
        (struct sp_demand_path){.text = copy, .len = (uint32_t)text.len};
    if (!make_reader(demands)) {
        demands->path_count--;
        free(copy);
        return false;
    }
    return true;
}

bool sp_demands_add(struct sp_demands *demands, const struct sp_filter *filter, uint64_t *ret_key) {
    const struct sp_test *test = find_test(filter);
    if (test == NULL) {
        return false;
    }
    sp_str path = path_of(filter, test);
    uint32_t number = find_path(demands, path);
    if (number == demands->path_count && !add_path(demands, path)) {
        return false;
    }
    demands->paths[number].users++;
    const struct sp_operand *operand = &test->operands[0];
    *ret_key = operand->type == SP_TYPE_NUMBER
                   ? key_of_number(path, operand->text)
                   : key_of(path, SP_TYPE_TEXT, operand->text.ptr, operand->text.len);
    return true;
}

void sp_demands_remove(struct sp_demands *demands, const struct sp_filter *filter) {
    const struct sp_test *test = find_test(filter);
    sp_require(test != NULL);
    uint32_t number = find_path(demands, path_of(filter, test));
    sp_require(number < demands->path_count && demands->paths[number].users > 0);
    if (--demands->paths[number].users > 0) {
        return;
    }
    struct sp_demand_path gone = demands->paths[number];
    for (uint32_t i = number + 1; i < demands->path_count; i++) {
        demands->paths[i - 1] = demands->paths[i];
    }
    demands->path_count--;
    if (make_reader(demands)) {
        free(gone.text);
        return;
    }
    for (uint32_t i = demands->path_count; i > number; i--) { /* no memory: it stays */
        demands->paths[i] = demands->paths[i - 1];
    }
    demands->paths[number] = gone;
    demands->path_count++;
}

/* -- Events ------------------------------------------------------------------------------------ */

/* False where the value is no text and no number, or a text that no filter can have been given. */
static bool key_of_value(sp_str path, struct sp_value value, uint64_t *ret_key) {
    if (value.type == SP_TYPE_NUMBER) {
        *ret_key = key_of_number(path, value.raw);
        return true;
    }
    if (value.type != SP_TYPE_TEXT) {
        return false;
    }
    if (!value.escaped) {
        *ret_key = key_of(path, SP_TYPE_TEXT, value.raw.ptr, value.raw.len);
        return true;
    }
    struct sp_buf plain;
    sp_buf_init(&plain, SP_EVENT_SIZE_BYTES_MAX);
    sp_json_unescape(&plain, value.raw);
    bool made = plain.status == SP_OK;
    if (made) {
        *ret_key = key_of(path, SP_TYPE_TEXT, plain.data, plain.len);
    }
    sp_buf_fini(&plain);
    return made;
}

size_t sp_demands_of(const struct sp_demands *demands, const struct sp_event *event,
                     uint64_t ret_keys[SP_DEMAND_PATHS_MAX]) {
    struct sp_demand_reader *reader = demands->reader;
    size_t count = 0;
    if (reader == NULL) {
        return 0;
    }
    sp_path_values_init(&reader->values, event);
    for (uint32_t i = 0; i < demands->path_count; i++) {
        struct sp_value value = sp_path_get(&reader->paths, &reader->values, (uint16_t)i);
        sp_str path = sp_str_of(demands->paths[i].text, demands->paths[i].len);
        count += key_of_value(path, value, &ret_keys[count]);
    }
    return count;
}
