#include "project/projects_table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "project/definition.h"
#include "project/shipped.h"

struct search {
    char names[SP_PROJECTS_MAX][SP_PROJECTS_NAME_BYTES_MAX + 1];
    uint32_t count;
};

static bool note_name(void *context, sp_str name) {
    struct search *search = context;
    memcpy(search->names[search->count], name.ptr, name.len);
    search->names[search->count][name.len] = '\0';
    return ++search->count < SP_PROJECTS_MAX;
}

static bool makes_table(struct sp_projects *projects, const char *name, sp_str table) {
    struct sp_definition *definition = sp_projects_definition(projects, sp_str_from(name));
    bool makes = false;
    for (uint32_t i = 0; definition != NULL && i < definition->table_count && !makes; i++) {
        sp_str known = definition->tables[i].name;
        makes = known.len == table.len && strncasecmp(known.ptr, table.ptr, table.len) == 0;
    }
    sp_definition_unref(definition);
    return makes;
}

bool sp_projects_find_table(struct sp_projects *projects, sp_str table,
                            char ret_name[SP_PROJECTS_NAME_BYTES_MAX + 1]) {
    struct search *search = calloc(1, sizeof(*search));
    const char *dot = memchr(table.ptr, '.', table.len);
    bool found = false;
    if (search == NULL) {
        return false;
    }
    table = dot != NULL ? sp_str_from_byte(table, (size_t)(dot - table.ptr) + 1) : table;
    sp_projects_each(projects, note_name, search);
    for (uint32_t i = 0; i < search->count && !found; i++) {
        found = makes_table(projects, search->names[i], table);
        if (found) {
            memcpy(ret_name, search->names[i], sizeof(search->names[i]));
        }
    }
    free(search);
    return found;
}

bool sp_projects_is_on_request(sp_str name) {
    for (size_t i = 0; i < sp_shipped_projection_count; i++) {
        const struct sp_projects_shipped *shipped = &sp_shipped_projections[i];
        if (sp_str_eq(shipped->name, name)) {
            return shipped->on_request;
        }
    }
    return false;
}
