#include "match/text.h"

#include "base/json_escape.h"
#include "base/utf8.h"
#include "match/fold.h"

/* Reads the \u escape at text->at, of both halves where it writes a pair. */
static uint32_t read_unicode(struct sp_text *text) {
    uint32_t unit = text->end - text->at >= 6 ? sp_json_hex4(text->at + 2) : UINT32_MAX;
    text->at += unit == UINT32_MAX ? text->end - text->at : 6;
    if (sp_json_is_high_surrogate(unit) && text->end - text->at >= 6) {
        uint32_t low = sp_json_hex4(text->at + 2);
        text->at += 6;
        return 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
    }
    return unit == UINT32_MAX || (unit & 0xfffff800) == 0xd800 ? 0xfffd : unit;
}

/* Reads the escape at text->at. The scanner has checked it; whatever comes, nothing is overrun. */
static uint32_t read_escape(struct sp_text *text) {
    sp_require(*text->at == '\\');
    if (text->end - text->at < 2) {
        text->at = text->end;
        return '\\';
    }
    if (text->at[1] == 'u') {
        return read_unicode(text);
    }
    uint32_t code = sp_json_escaped[(uint8_t)text->at[1]];
    text->at += 2;
    return code;
}

/* Reads one code point, or one byte where the bytes are no UTF-8 or have no case to fold. */
static size_t read_one(struct sp_text *text, char to[SP_UTF8_SEQUENCE_MAX]) {
    uint32_t code = (uint8_t)*text->at;
    if (text->escaped && code == '\\') {
        code = read_escape(text);
    } else if (code < 0x80) {
        text->at++;
    } else {
        size_t len = text->fold ? sp_utf8_decode(text->at, text->end, &code) : 0;
        if (len != 2) {
            to[0] = *text->at++;
            return 1;
        }
        text->at += 2;
    }
    code = text->fold ? sp_fold(code) : code;
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    sp_invariant((code & 0xfffff800) != 0xd800 && code <= 0x10ffff);
    return sp_utf8_encode(code, to);
}

bool sp_text_next(struct sp_text *text, char room[SP_TEXT_PIECE_BYTES], sp_str *ret_piece) {
    sp_require(text->at <= text->end);
    if (text->at == text->end) {
        return false;
    }
    if (!text->escaped && !text->fold) {
        *ret_piece = sp_str_of(text->at, (size_t)(text->end - text->at));
        text->at = text->end;
        return true;
    }
    size_t len = 0;
    sp_invariant(text->escaped || text->fold);
    while (text->at < text->end && len + SP_UTF8_SEQUENCE_MAX <= SP_TEXT_PIECE_BYTES) {
        len += read_one(text, room + len);
    }
    sp_ensure(len > 0 && len <= SP_TEXT_PIECE_BYTES);
    *ret_piece = sp_str_of(room, len);
    return true;
}

/* Globs. */

/*
 * Fills back[n] with the length of the longest border of the first n bytes, other than themselves.
 */
static void find_borders(sp_str text, uint32_t *back) {
    sp_require(text.len > 0);
    back[0] = 0;
    back[1] = 0;
    uint32_t border = 0;
    for (uint32_t i = 1; i < text.len; i++) {
        while (border > 0 && text.ptr[i] != text.ptr[border]) {
            border = back[border];
        }
        border += text.ptr[i] == text.ptr[border];
        back[i + 1] = border;
    }
}

/* A copy of the part, in lower case where wanted: folding keeps the number of bytes. */
static sp_str copy_part(struct sp_pool *pool, sp_str part, bool fold) {
    char *copy = sp_pool_take(pool, part.len);
    if (copy == NULL) {
        return (sp_str){.ptr = NULL, .len = 0};
    }
    struct sp_text text = sp_text_of(part, false, fold);
    char room[SP_TEXT_PIECE_BYTES];
    sp_str piece;
    size_t len = 0;
    while (sp_text_next(&text, room, &piece)) {
        sp_invariant(len + piece.len <= part.len);
        memcpy(copy + len, piece.ptr, piece.len);
        len += piece.len;
    }
    sp_ensure(len == part.len);
    return sp_str_of(copy, len);
}

