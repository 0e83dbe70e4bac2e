#include "flow/proposal.h"

#include "base/time.h"
#include "flow/members.h"

/* Ten years: what is longer is a mistake, and would overflow sums of times. */
#define DURATION_US_MAX UINT64_C(315360000000000)

uint32_t sp_proposal_texts(sp_str text, size_t bytes_max, sp_str *ret_texts, uint32_t max,
                           struct sp_buf *scratch) {
    struct sp_json json;
    uint32_t count = 0;
    sp_json_init(&json, text);
    if (sp_json_next(&json).type != SP_JSON_ARRAY || sp_buf_reserve(scratch, text.len) == NULL) {
        return UINT32_MAX;
    }
    struct sp_json_token token = sp_json_next(&json);
    for (; token.type == SP_JSON_STRING && count < max; token = sp_json_next(&json)) {
        size_t before = scratch->len;
        sp_json_unescape(scratch, token.raw);
        size_t len = scratch->len - before;
        if (len == 0 || len > bytes_max) {
            return UINT32_MAX;
        }
        ret_texts[count++] = sp_str_of(scratch->data + before, len);
    }
    return token.type == SP_JSON_ARRAY_END ? count : UINT32_MAX;
}

/* Cut at the end of a character. */
static sp_str cut(sp_str text, size_t max) {
    if (text.len > max) {
        text.len = max;
        while (text.len > 0 && ((uint8_t)text.ptr[text.len] & 0xc0) == 0x80) {
            text.len--;
        }
    }
    return text;
}

/* A list that may be absent. NULL, or what is wrong. */
static const char *read_list(const struct sp_member *member, size_t bytes_max, uint32_t max,
                             bool wants_granting, struct sp_buf *scratch, sp_str *ret_json) {
    sp_str texts[SP_APPROVAL_WHO_MAX];
    sp_require(max <= SP_APPROVAL_WHO_MAX);
    if (member->type == SP_TYPE_MISSING || member->type == SP_TYPE_NULL) {
        return NULL;
    }
    size_t before = scratch->len;
    uint32_t count = sp_proposal_texts(member->json, bytes_max, texts, max, scratch);
    bool grants = false;
    for (uint32_t i = 0; count != UINT32_MAX && i < count; i++) {
        grants = grants || sp_approval_grants(texts[i]);
    }
    scratch->len = before;
    if (count == UINT32_MAX) {
        return "is no list of texts, or has too many, or too long ones";
    }
    if (wants_granting && !grants) {
        return "has nothing but reject";
    }
    *ret_json = member->json;
    return NULL;
}

static bool read_duration(const struct sp_member *member, uint64_t *ret_us) {
    if (member->type == SP_TYPE_TEXT) {
        return sp_duration_parse(member->text, ret_us, NULL) == SP_OK && *ret_us <= DURATION_US_MAX;
    }
    double seconds = member->type == SP_TYPE_NUMBER ? sp_json_number(member->json) : -1;
    if (!(seconds >= 0 && seconds * 1e6 <= (double)DURATION_US_MAX)) {
        return false;
    }
    *ret_us = (uint64_t)(seconds * 1e6 + 0.5);
    return true;
}

/* A moment given as such or as a time from now on; 0 where neither is. False: unreadable. */
static bool read_moment(const struct sp_member *at, const struct sp_member *after, uint64_t from_us,
                        uint64_t *ret_us) {
    bool has_at = at->type != SP_TYPE_MISSING && at->type != SP_TYPE_NULL;
    bool has_after = after->type != SP_TYPE_MISSING && after->type != SP_TYPE_NULL;
    uint64_t us = 0;
    if (!has_at && !has_after) {
        return true;
    }
    if (has_at) {
        *ret_us = 0;
        return !has_after && at->type == SP_TYPE_TEXT &&
               sp_time_parse(at->text, true, ret_us, NULL) == SP_OK && *ret_us > 0;
    }
    if (!read_duration(after, &us)) {
        return false;
    }
    *ret_us = from_us + us < SP_TIME_US_MAX ? from_us + us : SP_TIME_US_MAX;
    return true;
}

