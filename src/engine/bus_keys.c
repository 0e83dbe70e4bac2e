/*
 * Keys: what a client's name stands for, and the life of those that are streams.
 */
#include "engine/bus_int.h"
#include "match/pattern.h"

enum { EXPIRE_MAX = 64 /* keys of one turn */ };

/* ---- names ---- */

static sp_status virtual_key(enum sp_key_kind kind, sp_str text, const char *prefix,
                             struct sp_key *key, struct sp_error *error) {
    key->kind = kind;
    key->name = sp_str_from_byte(text, strlen(prefix));
    if (key->name.len == 0) {
        return sp_error_set(error, SP_INVALID, "%s needs a name behind the colon", prefix);
    }
    return kind == SP_KEY_TYPE ? sp_pattern_check(key->name, error) : SP_OK;
}

sp_status sp_key_parse(const struct sp_bus *bus, sp_str text, struct sp_key *ret_key,
                       struct sp_error *error) {
    struct sp_key key = {.kind = SP_KEY_STREAM, .text = text};
    sp_status status = SP_OK;
    if (text.len > 0 && text.ptr[0] == '$') {
        if (sp_str_eq(text, SP_STR("$all"))) {
            key.kind = SP_KEY_ALL;
        } else if (sp_str_starts_with(text, SP_STR("$type:"))) {
            status = virtual_key(SP_KEY_TYPE, text, "$type:", &key, error);
        } else if (sp_str_starts_with(text, SP_STR("$source:"))) {
            status = virtual_key(SP_KEY_SOURCE, text, "$source:", &key, error);
        } else if (sp_str_starts_with(text, SP_STR("$correlation:"))) {
            status = virtual_key(SP_KEY_CORRELATION, text, "$correlation:", &key, error);
        }
    }
    if (status == SP_OK && key.kind == SP_KEY_STREAM) {
        key.name = sp_view_resolve(&bus->core->views, text);
    }
    if (status == SP_OK) {
        *ret_key = key;
    }
    return status;
}

bool sp_stream_is_own(sp_str name) {
    return (name.len > 0 && name.ptr[0] == '$') || sp_str_starts_with(name, SP_STR("saga:"));
}

bool sp_key_writable(const struct sp_key *key) {
    return key->kind == SP_KEY_STREAM && !sp_stream_is_own(key->text);
}

sp_status bus_check_stream(const struct sp_key *key, struct sp_error *error) {
    if (key->kind != SP_KEY_STREAM) {
        return sp_error_set(error, SP_DENIED, "a virtual stream cannot be written");
    }
    if (!sp_key_writable(key)) {
        return sp_error_set(error, SP_DENIED,
                            "streams that begin with $ or saga: are the store's own");
    }
    if (key->name.len == 0) {
        return sp_error_set(error, SP_DENIED,
                            key->text.len == 0 ? "a stream needs a name"
                                               : "another key stands for the stream of this name");
    }
    return SP_OK;
}

/* ---- facts ---- */

struct sp_view_facts bus_facts(const struct sp_bus *bus, const struct sp_key *key) {
    struct sp_view_facts facts = {.exists = false};
    if (key->name.len > 0) {
        facts = sp_view_get(&bus->core->views, key->name);
    }
    if (facts.expire_ms != 0 && facts.expire_ms <= bus_now_ms(bus)) {
        facts = (struct sp_view_facts){.exists = false, .changes = facts.changes};
    }
    return facts;
}

bool sp_bus_exists(struct sp_bus *bus, const struct sp_key *key) {
    return key->kind != SP_KEY_STREAM || bus_facts(bus, key).exists;
}

uint64_t sp_bus_stamp(struct sp_bus *bus, const struct sp_key *key) {
    if (key->kind != SP_KEY_STREAM) {
        return bus->core->position; /* may differ where the key does not: that is allowed */
    }
    struct sp_view_facts facts = bus_facts(bus, key);
    return facts.changes * 2 + (facts.exists ? 1 : 0);
}

uint64_t sp_bus_key_count(struct sp_bus *bus) {
    return sp_view_key_count(&bus->core->views);
}

