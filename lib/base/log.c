/* Log lines: formatted on the stack or in a buffer, written by one write(2). */
#include "lib/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"

static _Atomic int current_level = LOG_INFO;
static _Atomic bool as_json;
static _Atomic bool is_set;

void log_setup(enum log_level level, enum log_format format)
{
    atomic_store(&current_level, (int)level);
    atomic_store(&as_json, format == LOG_JSON || (format == LOG_AUTO && !isatty(STDERR_FILENO)));
    atomic_store(&is_set, true);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

static void add_time(struct buf *line)
{
    int64_t us = clock_wall_us();
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    buf_printf(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(us / 1000 % 1000));
}

void log_line(enum log_level level, const char *part, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
    if (!log_enabled(level))
        return;
    if (!atomic_load(&is_set))
        log_setup(LOG_INFO, LOG_AUTO);
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    struct buf line = {0};
    if (atomic_load(&as_json)) {
        buf_add_str(&line, "{\"time\":\"");
        add_time(&line);
        buf_printf(&line, "\",\"level\":\"%s\",\"part\":\"%s\",\"message\":\"", names[level], part);
        buf_add_json(&line, span_make(text, len));
        buf_add_str(&line, "\"}\n");
    } else {
        add_time(&line);
        buf_printf(&line, " %-5s %s: ", names[level], part);
        buf_add(&line, text, len);
        buf_add_char(&line, '\n');
    }
    ssize_t written = write(STDERR_FILENO, line.p, line.n);
    (void)written; /* a closed stderr must not stop the pipeline */
    buf_fini(&line);
}
