/* The store of answers under random schedules, against a model: replicas that share a journal (a
 * log in memory that takes records late and acknowledges them out of order), or processes that
 * share a file; clients that follow, lead, settle, leave, look again; restarts; writes that fail.
 * A seed that fails is named; SLUICE_SEED=n runs that one alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/point.h"
#include "lib/enrich/answers.h"
#include "lib/enrich/answers_file.h"

enum { REPLICAS = 3, QUESTIONS = 8, ASKERS = 40, LOG_MAX = 4000, STEPS = 1500 };

struct asker {
    struct waiter waiter; /* first */
    struct replica *replica;
    int question;
    bool busy, leads, settled;
    char text[32]; /* what it was told or settled */
};

struct record {
    int question, replica, life;
    char text[32];
};

/* What a replica appended: not in the log, or in it and not acknowledged. */
struct pending {
    void *token;
    struct record rec;
    bool logged;
};

struct replica {
    struct world *world;
    int index, life;
    char path[128];
    struct loop *loop;
    struct loop_timer *timer;
    struct answers *answers;
    struct answers_client *client;
    struct pending pending[ASKERS * 2];
    int pending_count, read, flushed;
    uint64_t races;
    bool told[QUESTIONS]; /* somebody here knows the answer */
};

struct world {
    uint64_t seed;
    bool journal, crashes;
    char folder[64];
    struct replica replicas[REPLICAS];
    struct asker askers[ASKERS];
    struct record log[LOG_MAX];
    int log_count;
    int kept[QUESTIONS]; /* answers settled for good */
    int numbers;
};

static uint32_t draw(struct world *w, uint32_t below)
{
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->seed >> 33) % below;
}

static struct question question_of(int number)
{
    char text[32];
    struct question q;
    int n = snprintf(text, sizeof text, "question %d", number);
    const struct span part = span_make(text, (size_t)n);
    question_make(&part, 1, &q);
    return q;
}

/* --- the journal --- */

static void on_append(void *arg, const struct question *q, const struct answer *answer,
                      const char *model, void *token)
{
    struct replica *r = arg;
    (void)model;
    assert_true(r->pending_count < ASKERS * 2);
    struct pending *p = &r->pending[r->pending_count++];
    *p = (struct pending){.token = token, .rec = {.replica = r->index, .life = r->life}};
    snprintf(p->rec.text, sizeof p->rec.text, "%.*s", (int)answer->text.n, answer->text.p);
    for (int i = 0; i < QUESTIONS; i++) {
        struct question known = question_of(i);
        if (memcmp(known.key, q->key, QUESTION_BYTES) == 0)
            p->rec.question = i;
    }
}

static void take_out(struct replica *r, int i)
{
    r->pending[i] = r->pending[--r->pending_count];
}

static void log_one(struct replica *r, int i)
{
    struct world *w = r->world;
    assert_true(w->log_count < LOG_MAX);
    r->pending[i].logged = true;
    w->log[w->log_count++] = r->pending[i].rec;
}

static void acknowledge(struct replica *r, int i)
{
    void *token = r->pending[i].token;
    take_out(r, i);
    answers_appended(r->answers, token);
}

static void read_one(struct replica *r)
{
    const struct record *rec = &r->world->log[r->read++];
    struct question q = question_of(rec->question);
    const struct answer answer = {.text = span_of(rec->text), .at_ms = 1};
    if (rec->replica != r->index || rec->life != r->life)
        answers_learn(r->answers, &q, &answer);
    else if (!answers_learn_own(r->answers, &q, NULL))
        answers_learn_own(r->answers, &q, &answer);
}

static void flush(struct replica *r)
{
    struct error err;
    char note[16];
    snprintf(note, sizeof note, "%d", r->read);
    int64_t deadline = clock_mono_ms() + 20000; /* a failed write is tried again */
    while (answers_flush(r->answers, note, &err) != ST_OK) {
        assert_true(clock_mono_ms() < deadline);
        usleep(1000); /* Valgrind runs one thread at a time: let it be the storing one */
    }
    r->flushed = r->read;
}

