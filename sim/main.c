/*
 * spoor-sim: tells stories by seed, each twice, and says which ended badly.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim/saga_show.h"
#include "sim/world.h"
#include "sim/world_bus.h"
#include "sim/world_engine.h"
#include "sim/world_log.h"
#include "sim/world_project.h"
#include "sim/world_saga.h"

enum { PROBLEMS_SHOWN = 10 };

struct settings {
    uint64_t seed;
    uint64_t seeds; /* how many; 0: as many as the time allows */
    double seconds; /* 0: no limit */
    int story;      /* -1: all */
    const char *world;
    const struct sim_system_ops *system;
    bool verbose;
    bool tap;
};

struct tally {
    uint64_t told[SIM_STORY_COUNT];
    uint64_t wrong[SIM_STORY_COUNT];
    uint64_t disk_ops;
    uint64_t problems;
};

/* For the handler below, which may use nothing else. */
static volatile sig_atomic_t told_high;
static volatile sig_atomic_t told_low;

static void put_text(const char *text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        _exit(3);
    }
}

/* An assertion of the product, or a crash of its code, is a story that ended badly, too. */
static void on_abort(int signal_number) {
    char digits[24];
    uint64_t seed = (uint64_t)(uint32_t)told_high << 32 | (uint32_t)told_low;
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + seed % 10);
        seed /= 10;
    } while (seed > 0);
    put_text("\nthe program failed; to tell it again: spoor-sim --seed ");
    put_text(digits + at);
    put_text(" --verbose\n");
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static double now_seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void say_wrong(const struct settings *settings, struct tally *tally, uint64_t seed,
                      const char *what) {
    enum sim_story story = sim_story_of(seed);
    tally->wrong[story]++;
    if (tally->problems++ < PROBLEMS_SHOWN) {
        (void)printf("%sseed %llu (%s): %s\n", settings->tap ? "# " : "", (unsigned long long)seed,
                     sim_story_name(story), what);
        (void)printf("%s  to tell it again: spoor-sim --world %s --seed %llu --verbose\n",
                     settings->tap ? "# " : "", settings->world, (unsigned long long)seed);
        (void)fflush(stdout);
    }
}

static void tell(const struct settings *settings, struct tally *tally, uint64_t seed) {
    struct sim_outcome first;
    struct sim_outcome second;
    told_high = (sig_atomic_t)(uint32_t)(seed >> 32);
    told_low = (sig_atomic_t)(uint32_t)seed;
    sim_world_run(seed, settings->system, settings->verbose, &first);
    sim_world_run(seed, settings->system, false, &second);
    tally->told[sim_story_of(seed)]++;
    tally->disk_ops += first.disk_ops;
    if (first.wrong) {
        say_wrong(settings, tally, seed, first.what);
    } else if (first.trace != second.trace) {
        say_wrong(settings, tally, seed, "told twice, it went differently");
    }
}

static bool is_wanted(const struct settings *settings, uint64_t seed) {
    enum sim_story story = sim_story_of(seed);
    bool survivable = story < SIM_STORY_SURVIVABLE || !settings->system->survivable_only;
    return survivable && (settings->story < 0 || settings->story == (int)story);
}

static void tell_all(const struct settings *settings, struct tally *tally) {
    double start = now_seconds();
    uint64_t told = 0;
    for (uint64_t seed = settings->seed;; seed++) {
        bool done = (settings->seeds > 0 && told >= settings->seeds) ||
                    (settings->seconds > 0 && now_seconds() - start >= settings->seconds);
        if (done) {
            break;
        }
        if (is_wanted(settings, seed)) {
            tell(settings, tally, seed);
            told++;
        }
    }
    double seconds = now_seconds() - start;
    (void)printf("%s%llu seeds from %llu on in %.1f s, %.0f a second, %llu disk operations, "
                 "%llu problems\n",
                 settings->tap ? "# " : "", (unsigned long long)told,
                 (unsigned long long)settings->seed, seconds,
                 seconds > 0 ? (double)told / seconds : 0.0, (unsigned long long)tally->disk_ops,
                 (unsigned long long)tally->problems);
}

static void print_tap(const struct settings *settings, const struct tally *tally) {
    int count = settings->system->survivable_only ? SIM_STORY_SURVIVABLE : SIM_STORY_COUNT;
    (void)printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        enum sim_story story = (enum sim_story)i;
        (void)printf("%sok %d - %s: %s (%llu seeds)\n", tally->wrong[i] > 0 ? "not " : "", i + 1,
                     sim_story_name(story), sim_story_text(story),
                     (unsigned long long)tally->told[i]);
    }
}

