/* What is taken out of texts, and above all what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "lib/enrich/redact.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { ALL = REDACT_EMAIL | REDACT_PHONE | REDACT_URL | REDACT_MENTION | REDACT_CARD };

static void becomes(unsigned kinds, const char *text, const char *want)
{
    struct buf out = {0};
    buf_add_str(&out, ">");
    redact_text(kinds, span_of(text), &out);
    if (strcmp(buf_str(&out) + 1, want) != 0)
        fail_msg("'%s' became '%s' and not '%s'", text, buf_str(&out) + 1, want);
    buf_fini(&out);
}

static void run(const char *const (*cases)[2], size_t n)
{
    for (size_t i = 0; i < n; i++)
        becomes(ALL, cases[i][0], cases[i][1]);
}

static void stay(const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        becomes(ALL, texts[i], texts[i]);
}

static void emails_are_found(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"write to ann.b+x@mail.example.org.", "write to [email]."},
        {"<a@b.io>,(c_d@e-f.com)", "<[email]>,([email])"},
        {"a@b.co.uk!", "[email]!"},
        {"mailto:a@b.com?x", "mailto:[email]?x"},
        {"15551234567@sms.example.com", "[email]"},
        {"+15551234567@sms.example.com", "[email]"},
        {"J\xc3\xbcrgen@b\xc3\xbc"
         "cher.de",
         "[email]"},
        {"x@y.com and z@y.com", "[email] and [email]"},
        {"a@b.com@c.org", "[email]@c.org"},
        {"...a@b.com...", "...[email]..."},
    };
    run(cases, COUNT(cases));
}

static void what_only_looks_like_an_email_stays(void **state)
{
    (void)state;
    static const char *const texts[] = {"user@localhost", "a@b.c",    "3 @ 5.00",  "a@",     "@",
                                        "a@.com",         "a@b..com", "a@1.2.3.4", "a@b.c0m"};
    stay(texts, COUNT(texts));
}

static void urls_win_over_what_stands_inside(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"see https://x.com/@ann/status/15551234567?m=a@b.com now", "see [url] now"},
        {"http://user:pw@host.com/", "[url]"},
        {"(https://en.wikipedia.org/wiki/Tea_(drink)).", "([url])."},
        {"Look:HTTPS://X.ORG, and www.example.com!", "Look:[url], and [url]!"},
        {"<https://x.org>", "<[url]>"},
        {"\"ftp://a.b\"", "\"[url]\""},
        {"https://x.org/\xe6\xbc\xa2 \xe6\xbc\xa2", "[url] \xe6\xbc\xa2"},
    };
    static const char *const texts[] = {"https://",  "://x",  "http:/x",  "www.",
                                        "awww.cute", "a.b.c", "Mr.Smith", "9://x"};
    run(cases, COUNT(cases));
    stay(texts, COUNT(texts));
}

static void mentions_are_found_with_and_without_host(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"hi @ann_1, @bob.", "hi [mention], [mention]."},
        {"@ann@social.example hello", "[mention] hello"},
        {"(@a.b-c)", "([mention])"},
        {"@ann@nohost", "[mention]@nohost"},
        {"\xe3\x80\x8c@\xe5\x90\x8d\xe5\x89\x8d\xe3\x80\x8d", "\xe3\x80\x8c[mention]\xe3\x80\x8d"},
        {"@50cent", "[mention]"},
        {"@a/@b", "[mention]/[mention]"},
    };
    static const char *const texts[] = {"3 @ 5", "@5", "@ ann", "a@b", "@@", "@-", "@.x", "@@ann"};
    run(cases, COUNT(cases));
    stay(texts, COUNT(texts));
}

static void cards_must_pass_luhn(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"4111111111111111", "[card]"},
        {"card 4111 1111 1111 1111.", "card [card]."},
        {"4111-1111-1111-1111,", "[card],"},
        {"3782 822463 10005", "[card]"},
        {"6011000990139424", "[card]"},
        {"4222222222222", "[card]"},
        {"order 12 4111 1111 1111 1111 99", "order 12 [card] 99"},
        {"Card:5555555555554444", "Card:[card]"},
        {"+1 555 123 4567 4111 1111 1111 1111", "[phone] [card]"},
    };
    static const char *const texts[] = {
        "4111111111111112",       "4111 1111 1111 1112",
        "411111111111",           "41111111111111111111",
        "x4111111111111111",      "4111111111111111x",
        "4111  1111  1111  1111", "1-4111111111111111",
        "4111111111111111-1",     "1234567890123456789012345678901234567890123456789",
    };
    run(cases, COUNT(cases));
    stay(texts, COUNT(texts));
}

static void phones_are_found_as_people_write_them(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"call 555-1234!", "call [phone]!"},
        {"(555) 123-4567", "[phone]"},
        {"(555)123-4567", "[phone]"},
        {"555-123-4567.", "[phone]."},
        {"555.123.4567", "[phone]"},
        {"1-800-555-1212", "[phone]"},
        {"1 (800) 555-1212", "[phone]"},
        {"800 555 1212", "[phone]"},
        {"5551234567", "[phone]"},
        {"+15551234567", "[phone]"},
        {"+1 555 123 4567", "[phone]"},
        {"+44 (0)20 7946 0958", "[phone]"},
        {"(+44) 20 7946 0958", "[phone]"},
        {"0044 20 7946 0958", "[phone]"},
        {"020 7946 0958", "[phone]"},
        {"+49-30 1234567", "[phone]"},
        {"030/1234567", "[phone]"},
        {"0171-234 567 89", "[phone]"},
        {"01711234567", "[phone]"},
        {"06 12 34 56 78", "[phone]"},
        {"06.12.34.56.78", "[phone]"},
        {"06\xc2\xa0"
         "12\xc2\xa0"
         "34\xc2\xa0"
         "56\xc2\xa0"
         "78",
         "[phone]"},
        {"612 345 678", "[phone]"},
        {"8 (495) 123-45-67", "[phone]"},
        {"138 1234 5678", "[phone]"},
        {"(11) 98765-4321", "[phone]"},
        {"tel.5551234567", "tel.[phone]"},
        {"Tel:+49 171 1234567", "Tel:[phone]"},
        {"(555-1234)", "([phone])"},
        {"555-123-4567 555-987-6543", "[phone] [phone]"},
        {"in 2020 555-123-4567", "in 2020 [phone]"},
        {"2024-01-15 555-123-4567", "2024-01-15 [phone]"},
        {"12:30 555-123-4567", "12:30 [phone]"},
        {"a@b.com/+15551234567", "[email]/[phone]"},
        {"\xe6\xbc\xa2 555-1234 \xe6\xbc\xa2", "\xe6\xbc\xa2 [phone] \xe6\xbc\xa2"},
    };
    run(cases, COUNT(cases));
}

static void other_numbers_stay(void **state)
{
    (void)state;
    static const char *const texts[] = {
        /* years and dates */
        "2019-2020",
        "2019 2020 2021",
        "from 1999 to 2004",
        "2024-01-15",
        "15.01.2024",
        "01-02-2024",
        "12/31/2024",
        "2024/01/15",
        "2024-01-15 12:30:45",
        "2024-01-15T12:30:45Z",
        "20240115123000",
        "1939\xe2\x80\x93"
        "1945",
        "(2019) 2020-2021",
        "2010 - 2015",
        /* times */
        "12:30:45",
        "08:00-17:00",
        "1700000000",
        "1700000000123",
        /* prices and amounts */
        "$1234567",
        "$ 5551234567",
        "1 000 000",
        "12 500 000",
        "1.234.567",
        "1,234,567.89",
        "1234567.89",
        "750 000 000",
        "+1 000 000",
        "\xe2\x82\xac"
        "5551234567",
        "555 123 4567 \xe2\x82\xac",
        "1000-5000",
        "5551234567%",
        "0.12345678",
        "3.14159265358",
        /* ids */
        "#5551234567",
        "id 12345678",
        "1234567",
        "1234567890123456789012",
        "550e8400-e29b-41d4-a716-446655440000",
        "AB-5551234567",
        "x5551234567",
        "5551234567x",
        "ISBN 978-3-16-148410-0",
        "192.168.100.200",
        "10.0.19045.3803",
        "000000000000",
        "1 2 3 4 5 6 7 8 9 10",
        "10 20 30 40",
        "100 200 300 400",
        "1024 2048 4096",
        "1-2-3-4-5-6-7",
        "5551234567,5551234568.5",
        "12,34,56,78",
    };
    stay(texts, COUNT(texts));
}

