/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The binary interface between Fluent Bit and a Go output plugin, and the
 * passing of flushes to Go. The layouts are those of Fluent Bit 5.1.1 on 64-bit
 * systems (include/fluent-bit/flb_plugin_proxy.h, flb_api.h, flb_config_map.h and
 * src/proxy/go/go.h, checked 2026-11-24); older hosts have a prefix of them.
 */
#ifndef KPL_SHIM_H
#define KPL_SHIM_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KPL_EXPORT __attribute__((visibility("default")))

/* Answers to a flush. */
enum { KPL_ERROR = 0, KPL_OK = 1, KPL_RETRY = 2 };

/* Log levels of the host. */
enum { KPL_LOG_ERROR = 1, KPL_LOG_WARN, KPL_LOG_INFO, KPL_LOG_DEBUG, KPL_LOG_TRACE };

/* Kinds of metrics, and the most labels of one. */
enum { KPL_COUNTER = 0, KPL_GAUGE, KPL_HISTOGRAM };
#define KPL_MAX_LABELS 4

struct kpl_api {
    char *(*output_get_property)(char *key, void *o_ins);
    char *(*input_get_property)(char *key, void *i_ins);
    void *(*output_get_cmt_instance)(void *o_ins);
    void *(*input_get_cmt_instance)(void *i_ins);
    void (*log_print)(int level, const char *file, int line, const char *fmt, ...);
    int (*input_log_check)(void *i_ins, int level);
    int (*output_log_check)(void *o_ins, int level);
    char *(*custom_get_property)(char *key, void *c_ins);
    int (*custom_log_check)(void *c_ins, int level);
};

struct kpl_option {           /* struct flb_config_map */
    int type;
    char *name;
    char *def_value;
    int flags;
    int set_property;
    uintptr_t offset;
    char *desc;
    void *value[5];
    void *head[2];
};

struct kpl_def {              /* struct flb_plugin_proxy_def */
    int type;
    int proxy;
    int flags;
    char *name;
    char *description;
    int event_type;                /* since 5.0.0 */
    struct kpl_option *config_map; /* since 5.1.1 */
};

struct kpl_plugin {           /* struct flbgo_output_plugin, the public part */
    char *name;
    struct kpl_api *api;
    void *o_ins;
    struct { void *remote_context; } *context;
};

/* A flush that waits for its answer. It lives on the stack of the waiting thread. */
struct kpl_request {
    const void *data;
    size_t size;
    const char *tag;
    int code;
    int done;
    pthread_cond_t wake;
    struct kpl_request *next_queued;
    struct kpl_request *prev_waiting, *next_waiting;
};

struct kpl_line {
    struct kpl_line *next;
    int level;
    char text[];
};

/* One output instance of the host. mu guards everything below it. */
struct kpl_instance {
    struct kpl_api api;       /* a copy: the host overwrites its own between instances */
    void *o_ins;
    pid_t init_thread;
    uintptr_t handle;         /* of the Go side */
    int number;               /* among the outputs of this plugin */

    pthread_mutex_t mu;
    pthread_cond_t work;      /* something queued, or closed */
    pthread_cond_t ended;     /* workers became 0 */
    struct kpl_request *queue, **queue_tail;
    struct kpl_request *waiting;
    int queued, flushes;
    int workers, coming, parked;
    int closed, warned;
    struct kpl_line *lines, **lines_tail;
    int line_count;
};

/* abi.c */
void kpl_fill_def(struct kpl_def *def, const char *name, const char *description, struct kpl_option *map);
struct kpl_option *kpl_option_map(int count);
char *kpl_property(struct kpl_plugin *plugin, const char *key);
const char *kpl_output_name(struct kpl_instance *in);
int kpl_stop_known(void); /* whether kpl_stopping can tell */
int kpl_stopping(void);

/* pool.c */
struct kpl_instance *kpl_instance_new(struct kpl_plugin *plugin);
void kpl_instance_free(struct kpl_instance *in);
int kpl_flush(struct kpl_instance *in, const void *data, size_t size, const char *tag);
struct kpl_request *kpl_next(struct kpl_instance *in, int *spare);
void kpl_answer(struct kpl_instance *in, struct kpl_request *req, int code);
void kpl_close(struct kpl_instance *in);

/* log.c */
int kpl_log_enabled(struct kpl_instance *in, int level);
int kpl_log(struct kpl_instance *in, int level, const char *text);
void kpl_log_drain(struct kpl_instance *in);
pid_t kpl_thread(void);

/* metrics.c */
struct kpl_registry;
int kpl_output_take(void);
void kpl_output_give(int number);
struct kpl_registry *kpl_registry_new(struct kpl_instance *in); /* NULL: the host has none; else free() */
void *kpl_family(struct kpl_registry *b, int kind, char *name, char *help, int n, char *keys, double *bounds, size_t bound_count);
void kpl_set(struct kpl_registry *b, int kind, void *family, uint64_t time, double v, int n, char *values);
void kpl_set_histogram(struct kpl_registry *b, void *family, uint64_t time, uint64_t *counts, double sum, uint64_t count, int n, char *values);

#endif
