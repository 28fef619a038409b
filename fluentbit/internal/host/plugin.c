/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The host's half of the plugin interface. The layouts are written down again here,
 * from Fluent Bit 5.1.1, and not taken from the plugin: a mistake there would
 * otherwise be the same on both sides.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "host.h"

struct config_map {
    int type;
    char *name, *def_value;
    int flags, set_property;
    uintptr_t offset;
    char *desc;
    struct {
        union { int i; double d; size_t s; void *p; } val;
        char *raw;
        void *mult;
        struct { void *prev, *next; } head;
    } value;
    struct { void *prev, *next; } head;
};

_Static_assert(sizeof(struct config_map) == 104, "layout of flb_config_map");

struct proxy_def {
    int type, proxy, flags;
    char *name, *description;
    int event_type;
    struct config_map *config_map;
};

_Static_assert(sizeof(struct proxy_def) == 48, "layout of flb_plugin_proxy_def");

struct api {
    char *(*output_get_property)(char *, void *);
    char *(*input_get_property)(char *, void *);
    void *(*output_get_cmt_instance)(void *);
    void *(*input_get_cmt_instance)(void *);
    void (*log_print)(int, const char *, int, const char *, ...);
    int (*input_log_check)(void *, int);
    int (*output_log_check)(void *, int);
    char *(*custom_get_property)(char *, void *);
    int (*custom_log_check)(void *, int);
};

struct output_plugin {
    char *name;
    struct api *api;
    void *o_ins;
    void *context;
    void *callbacks[6];
};

__thread int host_thread;
int foreign_lines;
const char *metrics_path;

static const char *levels[] = {"help", "error", " warn", " info", "debug", "trace"};

static void vlog(int level, const char *fmt, va_list ap)
{
    char line[4096];

    if (!host_thread) {
        __atomic_add_fetch(&foreign_lines, 1, __ATOMIC_RELAXED);
    }
    vsnprintf(line, sizeof(line), fmt, ap);
    fprintf(stderr, "[%s] %s\n", levels[level >= 0 && level <= 5 ? level : 3], line);
}

void host_log(int level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vlog(level, fmt, ap);
    va_end(ap);
}

static void api_log_print(int level, const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    (void)file, (void)line;
    va_start(ap, fmt);
    vlog(level, fmt, ap);
    va_end(ap);
}

/* The first of equal keys counts; an empty value is no value. */
static char *api_get_property(char *key, void *o_ins)
{
    struct instance *in = o_ins;
    int i;

    for (i = 0; i < in->prop_count; i++) {
        if (strcasecmp(in->props[i].key, key) == 0 && !host_level_key(key)) {
            return in->props[i].value[0] ? (char *)in->props[i].value : NULL;
        }
    }
    return NULL;
}

static int api_log_check(void *o_ins, int level)
{
    return level <= ((struct instance *)o_ins)->log_level;
}

static char *no_property(char *key, void *ins)
{
    (void)key, (void)ins;
    return NULL;
}

static void *no_metrics(void *ins)
{
    (void)ins;
    return NULL;
}

static void *api_get_metrics(void *o_ins)
{
    return ((struct instance *)o_ins)->cmt;
}

static struct api api = {
    api_get_property, no_property, api_get_metrics, no_metrics, api_log_print,
    api_log_check, api_log_check, no_property, api_log_check,
};

/* Keys that the host takes for itself; a plugin never sees them. */
int host_level_key(const char *key)
{
    static const char *keys[] = {"match", "match_regex", "alias", "log_level", "log_suppress_interval", "host", "port",
        "ipv6", "retry_limit", "workers", "storage.total_limit_size", "name", "tls"};
    size_t i;

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcasecmp(key, keys[i]) == 0) {
            return 1;
        }
    }
    return strncasecmp(key, "net.", 4) == 0 || strncasecmp(key, "tls.", 4) == 0 || strncasecmp(key, "oauth2", 6) == 0;
}

/* The definition lies at the end of its memory, and behind it is none: whatever is
 * written past it ends the process. The allocator of the host knows its size to the
 * byte, as that of Fluent Bit does for the sizes of the older layouts. */
static void *def_memory;
static size_t def_bytes;

static void *def_new(size_t size)
{
    unsigned char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || mprotect(p + 4096, 4096, PROT_NONE) != 0) {
        die("cannot map memory");
    }
    def_memory = p + 4096 - size;
    def_bytes = size;
    return def_memory;
}

static void def_free(void *def)
{
    munmap((void *)((uintptr_t)def & ~(uintptr_t)4095), 8192);
}

/* What the plugin asks for the size. */
size_t malloc_usable_size(void *p)
{
    static size_t (*real)(void *);

    if (p == def_memory) {
        return def_bytes;
    }
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "malloc_usable_size");
    }
    return real(p);
}

static void *symbol(struct plugin *p, const char *name)
{
    return dlsym(p->dso, name);
}

struct plugin *plugin_load(const char *path, size_t def_size, int reloading)
{
    struct plugin *p = must(calloc(1, sizeof(*p)));
    struct proxy_def *def = def_new(def_size);
    int (*pre)(int), (*reg)(void *);

