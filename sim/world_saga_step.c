/* What people, workers and clocks do to sagas, one thing at a time. */
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "flow/flow.h"
#include "flow/saga.h"
#include "sim/world_saga_int.h"

enum { SECOND_US = 1000000, DOC_BYTES_MAX = 1 << 18 };

/* An error needs a reason. */
static bool judge(struct saga_system *sys, const char *what, sp_status status,
                  const struct sp_error *error) {
    if (status == SP_OK) {
        return true;
    }
    sim_note(sys->world, "%s: %s", what, sp_status_name(status));
    bool fatal = status != SP_BUSY && status != SP_NO_SPACE;
    if (fatal && !sim_excused(sys->world)) {
        sim_wrong(sys->world, "%s: %s (%s)", what, error->text, sp_status_name(status));
    }
    return false;
}

/* ---- mail ---------------------------------------------------------------------------------- */

struct saga_mail *saga_post(struct saga_system *sys, uint64_t after_us, const char *type) {
    if (sys->mail_count == SAGA_MAIL_MAX) {
        sim_wrong(sys->world, "more mail than a story has room for");
        return &sys->mail[0];
    }
    struct saga_mail *mail = &sys->mail[sys->mail_count];
    *mail = (struct saga_mail){.at_us = saga_now_us(sys) + after_us, .number = sys->mail_count++};
    (void)snprintf(mail->type, sizeof(mail->type), "%s", type);
    (void)snprintf(mail->data, sizeof(mail->data), "{}");
    return mail;
}

static void send_one(struct saga_system *sys, struct saga_mail *mail) {
    char id[24];
    char due[SP_TIME_TEXT_SIZE];
    struct sp_error error;
    struct sp_engine_result result;
    (void)snprintf(id, sizeof(id), "m%u", mail->number);
    struct sp_event event = {.has_data = true, .data_is_json = true};
    event.data = sp_str_from(mail->data);
    event.attr[SP_ATTR_TYPE] = sp_str_from(mail->type);
    event.attr[SP_ATTR_SOURCE] = SP_STR("outside");
    event.attr[SP_ATTR_ID] = sp_str_from(id);
    if (mail->cause[0] != '\0') {
        event.attr[SP_ATTR_CAUSATION] = sp_str_from(mail->cause);
    }
    if (mail->deliver_us != 0) {
        sp_time_format(mail->deliver_us, due);
        event.extensions[event.extension_count++] =
            (struct sp_extension){.name = SP_STR("deliverat"), .value = sp_str_from(due)};
    }
    struct sp_engine_append append = {.events = &event, .count = 1, .results = &result};
    sp_status status = sp_engine_submit(sys->engine, &append, &error);
    if (judge(sys, "sending", status, &error)) {
        mail->position = result.position;
        /* Known from before, or kept for later: durable with what it refers to. */
        mail->is_done = result.position <= sys->seen;
        sim_note(sys->world, "sent %s %s as %llu", id, mail->type,
                 (unsigned long long)result.position);
    }
}

void saga_send(struct saga_system *sys) {
    uint32_t count = sys->mail_count;
    for (uint32_t i = sys->mail_done; i < count && !sys->world->wrong; i++) {
        struct saga_mail *mail = &sys->mail[i];
        if (!mail->is_done && mail->position == 0 && mail->at_us <= saga_now_us(sys)) {
            send_one(sys, mail);
        }
    }
}

uint64_t saga_next_mail_us(const struct saga_system *sys) {
    uint64_t next_us = UINT64_MAX;
    for (uint32_t i = sys->mail_done; i < sys->mail_count; i++) {
        const struct saga_mail *mail = &sys->mail[i];
        if (!mail->is_done && mail->position == 0 && mail->at_us < next_us) {
            next_us = mail->at_us;
        }
    }
    return next_us;
}

/* ---- workers and people -------------------------------------------------------------------- */

static void answer(struct saga_system *sys, const struct sp_event *command, uint64_t after_us,
                   bool good, const char *data) {
    char type[48];
    (void)snprintf(type, sizeof(type), "%.*s.%s", SP_STR_ARG(command->attr[SP_ATTR_TYPE]),
                   good ? "completed" : "failed");
    struct saga_mail *mail = saga_post(sys, after_us, type);
    (void)snprintf(mail->cause, sizeof(mail->cause), "%.*s", SP_STR_ARG(command->attr[SP_ATTR_ID]));
    (void)snprintf(mail->data, sizeof(mail->data), "%s", data);
}

