/* Processes that die or stand still in the middle of commits: each record comes out exactly once,
 * and what the dead held is free at once. Children are forked before anything is open. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "tests/support/party.h"

enum { RECORDS = 20000, PARTITIONS = 2 };

static char dir[64], url[128];

static struct broker_options options(void)
{
    return (struct broker_options){.url = url, .partitions = PARTITIONS, .timeout_ms = 30000};
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/sluice-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(url, sizeof url, "sqlite:%s/broker.db", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d != NULL && (entry = readdir(d)) != NULL)
        unlinkat(dirfd(d), entry->d_name, 0);
    if (d != NULL)
        closedir(d);
    return rmdir(dir);
}

static void open_with_topics(struct scene *scene)
{
    struct broker_options opt = options();
    scene_open(scene, &opt);
    bool made;
    struct error err = {0};
    assert_int_equal(broker_topic_ensure(scene->broker, "in", TOPIC_PLAIN, 0, &made, &err), ST_OK);
    assert_int_equal(broker_topic_ensure(scene->broker, "out", TOPIC_PLAIN, 0, &made, &err), ST_OK);
}

static void feed(struct scene *scene, int count)
{
    struct party party = {0};
    party_write(&party, scene, (struct writer_config){.topics = {"in"}});
    for (int i = 0; i < count; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        party_send(&party, i % PARTITIONS, text, text);
    }
    party_commit(&party, NULL, 0);
    party_close(&party);
}

static void join(struct party *party, struct scene *scene, const char *instance)
{
    party_read(party, scene,
               (struct reader_config){.topic = "in", .group = "g", .instance = instance});
    party_write(party, scene, (struct writer_config){.topics = {"out"}});
}

static bool has_something(void *arg)
{
    struct party *party = arg;
    party_poll(party, party->want);
    return party->got_count >= party->want || party->reader_failed || party->writer_failed;
}

/* Copies `in` to `out`, up to 50 records a commit, for ever. */
static void copy_for_ever(struct party *party)
{
    for (size_t sent = 0;;) {
        party->want = sent + 1;
        scene_until(party->scene, has_something, party);
        party_poll(party, sent + 50);
        struct position pos[PARTITIONS];
        for (; sent < party->got_count; sent++)
            party_send(party, party->got[sent].partition, got_value(&party->got[sent]),
                       got_value(&party->got[sent]));
        for (int32_t p = 0; p < PARTITIONS; p++)
            pos[p] = (struct position){.partition = p, .offset = party->next[p], .metadata = ""};
        party_commit(party, pos, PARTITIONS);
    }
}

static pid_t start_copier(const char *instance)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    alarm(60);
    struct scene scene;
    struct party party = {.exits = true};
    struct broker_options opt = options();
    scene_open(&scene, &opt);
    join(&party, &scene, instance);
    party_own(&party, PARTITIONS);
    copy_for_ever(&party);
    _exit(0);
}

static int64_t out_end(struct scene *scene)
{
    struct watermark log[PARTITIONS];
    struct error err = {0};
    int64_t sum = 0;
    if (broker_watermarks(scene->broker, "out", log, PARTITIONS, &err) != ST_OK)
        fail_msg("%s", err.text);
    for (int p = 0; p < PARTITIONS; p++)
        sum += log[p].end;
    return sum;
}

struct progress {
    struct scene *scene;
    int64_t wanted;
};

static bool has_come_to(void *arg)
{
    struct progress *progress = arg;
    return out_end(progress->scene) >= progress->wanted;
}

static void finish(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void expect_each_once(struct scene *scene, int count)
{
    static char seen[RECORDS];
    memset(seen, 0, sizeof seen);
    struct party tap = {0};
    assert_int_equal(out_end(scene), count);
    party_tap(&tap, scene, "out", PARTITIONS, 0);
    party_want(&tap, (size_t)count);
    int last[PARTITIONS] = {-1, -1};
    for (int i = 0; i < count; i++) {
        int n = atoi(got_value(&tap.got[i])), p = tap.got[i].partition;
        assert_int_equal(seen[n]++, 0);
        assert_true(n > last[p]);
        last[p] = n;
    }
    party_close(&tap);
}

static void kill_9_in_the_middle_of_commits_repeats_and_loses_nothing(void **state)
{
    (void)state;
    pid_t pid = fork(); /* makes the file, so that the parent has nothing open yet */
    if (pid == 0) {
        struct scene first;
        open_with_topics(&first);
        feed(&first, RECORDS);
        scene_close(&first);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    int64_t wanted = 0;
    while (wanted < RECORDS) {
        pid = start_copier("copier");
        struct scene scene;
        open_with_topics(&scene);
        wanted = out_end(&scene) + 1500 + clock_mono_ns() % 400;
        if (wanted > RECORDS)
            wanted = RECORDS;
        struct progress progress = {&scene, wanted};
        scene_until(&scene, has_come_to, &progress);
        finish(pid);
        scene_close(&scene);
    }
    struct scene scene;
    open_with_topics(&scene);
    expect_each_once(&scene, RECORDS);
    scene_close(&scene);
}

static void what_a_killed_member_held_is_free_at_once(void **state)
{
    (void)state;
    struct scene scene;
    pid_t pid = fork();
    if (pid == 0) {
        open_with_topics(&scene);
        feed(&scene, 100);
        scene_close(&scene);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    pid = start_copier("first");
    open_with_topics(&scene);
    struct progress progress = {&scene, 100};
    scene_until(&scene, has_come_to, &progress);
    struct party heir = {0};
    finish(pid);
    int64_t since = clock_boot_ms();
    join(&heir, &scene, "second");
    party_own(&heir, PARTITIONS);
    assert_true(clock_boot_ms() - since < 10000); /* not by the lease running out */
    party_close(&heir);
    expect_each_once(&scene, 100);
    scene_close(&scene);
}

static void a_member_that_stood_still_is_fenced_when_it_goes_on(void **state)
{
    (void)state;
    struct scene scene;
    pid_t pid = fork();
    if (pid == 0) {
        open_with_topics(&scene);
        feed(&scene, 100);
        scene_close(&scene);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    pid = start_copier("same");
    open_with_topics(&scene);
    struct progress progress = {&scene, 100};
    scene_until(&scene, has_come_to, &progress);
    kill(pid, SIGSTOP);
    struct party heir = {0};
    join(&heir, &scene, "same"); /* the same name: takes over without waiting */
    party_own(&heir, PARTITIONS);
    feed(&scene, 200);
    kill(pid, SIGCONT); /* sees the new records, and may not commit them */
    party_want(&heir, 200);
    for (int i = 0; i < 200; i++)
        party_send(&heir, heir.got[i].partition, NULL, "x");
    struct position pos[PARTITIONS];
    for (int32_t p = 0; p < PARTITIONS; p++)
        pos[p] = (struct position){.partition = p, .offset = heir.next[p], .metadata = ""};
    party_commit(&heir, pos, PARTITIONS);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid); /* stopped by itself, not by the alarm */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    assert_int_equal(out_end(&scene), 300);
    party_close(&heir);
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kill_9_in_the_middle_of_commits_repeats_and_loses_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_killed_member_held_is_free_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_member_that_stood_still_is_fenced_when_it_goes_on, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("sqlite: crashes", tests, NULL, NULL);
}
