/* The least that calling an LLM over HTTP can cost: libcurl, epoll, jansson and nothing of ours.
 *
 * Keeps --in-flight calls under way until --calls have been answered; each posts the question that
 * sluice asks (system prompt, post, schema), reads the answer into a buffer and finds its content.
 * With --raw 1 there is no libcurl either: bare sockets, to see what a client could cost at all.
 * The other options are those whose cost is in question (docs/BENCH.md, "Where libcurl's time
 * goes"). The defaults are a plain loop; the cheapest that libcurl gets is
 *     --lazy 1 --curlu 1 --multis M
 * With --brokers the posts come from a Kafka topic and go on to another with their answers, at
 * least once (llm_broker.h); without, they are made up, and nothing is written.
 *
 *     llm_floor --url http://127.0.0.1:PORT/v1 --calls N --in-flight M
 *               [--brokers HOST:PORT --in TOPIC --out TOPIC] [--OPTION N ...]
 *
 * Prints one line of JSON. CPU is user and system time of this process. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/floor/bare.h"
#include "bench/floor/llm_floor.h"
#include "bench/floor/llm_question.h"

struct options opt = {.calls = 20000,
                      .in_flight = 512,
                      .parse = 1,
                      .multis = 1,
                      .timeout_ms = 30000,
                      .nodelay = 1,
                      .nosignal = 1,
                      .dns_cache_s = 60};

static const struct {
    const char *name;
    const char **value;
} texts[] = {
    {"--url", &opt.url}, {"--brokers", &opt.brokers}, {"--in", &opt.in}, {"--out", &opt.out}};

static const struct {
    const char *name;
    long *value;
} numbers[] = {
    {"--calls", &opt.calls},
    {"--in-flight", &opt.in_flight},
    {"--raw", &opt.raw},
    {"--parse", &opt.parse},
    {"--multis", &opt.multis},
    {"--handles", &opt.handles},
    {"--perform", &opt.perform},
    {"--timeout-ms", &opt.timeout_ms},
    {"--buffer", &opt.buffer},
    {"--max-connects", &opt.max_connects},
    {"--nodelay", &opt.nodelay},
    {"--nosignal", &opt.nosignal},
    {"--ipv4", &opt.ipv4},
    {"--http11", &opt.http11},
    {"--dns-cache", &opt.dns_cache_s},
    {"--max-age", &opt.max_age_s},
    {"--keepalive", &opt.keepalive},
    {"--no-expect", &opt.no_expect},
    {"--head", &opt.head},
    {"--curlu", &opt.curlu},
    {"--lazy", &opt.lazy},
};

struct floor fl;

static double cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* The first round is left out: connections are made, libraries loaded. */
static void meter_begin(void)
{
    fl.begun_us = now_us();
    fl.begun_cpu_us = cpu_us();
}

/* --- questions and answers --- */

void question_make(struct slot *slot, size_t room_before)
{
    char made[128];
    const char *text = slot->post.text;
    size_t size = slot->post.text_size;
    if (opt.brokers == NULL) {
        text = made;
        size = (size_t)snprintf(made, sizeof made,
                                "post %ld: just had a great coffee and read about trends on a "
                                "sunny morning",
                                fl.begun);
    }
    slot->question_size = llm_question_write(slot->question + room_before, text, size);
    slot->answer_size = 0;
    slot->begun_us = now_us();
    fl.begun++;
}

void answer_check(struct slot *slot, const char *body, size_t size, bool good)
{
    if (good && opt.parse != 0) {
        json_t *root = json_loadb(body, size, 0, NULL);
        json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
        json_t *content = json_object_get(json_object_get(choice, "message"), "content");
        good = json_string_length(content) > 2;
        if (good && opt.brokers != NULL)
            llm_broker_put(&slot->post, json_string_value(content), json_string_length(content));
        json_decref(root);
    }
    fl.took_ms[fl.ended++] = (double)(now_us() - slot->begun_us) / 1e3;
    if (fl.ended == fl.warm)
        meter_begin();
    if (fl.ended == opt.calls) {
        fl.ended_us = now_us();
        fl.ended_cpu_us = cpu_us();
    }
    fl.failed += !good;
}

