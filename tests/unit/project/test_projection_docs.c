/*
 * The examples of docs/projections.md are true. A block of ```sql that begins with the header is a
 * whole file; ```events behind it are projected, one JSON object a line; ```rows has a query in its
 * first line and then its rows. A block of ```refused is a file and, behind `! `, what is said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "event/event_json.h"
#include "fold_help.h"

/* What the blocks so far have come to. */
struct page {
    struct sp_build *build; /* of the last file; NULL: none */
    uint64_t position;
    size_t files;
    size_t rows;
    size_t refused;
};

static void close_build(struct page *page) {
    if (page->build != NULL) {
        page->build->ops->close(page->build);
    }
    page->build = NULL;
    page->position = 0;
}

/* Makes a scratch build of a file; false with the error where it is refused. */
static bool try_file(sp_str text, struct sp_build **ret_build, struct sp_error *error) {
    struct sp_definition *definition = NULL;
    if (sp_definition_parse(text, &definition, error) != SP_OK) {
        return false;
    }
    sp_status status = sp_sqlite_scratch_new(definition, sp_clock_system(), NULL, ret_build, error);
    if (status != SP_OK) { /* as a sink says it */
        (void)sp_error_prefix(error, status, "%s", definition->name);
    }
    sp_definition_unref(definition);
    return status == SP_OK;
}

static void check_file(struct page *page, sp_str block) {
    struct sp_error error;
    close_build(page);
    if (!try_file(block, &page->build, &error)) {
        fail_msg("%.*s\n%s", SP_STR_ARG(block), error.text);
    }
    page->files++;
}

static void check_refused(struct page *page, sp_str block) {
    struct sp_build *build = NULL;
    struct sp_error error;
    size_t at = block.len - 1; /* of the last line */
    while (at > 0 && block.ptr[at - 1] != '\n') {
        at--;
    }
    sp_str said = sp_str_from_byte(block, at + 2);
    said.len -= said.ptr[said.len - 1] == '\n' ? 1 : 0;
    assert_true(sp_str_starts_with(sp_str_from_byte(block, at), SP_STR("! ")));
    assert_false(try_file(sp_str_of(block.ptr, at), &build, &error));
    if (!sp_str_starts_with(sp_str_from(error.text), said)) {
        fail_msg("`%s` is not `%.*s`", error.text, SP_STR_ARG(said));
    }
    page->refused++;
}

static sp_str next_line(sp_str *rest) {
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end != NULL ? (size_t)(end - rest->ptr) : rest->len;
    sp_str line = sp_str_of(rest->ptr, len);
    *rest = sp_str_from_byte(*rest, end != NULL ? len + 1 : len);
    return line;
}

/* Reads an event as an import would, and gives it what the store would. */
static void read_event(struct page *page, sp_str line, struct sp_buf *scratch,
                       struct sp_event *ret_event) {
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    struct sp_error error;
    if (sp_event_from_json(line, SP_EVENT_LENIENT, scratch, ret_event, &error) != SP_OK ||
        sp_event_check(ret_event, SP_EVENT_FROM_JSON, &limits, scratch, &error) != SP_OK) {
        fail_msg("%.*s: %s", SP_STR_ARG(line), error.text);
    }
    ret_event->position = ++page->position;
    ret_event->version = page->position;
    if (ret_event->attr[SP_ATTR_ID].ptr == NULL) {
        ret_event->attr[SP_ATTR_ID] = SP_STR("0195-made");
    }
    if (ret_event->attr[SP_ATTR_CORRELATION].ptr == NULL) {
        ret_event->attr[SP_ATTR_CORRELATION] = ret_event->attr[SP_ATTR_ID];
    }
}

