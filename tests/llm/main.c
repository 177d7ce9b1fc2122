/* The scripted LLM server as a program, for tests of the shell and for benchmarks.
 *
 *     llm_server [--address IP] [--port N] [--port-file FILE] [--MEMBER VALUE ...]
 *
 * MEMBER is one of struct llm_script. Prints LLM_URL=http://127.0.0.1:PORT/v1, serves until
 * SIGTERM or SIGINT, then prints the counters as JSON. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/support/llm_parts.h"

struct arguments {
    struct llm_script script;
    int port;
    const char *address, *port_file;
};

static void usage(FILE *to)
{
    struct buf text = {0};
    llm_script_usage(&text);
    fprintf(to, "llm_server [--address IP] [--port N] [--port-file FILE] [--MEMBER VALUE ...]\n%s",
            buf_str(&text));
    buf_fini(&text);
}

static bool set_argument(struct arguments *args, const char *name, const char *value)
{
    struct error err = {0};
    if (strcmp(name, "port") == 0) {
        args->port = (int)strtol(value, NULL, 10);
    } else if (strcmp(name, "address") == 0) {
        args->address = value;
    } else if (strcmp(name, "port-file") == 0) {
        args->port_file = value;
    } else if (llm_script_set(&args->script, name, value, &err) != ST_OK) {
        fprintf(stderr, "llm_server: %s\n", err.text);
        return false;
    }
    return true;
}

/* Written beside and renamed, so that who waits for the file reads all of it. */
static bool write_port(const char *path, int port)
{
    char beside[4096];
    snprintf(beside, sizeof beside, "%s.new", path);
    FILE *file = fopen(beside, "w");
    bool good = file != NULL && fprintf(file, "%d\n", port) > 0;
    if (file != NULL)
        good = fclose(file) == 0 && good;
    if (!good || rename(beside, path) != 0)
        perror(path);
    return good;
}

static void allow_many_connections(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv)
{
    struct arguments args = {.address = "127.0.0.1"};
    struct llm_server *server;
    for (int i = 1; i < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) != 0 || i + 1 == argc) {
            bool help = strcmp(argv[i], "--help") == 0;
            usage(help ? stdout : stderr);
            return help ? 0 : 2;
        }
        if (!set_argument(&args, argv[i] + 2, argv[i + 1]))
            return 2;
    }
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    allow_many_connections();
    if (llm_server_start_at(&args.script, args.address, args.port, &server) != ST_OK)
        return 1;
    if (args.port_file != NULL && !write_port(args.port_file, llm_server_port(server)))
        return 1;
    printf("LLM_URL=%s\n", llm_server_url(server));
    fflush(stdout);
    int signal;
    sigwait(&ends, &signal);
    struct llm_stats stats;
    struct buf text = {0};
    llm_server_stats(server, &stats);
    llm_stats_json(&stats, &text);
    fputs(buf_str(&text), stdout);
    buf_fini(&text);
    llm_server_stop(server);
    return 0;
}
