/* Names that outlive a process: see instance.h. flock(2) locks vanish with their holder. */
#include "lib/stage/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"

enum { INSTANCES_MAX = 1000 };

char *state_dir_path(const struct stage_options *opt)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (opt->state_dir != NULL)
        return mem_strdup(opt->state_dir);
    if (xdg != NULL && xdg[0] == '/')
        return mem_printf("%s/sluice", xdg);
    if (geteuid() == 0 || home == NULL)
        return mem_strdup("/var/lib/sluice");
    return mem_printf("%s/.local/state/sluice", home);
}

static enum status make_folders(char *path, struct error *err)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        int rc = mkdir(path, 0700);
        if (rc != 0 && errno != EEXIST)
            return error_set(
                err, ST_FATAL, ERR_IO,
                "state folder %s: %s; give another with --state-dir, or name this process "
                "with --instance",
                path, strerror(errno));
        if (slash == NULL)
            return ST_OK;
        *slash = '/';
    }
}

enum status state_dir_make(const struct stage_options *opt, const char *name, char **ret,
                           struct error *err)
{
    char *state = state_dir_path(opt);
    char *folder = mem_printf("%s/%s", state, name);
    enum status st = make_folders(folder, err);
    if (st == ST_OK)
        *ret = folder;
    else
        mem_free(folder);
    mem_free(state);
    return st;
}

static enum status take_lowest(struct instance *in, const char *folder, const char *stage,
                               const char *host, struct error *err)
{
    for (int n = 0; n < INSTANCES_MAX; n++) {
        char *path = mem_printf("%s/%s-%s-%d.lock", folder, stage, host, n);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            error_set(err, ST_FATAL, ERR_IO, "%s: %s; give another folder with --state-dir", path,
                      strerror(errno));
        mem_free(path);
        if (fd < 0)
            return ST_FATAL;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            in->lock_fd = fd;
            in->name = mem_printf("%s-%d", host, n);
            return ST_OK;
        }
        close(fd);
    }
    return error_set(err, ST_FATAL, ERR_TEMPORARY, "%d instances run on this host already",
                     INSTANCES_MAX);
}

enum status instance_open(struct instance *in, const char *stage, const struct stage_options *opt,
                          struct error *err)
{
    *in = (struct instance){.lock_fd = -1};
    if (opt->instance != NULL) {
        in->name = mem_strdup(opt->instance);
        return ST_OK;
    }
    char host[256] = "localhost";
    gethostname(host, sizeof host - 1);
    char *folder = NULL;
    enum status st = state_dir_make(opt, "instances", &folder, err);
    if (st == ST_OK)
        st = take_lowest(in, folder, stage, host, err);
    mem_free(folder);
    return st;
}

void instance_close(struct instance *in)
{
    if (in->lock_fd >= 0)
        close(in->lock_fd);
    mem_free(in->name);
    *in = (struct instance){.lock_fd = -1};
}
