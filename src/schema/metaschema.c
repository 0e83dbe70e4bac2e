/*
 * The draft's own documents, which schemas may refer to: what a valid schema looks like. Written
 * for this program, they say what the published ones say, without their titles and comments.
 */
#include "schema/schema_int.h"

#define BASE "https://json-schema.org/draft/2020-12/"
#define HEAD(name)                                                                                 \
    "{\"$schema\":\"" BASE "schema\",\"$id\":\"" BASE name "\",\"$dynamicAnchor\":\"meta\","
#define VOCAB(name) "\"$vocabulary\":{\"" BASE "vocab/" name "\":true},"
#define SHAPE       "\"type\":[\"object\",\"boolean\"],\"properties\":{"
#define DEEPER      "{\"$dynamicRef\":\"#meta\"}"
#define MAP         "{\"type\":\"object\",\"additionalProperties\":" DEEPER ",\"default\":{}}"
#define SCHEMAS     "{\"$ref\":\"#/$defs/schemaArray\"}"
#define COUNT       "{\"$ref\":\"#/$defs/nonNegativeInteger\"}"
#define COUNT_0     "{\"$ref\":\"#/$defs/nonNegativeIntegerDefault0\"}"
#define STRINGS     "{\"$ref\":\"#/$defs/stringArray\"}"
#define STRING      "{\"type\":\"string\"}"
#define NUMBER      "{\"type\":\"number\"}"
#define FLAG        "{\"type\":\"boolean\",\"default\":false}"

static const char SCHEMA[] = HEAD(
    "schema") "\"$vocabulary\":{"
              "\"" BASE "vocab/core\":true,"
              "\"" BASE "vocab/applicator\":true,"
              "\"" BASE "vocab/unevaluated\":true,"
              "\"" BASE "vocab/validation\":true,"
              "\"" BASE "vocab/meta-data\":true,"
              "\"" BASE "vocab/format-annotation\":true,"
              "\"" BASE "vocab/content\":true},"
              "\"allOf\":[{\"$ref\":\"meta/core\"},{\"$ref\":\"meta/applicator\"},"
              "{\"$ref\":\"meta/unevaluated\"},{\"$ref\":\"meta/validation\"},"
              "{\"$ref\":\"meta/meta-data\"},"
              "{\"$ref\":\"meta/format-annotation\"},{\"$ref\":\"meta/content\"}]," SHAPE
              "\"definitions\":{\"type\":\"object\",\"additionalProperties\":" DEEPER
              ",\"deprecated\":true,\"default\":{}},"
              "\"dependencies\":{\"type\":\"object\",\"additionalProperties\":{\"anyOf\":[" DEEPER
              ",{\"$ref\":\"meta/validation#/$defs/stringArray\"}]},"
              "\"deprecated\":true,\"default\":{}},"
              "\"$recursiveAnchor\":{\"$ref\":\"meta/core#/$defs/anchorString\","
              "\"deprecated\":true},"
              "\"$recursiveRef\":{\"$ref\":\"meta/core#/$defs/uriReferenceString\","
              "\"deprecated\":true}}}";

static const char CORE[] = HEAD("meta/core") VOCAB("core") SHAPE
    "\"$id\":{\"$ref\":\"#/$defs/uriReferenceString\",\"pattern\":\"^[^#]*#?$\"},"
    "\"$schema\":{\"$ref\":\"#/$defs/uriString\"},"
    "\"$ref\":{\"$ref\":\"#/$defs/uriReferenceString\"},"
    "\"$anchor\":{\"$ref\":\"#/$defs/anchorString\"},"
    "\"$dynamicRef\":{\"$ref\":\"#/$defs/uriReferenceString\"},"
    "\"$dynamicAnchor\":{\"$ref\":\"#/$defs/anchorString\"},"
    "\"$vocabulary\":{\"type\":\"object\",\"propertyNames\":{\"$ref\":\"#/$defs/uriString\"},"
    "\"additionalProperties\":{\"type\":\"boolean\"}},"
    "\"$comment\":" STRING ",\"$defs\":{\"type\":\"object\",\"additionalProperties\":" DEEPER "}},"
    "\"$defs\":{\"anchorString\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z_][-A-Za-z0-9._]*$\"},"
    "\"uriString\":{\"type\":\"string\",\"format\":\"uri\"},"
    "\"uriReferenceString\":{\"type\":\"string\",\"format\":\"uri-reference\"}}}";

