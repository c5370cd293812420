#include "bench/load/ledger.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"

enum fate {
	NEVER_SENT,
	UNKNOWN,
	TAKEN
};
struct cell {
	int64_t t_ms;
	double v;
	uint32_t round;
	uint8_t fate;
	bool seen;
};
struct row {
	char *key;
	struct cell *cells; /* by time */
	size_t count, cap;
};
struct ledger {
	uint64_t batches;
	uint8_t *fates; /* [rounds * batches] */
	size_t fates_count;
	struct row *rows;
	size_t rows_count, rows_cap;
	uint32_t *places; /* [mask + 1]: index + 1 */
	uint32_t mask;
	uint8_t *round_lost;
	uint64_t rounds;
	uint8_t fate; /* of the batch being filled */
	uint32_t round;
	struct ledger_result result;
};

struct ledger *ledger_new(uint64_t batches)
{
	struct ledger *l = mem_zalloc(sizeof(*l));
	l->batches = batches;
	return l;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->rows_count; i++) {
		mem_free(l->rows[i].key);
		mem_free(l->rows[i].cells);
	}
	mem_free(l->rows);
	mem_free(l->places);
	mem_free(l->fates);
	mem_free(l->round_lost);
	mem_free(l);
}

void ledger_note(struct ledger *l, uint64_t round, uint64_t batch, bool taken)
{
	size_t at = round * l->batches + batch;
	if (at >= l->fates_count) {
		size_t more = at + at / 2 + 4096;
		l->fates = mem_array(l->fates, more, 1);
		memset(l->fates + l->fates_count, NEVER_SENT, more - l->fates_count);
		l->fates_count = more;
	}
	l->fates[at] = taken ? TAKEN : UNKNOWN;
	if (round + 1 > l->rounds)
		l->rounds = round + 1;
}

/* ---- what was sent ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* name="value",... in the order of these texts, as answer.h has keys. */
static void key_of(struct labels ls, struct buf *out)
{
	char texts[64][512], *pairs[64];
	size_t n = 0;
	struct label_iter it = label_iter(ls);
	struct label l;
	for (; n < 64 && label_next(&it, &l); n++) {
		pairs[n] = texts[n];
		snprintf(texts[n], sizeof(texts[n]), "%.*s=\"%.*s\"", (int)l.name_len, l.name,
		    (int)l.value_len, l.value);
	}
	qsort(pairs, n, sizeof(*pairs), by_text);
	buf_clear(out);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_add_u8(out, ',');
		buf_add_str(out, pairs[i]);
	}
	buf_add_u8(out, 0);
}

static void grow(struct ledger *l)
{
	if (l->places && (l->rows_count + 1) * 2 <= l->mask)
		return;
	l->mask = l->mask ? 2 * l->mask + 1 : 8191;
	mem_free(l->places);
	l->places = mem_zalloc(((size_t)l->mask + 1) * sizeof(*l->places));
	for (size_t i = 0; i < l->rows_count; i++) {
		const char *key = l->rows[i].key;
		uint32_t at = (uint32_t)hash64(key, strlen(key), 0) & l->mask;
		while (l->places[at])
			at = (at + 1) & l->mask;
		l->places[at] = (uint32_t)i + 1;
	}
}

/* Where the row of a key is, or would be. */
static uint32_t place_of(const struct ledger *l, const char *key)
{
	uint32_t at = (uint32_t)hash64(key, strlen(key), 0) & l->mask;
	while (l->places[at] && strcmp(l->rows[l->places[at] - 1].key, key) != 0)
		at = (at + 1) & l->mask;
	return at;
}

