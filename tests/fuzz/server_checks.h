/*
 * What a client of the fuzzed server compares: replies are well-formed, there is one for each
 * command, and none leaves before its gate. Only fuzz_server.c includes this.
 */
#ifndef SPOOR_FUZZ_SERVER_CHECKS_H
#define SPOOR_FUZZ_SERVER_CHECKS_H

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "engine/bus.h"
#include "server/command.h"
#include "server/server.h"

enum { CHECK_GATES = 64 };

struct check {
    struct sp_buf bytes; /* heard, and not a whole reply yet */
    bool resp3;          /* it may have said HELLO 3 */
    bool sure;           /* one reply for each command */
    uint64_t asked;
    uint64_t answered;
    char last[32]; /* what was asked last, for messages */
    struct {
        uint64_t number; /* of the reply; 0: none */
        uint64_t gate;
    } gates[CHECK_GATES];
};

static void check_init(struct check *check) {
    *check = (struct check){.sure = true};
    sp_buf_init(&check->bytes, SIZE_MAX);
}

static void check_fini(struct check *check) {
    sp_buf_fini(&check->bytes);
}

static void check_fail(const struct check *check, const char *what) {
    (void)fprintf(
        stderr, "fuzz_server: %s: asked %llu, last '%s', answered %llu, heard '%.*s'\n", what,
        (unsigned long long)check->asked, check->last, (unsigned long long)check->answered,
        (int)(check->bytes.len > 400 ? 400 : check->bytes.len), (const char *)check->bytes.data);
    abort();
}

/* The number of a header or integer; fails where it is none. */
static int64_t check_number(const struct check *check, sp_str text) {
    int64_t value = 0;
    if (!sp_word_i64(text, &value)) {
        check_fail(check, "a number was expected");
    }
    return value;
}

/*
 * Reads one header with its bytes. *ret_more is how many elements follow. Returns the bytes it
 * took; 0 where they have not all come.
 */
static size_t check_header(const struct check *check, sp_str text, bool top, uint64_t *ret_more) {
    const char *end = text.len > 0 ? memchr(text.ptr, '\n', text.len) : NULL;
    *ret_more = 0;
    if (end == NULL) {
        return 0;
    }
    size_t line = (size_t)(end - text.ptr) + 1;
    if (line < 3 || text.ptr[line - 2] != '\r' || memchr(text.ptr, '\r', line - 2) != NULL) {
        check_fail(check, "a line has no end, or one within");
    }
    char type = text.ptr[0];
    sp_str rest = sp_str_of(text.ptr + 1, line - 3);
    bool is_new = strchr("_,#=%~>", type) != NULL && type != '\0';
    if (strchr("+-:$*_,#=%~>", type) == NULL || type == '\0' || (is_new && !check->resp3) ||
        (type == '>' && !top)) {
        check_fail(check, "a type that is none here");
    }
    int64_t number = strchr(":$*=%~>", type) != NULL ? check_number(check, rest) : 0;
    if ((type == '_' && rest.len != 0) || (type == '#' && rest.len != 1) ||
        (type == ',' && rest.len == 0)) {
        check_fail(check, "a wrong value");
    }
    if (type == '$' || type == '=') {
        if (number < (type == '$' ? -1 : 4)) {
            check_fail(check, "a wrong length");
        }
        size_t whole = line + (number < 0 ? 0 : (size_t)number + 2);
        if (text.len >= whole && number >= 0 && memcmp(text.ptr + whole - 2, "\r\n", 2) != 0) {
            check_fail(check, "no end behind a bulk string");
        }
        return text.len >= whole ? whole : 0;
    }
    if (strchr("*%~>", type) != NULL) {
        if (number < (type == '*' ? -1 : 0)) {
            check_fail(check, "a wrong count");
        }
        *ret_more = number < 0 ? 0 : (uint64_t)number * (type == '%' ? 2 : 1);
    }
    return line;
}

