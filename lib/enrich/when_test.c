/* Conditions of a chain: which hold, which do not, and which are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/enrich/when.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char post_text[] =
    "{\"id\":1,\"text\":\"some news\",\"lang\":\"en\",\"n\":1.0,\"neg\":-3,\"none\":null,"
    "\"tags\":[\"a\",2,[3],{\"x\":null}],\"author\":{\"name\":\"Ann Lee\",\"a b\":1},\"yes\":true,"
    "\"enrichment\":{\"old\":1},\"==\":7}";

static bool holds(const char *text, const char *enrichment_text)
{
    struct when *w = NULL;
    struct error err = {0};
    json_t *post = json_loads(post_text, 0, NULL);
    json_t *enrichment = enrichment_text == NULL ? NULL : json_loads(enrichment_text, 0, NULL);
    assert_non_null(post);
    if (when_open(text, "--when", &w, &err) != ST_OK)
        fail_msg("%s: %s", text, err.text);
    bool result = when_holds(w, post, enrichment);
    when_free(w);
    json_decref(post);
    json_decref(enrichment);
    return result;
}

static void conditions_that_hold(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "/lang == en",
        "/lang == \"en\"",
        "  /lang   ==   en  ",
        "/n == 1",
        "/id == 1.0",
        "/yes == true",
        "/none == null",
        "/author == {\"a b\":1,\"name\":\"Ann Lee\"}",
        "/author/name == \"Ann Lee\"",
        "/author/a b == 1",
        "/tags/2 == [3]",
        "/== == 7",
        "/lang != de",
        "/id != \"1\"",
        "/yes != 1",
        "/nope != 1",
        "/none != nope",
        "/n < 2",
        "/neg < -2.5",
        "/lang < enx",
        "/lang > de",
        "/id > 0",
        "/text contains news",
        "/text contains \"e n\"",
        "/text contains \"\"",
        "/tags contains a",
        "/tags contains 2.0",
        "/tags contains [3]",
        "/tags contains {\"x\":null}",
        "/lang exists",
        "/none exists",
        "/lang exists true",
        "/nope exists false",
        "/author/nope/x exists false",
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        if (!holds(texts[i], NULL))
            fail_msg("%s does not hold", texts[i]);
}

static void conditions_that_do_not_hold(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "/lang == de",      "/id == \"1\"",
        "/yes == 1",        "/nope == null",
        "/lang != en",      "/n != 1",
        "/n < 1",           "/n > 1",
        "/n < 0.5",         "/lang < en",
        "/lang > en",       "/lang < 5",
        "/id < \"5\"",      "/nope < 5",
        "/nope > 0",        "/yes > 0",
        "/none < 1",        "/text contains x",
        "/text contains 1", "/tags contains b",
        "/tags contains 3", "/nope contains \"\"",
        "/id contains 1",   "/author contains name",
        "/nope exists",     "/lang exists false",
        "/tags/9 exists",   "/tags/- exists",
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        if (holds(texts[i], NULL))
            fail_msg("%s holds", texts[i]);
}

static void the_answers_so_far_are_looked_into(void **state)
{
    (void)state;
    const char *answers = "{\"lang\":{\"language\":\"en\"}}";
    assert_true(holds("/enrichment/lang/language == en", answers));
    assert_false(holds("/enrichment/old == 1", answers));
    assert_true(holds("/enrichment/old == 1", NULL));
    assert_true(holds("/enrichment exists", answers));
    assert_true(holds("/enrichment/x exists false", "{}"));
    assert_true(holds("/enrichments exists false", answers));
    assert_true(holds("/lang == en", answers));
}

static void conditions_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "no ==, !="},
        {"/lang", "no ==, !="},
        {"/lang==en", "spaces around it"},
        {"/lang = en", "no ==, !="},
        {"lang == en", "must begin with a JSON pointer"},
        {"== en", "no ==, !="},
        {"/a~2 == 1", "must begin with a JSON pointer"},
        {"/lang ==", "nothing to compare with"},
        {"/lang contains ", "nothing to compare with"},
        {"/lang == John Smith", "texts need quotes"},
        {"/lang == \"en", "must be JSON"},
        {"/lang == {a", "must be JSON"},
        {"/lang exists maybe", "exists takes nothing"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct when *w = NULL;
        struct error err = {0};
        assert_int_equal(when_open(cases[i][0], "enrichers[0].when", &w, &err), ST_FATAL);
        assert_int_equal(err.kind, ERR_CONFIG);
        assert_null(w);
        if (strstr(err.text, cases[i][1]) == NULL ||
            strstr(err.text, "enrichers[0].when: '") != err.text)
            fail_msg("'%s' is not in '%s'", cases[i][1], err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_that_hold),
        cmocka_unit_test(conditions_that_do_not_hold),
        cmocka_unit_test(the_answers_so_far_are_looked_into),
        cmocka_unit_test(conditions_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
