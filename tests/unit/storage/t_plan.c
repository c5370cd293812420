/*
 * Which files are merged: by hand, and random histories in which every plan must be legal (the
 * newest wins whatever was merged), come to an end, and write few bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "storage/compact/plan.h"
#include "tests/lib/tap.h"

#define HR    INT64_C(3600000)
#define DAY   (24 * HR)
#define QUIET (3600 * UINT64_C(1000000000))
#define BASE  (2000 * 10 * DAY)

static uint64_t rng = 11;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

static struct plan_limits limits_of(int64_t retention_ms)
{
	struct plan_limits l = { .size_max = UINT64_MAX, .inputs_max = PLAN_INPUTS_MAX };
	plan_widths(&l, retention_ms);
	return l;
}

static void widths(void)
{
	static const struct {
		int64_t days;
		unsigned count;
		int64_t top_hours;
	} want[] = { { 1, 1, 2 }, { 4, 1, 2 }, { 5, 2, 12 }, { 10, 3, 24 }, { 15, 3, 24 },
		{ 30, 3, 48 }, { 99, 3, 48 }, { 100, 4, 240 }, { 3650, 4, 240 } };
	for (size_t i = 0; i < COUNT_OF(want); i++) {
		struct plan_limits l = limits_of(want[i].days * DAY);
		bool divide = true;
		for (unsigned k = 1; k < l.widths_count; k++)
			divide = divide && l.widths_ms[k] % l.widths_ms[k - 1] == 0;
		tap_ok(l.widths_count == want[i].count && divide &&
		        l.widths_ms[l.widths_count - 1] == want[i].top_hours * HR,
		    "%lld days: %u widths, up to %lld hours", (long long)want[i].days,
		    l.widths_count, (long long)(l.widths_ms[l.widths_count - 1] / HR));
	}
	TAP_OK(plan_bucket(-1, 2 * HR) == -2 * HR && plan_bucket(-2 * HR, 2 * HR) == -2 * HR &&
	    plan_bucket(2 * HR - 1, 2 * HR) == 0 && plan_bucket(INT64_MIN, 2 * HR) == INT64_MIN);
}

/* The bucket that a round chooses for a range, against looking at all ranges one by one. */
static void rounds(void)
{
	struct plan_limits l = limits_of(200 * DAY);
	unsigned wide = 0, bad = 0;
	for (unsigned n = 0; n < 2000; n++) {
		int64_t ranges[40], end_ms, closed_ms = BASE + (int64_t)rnd(500) * HR;
		size_t count = 0, at = rnd(20);
		for (; count < 40 && at < 240; at += 1 + rnd(n % 2 ? 3 : 60))
			ranges[count++] = BASE + (int64_t)at * 2 * HR;
		int64_t start = ranges[rnd((uint32_t)count)], want = start, want_end = start + 2 * HR;
		int64_t got = plan_round(&l, closed_ms, ranges, count, start, &end_ms);
		for (unsigned i = 1; i < l.widths_count; i++) {
			int64_t from = plan_bucket(start, l.widths_ms[i]), in = 0;
			for (size_t k = 0; k < count; k++)
				in += ranges[k] >= from && ranges[k] < from + l.widths_ms[i];
			if (in < 2 || from + l.widths_ms[i] > closed_ms)
				continue;
			want = from;
			want_end = from + l.widths_ms[i];
		}
		bad += got != want || end_ms != want_end;
		wide += want_end - want > 2 * HR;
		for (size_t k = 0; k < count; k++) /* all ranges in it have the same */
			if (ranges[k] >= got && ranges[k] < end_ms)
				bad += plan_round(&l, closed_ms, ranges, count, ranges[k],
				           &want_end) != got;
	}
	tap_ok(!bad && wide > 200 && wide < 1900, "buckets of rounds: %u wide, %u wrong", wide, bad);
}

/* ---- by hand ---- */

static struct plan_merge out;

