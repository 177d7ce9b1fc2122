/* The lookup enricher: each format, what is refused with its line, and tables that change while
 * they are in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "lib/base/mem.h"
#include "lib/enrich/lookup.h"
#include "tests/contract/enricher_contract.h"

enum { WAIT_MS = 20000 };

struct play {
    char folder[32], file[64];
    struct loop *loop;
    struct loop_timer *limit, *poll;
    struct lookup lookup;
    bool timed_out;
    bool (*wanted)(struct play *p);
    int told;
    struct error told_error;
};

static void on_limit(void *arg)
{
    struct play *p = arg;
    p->timed_out = true;
    loop_stop(p->loop);
}

static void on_poll(void *arg)
{
    struct play *p = arg;
    if (p->wanted(p))
        loop_stop(p->loop);
    else
        loop_timer_start(p->poll, 1);
}

static void wait_until(struct play *p, bool (*wanted)(struct play *p))
{
    p->wanted = wanted;
    loop_timer_start(p->limit, WAIT_MS);
    loop_timer_start(p->poll, 0);
    loop_run(p->loop);
    loop_timer_stop(p->limit);
    assert_false(p->timed_out);
}

static int setup(void **state)
{
    struct play *p = mem_zalloc(sizeof *p);
    snprintf(p->folder, sizeof p->folder, "/tmp/lookup-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    p->loop = loop_new();
    p->limit = loop_timer_new(p->loop, on_limit, p);
    p->poll = loop_timer_new(p->loop, on_poll, p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct play *p = *state;
    lookup_close(&p->lookup);
    loop_timer_free(p->limit);
    loop_timer_free(p->poll);
    loop_free(p->loop);
    unlink(p->file);
    assert_int_equal(rmdir(p->folder), 0);
    mem_free(p);
    return 0;
}

/* A new file takes the old one's place at once, as an editor does it. */
static void write_file(struct play *p, const char *name, struct span content)
{
    char fresh[64];
    snprintf(p->file, sizeof p->file, "%s/%s", p->folder, name);
    snprintf(fresh, sizeof fresh, "%s/fresh", p->folder);
    FILE *f = fopen(fresh, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(content.p, 1, content.n, f), content.n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(fresh, p->file), 0);
}

