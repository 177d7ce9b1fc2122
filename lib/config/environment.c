/* Reads the environment: SLUICE_A_B_C for the key a.b-c, NAME_FILE for secrets, and the second
 * name a row may have (below the first). An empty variable counts as not set, as Compose files and
 * shells pass them on. An unknown SLUICE_ name is an error, because it is a typing mistake; what
 * Kubernetes adds for a service called "sluice" (SLUICE_SERVICE_HOST, SLUICE_PORT_80_TCP, …; see
 * "Service environment variables" in its documentation) is not. */
#include <ctype.h>
#include <string.h>

#include "lib/config/internal.h"
#include "lib/config/names.h"

static const char prefix[] = "SLUICE_";

/* The value of a variable that is set and not empty, else NULL. */
static const char *look_up(const struct config *cfg, const char *name)
{
    size_t n = strlen(name);
    for (char **e = cfg->src->env; e != NULL && *e != NULL; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=' && (*e)[n + 1] != '\0')
            return *e + n + 1;
    return NULL;
}

/* A list is written with semicolons or line breaks between its items: commas are common inside
 * values ("debug=cgrp,topic"). */
static enum status put_list(struct config *cfg, struct setting *set, enum rank rank,
                            const char *origin, const char *text, struct error *err)
{
    while (*text != '\0') {
        size_t n = strcspn(text, ";\n");
        enum status st =
            n == 0 ? ST_OK : setting_put(cfg, set, rank, origin, span_make(text, n), err);
        if (st != ST_OK)
            return st;
        text += n + (text[n] != '\0');
    }
    return ST_OK;
}

static enum status put_variable(struct config *cfg, struct setting *set, enum rank rank,
                                const char *name, struct error *err)
{
    const char *value = look_up(cfg, name);
    const char *path = NULL;
    char file_name[NAME_SIZE + 8] = "";
    if (set->row->secret) {
        snprintf(file_name, sizeof file_name, "%s_FILE", name);
        path = look_up(cfg, file_name);
    }
    if (value != NULL && path != NULL)
        return error_set(err, ST_FATAL, ERR_CONFIG, "%s: both %s and %s are set; keep one",
                         set->row->key, name, file_name);
    if (path != NULL)
        return setting_put_file(cfg, set, rank, config_format(cfg, "environment %s", file_name),
                                path, err);
    if (value == NULL)
        return ST_OK;
    const char *origin = config_format(cfg, "environment %s", name);
    if (set->row->type == OPTION_LIST)
        return put_list(cfg, set, rank, origin, value, err);
    return setting_put(cfg, set, rank, origin, span_of(value), err);
}

static bool has_prefix(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_known(const struct config *cfg, const char *variable)
{
    for (size_t i = 0; i < cfg->setting_count; i++) {
        char name[NAME_SIZE];
        if (cfg->settings[i].row->flag_only)
            continue;
        name_variable(cfg->settings[i].row->key, name);
        size_t n = strlen(name);
        if (strncmp(variable, name, n) != 0)
            continue;
        if (variable[n] == '=' ||
            (cfg->settings[i].row->secret && has_prefix(variable + n, "_FILE=")))
            return true;
    }
    return false;
}

/* Kubernetes: X_SERVICE_HOST, X_SERVICE_PORT, X_SERVICE_PORT_NAME, X_PORT=tcp://…,
 * X_PORT_80_TCP, X_PORT_80_TCP_ADDR, …. */
static bool is_of_kubernetes(const char *variable, const char *value)
{
    const char *service = strstr(variable, "_SERVICE_");
    if (service != NULL && service < value &&
        (has_prefix(service, "_SERVICE_HOST") || has_prefix(service, "_SERVICE_PORT")))
        return true;
    const char *port = strstr(variable, "_PORT");
    if (port == NULL || port > value)
        return false;
    if (port[5] == '_')
        return isdigit((unsigned char)port[6]);
    return port[5] == '=' && (has_prefix(value, "tcp://") || has_prefix(value, "udp://") ||
                              has_prefix(value, "sctp://"));
}

static enum status unknown_variable(const struct config *cfg, const char *name, struct error *err)
{
    /* Compared without the prefix, which all share and which would make any two names near. */
    size_t skip = sizeof prefix - 1;
    struct nearest near = {.wanted = name + skip};
    char best[NAME_SIZE] = "";
    for (size_t i = 0; i < cfg->setting_count; i++) {
        char known[NAME_SIZE];
        name_variable(cfg->settings[i].row->key, known);
        size_t before = near.best == NULL ? SIZE_MAX : near.distance;
        nearest_offer(&near, known + skip);
        if (near.best != NULL && near.distance < before)
            memcpy(best, known, sizeof best);
    }
    if (near.best == NULL)
        return error_set(err, ST_FATAL, ERR_CONFIG, "environment %s: no such option", name);
    return error_set(err, ST_FATAL, ERR_CONFIG, "environment %s: no such option; did you mean %s?",
                     name, best);
}

static enum status refuse_unknown(const struct config *cfg, struct error *err)
{
    for (char **e = cfg->src->env; e != NULL && *e != NULL; e++) {
        const char *equals = strchr(*e, '=');
        if (equals == NULL || !has_prefix(*e, prefix) || is_known(cfg, *e))
            continue;
        if (has_prefix(*e, "SLUICE_FAULT=") || has_prefix(*e, "SLUICE_TEST_") ||
            is_of_kubernetes(*e, equals + 1))
            continue;
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "%.*s", (int)(equals - *e), *e);
        return unknown_variable(cfg, name, err);
    }
    return ST_OK;
}

enum status config_read_environment(struct config *cfg, struct error *err)
{
    for (size_t i = 0; i < cfg->setting_count; i++) {
        struct setting *set = &cfg->settings[i];
        char name[NAME_SIZE];
        if (set->row->flag_only)
            continue;
        name_variable(set->row->key, name);
        enum status st = put_variable(cfg, set, RANK_VARIABLE, name, err);
        if (st == ST_OK && set->row->env != NULL)
            st = put_variable(cfg, set, RANK_OTHER_VARIABLE, set->row->env, err);
        if (st != ST_OK)
            return st;
    }
    return refuse_unknown(cfg, err);
}
