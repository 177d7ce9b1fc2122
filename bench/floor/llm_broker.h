/* Kafka around the bare loop of llm_floor.c, and nothing more than such a loop needs: posts in,
 * posts with their answers out in any order, positions at-least-once (the last post of each
 * partition before which all are delivered). One thread. */
#ifndef SLUICE_BENCH_LLM_BROKER_H
#define SLUICE_BENCH_LLM_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A post that was taken. `text` is the inside of its JSON string, as it was written. */
struct llm_post {
    void *message;
    const char *text;
    size_t text_size;
    uint32_t place; /* in its partition's line */
};

/* Readable when there are posts (_in) or reports of deliveries (_out). */
struct llm_broker_fds {
    int in, out;
};

struct llm_broker_fds llm_broker_open(const char *brokers, const char *in, const char *out);

/* Without waiting; false: none now. */
bool llm_broker_take(struct llm_post *ret);

/* The post with `,"enrichment":ANSWER` before its last brace; the post is given back. */
void llm_broker_put(const struct llm_post *post, const char *answer, size_t size);

/* Reports of deliveries and, when a second has passed, positions. Call it after the fds were
 * readable. */
void llm_broker_turn(int fd);

/* Waits until all is delivered. */
void llm_broker_close(void);

#endif
