/*
 * The directory of ids in metric order, and runs of ids in id order: how they are written, indexed,
 * searched.
 */
#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/cfile/cfile_priv.h"

#define SEEK_MORE 0x80000000u /* beside a unit: more follow; units are fewer than 2^31 */
STATIC(CFILE_SEEK_IDS == CFILE_STEP);

/* ---- runs, in id order ---- */

struct cfile_runs cfile_runs(const uint8_t *p, size_t len, uint32_t first_id)
{
	return (struct cfile_runs){
		.r = wire_reader(p, len), .first = first_id, .last = 0, .more = true
	};
}

bool cfile_runs_next(struct cfile_runs *it)
{
	if (!it->more || it->r.bad)
		return false;
	uint64_t v = wire_varint(&it->r);
	it->last = it->first + (v >> 1);
	it->more = v & 1;
	if (it->r.bad || v >> 1 > UINT32_MAX || it->last > UINT32_MAX) {
		it->r.bad = true;
		return false;
	}
	return true;
}

bool cfile_runs_skip(struct cfile_runs *it)
{
	if (!it->more || it->r.bad)
		return false;
	uint64_t gap = wire_varint(&it->r);
	if (gap == 0 || gap > UINT32_MAX)
		it->r.bad = true;
	it->first = it->last + 1 + gap;
	return !it->r.bad && it->first <= UINT32_MAX;
}

void cfile_runs_put(struct buf *out, const uint32_t *ids, size_t count)
{
	size_t i = 0;
	while (i < count) {
		size_t j = i + 1;
		while (j < count && ids[j] - ids[j - 1] <= 1)
			j++;
		wire_put_varint(out, (uint64_t)(ids[j - 1] - ids[i]) << 1 | (j < count));
		if (j < count)
			wire_put_varint(out, ids[j] - ids[j - 1] - 1);
		i = j;
	}
}

/* ---- ids to units, in metric order ---- */

static int by_id_unit(const void *a, const void *b)
{
	const struct cfile_id_unit *x = a, *y = b;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x->unit > y->unit) - (x->unit < y->unit);
}

/* Units of the id at i: distinct and neighbours, or as far as they are. *next: the id behind it. */
static uint32_t units_of(const struct cfile_id_unit *pairs, size_t count, size_t i, size_t *next)
{
	uint32_t more = 0;
	size_t j = i + 1;
	for (; j < count && pairs[j].id == pairs[i].id; j++) {
		uint32_t ahead = pairs[j].unit - pairs[i].unit;
		more = ahead > more ? ahead : more;
	}
	*next = j;
	return more;
}

void cfile_ids_put(struct buf *out, struct cfile_id_unit *pairs, size_t count)
{
	size_t ids = 0;
	if (count)
		qsort(pairs, count, sizeof(*pairs), by_id_unit);
	for (size_t i = 0; i < count; i++)
		ids += i == 0 || pairs[i].id != pairs[i - 1].id;
	wire_put_varint(out, ids);
	uint64_t expected = 0, unit = 0;
	for (size_t i = 0, next; i < count; i = next) {
		uint32_t more = units_of(pairs, count, i, &next);
		bool gap = pairs[i].id != expected;
		wire_put_varint(out,
		    wire_zigzag_of(pairs[i].unit - unit) << 2 | (uint64_t)(more > 0) << 1 | gap);
		if (gap)
			wire_put_varint(out, pairs[i].id - expected);
		if (more)
			wire_put_varint(out, more);
		expected = (uint64_t)pairs[i].id + 1;
		unit = pairs[i].unit;
	}
}

/* One entry; it->id is that of the one before, or UINT32_MAX in front of the first. */
bool cfile_ids_next(struct cfile_ids_iter *it)
{
	if (!it->left)
		return false;
	uint64_t c = wire_varint(&it->r);
	uint64_t id = it->begun ? (uint64_t)it->id + 1 : 0;
	if (c & 1)
		id += wire_varint(&it->r);
	uint64_t more = c & 2 ? wire_varint(&it->r) : 0;
	if (it->r.bad || id > UINT32_MAX || more > UINT32_MAX) {
		it->left = 0;
		it->r.bad = true;
		return false;
	}
	it->id = (uint32_t)id;
	it->unit = (uint32_t)(it->unit + wire_unzigzag(c >> 2));
	it->more = (uint32_t)more;
	it->begun = true;
	it->left--;
	return true;
}

struct cfile_ids_iter cfile_ids_iter(const struct cfile_ids *ids)
{
	return (struct cfile_ids_iter){ .r = wire_reader(ids->p, ids->len), .left = ids->count };
}

