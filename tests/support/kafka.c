/* Starts a broker by tests/kafka/kafka.sh when nobody else has. */
#include "tests/support/kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char servers[128];

static const char *start(void)
{
    char command[128], line[256];
    snprintf(command, sizeof command, "tests/kafka/kafka.sh start --with %d", (int)getpid());
    FILE *out = popen(command, "r");
    if (out == NULL)
        return NULL;
    while (fgets(line, sizeof line, out) != NULL)
        sscanf(line, "KAFKA_BOOTSTRAP_SERVERS=%127s", servers);
    int rc = pclose(out);
    return rc == 0 && servers[0] != '\0' ? servers : NULL;
}

const char *kafka_bootstrap(void)
{
    const char *given = getenv("SLUICE_TEST_KAFKA");
    if (given != NULL && given[0] != '\0')
        return given;
    const char *own = servers[0] != '\0' ? servers : start();
    if (own == NULL)
        printf("SKIPPED: no Kafka can be started here (Java 17 and Maven are needed)\n");
    return own;
}
