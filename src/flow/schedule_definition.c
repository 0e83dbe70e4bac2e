/* Definitions of schedules: what they may say, and what is wrong with one that does not. */
#include <stdlib.h>

#include "base/time.h"
#include "flow/schedule.h"

#define EVERY_US_MIN UINT64_C(1000000)
#define EVERY_US_MAX UINT64_C(31536000000000)

enum { CRON_BYTES_MAX = 256, DESCRIPTION_BYTES_MAX = 1024 };

static const char *const catch_up_words[] = {"all", "last", "none"};

static void read_times(struct sp_schedule_definition *definition, const struct sp_doc_node *root,
                       struct sp_doc_problems *problems) {
    const struct sp_doc_node *cron = sp_doc_get(root, "cron");
    const struct sp_doc_node *every = sp_doc_get(root, "every");
    const struct sp_doc_node *zone = sp_doc_get(root, "timezone");
    struct sp_error error;
    sp_str text = {.ptr = NULL, .len = 0};
    sp_str zone_text = SP_STR("UTC");
    int32_t offset_min = 0;
    if ((cron == NULL) == (every == NULL)) {
        sp_doc_wrong(problems, cron == NULL ? root->place : every->key_at,
                     "exactly one of `cron` and `every` says when");
    }
    (void)sp_doc_duration(every, EVERY_US_MIN, EVERY_US_MAX, &definition->every_us, problems);
    if (cron != NULL && sp_doc_text(cron, CRON_BYTES_MAX, &text, problems)) {
        definition->has_cron = true;
        if (sp_cron_parse(text, &definition->cron, &error) != SP_OK) {
            sp_doc_wrong(problems, cron->place, "`cron`: %s", error.text);
        }
    }
    if (zone != NULL && cron == NULL) {
        sp_doc_wrong(problems, zone->key_at, "`timezone` is for `cron` only");
    }
    if (sp_doc_text(zone, CRON_BYTES_MAX, &zone_text, problems) &&
        sp_cron_parse_zone(zone_text, &offset_min, &error) != SP_OK) {
        sp_doc_wrong(problems, zone->place, "`timezone`: %s", error.text);
    }
    definition->cron.offset_min = offset_min;
}

static void read_moment(const struct sp_doc_node *node, uint64_t *ret_us,
                        struct sp_doc_problems *problems) {
    struct sp_error error;
    sp_str text = {.ptr = NULL, .len = 0};
    if (node != NULL && sp_doc_text(node, CRON_BYTES_MAX, &text, problems) &&
        sp_time_parse(text, false, ret_us, &error) != SP_OK) {
        sp_doc_wrong(problems, node->place, "`%.*s`: %s", SP_STR_ARG(node->key), error.text);
    }
}

static void read_bounds(struct sp_schedule_definition *definition, const struct sp_doc_node *root,
                        struct sp_doc_problems *problems) {
    const struct sp_doc_node *until = sp_doc_get(root, "until");
    uint32_t catch_up = SP_SCHEDULE_ALL;
    read_moment(sp_doc_get(root, "from"), &definition->from_us, problems);
    read_moment(until, &definition->until_us, problems);
    if (until != NULL && definition->until_us != 0 && definition->until_us <= definition->from_us) {
        sp_doc_wrong(problems, until->place, "`until` is not behind `from`");
    }
    (void)sp_doc_word(sp_doc_get(root, "catch_up"), catch_up_words, 3, &catch_up, problems);
    definition->catch_up = (enum sp_schedule_catch_up)catch_up;
    (void)sp_doc_bool(sp_doc_get(root, "paused"), &definition->is_paused, problems);
}

/* The saga to start, and its data. */
static const struct sp_doc_node *read_start(struct sp_schedule_definition *definition,
                                            const struct sp_doc_node *start,
                                            struct sp_doc_problems *problems) {
    static const char *const keys[] = {"saga", "data"};
    sp_str name = {.ptr = NULL, .len = 0};
    (void)sp_doc_keys(start, "`start`", keys, 2, problems);
    if (start->kind != SP_DOC_OBJECT || !sp_rule_needs(start, "saga", problems)) {
        return NULL;
    }
    (void)sp_doc_name(sp_doc_get(start, "saga"), true, &name, problems);
    definition->saga = sp_rule_keep(&definition->pool, name);
    return sp_doc_get(start, "data");
}

