#include "flow/rule.h"

#include "flow/members.h"

static void begin(const struct sp_rule_kind *kind, const char *type, sp_str name,
                  struct sp_flow_out *out) {
    sp_flow_out_begin(out, sp_str_from(type), sp_str_from(kind->stream));
    struct sp_buf *data = sp_flow_out_data_begin(out);
    sp_buf_add_byte(data, '{');
    sp_put_text(data, kind->key, name);
}

sp_status sp_rule_define(const struct sp_rule_kind *kind, sp_str name, sp_str text, sp_str by,
                         struct sp_flow_out *out) {
    char sha256[SP_RULE_SHA256_TEXT_SIZE];
    sp_rule_sha256(text, sha256);
    begin(kind, kind->defined, name, out);
    sp_put_text(&out->text, "sha256", sp_str_from(sha256));
    sp_put_text(&out->text, "by", by);
    sp_put_json(&out->text, "definition", text);
    sp_buf_add_byte(&out->text, '}');
    sp_flow_out_data_end(out);
    return sp_flow_out_status(out);
}

sp_status sp_rule_remove(const struct sp_rule_kind *kind, sp_str name, sp_str by,
                         struct sp_flow_out *out) {
    begin(kind, kind->removed, name, out);
    sp_put_text(&out->text, "by", by);
    sp_buf_add_byte(&out->text, '}');
    sp_flow_out_data_end(out);
    return sp_flow_out_status(out);
}

void sp_rule_sha256(sp_str text, char ret_text[SP_RULE_SHA256_TEXT_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[SP_SHA256_BYTES];
    sp_sha256_salted(NULL, 0, text.ptr, text.len, hash);
    for (uint32_t i = 0; i < SP_SHA256_BYTES; i++) {
        ret_text[i * 2] = digits[hash[i] >> 4];
        ret_text[i * 2 + 1] = digits[hash[i] & 15];
    }
    ret_text[SP_RULE_SHA256_TEXT_SIZE - 1] = '\0';
}

sp_status sp_rule_read(const struct sp_rule_kind *kind, const struct sp_event *event,
                       struct sp_buf *scratch, sp_str *ret_name, sp_str *ret_text) {
    struct sp_member members[] = {{.name = kind->key}, {.name = "definition"}};
    sp_buf_reset(scratch);
    sp_status status = sp_members_of(event, members, 2, scratch);
    *ret_name = sp_member_text(&members[0]);
    *ret_text = members[1].json;
    if (ret_name->len > SP_DOC_NAME_BYTES_MAX || ret_text->len > SP_RULE_BYTES_MAX ||
        (ret_name->len > 0 && memchr(ret_name->ptr, 0, ret_name->len) != NULL)) {
        ret_name->len = 0;
    }
    return status;
}

/* ---- compiling ---- */

sp_str sp_rule_keep(struct sp_pool *pool, sp_str text) {
    return text.ptr == NULL ? text : sp_pool_copy(pool, text);
}

bool sp_rule_json(struct sp_pool *pool, const struct sp_doc_node *node, sp_str *ret_json,
                  struct sp_doc_problems *problems) {
    struct sp_buf text;
    if (node == NULL) {
        return true;
    }
    sp_buf_init(&text, SP_RULE_BYTES_MAX);
    sp_doc_write(node, &text);
    sp_str kept = {.ptr = NULL, .len = 0};
    if (text.status == SP_OK) {
        kept = sp_pool_copy(pool, sp_buf_str(&text));
    }
    if (kept.ptr == NULL) {
        sp_doc_wrong(problems, node->place, "too large: %d bytes are possible", SP_RULE_BYTES_MAX);
    }
    *ret_json = kept;
    sp_buf_fini(&text);
    return kept.ptr != NULL;
}

void sp_rule_emit(const struct sp_doc_node *node, const char *what, struct sp_rule_emit *ret_emit,
                  struct sp_doc_problems *problems) {
    static const char *const keys[] = {"type", "data", "stream"};
    *ret_emit = (struct sp_rule_emit){.data = NULL};
    if (node == NULL) {
        return;
    }
    (void)sp_doc_keys(node, what, keys, 3, problems);
    if (node->kind != SP_DOC_OBJECT) {
        return;
    }
    const struct sp_doc_node *stream = sp_doc_get(node, "stream");
    (void)sp_rule_needs(node, "type", problems);
    (void)sp_doc_type(sp_doc_get(node, "type"), &ret_emit->type, problems);
    if (sp_doc_text(stream, SP_RULE_STREAM_BYTES_MAX, &ret_emit->stream, problems) &&
        (sp_str_starts_with(ret_emit->stream, SP_STR("$")) ||
         sp_str_starts_with(ret_emit->stream, SP_STR("saga:")))) {
        sp_doc_wrong(problems, stream->place, "the stream `%.*s` is the store's own",
                     SP_STR_ARG(ret_emit->stream));
    }
    ret_emit->data = sp_doc_get(node, "data");
}

bool sp_rule_needs(const struct sp_doc_node *object, const char *key,
                   struct sp_doc_problems *problems) {
    if (sp_doc_get(object, key) != NULL) {
        return true;
    }
    sp_doc_wrong(problems, object->place, "`%s` is missing", key);
    return false;
}
