/* libcurl's memory (curl_global_init_mem(3)). A call takes some forty small blocks (37 were
 * counted) and gives them back when it ends; with hundreds in flight that is more than malloc keeps
 * at hand for a thread. So free blocks are kept by size, for each thread, until its transport
 * closes. Worth 4 % of a call's CPU (docs/BENCH.md). Sanitizers see libcurl's blocks as they are:
 * there it is plain malloc. */
#ifndef SLUICE_ENRICH_CURL_MEMORY_H
#define SLUICE_ENRICH_CURL_MEMORY_H

/* Bytes of the largest block that is kept. */
enum { CURL_MEMORY_KEPT = 4096 };

/* Before libcurl is used. Whoever is first in the process decides: a librdkafka that was built with
 * libcurl may be, and then it stays plain malloc. Any thread. */
void curl_memory_set_up(void);

/* Frees what this thread keeps. What is in use is not touched. */
void curl_memory_drop(void);

#endif
