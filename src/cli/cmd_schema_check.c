/* schema check: a schema, and events against it, by the validator alone. */
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/files.h"
#include "event/names.h"
#include "schema/json_schema.h"

enum { FILE_BYTES_MAX = 128 << 20 };

/* What is being looked at. */
struct checking {
    struct sp_cli *cli;
    const struct sp_schema *schema;
    struct sp_schema_scratch *scratch;
    bool plain; /* data, not events */
    const char *path;
    sp_str text; /* of the whole file */
    uint64_t count;
    uint64_t wrong;
};

static void tell(struct checking *c, uint64_t offset, const struct sp_schema_fault *fault) {
    struct sp_out *out = &c->cli->out;
    unsigned line;
    unsigned column;
    sp_cli_place_of(c->text, offset, &line, &column);
    c->wrong++;
    if (!c->cli->wants_json) {
        const char *pointer = fault->pointer[0] != '\0' ? fault->pointer : "the data";
        sp_out_print(out, "%s:%u:%u: %s: %s%s%s\n", c->path, line, column, pointer, fault->text,
                     fault->rule[0] != '\0' ? ", by " : "", fault->rule);
        return;
    }
    sp_out_print(out, "{");
    sp_out_json_text(out, "file", sp_str_from(c->path));
    sp_out_json_u64(out, "line", line);
    sp_out_json_u64(out, "column", column);
    sp_out_json_text(out, "pointer", sp_str_from(fault->pointer));
    sp_out_json_text(out, "rule", sp_str_from(fault->rule));
    sp_out_json_text(out, "text", sp_str_from(fault->text));
    sp_out_print(out, "}\n");
    sp_out_line_end(out);
}

/* The data of an event, by either of its names; ptr NULL where it has none. */
static sp_str data_of(sp_str event) {
    struct sp_json json;
    sp_str data = {.ptr = NULL};
    sp_json_init(&json, event);
    struct sp_json_token token = sp_json_next(&json);
    while (token.type == SP_JSON_OBJECT && (token = sp_json_next(&json)).type == SP_JSON_KEY) {
        bool wanted =
            sp_json_equal(token, SP_STR("data")) || sp_json_equal(token, SP_STR("payload"));
        sp_str value = sp_json_skip(&json, sp_json_next(&json));
        data = wanted ? value : data;
        token.type = SP_JSON_OBJECT; /* go on */
    }
    return data;
}

static void check_one(struct checking *c, sp_str json) {
    struct sp_schema_fault fault;
    sp_str data = c->plain ? json : data_of(json);
    struct sp_error error;
    c->count++;
    if (!c->plain && sp_json_check(json, &error) != SP_OK) {
        fault = (struct sp_schema_fault){.offset = error.offset};
        memcpy(fault.text, error.text, sizeof(fault.text));
        tell(c, (uint64_t)(json.ptr - c->text.ptr) + error.offset, &fault);
        return;
    }
    sp_str checked = data.ptr != NULL ? data : SP_STR("null");
    if (sp_schema_check(c->schema, c->scratch, checked, &fault) != SP_OK) {
        uint64_t from = (uint64_t)((data.ptr != NULL ? data.ptr : json.ptr) - c->text.ptr);
        tell(c, from + (data.ptr != NULL ? fault.offset : 0), &fault);
    }
}

/* One JSON text, or one a line. */
static void check_all(struct checking *c) {
    sp_str rest = c->text;
    if (sp_json_check(rest, NULL) == SP_OK) {
        check_one(c, rest);
        return;
    }
    while (rest.len > 0) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        sp_str line = sp_str_of(rest.ptr, len);
        bool blank = true;
        for (size_t i = 0; i < len && blank; i++) {
            blank = line.ptr[i] == ' ' || line.ptr[i] == '\t' || line.ptr[i] == '\r';
        }
        if (!blank) {
            check_one(c, line);
        }
        rest = sp_str_from_byte(rest, end != NULL ? len + 1 : len);
    }
}

static int check_file(struct checking *c, const char *path) {
    struct sp_buf text;
    sp_buf_init(&text, FILE_BYTES_MAX);
    int code = sp_cli_read_file(path, &text);
    if (code == SP_EXIT_OK) {
        c->path = path;
        c->text = sp_buf_str(&text);
        check_all(c);
    }
    sp_buf_fini(&text);
    return code;
}

static int check_files(struct sp_cli *cli, const struct sp_schema *schema) {
    struct checking c = {.cli = cli,
                         .schema = schema,
                         .scratch = sp_schema_scratch_new(),
                         .plain = cli->args.own_values[SP_SCHEMA_PLAIN] != NULL};
    int code = c.scratch != NULL ? SP_EXIT_OK : SP_EXIT_FAILURE;
    for (size_t i = 1; i < cli->args.operand_count && code == SP_EXIT_OK; i++) {
        code = check_file(&c, cli->args.operands[i]);
    }
    sp_schema_scratch_free(c.scratch);
    sp_out_flush(&cli->out);
    if (code == SP_EXIT_OK && cli->args.operand_count > 1) {
        sp_cli_say(cli, "%llu checked, %llu not valid", (unsigned long long)c.count,
                   (unsigned long long)c.wrong);
    }
    return code == SP_EXIT_OK && c.wrong > 0 ? SP_EXIT_FAILURE : code;
}

int sp_cmd_schema_check(struct sp_cli *cli) {
    struct sp_schema *schema = NULL;
    struct sp_error error;
    struct sp_buf text;
    sp_buf_init(&text, FILE_BYTES_MAX);
    const char *path = cli->args.operands[0];
    int code = sp_cli_read_file(path, &text);
    if (code != SP_EXIT_OK) {
        sp_buf_fini(&text);
        return code;
    }
    if (sp_schema_compile(sp_buf_str(&text), NULL, &schema, &error) != SP_OK) {
        unsigned line;
        unsigned column;
        sp_cli_place_of(sp_buf_str(&text), error.offset, &line, &column);
        sp_cli_complain("%s:%u:%u: %s", path, line, column, error.text);
        sp_buf_fini(&text);
        return SP_EXIT_FAILURE;
    }
    sp_cli_tell_unknown(cli, path, sp_buf_str(&text), schema);
    if (cli->args.operand_count == 1) {
        sp_cli_say(cli, "%s is a schema", path);
    }
    code = check_files(cli, schema);
    sp_schema_unref(schema);
    sp_buf_fini(&text);
    return code;
}
