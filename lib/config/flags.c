/* Reads the command line: --key VALUE, --key=VALUE, --flag, --no-flag, -X VALUE, -XVALUE and
 * positional arguments; `--` ends the flags. Flags are found by their table row alone. */
#include <string.h>

#include "lib/config/internal.h"
#include "lib/config/names.h"

struct reader {
    struct config *cfg;
    int next; /* index into argv */
    char flag[NAME_SIZE];
    const char *value; /* after "=", or NULL */
    bool negated;
};

static const char *next_value(struct reader *r)
{
    const struct config_source *src = r->cfg->src;
    if (r->next >= src->argc || strncmp(src->argv[r->next], "--", 2) == 0)
        return NULL;
    return src->argv[r->next++];
}

/* One that applies to the command comes before one that does not. */
static struct setting *find_flag(const struct config *cfg, const char *flag)
{
    struct setting *found = NULL;
    for (size_t i = 0; i < cfg->setting_count; i++) {
        char name[NAME_SIZE];
        name_flag(cfg->settings[i].row->key, name);
        if (strcmp(name, flag) == 0 && (found == NULL || cfg->settings[i].active))
            found = &cfg->settings[i];
    }
    return found;
}

static struct setting *find_letter(const struct config *cfg, char letter)
{
    for (size_t i = 0; i < cfg->setting_count; i++)
        if (cfg->settings[i].row->letter == letter)
            return &cfg->settings[i];
    return NULL;
}

static enum status unknown_flag(const struct config *cfg, const char *flag, struct error *err)
{
    struct nearest near = {.wanted = flag};
    char best[NAME_SIZE] = "";
    for (size_t i = 0; i < cfg->setting_count; i++) {
        char name[NAME_SIZE];
        if (!cfg->settings[i].active || cfg->settings[i].row->secret)
            continue;
        name_flag(cfg->settings[i].row->key, name);
        size_t before = near.best == NULL ? SIZE_MAX : near.distance;
        nearest_offer(&near, name);
        if (near.best != NULL && near.distance < before)
            memcpy(best, name, sizeof best);
        near.best = near.best == NULL ? NULL : best;
    }
    if (near.best == NULL)
        return error_set(err, ST_FATAL, ERR_USAGE, "unknown option %s; --help lists all", flag);
    return error_set(err, ST_FATAL, ERR_USAGE, "unknown option %s; did you mean %s?", flag, best);
}

static enum status refuse_secret(const struct setting *set, const char *flag, struct error *err)
{
    char name[NAME_SIZE];
    name_variable(set->row->key, name);
    return error_set(err, ST_FATAL, ERR_USAGE,
                     "%s is a secret and never a flag (others can read the command line): use the "
                     "environment variable %s, or %s_FILE with the path of a file",
                     flag, name, name);
}

static enum status take_flag(struct reader *r, struct setting *set, struct error *err)
{
    if (set->row->secret)
        return refuse_secret(set, r->flag, err);
    if (!set->active)
        return error_set(err, ST_FATAL, ERR_USAGE, "%s does not apply to this command", r->flag);
    bool is_bool = set->row->type == OPTION_BOOL;
    if (r->negated && r->value != NULL)
        return error_set(err, ST_FATAL, ERR_USAGE, "%s takes no value", r->flag);
    if (r->value == NULL)
        r->value = is_bool ? (r->negated ? "false" : "true") : next_value(r);
    if (r->value == NULL)
        return error_set(err, ST_FATAL, ERR_USAGE, "%s needs a value: %s=%s", r->flag, r->flag,
                         set->row->arg == NULL ? "VALUE" : set->row->arg);
    return setting_put(r->cfg, set, RANK_FLAG, config_format(r->cfg, "%s", r->flag),
                       span_of(r->value), err);
}

static enum status read_long(struct reader *r, const char *arg, struct error *err)
{
    const char *equals = strchr(arg, '=');
    size_t n = equals == NULL ? strlen(arg) : (size_t)(equals - arg);
    if (n >= sizeof r->flag)
        return error_set(err, ST_FATAL, ERR_USAGE, "unknown option %.40s...", arg);
    memcpy(r->flag, arg, n);
    r->flag[n] = '\0';
    r->value = equals == NULL ? NULL : equals + 1;
    r->negated = false;
    struct setting *set = find_flag(r->cfg, r->flag);
    if (set == NULL && strncmp(r->flag, "--no-", 5) == 0) {
        char positive[NAME_SIZE] = "--";
        memcpy(positive + 2, r->flag + 5, strlen(r->flag + 5) + 1);
        set = find_flag(r->cfg, positive);
        r->negated = set != NULL && set->row->type == OPTION_BOOL;
        set = r->negated ? set : NULL;
    }
    return set == NULL ? unknown_flag(r->cfg, r->flag, err) : take_flag(r, set, err);
}

static enum status read_letter(struct reader *r, const char *arg, struct error *err)
{
    struct setting *set = find_letter(r->cfg, arg[1]);
    bool is_bool = set != NULL && set->row->type == OPTION_BOOL;
    if (set == NULL || (is_bool && arg[2] != '\0'))
        return error_set(err, ST_FATAL, ERR_USAGE, "unknown option %.40s; --help lists all", arg);
    r->flag[0] = '-';
    r->flag[1] = arg[1];
    r->flag[2] = '\0';
    r->negated = false;
    r->value = arg[2] == '\0' ? NULL : arg + 2 + (arg[2] == '=');
    return take_flag(r, set, err);
}

static enum status take_argument(struct config *cfg, const char *arg, struct error *err)
{
    if (cfg->argument_count == cfg->src->max_arguments)
        return error_set(err, ST_FATAL, ERR_USAGE, "superfluous argument \"%.80s\"", arg);
    cfg->arguments[cfg->argument_count++] = config_copy(cfg, span_of(arg));
    return ST_OK;
}

enum status config_read_flags(struct config *cfg, struct error *err)
{
    struct reader r = {.cfg = cfg};
    bool flags_ended = false;
    while (r.next < cfg->src->argc) {
        const char *arg = cfg->src->argv[r.next++];
        enum status st = ST_OK;
        if (!flags_ended && strcmp(arg, "--") == 0)
            flags_ended = true;
        else if (flags_ended || arg[0] != '-' || arg[1] == '\0')
            st = take_argument(cfg, arg, err);
        else
            st = arg[1] == '-' ? read_long(&r, arg, err) : read_letter(&r, arg, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}
