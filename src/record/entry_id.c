#include "record/entry_id.h"

#include "base/buf.h"

static size_t format_u64(uint64_t value, char *to) {
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (size_t i = 0; i < count; i++) {
        to[i] = digits[count - 1 - i];
    }
    return count;
}

size_t sp_entry_id_format(struct sp_entry_id id, char to[SP_ENTRY_ID_TEXT_SIZE]) {
    size_t len = format_u64(id.ms, to);
    to[len++] = '-';
    len += format_u64(id.seq, to + len);
    to[len] = '\0';
    return len;
}

/* Reads the digits at the start of *text and takes them off. */
static bool take_u64(sp_str *text, uint64_t *ret_value) {
    uint64_t value = 0;
    size_t at = 0;
    while (at < text->len && text->ptr[at] >= '0' && text->ptr[at] <= '9') {
        uint64_t digit = (uint64_t)(text->ptr[at] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
        at++;
    }
    *text = sp_str_from_byte(*text, at);
    *ret_value = value;
    return at > 0;
}

bool sp_entry_id_parse(sp_str text, struct sp_entry_id *ret_id) {
    struct sp_entry_id id;
    if (!take_u64(&text, &id.ms) || text.len == 0 || text.ptr[0] != '-') {
        return false;
    }
    text = sp_str_from_byte(text, 1);
    if (!take_u64(&text, &id.seq) || text.len != 0) {
        return false;
    }
    *ret_id = id;
    return true;
}

bool sp_event_own_id(const struct sp_event *event, struct sp_entry_id *ret_id) {
    const sp_str name = sp_str_of(SP_OWN_ID_NAME, sizeof(SP_OWN_ID_NAME) - 1);
    for (uint32_t i = 0; i < event->extension_count; i++) {
        const struct sp_extension *extension = &event->extensions[i];
        if (sp_str_eq(extension->name, name) && sp_entry_id_parse(extension->value, ret_id)) {
            return true;
        }
    }
    return false;
}

struct sp_entry_id sp_event_entry_id(const struct sp_event *event) {
    struct sp_entry_id id = sp_entry_id_of_log(event->recorded_us, event->entry_seq);
    (void)sp_event_own_id(event, &id);
    return id;
}
