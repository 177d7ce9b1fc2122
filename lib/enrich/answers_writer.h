/* The one thread of a process that stores answers: all that came in since the last step go into
 * the file together, then they are announced. With a journal, an answer goes there first, and into
 * the file when it is acknowledged.
 * Threads: any thread, but open, set_journal and close. */
#ifndef SLUICE_ENRICH_ANSWERS_WRITER_H
#define SLUICE_ENRICH_ANSWERS_WRITER_H

#include "lib/enrich/answers.h"

struct answers_writer;

typedef void (*answers_announce_fn)(void *arg, const struct question *q, struct kept_answer *kept,
                                    bool keep);

/* `announce` runs on the thread. */
enum status answers_writer_open(const char *path, bool sync_full, answers_announce_fn announce,
                                void *arg, struct answers_writer **ret,
                                struct error *err) MUST_CHECK;
void answers_writer_close(struct answers_writer *w); /* stores what is queued; NULL is accepted */

void answers_writer_set_journal(struct answers_writer *w, const struct answers_journal *journal);

/* Takes the hold. `replaces`: an older verdict is known to be there. */
void answers_writer_put(struct answers_writer *w, const struct question *q,
                        struct kept_answer *kept, bool replaces);
void answers_writer_appended(struct answers_writer *w, void *token);

/* Somebody else's: stored without being announced. Takes the hold. */
void answers_writer_learn(struct answers_writer *w, const struct question *q,
                          struct kept_answer *kept);

/* Returns when everything put or learnt before (journal apart) is in the file, and the note. */
enum status answers_writer_flush(struct answers_writer *w, const char *note,
                                 struct error *err) MUST_CHECK;
char *answers_writer_note(struct answers_writer *w);

void answers_writer_count(struct answers_writer *w, uint64_t *ret_stored, uint64_t *ret_races);
bool answers_writer_broken(struct answers_writer *w, struct error *err);

#endif
