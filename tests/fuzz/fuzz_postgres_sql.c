/*
 * A query for PostgreSQL: what is read keeps every byte that is no parameter, and every place that
 * PostgreSQL may name is one of the text. What is refused says why.
 */
#include "fuzz.h"

#include "project/postgres_sql.h"

enum { PARAMS_MAX = 50 };

/* Put together again from the places it found, it is the same text. */
static void check_uses(sp_str text, const struct sp_pg_query *query) {
    struct sp_buf again;
    size_t from = 0;
    sp_buf_init(&again, 1 << 24);
    for (uint32_t i = 0; i < query->use_count; i++) {
        const struct sp_parameter_use *use = &query->uses[i];
        sp_require(use->offset >= from && use->length > 0);
        sp_require(use->number >= 1 && use->number <= query->param_count);
        sp_buf_add(&again, text.ptr + from, use->offset - from);
        sp_buf_add_byte(&again, '$');
        sp_buf_add_u64(&again, use->number);
        from = use->offset + use->length;
        sp_require(from <= text.len);
    }
    sp_buf_add(&again, text.ptr + from, text.len - from);
    sp_buf_add_byte(&again, '\0');
    sp_require(sp_str_eq(sp_buf_str(&again), sp_buf_str(&query->text)));
    sp_buf_fini(&again);
}

static void check_places(sp_str text, const struct sp_pg_query *query) {
    size_t last = 0;
    for (uint64_t place = 0; place < 2 * text.len + 10; place += 1 + text.len / 64) {
        size_t at = sp_pg_place(text, query->uses, query->use_count, place);
        sp_require(at >= last && at <= text.len);
        last = at;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    sp_str text = sp_str_of(bytes, size);
    struct sp_pg_query query;
    struct sp_error error = {0};
    struct sp_buf clean;
    sp_buf_init(&clean, 1 << 24);
    sp_pg_text_add(&clean, text);
    sp_require(clean.status == SP_OK && clean.len >= size && clean.len <= 3 * size);
    sp_buf_fini(&clean);
    if (size > 4096) {
        return 0;
    }
    sp_status status = sp_pg_query_init(&query, text, PARAMS_MAX, &error);
    if (status != SP_OK) {
        sp_require(error.status == status && error.text[0] != '\0');
        return 0;
    }
    sp_require(query.param_count <= PARAMS_MAX);
    check_uses(text, &query);
    check_places(text, &query);
    sp_pg_query_fini(&query);
    return 0;
}
