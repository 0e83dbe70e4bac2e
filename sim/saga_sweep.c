#include "sim/saga_sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/saga_programs.h"

enum { SHAPE_SIZE = 24, SHAPES_MAX = 256, PICKS_MAX = 200, LOG_BYTES_MAX = 1 << 20 };

/* ---- arrangements ---------------------------------------------------------------------------- */

/* `.` is a step, `(…)` a container, parallel in a sequence and a sequence in a parallel one. */
struct shapes {
    uint32_t count;
    char text[SHAPES_MAX][SHAPE_SIZE];
};

static void add_shape(struct shapes *to, const char *begin, const char *end) {
    size_t begin_len = strlen(begin);
    size_t end_len = strlen(end);
    if (to->count == SHAPES_MAX || begin_len + end_len >= SHAPE_SIZE) {
        abort();
    }
    char *text = to->text[to->count++];
    memmove(text, begin, begin_len);
    memmove(text + begin_len, end, end_len + 1);
}

/* A container has two children at least, or it would be none. */
static bool is_several(const char *shape) {
    int depth = 0;
    int children = 0;
    for (const char *at = shape; *at != '\0'; at++) {
        depth += *at == '(' ? 1 : 0;
        depth -= *at == ')' ? 1 : 0;
        children += depth == 0 ? 1 : 0;
    }
    return children > 1;
}

/* All lists of n steps: the first child takes k of them, shorter lists tell the rest. */
static void make_shapes(uint32_t n, struct shapes *lists) {
    lists[0].count = 1;
    lists[0].text[0][0] = '\0';
    for (uint32_t all = 1; all <= n; all++) {
        lists[all].count = 0;
        for (uint32_t k = 1; k <= all; k++) {
            for (uint32_t i = 0; i < (k == 1 ? 1 : lists[k].count); i++) {
                char child[2 * SHAPE_SIZE];
                bool own = k == all && k > 1; /* a container of all: made of what is there now */
                if (own && !is_several(lists[k].text[i])) {
                    continue;
                }
                if (k > 1 && !is_several(lists[k].text[i])) {
                    continue;
                }
                (void)snprintf(child, sizeof(child), k == 1 ? "." : "(%s)",
                               k == 1 ? "" : lists[k].text[i]);
                for (uint32_t rest = 0; rest < lists[all - k].count; rest++) {
                    add_shape(&lists[all], child, lists[all - k].text[rest]);
                }
            }
        }
    }
}

/* ---- definitions ----------------------------------------------------------------------------- */

static void set_leaf(struct saga_step *step, char letter) {
    bool upper = letter >= 'A' && letter <= 'Z';
    step->limit = upper || letter == 'o' ? 2 : 1;
    switch (upper ? letter - 'A' + 'a' : letter) {
    case 'c':
        step->compensable = true;
        return;
    case 'f':
        step->compensable = true;
        step->on_failure = true;
        return;
    case 'o':
        step->compensable = true;
        step->at_most_once = true;
        return;
    case 'i':
        step->irreversible = true;
        return;
    case 'p':
        step->pivot = true;
        return;
    default:
        return;
    }
}

static enum saga_step_kind kind_of(char letter) {
    return letter == 'w'   ? SAGA_WAIT
           : letter == 'e' ? SAGA_AWAIT
           : letter == 'a' ? SAGA_APPROVAL
                           : SAGA_ACTION;
}

/* False: the letters break a rule of definitions: pivots, and what may stand behind one. */
static bool make_plan(const char *shape, const char *letters, struct saga_plan *plan) {
    int parent = 0;
    int depth = 0;
    uint32_t leaf = 0;
    bool pivoted = false;
    saga_plan_init(plan, "t");
    for (const char *at = shape; *at != '\0'; at++) {
        char name[8] = {(char)('a' + plan->count - 1)};
        if (*at == '(') {
            parent =
                saga_plan_add(plan, parent, depth % 2 == 0 ? SAGA_PARALLEL : SAGA_SEQUENCE, name);
            depth++;
        } else if (*at == ')') {
            parent = plan->steps[parent].parent;
            depth--;
        } else {
            char letter = letters[leaf++];
            int added = saga_plan_add(plan, parent, kind_of(letter), name);
            struct saga_step *step = &plan->steps[added];
            set_leaf(step, letter);
            if ((step->pivot && (pivoted || depth > 0)) || (pivoted && step->compensable)) {
                return false;
            }
            pivoted = pivoted || step->pivot;
        }
    }
    saga_plan_finish(plan);
    return true;
}

