/* What of a reply is hidden before anybody sees it. */
#include "lib/enrich/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void becomes(const char *header, const char *before, const char *after)
{
    struct buf text = {0};
    buf_add_str(&text, before);
    secret_hide_header(header, &text);
    assert_string_equal(buf_str(&text), after);
    buf_fini(&text);
}

static void the_value_of_a_header_is_hidden_wherever_it_stands(void **state)
{
    (void)state;
    becomes("api-key: abcdefgh", "abcdefgh no abcdefghabcdefgh", "******** no ****************");
    becomes("api-key:ab", "a b ab abc", "a b ** **c");
    becomes("Authorization: Bearer abcdefgh", "wrong: Bearer abcdefgh", "wrong: ***************");
    becomes("Authorization: Bearer abcdefgh", "wrong: abcdefgh", "wrong: ********");
    becomes("Cookie: sid=abcdefgh; x=1", "x=1 abcdefgh 1", "x=1 ******** 1");
}

static void what_has_no_value_hides_nothing(void **state)
{
    (void)state;
    becomes("api-key", "api-key", "api-key");
    becomes("api-key:", "api-key", "api-key");
    becomes("api-key:  ", "a  b", "a  b");
    becomes("api-key: x", "", "");
}

static void a_secret_that_is_not_set_hides_nothing(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_add_str(&text, "abc");
    secret_hide(SPAN_NULL, &text);
    assert_string_equal(buf_str(&text), "abc");
    secret_hide(SPAN_LIT("abc"), &text);
    assert_string_equal(buf_str(&text), "***");
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_value_of_a_header_is_hidden_wherever_it_stands),
        cmocka_unit_test(what_has_no_value_hides_nothing),
        cmocka_unit_test(a_secret_that_is_not_set_hides_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
