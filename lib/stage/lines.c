/* Line reader: see lines.h. One buffer that holds at least the line at hand. */
#include "lib/stage/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"

enum { READ_BYTES = 256 << 10 };

struct lines {
    struct loop_watch *watch; /* NULL: reads never block for long */
    void (*readable)(void *arg);
    void *arg;
    char *name;
    int fd;
    bool ready; /* a read will not block */
    bool ended;
    bool skipping; /* inside the rest of a line that was too long */
    char *bytes;
    size_t from, seen, to, cap; /* [from, seen) holds no newline */
    size_t limit;               /* of cap */
};

static void on_ready(void *arg, int events)
{
    struct lines *l = arg;
    (void)events;
    l->ready = true;
    loop_watch_set(l->watch, 0);
    l->readable(l->arg);
}

static enum status open_fd(struct lines *l, const char *path, struct loop *loop, struct error *err)
{
    struct stat st;
    l->fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                   : open(path, O_RDONLY | O_CLOEXEC);
    if (l->fd < 0 || fstat(l->fd, &st) != 0)
        return error_set(err, ST_FATAL, ERR_IO, "%s: %s", l->name, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(err, ST_FATAL, ERR_IO, "%s: is a folder, not a file of posts", l->name);
    if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(l->fd))
        l->watch = loop_watch_new(loop, l->fd, on_ready, l);
    return ST_OK;
}

enum status lines_open(const char *path, struct loop *loop, void (*readable)(void *), void *arg,
                       struct lines **ret, struct error *err)
{
    struct lines *l = mem_zalloc(sizeof *l);
    *l = (struct lines){
        .fd = -1, .readable = readable, .arg = arg, .cap = READ_BYTES, .limit = LINE_MAX_BYTES};
    l->name = mem_strdup(strcmp(path, "-") == 0 ? "standard input" : path);
    l->bytes = mem_alloc(l->cap);
    enum status st = open_fd(l, path, loop, err);
    if (st == ST_OK)
        *ret = l;
    else
        lines_close(l);
    return st;
}

/* Makes room at the end of the buffer; false when the line is as long as it may be. */
static bool make_room(struct lines *l)
{
    if (l->from > 0) {
        memmove(l->bytes, l->bytes + l->from, l->to - l->from);
        l->to -= l->from;
        l->seen -= l->from;
        l->from = 0;
    }
    if (l->to < l->cap)
        return true;
    if (l->cap >= l->limit)
        return false;
    l->cap = 2 * l->cap < l->limit ? 2 * l->cap : l->limit;
    l->bytes = mem_realloc(l->bytes, l->cap);
    return true;
}

static enum line_result wait_readable(struct lines *l)
{
    loop_watch_set(l->watch, LOOP_READABLE);
    return LINE_WAIT;
}

/* LINE_READ here means: more bytes have come, or the end. */
static enum line_result read_more(struct lines *l, struct error *err)
{
    if (l->watch != NULL && !l->ready)
        return wait_readable(l);
    ssize_t n = read(l->fd, l->bytes + l->to, l->cap - l->to);
    l->ready = false;
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return l->watch == NULL ? LINE_READ : wait_readable(l);
    if (n < 0) {
        error_set(err, ST_FATAL, ERR_IO, "%s: %s", l->name, strerror(errno));
        return LINE_ERROR;
    }
    l->to += (size_t)n;
    l->ended = n == 0;
    return LINE_READ;
}

/* The line that ends at `end` (NULL: at the end of the file). */
static struct span take_line(struct lines *l, const char *end)
{
    struct span line = span_make(l->bytes + l->from, l->to - l->from);
    if (end != NULL) {
        line.n = (size_t)(end - line.p);
        l->from += line.n + 1;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
    } else {
        l->from = l->to;
    }
    l->seen = l->from;
    return line;
}

static struct span cut_line(struct lines *l)
{
    struct span line = span_make(l->bytes, l->to);
    l->from = l->seen = l->to;
    l->skipping = true;
    return line;
}

void lines_allow(struct lines *l, size_t bytes)
{
    if (bytes + 2 > l->limit) /* CR LF among it */
        l->limit = bytes + 2;
}

enum line_result lines_next(struct lines *l, struct span *ret_line, struct error *err)
{
    for (;;) {
        char *end = memchr(l->bytes + l->seen, '\n', l->to - l->seen);
        if (end != NULL || (l->ended && l->to > l->from)) {
            *ret_line = take_line(l, end);
            if (!l->skipping)
                return LINE_READ;
            l->skipping = false;
            continue;
        }
        if (l->ended)
            return LINE_END;
        l->seen = l->to;
        if (!make_room(l)) {
            bool first = !l->skipping;
            *ret_line = cut_line(l);
            if (first)
                return LINE_TOO_LONG;
            continue;
        }
        enum line_result res = read_more(l, err);
        if (res != LINE_READ)
            return res;
    }
}

bool lines_rewind(struct lines *l)
{
    if (l->watch != NULL || lseek(l->fd, 0, SEEK_SET) != 0)
        return false;
    l->from = l->seen = l->to = 0;
    l->ended = l->skipping = false;
    return true;
}

void lines_close(struct lines *l)
{
    if (l == NULL)
        return;
    loop_watch_free(l->watch);
    if (l->fd >= 0)
        close(l->fd);
    mem_free(l->bytes);
    mem_free(l->name);
    mem_free(l);
}
