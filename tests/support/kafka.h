/* A real Kafka for tests. One thread. */
#ifndef SLUICE_TESTS_KAFKA_H
#define SLUICE_TESTS_KAFKA_H

/* Bootstrap servers: those of SLUICE_TEST_KAFKA, or of a broker that is started for this program
 * and ends with it. NULL, after a line that says why, when none can be had (no Java, no Maven). */
const char *kafka_bootstrap(void);

#endif
