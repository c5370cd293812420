/*
 * OTLP bodies whose points of delta temporality become cumulative, twice over, so that streams go
 * on. Judges: numbers are what a plain list of sums says; native histograms may be stored, and hold
 * at least what they held before; one that contradicts itself is left alone.
 */
#include "proto/otlp_delta.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SUMS 4096u

struct sum { /* of a number */
	uint8_t *key;
	uint32_t key_len;
	uint64_t start_ns, t_ns, last_start_ns;
	double last, all;
};
static struct sum sums[SUMS];
static size_t sums_count;
static struct otlp_cumulate cumulate;

static struct sum *sum_of(const struct batch_row *r)
{
	for (size_t i = 0; i < sums_count; i++)
		if (sums[i].key_len == r->labels_len && !memcmp(sums[i].key, r->labels, r->labels_len))
			return &sums[i];
	if (sums_count == SUMS)
		return NULL;
	struct sum *s = &sums[sums_count++];
	*s = (struct sum){ .key = malloc(r->labels_len + 1), .key_len = r->labels_len };
	if (!s->key)
		abort();
	memcpy(s->key, r->labels, r->labels_len);
	return s;
}

/* Is the point taken, and what is the sum then? */
static bool plain(struct sum *s, const struct otlp_delta_point *p, double v, double *out)
{
	bool same = !memcmp(&v, &s->last, sizeof(v));
	*out = s->all;
	if (!p->time_ns || !isfinite(v) || (p->grows && v < 0))
		return false;
	if (s->t_ns && p->time_ns == s->t_ns && p->start_ns == s->last_start_ns && same)
		return true;
	if (s->t_ns && ((p->start_ns && p->start_ns < s->start_ns) || p->time_ns <= s->t_ns))
		return false;
	if (!s->t_ns)
		s->start_ns = p->start_ns;
	s->all = s->t_ns ? s->all + v : v;
	s->t_ns = p->time_ns;
	s->last_start_ns = p->start_ns;
	s->last = v;
	*out = s->all;
	return true;
}

static void judge_hist(const struct batch_extra *x, const struct hist *before)
{
	if (x->bad || hist_is_stale(before))
		return;
	if (hist_check(x->hist, NULL) || x->hist->count.n < before->count.n)
		abort();
}

static const char *judged(
    const struct otlp_delta *hook, struct decode *d, size_t first, const struct otlp_delta_point *p)
{
	const struct batch *b = d->batch;
	size_t count = b->rows_count - first;
	const struct batch_extra before = count ? *b->rows[first].extra : (struct batch_extra){ 0 };
	struct sum *s = NULL;
	double want = 0;
	bool taken = true;
	(void)hook;
	if (count == 1 && !before.hist && !before.bad && !sample_is_stale(before.v)) {
		s = sum_of(&b->rows[first]);
		taken = s && plain(s, p, before.v, &want);
	}
	const char *why = cumulate.hook.rows(&cumulate.hook, d, first, p);
	if (s && taken != !why)
		abort();
	if (why || !count)
		return why;
	const struct batch_extra *x = b->rows[b->rows_count - 1].extra;
	if (s && memcmp(&x->v, &want, sizeof(want)) != 0)
		abort();
	if (before.hist)
		judge_hist(x, before.hist);
	return NULL;
}

static void decode(const uint8_t *body, size_t len, const struct otlp_opts *o)
{
	struct arena arena, keep;
	struct batch batch;
	const uint8_t *p = body;
	enum err err;
	arena_init(&arena, 1024);
	arena_init(&keep, 1024);
	batch_init(&batch);
	struct decode d = { .arena = &arena, .keep = &keep, .batch = &batch, .opts = o };
	do {
		err = otlp_decoder.next(&d, &p, body + len, true, NULL);
		batch_clear(&batch);
		arena_reset(&arena, SIZE_MAX);
	} while (!err && p < body + len);
	otlp_decoder.end(&d);
	batch_release(&batch);
	arena_release(&arena);
	arena_release(&keep);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct otlp_delta hook = { .rows = judged };
	struct otlp_opts o = { .strategy = OTLP_UTF8, .delta = &hook };
	uint8_t *exact = malloc(size ? size : 1);
	if (!exact)
		abort();
	if (size)
		memcpy(exact, data, size);
	otlp_cumulate_init(&cumulate);
	cumulate.ask = (struct deltacum_ask){
		.dc = deltacum_create(1u << 30), .stale_ns = UINT64_MAX / 2, .streams_max = SUMS
	};
	decode(exact, size, &o);
	cumulate.zeros = true;
	cumulate.window_ms = UINT64_MAX;
	o.custom_buckets = true;
	decode(exact, size, &o);
	deltacum_free(cumulate.ask.dc);
	for (size_t i = 0; i < sums_count; i++)
		free(sums[i].key);
	sums_count = 0;
	free(exact);
	return 0;
}
