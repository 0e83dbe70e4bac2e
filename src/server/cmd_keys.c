/* Keys: every key is a stream. Deleting and expiring hide; the log keeps the events. */
#include <stdio.h>

#include "match/glob.h"
#include "server/handlers.h"
#include "server/server.h"

enum {
    MS_PER_S = 1000,
    SCAN_STEPS = 1024, /* streams looked at in one call of the bus */
    SCAN_COUNT_DEFAULT = 10,
    SCAN_LOOKED_MAX = 16384, /* by one SCAN, where it finds less than it was asked for */
    FLUSH_BATCH = 256,
};

/* ---- walking --------------------------------------------------------------------------------- */

/* Keys of the client's database that match. */
struct walk {
    struct sp_request *request;
    sp_str prefix; /* of the database; not shown */
    sp_str pattern;
    uint64_t count;
    uint64_t skip; /* of RANDOMKEY: so many first */
    bool writes;   /* each is written to the reply */
    bool collects; /* each is kept in scratch, its length before it */
};

static bool on_key(void *context, sp_str key) {
    struct walk *walk = context;
    struct sp_buf *scratch = &walk->request->server->scratch;
    if (!sp_str_starts_with(key, walk->prefix)) {
        return true;
    }
    sp_str shown = sp_str_from_byte(key, walk->prefix.len);
    if (walk->pattern.ptr != NULL && !sp_redis_glob_match(walk->pattern, shown)) {
        return true;
    }
    walk->count++;
    if (walk->writes) {
        sp_resp_bulk(walk->request->reply, shown);
    }
    if (walk->collects) {
        sp_buf_add(scratch, &key.len, sizeof(key.len));
        sp_buf_add_str(scratch, key);
    }
    return walk->request->reply->to->status == SP_OK;
}

static void walk_all(struct walk *walk) {
    uint64_t cursor = 0;
    do {
        cursor = sp_bus_scan(walk->request->server->bus, cursor, SCAN_STEPS, on_key, walk);
    } while (cursor != 0);
}

enum sp_verdict sp_on_dbsize(struct sp_request *request) {
    char room[16];
    sp_str prefix = sp_connection_prefix(request->connection, room);
    if (prefix.len == 0) {
        sp_resp_unsigned(request->reply, sp_bus_key_count(request->server->bus));
        return SP_DONE;
    }
    struct walk walk = {.request = request, .prefix = prefix};
    walk_all(&walk);
    sp_resp_unsigned(request->reply, walk.count);
    return SP_DONE;
}

enum sp_verdict sp_on_keys(struct sp_request *request) {
    char room[16];
    struct walk walk = {.request = request,
                        .prefix = sp_connection_prefix(request->connection, room),
                        .pattern = request->args[1],
                        .writes = true};
    struct sp_resp_open open = sp_resp_open_array(request->reply, 100);
    walk_all(&walk);
    sp_resp_close(request->reply, open, walk.count);
    return SP_DONE;
}

/* Reads SCAN's options. False where the error is written. */
static bool read_scan(struct sp_request *request, uint64_t *ret_steps, struct walk *walk,
                      bool *ret_none) {
    for (uint32_t i = 2; i < request->argc; i += 2) {
        sp_str word = request->args[i];
        bool last = i + 1 == request->argc;
        int64_t count = 0;
        if (!last && sp_word_is(word, "match")) {
            walk->pattern = request->args[i + 1];
        } else if (!last && sp_word_is(word, "type")) {
            *ret_none = !sp_word_is(request->args[i + 1], "stream");
        } else if (!last && sp_word_is(word, "count")) {
            if (!sp_word_i64(request->args[i + 1], &count)) {
                (void)sp_reply_not_integer(request);
                return false;
            }
            if (count < 1) {
                (void)sp_reply_syntax(request);
                return false;
            }
            *ret_steps = (uint64_t)count;
        } else {
            (void)sp_reply_syntax(request);
            return false;
        }
    }
    return true;
}

