/*
 * The history of cardinality (storage/cardhist.h): random histories, with clocks that go back,
 * against a plain list; its image, whole and damaged; what it holds at most.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/wire.h"
#include "storage/cardhist.h"
#include "tests/lib/tap.h"

#define MANY   (UINT64_C(1) << 30)
#define MIN_MS INT64_C(60000)
#define T0     INT64_C(1700000000000)
#define NAMES  200u
#define ALL    400u

static uint64_t rng = 88172645463325252u;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

/* ---- the plain list ---- */

struct plain {
	int64_t t_ms, since_ms;
	uint64_t series, made;
	struct store_top tops[STORE_CARD_KINDS][CARDHIST_TOP];
	unsigned counts[STORE_CARD_KINDS];
};
static struct plain plain[ALL];
static unsigned plain_count;
static uint64_t made_total, made_told;
static int64_t begun_ms;
static bool told;

static int descending(const void *x, const void *y)
{
	const struct store_top *a = x, *b = y;
	return (a->value < b->value) - (a->value > b->value);
}

static void tops_make(struct plain *m, unsigned k)
{
	unsigned first = rnd(NAMES), count = rnd(4) ? rnd(CARDHIST_TOP) : CARDHIST_TOP;
	m->counts[k] = count;
	for (unsigned i = 0; i < count; i++) {
		struct store_top *t = &m->tops[k][i];
		snprintf(t->name, sizeof(t->name), "%s%u", k == STORE_CARD_PAIR ? "job=" : "name",
		    (first + i) % NAMES);
		t->value = rnd(3) ? rnd(1000) : (uint64_t)rnd(1u << 30) << rnd(20);
	}
	qsort(m->tops[k], count, sizeof(m->tops[k][0]), descending);
}

/* A moment at t_ms, as the header says. */
static void plain_add(int64_t t_ms, struct cardhist_new *n)
{
	static struct plain m;
	uint64_t made = rnd(2) ? rnd(5000) : 0;
	struct plain *last = plain_count ? &plain[plain_count - 1] : NULL;
	m = (struct plain){ .t_ms = t_ms, .series = rnd(1u << 30) };
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
		if (last && rnd(2)) {
			memcpy(m.tops[k], last->tops[k], sizeof(m.tops[k]));
			m.counts[k] = last->counts[k];
		} else {
			tops_make(&m, k);
		}
	}
	made_total += made;
	m.made = made_total - made_told;
	made_told = made_total;
	while (plain_count && plain[plain_count - 1].t_ms >= t_ms)
		m.made += plain[--plain_count].made;
	m.since_ms = begun_ms;
	if (plain_count && (told || plain[plain_count - 1].t_ms > begun_ms))
		m.since_ms = plain[plain_count - 1].t_ms;
	if (m.since_ms > t_ms)
		m.since_ms = t_ms;
	told = true;
	plain[plain_count++] = m;
	*n = (struct cardhist_new){
		.tenant = 7, .t_ms = t_ms, .series = m.series, .made = made_total, .begun_ms = begun_ms
	};
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
		n->tops[k] = plain[plain_count - 1].tops[k];
		n->counts[k] = m.counts[k];
	}
}

static bool rows_are(const struct store_card_cut *c, const struct store_card_moment *m,
    const struct plain *p, unsigned k, unsigned limit)
{
	unsigned count = p->counts[k] < limit ? p->counts[k] : limit;
	bool same = m->rows_count == count;
	for (unsigned i = 0; same && i < count; i++) {
		const struct store_card_row *row = &c->rows[m->rows_at + i];
		same = row->value == p->tops[k][i].value && row->name < c->names_count &&
		    !strcmp(c->texts + c->names[row->name], p->tops[k][i].name);
	}
	uint64_t below = p->counts[k] == CARDHIST_TOP ? p->tops[k][CARDHIST_TOP - 1].value : 0;
	if (count < p->counts[k])
		below = p->tops[k][count].value;
	return same && m->below == below;
}

