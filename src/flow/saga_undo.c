/*
 * What undoes a step: its command with saga.step.compensating, in one append; and what came of it.
 */
#include "flow/saga_int.h"

static const sp_str nothing = {.ptr = NULL, .len = 0};

static void compensating(struct sp_saga_turn *turn, sp_str id, uint32_t attempt) {
    const struct sp_saga_compensation *undo = turn->node->compensation;
    uint64_t due_us = undo->timeout_us == 0 ? 0 : turn->now->now_us + undo->timeout_us;
    sp_turn_begin_step(turn, SP_STR("saga.step.compensating"), attempt, nothing);
    sp_turn_due(turn, due_us);
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    sp_json_open(to);
    sp_json_text(to, "step", turn->step);
    sp_json_text(to, "action", undo->action);
    sp_json_u64(to, "attempt", attempt);
    sp_json_text(to, "command", id);
    sp_json_time(to, "timeout_at", due_us);
    sp_json_close(to);
    sp_flow_out_data_end(turn->out);
}

/* With a time for the next attempt (0: there is none, and a person is asked). */
static sp_status failed(struct sp_saga_turn *turn, sp_str cause, sp_str error, uint64_t retry_us) {
    sp_turn_begin_step(turn, SP_STR("saga.step.compensation_failed"), turn->act->undo_attempt,
                       cause);
    sp_turn_due(turn, retry_us);
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    sp_json_open(to);
    sp_json_text(to, "step", turn->step);
    sp_json_u64(to, "attempt", turn->act->undo_attempt);
    sp_json_text(to, "error", error);
    sp_json_time(to, "retry_at", retry_us);
    sp_json_close(to);
    sp_flow_out_data_end(turn->out);
    if (retry_us == 0) {
        sp_turn_ask(turn, true, error);
    }
    return SP_OK;
}

static uint64_t retry_at(const struct sp_saga_turn *turn) {
    return sp_retry_at(&turn->node->compensation->retry,
                       turn->act->undo_attempt - turn->act->undo_base, turn->now);
}

sp_status sp_saga_act_undo(struct sp_saga_turn *turn) {
    const struct sp_flow_answer *answer = &turn->now->answer;
    const struct sp_saga_compensation *undo = turn->node->compensation;
    char room[SP_COMMAND_ID_SIZE];
    bool has_input = undo->input.len > 0;
    if (answer->refused || (has_input && answer->status != SP_OK)) {
        return failed(turn, nothing, answer->error, 0);
    }
    if (has_input && answer->value.len > SP_SAGA_DATA_BYTES_MAX) {
        return failed(turn, nothing, SP_STR("what `compensate.input` gave is too large"), 0);
    }
    uint32_t attempt = turn->act->undo_attempt + 1;
    sp_str id = sp_turn_command_id(turn, true, attempt, room);
    sp_status status = SP_OK;
    sp_turn_command(turn, undo->action, id, true, attempt);
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    if (has_input) {
        sp_buf_add_str(to, answer->value);
    } else {
        status = sp_act_write_undo_data(turn->sagas, turn->saga, turn->at, turn->now->ports, false,
                                        to, turn->error);
    }
    sp_flow_out_data_end(turn->out);
    compensating(turn, id, attempt);
    return status;
}

sp_status sp_saga_act_undo_retry(struct sp_saga_turn *turn) {
    struct sp_event before;
    char room[SP_COMMAND_ID_SIZE];
    uint32_t attempt = turn->act->undo_attempt + 1;
    if (turn->now->answer.refused) {
        return failed(turn, nothing, turn->now->answer.error, 0);
    }
    sp_status status = sp_saga_read(turn->now->ports, turn->act->undo, &before, turn->error);
    if (status != SP_OK) {
        return status;
    }
    sp_str id = sp_turn_command_id(turn, true, attempt, room);
    sp_turn_command(turn, turn->node->compensation->action, id, true, attempt);
    sp_saga_event_data(&before, sp_flow_out_data_begin(turn->out));
    sp_flow_out_data_end(turn->out);
    compensating(turn, id, attempt);
    return SP_OK;
}

sp_status sp_saga_act_undo_record(struct sp_saga_turn *turn) {
    struct sp_event answer;
    sp_status status = sp_saga_read(turn->now->ports, turn->act->undo_answer, &answer, turn->error);
    if (status != SP_OK) {
        return status;
    }
    if ((turn->act->flags & SP_ACT_IS_OK) == 0) {
        struct sp_failure failure;
        status = sp_failure_read(&answer, &turn->sagas->scratch, &failure);
        if (status != SP_OK) {
            return sp_error_set(turn->error, status, "out of memory");
        }
        return failed(turn, answer.attr[SP_ATTR_ID], failure.error,
                      failure.is_retryable ? retry_at(turn) : 0);
    }
    sp_turn_begin_step(turn, SP_STR("saga.step.compensated"), turn->act->undo_attempt,
                       answer.attr[SP_ATTR_ID]);
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    sp_json_open(to);
    sp_json_text(to, "step", turn->step);
    sp_json_u64(to, "attempt", turn->act->undo_attempt);
    if (turn->now->answer.refused) {
        sp_json_u64(to, "result_position", answer.position);
    } else {
        sp_json_result(to, &answer);
    }
    sp_json_text(to, "how", SP_STR("worker"));
    sp_json_close(to);
    sp_flow_out_data_end(turn->out);
    return SP_OK;
}

sp_status sp_saga_act_undo_time_out(struct sp_saga_turn *turn) {
    return failed(turn, nothing, SP_STR("no answer came in time"), retry_at(turn));
}
