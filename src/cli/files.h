/*
 * A small file as one text. loop-thread
 */
#ifndef SP_CLI_FILES_H
#define SP_CLI_FILES_H

#include "base/buf.h"
#include "cli/cli.h"

/*
 * Appends what the file, or stdin for `-`, holds: at most the buffer's maximum. On failure says
 * why, and returns an exit code.
 */
SP_WARN_UNUSED int sp_cli_read_file(const char *path, struct sp_buf *to);

/* Line and column of a byte of a text, from 1; columns are characters. */
void sp_cli_place_of(sp_str text, uint64_t offset, unsigned *ret_line, unsigned *ret_column);

/*
 * Says which keywords of a schema, which lies in the text, are none of the draft, and what may have
 * been meant.
 */
struct sp_schema;
void sp_cli_tell_unknown(struct sp_cli *cli, const char *path, sp_str text,
                         const struct sp_schema *schema);

#endif
