/* Projections, added, removed, rebuilt, told of: over a folder by its manager, else there. */
#include <string.h>

#include "api/api_int.h"
#include "api/projections.h"

enum { TEXT_BYTES_MAX = 64 << 20 };

/* What is asked, in the words of SPOOR.PROJECTION. */
enum verb { ADD, SHIPPED, DROP, REBUILD, LIST, STATUS };

struct asking {
    enum verb verb;
    sp_str operand; /* a name, or the text of ADD */
    struct sp_buf answer;
};

/* ---- over a folder --------------------------------------------------------------------------- */

static sp_status change(struct sp_projects *projects, struct asking *asking,
                        char name[SP_PROJECTS_NAME_BYTES_MAX + 1], struct sp_error *error) {
    const sp_str any = {.ptr = NULL};
    enum sp_projects_outcome outcome;
    uint64_t number = 0;
    switch (asking->verb) {
    case ADD:
        return sp_projects_add(projects, asking->operand, any, name, &outcome, error);
    case SHIPPED:
        return sp_projects_add_shipped(projects, asking->operand, &outcome, error);
    case DROP:
        return sp_projects_remove(projects, asking->operand, error);
    case REBUILD:
        return sp_projects_rebuild(projects, asking->operand, &number, error);
    case LIST:
    case STATUS:
        break;
    }
    return SP_OK;
}

static sp_status ask_folder(spoor *store, struct asking *asking, struct sp_error *error) {
    char name[SP_PROJECTS_NAME_BYTES_MAX + 1] = "";
    struct sp_projects *projects = NULL;
    sp_status status = sp_api_projects(store, &projects, error);
    status = status == SP_OK ? change(projects, asking, name, error) : status;
    if (status == SP_OK && asking->verb == LIST) {
        sp_projects_list(projects, &asking->answer, SP_STR("\n"));
        status = asking->answer.status;
    } else if (status == SP_OK && asking->verb != DROP) {
        sp_str named = asking->verb == ADD ? sp_str_from(name) : asking->operand;
        status = sp_projects_status(projects, named, &asking->answer, error);
    }
    bool changes = asking->verb != LIST && asking->verb != STATUS;
    if (status == SP_OK && changes && !store->own_thread) {
        status = sp_api_settle(store, error);
    } else if (status == SP_OK && changes) {
        api_kick(store);
    }
    return status;
}

/* ---- over a server --------------------------------------------------------------------------- */

static sp_status ask_server(spoor *store, struct asking *asking, struct sp_error *error) {
    static const sp_str VERBS[] = {
        [ADD] = SP_STR("ADD"),         [SHIPPED] = SP_STR("SHIPPED"), [DROP] = SP_STR("DROP"),
        [REBUILD] = SP_STR("REBUILD"), [LIST] = SP_STR("LIST"),       [STATUS] = SP_STR("STATUS")};
    const sp_str words[] = {SP_STR("SPOOR.PROJECTION"), VERBS[asking->verb], asking->operand};
    struct sp_answer answer;
    size_t count = asking->verb == LIST ? 2 : 3;
    sp_status status = sp_client_call(store->client, words, count, 0, &answer, error);
    if (status == SP_OK) {
        sp_str text = sp_answer_text(sp_answer_node(&answer));
        sp_buf_add_str(&asking->answer, text.ptr != NULL ? text : SP_STR(""));
        sp_answer_fini(&answer);
    }
    return status;
}

/* ---- both ------------------------------------------------------------------------------------ */

static spoor_status ask(spoor *store, enum verb verb, sp_str operand, spoor_text_fn *take,
                        void *context, spoor_error *ret_error) {
    struct asking asking = {.verb = verb, .operand = operand};
    struct sp_error error;
    sp_status status = SP_OK;
    sp_error_clear(&error);
    sp_buf_init(&asking.answer, TEXT_BYTES_MAX);
    if (verb != LIST && operand.ptr == NULL) {
        status = sp_error_set(&error, SP_INVALID, "no projection is named");
    } else if (store->client != NULL) {
        status = ask_server(store, &asking, &error);
    } else {
        api_lock(store);
        status = ask_folder(store, &asking, &error);
        api_unlock(store);
    }
    if (status == SP_OK && take != NULL) {
        take(context, asking.answer.len > 0 ? (const char *)asking.answer.data : "",
             asking.answer.len);
    }
    sp_buf_fini(&asking.answer);
    return api_error(status, &error, ret_error);
}

spoor_status spoor_projection_add(spoor *store, const char *text, size_t len, spoor_text_fn *take,
                                  void *context, spoor_error *error) {
    return ask(store, ADD, sp_str_of(text, len), take, context, error);
}

spoor_status spoor_projection_add_shipped(spoor *store, const char *name, spoor_text_fn *take,
                                          void *context, spoor_error *error) {
    return ask(store, SHIPPED, sp_str_from(name), take, context, error);
}

spoor_status spoor_projection_remove(spoor *store, const char *name, spoor_error *error) {
    return ask(store, DROP, sp_str_from(name), NULL, NULL, error);
}

spoor_status spoor_projection_rebuild(spoor *store, const char *name, spoor_text_fn *take,
                                      void *context, spoor_error *error) {
    return ask(store, REBUILD, sp_str_from(name), take, context, error);
}

spoor_status spoor_projection_list(spoor *store, spoor_text_fn *take, void *context,
                                   spoor_error *error) {
    return ask(store, LIST, SP_STR(""), take, context, error);
}

spoor_status spoor_projection_status(spoor *store, const char *name, spoor_text_fn *take,
                                     void *context, spoor_error *error) {
    return ask(store, STATUS, sp_str_from(name), take, context, error);
}
