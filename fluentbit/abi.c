/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The functions that Fluent Bit looks up. They are C, not Go, for two reasons.
 * A flush runs on a small coroutine stack of the host, where Go must not run; and
 * in a process that the host forked after loading the plugin ("daemon on") the Go
 * runtime has lost its threads, so that every call into it would hang.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

/* Implemented in Go (main.go); called on ordinary stacks only. */
extern int kplRegister(struct kpl_def *def);
extern int kplInit(struct kpl_plugin *plugin, struct kpl_instance *in);
extern void kplExit(struct kpl_instance *in);

static pid_t load_pid;

__attribute__((constructor)) static void remember_pid(void)
{
    load_pid = getpid();
}

KPL_EXPORT int FLBPluginRegister(struct kpl_def *def)
{
    if (def == NULL || getpid() != load_pid) {
        return -1;
    }
    return kplRegister(def);
}

KPL_EXPORT int FLBPluginInit(struct kpl_plugin *plugin)
{
    struct kpl_instance *in;

    if (getpid() != load_pid) {
        plugin->api->log_print(KPL_LOG_ERROR, NULL, 0, "%s",
            "[output:kpl] cannot start: the process was forked after the plugin was loaded, which the Go "
            "runtime does not survive; switch off 'daemon' (or -d) and let a supervisor run Fluent Bit");
        return -1;
    }
    in = kpl_instance_new(plugin);
    if (in == NULL) {
        return -1;
    }
    in->number = kpl_output_take();
    if (kplInit(plugin, in) != KPL_OK) {
        kpl_output_give(in->number);
        kpl_instance_free(in);
        return -1;
    }
    plugin->context->remote_context = in;
    return KPL_OK;
}

KPL_EXPORT int FLBPluginFlushCtx(void *ctx, const void *data, size_t size, const char *tag)
{
    if (ctx == NULL || getpid() != load_pid) {
        return KPL_RETRY;
    }
    return kpl_flush(ctx, data, size, tag);
}

/* The host passes NULL for an instance that was never initialised: after
 * --dry-run, and when a hot reload is refused because of another plugin. */
KPL_EXPORT int FLBPluginExitCtx(void *ctx)
{
    if (ctx != NULL && getpid() == load_pid) {
        kpl_output_give(((struct kpl_instance *)ctx)->number);
        kplExit(ctx);
    }
    return KPL_OK;
}

KPL_EXPORT void FLBPluginUnregister(struct kpl_def *def)
{
    if (def != NULL) {
        free(def->name);
        free(def->description);
        def->name = NULL;
        def->description = NULL;
    }
}

/* kpl_fill_def writes no further than the host's allocation reaches: hosts before
 * 5.0.0 have no event_type, hosts before 5.1.1 no config_map. malloc here is the
 * host's malloc, so it knows the size. A size class that is larger than the
 * struct only means that the host does not look at what is written there. */
void kpl_fill_def(struct kpl_def *def, const char *name, const char *description, struct kpl_option *map)
{
    size_t room = malloc_usable_size(def);

    def->type = 2;   /* output */
    def->proxy = 11; /* Go */
    def->flags = 0;
    def->name = strdup(name);
    def->description = strdup(description);
    if (room >= offsetof(struct kpl_def, config_map)) {
        def->event_type = 1; /* logs */
    }
    if (room >= sizeof(struct kpl_def)) {
        def->config_map = map;
    }
}

/* kpl_option_map returns the one map of this process, with all entries zero when
 * it is new. The host keeps pointers into it, so it is never freed; the library
 * itself is never unloaded either. */
struct kpl_option *kpl_option_map(int count)
{
    static struct kpl_option *map;

    if (map == NULL) {
        map = calloc((size_t)count + 1, sizeof(*map));
    }
    return map;
}

char *kpl_property(struct kpl_plugin *plugin, const char *key)
{
    return plugin->api->output_get_property((char *)key, plugin->o_ins);
}

/* The alias of an output, or its name in the host such as kpl.0. The plugin interface has
 * none, but the host's executable exports a function for it (flb_output_name, 1.9 to 5.1.1,
 * checked 2026-11-29). NULL where it does not. */
const char *kpl_output_name(struct kpl_instance *in)
{
    const char *(*name)(void *o_ins);
    void *f = dlsym(RTLD_DEFAULT, "flb_output_name");

    memcpy(&name, &f, sizeof(name));
    return name == NULL ? NULL : name(in->o_ins);
}

/* The host tells its plugins nothing of its end before the last flush is over. But its
 * program keeps the signal that ends it in a variable of its own, exit_signal, which is 0
 * until then (src/fluent-bit.c at 5.1.1, checked 2026-11-29) and which it exports, as it
 * exports everything. Reading it changes nothing for the host. A program without it is
 * taken for one that never ends. */
static volatile sig_atomic_t *exit_signal_of_host;

__attribute__((constructor)) static void find_exit_signal(void)
{
    exit_signal_of_host = dlsym(RTLD_DEFAULT, "exit_signal");
}

int kpl_stop_known(void)
{
    return exit_signal_of_host != NULL;
}

int kpl_stopping(void)
{
    return exit_signal_of_host != NULL && *exit_signal_of_host != 0;
}
