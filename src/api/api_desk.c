#include "api/api_int.h"
#include "api/desk.h"
#include "api/projections.h"

enum { BUSY_TURN_MS = 10 };

sp_status sp_api_ask(struct spoor *store, const struct sp_desk_request *request, sp_str by,
                     struct sp_desk_answer *answer, struct sp_error *error) {
    sp_require(!store->own_thread);
    if (store->client != NULL) {
        return sp_error_set(error, SP_UNSUPPORTED, "the store is a server: ask it");
    }
    struct sp_clock clock = sp_clock_system();
    sp_status status = SP_BUSY;
    while (status == SP_BUSY) {
        sp_error_clear(error);
        status =
            sp_desk_ask(store->engine, request, by, clock.wall_us(clock.context), answer, error);
        if (status == SP_BUSY) {
            (void)sp_engine_turn(store->engine, BUSY_TURN_MS);
        }
    }
    return status == SP_OK && answer->changed ? sp_api_settle(store, error) : status;
}
