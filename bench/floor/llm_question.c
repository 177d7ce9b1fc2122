/* See llm_question.h: the files of the enhance stage, put together as a plain loop would. */
#include "bench/floor/llm_question.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bench/floor/bare.h"
#include "schema_json.h"
#include "system_txt.h"

static char before[QUESTION_MAX];
static size_t before_size;
static const char after[] = "\"}]}";

void llm_question_open(void)
{
    json_t *schema = json_loadb(embedded_schema_json, embedded_schema_json_size, 0, NULL);
    json_t *system = json_stringn(embedded_system_txt, embedded_system_txt_size);
    char *schema_text = json_dumps(schema, JSON_COMPACT);
    char *system_text = json_dumps(system, JSON_ENCODE_ANY);
    int n = snprintf(before, sizeof before,
                     "{\"model\":\"gpt-4o-mini\",\"temperature\":0,\"max_tokens\":200,"
                     "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
                     "\"enrichment\",\"strict\":true,\"schema\":%s}},\"messages\":[{\"role\":"
                     "\"system\",\"content\":%s},{\"role\":\"user\",\"content\":\"Classify this "
                     "post:\\n\\n",
                     schema_text, system_text);
    if (n < 0 || n + 256 > QUESTION_MAX)
        die("question", "too long");
    before_size = (size_t)n;
    free(schema_text);
    free(system_text);
    json_decref(schema);
    json_decref(system);
}

size_t llm_question_write(char *to, const char *text, size_t size)
{
    if (before_size + size + sizeof after > QUESTION_MAX)
        die("post", "too long");
    memcpy(to, before, before_size);
    memcpy(to + before_size, text, size);
    memcpy(to + before_size + size, after, sizeof after - 1);
    return before_size + size + sizeof after - 1;
}
