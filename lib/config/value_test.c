/* Every type of option: what it accepts, where it ends, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/config/value.h"

static const char *const words[] = {"normal", "full", NULL};

static void refuses_all(const struct option *row, const char *const *texts)
{
    union value v;
    for (; *texts != NULL; texts++)
        if (value_parse(row, *texts, &v))
            fail_msg("accepted: \"%s\"", *texts);
}

static void is_number(const struct option *row, const char *text, int64_t expected)
{
    union value v;
    if (!value_parse(row, text, &v))
        fail_msg("refused: \"%s\"", text);
    assert_int_equal(v.number, expected);
}

static void a_text_may_be_empty_unless_its_row_says_no(void **state)
{
    (void)state;
    const struct option any = {.type = OPTION_TEXT}, name = {.type = OPTION_TEXT, .filled = true};
    union value v;
    assert_true(value_parse(&any, "", &v));
    assert_true(value_parse(&name, "x", &v));
    assert_false(value_parse(&name, "", &v));
}

static void a_bool_is_one_of_six_words(void **state)
{
    (void)state;
    const struct option row = {.type = OPTION_BOOL};
    const char *const yes[] = {"true", "yes", "on", "TRUE"}, *const no[] = {"false", "no", "Off"};
    union value v;
    for (size_t i = 0; i < 4; i++)
        assert_true(value_parse(&row, yes[i], &v) && v.yes);
    for (size_t i = 0; i < 3; i++)
        assert_true(value_parse(&row, no[i], &v) && !v.yes);
    refuses_all(&row, (const char *const[]){"", "1", "y", "truely", NULL});
}

static void an_int_keeps_within_its_bounds(void **state)
{
    (void)state;
    const struct option any = {.type = OPTION_INT};
    const struct option bound = {.type = OPTION_INT, .min = -1, .max = 10};
    is_number(&any, "9223372036854775807", INT64_MAX);
    is_number(&any, "-9223372036854775808", INT64_MIN);
    is_number(&bound, "-1", -1);
    is_number(&bound, "10", 10);
    refuses_all(&bound, (const char *const[]){"-2", "11", NULL});
    refuses_all(&any, (const char *const[]){"", "-", "+1", "1.0", "0x10", "1e3", "12k", "1 2",
                                            "9223372036854775808", NULL});
}

static void a_real_is_finite_and_within_its_bounds(void **state)
{
    (void)state;
    const struct option any = {.type = OPTION_REAL};
    const struct option share = {.type = OPTION_REAL, .min = 0, .max = 1};
    union value v;
    assert_true(value_parse(&any, "-2.5e3", &v));
    assert_true(v.real < -2499.9 && v.real > -2500.1);
    assert_true(value_parse(&share, "0", &v) && value_parse(&share, "1", &v));
    refuses_all(&share, (const char *const[]){"-0.1", "1.1", NULL});
    refuses_all(&any,
                (const char *const[]){"", ".", "nan", "inf", "0x1p3", "1e400", "1,5", "5%", NULL});
}

static void a_size_has_decimal_or_binary_units(void **state)
{
    (void)state;
    const struct option row = {.type = OPTION_SIZE};
    is_number(&row, "0", 0);
    is_number(&row, "4096", 4096);
    is_number(&row, "1B", 1);
    is_number(&row, "2 kB", 2000);
    is_number(&row, "2KB", 2000);
    is_number(&row, "2 KiB", 2048);
    is_number(&row, "1.5 MB", 1500000);
    is_number(&row, "64MiB", 64 << 20);
    is_number(&row, "1 GB", 1000000000);
    is_number(&row, "3 GiB", INT64_C(3) << 30);
    refuses_all(&row,
                (const char *const[]){"", "-1", "64M", "1 TB", "kB", "1.", ".5", "1..5 kB",
                                      "1 kB x", "9223372036854775808", "99999999999 GiB", NULL});
}

static void a_duration_needs_a_unit_unless_it_is_zero(void **state)
{
    (void)state;
    const struct option row = {.type = OPTION_DURATION};
    is_number(&row, "0", 0);
    is_number(&row, "0.0", 0);
    is_number(&row, "10ms", 10);
    is_number(&row, "1.5 s", 1500);
    is_number(&row, "2m", 120000);
    is_number(&row, "2 min", 120000);
    is_number(&row, "1h", 3600000);
    is_number(&row, "7 d", 604800000);
    refuses_all(&row, (const char *const[]){"", "10", "-1 s", "10 us", "1 S", "1m30s", "ms",
                                            "99999999999999999 d", NULL});
}

static void an_amount_may_be_negative_where_its_row_says_so(void **state)
{
    (void)state;
    const struct option row = {.type = OPTION_DURATION, .min = -1000, .max = 5000};
    is_number(&row, "-1 s", -1000);
    is_number(&row, "5 s", 5000);
    refuses_all(&row, (const char *const[]){"-1001 ms", "5001 ms", NULL});
}

static void a_word_is_its_index_in_the_list(void **state)
{
    (void)state;
    const struct option row = {.type = OPTION_WORD, .words = words};
    union value v;
    assert_true(value_parse(&row, "full", &v));
    assert_int_equal(v.word, 1);
    refuses_all(&row, (const char *const[]){"", "Full", "ful", "normal,full", NULL});
}

static void a_description_names_the_bounds(void **state)
{
    (void)state;
    struct buf out = {0};
    value_describe(&(struct option){.type = OPTION_INT, .min = 1, .max = 64}, &out);
    assert_string_equal(buf_str(&out), "a whole number, from 1 to 64");
    buf_reset(&out, 0);
    value_describe(&(struct option){.type = OPTION_WORD, .words = words}, &out);
    assert_string_equal(buf_str(&out), "one of normal, full");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_may_be_empty_unless_its_row_says_no),
        cmocka_unit_test(a_bool_is_one_of_six_words),
        cmocka_unit_test(an_int_keeps_within_its_bounds),
        cmocka_unit_test(a_real_is_finite_and_within_its_bounds),
        cmocka_unit_test(a_size_has_decimal_or_binary_units),
        cmocka_unit_test(a_duration_needs_a_unit_unless_it_is_zero),
        cmocka_unit_test(an_amount_may_be_negative_where_its_row_says_so),
        cmocka_unit_test(a_word_is_its_index_in_the_list),
        cmocka_unit_test(a_description_names_the_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
