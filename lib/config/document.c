/* Builds the tree from libyaml's events with a stack of fixed depth, so that no input makes it
 * recurse or expand. libyaml 0.2: yaml_parser_parse(3) events; marks count lines from 0. */
#include "lib/config/document.h"

#include <assert.h>
#include <string.h>
#include <yaml.h>

struct builder {
    const char *name;
    struct arena *arena;
    struct node *stack[DOCUMENT_MAX_DEPTH];
    int depth;
    int nodes;
    int documents;
    struct node *top;
    const char *key; /* waiting for its value */
    int key_line;
    bool ended;
};

static enum status refuse(const struct builder *b, const yaml_event_t *event, const char *what,
                          struct error *err)
{
    return error_set(err, ST_FATAL, ERR_CONFIG, "%s line %zu: %s", b->name,
                     event->start_mark.line + 1, what);
}

static const char *copy_text(struct builder *b, const yaml_event_t *event)
{
    size_t n = event->data.scalar.length;
    char *text = arena_alloc(b->arena, n + 1);
    memcpy(text, event->data.scalar.value, n);
    text[n] = '\0';
    return text;
}

static struct node *parent_of(const struct builder *b)
{
    return b->depth == 0 ? NULL : b->stack[b->depth - 1];
}

static bool waits_for_key(const struct builder *b)
{
    const struct node *parent = parent_of(b);
    return parent != NULL && parent->kind == NODE_MAP && b->key == NULL;
}

static void append(struct node *parent, struct node *node)
{
    if (parent->last == NULL)
        parent->first = node;
    else
        parent->last->next = node;
    parent->last = node;
}

static enum status add_node(struct builder *b, const yaml_event_t *event, enum node_kind kind,
                            struct node **ret, struct error *err)
{
    if (waits_for_key(b))
        return refuse(b, event, "a key must be a single word", err);
    if (++b->nodes > DOCUMENT_MAX_NODES)
        return refuse(b, event, "too many values", err);
    struct node *node = arena_alloc(b->arena, sizeof *node);
    memset(node, 0, sizeof *node);
    node->kind = kind;
    node->key = b->key;
    node->line = b->key == NULL ? (int)event->start_mark.line + 1 : b->key_line;
    b->key = NULL;
    struct node *parent = parent_of(b);
    if (parent == NULL)
        b->top = node;
    else
        append(parent, node);
    *ret = node;
    return ST_OK;
}

static enum status take_key(struct builder *b, const yaml_event_t *event, struct error *err)
{
    const char *key = copy_text(b, event);
    const struct node *map = parent_of(b);
    assert(map != NULL); /* keys stand in maps only */
    for (const struct node *n = map->first; n != NULL; n = n->next)
        if (strcmp(n->key, key) == 0)
            return error_set(err, ST_FATAL, ERR_CONFIG, "%s line %zu: %.100s stands on line %d too",
                             b->name, event->start_mark.line + 1, key, n->line);
    b->key = key;
    b->key_line = (int)event->start_mark.line + 1;
    return ST_OK;
}

static enum status on_scalar(struct builder *b, const yaml_event_t *event, struct error *err)
{
    if (event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL)
        return refuse(b, event, "anchors and tags are not supported", err);
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length) != NULL)
        return refuse(b, event, "a value holds a zero byte", err);
    if (waits_for_key(b))
        return take_key(b, event, err);
    struct node *node = NULL;
    enum status st = add_node(b, event, NODE_SCALAR, &node, err);
    if (st != ST_OK)
        return st;
    assert(node != NULL);
    node->text = copy_text(b, event);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return ST_OK;
}

static enum status open_node(struct builder *b, const yaml_event_t *event, enum node_kind kind,
                             bool is_marked, struct error *err)
{
    if (is_marked)
        return refuse(b, event, "anchors and tags are not supported", err);
    if (b->depth == DOCUMENT_MAX_DEPTH)
        return refuse(b, event, "nested too deeply", err);
    struct node *node = NULL;
    enum status st = add_node(b, event, kind, &node, err);
    if (st == ST_OK)
        b->stack[b->depth++] = node;
    return st;
}