static void check_events(struct page *page, sp_str block) {
    struct sp_build *build = page->build;
    struct sp_clauses *clauses = NULL;
    struct sp_error error;
    assert_non_null(build);
    assert_int_equal(sp_clauses_new(build->definition, &clauses, &error), SP_OK);
    assert_int_equal(build->ops->begin(build, &error), SP_OK);
    while (block.len > 0) {
        struct sp_buf scratch;
        struct sp_event event;
        const uint16_t *numbers = NULL;
        sp_buf_init(&scratch, 1 << 20);
        read_event(page, next_line(&block), &scratch, &event);
        size_t count = sp_clauses_of(clauses, &event, &numbers);
        if (build->ops->apply(build, &event, numbers, count, &error) != SP_OK) {
            fail_msg("%s", error.text);
        }
        sp_buf_fini(&scratch);
    }
    assert_int_equal(build->ops->commit(build, page->position, &error), SP_OK);
    sp_clauses_free(clauses);
}

/* One row as the documents show it. */
static void show_row(sqlite3_stmt *row, char *to, size_t size) {
    size_t len = 0;
    for (int i = 0; i < sqlite3_column_count(row) && len < size; i++) {
        const unsigned char *text = sqlite3_column_text(row, i);
        len += (size_t)snprintf(to + len, size - len, "%s%s", i > 0 ? "|" : "",
                                text != NULL ? (const char *)text : "NULL");
    }
}

static void check_rows(struct page *page, sp_str block) {
    assert_non_null(page->build);
    struct sqlite3 *db = sp_sqlite_handle(page->build);
    sqlite3_stmt *query = NULL;
    sp_str sql = next_line(&block);
    (void)sqlite3_set_authorizer(db, NULL, NULL);
    if (sqlite3_prepare_v2(db, sql.ptr, (int)sql.len, &query, NULL) != SQLITE_OK) {
        fail_msg("%.*s: %s", SP_STR_ARG(sql), sqlite3_errmsg(db));
    }
    while (block.len > 0) {
        char row[256] = "";
        sp_str expected = next_line(&block);
        assert_int_equal(sqlite3_step(query), SQLITE_ROW);
        show_row(query, row, sizeof(row));
        if (!sp_str_eq(sp_str_from(row), expected)) {
            fail_msg("`%s` is not `%.*s`", row, SP_STR_ARG(expected));
        }
        page->rows++;
    }
    assert_int_equal(sqlite3_step(query), SQLITE_DONE);
    (void)sqlite3_finalize(query);
    sp_sqlite_handle_return(page->build);
}

static void check_block(struct page *page, sp_str kind, sp_str block) {
    if (sp_str_eq(kind, SP_STR("```sql")) &&
        sp_str_starts_with(block, SP_STR("-- spoor: projection "))) {
        check_file(page, block);
    } else if (sp_str_eq(kind, SP_STR("```events"))) {
        check_events(page, block);
    } else if (sp_str_eq(kind, SP_STR("```rows"))) {
        check_rows(page, block);
    } else if (sp_str_eq(kind, SP_STR("```refused"))) {
        check_refused(page, block);
    }
}

static void check_page(struct page *page, sp_str text) {
    sp_str kind = {.ptr = NULL, .len = 0};
    const char *start = NULL;
    while (text.len > 0) {
        sp_str line = next_line(&text);
        if (!sp_str_starts_with(line, SP_STR("```"))) {
            continue;
        }
        if (start == NULL) {
            kind = line;
            start = text.ptr;
        } else {
            check_block(page, kind, sp_str_of(start, (size_t)(line.ptr - start)));
            start = NULL;
        }
    }
    assert_null(start);
    close_build(page);
}

static void the_examples_are_true(void **state) {
    (void)state;
    char path[1024];
    static char text[1 << 20];
    struct page page = {.build = NULL};
    const char *source = getenv("SPOOR_SOURCE");
    assert_non_null(source);
    (void)snprintf(path, sizeof(path), "%s/docs/projections.md", source);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text), file);
    assert_int_equal(fclose(file), 0);
    check_page(&page, sp_str_of(text, len));
    assert_true(page.files >= 3 && page.rows >= 5 && page.refused >= 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_examples_are_true)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
