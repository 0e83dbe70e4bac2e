/*
 * The first byte chooses how the rest is cut into pieces. Read in one piece and in many, each at an
 * address of its own, the replies and the problem must be the same.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "base/prng.h"
#include "proto/resp_reply.h"

/* Appends what was read; every slice must lie in the input. */
static void note(struct sp_buf *to, const struct sp_reply *reply, const char *bytes) {
    sp_require(reply->node_count > 0 && reply->nodes[0].span == reply->node_count);
    for (uint32_t i = 0; i < reply->node_count; i++) {
        const struct sp_reply_node *node = &reply->nodes[i];
        sp_require(node->span >= 1 && node->span <= reply->node_count - i);
        sp_buf_add_u64(to, (uint64_t)node->kind);
        sp_buf_add_byte(to, ' ');
        sp_buf_add_u64(to, node->kind == SP_REPLY_INTEGER ? (uint64_t)node->integer : node->count);
        sp_buf_add_byte(to, ' ');
        if (node->text.len > 0) {
            sp_require(node->text.ptr >= bytes &&
                       node->text.ptr + node->text.len <= bytes + reply->consumed);
            sp_buf_add_str(to, node->text);
        }
        sp_buf_add_byte(to, '\n');
    }
}

static void read_all(sp_str input, struct sp_prng *prng, struct sp_buf *to) {
    struct sp_reply_reader reader;
    size_t at = 0;
    size_t have = prng == NULL ? input.len : 0;
    sp_reply_reader_init(&reader);
    for (;;) {
        struct sp_reply reply;
        size_t len = have - at;
        char *copy = malloc(len + (len == 0));
        sp_require(copy != NULL);
        memcpy(copy, input.ptr + at, len);
        enum sp_reply_result result = sp_reply_read(&reader, copy, len, &reply);
        if (result == SP_REPLY_WHOLE) {
            sp_require(reply.consumed > 0 && reply.consumed <= len);
            note(to, &reply, copy);
            at += reply.consumed;
        } else if (result == SP_REPLY_BROKEN) {
            sp_buf_add_str(to, sp_str_from(reply.problem));
        }
        free(copy);
        if (result == SP_REPLY_BROKEN || (result == SP_REPLY_MORE && have == input.len)) {
            break;
        }
        if (result == SP_REPLY_MORE) {
            size_t left = input.len - have;
            have += 1 + sp_prng_below(prng, left < 9 ? (uint32_t)left : 9);
        }
    }
    sp_reply_reader_fini(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    struct sp_prng prng = sp_prng_seed(data[0]);
    sp_str input = sp_str_of(data + 1, size - 1);
    struct sp_buf whole;
    struct sp_buf pieces;
    sp_buf_init(&whole, SIZE_MAX);
    sp_buf_init(&pieces, SIZE_MAX);
    read_all(input, NULL, &whole);
    read_all(input, &prng, &pieces);
    sp_require(sp_str_eq(sp_buf_str(&whole), sp_buf_str(&pieces)));
    sp_buf_fini(&whole);
    sp_buf_fini(&pieces);
    return 0;
}
