/* stdout without stdio: whole lines, errors seen. */
#include "lib/stage/say.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { KEEP_BYTES = 1 << 20 };

static pthread_mutex_t stdout_lock = PTHREAD_MUTEX_INITIALIZER;

void say_fini(struct say *say)
{
    buf_fini(&say->text);
}

void say_text(struct say *say, const char *text)
{
    buf_add_str(&say->text, text);
}

void say_span(struct say *say, struct span s)
{
    buf_add_span(&say->text, s);
}

static int write_all(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(STDOUT_FILENO, p, n);
        if (k < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, 1000);
        else if (k < 0 && errno != EINTR)
            return errno;
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        }
    }
    return 0;
}

enum status say_flush(struct say *say, struct error *err)
{
    if (say->text.n == 0)
        return ST_OK;
    pthread_mutex_lock(&stdout_lock);
    int rc = write_all(say->text.p, say->text.n);
    pthread_mutex_unlock(&stdout_lock);
    buf_reset(&say->text, KEEP_BYTES);
    if (rc != 0)
        return error_set(err, ST_FATAL, ERR_IO, "standard output: %s%s", strerror(rc),
                         say->only_loud ? "; with --quiet nothing is written there" : "");
    return ST_OK;
}
