/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

#define MAX_WORKERS 1000

static const char usage[] =
"usage: flb-host [options] plugin.so [file...]\n"
"Loads a Go output plugin as Fluent Bit 5.1 does and feeds it chunks.\n"
"  -p KEY=VALUE         property of the output; 'workers' and 'retry_limit' are the host's\n"
"  --instance           the -p behind it are for one more output, which gets everything, too\n"
"  --tag TAG            default: file.NAME, or kube\n"
"  --format lines|json  default: json if a file begins with {\n"
"  --raw FILE           a file whose bytes are one chunk\n"
"  --kubernetes N       N generated events; --seed S, --tags K (over K tags)\n"
"  --repeat N           all inputs N times\n"
"  --chunk-bytes N      default 2048000\n"
"  --workers N          0 to 1000, default 0: flush on the engine thread\n"
"  --retry-ms N         first wait before a retry, doubled up to 5 times; default 50\n"
"  --max-seconds N      end N seconds after the last input; what waits for a worker is flushed once more, as the host does\n"
"  --reload N           exit and start again N times, each time with all inputs\n"
"  --refuse N           N reloads that are refused, while flushes are under way\n"
"  --segv               replace the handler of SIGSEGV, as the host does when it gets certain signals\n"
"  --dry-run            check the configuration only\n"
"  --fork               continue in a forked child, as 'daemon on' does\n"
"  --def-size N         bytes of the plugin definition: 48 as 5.1.1 (default), 40 as 5.0, 32 as before\n"
"  --log-level N        1 error to 5 trace; default 3\n"
"  --metrics FILE       append the metrics of each instance at its end\n"
"  --metrics-now FILE   write the metrics into FILE each second, as Prometheus reads them\n"
"  --options            print the plugin's options and end\n"
"  --progress           a line a second on stderr\n"
"A line of JSON on stdout sums up. Exit code: 0 all delivered, 1 not all, 2 wrong use, 255 refused.\n";

struct options {
    const char *path, *metrics_now;
    struct instance *instances;
    int instance_count, reload, refuse, dry_run, fork, list, segv;
    int threads, files; /* after the fifth reload */
    size_t def_size;
    struct feed feed;
    struct engine engine;
};

static struct instance *add_instance(struct options *o)
{
    struct instance *in;

    o->instances = must(realloc(o->instances, (size_t)(o->instance_count + 1) * sizeof(*in)));
    in = &o->instances[o->instance_count++];
    memset(in, 0, sizeof(*in));
    in->log_level = 3;
    return in;
}

static void add_input(struct options *o, const char *path, enum format format)
{
    struct feed *f = &o->feed;

    f->inputs = must(realloc(f->inputs, (size_t)(f->input_count + 1) * sizeof(*f->inputs)));
    f->inputs[f->input_count++] = (struct input){path, format};
}

/* A whole number of the command line. */
static int number(const char *key, const char *value, int least, int most)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(value, &end, 10);
    if (end == value || *end != '\0') {
        die("%s: \"%s\": not a whole number; allowed: %d to %d", key, value, least, most);
    }
    if (errno != 0 || n < least || n > most) {
        die("%s: \"%s\": out of range; allowed: %d to %d", key, value, least, most);
    }
    return (int)n;
}

static int retry_limit(const char *value)
{
    static const char *none[] = {"no_limits", "false", "off"};
    size_t i;

    for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        if (strcasecmp(value, none[i]) == 0) {
            return -1;
        }
    }
    return strcasecmp(value, "no_retries") == 0 ? 0 : number("retry_limit (or no_limits, no_retries)", value, 0, INT_MAX);
}

static void add_property(struct options *o, char *arg)
{
    struct instance *in = &o->instances[o->instance_count - 1];
    char *eq = strchr(arg, '=');

    if (eq == NULL) {
        die("-p %s: want KEY=VALUE", arg);
    }
    *eq = '\0';
    in->props = must(realloc(in->props, (size_t)(in->prop_count + 1) * sizeof(*in->props)));
    in->props[in->prop_count++] = (struct property){arg, eq + 1};
    if (strcasecmp(arg, "workers") == 0) {
        o->engine.workers = number(arg, eq + 1, 0, MAX_WORKERS);
    } else if (strcasecmp(arg, "retry_limit") == 0) {
        o->engine.retry_limit = retry_limit(eq + 1);
    }
}

