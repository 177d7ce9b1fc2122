/* Option tables: one row per option, beside the code that owns the field.
 *
 * A row's key `a.b-c` is the flag `--a-b-c`, the environment variable SLUICE_A_B_C and the YAML
 * path a: {b-c: …}. The same rows make --help, docs/CONFIGURATION.md, the man page and the
 * completions. Threads: tables are constant. */
#ifndef SLUICE_CONFIG_OPTION_H
#define SLUICE_CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the field in the owner's struct is, and how the value is written. */
enum option_type {
    OPTION_BOOL,     /* bool        true|false|yes|no|on|off; as a flag also bare, and --no-… */
    OPTION_INT,      /* int64_t     within min..max */
    OPTION_REAL,     /* double      within min..max */
    OPTION_SIZE,     /* int64_t     bytes: "64 MiB", "1 GB", "4096" */
    OPTION_DURATION, /* int64_t     milliseconds: "10 ms", "5 s", "2 h", "7 d", "0" */
    OPTION_TEXT,     /* const char * NULL when there is no default */
    OPTION_WORD,     /* int         index into `words` */
    OPTION_LIST,     /* struct option_list: may be given many times; YAML: a list */
};

struct option_list {
    const char **items;
    size_t n;
};

struct option {
    const char *key;
    const char *arg;      /* what stands for the value in help: "PATH", "N", …; NULL for a bool */
    const char *fallback; /* the default as a user would type it; NULL: none */
    const char *help;     /* one sentence, no full stop */
    const char *env;      /* a second environment variable that is honoured, or NULL */
    const char *const *words; /* OPTION_WORD: ends with NULL */
    double min, max; /* OPTION_INT, OPTION_REAL, OPTION_SIZE, OPTION_DURATION; both 0: any */
    size_t offset;   /* of the field in the owner's struct */
    enum option_type type;
    char letter;    /* a one-letter flag such as 'X', or 0 */
    bool secret;    /* never a flag: environment, or a file named by …_FILE; never shown */
    bool flag_only; /* of one command: neither environment nor file can set it */
    bool filled;    /* OPTION_TEXT: an empty one is refused */
};

struct option_table {
    const char *title; /* heading in help and docs: "Broker" */
    const struct option *rows;
    size_t n;
    size_t size; /* of the owner's struct; its fields point into memory of the config */
};

/* Offset of a field, refused at compile time when the field is not of the type. */
#define OPTION_AT(owner, field, type)                                                              \
    (offsetof(owner, field) + 0 * sizeof(&((owner *)0)->field == (type *)0))

#define OPTION_AT_BOOL(owner, field) .type = OPTION_BOOL, .offset = OPTION_AT(owner, field, bool)
#define OPTION_AT_INT(owner, field)  .type = OPTION_INT, .offset = OPTION_AT(owner, field, int64_t)
#define OPTION_AT_REAL(owner, field) .type = OPTION_REAL, .offset = OPTION_AT(owner, field, double)
#define OPTION_AT_SIZE(owner, field) .type = OPTION_SIZE, .offset = OPTION_AT(owner, field, int64_t)
#define OPTION_AT_DURATION(owner, field)                                                           \
    .type = OPTION_DURATION, .offset = OPTION_AT(owner, field, int64_t)
#define OPTION_AT_TEXT(owner, field)                                                               \
    .type = OPTION_TEXT, .offset = OPTION_AT(owner, field, const char *)
#define OPTION_AT_WORD(owner, field) .type = OPTION_WORD, .offset = OPTION_AT(owner, field, int)
#define OPTION_AT_LIST(owner, field)                                                               \
    .type = OPTION_LIST, .offset = OPTION_AT(owner, field, struct option_list)

#define OPTION_TABLE(title_, rows_, owner)                                                         \
    {                                                                                              \
        .title = (title_), .rows = (rows_), .n = sizeof(rows_) / sizeof *(rows_),                  \
        .size = sizeof(owner)                                                                      \
    }

#endif
