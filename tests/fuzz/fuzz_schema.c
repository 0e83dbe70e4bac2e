/*
 * The first line is a JSON Schema, the rest an instance. A schema that compiles accepts the
 * instance or does not, the same whichever scratch is used, and its negation the other way round;
 * what is wrong says why. Comparing it with itself ends.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "base/json.h"
#include "schema/compatible.h"
#include "schema/json_schema.h"

static bool settled(sp_status status) {
    return status == SP_OK || status == SP_INVALID;
}

static void check_negation(sp_str text, sp_str json, sp_status status) {
    struct sp_buf buf;
    struct sp_schema *negation = NULL;
    sp_buf_init(&buf, 1 << 21);
    sp_buf_add_str(&buf, SP_STR("{\"not\":"));
    sp_buf_add_str(&buf, text);
    sp_buf_add_byte(&buf, '}');
    /* References to the top mean another schema by now; and it may be too deep, or too long. */
    bool refers = text.len > 0 && (memmem(text.ptr, text.len, "ef\"", 3) != NULL ||
                                   memmem(text.ptr, text.len, "\\u", 2) != NULL ||
                                   memmem(text.ptr, text.len, "$schema", 7) != NULL);
    if (!refers && sp_schema_compile(sp_buf_str(&buf), NULL, &negation, NULL) == SP_OK) {
        sp_status other = sp_schema_check(negation, NULL, json, NULL);
        sp_require(!settled(status) || !settled(other) || (status == SP_OK) != (other == SP_OK));
        sp_schema_unref(negation);
    }
    sp_buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t len = end != NULL ? (size_t)(end - data) : size;
    sp_str text = sp_str_of(data, len);
    sp_str json = end != NULL ? sp_str_of(end + 1, size - len - 1) : SP_STR("null");
    struct sp_schema *schema = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_schema_compile(text, NULL, &schema, &error) != SP_OK) {
        sp_require(error.text[0] != '\0' && error.offset <= len);
        return 0;
    }
    struct sp_schema_scratch *scratch = sp_schema_scratch_new();
    sp_require(scratch != NULL);
    struct sp_schema_fault fault;
    sp_status status = sp_schema_check(schema, scratch, json, &fault);
    sp_require(status == SP_OK || fault.text[0] != '\0');
    sp_require(sp_schema_check(schema, scratch, json, NULL) == status);
    sp_require(sp_schema_check(schema, NULL, json, NULL) == status);
    if (sp_json_check(json, NULL) == SP_OK) {
        check_negation(text, json, status);
    }
    sp_status covered = sp_schema_accepts_all(schema, schema, &error);
    sp_require(covered == SP_OK || error.text[0] != '\0');
    sp_schema_scratch_free(scratch);
    sp_schema_unref(schema);
    return 0;
}
