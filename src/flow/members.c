#include "flow/members.h"

#include "base/time.h"

static struct sp_member *find(struct sp_member *members, size_t count, struct sp_json_token key) {
    for (size_t i = 0; i < count; i++) {
        if (sp_json_equal(key, sp_str_from(members[i].name))) {
            return &members[i];
        }
    }
    return NULL;
}

/* `end` is where the scratch buffer ends at most: all of it is reserved by the first that asks. */
static sp_str resolve(struct sp_json_token token, size_t end, struct sp_buf *scratch) {
    if (!token.escaped) {
        return token.raw;
    }
    if (sp_buf_reserve(scratch, end - scratch->len) == NULL) {
        return (sp_str){.ptr = NULL, .len = 0};
    }
    size_t before = scratch->len;
    sp_json_unescape(scratch, token.raw);
    return sp_str_of(scratch->data + before, scratch->len - before);
}

static void take(struct sp_json *json, size_t end, struct sp_member *members, size_t count,
                 struct sp_buf *scratch) {
    struct sp_json_token token = sp_json_next(json);
    while (token.type == SP_JSON_KEY) {
        struct sp_member *member = find(members, count, token);
        token = sp_json_next(json);
        if (token.type == SP_JSON_ERROR) {
            return;
        }
        sp_str whole = sp_json_skip(json, token);
        if (json->problem != NULL) {
            return;
        }
        if (member != NULL && member->type == SP_TYPE_MISSING) {
            member->json = whole;
            member->type = sp_value_of_token(token).type;
            member->text = token.type == SP_JSON_STRING ? resolve(token, end, scratch) : whole;
        }
        token = sp_json_next(json);
    }
}

sp_status sp_members_read(sp_str text, struct sp_member *members, size_t count,
                          struct sp_buf *scratch) {
    for (size_t i = 0; i < count; i++) {
        members[i].type = SP_TYPE_MISSING;
        members[i].text = (sp_str){.ptr = NULL, .len = 0};
        members[i].json = members[i].text;
    }
    struct sp_json json;
    sp_json_init(&json, text);
    if (sp_json_next(&json).type == SP_JSON_OBJECT) {
        take(&json, scratch->len + text.len, members, count, scratch);
    }
    return scratch->status;
}

sp_status sp_members_of(const struct sp_event *event, struct sp_member *members, size_t count,
                        struct sp_buf *scratch) {
    bool is_json = event->has_data && event->data_is_json;
    return sp_members_read(is_json ? event->data : SP_STR(""), members, count, scratch);
}

bool sp_event_number(const struct sp_event *event, sp_str name, uint64_t *ret_number) {
    for (unsigned i = 0; i < event->extension_count; i++) {
        const struct sp_extension *extension = &event->extensions[i];
        if (!sp_str_eq(extension->name, name)) {
            continue;
        }
        uint64_t number = 0;
        for (size_t k = 0; k < extension->value.len; k++) {
            char digit = extension->value.ptr[k];
            if (digit < '0' || digit > '9' || number > (UINT64_MAX - 9) / 10) {
                return false;
            }
            number = number * 10 + (uint64_t)(digit - '0');
        }
        *ret_number = number;
        return extension->value.len > 0;
    }
    return false;
}

static void put_name(struct sp_buf *to, const char *name) {
    if (to->len > 0 && to->data[to->len - 1] != '{') {
        sp_buf_add_byte(to, ',');
    }
    sp_json_add_string(to, sp_str_from(name));
    sp_buf_add_byte(to, ':');
}

void sp_put_text(struct sp_buf *to, const char *name, sp_str text) {
    if (text.len > 0) {
        put_name(to, name);
        sp_json_add_string(to, text);
    }
}

void sp_put_time(struct sp_buf *to, const char *name, uint64_t time_us) {
    char text[SP_TIME_TEXT_SIZE];
    sp_time_format(time_us, text);
    sp_put_text(to, name, sp_str_from(text));
}

void sp_put_number(struct sp_buf *to, const char *name, uint64_t number) {
    put_name(to, name);
    sp_buf_add_u64(to, number);
}

void sp_put_json(struct sp_buf *to, const char *name, sp_str json) {
    if (json.len > 0) {
        put_name(to, name);
        sp_buf_add_str(to, json);
    }
}
