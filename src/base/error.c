#include "base/error.h"

#include <stdio.h>
#include <string.h>

void sp_error_clear(struct sp_error *error) {
    if (error != NULL) {
        error->status = SP_OK;
        error->os_error = 0;
        error->offset = 0;
        error->text[0] = '\0'; /* the rest of the text need not be touched: this is on hot paths */
    }
}

static void error_fill(struct sp_error *error, sp_status status, const char *format, va_list args)
    SP_PRINTF(3, 0);

static void error_fill(struct sp_error *error, sp_status status, const char *format, va_list args) {
    error->status = status;
    error->os_error = 0;
    error->offset = 0;
    (void)vsnprintf(error->text, sizeof(error->text), format, args);
}

sp_status sp_error_set(struct sp_error *error, sp_status status, const char *format, ...) {
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        error_fill(error, status, format, args);
        va_end(args);
    }
    return status;
}

sp_status sp_error_set_list(struct sp_error *error, sp_status status, const char *format,
                            va_list args) {
    if (error != NULL) {
        error_fill(error, status, format, args);
    }
    return status;
}

sp_status sp_error_set_os(struct sp_error *error, sp_status status, int os_error,
                          const char *format, ...) {
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        error_fill(error, status, format, args);
        va_end(args);
        error->os_error = os_error;
    }
    return status;
}

sp_status sp_error_set_at(struct sp_error *error, sp_status status, uint64_t offset,
                          const char *format, ...) {
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        error_fill(error, status, format, args);
        va_end(args);
        error->offset = offset;
    }
    return status;
}

sp_status sp_error_prefix(struct sp_error *error, sp_status status, const char *format, ...) {
    if (error == NULL) {
        return status;
    }
    char prefixed[SP_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(prefixed, sizeof(prefixed), format, args);
    va_end(args);
    size_t at = used < 0                          ? 0
                : (size_t)used < sizeof(prefixed) ? (size_t)used
                                                  : sizeof(prefixed) - 1;
    size_t room = sizeof(prefixed) - at;
    if (room > 3) {
        memcpy(prefixed + at, ": ", 2);
        size_t rest = strlen(error->text);
        rest = rest < room - 3 ? rest : room - 3;
        memcpy(prefixed + at + 2, error->text, rest);
        prefixed[at + 2 + rest] = '\0';
    }
    memcpy(error->text, prefixed, sizeof(prefixed));
    error->status = status;
    return status;
}
