/*
 * What filters demand, as keys to look them up by: of a hundred thousand subscriptions to the same
 * type, each to an order of its own, only those of the order at hand need to be compared. pure
 *
 * Many filters cannot match unless one value of the event is a certain text or number:
 * {"data.order": 4711, …}. Such a filter has a *key*, a hash of the path and of the value. An event
 * has one key for each path that is in use: a filter whose key is none of them does not match. The
 * reverse does not hold.
 *
 * The paths in use are read in one pass over the event. Limits: SP_DEMAND_PATHS_MAX of them; a
 * filter that would need one more has no key.
 *
 * Threading: one thread at a time.
 */
#ifndef SP_MATCH_DEMAND_H
#define SP_MATCH_DEMAND_H

#include "match/filter.h"

enum { SP_DEMAND_PATHS_MAX = 32 };

struct sp_demand_reader; /* the paths in use, compiled */

/* One path that filters are looked up by. */
struct sp_demand_path {
    char *text; /* owned */
    uint32_t len;
    uint32_t users;
};

struct sp_demands {
    struct sp_demand_path paths[SP_DEMAND_PATHS_MAX];
    uint32_t path_count;
    struct sp_demand_reader *reader; /* NULL while no path is in use */
};

void sp_demands_init(struct sp_demands *demands);
void sp_demands_fini(struct sp_demands *demands);

/*
 * The key of a filter, whose path is from now on among those in use. False where it has none, or
 * where there is no room for its path; nothing has changed then. O(tests), and where the path is
 * new O(paths).
 */
SP_WARN_UNUSED bool sp_demands_add(struct sp_demands *demands, const struct sp_filter *filter,
                                   uint64_t *ret_key);

/* Takes back one sp_demands_add that returned true. */
void sp_demands_remove(struct sp_demands *demands, const struct sp_filter *filter);

/*
 * The keys that the event has, at most one for each path in use; returns how many. O(bytes of the
 * JSON texts that the paths lead into).
 */
size_t sp_demands_of(const struct sp_demands *demands, const struct sp_event *event,
                     uint64_t ret_keys[SP_DEMAND_PATHS_MAX]);

#endif
