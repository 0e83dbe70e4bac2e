/*
 * The first byte chooses how the rest is cut into pieces. Read in one piece and in many, each at an
 * address of its own, the commands and the error must be the same. The second byte chooses the
 * limits.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "base/prng.h"
#include "proto/resp_read.h"

struct source {
    sp_str input;
    size_t at;   /* consumed */
    size_t have; /* arrived */
    struct sp_prng prng;
    bool whole;
};

/* Appends what was read, in a form that tells arguments apart. */
static void note(struct sp_buf *to, const struct sp_resp_command *command) {
    sp_buf_add_u64(to, command->argc);
    for (uint32_t i = 0; i < command->argc; i++) {
        sp_buf_add_byte(to, ' ');
        sp_buf_add_u64(to, command->args[i].len);
        sp_buf_add_byte(to, ':');
        sp_buf_add_str(to, command->args[i]);
    }
    sp_buf_add_byte(to, '\n');
}

/* Lets more bytes arrive; false where there are none. */
static bool arrive(struct source *source) {
    size_t left = source->input.len - source->have;
    if (left == 0) {
        return false;
    }
    size_t piece = source->whole ? left : 1 + sp_prng_below(&source->prng, 9);
    source->have += piece < left ? piece : left;
    return true;
}

static void read_all(struct source source, const struct sp_resp_limits *limits, struct sp_buf *to) {
    struct sp_resp_reader reader;
    struct sp_resp_command command;
    enum sp_resp_result result = SP_RESP_MORE;
    sp_resp_reader_init(&reader);
    while (result != SP_RESP_ERROR && (result == SP_RESP_COMMAND || arrive(&source))) {
        size_t len = source.have - source.at;
        char *copy = malloc(len + (len == 0));
        sp_require(copy != NULL);
        memcpy(copy, source.input.ptr + source.at, len);
        result = sp_resp_read(&reader, copy, len, limits, &command);
        sp_require(command.consumed <= len);
        source.at += command.consumed;
        if (result == SP_RESP_COMMAND) {
            sp_require(command.argc > 0 && command.consumed > 0);
            note(to, &command);
        } else if (result == SP_RESP_ERROR) {
            sp_require(command.problem.len > 0);
            sp_buf_add_str(to, command.problem);
        } else {
            sp_require(command.more > 0);
        }
        free(copy);
    }
    sp_resp_reader_fini(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    struct sp_resp_limits limits = SP_RESP_LIMITS_DEFAULT;
    if (data[1] == 'u') {
        limits = SP_RESP_LIMITS_UNAUTHENTICATED;
        limits.inline_bytes_max = 20;
    }
    struct source source = {
        .input = sp_str_of(data + 2, size - 2), .prng = sp_prng_seed(data[0]), .whole = true};
    struct sp_buf whole;
    struct sp_buf pieces;
    sp_buf_init(&whole, SIZE_MAX);
    sp_buf_init(&pieces, SIZE_MAX);
    read_all(source, &limits, &whole);
    source.whole = false;
    read_all(source, &limits, &pieces);
    sp_require(sp_str_eq(sp_buf_str(&whole), sp_buf_str(&pieces)));
    sp_buf_fini(&whole);
    sp_buf_fini(&pieces);
    return 0;
}
