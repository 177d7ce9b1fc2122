/* Lines of a file or of standard input. A regular file is read straight away; a pipe, terminal or
 * socket only when the loop says that a read will not block, so that signals and the broker are
 * served while nobody types. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "stages/source/feed.h"

enum { READ_BYTES = 256 << 10 };

struct file {
    struct loop_watch *watch; /* NULL: regular file */
    void (*readable)(void *arg);
    void *arg;
    const char *name;
    int fd;
    bool ready; /* a read will not block */
    bool ended;
    bool skipping; /* inside a line that was too long */
    char *bytes;
    size_t from, to, cap;
};

static void on_ready(void *arg, int events)
{
    struct file *f = arg;
    (void)events;
    f->ready = true;
    loop_watch_set(f->watch, 0);
    f->readable(f->arg);
}

static enum status file_open(void *ctx, const struct feed_config *cfg, struct error *err)
{
    struct file *f = ctx;
    bool is_stdin = strcmp(cfg->opt->from, "-") == 0;
    f->readable = cfg->readable;
    f->arg = cfg->arg;
    f->name = is_stdin ? "standard input" : cfg->opt->from;
    f->fd = is_stdin ? dup(STDIN_FILENO) : open(cfg->opt->from, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (f->fd < 0 || fstat(f->fd, &st) != 0)
        return error_set(err, ST_FATAL, ERR_IO, "%s: %s", f->name, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(err, ST_FATAL, ERR_IO, "%s: is a folder, not a file of posts", f->name);
    f->cap = READ_BYTES;
    f->bytes = mem_alloc(f->cap);
    bool pollable = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(f->fd);
    if (pollable)
        f->watch = loop_watch_new(cfg->loop, f->fd, on_ready, f);
    return ST_OK;
}

/* Makes room at the end of the buffer; false when the line is as long as it may be. */
static bool make_room(struct file *f)
{
    if (f->from > 0) {
        memmove(f->bytes, f->bytes + f->from, f->to - f->from);
        f->to -= f->from;
        f->from = 0;
    }
    if (f->to < f->cap)
        return true;
    if (f->cap >= FEED_LINE_MAX)
        return false;
    f->cap *= 2;
    f->bytes = mem_realloc(f->bytes, f->cap);
    return true;
}

/* FEED_LINE here means: more bytes have come. */
static enum feed_result read_more(struct file *f, struct error *err)
{
    if (f->watch != NULL && !f->ready) {
        loop_watch_set(f->watch, LOOP_READABLE);
        return FEED_WAIT;
    }
    ssize_t n = read(f->fd, f->bytes + f->to, f->cap - f->to);
    f->ready = false;
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        if (f->watch == NULL)
            return FEED_LINE;
        loop_watch_set(f->watch, LOOP_READABLE);
        return FEED_WAIT;
    }
    if (n < 0) {
        error_set(err, ST_FATAL, ERR_IO, "%s: %s", f->name, strerror(errno));
        return FEED_ERROR;
    }
    f->to += (size_t)n;
    f->ended = n == 0;
    return FEED_LINE;
}

static struct span take_line(struct file *f, size_t n, size_t newline)
{
    struct span line = span_make(f->bytes + f->from, n);
    f->from += n + newline;
    if (newline > 0 && line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static enum feed_result file_next(void *ctx, struct span *ret_line, struct error *err)
{
    struct file *f = ctx;
    for (size_t seen = 0;;) {
        char *start = f->bytes + f->from;
        char *end = memchr(start + seen, '\n', f->to - f->from - seen);
        if (end != NULL || (f->ended && f->to > f->from)) {
            size_t n = end != NULL ? (size_t)(end - start) : f->to - f->from;
            *ret_line = take_line(f, n, end != NULL);
            if (!f->skipping)
                return FEED_LINE;
            f->skipping = false; /* the rest of a line that was given up */
            seen = 0;
            continue;
        }
        if (f->ended)
            return FEED_END;
        seen = f->to - f->from;
        if (!make_room(f)) {
            *ret_line = span_make(f->bytes, f->to);
            f->from = f->to;
            bool first = !f->skipping;
            f->skipping = true;
            seen = 0;
            if (first)
                return FEED_TOO_LONG;
            continue;
        }
        enum feed_result res = read_more(f, err);
        if (res != FEED_LINE)
            return res;
    }
}

static bool file_rewind(void *ctx)
{
    struct file *f = ctx;
    if (f->watch != NULL || lseek(f->fd, 0, SEEK_SET) != 0)
        return false;
    f->from = f->to = 0;
    f->ended = f->skipping = false;
    return true;
}

static void file_close(void *ctx)
{
    struct file *f = ctx;
    loop_watch_free(f->watch);
    if (f->fd > 0)
        close(f->fd);
    mem_free(f->bytes);
}

const struct feed_ops file_feed = {
    .ctx_size = sizeof(struct file),
    .open = file_open,
    .next = file_next,
    .rewind = file_rewind,
    .close = file_close,
};
