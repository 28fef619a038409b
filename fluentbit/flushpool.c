/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The pool of flushes, from the host's threads to Go.
 *
 * Each instance has its own workers. A worker is a goroutine inside kpl_next,
 * blocked in pthread_cond_wait. A flush queues a request, wakes a worker and
 * sleeps until the answer is there. For each queued request, and one more, a worker
 * is parked or coming (just started, or on its way back from an answer): the one
 * that takes a request and leaves fewer behind is told to start another (*spare).
 * So no flush ever waits for one that is under way, and there are never more
 * workers than the largest number of flushes at one time and one.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

/* No host comes near; above it a flush is sent back for a later attempt. */
#define KPL_MAX_FLUSHES 1024

struct kpl_instance *kpl_instance_new(struct kpl_plugin *plugin)
{
    struct kpl_instance *in = calloc(1, sizeof(*in));

    if (in == NULL) {
        return NULL;
    }
    /* Only the entries that every supported host has are copied or used. */
    memcpy(&in->api, plugin->api, offsetof(struct kpl_api, custom_get_property));
    in->o_ins = plugin->o_ins;
    in->init_thread = kpl_thread();
    pthread_mutex_init(&in->mu, NULL);
    pthread_cond_init(&in->work, NULL);
    pthread_cond_init(&in->ended, NULL);
    in->queue_tail = &in->queue;
    in->lines_tail = &in->lines;
    in->workers = 1; /* the one that Init starts */
    in->coming = 1;
    return in;
}

void kpl_instance_free(struct kpl_instance *in)
{
    kpl_log_drain(in);
    pthread_cond_destroy(&in->ended);
    pthread_cond_destroy(&in->work);
    pthread_mutex_destroy(&in->mu);
    free(in);
}

/* Runs on the host's thread, on the stack of a coroutine. */
int kpl_flush(struct kpl_instance *in, const void *data, size_t size, const char *tag)
{
    struct kpl_request req = {.data = data, .size = size, .tag = tag, .code = KPL_RETRY};
    int warn;

    pthread_mutex_lock(&in->mu);
    if (in->closed || in->flushes >= KPL_MAX_FLUSHES) {
        pthread_mutex_unlock(&in->mu);
        return KPL_RETRY;
    }
    warn = !in->warned && kpl_thread() == in->init_thread;
    in->warned |= warn;
    pthread_cond_init(&req.wake, NULL);
    *in->queue_tail = &req;
    in->queue_tail = &req.next_queued;
    in->queued++;
    req.next_waiting = in->waiting;
    if (in->waiting != NULL) {
        in->waiting->prev_waiting = &req;
    }
    in->waiting = &req;
    in->flushes++;
    pthread_cond_signal(&in->work);
    pthread_mutex_unlock(&in->mu);

    if (warn) {
        kpl_log(in, KPL_LOG_WARN,
            "flushes run on the engine thread, so that inputs and other outputs wait for Kinesis; "
            "set 'workers' of this output to 1 or more (2 to 8 fill aggregates better)");
    }

    pthread_mutex_lock(&in->mu);
    while (!req.done) {
        if (in->lines == NULL) {
            pthread_cond_wait(&req.wake, &in->mu);
            continue;
        }
        pthread_mutex_unlock(&in->mu);
        kpl_log_drain(in);
        pthread_mutex_lock(&in->mu);
    }
    if (req.prev_waiting != NULL) {
        req.prev_waiting->next_waiting = req.next_waiting;
    } else {
        in->waiting = req.next_waiting;
    }
    if (req.next_waiting != NULL) {
        req.next_waiting->prev_waiting = req.prev_waiting;
    }
    in->flushes--;
    pthread_mutex_unlock(&in->mu);
    kpl_log_drain(in);
    pthread_cond_destroy(&req.wake);
    return req.code;
}

/* kpl_next parks the calling worker until there is a request; NULL ends it. */
struct kpl_request *kpl_next(struct kpl_instance *in, int *spare)
{
    struct kpl_request *req;

    *spare = 0;
    pthread_mutex_lock(&in->mu);
    in->coming--;
    in->parked++;
    while (in->queue == NULL && !in->closed) {
        pthread_cond_wait(&in->work, &in->mu);
    }
    in->parked--;
    req = in->queue;
    if (req == NULL) {
        if (--in->workers == 0) {
            pthread_cond_signal(&in->ended);
        }
        pthread_mutex_unlock(&in->mu);
        return NULL;
    }
    in->queue = req->next_queued;
    if (in->queue == NULL) {
        in->queue_tail = &in->queue;
    }
    in->queued--;
    if (!in->closed && in->parked + in->coming <= in->queued) {
        *spare = 1;
        in->coming++;
        in->workers++;
    }
    pthread_mutex_unlock(&in->mu);
    return req;
}

/* After kpl_answer a worker goes straight back to kpl_next. */
void kpl_answer(struct kpl_instance *in, struct kpl_request *req, int code)
{
    pthread_mutex_lock(&in->mu);
    req->code = code;
    req->done = 1;
    in->coming++;
    /* Under the lock: the request is gone as soon as its thread sees done. */
    pthread_cond_signal(&req->wake);
    pthread_mutex_unlock(&in->mu);
}

/* kpl_close refuses new flushes, and returns when every worker has ended. */
void kpl_close(struct kpl_instance *in)
{
    pthread_mutex_lock(&in->mu);
    in->closed = 1;
    pthread_cond_broadcast(&in->work);
    while (in->workers > 0) {
        pthread_cond_wait(&in->ended, &in->mu);
    }
    pthread_mutex_unlock(&in->mu);
}