uint64_t sp_bus_scan(struct sp_bus *bus, uint64_t cursor, uint64_t steps, sp_bus_key_fn *each,
                     void *context) {
    const struct sp_streams *streams = &bus->core->streams;
    uint64_t now_ms = bus_now_ms(bus);
    for (uint64_t i = 0; i < steps && cursor < streams->count; i++, cursor++) {
        struct sp_view_facts facts = sp_view_at(&bus->core->views, (uint32_t)cursor);
        bool gone = !facts.exists || (facts.expire_ms != 0 && facts.expire_ms <= now_ms);
        sp_str key = gone ? (sp_str){.ptr = NULL, .len = 0}
                          : sp_view_key_of(&bus->core->views,
                                           sp_stream_name(sp_stream_at(streams, (uint32_t)cursor)));
        if (key.len > 0 && key.ptr[0] != '$' && !each(context, key)) {
            cursor++;
            break;
        }
    }
    return cursor < streams->count ? cursor : 0;
}

/* ---- deleting ---- */

/*
 * Deletes a stream's key in one block: the event that says so, the view's op, and what its groups
 * need. ops.h's rule: decided before folded, in this order.
 */
static sp_status delete_key(struct sp_bus *bus, sp_str key_text, sp_str stream, const char *type,
                            struct sp_error *error) {
    struct sp_view_facts facts = sp_view_get(&bus->core->views, stream);
    sp_str data;
    bus_json_begin(bus);
    bus_json_text(bus, "key", key_text);
    bus_json_number(bus, "entries", facts.length);
    sp_status status = bus_json_end(bus, &data, error);
    sp_buf_reset(&bus->ops);
    if (status != SP_OK || !sp_view_delete(&bus->core->views, stream, &bus->ops)) {
        return status;
    }
    bus_groups_drop_ops(bus, key_text);
    struct bus_note note = {.type = type, .prefix = "$stream:", .key = key_text, .data = data};
    size_t bytes = bus_note_bytes(&note, data.len) + bus->ops.len + BUS_OP_BYTES;
    bool held;
    status = bus_hold(bus, bytes, 1, &held, error);
    if (status != SP_OK) {
        return status;
    }
    status = bus_tell(bus, &note, NULL, error);
    if (status == SP_OK) {
        bus_groups_forget_key(bus, key_text);
        status = bus_take_ops(bus, SP_OPS_ORDERED, error);
    }
    bus_release(bus, held);
    return status;
}

sp_status bus_settle_key(struct sp_bus *bus, const struct sp_key *key, struct sp_error *error) {
    if (sp_view_next_expiry(&bus->core->views) == 0) { /* nothing ever expires */
        return SP_OK;
    }
    struct sp_view_facts facts = sp_view_get(&bus->core->views, key->name);
    return facts.expire_ms != 0 && facts.expire_ms <= bus_now_ms(bus)
               ? delete_key(bus, key->text, key->name, "stream.expired", error)
               : SP_OK;
}

int bus_expire_upkeep(struct sp_bus *bus) {
    const struct sp_views *views = &bus->core->views;
    if (sp_view_next_expiry(views) == 0) {
        return -1;
    }
    uint64_t now_ms = bus_now_ms(bus);
    for (int i = 0; i < EXPIRE_MAX; i++) {
        sp_str stream = sp_view_expired(views, now_ms);
        struct sp_error error;
        if (stream.len == 0) {
            break;
        }
        sp_str key = sp_view_key_of(views, stream);
        sp_buf_reset(&bus->name); /* its own place ends with the deletion */
        sp_buf_add_str(&bus->name, key.len > 0 ? key : stream);
        if (bus->name.status != SP_OK ||
            delete_key(bus, sp_buf_str(&bus->name), stream, "stream.expired", &error) != SP_OK) {
            return 1; /* no room now: the next turn goes on */
        }
    }
    uint64_t next_ms = sp_view_next_expiry(views);
    if (next_ms == 0) {
        return -1;
    }
    uint64_t wait_ms = next_ms > now_ms ? next_ms - now_ms : 0;
    return wait_ms > 60000 ? 60000 : (int)wait_ms;
}

sp_status sp_bus_delete(struct sp_bus *bus, const struct sp_key *key, bool *ret_was_there,
                        struct sp_error *error) {
    sp_status status = bus_settle_key(bus, key, error);
    bool there = status == SP_OK && key->kind == SP_KEY_STREAM && bus_facts(bus, key).exists;
    if (there) {
        status = bus_check_stream(key, error);
        status = status == SP_OK ? delete_key(bus, key->text, key->name, "stream.deleted", error)
                                 : status;
    }
    if (status == SP_OK) {
        *ret_was_there = there;
    }
    return status;
}

