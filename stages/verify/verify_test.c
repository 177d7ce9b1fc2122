/* The parts of verify that the topics of a test run would hardly reach: digests that must differ,
 * order by key, positions with ranges, sums of ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "stages/enhance/window.h"
#include "stages/verify/digest.h"
#include "stages/verify/ids.h"
#include "stages/verify/ledger.h"
#include "stages/verify/order.h"

static struct record record_of(const char *key, const char *value)
{
    return (struct record){.key = span_of(key), .value = span_of(value)};
}

static uint64_t raw_of(const char *key, const char *value, bool *ret_own)
{
    struct record rec = record_of(key, value);
    return digest_raw(&rec, ret_own);
}

static bool is_same(const char *raw, const char *output)
{
    struct record rec = record_of("k", output);
    struct error err;
    bool own;
    uint64_t digest = raw_of("k", raw, &own);
    return digest_compare(&rec, digest, own, &err) == ST_OK;
}

static void an_output_is_its_post_and_an_enrichment_and_nothing_else(void **state)
{
    UNUSED(state);
    assert_true(
        is_same("{\"id\":1,\"text\":\"a\"}", "{\"id\":1,\"text\":\"a\",\"enrichment\":[1]}"));
    assert_false(is_same("{\"id\":1,\"text\":\"a\"}", "{\"id\":1,\"text\":\"a\"}"));
    assert_false(
        is_same("{\"id\":1,\"text\":\"a\"}", "{\"id\":1,\"text\":\"a\", \"enrichment\":1}"));
    assert_false(
        is_same("{\"id\":1,\"text\":\"a\"}", "{\"id\":1,\"enrichment\":1,\"text\":\"a\"}"));
    assert_false(
        is_same("{\"id\":1,\"text\":\"a\"}", "{\"id\":1,\"text\":\"a\" ,\"enrichment\":1}"));
    assert_false(
        is_same("{\"id\":1,\"text\":\"a\"}", "{\"id\":2,\"text\":\"a\",\"enrichment\":1}"));
    assert_true(is_same("{\"enrichment\":0,\"id\":1,\"text\":\"a\"}",
                        "{\"enrichment\":{},\"id\":1,\"text\":\"a\"}"));
    assert_false(is_same("{\"enrichment\":0,\"id\":1,\"text\":\"a\"}",
                         "{\"enrichment\":{} ,\"id\":1,\"text\":\"a\"}"));
}

static void null_and_empty_keys_and_values_are_different_bytes(void **state)
{
    UNUSED(state);
    bool own;
    assert_int_not_equal(raw_of(NULL, "x", &own), raw_of("", "x", &own));
    assert_int_not_equal(raw_of("k", NULL, &own), raw_of("k", "", &own));
    assert_int_not_equal(raw_of("ab", "c", &own), raw_of("a", "bc", &own));
}

static void digests_of_different_seeds_do_not_meet(void **state)
{
    UNUSED(state);
    /* a seed that is only mixed into the first byte would make these equal */
    assert_int_not_equal(digest_bytes('1' ^ '0', span_of("02")), digest_bytes(0, span_of("12")));
    struct span id;
    uint64_t number, string;
    assert_true(digest_id(span_of("{\"id\":1,\"text\":\"a\"}"), &id, &number));
    assert_true(digest_id(span_of("{\"id\":\"1\",\"text\":\"a\"}"), &id, &string));
    assert_int_not_equal(number, string);
    assert_false(digest_id(span_of("{\"text\":\"a\"}"), &id, &number));
}

static void order_by_key_holds_for_each_key_topic_and_partition_alone(void **state)
{
    UNUSED(state);
    int32_t outputs[ORDER_TOPICS] = {2, 2};
    struct order_check *o = order_new(ORDER_KEY, 2, outputs);
    int64_t before = -1;
    char key[16];
    for (int64_t i = 9999; i >= 0; i--) { /* backwards, but each key once per topic and partition */
        snprintf(key, sizeof key, "%d", (int)(i / 2));
        struct record rec = record_of(key, "x");
        assert_true(order_next(o, (int)(i % 2), &rec, 0, i, &before));
    }
    struct record rec = record_of("7", "x"), null = record_of(NULL, "x");
    assert_false(order_next(o, 0, &rec, 0, 13, &before)); /* behind 14 */
    assert_int_equal(before, 14);
    assert_true(order_next(o, 0, &rec, 1, 13, &before));
    assert_true(order_next(o, 0, &null, 0, 1, &before));
    assert_true(order_next(o, 0, &null, 0, 0, &before));
    order_free(o);
}

static void a_position_with_ranges_says_what_is_done(void **state)
{
    UNUSED(state);
    struct ledger_part part = {.position = 10};
    ranges_add(&part.done, 12, 14);
    ranges_add(&part.done, 20, 20);
    const int64_t done[] = {0, 9, 12, 13, 14, 20}, open[] = {10, 11, 15, 19, 21, 1000};
    for (size_t i = 0; i < 6; i++) {
        assert_true(ledger_is_done(&part, done[i]));
        assert_false(ledger_is_done(&part, open[i]));
    }
    ranges_fini(&part.done);
}

static void sums_of_ids_differ_when_one_takes_the_place_of_another(void **state)
{
    UNUSED(state);
    struct ids *ids = ids_new();
    uint64_t a = digest_bytes(2, span_of("1")), b = a ^ 1; /* in the same sum */
    ids_add(ids, a, 1);
    ids_add(ids, a, -1);
    assert_false(ids_differ(ids));
    ids_add(ids, a, 1);
    ids_add(ids, b, -1);
    assert_true(ids_differ(ids));
    struct verdict *v = verdict_new();
    ids_name(ids, a, 1, span_of("1"), "raw", 0, 5);
    ids_name(ids, b, -1, span_of("2"), "out", 0, 6);
    ids_judge(ids, v);
    assert_int_equal(v->of[I2].failed, 2);
    verdict_free(v);
    ids_free(ids);
}

static void what_is_not_decidable_is_never_ok(void **state)
{
    UNUSED(state);
    struct invariant inv = {.undecided = 3};
    assert_int_equal(verdict_state(&inv), INVARIANT_UNDECIDED);
    inv.checked = 1;
    assert_int_equal(verdict_state(&inv), INVARIANT_OK);
    inv.failed = 1;
    assert_int_equal(verdict_state(&inv), INVARIANT_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_output_is_its_post_and_an_enrichment_and_nothing_else),
        cmocka_unit_test(null_and_empty_keys_and_values_are_different_bytes),
        cmocka_unit_test(digests_of_different_seeds_do_not_meet),
        cmocka_unit_test(order_by_key_holds_for_each_key_topic_and_partition_alone),
        cmocka_unit_test(a_position_with_ranges_says_what_is_done),
        cmocka_unit_test(sums_of_ids_differ_when_one_takes_the_place_of_another),
        cmocka_unit_test(what_is_not_decidable_is_never_ok),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