static void work(struct saga_system *sys, const struct sp_event *command) {
    uint32_t what = sys->peaceful ? 0 : sim_pick(sys->world, 100);
    uint64_t soon_us = sys->peaceful ? 0 : (uint64_t)sim_pick(sys->world, 4 * SECOND_US);
    if (what < 60) {
        answer(sys, command, soon_us, true, "{}");
    } else if (what < 70) {
        answer(sys, command, soon_us, false, "{\"error\":\"it went wrong\"}");
    } else if (what < 78) {
        answer(sys, command, soon_us, false, "{\"error\":\"never\",\"retryable\":false}");
    } else if (what < 84) {
        answer(sys, command, 8 * SECOND_US + soon_us, true, "{\"late\":true}");
    } else if (what < 90) {
        answer(sys, command, soon_us, true, "{}");
        answer(sys, command, soon_us / 2, sim_chance(sys->world, 50), "{\"error\":\"both\"}");
    } else if (what < 93) {
        answer(sys, command, soon_us, false, "7");
    } /* else its worker is lost */
}

static void decide(struct saga_system *sys, const struct sp_event *proposal) {
    uint32_t count = sys->peaceful ? 1 : sim_pick(sys->world, 3);
    for (uint32_t i = 0; i < count; i++) {
        bool yes = sys->peaceful || sim_chance(sys->world, 60);
        uint64_t after_us = sys->peaceful ? 0 : sim_pick(sys->world, 25 * SECOND_US);
        struct saga_mail *mail =
            saga_post(sys, after_us, yes ? "action.approved" : "action.vetoed");
        (void)snprintf(mail->cause, sizeof(mail->cause), "%.*s",
                       SP_STR_ARG(proposal->attr[SP_ATTR_ID]));
    }
}

void saga_react(struct saga_system *sys, const struct sp_event *event) {
    sp_str type = event->attr[SP_ATTR_TYPE];
    if (!sp_str_starts_with(event->attr[SP_ATTR_STREAM], SP_STR("saga:"))) {
        return;
    }
    if (sp_str_eq(type, SP_STR("action.proposed"))) {
        decide(sys, event);
    } else if (sp_str_starts_with(type, SP_STR("do.")) ||
               sp_str_starts_with(type, SP_STR("undo."))) {
        work(sys, event);
    }
}

static void request(struct saga_system *sys, enum sp_engine_saga_ask ask, const char *id,
                    const char *step) {
    struct sp_error error;
    uint64_t position;
    struct sp_engine_saga_request asked = {.ask = ask,
                                           .sagaid = sp_str_from(id),
                                           .step = sp_str_from(step),
                                           .by = SP_STR("ann"),
                                           .why = SP_STR("why not")};
    sp_status status = sp_engine_saga_request(sys->engine, &asked, &position, &error);
    sim_note(sys->world, "asked %d of %s %s: %s", (int)ask, id, step, sp_status_name(status));
    /* What people saw may be over by now. */
    if (status != SP_CONFLICT && status != SP_NOT_FOUND) {
        (void)judge(sys, "a request", status, &error);
    }
}

void saga_help(struct saga_system *sys) {
    static const enum sp_engine_saga_ask ASKS[] = {SP_ENGINE_SAGA_RETRY, SP_ENGINE_SAGA_SKIP,
                                                   SP_ENGINE_SAGA_MARK_DONE};
    for (uint32_t i = 0; i < sys->saga_count && !sys->world->wrong; i++) {
        const struct saga_model *model = sys->models[i];
        for (int k = 1; k < model->plan->count && saga_model_is_stuck(model); k++) {
            if (model->states[k].forward == SAGA_STUCK ||
                model->states[k].undo == SAGA_UNDO_STUCK) {
                request(sys,
                        sys->peaceful ? SP_ENGINE_SAGA_MARK_DONE : ASKS[sim_pick(sys->world, 3)],
                        model->id, model->plan->steps[k].path);
                break;
            }
        }
    }
}

static void cancel(struct saga_system *sys) {
    if (sys->saga_count > 0) {
        request(sys, SP_ENGINE_SAGA_CANCEL, sys->models[sim_pick(sys->world, sys->saga_count)]->id,
                "");
    }
}

/* ---- definitions and starts ---------------------------------------------------------------- */

static bool define(struct saga_system *sys, enum sp_flow_defines kind, sp_str text) {
    struct sp_error error;
    struct sp_doc doc;
    static struct sp_doc_problems problems;
    struct sp_engine_defined defined;
    sp_doc_init(&doc);
    sp_doc_problems_init(&problems);
    sp_status status = sp_doc_parse_json(&doc, text, &error);
    if (status == SP_OK) {
        status = sp_engine_flow_define(sys->engine, kind, &doc, SP_STR("ann"), &problems, &defined,
                                       &error);
    }
    sp_doc_fini(&doc);
    return judge(sys, "a definition", status, &error);
}

