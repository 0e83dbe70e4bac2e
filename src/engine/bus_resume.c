/* Runs that go on: what groups gave up of them is given to the groups again. */
#include "engine/bus_int.h"
#include "engine/forks.h"
#include "flow/members.h"

/* What a letter says of the entry that died. */
struct letter {
    struct sp_key key;
    sp_str group;
    struct sp_entry_id id;
};

/* False where it is no letter that makes sense. Borrowed from event and scratch. */
static bool read_letter(const struct sp_bus *bus, const struct sp_event *event,
                        struct sp_buf *scratch, struct letter *ret_letter) {
    enum { KEY, GROUP, ENTRY, COUNT };
    struct sp_member members[COUNT] = {
        [KEY] = {.name = "key"}, [GROUP] = {.name = "group"}, [ENTRY] = {.name = "entryid"}};
    struct sp_error error;
    if (!sp_str_starts_with(event->attr[SP_ATTR_STREAM], SP_STR("$dead:"))) {
        return false;
    }
    sp_buf_reset(scratch);
    if (sp_members_of(event, members, COUNT, scratch) != SP_OK) {
        return false;
    }
    sp_str key = sp_member_text(&members[KEY]);
    ret_letter->group = sp_member_text(&members[GROUP]);
    return key.ptr != NULL && ret_letter->group.ptr != NULL &&
           sp_entry_id_parse(sp_member_text(&members[ENTRY]), &ret_letter->id) &&
           sp_key_parse(bus, key, &ret_letter->key, &error) == SP_OK;
}

/* Gives the entry back; nothing where it is not dead any more, or its group is gone. */
static sp_status give_back(struct sp_bus *bus, const struct letter *letter, uint64_t *count,
                           struct sp_error *error) {
    uint64_t given = 0;
    sp_status status =
        sp_bus_redrive(bus, &letter->key, letter->group, &letter->id, 1, &given, error);
    *count += status == SP_OK ? given : 0;
    return status == SP_NOT_FOUND || status == SP_UNSUPPORTED ? SP_OK : status;
}

static sp_status say_nothing_dead(sp_str run, bool is_run, struct sp_error *error) {
    return is_run ? sp_error_set(error, SP_CONFLICT,
                                 "nothing of the run '%.*s' was given up: fork it at the event to "
                                 "go on from",
                                 SP_STR_ARG(run))
                  : sp_error_set(error, SP_NOT_FOUND, "no event has the correlation id '%.*s'",
                                 SP_STR_ARG(run));
}

static sp_status is_there(struct sp_bus *bus, sp_str run, bool *ret_is, struct sp_error *error) {
    const struct sp_query query = {.correlation = run, .limit = 1};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    sp_status status = sp_cursor_open(bus->engine, &query, &cursor, error);
    status = status == SP_OK ? sp_cursor_next(cursor, &event, error) : status;
    sp_cursor_close(cursor);
    *ret_is = status == SP_OK;
    return status == SP_END ? SP_OK : status;
}

sp_status sp_run_resume(struct sp_bus *bus, sp_str run, uint64_t *ret_count,
                        struct sp_error *error) {
    static const sp_str TYPES[] = {{.ptr = "delivery.dead_lettered", .len = 22}};
    const struct sp_query query = {
        .correlation = run, .types = TYPES, .type_count = 1, .own = true};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    struct sp_buf scratch;
    uint64_t count = 0;
    sp_buf_init(&scratch, SP_EVENT_SIZE_BYTES_MAX);
    sp_status status = sp_cursor_open(bus->engine, &query, &cursor, error);
    while (status == SP_OK && count < SP_RESUME_MAX &&
           (status = sp_cursor_next(cursor, &event, error)) == SP_OK) {
        struct letter letter;
        if (read_letter(bus, event, &scratch, &letter)) {
            status = give_back(bus, &letter, &count, error);
        }
    }
    sp_cursor_close(cursor);
    sp_buf_fini(&scratch);
    /* Where the store gets busy on the way, what is done is done: the reply says how many. */
    status = status == SP_END || count > 0 ? SP_OK : status;
    if (status == SP_OK && count == 0) {
        bool is_run = false;
        status = is_there(bus, run, &is_run, error);
        status = status == SP_OK ? say_nothing_dead(run, is_run, error) : status;
    }
    if (status == SP_OK) {
        *ret_count = count;
    }
    return status;
}
