/*
 * Exposed text against a second reader; and the rows of an import: whatever comes, they are
 * canonical, and the same when the text comes in two parts.
 */
#include "proto/expo_rows.h"
#include "tests/lib/expojudge.h"

#include <stdio.h>

struct import {
	struct arena arena, keep;
	struct batch batch;
	struct decode d;
	struct errbuf eb;
};

/* A part that ends behind a line feed, or the last one. */
static void part(struct import *i, const uint8_t *p, const uint8_t *end, bool last)
{
	while (p < end || last) {
		const uint8_t *before = p;
		if (expo_import_decoder.next(&i->d, &p, end, last, &i->eb) || p < before || p > end)
			abort();
		if (p == before)
			break;
	}
}

static void import(struct import *i, const uint8_t *data, size_t size, size_t cut)
{
	*i = (struct import){ 0 };
	arena_init(&i->arena, 4096);
	arena_init(&i->keep, 4096);
	batch_init(&i->batch);
	errbuf_init(&i->eb);
	i->d = (struct decode){ .limits = limits_here(),
		.now_ms = 1,
		.arena = &i->arena,
		.keep = &i->keep,
		.batch = &i->batch };
	part(i, data, data + cut, false);
	part(i, data + cut, data + size, true);
	if (i->d.own)
		expo_import_decoder.end(&i->d);
	for (size_t r = 0; r < i->batch.rows_count; r++) {
		const struct batch_row *row = &i->batch.rows[r];
		if (!label_is_canonical((struct labels){ row->labels, row->labels_len }))
			abort();
	}
}

static void release(struct import *i)
{
	batch_release(&i->batch);
	arena_release(&i->arena);
	arena_release(&i->keep);
}

static void imports(const uint8_t *data, size_t size)
{
	struct import all, parts;
	const uint8_t *lf = memchr(data, '\n', size);
	import(&all, data, size, 0);
	import(&parts, data, size, lf ? (size_t)(lf - data) + 1 : 0);
	if (all.batch.rows_count != parts.batch.rows_count || all.d.bad != parts.d.bad ||
	    all.batch.metas_count != parts.batch.metas_count ||
	    strcmp(all.d.bad_text, parts.d.bad_text) != 0 || (all.d.bad && !all.d.bad_text[0]))
		abort();
	for (size_t i = 0; i < all.batch.rows_count; i++)
		if (all.batch.rows[i].t_ms != parts.batch.rows[i].t_ms ||
		    all.batch.rows[i].bits != parts.batch.rows[i].bits ||
		    all.batch.rows[i].labels_len != parts.batch.rows[i].labels_len)
			abort();
	release(&all);
	release(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Exactly as much as there is, so that reading further is seen. */
	uint8_t *exact = malloc(size ? size : 1);
	if (!exact)
		abort();
	if (size)
		memcpy(exact, data, size);
	const char *wrong = expojudge((const char *)exact, size, false);
	if (wrong) {
		fprintf(stderr, "expo gives %s\n", wrong);
		abort();
	}
	imports(exact, size);
	free(exact);
	return 0;
}
