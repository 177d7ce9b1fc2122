/* The file PATH-members: who is alive, and a bell for those who wait for records.
 *
 *     bytes 0..4095       one 8-byte mark for each group (by hash): its membership has changed
 *     bytes 4096..        one 8-byte mark for each partition of a topic: a commit is visible
 *     byte  2^41 + m      never written: locked by member m as long as its process lives
 *
 * A mark is any new number; marks are hints that save look-ups and never the truth. Writing one
 * wakes the watchers (inotify), and only after the commit, which watching the -wal file would not
 * give. The lock is an open file description lock (fcntl(2), F_OFD_SETLK): the kernel drops it
 * when the process is gone, however that came. Every member opens the file for itself, because
 * such locks do not exclude each other within one description. One thread at a time, but the
 * marks may be written from any thread. */
#ifndef SLUICE_BROKER_SQLITE_BOARD_H
#define SLUICE_BROKER_SQLITE_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

struct board {
    int fd, watch; /* 0: not open; watch -1: inotify is not to be had */
};

/* ST_FATAL with ERR_IO: the file cannot be made. */
enum status board_open(struct board *board, const char *db_path, bool watch,
                       struct error *err) MUST_CHECK;
void board_close(struct board *board); /* a zeroed board is accepted */

/* A new member number whose byte is locked by this board from now on. */
enum status board_join(struct board *board, int64_t *ret_member, struct error *err) MUST_CHECK;

/* Whether some other board holds the member's byte. */
bool board_is_held(const struct board *board, int64_t member);

void board_mark_partition(const struct board *board, int64_t topic_id, int32_t partition);
void board_mark_group(const struct board *board, const char *group, const char *topic);

/* The marks now. */
void board_read(const struct board *board, int64_t topic_id, uint64_t *ret, int32_t count);
uint64_t board_read_group(const struct board *board, const char *group, const char *topic);

/* Take what the watch has reported; whether a process has closed the file among that. */
bool board_drain(const struct board *board);

#endif
