/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The functions of the host's metrics library that the plugin looks up, under the
 * host's names and with its signatures: enough to keep values and to write them
 * down at the end. An executable linked with -rdynamic exports them as Fluent Bit
 * does; without, a plugin does not find them, as in a host that hides them.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

#define MAX_LABELS 8
#define MAX_FAMILIES 128

struct series {
    char *labels[MAX_LABELS];
    double value, sum;
    uint64_t *counts;
    struct series *next;
};

struct cmt_buckets {
    size_t count;
    double *bounds;
};

struct cmt_family {
    char name[256], *help;
    const char *type;
    int label_count;
    char *keys[MAX_LABELS];
    struct cmt_buckets *buckets;
    struct series *series;
    struct cmt_family *next;
};

struct cmt {
    struct cmt_family *families;
    struct cmt *next;
};

/* Guards all values against the thread of metrics_keep. */
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static struct cmt *all;

struct cmt *metrics_new(void)
{
    struct cmt *c = must(calloc(1, sizeof(*c)));

    pthread_mutex_lock(&mu);
    c->next = all;
    all = c;
    pthread_mutex_unlock(&mu);
    return c;
}

/* The host cannot put outputs together whose metrics of one name differ in their labels,
 * and then shows none at all. */
static void same_labels(const char *name, int n)
{
    static struct { char name[256]; int n; } known[MAX_FAMILIES];
    int i;

    for (i = 0; i < MAX_FAMILIES && known[i].name[0] != '\0'; i++) {
        if (strcmp(known[i].name, name) == 0) {
            if (known[i].n != n) {
                die("metric %s: %d labels, but %d in another output", name, n, known[i].n);
            }
            return;
        }
    }
    if (i < MAX_FAMILIES) {
        snprintf(known[i].name, sizeof(known[i].name), "%s", name);
        known[i].n = n;
    }
}

static struct cmt_family *family(struct cmt *c, const char *type, char *ns, char *subsystem, char *name, char *help,
    struct cmt_buckets *buckets, int n, char **keys)
{
    struct cmt_family *f = must(calloc(1, sizeof(*f)));
    int i;

    if (n > MAX_LABELS || help[0] == '\0') {
        die("metric %s: %d labels, or no help text", name, n);
    }
    snprintf(f->name, sizeof(f->name), "%s_%s%s%s", ns, subsystem, subsystem[0] ? "_" : "", name);
    same_labels(f->name, n);
    f->help = must(strdup(help));
    f->type = type;
    f->buckets = buckets;
    f->label_count = n;
    for (i = 0; i < n; i++) {
        f->keys[i] = must(strdup(keys[i]));
    }
    pthread_mutex_lock(&mu);
    f->next = c->families;
    c->families = f;
    pthread_mutex_unlock(&mu);
    return f;
}

static struct series *series(struct cmt_family *f, int n, char **values)
{
    struct series *s;
    int i;

    if (n != f->label_count) {
        die("metric %s: %d label values for %d labels", f->name, n, f->label_count);
    }
    for (s = f->series; s != NULL; s = s->next) {
        for (i = 0; i < n && strcmp(s->labels[i], values[i]) == 0; i++) {
        }
        if (i == n) {
            return s;
        }
    }
    s = must(calloc(1, sizeof(*s)));
    for (i = 0; i < n; i++) {
        s->labels[i] = must(strdup(values[i]));
    }
    if (f->buckets != NULL) {
        s->counts = must(calloc(f->buckets->count + 1, sizeof(uint64_t)));
    }
    s->next = f->series;
    f->series = s;
    return s;
}

void *cmt_counter_create(struct cmt *c, char *ns, char *subsystem, char *name, char *help, int n, char **keys)
{
    return family(c, "counter", ns, subsystem, name, help, NULL, n, keys);
}

void *cmt_gauge_create(struct cmt *c, char *ns, char *subsystem, char *name, char *help, int n, char **keys)
{
    return family(c, "gauge", ns, subsystem, name, help, NULL, n, keys);
}

struct cmt_buckets *cmt_histogram_buckets_create_size(double *bounds, size_t count)
{
    struct cmt_buckets *b = must(calloc(1, sizeof(*b)));

    b->count = count;
    b->bounds = must(calloc(count, sizeof(double)));
    memcpy(b->bounds, bounds, count * sizeof(double));
    return b;
}

void *cmt_histogram_create(struct cmt *c, char *ns, char *subsystem, char *name, char *help, struct cmt_buckets *b, int n, char **keys)
{
    return family(c, "histogram", ns, subsystem, name, help, b, n, keys);
}