static void define_all(struct saga_system *sys) {
    struct sp_buf text;
    sp_buf_init(&text, DOC_BYTES_MAX);
    for (int i = 0; i < SAGA_PLANS && !sys->world->wrong; i++) {
        struct sp_saga_definition_info info;
        if (sp_sagas_definition(sp_flow_sagas(sp_engine_flow(sys->engine)),
                                sp_str_from(sys->plans[i].name), &info)) {
            continue;
        }
        sp_buf_reset(&text);
        saga_plan_write(&sys->plans[i], &text);
        (void)define(sys, SP_FLOW_DEFINES_SAGA, sp_buf_str(&text));
    }
    sp_buf_fini(&text);
    (void)define(sys, SP_FLOW_DEFINES_JOIN,
                 SP_STR("{\"join\":\"both\",\"of\":[\"j.a\",\"j.b\"],\"need\":\"all\",\"key\":"
                        "\"data.k\",\"window\":\"7d\",\"emit\":{\"type\":\"joined\",\"data\":"
                        "\"{k: .key}\"}}"));
    (void)define(sys, SP_FLOW_DEFINES_SCHEDULE,
                 SP_STR("{\"schedule\":\"pulse\",\"every\":\"10s\",\"emit\":{\"type\":\"tick\"}}"));
}

static void start(struct saga_system *sys) {
    struct saga_plan *plan = &sys->plans[sim_pick(sys->world, SAGA_PLANS)];
    if (sys->starts + 4 >= SAGA_SAGAS_MAX) {
        return;
    }
    struct sp_buf data;
    sp_buf_init(&data, DOC_BYTES_MAX);
    saga_plan_write_data(plan, &data);
    char key[24];
    (void)snprintf(key, sizeof(key), "k%u",
                   sim_chance(sys->world, 80) ? sys->starts : sys->starts / 2);
    struct sp_error error;
    struct sp_engine_saga_started started;
    struct sp_engine_saga_start asked = {
        .name = sp_str_from(plan->name), .data = sp_buf_str(&data), .key = sp_str_from(key)};
    sp_status status = sp_engine_saga_start(sys->engine, &asked, &started, &error);
    sp_buf_fini(&data);
    if (status != SP_NOT_FOUND && judge(sys, "a start", status, &error)) {
        sys->starts++;
        sim_note(sys->world, "started %s by %s: %s, %d", plan->name, key, started.sagaid,
                 started.duplicate);
    }
}

/* ---- others -------------------------------------------------------------------------------- */

static void post_awaited(struct saga_system *sys) {
    const struct saga_plan *plan = &sys->plans[sim_pick(sys->world, SAGA_PLANS)];
    for (int i = 1; i < plan->count; i++) {
        if (plan->steps[i].kind == SAGA_AWAIT && sim_chance(sys->world, 50)) {
            char type[48];
            (void)snprintf(type, sizeof(type), "event.%s", plan->steps[i].name);
            (void)saga_post(sys, sim_pick(sys->world, 10 * SECOND_US), type);
        }
    }
}

static void post_joined(struct saga_system *sys) {
    struct saga_mail *mail = saga_post(sys, 0, sim_chance(sys->world, 50) ? "j.a" : "j.b");
    (void)snprintf(mail->data, sizeof(mail->data), "{\"k\":\"%u\"}",
                   sim_pick(sys->world, SAGA_JOIN_KEYS));
}

static void post_delayed(struct saga_system *sys) {
    if (sys->delayed_count == SAGA_DELAYED_MAX) {
        return;
    }
    struct saga_mail *mail = saga_post(sys, 0, "later");
    uint32_t number = sys->delayed_count++;
    mail->deliver_us = saga_now_us(sys) + 1 + sim_pick(sys->world, 60 * SECOND_US);
    sys->delayed_due_us[number] = mail->deliver_us;
    (void)snprintf(mail->data, sizeof(mail->data), "{\"n\":%u}", number);
}

/* ---- steps --------------------------------------------------------------------------------- */

void saga_turn(struct saga_system *sys) {
    (void)sp_engine_turn(sys->engine, 0);
    if (saga_alive(sys)) {
        saga_look(sys);
        saga_check_rest(sys);
    }
}

bool saga_step_once(struct saga_system *sys) {
    uint32_t what = sim_pick(sys->world, 100);
    if (what < 5) {
        define_all(sys);
    } else if (what < 13) {
        start(sys);
    } else if (what < 40) {
        saga_send(sys);
    } else if (what < 70) {
        saga_turn(sys);
    } else if (what < 84) {
        uint64_t most_us = sim_chance(sys->world, 80) ? 2 * SECOND_US : 20 * SECOND_US;
        sim_clock_advance_ns(&sys->world->clock,
                             (uint64_t)sim_pick(sys->world, (uint32_t)most_us) * 1000);
    } else if (what < 86) {
        cancel(sys);
    } else if (what < 90) {
        saga_help(sys);
    } else if (what < 93) {
        post_awaited(sys);
    } else if (what < 97) {
        post_joined(sys);
    } else {
        post_delayed(sys);
    }
    return saga_alive(sys);
}
