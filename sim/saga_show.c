#include "sim/saga_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/saga_programs.h"
#include "sim/saga_sweep.h"

enum { LOG_BYTES_MAX = 64 << 20, RANDOM_STEPS_MAX = 14 };

static double now_seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The value of an option; NULL where it is not there. */
static const char *option(int argc, char **argv, const char *name) {
    for (int i = 0; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return argv[i + 1];
        }
    }
    return NULL;
}

static bool has(int argc, char **argv, const char *name) {
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static uint64_t number(int argc, char **argv, const char *name, uint64_t usual) {
    const char *text = option(argc, argv, name);
    return text == NULL ? usual : strtoull(text, NULL, 10);
}

/* ---- all small ones -------------------------------------------------------------------------- */

static bool sweep_one(const struct saga_sweep *sweep, int index, bool tap, uint32_t part,
                      uint32_t parts) {
    double start = now_seconds();
    struct saga_sweep_tally tally = {.problems = 0};
    saga_sweep_run(sweep, part, parts, &tally);
    double seconds = now_seconds() - start;
    bool all = parts == 1;
    bool right = tally.problems == 0 &&
                 (!all || sweep->runs_expected == 0 || tally.runs == sweep->runs_expected);
    if (tap) {
        (void)printf("%sok %d - sweep %s: %llu runs of %llu sagas\n", right ? "" : "not ", index,
                     sweep->name, (unsigned long long)tally.runs,
                     (unsigned long long)tally.definitions);
    }
    (void)printf("%s%s: %llu sagas (%llu against the rules), %llu combinations, %llu runs, %llu "
                 "events, %llu crashes in %.1f s; completed %llu, compensated %llu, cancelled "
                 "%llu\n",
                 tap ? "# " : "", sweep->name, (unsigned long long)tally.definitions,
                 (unsigned long long)tally.refused, (unsigned long long)tally.combinations,
                 (unsigned long long)tally.runs, (unsigned long long)tally.events,
                 (unsigned long long)tally.crashes, seconds,
                 (unsigned long long)tally.ends[SAGA_COMPLETED],
                 (unsigned long long)tally.ends[SAGA_COMPENSATED],
                 (unsigned long long)tally.ends[SAGA_CANCELLED]);
    if (tally.problems > 0) {
        (void)printf("%s%s\n", tap ? "# " : "", tally.what);
    } else if (!right) {
        (void)printf("%sthere should be %llu runs\n", tap ? "# " : "",
                     (unsigned long long)sweep->runs_expected);
    }
    return right;
}

static int tell_one(const struct saga_sweep *sweep, int argc, char **argv) {
    struct sp_buf log;
    const char *choices = option(argc, argv, "--choices");
    sp_buf_init(&log, LOG_BYTES_MAX);
    saga_sweep_tell(sweep, number(argc, argv, "--definition", 1), choices == NULL ? "-" : choices,
                    (uint32_t)number(argc, argv, "--crash", 0), &log);
    (void)fwrite(log.data, 1, log.len, stdout);
    sp_buf_fini(&log);
    return 0;
}

int saga_show_sweep(int argc, char **argv) {
    const char *name = option(argc, argv, "--sweep");
    bool tap = has(argc, argv, "--tap");
    int index = 0;
    int problems = 0;
    uint32_t part = (uint32_t)number(argc, argv, "--part", 0);
    uint32_t parts = (uint32_t)number(argc, argv, "--parts", 1);
    for (int large = 0; large < 2; large++) {
        uint32_t count;
        const struct saga_sweep *sweeps = saga_sweeps(large == 1, &count);
        for (uint32_t i = 0; i < count; i++) {
            bool wanted = name == NULL ? (large == 1) == has(argc, argv, "--large")
                                       : strcmp(name, sweeps[i].name) == 0;
            if (wanted && option(argc, argv, "--definition") != NULL) {
                return tell_one(&sweeps[i], argc, argv);
            }
            if (wanted) {
                problems += sweep_one(&sweeps[i], ++index, tap, part, parts) ? 0 : 1;
                (void)fflush(stdout);
            }
        }
    }
    if (tap) {
        (void)printf("1..%d\n", index);
    }
    return problems == 0 && index > 0 ? 0 : 1;
}

/* ---- any ------------------------------------------------------------------------------------- */

static uint32_t draw(void *context, uint32_t bound) {
    return sp_prng_below(context, bound);
}

static struct saga_run_options options_of(const struct saga_plan *plan, struct sp_prng *picks,
                                          struct saga_script *script, uint64_t seed) {
    return (struct saga_run_options){.plan = plan,
                                     .context = picks,
                                     .pick = draw,
                                     .script = script,
                                     .outcomes = SAGA_OUTCOMES,
                                     .undo_outcomes = SAGA_OUTCOMES,
                                     .people_max = 4,
                                     .cancels = 12,
                                     .evaluate = saga_programs_run,
                                     .seed = seed};
}

/* Twice as it is, to the same log; then with crashes, with the same workers and people. */
static bool tell_seed(uint64_t seed, struct sp_buf *log, struct saga_outcome *first, char *what,
                      size_t size) {
    struct sp_prng prng = sp_prng_seed(seed);
    struct sp_prng picks = {.state = 0};
    static struct saga_plan plan;
    static struct saga_script script;
    saga_plan_random(&plan, "t", &prng, 1 + sp_prng_below(&prng, RANDOM_STEPS_MAX));
    if (log != NULL) {
        saga_plan_write(&plan, log);
        sp_buf_add_byte(log, '\n');
    }
    for (int round = 0; round < 4; round++) {
        struct saga_outcome outcome;
        struct saga_run_options options = options_of(&plan, &picks, &script, seed);
        picks = prng;
        script.is_read = round > 1;
        options.crashes = round == 2 ? SAGA_CRASH_SOME : round == 3 ? SAGA_CRASH_EVERY : 0;
        options.at = seed;
        options.batch = round == 3 ? 8 : 0;
        saga_run(&options, round == 1 ? NULL : log, &outcome);
        *first = round == 0 ? outcome : *first;
        bool same = round != 1 || (outcome.hash == first->hash && outcome.state == first->state);
        if (outcome.wrong || !same) {
            (void)snprintf(what, size, "%s%.500s", round > 1 ? "with crashes: " : "",
                           outcome.wrong ? outcome.what : "it goes another way");
            return false;
        }
    }
    return true;
}

int saga_show_random(int argc, char **argv) {
    uint64_t from = number(argc, argv, "--seed", 1);
    uint64_t seeds = number(argc, argv, "--seeds", 0);
    double limit = (double)number(argc, argv, "--seconds", 0);
    bool tap = has(argc, argv, "--tap");
    bool verbose = has(argc, argv, "--verbose");
    uint64_t problems = 0;
    uint64_t events = 0;
    uint64_t told = 0;
    uint64_t ends[SAGA_CANCELLED + 1] = {0};
    double start = now_seconds();
    struct sp_buf log;
    sp_buf_init(&log, LOG_BYTES_MAX);
    seeds = seeds == 0 && limit <= 0 ? 1 : seeds;
    for (; (seeds == 0 || told < seeds) && (limit <= 0 || now_seconds() - start < limit); told++) {
        char what[600];
        struct saga_outcome outcome = {.wrong = false};
        if (!tell_seed(from + told, verbose ? &log : NULL, &outcome, what, sizeof(what)) &&
            problems++ < 10) {
            (void)printf("%sseed %llu: %s; to see it: spoor-sim sagas --verbose --seed %llu\n",
                         tap ? "# " : "", (unsigned long long)(from + told), what,
                         (unsigned long long)(from + told));
        }
        events += outcome.events;
        ends[outcome.end]++;
        if (log.len > 0) {
            (void)fwrite(log.data, 1, log.len, stdout);
        }
        sp_buf_reset(&log);
    }
    sp_buf_fini(&log);
    (void)printf("%s%llu seeds from %llu on in %.1f s, %llu events, %llu problems; completed %llu, "
                 "compensated %llu, cancelled %llu\n",
                 tap ? "# " : "", (unsigned long long)told, (unsigned long long)from,
                 now_seconds() - start, (unsigned long long)events, (unsigned long long)problems,
                 (unsigned long long)ends[SAGA_COMPLETED],
                 (unsigned long long)ends[SAGA_COMPENSATED],
                 (unsigned long long)ends[SAGA_CANCELLED]);
    if (tap) {
        (void)printf("1..1\n%sok 1 - any saga, by seed, twice and with crashes (%llu seeds)\n",
                     problems > 0 ? "not " : "", (unsigned long long)told);
    }
    return problems > 0 ? 1 : 0;
}
