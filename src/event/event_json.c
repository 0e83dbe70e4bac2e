/*
 * One pass over the members. Extensions go straight into the event; what has a name in the table is
 * put aside, for only the last member tells which of several spellings wins and of which type data
 * is.
 */
#include "event/event_json.h"

#include "base/base64.h"
#include "base/json.h"
#include "event/names.h"
#include "event/strict.h"

_Static_assert(SP_NAME_COUNT <= 64, "a bit for every name in reading.seen");

enum { SLOT_DATA = SP_ATTR_COUNT, SLOT_COUNT };

/* A member of the object. */
struct member {
    sp_str name;
    struct sp_json_token token;
    sp_str raw;      /* of the whole value */
    uint16_t before; /* extensions that came before it */
};

struct reading {
    struct sp_json *json;
    enum sp_event_mode mode;
    struct sp_event *event;
    struct sp_buf *scratch;
    struct sp_error *error;
    uint64_t seen;    /* names of the table met so far, one bit each */
    uint64_t present; /* of these, the ones whose value is in known[] */
    bool has_null;    /* an extension without a value waits to be taken out */
    struct member known[SP_NAME_COUNT];
};

/* Fails at the value (or key) that begins at `at`, naming the attribute. */
static sp_status wrong(const struct reading *r, sp_str name, const char *at, const char *found,
                       const char *expected) {
    return sp_error_set_at(r->error, SP_INVALID, (uint64_t)(at - r->json->start),
                           "attribute %.*s: found %s, expected %s", SP_STR_ARG(name), found,
                           expected);
}

static sp_status wrong_value(const struct reading *r, const struct member *m,
                             const char *expected) {
    return wrong(r, m->name, m->raw.ptr, sp_json_type_name(m->token.type), expected);
}

/* The text of a string token: in place, or resolved into the scratch buffer, which has the room. */
static sp_str text_of(struct reading *r, struct sp_json_token token) {
    if (!token.escaped) {
        return token.raw;
    }
    size_t from = r->scratch->len;
    sp_require(r->scratch->capacity - from >= token.raw.len);
    sp_json_unescape(r->scratch, token.raw);
    sp_ensure(r->scratch->status == SP_OK);
    return sp_str_of(r->scratch->data + from, r->scratch->len - from);
}

/* Puts an extension before the others from `before` on; `at_text` is where its value begins. */
static sp_status add_extension(struct reading *r, const struct sp_extension *extension,
                               const char *at_text, unsigned before) {
    struct sp_event *event = r->event;
    sp_require(before <= event->extension_count);
    for (unsigned i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, extension->name)) {
            return wrong(r, extension->name, at_text, "the name twice", "it once");
        }
    }
    if (event->extension_count == SP_EVENT_EXTENSIONS_MAX) {
        return sp_error_set(r->error, SP_LIMIT, "event: found more than %d extension attributes",
                            SP_EVENT_EXTENSIONS_MAX);
    }
    struct sp_extension *at = &event->extensions[before];
    memmove(at + 1, at, (event->extension_count - before) * sizeof(*at));
    *at = *extension;
    event->extension_count++;
    sp_ensure(event->extension_count <= SP_EVENT_EXTENSIONS_MAX);
    return SP_OK;
}

/* Resolves {"$base64": "…"}; false where the object is anything else. */
static bool read_base64(struct reading *r, sp_str raw, sp_str *ret_bytes) {
    struct sp_json json;
    sp_json_init(&json, raw);
    (void)sp_json_next(&json);
    struct sp_json_token key = sp_json_next(&json);
    if (key.type != SP_JSON_KEY || !sp_json_equal(key, SP_STR(SP_BASE64_KEY))) {
        return false;
    }
    struct sp_json_token value = sp_json_next(&json);
    if (value.type != SP_JSON_STRING || value.escaped ||
        sp_json_next(&json).type != SP_JSON_OBJECT_END) {
        return false;
    }
    size_t from = r->scratch->len;
    if (!sp_base64_decode(r->scratch, value.raw) || r->scratch->status != SP_OK) {
        return false;
    }
    sp_str bytes = sp_str_of(r->scratch->data + from, r->scratch->len - from);
    if (sp_utf8_valid(bytes)) {
        /* Text is never written so: this is an object of the producer's. */
        r->scratch->len = from;
        return false;
    }
    *ret_bytes = bytes;
    return true;
}

