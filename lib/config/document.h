/* A YAML document as a small tree. What makes YAML dangerous is refused: anchors, aliases, tags,
 * several documents, repeated keys, deep nesting, size. Threads: one thread. */
#ifndef SLUICE_CONFIG_DOCUMENT_H
#define SLUICE_CONFIG_DOCUMENT_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"

enum {
    DOCUMENT_MAX_BYTES = 1 << 20,
    DOCUMENT_MAX_DEPTH = 32,
    DOCUMENT_MAX_NODES = 4096,
};

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    bool plain;       /* a scalar without quotes */
    int line;         /* from 1; of the key in a map */
    const char *key;  /* in a map; else NULL */
    const char *text; /* of a scalar */
    struct node *first, *last, *next;
};

/* Everything lives in the arena. *ret is the top (a map), or NULL for an empty document. Errors:
 * ERR_CONFIG with `name` and line. */
enum status document_parse(struct span bytes, const char *name, struct arena *arena,
                           struct node **ret, struct error *err) MUST_CHECK;

/* Whether the node says "nothing here": an empty plain scalar, ~ or null. */
bool node_is_null(const struct node *node);

/* Append the node as JSON: plain scalars become null, true, false and numbers where they look so in
 * JSON's grammar, all else strings. */
void node_to_json(const struct node *node, struct buf *out);

#endif
