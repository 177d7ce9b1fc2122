/* The program's malloc, where it is built with one (CMake: SLUICE_JEMALLOC): the libraries below
 * allocate some sixty blocks for a paid answer, librdkafka's are freed by other threads, and
 * glibc's malloc took an eighth of enhance's CPU for that (docs/BENCH.md). libsluice leaves the
 * choice to whoever embeds it. */
#include "cli/allocator.h"

#ifdef SLUICE_JEMALLOC
#include <jemalloc/jemalloc.h>
#include <string.h>

/* Less than its defaults, at which two dozen mostly idle threads cost 1 MB more: at 1,000 posts/s
 * enhance is to stay below 16. What is free for a second goes back to the kernel. MALLOC_CONF in
 * the environment goes before this (jemalloc(3), "TUNING"). */
__attribute__((visibility("default"))) const char *malloc_conf =
    "narenas:4,tcache_nslots_small_max:64,dirty_decay_ms:1000";

void allocator_print_version(FILE *out)
{
    const char *version = NULL;
    size_t size = sizeof version;
    if (mallctl("version", &version, &size, NULL, 0) == 0)
        fprintf(out, "jemalloc %.*s\n", (int)strcspn(version, "-"), version);
}
#else
void allocator_print_version(FILE *out)
{
    (void)out;
}
#endif