/* ---- renaming ---- */

/* Groups of the key go with it. */
static sp_status rekey_groups(struct sp_bus *bus, sp_str from, sp_str to, struct sp_error *error) {
    const struct sp_group *group;
    while ((group = sp_group_of_key(&bus->core->groups, from, 0)) != NULL) {
        sp_status status = sp_group_rekey(&bus->core->groups, group, to, &bus->ops, error);
        status = status == SP_OK ? bus_take_ops(bus, SP_OPS_ORDERED, error) : status;
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

/*
 * Everything in one block: who had groups there finds them gone, who has them here finds them
 * there.
 */
static sp_status rename_within(struct sp_bus *bus, const struct bus_note *note, sp_str from,
                               sp_str to, struct sp_error *error) {
    sp_status status = bus_tell(bus, note, NULL, error);
    sp_buf_reset(&bus->ops);
    bus_groups_drop_ops(bus, to);
    if (status == SP_OK) {
        bus_groups_forget_key(bus, to);
        bus_groups_forget_key(bus, from); /* they come back under the new key */
        status = bus_take_ops(bus, SP_OPS_ORDERED, error);
    }
    if (status == SP_OK) {
        status = sp_view_rename(&bus->core->views, from, to, &bus->ops, error);
    }
    status = status == SP_OK ? bus_take_ops(bus, SP_OPS_ORDERED, error) : status;
    status = status == SP_OK ? rekey_groups(bus, from, to, error) : status;
    return status == SP_OK ? bus_groups_know_key(bus, to, error) : status;
}

sp_status sp_bus_rename(struct sp_bus *bus, const struct sp_key *from, const struct sp_key *to,
                        struct sp_error *error) {
    sp_status status = bus_settle_key(bus, from, error);
    status = status == SP_OK && to->name.len > 0 ? bus_settle_key(bus, to, error) : status;
    if (status == SP_OK && !bus_facts(bus, from).exists) {
        return sp_error_set(error, SP_NOT_FOUND, "no such key");
    }
    status = status == SP_OK ? bus_check_stream(from, error) : status;
    if (status == SP_OK && (to->kind != SP_KEY_STREAM || !sp_key_writable(to))) {
        return sp_error_set(error, SP_DENIED,
                            "names that begin with $ or saga: are the store's own");
    }
    if (status != SP_OK || sp_str_eq(from->text, to->text)) {
        return status;
    }
    sp_str data;
    bus_json_begin(bus);
    bus_json_text(bus, "key", from->text);
    bus_json_text(bus, "to", to->text);
    status = bus_json_end(bus, &data, error);
    struct bus_note note = {
        .type = "stream.renamed", .prefix = "$stream:", .key = from->text, .data = data};
    size_t groups = bus_groups_of_key(bus, from->text) + (size_t)bus_groups_of_key(bus, to->text);
    size_t names = from->text.len + to->text.len;
    size_t bytes = bus_note_bytes(&note, data.len) + (groups + 4) * (BUS_OP_BYTES + 2 * names);
    if (status == SP_OK) { /* tried first: what follows must not stop half way */
        sp_buf_reset(&bus->ops);
        status = sp_view_rename(&bus->core->views, from->text, to->text, &bus->ops, error);
        sp_buf_reset(&bus->ops);
    }
    bool held = false;
    status = status == SP_OK ? bus_hold(bus, bytes, 1, &held, error) : status;
    if (status == SP_OK) {
        status = rename_within(bus, &note, from->text, to->text, error);
        bus_release(bus, held);
    }
    return status;
}

sp_status sp_bus_expire(struct sp_bus *bus, const struct sp_key *key, uint64_t at_ms,
                        bool *ret_changed, struct sp_error *error) {
    sp_status status = bus_settle_key(bus, key, error);
    bool changed = false;
    if (status == SP_OK && key->kind == SP_KEY_STREAM && bus_facts(bus, key).exists) {
        status = bus_check_stream(key, error);
        sp_buf_reset(&bus->ops);
        changed = status == SP_OK && sp_view_expire(&bus->core->views, key->name, at_ms, &bus->ops);
        status = status == SP_OK ? bus_take_ops(bus, SP_OPS_ORDERED, error) : status;
        changed = status == SP_OK && (changed || at_ms != 0);
    }
    if (status == SP_OK) {
        *ret_changed = changed;
    }
    return status;
}