static void only_what_was_asked_for_is_taken_out(void **state)
{
    (void)state;
    const char *text = "a@b.com @ann https://x.com/@c/5551234567 555-1234 4111111111111111";
    becomes(0, text, text);
    becomes(REDACT_EMAIL, text,
            "[email] @ann https://x.com/@c/5551234567 555-1234 4111111111111111");
    becomes(REDACT_MENTION, text,
            "a@b.com [mention] https://x.com/@c/5551234567 555-1234 4111111111111111");
    becomes(REDACT_URL, text, "a@b.com @ann [url] 555-1234 4111111111111111");
    becomes(REDACT_PHONE, text,
            "a@b.com @ann https://x.com/@c/5551234567 [phone] 4111111111111111");
    becomes(REDACT_CARD, text, "a@b.com @ann https://x.com/@c/5551234567 555-1234 [card]");
}

static void the_words_of_the_option_are_read(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned kinds = 99;
    assert_int_equal(redact_parse("email,phone,url,mention,card", &kinds, &err), ST_OK);
    assert_int_equal(kinds, ALL);
    assert_int_equal(redact_parse(" url , card ", &kinds, &err), ST_OK);
    assert_int_equal(kinds, REDACT_URL | REDACT_CARD);
    assert_int_equal(redact_parse("", &kinds, &err), ST_OK);
    assert_int_equal(kinds, 0);
    assert_int_equal(redact_parse(NULL, &kinds, &err), ST_OK);
    kinds = 99;
    assert_int_equal(redact_parse("email,name", &kinds, &err), ST_FATAL);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_string_equal(err.text,
                        "'name' is nothing to redact: email, phone, url, mention or card are");
    assert_int_equal(kinds, 99);
    assert_int_equal(redact_parse("email,,url", &kinds, &err), ST_FATAL);
    assert_int_equal(redact_parse("emails", &kinds, &err), ST_FATAL);
}

