/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Flushes, each on a coroutine with a stack of 64 KiB as in Fluent Bit 5.1: on the
 * engine thread (no workers) or on N threads. A chunk that is to be retried comes
 * again with the same bytes after a random wait that grows.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include "host.h"

#define STACK_BYTES 65536
#define MAX_QUEUED_BYTES (64u << 20)

struct job {
    struct chunk *chunk;
    struct instance *instance;
    double due;
    int attempts;
    struct job *next;
};

/* A place to run flushes: a coroutine with a guard page below its stack. */
struct coroutine {
    ucontext_t host, self;
    unsigned char *map;
    struct plugin *plugin;
    struct job *job;
    unsigned seed;
    int code;
};

double now_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void coroutine_main(unsigned high, unsigned low)
{
    struct coroutine *co = (struct coroutine *)(((uintptr_t)high << 32) | low);
    struct chunk *c = co->job->chunk;
    char *tag = must(strdup(c->tag)); /* the host copies it for the call, too */

    co->code = co->plugin->flush(co->job->instance->context->remote_context, c->data, c->size, tag);
    free(tag);
}

static void coroutine_new(struct coroutine *co, struct plugin *p, unsigned seed)
{
    memset(co, 0, sizeof(*co));
    co->map = mmap(NULL, STACK_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (co->map == MAP_FAILED || mprotect(co->map, 4096, PROT_NONE) != 0) {
        die("cannot map a stack");
    }
    co->plugin = p;
    co->seed = seed;
}

static int coroutine_run(struct coroutine *co, struct job *j)
{
    uintptr_t self = (uintptr_t)co;

    co->job = j;
    getcontext(&co->self);
    co->self.uc_stack.ss_sp = co->map + 4096;
    co->self.uc_stack.ss_size = STACK_BYTES;
    co->self.uc_link = &co->host;
    makecontext(&co->self, (void (*)(void))coroutine_main, 2, (unsigned)(self >> 32), (unsigned)self);
    swapcontext(&co->host, &co->self);
    return co->code;
}

/* Fluent Bit keeps the signal that ends it here, where plugins can see it. */
volatile sig_atomic_t exit_signal;

static void chunk_done(struct job *j)
{
    if (--j->chunk->refs == 0) {
        free(j->chunk->tag);
        free(j->chunk->data);
        free(j->chunk);
    }
    free(j);
}

static void push(struct engine *e, struct job *j)
{
    j->next = NULL;
    *e->jobs_tail = j;
    e->jobs_tail = &j->next;
    pthread_cond_broadcast(&e->changed);
}

/* pop returns a job that is due, or NULL and when the next one will be. */
static struct job *pop(struct engine *e, double *due)
{
    struct job **at, *j;
    double now = now_seconds();

    *due = now + 1;
    for (at = &e->jobs; (j = *at) != NULL; at = &j->next) {
        if (j->due <= now || exit_signal != 0) {
            *at = j->next;
            if (e->jobs_tail == &j->next) {
                e->jobs_tail = at;
            }
            e->busy++;
            return j;
        }
        if (j->due < *due) {
            *due = j->due;
        }
    }
    return NULL;
}

static void wait_until(struct engine *e, double due)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    due -= now_seconds();
    if (due < 0.001) {
        due = 0.001;
    }
    t.tv_sec += (time_t)due;
    t.tv_nsec += (long)((due - (double)(time_t)due) * 1e9);
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&e->changed, &e->mu, &t);
}

/* mu is locked on entry and on return. */
static void flush(struct engine *e, struct coroutine *co, struct job *j)
{
    struct totals *t = &e->totals;
    double begun, took, wait;
    int code;

    pthread_mutex_unlock(&e->mu);
    begun = now_seconds();
    code = coroutine_run(co, j);
    took = now_seconds() - begun;
    pthread_mutex_lock(&e->mu);
    e->busy--;
    if (took > t->longest) {
        t->longest = took;
    }
    if (code == 2 && exit_signal != 0) {
        t->left++; /* nobody hears of it any more */
        chunk_done(j);
        return;
    }
    if (code == 2 && (e->retry_limit < 0 || j->attempts < e->retry_limit)) {
        t->retried++;
        wait = e->retry_ms * 1e-3 * (1 << (j->attempts < 5 ? j->attempts : 5));
        j->attempts++;
        j->due = now_seconds() + wait * (0.5 + (double)rand_r(&co->seed) / RAND_MAX / 2);
        push(e, j);
        return;
    }
    if (code == 1) {
        t->ok++;
    } else {
        t->dropped++; /* error, an unknown code, or too many attempts */
    }
    e->queued_bytes -= j->chunk->size;
    chunk_done(j);
    pthread_cond_broadcast(&e->changed);
}

