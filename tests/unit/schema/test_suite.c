/*
 * The official suite of JSON Schema, draft 2020-12: every required test, with the documents that it
 * expects to be found at localhost:1234; of the optional tests those that this validator means to
 * pass. The suite lies beside the checkout, in $SPOOR_SHARED or ../shared; where it is absent the
 * tests are skipped, and say so.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "schema/json_schema.h"
#include "schema/tape.h"

enum { DOCUMENTS_MAX = 128, PATH_SIZE = 4096 };

static char folder[PATH_SIZE];
static struct sp_schema_document documents[DOCUMENTS_MAX];
static size_t document_count;

struct score {
    unsigned passed;
    unsigned failed;
};

static sp_str read_whole(const char *path) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    char *bytes = malloc((size_t)size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), (size_t)size);
    fclose(file);
    return sp_str_of(bytes, (size_t)size);
}

static void free_str(sp_str s) {
    free((void *)(uintptr_t)s.ptr);
}

/* Takes in the documents of one folder, under their path from `remotes`. */
static void read_remotes(const char *below) {
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%.3000s/remotes%.500s", folder, below);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char inner[PATH_SIZE];
        struct stat found;
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(inner, sizeof(inner), "%.500s/%s", below, entry->d_name);
        snprintf(path, sizeof(path), "%.3000s/remotes%.900s", folder, inner);
        assert_int_equal(stat(path, &found), 0);
        if (S_ISDIR(found.st_mode)) {
            read_remotes(inner);
            continue;
        }
        char *uri = malloc(PATH_SIZE);
        assert_non_null(uri);
        int len = snprintf(uri, PATH_SIZE, "http://localhost:1234%.900s", inner);
        assert_true(document_count < DOCUMENTS_MAX);
        documents[document_count].uri = sp_str_of(uri, (size_t)len);
        documents[document_count++].text = read_whole(path);
    }
    closedir(dir);
}

static bool find_suite(void) {
    const char *shared = getenv("SPOOR_SHARED");
    const char *source = getenv("SPOOR_SOURCE");
    if (shared != NULL) {
        snprintf(folder, sizeof(folder), "%.2000s/data/json-schema-test-suite", shared);
    } else {
        snprintf(folder, sizeof(folder), "%.2000s/../shared/data/json-schema-test-suite",
                 source != NULL ? source : ".");
    }
    DIR *dir = opendir(folder);
    if (dir != NULL) {
        closedir(dir);
    }
    return dir != NULL;
}

