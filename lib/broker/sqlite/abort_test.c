/* A lease is lost while a commit runs: the batch that is being filled may hold outputs of that
 * partition and must not be committed, not even from inside `committed` of the one before. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/broker/sqlite/writer.h"

struct play {
    struct loop *loop;
    struct loop_timer *deadline;
    void *writer;
    uint64_t committed, aborted;
    enum status commit_inside; /* what writer_commit said within `committed` */
    int writable;
};

static void send_one(struct play *play, const char *value)
{
    struct out out = {.value = span_of(value), .timestamp_ms = -1};
    struct error err;
    assert_int_equal(sqlite_broker_ops.writer_send(play->writer, &out, &err), ST_OK);
}

static void on_committed(void *arg, uint64_t number)
{
    struct play *play = arg;
    uint64_t next = 0;
    struct error err;
    play->committed = number;
    play->commit_inside = sqlite_broker_ops.writer_commit(play->writer, NULL, 0, &next, &err);
}

static void on_aborted(void *arg, uint64_t first, const struct error *why)
{
    struct play *play = arg;
    assert_int_equal(why->kind, ERR_FENCED);
    play->aborted = first;
}

static void on_writable(void *arg)
{
    struct play *play = arg;
    play->writable++;
    loop_stop(play->loop);
}

static void on_failed(void *arg, const struct error *err)
{
    (void)arg;
    fail_msg("%s", err->text);
}

static void on_deadline(void *arg)
{
    struct play *play = arg;
    loop_stop(play->loop);
}

static void open_play(struct play *play, void *broker)
{
    struct error err = {0};
    play->loop = loop_new();
    play->deadline = loop_timer_new(play->loop, on_deadline, play);
    play->writer = mem_zalloc(sqlite_broker_ops.writer_size);
    struct writer_config cfg = {.loop = play->loop,
                                .topics = {"out"},
                                .topic_count = 1,
                                .events = {.arg = play,
                                           .committed = on_committed,
                                           .aborted = on_aborted,
                                           .writable = on_writable,
                                           .failed = on_failed}};
    if (sqlite_broker_ops.writer_open(play->writer, broker, NULL, &cfg, &err) != ST_OK)
        fail_msg("%s", err.text);
}

static void close_play(struct play *play)
{
    sqlite_broker_ops.writer_close(play->writer);
    mem_free(play->writer);
    loop_timer_free(play->deadline);
    loop_free(play->loop);
}

static void remove_all(const char *dir)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d)) != NULL;)
        unlinkat(dirfd(d), entry->d_name, 0);
    closedir(d);
    assert_int_equal(rmdir(dir), 0);
}

static void a_batch_filled_while_a_lease_was_lost_is_never_committed(void **state)
{
    (void)state;
    const struct broker_ops *ops = &sqlite_broker_ops;
    char dir[] = "/tmp/sluice-abort-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/broker.db", dir);
    struct broker_options opt = {.partitions = 1, .timeout_ms = 30000};
    void *broker = mem_zalloc(ops->broker_size);
    struct error err = {0}, why;
    bool made = false;
    assert_int_equal(ops->open(broker, &opt, path, &err), ST_OK);
    assert_int_equal(ops->topic_ensure(broker, "out", TOPIC_PLAIN, 1, &made, &err), ST_OK);

    struct play play = {0};
    open_play(&play, broker);
    uint64_t first = 0;
    send_one(&play, "before");
    assert_int_equal(ops->writer_commit(play.writer, NULL, 0, &first, &err), ST_OK);
    send_one(&play, "of the lost partition");
    error_set(&why, ST_ABORT, ERR_FENCED, "lost");
    writer_abort_batch(play.writer,
                       &why); /* the loop has not run: the first still counts as open */
    loop_timer_start(play.deadline, 30000);
    loop_run(play.loop);

    assert_int_equal(play.committed, first);
    assert_int_equal(play.commit_inside, ST_AGAIN);
    assert_int_equal(play.aborted, first + 1);
    assert_int_equal(play.writable, 1);
    assert_true(ops->writer_can_commit(play.writer));
    struct watermark log;
    assert_int_equal(ops->watermarks(broker, "out", &log, 1, &err), ST_OK);
    assert_int_equal(log.end, 1);

    close_play(&play);
    ops->close(broker);
    mem_free(broker);
    remove_all(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_filled_while_a_lease_was_lost_is_never_committed)};
    return cmocka_run_group_tests_name("sqlite: aborts", tests, NULL, NULL);
}
