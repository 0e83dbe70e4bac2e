/*
 * Groups: over a server only, as it is the server that keeps them.
 */
#include <stdlib.h>

#include "api/api_int.h"
#include "client/group.h"

struct spoor_group {
    struct sp_worker_of *worker;
    spoor_delivery delivery;
    spoor_event event;
    spoor_extension extensions[SP_EVENT_EXTENSIONS_MAX];
};

static sp_status check(const spoor *store, const char *key, const char *name,
                       struct sp_error *error) {
    if (store->client == NULL) {
        return sp_error_set(error, SP_UNSUPPORTED,
                            "a server keeps groups: open the store by its URL");
    }
    return key != NULL && name != NULL
               ? SP_OK
               : sp_error_set(error, SP_INVALID, "a group has a key and a name");
}

spoor_status spoor_group_create(spoor *store, const char *key, const char *name, const char *from,
                                const spoor_group_option *options, size_t option_count,
                                spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = check(store, key, name, &error);
    if (status == SP_OK) {
        status =
            sp_client_group_create(store->client, key, name, from, options, option_count, &error);
    }
    return api_error(status, &error, ret_error);
}

spoor_status spoor_group_join(spoor *store, const char *key, const char *name, const char *consumer,
                              spoor_group **ret_group, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    spoor_group *group = NULL;
    sp_status status = check(store, key, name, &error);
    if (status == SP_OK && consumer == NULL) {
        status = sp_error_set(&error, SP_INVALID, "a worker has a name");
    }
    if (status == SP_OK) {
        group = calloc(1, sizeof(*group));
        status = group == NULL ? sp_error_set(&error, SP_NO_MEMORY, "group")
                               : sp_client_group_join(store->client, key, name, consumer,
                                                      &group->worker, &error);
    }
    if (status == SP_OK) {
        *ret_group = group;
    } else {
        free(group);
    }
    return api_error(status, &error, ret_error);
}

spoor_status spoor_group_receive(spoor_group *group, int timeout_ms,
                                 const spoor_delivery **ret_delivery, spoor_error *ret_error) {
    struct sp_error error;
    const struct sp_event *event = NULL;
    sp_error_clear(&error);
    group->delivery = (spoor_delivery){.size = sizeof(group->delivery), .event = &group->event};
    sp_status status =
        sp_client_group_receive(group->worker, timeout_ms, &event, &group->delivery.entry,
                                &group->delivery.attempts, &error);
    if (status == SP_OK) {
        api_event_out(event, group->extensions, &group->event);
        *ret_delivery = &group->delivery;
    }
    return api_error(status, &error, ret_error);
}

spoor_status spoor_group_ack(spoor_group *group, const char *entry, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    return api_error(sp_client_group_ack(group->worker, entry, &error), &error, ret_error);
}

spoor_status spoor_group_nack(spoor_group *group, const char *entry, int64_t delay_ms,
                              const char *reason, int dead, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status =
        sp_client_group_nack(group->worker, entry, delay_ms, reason, dead != 0, &error);
    return api_error(status, &error, ret_error);
}

spoor_status spoor_group_extend(spoor_group *group, const char *entry, uint64_t for_ms,
                                spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_client_group_extend(group->worker, entry, for_ms, &error);
    return api_error(status, &error, ret_error);
}

void spoor_group_leave(spoor_group *group) {
    if (group != NULL) {
        sp_client_group_leave(group->worker);
        free(group);
    }
}
