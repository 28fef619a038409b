/* SPDX-License-Identifier: Apache-2.0 */

/* Events as the kubernetes filter of Fluent Bit leaves them, made up from a seed.
 * Event i of a seed is always the same. */
#include <stdio.h>
#include <string.h>

#include "host.h"

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static const char *apps[] = {"checkout", "cart", "frontend", "payments", "search", "ingress-nginx", "auth", "billing-worker"};
static const char *namespaces[] = {"shop", "shop", "shop", "finance", "shop", "ingress", "platform", "finance"};
static const char *paths[] = {"/", "/api/v1/items", "/api/v1/cart", "/healthz", "/login", "/static/app.3f9ac1.js", "/api/v2/orders"};

static void pair(struct buf *b, const char *key, const char *value)
{
    mp_text(b, key);
    mp_text(b, value);
}

static void log_text(char *s, size_t n, uint64_t r, uint64_t i)
{
    const char *path = paths[(r >> 8) % 7];

    switch (r % 5) {
    case 0:
    case 1:
        snprintf(s, n, "10.%u.%u.%u - - [24/Nov/2026:10:%02u:%02u +0000] \"GET %s?id=%llu HTTP/1.1\" %d %u \"-\" "
            "\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\" %u.%03u",
            (unsigned)(r >> 12) & 255, (unsigned)(r >> 20) & 255, (unsigned)(r >> 28) & 255, (unsigned)(i / 60) % 60,
            (unsigned)i % 60, path, (unsigned long long)(r >> 40), r % 17 ? 200 : 503, (unsigned)(r >> 30) % 60000,
            (unsigned)(r >> 50) % 3, (unsigned)(r >> 33) % 1000);
        return;
    case 2:
        snprintf(s, n, "{\"level\":\"info\",\"msg\":\"request done\",\"path\":\"%s\",\"took_ms\":%u,\"trace_id\":\"%016llx%016llx\"}",
            path, (unsigned)(r >> 22) % 900, (unsigned long long)mix(r), (unsigned long long)mix(r + 1));
        return;
    case 3:
        snprintf(s, n, "I1124 10:%02u:%02u.%06u       1 controller.go:%u] \"Reconciled\" object=\"%s/%s\" generation=%u caf\xc3\xa9",
            (unsigned)(i / 60) % 60, (unsigned)i % 60, (unsigned)(r >> 16) % 1000000, (unsigned)(r >> 9) % 400 + 20,
            namespaces[r >> 7 & 7], apps[r >> 7 & 7], (unsigned)(r >> 44) % 50);
        return;
    default:
        snprintf(s, n, "java.lang.IllegalStateException: order %llu is already closed\n\tat com.example.Order.close(Order.java:%u)\n"
            "\tat com.example.Worker.run(Worker.java:%u)", (unsigned long long)(r >> 35), (unsigned)(r >> 10) % 500,
            (unsigned)(r >> 18) % 300);
    }
}

void sample_event(struct buf *b, uint64_t seed, uint64_t i)
{
    uint64_t r = mix(seed * 0x2545f4914f6cdd1du + i);
    unsigned app = (unsigned)(r >> 7) & 7, replica = (unsigned)(r >> 3) & 15;
    char text[512], pod[128];
    unsigned long long hash = mix(app * 31 + 7), id = mix(app * 16 + replica);

    buf_byte(b, 0x85);
    snprintf(text, sizeof(text), "2026-11-24T10:%02u:%02u.%09uZ", (unsigned)(i / 60) % 60, (unsigned)i % 60, (unsigned)(r >> 11) % 1000000000);
    pair(b, "time", text);
    pair(b, "stream", r & 64 ? "stdout" : "stderr");
    log_text(text, sizeof(text), mix(r), i);
    pair(b, "log", text);
    mp_text(b, "seq");
    mp_uint(b, i);

    mp_text(b, "kubernetes");
    buf_byte(b, 0x88);
    snprintf(pod, sizeof(pod), "%s-%08llx-%05llx", apps[app], hash & 0xffffffff, id & 0xfffff);
    pair(b, "pod_name", pod);
    pair(b, "namespace_name", namespaces[app]);
    snprintf(text, sizeof(text), "%08llx-0000-4000-8000-%012llx", id >> 32, id & 0xffffffffffff);
    pair(b, "pod_id", text);
    mp_text(b, "labels");
    buf_byte(b, 0x83);
    pair(b, "app.kubernetes.io/name", apps[app]);
    snprintf(text, sizeof(text), "%08llx", hash & 0xffffffff);
    pair(b, "pod-template-hash", text);
    pair(b, "version", "v1.42.0");
    snprintf(text, sizeof(text), "ip-10-0-%u-%u.eu-west-1.compute.internal", replica % 4, replica * 13);
    pair(b, "host", text);
    pair(b, "container_name", apps[app]);
    snprintf(text, sizeof(text), "%016llx%016llx%016llx%016llx", id, hash, id ^ hash, id + hash);
    pair(b, "docker_id", text);
    snprintf(text, sizeof(text), "registry.example.com/%s/%s:v1.42.0", namespaces[app], apps[app]);
    pair(b, "container_image", text);
}
