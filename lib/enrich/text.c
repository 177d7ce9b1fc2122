/* Files are read whole, up to 1 MiB: prompts and schemas. */
#include "lib/enrich/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"

enum { TEXT_MAX = 1 << 20, CHUNK = 16 << 10 };

enum status text_read_file(const char *path, const char *name, char **ret, struct error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(err, ST_FATAL, ERR_CONFIG, "%s: %s: %s", name, path, strerror(errno));
    struct buf b = {.max = TEXT_MAX + 1};
    size_t n = 0;
    char *at;
    while ((at = buf_reserve(&b, CHUNK)) != NULL && (n = fread(at, 1, CHUNK, file)) > 0)
        b.n += n;
    bool broken = ferror(file) != 0;
    fclose(file);
    enum status st = ST_OK;
    if (broken)
        st = error_set(err, ST_FATAL, ERR_CONFIG, "%s: %s cannot be read", name, path);
    else if (at == NULL)
        st = error_set(err, ST_FATAL, ERR_CONFIG, "%s: %s is larger than 1 MiB", name, path);
    else
        *ret = mem_spandup(buf_span(&b));
    buf_fini(&b);
    return st;
}

enum status text_read(const char *value, const char *name, char **ret, struct error *err)
{
    if (value[0] == '@')
        return text_read_file(value + 1, name, ret, err);
    *ret = mem_strdup(value);
    return ST_OK;
}