/* ---- all combinations of what happens -------------------------------------------------------- */

/* The choices of one run: those beyond are 0 and noted. */
struct picks {
    uint32_t count;
    uint32_t at;
    uint8_t chosen[PICKS_MAX];
    uint8_t bound[PICKS_MAX];
    bool overflow;
};

static uint32_t pick(void *context, uint32_t bound) {
    struct picks *picks = context;
    if (picks->at == PICKS_MAX) {
        picks->overflow = true;
        return 0;
    }
    if (picks->at == picks->count) {
        picks->chosen[picks->count++] = 0;
    }
    picks->bound[picks->at] = (uint8_t)bound;
    return picks->chosen[picks->at++];
}

/* The next combination; false: that was the last one. */
static bool advance(struct picks *picks) {
    while (picks->count > 0) {
        uint32_t last = picks->count - 1;
        if (picks->chosen[last] + 1 < picks->bound[last]) {
            picks->chosen[last]++;
            return true;
        }
        picks->count--;
    }
    return false;
}

static void write_picks(const struct picks *picks, char *to, size_t size) {
    size_t len = 0;
    to[0] = '\0';
    for (uint32_t i = 0; i < picks->at && len + 4 < size; i++) {
        len += (size_t)snprintf(to + len, size - len, i == 0 ? "%u" : ".%u", picks->chosen[i]);
    }
}

/* ---- one definition -------------------------------------------------------------------------- */

struct sweeping {
    const struct saga_sweep *sweep;
    struct saga_sweep_tally *tally;
    struct saga_plan plan;
    struct picks picks;
    uint64_t number; /* of the definition */
    char letters[8];
    char shape[SHAPE_SIZE];
    struct saga_script script; /* of the run without crashes */
};

static struct saga_run_options options_of(struct sweeping *s) {
    return (struct saga_run_options){.plan = &s->plan,
                                     .context = &s->picks,
                                     .pick = pick,
                                     .script = &s->script,
                                     .outcomes = s->sweep->outcomes,
                                     .undo_outcomes = s->sweep->undo_outcomes,
                                     .people_max = s->sweep->people_max,
                                     .cancels = s->sweep->cancels,
                                     .evaluate = saga_programs_run,
                                     .seed = 1};
}

static void problem(struct sweeping *s, uint32_t crash, const char *what) {
    char choices[600];
    write_picks(&s->picks, choices, sizeof(choices));
    if (s->tally->problems++ == 0) {
        (void)snprintf(
            s->tally->what, sizeof(s->tally->what),
            "%s, saga %s of %s: %.300s; to see it: spoor-sim sweep --sweep %s --definition "
            "%llu --choices %.300s --crash %u",
            s->sweep->name, s->shape, s->letters, what, s->sweep->name,
            (unsigned long long)s->number, choices[0] == '\0' ? "-" : choices, crash);
    }
}

static void tally_run(struct sweeping *s, const struct saga_outcome *outcome) {
    s->tally->runs++;
    s->tally->crashes += outcome->crashes;
    s->tally->events += outcome->events;
}

/* The same run, with processes dying: it must come to the same. */
static void again(struct sweeping *s, struct saga_run_options *options, uint32_t crash,
                  const struct saga_outcome *first) {
    struct saga_outcome outcome;
    s->script.is_read = true;
    saga_run(options, NULL, &outcome);
    tally_run(s, &outcome);
    if (outcome.wrong) {
        problem(s, crash, outcome.what);
    } else if (strchr(s->shape, '(') == NULL &&
               (outcome.sum != first->sum || outcome.end != first->end)) {
        problem(s, crash, "with crashes it goes another way");
    }
}

