/* The table of keywords, and finding one by its name. */
#include "schema/schema_int.h"

const struct sch_keyword_info sch_keywords[KW_COUNT] = {
#define SCH_KEYWORD_(code, text, shape, words)                                                     \
    [KW_##code] = {.name = (text), .form = FORM_##shape, .vocabulary = VOCABULARY_##words},
#include "schema/keywords.h"
#undef SCH_KEYWORD_
};

enum sch_keyword sch_keyword_of(sp_str name) {
    for (int i = KW_UNKNOWN + 1; i < KW_COUNT; i++) {
        if (sp_str_eq(name, sp_str_from(sch_keywords[i].name))) {
            return (enum sch_keyword)i;
        }
    }
    return KW_UNKNOWN;
}
