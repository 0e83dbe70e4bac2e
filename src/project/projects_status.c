/*
 * What can be asked about projections, and waiting for them; from any thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "base/utf8.h"
#include "project/projects_int.h"

enum { US_PER_S = 1000000, US_PER_MS = 1000, NS_PER_US = 1000, MS_PER_S = 1000 };

/* ---- facts ----------------------------------------------------------------------------------- */

enum life { LIFE_WAITING, LIFE_BUILDING, LIFE_RUNNING, LIFE_FAILED, LIFE_REMOVED };

static const char *const LIFE_NAMES[] = {"waiting", "building", "running", "failed", "removed"};

/* What is to be said of one projection, as of one moment. */
struct facts {
    enum life life;
    uint64_t head;
    const struct built *built; /* that queries see; NULL: none */
    const struct runner *runner;
    uint64_t position;
    uint64_t applied;
    uint64_t lag_events;
    uint64_t lag_us;
    double rate;
};

/*
 * A build that is the first of its name is current from its beginning: it is being built until it
 * has caught up for the first time.
 */
static bool is_building(const struct facts *facts) {
    return facts->runner == NULL ? false : !facts->runner->was_caught_up;
}

static enum life life_of(const struct project *project, const struct facts *facts) {
    if (project->removed || project->definition == NULL) {
        return LIFE_REMOVED;
    }
    if (facts->built == NULL) {
        bool starts = project->current != NULL;
        return starts ? LIFE_BUILDING : project->refused ? LIFE_FAILED : LIFE_WAITING;
    }
    if (facts->built->failed) {
        return LIFE_FAILED;
    }
    return is_building(facts) ? LIFE_BUILDING : LIFE_RUNNING;
}

