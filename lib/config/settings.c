/* Reads what a program that uses the library sets: "key=value", the keys spelled as in the YAML
 * file or with dashes for dots. Secrets are allowed, since nobody else sees these. */
#include <string.h>

#include "lib/config/internal.h"
#include "lib/config/names.h"

static const char origin[] = "setting of the program";

static bool is_called(const struct setting *set, const char *key)
{
    char dashed[NAME_SIZE];
    name_dashed(set->row->key, dashed);
    return !set->row->flag_only && (strcmp(set->row->key, key) == 0 || strcmp(dashed, key) == 0);
}

static struct setting *find(const struct config *cfg, const char *key)
{
    for (size_t i = 0; i < cfg->setting_count; i++)
        if (is_called(&cfg->settings[i], key))
            return &cfg->settings[i];
    return NULL;
}

/* "llm-key-file=PATH": the secret is in a file. */
static struct setting *find_file_of_secret(const struct config *cfg, const char *key)
{
    static const char suffix[] = "-file";
    char secret[NAME_SIZE];
    size_t n = strlen(key), cut = sizeof suffix - 1;
    if (n <= cut || strcmp(key + n - cut, suffix) != 0)
        return NULL;
    memcpy(secret, key, n - cut);
    secret[n - cut] = '\0';
    struct setting *set = find(cfg, secret);
    return set != NULL && set->row->secret ? set : NULL;
}

static enum status unknown(const struct config *cfg, const char *key, struct error *err)
{
    struct nearest near = {.wanted = key};
    for (size_t i = 0; i < cfg->setting_count; i++)
        if (!cfg->settings[i].row->flag_only)
            nearest_offer(&near, cfg->settings[i].row->key);
    if (near.best == NULL)
        return error_set(err, ST_FATAL, ERR_CONFIG, "%s (%s): no such option", key, origin);
    return error_set(err, ST_FATAL, ERR_CONFIG, "%s (%s): no such option; did you mean %s?", key,
                     origin, near.best);
}

static enum status put(struct config *cfg, const char *text, struct error *err)
{
    char key[NAME_SIZE];
    const char *equals = strchr(text, '=');
    size_t n = equals == NULL ? 0 : (size_t)(equals - text);
    if (n == 0 || n >= sizeof key) /* the text is not shown: it might be a secret */
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "a %s is not KEY=VALUE with a key of docs/CONFIGURATION.md", origin);
    memcpy(key, text, n);
    key[n] = '\0';
    struct setting *set = find(cfg, key);
    if (set != NULL)
        return setting_put(cfg, set, RANK_FLAG, origin, span_of(equals + 1), err);
    set = find_file_of_secret(cfg, key);
    if (set != NULL)
        return setting_put_file(cfg, set, RANK_FLAG, origin, equals + 1, err);
    return unknown(cfg, key, err);
}

enum status config_read_settings(struct config *cfg, struct error *err)
{
    enum status st = ST_OK;
    for (const char *const *s = cfg->src->settings; s != NULL && *s != NULL && st == ST_OK; s++)
        st = put(cfg, *s, err);
    return st;
}
