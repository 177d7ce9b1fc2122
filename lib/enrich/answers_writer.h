/* The one thread of a process that stores answers: all that came in since the last step go into
 * the file together, then they are announced. With a journal, an answer goes there first, and into
 * the file when it is acknowledged.
 * Threads: any thread, but open, set_journal and close. */
#ifndef SLUICE_ENRICH_ANSWERS_WRITER_H
#define SLUICE_ENRICH_ANSWERS_WRITER_H

#include "lib/enrich/answers.h"

struct answers_writer;

/* OURS: an answer that is there already stays, and is what is reported: a race of two processes
 * that share the file. REPLACES: ours, and the older one is known. From a journal, where the last
 * one counts: LEARNT, somebody else's; READ_BACK, our own: an answer that is there already was a
 * race; READ_BACK_REPLACES: and the older one was known. DELETES: no answer. */
enum put {
    PUT_OURS,
    PUT_REPLACES,
    PUT_LEARNT,
    PUT_READ_BACK,
    PUT_READ_BACK_REPLACES,
    PUT_DELETES,
};

/* On the thread; the file has it. */
typedef void (*answers_stored_fn)(void *arg, const struct question *q, struct kept_answer *kept,
                                  enum put put);

enum status answers_writer_open(const char *path, bool sync_full, answers_stored_fn stored,
                                void *arg, struct answers_writer **ret,
                                struct error *err) MUST_CHECK;
void answers_writer_close(struct answers_writer *w); /* stores what is queued; NULL is accepted */

/* Takes the hold (NULL with PUT_DELETES). */
void answers_writer_put(struct answers_writer *w, const struct question *q,
                        struct kept_answer *kept, enum put put);

/* Returns when everything put before is in the file, and the note. */
enum status answers_writer_flush(struct answers_writer *w, const char *note,
                                 struct error *err) MUST_CHECK;
char *answers_writer_note(struct answers_writer *w);

/* Of OURS and REPLACES. */
void answers_writer_count(struct answers_writer *w, uint64_t *ret_stored, uint64_t *ret_races);
bool answers_writer_broken(struct answers_writer *w, struct error *err);

#endif
