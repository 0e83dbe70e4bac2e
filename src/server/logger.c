#include "server/logger.h"

#include <poll.h>
#include <unistd.h>

#include "base/time.h"

enum { VALUE_BYTES_MAX = 512, US_PER_S = 1000000 };

static const char *level_name(enum sp_level level) {
    switch (level) {
    case SP_LEVEL_DEBUG:
        return "debug";
    case SP_LEVEL_INFO:
        return "info";
    case SP_LEVEL_WARN:
        return "warn";
    case SP_LEVEL_ERROR:
        return "error";
    }
    sp_never();
}

void sp_logger_init(struct sp_logger *logger, int fd, struct sp_clock clock) {
    *logger = (struct sp_logger){.fd = fd, .level = SP_LEVEL_INFO, .clock = clock};
}

/* ---- one line -------------------------------------------------------------------------------- */

static bool is_bare(sp_str text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte <= ' ' || byte == '"' || byte == '=' || byte == '\\' || byte >= 0x7f) {
            return false;
        }
    }
    return text.len > 0;
}

/* Within quotes; what a terminal would obey, and what is not ASCII, becomes \xHH. */
static void add_quoted(struct sp_buf *to, sp_str text, bool json) {
    static const char HEX[] = "0123456789abcdef";
    sp_buf_add_byte(to, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.ptr[i];
        if (byte == '"' || byte == '\\') {
            sp_buf_add_byte(to, '\\');
            sp_buf_add_byte(to, byte);
        } else if (byte >= ' ' && byte < 0x7f) {
            sp_buf_add_byte(to, byte);
        } else {
            sp_buf_add_str(to, json ? SP_STR("\\u00") : SP_STR("\\x"));
            sp_buf_add_byte(to, (uint8_t)HEX[byte >> 4]);
            sp_buf_add_byte(to, (uint8_t)HEX[byte & 15]);
        }
    }
    sp_buf_add_byte(to, '"');
}

static void add_key(const struct sp_logger *logger, struct sp_buf *to, const char *key) {
    if (logger->json) {
        sp_buf_add_str(to, to->len == 0 ? SP_STR("{\"") : SP_STR(",\""));
        sp_buf_add_str(to, sp_str_from(key));
        sp_buf_add_str(to, SP_STR("\":"));
        return;
    }
    if (to->len > 0) {
        sp_buf_add_byte(to, ' ');
    }
    sp_buf_add_str(to, sp_str_from(key));
    sp_buf_add_byte(to, '=');
}

static void add_text(const struct sp_logger *logger, struct sp_buf *to, const char *key,
                     sp_str text) {
    text.len = text.len > VALUE_BYTES_MAX ? VALUE_BYTES_MAX : text.len;
    add_key(logger, to, key);
    if (!logger->json && is_bare(text)) {
        sp_buf_add_str(to, text);
    } else {
        add_quoted(to, text, logger->json);
    }
}

static void add_number(const struct sp_logger *logger, struct sp_buf *to, const char *key,
                       uint64_t number) {
    add_key(logger, to, key);
    sp_buf_add_u64(to, number);
}

static void add_head(const struct sp_logger *logger, uint64_t time_us, enum sp_level level,
                     const char *message, struct sp_buf *to) {
    char time[SP_TIME_TEXT_SIZE];
    sp_time_format(time_us > SP_TIME_US_MAX ? SP_TIME_US_MAX : time_us, time);
    add_text(logger, to, "time", sp_str_from(time));
    add_text(logger, to, "level", sp_str_from(level_name(level)));
    add_text(logger, to, "msg", sp_str_from(message));
}

static void add_fields(const struct sp_logger *logger, struct sp_buf *to,
                       const struct sp_field *fields, size_t field_count) {
    for (size_t i = 0; i < field_count; i++) {
        if (fields[i].text.ptr != NULL) {
            add_text(logger, to, fields[i].key, fields[i].text);
        } else {
            add_number(logger, to, fields[i].key, fields[i].number);
        }
    }
    sp_buf_add_str(to, logger->json ? SP_STR("}\n") : SP_STR("\n"));
}

/* ---- how often ------------------------------------------------------------------------------- */

/* Messages are told apart by where their text lies; two that share a slot share its budget. */
static bool may_say(struct sp_logger *logger, const char *message, uint64_t second,
                    uint32_t *ret_suppressed) {
    struct sp_logger_slot *slot = &logger->slots[((uintptr_t)message >> 3) % SP_LOGGER_SLOTS];
    if (slot->second != second || slot->message != message) {
        slot->second = second;
        slot->message = message;
        slot->count = 0;
    }
    if (++slot->count > SP_LOGGER_BURST) {
        slot->suppressed++;
        return false;
    }
    *ret_suppressed = slot->suppressed;
    slot->suppressed = 0;
    return true;
}

/* Lines are shorter than a pipe's atomic size: they are written whole or not at all. */
static bool write_line(int fd, const struct sp_buf *line) {
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    return poll(&writable, 1, 0) == 1 && (writable.revents & POLLOUT) != 0 &&
           write(fd, line->data, line->len) == (ssize_t)line->len;
}

void sp_logger_line(struct sp_logger *logger, enum sp_level level, const char *message,
                    const struct sp_field *fields, size_t field_count) {
    uint32_t suppressed = 0;
    if (level < logger->level || logger->fd < 0) {
        return;
    }
    uint64_t now_us = logger->clock.wall_us(logger->clock.context);
    if (!may_say(logger, message, now_us / US_PER_S, &suppressed)) {
        return;
    }
    struct sp_buf line;
    sp_buf_init(&line, SP_LOGGER_LINE_BYTES_MAX);
    add_head(logger, now_us, level, message, &line);
    if (suppressed > 0) {
        add_number(logger, &line, "suppressed", suppressed);
    }
    if (logger->dropped > 0) {
        add_number(logger, &line, "dropped", logger->dropped);
    }
    add_fields(logger, &line, fields, field_count);
    bool written = line.status == SP_OK && write_line(logger->fd, &line);
    logger->dropped = written ? 0 : logger->dropped + 1;
    sp_buf_fini(&line);
}
