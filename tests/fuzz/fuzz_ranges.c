/* Any bytes as the metadata of a committed position: it is refused with words, or gives ranges in
 * order above the position, which written again give the same ranges. */
#include "stages/enhance/ranges.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { POSITION = 1000 };
    struct span input = fuzz_copy(data, size);
    char *text = mem_spandup(input);
    struct ranges r = {0}, again = {0};
    struct error err = {0};
    struct buf out = {0};
    if (ranges_read(&r, POSITION, text, &err) == ST_OK) {
        for (size_t i = 0; i < r.n; i++) {
            MUST(r.items[i].first <= r.items[i].last);
            MUST(r.items[i].first >= (i == 0 ? POSITION : r.items[i - 1].last + 1));
        }
        ranges_write(&r, POSITION, &out);
        MUST(ranges_read(&again, POSITION, buf_str(&out), &err) == ST_OK);
        MUST(again.n == r.n);
        if (r.n > 0)
            MUST(memcmp(again.items, r.items, r.n * sizeof *r.items) == 0);
    } else {
        MUST(err.text[0] != '\0');
    }
    ranges_fini(&r);
    ranges_fini(&again);
    buf_fini(&out);
    mem_free(text);
    mem_free((char *)input.p);
    return 0;
}
