/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lines for the host's log. The host knows its own threads only: a line from any
 * other thread goes to stderr even if 'log_file' is set, and is not counted. Lines
 * written in Go are therefore handed to a flush that waits for its answer, which
 * prints them from the host's thread. With no flush waiting they are kept for the
 * next one, but not longer than the caller of kpl_log sees to.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim.h"

#define KPL_MAX_LINES 256

pid_t kpl_thread(void)
{
    return (pid_t)syscall(SYS_gettid);
}

int kpl_log_enabled(struct kpl_instance *in, int level)
{
    return in->api.output_log_check(in->o_ins, level);
}

static void print(struct kpl_instance *in, int level, const char *text)
{
    in->api.log_print(level, NULL, 0, "[output:kpl] %s", text);
}

/* kpl_log takes a line of less than 4 KiB, which is what the host prints at most. It
 * returns 1 if the line waits for a flush that has yet to come; kpl_log_drain is
 * then to be called after a while. */
int kpl_log(struct kpl_instance *in, int level, const char *text)
{
    int waits;

    size_t n = strlen(text) + 1;
    struct kpl_line *line;

    if (!kpl_log_enabled(in, level)) {
        return 0;
    }
    if (kpl_thread() == in->init_thread) { /* the engine's */
        print(in, level, text);
        return 0;
    }
    pthread_mutex_lock(&in->mu);
    if (in->line_count < KPL_MAX_LINES && (line = malloc(sizeof(*line) + n)) != NULL) {
        line->next = NULL;
        line->level = level;
        memcpy(line->text, text, n);
        *in->lines_tail = line;
        in->lines_tail = &line->next;
        in->line_count++;
        waits = in->waiting == NULL;
        if (!waits) {
            pthread_cond_signal(&in->waiting->wake);
        }
        pthread_mutex_unlock(&in->mu);
        return waits;
    }
    pthread_mutex_unlock(&in->mu);
    print(in, level, text);
    return 0;
}

/* kpl_log_drain prints what was submitted. */
void kpl_log_drain(struct kpl_instance *in)
{
    struct kpl_line *line, *next;

    pthread_mutex_lock(&in->mu);
    line = in->lines;
    in->lines = NULL;
    in->lines_tail = &in->lines;
    in->line_count = 0;
    pthread_mutex_unlock(&in->mu);
    for (; line != NULL; line = next) {
        next = line->next;
        print(in, line->level, line->text);
        free(line);
    }
}