static bool is_plain(const struct cardhist *h, unsigned limit)
{
	bool same = true;
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
		struct store_card_cut c;
		cardhist_cut(h, 7, (enum store_card_kind)k, INT64_MIN, INT64_MAX, 0, limit, &c);
		same &= c.moments_count == plain_count;
		for (unsigned i = 0; same && i < plain_count; i++) {
			const struct store_card_moment *m = &c.moments[i];
			const struct plain *p = &plain[i];
			same = m->t_ms == p->t_ms && m->since_ms == p->since_ms &&
			    m->series == p->series && m->made == p->made &&
			    rows_are(&c, m, p, k, limit);
		}
		store_card_cut_release(&c);
	}
	return same;
}

static void plain_expire(int64_t t_ms)
{
	unsigned old = 0;
	while (old < plain_count && plain[old].t_ms < t_ms)
		old++;
	plain_count -= old;
	memmove(plain, plain + old, plain_count * sizeof(plain[0]));
}

/* As after a restart: what was counted begins anew. */
static struct cardhist *again(struct cardhist *h)
{
	struct buf b;
	buf_init(&b);
	cardhist_encode(h, &b);
	struct cardhist *other = cardhist_create(MANY);
	tap_ok(!cardhist_decode(other, b.data, b.len), "an image is read");
	tap_ok(is_plain(other, CARDHIST_TOP), "and says what was there");
	struct buf two;
	buf_init(&two);
	cardhist_encode(other, &two);
	tap_ok(cardhist_moments(other) == cardhist_moments(h) && two.len == b.len,
	    "of %zu moments, %zu bytes, %zu in memory", cardhist_moments(h), b.len,
	    cardhist_bytes(h));
	buf_release(&two);
	buf_release(&b);
	cardhist_free(h);
	return other;
}

static void random_histories(void)
{
	for (unsigned round = 0; round < 6; round++) {
		struct cardhist *h = cardhist_create(MANY);
		int64_t t_ms = T0;
		bool same = true;
		plain_count = 0;
		made_total = made_told = 0;
		told = false;
		begun_ms = T0 - MIN_MS;
		for (unsigned i = 0; i < 150; i++) {
			struct cardhist_new n;
			/* Now and then the clock is set back, or stands. */
			t_ms += rnd(12) ? 5 * MIN_MS + rnd(1000) : -(int64_t)rnd(40) * MIN_MS;
			plain_add(t_ms, &n);
			cardhist_add(h, &n);
			if (!rnd(10)) {
				int64_t old_ms = t_ms - 300 * MIN_MS;
				plain_expire(old_ms);
				cardhist_expire(h, old_ms);
			}
			same &= is_plain(h, 1 + rnd(CARDHIST_TOP));
			if (i % 50 != 49)
				continue;
			h = again(h);
			begun_ms = t_ms + MIN_MS;
			made_total = made_told = 0;
			told = false;
		}
		tap_ok(
		    same, "history %u is what the plain list is, after each of its moments", round);
		cardhist_free(h);
	}
}

/* ---- questions ---- */

static void add(struct cardhist *h, uint32_t tenant, int64_t t_ms, const char *name, uint64_t value)
{
	static struct store_top t;
	snprintf(t.name, sizeof(t.name), "%s", name);
	t.value = value;
	struct cardhist_new n = { .tenant = tenant,
		.t_ms = t_ms,
		.series = value,
		.made = value,
		.begun_ms = T0,
		.tops = { &t, &t, &t, &t },
		.counts = { 1, 1, 1, 1 } };
	cardhist_add(h, &n);
}