/* A file of two hours, sealed and quiet, `hour` after BASE. */
static struct plan_file file(int64_t hour, int64_t hours, uint64_t rank, uint64_t bytes)
{
	return (struct plan_file){ .start_ms = BASE + hour * HR,
		.end_ms = BASE + (hour + hours) * HR,
		.rank = rank,
		.size_bytes = bytes,
		.sealed = true,
		.ref = (uint32_t)rank };
}

static bool next(struct plan_file *f, size_t count, const struct plan_clock *c)
{
	struct plan_limits l = limits_of(30 * DAY);
	struct plan_file copy[64];
	memcpy(copy, f, count * sizeof(*f));
	return plan_next(&l, c, copy, count, &out);
}

static void one_range(void)
{
	struct plan_clock c = { .closed_ms = BASE + HR, .now_ns = 10 * QUIET, .quiet_ns = QUIET };
	struct plan_file f[32];
	f[0] = file(0, 2, 1, 100);
	tap_ok(!next(f, 1, &c), "a sealed file alone stays");
	f[0].sealed = false;
	tap_ok(!next(f, 1, &c), "a round's file of an open range stays");
	c.closed_ms = BASE + 2 * HR;
	tap_ok(next(f, 1, &c) && out.count == 1 && out.refs[0] == 1,
	    "when its range has closed it is sealed");
	f[0].added_ns = c.now_ns - QUIET + 5;
	tap_ok(
	    !next(f, 1, &c) && out.again_ns == c.now_ns + 5, "not before it was quiet for so long");
	c.silent = true;
	tap_ok(next(f, 1, &c), "nor when all is silent");
	c.silent = false;
	c.force = true;
	tap_ok(next(f, 1, &c), "nor by force");
	c.closed_ms = BASE;
	tap_ok(next(f, 1, &c), "which open ranges obey, too");
	c.force = false;
	for (unsigned i = 0; i < 24; i++)
		f[i] = file(0, 2, 10 + i, 100);
	tap_ok(!next(f, 23, &c) && next(f, 24, &c) && out.count == 24,
	    "very many files of an open range are merged");
	c.closed_ms = BASE + 2 * HR;
	f[0] = file(0, 2, 1, 300);
	f[1] = file(0, 2, 2, 100);
	f[2] = file(0, 2, 3, 100);
	tap_ok(next(f, 3, &c) && out.count == 2 && out.refs[0] == 2 && out.refs[1] == 3,
	    "a large old file stays below what is smaller");
	f[2].size_bytes = 200;
	tap_ok(next(f, 3, &c) && out.count == 3, "until that weighs as much");
	f[0].worn = true;
	f[1].size_bytes = f[2].size_bytes = 1;
	tap_ok(next(f, 3, &c) && out.count == 2, "what is worn waits for others");
	tap_ok(next(f, 1, &c) && out.count == 1, "else it is written again alone");
}

static void walls(void)
{
	struct plan_clock c = { .closed_ms = BASE + 2 * HR, .now_ns = 10 * QUIET, .quiet_ns = QUIET };
	struct plan_file f[8];
	for (unsigned i = 0; i < 5; i++)
		f[i] = file(0, 2, 1 + i, 100);
	f[2].state = PLAN_FIXED;
	tap_ok(next(f, 5, &c) && out.count == 2 && out.refs[0] == 4 && out.refs[1] == 5,
	    "no merge goes over a file that stays: what is younger");
	tap_ok(next(f, 3, &c) && out.count == 2 && out.refs[0] == 1 && out.refs[1] == 2,
	    "... and what is older");
	f[2].state = PLAN_SOON;
	tap_ok(!next(f, 5, &c) && out.soon, "a range waits for the catalog");
	f[2] = file(-24, 48, 3, 1000);
	tap_ok(next(f, 5, &c) && out.refs[0] == 4 && out.count == 2,
	    "nor over a wide file that overlaps");
	f[2].end_ms = BASE;
	tap_ok(next(f, 5, &c) && out.count == 4, "one beside it is none of its business");
}