static void parse(struct options *o, int argc, char **argv)
{
    enum format format = FORMAT_AUTO;
    int i, level = 3;

    for (i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        int used = 1;

        if (strcmp(a, "--dry-run") == 0) {
            o->dry_run = 1;
        } else if (strcmp(a, "--segv") == 0) {
            o->segv = 1;
        } else if (strcmp(a, "--fork") == 0) {
            o->fork = 1;
        } else if (strcmp(a, "--options") == 0) {
            o->list = 1;
        } else if (strcmp(a, "--progress") == 0) {
            o->engine.progress = 1;
        } else if (strcmp(a, "--instance") == 0) {
            add_instance(o);
        } else if (a[0] != '-' || a[1] == '\0') {
            if (o->path == NULL) {
                o->path = a;
            } else {
                add_input(o, a, format);
            }
        } else if (v == NULL) {
            fputs(usage, stderr);
            exit(2);
        } else {
            used = 2;
            if (strcmp(a, "-p") == 0) {
                add_property(o, argv[i + 1]);
            } else if (strcmp(a, "--tag") == 0) {
                o->feed.tag = v;
            } else if (strcmp(a, "--format") == 0) {
                format = strcmp(v, "json") == 0 ? FORMAT_JSON : FORMAT_LINES;
            } else if (strcmp(a, "--raw") == 0) {
                add_input(o, v, FORMAT_RAW);
            } else if (strcmp(a, "--kubernetes") == 0) {
                o->feed.kubernetes = strtoull(v, NULL, 10);
            } else if (strcmp(a, "--seed") == 0) {
                o->feed.seed = strtoull(v, NULL, 10);
            } else if (strcmp(a, "--tags") == 0) {
                o->feed.tags = number(a, v, 1, INT_MAX);
            } else if (strcmp(a, "--repeat") == 0) {
                o->feed.repeat = number(a, v, 1, INT_MAX);
            } else if (strcmp(a, "--chunk-bytes") == 0) {
                o->feed.chunk_bytes = strtoul(v, NULL, 10);
            } else if (strcmp(a, "--workers") == 0) {
                o->engine.workers = number(a, v, 0, MAX_WORKERS);
            } else if (strcmp(a, "--retry-ms") == 0) {
                o->engine.retry_ms = number(a, v, 0, INT_MAX);
            } else if (strcmp(a, "--max-seconds") == 0) {
                o->engine.max_seconds = atof(v);
            } else if (strcmp(a, "--reload") == 0) {
                o->reload = number(a, v, 0, INT_MAX);
            } else if (strcmp(a, "--refuse") == 0) {
                o->refuse = number(a, v, 0, INT_MAX);
            } else if (strcmp(a, "--def-size") == 0) {
                o->def_size = strtoul(v, NULL, 10);
            } else if (strcmp(a, "--metrics") == 0) {
                metrics_path = v;
            } else if (strcmp(a, "--metrics-now") == 0) {
                o->metrics_now = v;
            } else if (strcmp(a, "--log-level") == 0) {
                level = number(a, v, 0, 6);
            } else {
                fputs(usage, stderr);
                exit(2);
            }
        }
        i += used - 1;
    }
    if (o->path == NULL || o->def_size < 32 || o->def_size > 4096) {
        fputs(usage, stderr);
        exit(2);
    }
    for (i = 0; i < o->instance_count; i++) {
        o->instances[i].log_level = level;
    }
}

static int check(struct options *o, struct plugin *p)
{
    int i, bad = 0;

    for (i = 0; i < o->instance_count; i++) {
        bad |= plugin_check(p, &o->instances[i]);
    }
    return bad;
}

/* What the host does with a context that never ran: a dry run, or a reload whose
 * configuration is refused. */
