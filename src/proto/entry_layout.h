/*
 * The text of the extension `redisfields`: in which order an entry's fields came. entry.h says what
 * it means; here it is written and read. pure
 */
#ifndef SP_PROTO_ENTRY_LAYOUT_H
#define SP_PROTO_ENTRY_LAYOUT_H

#include "event/attributes.h"
#include "proto/resp_write.h"

enum {
    ENTRY_LETTERS = 26,
    ENTRY_TIME_TEXT_MAX = 64, /* of a time as it was given, where that differs */
    /* Every attribute once, and data; ordinary fields between any two. */
    ENTRY_STEPS_MAX = 2 * (SP_ATTR_COUNT + 1),
    /* So many letters and numbers, and one time with the sign behind it. */
    ENTRY_LAYOUT_BYTES_MAX =
        (SP_ATTR_COUNT + 1) * (1 + SP_DECIMAL_BYTES_MAX) + ENTRY_TIME_TEXT_MAX + 4,
};

/* One spelling of an attribute, or of data, as a field. */
struct entry_spelling {
    sp_str name;
    uint8_t attr; /* enum sp_attr; SP_ATTR_COUNT: data */
    uint8_t rank; /* as in event/attributes.h */
};

/* By letter, from `a` on. */
extern const struct entry_spelling entry_spellings[ENTRY_LETTERS];

/* The letter of a name that can be an attribute's field, 0 for every other name. */
char entry_letter(sp_str name);

static inline const struct entry_spelling *entry_spelling(char letter) {
    sp_require(letter >= 'a' && letter <= 'z');
    return &entry_spellings[letter - 'a'];
}

/* A layout that is being written. */
struct entry_layout_writer {
    char text[ENTRY_LAYOUT_BYTES_MAX];
    size_t len;
    uint64_t run; /* ordinary fields since the last letter */
};

/* The next field is an attribute. `time_given`: its text where the event's differs, else empty */
void entry_layout_add(struct entry_layout_writer *writer, char letter, sp_str time_given);

/* One step of a layout that was read: an attribute's field, or a run of ordinary ones. */
struct entry_step {
    char letter;       /* 0: a run */
    uint64_t run;      /* of so many */
    sp_str time_given; /* the field's value, NULL ptr: that of the event */
};

struct entry_layout {
    struct entry_step steps[ENTRY_STEPS_MAX];
    uint32_t count;
    bool has_payload; /* `d` or `p` is among them */
};

/*
 * Reads a layout. False where it is none, names an attribute twice, or one that the event has not.
 */
bool entry_layout_read(sp_str text, const struct sp_event *event, struct entry_layout *ret_layout);

#endif
