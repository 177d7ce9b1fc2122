/* The exec enricher, with real programs: those that do well, and those that die, hang, babble or
 * answer in any order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/enrich/exec.h"
#include "lib/json/post.h"

enum { WAIT_MS = 60000, MANY = 500, MIB = 1 << 20 };

/* Answers {"n": length of the text, "id": id} and does as the text says; `how` is the argument. */
static const char program[] =
    "import sys, json, os, time\n"
    "how = sys.argv[1]\n"
    "held = []\n"
    "def say(q, **more):\n"
    "    if how != 'plain': more['seq'] = q['seq']\n"
    "    print(json.dumps(more), flush=True)\n"
    "for line in sys.stdin:\n"
    "    q = json.loads(line)\n"
    "    assert q['post'] is None or q['post']['text'] == q['text']\n"
    "    t = q['text']\n"
    "    if t == 'die': os._exit(3)\n"
    "    if t == 'kill': os.kill(os.getpid(), 11)\n"
    "    if t == 'hang': time.sleep(1000)\n"
    "    if t == 'garbage': print('no json', flush=True); continue\n"
    "    if t == 'named garbage': print('{\"seq\": %d, oops' % q['seq'], flush=True); continue\n"
    "    if t == 'long': print('{\"seq\":%d,\"answer\":\"%s\"}' % (q['seq'], 'x' * 3000000), "
    "flush=True); continue\n"
    "    if t == 'error': say(q, error='not\\nthis one'); continue\n"
    "    if t == 'neither': say(q, other=1); continue\n"
    "    if t == 'null': say(q, answer=None); continue\n"
    "    if t == 'mib': say(q, answer='y' * 1000000); continue\n"
    "    if t == 'twice': say(q, answer=1)\n"
    "    if t == 'blank': print('\\n \\r', flush=True)\n"
    "    held.append((q, {'n': len(t), 'id': q['id']}))\n"
    "    if how == 'reversed' and len(held) < 8: continue\n"
    "    for q, a in reversed(held): say(q, answer=a)\n"
    "    held = []\n";

struct play {
    char folder[32], file[64], mark[64], command[400];
    struct loop *loop;
    struct loop_timer *limit;
    struct exec exec;
    int answered, wanted;
    bool timed_out;
};

static void on_limit(void *arg)
{
    struct play *p = arg;
    p->timed_out = true;
    loop_stop(p->loop);
}

