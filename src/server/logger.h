/*
 * Log lines: one line on stderr for one thing that happened, in logfmt or JSON. loop-thread
 *
 *     time=2026-11-20T05:49:12.123456Z level=warn msg="client too slow" client=17 unsent=8388608
 *
 * A line never waits for its reader: where stderr takes nothing the line is dropped, and the next
 * one that gets through says how many were. The same message at most SP_LOGGER_BURST times a
 * second; those left out are counted in the next one's `suppressed`.
 */
#ifndef SP_SERVER_LOGGER_H
#define SP_SERVER_LOGGER_H

#include "base/buf.h"
#include "base/str.h"
#include "os/os.h"

enum sp_level { SP_LEVEL_DEBUG, SP_LEVEL_INFO, SP_LEVEL_WARN, SP_LEVEL_ERROR };

enum {
    SP_LOGGER_BURST = 20,
    SP_LOGGER_SLOTS = 64,
    SP_LOGGER_LINE_BYTES_MAX = 4096, /* longer values are cut */
};

/* One key with its value: a text, or a number where text.ptr is NULL. */
struct sp_field {
    const char *key;
    sp_str text;
    uint64_t number;
};

#define SP_FIELD_TEXT(name, value)   ((struct sp_field){.key = (name), .text = (value)})
#define SP_FIELD_NUMBER(name, value) ((struct sp_field){.key = (name), .number = (value)})

/* How often a message was said in the running second. */
struct sp_logger_slot {
    const char *message;
    uint64_t second;
    uint32_t count;
    uint32_t suppressed;
};

struct sp_logger {
    int fd; /* not owned; -1: nothing is logged */
    enum sp_level level;
    bool json;
    struct sp_clock clock;
    uint64_t dropped;
    struct sp_logger_slot slots[SP_LOGGER_SLOTS];
};

void sp_logger_init(struct sp_logger *logger, int fd, struct sp_clock clock);

/* `message` is static storage: it is what lines are counted by. */
void sp_logger_line(struct sp_logger *logger, enum sp_level level, const char *message,
                    const struct sp_field *fields, size_t field_count);

/*
 * sp_say(logger, SP_LEVEL_WARN, "message", SP_FIELD_NUMBER("client", 17), …): at least one field.
 */
#define sp_say(logger, level, message, ...)                                                        \
    sp_logger_line((logger), (level), (message), (struct sp_field[]){__VA_ARGS__},                 \
                   sizeof((struct sp_field[]){__VA_ARGS__}) / sizeof(struct sp_field))

#endif
