/* Workers: jobs run once, in order, on their own thread or inline, and come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>

#include "os/os.h"

enum { JOBS = 1000 };

/* What the jobs of one test leave behind. */
struct record {
    unsigned worked;      /* only the worker's thread writes it */
    unsigned finished;    /* only the polling thread */
    unsigned order[JOBS]; /* numbers of jobs, as they worked */
    unsigned done[JOBS];  /* numbers of jobs, as `done` was called */
    pthread_t worked_on;
    pthread_t done_on;
    int policy; /* the scheduler's, of the thread that worked */
    char thread_name[16];
    _Atomic unsigned wakes;
    struct sp_worker *worker; /* to submit again from `done` */
};

struct test_job {
    struct sp_job base;
    struct record *record;
    unsigned number;
    unsigned again; /* how often `done` submits the job once more */
};

static void work(struct sp_job *base) {
    struct test_job *job = (struct test_job *)base;
    struct record *record = job->record;
    record->worked_on = pthread_self();
    record->policy = sched_getscheduler(0);
    (void)prctl(PR_GET_NAME, record->thread_name);
    if (record->worked < JOBS) {
        record->order[record->worked] = job->number;
    }
    record->worked++;
}

static void done(struct sp_job *base) {
    struct test_job *job = (struct test_job *)base;
    struct record *record = job->record;
    record->done_on = pthread_self();
    if (record->finished < JOBS) {
        record->done[record->finished] = job->number;
    }
    record->finished++;
    if (job->again > 0) {
        job->again--;
        sp_worker_submit(record->worker, base);
    }
}

static void wake(void *context) {
    struct record *record = context;
    atomic_fetch_add(&record->wakes, 1);
}

static struct test_job job_of(struct record *record, unsigned number) {
    return (struct test_job){
        .base = {.work = work, .done = done}, .record = record, .number = number};
}

static struct sp_worker *worker_of(struct record *record, bool inline_jobs, bool background) {
    struct sp_error error;
    sp_error_clear(&error);
    struct sp_worker *worker = sp_worker_new(&(struct sp_worker_options){.name = "sp-test",
                                                                         .inline_jobs = inline_jobs,
                                                                         .background = background,
                                                                         .wake = wake,
                                                                         .wake_context = record},
                                             &error);
    assert_non_null(worker);
    record->worker = worker;
    return worker;
}

static void drain(struct sp_worker *worker) {
    while (sp_worker_pending(worker) > 0) {
        sp_worker_wait(worker, -1);
        (void)sp_worker_poll(worker);
    }
}

static void assert_in_order(const struct record *record) {
    assert_int_equal(record->worked, JOBS);
    assert_int_equal(record->finished, JOBS);
    for (unsigned i = 0; i < JOBS; i++) {
        assert_int_equal(record->order[i], i);
        assert_int_equal(record->done[i], i);
    }
}

static void run_many(bool inline_jobs, bool background) {
    static struct record record;
    static struct test_job jobs[JOBS];
    record = (struct record){.worked = 0};
    struct sp_worker *worker = worker_of(&record, inline_jobs, background);
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i] = job_of(&record, i);
        sp_worker_submit(worker, &jobs[i].base);
        if (i % 7 == 0) {
            (void)sp_worker_poll(worker);
        }
    }
    drain(worker);
    assert_in_order(&record);
    assert_int_equal(sp_worker_poll(worker), 0);
    assert_true(pthread_equal(record.done_on, pthread_self()));
    bool same_thread = pthread_equal(record.worked_on, pthread_self()) != 0;
    assert_int_equal(same_thread, inline_jobs);
    if (!inline_jobs) {
        assert_string_equal(record.thread_name, "sp-test");
        assert_int_equal(record.policy, background ? SCHED_IDLE : SCHED_OTHER);
    }
    sp_worker_free(worker);
    assert_int_equal(atomic_load(&record.wakes), JOBS); /* the last comes after its job */
}

static void test_on_a_thread(void **state) {
    (void)state;
    run_many(false, false);
}

static void test_in_the_background(void **state) {
    (void)state;
    run_many(false, true);
}

static void test_inline(void **state) {
    (void)state;
    run_many(true, false);
}

static void test_inline_runs_when_told(void **state) {
    (void)state;
    struct record record = {.worked = 0};
    struct sp_worker *worker = worker_of(&record, true, false);
    struct test_job first = job_of(&record, 1);
    struct test_job second = job_of(&record, 2);
    assert_false(sp_worker_run(worker));
    sp_worker_submit(worker, &first.base);
    sp_worker_submit(worker, &second.base);
    assert_int_equal(record.worked, 0);
    assert_int_equal(sp_worker_poll(worker), 0);
    assert_true(sp_worker_run(worker));
    assert_int_equal(record.worked, 1);
    assert_int_equal(record.finished, 0);
    assert_int_equal(sp_worker_pending(worker), 2);
    assert_int_equal(sp_worker_poll(worker), 1);
    assert_int_equal(record.finished, 1);
    assert_int_equal(sp_worker_pending(worker), 1);
    sp_worker_wait(worker, 0); /* an inline worker runs the job instead of waiting for ever */
    assert_int_equal(sp_worker_poll(worker), 1);
    assert_int_equal(record.order[0], 1);
    assert_int_equal(record.order[1], 2);
    assert_false(sp_worker_run(worker));
    sp_worker_free(worker);
}

