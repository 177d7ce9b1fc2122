/* What an answer must look like: a subset of JSON Schema (draft 2020-12), read once into a tree.
 *
 * Keywords: type enum const required properties additionalProperties items minItems maxItems
 * uniqueItems minLength maxLength pattern minimum maximum exclusiveMinimum exclusiveMaximum
 * minProperties maxProperties. Annotations are passed over: $schema $id $comment title description
 * default examples. Anything else is refused: a keyword that is not looked at would promise what
 * nobody keeps.
 *
 * `pattern` is a POSIX extended regular expression in UTF-8, searched anywhere in the string, and
 * not the dialect of JavaScript. Of that dialect are understood and translated: \d \D \w \W \s \S
 * (ASCII), \n \r \t \f \v, escaped punctuation also within [], (?: ), and lazy quantifiers. Look-
 * around, back references, \b, \u and \x are refused. "." matches a line break too, but
 * not a zero character.
 *
 * Constant after schema_open: any thread may check. */
#ifndef SLUICE_ENRICH_SCHEMA_H
#define SLUICE_ENRICH_SCHEMA_H

#include <jansson.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/span.h"

struct schema;

/* ERR_CONFIG for text that is no JSON, an unknown keyword, a keyword with a value of the wrong kind
 * or a bad pattern, each with its JSON pointer. `name` is what the user knows the text by
 * ("--llm-schema FILE"). Caller owns *ret. */
enum status schema_open(struct span text, const char *name, struct schema **ret,
                        struct error *err) MUST_CHECK;
void schema_free(struct schema *schema);

/* ST_OK, or ST_REJECT with REASON_llm_schema and the first thing that does not fit:
 * "/topics/0: is a number, must be a string". Long values are cut. */
enum status schema_check(const struct schema *schema, const json_t *value,
                         struct error *err) MUST_CHECK;

/* The quick way for what is plain and fits: true: `text` is JSON that schema_check accepts, without
 * names that stand twice, and what json_tree_write makes of it was appended to *out. false: nothing
 * is said about it. */
bool schema_pass(const struct schema *schema, struct span text, struct buf *out);

#endif
