/* What llm_floor.c shares with its way without libcurl, llm_raw.c. One thread. */
#ifndef SLUICE_BENCH_LLM_FLOOR_H
#define SLUICE_BENCH_LLM_FLOOR_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/floor/llm_broker.h"

enum { EVENTS = 256, ANSWER_MAX = 65536, MULTIS_MAX = 4096 };
enum { SOCKETS_MAX = 65536, LOOK_US = 10000 };
enum { HEAD_ROOM = 256 }; /* before a question, for the head of its request */

struct options {
    const char *url, *brokers, *in, *out;
    long calls, in_flight;
    long raw;        /* 1: no libcurl; 2: its connections (CURLOPT_CONNECT_ONLY), our HTTP */
    long parse;      /* 0: the content is not looked for */
    long multis;     /* multi handles that share the calls */
    long handles;    /* 0: an easy handle is used again; 1: reset and set up anew; 2: a new one */
    long perform;    /* 1: curl_multi_poll and curl_multi_perform instead of epoll */
    long timeout_ms; /* of a call; 0: none */
    long max_connects, buffer, nodelay, nosignal, ipv4, http11, dns_cache_s, max_age_s, keepalive;
    long no_expect, head;
    long curlu; /* the URL is parsed once (CURLOPT_CURLU) */
    long lazy;  /* sockets between two calls stay in epoll */
};

/* One call at a time. */
struct slot {
    CURL *easy;
    int multi, fd;
    size_t question_size, answer_size;
    int64_t begun_us;
    char *question;
    char *answer;
    struct llm_post post;
};

struct floor {
    struct slot *slots;
    CURLM *multis[MULTIS_MAX];
    int64_t due_us[MULTIS_MAX]; /* of the multi's timer; -1: none */
    int due_now[MULTIS_MAX], due_now_count;
    int64_t looked_us; /* at all of due_us */
    struct watch {
        unsigned known, wanted; /* events that epoll has, and that libcurl wants */
        int multi;
    } watches[SOCKETS_MAX];
    CURLU *parsed;
    struct curl_slist *headers;
    int epoll, running;
    struct slot **idle; /* with a broker: they wait for posts */
    long idle_count;
    struct llm_broker_fds broker;
    char url[256];
    long begun, ended, failed, connections, warm;
    int64_t begun_us, ended_us; /* of what is measured */
    double begun_cpu_us, ended_cpu_us;
    double *took_ms;
};

extern struct options opt;
extern struct floor fl;

/* The next question, `room_before` bytes into the slot's buffer. */
void question_make(struct slot *slot, size_t room_before);

/* Counts an answer, after its content was looked for. */
void answer_check(struct slot *slot, const char *body, size_t size, bool good);

/* All calls, on bare sockets. */
void run_raw(void);

#endif
