/* See board.h. */
#include "lib/broker/sqlite/board.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

enum { GROUP_MARKS = 512, PARTITION_AREA = 4096, TOPIC_SPREAD = 8192 };
#define LOCK_AREA (INT64_C(1) << 41)

static enum status cannot(const char *path, const char *what, struct error *err)
{
    return error_set(err, ST_FATAL, ERR_IO, "cannot %s '%s': %s", what, path, strerror(errno));
}

enum status board_open(struct board *board, const char *db_path, bool watch, struct error *err)
{
    char *path = mem_printf("%s-members", db_path);
    enum status st = ST_OK;
    board->watch = -1;
    board->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (board->fd < 0) {
        board->fd = 0;
        st = cannot(path, "open", err);
    } else if (watch) {
        board->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (board->watch >= 0 &&
            inotify_add_watch(board->watch, path, IN_MODIFY | IN_CLOSE_WRITE) < 0) {
            close(board->watch);
            board->watch = -1;
        }
    }
    mem_free(path);
    return st;
}

void board_close(struct board *board)
{
    if (board->fd > 0) {
        close(board->fd);
        if (board->watch >= 0)
            close(board->watch);
    }
    *board = (struct board){0};
}

static struct flock lock_of(int64_t member)
{
    return (struct flock){
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_AREA + member, .l_len = 1};
}

enum status board_join(struct board *board, int64_t *ret_member, struct error *err)
{
    for (int tries = 0; tries < 10; tries++) {
        uint64_t number = 0;
        if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
            number = (uint64_t)clock_mono_ns();
        int64_t member = (int64_t)(number & ((UINT64_C(1) << 40) - 1)) + 1;
        struct flock lock = lock_of(member);
        if (fcntl(board->fd, F_OFD_SETLK, &lock) == 0) {
            *ret_member = member;
            return ST_OK;
        }
        if (errno != EAGAIN && errno != EACCES)
            break;
    }
    return error_set(err, ST_FATAL, ERR_IO,
                     "cannot lock the members file beside the broker's: %s; the embedded broker "
                     "needs a local file system",
                     strerror(errno));
}

bool board_is_held(const struct board *board, int64_t member)
{
    struct flock lock = lock_of(member);
    return fcntl(board->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static void mark(const struct board *board, off_t at)
{
    uint64_t news = (uint64_t)clock_mono_ns();
    ssize_t n = pwrite(board->fd, &news, sizeof news, at);
    UNUSED(n); /* the watchers' timers find out as well */
}

static off_t partition_mark(int64_t topic_id, int32_t partition)
{
    uint64_t base = (uint64_t)topic_id * 257 % TOPIC_SPREAD;
    return (off_t)(PARTITION_AREA + 8 * (base + (uint64_t)partition));
}

static off_t group_mark(const char *group, const char *topic)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (const char *p = group; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    for (const char *p = topic; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    return (off_t)(h % GROUP_MARKS * 8);
}

void board_mark_partition(const struct board *board, int64_t topic_id, int32_t partition)
{
    mark(board, partition_mark(topic_id, partition));
}

void board_mark_group(const struct board *board, const char *group, const char *topic)
{
    mark(board, group_mark(group, topic));
}

void board_read(const struct board *board, int64_t topic_id, uint64_t *ret, int32_t count)
{
    size_t size = (size_t)count * sizeof *ret;
    memset(ret, 0, size);
    ssize_t n = pread(board->fd, ret, size, partition_mark(topic_id, 0));
    UNUSED(n); /* a short file: marks not written yet */
}

uint64_t board_read_group(const struct board *board, const char *group, const char *topic)
{
    uint64_t value = 0;
    ssize_t n = pread(board->fd, &value, sizeof value, group_mark(group, topic));
    UNUSED(n);
    return value;
}

bool board_drain(const struct board *board)
{
    bool closed = false;
    _Alignas(struct inotify_event) char bytes[4096];
    ssize_t n;
    while ((n = read(board->watch, bytes, sizeof bytes)) > 0) {
        for (char *p = bytes; p < bytes + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)p;
            closed = closed || (event->mask & IN_CLOSE_WRITE) != 0;
            p += sizeof *event + event->len;
        }
    }
    return closed;
}
