/* A record as a line of JSON: see record_json.h. Written by hand, since every record of a topic may
 * pass here. */
#include "lib/stage/record_json.h"

#include "lib/base/base64.h"
#include "lib/base/utf8.h"

static void add_string(struct buf *b, struct span s)
{
    if (s.p == NULL) {
        buf_add_str(b, "null");
        return;
    }
    buf_add_char(b, '"');
    buf_add_json(b, s);
    buf_add_char(b, '"');
}

void record_add_json(struct buf *out, const char *topic, const struct record *rec)
{
    buf_printf(out,
               "{\"topic\":\"%s\",\"partition\":%d,\"offset\":%lld,\"timestamp\":%lld,\"key\":",
               topic, (int)rec->partition, (long long)rec->offset, (long long)rec->timestamp_ms);
    add_string(out, rec->key);
    buf_add_str(out, ",\"headers\":[");
    for (size_t i = 0; i < rec->header_count; i++) {
        buf_add_str(out, i == 0 ? "[" : ",[");
        add_string(out, rec->headers[i].name);
        buf_add_char(out, ',');
        add_string(out, rec->headers[i].value);
        buf_add_char(out, ']');
    }
    if (rec->value.p == NULL || utf8_valid(rec->value.p, rec->value.n)) {
        buf_add_str(out, "],\"value\":");
        add_string(out, rec->value);
    } else {
        buf_add_str(out, "],\"value_base64\":\"");
        base64_encode(out, rec->value);
        buf_add_char(out, '"');
    }
    buf_add_char(out, '}');
}
