#include "index/types.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "index/index.h"

void sp_types_init(struct sp_types *types) {
    *types = (struct sp_types){.types = NULL};
    sp_htab_init(&types->table);
}

void sp_types_fini(struct sp_types *types) {
    for (uint32_t i = 0; i < types->count; i++) {
        free(types->types[i].text);
    }
    free(types->types);
    sp_htab_fini(&types->table);
    types->types = NULL;
    types->count = 0;
}

static uint32_t types_find(const struct sp_types *types, uint64_t hash, sp_str text) {
    struct sp_htab_probe probe = sp_htab_find(&types->table, hash);
    uint32_t number;
    while (sp_htab_next(&probe, &number)) {
        const struct sp_type *type = &types->types[number];
        if (sp_str_eq(sp_str_of(type->text, type->len), text)) {
            return number;
        }
    }
    return SP_TYPES_NONE;
}

static bool types_grow(struct sp_types *types) {
    if (types->count < types->capacity) {
        return true;
    }
    uint32_t capacity = types->capacity == 0 ? 64 : types->capacity * 2;
    struct sp_type *grown = realloc(types->types, capacity * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    types->types = grown;
    types->capacity = capacity;
    return true;
}

static uint32_t types_new(struct sp_types *types, uint64_t hash, sp_str text) {
    if (types->count == SP_INDEX_TYPES_MAX || !types_grow(types)) {
        return SP_TYPES_NONE;
    }
    char *copy = malloc(text.len + 1);
    if (copy == NULL || sp_htab_add(&types->table, hash, types->count) != SP_OK) {
        free(copy);
        return SP_TYPES_NONE;
    }
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    types->types[types->count] = (struct sp_type){.text = copy, .len = (uint32_t)text.len};
    return types->count++;
}

uint32_t sp_types_add(struct sp_types *types, sp_str text) {
    uint64_t hash = sp_hash(text.ptr, text.len);
    uint32_t number = types_find(types, hash, text);
    if (number == SP_TYPES_NONE) {
        number = types_new(types, hash, text);
    }
    if (number != SP_TYPES_NONE) {
        types->types[number].segments++;
    }
    return number;
}

void sp_types_remove(struct sp_types *types, uint32_t number) {
    sp_require(number < types->count && types->types[number].segments > 0);
    types->types[number].segments--;
}
