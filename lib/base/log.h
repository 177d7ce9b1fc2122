/* Log lines on stderr: text on a terminal, one JSON object a line elsewhere. Whole lines only,
 * one write each. Any thread. Only lib/stage, stages/ and cli/ log above debug: the libraries
 * below report through struct error. */
#ifndef SLUICE_BASE_LOG_H
#define SLUICE_BASE_LOG_H

#include <stdbool.h>

#include "lib/base/status.h"

enum log_level { LOG_OFF = -1, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };
enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON };

/* Before threads start. The default is LOG_INFO, LOG_AUTO; LOG_OFF: not a line. */
void log_setup(enum log_level level, enum log_format format);

bool log_enabled(enum log_level level);

/* `part` is the part of the program that speaks ("enhance", "kafka", …). No secrets in. */
void log_line(enum log_level level, const char *part, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