static void discard(struct options *o, struct plugin *p, int reloading)
{
    int i;

    for (i = 0; i < o->instance_count; i++) {
        struct instance never = {0};

        plugin_exit(p, &never, reloading);
    }
    plugin_unregister(p);
}

static int init(struct options *o, struct plugin *p)
{
    int i;

    for (i = 0; i < o->instance_count; i++) {
        if (plugin_init(p, &o->instances[i]) != 0) {
            return -1;
        }
    }
    return 0;
}

static void leave(struct options *o, struct plugin *p, int reloading)
{
    int i;

    for (i = 0; i < o->instance_count; i++) {
        plugin_exit(p, &o->instances[i], reloading);
    }
    plugin_unregister(p);
}

/* How many entries a folder of /proc/self has. */
static int entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;

    if (d == NULL) {
        return -1;
    }
    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n;
}

static void on_segv(int sig)
{
    static const char text[] = "flb-host: caught SIGSEGV\n";

    (void)sig;
    (void)!write(2, text, sizeof(text) - 1);
    abort();
}

static int summary(struct options *o, double seconds)
{
    struct totals *t = &o->engine.totals;

    printf("{\"events\":%llu,\"bytes\":%llu,\"chunks\":%llu,\"ok\":%llu,\"retried\":%llu,\"dropped\":%llu,\"left\":%llu,"
        "\"foreign_log_lines\":%d,\"longest_flush\":%.3f,\"seconds\":%.3f,"
        "\"threads\":[%d,%d],\"files\":[%d,%d]}\n",
        (unsigned long long)t->events, (unsigned long long)t->bytes, (unsigned long long)t->chunks, (unsigned long long)t->ok,
        (unsigned long long)t->retried, (unsigned long long)t->dropped, (unsigned long long)t->left,
        __atomic_load_n(&foreign_lines, __ATOMIC_RELAXED), t->longest, seconds,
        o->threads, entries("/proc/self/task"), o->files, entries("/proc/self/fd"));
    return t->dropped > 0 || t->left > 0;
}

int main(int argc, char **argv)
{
    struct options o = {.def_size = 48, .feed = {.repeat = 1, .seed = 1, .tags = 1, .chunk_bytes = 2048000},
        .engine = {.retry_ms = 50, .retry_limit = -1}};
    struct plugin *p, *next;
    double begun;
    int round, i;

    host_thread = 1;
    add_instance(&o);
    parse(&o, argc, argv);
    p = plugin_load(o.path, o.def_size, 0);
    if (o.list) {
        plugin_list(p);
        return 0;
    }
    if (check(&o, p) != 0) {
        discard(&o, p, 0);
        return 255;
    }
    if (o.dry_run) {
        discard(&o, p, 0);
        puts("configuration test is successful");
        return 0;
    }
    if (o.fork) {
        pid_t child = fork();

        int status = 0;

        if (child != 0) {
            waitpid(child, &status, 0);
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        }
    }
    if (o.metrics_now != NULL) {
        metrics_keep(o.metrics_now);
    }
    if (init(&o, p) != 0) {
        return 255;
    }
    if (o.segv) {
        signal(SIGSEGV, on_segv);
    }
    begun = now_seconds();
    for (round = 0;; round++) {
        o.engine.plugin = p;
        o.engine.instances = o.instances;
        o.engine.instance_count = o.instance_count;
        engine_start(&o.engine);
        feed_run(&o.feed, engine_emit, &o.engine);
        for (i = 0; i < o.refuse; i++) {
            discard(&o, plugin_load(o.path, o.def_size, 1), 1);
        }
        engine_finish(&o.engine);
        if (round == 5) {
            o.threads = entries("/proc/self/task");
            o.files = entries("/proc/self/fd");
        }
        if (round == o.reload) {
            break;
        }
        /* One reload is refused first, because of something else in the new
         * configuration; then the real one, in the host's order of calls. */
        discard(&o, plugin_load(o.path, o.def_size, 1), 1);
        next = plugin_load(o.path, o.def_size, 1);
        leave(&o, p, 1);
        p = next;
        if (init(&o, p) != 0) {
            return 255;
        }
    }
    leave(&o, p, 0);
    return summary(&o, now_seconds() - begun);
}
