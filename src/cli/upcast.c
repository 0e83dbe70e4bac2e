/* Events as they are shown: brought up, here, whether they come from a folder or a server. */
#include "project/upcast.h"

#include "cli/cli.h"
#include "cli/text.h"
#include "schema/registry.h"

/* One event of the stream: of a schema, or of an upcaster. */
static sp_status fold_one(struct sp_cli *cli, const spoor_event *event, struct sp_error *error) {
    struct sp_registry_change *change = NULL;
    sp_str type = sp_text_str(event->type);
    sp_str data = sp_text_str(event->data);
    sp_status status = sp_registry_prepare(cli->schemas, type, data, true, &change, error);
    if (status == SP_OK && change != NULL) {
        sp_registry_commit(cli->schemas, change, event->position);
    }
    return status == SP_OK ? sp_upcasters_fold(cli->upcasters, type, data, event->position, error)
                           : status;
}

static sp_status fold_all(struct sp_cli *cli, spoor_cursor *cursor, struct sp_error *error) {
    sp_status status = SP_OK;
    while (status == SP_OK) {
        const spoor_event *event = NULL;
        spoor_error problem = {.status = SPOOR_OK};
        if (spoor_next(cursor, 0, &event, &problem) != SPOOR_OK) {
            return problem.status == SPOOR_END || problem.status == SPOOR_OK
                       ? SP_OK
                       : sp_error_set(error, (sp_status)problem.status, "%s", problem.text);
        }
        status = fold_one(cli, event, error);
    }
    return status;
}

int sp_cli_upcast(struct sp_cli *cli, spoor *store) {
    static const char *const types[] = {"upcaster.*", "schema.*"};
    const struct sp_upcasters_options options = {.check = NULL};
    struct sp_error error;
    spoor_error problem = {.status = SPOOR_OK};
    spoor_cursor *cursor = NULL;
    if (sp_args_has(&cli->args, SP_FLAG_RAW) || cli->upcasters != NULL) {
        return SP_EXIT_OK;
    }
    spoor_query query = SPOOR_QUERY_INIT;
    query.types = types;
    query.type_count = 2;
    query.stream = SP_UPCASTERS_STREAM;
    sp_error_clear(&error);
    sp_status status = sp_upcasters_new(&options, &cli->upcasters, &error);
    cli->schemas = sp_registry_new();
    if (status == SP_OK && cli->schemas == NULL) {
        status = sp_error_set(&error, SP_NO_MEMORY, "schemas");
    }
    if (status == SP_OK && spoor_read(store, &query, &cursor, &problem) != SPOOR_OK) {
        return sp_cli_fail(&problem);
    }
    status = status == SP_OK ? fold_all(cli, cursor, &error) : status;
    status = status == SP_OK ? sp_upcasters_compare(cli->upcasters, cli->schemas, &error) : status;
    spoor_cursor_close(cursor);
    if (status != SP_OK) {
        sp_cli_complain("%s", error.text);
        return SP_EXIT_FAILURE;
    }
    return SP_EXIT_OK;
}

static spoor_str str_of(sp_str text) {
    return (spoor_str){.ptr = text.ptr, .len = text.len};
}

int sp_cli_view(struct sp_cli *cli, const spoor_event *event, spoor_event *room,
                const spoor_event **ret_event) {
    bool changed = false;
    sp_str version;
    sp_str data;
    struct sp_error error;
    *ret_event = event;
    if (cli->upcasters == NULL) {
        return SP_EXIT_OK;
    }
    sp_error_clear(&error);
    sp_status status = sp_upcast_data(cli->upcasters, sp_text_str(event->type),
                                      sp_text_str(event->schemaversion), event->data_is_json != 0,
                                      sp_text_str(event->data), &changed, &version, &data, &error);
    if (status != SP_OK) {
        sp_out_flush(&cli->out);
        sp_cli_complain("event %llu (%.*s, id %.*s): %s; --raw shows what is stored",
                        (unsigned long long)event->position, SP_STR_ARG(sp_text_str(event->type)),
                        SP_STR_ARG(sp_text_str(event->id)), error.text);
        return SP_EXIT_FAILURE;
    }
    if (changed) {
        *room = *event;
        room->schemaversion = str_of(version);
        room->data = str_of(data);
        room->data_is_json = 1;
        *ret_event = room;
    }
    return SP_EXIT_OK;
}