static void *worker(void *arg)
{
    struct engine *e = arg;
    struct coroutine co;
    struct job *j;
    double due;

    host_thread = 1;
    coroutine_new(&co, e->plugin, (unsigned)(uintptr_t)&co);
    pthread_mutex_lock(&e->mu);
    while (!e->stop) {
        j = pop(e, &due);
        if (j != NULL) {
            flush(e, &co, j);
        } else {
            wait_until(e, due);
        }
    }
    pthread_mutex_unlock(&e->mu);
    munmap(co.map, STACK_BYTES + 4096);
    return NULL;
}

void engine_start(struct engine *e)
{
    int i;

    pthread_mutex_init(&e->mu, NULL);
    pthread_cond_init(&e->changed, NULL);
    e->jobs = NULL;
    e->jobs_tail = &e->jobs;
    e->stop = e->fed = e->busy = 0;
    e->queued_bytes = 0;
    e->threads = must(calloc((size_t)e->workers + 1, sizeof(*e->threads)));
    for (i = 0; i < e->workers; i++) {
        if (pthread_create(&e->threads[i], NULL, worker, e) != 0) {
            die("cannot start a thread");
        }
    }
}

/* work flushes on the calling thread until there is room, or (all) nothing is left.
 * With workers it only waits. */
static void work(struct engine *e, int all, double until)
{
    static struct coroutine co;
    struct job *j = NULL;
    double due, said = now_seconds();

    if (co.map == NULL) {
        coroutine_new(&co, e->plugin, 1);
    }
    co.plugin = e->plugin;
    while (all ? e->jobs != NULL || e->busy > 0 : e->queued_bytes > MAX_QUEUED_BYTES) {
        if (until > 0 && now_seconds() > until) {
            return;
        }
        due = now_seconds() + 0.2;
        if (e->workers == 0 && (j = pop(e, &due)) != NULL) {
            flush(e, &co, j);
        } else {
            wait_until(e, due);
        }
        if (e->progress && now_seconds() - said >= 1) {
            said = now_seconds();
            fprintf(stderr, "chunks %llu ok %llu retried %llu dropped %llu\n", (unsigned long long)e->totals.chunks,
                (unsigned long long)e->totals.ok, (unsigned long long)e->totals.retried, (unsigned long long)e->totals.dropped);
        }
    }
}

void engine_emit(void *arg, struct chunk *c)
{
    struct engine *e = arg;
    int i;

    pthread_mutex_lock(&e->mu);
    c->refs = e->instance_count;
    e->totals.events += c->events;
    e->totals.bytes += c->size;
    for (i = 0; i < e->instance_count; i++) {
        struct job *j = must(calloc(1, sizeof(*j)));

        j->chunk = c;
        j->instance = &e->instances[i];
        e->totals.chunks++;
        e->queued_bytes += c->size;
        push(e, j);
    }
    work(e, 0, 0);
    pthread_mutex_unlock(&e->mu);
}

void engine_finish(struct engine *e)
{
    struct job *j, *next;
    int i;

    pthread_mutex_lock(&e->mu);
    work(e, 1, e->max_seconds > 0 ? now_seconds() + e->max_seconds : 0);
    if (e->jobs != NULL || e->busy > 0) {
        /* The time is over. As in Fluent Bit, workers go through all that waits for them. */
        exit_signal = SIGTERM;
        work(e, 1, 0);
    }
    e->stop = 1;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->mu);
    for (i = 0; i < e->workers; i++) {
        pthread_join(e->threads[i], NULL);
    }
    for (j = e->jobs; j != NULL; j = next) {
        next = j->next;
        e->totals.left++;
        chunk_done(j);
    }
    e->jobs = NULL;
    free(e->threads);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->mu);
}
