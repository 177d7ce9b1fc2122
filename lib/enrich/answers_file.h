/* The file of answers: one SQLite table by question, in WAL mode, written by one thread of each
 * process in batches and read by any number of connections. The budget's blocks stand in it too.
 *
 *     answers(question BLOB UNIQUE, reason TEXT, answer TEXT, tokens_in, tokens_out, cost_nano,
 *             attempts, at_ms)
 *     notes(name TEXT PRIMARY KEY, text TEXT)     where a tail of the topic stands
 *     spent(period TEXT PRIMARY KEY, nano)        see budget.h
 *
 * Questions are hashes, so whatever is kept in their order lands on a page of its own. Therefore
 * answers are appended, and only the small index changes anywhere: 70 % of the CPU of a table in
 * the order of questions with answers of 120 bytes, 40 % with 600 (docs/BENCH.md). That was format
 * 1, which is written anew when it is opened.
 *
 * Threads: a connection belongs to one thread at a time. */
#ifndef SLUICE_ENRICH_ANSWERS_FILE_H
#define SLUICE_ENRICH_ANSWERS_FILE_H

#include "lib/enrich/answer.h"

struct answers_file;

/* Makes the file when it is missing; one of format 1 is written anew, once. Errors: ERR_CONFIG
 * (foreign or newer file), ERR_IO. */
enum status answers_file_open(const char *path, bool sync_full, struct answers_file **ret,
                              struct error *err) MUST_CHECK;
void answers_file_close(struct answers_file *f);

/* For a connection that writes a lot: up to 16 MiB of pages stay in memory. */
enum status answers_file_make_room(struct answers_file *f, struct error *err) MUST_CHECK;

/* ST_OK: the answer, whose one holder is the caller. ST_AGAIN: none. */
enum status answers_file_get(struct answers_file *f, const struct question *q,
                             struct kept_answer **ret, struct error *err) MUST_CHECK;

/* Calls fn with every question, and before the first with how many there are. */
enum status answers_file_each(struct answers_file *f, void (*count)(void *arg, int64_t n),
                              void (*fn)(void *arg, const struct question *q), void *arg,
                              struct error *err) MUST_CHECK;

/* Several puts and a note between begin and commit are one step. *ret_known: an answer was there
 * already; it stays unless `replace`. */
enum status answers_file_begin(struct answers_file *f, struct error *err) MUST_CHECK;
enum status answers_file_put(struct answers_file *f, const struct question *q,
                             const struct answer *answer, bool replace, bool *ret_known,
                             struct error *err) MUST_CHECK;
enum status answers_file_delete(struct answers_file *f, const struct question *q,
                                struct error *err) MUST_CHECK;
enum status answers_file_note(struct answers_file *f, const char *name, const char *text,
                              struct error *err) MUST_CHECK;
enum status answers_file_commit(struct answers_file *f, struct error *err) MUST_CHECK;
void answers_file_abort(struct answers_file *f);

/* The text, or NULL; caller owns it. */
char *answers_file_read_note(struct answers_file *f, const char *name);

/* Add to what is spent in a period, unless that would go above cap_nano (then ST_AGAIN and nothing
 * changes). `delta` may be negative. *ret_spent: the sum afterwards, or as it is. One step. */
enum status answers_file_spend(struct answers_file *f, const char *period, int64_t delta,
                               int64_t cap_nano, int64_t *ret_spent, struct error *err) MUST_CHECK;

#endif