int cmt_counter_set(struct cmt_family *f, uint64_t time, double v, int n, char **values)
{
    struct series *s;

    (void)time;
    pthread_mutex_lock(&mu);
    s = series(f, n, values);
    if (v < s->value) {
        die("counter %s goes down", f->name);
    }
    s->value = v;
    pthread_mutex_unlock(&mu);
    return 0;
}

int cmt_gauge_set(struct cmt_family *f, uint64_t time, double v, int n, char **values)
{
    (void)time;
    pthread_mutex_lock(&mu);
    series(f, n, values)->value = v;
    pthread_mutex_unlock(&mu);
    return 0;
}

int cmt_histogram_set_default(struct cmt_family *f, uint64_t time, uint64_t *counts, double sum, uint64_t count, int n, char **values)
{
    struct series *s;

    (void)time;
    pthread_mutex_lock(&mu);
    s = series(f, n, values);
    memcpy(s->counts, counts, (f->buckets->count + 1) * sizeof(uint64_t));
    s->sum = sum;
    s->value = (double)count;
    pthread_mutex_unlock(&mu);
    return 0;
}

static void labels(FILE *to, struct cmt_family *f, struct series *s, const char *more)
{
    int i;

    fputc('{', to);
    for (i = 0; i < f->label_count; i++) {
        if (s->labels[i][0] != '\0') { /* an empty one is as good as none */
            fprintf(to, "%s%s=\"%s\"", i ? "," : "", f->keys[i], s->labels[i]);
        }
    }
    fprintf(to, "%s%s}", f->label_count && more[0] ? "," : "", more);
}

static void write_series(FILE *to, struct cmt_family *f, struct series *s)
{
    char le[64];
    size_t i;

    for (i = 0; f->buckets != NULL && i <= f->buckets->count; i++) {
        if (i < f->buckets->count) {
            snprintf(le, sizeof(le), "le=\"%g\"", f->buckets->bounds[i]);
        } else {
            snprintf(le, sizeof(le), "le=\"+Inf\"");
        }
        fprintf(to, "%s_bucket", f->name);
        labels(to, f, s, le);
        fprintf(to, " %llu\n", (unsigned long long)s->counts[i]);
    }
    if (f->buckets != NULL) {
        fprintf(to, "%s_sum", f->name);
        labels(to, f, s, "");
        fprintf(to, " %.17g\n", s->sum);
    }
    fprintf(to, "%s%s", f->name, f->buckets ? "_count" : "");
    labels(to, f, s, "");
    fprintf(to, " %.17g\n", s->value);
}

/* A reader of the file sees all of it or that of a second ago. */
static void *keep(void *arg)
{
    const char *path = arg;
    char new[4096];

    snprintf(new, sizeof(new), "%s.new", path);
    for (;; sleep(1)) {
        FILE *to = fopen(new, "w");
        struct cmt *c;
        struct cmt_family *f;
        struct series *s;

        if (to == NULL) {
            die("%s: cannot be written", new);
        }
        pthread_mutex_lock(&mu);
        for (c = all; c != NULL; c = c->next) {
            for (f = c->families; f != NULL; f = f->next) {
                for (s = f->series; s != NULL; s = s->next) {
                    write_series(to, f, s);
                }
            }
        }
        pthread_mutex_unlock(&mu);
        if (fclose(to) != 0 || rename(new, path) != 0) {
            die("%s: cannot be written", path);
        }
    }
    return NULL;
}

void metrics_keep(const char *path)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, keep, (void *)path) != 0) {
        die("no thread for the metrics");
    }
    pthread_detach(thread);
}

/* Writes everything down and frees it. Whatever is set later is a use after free,
 * as it would be in the host. */
void metrics_end(struct cmt *c, const char *path)
{
    FILE *to = path ? fopen(path, "a") : NULL;
    struct cmt **at;
    struct cmt_family *f, *next;
    struct series *s, *after;
    int i;

    pthread_mutex_lock(&mu);
    for (at = &all; *at != c; at = &(*at)->next) {
    }
    *at = c->next;
    pthread_mutex_unlock(&mu);
    for (f = c->families; f != NULL; f = next) {
        for (s = f->series; s != NULL; s = after) {
            if (to != NULL) {
                write_series(to, f, s);
            }
            for (i = 0; i < f->label_count; i++) {
                free(s->labels[i]);
            }
            after = s->next;
            free(s->counts);
            free(s);
        }
        for (i = 0; i < f->label_count; i++) {
            free(f->keys[i]);
        }
        if (f->buckets != NULL) {
            free(f->buckets->bounds);
            free(f->buckets);
        }
        next = f->next;
        free(f->help);
        memset(f, 0xa5, sizeof(*f));
        free(f);
    }
    if (to != NULL) {
        fclose(to);
    }
    memset(c, 0xff, sizeof(*c));
    free(c);
}