static void pieces(void)
{
	struct cardhist *h = cardhist_create(MANY);
	struct store_card_cut c;
	for (unsigned i = 1; i <= 12; i++)
		add(h, 1, T0 + i * 5 * MIN_MS, "a", 10 * i);
	cardhist_cut(h, 1, STORE_CARD_METRIC, T0, T0 + 31 * MIN_MS, 15 * MIN_MS, 5, &c);
	/* of 5 and 10; of 15, 20 and 25; of 30 */
	tap_ok(c.moments_count == 3 && c.moments[0].t_ms == T0 + 10 * MIN_MS &&
	        c.moments[1].t_ms == T0 + 25 * MIN_MS && c.moments[2].t_ms == T0 + 30 * MIN_MS,
	    "the last moment of each piece of the range stands for it");
	tap_ok(c.moments[0].made == 20 && c.moments[1].made == 30 && c.moments[2].made == 10 &&
	        c.moments[1].since_ms == T0 + 10 * MIN_MS,
	    "with the new series of all of it");
	tap_ok(c.names_count == 1 && !strcmp(c.texts, "a"), "a name stands once");
	store_card_cut_release(&c);
	cardhist_cut(h, 2, STORE_CARD_METRIC, INT64_MIN, INT64_MAX, 0, 5, &c);
	tap_ok(!c.moments_count, "another tenant has none of it");
	store_card_cut_release(&c);
	int64_t t_ms;
	tap_ok(cardhist_near(h, 1, T0 + 22 * MIN_MS, 30 * MIN_MS, &t_ms) && t_ms == T0 + 20 * MIN_MS &&
	        !cardhist_near(h, 1, T0 - 30 * MIN_MS, 30 * MIN_MS, &t_ms),
	    "the nearest is found, or none near");
	cardhist_free(h);
}

/* ---- what it holds ---- */

static uint64_t made_of(const struct cardhist *h, uint32_t tenant, struct store_card_cut *c)
{
	uint64_t made = 0;
	cardhist_cut(h, tenant, STORE_CARD_METRIC, INT64_MIN, INT64_MAX, 0, CARDHIST_TOP, c);
	for (uint32_t i = 0; i < c->moments_count; i++)
		made += c->moments[i].made;
	return made;
}

/* Each moment has 4 * 64 names that no other has: some 20 KB. */
static void add_names(struct cardhist *h, uint32_t tenant, unsigned i)
{
	static struct store_top tops[STORE_CARD_KINDS][CARDHIST_TOP];
	struct cardhist_new n = { .tenant = tenant,
		.t_ms = T0 + i * 5 * MIN_MS,
		.series = i,
		.made = i * UINT64_C(100),
		.begun_ms = T0 };
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
		for (unsigned r = 0; r < CARDHIST_TOP; r++) {
			snprintf(tops[k][r].name, sizeof(tops[k][r].name),
			    "name_that_is_as_long_as_they_are_%u_%u_%u", k, i, r);
			tops[k][r].value = 1000 - r;
		}
		n.tops[k] = tops[k];
		n.counts[k] = CARDHIST_TOP;
	}
	cardhist_add(h, &n);
}

/* So many tenants that a moment of each is too much. */
static void too_many(void)
{
	struct cardhist *h = cardhist_create(2u << 20);
	static uint32_t tenants[CARDHIST_TENANTS];
	size_t most = 0;
	for (uint32_t tenant = 0; tenant < 400; tenant++) {
		add_names(h, tenant, 1 + tenant / 100);
		most = cardhist_bytes(h) > most ? cardhist_bytes(h) : most;
	}
	uint32_t left = cardhist_lives(h, tenants);
	bool has_last = false;
	uint32_t old = 0;
	for (uint32_t i = 0; i < left; i++) {
		has_last |= tenants[i] == 399;
		old += tenants[i] < 300;
	}
	tap_ok(most <= 2u << 20, "all together hold what they may: %zu", most);
	tap_ok(left - old == 100 && has_last && old < 50,
	    "of tenants those counted last are left: %" PRIu32 ", %" PRIu32 " older", left, old);
	cardhist_free(h);
}