enum sp_verdict sp_on_scan(struct sp_request *request) {
    char room[16];
    struct walk walk = {.request = request,
                        .prefix = sp_connection_prefix(request->connection, room),
                        .writes = true};
    int64_t cursor = 0;
    uint64_t steps = SCAN_COUNT_DEFAULT;
    bool none = false;
    if (!sp_word_i64(request->args[1], &cursor) || cursor < 0) {
        return sp_reply_error(request, "invalid cursor");
    }
    if (!read_scan(request, &steps, &walk, &none)) {
        return SP_DONE;
    }
    /* The cursor stands before the keys: they are written to scratch first. */
    walk.writes = false;
    walk.collects = !none;
    struct sp_buf *scratch = &request->server->scratch;
    sp_buf_reset(scratch);
    uint64_t next = (uint64_t)cursor;
    uint64_t looked = 0;
    do {
        next = sp_bus_scan(request->server->bus, next, steps, on_key, &walk);
        looked += steps;
    } while (next != 0 && walk.count < steps && looked < SCAN_LOOKED_MAX);
    if (scratch->status != SP_OK) {
        return sp_reply_error(request, "too many keys at once: ask for fewer with COUNT");
    }
    sp_resp_array(request->reply, 2);
    sp_resp_bulk_unsigned(request->reply, next);
    sp_resp_array(request->reply, none ? 0 : walk.count);
    for (size_t at = 0; at < scratch->len;) {
        size_t len = 0;
        memcpy(&len, scratch->data + at, sizeof(len));
        sp_resp_bulk(
            request->reply,
            sp_str_from_byte(sp_str_of(scratch->data + at + sizeof(len), len), walk.prefix.len));
        at += sizeof(len) + len;
    }
    return SP_DONE;
}

/* Keeps the key after `skip` others. */
static bool on_random(void *context, sp_str key) {
    struct walk *walk = context;
    if (!sp_str_starts_with(key, walk->prefix)) {
        return true;
    }
    if (walk->skip > 0) {
        walk->skip--;
        return true;
    }
    sp_resp_bulk(walk->request->reply, sp_str_from_byte(key, walk->prefix.len));
    walk->writes = true;
    return false;
}

enum sp_verdict sp_on_randomkey(struct sp_request *request) {
    char room[16];
    struct sp_clock clock = request->server->clock;
    struct walk walk = {.request = request,
                        .prefix = sp_connection_prefix(request->connection, room)};
    walk_all(&walk);
    if (walk.count > 0) {
        walk.skip = clock.monotonic_ns(clock.context) / MS_PER_S % walk.count;
    }
    uint64_t cursor = 0;
    do {
        cursor = sp_bus_scan(request->server->bus, cursor, SCAN_STEPS, on_random, &walk);
    } while (cursor != 0 && !walk.writes);
    if (!walk.writes) {
        sp_resp_null(request->reply);
    }
    return SP_DONE;
}

/* ---- being there ----------------------------------------------------------------------------- */

enum sp_verdict sp_on_type(struct sp_request *request) {
    struct sp_key key;
    if (!sp_request_key(request, request->args[1], &key)) {
        return SP_DONE;
    }
    bool exists = sp_bus_exists(request->server->bus, &key);
    sp_resp_simple(request->reply, exists ? SP_STR("stream") : SP_STR("none"));
    return SP_DONE;
}

enum sp_verdict sp_on_exists(struct sp_request *request) {
    int64_t count = 0;
    for (uint32_t i = 1; i < request->argc; i++) {
        struct sp_key key;
        if (!sp_request_key(request, request->args[i], &key)) {
            return SP_DONE;
        }
        count += sp_bus_exists(request->server->bus, &key);
    }
    sp_resp_integer(request->reply, count);
    return SP_DONE;
}

enum sp_verdict sp_on_object_encoding(struct sp_request *request) {
    struct sp_key key;
    if (!sp_request_key(request, request->args[2], &key)) {
        return SP_DONE;
    }
    if (sp_bus_exists(request->server->bus, &key)) {
        sp_resp_bulk_text(request->reply, "stream");
    } else {
        sp_resp_null(request->reply);
    }
    return SP_DONE;
}

/* ---- going away ------------------------------------------------------------------------------ */

enum sp_verdict sp_on_del(struct sp_request *request) {
    int64_t count = 0;
    for (uint32_t i = 1; i < request->argc; i++) {
        struct sp_key key;
        struct sp_error error;
        bool was_there = false;
        if (!sp_request_key_to_write(request, request->args[i], &key)) {
            return SP_DONE;
        }
        sp_error_clear(&error);
        sp_status status = sp_bus_delete(request->server->bus, &key, &was_there, &error);
        if (status == SP_BUSY && count > 0) {
            break; /* those that are gone are told of; the rest is still there */
        }
        if (status != SP_OK && status != SP_NOT_FOUND) {
            return sp_reply_status(request, status, &error);
        }
        count += was_there;
    }
    sp_resp_integer(request->reply, count);
    return SP_DONE;
}