static const char *read_end(const struct sp_member *member, enum sp_proposal_end *ret_end) {
    static const char *const words[] = {"expire", "reject", "approve"};
    if (member->type == SP_TYPE_MISSING || member->type == SP_TYPE_NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < 3; i++) {
        if (sp_str_eq(sp_member_text(member), sp_str_from(words[i]))) {
            *ret_end = (enum sp_proposal_end)i;
            return NULL;
        }
    }
    return "`on_timeout` is none of expire, reject, approve";
}

static const char *read_escalation(const struct sp_member *member, uint64_t from_us,
                                   struct sp_buf *scratch, struct sp_proposal *proposal,
                                   sp_status *ret_status) {
    enum { AT, AFTER, TO, COUNT };
    struct sp_member members[COUNT] = {
        [AT] = {.name = "at"}, [AFTER] = {.name = "after"}, [TO] = {.name = "to"}};
    if (member->type == SP_TYPE_MISSING || member->type == SP_TYPE_NULL) {
        return NULL;
    }
    if (member->type != SP_TYPE_OBJECT) {
        return "`escalate` is no object {after, to}";
    }
    *ret_status = sp_members_read(member->json, members, COUNT, scratch);
    if (!read_moment(&members[AT], &members[AFTER], from_us, &proposal->escalate_us) ||
        proposal->escalate_us == 0) {
        return "`escalate` needs a time: `after`, a duration, or `at`";
    }
    const char *wrong = read_list(&members[TO], SP_PROPOSAL_ID_BYTES_MAX, SP_APPROVAL_WHO_MAX,
                                  false, scratch, &proposal->escalate_to);
    return wrong != NULL ? "`escalate.to` is no list of ids" : NULL;
}

sp_status sp_proposal_read(const struct sp_event *event, struct sp_buf *scratch,
                           struct sp_buf *scratch_nested, struct sp_proposal *ret_proposal) {
    enum { PROMPT, ACTION, CHOICES, WHO, DEADLINE, TIMEOUT, END, ESCALATE, ACTION_ID, COUNT };
    struct sp_member m[COUNT] = {
        [PROMPT] = {.name = "prompt"},       [ACTION] = {.name = "action"},
        [CHOICES] = {.name = "choices"},     [WHO] = {.name = "who"},
        [DEADLINE] = {.name = "deadline"},   [TIMEOUT] = {.name = "timeout"},
        [END] = {.name = "on_timeout"},      [ESCALATE] = {.name = "escalate"},
        [ACTION_ID] = {.name = "action_id"},
    };
    sp_status status = SP_OK;
    sp_buf_reset(scratch);
    sp_buf_reset(scratch_nested);
    *ret_proposal = (struct sp_proposal){.wrong = NULL};
    status = sp_members_of(event, m, COUNT, scratch);
    if (status != SP_OK) {
        return status;
    }
    struct sp_proposal *p = ret_proposal;
    const struct sp_member *prompt = m[PROMPT].type == SP_TYPE_TEXT ? &m[PROMPT] : &m[ACTION];
    p->prompt = cut(prompt->text, SP_PROPOSAL_PROMPT_BYTES_MAX);
    if (m[ACTION_ID].type == SP_TYPE_TEXT || m[ACTION_ID].type == SP_TYPE_NUMBER) {
        p->action_id = m[ACTION_ID].text;
    }
    if (p->action_id.len > SP_PROPOSAL_ID_BYTES_MAX) {
        p->wrong = "`action_id` is too long";
    } else if (read_list(&m[CHOICES], SP_APPROVAL_CHOICE_BYTES_MAX, SP_APPROVAL_CHOICES_MAX, true,
                         scratch_nested, &p->choices) != NULL) {
        p->wrong = "`choices` is no list of texts with one that is not reject";
    } else if (read_list(&m[WHO], SP_PROPOSAL_ID_BYTES_MAX, SP_APPROVAL_WHO_MAX, false,
                         scratch_nested, &p->who) != NULL) {
        p->wrong = "`who` is no list of ids";
    } else if (!read_moment(&m[DEADLINE], &m[TIMEOUT], event->recorded_us, &p->deadline_us)) {
        p->wrong = "one of `deadline`, a time, and `timeout`, a duration, was expected";
    } else {
        p->wrong = read_end(&m[END], &p->on_timeout);
        if (p->wrong == NULL) {
            p->wrong =
                read_escalation(&m[ESCALATE], event->recorded_us, scratch_nested, p, &status);
        }
    }
    return status == SP_OK ? scratch_nested->status : status;
}