static void test_done_may_submit_again(void **state) {
    (void)state;
    for (unsigned inline_jobs = 0; inline_jobs < 2; inline_jobs++) {
        struct record record = {.worked = 0};
        struct sp_worker *worker = worker_of(&record, inline_jobs != 0, false);
        struct test_job job = job_of(&record, 0);
        job.again = 500;
        sp_worker_submit(worker, &job.base);
        drain(worker);
        assert_int_equal(record.worked, 501);
        assert_int_equal(record.finished, 501);
        sp_worker_free(worker);
    }
}

static void test_free_finishes_what_was_submitted(void **state) {
    (void)state;
    static struct test_job jobs[JOBS];
    for (unsigned inline_jobs = 0; inline_jobs < 2; inline_jobs++) {
        static struct record record;
        record = (struct record){.worked = 0};
        struct sp_worker *worker = worker_of(&record, inline_jobs != 0, false);
        for (unsigned i = 0; i < JOBS; i++) {
            jobs[i] = job_of(&record, i);
            sp_worker_submit(worker, &jobs[i].base);
        }
        sp_worker_free(worker);
        assert_in_order(&record);
    }
    sp_worker_free(NULL);
}

/* A job that works until the test lets it go. */
struct gate {
    struct sp_job base;
    _Atomic bool open;
};

static void work_until_open(struct sp_job *base) {
    struct gate *gate = (struct gate *)base;
    while (!atomic_load(&gate->open)) {
        (void)sched_yield();
    }
}

static void done_nothing(struct sp_job *base) {
    (void)base;
}

static void test_wait_has_a_limit(void **state) {
    (void)state;
    struct sp_clock clock = sp_clock_system();
    struct record record = {.worked = 0};
    struct sp_worker *worker = worker_of(&record, false, false);
    struct gate gate = {.base = {.work = work_until_open, .done = done_nothing}};
    sp_worker_wait(worker, -1); /* nothing is pending: returns at once */
    sp_worker_submit(worker, &gate.base);
    uint64_t before = clock.monotonic_ns(clock.context);
    sp_worker_wait(worker, 20);
    uint64_t waited_ns = clock.monotonic_ns(clock.context) - before;
    assert_true(waited_ns >= 20000000u);
    assert_int_equal(sp_worker_poll(worker), 0);
    assert_int_equal(sp_worker_pending(worker), 1);
    atomic_store(&gate.open, true);
    sp_worker_wait(worker, -1);
    assert_int_equal(sp_worker_poll(worker), 1);
    assert_int_equal(sp_worker_pending(worker), 0);
    sp_worker_free(worker);
}

/* Long pauses between jobs: the worker sleeps and must be woken, again and again. */
static void test_wakes_after_sleep(void **state) {
    (void)state;
    struct record record = {.worked = 0};
    struct sp_worker *worker = worker_of(&record, false, false);
    for (unsigned i = 0; i < 50; i++) {
        struct timespec pause = {.tv_nsec = (i % 5) * 100000};
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        struct test_job job = job_of(&record, i);
        sp_worker_submit(worker, &job.base);
        sp_worker_wait(worker, -1);
        assert_int_equal(sp_worker_poll(worker), 1);
    }
    assert_int_equal(record.worked, 50);
    sp_worker_free(worker);
}

/* Several threads may hand jobs to one worker; none is lost, and each thread's order is kept. */
enum { THREADS = 4, JOBS_EACH = 2000 };

struct submitter {
    struct sp_worker *worker;
    struct record *record;
    struct test_job jobs[JOBS_EACH];
};

static unsigned last_of[THREADS];
static unsigned out_of_order;

static void work_in_order(struct sp_job *base) {
    const struct test_job *job = (const struct test_job *)base;
    unsigned thread = job->number / JOBS_EACH;
    out_of_order += job->number % JOBS_EACH != last_of[thread];
    last_of[thread]++;
}

static void *submit_all(void *context) {
    struct submitter *submitter = context;
    for (unsigned i = 0; i < JOBS_EACH; i++) {
        sp_worker_submit(submitter->worker, &submitter->jobs[i].base);
    }
    return NULL;
}

static void test_many_submitters(void **state) {
    (void)state;
    static struct submitter submitters[THREADS];
    struct record record = {.worked = 0};
    struct sp_worker *worker = worker_of(&record, false, false);
    pthread_t threads[THREADS];
    for (unsigned t = 0; t < THREADS; t++) {
        submitters[t].worker = worker;
        for (unsigned i = 0; i < JOBS_EACH; i++) {
            submitters[t].jobs[i] = job_of(&record, t * JOBS_EACH + i);
            submitters[t].jobs[i].base.work = work_in_order;
        }
        assert_int_equal(pthread_create(&threads[t], NULL, submit_all, &submitters[t]), 0);
    }
    for (unsigned t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    }
    drain(worker);
    assert_int_equal(record.finished, THREADS * JOBS_EACH);
    assert_int_equal(out_of_order, 0);
    sp_worker_free(worker);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_a_thread),
        cmocka_unit_test(test_in_the_background),
        cmocka_unit_test(test_inline),
        cmocka_unit_test(test_inline_runs_when_told),
        cmocka_unit_test(test_done_may_submit_again),
        cmocka_unit_test(test_free_finishes_what_was_submitted),
        cmocka_unit_test(test_wait_has_a_limit),
        cmocka_unit_test(test_wakes_after_sleep),
        cmocka_unit_test(test_many_submitters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
