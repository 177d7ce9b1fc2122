/* A template is a list of parts, each a piece of plain text or a place to fill.
 *
 * Members are read out of the post's text itself and not out of a tree, so that numbers of any size
 * and odd escapes come out as they went in. */
#include "lib/enrich/template.h"

#include "lib/base/mem.h"
#include "lib/enrich/redact.h"
#include "lib/json/pointer.h"
#include "lib/json/post.h"

enum part_kind { PART_PLAIN, PART_TEXT, PART_ID, PART_MEMBER };

struct part {
    enum part_kind kind;
    char *text; /* PART_PLAIN: itself; PART_MEMBER: a JSON pointer */
};

struct template
{
    struct part *parts;
    size_t n;
};

/* --- reading --- */

static void add_part(struct template *t, enum part_kind kind, struct span text)
{
    t->parts = mem_realloc(t->parts, (t->n + 1) * sizeof *t->parts);
    t->parts[t->n++] = (struct part){kind, text.p == NULL ? NULL : mem_spandup(text)};
}

/* "a.b" as "/a/b". False when a name between the dots is empty. */
static bool path_to_pointer(struct span path, struct buf *out)
{
    bool is_empty = true;
    buf_add_char(out, '/');
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        if (c == '.' && is_empty)
            return false;
        if (c == '.')
            buf_add_char(out, '/');
        else if (c == '~' || c == '/')
            buf_add_str(out, c == '~' ? "~0" : "~1");
        else
            buf_add_char(out, c);
        is_empty = c == '.';
    }
    return !is_empty;
}

static bool add_place(struct template *t, struct span what)
{
    struct buf pointer = {0};
    bool good = memchr(what.p, '{', what.n) == NULL; /* "{{{text}}}" is not meant */
    if (!good)
        return false;
    if (span_is(what, "text")) {
        add_part(t, PART_TEXT, SPAN_NULL);
    } else if (span_is(what, "id")) {
        add_part(t, PART_ID, SPAN_NULL);
    } else {
        if (what.n > 0 && what.p[0] == '/')
            buf_add_span(&pointer, what);
        else
            good = path_to_pointer(what, &pointer);
        good = good && json_pointer_valid(buf_str(&pointer));
        if (good)
            add_part(t, PART_MEMBER, buf_span(&pointer));
    }
    buf_fini(&pointer);
    return good;
}

static struct span trim(struct span s)
{
    while (s.n > 0 && strchr(" \t\r\n", s.p[0]) != NULL)
        s = (struct span){s.p + 1, s.n - 1};
    while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL)
        s.n--;
    return s;
}

static int line_of(const char *text, const char *place)
{
    int line = 1;
    for (; text < place; text++)
        line += *text == '\n';
    return line;
}

/* *p is behind "{{"; it moves behind "}}". */
static enum status read_place(struct template *t, const char *text, const char **p,
                              const char *name, struct error *err)
{
    int line = line_of(text, *p);
    const char *end = strstr(*p, "}}"), *again = strstr(*p, "{{");
    if (end == NULL || (again != NULL && again < end))
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "%s: line %d: {{ without }} (a literal {{ is written {{{{)", name, line);
    struct span what = trim((struct span){*p, (size_t)(end - *p)});
    *p = end + 2;
    if (what.n == 0)
        return error_set(err, ST_FATAL, ERR_CONFIG, "%s: line %d: nothing between {{ and }}", name,
                         line);
    if (!add_place(t, what))
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "%s: line %d: {{%.*s}} is neither a path (author.name) nor a JSON pointer "
                         "(/author/name)",
                         name, line, what.n > 80 ? 80 : (int)what.n, what.p);
    return ST_OK;
}

enum status template_open(const char *text, const char *name, struct template **ret,
                          struct error *err)
{
    struct template *t = mem_zalloc(sizeof *t);
    enum status st = ST_OK;
    const char *p = text;
    while (st == ST_OK && *p != '\0') {
        const char *open = strstr(p, "{{");
        size_t n = open == NULL ? strlen(p) : (size_t)(open - p);
        if (n > 0)
            add_part(t, PART_PLAIN, span_make(p, n));
        p += n;
        if (open == NULL)
            break;
        p += 2;
        if (p[0] == '{' && p[1] == '{') {
            add_part(t, PART_PLAIN, SPAN_LIT("{{"));
            p += 2;
        } else {
            st = read_place(t, text, &p, name, err);
        }
    }
    if (st == ST_OK)
        *ret = t;
    else
        template_free(t);
    return st;
}

void template_free(struct template *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n; i++)
        mem_free(t->parts[i].text);
    mem_free(t->parts);
    mem_free(t);
}

void template_quote(struct template *t)
{
    for (size_t i = 0; i < t->n; i++) {
        struct part *part = &t->parts[i];
        struct buf quoted = {0};
        if (part->kind != PART_PLAIN)
            continue;
        buf_add_json(&quoted, span_of(part->text));
        mem_free(part->text);
        part->text = mem_strdup(buf_str(&quoted));
        buf_fini(&quoted);
    }
}

/* --- filling --- */

/* RFC 3986 section 2.3. */
static bool is_unreserved(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("-._~", c) != NULL);
}

static void add_escaped(struct span s, enum template_escape escape, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    if (escape == TEMPLATE_PLAIN)
        buf_add_span(out, s);
    if (escape == TEMPLATE_JSON)
        buf_add_json(out, s);
    for (size_t i = 0; escape == TEMPLATE_URL && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_unreserved(s.p[i]))
            buf_add_char(out, s.p[i]);
        else
            buf_add(out, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
}

/* Spaces between the parts of JSON are left out, strings and numbers stay as they are. */
static void add_compact(struct span json, struct buf *out)
{
    bool in_string = false;
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        if (in_string && c == '\\')
            buf_add_char(out, json.p[i++]);
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
            continue;
        buf_add_char(out, json.p[i]);
    }
}

/* Append a member's value as what it gives. */
static void add_member(struct span json, struct buf *out)
{
    if (json.p == NULL || span_is(json, "null"))
        return;
    if (json.p[0] == '"')
        json_unescape(out, span_make(json.p + 1, json.n - 2));
    else
        add_compact(json, out);
}

static void add_redacted(struct span s, const struct template_values *v,
                         enum template_escape escape, struct buf *out)
{
    struct buf clean = {0};
    if (v->redact == 0) {
        add_escaped(s, escape, out);
        return;
    }
    redact_text(v->redact, s, &clean);
    add_escaped(buf_span(&clean), escape, out);
    out->full = out->full || clean.full;
    buf_fini(&clean);
}

static void fill_member(const char *pointer, const struct template_values *v,
                        enum template_escape escape, struct buf *out)
{
    struct buf content = {0};
    add_member(json_pointer_find(v->value, pointer), &content);
    add_redacted(buf_span(&content), v, escape, out);
    out->full = out->full || content.full;
    buf_fini(&content);
}

void template_fill(const struct template *t, const struct template_values *v,
                   enum template_escape escape, struct buf *out)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct part *part = &t->parts[i];
        if (part->kind == PART_PLAIN)
            buf_add_str(out, part->text);
        else if (part->kind == PART_ID)
            add_escaped(v->id, escape, out);
        else if (part->kind == PART_TEXT)
            add_redacted(v->text, v, escape, out);
        else
            fill_member(part->text, v, escape, out);
    }
}
