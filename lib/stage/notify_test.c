/* notify_manager against real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/stage/notify.h"

/* A manager that listens on `name`, as NOTIFY_SOCKET says it. */
static int listen_on(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void assert_heard(int fd, const char *text)
{
    char got[64];
    ssize_t n = recv(fd, got, sizeof got, 0);
    assert_int_equal(n, (ssize_t)strlen(text));
    assert_memory_equal(got, text, (size_t)n);
}

static void a_state_reaches_a_socket_with_a_path(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "/tmp/sluice-notify-%ld", (long)getpid());
    int fd = listen_on(name);
    assert_true(notify_manager("READY=1"));
    assert_true(notify_manager("STOPPING=1"));
    assert_heard(fd, "READY=1");
    assert_heard(fd, "STOPPING=1");
    close(fd);
    unlink(name);
}

static void a_state_reaches_an_abstract_socket(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "@sluice-notify-%ld", (long)getpid());
    int fd = listen_on(name);
    assert_true(notify_manager("READY=1"));
    assert_heard(fd, "READY=1");
    close(fd);
}

static void without_a_manager_nothing_is_sent(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_false(notify_manager("READY=1"));
    setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
    assert_false(notify_manager("READY=1"));
    setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
    assert_false(notify_manager("READY=1"));
    char longest[200];
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    setenv("NOTIFY_SOCKET", longest, 1);
    assert_false(notify_manager("READY=1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_reaches_a_socket_with_a_path),
        cmocka_unit_test(a_state_reaches_an_abstract_socket),
        cmocka_unit_test(without_a_manager_nothing_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
