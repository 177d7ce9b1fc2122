/* Time. Any thread. */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stdint.h>

/* Since an unknown start; never goes back; stands still while the machine sleeps. */
int64_t clock_mono_ns(void);
int64_t clock_mono_ms(void);

/* Like clock_mono_ms, and goes on while the machine sleeps (CLOCK_BOOTTIME): for leases and
 * time-outs that another machine or process counts as well. */
int64_t clock_boot_ms(void);

/* Since 1970, UTC: may jump. */
int64_t clock_wall_us(void);
int64_t clock_wall_ms(void);

/* CPU time of the whole process so far, user and system. */
int64_t clock_cpu_us(void);

#endif
