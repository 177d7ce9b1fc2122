/* A name for this process that is the same after a restart: transactional ids and leases rest on
 * it, because only a successor of the same name can end a dead process's open transaction at once.
 * Threads: main thread. */
#ifndef SLUICE_STAGE_INSTANCE_H
#define SLUICE_STAGE_INSTANCE_H

#include "lib/base/error.h"
#include "lib/stage/options.h"

struct instance {
    char *name;
    int lock_fd; /* keeps the name ours until the process ends; -1 when it was given */
};

/* opt->instance, or host name + "-" + the lowest number whose lock file
 * STATE_DIR/instances/STAGE-HOST-N.lock can be taken. ERR_IO names the folder and the cure. */
enum status instance_open(struct instance *in, const char *stage, const struct stage_options *opt,
                          struct error *err) MUST_CHECK;
void instance_close(struct instance *in);

/* opt->state_dir, $XDG_STATE_HOME/sluice, ~/.local/state/sluice, or /var/lib/sluice for root.
 * Caller owns it. */
char *state_dir_path(const struct stage_options *opt);

/* The folder `name` in it, made with all its parents when missing. ERR_IO. Caller owns *ret. */
enum status state_dir_make(const struct stage_options *opt, const char *name, char **ret,
                           struct error *err) MUST_CHECK;

#endif
