#include "proto/entry_layout.h"

#define SPELLING(letter_, name_, attr_, rank_)                                                     \
    [(letter_) - 'a'] = {                                                                          \
        .name = {.ptr = (name_), .len = sizeof(name_) - 1}, .attr = (attr_), .rank = (rank_)}

/* Part of the stored format: a letter never changes its meaning. */
const struct entry_spelling entry_spellings[ENTRY_LETTERS] = {
    SPELLING('t', "type", SP_ATTR_TYPE, 0),
    SPELLING('e', "event_type", SP_ATTR_TYPE, 1),
    SPELLING('s', "source", SP_ATTR_SOURCE, 0),
    SPELLING('u', "source_agent", SP_ATTR_SOURCE, 1),
    SPELLING('a', "agent_id", SP_ATTR_SOURCE, 2),
    SPELLING('n', "agent_name", SP_ATTR_SOURCE, 3),
    SPELLING('g', "agent", SP_ATTR_SOURCE, 4),
    SPELLING('i', "event_id", SP_ATTR_ID, 1),
    SPELLING('w', "time", SP_ATTR_TIME, 0),
    SPELLING('x', "timestamp", SP_ATTR_TIME, 1),
    SPELLING('c', "correlationid", SP_ATTR_CORRELATION, 0),
    SPELLING('o', "correlation_id", SP_ATTR_CORRELATION, 1),
    SPELLING('r', "correlationId", SP_ATTR_CORRELATION, 2),
    SPELLING('v', "conversation_id", SP_ATTR_CORRELATION, 3),
    SPELLING('k', "causationid", SP_ATTR_CAUSATION, 0),
    SPELLING('y', "causation_id", SP_ATTR_CAUSATION, 1),
    SPELLING('z', "causationId", SP_ATTR_CAUSATION, 2),
    SPELLING('q', "parent_event_id", SP_ATTR_CAUSATION, 3),
    SPELLING('b', "schemaversion", SP_ATTR_SCHEMAVERSION, 0),
    SPELLING('f', "schema_version", SP_ATTR_SCHEMAVERSION, 1),
    SPELLING('h', "schemaVersion", SP_ATTR_SCHEMAVERSION, 2),
    SPELLING('j', "event_version", SP_ATTR_SCHEMAVERSION, 3),
    SPELLING('l', "datacontenttype", SP_ATTR_CONTENTTYPE, 0),
    SPELLING('m', "metadata", SP_ATTR_METADATA, 0),
    SPELLING('d', "data", SP_ATTR_COUNT, 0),
    SPELLING('p', "payload", SP_ATTR_COUNT, 1),
};

/* The same by attribute and rank; a test compares the two. */
static const char LETTERS[SP_ATTR_COUNT + 1][6] = {
    [SP_ATTR_TYPE] = "te",    [SP_ATTR_SOURCE] = "suang",       [SP_ATTR_STREAM] = "",
    [SP_ATTR_ID] = "\0i",     [SP_ATTR_CORRELATION] = "corv",   [SP_ATTR_CAUSATION] = "kyzq",
    [SP_ATTR_TIME] = "wx",    [SP_ATTR_SCHEMAVERSION] = "bfhj", [SP_ATTR_CONTENTTYPE] = "l",
    [SP_ATTR_METADATA] = "m", [SP_ATTR_COUNT] = "dp",
};

char entry_letter(sp_str name) {
    const struct sp_name *known = sp_name_find(name);
    if (SP_LIKELY(known == NULL) || known->kind > SP_NAME_DATA_ALIAS) {
        return 0;
    }
    sp_invariant(known->rank < sizeof(LETTERS[0]));
    return LETTERS[known->attr][known->rank];
}

/* The letter under which a time stands with its text, and back. */
static char with_text(char letter) {
    return (char)(letter - 'a' + 'A');
}

void entry_layout_add(struct entry_layout_writer *writer, char letter, sp_str time_given) {
    sp_require(time_given.len <= ENTRY_TIME_TEXT_MAX);
    sp_require(writer->len + 2 + SP_DECIMAL_BYTES_MAX + time_given.len <= sizeof(writer->text));
    if (writer->run > 0) {
        writer->len += sp_decimal_format(writer->run, writer->text + writer->len);
        writer->run = 0;
    }
    if (time_given.len == 0) {
        writer->text[writer->len++] = letter;
        return;
    }
    sp_require(entry_spelling(letter)->attr == SP_ATTR_TIME);
    writer->text[writer->len++] = with_text(letter);
    memcpy(writer->text + writer->len, time_given.ptr, time_given.len);
    writer->len += time_given.len;
    writer->text[writer->len++] = ';';
}

/* Takes the digits off the text. */
static bool take_run(sp_str *text, uint64_t *ret_run) {
    uint64_t run = 0;
    size_t at = 0;
    for (; at < text->len && (uint8_t)(text->ptr[at] - '0') < 10; at++) {
        if (run > UINT32_MAX) {
            return false;
        }
        run = run * 10 + (uint64_t)(text->ptr[at] - '0');
    }
    *text = sp_str_from_byte(*text, at);
    *ret_run = run;
    return run > 0;
}

/* Takes one letter off the text, and what belongs to it. */
static bool take_letter(sp_str *text, struct entry_step *ret_step) {
    char letter = text->ptr[0];
    *text = sp_str_from_byte(*text, 1);
    if (letter >= 'a' && letter <= 'z') {
        ret_step->letter = letter;
        return true;
    }
    if (letter != with_text('w') && letter != with_text('x')) {
        return false;
    }
    const char *end = text->len > 0 ? memchr(text->ptr, ';', text->len) : NULL;
    if (end == NULL) {
        return false;
    }
    ret_step->letter = (char)(letter - 'A' + 'a');
    ret_step->time_given = sp_str_of(text->ptr, (size_t)(end - text->ptr));
    *text = sp_str_from_byte(*text, ret_step->time_given.len + 1);
    return true;
}

static bool take_step(sp_str *text, struct entry_step *ret_step) {
    bool is_run = (uint8_t)(text->ptr[0] - '0') < 10;
    return is_run ? take_run(text, &ret_step->run) : take_letter(text, ret_step);
}

bool entry_layout_read(sp_str text, const struct sp_event *event, struct entry_layout *ret_layout) {
    uint32_t seen = 0;
    ret_layout->count = 0;
    ret_layout->has_payload = false;
    while (text.len > 0) {
        struct entry_step step = {.letter = 0};
        if (ret_layout->count == ENTRY_STEPS_MAX || !take_step(&text, &step)) {
            return false;
        }
        ret_layout->steps[ret_layout->count++] = step;
        if (step.letter == 0) {
            continue;
        }
        uint8_t attr = entry_spelling(step.letter)->attr;
        bool present = attr == SP_ATTR_COUNT ? event->has_data : event->attr[attr].ptr != NULL;
        if (!present || (seen >> attr & 1) != 0) {
            return false;
        }
        seen |= UINT32_C(1) << attr;
        ret_layout->has_payload |= attr == SP_ATTR_COUNT;
    }
    return true;
}