static void wider(void)
{
	struct plan_clock c = { .closed_ms = BASE + 12 * HR, .now_ns = 10 * QUIET, .quiet_ns = QUIET };
	struct plan_limits l = limits_of(30 * DAY);
	struct plan_file f[40];
	for (unsigned i = 0; i < 24; i++) {
		f[i] = file(2 * i, 2, 100 - i, 100 + i % 3);
		f[i].sealed = i % 2;
	}
	tap_ok(next(f, 24, &c) && out.count == 6 && out.start_ms == BASE &&
	        out.end_ms == BASE + 12 * HR,
	    "half a day that has closed becomes one file");
	c.closed_ms = BASE + 48 * HR;
	tap_ok(next(f, 24, &c) && out.count == 24 && out.end_ms == BASE + 48 * HR,
	    "two days that have closed are merged at once, whatever is in them");
	l.size_max = 1000;
	tap_ok(plan_next(&l, &c, f, 24, &out) && out.size_bytes <= 1000 && out.count == 9,
	    "within the size that a file may have");
	l.inputs_max = 4;
	tap_ok(plan_next(&l, &c, f, 24, &out) && out.count == 4, "and the number of inputs");
	f[0] = file(0, 48, 200, 2400);
	for (unsigned i = 1; i < 10; i++)
		f[i] = file(2 * i, 2, 200 + i, 10);
	tap_ok(next(f, 10, &c) && out.count == 9 && out.start_ms == BASE + 2 * HR &&
	        out.end_ms == BASE + 20 * HR,
	    "late data of many ranges is put together above the days it belongs to");
}

/* ---- random histories ---- */

#define SLOTS 240u /* of two hours: 20 days */
#define MODEL 4096u

struct model {
	struct plan_file f;
	uint32_t slots[SLOTS]; /* version of the newest sample there, 0 = none */
};
static struct model *files;
static size_t files_count;
static uint64_t written, merges;
static unsigned newest_version[SLOTS];

static void add_round(uint64_t rank, unsigned from, unsigned to, unsigned step, uint64_t now_ns)
{
	for (unsigned s = from; s < to && files_count < MODEL; s += step) {
		struct model *m = &files[files_count++];
		memset(m, 0, sizeof(*m));
		m->f = file(2 * s, 2, rank, 50 + rnd(100));
		m->f.sealed = false;
		m->f.added_ns = now_ns;
		m->slots[s] = newest_version[s] = (unsigned)rank;
		written += m->f.size_bytes;
	}
}

/* Reads as a cursor does: of the files that have a slot the highest rank wins. */
static unsigned wrong_slots(void)
{
	unsigned wrong = 0;
	for (unsigned s = 0; s < SLOTS; s++) {
		uint64_t rank = 0;
		unsigned version = 0;
		for (size_t i = 0; i < files_count; i++) {
			if (files[i].slots[s] && files[i].f.rank >= rank) {
				rank = files[i].f.rank;
				version = files[i].slots[s];
			}
		}
		wrong += version != newest_version[s];
	}
	return wrong;
}

/* (1), by its words. */
static bool is_legal(const struct plan_merge *m, uint64_t rank)
{
	for (uint32_t k = 0; k < m->count; k++) {
		const struct plan_file *in = &files[m->refs[k]].f;
		for (size_t i = 0; i < files_count; i++) {
			const struct plan_file *f = &files[i].f;
			bool input = false;
			for (uint32_t j = 0; j < m->count; j++)
				input |= m->refs[j] == i;
			if (!input && f->start_ms < in->end_ms && f->end_ms > in->start_ms &&
			    f->rank > in->rank && f->rank <= rank)
				return false;
		}
		if (in->state != PLAN_FREE)
			return false;
	}
	return true;
}