sp_status sp_glob_make(struct sp_pool *pool, const sp_str *parts, uint32_t count, bool open_start,
                       bool open_end, bool fold, struct sp_glob *ret_glob) {
    struct sp_glob_part *made = sp_pool_take(pool, ((size_t)count + 1) * sizeof(*made));
    uint32_t used = 0;
    for (uint32_t i = 0; made != NULL && i < count; i++) {
        if (parts[i].len == 0) {
            continue;
        }
        uint32_t *back = sp_pool_take(pool, (parts[i].len + 1) * sizeof(*back));
        made[used].text = copy_part(pool, parts[i], fold);
        if (back == NULL || made[used].text.ptr == NULL) {
            return SP_NO_MEMORY;
        }
        find_borders(made[used].text, back);
        made[used++].back = back;
    }
    if (made == NULL) {
        return SP_NO_MEMORY;
    }
    *ret_glob = (struct sp_glob){
        .parts = made,
        .count = used,
        .open_start = open_start,
        .open_end = open_end,
        .fold = fold,
    };
    return SP_OK;
}

/* Where a match stands: the part looked for, and how many bytes of it have been found. */
struct glob_state {
    uint32_t part;
    uint32_t have;
};

enum glob_verdict { GLOB_NO, GLOB_YES, GLOB_MORE };

/* Steps over a piece that must be the beginning of the text. */
static enum glob_verdict step_start(const struct sp_glob *glob, struct glob_state *state,
                                    sp_str *piece) {
    sp_require(state->part == 0 && state->have <= glob->parts[0].text.len);
    sp_str wanted = sp_str_from_byte(glob->parts[0].text, state->have);
    size_t len = wanted.len < piece->len ? wanted.len : piece->len;
    if (len > 0 && memcmp(wanted.ptr, piece->ptr, len) != 0) {
        return GLOB_NO;
    }
    *piece = sp_str_from_byte(*piece, len);
    state->have += (uint32_t)len;
    if (len < wanted.len) {
        return GLOB_MORE;
    }
    if (glob->count > 1) {
        *state = (struct glob_state){.part = 1};
        return GLOB_MORE;
    }
    return glob->open_end ? GLOB_YES : piece->len > 0 ? GLOB_NO : GLOB_MORE;
}

/*
 * Steps over a piece that has the part somewhere. At the last part, `ends` says that it must end
 * the text, so that the search goes on behind each place found.
 */
static enum glob_verdict step_inside(const struct sp_glob *glob, struct glob_state *state,
                                     sp_str *piece) {
    sp_require(state->part < glob->count);
    const struct sp_glob_part *part = &glob->parts[state->part];
    bool ends = state->part + 1 == glob->count && !glob->open_end;
    uint32_t have = state->have;
    const char *end = piece->ptr + piece->len;
    for (const char *at = piece->ptr; at < end; at++) {
        if (have == 0) {
            at = memchr(at, part->text.ptr[0], (size_t)(end - at));
            if (at == NULL) {
                break;
            }
        }
        while (have > 0 && (have == part->text.len || part->text.ptr[have] != *at)) {
            have = part->back[have];
        }
        have += part->text.ptr[have] == *at;
        if (have == part->text.len && !ends) {
            *piece = sp_str_of(at + 1, (size_t)(end - at - 1));
            *state = (struct glob_state){.part = state->part + 1};
            return state->part == glob->count ? GLOB_YES : GLOB_MORE;
        }
    }
    sp_invariant(have <= part->text.len);
    state->have = have;
    *piece = sp_str_of(end, 0);
    return GLOB_MORE;
}

static bool glob_at_end(const struct sp_glob *glob, struct glob_state state) {
    return state.part + 1 == glob->count && !glob->open_end &&
           state.have == glob->parts[state.part].text.len;
}

bool sp_glob_match(const struct sp_glob *glob, sp_str raw, bool escaped) {
    if (glob->count == 0) {
        return glob->open_start || glob->open_end || raw.len == 0;
    }
    if (glob->count == 1 && glob->open_start && !glob->open_end && !glob->fold && !escaped) {
        return sp_str_ends_with(raw, glob->parts[0].text);
    }
    struct sp_text text = sp_text_of(raw, escaped, glob->fold);
    struct glob_state state = {.part = 0};
    char room[SP_TEXT_PIECE_BYTES];
    sp_str piece;
    while (sp_text_next(&text, room, &piece)) {
        do {
            bool at_start = state.part == 0 && !glob->open_start;
            enum glob_verdict verdict =
                at_start ? step_start(glob, &state, &piece) : step_inside(glob, &state, &piece);
            if (verdict != GLOB_MORE) {
                return verdict == GLOB_YES;
            }
        } while (piece.len > 0);
    }
    return glob_at_end(glob, state);
}