static struct row *row_of(struct ledger *l, const char *key)
{
	grow(l);
	uint32_t at = place_of(l, key);
	if (l->places[at])
		return &l->rows[l->places[at] - 1];
	if (l->rows_count == l->rows_cap) {
		l->rows_cap = l->rows_cap ? 2 * l->rows_cap : 1024;
		l->rows = mem_array(l->rows, l->rows_cap, sizeof(*l->rows));
	}
	struct row *r = &l->rows[l->rows_count++];
	size_t len = strlen(key) + 1;
	*r = (struct row){ .key = mem_alloc(len) };
	memcpy(r->key, key, len);
	l->places[at] = (uint32_t)l->rows_count;
	return r;
}

static void fill_row(void *arg, const struct loadgen_row *sample)
{
	struct ledger *l = arg;
	struct buf key;
	buf_init(&key);
	key_of(sample->labels, &key);
	struct row *r = row_of(l, (const char *)key.data);
	buf_release(&key);
	if (r->count == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 64;
		r->cells = mem_array(r->cells, r->cap, sizeof(*r->cells));
	}
	r->cells[r->count++] =
	    (struct cell){ .t_ms = sample->t_ms, .v = sample->v, .round = l->round, .fate = l->fate };
	l->result.acknowledged += l->fate == TAKEN;
	l->result.unanswered += l->fate == UNKNOWN;
}

void ledger_fill(struct ledger *l, struct loadgen *gen)
{
	l->round_lost = mem_zalloc(l->rounds + 1);
	for (uint64_t round = 0; round < l->rounds; round++) {
		loadgen_round(gen, round);
		l->round = (uint32_t)round;
		for (uint64_t i = 0; i < l->batches; i++) {
			size_t at = round * l->batches + i;
			l->fate = at < l->fates_count ? l->fates[at] : NEVER_SENT;
			if (l->fate != NEVER_SENT)
				loadgen_rows(gen, i, fill_row, l);
		}
	}
	grow(l);
}

/* ---- what is there ---- */

static void first_odd(struct ledger *l, const char *what, const char *key, int64_t t_ms, double v)
{
	if (!l->result.first[0])
		snprintf(l->result.first, sizeof(l->result.first), "%s: {%.180s} at %lld, %.17g",
		    what, key, (long long)t_ms, v);
}

static struct cell *cell_at(const struct row *r, int64_t t_ms)
{
	size_t lo = 0, hi = r ? r->count : 0;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (r->cells[mid].t_ms < t_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return r && lo < r->count && r->cells[lo].t_ms == t_ms ? &r->cells[lo] : NULL;
}

static bool same(double a, double b)
{
	return memcmp(&a, &b, sizeof(a)) == 0 || a == b || (isnan(a) && isnan(b));
}

void ledger_judge(struct ledger *l, const struct answer_series *s)
{
	uint32_t place = l->places[place_of(l, s->key)];
	const struct row *r = place ? &l->rows[place - 1] : NULL;
	for (size_t i = 0; i < s->count; i++) {
		int64_t t_ms = llround(s->points[i].t_s * 1000);
		struct cell *c = cell_at(r, t_ms);
		l->result.found++;
		bool near = c && fabs(c->v - s->points[i].v) <= LEDGER_NEAR * fabs(c->v);
		if (c && (near || same(c->v, s->points[i].v))) {
			l->result.rounded += !same(c->v, s->points[i].v);
			c->seen = true;
			continue;
		}
		l->result.wrong += c != NULL;
		l->result.ghosts += !c;
		first_odd(l, c ? "another value" : "never sent", s->key, t_ms, s->points[i].v);
	}
}

void ledger_end(struct ledger *l, struct ledger_result *out)
{
	for (size_t i = 0; i < l->rows_count; i++) {
		const struct row *r = &l->rows[i];
		for (size_t k = 0; k < r->count; k++) {
			const struct cell *c = &r->cells[k];
			if (c->seen || c->fate != TAKEN)
				continue;
			l->result.lost++;
			l->round_lost[c->round] = 1;
			first_odd(l, "lost", r->key, c->t_ms, c->v);
		}
	}
	for (uint64_t i = 0; i < l->rounds; i++)
		l->result.rounds_lost += l->round_lost[i];
	*out = l->result;
}