/* CloudEvents' Integer: no fraction, no exponent, 32 bits with sign. */
static bool is_small_integer(sp_str raw) {
    double value = sp_json_number(raw);
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] == '.' || (raw.ptr[i] | 0x20) == 'e') {
            return false;
        }
    }
    return value >= -2147483648.0 && value <= 2147483647.0;
}

static bool is_strict_value(const struct member *m) {
    return m->token.type == SP_JSON_STRING || m->token.type == SP_JSON_TRUE ||
           m->token.type == SP_JSON_FALSE ||
           (m->token.type == SP_JSON_NUMBER && is_small_integer(m->raw));
}

/* CloudEvents' own optional attributes that are no attributes to spoor. */
static bool must_be_text(sp_str name) {
    return sp_str_eq(name, SP_STR("subject")) || sp_str_eq(name, SP_STR("dataschema"));
}

static sp_status check_strict_extension(const struct reading *r, const struct member *m) {
    sp_status status = sp_event_name_check(m->name, true, r->error);
    if (status != SP_OK || m->token.type == SP_JSON_NULL) {
        return status;
    }
    if (must_be_text(m->name) && m->token.type != SP_JSON_STRING) {
        return wrong_value(r, m, "a string");
    }
    if (!is_strict_value(m)) {
        return wrong_value(r, m, "a string, a boolean or an integer of 32 bits");
    }
    return SP_OK;
}

/* The member as an extension: text, or JSON as it stands. A null has no value. */
static struct sp_extension extension_of(struct reading *r, const struct member *m) {
    struct sp_extension extension = {.name = m->name, .kind = SP_VALUE_JSON, .value = m->raw};
    if (m->token.type == SP_JSON_STRING) {
        extension.kind = SP_VALUE_STRING;
        extension.value = text_of(r, m->token);
    } else if (m->token.type == SP_JSON_NULL) {
        extension.value = sp_str_of(NULL, 0);
    } else if (m->token.type == SP_JSON_OBJECT && read_base64(r, m->raw, &extension.value)) {
        extension.kind = SP_VALUE_STRING;
    }
    return extension;
}

static sp_status read_extension(struct reading *r, const struct member *m) {
    if (r->mode == SP_EVENT_STRICT) {
        sp_status status = check_strict_extension(r, m);
        if (status != SP_OK) {
            return status;
        }
    }
    struct sp_extension extension = extension_of(r, m);
    if (r->mode == SP_EVENT_STRICT && m->token.type == SP_JSON_STRING) {
        sp_status status = sp_strict_check_extension(extension.name, extension.value, r->error);
        if (status != SP_OK) {
            return status;
        }
    }
    /* One without a value stays for now, so that the same name again is noticed. */
    r->has_null |= extension.value.ptr == NULL;
    return add_extension(r, &extension, m->raw.ptr, r->event->extension_count);
}

/* True where a spelling other than the canonical one counts, with such a value. */
static bool alias_counts(const struct reading *r, const struct sp_name *name,
                         enum sp_json_type type) {
    if (r->mode == SP_EVENT_STRICT) {
        return false;
    }
    return name->kind == SP_NAME_DATA_ALIAS || type == SP_JSON_STRING || type == SP_JSON_NUMBER ||
           type == SP_JSON_NULL;
}

static sp_status read_known(struct reading *r, const struct sp_name *name, const struct member *m) {
    sp_require(name >= sp_names && name < sp_names + SP_NAME_COUNT);
    size_t index = (size_t)(name - sp_names);
    uint64_t bit = UINT64_C(1) << index;
    if ((r->seen & bit) != 0) {
        return wrong(r, m->name, m->raw.ptr, "the name twice", "it once");
    }
    r->seen |= bit;
    r->event->is_history |= sp_str_eq(m->name, SP_STR("recordedtime"));
    bool is_alias = name->kind == SP_NAME_ALIAS || name->kind == SP_NAME_DATA_ALIAS;
    if (is_alias && !alias_counts(r, name, m->token.type)) {
        return read_extension(r, m);
    }
    bool is_data = name->kind == SP_NAME_DATA || name->kind == SP_NAME_DATA_ALIAS;
    if (m->token.type != SP_JSON_NULL || is_data) {
        r->present |= bit;
        r->known[index] = *m;
    }
    return SP_OK;
}

