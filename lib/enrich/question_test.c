/* Keys of questions, made by threads that end: what they leave behind is seen by the leak check of
 * the sanitizer build. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/enrich/question.h"

static void *make_ten(void *arg)
{
    const struct span parts[] = {SPAN_LIT("openai"), SPAN_LIT("text")};
    for (int i = 0; i < 10; i++)
        question_make(parts, 2, arg);
    return NULL;
}

static void threads_agree_on_keys_and_leave_nothing_behind(void **state)
{
    (void)state;
    struct question here, there[4];
    make_ten(&here);
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, make_ten, &there[i]), 0);
        pthread_join(thread, NULL);
        assert_memory_equal(&here, &there[i], sizeof here);
    }
}

static void what_stands_in_which_part_matters(void **state)
{
    (void)state;
    const struct span one[] = {SPAN_LIT("ab"), SPAN_LIT("c")};
    const struct span other[] = {SPAN_LIT("a"), SPAN_LIT("bc")};
    const struct span empty[] = {SPAN_LIT("ab"), SPAN_LIT("c"), SPAN_LIT("")};
    struct question q1, q2, q3;
    question_make(one, 2, &q1);
    question_make(other, 2, &q2);
    question_make(empty, 3, &q3);
    assert_memory_not_equal(&q1, &q2, sizeof q1);
    assert_memory_not_equal(&q1, &q3, sizeof q1);
}

static void a_key_is_the_known_sha_256_and_is_read_back(void **state)
{
    (void)state;
    /* printf '\003\0\0\0\0\0\0\0abc' | sha256sum */
    const struct span part = SPAN_LIT("abc");
    struct question q, back;
    char hex[QUESTION_HEX + 1];
    question_make(&part, 1, &q);
    question_write(&q, hex);
    assert_string_equal(hex, "ce91dc5eec0139adf091900d225971d6ad246a845bad791b5693a9d0d55dd391");
    assert_true(question_read(span_make(hex, QUESTION_HEX), &back));
    assert_memory_equal(&q, &back, sizeof q);
    assert_false(question_read(SPAN_LIT("abc"), &back));
    hex[5] = 'g';
    assert_false(question_read(span_make(hex, QUESTION_HEX), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_agree_on_keys_and_leave_nothing_behind),
        cmocka_unit_test(what_stands_in_which_part_matters),
        cmocka_unit_test(a_key_is_the_known_sha_256_and_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
