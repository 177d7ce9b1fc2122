/* Lines are written whole, under a lock. */
#include "lib/enrich/cassette.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

struct recorder {
    pthread_mutex_t lock;
    FILE *file;
    char *path;
    struct buf line;
};

enum status recorder_open(const char *path, struct recorder **ret, struct error *err)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return error_set(err, ST_FATAL, ERR_IO, "record: %s: %s", path, strerror(errno));
    struct recorder *r = mem_zalloc(sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    r->file = file;
    r->path = mem_strdup(path);
    *ret = r;
    return ST_OK;
}

enum status recorder_close(struct recorder *r, struct error *err)
{
    if (r == NULL)
        return ST_OK;
    bool broken = ferror(r->file) != 0;
    broken = fclose(r->file) != 0 || broken;
    enum status st = ST_OK;
    if (broken)
        st = error_set(err, ST_FATAL, ERR_IO, "record: %s could not be written", r->path);
    buf_fini(&r->line);
    mem_free(r->path);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
    return st;
}

void recorder_add(struct recorder *r, const struct question *q, const struct answer *answer,
                  const char *model)
{
    char hex[QUESTION_HEX + 1];
    question_write(q, hex);
    pthread_mutex_lock(&r->lock);
    buf_reset(&r->line, 64 << 10);
    buf_printf(&r->line, "{\"question\":\"%s\",\"answer\":", hex);
    answer_write(answer, model, &r->line);
    buf_add_str(&r->line, "}\n");
    fwrite(r->line.p, 1, r->line.n, r->file);
    pthread_mutex_unlock(&r->lock);
}

/* --- replay --- */

static bool load_line(struct answers *into, struct span line, struct buf *text)
{
    json_error_t why;
    struct question q;
    struct answer answer;
    struct error ignored;
    json_t *root = json_loadb(line.p, line.n, JSON_ALLOW_NUL, &why);
    const json_t *question = json_object_get(root, "question");
    char *inner = json_dumps(json_object_get(root, "answer"), JSON_COMPACT);
    bool ok = json_is_string(question) && inner != NULL &&
              question_read(span_of(json_string_value(question)), &q) &&
              answer_read(span_of(inner), &answer, text, &ignored) == ST_OK;
    if (ok)
        answers_learn(into, &q, &answer);
    free(inner);
    json_decref(root);
    return ok;
}

enum status cassette_load(const char *path, struct answers *into, struct error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(err, ST_FATAL, ERR_CONFIG, "replay: %s: %s", path, strerror(errno));
    struct buf text = {0};
    char *line = NULL;
    size_t cap = 0;
    enum status st = ST_OK;
    ssize_t n;
    for (int64_t number = 1; st == ST_OK && (n = getline(&line, &cap, file)) > 0; number++) {
        if (!load_line(into, span_make(line, (size_t)n), &text))
            st = error_set(err, ST_FATAL, ERR_CONFIG, "replay: %s: line %lld is no recorded answer",
                           path, (long long)number);
    }
    if (st == ST_OK && ferror(file))
        st = error_set(err, ST_FATAL, ERR_IO, "replay: %s cannot be read", path);
    buf_fini(&text);
    free(line);
    fclose(file);
    return st;
}