static int setup(void **state)
{
    struct play *p = mem_zalloc(sizeof *p);
    snprintf(p->folder, sizeof p->folder, "/tmp/exec-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->file, sizeof p->file, "%s/program.py", p->folder);
    snprintf(p->mark, sizeof p->mark, "%s/mark", p->folder);
    FILE *f = fopen(p->file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(program, 1, sizeof program - 1, f), sizeof program - 1);
    assert_int_equal(fclose(f), 0);
    p->loop = loop_new();
    p->limit = loop_timer_new(p->loop, on_limit, p);
    *state = p;
    return 0;
}

/* Whatever happened, no child is left, not even a zombie. */
static int teardown(void **state)
{
    struct play *p = *state;
    exec_close(&p->exec);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    loop_timer_free(p->limit);
    loop_free(p->loop);
    unlink(p->file);
    unlink(p->mark);
    assert_int_equal(rmdir(p->folder), 0);
    mem_free(p);
    return 0;
}

static void opened(struct play *p, const char *command, struct exec_options opt)
{
    struct error err = {0};
    snprintf(p->command, sizeof p->command, "%s", command);
    opt.command = p->command;
    if (exec_open(&p->exec, &opt, p->loop, &err) != ST_OK)
        fail_msg("%s", err.text);
}

static void opened_program(struct play *p, const char *how, struct exec_options opt)
{
    char command[400];
    snprintf(command, sizeof command, "exec python3 -u %s %s", p->file, how);
    opened(p, command, opt);
}

struct question {
    struct ask ask;
    struct play *play;
    char id[24];
    int told;
};

static void on_done(struct ask *ask)
{
    struct question *q = ask->arg;
    q->told++;
    if (++q->play->answered == q->play->wanted)
        loop_stop(q->play->loop);
}

static void submit(struct play *p, struct question *q, int id, struct span text)
{
    q->play = p;
    snprintf(q->id, sizeof q->id, "%d", id);
    q->ask.id = span_of(q->id);
    q->ask.text = text;
    q->ask.done = on_done;
    q->ask.arg = q;
    assert_int_equal(exec_submit(&p->exec, &q->ask), ST_AGAIN);
}

static void wait_for(struct play *p, int wanted)
{
    p->wanted = wanted;
    loop_timer_start(p->limit, WAIT_MS);
    if (p->answered < wanted)
        loop_run(p->loop);
    loop_timer_stop(p->limit);
    assert_false(p->timed_out);
    assert_int_equal(p->answered, wanted);
}

static void is_answer(struct question *q, const char *want)
{
    if (q->ask.status != ST_OK)
        fail_msg("%s", q->ask.err->text);
    assert_int_equal(q->told, 1);
    assert_string_equal(buf_str(&q->ask.answer), want);
    ask_fini(&q->ask);
}

/* The answer that the program gives to a text of n characters. */
static void is_length(struct question *q, int n)
{
    char want[80];
    snprintf(want, sizeof want, "{\"n\": %d, \"id\": \"%s\"}", n, q->id);
    is_answer(q, want);
}

static void is_refused(struct question *q, const char *why)
{
    assert_int_equal(q->told, 1);
    assert_int_equal(q->ask.status, ST_REJECT);
    assert_int_equal(q->ask.err->reason, REASON_enricher_failed);
    if (strstr(q->ask.err->text, why) == NULL)
        fail_msg("'%s' is not in '%s'", why, q->ask.err->text);
    ask_fini(&q->ask);
}

static void ask_many(struct play *p)
{
    struct question *qs = mem_array(MANY, sizeof *qs);
    char text[MANY];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < MANY; i++)
        submit(p, &qs[i], i, span_make(text, (size_t)i));
    wait_for(p, MANY);
    for (int i = 0; i < MANY; i++)
        is_length(&qs[i], i);
    mem_free(qs);
}

static void every_ask_gets_its_own_answer(void **state)
{
    struct play *p = *state;
    opened_program(p, "seq", (struct exec_options){.processes = 3});
    ask_many(p);
    assert_int_equal(exec_counts(&p->exec).starts, 3);
}

static void answers_in_any_order_find_their_asks(void **state)
{
    struct play *p = *state;
    struct question qs[8] = {0};
    opened_program(p, "reversed", (struct exec_options){0});
    for (int i = 0; i < 8; i++)
        submit(p, &qs[i], i, span_make("12345678", (size_t)i));
    wait_for(p, 8);
    for (int i = 0; i < 8; i++)
        is_length(&qs[i], i);
}

static void a_program_without_seq_answers_in_order(void **state)
{
    struct play *p = *state;
    opened_program(p, "plain", (struct exec_options){.processes = 2});
    ask_many(p);
}

static void a_loop_of_the_shell_is_a_program_too(void **state)
{
    struct play *p = *state;
    struct question qs[2] = {0};
    opened(p, "n=0; while read -r q; do n=$((n + 1)); echo \"{\\\"answer\\\": [$n,1e400]}\"; done",
           (struct exec_options){0});
    submit(p, &qs[0], 1, SPAN_LIT("a"));
    submit(p, &qs[1], 2, SPAN_LIT("b"));
    wait_for(p, 2);
    is_answer(&qs[0], "[1,1e400]");
    is_answer(&qs[1], "[2,1e400]");
}

static void an_empty_text_and_one_of_a_mebibyte_are_answered(void **state)
{
    struct play *p = *state;
    struct question qs[3] = {0};
    char *text = mem_alloc(MIB);
    memset(text, '"', MIB);
    opened_program(p, "seq", (struct exec_options){0});
    submit(p, &qs[0], 1, span_make(text, MIB));
    submit(p, &qs[1], 2, SPAN_LIT(""));
    submit(p, &qs[2], 3, SPAN_LIT("mib"));
    wait_for(p, 3);
    is_length(&qs[0], MIB);
    is_length(&qs[1], 0);
    assert_int_equal(qs[2].ask.answer.n, 1000002);
    ask_fini(&qs[2].ask);
    mem_free(text);
}

