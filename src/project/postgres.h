/*
 * Read models in a PostgreSQL database. helper
 *
 *     spoor.spoor_sink                 one row: the format, and the log that this is derived from
 *     spoor.spoor_builds               one row per build: its state, sink.h
 *     spoor_3_agent_stats.agent_stats  the tables of build 3 of agent_stats, in a schema of its own
 *     spoor.agent_stats                a view of the current build's table, for people
 *
 * `spoor` is the default of the URL's parameter `schema`, and several servers may share a database
 * under different ones. A schema belongs to one log, by its UUID, and is filled by one process at a
 * time, which holds an advisory lock; so does each build.
 *
 * Exactly once: a batch is one transaction; it ends with an update of the build's row that demands
 * the position which the build had at the batch's beginning and violates a constraint where it has
 * another. So whatever became of an earlier commit whose answer was lost, or of a process that
 * believes it still is the one, effects are never doubled. Projector transactions do not wait for
 * the disk (synchronous_commit off): the position commits with the effects, so a crash of
 * PostgreSQL takes back whole batches, in order, and they are folded again from the log. Swapping,
 * failing and dropping wait for the disk, and take what was committed before with them.
 *
 * Swap: queries of spoor's own do not use the views. They read which builds are current and then
 * the builds' own tables, in one snapshot, so a swap is to them the commit of one row: it locks
 * nothing that they touch, fails none and holds none up. (Tables moved by ALTER TABLE SET SCHEMA
 * would need every query's locks to be gone, and so would replacing views that queries use; and
 * tables, unlike views, have keys, which GROUP BY and HGETALL want.) The views that people use are
 * replaced in the same transaction. That needs a lock which a long query of theirs may hold: each
 * attempt waits for it only briefly, as new queries queue up behind it meanwhile, and is repeated
 * after a pause; a query that comes in between sees the old build whole or the new one. Nobody's
 * query fails: where a view has the same columns it is replaced in place, and else PostgreSQL
 * resolves the name anew once the lock is free.
 *
 * What can go wrong: PostgreSQL goes away. Every operation says SP_BUSY then, and connects again
 * when it is called again. A build that PostgreSQL took back behind what it had told its owner says
 * SP_FAILED until it is closed and opened again, for its owner's place in the log is wrong.
 *
 * Limits: those of definition.h, and PostgreSQL's; names of tables of at most 63 bytes.
 */
#ifndef SP_PROJECT_POSTGRES_H
#define SP_PROJECT_POSTGRES_H

#include "os/os.h"
#include "project/sink.h"

struct sp_postgres_options {
    sp_str url;       /* postgres://…, with `schema` if need be; copied */
    uint8_t uuid[16]; /* of the log */
    struct sp_clock clock;
    /*
     * Takes no lock and writes nothing: for the builds that are there and queries over them.
     * `open`, `swap` and `drop` are SP_DENIED then.
     */
    bool read_only;
};

/* True where the text begins with postgres:// or postgresql://, whatever follows. */
bool sp_postgres_is_url(sp_str text);

/*
 * Opens the sink, and makes its tables where they are missing. SP_CONFLICT where the schema belongs
 * to another log; SP_BUSY where another process fills read models there, or the server is not
 * there; SP_NOT_FOUND where there is nothing and read_only; SP_DENIED; SP_INVALID (the URL);
 * SP_UNSUPPORTED where spoor was built without PostgreSQL.
 */
SP_WARN_UNUSED sp_status sp_postgres_sink_open(const struct sp_postgres_options *options,
                                               struct sp_sink **ret_sink, struct sp_error *error);

#endif
