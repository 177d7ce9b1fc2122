/* A hash table with open addressing over rows in one arena: see lookup_table.h. */
#include "lib/enrich/lookup_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"

struct row {
    const char *p; /* the key, and behind it the answer; NULL: a free place */
    size_t key_n, answer_n, line;
    uint64_t hash;
};

struct lookup_table {
    struct arena arena;
    struct row *rows;
    size_t n, cap; /* cap is a power of two, at least twice n */
};

/* --- the table --- */

static uint64_t hash_key(struct span key)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.p[i]) * 1099511628211u;
    return h ^ h >> 32;
}

/* The key's row, or the free place for it. */
static struct row *find_row(const struct lookup_table *t, struct span key, uint64_t hash)
{
    for (size_t i = (size_t)hash & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
        struct row *row = &t->rows[i];
        if (row->p == NULL || (row->hash == hash && row->key_n == key.n &&
                               (key.n == 0 || memcmp(row->p, key.p, key.n) == 0)))
            return row;
    }
}

static void grow(struct lookup_table *t)
{
    struct row *old = t->rows;
    size_t old_cap = t->cap;
    t->cap = old_cap == 0 ? 64 : old_cap * 2;
    t->rows = mem_array(t->cap, sizeof *t->rows);
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].p != NULL)
            *find_row(t, span_make(old[i].p, old[i].key_n), old[i].hash) = old[i];
    mem_free(old);
}

struct span lookup_table_find(const struct lookup_table *t, struct span key)
{
    if (t->cap == 0)
        return SPAN_NULL;
    const struct row *row = find_row(t, key, hash_key(key));
    return row->p == NULL ? SPAN_NULL : span_make(row->p + row->key_n, row->answer_n);
}

size_t lookup_table_count(const struct lookup_table *t)
{
    return t->n;
}

void lookup_table_free(struct lookup_table *t)
{
    if (t == NULL)
        return;
    arena_fini(&t->arena);
    mem_free(t->rows);
    mem_free(t);
}

/* --- for the readers --- */

enum status lookup_refuse(struct lookup_reader *r, size_t line, const char *fmt, ...)
{
    char text[320];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (line == 0)
        return error_set(r->err, ST_FATAL, ERR_CONFIG, "%s: %s", r->src->file, text);
    return error_set(r->err, ST_FATAL, ERR_CONFIG, "%s line %zu: %s", r->src->file, line, text);
}

enum status lookup_put(struct lookup_reader *r, size_t line)
{
    struct lookup_table *t = r->table;
    struct span key = buf_span(&r->key), answer = buf_span(&r->answer);
    if (r->key.full || r->answer.full)
        return lookup_refuse(r, line, "longer than 64 MiB");
    if (t->n * 2 >= t->cap)
        grow(t);
    uint64_t hash = hash_key(key);
    struct row *row = find_row(t, key, hash);
    if (row->p != NULL)
        return lookup_refuse(r, line, "the key '%.*s' stands in line %zu already",
                             key.n > 60 ? 60 : (int)key.n, key.p, row->line);
    char *p = arena_alloc(&t->arena, key.n + answer.n + 1);
    memcpy(p, key.p, key.n);
    memcpy(p + key.n, answer.p, answer.n);
    *row = (struct row){p, key.n, answer.n, line, hash};
    t->n++;
    return ST_OK;
}

void lookup_add_name(struct lookup_reader *r, struct span name)
{
    buf_add_str(&r->answer, r->answer.n == 0 ? "{\"" : ",\"");
    buf_add_json(&r->answer, name);
    buf_add_str(&r->answer, "\":");
}