static void write_database(struct play *p, const char *sql)
{
    sqlite3 *conn = NULL;
    snprintf(p->file, sizeof p->file, "%s/t.db", p->folder);
    assert_int_equal(sqlite3_open(p->file, &conn), SQLITE_OK);
    assert_int_equal(sqlite3_exec(conn, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(conn), SQLITE_OK);
}

static enum status reopen(struct play *p, struct lookup_options opt, struct error *err)
{
    lookup_close(&p->lookup);
    opt.file = p->file;
    opt.check_ms = 1;
    return lookup_open(&p->lookup, &opt, p->loop, err);
}

static void opened(struct play *p, struct lookup_options opt)
{
    struct error err = {0};
    if (reopen(p, opt, &err) != ST_OK)
        fail_msg("%s", err.text);
}

/* want NULL: it is refused. */
static void answers_to(struct play *p, const char *id, const char *want)
{
    struct ask ask = {.id = span_of(id),
                      .text = SPAN_LIT("the text"),
                      .value = SPAN_LIT("{\"id\":1,\"text\":\"x\",\"author\":{\"name\":\"ann\"}}")};
    enum status st = lookup_submit(&p->lookup, &ask);
    assert_int_equal(st, ask.status);
    if (want == NULL) {
        assert_int_equal(st, ST_REJECT);
        assert_int_equal(ask.err->reason, REASON_enricher_failed);
        assert_non_null(strstr(ask.err->text, "has no row for"));
    } else {
        assert_int_equal(st, ST_OK);
        assert_string_equal(buf_str(&ask.answer), want);
    }
    lookup_cancel(&p->lookup, &ask);
    ask_fini(&ask);
}

static void csv_is_read_as_the_rfc_says(void **state)
{
    struct play *p = *state;
    write_file(p, "t.csv",
               SPAN_LIT("\xef\xbb\xbfid,name,\"a \"\"note\"\"\"\r\n1,Ann,\"x, \"\"y\"\"\nz\"\r\n"
                        "\r\n2,,\n\"3\",5\" wide,t\xc3\xa9"));
    opened(p, (struct lookup_options){0});
    answers_to(p, "1", "{\"name\":\"Ann\",\"a \\\"note\\\"\":\"x, \\\"y\\\"\\nz\"}");
    answers_to(p, "2", "{\"name\":\"\",\"a \\\"note\\\"\":\"\"}");
    answers_to(p, "3", "{\"name\":\"5\\\" wide\",\"a \\\"note\\\"\":\"t\xc3\xa9\"}");
    answers_to(p, "4", "null");
    answers_to(p, "", "null");
    assert_int_equal(lookup_table_count(p->lookup.table), 3);
    assert_int_equal(lookup_counts(&p->lookup).found, 3);
    assert_int_equal(lookup_counts(&p->lookup).missing, 2);
}

static void tsv_takes_tabs_and_a_table_may_have_one_column(void **state)
{
    struct play *p = *state;
    write_file(p, "t.TSV", SPAN_LIT("a\tb\nx,y\t1\n\"q\tr\"\t2\n"));
    opened(p, (struct lookup_options){.missing = "null"});
    answers_to(p, "x,y", "{\"b\":\"1\"}");
    answers_to(p, "q\tr", "{\"b\":\"2\"}");
    unlink(p->file);
    write_file(p, "one.csv", SPAN_LIT("id\n7\n\n"));
    opened(p, (struct lookup_options){0});
    answers_to(p, "7", "{}");
}

static void jsonl_keeps_its_types(void **state)
{
    struct play *p = *state;
    write_file(p, "t.jsonl",
               SPAN_LIT("{\"k\":7,\"n\":0.1,\"l\":[1,{\"x\":null}],\"s\":\"\\u00e9\\\"\"}\n \r\n"
                        "{\"z\":true,\"k\":\"b\"}"));
    opened(p, (struct lookup_options){0});
    answers_to(p, "7", "{\"n\":0.1,\"l\":[1,{\"x\":null}],\"s\":\"\xc3\xa9\\\"\"}");
    answers_to(p, "b", "{\"z\":true}");
    opened(p, (struct lookup_options){.key_column = "k"});
    answers_to(p, "b", "{\"z\":true}");
}

static void sqlite_keeps_its_types(void **state)
{
    struct play *p = *state;
    write_database(p, "CREATE TABLE people(id, n, r, s, e); INSERT INTO people VALUES"
                      "(1,9223372036854775807,0.1,'a\"b',NULL),('x',0,1.0,'','');");
    opened(p, (struct lookup_options){0});
    answers_to(p, "1", "{\"n\":9223372036854775807,\"r\":0.1,\"s\":\"a\\\"b\",\"e\":null}");
    answers_to(p, "x", "{\"n\":0,\"r\":1.0,\"s\":\"\",\"e\":\"\"}");
    write_database(p,
                   "CREATE TABLE \"odd \"\"name\"(k, v); INSERT INTO \"odd \"\"name\" VALUES(5,6)");
    opened(p, (struct lookup_options){.table = "odd \"name", .key_column = "v"});
    answers_to(p, "6", "{\"k\":5}");
}

static void the_key_is_made_by_a_template(void **state)
{
    struct play *p = *state;
    write_file(p, "t.csv", SPAN_LIT("x,name\n1,ann/the text\n"));
    opened(p, (struct lookup_options){.match = "{{author.name}}/{{text}}",
                                      .key_column = "name",
                                      .missing = "dead-letter"});
    answers_to(p, "any", "{\"x\":\"1\"}");
    opened(p, (struct lookup_options){.missing = "dead-letter"});
    answers_to(p, "nobody", NULL);
}

static void refused(struct play *p, struct lookup_options opt, const char *why)
{
    struct error err = {0};
    assert_int_equal(reopen(p, opt, &err), ST_FATAL);
    assert_int_equal(err.kind, ERR_CONFIG);
    if (strstr(err.text, why) == NULL)
        fail_msg("'%s' is not in '%s'", why, err.text);
}

static void broken_tables_are_refused_with_their_line(void **state)
{
    struct play *p = *state;
    static const struct {
        const char *name, *content, *why;
    } cases[] = {
        {"t.csv", "", "is empty"},
        {"t.csv", "a,b\n1\n", "t.csv line 2: 1 fields where the first line has 2"},
        {"t.csv", "a,b\n1,\"x\ny\"\n2,3,4\n", "line 4: 3 fields"},
        {"t.csv", "a,b\n1,2\n1,3\n", "line 3: the key '1' stands in line 2 already"},
        {"t.csv", "a,b\n1,\"2\n3\n", "line 2: a quote that is not closed"},
        {"t.csv", "a,b\n1,\"2\"3\n", "line 2: text behind a closing quote"},
        {"t.csv", "a,a\n", "line 1: the column 'a' stands twice"},
        {"t.csv", "a,b\n1,\xff\n", "line 2: not UTF-8"},
        {"t.jsonl", "{\"a\":1}\n[1]\n", "t.jsonl line 2: must be a JSON object"},
        {"t.jsonl", "{\"a\":1}\n\n{\"b\":1}\n", "line 3: no member 'a'"},
        {"t.jsonl", "{\"a\":null}\n", "line 1: the key 'a' must be a string or a number"},
        {"t.jsonl", "{\"a\":1,\n", "line 1: no JSON"},
        {"t.jsonl", "{\"a\":1}\n{\"a\":1}", "line 2: the key '1' stands in line 1 already"},
        {"t.jsonl", "{}", "line 1: no member"},
        {"t.txt", "a,b\n", "must end in .csv, .tsv, .jsonl, .db or .sqlite"},
        {"t.db", "a,b\n", "SQLite: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(p, cases[i].name, span_of(cases[i].content));
        refused(p, (struct lookup_options){0}, cases[i].why);
        unlink(p->file);
    }
    refused(p, (struct lookup_options){0}, "t.db: SQLite: unable to open");
    write_file(p, "t.csv", SPAN_LIT("a,b\n"));
    refused(p, (struct lookup_options){.key_column = "c"},
            "there is no column 'c'; there are a, b");
    refused(p, (struct lookup_options){.missing = "x"}, "missing must be null or dead-letter");
    refused(p, (struct lookup_options){.match = "{{"}, "lookup: match: line 1");
    unlink(p->file);
    refused(p, (struct lookup_options){0}, "t.csv: cannot be read: No such file");
}

static void databases_that_do_not_fit_are_refused(void **state)
{
    struct play *p = *state;
    write_database(p, "CREATE TABLE a(k, v); CREATE TABLE b(k); INSERT INTO a VALUES(1,x'00')");
    refused(p, (struct lookup_options){0}, "which table? There are: a, b");
    refused(p, (struct lookup_options){.table = "c"}, "no such table: c");
    refused(p, (struct lookup_options){.table = "a"}, "line 1: the column 'v' holds a blob");
    refused(p, (struct lookup_options){.table = "b", .key_column = "x"}, "there is no column 'x'");
    write_database(p, "INSERT INTO b VALUES(NULL)");
    refused(p, (struct lookup_options){.table = "b"}, "line 1: the key is null");
}

static bool is_loaded_twice(struct play *p)
{
    return lookup_counts(&p->lookup).loads >= 2;
}

static bool has_failed(struct play *p)
{
    return lookup_counts(&p->lookup).failed_loads >= 1;
}

static void on_failed(void *arg, const struct error *err)
{
    struct play *p = arg;
    p->told++;
    p->told_error = *err;
}

static void a_changed_file_is_read_again(void **state)
{
    struct play *p = *state;
    write_file(p, "t.csv", SPAN_LIT("a,b\n1,old\n"));
    opened(p, (struct lookup_options){0});
    answers_to(p, "1", "{\"b\":\"old\"}");
    write_file(p, "t.csv", SPAN_LIT("a,b\n1,new\n"));
    wait_until(p, is_loaded_twice);
    answers_to(p, "1", "{\"b\":\"new\"}");
    assert_int_equal(p->told, 0);
}

static void a_changed_database_is_read_again(void **state)
{
    struct play *p = *state;
    write_database(p, "CREATE TABLE a(k, v); INSERT INTO a VALUES(1,'old')");
    opened(p, (struct lookup_options){0});
    write_database(p, "UPDATE a SET v='new'");
    wait_until(p, is_loaded_twice);
    answers_to(p, "1", "{\"v\":\"new\"}");
}

static bool is_whole_again(struct play *p)
{
    return lookup_counts(&p->lookup).loads >= 2;
}

static void a_broken_file_leaves_the_old_table_and_is_told_once(void **state)
{
    struct play *p = *state;
    write_file(p, "t.csv", SPAN_LIT("a,b\n1,old\n"));
    opened(p, (struct lookup_options){0});
    lookup_on_failed(&p->lookup, on_failed, p);
    write_file(p, "t.csv", SPAN_LIT("a,b\n1\n"));
    wait_until(p, has_failed);
    answers_to(p, "1", "{\"b\":\"old\"}");
    write_file(p, "t.csv", SPAN_LIT("a,b\n1,new\n"));
    wait_until(p, is_whole_again); /* which takes many looks at the file */
    answers_to(p, "1", "{\"b\":\"new\"}");
    assert_int_equal(p->told, 1);
    assert_non_null(strstr(p->told_error.text, "line 2: 1 fields"));
}

static void a_file_that_goes_leaves_the_old_table(void **state)
{
    struct play *p = *state;
    write_file(p, "t.csv", SPAN_LIT("a,b\n1,old\n"));
    opened(p, (struct lookup_options){0});
    unlink(p->file);
    wait_until(p, has_failed);
    answers_to(p, "1", "{\"b\":\"old\"}");
}

static bool is_loading(struct play *p)
{
    return p->lookup.loading;
}

static void closing_while_a_table_is_read_is_clean(void **state)
{
    struct play *p = *state;
    struct buf text = {0};
    buf_add_str(&text, "a,b\n");
    for (int i = 0; i < 100000; i++)
        buf_printf(&text, "%d,value\n", i);
    write_file(p, "t.csv", SPAN_LIT("a,b\n1,old\n"));
    opened(p, (struct lookup_options){0});
    lookup_on_failed(&p->lookup, on_failed, p);
    write_file(p, "t.csv", buf_span(&text));
    wait_until(p, is_loading);
    lookup_close(&p->lookup);
    opened(p, (struct lookup_options){0});
    assert_int_equal(lookup_table_count(p->lookup.table), 100000);
    answers_to(p, "99999", "{\"b\":\"value\"}");
    answers_to(p, "100000", "null");
    buf_fini(&text);
}

/* --- the contract --- */

static char contract_file[] = "/tmp/lookup-contract-XXXXXX.csv";

static void with_table(struct enrich_options *opt)
{
    opt->kind = KIND_LOOKUP;
    opt->lookup.file = contract_file;
    opt->lookup.key_column = "text";
    opt->lookup.match = "{{text}}";
}

static void without_rows(struct enrich_options *opt)
{
    with_table(opt);
    opt->lookup.missing = "dead-letter";
}

static int run_contract(void)
{
    const struct enricher_fixture fixtures[] = {
        {.name = "enricher: lookup", .setup = with_table},
        {.name = "enricher: lookup, rows missing", .setup = without_rows},
    };
    int failed = 0, fd = mkstemps(contract_file, 4);
    assert_true(fd >= 0);
    dprintf(fd, "text,place\n");
    for (int i = 0; i < 2000; i += 2)
        dprintf(fd, "post number %d about coffee,\"place, the \"\"%d\"\"\"\n", i, i);
    close(fd);
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++)
        failed += enricher_contract_run(&fixtures[i]);
    unlink(contract_file);
    return failed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(csv_is_read_as_the_rfc_says, setup, teardown),
        cmocka_unit_test_setup_teardown(tsv_takes_tabs_and_a_table_may_have_one_column, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(jsonl_keeps_its_types, setup, teardown),
        cmocka_unit_test_setup_teardown(sqlite_keeps_its_types, setup, teardown),
        cmocka_unit_test_setup_teardown(the_key_is_made_by_a_template, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_tables_are_refused_with_their_line, setup, teardown),
        cmocka_unit_test_setup_teardown(databases_that_do_not_fit_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_file_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_database_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_file_leaves_the_old_table_and_is_told_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_file_that_goes_leaves_the_old_table, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_while_a_table_is_read_is_clean, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) + run_contract();
}
