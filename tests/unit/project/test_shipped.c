/* The read models that ship with the program: each is a projection file, under its own name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/os.h"
#include "project/definition.h"
#include "project/shipped.h"
#include "project/sqlite.h"

static void check_one(const struct sp_projects_shipped *shipped) {
    struct sp_definition *definition = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_definition_parse(shipped->text, &definition, &error) != SP_OK) {
        fail_msg("%.*s: %s", SP_STR_ARG(shipped->name), error.text);
    }
    assert_true(sp_str_eq(shipped->name, sp_str_from(definition->name)));
    assert_true(definition->clause_count > 0);
    bool own = false;
    for (uint32_t i = 0; i < definition->table_count; i++) {
        own = own || sp_str_eq(definition->tables[i].name, shipped->name);
    }
    assert_true(own); /* the table that people look for */
    sp_definition_unref(definition);
}

static void each_is_read(void **state) {
    (void)state;
    assert_true(sp_shipped_projection_count >= 9);
    for (size_t i = 0; i < sp_shipped_projection_count; i++) {
        check_one(&sp_shipped_projections[i]);
    }
}

static struct sp_event event_of(const char *type, const char *data, bool json) {
    struct sp_event event = {.position = 1, .recorded_us = 1};
    event.attr[SP_ATTR_ID] = SP_STR("e");
    event.attr[SP_ATTR_SOURCE] = SP_STR("s");
    event.attr[SP_ATTR_STREAM] = SP_STR("s");
    event.attr[SP_ATTR_CORRELATION] = SP_STR("r");
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.has_data = data != NULL;
    event.data_is_json = json;
    event.data = data == NULL ? (sp_str){0} : sp_str_from(data);
    return event;
}

/* Whatever the data is, a clause that is run for it must not stop the projection. */
static void take_anything(struct sp_definition *definition, struct sp_build *build) {
    static const struct {
        const char *text;
        bool json;
    } DATA[] = {
        {NULL, false}, {"{}", true},   {"5", true},        {"\"x\"", true},
        {"[1]", true}, {"null", true}, {"no JSON", false}, {"{\"error\":{\"message\":[1]}}", true}};
    struct sp_error error;
    sp_error_clear(&error);
    for (uint16_t c = 0; c < definition->clause_count; c++) {
        const struct sp_clause *clause = &definition->clauses[c];
        for (size_t i = 0; i < sizeof(DATA) / sizeof(DATA[0]); i++) {
            struct sp_event event = event_of("agent.started", DATA[i].text, DATA[i].json);
            if (clause->filter != NULL && !sp_filter_match(clause->filter, &event)) {
                continue;
            }
            assert_int_equal(build->ops->begin(build, &error), SP_OK);
            if (build->ops->apply(build, &event, &c, 1, &error) != SP_OK) {
                fail_msg("%s, line %u, %s: %s", definition->name, clause->line, DATA[i].text,
                         error.text);
            }
            build->ops->rollback(build);
        }
    }
}

static void each_runs_on_sqlite(void **state) {
    (void)state;
    for (size_t i = 0; i < sp_shipped_projection_count; i++) {
        struct sp_definition *definition = NULL;
        struct sp_build *build = NULL;
        struct sp_error error;
        sp_error_clear(&error);
        assert_int_equal(sp_definition_parse(sp_shipped_projections[i].text, &definition, &error),
                         SP_OK);
        if (sp_sqlite_scratch_new(definition, sp_clock_system(), NULL, &build, &error) != SP_OK) {
            fail_msg("%s: %s", definition->name, error.text);
        }
        take_anything(definition, build);
        build->ops->close(build);
        sp_definition_unref(definition);
    }
}

static void names_rise(void **state) {
    (void)state;
    for (size_t i = 1; i < sp_shipped_projection_count; i++) {
        sp_str before = sp_shipped_projections[i - 1].name;
        sp_str name = sp_shipped_projections[i].name;
        assert_true(strcmp(before.ptr, name.ptr) < 0);
    }
}

/* Which tables a query means is told by their names: no two projections may share one. */
static void no_table_is_made_twice(void **state) {
    (void)state;
    char seen[64][SP_PROJECTION_NAME_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < sp_shipped_projection_count; i++) {
        struct sp_definition *definition = NULL;
        struct sp_error error;
        assert_int_equal(sp_definition_parse(sp_shipped_projections[i].text, &definition, &error),
                         SP_OK);
        size_t before = count;
        for (uint32_t t = 0; t < definition->table_count; t++) {
            sp_str name = definition->tables[t].name;
            assert_true(count < 64 && name.len < sizeof(seen[0]));
            for (size_t k = 0; k < before; k++) {
                assert_false(sp_str_eq(name, sp_str_from(seen[k])));
            }
            memcpy(seen[count], name.ptr, name.len);
            seen[count++][name.len] = '\0';
        }
        sp_definition_unref(definition);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_read),
        cmocka_unit_test(each_runs_on_sqlite),
        cmocka_unit_test(names_rise),
        cmocka_unit_test(no_table_is_made_twice),
    };
    return cmocka_run_group_tests_name("shipped", tests, NULL, NULL);
}
