/* Rows of the options of enhance. */
#include "stages/enhance/options.h"

#define ROW(field, kind) OPTION_AT_##kind(struct enhance_options, field)

static const char *const order_words[] = {"partition", "key", "none", NULL};

static const struct option rows[] = {
    {.key = "group",
     .arg = "NAME",
     .fallback = "sluice-enhance",
     ROW(group, TEXT),
     .filled = true,
     .help = "consumer group of enhance; processes of one group share the partitions"},
    {.key = "workers",
     .arg = "N",
     .fallback = "1",
     ROW(workers, INT),
     .min = 1,
     .max = 256,
     .help = "workers in this process, each a thread and a member of the group"},
    {.key = "order",
     .arg = "ORDER",
     .fallback = "partition",
     ROW(order, WORD),
     .words = order_words,
     .help = "partition: outputs keep the order of their partition; key: of their key, so that a "
             "slow answer holds up only its own key; none: as answers come"},
    {.key = "window",
     .arg = "N",
     .fallback = "4096",
     ROW(window_posts, INT),
     .min = 1,
     .max = 1 << 22,
     .help = "posts of one partition that may be in flight, from poll to commit"},
    {.key = "window-bytes",
     .arg = "SIZE",
     .fallback = "64 MiB",
     ROW(window_bytes, SIZE),
     .min = 1 << 20,
     .max = 1e12,
     .help = "the same in bytes, for all partitions of a worker"},
};

const struct option_table enhance_option_table =
    OPTION_TABLE("Enhance", rows, struct enhance_options);