/* --- libcurl --- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct slot *slot = arg;
    if (slot->answer_size + size * n > ANSWER_MAX)
        return 0;
    memcpy(slot->answer + slot->answer_size, p, size * n);
    slot->answer_size += size * n;
    return size * n;
}

/* What sluice needs of heads: Retry-After and the limits. */
static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
    (void)arg;
    (void)p;
    return size * n;
}

/* Closing takes it out of epoll. */
static int on_close(void *arg, curl_socket_t fd)
{
    (void)arg;
    fl.watches[fd].known = fl.watches[fd].wanted = 0;
    return close(fd);
}

static void easy_set(struct slot *slot)
{
    CURL *easy = slot->easy;
    if (opt.curlu != 0)
        curl_easy_setopt(easy, CURLOPT_CURLU, fl.parsed);
    else
        curl_easy_setopt(easy, CURLOPT_URL, fl.url);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, slot);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fl.headers);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, opt.nosignal);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, opt.nodelay);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, opt.dns_cache_s);
    if (opt.head != 0)
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    if (opt.timeout_ms > 0)
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, opt.timeout_ms);
    if (opt.buffer > 0)
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, opt.buffer);
    if (opt.ipv4 != 0)
        curl_easy_setopt(easy, CURLOPT_IPRESOLVE, (long)CURL_IPRESOLVE_V4);
    if (opt.http11 != 0)
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (opt.max_age_s > 0)
        curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, opt.max_age_s);
    if (opt.keepalive != 0)
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
}

static void call_begin(struct slot *slot)
{
    if (slot->easy == NULL || opt.handles == 2) {
        curl_easy_cleanup(slot->easy);
        slot->easy = curl_easy_init();
        easy_set(slot);
    } else if (opt.handles == 1) {
        curl_easy_reset(slot->easy);
        easy_set(slot);
    }
    question_make(slot, 0);
    curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE, (long)slot->question_size);
    curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, slot->question);
    curl_multi_add_handle(fl.multis[slot->multi], slot->easy);
}

static void call_end(CURL *easy, CURLcode code)
{
    struct slot *slot;
    long status = 0, connects = 0;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&slot);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connects);
    fl.connections += connects;
    curl_multi_remove_handle(fl.multis[slot->multi], easy);
    answer_check(slot, slot->answer, slot->answer_size, code == CURLE_OK && status == 200);
    if (opt.brokers != NULL)
        fl.idle[fl.idle_count++] = slot;
    else if (fl.begun < opt.calls)
        call_begin(slot);
}

/* Posts that are there, for slots that are idle. */
static void take_posts(void)
{
    while (fl.idle_count > 0 && fl.begun < opt.calls) {
        struct slot *slot = fl.idle[fl.idle_count - 1];
        if (!llm_broker_take(&slot->post))
            return;
        fl.idle_count--;
        call_begin(slot);
    }
}

static void take_ended(CURLM *multi)
{
    CURLMsg *msg;
    int left;
    while ((msg = curl_multi_info_read(multi, &left)) != NULL) {
        if (msg->msg == CURLMSG_DONE)
            call_end(msg->easy_handle, msg->data.result);
    }
}