static bool apply(const struct plan_merge *m)
{
	struct model made = { .f = { .sealed = true, .start_ms = INT64_MAX, .end_ms = INT64_MIN } };
	for (uint32_t k = 0; k < m->count; k++) {
		struct model *in = &files[m->refs[k]];
		made.f.start_ms = in->f.start_ms < made.f.start_ms ? in->f.start_ms : made.f.start_ms;
		made.f.end_ms = in->f.end_ms > made.f.end_ms ? in->f.end_ms : made.f.end_ms;
		made.f.rank = in->f.rank > made.f.rank ? in->f.rank : made.f.rank;
		made.f.size_bytes += in->f.size_bytes;
	}
	if (!is_legal(m, made.f.rank) || made.f.start_ms != m->start_ms || made.f.end_ms != m->end_ms)
		return false;
	for (unsigned s = 0; s < SLOTS; s++) {
		uint64_t rank = 0;
		for (uint32_t k = 0; k < m->count; k++) {
			const struct model *in = &files[m->refs[k]];
			if (in->slots[s] && in->f.rank >= rank) {
				rank = in->f.rank;
				made.slots[s] = in->slots[s];
			}
		}
	}
	for (uint32_t k = 0; k < m->count; k++)
		files[m->refs[k]].f.rank = 0;
	size_t kept = 0;
	for (size_t i = 0; i < files_count; i++)
		if (files[i].f.rank)
			files[kept++] = files[i];
	files_count = kept;
	files[files_count++] = made;
	written += made.f.size_bytes;
	merges++;
	return true;
}

/* Merges until nothing is due; false: an illegal plan, or no end. */
static bool merge_all(const struct plan_limits *l, const struct plan_clock *c, unsigned fixed_of)
{
	static struct plan_file in[MODEL];
	for (unsigned n = 0; n < 100000; n++) {
		for (size_t i = 0; i < files_count; i++) {
			files[i].f.ref = (uint32_t)i;
			files[i].f.state = fixed_of && rnd(fixed_of) == 0 ? PLAN_FIXED : PLAN_FREE;
			in[i] = files[i].f;
		}
		if (!plan_next(l, c, in, files_count, &out)) {
			if (!fixed_of)
				return true;
			fixed_of = 0; /* what stayed goes on */
			continue;
		}
		if (out.count > l->inputs_max || (out.count > 1 && out.size_bytes > l->size_max) ||
		    !apply(&out))
			return false;
	}
	return false;
}

static void begin(void)
{
	files_count = 0;
	written = merges = 0;
	memset(newest_version, 0, sizeof(newest_version));
}

static uint64_t bytes_there(void)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < files_count; i++)
		sum += files[i].f.size_bytes;
	return sum;
}

static void random_histories(unsigned count)
{
	unsigned illegal = 0, wrong = 0;
	for (unsigned h = 0; h < count; h++) {
		struct plan_limits l = limits_of((int64_t[]){ 2, 12, 30, 365 }[rnd(4)] * DAY);
		if (rnd(3) == 0)
			l.size_max = 500 + rnd(5000);
		if (rnd(3) == 0)
			l.inputs_max = 2 + rnd(20);
		begin();
		uint64_t now_ns = 10 * QUIET;
		for (uint64_t rank = 1; rank < 60; rank++) {
			unsigned from = rnd(SLOTS), to = from + 1 + rnd(rnd(2) ? 4 : 40);
			add_round(rank, from, to < SLOTS ? to : SLOTS, 1 + rnd(3), now_ns);
			now_ns += QUIET / (1 + rnd(8));
			struct plan_clock c = { .now_ns = now_ns,
				.quiet_ns = QUIET,
				.closed_ms = BASE + rnd(SLOTS) * 2 * HR,
				.silent = rnd(10) == 0,
				.force = rnd(5) == 0 };
			if (rnd(2))
				illegal += !merge_all(&l, &c, rnd(3) ? 0 : 2 + rnd(10));
			wrong += wrong_slots();
			if (rnd(20) == 0) /* another retention */
				plan_widths(&l, (int64_t[]){ 2, 12, 30, 365 }[rnd(4)] * DAY);
		}
	}
	tap_ok(!illegal && !wrong,
	    "%u random histories: %u illegal or endless plans, %u ranges in which an older one wins",
	    count, illegal, wrong);
}

