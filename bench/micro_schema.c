/* How fast JSON of some 300 bytes is held to a schema, in processor time. Prints one JSON line. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "schema/registry.h"

static const char SCHEMA[] =
    "{\"type\":\"object\",\"required\":[\"task_id\",\"priority\",\"agent\"],\"properties\":{"
    "\"task_id\":{\"type\":\"string\",\"pattern\":\"^t-[0-9]+$\"},"
    "\"task_type\":{\"type\":\"string\",\"maxLength\":64},"
    "\"priority\":{\"enum\":[\"low\",\"normal\",\"high\",\"critical\"]},"
    "\"attempt\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100},"
    "\"tokens\":{\"type\":\"number\",\"minimum\":0},"
    "\"agent\":{\"type\":\"object\",\"required\":[\"id\"],\"properties\":{"
    "\"id\":{\"type\":\"string\"},\"model\":{\"type\":\"string\"},"
    "\"retries\":{\"type\":\"integer\"}},\"additionalProperties\":false},"
    "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":16},"
    "\"description\":{\"type\":[\"string\",\"null\"]}}}";

static const char DATA[] =
    "{\"task_id\":\"t-48213\",\"task_type\":\"code_review\",\"priority\":\"high\","
    "\"attempt\":2,"
    "\"tokens\":1834.5,\"agent\":{\"id\":\"agent:reviewer-7\",\"model\":\"large-2\",\"retries\":0},"
    "\"tags\":[\"backend\",\"payments\",\"urgent\"],"
    "\"description\":\"Look at the change to the ledger and say whether it still adds up.\"}";

static double now_s(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time); /* others may be at work */
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* As in the path of an append: the registry looks for the schema. */
static struct sp_registry *make_registry(void) {
    struct sp_registry *registry = sp_registry_new();
    struct sp_registry_change *change = NULL;
    struct sp_buf data;
    struct sp_schema_registration registration = {
        .type = SP_STR("task.created"), .version = SP_STR("1"), .text = SP_STR(SCHEMA)};
    sp_buf_init(&data, 1 << 20);
    sp_schema_registration_write(&registration, &data);
    if (registry == NULL || sp_registry_prepare(registry, SP_STR("schema.registered"),
                                                sp_buf_str(&data), false, &change, NULL) != SP_OK) {
        exit(1);
    }
    sp_registry_commit(registry, change, 1);
    sp_buf_fini(&data);
    return registry;
}

static double rate_of(struct sp_registry *registry, const char *type, unsigned count) {
    struct sp_event event = {.has_data = true, .data_is_json = true, .data = SP_STR(DATA)};
    struct sp_schema_refusal refusal;
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    double begin = now_s();
    for (unsigned i = 0; i < count; i++) {
        if (sp_registry_check(registry, &event, &refusal) != SP_OK) {
            fprintf(stderr, "%s: %s\n", refusal.fault.pointer, refusal.fault.text);
            exit(1);
        }
    }
    return count / (now_s() - begin);
}

int main(void) {
    struct sp_registry *registry = make_registry();
    (void)rate_of(registry, "task.created", 100000);
    double checked = rate_of(registry, "task.created", 2000000);
    double other = rate_of(registry, "task.other", 20000000);
    printf("{\"bench\": \"schema\", \"bytes\": %zu, \"checked_per_s\": %.0f, "
           "\"other_type_ns\": %.1f}\n",
           sizeof(DATA) - 1, checked, 1e9 / other);
    sp_registry_free(registry);
    return 0;
}
