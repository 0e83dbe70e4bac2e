/*
 * spoor_verify: the log's verification with what the engine knows of events on top.
 */
#include <spoor.h>
#include <stdio.h>

#include "api/api_int.h"
#include "engine/verify_events.h"

struct verification {
    spoor_verify_fn *report;
    void *report_context;
    bool cancelled;
    uint64_t findings; /* about events; the log counts its own */
    struct sp_error first;
    struct verify_events events;
};

/* One line to the caller. False where that ends the verification. */
static bool tell(struct verification *v, const spoor_verify_report *report) {
    if (!v->cancelled && v->report != NULL && v->report(v->report_context, report) != 0) {
        v->cancelled = true;
    }
    return !v->cancelled;
}

/* The first finding is what the error will say. */
static void keep_first(struct verification *v, const spoor_verify_report *report) {
    if (v->first.status == SP_OK) {
        (void)sp_error_set_at(&v->first, SP_CORRUPT, report->offset, "%s%s%s",
                              report->file != NULL ? report->file : "",
                              report->file != NULL ? ": " : "", report->text);
    }
}

static bool hear_finding(void *context, const struct sp_verify_finding *finding) {
    static const char *const levels[] = {
        [SP_VERIFY_NOTICE] = "notice",
        [SP_VERIFY_DAMAGE] = "damage",
        [SP_VERIFY_ALTERATION] = "alteration",
    };
    struct verification *v = context;
    char text[300];
    (void)snprintf(text, sizeof(text), "%s: %s", levels[finding->level], finding->text);
    spoor_verify_report report = {
        .size = sizeof(report),
        .kind = finding->level == SP_VERIFY_NOTICE ? SPOOR_VERIFY_NOTICE : SPOOR_VERIFY_FINDING,
        .first_position = finding->first_position,
        .last_position = finding->last_position,
        .file = finding->file,
        .offset = finding->offset,
        .text = text,
    };
    if (report.kind == SPOOR_VERIFY_FINDING) {
        keep_first(v, &report);
    }
    return tell(v, &report);
}

/* What is wrong among events whose bytes are in order: whoever wrote them was not spoor. */
static void hear_events(void *context, uint64_t first, uint64_t last, const char *file,
                        uint64_t offset, const char *text) {
    struct verification *v = context;
    spoor_verify_report report = {
        .size = sizeof(report),
        .kind = SPOOR_VERIFY_FINDING,
        .first_position = first,
        .last_position = last,
        .file = file,
        .offset = offset,
        .text = text,
    };
    v->findings++;
    keep_first(v, &report);
    (void)tell(v, &report);
}

static bool hear_progress(void *context, uint64_t position) {
    spoor_verify_report report = {
        .size = sizeof(report),
        .kind = SPOOR_VERIFY_PROGRESS,
        .first_position = position,
        .last_position = position,
        .text = "",
    };
    return tell(context, &report);
}

static sp_status take_record(void *context, const struct sp_record *record,
                             const struct sp_verify_place *place, struct sp_error *error) {
    struct verification *v = context;
    if (v->cancelled) {
        return SP_CANCELLED;
    }
    sp_status status = verify_events_add(&v->events, record, place);
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "verification of events");
}

static sp_status take_segment(void *context, const struct sp_verify_segment *segment,
                              struct sp_error *error) {
    struct verification *v = context;
    sp_status status = verify_events_segment(&v->events, segment);
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "verification of an index");
}

static void give_result(const struct verification *v, const struct sp_verify_result *result,
                        spoor_verified *ret_verified) {
    size_t size =
        ret_verified->size < sizeof(*ret_verified) ? ret_verified->size : sizeof(*ret_verified);
    spoor_verified verified = {
        .size = size,
        .event_count = result->event_count,
        .first_position = result->first_position,
        .last_position = result->last_position,
        .finding_count = result->finding_count + v->findings,
        .bytes = result->bytes,
    };
    memcpy(verified.tree_root, result->tree_root, sizeof(verified.tree_root));
    memcpy(ret_verified, &verified, size);
}

static sp_status run(struct verification *v, struct sp_fs *fs, spoor_verified *ret_verified,
                     struct sp_error *error) {
    struct sp_verify_options options = {
        .fs = fs,
        .context = v,
        .finding = hear_finding,
        .progress = hear_progress,
        .record = take_record,
        .segment = take_segment,
    };
    struct sp_verify_result result;
    sp_status status = verify_events_init(&v->events, hear_events, v);
    status = status == SP_OK ? sp_verify_log(&options, &result, error)
                             : sp_error_set(error, status, "verification");
    verify_events_fini(&v->events);
    if (status == SP_CANCELLED) {
        return sp_error_set(error, SP_CANCELLED, "the caller ended the verification");
    }
    if (status != SP_OK) {
        return status;
    }
    if (ret_verified != NULL) {
        give_result(v, &result, ret_verified);
    }
    if (v->cancelled) {
        return sp_error_set(error, SP_CANCELLED, "the caller ended the verification");
    }
    if (v->first.status != SP_OK) {
        *error = v->first;
    }
    return v->first.status;
}

spoor_status spoor_verify(const char *folder, spoor_verify_fn *report, void *context,
                          spoor_verified *ret_verified, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    if (folder == NULL) {
        return api_error(sp_error_set(&error, SP_INVALID, "spoor_verify: no folder"), &error,
                         ret_error);
    }
    if (sp_url_is(sp_str_from(folder))) {
        return api_error(sp_error_set(&error, SP_UNSUPPORTED,
                                      "verification reads the files of a folder: run it where "
                                      "they are, or on a copy of them"),
                         &error, ret_error);
    }
    struct sp_fs *fs = NULL;
    struct verification v = {.report = report, .report_context = context};
    sp_status status = sp_fs_posix_open(folder, false, true, &fs, &error);
    if (status == SP_OK) {
        status = run(&v, fs, ret_verified, &error);
        fs->ops->destroy(fs);
    }
    return api_error(status, &error, ret_error);
}
