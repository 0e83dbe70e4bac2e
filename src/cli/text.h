/*
 * Text for people: cut to a width, stripped of everything a terminal would obey, times and sizes in
 * words, an event's data in one line. pure
 *
 * What agents write is not to be trusted with a terminal: control characters, escape sequences and
 * marks that turn the direction of writing never reach it.
 */
#ifndef SP_CLI_TEXT_H
#define SP_CLI_TEXT_H

#include "base/buf.h"
#include "base/str.h"
#include "spoor.h"

static inline sp_str sp_text_str(spoor_str s) {
    return sp_str_of(s.ptr, s.len);
}

/* Columns that a code point takes on a terminal: 0, 1 or 2. */
unsigned sp_text_columns_of(uint32_t code);

/* Columns that a text made by sp_text_add takes. */
size_t sp_text_columns(sp_str text);

/*
 * Appends the text in one line: white space runs become one blank, what is not printable or not
 * UTF-8 becomes U+FFFD. Beyond columns_max it is cut and ends in an ellipsis. Returns the columns
 * added.
 */
size_t sp_text_add(struct sp_buf *to, sp_str text, size_t columns_max);

/* As sp_text_add, but keeps white space as it is: for text that sp_text_add has made. */
size_t sp_text_add_again(struct sp_buf *to, sp_str text, size_t columns_max);

/* Appends blanks. */
void sp_text_add_blanks(struct sp_buf *to, size_t count);

/* Enough columns never to cut. */
#define SP_TEXT_WHOLE ((size_t)1 << 30)

/*
 * Appends what the event's data says, in one line of about columns_max columns: the members of a
 * JSON object as `name=value`, other JSON as it is, other bytes as their size and type.
 */
void sp_text_add_summary(struct sp_buf *to, const spoor_event *event, size_t columns_max);

/*
 * Appends valid JSON over several lines, two blanks a level, each line but the first with `indent`.
 */
void sp_text_add_pretty(struct sp_buf *to, sp_str json, unsigned indent);

enum { SP_TEXT_TIME_SIZE = 24, SP_TEXT_BYTES_SIZE = 24 };

/*
 * Writes `2026-11-20 05:49:12` and a NUL: when the event happened by its producer's time, else when
 * it was recorded.
 */
void sp_text_event_time(const spoor_event *event, char text[SP_TEXT_TIME_SIZE]);

/* Writes `2026-11-20 05:49:12` and a NUL. */
void sp_text_time(uint64_t time_us, char text[SP_TEXT_TIME_SIZE]);

/* Writes `812 bytes`, `1.2 MiB` and a NUL. */
void sp_text_bytes(uint64_t bytes, char text[SP_TEXT_BYTES_SIZE]);

/* Writes a length of time in words, `12 s`, `3 min`, `2 h 5 min`, `4 d 3 h`, and a NUL. */
enum { SP_TEXT_SPAN_SIZE = 32 };
void sp_text_span(uint64_t us, char text[SP_TEXT_SPAN_SIZE]);

/* Appends bytes as lower-case hexadecimal. */
void sp_text_add_hex(struct sp_buf *to, const uint8_t *bytes, size_t len);

#endif