/* The bytes of the reply at the start; 0 where it has not come whole. */
static size_t check_reply(const struct check *check, sp_str text) {
    uint64_t left = 1;
    size_t at = 0;
    while (left > 0) {
        uint64_t more = 0;
        size_t bytes = check_header(check, sp_str_from_byte(text, at), at == 0, &more);
        if (bytes == 0) {
            return 0;
        }
        at += bytes;
        left += more - 1;
    }
    return at;
}

/* An error may be about the words alone. */
static void check_gates(struct check *check, const struct sp_bus *bus, bool is_error) {
    for (int i = 0; i < CHECK_GATES; i++) {
        if (check->gates[i].number == check->answered && check->gates[i].number != 0 &&
            check->sure) {
            if (!is_error && !sp_bus_passed(bus, check->gates[i].gate)) {
                check_fail(check, "a reply left before its gate");
            }
            check->gates[i].number = 0;
        }
    }
}

static void check_hear(struct check *check, const struct sp_bus *bus, const void *bytes,
                       size_t len) {
    size_t at = 0;
    size_t reply = 1;
    sp_buf_add(&check->bytes, bytes, len);
    while (reply > 0 && at < check->bytes.len) {
        sp_str text = sp_str_from_byte(sp_buf_str(&check->bytes), at);
        reply = check_reply(check, text);
        at += reply;
        if (reply > 0 && text.ptr[0] != '>') {
            check->answered++;
            check_gates(check, bus, text.ptr[0] == '-');
        }
    }
    if (at > 0) {
        memmove(check->bytes.data, check->bytes.data + at, check->bytes.len - at);
        check->bytes.len -= at;
    }
}

/* What is answered by no reply, or by several, is not counted. */
static void check_asked(struct check *check, const struct sp_connection *connection,
                        const sp_str *words, uint32_t count) {
    (void)connection;
    check->asked++;
    (void)snprintf(check->last, sizeof(check->last), "%.*s",
                   words[0].len > 30 ? 30 : (int)words[0].len,
                   words[0].len > 0 ? words[0].ptr : "");
    check->resp3 = check->resp3 || sp_word_is(words[0], "hello");
    for (uint32_t i = 0; i < count; i++) {
        char text[32] = "";
        for (size_t k = 0; k < words[i].len && k < sizeof(text) - 1; k++) {
            text[k] = (char)(words[i].ptr[k] | 0x20);
        }
        if (strstr(text, "subscribe") != NULL || strcmp(text, "reply") == 0 ||
            strcmp(text, "post") == 0 || strcmp(text, "host:") == 0) {
            check->sure = false;
        }
    }
}

/* A command has just been run: what it decided is in a block that its reply waits for. */
static void check_gate(struct check *check, const struct sp_connection *connection,
                       struct sp_bus *bus, sp_str name) {
    const struct sp_command_row *row = sp_command_find(&connection->server->commands, name);
    if (!check->sure || row == NULL || connection->pause != 0 || connection->transaction != NULL ||
        (row->flags & SP_CMD_WRITE) == 0 || (row->flags & SP_CMD_BLOCKING) != 0 ||
        sp_word_is(name, "spublish") || sp_word_is(name, "publish")) {
        return;
    }
    for (int i = 0; i < CHECK_GATES; i++) {
        if (check->gates[i].number == 0) {
            check->gates[i].number = check->asked;
            check->gates[i].gate = sp_bus_gate(bus);
            return;
        }
    }
}

/* All is at rest: everything was answered. */
static void check_count(struct check *check, const struct sp_connection *connection) {
    bool waits = connection->pause != 0 || connection->broken || connection->ended;
    if (check->bytes.len > 0) {
        check_fail(check, "a reply has no end");
    }
    if (check->sure && !waits && connection->subscriber == NULL &&
        check->asked != check->answered) {
        check_fail(check, "not one reply for each command");
    }
}

#endif