static const char *last_in_log(const struct world *w, int question, int before)
{
    for (int i = before - 1; i >= 0; i--)
        if (w->log[i].question == question)
            return w->log[i].text;
    return NULL;
}

/* --- replicas --- */

static void stop_turn(void *arg)
{
    loop_stop(arg);
}

static void turn(struct replica *r)
{
    loop_timer_start(r->timer, 0);
    loop_run(r->loop);
}

static void start(struct replica *r)
{
    static const struct answers_options options = {.on = true, .memory_bytes = 3000};
    struct error err;
    if (answers_open(&options, r->path, false, &r->answers, &err) != ST_OK)
        fail_msg("%s", err.text);
    r->life++;
    if (r->world->journal) {
        const struct answers_journal journal = {.arg = r, .append = on_append};
        assert_int_equal(answers_set_journal(r->answers, &journal, &err), ST_OK);
        char *note = answers_note(r->answers);
        r->read = r->flushed = note == NULL ? 0 : (int)strtol(note, NULL, 10);
        mem_free(note);
    }
    r->loop = loop_new();
    r->timer = loop_timer_new(r->loop, stop_turn, r->loop);
    r->client = answers_client_open(r->answers, r->loop);
    while (r->world->journal && r->read < r->world->log_count) /* before anything is asked */
        read_one(r);
    flush(r);
}

static void leave(struct asker *a)
{
    answers_leave(a->replica->client, &a->waiter);
    a->busy = a->leads = false;
}

/* Its askers are gone, what the log does not have is lost. */
static void stop(struct replica *r)
{
    struct world *w = r->world;
    struct answers_counts counts;
    for (int i = 0; i < ASKERS; i++)
        if (w->askers[i].busy && w->askers[i].replica == r)
            leave(&w->askers[i]);
    while (r->pending_count > 0) {
        void *token = r->pending[0].token;
        take_out(r, 0);
        answers_unappended(r->answers, token);
    }
    answers_count(r->answers, &counts);
    r->races += counts.races;
    answers_client_close(r->client);
    answers_close(r->answers);
    loop_timer_free(r->timer);
    loop_free(r->loop);
}

/* --- askers --- */

static bool in_file(struct replica *r, int question)
{
    struct answers_file *file = NULL;
    struct kept_answer *kept = NULL;
    struct error err;
    struct question q = question_of(question);
    assert_int_equal(answers_file_open(r->path, false, &file, &err), ST_OK);
    bool found = answers_file_get(file, &q, &kept, &err) == ST_OK;
    answer_drop(kept);
    answers_file_close(file);
    return found;
}

static void on_told(struct waiter *waiter, enum answers_news news, const struct answer *answer)
{
    struct asker *a = (struct asker *)waiter;
    struct world *w = a->replica->world;
    assert_true(a->busy);
    if (news == NEWS_LEADS) {
        assert_false(a->leads);
        a->leads = true;
        return;
    }
    /* what is told is durable */
    if (w->journal)
        assert_non_null(last_in_log(w, a->question, w->log_count));
    else
        assert_true(in_file(a->replica, a->question));
    assert_true(answer->text.n > 0);
    a->replica->told[a->question] = true;
    a->busy = a->leads = false;
}

static void one_leader(const struct replica *r, int question)
{
    int leaders = 0;
    for (int i = 0; i < ASKERS; i++) {
        const struct asker *a = &r->world->askers[i];
        leaders += a->busy && a->leads && a->replica == r && a->question == question;
    }
    assert_in_range(leaders, 0, 1);
}

static void check_hit(struct replica *r, int question, const struct answer *hit)
{
    struct world *w = r->world;
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)hit->text.n, hit->text.p);
    int first = 0;
    for (int i = 0; i < w->log_count; i++)
        first += w->log[i].question == question && strcmp(w->log[i].text, text) == 0;
    assert_true(!w->journal || first > 0);
    r->told[question] = true;
}

