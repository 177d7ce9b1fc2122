/* Entries by partition and offset: see ledger.h. */
#include "stages/verify/ledger.h"

#include "lib/base/mem.h"

static enum status read_positions(struct ledger *l, const struct position *pos, const char *group,
                                  const char *topic, struct error *err)
{
    for (int32_t p = 0; p < l->count; p++) {
        l->parts[p].position = pos[p].offset;
        enum status st = ranges_read(&l->parts[p].done, pos[p].offset, pos[p].metadata, err);
        if (st != ST_OK) {
            error_prefix(err, "group '%s' at %s/%d", group, topic, (int)p);
            return ST_FATAL;
        }
    }
    return ST_OK;
}

enum status ledger_open(struct ledger *l, struct broker *broker, const char *group,
                        const char *topic, struct error *err)
{
    *l = (struct ledger){0};
    enum status st = broker_partitions(broker, topic, &l->count, err);
    if (st == ST_OK && l->count == 0)
        st = error_set(err, ST_FATAL, ERR_CONFIG, "topic '%s' does not exist on %s", topic,
                       broker_name(broker));
    if (st != ST_OK)
        return st;
    l->parts = mem_array((size_t)l->count, sizeof *l->parts);
    struct position *pos = mem_array((size_t)l->count, sizeof *pos);
    st = broker_positions(broker, group, topic, pos, l->count, err);
    if (st == ST_OK) {
        st = read_positions(l, pos, group, topic, err);
        positions_fini(pos, l->count);
    }
    mem_free(pos);
    return st;
}

static void mark_done(struct ledger_part *part, int64_t first, int64_t end)
{
    if (first < part->start)
        first = part->start;
    if (end > part->end)
        end = part->end;
    for (int64_t o = first; o < end; o++)
        part->entries[o - part->start] |= ENTRY_DONE;
}

void ledger_size(struct ledger *l, const struct sweep *raw)
{
    for (int32_t p = 0; p < l->count && p < raw->count; p++) {
        struct ledger_part *part = &l->parts[p];
        part->start = raw->log[p].start;
        part->end = raw->log[p].end;
        part->entries = mem_array((size_t)(part->end - part->start), sizeof *part->entries);
        mark_done(part, part->start, part->position);
        for (size_t i = 0; i < part->done.n; i++)
            mark_done(part, part->done.items[i].first, part->done.items[i].last + 1);
    }
}

void ledger_close(struct ledger *l)
{
    for (int32_t p = 0; p < l->count && l->parts != NULL; p++) {
        ranges_fini(&l->parts[p].done);
        mem_free(l->parts[p].entries);
    }
    mem_free(l->parts);
    *l = (struct ledger){0};
}

uint64_t *ledger_find(const struct ledger *l, int32_t partition, int64_t offset)
{
    if (partition < 0 || partition >= l->count)
        return NULL;
    const struct ledger_part *part = &l->parts[partition];
    if (part->entries == NULL || offset < part->start || offset >= part->end)
        return NULL;
    return &part->entries[offset - part->start];
}

bool ledger_is_done(const struct ledger_part *part, int64_t offset)
{
    if (offset < part->position)
        return true;
    size_t low = 0, high = part->done.n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (part->done.items[mid].last < offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low < part->done.n && part->done.items[low].first <= offset;
}
