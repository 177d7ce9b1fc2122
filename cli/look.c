/* See look.h. Other trouble with the path (no right to see it, …) is left to broker_open. */
#include "cli/look.h"

#include <errno.h>
#include <unistd.h>

const char *look_missing_file(const struct broker_options *opt)
{
    const char *path = broker_file(opt);
    if (path == NULL || *path == '\0' || access(path, F_OK) == 0)
        return NULL;
    return errno == ENOENT || errno == ENOTDIR ? path : NULL;
}

enum status look_open(const struct broker_options *opt, struct broker **ret, struct error *err)
{
    const char *path = look_missing_file(opt);
    if (path != NULL)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "broker 'sqlite:%s': there is no such file; name the right one with "
                         "--broker sqlite:PATH, or make it: sluice topics make",
                         path);
    return broker_open(opt, ret, err);
}
