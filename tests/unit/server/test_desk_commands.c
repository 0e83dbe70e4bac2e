/* The desk's verbs and the commands of the Redis protocol that ask them are the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/desk.h"
#include "server/handlers.h"

enum { NAME_SIZE = 64 };

static const struct sp_command_row *row_of(const struct sp_desk_verb *verb) {
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof(name), "spoor.%s", verb->desk);
    for (const struct sp_command_row *row = sp_command_rows(); row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return sp_subcommand_find(row, sp_str_from(verb->name));
        }
    }
    return NULL;
}

static bool has(const struct sp_command_row *row, unsigned flag) {
    return (row->flags & flag) != 0;
}

static void test_every_verb_has_a_command(void **state) {
    (void)state;
    for (const struct sp_desk_verb *verb = sp_desk_verbs(); verb->desk != NULL; verb++) {
        const struct sp_command_row *row = row_of(verb);
        if (row == NULL) {
            fail_msg("there is no command for %s %s", verb->desk, verb->name);
        }
        assert_ptr_equal(row->handler, sp_on_spoor_desk);
        assert_int_equal(has(row, SP_CMD_WRITE), verb->writes);
        assert_int_equal(has(row, SP_CMD_READ), verb->reads);
        /* The reply must not tell of what is not durable yet. */
        assert_true(has(row, SP_CMD_WRITE | SP_CMD_READ | SP_CMD_BUS));
        assert_true(has(row, SP_CMD_NO_MULTI));
        assert_int_equal(row->arity < 0, verb->options != 0);
        assert_int_equal(row->arity < 0 ? -row->arity : row->arity, verb->subject != NULL ? 3 : 2);
    }
}

static void test_every_command_has_a_verb(void **state) {
    (void)state;
    for (const struct sp_command_row *row = sp_command_rows(); row->name != NULL; row++) {
        for (const struct sp_command_row *at = row->subcommands; at != NULL && at->name != NULL;
             at++) {
            if (at->handler == sp_on_spoor_desk &&
                sp_desk_find(sp_str_from_byte(sp_str_from(row->name), sizeof("spoor.") - 1),
                             sp_str_from(at->name)) == NULL) {
                fail_msg("%s %s has no verb", row->name, at->name);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_verb_has_a_command),
        cmocka_unit_test(test_every_command_has_a_verb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
