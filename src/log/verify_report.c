#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/verify_int.h"

void verify_stop(struct verifier *v, sp_status status, const struct sp_error *error) {
    sp_require(status != SP_OK);
    if (v->stop == SP_OK) {
        v->stop = status;
        if (v->error != NULL) {
            *v->error = error != NULL ? *error : (struct sp_error){.status = status};
        }
    }
}

static void report(struct verifier *v, const struct sp_verify_finding *finding) {
    if (v->stop != SP_OK) {
        return;
    }
    if (finding->level == SP_VERIFY_NOTICE) {
        v->state.result.notice_count++;
    } else {
        v->state.result.finding_count++;
    }
    if (!v->options->finding(v->options->context, finding)) {
        verify_stop(v, SP_CANCELLED, NULL);
    }
}

static void hold(struct verifier *v, const struct sp_verify_finding *finding) {
    if (v->held_count == v->held_capacity) {
        size_t capacity = v->held_capacity == 0 ? 16 : v->held_capacity * 2;
        struct held_finding *held = realloc(v->held, capacity * sizeof(*held));
        if (held == NULL) {
            verify_stop(v, SP_NO_MEMORY, NULL);
            return;
        }
        v->held = held;
        v->held_capacity = capacity;
    }
    struct held_finding *to = &v->held[v->held_count++];
    to->finding = *finding;
    (void)snprintf(to->text, sizeof(to->text), "%s", finding->text);
    (void)snprintf(to->file, sizeof(to->file), "%s", finding->file != NULL ? finding->file : "");
}

static void SP_PRINTF(3, 0) say(struct verifier *v, const struct sp_verify_finding *what,
                                const char *format, va_list arguments) {
    char text[VERIFY_TEXT_BYTES];
    (void)vsnprintf(text, sizeof(text), format, arguments);
    struct sp_verify_finding finding = *what;
    finding.text = text;
    if (v->holding) {
        hold(v, &finding);
    } else {
        report(v, &finding);
    }
}

void verify_say(struct verifier *v, enum sp_verify_level level, uint64_t first, uint64_t last,
                uint64_t offset, const char *format, ...) {
    struct sp_verify_finding what = {.level = level,
                                     .first_position = first,
                                     .last_position = last,
                                     .file = v->file,
                                     .offset = offset};
    va_list arguments;
    va_start(arguments, format);
    say(v, &what, format, arguments);
    va_end(arguments);
}

void verify_say_file(struct verifier *v, enum sp_verify_level level, uint64_t first, uint64_t last,
                     const char *file, uint64_t offset, const char *format, ...) {
    struct sp_verify_finding what = {.level = level,
                                     .first_position = first,
                                     .last_position = last,
                                     .file = file,
                                     .offset = offset};
    va_list arguments;
    va_start(arguments, format);
    say(v, &what, format, arguments);
    va_end(arguments);
}

void verify_failed(struct verifier *v, sp_status status, uint64_t first, uint64_t last,
                   const struct sp_error *error) {
    sp_require(status != SP_OK);
    if (status == SP_CORRUPT || status == SP_IO || status == SP_UNSUPPORTED) {
        verify_say(v, SP_VERIFY_DAMAGE, first, last, error->offset, "%s", error->text);
    } else if (status == SP_NOT_FOUND) {
        verify_say(v, SP_VERIFY_ALTERATION, first, last, 0, "%s", error->text);
    } else {
        verify_stop(v, status, error);
    }
}

void verify_hold(struct verifier *v) {
    sp_require(!v->holding && v->held_count == 0);
    v->holding = true;
}

void verify_release(struct verifier *v) {
    v->holding = false;
    for (size_t i = 0; i < v->held_count; i++) {
        struct sp_verify_finding finding = v->held[i].finding;
        finding.text = v->held[i].text;
        finding.file = finding.file != NULL ? v->held[i].file : NULL;
        report(v, &finding);
    }
    v->held_count = 0;
}

void verify_drop(struct verifier *v) {
    v->holding = false;
    v->held_count = 0;
}
