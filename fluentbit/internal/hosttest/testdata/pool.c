/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The hand-over of flushes (fluentbit/pool.c, log.c) with C threads in place of
 * goroutines, for the thread sanitizer, which cannot watch a loaded Go library.
 * Prints the number of wrong answers, of workers, and of lines.
 */
#include <sched.h>
#include <stdio.h>

#include "../../../shim.h"

#define HOST_THREADS 8
#define FLUSHES 3000

static int workers = 1, lines;

static char *get_property(char *key, void *ins)
{
    (void)key, (void)ins;
    return NULL;
}

static void log_print(int level, const char *file, int line, const char *fmt, ...)
{
    (void)level, (void)file, (void)line, (void)fmt;
    __atomic_add_fetch(&lines, 1, __ATOMIC_RELAXED);
}

static int log_check(void *ins, int level)
{
    (void)ins, (void)level;
    return 1;
}

static void *work(void *arg)
{
    struct kpl_instance *in = arg;
    struct kpl_request *req;
    pthread_t thread;
    int spare;
    size_t i;

    while ((req = kpl_next(in, &spare)) != NULL) {
        if (spare) {
            __atomic_add_fetch(&workers, 1, __ATOMIC_RELAXED);
            pthread_create(&thread, NULL, work, in);
            pthread_detach(thread);
        }
        if (req->size % 4 == 0) {
            kpl_log(in, KPL_LOG_WARN, "line");
        }
        for (i = 0; i < req->size % 20; i++) {
            sched_yield();
        }
        kpl_answer(in, req, (int)(req->size % 3));
    }
    return NULL;
}

static void *flush(void *arg)
{
    long wrong = 0;
    size_t i;

    for (i = 0; i < FLUSHES; i++) {
        wrong += kpl_flush(arg, "", i, "tag") != (int)(i % 3);
    }
    return (void *)wrong;
}

int main(void)
{
    struct kpl_api api = {.output_get_property = get_property, .log_print = log_print, .output_log_check = log_check};
    struct kpl_plugin plugin = {.api = &api};
    struct kpl_instance *in = kpl_instance_new(&plugin);
    pthread_t first, threads[HOST_THREADS];
    void *result;
    long wrong = 0;
    int i;

    pthread_create(&first, NULL, work, in);
    pthread_detach(first);
    for (i = 0; i < HOST_THREADS; i++) {
        pthread_create(&threads[i], NULL, flush, in);
    }
    for (i = 0; i < HOST_THREADS; i++) {
        pthread_join(threads[i], &result);
        wrong += (long)result;
    }
    kpl_close(in);
    wrong += kpl_flush(in, "", 1, "tag") != KPL_RETRY; /* closed */
    kpl_instance_free(in);
    printf("wrong=%ld workers=%d lines=%d\n", wrong, workers, lines);
    return 0;
}