/* Deletes what was collected. */
static sp_status delete_batch(struct sp_request *request, struct sp_error *error) {
    const struct sp_buf *scratch = &request->server->scratch;
    for (size_t at = 0; at < scratch->len;) {
        size_t len = 0;
        struct sp_key key;
        bool was_there = false;
        memcpy(&len, scratch->data + at, sizeof(len));
        sp_str name = sp_str_of(scratch->data + at + sizeof(len), len);
        sp_status status = sp_key_parse(request->server->bus, name, &key, error);
        if (status == SP_OK) {
            status = sp_bus_delete(request->server->bus, &key, &was_there, error);
        }
        if (status != SP_OK && status != SP_NOT_FOUND) {
            return status;
        }
        at += sizeof(len) + len;
    }
    return SP_OK;
}

enum sp_verdict sp_on_flush(struct sp_request *request) {
    struct sp_server *server = request->server;
    char room[16];
    struct sp_error error;
    uint64_t cursor = 0;
    bool fine = request->argc == 1 ||
                (request->argc == 2 &&
                 (sp_word_is(request->args[1], "async") || sp_word_is(request->args[1], "sync")));
    if (!fine) {
        return sp_reply_syntax(request);
    }
    if (sp_settings_u64(&server->settings, SP_SET_ALLOW_FLUSHALL) == 0) {
        return sp_reply_error(request, "flushing is refused: the setting allow-flushall is off");
    }
    struct walk walk = {.request = request, .collects = true};
    if (sp_word_is(request->args[0], "flushdb")) {
        walk.prefix = sp_connection_prefix(request->connection, room);
    }
    sp_error_clear(&error);
    do {
        sp_buf_reset(&server->scratch);
        cursor = sp_bus_scan(server->bus, cursor, FLUSH_BATCH, on_key, &walk);
        sp_status status = delete_batch(request, &error);
        if (status != SP_OK) {
            return sp_reply_status(request, status, &error); /* busy: it begins again */
        }
    } while (cursor != 0);
    sp_resp_ok(request->reply);
    return SP_DONE;
}

/* ---- other names ----------------------------------------------------------------------------- */

