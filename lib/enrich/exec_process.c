/* A child process on the loop: see exec_process.h.
 *
 * That it has ended is told by the end of its output; then it is waited for by looking every few
 * milliseconds, since SIGCHLD belongs to the whole program and not to one loop. Its group is killed
 * before its leader is reaped, so that the number of the group cannot be somebody else's by then.
 *
 * Ensures: 1. no descriptor of ours but the two pipes reaches the child. 2. no zombie stays. */
#include "lib/enrich/exec_process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

enum {
    CHUNK = 16 << 10,
    CHUNKS_A_TURN = 16,
    KEEP = 64 << 10,
    SEND_MAX = 256 << 20,
    EXIT_GRACE_MS = 100, /* between the end of its output and its end */
    REAP_MS = 2,
};

extern char **environ;

/* --- the end --- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_input(struct exec_process *p)
{
    loop_watch_free(p->in_watch);
    p->in_watch = NULL;
    close_fd(&p->in);
    buf_reset(&p->to_send, KEEP);
    p->sent = 0;
}

static void close_output(struct exec_process *p)
{
    loop_watch_free(p->out_watch);
    p->out_watch = NULL;
    close_fd(&p->out);
    buf_reset(&p->line, KEEP);
    p->skipping = false;
}

static void describe(struct exec_process *p)
{
    int signal_number = WIFSIGNALED(p->status) ? WTERMSIG(p->status) : 0;
    const char *words = signal_number == 0 ? NULL : sigdescr_np(signal_number);
    if (signal_number == 0)
        snprintf(p->ended_by, sizeof p->ended_by, "exit status %d", WEXITSTATUS(p->status));
    else
        snprintf(p->ended_by, sizeof p->ended_by, "signal %d (%s)", signal_number,
                 words == NULL ? "unknown" : words);
}

/* Whether the process has ended; then it is reaped, and the rest of its group killed. */
static bool reap(struct exec_process *p)
{
    siginfo_t info = {0};
    int rc = waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    bool is_lost = rc != 0 && errno == ECHILD; /* somebody else has reaped it */
    if (!is_lost && (rc != 0 || info.si_pid == 0))
        return false;
    p->status = 0;
    if (!is_lost) {
        kill(-p->pid, SIGKILL);
        waitpid(p->pid, &p->status, 0);
    }
    describe(p);
    p->pid = 0;
    return true;
}

/* Lines may end the interest in those that follow. */
static void take_bytes(struct exec_process *p, const char *bytes, size_t n)
{
    const char *end = bytes + n;
    while (bytes < end && !p->discard) {
        const char *stop = memchr(bytes, '\n', (size_t)(end - bytes));
        size_t piece = (size_t)((stop == NULL ? end : stop) - bytes);
        size_t room = EXEC_LINE_MAX - p->line.n;
        if (stop != NULL && p->line.n == 0 && piece <= room && !p->skipping) {
            p->on_line(p->arg, span_make(bytes, piece), false);
        } else {
            buf_add(&p->line, bytes, piece < room ? piece : room);
            p->skipping = p->skipping || piece > room;
        }
        if (stop != NULL && (p->line.n > 0 || p->skipping)) {
            p->on_line(p->arg, buf_span(&p->line), p->skipping);
            buf_reset(&p->line, KEEP);
            p->skipping = false;
        }
        bytes += piece + (stop != NULL);
    }
}

/* False when there is no more and will be none. */
static bool read_lines(struct exec_process *p)
{
    char bytes[CHUNK];
    for (int i = 0; i < CHUNKS_A_TURN && !p->discard; i++) {
        ssize_t n = read(p->out, bytes, sizeof bytes);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n <= 0)
            return false;
        take_bytes(p, bytes, (size_t)n);
    }
    return true;
}

static void on_reaper(void *arg)
{
    struct exec_process *p = arg;
    if (reap(p)) {
        read_lines(p); /* what it said before it ended: no more than a pipe holds */
        close_output(p);
        p->ending = false;
        p->on_end(p->arg);
        return;
    }
    if (p->kill_at_ms != 0 && clock_mono_ms() >= p->kill_at_ms) {
        kill(-p->pid, SIGKILL);
        p->kill_at_ms = 0;
    }
    loop_timer_start(p->reaper, REAP_MS);
}

/* It ends by itself, or is helped after a while. */
static void begin_end(struct exec_process *p)
{
    if (p->ending)
        return;
    p->ending = true;
    p->kill_at_ms = clock_mono_ms() + EXIT_GRACE_MS;
    close_input(p);
    loop_timer_start(p->reaper, 0);
}

void exec_process_kill(struct exec_process *p)
{
    p->discard = true;
    if (p->pid == 0)
        return;
    kill(-p->pid, SIGKILL);
    begin_end(p);
    p->kill_at_ms = 0;
    loop_watch_set(p->out_watch, 0);
}

/* --- lines --- */

static void on_readable(void *arg, int events)
{
    struct exec_process *p = arg;
    UNUSED(events);
    if (!read_lines(p)) {
        loop_watch_set(p->out_watch, 0);
        begin_end(p);
    }
}

