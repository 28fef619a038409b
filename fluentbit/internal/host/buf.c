/* SPDX-License-Identifier: Apache-2.0 */

/* Growing memory, and MessagePack written into it. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("flb-host: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(2);
}

void *must(void *p)
{
    if (p == NULL) {
        die("out of memory");
    }
    return p;
}

void buf_room(struct buf *b, size_t n)
{
    if (b->cap - b->n >= n) {
        return;
    }
    while (b->cap - b->n < n) {
        b->cap = b->cap ? b->cap * 2 : 4096;
    }
    b->p = must(realloc(b->p, b->cap));
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    buf_room(b, n);
    if (n > 0) {
        memcpy(b->p + b->n, p, n);
    }
    b->n += n;
}

void buf_byte(struct buf *b, int c)
{
    buf_room(b, 1);
    b->p[b->n++] = (unsigned char)c;
}

static void big_endian(struct buf *b, int head, uint64_t v, int bytes)
{
    buf_byte(b, head);
    while (bytes-- > 0) {
        buf_byte(b, (int)(v >> (8 * bytes)) & 0xff);
    }
}

void mp_uint(struct buf *b, uint64_t v)
{
    if (v < 0x80) {
        buf_byte(b, (int)v);
    } else if (v <= 0xff) {
        big_endian(b, 0xcc, v, 1);
    } else if (v <= 0xffff) {
        big_endian(b, 0xcd, v, 2);
    } else if (v <= 0xffffffff) {
        big_endian(b, 0xce, v, 4);
    } else {
        big_endian(b, 0xcf, v, 8);
    }
}

void mp_int(struct buf *b, int64_t v)
{
    if (v >= 0) {
        mp_uint(b, (uint64_t)v);
    } else if (v >= -32) {
        buf_byte(b, (int)(v & 0xff));
    } else if (v >= INT8_MIN) {
        big_endian(b, 0xd0, (uint64_t)v, 1);
    } else if (v >= INT16_MIN) {
        big_endian(b, 0xd1, (uint64_t)v, 2);
    } else if (v >= INT32_MIN) {
        big_endian(b, 0xd2, (uint64_t)v, 4);
    } else {
        big_endian(b, 0xd3, (uint64_t)v, 8);
    }
}

void mp_double(struct buf *b, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof(bits));
    big_endian(b, 0xcb, bits, 8);
}

void mp_str(struct buf *b, const void *p, size_t n)
{
    if (n < 32) {
        buf_byte(b, 0xa0 | (int)n);
    } else if (n <= 0xff) {
        big_endian(b, 0xd9, n, 1);
    } else if (n <= 0xffff) {
        big_endian(b, 0xda, n, 2);
    } else {
        big_endian(b, 0xdb, n, 4);
    }
    buf_put(b, p, n);
}

void mp_text(struct buf *b, const char *s)
{
    mp_str(b, s, strlen(s));
}

/* The number of elements is known at the end only, so the longest head is
 * reserved, and the content moved if a shorter one does. */
size_t mp_open(struct buf *b)
{
    buf_room(b, 5);
    b->n += 5;
    return b->n - 5;
}

void mp_close(struct buf *b, size_t at, int map, uint32_t count)
{
    struct buf head = {0};
    size_t content = b->n - at - 5;

    if (count < 16) {
        buf_byte(&head, (map ? 0x80 : 0x90) | (int)count);
    } else if (count <= 0xffff) {
        big_endian(&head, map ? 0xde : 0xdc, count, 2);
    } else {
        big_endian(&head, map ? 0xdf : 0xdd, count, 4);
    }
    memcpy(b->p + at, head.p, head.n);
    if (head.n < 5) {
        memmove(b->p + at + head.n, b->p + at + 5, content);
    }
    b->n = at + head.n + content;
    free(head.p);
}

/* [[time, {}], ... as the host's fast encoder writes it. */
void mp_event_head(struct buf *b, uint32_t sec, uint32_t nsec)
{
    unsigned char head[13] = {0x92, 0x92, 0xd7, 0x00,
        sec >> 24, sec >> 16, sec >> 8, sec, nsec >> 24, nsec >> 16, nsec >> 8, nsec, 0x80};

    buf_put(b, head, sizeof(head));
}