static void ask(struct asker *a, struct replica *r, int question)
{
    const struct answer *hit = NULL;
    a->replica = r;
    a->question = question;
    a->settled = a->leads = false;
    memset(&a->waiter, 0, sizeof a->waiter);
    a->waiter.question = question_of(question);
    a->waiter.told = on_told;
    enum answers_found found = answers_find(r->client, &a->waiter, &hit);
    a->busy = found != FOUND_HIT;
    a->leads = found == FOUND_LEADS;
    one_leader(r, question);
    if (found == FOUND_HIT)
        check_hit(r, question, hit);
    if (found == FOUND_LEADS) { /* what was told, or flushed, is never asked again */
        assert_false(r->told[question]);
        assert_null(last_in_log(r->world, question, r->flushed));
    }
}

static void settle(struct asker *a, bool keep)
{
    struct world *w = a->replica->world;
    int n = snprintf(a->text, sizeof a->text, "answer %d", w->numbers++);
    a->settled = true;
    a->leads = false;
    w->kept[a->question] += keep;
    answers_settle(a->replica->client, &a->waiter,
                   &(struct answer){.text = span_make(a->text, (size_t)n), .at_ms = 1}, keep);
}

static void step_asker(struct asker *a)
{
    struct world *w = a->replica == NULL ? NULL : a->replica->world;
    const struct answer *hit;
    uint32_t lot = w == NULL ? 0 : draw(w, 10);
    if (a->leads && lot < 2 && answers_look_again(a->replica->client, &a->waiter, &hit)) {
        check_hit(a->replica, a->question, hit);
        a->busy = a->leads = false;
    } else if (a->leads && lot < 8) {
        settle(a, true);
    } else if (lot == 9 && !a->settled) {
        leave(a);
    }
}

/* --- schedules --- */

static void step_replica(struct world *w, struct replica *r)
{
    int i = r->pending_count == 0 ? -1 : (int)draw(w, (uint32_t)r->pending_count);
    switch (draw(w, 6)) {
    case 0:
        turn(r);
        break;
    case 1:
        if (i >= 0 && !r->pending[i].logged)
            log_one(r, i);
        break;
    case 2:
        if (i >= 0 && r->pending[i].logged)
            acknowledge(r, i);
        break;
    case 3:
        if (r->read < w->log_count)
            read_one(r);
        break;
    case 4:
        if (w->journal && draw(w, 4) == 0)
            flush(r);
        break;
    default:
        if (w->crashes && draw(w, 60) == 0) {
            stop(r);
            start(r);
        }
    }
}

static void step(struct world *w)
{
    struct replica *r = &w->replicas[draw(w, REPLICAS)];
    struct asker *a = &w->askers[draw(w, ASKERS)];
    if (draw(w, 2) == 0)
        step_replica(w, r);
    else if (a->busy)
        step_asker(a);
    else
        ask(a, r, (int)draw(w, QUESTIONS));
}

/* Everything that was begun ends. */
static void settle_down(struct world *w)
{
    int64_t deadline = clock_mono_ms() + 20000;
    for (bool busy = true; busy;) {
        busy = false;
        for (int i = 0; i < ASKERS; i++) {
            busy = busy || w->askers[i].busy;
            if (w->askers[i].busy && w->askers[i].leads)
                settle(&w->askers[i], true);
        }
        for (int i = 0; i < REPLICAS; i++) {
            struct replica *r = &w->replicas[i];
            while (r->pending_count > 0) {
                if (!r->pending[0].logged)
                    log_one(r, 0);
                acknowledge(r, 0);
            }
            turn(r);
        }
        assert_true(clock_mono_ms() < deadline); /* else somebody was never told */
    }
}