/* The mutex is held. */
static struct facts facts_of(struct sp_projects *projects, struct project *project) {
    struct facts facts = {.head = atomic_load(&projects->head),
                          .built = project_current(project),
                          .runner = project_visible(project)};
    uint64_t now_us = projects_now_us(projects);
    if (facts.built != NULL) {
        facts.position =
            facts.runner != NULL ? runner_position(facts.runner) : facts.built->state.position;
        facts.applied = facts.built->state.applied;
        facts.lag_events = facts.head > facts.position ? facts.head - facts.position : 0;
        facts.lag_us = facts.lag_events > 0 ? projects_lag_us(projects, facts.position) : 0;
    }
    if (facts.runner != NULL) {
        facts.rate = rate_of(&facts.runner->rate, now_us, facts.runner->position);
    }
    facts.life = life_of(project, &facts);
    return facts;
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static void add_key(struct sp_buf *to, const char *name) {
    bool first = to->len > 0 && to->data[to->len - 1] == '{';
    sp_buf_add_str(to, first ? SP_STR("\"") : SP_STR(",\""));
    sp_buf_add_str(to, sp_str_from(name));
    sp_buf_add_str(to, SP_STR("\":"));
}

static void add_text(struct sp_buf *to, const char *name, sp_str text) {
    add_key(to, name);
    if (sp_utf8_valid(text)) {
        sp_json_add_string(to, text);
    } else {
        sp_buf_add_str(to, SP_STR("null"));
    }
}

static void add_number(struct sp_buf *to, const char *name, uint64_t number) {
    add_key(to, name);
    sp_buf_add_u64(to, number);
}

static void add_fraction(struct sp_buf *to, const char *name, double number) {
    char text[48];
    add_key(to, name);
    (void)snprintf(text, sizeof(text), "%.3f", number < 1e15 ? number : 1e15);
    sp_buf_add_str(to, sp_str_from(text));
}

static void add_null(struct sp_buf *to, const char *name) {
    add_key(to, name);
    sp_buf_add_str(to, SP_STR("null"));
}

static void add_failure(struct sp_buf *to, const struct sp_build_state *state) {
    add_key(to, "error");
    sp_buf_add_byte(to, '{');
    add_number(to, "position", state->failed_position);
    add_text(to, "id", sp_str_from(state->failed_id));
    add_text(to, "text", sp_str_from(state->failed_text));
    sp_buf_add_byte(to, '}');
}

static void add_trouble(struct sp_buf *to, const struct sp_error *trouble) {
    add_key(to, "error");
    sp_buf_add_byte(to, '{');
    add_null(to, "position");
    add_null(to, "id");
    add_text(to, "text", sp_str_from(trouble->text));
    sp_buf_add_byte(to, '}');
}

/* Why it does not go on: the event, what the sink says, or nothing. */
static void add_error(struct sp_buf *to, const struct project *project, const struct facts *facts) {
    const struct runner *runner = facts->runner != NULL ? facts->runner : project->current;
    if (facts->built != NULL && facts->built->failed) {
        add_failure(to, &facts->built->state);
    } else if (facts->built == NULL && project->refused) {
        add_trouble(to, &project->refusal);
    } else if (runner != NULL && runner->trouble.status != SP_OK) {
        add_trouble(to, &runner->trouble);
    } else {
        add_null(to, "error");
    }
}

/* How far a build is that started somewhere and is to come to where the log ends now. */
static double share_of(const struct facts *facts, uint64_t position) {
    return facts->head == 0 || position >= facts->head ? 1 : (double)position / (double)facts->head;
}

static void add_run(struct sp_buf *to, const struct facts *facts, const struct runner *runner,
                    uint64_t now_us) {
    uint64_t position = runner->position;
    double rate = rate_of(&runner->rate, now_us, position);
    uint64_t left = facts->head > position ? facts->head - position : 0;
    add_fraction(to, "percent", share_of(facts, position) * 100);
    add_fraction(to, "rate", rate);
    if (rate > 0) {
        add_fraction(to, "eta_s", (double)left / rate);
    } else {
        add_null(to, "eta_s");
    }
}

/* The build beside the current one: one that runs, or one that came to nothing. */
static void add_rebuild(struct sp_projects *projects, struct sp_buf *to, struct project *project,
                        const struct facts *facts) {
    const struct runner *next =
        project->next != NULL && !project->next->is_current ? project->next : NULL;
    const struct built *built = NULL;
    for (uint32_t i = 0; i < project->build_count; i++) {
        const struct built *at = &project->builds[i];
        bool stopped = at->failed && !at->current && at->retired_us == 0 && !at->dropping;
        built = stopped ? at : built;
    }
    bool refused = project->refused && facts->built != NULL;
    if (next == NULL && built == NULL && !refused) {
        add_null(to, "rebuild");
        return;
    }
    uint64_t number = next != NULL ? next->number : built != NULL ? built->number : 0;
    uint64_t position = next != NULL ? next->position : built != NULL ? built->state.position : 0;
    add_key(to, "rebuild");
    sp_buf_add_byte(to, '{');
    if (number != 0) {
        add_number(to, "number", number);
    } else {
        add_null(to, "number");
    }
    add_number(to, "position", position);
    if (next != NULL) {
        add_run(to, facts, next, projects_now_us(projects));
    } else {
        add_fraction(to, "percent", share_of(facts, position) * 100);
        add_fraction(to, "rate", 0);
        add_null(to, "eta_s");
    }
    if (next == NULL && built != NULL) {
        add_failure(to, &built->state);
    } else if (next == NULL) {
        add_trouble(to, &project->refusal);
    } else if (next->trouble.status != SP_OK) {
        add_trouble(to, &next->trouble);
    } else {
        add_null(to, "error");
    }
    sp_buf_add_byte(to, '}');
}

static void add_hex(struct sp_buf *to, const char *name, const uint8_t *bytes, size_t len) {
    static const char DIGITS[] = "0123456789abcdef";
    add_key(to, name);
    sp_buf_add_byte(to, '"');
    for (size_t i = 0; i < len; i++) {
        sp_buf_add_byte(to, (uint8_t)DIGITS[bytes[i] >> 4]);
        sp_buf_add_byte(to, (uint8_t)DIGITS[bytes[i] & 15]);
    }
    sp_buf_add_byte(to, '"');
}

static void add_tables(struct sp_buf *to, const struct sp_definition *definition) {
    add_key(to, "tables");
    sp_buf_add_byte(to, '[');
    for (uint32_t i = 0; i < definition->table_count; i++) {
        sp_buf_add_str(to, i > 0 ? SP_STR(",") : SP_STR(""));
        sp_json_add_string(to, definition->tables[i].name);
    }
    sp_buf_add_byte(to, ']');
}

/* Queries see a build of what is to run, the newest that was asked for. */
static bool is_settled(const struct project *project, const struct facts *facts) {
    return facts->built != NULL && facts->built->number >= project->requested &&
           memcmp(facts->built->sha256, project->definition->sha256,
                  sizeof(facts->built->sha256)) == 0;
}

/* The mutex is held. */
static void add_status(struct sp_projects *projects, struct project *project, bool with_text,
                       struct sp_buf *to) {
    struct facts facts = facts_of(projects, project);
    sp_buf_add_byte(to, '{');
    add_text(to, "name", sp_str_from(project->name));
    add_number(to, "version", project->definition->version);
    add_hex(to, "sha256", project->definition->sha256, sizeof(project->definition->sha256));
    add_key(to, "shipped");
    sp_buf_add_str(to, project->is_own ? SP_STR("false") : SP_STR("true"));
    add_text(to, "state", sp_str_from(LIFE_NAMES[facts.life]));
    add_number(to, "position", facts.position);
    add_number(to, "head", facts.head);
    add_number(to, "lag_events", facts.lag_events);
    add_fraction(to, "lag_seconds", (double)facts.lag_us / US_PER_S);
    add_number(to, "applied", facts.applied);
    if (facts.runner != NULL && facts.life == LIFE_BUILDING) {
        add_run(to, &facts, facts.runner, projects_now_us(projects));
    } else {
        add_fraction(to, "rate", facts.rate);
    }
    if (facts.built != NULL) {
        add_number(to, "build", facts.built->number);
    } else {
        add_null(to, "build");
    }
    add_key(to, "settled");
    sp_buf_add_str(to, is_settled(project, &facts) ? SP_STR("true") : SP_STR("false"));
    add_rebuild(projects, to, project, &facts);
    add_error(to, project, &facts);
    add_tables(to, project->definition);
    if (with_text) {
        add_text(to, "text", project->definition->text);
    }
    sp_buf_add_byte(to, '}');
}

/* ---- looking --------------------------------------------------------------------------------- */

size_t sp_projects_count(struct sp_projects *projects) {
    size_t count = 0;
    projects_lock(projects);
    for (uint32_t i = 0; i < projects->count; i++) {
        count += project_is_there(projects->items[i]) ? 1 : 0;
    }
    projects_unlock(projects);
    return count;
}

void sp_projects_each(struct sp_projects *projects, sp_projects_name_fn *each, void *context) {
    bool goes_on = true;
    projects_lock(projects);
    for (uint32_t i = 0; i < projects->count && goes_on; i++) {
        goes_on = !project_is_there(projects->items[i]) ||
                  each(context, sp_str_from(projects->items[i]->name));
    }
    projects_unlock(projects);
}

static sp_status tell(struct sp_projects *projects, sp_str name, bool with_text, struct sp_buf *to,
                      struct sp_error *error) {
    struct project *project = NULL;
    projects_lock(projects);
    sp_status status = projects_find_there(projects, name, &project, error);
    if (status == SP_OK) {
        add_status(projects, project, with_text, to);
        status = to->status == SP_OK ? SP_OK : sp_error_set(error, to->status, "status");
    }
    projects_unlock(projects);
    return status;
}

sp_status sp_projects_status(struct sp_projects *projects, sp_str name, struct sp_buf *to,
                             struct sp_error *error) {
    return tell(projects, name, false, to, error);
}

sp_status sp_projects_show(struct sp_projects *projects, sp_str name, struct sp_buf *to,
                           struct sp_error *error) {
    return tell(projects, name, true, to, error);
}

void sp_projects_list(struct sp_projects *projects, struct sp_buf *to, sp_str between) {
    bool first = true;
    projects_lock(projects);
    for (uint32_t i = 0; i < projects->count; i++) {
        if (project_is_there(projects->items[i])) {
            sp_buf_add_str(to, first ? SP_STR("") : between);
            add_status(projects, projects->items[i], false, to);
            first = false;
        }
    }
    projects_unlock(projects);
}

void sp_projects_figures(struct sp_projects *projects, sp_projects_figures_fn *each,
                         void *context) {
    projects_lock(projects);
    for (uint32_t i = 0; i < projects->count; i++) {
        struct project *project = projects->items[i];
        if (!project_is_there(project)) {
            continue;
        }
        struct facts facts = facts_of(projects, project);
        const struct sp_projects_figures figures = {
            .name = sp_str_from(project->name),
            .state = LIFE_NAMES[facts.life],
            .position = facts.position,
            .lag_events = facts.lag_events,
            .lag_us = facts.lag_us,
            .applied = facts.applied,
            .failed = facts.life == LIFE_FAILED,
            .rebuilding = project->next != NULL && !project->next->is_current,
        };
        each(context, &figures);
    }
    projects_unlock(projects);
}

struct sp_definition *sp_projects_definition(struct sp_projects *projects, sp_str name) {
    struct project *project = NULL;
    struct sp_definition *definition = NULL;
    projects_lock(projects);
    if (projects_find_there(projects, name, &project, NULL) == SP_OK) {
        definition = sp_definition_ref(project->definition);
    }
    projects_unlock(projects);
    return definition;
}

struct sp_sink *sp_projects_sink(struct sp_projects *projects) {
    return projects->options.sink;
}

/* ---- wanting and waiting --------------------------------------------------------------------- */

static void want_locked(struct sp_projects *projects, struct project *project) {
    if (!project->wanted) {
        project->wanted = true;
        if (!atomic_exchange(&projects->news, true) && projects->options.wake != NULL) {
            projects->options.wake(projects->options.wake_context);
        }
    }
}

sp_status sp_projects_want(struct sp_projects *projects, sp_str name, struct sp_error *error) {
    struct project *project = NULL;
    projects_lock(projects);
    sp_status status = projects_find_there(projects, name, &project, error);
    if (status == SP_OK) {
        want_locked(projects, project);
    }
    projects_unlock(projects);
    return status;
}

/* Whether it has come so far, or never will. SP_TIMEOUT: not yet. */
static sp_status look(struct sp_projects *projects, struct project *project, uint64_t position,
                      struct sp_error *error) {
    const struct built *built = project_current(project);
    if (projects->closing) {
        return sp_error_set(error, SP_CANCELLED, "the store is being closed");
    }
    if (!project_is_there(project)) {
        return sp_error_set(error, SP_NOT_FOUND, "projection '%s' was removed", project->name);
    }
    if (built != NULL && built->state.position >= position) {
        return SP_OK;
    }
    if (built == NULL && project->refused) {
        return sp_error_set(error, SP_FAILED, "projection '%s' cannot be built: %s", project->name,
                            project->refusal.text);
    }
    if (built != NULL && built->failed) {
        return sp_error_set(error, SP_FAILED, "projection '%s' has stopped at event %llu: %s",
                            project->name, (unsigned long long)built->state.failed_position,
                            built->state.failed_text);
    }
    return SP_TIMEOUT;
}

/* Its runner, whichever there is by now, commits so far at once. */
static void ask_for(struct sp_projects *projects, struct project *project, uint64_t position) {
    struct runner *runners[] = {project->current, project->next};
    for (int i = 0; i < 2; i++) {
        if (runners[i] != NULL && atomic_load(&runners[i]->awaited) < position) {
            atomic_store(&runners[i]->awaited, position);
            pthread_cond_broadcast(&projects->urgent);
            pthread_cond_broadcast(&projects->grown);
        }
    }
}

static struct timespec after_ms(uint64_t ms) {
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(ms / MS_PER_S);
    at.tv_nsec += (long)(ms % MS_PER_S) * US_PER_MS * NS_PER_US;
    if (at.tv_nsec >= (long)US_PER_S * NS_PER_US) {
        at.tv_sec++;
        at.tv_nsec -= (long)US_PER_S * NS_PER_US;
    }
    return at;
}

sp_status sp_projects_wait(struct sp_projects *projects, sp_str name, uint64_t position,
                           uint64_t timeout_ms, struct sp_error *error) {
    const uint64_t longest_ms = UINT64_C(86400) * MS_PER_S;
    const struct timespec until = after_ms(timeout_ms < longest_ms ? timeout_ms : longest_ms);
    struct project *project = NULL;
    int waited = 0;
    if (!projects->options.threads) {
        return sp_error_set(error, SP_UNSUPPORTED, "nothing moves by itself here to wait for");
    }
    projects_lock(projects);
    sp_status status = projects_find_there(projects, name, &project, error);
    while (status == SP_OK) {
        want_locked(projects, project);
        ask_for(projects, project, position);
        status = look(projects, project, position, error);
        if (status != SP_TIMEOUT || waited == ETIMEDOUT) {
            break;
        }
        waited = pthread_cond_timedwait(&projects->changed, &projects->mutex, &until);
        status = SP_OK;
    }
    if (status == SP_TIMEOUT) {
        const struct built *built = project_current(project);
        status = sp_error_set(error, SP_TIMEOUT, "projection '%s' is at %llu, not yet at %llu",
                              project->name,
                              (unsigned long long)(built != NULL ? built->state.position : 0),
                              (unsigned long long)position);
    }
    projects_unlock(projects);
    return status;
}
