/* Conditions of a chain: see when.h. One function an operator, found once by when_open. */
#include "lib/enrich/when.h"

#include "lib/base/mem.h"
#include "lib/json/pointer.h"
#include "lib/json/tree.h"

struct when {
    char *pointer;
    bool (*holds)(const json_t *value, const json_t *literal); /* value: NULL when missing */
    json_t *literal;
};

/* --- operators --- */

static struct span string_of(const json_t *value)
{
    return span_make(json_string_value(value), json_string_length(value));
}

static bool is_equal(const json_t *value, const json_t *literal)
{
    return value != NULL && json_tree_equal(value, literal);
}

static bool is_other(const json_t *value, const json_t *literal)
{
    return !is_equal(value, literal);
}

/* -1, 0, 1; 0 for what cannot be compared. */
static int compare(const json_t *value, const json_t *literal)
{
    if (json_is_number(value) && json_is_number(literal))
        return json_number_compare(value, literal);
    if (!json_is_string(value) || !json_is_string(literal))
        return 0;
    struct span a = string_of(value), b = string_of(literal);
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n); /* UTF-8 sorts by code point */
    if (order == 0)
        return (a.n > b.n) - (a.n < b.n);
    return order < 0 ? -1 : 1;
}

static bool is_less(const json_t *value, const json_t *literal)
{
    return compare(value, literal) < 0;
}

static bool is_more(const json_t *value, const json_t *literal)
{
    return compare(value, literal) > 0;
}

static bool has_part(const json_t *value, const json_t *literal)
{
    if (json_is_string(value) && json_is_string(literal)) {
        struct span in = string_of(value), part = string_of(literal);
        return part.n == 0 || memmem(in.p, in.n, part.p, part.n) != NULL;
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        if (json_tree_equal(json_array_get(value, i), literal))
            return true;
    return false;
}

static bool is_there(const json_t *value, const json_t *literal)
{
    return (value != NULL) == json_is_true(literal);
}

static const struct comparison {
    const char *word;
    bool (*holds)(const json_t *value, const json_t *literal);
} operators[] = {
    {"==", is_equal}, {"!=", is_other},       {"<", is_less},
    {">", is_more},   {"contains", has_part}, {"exists", is_there},
};

/* --- reading --- */

static struct span next_word(const char **p)
{
    *p += strspn(*p, " \t\r\n");
    struct span word = {*p, strcspn(*p, " \t\r\n")};
    *p += word.n;
    return word;
}

static const struct comparison *find_operator(struct span word)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (span_is(word, operators[i].word))
            return &operators[i];
    return NULL;
}

/* The first operator with spaces around it ends the pointer, which may have spaces itself. */
static const struct comparison *split(const char *text, struct span *ret_pointer,
                                      const char **ret_rest)
{
    const char *p = text;
    const struct comparison *op = NULL;
    struct span word = next_word(&p);
    const char *from = word.p, *end = p;
    while (op == NULL && *p != '\0') {
        word = next_word(&p);
        op = find_operator(word);
        if (op == NULL)
            end = p;
    }
    *ret_pointer = (struct span){from, (size_t)(end - from)};
    *ret_rest = p + strspn(p, " \t\r\n");
    return op;
}

/* JSON, or a word without quotes and brackets. NULL for what is neither. */
static json_t *read_literal(const char *text)
{
    const char *p = text;
    json_t *literal = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (literal != NULL)
        return literal;
    struct span word = next_word(&p);
    bool is_word =
        word.n > 0 && strchr("\"'[{", word.p[0]) == NULL && p[strspn(p, " \t\r\n")] == '\0';
    return is_word ? json_stringn(word.p, word.n) : NULL;
}

static enum status refuse(const char *name, const char *text, const char *why, struct error *err)
{
    return error_set(err, ST_FATAL, ERR_CONFIG, "%s: '%.120s': %s", name, text, why);
}

static enum status read_when(struct when *w, const char *text, const char *name, struct error *err)
{
    struct span pointer;
    const char *rest;
    const struct comparison *op = split(text, &pointer, &rest);
    if (op == NULL)
        return refuse(name, text, "no ==, !=, <, >, contains or exists with spaces around it", err);
    w->pointer = mem_spandup(pointer);
    w->holds = op->holds;
    if (pointer.n == 0 || !json_pointer_valid(w->pointer))
        return refuse(name, text, "must begin with a JSON pointer such as /author/name", err);
    if (*rest == '\0' && op->holds != is_there)
        return refuse(name, text, "nothing to compare with", err);
    w->literal = *rest == '\0' ? json_true() : read_literal(rest);
    if (w->literal == NULL)
        return refuse(name, text, "what stands last must be JSON or one word; texts need quotes",
                      err);
    if (op->holds == is_there && !json_is_boolean(w->literal))
        return refuse(name, text, "exists takes nothing, true or false", err);
    return ST_OK;
}

enum status when_open(const char *text, const char *name, struct when **ret, struct error *err)
{
    struct when *w = mem_zalloc(sizeof *w);
    enum status st = read_when(w, text, name, err);
    if (st == ST_OK)
        *ret = w;
    else
        when_free(w);
    return st;
}

void when_free(struct when *w)
{
    if (w == NULL)
        return;
    json_decref(w->literal);
    mem_free(w->pointer);
    mem_free(w);
}

bool when_holds(const struct when *w, const json_t *post, const json_t *enrichment)
{
    static const char head[] = "/enrichment";
    const char *pointer = w->pointer;
    size_t n = sizeof head - 1;
    if (enrichment != NULL && strncmp(pointer, head, n) == 0 &&
        (pointer[n] == '/' || pointer[n] == '\0'))
        return w->holds(json_pointer_get(enrichment, pointer + n), w->literal);
    return w->holds(json_pointer_get(post, pointer), w->literal);
}