/* Any bytes pass without a fault, and a redacted text is not shortened twice. */
static void any_bytes_can_be_redacted(void **state)
{
    (void)state;
    static const char letters[] = "0123456789 -+().@/:aw\xc3\xa9\xe2\x80\xff\0#$";
    struct rng rng;
    rng_seed(&rng, 11);
    for (int i = 0; i < 20000; i++) {
        size_t n = rng_next(&rng) % 60;
        char *p = mem_alloc(n); /* of its exact size, so that a read past the end is met */
        for (size_t k = 0; k < n; k++)
            p[k] = letters[rng_next(&rng) % (sizeof letters - 1)];
        struct buf out = {0}, none = {0};
        redact_text(ALL, span_make(p, n), &out);
        redact_text(0, span_make(p, n), &none);
        assert_int_equal(none.n, n);
        buf_fini(&out);
        buf_fini(&none);
        mem_free(p);
    }
}

/* Texts made so that looking ahead again and again would take hours; there is no assertion on time,
 * the suite's own limit would be met. */
static void hard_texts_take_linear_time(void **state)
{
    (void)state;
    static const char *const pieces[] = {"1 ",
                                         "1-",
                                         "a.",
                                         "a@",
                                         "@a.",
                                         "(1) ",
                                         "http",
                                         "1",
                                         "+1 ",
                                         "555-",
                                         "a@b.",
                                         "w.",
                                         "12345678901234567890 "};
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct buf text = {0}, out = {0};
        while (text.n < 1 << 20)
            buf_add_str(&text, pieces[i]);
        redact_text(ALL, buf_span(&text), &out);
        assert_true(out.n > 0);
        buf_fini(&text);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(emails_are_found),
        cmocka_unit_test(what_only_looks_like_an_email_stays),
        cmocka_unit_test(urls_win_over_what_stands_inside),
        cmocka_unit_test(mentions_are_found_with_and_without_host),
        cmocka_unit_test(cards_must_pass_luhn),
        cmocka_unit_test(phones_are_found_as_people_write_them),
        cmocka_unit_test(other_numbers_stay),
        cmocka_unit_test(only_what_was_asked_for_is_taken_out),
        cmocka_unit_test(the_words_of_the_option_are_read),
        cmocka_unit_test(any_bytes_can_be_redacted),
        cmocka_unit_test(hard_texts_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
