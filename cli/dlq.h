/* What the parts of `sluice dlq` share: its flags, and the functions behind its words. Main
 * thread. */
#ifndef SLUICE_CLI_DLQ_H
#define SLUICE_CLI_DLQ_H

#include "cli/command.h"

struct dlq_flags {
    const char *reason, *stage;
    int64_t limit;
    double rate;
    bool json, values, dry_run;
};

struct dlq {
    struct app *app;
    const struct dlq_flags *own;
    struct broker *broker;
    const char *place;  /* show: TOPIC/PARTITION/OFFSET, or NULL */
    enum reason reason; /* REASON_NONE: all */
};

/* dlq_show.c: look, change nothing. */
enum status dlq_list(struct dlq *d, struct error *err) MUST_CHECK;
enum status dlq_show(struct dlq *d, struct error *err) MUST_CHECK;
enum status dlq_export(struct dlq *d, struct error *err) MUST_CHECK;

/* dlq.c */
enum status dlq_redrive(struct dlq *d, struct error *err) MUST_CHECK;

#endif
