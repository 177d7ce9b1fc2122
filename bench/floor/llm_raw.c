/* The calls of llm_floor.c on bare sockets with our own HTTP, or on connections that libcurl has
 * made: what a client could cost at all. Enough of HTTP for the scripted server, and no more. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench/floor/bare.h"
#include "bench/floor/llm_floor.h"

/* A connection that libcurl has made (names, proxies, TLS) and leaves to us. */
static int borrowed_connect(struct slot *slot)
{
    curl_socket_t fd = -1;
    slot->easy = curl_easy_init();
    curl_easy_setopt(slot->easy, CURLOPT_URL, fl.url);
    curl_easy_setopt(slot->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(slot->easy, CURLOPT_CONNECT_ONLY, 1L);
    if (curl_easy_perform(slot->easy) != CURLE_OK ||
        curl_easy_getinfo(slot->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK)
        die(fl.url, "cannot connect");
    fl.connections++;
    return fd;
}

static int raw_connect(const char *url)
{
    int on = 1, port = 0, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (sscanf(url, "http://127.0.0.1:%d/", &port) != 1)
        die(url, "bare sockets want http://127.0.0.1:PORT/");
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (connect(fd, (struct sockaddr *)&at, sizeof at) < 0)
        die(url, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fl.connections++;
    return fd;
}

/* The head ends where the question begins, so that one send carries both. */
static void raw_begin(struct slot *slot)
{
    char head[HEAD_ROOM];
    question_make(slot, HEAD_ROOM);
    int n = snprintf(head, sizeof head,
                     "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                     "application/json\r\nAuthorization: Bearer sk-scripted\r\nContent-Length: "
                     "%zu\r\n\r\n",
                     slot->question_size);
    char *from = slot->question + HEAD_ROOM - n;
    memcpy(from, head, (size_t)n);
    size_t size = slot->question_size + (size_t)n, sent = 0;
    if (opt.raw == 2)
        curl_easy_send(slot->easy, from, size, &sent);
    else
        sent = (size_t)send(slot->fd, from, size, MSG_NOSIGNAL);
    if (sent != size)
        die("send", "not all at once");
}

static void raw_read(struct slot *slot)
{
    char *to = slot->answer + slot->answer_size;
    size_t room = ANSWER_MAX - slot->answer_size, got = 0;
    if (opt.raw == 2)
        curl_easy_recv(slot->easy, to, room, &got);
    else
        got = (size_t)recv(slot->fd, to, room, MSG_DONTWAIT);
    if (got == 0 || got > room)
        die("recv", "nothing there");
    slot->answer_size += got;
    slot->answer[slot->answer_size] = 0;
    char *body = strstr(slot->answer, "\r\n\r\n");
    char *length = strcasestr(slot->answer, "\r\nContent-Length: ");
    if (body == NULL || length == NULL || length > body)
        return;
    body += 4;
    size_t size = strtoul(length + 18, NULL, 10);
    if (slot->answer_size < (size_t)(body - slot->answer) + size)
        return;
    answer_check(slot, body, size, strncmp(slot->answer, "HTTP/1.1 200", 12) == 0);
    if (fl.begun < opt.calls)
        raw_begin(slot);
}

void run_raw(void)
{
    struct epoll_event events[EVENTS];
    for (long i = 0; i < opt.in_flight && fl.begun < opt.calls; i++) {
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &fl.slots[i]};
        fl.slots[i].fd = opt.raw == 2 ? borrowed_connect(&fl.slots[i]) : raw_connect(opt.url);
        epoll_ctl(fl.epoll, EPOLL_CTL_ADD, fl.slots[i].fd, &ev);
        raw_begin(&fl.slots[i]);
    }
    while (fl.ended < opt.calls) {
        int n = epoll_wait(fl.epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++)
            raw_read(events[i].data.ptr);
    }
}
