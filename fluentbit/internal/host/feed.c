/* SPDX-License-Identifier: Apache-2.0 */

/* Inputs to chunks: one open chunk for each tag, closed when it is full. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

#define BASE_SECONDS 1795514400u /* event times count up from here by a millisecond */

struct open_chunk {
    char *tag;
    struct buf data;
    uint64_t events;
    struct open_chunk *next;
};

struct state {
    struct feed *f;
    void (*emit)(void *arg, struct chunk *c);
    void *arg;
    struct open_chunk *open, *last; /* the last one used is mostly the next one, too */
    uint64_t clock;
};

static struct open_chunk *chunk_for(struct state *s, const char *tag)
{
    struct open_chunk *o = s->last;

    if (o != NULL && strcmp(o->tag, tag) == 0) {
        return o;
    }
    for (o = s->open; o != NULL && strcmp(o->tag, tag) != 0; o = o->next) {
    }
    if (o == NULL) {
        o = must(calloc(1, sizeof(*o)));
        o->tag = must(strdup(tag));
        o->next = s->open;
        s->open = o;
    }
    s->last = o;
    return o;
}

static void close_chunk(struct state *s, struct open_chunk *o)
{
    struct chunk *c;

    if (o->data.n == 0) {
        return;
    }
    c = must(calloc(1, sizeof(*c)));
    c->tag = must(strdup(o->tag));
    c->data = o->data.p;
    c->size = o->data.n;
    c->events = o->events;
    memset(&o->data, 0, sizeof(o->data));
    o->events = 0;
    s->emit(s->arg, c);
}

/* begin writes the head of an event; the caller appends the body. */
static struct open_chunk *begin(struct state *s, const char *tag)
{
    struct open_chunk *o = chunk_for(s, tag);

    if (o->data.cap == 0) {
        buf_room(&o->data, s->f->chunk_bytes + 65536);
    }
    mp_event_head(&o->data, BASE_SECONDS + (uint32_t)(s->clock / 1000), (uint32_t)(s->clock % 1000) * 1000000u);
    s->clock++;
    return o;
}

static void end(struct state *s, struct open_chunk *o)
{
    o->events++;
    if (o->data.n > s->f->chunk_bytes) { /* as the host: closed once it is larger */
        close_chunk(s, o);
    }
}

static void generate(struct state *s)
{
    struct feed *f = s->f;
    struct open_chunk *o;
    uint64_t i;
    char tag[64];

    for (i = 0; i < f->kubernetes; i++) {
        if (f->tags > 1) {
            snprintf(tag, sizeof(tag), "kube.%llu", (unsigned long long)(f->next % (uint64_t)f->tags));
        }
        o = begin(s, f->tags > 1 ? tag : f->tag ? f->tag : "kube");
        sample_event(&o->data, f->seed, f->next++);
        end(s, o);
    }
}

static const char *tag_for(struct state *s, const char *path, char *space, size_t n)
{
    const char *slash = strrchr(path, '/');

    if (s->f->tag != NULL) {
        return s->f->tag;
    }
    snprintf(space, n, "file.%s", strcmp(path, "-") == 0 ? "stdin" : slash ? slash + 1 : path);
    return space;
}

static void line(struct state *s, const char *tag, enum format format, const char *p, size_t n, uint64_t number)
{
    struct open_chunk *o = begin(s, tag);
    const char *at = p;

    if (format == FORMAT_JSON) {
        while (at < p + n && *at == ' ') {
            at++;
        }
        if (at == p + n || *at != '{' || json_to_mp(&o->data, &at, p + n) != 0 || at != p + n) {
            die("line %llu is not a JSON object", (unsigned long long)number);
        }
    } else {
        buf_byte(&o->data, 0x81);
        mp_text(&o->data, "log");
        mp_str(&o->data, p, n);
    }
    end(s, o);
}

static void read_lines(struct state *s, FILE *in, const char *tag, enum format format)
{
    char *p = NULL;
    size_t cap = 0;
    ssize_t n;
    uint64_t number = 0;

    while ((n = getline(&p, &cap, in)) > 0) {
        number++;
        while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r')) {
            n--;
        }
        if (n == 0) {
            continue;
        }
        if (format == FORMAT_AUTO) {
            format = p[0] == '{' ? FORMAT_JSON : FORMAT_LINES;
        }
        line(s, tag, format, p, (size_t)n, number);
    }
    free(p);
}

/* The bytes of a file are a chunk as they are. */
static void read_raw(struct state *s, FILE *in, const char *tag)
{
    struct open_chunk *o = chunk_for(s, tag);
    size_t n;

    close_chunk(s, o);
    do {
        buf_room(&o->data, 65536);
        n = fread(o->data.p + o->data.n, 1, 65536, in);
        o->data.n += n;
    } while (n > 0);
    close_chunk(s, o);
}

void feed_run(struct feed *f, void (*emit)(void *arg, struct chunk *c), void *arg)
{
    struct state s = {.f = f, .emit = emit, .arg = arg};
    struct open_chunk *o;
    char space[4096];
    int round, i;

    for (round = 0; round < f->repeat; round++) {
        generate(&s);
        for (i = 0; i < f->input_count; i++) {
            struct input *in = &f->inputs[i];
            FILE *file = strcmp(in->path, "-") == 0 ? stdin : fopen(in->path, "rb");
            const char *tag = tag_for(&s, in->path, space, sizeof(space));

            if (file == NULL) {
                die("cannot open %s: %s", in->path, strerror(errno));
            }
            if (in->format == FORMAT_RAW) {
                read_raw(&s, file, tag);
            } else {
                read_lines(&s, file, tag, in->format);
            }
            if (ferror(file)) {
                die("cannot read %s", in->path);
            }
            if (file != stdin) {
                fclose(file);
            }
        }
    }
    while ((o = s.open) != NULL) {
        close_chunk(&s, o);
        s.open = o->next;
        free(o->data.p);
        free(o->tag);
        free(o);
    }
}