static void bounds(void)
{
	struct cardhist *h = cardhist_create(3u << 20);
	struct store_card_cut c;
	size_t most = 0;
	for (unsigned i = 1; i <= 288; i++) {
		add_names(h, 1, i);
		most = cardhist_bytes(h) > most ? cardhist_bytes(h) : most;
	}
	tap_ok(most <= CARDHIST_TENANT_BYTES && most > CARDHIST_TENANT_BYTES / 2,
	    "a tenant holds %zu bytes at most", most);
	tap_ok(made_of(h, 1, &c) == 28800, "new series are told of, whatever moments went");
	int64_t gap = 0, gap_min = INT64_MAX;
	for (uint32_t i = 1; i < c.moments_count; i++) {
		int64_t g = c.moments[i].t_ms - c.moments[i - 1].t_ms;
		gap = g > gap ? g : gap;
		gap_min = g < gap_min ? g : gap_min;
	}
	tap_ok(c.moments_count > 25 && c.moments[0].t_ms == T0 + 5 * MIN_MS &&
	        c.moments[c.moments_count - 1].t_ms == T0 + 288 * 5 * MIN_MS && gap <= 80 * MIN_MS,
	    "%u moments of the whole day are left, %lld to %lld minutes apart", c.moments_count,
	    (long long)(gap_min / MIN_MS), (long long)(gap / MIN_MS));
	store_card_cut_release(&c);
	for (uint32_t tenant = 2; tenant < 30; tenant++)
		for (unsigned i = 1; i <= 20; i++)
			add_names(h, tenant, i);
	tap_ok(cardhist_bytes(h) <= 3u << 20, "all together hold what they may: %zu",
	    cardhist_bytes(h));
	bool fair = true;
	for (uint32_t tenant = 1; tenant < 30; tenant++) {
		fair &= made_of(h, tenant, &c) > 0 && c.moments_count >= 2;
		store_card_cut_release(&c);
	}
	tap_ok(fair, "and each still has some");
	cardhist_expire(h, INT64_MAX);
	tap_ok(!cardhist_bytes(h) && !cardhist_moments(h), "what is old goes, to the last byte");
	for (uint32_t tenant = 0; tenant < CARDHIST_TENANTS + 5; tenant++)
		add(h, tenant, T0 + tenant, "x", 1);
	int64_t t_ms;
	tap_ok(cardhist_moments(h) == CARDHIST_TENANTS && !cardhist_near(h, 4, T0, MIN_MS, &t_ms) &&
	        cardhist_near(h, 5, T0, MIN_MS, &t_ms),
	    "of too many tenants the one that was counted longest ago makes room");
	cardhist_free(h);
	h = cardhist_create(MANY);
	for (unsigned i = 1; i <= 500; i++)
		add(h, 1, T0 + i * MIN_MS, "x", 3);
	tap_ok(cardhist_moments(h) == CARDHIST_MOMENTS && cardhist_bytes(h) < 60000,
	    "quiet moments take %zu bytes each", cardhist_bytes(h) / CARDHIST_MOMENTS);
	cardhist_free(h);
}

/* ---- damage ---- */

static void damage(void)
{
	struct cardhist *h = cardhist_create(MANY);
	struct buf b;
	for (unsigned i = 1; i < 5; i++)
		add(h, i, T0 + i, i % 2 ? "a" : "b", i);
	buf_init(&b);
	cardhist_encode(h, &b);
	struct cardhist *other = cardhist_create(MANY);
	bool noticed = true;
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 0x10;
		noticed &=
		    cardhist_decode(other, b.data, b.len) == ERR_DAMAGED && !cardhist_bytes(other);
		b.data[i] ^= 0x10;
	}
	for (size_t len = 0; len < b.len; len++)
		noticed &= cardhist_decode(other, b.data, len) == ERR_DAMAGED;
	tap_ok(noticed, "any bit and any end is noticed, and nothing of it is taken");
	/* The checksum is right, and what stands there is not. */
	bool sane = true;
	for (size_t i = 8; i < b.len - 4; i++)
		for (unsigned v = 0; v < 256; v += 15) {
			struct buf x;
			buf_init(&x);
			buf_add(&x, b.data, b.len - 4);
			x.data[i] = (uint8_t)v;
			wire_put_u32(&x, crc32c(0, x.data, x.len));
			if (cardhist_decode(other, x.data, x.len))
				sane &= !cardhist_bytes(other);
			cardhist_expire(other, INT64_MAX);
			sane &= !cardhist_bytes(other);
			buf_release(&x);
		}
	tap_ok(sane, "nor does other nonsense leave anything behind");
	tap_ok(cardhist_decode(other, (const uint8_t *)"KYMOCAR1________", 16) == ERR_UNSUPPORTED &&
	        cardhist_decode(other, (const uint8_t *)"KYMOCAR4________", 16) == ERR_UNSUPPORTED,
	    "a former and a later format have an error of their own");
	tap_ok(!cardhist_decode(other, b.data, b.len) && cardhist_moments(other) == 4,
	    "the image itself is fine");
	cardhist_free(other);
	cardhist_free(h);
	buf_release(&b);
}

