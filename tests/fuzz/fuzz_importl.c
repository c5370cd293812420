/*
 * A line of an import. Judges: it gives as many rows as it said, unless one is malformed; one row
 * at a time gives the same as all at once; labels are canonical; what is exported of the rows is
 * taken again, with the same rows. As a body: whole, and in parts that lie elsewhere each time, the
 * decoder gives the same rows and counts.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
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

/* --- as a body --- */

struct read {
	struct buf rows; /* labels, time and value of each */
	uint64_t records, bad;
};

static void read_rows(struct read *r, struct decode *d)
{
	for (size_t i = 0; i < d->batch->rows_count; i++) {
		const struct batch_row *row = &d->batch->rows[i];
		buf_add(&r->rows, row->labels, row->labels_len);
		buf_add(&r->rows, &row->t_ms, sizeof(row->t_ms));
		buf_add(&r->rows, &row->bits, sizeof(row->bits));
	}
	batch_clear(d->batch);
	arena_reset(d->arena, 0);
}

/* Parts end behind a line feed, at the first one after `part` bytes; the last has the rest. */
static void read_body(struct read *r, const uint8_t *data, size_t size, size_t part)
{
	struct arena a, keep;
	struct batch b;
	struct decode d = { .arena = &a, .keep = &keep, .batch = &b };
	arena_init(&a, 4096);
	arena_init(&keep, 4096);
	batch_init(&b);
	buf_init(&r->rows);
	for (size_t at = 0; at < size;) {
		size_t len = size - at;
		const uint8_t *lf = len > part ? memchr(data + at + part, '\n', len - part) : NULL;
		len = lf ? (size_t)(lf + 1 - data) - at : len;
		uint8_t *elsewhere = malloc(len);
		if (!elsewhere)
			abort();
		memcpy(elsewhere, data + at, len);
		const uint8_t *p = elsewhere;
		if (importl_decoder.next(&d, &p, elsewhere + len, at + len == size, NULL) ||
		    (p == elsewhere && !b.rows_count))
			abort();
		at += (size_t)(p - elsewhere);
		free(elsewhere);
		read_rows(r, &d);
	}
	r->records = d.records;
	r->bad = d.bad;
	if (d.own)
		importl_decoder.end(&d);
	batch_release(&b);
	arena_release(&a);
	arena_release(&keep);
}

static void bodies(const uint8_t *data, size_t size)
{
	struct read whole, parts;
	read_body(&whole, data, size, size);
	read_body(&parts, data, size, size ? data[0] : 0);
	if (whole.records != parts.records || whole.bad != parts.bad ||
	    whole.rows.len != parts.rows.len ||
	    (whole.rows.len && memcmp(whole.rows.data, parts.rows.data, whole.rows.len) != 0))
		abort();
	buf_release(&whole.rows);
	buf_release(&parts.rows);
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
	bodies((const uint8_t *)exact, size);
	free(exact);
	return 0;
}
