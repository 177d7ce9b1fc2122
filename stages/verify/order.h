/* I3: whether outputs come in the order of their raw records, as --order promises it. One thread.
 *
 * Order partition costs 8 bytes for each pair of an input and an output partition, order key 16 to
 * 32 for each key. */
#ifndef SLUICE_VERIFY_ORDER_H
#define SLUICE_VERIFY_ORDER_H

#include <stdbool.h>

#include "lib/broker/broker.h"

enum { ORDER_TOPICS = 2 }; /* outputs, dead letters */

struct order_check;

/* promise: enum order of stages/enhance/window.h. outputs: partitions of each output topic. */
struct order_check *order_new(int promise, int32_t inputs, const int32_t outputs[ORDER_TOPICS]);
void order_free(struct order_check *o); /* NULL is accepted */

/* The output of a raw record comes next in its partition. False: it comes too late; *ret_before is
 * the offset of the raw record that came before it and should not have. */
bool order_next(struct order_check *o, int topic, const struct record *output, int32_t input,
                int64_t offset, int64_t *ret_before);

#endif
