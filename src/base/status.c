#include "base/status.h"

const char *sp_status_text(sp_status status) {
    switch (status) {
#define SP_STATUS_TEXT_(code, number, class, name, text)                                           \
    case SP_##code:                                                                                \
        return text;
        SP_STATUS_TABLE(SP_STATUS_TEXT_)
#undef SP_STATUS_TEXT_
    }
    return "unknown status";
}

const char *sp_status_name(sp_status status) {
    switch (status) {
#define SP_STATUS_NAME_(code, number, class, name, text)                                           \
    case SP_##code:                                                                                \
        return name;
        SP_STATUS_TABLE(SP_STATUS_NAME_)
#undef SP_STATUS_NAME_
    }
    return "unknown";
}
