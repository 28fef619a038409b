/* SPDX-License-Identifier: Apache-2.0 */

/*
 * flb-host: a small program that loads a Go output plugin the way Fluent Bit 5.1
 * does, for tests and measurements on machines without Fluent Bit.
 */
#ifndef KPL_HOST_H
#define KPL_HOST_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stddef.h>

/* ---- buf.c: memory and MessagePack ---- */

struct buf {
    unsigned char *p;
    size_t n, cap;
};

void *must(void *p);
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void buf_room(struct buf *b, size_t n);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_byte(struct buf *b, int c);
void mp_int(struct buf *b, int64_t v);
void mp_uint(struct buf *b, uint64_t v);
void mp_double(struct buf *b, double v);
void mp_str(struct buf *b, const void *p, size_t n);
void mp_text(struct buf *b, const char *s);
size_t mp_open(struct buf *b);                               /* reserves a head */
void mp_close(struct buf *b, size_t at, int map, uint32_t count); /* fills it in */
void mp_event_head(struct buf *b, uint32_t sec, uint32_t nsec);

/* ---- json.c ---- */

/* Appends the JSON value at *p as MessagePack and moves *p behind it. Returns 0, or
 * -1 if it is not JSON; the buffer is as before then. */
int json_to_mp(struct buf *b, const char **p, const char *end);

/* ---- sample.c ---- */

/* Appends the body of event number i of a Kubernetes-like log. */
void sample_event(struct buf *b, uint64_t seed, uint64_t i);

/* ---- feed.c: inputs to chunks ---- */

struct chunk {
    char *tag;
    unsigned char *data;
    size_t size;
    uint64_t events;
    int refs; /* instances that still have to deliver it */
};

enum format { FORMAT_AUTO, FORMAT_LINES, FORMAT_JSON, FORMAT_RAW };

struct input {
    const char *path; /* NULL: generated; "-": stdin */
    enum format format;
};

struct feed {
    struct input *inputs;
    int input_count;
    const char *tag;
    uint64_t kubernetes, seed, next; /* generated events, next number */
    int tags, repeat;
    size_t chunk_bytes;
};

/* Calls emit for each chunk of all inputs. */
void feed_run(struct feed *f, void (*emit)(void *arg, struct chunk *c), void *arg);

/* ---- metrics.c ---- */

struct cmt;
struct cmt *metrics_new(void);
void metrics_keep(const char *path); /* writes all that there are into path, each second, until the process ends */
void metrics_end(struct cmt *c, const char *path); /* writes to path, unless it is NULL */

/* ---- plugin.c: the plugin's side of the interface ---- */

struct property {
    const char *key, *value;
};

struct instance {
    struct property *props;
    int prop_count;
    int log_level;
    struct cmt *cmt;
    struct { void *remote_context; void *proxy; } *context;
};

struct plugin {
    void *dso;
    void *def;
    size_t def_size;
    char *name;
    int (*flush)(void *, const void *, size_t, const char *);
};

struct plugin *plugin_load(const char *path, size_t def_size, int reloading);
int plugin_check(struct plugin *p, struct instance *in); /* keys, as the host checks them */
void plugin_list(struct plugin *p);
int plugin_init(struct plugin *p, struct instance *in);
void plugin_exit(struct plugin *p, struct instance *in, int reloading);
void plugin_unregister(struct plugin *p);
int host_level_key(const char *key);
void host_log(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

extern __thread int host_thread; /* set on threads that the host made */
extern const char *metrics_path;  /* where metrics go at exit, or NULL */
extern int foreign_lines;        /* log lines from other threads */

/* ---- engine.c: flushes, retries ---- */

struct totals {
    uint64_t events, bytes, chunks, ok, retried, dropped, left;
    double longest; /* seconds of one flush */
};

struct engine {
    struct plugin *plugin;
    struct instance *instances;
    int instance_count;
    int workers;
    int retry_ms;
    int retry_limit; /* -1: none */
    double max_seconds;
    int progress;
    struct totals totals;

    pthread_mutex_t mu; /* guards everything below and totals */
    pthread_cond_t changed;
    struct job *jobs, **jobs_tail;
    uint64_t queued_bytes;
    int busy, fed, stop;
    pthread_t *threads;
};

void engine_start(struct engine *e);
void engine_emit(void *arg, struct chunk *c); /* takes the chunk over */
void engine_finish(struct engine *e);
double now_seconds(void);

#endif