static sp_status read_member(struct reading *r, struct sp_json_token key) {
    struct member m = {.name = text_of(r, key), .before = r->event->extension_count};
    m.token = sp_json_next(r->json);
    m.raw = sp_json_skip(r->json, m.token);
    if (m.raw.len == 0) {
        return sp_json_fail(r->json, r->error);
    }
    const struct sp_name *name = sp_name_find(m.name);
    if (name != NULL) {
        return read_known(r, name, &m);
    }
    if (sp_name_is_marked(m.name)) {
        m.name = sp_str_from_byte(m.name, 1);
    }
    return read_extension(r, &m);
}

/* Reads the object that has just been opened, to its closing brace. */
static sp_status read_members(struct reading *r) {
    for (;;) {
        struct sp_json_token token = sp_json_next(r->json);
        if (token.type == SP_JSON_OBJECT_END) {
            return SP_OK;
        }
        sp_status status =
            token.type == SP_JSON_KEY ? read_member(r, token) : sp_json_fail(r->json, r->error);
        if (status != SP_OK) {
            return status;
        }
    }
}

/* Takes metadata: an object as it stands, or a string that holds one. */
static sp_status take_metadata(struct reading *r, const struct member *m) {
    sp_require(m->raw.len > 0);
    sp_str raw = m->raw;
    enum sp_json_type type = m->token.type;
    if (type == SP_JSON_STRING) {
        struct sp_json json;
        sp_json_init(&json, text_of(r, m->token));
        json.depth_max = SP_JSON_DEPTH_MAX - 1;
        struct sp_json_token first = sp_json_next(&json);
        raw = sp_json_skip(&json, first);
        type = sp_json_next(&json).type == SP_JSON_END ? first.type : SP_JSON_STRING;
    } else if (r->mode == SP_EVENT_STRICT) {
        return wrong_value(r, m, "a string that holds a JSON object");
    }
    if (type != SP_JSON_OBJECT) {
        return wrong_value(r, m, "a JSON object");
    }
    r->event->attr[SP_ATTR_METADATA] = raw;
    return SP_OK;
}

static sp_status take_attribute(struct reading *r, enum sp_attr attr, const struct member *m) {
    if (attr == SP_ATTR_METADATA) {
        return take_metadata(r, m);
    }
    if (m->token.type == SP_JSON_STRING) {
        r->event->attr[attr] = text_of(r, m->token);
    } else if (m->token.type == SP_JSON_NUMBER && r->mode == SP_EVENT_LENIENT) {
        r->event->attr[attr] = m->raw;
    } else {
        return wrong_value(r, m, "a string");
    }
    return r->mode == SP_EVENT_STRICT ? sp_strict_check(attr, r->event->attr[attr], r->error)
                                      : SP_OK;
}

/* Puts a spelling that has lost back where it stood, as an extension under its own name. */
static sp_status put_back(struct reading *r, const struct member *m) {
    if (m->token.type == SP_JSON_NULL) {
        return SP_OK;
    }
    struct sp_extension extension = extension_of(r, m);
    return add_extension(r, &extension, m->raw.ptr, m->before);
}

static bool is_spelling(const struct sp_name *name) {
    return name->kind == SP_NAME_ATTRIBUTE || name->kind == SP_NAME_ALIAS ||
           name->kind == SP_NAME_DATA || name->kind == SP_NAME_DATA_ALIAS;
}

/* True for an attribute's text that says nothing: it is as good as absent, and any other wins. */
static bool is_empty_text(const struct sp_name *name, const struct member *m) {
    return name->attr < SP_ATTR_COUNT && m->token.type == SP_JSON_STRING && m->token.raw.len == 0;
}

static unsigned rank_of(const struct reading *r, size_t index) {
    unsigned empty = is_empty_text(&sp_names[index], &r->known[index]) ? 100 : 0;
    return sp_names[index].rank + empty;
}

/* Finds the best spelling of each attribute, as an index of the table, or SP_NAME_COUNT. */
static void choose(const struct reading *r, uint8_t winner[SLOT_COUNT]) {
    memset(winner, SP_NAME_COUNT, SLOT_COUNT);
    for (uint64_t rest = r->present; rest != 0; rest &= rest - 1) {
        size_t index = (size_t)__builtin_ctzll(rest);
        sp_invariant(index < SP_NAME_COUNT);
        const struct sp_name *name = &sp_names[index];
        if (!is_spelling(name)) {
            continue;
        }
        uint8_t best = winner[name->attr];
        if (best == SP_NAME_COUNT || rank_of(r, index) < rank_of(r, best)) {
            winner[name->attr] = (uint8_t)index;
        }
    }
}

