/*
 * Tables for people. loop-thread
 *
 * The first rows are kept back to choose the widths of the columns; from then on rows go out as
 * they come, so that a table of any length needs little memory. Cells are made safe for a terminal.
 * The last column takes what the line has left, unless it is one of numbers.
 */
#ifndef SP_CLI_TABLE_H
#define SP_CLI_TABLE_H

#include "cli/out.h"

enum { SP_TABLE_COLUMNS_MAX = 64, SP_TABLE_ROWS_KEPT = 100 };

struct sp_table_column {
    const char *title;
    bool is_number;       /* set to the right */
    bool is_dim;          /* less important; shown so in colour */
    unsigned columns_max; /* 0: the default */
};

struct sp_table {
    struct sp_out *out;
    const struct sp_table_column *columns;
    size_t column_count;
    size_t widths[SP_TABLE_COLUMNS_MAX];
    size_t cell;         /* next one of the row */
    size_t row_count;    /* rows kept back */
    bool is_streaming;   /* widths are chosen and the head is out */
    struct sp_buf cells; /* of the rows kept back, each with a NUL; then of one row at a time */
};

/* `columns` is borrowed until the end. */
void sp_table_init(struct sp_table *table, struct sp_out *out,
                   const struct sp_table_column *columns, size_t column_count);

/* The next cell, from left to right; the last one of a row ends it. */
void sp_table_add(struct sp_table *table, sp_str text);
/* As sp_table_add, set in by so many blanks. */
void sp_table_add_indented(struct sp_table *table, sp_str text, size_t blanks);
void sp_table_add_u64(struct sp_table *table, uint64_t value);

/* Shows what is kept back and frees. A table without rows shows nothing. */
void sp_table_fini(struct sp_table *table);

#endif