    p->dso = dlopen(path, RTLD_LAZY);
    if (p->dso == NULL) {
        die("cannot load %s: %s", path, dlerror());
    }
    p->def = def;
    p->def_size = def_size;
    def->type = 2;
    pre = (int (*)(int))symbol(p, "FLBPluginPreRegister");
    if (pre != NULL && pre(reloading) == -1) {
        die("FLBPluginPreRegister failed");
    }
    reg = (int (*)(void *))symbol(p, "FLBPluginRegister");
    if (reg == NULL || reg(def) == -1) {
        die("FLBPluginRegister is missing or failed");
    }
    if (def->type != 2 || def->proxy != 11) {
        die("not a Go output plugin: type %d, proxy %d", def->type, def->proxy);
    }
    if (def_size > offsetof(struct proxy_def, event_type) && def->event_type != 0 && def->event_type != 1) {
        die("not for logs: event type %d", def->event_type);
    }
    p->name = must(strdup(def->name));
    p->flush = (int (*)(void *, const void *, size_t, const char *))symbol(p, "FLBPluginFlushCtx");
    if (symbol(p, "FLBPluginInit") == NULL || p->flush == NULL) {
        die("FLBPluginInit or FLBPluginFlushCtx is missing");
    }
    return p;
}

int plugin_check(struct plugin *p, struct instance *in)
{
    struct proxy_def *def = p->def;
    struct config_map *m, *map = NULL;
    int i, j, bad = 0;

    for (i = 0; i < in->prop_count; i++) {
        const char *key = in->props[i].key;

        if (strcasecmp(key, "tls") == 0 && strcasecmp(in->props[i].value, "off") != 0) {
            host_log(1, "[config] %s does not support TLS", p->name);
            bad = 1;
        }
    }
    /* Hosts before 5.1.1 have a shorter def; their allocation says so. */
    if (p->def_size >= sizeof(*def)) {
        map = def->config_map;
    }
    if (map == NULL) {
        return bad ? -1 : 0;
    }
    for (i = 0; i < in->prop_count; i++) {
        const char *key = in->props[i].key;

        if (host_level_key(key)) {
            continue;
        }
        for (m = map; m->name != NULL && strcasecmp(m->name, key) != 0; m++) {
        }
        if (m->name == NULL) {
            host_log(1, "[config] %s: unknown configuration property '%s'", p->name, key);
            bad = 1;
        }
        for (j = 0; j < i; j++) {
            if (strcasecmp(in->props[j].key, key) == 0) {
                host_log(1, "[config] %s: configuration property '%s' is set more than once", p->name, key);
                bad = 1;
            }
        }
    }
    return bad ? -1 : 0;
}

void plugin_list(struct plugin *p)
{
    struct proxy_def *def = p->def;
    struct config_map *m;

    printf("%s: %s\n", p->name, def->description);
    for (m = p->def_size >= sizeof(*def) ? def->config_map : NULL; m != NULL && m->name != NULL; m++) {
        printf("%s\t%d\t%s\t%s\n", m->name, m->type, m->def_value ? m->def_value : "", m->desc ? m->desc : "");
    }
}

int plugin_init(struct plugin *p, struct instance *in)
{
    /* One for the whole library, as in the host: what Init keeps of it is stale
     * when the next instance is initialised. */
    static struct output_plugin out;
    int (*init)(void *) = (int (*)(void *))symbol(p, "FLBPluginInit");
    int rc;

    in->context = must(calloc(1, sizeof(*in->context)));
    in->cmt = metrics_new();
    out.name = p->name;
    out.api = &api;
    out.o_ins = in;
    out.context = in->context;
    rc = init(&out);
    memset(&out, 0, sizeof(out));
    if (rc <= 0) {
        host_log(1, "[go proxy]: plugin '%s' failed to initialize", p->name);
        return -1;
    }
    return 0;
}

/* in->context is NULL for an instance that was never initialised; the host then
 * calls with NULL. */
void plugin_exit(struct plugin *p, struct instance *in, int reloading)
{
    void (*pre)(int) = (void (*)(int))symbol(p, "FLBPluginOutputPreExit");
    int (*exit_ctx)(void *) = (int (*)(void *))symbol(p, "FLBPluginExitCtx");

    if (pre != NULL) {
        pre(reloading);
    }
    if (exit_ctx != NULL) {
        exit_ctx(in->context ? in->context->remote_context : NULL);
    }
    free(in->context);
    in->context = NULL;
    if (in->cmt != NULL) {
        metrics_end(in->cmt, metrics_path); /* the host, too, frees it right after the exit */
        in->cmt = NULL;
    }
}

void plugin_unregister(struct plugin *p)
{
    void (*unregister)(void *) = (void (*)(void *))symbol(p, "FLBPluginUnregister");

    if (unregister != NULL) {
        unregister(p->def);
    }
    def_free(p->def);
    free(p->name);
    dlclose(p->dso);
    free(p);
}