bool cfile_ids_index(struct cfile_ids *ids)
{
	struct cfile_ids_iter it = cfile_ids_iter(ids);
	/* a byte at least for each id */
	if (ids->count > ids->len)
		return false;
	ids->steps = mem_array(NULL, ids->count / CFILE_STEP + 1, sizeof(*ids->steps));
	ids->steps_count = 0;
	for (uint32_t i = 0; i < ids->count; i++) {
		struct cfile_step step = {
			.unit = it.unit, .id_before = it.id, .off = (uint32_t)(it.r.p - ids->p)
		};
		if (!cfile_ids_next(&it) || it.unit >= ids->units || it.more >= ids->units - it.unit)
			return false;
		step.id = it.id;
		if (i % CFILE_STEP == 0)
			ids->steps[ids->steps_count++] = step;
	}
	return wire_left(&it.r) == 0;
}

void cfile_ids_release(struct cfile_ids *ids)
{
	mem_free(ids->steps);
	*ids = (struct cfile_ids){ 0 };
}

static inline bool next_fast(struct cfile_ids_iter *it)
{
	/* a byte, the id behind the one before, one unit: nearly all are so */
	if (UNLIKELY(!it->begun || !it->left || it->r.p == it->r.end || *it->r.p & 0x83))
		return cfile_ids_next(it);
	unsigned c = *it->r.p++ >> 2;
	it->unit += (c >> 1) ^ (0 - (c & 1));
	it->id++;
	it->left--;
	it->more = 0;
	return true;
}

/* The first step behind an id. */
static uint32_t step_behind(const struct cfile_ids *ids, uint32_t id)
{
	uint32_t lo = 0, hi = ids->steps_count;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (ids->steps[mid].id <= id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t cfile_ids_find(const struct cfile_ids *ids, uint32_t id, uint32_t *unit)
{
	uint32_t lo = step_behind(ids, id);
	if (lo == 0)
		return 0;
	const struct cfile_step *s = &ids->steps[lo - 1];
	uint32_t before = (lo - 1) * CFILE_STEP, left = ids->count - before;
	struct cfile_ids_iter it = { .r = wire_reader(ids->p + s->off, ids->len - s->off),
		.left = left < CFILE_STEP ? left : CFILE_STEP,
		.id = s->id_before,
		.unit = s->unit,
		.begun = before > 0 };
	bool found = false;
	while (!found && next_fast(&it))
		found = it.id >= id;
	if (!found || it.id != id)
		return 0;
	*unit = it.unit;
	return it.more + 1;
}

/* Place of the step in which an id would stand, from what the last look knows. */
static void seek_step(const struct cfile_ids *ids, struct cfile_seek *s, uint32_t id)
{
	uint32_t at = s->_step;
	if (at && ids->steps[at - 1].id <= id) {
		if (at == ids->steps_count || ids->steps[at].id > id)
			return;
		if (at + 1 == ids->steps_count || ids->steps[at + 1].id > id) {
			s->_step = at + 1;
			s->_count = 0;
			return;
		}
	}
	s->_step = step_behind(ids, id);
	s->_count = 0;
}

/* Decodes ids of the step up to the one that is asked for. */
static void seek_read(const struct cfile_ids *ids, struct cfile_seek *s, uint32_t id)
{
	uint32_t n = s->_count, before = (s->_step - 1) * CFILE_STEP, left = ids->count - before;
	left = left < CFILE_STEP ? left : CFILE_STEP;
	if (n == left || (n && s->_ids[n - 1] >= id))
		return;
	const struct cfile_step *st = &ids->steps[s->_step - 1];
	uint32_t off = n ? s->_off : st->off;
	struct cfile_ids_iter it = { .r = wire_reader(ids->p + off, ids->len - off),
		.left = left - n,
		.id = n ? s->_ids[n - 1] : st->id_before,
		.unit = n ? s->_units[n - 1] & ~SEEK_MORE : st->unit,
		.begun = before + n > 0 };
	while (next_fast(&it)) {
		s->_ids[n] = it.id;
		s->_units[n++] = it.unit | (it.more ? SEEK_MORE : 0);
		if (it.id >= id)
			break;
	}
	s->_off = (uint32_t)(it.r.p - ids->p);
	s->_count = n;
}

uint32_t cfile_ids_seek(const struct cfile_ids *ids, struct cfile_seek *s, uint32_t id, uint32_t *unit)
{
	seek_step(ids, s, id);
	if (!s->_step)
		return 0;
	seek_read(ids, s, id);
	if (UNLIKELY(!s->_count))
		return 0;
	uint32_t lo = 0, hi = s->_count, guess = id - s->_ids[0];
	if (guess < hi && s->_ids[guess] == id)
		lo = hi = guess;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (s->_ids[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == s->_count || s->_ids[lo] != id)
		return 0;
	if (UNLIKELY(s->_units[lo] & SEEK_MORE))
		return cfile_ids_find(ids, id, unit);
	*unit = s->_units[lo];
	return 1;
}
