/*
 * YAML as documents (flow/doc.h), through libyaml. any-thread
 *
 * What is taken is the part of YAML that has one meaning, and that JSON could say as well: one
 * document of mappings, lists and scalars. Anchors, aliases, tags, several documents and keys that
 * are no scalars are refused, a key that is there twice too. Nothing is expanded, so a small text
 * stays small.
 *
 * A scalar in quotes or in a block is text. A plain one is null (`null`, `~`, nothing), true or
 * false (so written), a number where JSON would write it so, and text otherwise: `on`, `yes`, `off`
 * and `no` are text, which YAML 1.1 took for booleans, and so are `012`, `1_000`, `0x1f` and times.
 * A key is always text.
 *
 * Limits: those of documents.
 */
#ifndef SP_YAML_YAML_H
#define SP_YAML_YAML_H

#include "flow/doc.h"

enum sp_yaml_form {
    SP_YAML_GUESS, /* JSON where the first character is { or [, else YAML */
    SP_YAML_JSON,
    SP_YAML_YAML,
};

/*
 * Reads text into an empty document; nothing is borrowed from it. SP_INVALID, SP_LIMIT,
 * SP_NO_MEMORY; the error says where: "line 3, column 7: …".
 */
SP_WARN_UNUSED sp_status sp_yaml_read(struct sp_doc *doc, sp_str text, enum sp_yaml_form form,
                                      struct sp_error *error);

/* What a file is by its name: `.json`, `.yaml`, `.yml`, or a guess. */
enum sp_yaml_form sp_yaml_form_of(sp_str file_name);

#endif
