/*
 * What tests of folds share: events in memory as a source, a folder to put a sink in, and questions
 * to a read model.
 */
#ifndef SPOOR_TEST_FOLD_HELP_H
#define SPOOR_TEST_FOLD_HELP_H

#include "project/fold.h"
#include "project/sqlite.h"

enum { MADE_MAX = 20000 };

/* An event that has only what tests look at; positions count from 1. */
struct made {
    char type[32];
    char source[32];
    char data[64];
    char id[24];
};

/* A source over an array. It can be told to be damaged, to pause, and to find nothing for a while.
 */
struct memory {
    struct made events[MADE_MAX];
    size_t count;
    uint64_t position; /* looked at */
    uint64_t damaged;  /* this position cannot be read; 0: none */
    size_t busy_every; /* so often SP_BUSY instead of an event; 0: never */
    size_t calls;
    size_t seeks;
    bool over; /* SP_END behind the last, not SP_TIMEOUT */
    struct sp_event event;
};

struct memory *memory_new(void);
void memory_add(struct memory *memory, const char *type, const char *source, const char *data);
struct sp_fold_source memory_source(struct memory *memory);

struct sp_definition *definition_of(const char *text);

/* A fresh folder; remove_folder takes it away with all that is in it. */
void make_folder(char path[64]);
void remove_folder(const char *path);

struct sp_sink *open_sink(const char *folder);
struct sp_build *open_build(struct sp_sink *sink, struct sp_definition *definition,
                            uint64_t number);
struct sp_build_state state_of(const struct sp_build *build);

/* Folds everything there is, and expects this end of it. */
void fold_all(struct sp_build *build, struct memory *memory, enum sp_fold_end expected);

/* The first column of every row that the SQL gives, joined by commas; of a database file. */
void assert_rows(const char *path, const char *sql, const char *expected);
void assert_build_rows(struct sp_build *build, const char *sql, const char *expected);

#endif