static enum status on_event(struct builder *b, const yaml_event_t *event, struct error *err)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event, err);
    case YAML_MAPPING_START_EVENT:
        return open_node(
            b, event, NODE_MAP,
            event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL, err);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(b, event, NODE_LIST,
                         event->data.sequence_start.anchor != NULL ||
                             event->data.sequence_start.tag != NULL,
                         err);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        b->depth--;
        return ST_OK;
    case YAML_ALIAS_EVENT:
        return refuse(b, event, "aliases are not supported", err);
    case YAML_DOCUMENT_START_EVENT:
        return ++b->documents > 1 ? refuse(b, event, "a second document", err) : ST_OK;
    case YAML_STREAM_END_EVENT:
        b->ended = true;
        return ST_OK;
    default:
        return ST_OK;
    }
}

static enum status parser_error(const yaml_parser_t *parser, const char *name, struct error *err)
{
    const char *problem = parser->problem == NULL ? "not YAML" : parser->problem;
    size_t line = parser->problem_mark.line;
    if (parser->error == YAML_READER_ERROR)
        return error_set(err, ST_FATAL, ERR_CONFIG, "%s byte %zu: %s", name, parser->problem_offset,
                         problem);
    return error_set(err, ST_FATAL, ERR_CONFIG, "%s line %zu: %s", name, line + 1, problem);
}

static enum status read_events(yaml_parser_t *parser, struct builder *b, struct error *err)
{
    enum status st = ST_OK;
    while (st == ST_OK && !b->ended) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return parser_error(parser, b->name, err);
        st = on_event(b, &event, err);
        yaml_event_delete(&event);
    }
    return st;
}

enum status document_parse(struct span bytes, const char *name, struct arena *arena,
                           struct node **ret, struct error *err)
{
    if (bytes.n > DOCUMENT_MAX_BYTES)
        return error_set(err, ST_FATAL, ERR_CONFIG, "%s is larger than %d bytes", name,
                         DOCUMENT_MAX_BYTES);
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return error_set(err, ST_FATAL, ERR_FAILED, "%s: no memory for the YAML parser", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes.p, bytes.n);
    struct builder b = {.name = name, .arena = arena};
    enum status st = read_events(&parser, &b, err);
    yaml_parser_delete(&parser);
    if (st != ST_OK)
        return st;
    if (b.top != NULL && b.top->kind != NODE_MAP && !node_is_null(b.top))
        return error_set(err, ST_FATAL, ERR_CONFIG, "%s line %d: expected KEY: VALUE", name,
                         b.top->line);
    *ret = b.top != NULL && b.top->kind == NODE_MAP ? b.top : NULL;
    return ST_OK;
}

bool node_is_null(const struct node *node)
{
    return node->kind == NODE_SCALAR && node->plain &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
            strcmp(node->text, "null") == 0);
}

/* RFC 8259, section 6. */
static bool is_json_number(const char *p)
{
    static const char digits[] = "0123456789";
    p += *p == '-';
    size_t n = strspn(p, digits);
    if (n == 0 || (n > 1 && *p == '0'))
        return false;
    p += n;
    if (*p == '.') {
        n = strspn(p + 1, digits);
        if (n == 0)
            return false;
        p += 1 + n;
    }
    if (*p == 'e' || *p == 'E') {
        p += 1 + (p[1] == '+' || p[1] == '-');
        n = strspn(p, digits);
        if (n == 0)
            return false;
        p += n;
    }
    return *p == '\0';
}

static void add_string(struct buf *out, const char *text)
{
    buf_add_char(out, '"');
    buf_add_json(out, span_of(text));
    buf_add_char(out, '"');
}

static void scalar_to_json(const struct node *node, struct buf *out)
{
    const char *text = node->text;
    if (node_is_null(node))
        buf_add_str(out, "null");
    else if (node->plain &&
             (strcmp(text, "true") == 0 || strcmp(text, "false") == 0 || is_json_number(text)))
        buf_add_str(out, text);
    else
        add_string(out, text);
}

/* Recursion is bounded by DOCUMENT_MAX_DEPTH. */
void node_to_json(const struct node *node, struct buf *out)
{
    if (node->kind == NODE_SCALAR) {
        scalar_to_json(node, out);
        return;
    }
    buf_add_char(out, node->kind == NODE_MAP ? '{' : '[');
    for (const struct node *child = node->first; child != NULL; child = child->next) {
        if (child != node->first)
            buf_add_char(out, ',');
        if (node->kind == NODE_MAP) {
            add_string(out, child->key);
            buf_add_char(out, ':');
        }
        node_to_json(child, out);
    }
    buf_add_char(out, node->kind == NODE_MAP ? '}' : ']');
}
