/* The description that is served has every route, and none that is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "server/http.h"
#include "server/http_parts.h"

enum { DOCUMENTED_MAX = 512, PATH_SIZE = 128 };

struct operation {
    char path[PATH_SIZE];
    enum sp_http_method method;
};

struct description {
    struct operation operations[DOCUMENTED_MAX];
    size_t count;
};

static enum sp_http_method method_of(sp_str name) {
    static const struct {
        const char *name;
        enum sp_http_method method;
    } METHODS[] = {
        {"get", SP_HTTP_GET},       {"put", SP_HTTP_PUT},     {"post", SP_HTTP_POST},
        {"delete", SP_HTTP_DELETE}, {"patch", SP_HTTP_PATCH},
    };
    for (size_t i = 0; i < sizeof(METHODS) / sizeof(*METHODS); i++) {
        if (sp_str_eq(name, sp_str_from(METHODS[i].name))) {
            return METHODS[i].method;
        }
    }
    return SP_HTTP_OTHER;
}

/* Reads the members of one path. */
static void read_path(struct sp_json *json, sp_str path, struct description *to) {
    struct sp_json_token token = sp_json_next(json);
    assert_int_equal(token.type, SP_JSON_OBJECT);
    assert_true(path.len < PATH_SIZE);
    for (token = sp_json_next(json); token.type == SP_JSON_KEY; token = sp_json_next(json)) {
        enum sp_http_method method = method_of(token.raw);
        (void)sp_json_skip(json, sp_json_next(json));
        if (method != SP_HTTP_OTHER) {
            struct operation *at = &to->operations[to->count++];
            assert_true(to->count < DOCUMENTED_MAX);
            memcpy(at->path, path.ptr, path.len);
            at->path[path.len] = '\0';
            at->method = method;
        }
    }
    assert_int_equal(token.type, SP_JSON_OBJECT_END);
}

static void read_paths(struct sp_json *json, struct description *to) {
    struct sp_json_token token = sp_json_next(json);
    assert_int_equal(token.type, SP_JSON_OBJECT);
    for (token = sp_json_next(json); token.type == SP_JSON_KEY; token = sp_json_next(json)) {
        read_path(json, token.raw, to);
    }
    assert_int_equal(token.type, SP_JSON_OBJECT_END);
}

static void read_description(struct description *to) {
    struct sp_json json;
    bool found = false;
    to->count = 0;
    sp_json_init(&json, sp_str_of(sp_openapi_json, sp_openapi_json_len));
    struct sp_json_token token = sp_json_next(&json);
    assert_int_equal(token.type, SP_JSON_OBJECT);
    for (token = sp_json_next(&json); token.type == SP_JSON_KEY; token = sp_json_next(&json)) {
        if (sp_json_equal(token, SP_STR("paths"))) {
            found = true;
            read_paths(&json, to);
        } else {
            (void)sp_json_skip(&json, sp_json_next(&json));
        }
    }
    assert_int_equal(token.type, SP_JSON_OBJECT_END);
    assert_int_equal(sp_json_next(&json).type, SP_JSON_END);
    assert_true(found && to->count > 0);
}

static bool is_described(const struct description *in, const struct sp_http_route *route) {
    for (size_t i = 0; i < in->count; i++) {
        if (strcmp(in->operations[i].path, route->path) == 0 &&
            in->operations[i].method == route->method) {
            return true;
        }
    }
    return false;
}

static bool is_a_route(const struct operation *operation) {
    const struct sp_http_route *const *tables = sp_http_route_tables();
    for (size_t i = 0; tables[i] != NULL; i++) {
        for (const struct sp_http_route *at = tables[i]; at->path != NULL; at++) {
            if (strcmp(at->path, operation->path) == 0 && at->method == operation->method) {
                return true;
            }
        }
    }
    return false;
}

static struct description description;

static void test_every_route_is_described(void **state) {
    (void)state;
    read_description(&description);
    const struct sp_http_route *const *tables = sp_http_route_tables();
    for (size_t i = 0; tables[i] != NULL; i++) {
        for (const struct sp_http_route *at = tables[i]; at->path != NULL; at++) {
            if (!is_described(&description, at)) {
                fail_msg("src/server/openapi.json lacks method %u of %s", at->method, at->path);
            }
        }
    }
}

static void test_nothing_else_is_described(void **state) {
    (void)state;
    read_description(&description);
    for (size_t i = 0; i < description.count; i++) {
        if (!is_a_route(&description.operations[i])) {
            fail_msg("src/server/openapi.json has method %u of %s, which is no route",
                     description.operations[i].method, description.operations[i].path);
        }
    }
}

static void test_no_route_stands_twice(void **state) {
    (void)state;
    const struct sp_http_route *const *tables = sp_http_route_tables();
    for (size_t i = 0; tables[i] != NULL; i++) {
        for (const struct sp_http_route *at = tables[i]; at->path != NULL; at++) {
            size_t count = 0;
            for (size_t k = 0; tables[k] != NULL; k++) {
                for (const struct sp_http_route *to = tables[k]; to->path != NULL; to++) {
                    count += strcmp(at->path, to->path) == 0 && at->method == to->method;
                }
            }
            assert_int_equal(count, 1);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_route_is_described),
        cmocka_unit_test(test_nothing_else_is_described),
        cmocka_unit_test(test_no_route_stands_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
