#include "client/answer.h"

sp_status sp_answer_status(sp_str text, struct sp_error *error) {
    static const struct {
        const char *code;
        sp_status status;
    } CODES[] = {
        {"ERR", SP_INVALID},         {"CONFLICT", SP_CONFLICT},
        {"LIMIT", SP_LIMIT},         {"NOTFOUND", SP_NOT_FOUND},
        {"NOGROUP", SP_NOT_FOUND},   {"NOAGENT", SP_NOT_FOUND},
        {"NOPERM", SP_DENIED},       {"NOAUTH", SP_DENIED},
        {"WRONGPASS", SP_DENIED},    {"CORRUPT", SP_CORRUPT},
        {"MISCONF", SP_FAILED},      {"NOSPACE", SP_NO_SPACE},
        {"TIMEOUT", SP_TIMEOUT},     {"OOM", SP_NO_MEMORY},
        {"BUSY", SP_BUSY},           {"REFUSED", SP_CONFLICT},
        {"BEHIND", SP_TIMEOUT},      {"UPCAST", SP_INVALID},
        {"INVALID", SP_INVALID},     {"BUSYGROUP", SP_CONFLICT},
        {"NOPROTO", SP_UNSUPPORTED}, {"UNSUPPORTED", SP_UNSUPPORTED},
    };
    size_t len = 0;
    while (len < text.len && text.ptr[len] != ' ') {
        len++;
    }
    sp_str code = sp_str_of(text.ptr, len);
    sp_str rest = len < text.len ? sp_str_from_byte(text, len + 1) : text;
    for (size_t i = 0; i < sizeof(CODES) / sizeof(*CODES); i++) {
        if (sp_str_eq(code, sp_str_from(CODES[i].code))) {
            return sp_error_set(error, CODES[i].status, "%.*s", SP_STR_ARG(rest));
        }
    }
    return sp_error_set(error, SP_INVALID, "%.*s", SP_STR_ARG(text));
}

void sp_answer_init(struct sp_answer *answer) {
    sp_buf_init(&answer->texts, SIZE_MAX / 2);
    sp_buf_init(&answer->nodes, SIZE_MAX / 2);
}

void sp_answer_fini(struct sp_answer *answer) {
    sp_buf_fini(&answer->texts);
    sp_buf_fini(&answer->nodes);
}

sp_status sp_answer_copy(struct sp_answer *answer, const struct sp_reply_node *node) {
    size_t bytes = 1; /* an empty text points somewhere */
    for (uint32_t i = 0; i < node->span; i++) {
        bytes += node[i].text.len;
    }
    sp_buf_reset(&answer->texts);
    sp_buf_reset(&answer->nodes);
    if (sp_buf_reserve(&answer->texts, bytes) == NULL) {
        return SP_NO_MEMORY;
    }
    for (uint32_t i = 0; i < node->span; i++) {
        struct sp_reply_node own = node[i];
        own.text.ptr = (const char *)answer->texts.data + answer->texts.len;
        sp_buf_add_str(&answer->texts, node[i].text);
        sp_buf_add(&answer->nodes, &own, sizeof(own));
    }
    return answer->nodes.status == SP_OK ? SP_OK : SP_NO_MEMORY;
}

uint64_t sp_answer_u64(const struct sp_reply_node *node) {
    bool fits = node != NULL && node->kind == SP_REPLY_INTEGER && node->integer > 0;
    return fits ? (uint64_t)node->integer : 0;
}

sp_str sp_answer_text(const struct sp_reply_node *node) {
    bool is_text = node != NULL && node->kind == SP_REPLY_TEXT;
    return is_text ? node->text : (sp_str){.ptr = NULL};
}
