/* The window against a model: whatever the schedule of answers, commits and aborts, every post
 * leaves exactly once, in offset order, and no position passes a post that has not left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "stages/enhance/window.h"

enum { POSTS = 3000, ROOM = 64 };

struct model {
    struct rng rng;
    struct slot_pool pool;
    struct window *win;
    int64_t next_offset; /* of the log */
    int64_t open[ROOM];  /* offsets in batches that are not confirmed, in order of sending */
    size_t open_count;
    size_t batch_ends[WINDOW_MARKS];
    int batches;
    uint64_t number;
    int64_t visible;   /* offsets below it have left for good */
    int64_t committed; /* position */
    int64_t handed_positions[WINDOW_MARKS];
};

static void model_take(struct model *m)
{
    if (window_room(m->win) == 0 || m->next_offset >= POSTS)
        return;
    struct record rec = {.key = SPAN_LIT("k"), .value = SPAN_LIT("vvvv"), .offset = m->next_offset};
    struct slot *slot = window_add(m->win, &rec);
    assert_ptr_equal(slot->win, m->win);
    m->next_offset += 1 + (int64_t)(rng_next(&m->rng) % 3 == 0); /* gaps, as Kafka has them */
}

static void model_answer(struct model *m)
{
    size_t n = window_count(m->win);
    if (n == 0)
        return;
    uint64_t i = m->win->head + rng_next(&m->rng) % n;
    struct slot *slot = m->win->ring[i & m->win->mask];
    if (slot->state == SLOT_ASKING)
        slot->state = rng_next(&m->rng) % 10 == 0 ? SLOT_DEAD : SLOT_DONE;
}

static void model_send(struct model *m)
{
    struct slot *slot = window_next(m->win);
    if (slot == NULL)
        return;
    int64_t before = m->open_count > 0 ? m->open[m->open_count - 1] : m->visible - 1;
    assert_true(slot->rec.offset > before);
    m->open[m->open_count++] = slot->rec.offset;
    window_sent(m->win);
}

static void model_hand_over(struct model *m)
{
    if (m->batches == 2)
        return;
    int64_t position = window_position(m->win, -1);
    if (position < 0)
        return;
    assert_int_equal(position, m->open[m->open_count - 1] + 1);
    window_handed(m->win, ++m->number, position);
    m->handed_positions[m->batches] = position;
    m->batch_ends[m->batches++] = m->open_count;
}

static void model_confirm(struct model *m)
{
    if (m->batches == 0)
        return;
    uint64_t end = window_confirmed(m->win, m->number - (uint64_t)(m->batches - 1));
    size_t n = m->batch_ends[0];
    for (size_t i = 0; i < n; i++) {
        assert_true(m->win->head < end);
        struct slot *slot = window_pop(m->win);
        assert_int_equal(slot->rec.offset, m->open[i]);
        slot_free(&m->pool, slot);
    }
    assert_int_equal(m->win->head, end);
    m->visible = m->open[n - 1] + 1;
    m->committed = m->handed_positions[0];
    assert_true(m->committed <= m->visible);
    m->open_count -= n;
    memmove(m->open, m->open + n, m->open_count * sizeof *m->open);
    m->batches--;
    for (int i = 0; i < m->batches; i++) {
        m->batch_ends[i] = m->batch_ends[i + 1] - n;
        m->handed_positions[i] = m->handed_positions[i + 1];
    }
}

static void model_abort(struct model *m)
{
    if (m->open_count == 0 || rng_next(&m->rng) % 20 != 0)
        return;
    window_aborted(m->win);
    m->number -= (uint64_t)m->batches;
    m->batches = 0;
    m->open_count = 0;
}

static void every_post_leaves_once_and_in_order_whatever_the_schedule(void **state)
{
    (void)state;
    static void (*const moves[])(struct model *) = {
        model_take, model_take, model_answer,    model_answer,  model_answer,
        model_send, model_send, model_hand_over, model_confirm, model_abort};
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct model m = {0};
        rng_seed(&m.rng, seed);
        m.win = window_new(NULL, &m.pool, 0, 1, ROOM);
        while (m.next_offset < POSTS || window_count(m.win) > 0) {
            moves[rng_next(&m.rng) % (sizeof moves / sizeof *moves)](&m);
            assert_true(m.win->head <= m.win->sent && m.win->sent <= m.win->tail);
            assert_int_equal(m.win->bytes, window_count(m.win) * 5);
        }
        assert_true(m.committed >= POSTS);
        window_free(m.win);
        slot_pool_fini(&m.pool);
    }
}

static void the_position_follows_the_reader_only_when_all_is_sent(void **state)
{
    (void)state;
    struct slot_pool pool = {0};
    struct window *win = window_new(NULL, &pool, 0, 1, 8);
    assert_int_equal(window_position(win, 7), 7); /* nothing but markers so far */
    window_handed(win, 1, 7);
    struct record rec = {.offset = 7};
    struct slot *slot = window_add(win, &rec);
    assert_int_equal(window_position(win, 9), -1);
    slot->state = SLOT_DONE;
    window_sent(win);
    assert_int_equal(window_position(win, 9), 9);
    assert_int_equal(window_position(win, -1), 8);
    window_handed(win, 2, 9);
    assert_int_equal(window_confirmed(win, 1), win->head); /* batch 1 held no slot */
    assert_int_equal(window_confirmed(win, 2), win->head + 1);
    slot_free(&pool, window_pop(win));
    assert_int_equal(window_position(win, 9), -1);
    window_free(win);
    slot_pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_post_leaves_once_and_in_order_whatever_the_schedule),
        cmocka_unit_test(the_position_follows_the_reader_only_when_all_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
