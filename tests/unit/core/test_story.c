/*
 * Stories of the core, told in virtual time: each file tests/golden/core-*.trace holds what was
 * asked, in lines that begin with '>', and below each what the core answered. The requests are told
 * again here, and the whole text must come out as it stands in the file.
 *
 *     > at MICROSECONDS                    sets the clock
 *     > append STREAM... [if STREAM=N...]  STREAM!P: known at position P; STREAM~K: same as the
 *                                          K-th of this append
 *     > streams                            lists them
 *     > reopen                             goes on from a snapshot of the state
 *
 * SPOOR_GOLDEN=1 in the environment writes the files anew.
 */
#include "core_help.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 1 << 16, LINE_SIZE = 256 };

struct story {
    struct sp_core core;
    struct help_append append;
    uint64_t now_us;
    struct sp_buf text;
};

static void print(struct story *story, const char *format, ...) SP_PRINTF(2, 3);

static void print(struct story *story, const char *format, ...) {
    char line[LINE_SIZE];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    sp_buf_add(&story->text, line, (size_t)len);
}

static void print_outcome(struct story *story, sp_status status,
                          const struct sp_core_outcome *outcome) {
    if (status == SP_CONFLICT) {
        print(story, "  conflict: %s is at %llu\n",
              story->append.expected_names[outcome->failed_expectation],
              (unsigned long long)outcome->actual_version);
        return;
    }
    assert_int_equal(status, SP_OK);
    for (uint32_t i = 0; i < story->append.append.candidate_count; i++) {
        const struct sp_event *event = &story->append.events[i];
        if (event->position == 0) {
            print(story, "  known\n");
            continue;
        }
        print(story, "  %llu: %s/%llu at %llu, entry %llu-%u\n",
              (unsigned long long)event->position, story->append.names[i],
              (unsigned long long)event->version, (unsigned long long)event->recorded_us,
              (unsigned long long)(event->recorded_us / 1000), event->entry_seq);
    }
}

static void add_word(struct story *story, char *word, bool expecting) {
    size_t at = strcspn(word, "=!~");
    char mark = word[at];
    unsigned long long number = mark == '\0' ? 0 : strtoull(word + at + 1, NULL, 10);
    word[at] = '\0';
    if (expecting) {
        help_append_expect(&story->append, word, number);
        return;
    }
    struct sp_core_candidate *candidate = help_append_add(&story->append, word);
    candidate->known_position = mark == '!' ? number : 0;
    candidate->same_as = mark == '~' ? (uint32_t)number : 0;
}

static void tell_append(struct story *story, char *words) {
    bool expecting = false;
    char *rest = NULL;
    struct sp_core_outcome outcome;
    help_append_init(&story->append, story->now_us);
    for (char *word = strtok_r(words, " \n", &rest); word != NULL;
         word = strtok_r(NULL, " \n", &rest)) {
        if (strcmp(word, "if") == 0) {
            expecting = true;
        } else {
            add_word(story, word, expecting);
        }
    }
    sp_status status = help_step(&story->core, &story->append, NULL, &outcome);
    print_outcome(story, status, &outcome);
}

static void tell_streams(struct story *story) {
    for (uint32_t i = 0; i < story->core.streams.count; i++) {
        const struct sp_stream *stream = sp_stream_at(&story->core.streams, i);
        print(story, "  %.*s: version %llu, last event %llu\n", SP_STR_ARG(sp_stream_name(stream)),
              (unsigned long long)stream->version, (unsigned long long)stream->last_position);
    }
}

static void tell_reopen(struct story *story) {
    uint64_t hash = sp_core_hash(&story->core);
    struct sp_core_snapshot *snapshot = sp_core_snapshot_new(&story->core);
    struct sp_buf bytes;
    assert_non_null(snapshot);
    sp_buf_init(&bytes, TEXT_MAX);
    sp_core_snapshot_encode(snapshot, &bytes);
    sp_core_snapshot_free(snapshot);
    sp_core_fini(&story->core);
    sp_core_init(&story->core);
    assert_int_equal(sp_core_restore(&story->core, sp_buf_str(&bytes), NULL), SP_OK);
    sp_buf_fini(&bytes);
    print(story, "  position %llu, %s\n", (unsigned long long)story->core.position,
          sp_core_hash(&story->core) == hash ? "same state" : "another state");
}

static void tell_line(struct story *story, const char *line) {
    char words[LINE_SIZE];
    (void)snprintf(words, sizeof(words), "%s", line);
    if (sscanf(words, "> at %llu", (unsigned long long *)&story->now_us) == 1) {
        return;
    }
    if (strncmp(words, "> append ", 9) == 0) {
        tell_append(story, words + 9);
    } else if (strcmp(words, "> streams\n") == 0) {
        tell_streams(story);
    } else if (strcmp(words, "> reopen\n") == 0) {
        tell_reopen(story);
    } else {
        fail_msg("no such request: %s", words);
    }
}

static void tell_file(const char *path) {
    struct story story = {.now_us = 0};
    struct sp_buf golden;
    char line[LINE_SIZE];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    sp_core_init(&story.core);
    sp_buf_init(&story.text, TEXT_MAX);
    sp_buf_init(&golden, TEXT_MAX);
    while (fgets(line, sizeof(line), file) != NULL) {
        sp_buf_add(&golden, line, strlen(line));
        if (line[0] == '>' || line[0] == '#' || line[0] == '\n') {
            print(&story, "%s", line);
        }
        if (line[0] == '>') {
            tell_line(&story, line);
        }
    }
    (void)fclose(file);
    sp_buf_add_byte(&golden, 0);
    sp_buf_add_byte(&story.text, 0);
    if (getenv("SPOOR_GOLDEN") != NULL) {
        file = fopen(path, "w");
        assert_non_null(file);
        (void)fputs((const char *)story.text.data, file);
        (void)fclose(file);
    } else {
        assert_string_equal((const char *)story.text.data, (const char *)golden.data);
    }
    sp_buf_fini(&golden);
    sp_buf_fini(&story.text);
    sp_core_fini(&story.core);
}

static void test_golden_stories(void **state) {
    (void)state;
    char pattern[512];
    glob_t found;
    const char *source = getenv("SPOOR_SOURCE");
    (void)snprintf(pattern, sizeof(pattern), "%s/tests/golden/core-*.trace",
                   source != NULL ? source : ".");
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        tell_file(found.gl_pathv[i]);
    }
    globfree(&found);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden_stories)};
    return cmocka_run_group_tests_name("story", tests, NULL, NULL);
}
