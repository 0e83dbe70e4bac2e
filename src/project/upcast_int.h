/*
 * The table of upcasters, as upcast.c and upcasters.c share it. any-thread
 *
 * A table never changes once it is made: who uses one holds a reference, and the registry makes
 * another. So runners on other threads need the lock only to see that there is a newer one.
 */
#ifndef SP_PROJECT_UPCAST_INT_H
#define SP_PROJECT_UPCAST_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "project/upcast.h"
#include "schema/registry.h"

enum { UPCAST_NONE = UINT32_MAX };

struct upcast_step {
    struct sp_upcaster upcaster; /* its texts are owned, in `text` */
    char *text;
    uint32_t next;            /* the step to take behind this one; UPCAST_NONE: here it ends */
    uint32_t steps;           /* from here on, this one included */
    sp_str reaches;           /* the version that the chain leads to */
    struct sp_schema *schema; /* of `to`, a reference; NULL: none is enforced */
};

struct upcast_table {
    _Atomic uint32_t refs;
    uint32_t count;
    struct upcast_step steps[]; /* by type, then from, then to */
};

struct upcast_runner;

struct sp_upcasters {
    struct sp_upcasters_options options;
    pthread_mutex_t lock; /* of table and runners */
    struct upcast_table *table;
    const struct sp_registry *registry; /* of the thread that turns the engine; NULL: none */
    _Atomic uint64_t changes;           /* of the table */
    _Atomic uint32_t count;             /* of its steps: without any nothing costs anything */
    pthread_key_t key;                  /* a thread's runner */
    struct upcast_runner *runners;
};

struct upcast_table *upcast_table_ref(struct upcast_table *table);
void upcast_table_unref(struct upcast_table *table);

/* The table that is valid now: a reference. */
struct upcast_table *upcast_table_now(struct sp_upcasters *upcasters);

/* The first step of an event of this type and version; UPCAST_NONE. O(log steps). */
uint32_t upcast_table_find(const struct upcast_table *table, sp_str type, sp_str version);

/* ---- upcast.c ---- */

/* Compiles a program with this thread's worker, and forgets it again. */
SP_WARN_UNUSED sp_status upcast_compile(struct sp_upcasters *upcasters, sp_str program,
                                        struct sp_error *error);
/* Whether this thread's worker refuses the program of an upcaster. */
bool upcast_is_refused(struct sp_upcasters *upcasters, uint32_t step);
void upcast_runners_free(struct sp_upcasters *upcasters);
/* The destructor of `key`: the thread ends. */
void upcast_runner_end(void *runner);

#endif