static void a_post_with_line_breaks_stays_one_line(void **state)
{
    struct play *p = *state;
    struct question q = {.ask.value = SPAN_LIT("{\n\"id\":1,\r\n \"text\":\"a\\nb\"\n}")};
    opened_program(p, "seq", (struct exec_options){0});
    submit(p, &q, 1, SPAN_LIT("a\nb"));
    wait_for(p, 1);
    is_length(&q, 3);
}

static void what_a_program_says_against_an_ask_is_told(void **state)
{
    struct play *p = *state;
    struct question qs[4] = {0};
    opened_program(p, "seq", (struct exec_options){0});
    submit(p, &qs[0], 1, SPAN_LIT("error"));
    submit(p, &qs[1], 2, SPAN_LIT("null"));
    submit(p, &qs[2], 3, SPAN_LIT("neither"));
    submit(p, &qs[3], 4, SPAN_LIT("fine"));
    wait_for(p, 4);
    is_refused(&qs[0], "not this one");
    is_answer(&qs[1], "null");
    is_refused(&qs[2], "a line without \"answer\" and \"error\": {\"other\": 1");
    is_length(&qs[3], 4);
}

static void a_bad_line_is_its_own_asks_and_no_others(void **state)
{
    struct play *p = *state;
    struct question qs[5] = {0};
    opened_program(p, "seq", (struct exec_options){0});
    submit(p, &qs[0], 1, SPAN_LIT("fine"));
    submit(p, &qs[1], 2, SPAN_LIT("named garbage"));
    submit(p, &qs[2], 3, SPAN_LIT("long"));
    submit(p, &qs[3], 4, SPAN_LIT("twice"));
    submit(p, &qs[4], 5, SPAN_LIT("blank"));
    wait_for(p, 5);
    is_length(&qs[0], 4);
    is_refused(&qs[1], "a line that is no JSON: {\"seq\": 2, oops");
    is_refused(&qs[2], "a line longer than 1 MiB: {\"seq\":3");
    is_answer(&qs[3], "1");
    is_length(&qs[4], 5);
    assert_int_equal(exec_counts(&p->exec).bad_lines, 2);
    assert_int_equal(exec_counts(&p->exec).starts, 1);
}

static void a_stray_line_never_moves_answers_to_other_asks(void **state)
{
    struct play *p = *state;
    struct question qs[40] = {0};
    opened_program(p, "plain", (struct exec_options){0});
    for (int i = 0; i < 40; i++)
        submit(p, &qs[i], i, i % 10 == 5 ? SPAN_LIT("garbage") : SPAN_LIT("fine"));
    wait_for(p, 40);
    for (int i = 0; i < 40; i++) {
        if (i % 10 == 5)
            is_refused(&qs[i], "a line that is no JSON: no json");
        else
            is_length(&qs[i], 4);
    }
}

static void lines_that_nobody_asked_for_are_passed_over(void **state)
{
    struct play *p = *state;
    struct question qs[2] = {0};
    char command[400];
    snprintf(command, sizeof command,
             "read q; echo '{\"seq\":999,\"answer\":1}'; echo '{\"seq\":1,\"answer\":2}';"
             "echo '{\"seq\":1,\"answer\":3}'; read q; echo '{\"answer\":4}'; exec cat >/dev/null");
    opened(p, command, (struct exec_options){0});
    submit(p, &qs[0], 1, SPAN_LIT("a"));
    wait_for(p, 1);
    submit(p, &qs[1], 2, SPAN_LIT("b"));
    wait_for(p, 2);
    is_answer(&qs[0], "2");
    is_answer(&qs[1], "4");
}

static void a_program_that_dies_is_started_again_and_asked_again(void **state)
{
    struct play *p = *state;
    struct question qs[20] = {0};
    char command[400];
    /* The first process reads some and ends in their middle. */
    snprintf(command, sizeof command,
             "if [ -e %s ]; then exec python3 -u %s seq; else : > %s; read a; read b; exit 4; fi",
             p->mark, p->file, p->mark);
    opened(p, command, (struct exec_options){0});
    for (int i = 0; i < 20; i++)
        submit(p, &qs[i], i, SPAN_LIT("fine"));
    wait_for(p, 20);
    for (int i = 0; i < 20; i++) {
        assert_in_range(qs[i].ask.attempts, 1, 2);
        is_length(&qs[i], 4);
    }
    assert_int_equal(exec_counts(&p->exec).starts, 2);
}

