/* Faults below the program: loaded with LD_PRELOAD, it lets chosen calls of libc fail, as a full
 * disk, a broken one, a limit or a moved clock would. Calls that libc makes to itself are not seen.
 *
 *     CHAOS_SHIM=CALL:WHAT:N[-M][:NAME[:FLAG]][,...]
 *
 *     CALL  pwrite (write and pwritev too), fdatasync (fsync too), ftruncate, open, malloc, socket
 *     WHAT  kill (kill -9 before it), short (half is written, then kill -9), or an error: EIO
 * ENOSPC EMFILE ENOMEM N-M   the N-th such call, to the M-th (N alone: only that one; N-: all from
 * there on) NAME  only files whose path contains this FLAG  only while this file exists
 *
 *     CHAOS_CLOCK=FILE   two int64: nanoseconds added to the wall clock, and to the boot-time clock
 *
 * Threads: counts are atomic; any thread. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { RULES = 4, NAME = 120, KILL = -1, SHORT = -2 };

static struct rule {
    char call[16], name[NAME], flag[NAME];
    int what;
    long first, last;
    _Atomic long count;
} rules[RULES];
static int rule_count;
static const int64_t *shift; /* wall, boot */

static int error_of(const char *word)
{
    static const struct {
        const char *word;
        int error;
    } words[] = {{"kill", KILL},     {"short", SHORT},   {"EIO", EIO},
                 {"ENOSPC", ENOSPC}, {"EMFILE", EMFILE}, {"ENOMEM", ENOMEM}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i].word) == 0)
            return words[i].error;
    fprintf(stderr, "shim: %s?\n", word);
    abort();
}

static void add_rule(const char *text)
{
    struct rule *r = &rules[rule_count];
    char what[16], range[32];
    int n = sscanf(text, "%15[^:]:%15[^:]:%31[^:]:%119[^:]:%119s", r->call, what, range, r->name,
                   r->flag);
    if (n < 3)
        abort();
    char *end;
    r->what = error_of(what);
    r->first = strtol(range, &end, 10);
    r->last = *end != '-' ? r->first : end[1] == '\0' ? INT64_MAX : strtol(end + 1, NULL, 10);
    rule_count++;
}

__attribute__((constructor)) static void setup(void)
{
    const char *text = getenv("CHAOS_SHIM"), *clock = getenv("CHAOS_CLOCK");
    char copy[1024], *save = NULL;
    snprintf(copy, sizeof copy, "%s", text == NULL ? "" : text);
    for (char *t = strtok_r(copy, ",", &save); t != NULL && rule_count < RULES;
         t = strtok_r(NULL, ",", &save))
        add_rule(t);
    int fd = clock == NULL ? -1 : open(clock, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        void *map = mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        if (map != MAP_FAILED)
            shift = map;
    }
}

static bool path_has(int fd, const char *path, const char *name)
{
    char link[40], target[4096];
    if (name[0] == '\0')
        return true;
    if (path != NULL)
        return strstr(path, name) != NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = '\0';
    return strstr(target, name) != NULL;
}

/* 0: go on. SHORT: half, then the end. Otherwise the error. */
static int fault_of(const char *call, int fd, const char *path)
{
    struct stat info;
    for (int i = 0; i < rule_count; i++) {
        struct rule *r = &rules[i];
        if (strcmp(r->call, call) != 0 || !path_has(fd, path, r->name) ||
            (r->flag[0] != '\0' && stat(r->flag, &info) != 0))
            continue;
        long n = atomic_fetch_add(&r->count, 1) + 1;
        if (n < r->first || n > r->last)
            continue;
        if (r->what == KILL)
            kill(getpid(), SIGKILL);
        return r->what;
    }
    return 0;
}

#define REAL(name, type, ...)                                                                      \
    static type (*real)(__VA_ARGS__);                                                              \
    if (real == NULL)                                                                              \
    *(void **)&real = dlsym(RTLD_NEXT, name)

