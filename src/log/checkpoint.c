#include "log/checkpoint.h"

#include "base/base64.h"

enum { ROOT_BASE64_BYTES = 44, SIZE_DIGITS_MAX = 19 };

static const char signature_mark[] = "\xe2\x80\x94 "; /* an em dash and a blank */

static void add_origin(const uint8_t uuid[16], struct sp_buf *to) {
    static const char digits[] = "0123456789abcdef";
    sp_buf_add_str(to, SP_STR("spoor/"));
    for (int i = 0; i < 16; i++) {
        sp_buf_add_byte(to, (uint8_t)digits[uuid[i] >> 4]);
        sp_buf_add_byte(to, (uint8_t)digits[uuid[i] & 15]);
    }
    sp_buf_add_byte(to, '\n');
}

void sp_checkpoint_encode(const uint8_t uuid[16], uint64_t size, const uint8_t root[SP_HASH_BYTES],
                          struct sp_buf *to) {
    add_origin(uuid, to);
    sp_buf_add_u64(to, size);
    sp_buf_add_byte(to, '\n');
    sp_base64_add(to, sp_str_of(root, SP_HASH_BYTES));
    sp_buf_add_byte(to, '\n');
}

/* Takes a line, which ends in a line feed, off the front; NULL where there is none. */
static sp_str take_line(sp_str *rest) {
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    if (end == NULL) {
        return (sp_str){.ptr = NULL, .len = 0};
    }
    sp_str line = sp_str_of(rest->ptr, (size_t)(end - rest->ptr));
    *rest = sp_str_from_byte(*rest, line.len + 1);
    return line;
}

static bool parse_size(sp_str line, uint64_t *ret_size) {
    uint64_t size = 0;
    if (line.len == 0 || line.len > SIZE_DIGITS_MAX || (line.len > 1 && line.ptr[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9') {
            return false;
        }
        size = size * 10 + (uint64_t)(line.ptr[i] - '0');
    }
    *ret_size = size;
    return true;
}

/* Nothing, or an empty line and signatures. */
static bool only_signatures(sp_str rest) {
    if (rest.len == 0) {
        return true;
    }
    bool fine = take_line(&rest).len == 0;
    while (fine && rest.len > 0) {
        sp_str line = take_line(&rest);
        fine = line.ptr != NULL && sp_str_starts_with(line, SP_STR(signature_mark));
    }
    return fine;
}

sp_status sp_checkpoint_decode(sp_str text, const uint8_t uuid[16],
                               struct sp_checkpoint *ret_checkpoint, struct sp_error *error) {
    struct sp_checkpoint checkpoint = {.present = true};
    struct sp_buf scratch;
    sp_buf_init(&scratch, SP_CHECKPOINT_BYTES_MAX);
    add_origin(uuid, &scratch);
    sp_str origin = sp_buf_str(&scratch);
    sp_str rest = text;
    bool fine = scratch.status == SP_OK && sp_str_starts_with(rest, origin);
    if (fine) {
        rest = sp_str_from_byte(rest, origin.len);
        fine = parse_size(take_line(&rest), &checkpoint.size);
    }
    if (fine) {
        sp_str encoded = take_line(&rest);
        sp_buf_reset(&scratch);
        fine = encoded.len == ROOT_BASE64_BYTES && sp_base64_decode(&scratch, encoded) &&
               scratch.len == SP_HASH_BYTES && only_signatures(rest);
    }
    if (fine) {
        memcpy(checkpoint.root, scratch.data, SP_HASH_BYTES);
        *ret_checkpoint = checkpoint;
    }
    sp_buf_fini(&scratch);
    return fine ? SP_OK
                : sp_error_set(error, SP_CORRUPT, "%s: damaged, or of another log",
                               SP_CHECKPOINT_PATH);
}

sp_status sp_checkpoint_load(struct sp_fs *fs, const uint8_t uuid[16],
                             struct sp_checkpoint *ret_checkpoint, struct sp_error *error) {
    struct sp_buf text;
    sp_buf_init(&text, SP_CHECKPOINT_BYTES_MAX);
    sp_status status = sp_fs_read_all(fs, SP_CHECKPOINT_PATH, &text, error);
    if (status == SP_OK) {
        status = sp_checkpoint_decode(sp_buf_str(&text), uuid, ret_checkpoint, error);
    } else if (status == SP_LIMIT) {
        status = sp_error_set(error, SP_CORRUPT, "%s: too large", SP_CHECKPOINT_PATH);
    }
    if (status == SP_NOT_FOUND) {
        *ret_checkpoint = (struct sp_checkpoint){.present = false};
    }
    sp_buf_fini(&text);
    return status;
}
