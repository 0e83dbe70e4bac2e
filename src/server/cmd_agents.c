/*
 * SPOOR.AGENT: who is there, what they can do, and whether they are alive. loop-thread
 *
 *     SPOOR.AGENT ONLINE id [CAPABILITY c]… [CAPACITY n] [VERSION v] [DATA json]
 *     SPOOR.AGENT HEARTBEAT id [LOAD n]
 *     SPOOR.AGENT OFFLINE id [REASON text]
 *     SPOOR.AGENT GET id
 *     SPOOR.AGENT LIST [CAPABILITY c]… [STATUS s] [FREE] [AFTER id] [LIMIT n]
 *
 * The connection that announces an agent speaks for it, and every other one that beats for it while
 * one of them is there: when the last of them is gone and nothing comes within agent-grace, the
 * agent is suspected.
 */
#include <stdio.h>

#include "engine/bus_agents.h"
#include "server/handlers.h"
#include "server/server.h"

static enum sp_verdict reply_agent_status(struct sp_request *request, sp_status status,
                                          const struct sp_error *error) {
    return status == SP_NOT_FOUND ? sp_reply_error_str(request, "NOAGENT", sp_str_from(error->text))
                                  : sp_reply_status(request, status, error);
}

/* ---- options --------------------------------------------------------------------------------- */

/* What stands behind a command's fixed words. */
struct agent_options {
    sp_str capabilities[SP_AGENT_CAPABILITIES_MAX];
    uint32_t capability_count;
    bool has_number; /* CAPACITY, LOAD, LIMIT */
    uint32_t number;
    sp_str text; /* VERSION, REASON, AFTER */
    sp_str data;
    bool has_status;
    enum sp_agent_status status;
    bool free;
};

enum wanted {
    WANT_CAPABILITY = 1,
    WANT_CAPACITY = 2,
    WANT_VERSION = 4,
    WANT_DATA = 8,
    WANT_LOAD = 16,
    WANT_REASON = 32,
    WANT_STATUS = 64,
    WANT_FREE = 128,
    WANT_AFTER = 256,
    WANT_LIMIT = 512,
};

static const struct {
    const char *word;
    unsigned wanted;
} OPTIONS[] = {
    {"capability", WANT_CAPABILITY},
    {"capacity", WANT_CAPACITY},
    {"version", WANT_VERSION},
    {"data", WANT_DATA},
    {"load", WANT_LOAD},
    {"reason", WANT_REASON},
    {"status", WANT_STATUS},
    {"free", WANT_FREE},
    {"after", WANT_AFTER},
    {"limit", WANT_LIMIT},
};

static unsigned option_of(sp_str word) {
    for (size_t i = 0; i < sizeof(OPTIONS) / sizeof(OPTIONS[0]); i++) {
        if (sp_word_is(word, OPTIONS[i].word)) {
            return OPTIONS[i].wanted;
        }
    }
    return 0;
}

/* `'x' is no option; expected CAPABILITY, …`. */
static bool refuse(struct sp_request *request, sp_str word, unsigned wanted) {
    char text[512];
    size_t len =
        (size_t)snprintf(text, sizeof(text), "'%.*s' is no option; expected",
                         word.len > 128 ? 128 : (int)word.len, word.len > 0 ? word.ptr : "");
    for (size_t i = 0; i < sizeof(OPTIONS) / sizeof(OPTIONS[0]); i++) {
        if ((OPTIONS[i].wanted & wanted) != 0 && len < sizeof(text)) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, " %s", OPTIONS[i].word);
        }
    }
    (void)sp_reply_error(request, text);
    return false;
}

static bool read_number(struct sp_request *request, sp_str word, sp_str value,
                        struct agent_options *options) {
    int64_t number = 0;
    if (!sp_word_i64(value, &number) || number < 0 || number > SP_AGENT_CAPACITY_MAX) {
        char text[128];
        (void)snprintf(text, sizeof(text), "%.*s: a number from 0 to %d was expected",
                       (int)word.len, word.ptr, SP_AGENT_CAPACITY_MAX);
        (void)sp_reply_error(request, text);
        return false;
    }
    options->has_number = true;
    options->number = (uint32_t)number;
    return true;
}

static bool read_value(struct sp_request *request, unsigned option, sp_str word, sp_str value,
                       struct agent_options *options) {
    if (option == WANT_CAPABILITY) {
        for (uint32_t i = 0; i < options->capability_count; i++) {
            if (sp_str_eq(options->capabilities[i], value)) {
                return true; /* twice is once */
            }
        }
        if (options->capability_count == SP_AGENT_CAPABILITIES_MAX) {
            (void)sp_reply_error(request, "an agent has at most 64 capabilities");
            return false;
        }
        options->capabilities[options->capability_count++] = value;
    } else if ((option & (WANT_CAPACITY | WANT_LOAD | WANT_LIMIT)) != 0) {
        return read_number(request, word, value, options);
    } else if (option == WANT_DATA) {
        options->data = value;
    } else if (option == WANT_STATUS) {
        options->has_status = sp_agent_status_find(value, &options->status);
        if (!options->has_status) {
            (void)sp_reply_error(request,
                                 "STATUS: online, stale, suspected or offline was expected");
            return false;
        }
    } else {
        options->text = value;
    }
    return true;
}

