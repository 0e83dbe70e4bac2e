/*
 * Which clauses want an event. Types are few and come again: for each the clauses whose patterns
 * match it are found once, and only their filters are asked for every event.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/htab.h"
#include "match/pattern.h"
#include "project/fold.h"

enum { TYPES_MAX = 1024 }; /* remembered; further ones are compared each time */

/* The clauses that a type may concern, in their order. */
struct known_type {
    char *type;
    uint32_t type_len;
    uint16_t *clauses; /* behind the type's own text, in the same memory */
    uint32_t clause_count;
};

struct sp_clauses {
    struct sp_definition *definition;
    struct sp_htab table;
    struct known_type known[TYPES_MAX];
    uint32_t known_count;
    uint16_t maybe[SP_DEFINITION_CLAUSES_MAX]; /* of a type that is not remembered */
    uint16_t numbers[SP_DEFINITION_CLAUSES_MAX];
};

sp_status sp_clauses_new(struct sp_definition *definition, struct sp_clauses **ret_clauses,
                         struct sp_error *error) {
    struct sp_clauses *clauses = calloc(1, sizeof(*clauses));
    if (clauses == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "projection: out of memory");
    }
    clauses->definition = sp_definition_ref(definition);
    sp_htab_init(&clauses->table);
    *ret_clauses = clauses;
    return SP_OK;
}

void sp_clauses_free(struct sp_clauses *clauses) {
    if (clauses == NULL) {
        return;
    }
    for (uint32_t i = 0; i < clauses->known_count; i++) {
        free(clauses->known[i].clauses);
    }
    sp_htab_fini(&clauses->table);
    sp_definition_unref(clauses->definition);
    free(clauses);
}

static bool concerns(const struct sp_clause *clause, sp_str type) {
    for (uint32_t i = 0; i < clause->pattern_count; i++) {
        if (sp_pattern_match(clause->patterns[i], type)) {
            return true;
        }
    }
    return false;
}

/* Compares a type with every pattern. */
static uint32_t compare_all(struct sp_clauses *clauses, sp_str type) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < clauses->definition->clause_count; i++) {
        if (concerns(&clauses->definition->clauses[i], type)) {
            clauses->maybe[count++] = (uint16_t)i;
        }
    }
    return count;
}

/* Remembers what compare_all found, where there is room for it. */
static void remember(struct sp_clauses *clauses, sp_str type, uint64_t hash, uint32_t count) {
    if (clauses->known_count == TYPES_MAX) {
        return;
    }
    uint16_t *memory = malloc(count * sizeof(*memory) + type.len + 1);
    if (memory == NULL || sp_htab_add(&clauses->table, hash, clauses->known_count) != SP_OK) {
        free(memory);
        return;
    }
    struct known_type *known = &clauses->known[clauses->known_count++];
    memcpy(memory, clauses->maybe, count * sizeof(*memory));
    known->clauses = memory;
    known->clause_count = count;
    known->type = (char *)(memory + count);
    known->type_len = (uint32_t)type.len;
    memcpy(known->type, type.ptr, type.len);
}

static uint32_t find_type(struct sp_clauses *clauses, sp_str type, const uint16_t **ret_maybe) {
    uint64_t hash = sp_hash(type.ptr, type.len);
    struct sp_htab_probe probe = sp_htab_find(&clauses->table, hash);
    uint32_t number;
    while (sp_htab_next(&probe, &number)) {
        const struct known_type *known = &clauses->known[number];
        if (sp_str_eq(sp_str_of(known->type, known->type_len), type)) {
            *ret_maybe = known->clauses;
            return known->clause_count;
        }
    }
    uint32_t count = compare_all(clauses, type);
    remember(clauses, type, hash, count);
    *ret_maybe = clauses->maybe;
    return count;
}

size_t sp_clauses_of(struct sp_clauses *clauses, const struct sp_event *event,
                     const uint16_t **ret_numbers) {
    const uint16_t *maybe;
    uint32_t count = find_type(clauses, event->attr[SP_ATTR_TYPE], &maybe);
    size_t wanted = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct sp_clause *clause = &clauses->definition->clauses[maybe[i]];
        if (clause->filter == NULL || sp_filter_match(clause->filter, event)) {
            clauses->numbers[wanted++] = maybe[i];
        }
    }
    *ret_numbers = clauses->numbers;
    return wanted;
}
