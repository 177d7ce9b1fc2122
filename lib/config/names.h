/* How a key is spelled in each place: `a.b-c` is the flag --a-b-c and the variable SLUICE_A_B_C;
 * and which known name an unknown one was meant to be. Threads: any thread. */
#ifndef SLUICE_CONFIG_NAMES_H
#define SLUICE_CONFIG_NAMES_H

#include <stdbool.h>
#include <stddef.h>

enum { NAME_SIZE = 128 };

/* "--a-b-c"; longer names are cut to NAME_SIZE - 1 bytes (a test keeps keys short). */
void name_flag(const char *key, char out[NAME_SIZE]);

/* "a-b-c" */
void name_dashed(const char *key, char out[NAME_SIZE]);

/* "SLUICE_A_B_C" */
void name_variable(const char *key, char out[NAME_SIZE]);

/* Looks for the nearest of many names, by the number of letters to change, add, leave out or swap
 * (optimal string alignment). Start with {.wanted = …}, offer all, then read `best`: NULL when no
 * name is near enough to be helpful. Borrows the offered names. */
struct nearest {
    const char *wanted;
    const char *best;
    size_t distance;
};

void nearest_offer(struct nearest *near, const char *name);

#endif