/* n rounds into the same ranges, merged after each. */
static void same_ranges(unsigned rounds, unsigned ranges, double most)
{
	struct plan_limits l = limits_of(30 * DAY);
	struct plan_clock c = { .closed_ms = INT64_MAX, .quiet_ns = QUIET };
	bool good = true;
	begin();
	for (uint64_t rank = 1; rank <= rounds; rank++) {
		c.now_ns = 10 * QUIET + rank * 2 * QUIET;
		add_round(rank, 0, ranges, 1, c.now_ns - QUIET);
		good = good && merge_all(&l, &c, 0);
	}
	double times = (double)written / (double)bytes_there();
	tap_ok(good && !wrong_slots() && times <= most && files_count <= 8 * (1 + ranges / 24),
	    "%u rounds into %u ranges: %.1fx of the final bytes in %zu files (at most %.0fx)",
	    rounds, ranges, times, files_count, most);
}

/* Days of history, one after another, each in some rounds. */
static void days(bool newest_first, double most)
{
	struct plan_limits l = limits_of(30 * DAY);
	struct plan_clock c = { .closed_ms = INT64_MAX, .quiet_ns = QUIET };
	uint64_t rank = 1;
	bool good = true;
	begin();
	for (unsigned d = 0; d < SLOTS / 12; d++) {
		unsigned day = newest_first ? SLOTS / 12 - 1 - d : d;
		for (unsigned k = 0; k < 4; k++)
			add_round(rank++, day * 12, day * 12 + 12, 1, c.now_ns);
		c.now_ns += 2 * QUIET;
		good = good && merge_all(&l, &c, 0);
	}
	double times = (double)written / (double)bytes_there();
	tap_ok(good && !wrong_slots() && times <= most && files_count <= SLOTS / 24 + 2,
	    "days loaded %s first: %.1fx of the final bytes in %zu files",
	    newest_first ? "newest" : "oldest", times, files_count);
}

/* A shard as time goes on: a round each ten minutes. */
static void live(int64_t retention_ms, double most, size_t files_most)
{
	struct plan_limits l = limits_of(retention_ms);
	struct plan_clock c = { .quiet_ns = QUIET };
	uint64_t rank = 1;
	bool good = true;
	size_t high = 0;
	begin();
	for (unsigned s = 0; s < SLOTS; s++) {
		for (unsigned k = 0; k < 12; k++) {
			c.now_ns += QUIET / 6;
			c.closed_ms = BASE + s * 2 * HR + k * HR / 6 - HR;
			add_round(rank++, s, s + 1, 1, c.now_ns);
			good = good && merge_all(&l, &c, 0);
			high = files_count > high ? files_count : high;
		}
	}
	double times = (double)written / (double)bytes_there();
	tap_ok(good && !wrong_slots() && times <= most && high <= files_most,
	    "20 days live, retention of %lld days: %.1fx of the final bytes, at most %zu files",
	    (long long)(retention_ms / DAY), times, high);
}

int main(void)
{
	files = calloc(MODEL + 1, sizeof(*files));
	widths();
	rounds();
	one_range();
	walls();
	wider();
	random_histories(120);
	same_ranges(40, 20, 9);
	same_ranges(1, 20, 2);
	same_ranges(160, 3, 11);
	days(true, 4);
	days(false, 4);
	live(30 * DAY, 4.2, 45);
	live(365 * DAY, 5.2, 45);
	free(files);
	return tap_done();
}
