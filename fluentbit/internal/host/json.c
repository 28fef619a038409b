/* SPDX-License-Identifier: Apache-2.0 */

/* JSON to MessagePack, in one pass. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

#define MAX_DEPTH 512

struct parser {
    const char *p, *end;
    struct buf *out;
    struct buf text;
    int depth;
};

static int value(struct parser *s);

static void blanks(struct parser *s)
{
    while (s->p < s->end && strchr(" \t\r\n", *s->p) != NULL && *s->p != '\0') {
        s->p++;
    }
}

static int next_is(struct parser *s, char c)
{
    blanks(s);
    if (s->p < s->end && *s->p == c) {
        s->p++;
        return 1;
    }
    return 0;
}

static int hex4(struct parser *s, unsigned *out)
{
    unsigned v = 0;
    int i;

    if (s->end - s->p < 4) {
        return -1;
    }
    for (i = 0; i < 4; i++) {
        char c = *s->p++;

        v <<= 4;
        if (c >= '0' && c <= '9') {
            v |= (unsigned)(c - '0');
        } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
            v |= (unsigned)((c | 32) - 'a' + 10);
        } else {
            return -1;
        }
    }
    *out = v;
    return 0;
}

static void utf8(struct buf *b, unsigned c)
{
    if (c < 0x80) {
        buf_byte(b, (int)c);
        return;
    }
    if (c < 0x800) {
        buf_byte(b, 0xc0 | (int)(c >> 6));
    } else {
        if (c < 0x10000) {
            buf_byte(b, 0xe0 | (int)(c >> 12));
        } else {
            buf_byte(b, 0xf0 | (int)(c >> 18));
            buf_byte(b, 0x80 | ((int)(c >> 12) & 0x3f));
        }
        buf_byte(b, 0x80 | ((int)(c >> 6) & 0x3f));
    }
    buf_byte(b, 0x80 | ((int)c & 0x3f));
}

static int escape(struct parser *s)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at;
    unsigned c, low;

    if (s->p == s->end) {
        return -1;
    }
    if (*s->p != 'u') {
        at = *s->p ? strchr(from, *s->p) : NULL;
        if (at == NULL) {
            return -1;
        }
        s->p++;
        buf_byte(&s->text, to[at - from]);
        return 0;
    }
    s->p++;
    if (hex4(s, &c) != 0) {
        return -1;
    }
    if (c >= 0xd800 && c < 0xdc00 && s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u') {
        s->p += 2;
        if (hex4(s, &low) != 0 || low < 0xdc00 || low > 0xdfff) {
            return -1;
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xd800 && c <= 0xdfff) {
        c = 0xfffd;
    }
    utf8(&s->text, c);
    return 0;
}

/* The opening quote has been read. */
static int string(struct parser *s)
{
    s->text.n = 0;
    for (;;) {
        const char *start = s->p;

        while (s->p < s->end && *s->p != '"' && *s->p != '\\' && (unsigned char)*s->p >= 0x20) {
            s->p++;
        }
        buf_put(&s->text, start, (size_t)(s->p - start));
        if (s->p == s->end) {
            return -1;
        }
        if (*s->p == '"') {
            s->p++;
            mp_str(s->out, s->text.p, s->text.n);
            return 0;
        }
        if (*s->p++ != '\\' || escape(s) != 0) {
            return -1;
        }
    }
}

static int number(struct parser *s)
{
    char text[64], *rest;
    size_t n = 0;
    int whole = 1;

    while (s->p < s->end && n < sizeof(text) - 1 && *s->p != '\0' && strchr("+-0123456789.eE", *s->p) != NULL) {
        whole &= strchr(".eE", *s->p) == NULL;
        text[n++] = *s->p++;
    }
    text[n] = '\0';
    if (n == 0) {
        return -1;
    }
    errno = 0;
    if (whole && text[0] == '-') {
        int64_t v = strtoll(text, &rest, 10);

        if (errno == 0 && *rest == '\0') {
            mp_int(s->out, v);
            return 0;
        }
    } else if (whole) {
        uint64_t v = strtoull(text, &rest, 10);

        if (errno == 0 && *rest == '\0') {
            mp_uint(s->out, v);
            return 0;
        }
    }
    mp_double(s->out, strtod(text, &rest));
    return *rest == '\0' ? 0 : -1;
}

static int collection(struct parser *s, int map)
{
    char close = map ? '}' : ']';
    size_t at = mp_open(s->out);
    uint32_t count = 0;

    if (++s->depth > MAX_DEPTH) {
        return -1;
    }
    if (!next_is(s, close)) {
        do {
            if (map && (!next_is(s, '"') || string(s) != 0 || !next_is(s, ':'))) {
                return -1;
            }
            if (value(s) != 0) {
                return -1;
            }
            count++;
        } while (next_is(s, ','));
        if (!next_is(s, close)) {
            return -1;
        }
    }
    s->depth--;
    mp_close(s->out, at, map, count);
    return 0;
}

static int word(struct parser *s, const char *w, int byte)
{
    size_t n = strlen(w);

    if ((size_t)(s->end - s->p) < n || memcmp(s->p, w, n) != 0) {
        return -1;
    }
    s->p += n;
    buf_byte(s->out, byte);
    return 0;
}

static int value(struct parser *s)
{
    blanks(s);
    if (s->p == s->end) {
        return -1;
    }
    switch (*s->p) {
    case '{':
        s->p++;
        return collection(s, 1);
    case '[':
        s->p++;
        return collection(s, 0);
    case '"':
        s->p++;
        return string(s);
    case 't':
        return word(s, "true", 0xc3);
    case 'f':
        return word(s, "false", 0xc2);
    case 'n':
        return word(s, "null", 0xc0);
    default:
        return number(s);
    }
}

int json_to_mp(struct buf *b, const char **p, const char *end)
{
    struct parser s = {.p = *p, .end = end, .out = b};
    size_t before = b->n;
    int rc = value(&s);

    blanks(&s);
    free(s.text.p);
    if (rc != 0) {
        b->n = before;
        return -1;
    }
    *p = s.p;
    return 0;
}