/* libcurl takes its socket back after each call and gives it again with the next. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *assigned)
{
    struct watch *watch = &fl.watches[fd];
    struct epoll_event ev = {.data.fd = fd};
    (void)easy;
    (void)assigned;
    watch->multi = (int)(intptr_t)arg;
    watch->wanted =
        ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) | ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u);
    if (what == CURL_POLL_REMOVE)
        watch->wanted = 0;
    if (watch->wanted == watch->known || (watch->wanted == 0 && opt.lazy != 0))
        return 0;
    ev.events = watch->wanted;
    int op = watch->wanted == 0 ? EPOLL_CTL_DEL : watch->known == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    epoll_ctl(fl.epoll, op, fd, &ev);
    watch->known = watch->wanted;
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    int m = (int)(intptr_t)arg;
    if (timeout_ms == 0 && fl.due_us[m] != 0)
        fl.due_now[fl.due_now_count++] = m;
    fl.due_us[m] = timeout_ms < 0 ? -1 : timeout_ms == 0 ? 0 : now_us() + timeout_ms * 1000;
    return 0;
}

static void multi_open(int m)
{
    CURLM *multi = curl_multi_init();
    fl.multis[m] = multi;
    fl.due_us[m] = -1;
    long connects = opt.max_connects > 0 ? opt.max_connects : opt.in_flight + 16;
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, connects);
    if (opt.perform != 0)
        return;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, (void *)(intptr_t)m);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, (void *)(intptr_t)m);
}

static void multi_turn(int m, int fd, int what)
{
    int running;
    curl_multi_socket_action(fl.multis[m], fd, what, &running);
    take_ended(fl.multis[m]);
}

static void on_event(int fd, uint32_t events)
{
    struct watch *watch = &fl.watches[fd];
    if (opt.brokers != NULL && (fd == fl.broker.in || fd == fl.broker.out)) {
        llm_broker_turn(fd);
        return;
    }
    if (watch->wanted == 0) {
        epoll_ctl(fl.epoll, EPOLL_CTL_DEL, fd, NULL);
        watch->known = 0;
        return;
    }
    int what = ((events & (EPOLLIN | EPOLLHUP)) != 0 ? CURL_CSELECT_IN : 0) |
               ((events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
               ((events & EPOLLERR) != 0 ? CURL_CSELECT_ERR : 0);
    multi_turn(watch->multi, fd, what);
}

/* New calls are due at once; the rest (time-outs of seconds) is looked at every LOOK_US. */
static void run_due(void)
{
    while (fl.due_now_count > 0) {
        int m = fl.due_now[--fl.due_now_count];
        if (fl.due_us[m] != 0)
            continue;
        fl.due_us[m] = -1;
        multi_turn(m, CURL_SOCKET_TIMEOUT, 0);
    }
    int64_t now = now_us();
    if (now - fl.looked_us < LOOK_US)
        return;
    fl.looked_us = now;
    for (int m = 0; m < opt.multis; m++) {
        if (fl.due_us[m] <= 0 || fl.due_us[m] > now)
            continue;
        fl.due_us[m] = -1;
        multi_turn(m, CURL_SOCKET_TIMEOUT, 0);
    }
}

static void turn_epoll(void)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(fl.epoll, events, EVENTS, fl.due_now_count > 0 ? 0 : LOOK_US / 1000);
    for (int i = 0; i < n; i++)
        on_event(events[i].data.fd, events[i].events);
    if (opt.brokers != NULL)
        take_posts();
    run_due();
}

static void turn_perform(void)
{
    int running;
    for (int m = 0; m < opt.multis; m++) {
        curl_multi_poll(fl.multis[m], NULL, 0, 1000, NULL);
        curl_multi_perform(fl.multis[m], &running);
        take_ended(fl.multis[m]);
    }
}

static void watch_broker(int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(fl.epoll, EPOLL_CTL_ADD, fd, &ev);
}

static void slots_begin(void)
{
    for (long i = 0; i < opt.in_flight && fl.begun < opt.calls; i++) {
        if (opt.brokers != NULL)
            fl.idle[fl.idle_count++] = &fl.slots[i];
        else
            call_begin(&fl.slots[i]);
    }
    if (opt.brokers == NULL)
        return;
    fl.broker = llm_broker_open(opt.brokers, opt.in, opt.out);
    watch_broker(fl.broker.in);
    watch_broker(fl.broker.out);
}

