/* Which malloc the program has. Any thread. */
#ifndef SLUICE_CLI_ALLOCATOR_H
#define SLUICE_CLI_ALLOCATOR_H

#include <stdio.h>

/* "jemalloc 5.3.0"; nothing for the C library's. */
void allocator_print_version(FILE *out);

#endif
