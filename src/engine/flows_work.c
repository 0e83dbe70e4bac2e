/* The works of a turn: taken, asked, run, acted. See flows_int.h. */
#include "engine/flows_int.h"

/* What the program of an item is to see. False where nothing is left to be done. */
static bool ask(struct engine_flows *flows, struct flow_item *item) {
    struct sp_error error;
    sp_error_clear(&error);
    item->ask_offset = flows->asks.len;
    sp_status status = sp_flow_ask(flows->flow, &item->work, &flows->ports, &flows->asks, &error);
    if (status == SP_OK && flows->asks.status != SP_OK) {
        status = sp_error_set(&error, flows->asks.status, "what a program is to see: %s",
                              sp_status_text(flows->asks.status));
        flows->asks.status = SP_OK;
    }
    item->ask_len = flows->asks.len - item->ask_offset;
    if (status == SP_NOT_FOUND) {
        return false;
    }
    status =
        status == SP_OK ? flows_program(flows, item->work.program, &item->program, &error) : status;
    if (status != SP_OK) {
        item->status = status;
        item->answer_offset = flows->answers.len;
        item->answer_len = strlen(error.text);
        sp_buf_add(&flows->answers, error.text, item->answer_len);
        if (flows->answers.status != SP_OK) {
            flows->answers.status = SP_OK;
            item->answer_len = 0;
        }
        item->again = status == SP_IO && flows->pauses < FLOWS_PAUSES_MAX;
    }
    return true;
}

/* Takes what is due, and asks for those that have a program. Returns how many. */
static uint32_t take(struct engine_flows *flows, uint64_t now_us, uint32_t most) {
    uint32_t count = 0;
    sp_buf_reset(&flows->asks);
    sp_buf_reset(&flows->answers);
    while (count < most && flows->asks.len < FLOWS_ASKS_BYTES_MAX / 2) {
        struct flow_item *item = &flows->items[count];
        *item = (struct flow_item){.status = SP_OK};
        if (!sp_flow_next(flows->flow, now_us, &item->work)) {
            break;
        }
        item->over = item->work.program.len > 0 && !ask(flows, item);
        flows->stats.lost += item->over;
        count++;
    }
    return count;
}

static bool is_for_good(sp_status status) {
    return status == SP_LIMIT || status == SP_INVALID || status == SP_CONFLICT ||
           status == SP_DENIED || status == SP_END;
}

/* The events of its act were refused for good: it is told, and may say so. */
static sp_status act_again(struct engine_flows *flows, const struct flow_item *item,
                           sp_status refused, struct sp_error *error) {
    const struct sp_error why = *error;
    struct sp_flow_now now;
    sp_error_clear(error);
    engine_flows_now(flows, &now);
    now.answer = (struct sp_flow_answer){
        .status = refused,
        .refused = true,
        .error = sp_str_from(why.text),
        .position = refused == SP_CONFLICT ? flows->results[flows->out.count - 1].position : 0,
    };
    sp_flow_out_reset(&flows->out);
    sp_status status = sp_flow_act(flows->flow, &item->work, &now, &flows->out, error);
    return status == SP_OK ? engine_flows_append(flows, error) : status;
}

/* SP_OK also where nothing is left to be done; SP_BUSY and so on: for now. */
static sp_status act(struct engine_flows *flows, const struct flow_item *item) {
    struct sp_error error;
    struct sp_flow_now now;
    sp_error_clear(&error);
    engine_flows_now(flows, &now);
    sp_str text = sp_str_of(flows->answers.data + item->answer_offset, item->answer_len);
    now.answer.status = item->status;
    now.answer.value = item->status == SP_OK ? text : SP_STR("");
    now.answer.error = item->status == SP_OK ? SP_STR("") : text;
    sp_flow_out_reset(&flows->out);
    sp_status status = sp_flow_act(flows->flow, &item->work, &now, &flows->out, &error);
    if (status == SP_NOT_FOUND) {
        flows->stats.lost++;
        return SP_OK;
    }
    status = status == SP_OK ? engine_flows_append(flows, &error) : status;
    if (is_for_good(status)) {
        status = act_again(flows, item, status, &error);
    }
    if (status == SP_OK) {
        flows->stats.works++;
        flows->stats.events += flows->out.count;
    } else if (status == SP_NOT_FOUND) {
        flows->stats.lost++;
    } else if (is_for_good(status) || status == SP_CORRUPT) {
        flows->stats.failed++;
    } else {
        return status;
    }
    return SP_OK;
}

static void give_back(struct engine_flows *flows, const struct flow_item *item) {
    sp_flow_back(flows->flow, &item->work);
    flows->stats.postponed++;
}

/* Lets the items act, in order. False where the log takes no more for now. */
static bool act_all(struct engine_flows *flows, uint32_t count) {
    sp_status status = SP_OK;
    bool paused = false;
    for (uint32_t i = 0; i < count; i++) {
        struct flow_item *item = &flows->items[i];
        paused |= !item->over && item->again;
        if (!item->over && (status != SP_OK || item->again)) {
            give_back(flows, item);
        } else if (!item->over) {
            status = act(flows, item);
            if (status != SP_OK) {
                give_back(flows, item);
            }
        }
    }
    flows->pauses = paused ? flows->pauses + 1 : 0;
    if (paused) {
        const struct sp_clock *clock = &flows->engine->options.clock;
        flows->pause_until_us = clock->wall_us(clock->context) + FLOWS_PAUSE_US;
    }
    return status == SP_OK && !paused;
}

static bool can_work(const struct sp_engine *engine) {
    const struct engine_flows *flows = engine->flows;
    return flows->on && !flows->barred && !flows->working && !engine->held && !engine->closing &&
           engine->state == SP_OK && !engine->recovering;
}

static void work(struct sp_engine *engine) {
    struct engine_flows *flows = engine->flows;
    const struct sp_clock *clock = &engine->options.clock;
    uint64_t until_ns = clock->monotonic_ns(clock->context) + (uint64_t)FLOWS_TURN_US * 1000;
    uint32_t done = 0;
    uint32_t count;
    bool goes_on = true;
    while (goes_on && done < FLOWS_TURN_WORKS && engine->state == SP_OK &&
           (count = take(flows, flows->now_us, FLOWS_BATCH)) > 0) {
        flows_run_programs(flows, count);
        goes_on = act_all(flows, count) && clock->monotonic_ns(clock->context) < until_ns;
        done += count;
        flows->now_us = clock->wall_us(clock->context);
    }
    if (done == 0) { /* what seemed due was not: nobody is to ask for it all the time */
        flows->idle_until_us = flows->now_us + FLOWS_IDLE_US;
    }
}

void engine_flows_work(struct sp_engine *engine) {
    struct engine_flows *flows = engine->flows;
    if (!can_work(engine)) {
        return;
    }
    uint64_t due_us = sp_engine_flows_due_us(engine);
    if (due_us == UINT64_MAX) {
        return;
    }
    const struct sp_clock *clock = &engine->options.clock;
    uint64_t now_us = clock->wall_us(clock->context);
    if (due_us > now_us || !engine_flows_have_room(engine)) {
        return;
    }
    flows->stats.late_us = due_us == 0 ? flows->stats.late_us : now_us - due_us;
    flows->pause_until_us = 0;
    flows->working = true;
    flows->now_us = now_us;
    work(engine);
    flows->working = false;
}