/* ---- what is deleted ---- */

static bool has_three(void *arg, const char *text, size_t len)
{
	(void)arg;
	return len && text[len - 1] == '3';
}

struct seen {
	unsigned names, threes;
};
static void name_seen(void *arg, const char *text, size_t len)
{
	struct seen *s = arg;
	s->names++;
	s->threes += has_three(NULL, text, len);
}

/* Rows of three in ten names leave the plain list, too. */
static unsigned plain_forget(void)
{
	unsigned rows = 0;
	for (unsigned i = 0; i < plain_count; i++)
		for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
			struct plain *m = &plain[i];
			unsigned left = 0;
			for (unsigned r = 0; r < m->counts[k]; r++)
				if (!has_three(NULL, m->tops[k][r].name, strlen(m->tops[k][r].name)))
					m->tops[k][left++] = m->tops[k][r];
			rows += m->counts[k] - left;
			m->counts[k] = left;
		}
	return rows;
}

/* As is_plain, where `below` is that of before. */
static bool rows_left_are(const struct cardhist *h, const uint64_t *below)
{
	bool same = true;
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
		struct store_card_cut c;
		cardhist_cut(
		    h, 7, (enum store_card_kind)k, INT64_MIN, INT64_MAX, 0, CARDHIST_TOP, &c);
		same &= c.moments_count == plain_count;
		for (unsigned i = 0; same && i < plain_count; i++) {
			const struct store_card_moment *m = &c.moments[i];
			const struct plain *p = &plain[i];
			same = m->rows_count == p->counts[k] && m->series == p->series &&
			    m->made == p->made && m->below == below[i * STORE_CARD_KINDS + k];
			for (unsigned r = 0; same && r < m->rows_count; r++)
				same = !strcmp(c.texts + c.names[c.rows[m->rows_at + r].name],
				           p->tops[k][r].name) &&
				    c.rows[m->rows_at + r].value == p->tops[k][r].value;
		}
		store_card_cut_release(&c);
	}
	return same;
}

static bool holds(const struct cardhist *h, const char *text)
{
	struct buf b;
	buf_init(&b);
	cardhist_encode(h, &b);
	bool has = memmem(b.data, b.len, text, strlen(text));
	buf_release(&b);
	return has;
}