/* A crash is a number, so that a run can be told again: 0 none, then every append, then one. */
static void set_crash(struct saga_run_options *options, uint32_t crash) {
    options->crashes = crash == 0 ? SAGA_NO_CRASH : crash <= 8 ? SAGA_CRASH_EVERY : SAGA_CRASH_ONE;
    options->at = crash <= 8 ? crash : (crash - 9) / 5 + 1;
    options->fate = (enum sp_rehearsal_fate)(SP_REHEARSAL_REFUSED + (crash - 9) % 5);
    options->batch = crash % 3 == 2 ? 8 : 0;
}

static void one_combination(struct sweeping *s) {
    struct saga_outcome first;
    struct saga_run_options options = options_of(s);
    s->picks.at = 0;
    s->script.is_read = false;
    saga_run(&options, NULL, &first);
    tally_run(s, &first);
    s->tally->combinations++;
    s->tally->ends[first.end]++;
    if (first.wrong || s->picks.overflow) {
        problem(s, 0, first.wrong ? first.what : "more choices than can be kept");
        return;
    }
    uint32_t crash = 1 + (uint32_t)(s->tally->combinations % 7);
    set_crash(&options, crash);
    options.batch = 0;
    again(s, &options, crash, &first);
    for (uint32_t i = 9; i < 9 + 5 * first.appends && s->sweep->each_crash; i++) {
        set_crash(&options, i);
        options.batch = 0;
        again(s, &options, i, &first);
        if (s->tally->problems > 0) {
            return;
        }
    }
}

/* Every step through the alphabet, as the digits of a number; false: that was the last one. */
static bool next_letters(const struct saga_sweep *sweep, char *letters) {
    for (uint32_t i = 0; i < sweep->steps; i++) {
        const char *at = strchr(sweep->alphabet, letters[i]);
        if (at[1] != '\0') {
            letters[i] = at[1];
            return true;
        }
        letters[i] = sweep->alphabet[0];
    }
    return false;
}

typedef void definition_fn(struct sweeping *s, void *context);

static void each_definition(struct sweeping *s, definition_fn *call, void *context) {
    struct shapes *lists = calloc(s->sweep->steps + 1, sizeof(*lists));
    if (lists == NULL) {
        abort();
    }
    make_shapes(s->sweep->steps, lists);
    for (uint32_t i = 0; i < lists[s->sweep->steps].count; i++) {
        memset(s->letters, s->sweep->alphabet[0], s->sweep->steps);
        (void)snprintf(s->shape, sizeof(s->shape), "%s", lists[s->sweep->steps].text[i]);
        do {
            s->number++;
            if (make_plan(s->shape, s->letters, &s->plan)) {
                call(s, context);
            } else {
                s->tally->refused++;
            }
        } while (s->tally->problems == 0 && next_letters(s->sweep, s->letters));
        if (s->tally->problems > 0) {
            break;
        }
    }
    free(lists);
}

struct share {
    uint32_t part;
    uint32_t parts;
};

static void sweep_definition(struct sweeping *s, void *context) {
    const struct share *share = context;
    if (s->number % share->parts != share->part) {
        return;
    }
    s->tally->definitions++;
    s->picks.count = 0;
    do {
        one_combination(s);
        s->picks.count = s->picks.at;
    } while (s->tally->problems == 0 && advance(&s->picks));
}

void saga_sweep_run(const struct saga_sweep *sweep, uint32_t part, uint32_t parts,
                    struct saga_sweep_tally *tally) {
    struct sweeping *s = calloc(1, sizeof(*s));
    struct share share = {.part = part % parts, .parts = parts};
    if (s == NULL) {
        abort();
    }
    s->sweep = sweep;
    s->tally = tally;
    each_definition(s, sweep_definition, &share);
    free(s);
}

/* ---- telling one again ----------------------------------------------------------------------- */

struct told {
    uint64_t number;
    const char *choices;
    uint32_t crash;
    struct sp_buf *to;
};

