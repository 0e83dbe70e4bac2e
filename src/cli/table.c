#include "cli/table.h"

#include <string.h>

#include "base/assert.h"
#include "cli/text.h"

enum {
    GAP = 2,                  /* blanks between two columns */
    COLUMNS_MAX_DEFAULT = 40, /* of a cell that is not the last */
    LAST_MIN = 10,            /* columns of the last cell, however narrow the terminal */
    LAST_KEPT_MAX = 1000,
};

void sp_table_init(struct sp_table *table, struct sp_out *out,
                   const struct sp_table_column *columns, size_t column_count) {
    sp_require(column_count > 0 && column_count <= SP_TABLE_COLUMNS_MAX);
    *table = (struct sp_table){.out = out, .columns = columns, .column_count = column_count};
    sp_buf_init(&table->cells, SIZE_MAX);
    for (size_t i = 0; i < column_count; i++) {
        table->widths[i] = strlen(columns[i].title);
    }
}

static bool is_last(const struct sp_table *table, size_t cell) {
    return cell + 1 == table->column_count;
}

static size_t columns_max(const struct sp_table *table, size_t cell) {
    unsigned set = table->columns[cell].columns_max;
    return set != 0 ? set : is_last(table, cell) ? LAST_KEPT_MAX : COLUMNS_MAX_DEFAULT;
}

static void style(struct sp_out *out, const char *code) {
    if (out->has_colour) {
        sp_out_print(out, "\x1b[%sm", code);
    }
}

/* Shows one cell at its width. */
static void show_cell(struct sp_table *table, size_t cell, sp_str text, const char *code) {
    struct sp_out *out = table->out;
    const struct sp_table_column *column = &table->columns[cell];
    size_t columns = sp_text_columns(text);
    if (column->is_number && columns > table->widths[cell]) {
        table->widths[cell] = columns; /* half a number would be a lie */
    }
    size_t width = table->widths[cell];
    if (column->is_number) {
        sp_text_add_blanks(&out->buf, width - columns);
    }
    if (code != NULL) {
        style(out, code);
    }
    size_t shown = sp_text_add_again(&out->buf, text, width);
    if (code != NULL) {
        style(out, "0");
    }
    if (is_last(table, cell)) {
        sp_buf_add_byte(&out->buf, '\n');
        sp_out_line_end(out);
        return;
    }
    if (!column->is_number && shown < width) {
        sp_text_add_blanks(&out->buf, width - shown);
    }
    sp_text_add_blanks(&out->buf, GAP);
}

static void show_data_cell(struct sp_table *table, size_t cell, sp_str text) {
    show_cell(table, cell, text, table->columns[cell].is_dim ? "2" : NULL);
}

/* Text takes the rest of the line; a number stands under its title. */
static void choose_last_width(struct sp_table *table) {
    size_t used = 0;
    if (table->columns[table->column_count - 1].is_number) {
        return;
    }
    for (size_t i = 0; i + 1 < table->column_count; i++) {
        used += table->widths[i] + GAP;
    }
    size_t line = table->out->columns;
    table->widths[table->column_count - 1] = used + LAST_MIN < line ? line - used : LAST_MIN;
}

/* Shows the head and the rows kept back. */
static void start_streaming(struct sp_table *table) {
    choose_last_width(table);
    table->is_streaming = true;
    for (size_t i = 0; i < table->column_count; i++) {
        show_cell(table, i, sp_str_from(table->columns[i].title), "1");
    }
    const char *at = (const char *)table->cells.data;
    for (size_t row = 0; row < table->row_count; row++) {
        for (size_t i = 0; i < table->column_count; i++) {
            sp_str text = sp_str_from(at);
            show_data_cell(table, i, text);
            at += text.len + 1;
        }
    }
    sp_buf_reset(&table->cells);
}

void sp_table_add_indented(struct sp_table *table, sp_str text, size_t blanks) {
    size_t cell = table->cell;
    size_t start = table->cells.len;
    size_t room = columns_max(table, cell);
    blanks = blanks < room ? blanks : room;
    sp_text_add_blanks(&table->cells, blanks);
    size_t columns = blanks + sp_text_add(&table->cells, text, room - blanks);
    sp_buf_add_byte(&table->cells, '\0');
    if (table->is_streaming && table->cells.status == SP_OK) {
        show_data_cell(table, cell, sp_str_from((const char *)table->cells.data + start));
        sp_buf_reset(&table->cells);
    } else if (columns > table->widths[cell]) {
        table->widths[cell] = columns;
    }
    table->cell = is_last(table, cell) ? 0 : cell + 1;
    if (table->cell != 0 || table->is_streaming) {
        return;
    }
    table->row_count++;
    if (table->row_count == SP_TABLE_ROWS_KEPT && table->cells.status == SP_OK) {
        start_streaming(table);
    }
}

void sp_table_add(struct sp_table *table, sp_str text) {
    sp_table_add_indented(table, text, 0);
}

void sp_table_add_u64(struct sp_table *table, uint64_t value) {
    char digits[24];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    sp_table_add(table, sp_str_of(digits + at, sizeof(digits) - at));
}

void sp_table_fini(struct sp_table *table) {
    sp_require(table->cell == 0);
    if (!table->is_streaming && table->row_count > 0 && table->cells.status == SP_OK) {
        start_streaming(table);
    }
    if (table->cells.status != SP_OK && table->out->error.status == SP_OK) {
        (void)sp_error_set(&table->out->error, table->cells.status, "no memory for the table");
    }
    sp_buf_fini(&table->cells);
}