enum status lookup_find_column(struct lookup_reader *r, const struct span *names, size_t n,
                               size_t *ret)
{
    struct buf all = {0};
    for (size_t i = 0; i < n; i++) {
        if (r->src->key_column == NULL || span_is(names[i], r->src->key_column)) {
            *ret = i;
            buf_fini(&all);
            return ST_OK;
        }
        buf_add_str(&all, i == 0 ? "" : ", ");
        buf_add_span(&all, names[i]);
    }
    enum status st =
        lookup_refuse(r, 0, "there is no column '%s'; there are %.200s",
                      r->src->key_column == NULL ? "" : r->src->key_column, buf_str(&all));
    buf_fini(&all);
    return st;
}

/* --- files --- */

static enum status read_all(struct lookup_reader *r, int fd, struct buf *out)
{
    struct stat info;
    ssize_t n = fstat(fd, &info);
    if (n == 0 && !S_ISREG(info.st_mode))
        return lookup_refuse(r, 0, "is no regular file");
    if (n == 0)
        buf_init(out, (size_t)info.st_size + (64u << 20)); /* it may grow meanwhile */
    while (n >= 0) {
        char *to = buf_reserve(out, 1 << 16);
        if (to == NULL)
            return lookup_refuse(r, 0, "grows while it is read");
        n = read(fd, to, 1 << 16);
        if (n == 0)
            return ST_OK;
        if (n > 0)
            out->n += (size_t)n;
        else if (errno == EINTR)
            n = 0;
    }
    return lookup_refuse(r, 0, "cannot be read: %s", strerror(errno));
}

static bool has_extension(const char *file, const char *extension)
{
    const char *dot = strrchr(file, '.');
    return dot != NULL && strcasecmp(dot, extension) == 0;
}

static bool is_sqlite(const char *file)
{
    return has_extension(file, ".db") || has_extension(file, ".sqlite");
}

/* A byte order mark, as spreadsheets write it, is passed over. */
static enum status read_text(struct lookup_reader *r)
{
    const char *file = r->src->file;
    struct buf text = {0};
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return lookup_refuse(r, 0, "cannot be read: %s", strerror(errno));
    enum status st = read_all(r, fd, &text);
    close(fd);
    struct span s = buf_span(&text);
    if (s.n >= 3 && memcmp(s.p, "\xef\xbb\xbf", 3) == 0)
        s = (struct span){s.p + 3, s.n - 3};
    if (st == ST_OK)
        st = has_extension(file, ".jsonl")
                 ? lookup_read_jsonl(r, s)
                 : lookup_read_csv(r, s, has_extension(file, ".csv") ? ',' : '\t');
    buf_fini(&text);
    return st;
}

enum status lookup_table_load(const struct lookup_source *src, struct lookup_table **ret,
                              struct error *err)
{
    struct lookup_reader r = {
        .src = src, .table = mem_zalloc(sizeof(struct lookup_table)), .err = err};
    enum status st;
    if (is_sqlite(src->file))
        st = lookup_read_sqlite(&r);
    else if (has_extension(src->file, ".csv") || has_extension(src->file, ".tsv") ||
             has_extension(src->file, ".jsonl"))
        st = read_text(&r);
    else
        st = lookup_refuse(&r, 0, "must end in .csv, .tsv, .jsonl, .db or .sqlite");
    buf_fini(&r.key);
    buf_fini(&r.answer);
    if (st == ST_OK)
        *ret = r.table;
    else
        lookup_table_free(r.table);
    return st;
}

static int64_t mtime_ns(const struct stat *info)
{
    return (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
}

void lookup_stamp_read(const char *file, struct lookup_stamp *ret)
{
    struct stat info;
    memset(ret, 0, sizeof *ret);
    if (stat(file, &info) != 0)
        return;
    ret->mtime_ns = mtime_ns(&info);
    ret->size = (int64_t)info.st_size;
    ret->inode = (int64_t)info.st_ino;
    if (!is_sqlite(file))
        return;
    char *wal = mem_printf("%s-wal", file);
    if (stat(wal, &info) == 0) {
        ret->wal_mtime_ns = mtime_ns(&info);
        ret->wal_size = (int64_t)info.st_size;
    }
    mem_free(wal);
}