static void forgotten(void)
{
	struct cardhist *h = cardhist_create(MANY);
	static uint64_t below[ALL * STORE_CARD_KINDS];
	struct seen seen = { 0 };
	plain_count = 0;
	made_total = made_told = 0;
	told = false;
	begun_ms = T0 - MIN_MS;
	for (unsigned i = 0; i < 100; i++) {
		struct cardhist_new n;
		plain_add(T0 + i * 5 * MIN_MS, &n);
		cardhist_add(h, &n);
	}
	add(h, 8, T0, "other3", 1);
	for (unsigned i = 0; i < plain_count; i++)
		for (unsigned k = 0; k < STORE_CARD_KINDS; k++)
			below[i * STORE_CARD_KINDS + k] = plain[i].counts[k] == CARDHIST_TOP
			    ? plain[i].tops[k][CARDHIST_TOP - 1].value
			    : 0;
	size_t bytes = cardhist_bytes(h);
	cardhist_names(h, 7, name_seen, &seen);
	uint32_t went = cardhist_forget(h, 7, has_three, NULL);
	tap_ok(plain_forget() && went && went == seen.threes && seen.names > went,
	    "of %u names %" PRIu32 " go", seen.names, went);
	tap_ok(rows_left_are(h, below) && cardhist_bytes(h) < bytes,
	    "and all else stays: sums, the rows of others, what is below");
	seen = (struct seen){ 0 };
	cardhist_names(h, 7, name_seen, &seen);
	tap_ok(!seen.threes && seen.names, "%u are left, none of those", seen.names);
	struct cardhist *other = cardhist_create(MANY);
	struct buf b;
	buf_init(&b);
	cardhist_encode(h, &b);
	tap_ok(!cardhist_decode(other, b.data, b.len) && rows_left_are(other, below),
	    "an image says the same");
	buf_release(&b);
	cardhist_free(other);
	tap_ok(holds(h, "other3"), "another tenant's name is no matter");
	tap_ok(cardhist_forget(h, 8, has_three, NULL) == 1 && !holds(h, "other3"),
	    "until it is asked for");
	struct cardhist_new n;
	plain_add(T0 + 101 * 5 * MIN_MS, &n);
	cardhist_add(h, &n);
	struct store_card_cut c;
	cardhist_cut(h, 7, STORE_CARD_METRIC, INT64_MIN, INT64_MAX, 0, CARDHIST_TOP, &c);
	tap_ok(
	    rows_are(&c, &c.moments[c.moments_count - 1], &plain[plain_count - 1], 0, CARDHIST_TOP),
	    "what comes later stands as it came");
	store_card_cut_release(&c);
	cardhist_free(h);
}

/* ---- the format before ---- */

static void former(void)
{
	struct cardhist *h = cardhist_create(MANY);
	struct store_card_cut c;
	struct buf b;
	buf_init(&b);
	buf_add_str(&b, "KYMOCAR2");
	wire_put_u32(&b, 1);
	wire_put_u32(&b, 7);
	wire_put_varint(&b, CARDHIST_TOP);
	for (unsigned i = 0; i < CARDHIST_TOP; i++) {
		char name[16];
		int len = snprintf(name, sizeof(name), "m%u", i);
		wire_put_lenbytes(&b, name, (size_t)len);
	}
	wire_put_varint(&b, 1);
	wire_put_u64(&b, (uint64_t)T0);
	wire_put_u64(&b, (uint64_t)T0);
	wire_put_varint(&b, 1000);
	wire_put_varint(&b, 3);
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
		struct buf list;
		buf_init(&list);
		for (unsigned i = 0; i < (k ? k : CARDHIST_TOP); i++) {
			wire_put_varint(&list, i);
			wire_put_varint(&list, i ? 1 : 500);
		}
		wire_put_varint(&b, list.len + 1);
		buf_add(&b, list.data, list.len);
		buf_release(&list);
	}
	wire_put_u32(&b, crc32c(0, b.data, b.len));
	tap_ok(!cardhist_decode(h, b.data, b.len) && cardhist_moments(h) == 1, "it is read");
	cardhist_cut(h, 7, STORE_CARD_METRIC, T0, T0, 0, CARDHIST_TOP, &c);
	tap_ok(c.rows_count == CARDHIST_TOP && c.moments[0].below == 500 - CARDHIST_TOP + 1 &&
	        c.moments[0].series == 1000 && !strcmp(c.texts + c.names[c.rows[9].name], "m9"),
	    "a full list says what is below it");
	store_card_cut_release(&c);
	cardhist_cut(h, 7, STORE_CARD_PAIR, T0, T0, 0, CARDHIST_TOP, &c);
	tap_ok(c.rows_count == 2 && c.rows[1].value == 499 && !c.moments[0].below, "another one 0");
	store_card_cut_release(&c);
	buf_release(&b);
	cardhist_free(h);
}

int main(void)
{
	forgotten();
	former();
	random_histories();
	pieces();
	bounds();
	too_many();
	damage();
	return tap_done();
}
