/* Lines of files and pipes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/stage/lines.h"

static void nothing(void *arg)
{
    (void)arg;
}

/* Writes the text to a file and opens it. */
static struct lines *open_text(struct loop *loop, const char *text, size_t n, char *path)
{
    struct lines *l = NULL;
    struct error err;
    strncpy(path, "/tmp/sluice-lines-XXXXXX", 64);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), (ssize_t)n);
    close(fd);
    assert_int_equal(lines_open(path, loop, nothing, NULL, &l, &err), ST_OK);
    return l;
}

static void lines_end_with_lf_crlf_or_the_file(void **state)
{
    (void)state;
    char path[64];
    struct error err;
    struct span s;
    struct loop *loop = loop_new();
    struct lines *l = open_text(loop, "a\r\n\nbc", 6, path);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(lines_next(l, &s, &err), LINE_READ);
        assert_true(span_is(s, "a"));
        assert_int_equal(lines_next(l, &s, &err), LINE_READ);
        assert_int_equal(s.n, 0);
        assert_int_equal(lines_next(l, &s, &err), LINE_READ);
        assert_true(span_is(s, "bc"));
        assert_int_equal(lines_next(l, &s, &err), LINE_END);
        assert_true(lines_rewind(l));
    }
    lines_close(l);
    loop_free(loop);
    unlink(path);
}

static void a_line_that_is_too_long_is_cut_and_its_rest_skipped(void **state)
{
    (void)state;
    char path[64];
    struct error err;
    struct span s;
    size_t n = (size_t)LINE_MAX_BYTES * 2 + 1000;
    char *text = mem_alloc(n + 5);
    memset(text, 'x', n);
    memcpy(text + n, "\nend\n", 5);
    struct loop *loop = loop_new();
    struct lines *l = open_text(loop, text, n + 5, path);
    assert_int_equal(lines_next(l, &s, &err), LINE_TOO_LONG);
    assert_int_equal(s.n, LINE_MAX_BYTES);
    assert_int_equal(lines_next(l, &s, &err), LINE_READ);
    assert_true(span_is(s, "end"));
    assert_int_equal(lines_next(l, &s, &err), LINE_END);
    lines_close(l);
    loop_free(loop);
    unlink(path);
    mem_free(text);
}

static void a_line_may_be_as_long_as_was_allowed_and_no_longer(void **state)
{
    (void)state;
    char path[64];
    struct error err;
    struct span s;
    size_t n = (size_t)LINE_MAX_BYTES + 12345;
    char *text = mem_alloc(2 * n + 5);
    memset(text, 'x', 2 * n + 5);
    memcpy(text + n, "\r\n", 2);
    struct loop *loop = loop_new();
    struct lines *l = open_text(loop, text, 2 * n + 5, path);
    lines_allow(l, n);
    assert_int_equal(lines_next(l, &s, &err), LINE_READ);
    assert_int_equal(s.n, n);
    assert_int_equal(lines_next(l, &s, &err), LINE_TOO_LONG);
    assert_int_equal(s.n, n + 2);
    assert_int_equal(lines_next(l, &s, &err), LINE_END);
    lines_close(l);
    loop_free(loop);
    unlink(path);
    mem_free(text);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    (void)state;
    struct lines *l = NULL;
    struct error err;
    struct loop *loop = loop_new();
    assert_int_equal(lines_open("/nonexistent/posts.jsonl", loop, nothing, NULL, &l, &err),
                     ST_FATAL);
    assert_non_null(strstr(err.text, "/nonexistent/posts.jsonl"));
    assert_int_equal(err.kind, ERR_IO);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_with_lf_crlf_or_the_file),
        cmocka_unit_test(a_line_that_is_too_long_is_cut_and_its_rest_skipped),
        cmocka_unit_test(a_line_may_be_as_long_as_was_allowed_and_no_longer),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
