/*
 * A line of an import. Judges: it gives as many rows as it said, unless one is malformed; one row
 * at a time gives the same as all at once; labels are canonical; what is exported of the rows is
 * taken again, with the same rows.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/exportfmt.h"
#include "proto/importl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err take(
    struct arena *a, const char *line, size_t len, size_t most, struct batch *b, struct importl *l)
{
	struct errbuf eb;
	errbuf_init(&eb);
	batch_init(b);
	enum err e = importl_begin(a, line, len, l, &eb);
	size_t left = e ? 0 : l->left;
	while (!e && l->left)
		e = importl_rows(l, b, most, &eb);
	if (e && !eb.text[0])
		abort();
	if (!e && b->rows_count != left)
		abort();
	return e;
}

static void same(const struct batch *x, const struct batch *y)
{
	if (x->rows_count != y->rows_count)
		abort();
	for (size_t i = 0; i < x->rows_count; i++)
		if (x->rows[i].t_ms != y->rows[i].t_ms || x->rows[i].bits != y->rows[i].bits)
			abort();
}

/* Values that a column cannot tell from a histogram are left out of an export. */
static bool again(struct arena *a, const struct batch *b, const struct importl *l)
{
	size_t n = b->rows_count;
	int64_t *t = arena_array(a, n + 1, sizeof(*t));
	double *v = arena_array(a, n + 1, sizeof(*v));
	struct labels ls = { .bytes = l->labels, .len = l->labels_len };
	struct buf out;
	struct batch back;
	struct importl line;
	if (!label_is_canonical(ls))
		abort();
	for (size_t i = 0; i < n; i++) {
		t[i] = b->rows[i].t_ms;
		v[i] = b->rows[i].v;
	}
	buf_init(&out);
	struct sample_column c = { .count = (uint32_t)n, .t_ms = t, .v = v };
	exportfmt_line(&out, ls, &c, 0, (uint32_t)n);
	if (n && take(a, (const char *)out.data, out.len, SIZE_MAX, &back, &line))
		abort();
	if (n) {
		same(b, &back);
		if (line.labels_len != ls.len ||
		    (ls.len && memcmp(line.labels, ls.bytes, ls.len) != 0))
			abort();
		batch_release(&back);
	}
	buf_release(&out);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct batch all, one;
	struct importl l, m;
	/* Exactly as much as there is, so that reading further is seen. */
	char *exact = malloc(size ? size : 1);
	if (!exact)
		abort();
	if (size)
		memcpy(exact, data, size);
	arena_init(&a, 4096);
	enum err e = take(&a, exact, size, SIZE_MAX, &all, &l);
	if (take(&a, exact, size, 1, &one, &m) != e)
		abort();
	same(&all, &one);
	if (!e)
		(void)again(&a, &all, &l);
	batch_release(&all);
	batch_release(&one);
	arena_release(&a);
	free(exact);
	return 0;
}
