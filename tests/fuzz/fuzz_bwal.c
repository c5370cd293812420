/*
 * Any bytes are safe as pages of a Prometheus' log, and as a record of it. Checksums of fragments
 * are made right first. What is taken has canonical labels and whole histograms, and a record says
 * the same a second time.
 * Input: a byte that selects (even: pages, odd: a record), then the bytes.
 */
#include "core/base/wire.h"
#include "storage/block/bpages.h"
#include "storage/block/brec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum; /* of all that was taken */

static void on_series(void *arg, uint64_t ref, struct labels labels)
{
	(void)arg;
	CHECK(label_is_canonical(labels));
	sum = hash_mix64(sum ^ ref) + label_hash(labels);
}

static bool whole(const struct hist_side *s)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i < s->spans_count; i++)
		n += s->spans[i].length;
	return n == s->counts_count;
}

static void on_sample(void *arg, const struct brec_sample *s)
{
	(void)arg;
	sum = hash_mix64(sum ^ s->ref ^ (uint64_t)s->t_ms) + (uint64_t)s->start_ms + num_bits(s->v);
	CHECK(sample_is_hist(s->v) == (s->h != NULL));
	if (!s->h)
		return;
	CHECK(whole(&s->h->positive) && whole(&s->h->negative));
	CHECK(hist_cost(s->h) <= HIST_BUCKETS_MAX && s->h->schema <= HIST_SCHEMA_MAX);
	struct buf b;
	buf_init(&b);
	hist_encode(s->h, &b);
	sum = hash_mix64(sum) + hash64(b.data, b.len, 0);
	buf_release(&b);
}

static void on_tombstone(void *arg, uint64_t ref, int64_t from, int64_t to)
{
	(void)arg;
	sum = hash_mix64(sum ^ ref) + (uint64_t)from + (uint64_t)to;
}

static uint64_t take(const uint8_t *rec, size_t len, enum err *e)
{
	struct arena a;
	arena_init(&a, 4096);
	struct brec_sink sink = {
		.arena = &a, .series = on_series, .sample = on_sample, .tombstone = on_tombstone
	};
	sum = 0;
	*e = brec_decode(rec, len, &sink);
	arena_release(&a);
	return sum + sink.left_out;
}

static void record(const uint8_t *rec, size_t len)
{
	enum err e, e2;
	uint8_t *p = malloc(len ? len : 1);
	if (!p)
		return;
	if (len)
		memcpy(p, rec, len);
	uint64_t a = take(p, len, &e), b = take(p, len, &e2);
	CHECK(a == b && e == e2);
	free(p);
}

static void pages(uint8_t *p, size_t len)
{
	for (size_t at = 0; at + 7 <= len;) {
		size_t n = (size_t)p[at + 1] << 8 | p[at + 2];
		if (!(p[at] & 7) || n > len - at - 7)
			break;
		wire_store32(p + at + 3, __builtin_bswap32(crc32c(0, p + at + 7, n)));
		at += 7 + n;
	}
	struct bpages x;
	bpages_init(&x);
	/* twice: a record that is begun at the end goes on in the next page */
	for (unsigned i = 0; i < 2; i++) {
		bpages_feed(&x, p, len);
		enum bpages_result r;
		while ((r = bpages_next(&x)) != BPAGES_EMPTY) {
			if (r == BPAGES_RECORD)
				record(x.rec, x.rec_len);
			else
				CHECK(x.what);
		}
	}
	bpages_release(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1) {
		record(data + 1, size - 1);
		return 0;
	}
	uint8_t *p = malloc(size);
	if (!p)
		return 0;
	memcpy(p, data + 1, size - 1);
	pages(p, size - 1);
	free(p);
	return 0;
}
