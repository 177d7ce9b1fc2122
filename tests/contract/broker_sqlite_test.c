/* The broker contract on the embedded broker: a new file for each sentence. */
#include <dirent.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/contract/broker_contract.h"

static char dir[64], url[128];

static void setup(struct broker_options *opt)
{
    snprintf(dir, sizeof dir, "/tmp/sluice-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(url, sizeof url, "sqlite:%s/broker.db", dir);
    opt->url = url;
}

static void teardown(void)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d != NULL && (entry = readdir(d)) != NULL)
        unlinkat(dirfd(d), entry->d_name, 0);
    if (d != NULL)
        closedir(d);
    rmdir(dir);
}

/* By hand, as a user of the sqlite3 shell would. */
static void trim(struct broker *broker, const struct broker_options *opt, const char *topic,
                 int32_t partition, int64_t offset)
{
    (void)broker;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(opt->url + strlen("sqlite:"), &db), SQLITE_OK);
    char *sql = sqlite3_mprintf(
        "DELETE FROM \"%w/%d\" WHERE offset < %lld;"
        "UPDATE partitions SET start = %lld WHERE topic = %Q AND partition = %d",
        topic, (int)partition, (long long)offset, (long long)offset, topic, (int)partition);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_free(sql);
    sqlite3_close(db);
}

int main(void)
{
    const struct contract_fixture sqlite = {
        .name = "sqlite", .setup = setup, .teardown = teardown, .trim = trim};
    return broker_contract_run(&sqlite);
}