static int set_up(void **state) {
    (void)state;
    if (find_suite()) {
        read_remotes("");
    } else {
        printf("# %s is not there: the suite is not run\n", folder);
        folder[0] = '\0';
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (size_t i = 0; i < document_count; i++) {
        free_str(documents[i].uri);
        free_str(documents[i].text);
    }
    return 0;
}

/* The text of the member's value. */
static sp_str raw_member(const struct sp_tape *tape, uint32_t at, const char *name) {
    uint32_t value = sp_tape_member(tape, at, sp_str_from(name));
    assert_true(value != UINT32_MAX);
    const struct sp_tape_node *node = &tape->nodes[value];
    uint32_t from = node->offset - (node->type == SP_JSON_STRING);
    struct sp_json json;
    sp_json_init(&json, sp_str_from_byte(tape->text, from));
    return sp_json_skip(&json, sp_json_next(&json));
}

static sp_str text_member(const struct sp_tape *tape, uint32_t at, const char *name) {
    return sp_tape_str(&tape->nodes[sp_tape_member(tape, at, sp_str_from(name))]);
}

static void run_case(const char *file, const struct sp_tape *tape, uint32_t at, bool formats,
                     struct score *score) {
    struct sp_schema_options options = {
        .documents = documents, .document_count = document_count, .asserts_formats = formats};
    struct sp_schema *schema = NULL;
    struct sp_error error;
    sp_str about = text_member(tape, at, "description");
    sp_status status = sp_schema_compile(raw_member(tape, at, "schema"), &options, &schema, &error);
    if (status != SP_OK) {
        printf("# %s: %.*s: %s\n", file, SP_STR_ARG(about), error.text);
    }
    uint32_t tests = sp_tape_member(tape, at, SP_STR("tests"));
    for (uint32_t test = tests + 1; test < tape->nodes[tests].next; test = tape->nodes[test].next) {
        uint32_t valid = sp_tape_member(tape, test, SP_STR("valid"));
        bool wanted = tape->nodes[valid].type == SP_JSON_TRUE;
        struct sp_schema_fault fault = {.text = ""};
        sp_status found =
            schema != NULL ? sp_schema_check(schema, NULL, raw_member(tape, test, "data"), &fault)
                           : SP_FAILED;
        bool passed = found == (wanted ? SP_OK : SP_INVALID);
        score->passed += passed;
        score->failed += !passed;
        if (!passed) {
            printf("# %s: %.*s: %.*s: %s %s\n", file, SP_STR_ARG(about),
                   SP_STR_ARG(text_member(tape, test, "description")), sp_status_name(found),
                   fault.text);
        } else if (!wanted) {
            assert_true(fault.text[0] != '\0');
        }
    }
    sp_schema_unref(schema);
}

static void run_file(const char *name, bool formats, struct score *score) {
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%.3000s/tests/draft2020-12/%.500s", folder, name);
    sp_str text = read_whole(path);
    struct sp_tape tape;
    sp_tape_init(&tape);
    assert_int_equal(sp_tape_read(&tape, text, NULL), SP_OK);
    for (uint32_t at = 1; at < tape.count; at = tape.nodes[at].next) {
        run_case(name, &tape, at, formats, score);
    }
    sp_tape_fini(&tape);
    free_str(text);
}

/*
 * What is left out: a schema of another draft, which is refused; formats of internationalized names
 * and templates, which are not known; and those of names and URIs, whose every detail is not looked
 * at.
 */
static bool is_left_out(const char *name) {
    static const char *const NAMES[] = {
        "cross-draft.json",  "idn-email.json", "idn-hostname.json",
        "hostname.json",     "iri.json",       "iri-reference.json",
        "uri-template.json", "uri.json",       "uri-reference.json",
    };
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void run_folder(const char *below, bool formats, struct score *score) {
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%.3000s/tests/draft2020-12/%.500s", folder, below);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char name[PATH_SIZE];
        size_t len = strlen(entry->d_name);
        if (len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0 &&
            !is_left_out(entry->d_name)) {
            snprintf(name, sizeof(name), "%.500s%s", below, entry->d_name);
            run_file(name, formats, score);
        }
    }
    closedir(dir);
}

static void required_tests(void **state) {
    (void)state;
    if (folder[0] == '\0') {
        skip();
    }
    struct score score = {0};
    run_folder("", false, &score);
    printf("# required: %u passed, %u failed\n", score.passed, score.failed);
    assert_true(score.passed > 1000);
    assert_int_equal(score.failed, 0);
}

static void optional_tests(void **state) {
    (void)state;
    if (folder[0] == '\0') {
        skip();
    }
    struct score score = {0};
    run_folder("optional/", false, &score);
    printf("# optional: %u passed, %u failed\n", score.passed, score.failed);
    assert_int_equal(score.failed, 0);
}

static void format_tests(void **state) {
    (void)state;
    if (folder[0] == '\0') {
        skip();
    }
    struct score score = {0};
    run_folder("optional/format/", true, &score);
    printf("# formats: %u passed, %u failed\n", score.passed, score.failed);
    assert_int_equal(score.failed, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(required_tests),
        cmocka_unit_test(optional_tests),
        cmocka_unit_test(format_tests),
    };
    return cmocka_run_group_tests_name("schema_suite", tests, set_up, tear_down);
}
