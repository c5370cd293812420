/*
 * Sets of deletions: random ones joined against a plain list of all that was ever deleted, by each
 * question that is asked of them; their files, whole, damaged in either copy and in both.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "storage/cfile/tombs.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define IDS   60
#define SETS  40
#define MOST  400
#define TIMES 100

static uint64_t rng = 0x9e3779b97f4a7c15u;
static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

struct fact { /* one deletion of one id */
	uint32_t id;
	struct tomb_cut cut;
};
static struct fact facts[MOST];
static size_t facts_count;

static bool plain_hides(uint32_t id, uint64_t rank, int64_t t)
{
	for (size_t i = 0; i < facts_count; i++) {
		const struct fact *f = &facts[i];
		if (f->id == id && (f->cut.rank > rank || tomb_cut_is_whole(&f->cut)) &&
		    t >= f->cut.t_min_ms && t <= f->cut.t_max_ms)
			return true;
	}
	return false;
}

static bool plain_drops(uint32_t id, uint64_t number, int64_t t)
{
	for (size_t i = 0; i < facts_count; i++) {
		const struct fact *f = &facts[i];
		if (f->id == id && (f->cut.number >= number || tomb_cut_is_whole(&f->cut)) &&
		    t >= f->cut.t_min_ms && t <= f->cut.t_max_ms)
			return true;
	}
	return false;
}

static unsigned compare_rows(
    const struct tombs *set, uint32_t id, uint64_t rank, size_t n, const struct tomb_entry *e)
{
	struct column c = { 0 };
	unsigned bad = 0, at = 2;
	column_reserve(&c, TIMES + 2);
	for (int i = 0; i < TIMES + 2; i++) { /* rows before `from` are none of its business */
		c.t_ms[i] = i < 2 ? i - 2 : i - 2;
		c.v[i] = i;
	}
	c.count = TIMES + 2;
	tombs_cut(set, e, n, rank, &c, 2);
	for (int64_t t = 0; t < TIMES; t++) {
		bool stays = at < c.count && c.t_ms[at] == t;
		bad += stays == plain_hides(id, rank, t) || (stays && c.v[at] != (double)(t + 2));
		at += stays;
	}
	bad += at != c.count;
	column_release(&c);
	return bad;
}

static unsigned compare(const struct tombs *set, uint64_t ranks)
{
	struct tombs_seek seek = { 0 };
	unsigned bad = 0;
	for (unsigned k = 0; k < 200; k++) {
		uint32_t id = k < IDS ? k : rnd(IDS + 3);
		uint64_t rank = rnd((uint32_t)ranks + 2);
		const struct tomb_entry *e = NULL;
		size_t n = tombs_of(set, &seek, id, &e);
		bool all = true, some = false;
		for (int64_t t = 0; t < TIMES; t++) {
			bool hidden = plain_hides(id, rank, t);
			bad += tombs_hides(set, id, rank, t) != hidden;
			bad += tombs_drops(set, id, rank, t) != plain_drops(id, rank, t);
			all &= hidden;
			some |= hidden;
		}
		enum tombs_cover cover = tombs_cover(set, e, n, rank, 0, TIMES - 1);
		bad += cover != (all ? TOMBS_ALL : some ? TOMBS_SOME : TOMBS_NONE);
		bad += tombs_dead(set, id) != (plain_hides(id, UINT64_MAX, INT64_MIN));
		bad += compare_rows(set, id, rank, n, e);
	}
	return bad;
}

/* One more deletion of some ids, with one or two numbers. */
static struct tombs *delete_some(const struct tombs *set, uint64_t rank, uint64_t *number)
{
	struct tomb_entry more[IDS];
	struct tomb_cut cuts[2];
	size_t n = 0;
	bool whole = rnd(6) == 0;
	int64_t from = rnd(TIMES), to = from + rnd(30);
	for (unsigned i = 0; i < 2; i++) {
		*number += rnd(3);
		cuts[i] = (struct tomb_cut){ .rank = rank,
			.number = *number,
			.t_min_ms = whole || rnd(9) == 0 ? INT64_MIN : from,
			.t_max_ms = whole ? INT64_MAX : to };
	}
	cuts[1].t_min_ms = cuts[0].t_min_ms;
	unsigned half = rnd(IDS);
	for (uint32_t id = rnd(5); id < IDS && facts_count < MOST; id += 1 + rnd(25)) {
		if (tombs_dead(set, id))
			continue;
		more[n] = (struct tomb_entry){ .id = id, .cut = id > half };
		facts[facts_count++] = (struct fact){ .id = id, .cut = cuts[more[n].cut] };
		n++;
	}
	return tombs_make(set, cuts, 2, more, n, NULL, NULL);
}

static bool keep_young(void *arg, const struct tomb_cut *c)
{
	return c->rank > *(const uint64_t *)arg;
}

static void facts_drop(uint64_t rank)
{
	size_t kept = 0;
	for (size_t i = 0; i < facts_count; i++)
		if (facts[i].cut.rank > rank)
			facts[kept++] = facts[i];
	facts_count = kept;
}

