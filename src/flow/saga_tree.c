#include "flow/saga_int.h"

#include <stdlib.h>

enum { CHAIN_MAX = 160 }; /* activations within one another: containers, and one more for some */

static bool grow(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t count) {
    uint32_t needed = saga->act_count + count;
    if (needed <= saga->act_capacity) {
        return true;
    }
    uint32_t capacity = saga->act_capacity + saga->act_capacity / 2;
    capacity = capacity < needed ? needed : capacity;
    struct sp_act *acts = realloc(saga->acts, capacity * sizeof(*acts));
    if (acts == NULL) {
        sagas->failed = SP_NO_MEMORY;
        return false;
    }
    saga->acts = acts;
    saga->act_capacity = capacity;
    return true;
}

static void init_act(struct sp_act *act, uint32_t node, uint32_t parent, uint8_t flags) {
    *act = (struct sp_act){.node = (uint16_t)node,
                           .flags = flags,
                           .parent = parent,
                           .first = SP_NONE,
                           .wait = SP_NONE};
}

static uint16_t branch_of(const struct sp_saga *saga, const struct sp_saga_node *choice,
                          uint32_t number) {
    const struct sp_saga_node *nodes = saga->version->definition->nodes;
    uint16_t at = choice->first;
    while (at != SP_SAGA_NO_NODE && nodes[at].branch != number) {
        at = nodes[at].next;
    }
    return at;
}

bool sp_act_expand(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at, uint32_t number) {
    const struct sp_saga_node *node = sp_act_node(saga, &saga->acts[at]);
    const struct sp_saga_node *nodes = saga->version->definition->nodes;
    bool is_item = (saga->acts[at].flags & SP_ACT_IS_ITEM) != 0;
    bool has_items = node->kind == SP_SAGA_FOR_EACH && !is_item;
    bool is_choice = node->kind == SP_SAGA_CHOICE;
    uint32_t child = is_choice ? branch_of(saga, node, number) : node->first;
    uint32_t count = has_items ? number : node->child_count;
    count = is_choice ? child != SP_SAGA_NO_NODE : count;
    sp_require(saga->acts[at].first == SP_NONE);
    if (!grow(sagas, saga, count)) {
        return false;
    }
    uint32_t first = saga->act_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t of = has_items ? saga->acts[at].node : child;
        init_act(&saga->acts[first + i], of, at, has_items ? SP_ACT_IS_ITEM : 0);
        child = has_items ? child : nodes[child].next;
    }
    saga->act_count += count;
    saga->acts[at].first = first;
    saga->acts[at].count = count;
    return true;
}

/* ---- paths ---- */

static uint32_t child_by_name(const struct sp_saga *saga, uint32_t at, sp_str name) {
    const struct sp_act *act = &saga->acts[at];
    if (sp_act_node(saga, act)->kind == SP_SAGA_CHOICE && act->first != SP_NONE &&
        act->count == 1) {
        act = &saga->acts[act->first]; /* its branch has no name of its own */
    }
    if (act->first == SP_NONE) {
        return SP_NONE;
    }
    for (uint32_t i = act->first; i < act->first + act->count; i++) {
        if (sp_str_eq(sp_act_node(saga, &saga->acts[i])->name, name)) {
            return i;
        }
    }
    return SP_NONE;
}

