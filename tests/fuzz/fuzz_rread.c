/*
 * Bytes of a ReadRequest. Judges: what is taken has no more queries, matchers and patterns than may
 * be, its matchers can be asked, and the same bytes twice in one give twice as many queries.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/rread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct limits limits;

static size_t look(const struct rread *r)
{
	size_t yes = 0;
	for (size_t i = 0; i < r->count; i++) {
		const struct rread_query *q = &r->queries[i];
		if (q->matchers_count > limits.query_matchers)
			abort();
		for (size_t k = 0; k < q->matchers_count; k++) {
			const struct matcher *m = &q->matchers[k];
			if (strlen(m->name) > m->name_len || strlen(m->value) > m->value_len)
				abort();
			yes += matcher_value(m, "up", 2) == REX_YES;
		}
	}
	return yes;
}

static size_t count_of(const uint8_t *data, size_t size, bool *taken)
{
	struct arena a;
	struct rread r;
	struct errbuf eb;
	errbuf_init(&eb);
	arena_init(&a, 4096);
	enum err e = rread_decode(&a, data, size, &limits, &r, &eb);
	*taken = !e;
	if (e && !eb.text[0])
		abort();
	if (!e && r.count > limits.query_selectors)
		abort();
	if (!e)
		(void)look(&r);
	size_t count = e ? 0 : r.count;
	rread_release(&r);
	arena_release(&a);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool once, twice;
	limits_default(&limits);
	uint8_t *exact = malloc(2 * size + 1);
	if (!exact)
		abort();
	/* Exactly as much as there is, so that reading further is seen. */
	uint8_t *one = malloc(size ? size : 1);
	if (!one)
		abort();
	if (size) {
		memcpy(one, data, size);
		memcpy(exact, data, size);
		memcpy(exact + size, data, size);
	}
	size_t n = count_of(one, size, &once);
	size_t both = count_of(exact, 2 * size, &twice);
	if (once && twice && both != 2 * n)
		abort();
	free(one);
	free(exact);
	return 0;
}