static void sets(unsigned seed)
{
	struct tombs *set = NULL;
	uint64_t number = 0;
	unsigned bad = 0;
	size_t most = 0;
	rng += seed;
	facts_count = 0;
	for (uint64_t rank = 1; rank <= SETS && !bad; rank++) {
		struct tombs *next = delete_some(set, rank, &number);
		tombs_unpin(set);
		set = next;
		bad += compare(set, rank);
		most = set && set->count > most ? set->count : most;
		if (rnd(15) == 0) {
			uint64_t old = rank - rnd(5);
			/* what a later one covered went with it: only all of an id may go */
			next = tombs_make(set, NULL, 0, NULL, 0, keep_young, &old);
			tombs_unpin(set);
			set = next;
			facts_drop(old);
			bad += compare(set, rank);
		}
	}
	tap_ok(!bad, "random deletions %u: as a plain list (%zu entries)", seed, most);
	tombs_unpin(set);
}

static bool same(const struct tombs *a, const struct tombs *b)
{
	return a && b && a->count == b->count && a->cuts_count == b->cuts_count &&
	    !memcmp(a->entries, b->entries, a->count * sizeof(*a->entries)) &&
	    !memcmp(a->cuts, b->cuts, a->cuts_count * sizeof(*a->cuts)) &&
	    a->rank_max == b->rank_max && a->number_max == b->number_max && a->partial == b->partial;
}

static void in_files(void)
{
	char *path = testlib_tmpdir("tombs");
	struct fsio_dir *d;
	struct tombs *set = NULL, *back = NULL;
	uint64_t number = 0, bytes, entries;
	struct errbuf eb;
	errbuf_init(&eb);
	CHECK(fsio_dir_open(path, false, &d) == ERR_OK);
	facts_count = 0;
	for (uint64_t rank = 1; rank < 12; rank++) {
		struct tombs *next = delete_some(set, rank, &number);
		tombs_unpin(set);
		set = next;
	}
	char name[TOMBS_NAME_MAX];
	uint64_t rank = 0;
	tombs_name(11, name);
	tap_ok(tombs_name_parse(name, &rank) && rank == 11 &&
	        !tombs_name_parse("deleted-1.ktb", &rank) && !tombs_name_parse("x", &rank),
	    "a name tells its rank: %s", name);
	TAP_OK(tombs_write(d, name, set, 5, 0, &bytes, &entries) == ERR_OK && entries == set->count);
	TAP_OK(tombs_load(d, name, 5, &back, &eb) == ERR_OK);
	tap_ok(same(set, back), "a set comes back from its file");
	tombs_unpin(back);
	TAP_OK(tombs_load(d, name, 6, &back, &eb) == ERR_NOTFOUND);
	TAP_OK(tombs_load(d, "deleted-none", 5, &back, &eb) == ERR_NOTFOUND);

	uint8_t *data;
	size_t len;
	CHECK(fsio_load(d, name, 1 << 20, &data, &len) == ERR_OK);
	unsigned lost = 0, wrong = 0, shown = 0;
	for (size_t i = 0; i < len; i++) { /* a flipped bit costs one copy */
		data[i] ^= (uint8_t)(1u << i % 8);
		enum err e = tombs_decode(data, len, 5, &back, &eb);
		lost += e != ERR_OK;
		if (!e) {
			wrong += !same(set, back);
			tombs_unpin(back);
		}
		data[i] ^= (uint8_t)(1u << i % 8);
	}
	TAP_OK(tombs_verify(d, name, 5, &eb) == ERR_OK &&
	    tombs_verify(d, name, 6, &eb) == ERR_NOTFOUND);
	struct fsio_file *io;
	CHECK(!fsio_open(d, name, FSIO_WRITE, &io));
	data[len - 9] ^= 1;
	CHECK(!fsio_write_at(io, data, len, 0));
	TAP_OK(tombs_verify(d, name, 5, &eb) == ERR_DAMAGED);
	data[len - 9] ^= 1;
	CHECK(!fsio_write_at(io, data, len, 0));
	fsio_close(io);
	tap_ok(!lost && !wrong, "a flipped bit anywhere loses nothing (%zu bytes)", len);
	for (size_t i = 0; i < len / 2; i++) { /* in both */
		data[i] ^= 16;
		data[len / 2 + (i * 7) % (len / 2)] ^= 16;
		shown += tombs_decode(data, len, 5, &back, &eb) != ERR_DAMAGED;
		data[i] ^= 16;
		data[len / 2 + (i * 7) % (len / 2)] ^= 16;
	}
	for (size_t cut = 0; cut < len; cut++)
		shown += tombs_decode(data, cut, 5, &back, &eb) != ERR_DAMAGED;
	tap_ok(!shown, "damage of both copies is seen, and so is an end that was cut off");
	mem_free(data);

	/* the younger part alone, as a second file has it; joined it is the whole */
	struct tombs *old = NULL, *young = NULL, *all = NULL;
	uint64_t above = 6;
	char other[TOMBS_NAME_MAX];
	tombs_name(12, other);
	TAP_OK(tombs_write(d, other, set, 5, above, &bytes, &entries) == ERR_OK &&
	    entries < set->count);
	TAP_OK(tombs_load(d, other, 5, &young, &eb) == ERR_OK);
	TAP_OK(tombs_load(d, name, 5, &old, &eb) == ERR_OK);
	all = tombs_make(
	    old, young->cuts, young->cuts_count, young->entries, young->count, NULL, NULL);
	tap_ok(all && all->count == set->count && !compare(all, 12),
	    "what two files have in common counts once");
	tombs_unpin(all);
	tombs_unpin(young);
	tombs_unpin(old);
	tombs_unpin(set);
	fsio_dir_close(d);
	testlib_rmtree(path);
	free(path);
}

int main(void)
{
	for (unsigned seed = 1; seed <= 20; seed++)
		sets(seed);
	in_files();
	return tap_done();
}
