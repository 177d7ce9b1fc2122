/* CSV and TSV as RFC 4180 describes them, and as people write them: lines may end in LF, empty ones
 * are passed over, and a quote within a field that does not begin with one is a character. */
#include "lib/base/mem.h"
#include "lib/base/utf8.h"
#include "lib/enrich/lookup_table.h"

struct csv {
    struct lookup_reader *r;
    const char *p, *end;
    char separator;
    size_t line;        /* of what p is at */
    struct buf record;  /* the fields of the record, one behind another */
    size_t *ends;       /* where each field ends in it */
    size_t fields, cap; /* how many there are, room for */
};

static void end_field(struct csv *c)
{
    if (c->fields == c->cap) {
        c->cap = c->cap == 0 ? 16 : c->cap * 2;
        c->ends = mem_realloc(c->ends, c->cap * sizeof *c->ends);
    }
    c->ends[c->fields++] = c->record.n;
}

static struct span field(const struct csv *c, size_t i)
{
    size_t from = i == 0 ? 0 : c->ends[i - 1];
    return span_make(buf_span(&c->record).p + from, c->ends[i] - from);
}

/* The bytes of a line break at p, or 0. */
static size_t line_break(const struct csv *c)
{
    if (c->p < c->end && *c->p == '\n')
        return 1;
    return c->end - c->p >= 2 && c->p[0] == '\r' && c->p[1] == '\n' ? 2 : 0;
}

static bool ends_field(const struct csv *c)
{
    return c->p == c->end || *c->p == c->separator || line_break(c) > 0;
}

/* c->p is behind the opening quote. */
static enum status read_quoted(struct csv *c)
{
    size_t from = c->line;
    for (; c->p < c->end; c->p++) {
        if (*c->p == '"' && (c->p + 1 == c->end || c->p[1] != '"'))
            break;
        c->p += *c->p == '"';
        c->line += *c->p == '\n';
        buf_add_char(&c->record, *c->p);
    }
    if (c->p == c->end)
        return lookup_refuse(c->r, from, "a quote that is not closed");
    c->p++;
    return ends_field(c) ? ST_OK : lookup_refuse(c->r, c->line, "text behind a closing quote");
}

/* One record; the line break behind it is read too. */
static enum status read_record(struct csv *c)
{
    enum status st = ST_OK;
    buf_reset(&c->record, 0);
    c->fields = 0;
    for (;;) {
        if (c->p < c->end && *c->p == '"') {
            c->p++;
            st = read_quoted(c);
        }
        if (st != ST_OK)
            return st;
        const char *from = c->p;
        while (!ends_field(c))
            c->p++;
        buf_add(&c->record, from, (size_t)(c->p - from));
        end_field(c);
        if (c->p == c->end || *c->p != c->separator)
            break;
        c->p++;
    }
    size_t n = line_break(c);
    c->p += n;
    c->line += n > 0;
    return ST_OK;
}

static void skip_empty_lines(struct csv *c)
{
    for (size_t n; (n = line_break(c)) > 0; c->line++)
        c->p += n;
}

static enum status check_header(struct csv *c, const struct span *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (span_equal(names[i], names[k]))
                return lookup_refuse(c->r, 1, "the column '%.*s' stands twice",
                                     names[i].n > 60 ? 60 : (int)names[i].n, names[i].p);
    return ST_OK;
}

static enum status put_record(struct csv *c, const struct span *names, size_t n, size_t key,
                              size_t line)
{
    struct lookup_reader *r = c->r;
    if (c->fields != n)
        return lookup_refuse(r, line, "%zu fields where the first line has %zu", c->fields, n);
    buf_reset(&r->key, 0);
    buf_reset(&r->answer, 0);
    buf_add_span(&r->key, field(c, key));
    for (size_t i = 0; i < n; i++) {
        if (i == key)
            continue;
        lookup_add_name(r, names[i]);
        buf_add_char(&r->answer, '"');
        buf_add_json(&r->answer, field(c, i));
        buf_add_char(&r->answer, '"');
    }
    buf_add_str(&r->answer, r->answer.n == 0 ? "{}" : "}");
    return lookup_put(r, line);
}

static enum status read_records(struct csv *c, const struct span *names, size_t n)
{
    size_t key;
    enum status st = check_header(c, names, n);
    if (st == ST_OK)
        st = lookup_find_column(c->r, names, n, &key);
    for (skip_empty_lines(c); st == ST_OK && c->p < c->end; skip_empty_lines(c)) {
        size_t line = c->line;
        st = read_record(c);
        if (st == ST_OK && !utf8_valid(buf_span(&c->record).p, c->record.n))
            st = lookup_refuse(c->r, line, "not UTF-8");
        if (st == ST_OK)
            st = put_record(c, names, n, key, line);
    }
    return st;
}

/* The names of the columns move into memory of their own, since the record is used again. */
static enum status read_table(struct csv *c)
{
    skip_empty_lines(c);
    if (c->p == c->end)
        return lookup_refuse(c->r, 0, "is empty, not even the names of columns are there");
    enum status st = read_record(c);
    if (st == ST_OK && !utf8_valid(buf_span(&c->record).p, c->record.n))
        st = lookup_refuse(c->r, 1, "not UTF-8");
    if (st != ST_OK)
        return st;
    size_t n = c->fields;
    struct buf header = {0};
    struct span *names = mem_array(n, sizeof *names);
    buf_add_span(&header, buf_span(&c->record));
    for (size_t i = 0; i < n; i++)
        names[i] = span_make(buf_span(&header).p + (i == 0 ? 0 : c->ends[i - 1]), field(c, i).n);
    st = read_records(c, names, n);
    mem_free(names);
    buf_fini(&header);
    return st;
}

enum status lookup_read_csv(struct lookup_reader *r, struct span text, char separator)
{
    struct csv c = {.r = r, .p = text.p, .end = text.p + text.n, .separator = separator, .line = 1};
    enum status st = read_table(&c);
    buf_fini(&c.record);
    mem_free(c.ends);
    return st;
}