/*
 * The losing spelling that stands last among those not put back yet, NULL when none is left: going
 * from last to first keeps the places of those before valid.
 */
static const struct member *last_loser(const struct reading *r, uint64_t losers) {
    const struct member *last = NULL;
    for (; losers != 0; losers &= losers - 1) {
        const struct member *m = &r->known[__builtin_ctzll(losers)];
        if (last == NULL || m->raw.ptr > last->raw.ptr) {
            last = m;
        }
    }
    return last;
}

static sp_status settle_losers(struct reading *r, const uint8_t winner[SLOT_COUNT],
                               bool has_base64) {
    uint64_t losers = 0;
    for (uint64_t rest = r->present; rest != 0; rest &= rest - 1) {
        size_t index = (size_t)__builtin_ctzll(rest);
        const struct sp_name *name = &sp_names[index];
        bool loses = is_spelling(name) && winner[name->attr] != index;
        loses |= name->kind == SP_NAME_DATA_ALIAS && has_base64;
        /* A canonical name loses only where its text is empty, and then has nothing to keep. */
        loses &= name->kind != SP_NAME_ATTRIBUTE;
        losers |= loses ? UINT64_C(1) << index : 0;
    }
    sp_status status = SP_OK;
    for (const struct member *m; status == SP_OK && (m = last_loser(r, losers)) != NULL;) {
        sp_invariant(m >= r->known && m < r->known + SP_NAME_COUNT);
        losers &= ~(UINT64_C(1) << (m - r->known));
        status = put_back(r, m);
    }
    return status;
}

static void take_data(struct reading *r, const struct member *m) {
    struct sp_event *event = r->event;
    bool is_json = event->attr[SP_ATTR_CONTENTTYPE].len == 0 ||
                   sp_content_type_is_json(event->attr[SP_ATTR_CONTENTTYPE]);
    sp_require(!event->has_data);
    event->has_data = true;
    event->data_is_json = is_json || m->token.type != SP_JSON_STRING;
    event->data = event->data_is_json ? m->raw : text_of(r, m->token);
}

static sp_status take_base64(struct reading *r, const struct member *m) {
    if (m->token.type != SP_JSON_STRING) {
        return wrong_value(r, m, "a string of Base64");
    }
    sp_str text = text_of(r, m->token);
    size_t from = r->scratch->len;
    if (!sp_base64_decode(r->scratch, text)) {
        return wrong(r, m->name, m->raw.ptr, "other characters or lengths", "Base64 with padding");
    }
    sp_require(!r->event->has_data);
    r->event->has_data = true;
    r->event->data_is_json = false;
    r->event->data = sp_str_of(r->scratch->data + from, r->scratch->len - from);
    return SP_OK;
}

/* The member under a name of the table, NULL where there is none. */
static const struct member *known(const struct reading *r, sp_str text) {
    const struct sp_name *name = sp_name_find(text);
    sp_require(name != NULL);
    size_t index = (size_t)(name - sp_names);
    return (r->present >> index & 1) != 0 ? &r->known[index] : NULL;
}

static sp_status check_specversion(struct reading *r) {
    const struct member *m = known(r, SP_STR("specversion"));
    if (m == NULL) {
        return r->mode == SP_EVENT_LENIENT
                   ? SP_OK
                   : sp_error_set(r->error, SP_INVALID,
                                  "attribute specversion: absent, expected \"1.0\"");
    }
    bool is_text = m->token.type == SP_JSON_STRING ||
                   (m->token.type == SP_JSON_NUMBER && r->mode == SP_EVENT_LENIENT);
    if (!is_text) {
        return wrong_value(r, m, "the string \"1.0\"");
    }
    return sp_strict_check_specversion(text_of(r, m->token), r->error);
}

