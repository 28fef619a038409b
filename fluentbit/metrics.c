/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Numbers for the metrics of the host. The plugin interface has the host's metrics
 * context of an output, but no functions to use it; they are taken from the host's
 * executable, which exports them (include/cmetrics/ of Fluent Bit 2.2.0 to 5.1.1,
 * the signatures are the same, checked 2026-11-24). Where one is missing there
 * are no metrics, and everything else works.
 *
 * One thread of ours calls these functions at a time. The host's engine reads at
 * the same time; values are atomic there. Series should be made in Init, before it
 * reads: the host's reader takes no lock against a new one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

struct kpl_cmt_api {
    void *(*counter_create)(void *cmt, char *ns, char *subsystem, char *name, char *help, int n, char **keys);
    void *(*gauge_create)(void *cmt, char *ns, char *subsystem, char *name, char *help, int n, char **keys);
    void *(*histogram_create)(void *cmt, char *ns, char *subsystem, char *name, char *help, void *buckets, int n, char **keys);
    void *(*buckets_create)(double *bounds, size_t count);
    int (*counter_set)(void *family, uint64_t time, double v, int n, char **values);
    int (*gauge_set)(void *family, uint64_t time, double v, int n, char **values);
    int (*histogram_set)(void *family, uint64_t time, uint64_t *counts, double sum, uint64_t count, int n, char **values);
};

struct kpl_registry {
    void *cmt;
    struct kpl_cmt_api api;
    char output[16]; /* the value of the first label */
};

#define KPL_MAX_OUTPUTS 64

/* Numbers of the outputs that exist. An output gets the same one after a reload. */
static pthread_mutex_t outputs_mu = PTHREAD_MUTEX_INITIALIZER;
static uint64_t outputs;

int kpl_output_take(void)
{
    int i;

    pthread_mutex_lock(&outputs_mu);
    for (i = 0; i < KPL_MAX_OUTPUTS - 1 && (outputs >> i & 1); i++) {
    }
    outputs |= 1ull << i;
    pthread_mutex_unlock(&outputs_mu);
    return i;
}

void kpl_output_give(int number)
{
    pthread_mutex_lock(&outputs_mu);
    outputs &= ~(1ull << number);
    pthread_mutex_unlock(&outputs_mu);
}

static int find(void *to, const char *name)
{
    void *f = dlsym(RTLD_DEFAULT, name);

    memcpy(to, &f, sizeof(f));
    return f != NULL;
}

struct kpl_registry *kpl_registry_new(struct kpl_instance *in)
{
    struct kpl_registry *b = calloc(1, sizeof(*b));

    if (b == NULL) {
        return NULL;
    }
    b->cmt = in->api.output_get_cmt_instance ? in->api.output_get_cmt_instance(in->o_ins) : NULL;
    if (b->cmt == NULL || !find(&b->api.counter_create, "cmt_counter_create") || !find(&b->api.counter_set, "cmt_counter_set") ||
        !find(&b->api.gauge_create, "cmt_gauge_create") || !find(&b->api.gauge_set, "cmt_gauge_set") ||
        !find(&b->api.histogram_create, "cmt_histogram_create") || !find(&b->api.histogram_set, "cmt_histogram_set_default") ||
        !find(&b->api.buckets_create, "cmt_histogram_buckets_create_size")) {
        free(b);
        return NULL;
    }
    snprintf(b->output, sizeof(b->output), "%d", in->number);
    return b;
}

/* split points at the n strings that lie in text one after another, behind first. */
static void split(char **to, char *first, char *text, int n)
{
    int i;

    to[0] = first;
    for (i = 1; i <= n; i++) {
        to[i] = text;
        text += strlen(text) + 1;
    }
}

void *kpl_family(struct kpl_registry *b, int kind, char *name, char *help, int n, char *keys, double *bounds, size_t bound_count)
{
    char *list[KPL_MAX_LABELS + 1];
    void *buckets;

    if (n > KPL_MAX_LABELS) {
        return NULL;
    }
    split(list, "output", keys, n);
    switch (kind) {
    case KPL_COUNTER:
        return b->api.counter_create(b->cmt, "kpl", "", name, help, n + 1, list);
    case KPL_GAUGE:
        return b->api.gauge_create(b->cmt, "kpl", "", name, help, n + 1, list);
    }
    buckets = b->api.buckets_create(bounds, bound_count);
    return buckets == NULL ? NULL : b->api.histogram_create(b->cmt, "kpl", "", name, help, buckets, n + 1, list);
}

void kpl_set(struct kpl_registry *b, int kind, void *family, uint64_t time, double v, int n, char *values)
{
    char *list[KPL_MAX_LABELS + 1];

    split(list, b->output, values, n);
    if (kind == KPL_COUNTER) {
        b->api.counter_set(family, time, v, n + 1, list);
    } else {
        b->api.gauge_set(family, time, v, n + 1, list);
    }
}

/* counts are cumulative, with the total behind the last bound. */
void kpl_set_histogram(struct kpl_registry *b, void *family, uint64_t time, uint64_t *counts, double sum, uint64_t count, int n, char *values)
{
    char *list[KPL_MAX_LABELS + 1];

    split(list, b->output, values, n);
    b->api.histogram_set(family, time, counts, sum, count, n + 1, list);
}