static void run_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    fl.headers = curl_slist_append(fl.headers, "Content-Type: application/json");
    fl.headers = curl_slist_append(fl.headers, "Authorization: Bearer sk-scripted");
    if (opt.no_expect != 0)
        fl.headers = curl_slist_append(fl.headers, "Expect:");
    fl.parsed = curl_url();
    curl_url_set(fl.parsed, CURLUPART_URL, fl.url, 0);
    for (int m = 0; m < opt.multis; m++)
        multi_open(m);
    slots_begin();
    while (fl.ended < opt.calls)
        opt.perform != 0 ? turn_perform() : turn_epoll();
    if (opt.brokers != NULL)
        llm_broker_close();
    for (long i = 0; i < opt.in_flight; i++)
        curl_easy_cleanup(fl.slots[i].easy);
    for (int m = 0; m < opt.multis; m++)
        curl_multi_cleanup(fl.multis[m]);
    curl_slist_free_all(fl.headers);
    curl_url_cleanup(fl.parsed);
}

/* --- the whole --- */

static void parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        bool known = false;
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
            if (strcmp(argv[i], texts[k].name) == 0) {
                *texts[k].value = argv[i + 1];
                known = true;
            }
        }
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            if (strcmp(argv[i], numbers[k].name) == 0) {
                *numbers[k].value = strtol(argv[i + 1], NULL, 10);
                known = true;
            }
        }
        if (!known)
            die(argv[i], "unknown option");
    }
    if (opt.url == NULL || argc % 2 == 0 || opt.calls < 1 || opt.in_flight < 1 || opt.multis < 1 ||
        opt.multis > MULTIS_MAX)
        die("usage", "--url http://127.0.0.1:PORT/v1 [--calls N] [--in-flight N] [--OPTION N ...]");
    bool whole = opt.in != NULL && opt.out != NULL && opt.parse != 0;
    if (opt.brokers != NULL && (!whole || opt.raw != 0 || opt.perform != 0))
        die("--brokers", "wants --in and --out, libcurl on epoll, and answers that are parsed");
}

static void slots_make(void)
{
    fl.slots = calloc((size_t)opt.in_flight, sizeof *fl.slots);
    fl.took_ms = calloc((size_t)opt.calls, sizeof *fl.took_ms);
    fl.idle = calloc((size_t)opt.in_flight, sizeof(struct slot *));
    if (fl.slots == NULL || fl.took_ms == NULL || fl.idle == NULL)
        die("memory", "none left");
    for (long i = 0; i < opt.in_flight; i++) {
        fl.slots[i].multi = (int)(i % opt.multis);
        fl.slots[i].question = malloc(QUESTION_MAX + HEAD_ROOM);
        fl.slots[i].answer = malloc(ANSWER_MAX + 1);
        if (fl.slots[i].question == NULL || fl.slots[i].answer == NULL)
            die("memory", "none left");
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    snprintf(fl.url, sizeof fl.url, "%s/chat/completions", opt.url);
    fl.epoll = epoll_create1(EPOLL_CLOEXEC);
    llm_question_open();
    slots_make();
    fl.warm = opt.calls > 2 * opt.in_flight ? opt.in_flight : 1;
    opt.raw != 0 ? run_raw() : run_curl();
    double seconds = (double)(fl.ended_us - fl.begun_us) / 1e6;
    double cpu = fl.ended_cpu_us - fl.begun_cpu_us;
    long calls = fl.ended - fl.warm;
    qsort(fl.took_ms, (size_t)fl.ended, sizeof *fl.took_ms, by_value);
    printf("{\"calls\": %ld, \"seconds\": %.3f, \"calls_per_s\": %.0f, \"cpu_us_per_call\": %.2f, "
           "\"failed\": %ld, \"connections\": %ld, \"p50_ms\": %.1f, \"p99_ms\": %.1f}\n",
           calls, seconds, (double)calls / seconds, cpu / (double)calls, fl.failed, fl.connections,
           fl.took_ms[fl.ended / 2], fl.took_ms[fl.ended * 99 / 100]);
    return fl.failed == 0 ? 0 : 1;
}
