/* The outbox keeps posts in order from feed to acknowledgement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/backoff.h"
#include "stages/source/outbox.h"

static void add_numbered(struct outbox *box, int64_t number)
{
    char text[128];
    int n = snprintf(text, sizeof text, "{\"id\":%lld,\"text\":\"%060d\"}", (long long)number, 0);
    n = n < (int)sizeof text ? n : (int)sizeof text - 1;
    outbox_add(box, &(struct entry){.value = span_make(text, (size_t)n), .line = number});
}

static void entries_come_out_as_they_went_in_across_many_chunks(void **state)
{
    (void)state;
    struct outbox box;
    struct rng rng;
    outbox_init(&box, 8192);
    rng_seed(&rng, 7);
    int64_t in = 0, out = 0;
    while (out < 100000) {
        for (uint64_t n = rng_next(&rng) % 9000; n > 0 && !outbox_full(&box); n--)
            add_numbered(&box, in++);
        while (outbox_next(&box) != NULL)
            box.sent++;
        for (uint64_t n = rng_next(&rng) % 9000; n > 0 && box.head < box.sent; n--) {
            char want[32];
            snprintf(want, sizeof want, "{\"id\":%lld,", (long long)out);
            assert_memory_equal(outbox_first(&box)->value.p, want, strlen(want));
            assert_int_equal(outbox_first(&box)->line, out++);
            outbox_pop(&box);
        }
    }
    outbox_fini(&box);
}

static void after_an_abort_the_same_entries_are_next_again(void **state)
{
    (void)state;
    struct outbox box;
    outbox_init(&box, 4);
    for (int64_t i = 0; i < 4; i++)
        add_numbered(&box, i);
    assert_true(outbox_full(&box));
    while (outbox_next(&box) != NULL)
        box.sent++;
    box.sent = box.head;
    assert_int_equal(outbox_next(&box)->line, 0);
    outbox_fini(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_out_as_they_went_in_across_many_chunks),
        cmocka_unit_test(after_an_abort_the_same_entries_are_next_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
