/* The window against a model: whatever the schedule of answers, commits, aborts and hand-overs to
 * another owner, every post is committed exactly once, in the promised order, and position and
 * metadata name exactly what is committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "stages/enhance/window.h"

enum { POSTS = 1500, ROOM = 64, KEYS = 7, BATCHES = 2 };

struct batch {
    int64_t offsets[ROOM * 2];
    size_t n;
    int64_t position;
    char metadata[POSITION_METADATA_MAX + 1];
};

struct model {
    struct rng rng;
    enum order order;
    struct slot_pool pool;
    struct window *win;
    bool is_record[POSTS]; /* offsets that hold a record; the others are gaps, as Kafka has them */
    int committed[POSTS];  /* how often */
    int64_t next_offset;   /* where the reader stands */
    struct batch batches[BATCHES], filling;
    int open;
    uint64_t number;
    int64_t position;
    char metadata[POSITION_METADATA_MAX + 1];
    char keys[KEYS][16];
    int64_t last_of_key[KEYS], last; /* highest offset committed or in a batch */
};

static int key_of(int64_t offset)
{
    return (int)(offset * 5 % KEYS);
}

static void model_take(struct model *m)
{
    while (m->next_offset < POSTS && !m->is_record[m->next_offset])
        m->next_offset++;
    if (window_room(m->win) == 0 || m->next_offset >= POSTS)
        return;
    int key = key_of(m->next_offset);
    struct record rec = {.key = key == 0 ? SPAN_NULL : span_of(m->keys[key]),
                         .value = SPAN_LIT("vvvv"),
                         .offset = m->next_offset++};
    struct slot *slot = window_add(m->win, &rec);
    assert_int_equal(slot == NULL, m->committed[rec.offset] == 1);
}

static void model_answer(struct model *m)
{
    size_t n = window_count(m->win);
    if (n == 0)
        return;
    struct slot *slot = m->win->ring[(m->win->head + rng_next(&m->rng) % n) & m->win->mask].slot;
    if (slot == NULL || slot->state != SLOT_ASKING)
        return;
    slot->state = rng_next(&m->rng) % 10 == 0 ? SLOT_DEAD : SLOT_DONE;
    window_answered(m->win, slot);
}

static void check_order(struct model *m, const struct slot *slot)
{
    int64_t offset = slot->rec.offset;
    int key = key_of(offset);
    if (m->order == ORDER_PARTITION)
        assert_true(offset > m->last);
    if (m->order == ORDER_KEY && key != 0)
        assert_true(offset > m->last_of_key[key]);
    m->last = offset > m->last ? offset : m->last;
    m->last_of_key[key] = offset > m->last_of_key[key] ? offset : m->last_of_key[key];
}

static void model_send(struct model *m)
{
    struct slot *slot = window_next(m->win);
    if (slot == NULL)
        return;
    check_order(m, slot);
    m->filling.offsets[m->filling.n++] = slot->rec.offset;
    window_sent(m->win);
}

static void model_hand_over(struct model *m)
{
    if (m->open == BATCHES)
        return;
    struct buf metadata = {0};
    int64_t position = window_position(m->win, m->next_offset, &metadata);
    assert_true(metadata.n <= POSITION_METADATA_MAX);
    if (position >= 0) {
        window_handed(m->win, ++m->number, position);
        struct batch *b = &m->batches[m->open++];
        *b = m->filling;
        b->position = position;
        snprintf(b->metadata, sizeof b->metadata, "%s", metadata.n == 0 ? "" : buf_str(&metadata));
        m->filling.n = 0;
    } else {
        assert_int_equal(m->filling.n, 0);
    }
    buf_fini(&metadata);
}

/* Position and metadata must name exactly the records that are committed. */
static void check_position(struct model *m)
{
    struct ranges r = {0};
    struct error err;
    assert_int_equal(ranges_read(&r, m->position, m->metadata, &err), ST_OK);
    size_t at = 0;
    for (int64_t o = 0; o < POSTS; o++) {
        while (at < r.n && r.items[at].last < o)
            at++;
        bool named = o < m->position || (at < r.n && r.items[at].first <= o);
        if (m->is_record[o])
            assert_int_equal(named, m->committed[o] == 1);
    }
    ranges_fini(&r);
}

static void model_confirm(struct model *m)
{
    if (m->open == 0)
        return;
    struct batch *b = &m->batches[0];
    struct slot *slot = window_confirmed(m->win, m->number - (uint64_t)(m->open - 1));
    for (size_t i = 0; i < b->n; i++) {
        assert_non_null(slot);
        assert_int_equal(slot->rec.offset, b->offsets[i]);
        assert_int_equal(++m->committed[slot->rec.offset], 1);
        struct slot *next = slot->next;
        slot_free(&m->pool, slot);
        slot = next;
    }
    assert_null(slot);
    m->position = b->position;
    memcpy(m->metadata, b->metadata, sizeof m->metadata);
    m->open--;
    memmove(m->batches, m->batches + 1, (size_t)m->open * sizeof *b);
    check_position(m);
}

