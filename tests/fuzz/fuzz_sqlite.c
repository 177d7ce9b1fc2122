/* Any bytes as the file of the embedded broker: it is refused with words, or it can be looked at:
 * topics, watermarks, positions, and a reading of each topic to its end. Never a crash. */
#include <unistd.h>

#include "lib/broker/broker.h"
#include "tests/fuzz/fuzz.h"

enum { READ_MAX = 64, TOPICS_SEEN = 8, PARTITIONS_SEEN = 8 };

static char folder[64], path[96];

static void clean(void)
{
    static const char *const files[] = {"", "-wal", "-shm", "-members", "-journal"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", path, files[i]);
        unlink(name);
    }
}

static void remove_folder(void)
{
    clean();
    rmdir(folder);
}

static void prepare(const uint8_t *data, size_t size)
{
    if (folder[0] == '\0') {
        const char *shm = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(folder, sizeof folder, "%s/sluice-fuzz-XXXXXX", shm);
        MUST(mkdtemp(folder) != NULL);
        snprintf(path, sizeof path, "%s/f.db", folder);
        atexit(remove_folder);
    }
    clean();
    FILE *f = fopen(path, "w");
    MUST(f != NULL);
    MUST(fwrite(data, 1, size, f) == size);
    fclose(f);
}

/* --- reading --- */

struct reading {
    struct loop *loop;
    struct loop_timer *limit;
    struct reader *reader;
    int32_t partitions;
    size_t seen;
};

static void stop(void *arg)
{
    struct reading *r = arg;
    loop_stop(r->loop);
}

static void on_readable(void *arg)
{
    struct reading *r = arg;
    struct record recs[READ_MAX];
    struct error err;
    for (int32_t p = 0; p < r->partitions; p++) {
        size_t n = 0;
        if (reader_poll(r->reader, p, recs, READ_MAX, 1 << 20, &n, &err) != ST_OK)
            continue;
        for (size_t i = 0; i < n; i++)
            r->seen += recs[i].value.n + recs[i].key.n + recs[i].header_count;
        reader_release(r->reader, recs, n);
    }
}

static void on_connection(void *arg, bool up, const struct error *err)
{
    (void)arg;
    MUST(up || err->text[0] != '\0');
}

static void on_failed(void *arg, const struct error *err)
{
    MUST(err->text[0] != '\0');
    stop(arg);
}

static void on_assigned(void *arg, const struct position *pos, size_t n, uint32_t epoch)
{
    (void)pos, (void)n, (void)epoch;
    on_readable(arg);
}

static void ignore(void *arg, const int32_t *partitions, size_t n)
{
    (void)arg, (void)partitions, (void)n;
}

static void read_topic(struct broker *broker, const char *topic, int32_t partitions)
{
    struct reading r = {.loop = loop_new(), .partitions = partitions};
    struct position start[PARTITIONS_SEEN];
    struct error err;
    for (int32_t p = 0; p < partitions; p++)
        start[p] = (struct position){.partition = p, .offset = 0, .metadata = ""};
    struct reader_config cfg = {.loop = r.loop,
                                .topic = topic,
                                .start = start,
                                .start_count = (size_t)partitions,
                                .events = {.arg = &r,
                                           .assigned = on_assigned,
                                           .revoking = ignore,
                                           .lost = ignore,
                                           .readable = on_readable,
                                           .connection = on_connection,
                                           .failed = on_failed}};
    r.limit = loop_timer_new(r.loop, stop, &r);
    if (reader_open(broker, &cfg, &r.reader, &err) == ST_OK) {
        loop_timer_start(r.limit, 2);
        loop_run(r.loop);
        reader_close(r.reader);
    }
    loop_timer_free(r.limit);
    loop_free(r.loop);
}

/* --- looking --- */

struct found {
    char *topics[TOPICS_SEEN];
    int32_t partitions[TOPICS_SEEN];
    int n;
};

static void on_topic(void *arg, const char *topic, int32_t partitions)
{
    struct found *found = arg;
    if (found->n == TOPICS_SEEN || partitions > PARTITIONS_SEEN)
        return;
    found->topics[found->n] = mem_strdup(topic);
    found->partitions[found->n++] = partitions;
}

static void look(struct broker *broker)
{
    struct found found = {.n = 0};
    struct error err;
    if (broker_topics(broker, on_topic, &found, &err) != ST_OK)
        MUST(err.text[0] != '\0');
    for (int i = 0; i < found.n; i++) {
        struct watermark marks[PARTITIONS_SEEN];
        struct position pos[PARTITIONS_SEEN] = {{0}};
        if (broker_watermarks(broker, found.topics[i], marks, found.partitions[i], &err) == ST_OK)
            read_topic(broker, found.topics[i], found.partitions[i]);
        if (broker_positions(broker, "sluice-enhance", found.topics[i], pos, found.partitions[i],
                             &err) == ST_OK)
            positions_fini(pos, found.partitions[i]);
        mem_free(found.topics[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    prepare(data, size);
    char url[128];
    snprintf(url, sizeof url, "sqlite:%s", path);
    struct broker_options opt = {.url = url, .partitions = 1, .timeout_ms = 200};
    struct broker *broker = NULL;
    struct error err = {0};
    if (broker_open(&opt, &broker, &err) == ST_OK)
        look(broker);
    else
        MUST(err.text[0] != '\0');
    broker_close(broker);
    return 0;
}
