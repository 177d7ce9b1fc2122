/* Tells the service manager how far the process is: one datagram to the socket that NOTIFY_SOCKET
 * names, as sd_notify(3) describes. Without that variable nothing happens, and a manager that does
 * not listen is no reason to fail. Threads: any, but nobody may change the environment meanwhile.
 */
#ifndef SLUICE_STAGE_NOTIFY_H
#define SLUICE_STAGE_NOTIFY_H

#include <stdbool.h>

/* state: "READY=1" or "STOPPING=1". Returns whether it was sent. */
bool notify_manager(const char *state);

#endif
