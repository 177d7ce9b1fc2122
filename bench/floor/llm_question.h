/* The question that sluice asks about a post: system prompt, schema, post. One thread. */
#ifndef SLUICE_BENCH_LLM_QUESTION_H
#define SLUICE_BENCH_LLM_QUESTION_H

#include <stddef.h>

enum { QUESTION_MAX = 8192 };

/* All of the body but the post's text is made here, once. */
void llm_question_open(void);

/* `text` is the inside of a JSON string. Returns the size; `to` has QUESTION_MAX bytes. */
size_t llm_question_write(char *to, const char *text, size_t size);

#endif