static const char APPLICATOR[] = HEAD("meta/applicator") VOCAB("applicator") SHAPE
    "\"prefixItems\":" SCHEMAS ",\"items\":" DEEPER ",\"contains\":" DEEPER ","
    "\"additionalProperties\":" DEEPER ",\"properties\":" MAP ",\"patternProperties\":"
    "{\"type\":\"object\",\"additionalProperties\":" DEEPER
    ",\"propertyNames\":{\"format\":\"regex\"},\"default\":{}},"
    "\"dependentSchemas\":" MAP ",\"propertyNames\":" DEEPER ",\"if\":" DEEPER ",\"then\":" DEEPER
    ",\"else\":" DEEPER ",\"allOf\":" SCHEMAS ",\"anyOf\":" SCHEMAS ",\"oneOf\":" SCHEMAS
    ",\"not\":" DEEPER "},"
    "\"$defs\":{\"schemaArray\":{\"type\":\"array\",\"minItems\":1,\"items\":" DEEPER "}}}";

static const char UNEVALUATED[] = HEAD("meta/unevaluated") VOCAB("unevaluated") SHAPE
    "\"unevaluatedItems\":" DEEPER ",\"unevaluatedProperties\":" DEEPER "}}";

static const char VALIDATION[] = HEAD("meta/validation") VOCAB("validation") SHAPE
    "\"type\":{\"anyOf\":[{\"$ref\":\"#/$defs/simpleTypes\"},{\"type\":\"array\",\"items\":"
    "{\"$ref\":\"#/$defs/simpleTypes\"},\"minItems\":1,\"uniqueItems\":true}]},"
    "\"const\":true,\"enum\":{\"type\":\"array\",\"items\":true},"
    "\"multipleOf\":{\"type\":\"number\",\"exclusiveMinimum\":0},"
    "\"maximum\":" NUMBER ",\"exclusiveMaximum\":" NUMBER ",\"minimum\":" NUMBER
    ",\"exclusiveMinimum\":" NUMBER ",\"maxLength\":" COUNT ",\"minLength\":" COUNT_0
    ",\"pattern\":{\"type\":\"string\",\"format\":\"regex\"},"
    "\"maxItems\":" COUNT ",\"minItems\":" COUNT_0 ",\"uniqueItems\":" FLAG
    ",\"maxContains\":" COUNT
    ",\"minContains\":{\"$ref\":\"#/$defs/nonNegativeInteger\",\"default\":1},"
    "\"maxProperties\":" COUNT ",\"minProperties\":" COUNT_0 ",\"required\":" STRINGS
    ",\"dependentRequired\":{\"type\":\"object\",\"additionalProperties\":" STRINGS "}},"
    "\"$defs\":{\"nonNegativeInteger\":{\"type\":\"integer\",\"minimum\":0},"
    "\"nonNegativeIntegerDefault0\":{\"$ref\":\"#/$defs/nonNegativeInteger\",\"default\":0},"
    "\"simpleTypes\":{\"enum\":[\"array\",\"boolean\",\"integer\",\"null\",\"number\",\"object\","
    "\"string\"]},\"stringArray\":{\"type\":\"array\",\"items\":" STRING
    ",\"uniqueItems\":true,\"default\":[]}}}";

static const char META_DATA[] = HEAD("meta/meta-data") VOCAB("meta-data") SHAPE
    "\"title\":" STRING ",\"description\":" STRING ",\"default\":true,\"deprecated\":" FLAG
    ",\"readOnly\":" FLAG ",\"writeOnly\":" FLAG
    ",\"examples\":{\"type\":\"array\",\"items\":true}}}";

static const char FORMAT_ANNOTATION[] =
    HEAD("meta/format-annotation") VOCAB("format-annotation") SHAPE "\"format\":" STRING "}}";

static const char FORMAT_ASSERTION[] =
    HEAD("meta/format-assertion") VOCAB("format-assertion") SHAPE "\"format\":" STRING "}}";

static const char CONTENT[] = HEAD("meta/content") VOCAB("content") SHAPE
    "\"contentEncoding\":" STRING ",\"contentMediaType\":" STRING ",\"contentSchema\":" DEEPER "}}";

sp_str sch_metaschema(sp_str uri) {
    static const struct {
        const char *name;
        const char *text;
    } DOCUMENTS[] = {
        {BASE "schema", SCHEMA},
        {BASE "meta/core", CORE},
        {BASE "meta/applicator", APPLICATOR},
        {BASE "meta/unevaluated", UNEVALUATED},
        {BASE "meta/validation", VALIDATION},
        {BASE "meta/meta-data", META_DATA},
        {BASE "meta/format-annotation", FORMAT_ANNOTATION},
        {BASE "meta/format-assertion", FORMAT_ASSERTION},
        {BASE "meta/content", CONTENT},
    };
    for (size_t i = 0; i < sizeof(DOCUMENTS) / sizeof(DOCUMENTS[0]); i++) {
        if (sp_str_eq(uri, sp_str_from(DOCUMENTS[i].name))) {
            return sp_str_from(DOCUMENTS[i].text);
        }
    }
    return sp_str_of(NULL, 0);
}
