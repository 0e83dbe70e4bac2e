/* The algorithm of RFC 3986, 5.2, on slices. */
#include "schema/uri.h"

#include "base/json_escape.h"

struct parts {
    sp_str scheme;    /* with its colon; "" where there is none */
    sp_str authority; /* with its slashes */
    sp_str path;
    sp_str query; /* with its question mark */
};

static sp_str take(sp_str *from, size_t n) {
    sp_str taken = sp_str_of(from->ptr, n);
    *from = sp_str_from_byte(*from, n);
    return taken;
}

/* The bytes before the first one of `stops`. */
static size_t span_before(sp_str text, const char *stops) {
    size_t n = 0;
    while (n < text.len && text.ptr[n] != '\0' && strchr(stops, text.ptr[n]) == NULL) {
        n++;
    }
    return n;
}

static bool is_scheme(sp_str text) {
    bool letter = text.len > 0 && (uint8_t)((text.ptr[0] | 0x20) - 'a') < 26;
    for (size_t i = 1; letter && i < text.len; i++) {
        char c = text.ptr[i];
        letter = (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10 || c == '+' ||
                 c == '-' || c == '.';
    }
    return letter;
}

static struct parts split(sp_str uri) {
    struct parts parts = {.path = {.ptr = NULL}};
    sp_str fragment;
    uri = sp_uri_split(uri, &fragment);
    size_t n = span_before(uri, ":/?");
    if (n < uri.len && uri.ptr[n] == ':' && is_scheme(sp_str_of(uri.ptr, n))) {
        parts.scheme = take(&uri, n + 1);
    }
    if (sp_str_starts_with(uri, SP_STR("//"))) {
        parts.authority = take(&uri, 2 + span_before(sp_str_from_byte(uri, 2), "/?"));
    }
    parts.path = take(&uri, span_before(uri, "?"));
    parts.query = uri;
    return parts;
}

sp_str sp_uri_split(sp_str uri, sp_str *ret_fragment) {
    size_t n = span_before(uri, "#");
    *ret_fragment = n < uri.len ? sp_str_from_byte(uri, n + 1) : sp_str_of(NULL, 0);
    return sp_str_of(uri.ptr, n);
}

/* Drops the last segment written behind `from`, with the slash before it. */
static void drop_segment(struct sp_buf *to, size_t from) {
    while (to->len > from && to->data[to->len - 1] != '/') {
        to->len--;
    }
    to->len -= to->len > from;
}

/* Appends a path without its segments `.` and `..` (5.2.4). */
static void add_without_dots(struct sp_buf *to, sp_str path) {
    size_t from = to->len;
    while (path.len > 0) {
        if (sp_str_starts_with(path, SP_STR("../"))) {
            (void)take(&path, 3);
        } else if (sp_str_starts_with(path, SP_STR("./"))) {
            (void)take(&path, 2);
        } else if (sp_str_starts_with(path, SP_STR("/./")) || sp_str_eq(path, SP_STR("/."))) {
            path = path.len == 2 ? SP_STR("/") : sp_str_from_byte(path, 2);
        } else if (sp_str_starts_with(path, SP_STR("/../")) || sp_str_eq(path, SP_STR("/.."))) {
            path = path.len == 3 ? SP_STR("/") : sp_str_from_byte(path, 3);
            drop_segment(to, from);
        } else if (sp_str_eq(path, SP_STR(".")) || sp_str_eq(path, SP_STR(".."))) {
            path.len = 0;
        } else {
            size_t slash = path.ptr[0] == '/';
            sp_buf_add_str(to,
                           take(&path, slash + span_before(sp_str_from_byte(path, slash), "/")));
        }
    }
}

/* Appends the base's path up to its last slash, then the reference's (5.2.3), without dots. */
static void add_merged(struct sp_buf *to, const struct parts *base, sp_str path) {
    struct sp_buf merged;
    sp_buf_init(&merged, to->size_bytes_max);
    size_t keep = base->path.len;
    while (keep > 0 && base->path.ptr[keep - 1] != '/') {
        keep--;
    }
    if (base->authority.len > 0 && base->path.len == 0) {
        sp_buf_add_byte(&merged, '/');
    }
    sp_buf_add(&merged, base->path.ptr, keep);
    sp_buf_add_str(&merged, path);
    to->status = merged.status != SP_OK ? merged.status : to->status;
    add_without_dots(to, sp_buf_str(&merged));
    sp_buf_fini(&merged);
}

void sp_uri_resolve(sp_str base_uri, sp_str reference, struct sp_buf *to) {
    struct parts base = split(base_uri);
    struct parts ref = split(reference);
    bool own_scheme = ref.scheme.len > 0;
    bool own_authority = own_scheme || ref.authority.len > 0;
    sp_buf_add_str(to, own_scheme ? ref.scheme : base.scheme);
    sp_buf_add_str(to, own_authority ? ref.authority : base.authority);
    if (ref.path.len == 0 && !own_authority) {
        sp_buf_add_str(to, base.path);
        sp_buf_add_str(to, ref.query.len > 0 ? ref.query : base.query);
        return;
    }
    if (own_authority || ref.path.ptr[0] == '/') {
        add_without_dots(to, ref.path);
    } else {
        add_merged(to, &base, ref.path);
    }
    sp_buf_add_str(to, ref.query);
}

void sp_uri_decode(sp_str text, struct sp_buf *to) {
    for (size_t i = 0; i < text.len; i++) {
        bool escape = text.ptr[i] == '%' && text.len - i >= 3;
        uint32_t high = escape ? sp_json_hex[(uint8_t)text.ptr[i + 1]] : 0;
        uint32_t low = escape ? sp_json_hex[(uint8_t)text.ptr[i + 2]] : 0;
        if (high != 0 && low != 0) {
            sp_buf_add_byte(to, (uint8_t)((high - 1) << 4 | (low - 1)));
            i += 2;
        } else {
            sp_buf_add_byte(to, (uint8_t)text.ptr[i]);
        }
    }
}
