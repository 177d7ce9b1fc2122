/* Which pace holds: by answers since the last commit, and only in a flood by the posts that wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stages/enhance/pace.h"

static void answers_decide_and_in_a_flood_what_waits(void **state)
{
    (void)state;
    static const struct {
        size_t answered;
        int64_t waiting;
        enum pace pace;
    } cases[] = {
        {0, 0, PACE_USUAL},        {63, 1000000, PACE_USUAL}, {64, 0, PACE_MANY},
        {191, 1000000, PACE_MANY}, {192, 0, PACE_FLOOD},      {192, 1920, PACE_FLOOD},
        {192, 1921, PACE_BACKLOG}, {850, 8500, PACE_FLOOD},   {850, 60000, PACE_BACKLOG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (pace_of(cases[i].answered, cases[i].waiting) != cases[i].pace)
            fail_msg("%zu answered, %lld waiting", cases[i].answered, (long long)cases[i].waiting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_decide_and_in_a_flood_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
