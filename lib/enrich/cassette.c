/* Lines are written whole, under a lock. */
#include "lib/enrich/cassette.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/json/tree.h"

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
    struct buf inner = {0};
    json_tree_write(json_object_get(root, "answer"), &inner);
    bool ok = json_is_string(question) && json_is_object(json_object_get(root, "answer")) &&
              question_read(span_of(json_string_value(question)), &q) &&
              answer_read(buf_span(&inner), &answer, text, &ignored) == ST_OK;
    if (ok)
        answers_learn(into, &q, &answer);
    buf_fini(&inner);
    json_decref(root);
    return ok;
}

static enum status load_file(FILE *file, const char *path, struct answers *into, struct error *err)
{
    struct buf text = {0}, line = {0};
    enum status st = ST_OK;
    int64_t number = 1;
    for (int c = getc(file); st == ST_OK && c != EOF; c = getc(file)) {
        buf_add_char(&line, (char)c);
        if (c != '\n')
            continue;
        if (!load_line(into, buf_span(&line), &text))
            st = error_set(err, ST_FATAL, ERR_CONFIG, "replay: %s: line %lld is no recorded answer",
                           path, (long long)number);
        buf_reset(&line, 0);
        number++;
    }
    if (st == ST_OK && (ferror(file) || line.n > 0))
        st = error_set(err, ST_FATAL, ERR_CONFIG, "replay: %s ends in the middle of line %lld",
                       path, (long long)number);
    buf_fini(&text);
    buf_fini(&line);
    return st;
}

enum status cassette_load(const char *path, struct answers *into, struct error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(err, ST_FATAL, ERR_CONFIG, "replay: %s: %s", path, strerror(errno));
    enum status st = load_file(file, path, into, err);
    fclose(file);
    return st;
}
