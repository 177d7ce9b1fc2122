/* Answers in a file, a JSON object a line, for runs without key or network:
 *
 *     {"question":"<64 hex digits>","answer":{...as answer_write...}}
 *
 * Threads: a recorder may be used by any thread; load before there are others. */
#ifndef SLUICE_ENRICH_CASSETTE_H
#define SLUICE_ENRICH_CASSETTE_H

#include "lib/enrich/answers.h"

struct recorder;

/* Truncates the file. ERR_IO. */
enum status recorder_open(const char *path, struct recorder **ret, struct error *err) MUST_CHECK;

/* Flushes; ST_FATAL when anything could not be written. NULL is accepted. */
enum status recorder_close(struct recorder *r, struct error *err) MUST_CHECK;
void recorder_add(struct recorder *r, const struct question *q, const struct answer *answer,
                  const char *model);

/* Teach the answers of a cassette to a store. Errors name file and line. */
enum status cassette_load(const char *path, struct answers *into, struct error *err) MUST_CHECK;

#endif
