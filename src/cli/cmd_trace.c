/* why and effects: causes and consequences, told as a story. */
#include <string.h>

#include "base/assert.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "cli/text.h"

enum {
    INDENT_MAX = 8, /* blanks; deeper levels stand no further to the right */
};

static const struct sp_table_column COLUMNS[] = {
    {.title = "POSITION", .is_number = true}, {.title = "TIME (UTC)", .is_dim = true},
    {.title = "WHAT", .columns_max = 56},     {.title = "WHO", .columns_max = 24},
    {.title = "DATA", .is_dim = true},
};

/* One event of a chain: what is shown of it, kept because the cursor goes the other way. */
struct step {
    size_t json_start; /* in texts */
    size_t json_len;
    size_t what_len; /* the type, then the source, then the summary, after the JSON */
    size_t who_len;
    size_t data_len;
    uint64_t position;
    char time[SP_TEXT_TIME_SIZE];
};

struct chain {
    struct sp_cli *cli;
    struct sp_buf texts;
    struct sp_buf steps; /* of struct step */
};

static int keep_step(void *context, spoor_cursor *cursor, const spoor_event *event) {
    struct chain *chain = context;
    struct sp_buf *texts = &chain->texts;
    struct step step = {.json_start = texts->len, .position = event->position};
    if (chain->cli->wants_json) {
        int code = sp_cli_add_json(chain->cli, texts, cursor, event);
        if (code != SP_EXIT_OK) {
            return code;
        }
        step.json_len = texts->len - step.json_start;
    } else {
        sp_text_event_time(event, step.time);
        sp_buf_add_str(texts, sp_text_str(event->type));
        sp_buf_add_str(texts, sp_text_str(event->source));
        step.what_len = event->type.len;
        step.who_len = event->source.len;
        size_t before = texts->len;
        sp_text_add_summary(texts, event, chain->cli->out.columns);
        step.data_len = texts->len - before;
    }
    sp_buf_add(&chain->steps, &step, sizeof(step));
    if (texts->status != SP_OK || chain->steps.status != SP_OK) {
        sp_cli_complain("no memory for the chain");
        return SP_EXIT_FAILURE;
    }
    return SP_EXIT_OK;
}

/* Adds the row of an event that stands `depth` levels down. */
static void add_row(struct sp_table *table, uint64_t position, const char *time, sp_str what,
                    unsigned depth, sp_str who, sp_str data) {
    struct sp_buf text;
    sp_buf_init(&text, SIZE_MAX);
    if (depth > 0) {
        sp_buf_add_str(&text, SP_STR("\xe2\x94\x94 ")); /* a corner */
    }
    sp_buf_add_str(&text, what);
    sp_table_add_u64(table, position);
    sp_table_add(table, sp_str_from(time));
    unsigned blanks = depth > INDENT_MAX ? INDENT_MAX : depth;
    sp_table_add_indented(table, sp_buf_str(&text), blanks);
    sp_table_add(table, who);
    sp_table_add(table, data);
    sp_buf_fini(&text);
}

static void show_chain_table(struct chain *chain, const struct step *steps, size_t count) {
    struct sp_table table;
    sp_table_init(&table, &chain->cli->out, COLUMNS, sizeof(COLUMNS) / sizeof(*COLUMNS));
    for (size_t i = 0; i < count; i++) {
        const struct step *step = &steps[count - 1 - i];
        const char *text = (const char *)chain->texts.data + step->json_start;
        add_row(&table, step->position, step->time, sp_str_of(text, step->what_len), (unsigned)i,
                sp_str_of(text + step->what_len, step->who_len),
                sp_str_of(text + step->what_len + step->who_len, step->data_len));
    }
    sp_table_fini(&table);
}

/* Shows the steps, the one kept last first. */
static void show_chain(struct chain *chain) {
    const struct step *steps = (const void *)chain->steps.data;
    size_t count = chain->steps.len / sizeof(*steps);
    if (!chain->cli->wants_json) {
        show_chain_table(chain, steps, count);
        return;
    }
    for (size_t i = count; i > 0; i--) {
        sp_buf_add(&chain->cli->out.buf, chain->texts.data + steps[i - 1].json_start,
                   steps[i - 1].json_len);
        sp_out_line_end(&chain->cli->out);
    }
}

static int tell_why(struct sp_cli *cli, spoor *store, const char *id) {
    spoor_cursor *cursor = NULL;
    spoor_error error = {.status = SPOOR_OK};
    if (spoor_causes(store, id, &cursor, &error) != SPOOR_OK) {
        return sp_cli_fail(&error);
    }
    struct chain chain = {.cli = cli};
    sp_buf_init(&chain.texts, SIZE_MAX);
    sp_buf_init(&chain.steps, SIZE_MAX);
    int code = sp_cli_read(cli, cursor, keep_step, &chain, NULL);
    show_chain(&chain);
    sp_buf_fini(&chain.texts);
    sp_buf_fini(&chain.steps);
    return code;
}

struct tree {
    struct sp_table table;
    struct sp_buf summary;
    size_t summary_columns;
};

static int show_effect(void *context, spoor_cursor *cursor, const spoor_event *event) {
    struct tree *tree = context;
    char time[SP_TEXT_TIME_SIZE];
    sp_text_event_time(event, time);
    sp_buf_reset(&tree->summary);
    sp_text_add_summary(&tree->summary, event, tree->summary_columns);
    add_row(&tree->table, event->position, time, sp_text_str(event->type),
            spoor_cursor_depth(cursor), sp_text_str(event->source), sp_buf_str(&tree->summary));
    return SP_EXIT_OK;
}

static int tell_effects(struct sp_cli *cli, spoor *store, const char *id) {
    spoor_cursor *cursor = NULL;
    spoor_error error = {.status = SPOOR_OK};
    if (spoor_effects(store, id, &cursor, &error) != SPOOR_OK) {
        return sp_cli_fail(&error);
    }
    if (cli->wants_json) {
        return sp_cli_read(cli, cursor, sp_cli_show_json, cli, NULL);
    }
    struct tree tree = {.summary_columns = cli->out.columns};
    sp_buf_init(&tree.summary, SIZE_MAX);
    sp_table_init(&tree.table, &cli->out, COLUMNS, sizeof(COLUMNS) / sizeof(*COLUMNS));
    int code = sp_cli_read(cli, cursor, show_effect, &tree, NULL);
    sp_table_fini(&tree.table);
    sp_buf_fini(&tree.summary);
    return code;
}

static int tell(struct sp_cli *cli, int (*teller)(struct sp_cli *, spoor *, const char *)) {
    spoor *store = NULL;
    int code = sp_cli_open(cli, SPOOR_READ_ONLY, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    char id[SP_CLI_ID_SIZE];
    code = sp_cli_upcast(cli, store);
    code = code == SP_EXIT_OK ? sp_cli_find_id(cli, store, cli->args.operands[0], id) : code;
    if (code == SP_EXIT_OK) {
        code = teller(cli, store, id);
    }
    spoor_close(store);
    return code;
}

int sp_cmd_why(struct sp_cli *cli) {
    return tell(cli, tell_why);
}

int sp_cmd_effects(struct sp_cli *cli) {
    return tell(cli, tell_effects);
}