static void read_deed(struct sp_schedule_definition *definition, const struct sp_doc_node *root,
                      struct sp_doc_problems *problems) {
    const struct sp_doc_node *start = sp_doc_get(root, "start");
    const struct sp_doc_node *emit = sp_doc_get(root, "emit");
    const struct sp_doc_node *data = NULL;
    struct sp_rule_emit read;
    if ((start == NULL) == (emit == NULL)) {
        sp_doc_wrong(problems, start == NULL ? root->place : emit->key_at,
                     "exactly one of `start` and `emit` says what is done");
        return;
    }
    sp_rule_emit(emit, "`emit`", &read, problems);
    definition->type = sp_rule_keep(&definition->pool, read.type);
    definition->stream = sp_rule_keep(&definition->pool, read.stream);
    data = start != NULL ? read_start(definition, start, problems) : read.data;
    (void)sp_rule_json(&definition->pool, data, &definition->data, problems);
}

static void read_all(struct sp_schedule_definition *definition, const struct sp_doc_node *root,
                     struct sp_doc_problems *problems) {
    static const char *const keys[] = {"schedule", "description", "cron",  "every",
                                       "timezone", "start",       "emit",  "from",
                                       "until",    "catch_up",    "paused"};
    sp_str name = {.ptr = NULL, .len = 0};
    sp_str description;
    (void)sp_doc_keys(root, "a schedule", keys, sizeof(keys) / sizeof(keys[0]), problems);
    if (root->kind != SP_DOC_OBJECT) {
        return;
    }
    (void)sp_rule_needs(root, "schedule", problems);
    (void)sp_doc_name(sp_doc_get(root, "schedule"), true, &name, problems);
    (void)sp_doc_text(sp_doc_get(root, "description"), DESCRIPTION_BYTES_MAX, &description,
                      problems);
    definition->name = sp_rule_keep(&definition->pool, name);
    read_times(definition, root, problems);
    read_bounds(definition, root, problems);
    read_deed(definition, root, problems);
    (void)sp_rule_json(&definition->pool, root, &definition->text, problems);
}

sp_status sp_schedule_definition_compile(const struct sp_doc *doc, struct sp_doc_problems *problems,
                                         struct sp_schedule_definition **ret_definition,
                                         struct sp_error *error) {
    struct sp_schedule_definition *definition = calloc(1, sizeof(*definition));
    if (definition == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    sp_pool_init(&definition->pool, SP_RULE_MEMORY_MAX);
    read_all(definition, doc->root, problems);
    sp_status status = sp_doc_problems_status(problems, error);
    if (status == SP_OK && (definition->name.ptr == NULL || definition->text.ptr == NULL)) {
        status = sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    if (status != SP_OK) {
        sp_schedule_definition_free(definition);
        return status;
    }
    *ret_definition = definition;
    return SP_OK;
}

sp_status sp_schedule_definition_parse(sp_str text, struct sp_schedule_definition **ret_definition,
                                       struct sp_error *error) {
    struct sp_doc doc;
    struct sp_doc_problems *problems = malloc(sizeof(*problems));
    if (problems == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    sp_doc_init(&doc);
    sp_doc_problems_init(problems);
    sp_status status = sp_doc_parse_json(&doc, text, error);
    if (status == SP_OK) {
        status = sp_schedule_definition_compile(&doc, problems, ret_definition, error);
    }
    sp_doc_fini(&doc);
    free(problems);
    return status;
}

void sp_schedule_definition_free(struct sp_schedule_definition *definition) {
    if (definition != NULL) {
        sp_pool_fini(&definition->pool);
        free(definition);
    }
}
