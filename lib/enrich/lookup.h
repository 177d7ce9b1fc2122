/* The lookup enricher: answers from a table of the user's (see lookup_table.h), at once and unpaid.
 *
 * The file is looked at about once a second; when it has changed it is read on a thread of its own
 * and takes the old table's place between two asks. What cannot be read leaves the old one. The
 * slots of struct enricher_ops but for the options. Loop thread only. */
#ifndef SLUICE_ENRICH_LOOKUP_H
#define SLUICE_ENRICH_LOOKUP_H

#include "lib/base/runner.h"
#include "lib/enrich/enrich.h"
#include "lib/enrich/lookup_table.h"
#include "lib/enrich/options.h"

struct template;

struct lookup_counts {
    int64_t found, missing;
    int64_t loads;        /* the first one as well */
    int64_t failed_loads; /* a file that stays broken counts once */
};

/* Private; here so that its size is known. */
struct lookup {
    struct lookup_options opt;
    struct lookup_source src;
    struct template *match;
    bool refuses; /* a post without a row becomes a dead letter */
    struct lookup_table *table;
    struct buf key;
    char *name;
    struct lookup_counts counts;
    void (*on_failed)(void *arg, const struct error *err);
    void *on_failed_arg;

    struct loop *loop;
    struct loop_timer *timer;
    struct lookup_stamp tried; /* of the file as it was read last, with success or not */
    struct runner *runner;     /* from the first change on */
    struct job load, free_old;
    bool loading;
    enum status load_status;
    struct lookup_table *loaded, *old;
    struct error load_error;
};

/* ERR_CONFIG with file and line. opt's texts are borrowed until close. */
enum status lookup_open(void *ctx, const struct lookup_options *opt, struct loop *loop,
                        struct error *err) MUST_CHECK;
void lookup_close(void *ctx);

/* ST_OK, or ST_REJECT with enricher_failed for a post without a row under "dead-letter". */
enum status lookup_submit(void *ctx, struct ask *ask) MUST_CHECK;
void lookup_cancel(void *ctx, struct ask *ask);
bool lookup_is_paid(const void *ctx);
const char *lookup_name(const void *ctx);

/* fn is called once for each state of the file that could not be read. */
void lookup_on_failed(void *ctx, void (*fn)(void *arg, const struct error *err), void *arg);
struct lookup_counts lookup_counts(const void *ctx);

#endif