/* Reads `[12]`, all of the text. */
static bool read_index(sp_str text, uint32_t *ret_index) {
    uint32_t index = 0;
    if (text.len < 3 || text.len > 8 || text.ptr[text.len - 1] != ']' ||
        (text.ptr[1] == '0' && text.len > 3)) {
        return false;
    }
    for (size_t i = 1; i < text.len - 1; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        index = index * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *ret_index = index;
    return true;
}

static uint32_t find_segment(const struct sp_saga *saga, uint32_t at, sp_str segment) {
    const char *bracket = segment.len == 0 ? NULL : memchr(segment.ptr, '[', segment.len);
    size_t name_len = bracket == NULL ? segment.len : (size_t)(bracket - segment.ptr);
    uint32_t found = child_by_name(saga, at, sp_str_of(segment.ptr, name_len));
    if (found == SP_NONE || bracket == NULL) {
        return found;
    }
    const struct sp_act *act = &saga->acts[found];
    uint32_t index = 0;
    if (sp_act_node(saga, act)->kind != SP_SAGA_FOR_EACH || act->first == SP_NONE ||
        !read_index(sp_str_from_byte(segment, name_len), &index) || index >= act->count) {
        return SP_NONE;
    }
    return act->first + index;
}

uint32_t sp_saga_find_path(const struct sp_saga *saga, sp_str path) {
    uint32_t at = 0;
    while (path.len > 0 && at != SP_NONE) {
        const char *slash = memchr(path.ptr, '/', path.len);
        size_t len = slash == NULL ? path.len : (size_t)(slash - path.ptr);
        at = find_segment(saga, at, sp_str_of(path.ptr, len));
        path = slash == NULL ? (sp_str){.ptr = NULL} : sp_str_from_byte(path, len + 1);
        if (slash != NULL && path.len == 0) {
            return SP_NONE; /* a slash at the end */
        }
    }
    return at == 0 ? SP_NONE : at;
}

static size_t put(char *text, size_t len, sp_str piece) {
    sp_require(len + piece.len < SP_SAGA_PATH_BYTES_MAX); /* definitions are not that deep */
    memcpy(text + len, piece.ptr, piece.len);
    return len + piece.len;
}

static size_t put_index(char *text, size_t len, uint32_t index) {
    char digits[12];
    size_t at = sizeof(digits);
    digits[--at] = ']';
    do {
        digits[--at] = (char)('0' + index % 10);
        index /= 10;
    } while (index > 0);
    digits[--at] = '[';
    return put(text, len, sp_str_of(digits + at, sizeof(digits) - at));
}

size_t sp_act_path_text(const struct sp_saga *saga, uint32_t at, char *text) {
    uint32_t chain[CHAIN_MAX];
    uint32_t count = 0;
    size_t len = 0;
    for (; at != 0; at = saga->acts[at].parent) {
        sp_require(count < CHAIN_MAX);
        chain[count++] = at;
    }
    while (count > 0) {
        const struct sp_act *act = &saga->acts[chain[--count]];
        const struct sp_saga_node *node = sp_act_node(saga, act);
        if ((act->flags & SP_ACT_IS_ITEM) != 0) {
            len = put_index(text, len, chain[count] - saga->acts[act->parent].first);
        } else if (node->kind != SP_SAGA_BRANCH) {
            len = len > 0 ? put(text, len, SP_STR("/")) : len;
            len = put(text, len, node->name);
        }
    }
    text[len] = '\0';
    return len;
}

void sp_act_path(const struct sp_saga *saga, uint32_t at, struct sp_buf *to) {
    char text[SP_SAGA_PATH_BYTES_MAX];
    sp_buf_add(to, text, sp_act_path_text(saga, at, text));
}

const struct sp_inherited *sp_saga_inherits(const struct sp_saga *saga, sp_str path) {
    const struct sp_inheritance *from = saga->inheritance;
    uint32_t low = 0;
    uint32_t high = from == NULL ? 0 : from->count;
    while (low < high) { /* they are sorted by path */
        uint32_t middle = low + (high - low) / 2;
        const struct sp_inherited *item = &from->items[middle];
        int order = sp_str_cmp(sp_str_of(from->texts + item->offset, item->len), path);
        if (order == 0) {
            return item;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

/* ---- the order of undoing ---- */

static uint32_t last_below(const struct sp_saga *saga, uint32_t at) {
    while (saga->acts[at].first != SP_NONE && saga->acts[at].count > 0) {
        at = saga->acts[at].first + saga->acts[at].count - 1;
    }
    return at;
}

uint32_t sp_act_undo_first(const struct sp_saga *saga, uint32_t at) {
    return last_below(saga, at);
}

uint32_t sp_act_undo_next(const struct sp_saga *saga, uint32_t at) {
    uint32_t parent = saga->acts[at].parent;
    if (parent == SP_NONE) {
        return SP_NONE;
    }
    return at > saga->acts[parent].first ? last_below(saga, at - 1) : parent;
}

/* ---- ids of commands ---- */

bool sp_command_id_parse(sp_str text, struct sp_command_id *ret_id) {
    if (text.len < SP_UUID_TEXT_SIZE + 4 || text.len > SP_SAGA_PATH_BYTES_MAX ||
        text.ptr[SP_UUID_TEXT_SIZE] != '/' ||
        !sp_uuid_pack(sp_str_of(text.ptr, SP_UUID_TEXT_SIZE), ret_id->sagaid)) {
        return false;
    }
    size_t at = text.len;
    uint64_t number = 0;
    uint64_t unit = 1;
    while (at > 0 && text.ptr[at - 1] >= '0' && text.ptr[at - 1] <= '9' && text.len - at < 9) {
        number += (uint64_t)(text.ptr[--at] - '0') * unit;
        unit *= 10;
    }
    if (at == text.len || text.ptr[at] == '0' || at < SP_UUID_TEXT_SIZE + 3 ||
        (text.ptr[at - 1] != ':' && text.ptr[at - 1] != '~')) {
        return false;
    }
    ret_id->is_undo = text.ptr[at - 1] == '~';
    ret_id->attempt = (uint32_t)number;
    ret_id->path = sp_str_of(text.ptr + SP_UUID_TEXT_SIZE + 1, at - 1 - (SP_UUID_TEXT_SIZE + 1));
    return true;
}
