/*
 * Families of metrics in protobuf against protobuf-c: what is taken, it takes, and makes the same
 * of; what it does not take is refused. Rows have canonical labels, histograms may be stored.
 */
#include "tests/lib/expopbjudge.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW 7

static void check_rows(const struct batch *b)
{
	for (size_t i = 0; i < b->rows_count; i++) {
		const struct batch_row *r = &b->rows[i];
		if (!label_is_canonical((struct labels){ r->labels, r->labels_len }))
			abort();
		if ((r->flags & BATCH_EXTRA) && r->extra->hist && hist_check(r->extra->hist, NULL))
			abort();
	}
	for (size_t i = 0; i < b->exemplars_count; i++) {
		const struct batch_exemplar *x = &b->exemplars[i];
		if (!label_is_canonical((struct labels){ x->own, x->own_len }))
			abort();
	}
}

static void judge(const uint8_t *data, size_t size)
{
	struct arena arena, keep;
	struct batch batch;
	struct errbuf eb;
	const uint8_t *p = data, *end = data + size;
	enum err e = ERR_OK;
	bool accepted;
	arena_init(&arena, 4096);
	arena_init(&keep, 4096);
	batch_init(&batch);
	errbuf_init(&eb);
	struct decode d = {
		.limits = limits_here(), .now_ms = NOW, .arena = &arena, .keep = &keep, .batch = &batch
	};
	while (!e && p < end) {
		const uint8_t *before = p;
		e = expopb_decoder.next(&d, &p, end, true, &eb);
		if (!e && p == before)
			break; /* the batch is full, and nobody empties it */
	}
	if (d.own)
		expopb_decoder.end(&d);
	check_rows(&batch);
	const char *wrong = expopbjudge(data, size, &batch, NOW, &accepted);
	if (!e && !accepted)
		wrong = "no error where there is one";
	else if (e || d.bad || p < end)
		wrong = (e && !eb.text[0]) || (d.bad && !d.bad_text[0]) ? "no words" : NULL;
	if (wrong) {
		fprintf(stderr, "expopb gives %s\n", wrong);
		abort();
	}
	batch_release(&batch);
	arena_release(&arena);
	arena_release(&keep);
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
	judge(exact, size);
	free(exact);
	return 0;
}