static void tell_definition(struct sweeping *s, void *context) {
    const struct told *told = context;
    if (s->number != told->number) {
        return;
    }
    s->picks = (struct picks){.count = 0};
    for (const char *at = told->choices; *at >= '0' && *at <= '9';) {
        char *end;
        s->picks.chosen[s->picks.count++] = (uint8_t)strtoul(at, &end, 10);
        at = *end == '.' ? end + 1 : end;
    }
    struct saga_outcome outcome;
    struct saga_run_options options = options_of(s);
    saga_plan_write(&s->plan, told->to);
    sp_buf_add_byte(told->to, '\n');
    s->script.is_read = false;
    saga_run(&options, told->crash == 0 ? told->to : NULL, &outcome);
    if (told->crash != 0) {
        s->script.is_read = true;
        set_crash(&options, told->crash);
        options.batch = 0;
        saga_run(&options, told->to, &outcome);
    }
    sp_buf_add_str(told->to, sp_str_from(outcome.wrong ? outcome.what : "all is right"));
    sp_buf_add_byte(told->to, '\n');
}

void saga_sweep_tell(const struct saga_sweep *sweep, uint64_t number, const char *choices,
                     uint32_t crash, struct sp_buf *to) {
    struct saga_sweep_tally tally = {.problems = 0};
    struct told told = {.number = number, .choices = choices, .crash = crash, .to = to};
    struct sweeping *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        abort();
    }
    s->sweep = sweep;
    s->tally = &tally;
    each_definition(s, tell_definition, &told);
    free(s);
}

/* ---- those there are ------------------------------------------------------------------------- */

/* clang-format off */
static const struct saga_sweep SMALL[] = {
    {.name = "one", .steps = 1, .alphabet = "cCnNiIpPfoaew", .outcomes = 7, .undo_outcomes = 4,
     .people_max = 1, .each_crash = true, .runs_expected = 60124},
    {.name = "one-cancel", .steps = 1, .alphabet = "cCnipfoaew", .outcomes = 7, .undo_outcomes = 2,
     .people_max = 1, .cancels = 2, .runs_expected = 864},
    {.name = "two", .steps = 2, .alphabet = "cCnip", .outcomes = 7, .undo_outcomes = 2,
     .people_max = 1, .runs_expected = 40956},
    {.name = "two-others", .steps = 2, .alphabet = "caewfo", .outcomes = 3, .undo_outcomes = 2,
     .people_max = 1, .runs_expected = 5192},
    {.name = "three", .steps = 3, .alphabet = "cnip", .outcomes = 6, .undo_outcomes = 1,
     .people_max = 1, .runs_expected = 41840},
    {.name = "four", .steps = 4, .alphabet = "c", .outcomes = 6, .undo_outcomes = 1,
     .people_max = 1, .runs_expected = 13244},
    {.name = "four-mixed", .steps = 4, .alphabet = "cnip", .outcomes = 2, .undo_outcomes = 1,
     .people_max = 1, .runs_expected = 33156},
};

static const struct saga_sweep LARGE[] = {
    {.name = "two-large", .steps = 2, .alphabet = "cCnNiIpPfoaew", .outcomes = 7,
     .undo_outcomes = 7, .people_max = 1, .each_crash = true},
    {.name = "two-cancel", .steps = 2, .alphabet = "cCnipaew", .outcomes = 7, .undo_outcomes = 2,
     .people_max = 1, .cancels = 2},
    {.name = "three-large", .steps = 3, .alphabet = "cCnNiIpPaew", .outcomes = 7,
     .undo_outcomes = 2, .people_max = 1},
    {.name = "four-large", .steps = 4, .alphabet = "cCniIpP", .outcomes = 6, .undo_outcomes = 2,
     .people_max = 1},
};
/* clang-format on */

const struct saga_sweep *saga_sweeps(bool large, uint32_t *ret_count) {
    *ret_count = large ? sizeof(LARGE) / sizeof(LARGE[0]) : sizeof(SMALL) / sizeof(SMALL[0]);
    return large ? LARGE : SMALL;
}
