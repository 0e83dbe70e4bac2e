/* Finding types in the table of the vocabulary, which is sorted. */
#include "schema/vocabulary.h"

#include "base/assert.h"
#include "match/pattern.h"
#include "schema/vocabulary_table.h"

size_t sp_vocabulary_count(void) {
    return sp_vocabulary_type_count;
}

const struct sp_vocabulary_type *sp_vocabulary_at(size_t index) {
    sp_require(index < sp_vocabulary_type_count);
    return &sp_vocabulary_types[index];
}

static const struct sp_vocabulary_type *find_exact(sp_str name) {
    size_t low = 0;
    size_t high = sp_vocabulary_type_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = sp_str_cmp(name, sp_str_from(sp_vocabulary_types[middle].type));
        if (order == 0) {
            return &sp_vocabulary_types[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* Whether the name is one of the words, which are separated by blanks. */
static bool is_among(sp_str name, const char *words) {
    while (*words != '\0') {
        const char *blank = strchr(words, ' ');
        size_t len = blank != NULL ? (size_t)(blank - words) : strlen(words);
        if (sp_str_eq(name, sp_str_of(words, len))) {
            return true;
        }
        words += len + (blank != NULL);
    }
    return false;
}

/* Whether the type has tokens in braces, and the name is like it but for those. */
static bool stands_for(const char *type, sp_str name) {
    sp_str left = sp_str_from(type);
    sp_str rest = name;
    if (strchr(type, '{') == NULL) {
        return false;
    }
    while (left.ptr != NULL && rest.ptr != NULL) {
        sp_str wanted = sp_token_next(&left);
        sp_str token = sp_token_next(&rest);
        bool is_open = wanted.len > 0 && wanted.ptr[0] == '{';
        if (is_open ? token.len == 0 : !sp_str_eq(wanted, token)) {
            return false;
        }
    }
    return left.ptr == NULL && rest.ptr == NULL;
}

const struct sp_vocabulary_type *sp_vocabulary_find(sp_str name) {
    const struct sp_vocabulary_type *found = find_exact(name);
    for (size_t i = 0; i < sp_vocabulary_type_count && found == NULL; i++) {
        found = is_among(name, sp_vocabulary_types[i].also) ? &sp_vocabulary_types[i] : NULL;
    }
    for (size_t i = 0; i < sp_vocabulary_type_count && found == NULL; i++) {
        found = stands_for(sp_vocabulary_types[i].type, name) ? &sp_vocabulary_types[i] : NULL;
    }
    return found;
}

bool sp_vocabulary_matches(const struct sp_vocabulary_type *type, sp_str pattern) {
    return sp_str_eq(pattern, sp_str_from(type->domain)) ||
           sp_pattern_match(pattern, sp_str_from(type->type));
}
