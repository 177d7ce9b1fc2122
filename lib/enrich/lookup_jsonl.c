/* Tables of one JSON object a line. The key is a string or a number, written as text. */
#include <jansson.h>

#include "lib/base/mem.h"
#include "lib/enrich/lookup_table.h"
#include "lib/json/tree.h"

/* The name of the member that is the key: what was asked for, else the first object's first. */
static const char *choose_key(struct lookup_reader *r, json_t *object, char **memory)
{
    if (r->src->key_column != NULL)
        return r->src->key_column;
    if (*memory == NULL && json_object_iter(object) != NULL)
        *memory = mem_strdup(json_object_iter_key(json_object_iter(object)));
    return *memory;
}

static enum status put_object(struct lookup_reader *r, json_t *object, size_t line, char **memory)
{
    const char *name = choose_key(r, object, memory);
    json_t *key = name == NULL ? NULL : json_object_get(object, name);
    if (key == NULL)
        return lookup_refuse(r, line, "no member '%.60s' for the key", name == NULL ? "" : name);
    if (!json_is_string(key) && !json_is_number(key))
        return lookup_refuse(r, line, "the key '%.60s' must be a string or a number", name);
    buf_reset(&r->key, 0);
    buf_reset(&r->answer, 0);
    json_tree_text(key, &r->key);
    json_object_del(object, name);
    json_tree_write(object, &r->answer);
    return lookup_put(r, line);
}

static enum status put_line(struct lookup_reader *r, struct span text, size_t line, char **memory)
{
    json_error_t why;
    json_t *object = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    enum status st;
    if (object == NULL)
        st = lookup_refuse(r, line, "no JSON: column %d: %.120s", why.column, why.text);
    else if (!json_is_object(object))
        st = lookup_refuse(r, line, "must be a JSON object");
    else
        st = put_object(r, object, line, memory);
    json_decref(object);
    return st;
}

static bool is_blank(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (strchr(" \t\r", s.p[i]) == NULL || s.p[i] == '\0')
            return false;
    return true;
}

enum status lookup_read_jsonl(struct lookup_reader *r, struct span text)
{
    enum status st = ST_OK;
    char *memory = NULL;
    const char *p = text.p, *end = text.p + text.n;
    for (size_t line = 1; st == ST_OK && p < end; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        struct span s = {p, (size_t)((stop == NULL ? end : stop) - p)};
        if (!is_blank(s))
            st = put_line(r, s, line, &memory);
        p += s.n + 1;
    }
    mem_free(memory);
    return st;
}
