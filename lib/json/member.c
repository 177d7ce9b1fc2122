/* A thin coat over jansson: see member.h. */
#include "lib/json/member.h"

#include <jansson.h>
#include <stdlib.h>

bool json_member_text(struct span object, const char *name, struct buf *out)
{
    json_error_t why;
    json_t *root = json_loadb(object.p, object.n, JSON_ALLOW_NUL, &why);
    json_t *member = json_object_get(root, name);
    bool found = member != NULL && !json_is_null(member);
    if (found && json_is_string(member)) {
        buf_add(out, json_string_value(member), json_string_length(member));
    } else if (found) {
        char *text = json_dumps(member, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
        buf_add_str(out, text == NULL ? "" : text);
        free(text);
    }
    json_decref(root);
    return found;
}