static void a_post_that_kills_the_program_takes_no_others_along(void **state)
{
    struct play *p = *state;
    struct question qs[30] = {0};
    opened_program(p, "seq", (struct exec_options){0});
    for (int i = 0; i < 30; i++)
        submit(p, &qs[i], i,
               i == 3    ? SPAN_LIT("die")
               : i == 12 ? SPAN_LIT("kill")
                         : SPAN_LIT("fine"));
    wait_for(p, 30);
    for (int i = 0; i < 30; i++) {
        if (i == 3)
            is_refused(&qs[i], "ended while it was asked, 3 times: exit status 3");
        else if (i == 12)
            is_refused(&qs[i], "signal 11 (Segmentation fault)");
        else
            is_length(&qs[i], 4);
    }
}

static void an_ask_that_hangs_is_refused_and_the_others_are_answered(void **state)
{
    struct play *p = *state;
    struct question qs[5] = {0};
    opened_program(p, "seq", (struct exec_options){.timeout_ms = 2000});
    for (int i = 0; i < 5; i++)
        submit(p, &qs[i], i, i == 1 ? SPAN_LIT("hang") : SPAN_LIT("fine"));
    wait_for(p, 5);
    for (int i = 0; i < 5; i++) {
        if (i == 1)
            is_refused(&qs[i], "did not answer within 2000 ms, 3 times");
        else
            is_length(&qs[i], 4);
    }
    assert_int_equal(exec_counts(&p->exec).hangs, 3);
}

static void a_program_that_reads_nothing_hangs(void **state)
{
    struct play *p = *state;
    struct question qs[2] = {0};
    char *text = mem_alloc(MIB);
    memset(text, 'x', MIB);
    opened(p, "sleep 1000 & sleep 1000", (struct exec_options){.timeout_ms = 50});
    submit(p, &qs[0], 1, span_make(text, MIB));
    submit(p, &qs[1], 2, SPAN_LIT("b"));
    wait_for(p, 2);
    is_refused(&qs[0], "did not answer within 50 ms");
    is_refused(&qs[1], "did not answer within 50 ms");
    mem_free(text);
}

static void a_command_that_does_not_exist_is_fatal(void **state)
{
    struct play *p = *state;
    struct question q = {0};
    opened(p, "exec 2>/dev/null; /nonexistent/program", (struct exec_options){0});
    submit(p, &q, 1, SPAN_LIT("a"));
    wait_for(p, 1);
    assert_int_equal(q.ask.status, ST_FATAL);
    assert_int_equal(q.ask.err->kind, ERR_CONFIG);
    assert_non_null(strstr(q.ask.err->text, "cannot be run (exit status 127)"));
    ask_fini(&q.ask);
}

static void no_command_is_refused(void **state)
{
    struct play *p = *state;
    struct error err = {0};
    assert_int_equal(exec_open(&p->exec, &(struct exec_options){0}, p->loop, &err), ST_FATAL);
    assert_int_equal(err.kind, ERR_CONFIG);
}

static void cancelled_asks_are_never_told_and_may_be_used_again(void **state)
{
    struct play *p = *state;
    static const char *const hows[] = {"seq", "plain"};
    for (int k = 0; k < 2; k++) {
        struct question qs[60] = {0};
        p->answered = 0;
        opened_program(p, hows[k], (struct exec_options){0});
        for (int i = 0; i < 60; i++)
            submit(p, &qs[i], i, span_make("12345678", (size_t)i % 8));
        for (int i = 0; i < 60; i += 2)
            exec_cancel(&p->exec, &qs[i].ask);
        wait_for(p, 30);
        for (int i = 0; i < 60; i++)
            assert_int_equal(qs[i].told, i % 2);
        for (int i = 0; i < 60; i += 2)
            submit(p, &qs[i], i, span_make("12345678", (size_t)i % 8));
        exec_cancel(&p->exec, &qs[1].ask); /* has ended: nothing happens */
        wait_for(p, 60);
        for (int i = 0; i < 60; i++)
            is_length(&qs[i], i % 8);
        exec_close(&p->exec);
    }
}

