/*
 * What an action.proposed asks for, read from its data. pure
 */
#ifndef SP_FLOW_PROPOSAL_H
#define SP_FLOW_PROPOSAL_H

#include "flow/approval.h"

enum sp_proposal_end {
    SP_PROPOSAL_EXPIRE = 0,
    SP_PROPOSAL_REJECT,
    SP_PROPOSAL_APPROVE,
};

enum { SP_PROPOSAL_PROMPT_BYTES_MAX = 256, SP_PROPOSAL_ID_BYTES_MAX = 255 };

/* Texts are borrowed from the event and the two buffers. */
struct sp_proposal {
    const char *wrong; /* why it cannot be taken; static; NULL: it can */
    sp_str action_id;
    sp_str prompt;  /* cut */
    sp_str choices; /* JSON arrays of texts; empty: none are given */
    sp_str who;
    sp_str escalate_to;
    uint64_t deadline_us; /* 0: none */
    uint64_t escalate_us; /* 0: never */
    enum sp_proposal_end on_timeout;
};

/* SP_NO_MEMORY alone. The buffers are emptied first. O(data). */
SP_WARN_UNUSED sp_status sp_proposal_read(const struct sp_event *event, struct sp_buf *scratch,
                                          struct sp_buf *scratch_nested,
                                          struct sp_proposal *ret_proposal);

/*
 * The texts of a JSON array of texts, up to `max`, resolved into `scratch`, in which room for all
 * of it is reserved. Returns how many there are, or UINT32_MAX where it is no such array, has an
 * empty text, one longer than bytes_max, or more than max.
 */
uint32_t sp_proposal_texts(sp_str json, size_t bytes_max, sp_str *ret_texts, uint32_t max,
                           struct sp_buf *scratch);

#endif
