/*
 * Names, times and lengths of time as people say them. pure
 */
#ifndef SP_FLOW_STORY_PHRASE_H
#define SP_FLOW_STORY_PHRASE_H

#include "flow/story_int.h"

/* Appends a literal. */
#define SP_SAY(to, literal) sp_buf_add_str((to), SP_STR(literal))

/* "5 ms", "2 s", "3 min 20 s", "2 h 5 min", "3 d 4 h": two units at most. */
void sp_phrase_length(struct sp_buf *to, uint64_t us);

/* "2026-11-20" and "10:15:00". */
void sp_phrase_date(struct sp_buf *to, uint64_t time_us);
void sp_phrase_clock(struct sp_buf *to, uint64_t time_us);

/* "10:15:00", with the date before it where that is another day than `beside_us`. */
void sp_phrase_time(struct sp_buf *to, uint64_t time_us, uint64_t beside_us);

/* "book-demo" as "book demo"; `capital`: "Book demo". */
void sp_phrase_name(struct sp_buf *to, sp_str name, bool capital);

/* What a step does: "charge card"; "book (slot)" where its name says something else. */
void sp_phrase_step(struct sp_buf *to, const struct sp_story *story,
                    const struct sp_story_step *step);

/* What undoing it is: "refund card", "cancel (slot)". */
void sp_phrase_undo(struct sp_buf *to, const struct sp_story *story,
                    const struct sp_story_step *step);

/* What a JSON value says: a string's text, an object's `message`, else the JSON; in one line. */
void sp_phrase_value(struct sp_buf *to, sp_str json, size_t bytes_max);

/* `["ann","bob"]` as "ann or bob"; `last` is the word between the last two. */
void sp_phrase_list(struct sp_buf *to, sp_str json, const char *last);

/* A word for a shell: as it is, or in quotes. */
void sp_phrase_shell(struct sp_buf *to, sp_str word);

#endif