static ssize_t write_at(const char *name, int fd, const void *buf, size_t n, off_t at)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, name);
    int fault = fault_of("pwrite", fd, NULL);
    if (fault > 0) {
        errno = fault;
        return -1;
    }
    if (fault == SHORT) {
        real(fd, buf, n / 2, at);
        kill(getpid(), SIGKILL);
    }
    return real(fd, buf, n, at);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
    return write_at("pwrite64", fd, buf, n, at);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at)
{
    return write_at("pwrite64", fd, buf, n, at);
}

ssize_t write(int fd, const void *buf, size_t n)
{
    REAL("write", ssize_t, int, const void *, size_t);
    int fault = rule_count == 0 || fd == 2 ? 0 : fault_of("pwrite", fd, NULL);
    if (fault > 0) {
        errno = fault;
        return -1;
    }
    return real(fd, buf, n);
}

static int answer(int fault)
{
    errno = fault;
    return -1;
}

int fdatasync(int fd)
{
    REAL("fdatasync", int, int);
    int fault = fault_of("fdatasync", fd, NULL);
    return fault > 0 ? answer(fault) : real(fd);
}

int fsync(int fd)
{
    REAL("fsync", int, int);
    int fault = fault_of("fdatasync", fd, NULL);
    return fault > 0 ? answer(fault) : real(fd);
}

static int cut(const char *name, int fd, off_t size)
{
    static int (*real)(int, off_t);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, name);
    int fault = fault_of("ftruncate", fd, NULL);
    return fault > 0 ? answer(fault) : real(fd, size);
}

int ftruncate(int fd, off_t size)
{
    return cut("ftruncate64", fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return cut("ftruncate64", fd, size);
}

static int open_it(const char *path, int flags, mode_t mode)
{
    REAL("open64", int, const char *, int, ...);
    int fault = fault_of("open", -1, path);
    return fault > 0 ? answer(fault) : real(path, flags, mode);
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;               \
        va_end(ap);                                                                                \
        return open_it(path, flags, mode);                                                         \
    }
OPEN(open)
OPEN(open64)

int socket(int domain, int type, int protocol)
{
    REAL("socket", int, int, int, int);
    int fault = fault_of("socket", -1, "");
    return fault > 0 ? answer(fault) : real(domain, type, protocol);
}

/* dlsym may allocate: what it needs before `real` is known comes from here and is never freed. */
void *malloc(size_t n)
{
    static void *(*real)(size_t);
    static _Thread_local bool inside;
    static char early[16384] __attribute__((aligned(16)));
    static size_t used;
    if (real == NULL) {
        if (inside) {
            void *p = early + used;
            used += (n + 15) & ~(size_t)15;
            return used > sizeof early ? NULL : p;
        }
        inside = true;
        *(void **)&real = dlsym(RTLD_NEXT, "malloc");
        inside = false;
    }
    if (rule_count > 0 && !inside) {
        inside = true;
        int fault = fault_of("malloc", -1, "");
        inside = false;
        if (fault > 0) {
            errno = fault;
            return NULL;
        }
    }
    return real(n);
}

/* --- clocks --- */

static void move(struct timespec *t, int64_t ns)
{
    int64_t sum = t->tv_nsec + ns % 1000000000;
    t->tv_sec += ns / 1000000000 + (sum >= 1000000000) - (sum < 0);
    t->tv_nsec = sum - (sum >= 1000000000 ? 1000000000 : 0) + (sum < 0 ? 1000000000 : 0);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    REAL("clock_gettime", int, clockid_t, struct timespec *);
    int rc = real(id, t);
    if (rc == 0 && shift != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        move(t, shift[0]);
    if (rc == 0 && shift != NULL && id == CLOCK_BOOTTIME)
        move(t, shift[1]);
    return rc;
}

int gettimeofday(struct timeval *tv, void *zone)
{
    struct timespec t;
    (void)zone;
    int rc = clock_gettime(CLOCK_REALTIME, &t);
    tv->tv_sec = t.tv_sec;
    tv->tv_usec = t.tv_nsec / 1000;
    return rc;
}

time_t time(time_t *ret)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (ret != NULL)
        *ret = t.tv_sec;
    return t.tv_sec;
}