static enum sp_verdict rename_key(struct sp_request *request, bool only_new) {
    struct sp_key from;
    struct sp_key to;
    struct sp_error error;
    struct sp_bus *bus = request->server->bus;
    if (!sp_request_key_to_write(request, request->args[1], &from) ||
        !sp_request_key_to_write(request, request->args[2], &to)) {
        return SP_DONE;
    }
    if (!sp_bus_exists(bus, &from)) {
        return sp_reply_error(request, "no such key");
    }
    bool same = sp_str_eq(request->args[1], request->args[2]);
    if (only_new && (same || sp_bus_exists(bus, &to))) {
        sp_resp_integer(request->reply, 0);
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = same ? SP_OK : sp_bus_rename(bus, &from, &to, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    if (only_new) {
        sp_resp_integer(request->reply, 1);
    } else {
        sp_resp_ok(request->reply);
    }
    return SP_DONE;
}

enum sp_verdict sp_on_rename(struct sp_request *request) {
    return rename_key(request, false);
}

enum sp_verdict sp_on_renamenx(struct sp_request *request) {
    return rename_key(request, true);
}

/* ---- expiry ---------------------------------------------------------------------------------- */

/*
 * When the key goes; 0: never. *ret_exists false: there is none. False where the error is written.
 */
static bool get_expiry(struct sp_request *request, const struct sp_key *key, bool *ret_exists,
                       uint64_t *ret_ms) {
    struct sp_bus_stream_info info;
    struct sp_error error;
    *ret_exists = sp_bus_exists(request->server->bus, key);
    *ret_ms = 0;
    if (!*ret_exists || key->kind != SP_KEY_STREAM) {
        return true;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_stream(request->server->bus, key, &info, &error);
    if (status != SP_OK && status != SP_NOT_FOUND) {
        (void)sp_reply_status(request, status, &error);
        return false;
    }
    *ret_exists = status == SP_OK;
    *ret_ms = status == SP_OK ? info.expire_ms : 0;
    return true;
}

struct expire_options {
    bool only_none;    /* NX */
    bool only_some;    /* XX */
    bool only_greater; /* GT */
    bool only_less;    /* LT */
};

static bool read_expire_options(struct sp_request *request, struct expire_options *options) {
    for (uint32_t i = 3; i < request->argc; i++) {
        sp_str word = request->args[i];
        if (sp_word_is(word, "nx")) {
            options->only_none = true;
        } else if (sp_word_is(word, "xx")) {
            options->only_some = true;
        } else if (sp_word_is(word, "gt")) {
            options->only_greater = true;
        } else if (sp_word_is(word, "lt")) {
            options->only_less = true;
        } else {
            char text[200];
            (void)snprintf(text, sizeof(text), "Unsupported option %.*s",
                           word.len > 128 ? 128 : (int)word.len, word.len > 0 ? word.ptr : "");
            (void)sp_reply_error(request, text);
            return false;
        }
    }
    if (options->only_none && (options->only_some || options->only_greater || options->only_less)) {
        (void)sp_reply_error(request, "NX and XX, GT or LT options at the same time are not "
                                      "compatible");
        return false;
    }
    if (options->only_greater && options->only_less) {
        (void)sp_reply_error(request, "GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* The time that the argument means, in Unix milliseconds; negative ones are long gone. */
static bool read_expire_time(struct sp_request *request, int64_t *ret_at_ms) {
    int64_t value = 0;
    const char *name = request->row->name;
    bool in_ms = name[0] == 'p';
    bool absolute = strstr(name, "at") != NULL;
    if (!sp_word_i64(request->args[2], &value)) {
        (void)sp_reply_not_integer(request);
        return false;
    }
    bool fits = in_ms || !__builtin_mul_overflow(value, (int64_t)MS_PER_S, &value);
    fits = fits &&
           (absolute || !__builtin_add_overflow(value, (int64_t)request->server->wall_ms, &value));
    if (!fits) {
        char text[100];
        (void)snprintf(text, sizeof(text), "invalid expire time in '%s' command", name);
        (void)sp_reply_error(request, text);
        return false;
    }
    *ret_at_ms = value;
    return true;
}

static bool may_expire(const struct expire_options *options, uint64_t now_at, int64_t at_ms) {
    if ((options->only_none && now_at != 0) || (options->only_some && now_at == 0)) {
        return false;
    }
    if (options->only_greater && (now_at == 0 || at_ms <= (int64_t)now_at)) {
        return false;
    }
    return !(options->only_less && now_at != 0 && at_ms >= (int64_t)now_at);
}

enum sp_verdict sp_on_expire(struct sp_request *request) {
    struct expire_options options = {.only_none = false};
    struct sp_key key;
    struct sp_error error;
    int64_t at_ms = 0;
    uint64_t now_at = 0;
    bool exists = false;
    bool changed = false;
    if (!read_expire_time(request, &at_ms) || !read_expire_options(request, &options) ||
        !sp_request_key_to_write(request, request->args[1], &key) ||
        !get_expiry(request, &key, &exists, &now_at)) {
        return SP_DONE;
    }
    if (!exists || !may_expire(&options, now_at, at_ms)) {
        sp_resp_integer(request->reply, 0);
        return SP_DONE;
    }
    sp_error_clear(&error);
    bool past = at_ms <= (int64_t)request->server->wall_ms;
    sp_status status =
        past ? sp_bus_delete(request->server->bus, &key, &changed, &error)
             : sp_bus_expire(request->server->bus, &key, (uint64_t)at_ms, &changed, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_integer(request->reply, 1);
    return SP_DONE;
}

enum sp_verdict sp_on_ttl(struct sp_request *request) {
    struct sp_key key;
    uint64_t at_ms = 0;
    bool exists = false;
    const char *name = request->row->name;
    bool in_ms = name[0] == 'p';
    bool absolute = strstr(name, "expiretime") != NULL;
    if (!sp_request_key(request, request->args[1], &key) ||
        !get_expiry(request, &key, &exists, &at_ms)) {
        return SP_DONE;
    }
    if (!exists || at_ms == 0) {
        sp_resp_integer(request->reply, exists ? -1 : -2);
        return SP_DONE;
    }
    uint64_t now_ms = request->server->wall_ms;
    uint64_t value = absolute ? at_ms : at_ms > now_ms ? at_ms - now_ms : 0;
    if (!in_ms) {
        value = absolute ? value / MS_PER_S : (value + MS_PER_S / 2) / MS_PER_S;
    }
    sp_resp_unsigned(request->reply, value);
    return SP_DONE;
}

enum sp_verdict sp_on_persist(struct sp_request *request) {
    struct sp_key key;
    struct sp_error error;
    bool changed = false;
    if (!sp_request_key_to_write(request, request->args[1], &key)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_expire(request->server->bus, &key, 0, &changed, &error);
    if (status != SP_OK && status != SP_NOT_FOUND) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_integer(request->reply, changed);
    return SP_DONE;
}