/* write() without the signal that comes with EPIPE, whatever the program does about that. */
static ssize_t write_quietly(int fd, const char *p, size_t n)
{
    sigset_t pipe_set, old, pending;
    struct timespec now = {0};
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
    ssize_t done = write(fd, p, n);
    int code = errno;
    if (done < 0 && code == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&pipe_set, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = code;
    return done;
}

static void flush(struct exec_process *p)
{
    while (p->sent < p->to_send.n) {
        ssize_t n = write_quietly(p->in, p->to_send.p + p->sent, p->to_send.n - p->sent);
        if (n >= 0) {
            p->sent += (size_t)n;
        } else if (errno == EAGAIN) {
            loop_watch_set(p->in_watch, LOOP_WRITABLE);
            return;
        } else if (errno != EINTR) {
            begin_end(p); /* it reads no more */
            return;
        }
    }
    buf_reset(&p->to_send, KEEP);
    p->sent = 0;
    loop_watch_set(p->in_watch, 0);
}

static void on_writable(void *arg, int events)
{
    UNUSED(events);
    flush(arg);
}

void exec_process_send(struct exec_process *p, struct span bytes)
{
    bool is_waiting = p->sent < p->to_send.n;
    if (p->sent > p->to_send.n / 2) { /* forget what was sent */
        memmove(p->to_send.p, p->to_send.p + p->sent, p->to_send.n - p->sent);
        p->to_send.n -= p->sent;
        p->sent = 0;
    }
    buf_add_span(&p->to_send, bytes);
    if (!is_waiting)
        flush(p);
}

size_t exec_process_unsent(const struct exec_process *p)
{
    return p->to_send.n - p->sent;
}

/* --- the start --- */

static enum status spawn(struct exec_process *p, int child_in, int child_out, struct error *err)
{
    char shell[] = "sh", flag[] = "-c";
    char *command = mem_strdup(p->command);
    char *const argv[] = {shell, flag, command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, child_in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, child_out, STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    int rc = posix_spawn(&p->pid, "/bin/sh", &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    mem_free(command);
    if (rc == 0)
        return ST_OK;
    p->pid = 0;
    return error_set(err, ST_FATAL, ERR_TEMPORARY, "cannot start '%.120s': %s", p->command,
                     strerror(rc));
}

/* Pipe ends above the three standard descriptors, so that they can be put onto these. */
static bool open_pipe(int ret[2])
{
    int raw[2];
    if (pipe2(raw, O_CLOEXEC) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        ret[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(raw[i]);
    }
    return ret[0] >= 0 && ret[1] >= 0;
}

static void watch(struct exec_process *p)
{
    p->in_watch = loop_watch_new(p->loop, p->in, on_writable, p);
    p->out_watch = loop_watch_new(p->loop, p->out, on_readable, p);
    loop_watch_set(p->out_watch, LOOP_READABLE);
    if (p->reaper == NULL)
        p->reaper = loop_timer_new(p->loop, on_reaper, p);
    p->to_send.max = SEND_MAX;
}

enum status exec_process_start(struct exec_process *p, struct error *err)
{
    int input[2] = {-1, -1}, output[2] = {-1, -1};
    enum status st;
    p->in = p->out = -1;
    p->discard = false;
    if (!open_pipe(input) || !open_pipe(output))
        st = error_set(err, ST_FATAL, ERR_TEMPORARY, "cannot start '%.120s': %s", p->command,
                       strerror(errno));
    else
        st = spawn(p, input[0], output[1], err);
    if (st == ST_OK) {
        p->in = input[1];
        p->out = output[0];
        input[1] = output[0] = -1;
        watch(p);
    }
    for (int i = 0; i < 2; i++) {
        close_fd(&input[i]);
        close_fd(&output[i]);
    }
    return st;
}

bool exec_process_runs(const struct exec_process *p)
{
    return p->pid != 0 && !p->ending;
}

/* --- closing --- */

static void discard_output(struct exec_process *p)
{
    char bytes[CHUNK];
    while (p->out >= 0 && read(p->out, bytes, sizeof bytes) > 0)
        continue;
}

static void finish(struct exec_process *p)
{
    if (p->pid != 0) {
        kill(-p->pid, SIGKILL);
        while (waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR)
            continue;
        p->pid = 0;
    }
    if (p->out_watch != NULL)
        close_output(p);
    loop_timer_free(p->reaper);
    p->reaper = NULL;
    buf_fini(&p->to_send);
    buf_fini(&p->line);
}

void exec_process_close_all(struct exec_process *const *ps, size_t n, int64_t grace_ms)
{
    int64_t end_ms = clock_mono_ms() + grace_ms;
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        if (ps[i]->in_watch != NULL)
            close_input(ps[i]);
        left += ps[i]->pid != 0;
    }
    while (left > 0 && clock_mono_ms() < end_ms) {
        left = 0;
        for (size_t i = 0; i < n; i++) {
            if (ps[i]->pid == 0)
                continue;
            discard_output(ps[i]);
            left += !reap(ps[i]);
        }
        if (left > 0)
            nanosleep(&(struct timespec){0, REAP_MS * 1000000}, NULL);
    }
    for (size_t i = 0; i < n; i++)
        finish(ps[i]);
}