/* What CloudEvents demands beyond the values that are there. */
static sp_status check_strict(const struct reading *r) {
    static const enum sp_attr DEMANDED[] = {SP_ATTR_ID, SP_ATTR_SOURCE, SP_ATTR_TYPE};
    for (size_t i = 0; i < sizeof(DEMANDED) / sizeof(DEMANDED[0]); i++) {
        if (!sp_event_has(r->event, DEMANDED[i])) {
            return sp_error_set(r->error, SP_INVALID, "attribute %s: absent, expected a string",
                                sp_attr_name(DEMANDED[i]).ptr);
        }
    }
    return SP_OK;
}

static void drop_nulls(struct sp_event *event) {
    uint16_t kept = 0;
    for (unsigned i = 0; i < event->extension_count; i++) {
        if (event->extensions[i].value.ptr != NULL) {
            event->extensions[kept++] = event->extensions[i];
        }
    }
    sp_ensure(kept <= event->extension_count);
    event->extension_count = kept;
}

/* All members are known: decides between spellings and gives each its place in the event. */
static sp_status settle(struct reading *r) {
    uint8_t winner[SLOT_COUNT];
    choose(r, winner);
    const struct member *base64 = known(r, SP_STR("data_base64"));
    if (base64 != NULL && known(r, SP_STR("data")) != NULL) {
        return wrong(r, base64->name, base64->raw.ptr, "it beside data", "one of the two");
    }
    sp_status status = settle_losers(r, winner, base64 != NULL);
    for (int i = 0; i < SP_ATTR_COUNT && status == SP_OK; i++) {
        if (winner[i] != SP_NAME_COUNT) {
            status = take_attribute(r, (enum sp_attr)i, &r->known[winner[i]]);
        }
    }
    if (status == SP_OK && base64 != NULL) {
        status = take_base64(r, base64);
    } else if (status == SP_OK && winner[SLOT_DATA] != SP_NAME_COUNT) {
        take_data(r, &r->known[winner[SLOT_DATA]]);
    }
    status = status != SP_OK ? status : check_specversion(r);
    if (status == SP_OK && r->mode == SP_EVENT_STRICT) {
        status = check_strict(r);
    }
    if (r->has_null) {
        drop_nulls(r->event);
    }
    return status;
}

/* Empties the event; its many places for extensions are not touched. */
static void clear(struct sp_event *event) {
    memset(event, 0, offsetof(struct sp_event, extensions));
}

sp_status sp_event_from_scanner(struct sp_json *json, enum sp_event_mode mode,
                                struct sp_buf *scratch, struct sp_event *ret_event,
                                struct sp_error *error) {
    sp_require(json->depth > 0);
    sp_require(scratch->capacity - scratch->len >= (size_t)(json->end - json->at));
    struct reading r; /* its table is filled as names come, under the bits of `present` */
    r.json = json;
    r.mode = mode;
    r.event = ret_event;
    r.scratch = scratch;
    r.error = error;
    r.seen = 0;
    r.present = 0;
    r.has_null = false;
    clear(ret_event);
    const uint8_t *home = scratch->data;
    sp_status status = read_members(&r);
    status = status != SP_OK ? status : settle(&r);
    sp_ensure(scratch->data == home); /* or the slices would dangle */
    return status;
}

sp_status sp_event_from_json(sp_str text, enum sp_event_mode mode, struct sp_buf *scratch,
                             struct sp_event *ret_event, struct sp_error *error) {
    struct sp_json json;
    if (text.len > SP_EVENT_SIZE_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "event: found %zu bytes, expected at most %d",
                            text.len, SP_EVENT_SIZE_BYTES_MAX);
    }
    if (sp_buf_reserve(scratch, sp_event_scratch_bytes(text.len)) == NULL) {
        return sp_error_set(error, scratch->status, "event: out of room to read %zu bytes",
                            text.len);
    }
    sp_json_init(&json, text);
    struct sp_json_token token = sp_json_next(&json);
    if (token.type == SP_JSON_ERROR) {
        return sp_json_fail(&json, error);
    }
    if (token.type != SP_JSON_OBJECT) {
        return sp_error_set_at(error, SP_INVALID, (uint64_t)(token.raw.ptr - json.start),
                               "event: found %s, expected a JSON object",
                               sp_json_type_name(token.type));
    }
    sp_status status = sp_event_from_scanner(&json, mode, scratch, ret_event, error);
    if (status == SP_OK && sp_json_next(&json).type != SP_JSON_END) {
        return sp_json_fail(&json, error);
    }
    return status;
}