/* What was sent and not confirmed never happened. */
static void forget_unconfirmed(struct model *m)
{
    m->number -= (uint64_t)m->open;
    m->open = 0;
    m->filling.n = 0;
    m->last = -1;
    for (int k = 0; k < KEYS; k++)
        m->last_of_key[k] = -1;
    for (int64_t o = 0; o < POSTS; o++) {
        if (m->committed[o] == 0)
            continue;
        m->last = o;
        m->last_of_key[key_of(o)] = o;
    }
}

static void model_abort(struct model *m)
{
    if (rng_next(&m->rng) % 40 != 0)
        return;
    window_aborted(m->win);
    forget_unconfirmed(m);
}

/* The owner dies, or the partition moves: somebody begins at the committed position, perhaps with
 * another order. */
static void model_move(struct model *m)
{
    struct slot *slot;
    struct error err;
    if (rng_next(&m->rng) % 200 != 0)
        return;
    while ((slot = window_pop(m->win)) != NULL)
        slot_free(&m->pool, slot);
    window_free(m->win);
    m->win = window_new(NULL, &m->pool, m->order, 0, 1, ROOM);
    assert_int_equal(window_restore(m->win, m->position, m->metadata, &err), ST_OK);
    m->next_offset = m->position;
    forget_unconfirmed(m);
}

static bool all_committed(const struct model *m)
{
    for (int64_t o = 0; o < POSTS; o++)
        if (m->is_record[o] && m->committed[o] != 1)
            return false;
    return m->position >= POSTS;
}

static void run_model(uint64_t seed, enum order order)
{
    static void (*const moves[])(struct model *) = {
        model_take, model_take,      model_answer,  model_answer, model_answer, model_send,
        model_send, model_hand_over, model_confirm, model_abort,  model_move};
    struct model *m = mem_zalloc(sizeof *m);
    m->order = order;
    rng_seed(&m->rng, seed);
    for (int k = 0; k < KEYS; k++)
        snprintf(m->keys[k], sizeof m->keys[k], "k%d", k);
    for (int64_t o = 0; o < POSTS; o++)
        m->is_record[o] = rng_next(&m->rng) % 4 != 0;
    m->win = window_new(NULL, &m->pool, order, 0, 1, ROOM);
    struct error err;
    assert_int_equal(window_restore(m->win, 0, "", &err), ST_OK);
    forget_unconfirmed(m);
    while (!all_committed(m))
        moves[rng_next(&m->rng) % (sizeof moves / sizeof *moves)](m);
    assert_int_equal(m->win->slots, 0);
    assert_int_equal(m->win->bytes, 0);
    assert_int_equal(m->win->runs, 0);
    window_free(m->win);
    slot_pool_fini(&m->pool);
    mem_free(m);
}

static void every_post_is_committed_once_under_order_partition(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++)
        run_model(seed, ORDER_PARTITION);
}

static void every_post_is_committed_once_under_order_key(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++)
        run_model(seed, ORDER_KEY);
}

static void every_post_is_committed_once_under_order_none(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++)
        run_model(seed, ORDER_NONE);
}

/* Every second post is done: the ranges would outgrow the metadata, so posts wait until the front
 * moves. */
static void posts_wait_when_the_metadata_is_full(void **state)
{
    (void)state;
    enum { MANY = 8192 };
    struct slot_pool pool = {0};
    struct window *win = window_new(NULL, &pool, ORDER_NONE, 0, 1, MANY);
    struct error err;
    assert_int_equal(window_restore(win, 0, "", &err), ST_OK);
    struct slot *first = NULL;
    for (int64_t o = 0; o < MANY; o++) {
        struct slot *slot = window_add(win, &(struct record){.offset = o});
        first = o == 0 ? slot : first;
        if (o % 2 == 1) {
            slot->state = SLOT_DONE;
            window_answered(win, slot);
        }
    }
    size_t sent = 0;
    for (; window_next(win) != NULL; sent++)
        window_sent(win);
    assert_in_range(sent, 300, MANY / 2 - 1);
    struct buf metadata = {0};
    assert_int_equal(window_position(win, MANY, &metadata), 0);
    assert_in_range(metadata.n, 1000, POSITION_METADATA_MAX);
    buf_fini(&metadata);
    first->state = SLOT_DONE;
    window_answered(win, first);
    assert_ptr_equal(window_next(win), first); /* the front itself may always go */
    struct slot *slot;
    while ((slot = window_pop(win)) != NULL)
        slot_free(&pool, slot);
    window_free(win);
    slot_pool_fini(&pool);
}

static void metadata_of_others_is_refused(void **state)
{
    (void)state;
    static const char *const strange[] = {"s2:AAAA", "hello",       "s1:!",
                                          "s1:AAA",  "s1:gICAgICA", "s1:AAA="};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        struct ranges r = {0};
        struct error err;
        assert_int_equal(ranges_read(&r, 5, strange[i], &err), ST_REJECT);
        assert_int_equal(err.kind, ERR_CONFIG);
        ranges_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_post_is_committed_once_under_order_partition),
        cmocka_unit_test(every_post_is_committed_once_under_order_key),
        cmocka_unit_test(every_post_is_committed_once_under_order_none),
        cmocka_unit_test(posts_wait_when_the_metadata_is_full),
        cmocka_unit_test(metadata_of_others_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