static void print_usage(void) {
    (void)printf(
        "usage: spoor-sim [--seed N] [--seeds N] [--minutes M] [--seconds S]\n"
        "                 [--world log|engine|bus|project|saga] [--story NAME] [--tap]\n"
        "                 [--verbose]\n"
        "       spoor-sim sweep [--large | --sweep NAME [--definition N --choices C --crash N]]\n"
        "                 [--part K --parts N] [--tap]\n"
        "       spoor-sim sagas [--seed N] [--seeds N] [--seconds S] [--tap] [--verbose]\n\n"
        "Tells stories of the log, of the engine on top of it, of the bus on top of that, of\n"
        "projections of it or of sagas in it, on a disk that crashes, fails and lies, each\n"
        "twice. Bus, projections and sagas are told none of damage.\n"
        "sweep tells all small sagas, sagas any by seed, both in memory alone.\n"
        "--seed alone tells one; --seeds, --minutes or --seconds say how many. Stories:\n");
    for (int i = 0; i < SIM_STORY_COUNT; i++) {
        (void)printf("  %-12s %s\n", sim_story_name((enum sim_story)i),
                     sim_story_text((enum sim_story)i));
    }
}

static int find_story(const char *name) {
    for (int i = 0; i < SIM_STORY_COUNT; i++) {
        if (strcmp(sim_story_name((enum sim_story)i), name) == 0) {
            return i;
        }
    }
    return -1;
}

/* Takes one option and its value; returns how many arguments that were, 0 where it is none. */
static int take_option(struct settings *settings, const char *name, const char *value) {
    if (strcmp(name, "--verbose") == 0) {
        settings->verbose = true;
        return 1;
    }
    if (strcmp(name, "--tap") == 0) {
        settings->tap = true;
        return 1;
    }
    if (value == NULL) {
        return 0;
    }
    if (strcmp(name, "--seed") == 0) {
        settings->seed = strtoull(value, NULL, 10);
    } else if (strcmp(name, "--seeds") == 0) {
        settings->seeds = strtoull(value, NULL, 10);
    } else if (strcmp(name, "--minutes") == 0) {
        settings->seconds = strtod(value, NULL) * 60;
    } else if (strcmp(name, "--seconds") == 0) {
        settings->seconds = strtod(value, NULL);
    } else if (strcmp(name, "--story") == 0 && find_story(value) >= 0) {
        settings->story = find_story(value);
    } else if (strcmp(name, "--world") == 0 && strcmp(value, "log") == 0) {
        settings->system = &sim_log_system;
        settings->world = "log";
    } else if (strcmp(name, "--world") == 0 && strcmp(value, "engine") == 0) {
        settings->system = &sim_engine_system;
        settings->world = "engine";
    } else if (strcmp(name, "--world") == 0 && strcmp(value, "bus") == 0) {
        settings->system = &sim_bus_system;
        settings->world = "bus";
    } else if (strcmp(name, "--world") == 0 && strcmp(value, "project") == 0) {
        settings->system = &sim_project_system;
        settings->world = "project";
    } else if (strcmp(name, "--world") == 0 && strcmp(value, "saga") == 0) {
        settings->system = &sim_saga_system;
        settings->world = "saga";
    } else {
        return 0;
    }
    return 2;
}

int main(int argc, char **argv) {
    struct settings settings = {.seed = 1, .story = -1, .world = "log", .system = &sim_log_system};
    if (argc > 1 && strcmp(argv[1], "sweep") == 0) {
        return saga_show_sweep(argc - 2, argv + 2);
    }
    if (argc > 1 && strcmp(argv[1], "sagas") == 0) {
        return saga_show_random(argc - 2, argv + 2);
    }
    for (int i = 1; i < argc;) {
        int taken = take_option(&settings, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (taken == 0) {
            print_usage();
            return 2;
        }
        i += taken;
    }
    if (settings.seeds == 0 && settings.seconds <= 0) {
        settings.seeds = 1;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)signal(SIGABRT, on_abort);
    (void)signal(SIGSEGV, on_abort);
    struct tally tally = {.problems = 0};
    tell_all(&settings, &tally);
    if (settings.tap) {
        print_tap(&settings, &tally);
    }
    return tally.problems > 0 ? 1 : 0;
}
