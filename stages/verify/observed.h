/* I4: what a reader saw while the pipeline ran, as the lines that `sluice tap --json` printed,
 * compared with what is in the topics now. 24 bytes a line. One thread. */
#ifndef SLUICE_VERIFY_OBSERVED_H
#define SLUICE_VERIFY_OBSERVED_H

#include "lib/stage/sweep.h"
#include "stages/verify/verdict.h"

enum { OBSERVED_TOPICS = 2 };

struct observed;

/* Reads the file; lines of other topics are left out. ERR_IO, ERR_CONFIG: not such a log; a last
 * line that was cut off is accepted. */
enum status observed_open(const char *path, const char *const topics[OBSERVED_TOPICS],
                          struct observed **ret, struct error *err) MUST_CHECK;
void observed_free(struct observed *o); /* NULL is accepted */

/* The records of a topic as they are now, partition after partition in offset order, between begin
 * and end; `now` are its bounds. */
void observed_begin(struct observed *o, int topic, const struct sweep *now);
void observed_record(struct observed *o, int topic, const struct record *rec, struct verdict *v);
void observed_end(struct observed *o, int topic, struct verdict *v);

/* Then: whether anything that was seen is gone; each record of an aborted transaction; the
 * verdict on what is gone. */
bool observed_misses(const struct observed *o);
void observed_aborted(struct observed *o, int topic, const struct record *rec, struct verdict *v);
void observed_judge(struct observed *o, struct verdict *v);

#endif
