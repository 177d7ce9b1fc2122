/* A table of the user's in memory: the answer to each key, ready as JSON text.
 *
 * Files: .csv and .tsv (RFC 4180, first line: names of columns; values are strings), .jsonl (an
 * object a line), .db and .sqlite (a table of an SQLite file, values typed). The key's column is
 * not part of the answer. Constant after lookup_table_load, which any thread may call: any thread
 * may look up. Only the lookup enricher uses this. */
#ifndef SLUICE_ENRICH_LOOKUP_TABLE_H
#define SLUICE_ENRICH_LOOKUP_TABLE_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/span.h"

struct lookup_source {
    const char *file;
    const char *table;      /* SQLite: its name; NULL: the only one */
    const char *key_column; /* NULL: the first one */
};

struct lookup_table;

/* ERR_CONFIG with file and line: cannot be read, broken, rows of different length, the key's column
 * missing, a key that stands twice. Caller owns *ret. */
enum status lookup_table_load(const struct lookup_source *src, struct lookup_table **ret,
                              struct error *err) MUST_CHECK;
void lookup_table_free(struct lookup_table *t);

/* The JSON object of the key's row, borrowed from the table; absent when there is none. */
struct span lookup_table_find(const struct lookup_table *t, struct span key);
size_t lookup_table_count(const struct lookup_table *t);

/* By what a change of the file is noticed: time, size and inode of it and, for SQLite, of its WAL.
 * All zero while the file is not there. */
struct lookup_stamp {
    int64_t mtime_ns, size, inode, wal_mtime_ns, wal_size;
};
void lookup_stamp_read(const char *file, struct lookup_stamp *ret);

/* --- for the readers of the formats --- */

struct lookup_reader {
    const struct lookup_source *src;
    struct lookup_table *table;
    struct buf key, answer; /* of the row that is being read */
    struct error *err;
};

/* "FILE line N: ..."; line 0: "FILE: ...". */
enum status lookup_refuse(struct lookup_reader *r, size_t line, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Put r->key and r->answer into the table; refuses a key that is there. */
enum status lookup_put(struct lookup_reader *r, size_t line) MUST_CHECK;

/* Append ,"NAME": or, for the first member, {"NAME": to r->answer. */
void lookup_add_name(struct lookup_reader *r, struct span name);

/* Which of the columns holds the key; a message names them all when none does. */
enum status lookup_find_column(struct lookup_reader *r, const struct span *names, size_t n,
                               size_t *ret) MUST_CHECK;

enum status lookup_read_csv(struct lookup_reader *r, struct span text, char separator) MUST_CHECK;
enum status lookup_read_jsonl(struct lookup_reader *r, struct span text) MUST_CHECK;
enum status lookup_read_sqlite(struct lookup_reader *r) MUST_CHECK;

#endif