static void closing_with_asks_in_flight_tells_nobody(void **state)
{
    struct play *p = *state;
    struct question qs[100] = {0};
    opened_program(p, "seq", (struct exec_options){.processes = 2});
    for (int i = 0; i < 100; i++)
        submit(p, &qs[i], i, i == 0 ? SPAN_LIT("hang") : SPAN_LIT("fine"));
    exec_close(&p->exec);
    assert_int_equal(p->answered, 0);
    for (int i = 0; i < 100; i++)
        ask_fini(&qs[i].ask);
}

static void closing_lets_a_program_end_by_itself(void **state)
{
    struct play *p = *state;
    struct question q = {0};
    char command[400];
    snprintf(command, sizeof command, "read q; echo '{\"answer\":1}'; cat; : > %s", p->mark);
    opened(p, command, (struct exec_options){0});
    submit(p, &q, 1, SPAN_LIT("a"));
    wait_for(p, 1);
    is_answer(&q, "1");
    assert_int_equal(access(p->mark, F_OK), -1);
    exec_close(&p->exec);
    assert_int_equal(access(p->mark, F_OK), 0);
}

static void a_program_sees_no_descriptor_but_the_standard_ones(void **state)
{
    struct play *p = *state;
    struct question q = {0};
    int leaked = dup(STDERR_FILENO); /* without O_CLOEXEC, as libraries may do it */
    opened(p,
           "read q; n=0; i=0; while [ $i -lt 99 ]; do [ -e /proc/$$/fd/$i ] && n=$((n + 1));"
           "i=$((i + 1)); done; echo \"{\\\"answer\\\":$n}\"; exec cat",
           (struct exec_options){0});
    submit(p, &q, 1, SPAN_LIT("a"));
    wait_for(p, 1);
    is_answer(&q, "3");
    close(leaked);
}

static void its_group_is_its_own_and_ends_with_it(void **state)
{
    struct play *p = *state;
    struct question q = {0};
    char command[400];
    /* The child that stays behind ignores what it can. */
    snprintf(command, sizeof command,
             "(trap '' HUP TERM PIPE; exec >/dev/null </dev/null; sleep 1000) & "
             "read q; echo \"{\\\"answer\\\":$!}\"; exit 0");
    opened(p, command, (struct exec_options){0});
    submit(p, &q, 1, SPAN_LIT("a"));
    wait_for(p, 1);
    pid_t child = (pid_t)strtol(buf_str(&q.ask.answer), NULL, 10);
    ask_fini(&q.ask);
    assert_true(child > 0);
    exec_close(&p->exec);
    /* Killed; whoever adopts it may take a moment to reap it. */
    char path[64], status[64] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", child);
    int64_t end_ms = clock_mono_ms() + WAIT_MS;
    for (;;) {
        FILE *f = fopen(path, "r");
        size_t n = f == NULL ? 0 : fread(status, 1, sizeof status - 1, f);
        status[n] = '\0';
        if (f != NULL)
            fclose(f);
        if (n == 0 || strstr(status, ") Z") != NULL || strstr(status, ") X") != NULL)
            break;
        assert_true(clock_mono_ms() < end_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_ask_gets_its_own_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_in_any_order_find_their_asks, setup, teardown),
        cmocka_unit_test_setup_teardown(a_program_without_seq_answers_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_loop_of_the_shell_is_a_program_too, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_text_and_one_of_a_mebibyte_are_answered, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_post_with_line_breaks_stays_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_program_says_against_an_ask_is_told, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_bad_line_is_its_own_asks_and_no_others, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stray_line_never_moves_answers_to_other_asks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lines_that_nobody_asked_for_are_passed_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_program_that_dies_is_started_again_and_asked_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_post_that_kills_the_program_takes_no_others_along, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_ask_that_hangs_is_refused_and_the_others_are_answered,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_program_that_reads_nothing_hangs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_that_does_not_exist_is_fatal, setup, teardown),
        cmocka_unit_test_setup_teardown(no_command_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_asks_are_never_told_and_may_be_used_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(closing_with_asks_in_flight_tells_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_lets_a_program_end_by_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(a_program_sees_no_descriptor_but_the_standard_ones, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(its_group_is_its_own_and_ends_with_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