/* False where the error is written. */
static bool read_options(struct sp_request *request, uint32_t at, unsigned wanted,
                         struct agent_options *options) {
    *options = (struct agent_options){.has_number = false};
    for (; at < request->argc; at++) {
        sp_str word = request->args[at];
        unsigned option = option_of(word) & wanted;
        if (option == 0) {
            return refuse(request, word, wanted);
        }
        if (option == WANT_FREE) {
            options->free = true;
            continue;
        }
        if (at + 1 == request->argc) {
            char text[128];
            (void)snprintf(text, sizeof(text), "%.*s: a value was expected behind it",
                           (int)word.len, word.ptr);
            (void)sp_reply_error(request, text);
            return false;
        }
        if (!read_value(request, option, word, request->args[++at], options)) {
            return false;
        }
    }
    return true;
}

/* ---- coming, staying, leaving ---------------------------------------------------------------- */

enum sp_verdict sp_on_spoor_agent_online(struct sp_request *request) {
    struct agent_options options;
    struct sp_error error;
    const unsigned wanted = WANT_CAPABILITY | WANT_CAPACITY | WANT_VERSION | WANT_DATA;
    if (!read_options(request, 3, wanted, &options)) {
        return SP_DONE;
    }
    const struct sp_agent_facts facts = {
        .capabilities = options.capabilities,
        .capability_count = options.capability_count,
        .has_capacity = options.has_number,
        .capacity = options.number,
        .version = options.text,
        .data = options.data,
    };
    sp_error_clear(&error);
    sp_status status = sp_bus_agent_online(request->server->bus, request->args[2], &facts,
                                           &request->connection->agents, &error);
    if (status != SP_OK) {
        return reply_agent_status(request, status, &error);
    }
    request->appended = true;
    sp_resp_ok(request->reply);
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_agent_heartbeat(struct sp_request *request) {
    struct agent_options options;
    struct sp_error error;
    enum sp_agent_status state = SP_AGENT_ONLINE;
    if (!read_options(request, 3, WANT_LOAD, &options)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_agent_heartbeat(request->server->bus, request->args[2],
                                              options.has_number ? &options.number : NULL,
                                              &request->connection->agents, &state, &error);
    if (status != SP_OK) {
        return reply_agent_status(request, status, &error);
    }
    sp_resp_bulk_text(request->reply, sp_agent_status_name(state));
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_agent_offline(struct sp_request *request) {
    struct agent_options options;
    struct sp_error error;
    if (!read_options(request, 3, WANT_REASON, &options)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status =
        sp_bus_agent_offline(request->server->bus, request->args[2], options.text, &error);
    if (status != SP_OK) {
        return reply_agent_status(request, status, &error);
    }
    request->appended = true;
    sp_resp_ok(request->reply);
    return SP_DONE;
}

/* ---- looking --------------------------------------------------------------------------------- */

static void write_agent(struct sp_request *request, const struct sp_agent *agent) {
    struct sp_resp_open open = sp_resp_open_bulk(request->reply, 256);
    sp_bus_agent_json(request->server->bus, agent, request->reply->to);
    sp_resp_close_bulk(request->reply, open);
}

enum sp_verdict sp_on_spoor_agent_get(struct sp_request *request) {
    const struct sp_agent *agent = sp_bus_agent(request->server->bus, request->args[2]);
    if (agent == NULL) {
        sp_resp_null(request->reply);
    } else {
        write_agent(request, agent);
    }
    return SP_DONE;
}

struct listing {
    struct sp_request *request;
    uint64_t count;
};

static bool list_one(void *context, const struct sp_agent *agent) {
    struct listing *listing = context;
    write_agent(listing->request, agent);
    listing->count++;
    return listing->request->reply->to->status == SP_OK;
}

enum sp_verdict sp_on_spoor_agent_list(struct sp_request *request) {
    struct agent_options options;
    struct sp_error error;
    struct listing listing = {.request = request};
    bool more = false;
    const unsigned wanted = WANT_CAPABILITY | WANT_STATUS | WANT_FREE | WANT_AFTER | WANT_LIMIT;
    if (!read_options(request, 2, wanted, &options)) {
        return SP_DONE;
    }
    const struct sp_agent_query query = {
        .capabilities = options.capabilities,
        .capability_count = options.capability_count,
        .has_status = options.has_status,
        .status = options.status,
        .free = options.free,
    };
    sp_error_clear(&error);
    struct sp_resp_open open = sp_resp_open_array(request->reply, 10);
    sp_status status = sp_bus_agents_list(request->server->bus, &query, options.text,
                                          options.number, list_one, &listing, &more, &error);
    if (status != SP_OK) {
        sp_resp_drop(request->reply, open);
        return sp_reply_status(request, status, &error);
    }
    sp_resp_close(request->reply, open, listing.count);
    return SP_DONE;
}