/* All replicas hold the same: the last record of the log, or what stands in the file. */
static void all_agree(struct world *w)
{
    uint64_t races = 0, expected = 0;
    for (int i = 0; i < REPLICAS; i++) {
        struct replica *r = &w->replicas[i];
        while (w->journal && r->read < w->log_count)
            read_one(r);
        flush(r);
    }
    for (int q = 0; q < QUESTIONS; q++) {
        char first[32] = "";
        for (int i = 0; i < REPLICAS && w->kept[q] > 0; i++) {
            const struct answer *hit = NULL;
            struct waiter waiter = {.question = question_of(q), .told = on_told};
            if (w->journal && last_in_log(w, q, w->log_count) == NULL)
                continue; /* lost in a crash before it was told */
            assert_int_equal(answers_find(w->replicas[i].client, &waiter, &hit), FOUND_HIT);
            if (w->journal)
                assert_true(span_is(hit->text, last_in_log(w, q, w->log_count)));
            if (first[0] == '\0')
                snprintf(first, sizeof first, "%.*s", (int)hit->text.n, hit->text.p);
            assert_true(span_is(hit->text, first));
        }
        expected += w->kept[q] > 1 ? (uint64_t)w->kept[q] - 1 : 0;
    }
    for (int i = 0; i < REPLICAS; i++)
        stop(&w->replicas[i]);
    for (int i = 0; i < REPLICAS; i++)
        races += w->replicas[i].races;
    if (!w->crashes)
        assert_int_equal(races, expected);
}

static void remove_files(struct world *w)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < REPLICAS; i++) {
        for (int k = 0; k < 3; k++) {
            char path[160];
            snprintf(path, sizeof path, "%s%s", w->replicas[i].path, ends[k]);
            unlink(path);
        }
    }
    rmdir(w->folder);
}

static void play(uint64_t seed, bool journal, bool crashes, int steps)
{
    struct world *w = mem_zalloc(sizeof *w);
    print_message("seed %llu\n", (unsigned long long)seed);
    *w = (struct world){.seed = seed, .journal = journal, .crashes = crashes};
    snprintf(w->folder, sizeof w->folder, "/tmp/sluice-randomXXXXXX");
    assert_non_null(mkdtemp(w->folder));
    for (int i = 0; i < REPLICAS; i++) {
        struct replica *r = &w->replicas[i];
        r->world = w;
        r->index = i;
        snprintf(r->path, sizeof r->path, "%s/%d", w->folder, journal ? i : 0);
        start(r);
    }
    for (int i = 0; i < steps; i++)
        step(w);
    settle_down(w);
    all_agree(w);
    remove_files(w);
    mem_free(w);
}

static void play_seeds(bool journal, bool crashes, int seeds, int steps)
{
    const char *only = getenv("SLUICE_SEED");
    if (only != NULL) {
        play(strtoull(only, NULL, 10), journal, crashes, steps);
        return;
    }
    for (int i = 0; i < seeds; i++)
        play((uint64_t)i + 1, journal, crashes, steps);
}

static void replicas_of_a_journal_agree_and_count_each_race_once(void **state)
{
    (void)state;
    play_seeds(true, false, 25, STEPS);
}

static void replicas_that_restart_lose_nothing_that_was_told(void **state)
{
    (void)state;
    play_seeds(true, true, 25, STEPS);
}

static void processes_of_one_file_agree_and_count_each_race_once(void **state)
{
    (void)state;
    play_seeds(false, false, 6, STEPS / 3);
}

/* Every ninth write fails (see main), and is tried again. */
static void writes_that_fail_are_not_told_and_not_lost(void **state)
{
    (void)state;
    setenv("SLUICE_FAULT", "fail@answers.commit:9", 1);
    point_setup();
    play_seeds(true, false, 1, STEPS / 5);
    play_seeds(false, false, 1, STEPS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_of_a_journal_agree_and_count_each_race_once),
        cmocka_unit_test(replicas_that_restart_lose_nothing_that_was_told),
        cmocka_unit_test(processes_of_one_file_agree_and_count_each_race_once),
        cmocka_unit_test(writes_that_fail_are_not_told_and_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
