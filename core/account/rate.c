#include "core/account/rate.h"

#include "core/base/arena.h"

/* Bytes of a body for one sample, in 256ths: a guess to begin with, on the tenant's side. */
#define BYTES_UNIT  256u
#define FIRST_GUESS (16u * BYTES_UNIT)
#define LEARN_SHIFT 3u

struct rates {
	struct meter_book book;
};

struct rates *rates_create(void)
{
	return mem_zalloc(sizeof(struct rates));
}

void rates_free(struct rates *rs)
{
	if (!rs)
		return;
	meter_book_release(&rs->book);
	mem_free(rs);
}

static uint64_t samples_guess(const struct meter_row *row, uint64_t bytes)
{
	uint64_t each = meter_note(row) ? meter_note(row) : FIRST_GUESS;
	uint64_t n = bytes < UINT64_MAX / BYTES_UNIT ? bytes * BYTES_UNIT / each : UINT64_MAX / each;
	return n ? n : 1;
}

static void learn(struct meter_row *row, uint64_t bytes, uint64_t samples)
{
	int64_t was = (int64_t)(meter_note(row) ? meter_note(row) : FIRST_GUESS);
	uint64_t is = bytes * BYTES_UNIT / samples;
	if (is > UINT32_MAX)
		is = UINT32_MAX;
	int64_t step = ((int64_t)is - was) / (1 << LEARN_SHIFT);
	if (!step) /* the last steps, so that it gets there */
		step = ((int64_t)is > was) - ((int64_t)is < was);
	meter_note_set(row, was + step > 0 ? (uint64_t)(was + step) : 1);
}

uint64_t rate_take(struct rates *rs, const struct tenant_limits *l, uint32_t tenant, uint64_t bytes,
    uint64_t now_ns, struct rate_claim *c)
{
	struct meter_row *row = meter_row(&rs->book, tenant);
	struct rate_claim claim = { ._row = row,
		._terms = { .burst_ns = l->samples_burst_ms * UINT64_C(1000000),
		    .wait_ns = RATE_WAIT_NS,
		    .debt_ns = RATE_DEBT_NS },
		._bytes = bytes,
		._samples_per_s = l->samples_per_s };
	uint64_t wait_ns = 0;
	c->of = RATE_REQUESTS;
	if (l->requests_per_s) {
		meter_row_rate(row, RATE_REQUESTS, l->requests_per_s, now_ns);
		claim._request_ns = meter_cost_ns(1, l->requests_per_s);
		wait_ns = meter_take(
		    &row->meters[RATE_REQUESTS], now_ns, claim._request_ns, &claim._terms);
		if (wait_ns > RATE_WAIT_NS)
			return wait_ns;
	}
	if (l->samples_per_s) {
		meter_row_rate(row, RATE_SAMPLES, l->samples_per_s, now_ns);
		claim._samples_ns = meter_cost_ns(samples_guess(row, bytes), l->samples_per_s);
		uint64_t more_ns =
		    meter_take(&row->meters[RATE_SAMPLES], now_ns, claim._samples_ns, &claim._terms);
		if (more_ns > RATE_WAIT_NS)
			meter_give(&row->meters[RATE_REQUESTS], claim._request_ns);
		if (more_ns > wait_ns) {
			wait_ns = more_ns;
			c->of = RATE_SAMPLES;
		}
	}
	if (wait_ns <= RATE_WAIT_NS) {
		claim.of = c->of;
		*c = claim;
	}
	return wait_ns;
}

void rate_settle(struct rate_claim *c, uint64_t samples, uint64_t now_ns)
{
	struct meter_row *row = c->_row;
	if (row && c->_samples_per_s) {
		uint64_t cost_ns = meter_cost_ns(samples, c->_samples_per_s);
		if (cost_ns > c->_samples_ns)
			meter_owe(&row->meters[RATE_SAMPLES], now_ns, cost_ns - c->_samples_ns,
			    &c->_terms);
		else
			meter_give(&row->meters[RATE_SAMPLES], c->_samples_ns - cost_ns);
		if (samples && c->_bytes && c->_bytes < UINT64_MAX / BYTES_UNIT)
			learn(row, c->_bytes, samples);
	}
	rate_keep(c);
}

void rate_keep(struct rate_claim *c)
{
	*c = (struct rate_claim){ 0 };
}

void rate_give(struct rate_claim *c)
{
	struct meter_row *row = c->_row;
	if (row && c->_samples_ns)
		meter_give(&row->meters[RATE_SAMPLES], c->_samples_ns);
	if (row && c->_request_ns)
		meter_give(&row->meters[RATE_REQUESTS], c->_request_ns);
	rate_keep(c);
}
