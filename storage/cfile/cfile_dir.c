/*
 * The directory of a cfile: read and unpacked on a worker, kept by core/base/memo, searched by id.
 */
#include <stdlib.h>
#include <zstd.h>

#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/cfile/cfile_priv.h"

struct cfile_ref *cfile_list_push(struct cfile_list *l, const struct cfile_ref *ref)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->refs = mem_array(l->refs, l->cap, sizeof(*l->refs));
	}
	l->refs[l->count] = *ref;
	return &l->refs[l->count++];
}

void cfile_dir_clear(struct cfile_dir *d)
{
	mem_free(d->units.refs);
	mem_free(d->opaque.refs);
	mem_free(d->blocks.refs);
	mem_free(d->times.refs);
	mem_free(d->raw);
	cfile_ids_release(&d->ids);
	*d = (struct cfile_dir){ .stats = { .t_min_ms = INT64_MAX, .t_max_ms = INT64_MIN } };
}

void cfile_dir_free(void *dir)
{
	cfile_dir_clear(dir);
	mem_free(dir);
}

size_t cfile_dir_bytes(const struct cfile_dir *d)
{
	uint64_t refs = (uint64_t)d->units.cap + d->opaque.cap + d->blocks.cap + d->times.cap;
	return sizeof(*d) + refs * sizeof(struct cfile_ref) + d->raw_len +
	    d->ids.steps_count * sizeof(struct cfile_step);
}

bool cfile_dir_salvaged(const struct cfile_dir *d)
{
	return d->salvaged;
}

void cfile_dir_id_max(struct cfile_dir *d)
{
	const struct cfile_list *lists[] = { &d->units, &d->blocks };
	for (size_t i = 0; i < COUNT_OF(lists); i++)
		for (uint32_t k = 0; k < lists[i]->count; k++) {
			uint32_t id = lists[i]->refs[k].last_id;
			d->id_max = id > d->id_max ? id : d->id_max;
			d->any_id = true;
		}
}

/* ---- parsing ---- */

struct parser {
	struct cfile_dir *dir;
	struct wire_reader r;
	uint64_t end, limit; /* of the piece before; of all */
	uint64_t id;         /* of the piece before */
};

static bool place_read(struct parser *p, struct cfile_ref *ref)
{
	uint64_t distance = wire_varint(&p->r), len = wire_varint(&p->r);
	if (p->r.bad || distance > p->limit || len <= CFILE_UNIT_HEAD ||
	    len > CFILE_UNIT_HEAD + CFILE_UNIT_RAW_MAX)
		return false;
	*ref = (struct cfile_ref){ .off = p->end + distance, .len = (uint32_t)len };
	if (ref->off > p->limit || p->limit - ref->off < len)
		return false;
	p->end = ref->off + len;
	return true;
}

static bool first_read(struct parser *p, struct cfile_ref *ref)
{
	uint64_t id = p->id + wire_unzigzag(wire_varint(&p->r));
	if (p->r.bad || id > UINT32_MAX)
		return false;
	ref->first_id = ref->last_id = (uint32_t)id;
	return true;
}

/* The runs of a unit. */
static bool runs_read(struct parser *p, struct cfile_ref *ref)
{
	ref->runs = (uint32_t)(p->r.p - p->dir->raw);
	struct cfile_runs it = cfile_runs(p->r.p, wire_left(&p->r), ref->first_id);
	do {
		if (!cfile_runs_next(&it))
			return false;
	} while (cfile_runs_skip(&it));
	if (it.r.bad || it.more)
		return false;
	ref->last_id = (uint32_t)it.last;
	p->r.p = it.r.p;
	return true;
}

static bool units_read(struct parser *p, struct cfile_list *l, uint64_t count, bool with_ids)
{
	p->end = CFILE_HEADER;
	p->id = 0;
	for (uint64_t i = 0; i < count; i++) {
		struct cfile_ref ref;
		if (!place_read(p, &ref))
			return false;
		if (with_ids) {
			if (!first_read(p, &ref) || !runs_read(p, &ref) ||
			    (i && ref.first_id < p->id))
				return false;
			p->id = ref.last_id;
		}
		cfile_list_push(l, &ref);
	}
	return true;
}

static bool blocks_read(struct parser *p, uint64_t count)
{
	p->end = CFILE_HEADER;
	p->id = 0;
	for (uint64_t i = 0; i < count; i++) {
		struct cfile_ref ref;
		if (!place_read(p, &ref) || !first_read(p, &ref))
			return false;
		uint64_t span = wire_varint(&p->r);
		if (p->r.bad || span > UINT32_MAX - ref.first_id)
			return false;
		ref.last_id = ref.first_id + (uint32_t)span;
		if (i && !p->dir->metric && ref.first_id <= p->dir->blocks.refs[i - 1].last_id)
			return false;
		p->id = ref.first_id;
		cfile_list_push(&p->dir->blocks, &ref);
	}
	return true;
}

static bool times_read(struct parser *p, uint64_t count)
{
	uint64_t column = 0, bytes = 0;
	p->end = CFILE_HEADER;
	for (uint64_t i = 0; i < count; i++) {
		struct cfile_ref ref;
		if (!place_read(p, &ref))
			return false;
		uint64_t columns = wire_varint(&p->r);
		if (p->r.bad || columns == 0 || columns > CFILE_TIMES_MAX ||
		    column + columns > UINT32_MAX || bytes > UINT32_MAX)
			return false;
		ref.first_id = (uint32_t)column;
		column += columns;
		ref.last_id = (uint32_t)column - 1;
		ref.runs = (uint32_t)bytes; /* of its copy, from the first one's place on */
		bytes += ref.len;
		cfile_list_push(&p->dir->times, &ref);
	}
	uint64_t copy = p->dir->times_copy = wire_varint(&p->r);
	return !p->r.bad && copy <= p->limit && (!copy || bytes <= p->limit - copy);
}

static bool ids_read(struct parser *p)
{
	struct cfile_ids *ids = &p->dir->ids;
	uint64_t count = wire_varint(&p->r);
	if (p->r.bad || count > wire_left(&p->r))
		return false;
	ids->count = (uint32_t)count;
	ids->units = p->dir->units.count;
	ids->p = p->r.p;
	ids->len = wire_left(&p->r);
	return cfile_ids_index(ids);
}

bool cfile_dir_parse(struct cfile_dir *d, uint64_t limit)
{
	struct parser p = { .dir = d, .r = wire_reader(d->raw, d->raw_len), .limit = limit };
	uint64_t units = wire_varint(&p.r), opaque = wire_varint(&p.r), blocks = wire_varint(&p.r),
	         times = wire_varint(&p.r);
	return !p.r.bad && units_read(&p, &d->units, units, !d->metric) &&
	    units_read(&p, &d->opaque, opaque, true) && blocks_read(&p, blocks) &&
	    times_read(&p, times) && (d->metric ? ids_read(&p) : wire_left(&p.r) == 0);
}

/* ---- loading ---- */

/* The bytes of the directory, unpacked, into d->raw. */
static enum err raw_load(struct cfile *f, struct cfile_dir *d)
{
	uint8_t *p = mem_try(f->dir_len ? f->dir_len : 1);
	if (!p)
		return ERR_NOMEM;
	enum err e = fdcache_read_at(f->io, p, f->dir_len, f->dir_off);
	if (e == ERR_TRUNCATED)
		e = ERR_DAMAGED;
	if (!e && f->dir_crc != crc32c(cfile_seed(f->header_crc, f->dir_off), p, f->dir_len))
		e = ERR_DAMAGED;
	if (e || !f->dir_raw_len) {
		d->raw = p;
		d->raw_len = f->dir_len;
		return e;
	}
	d->raw = mem_try(f->dir_raw_len);
	d->raw_len = f->dir_raw_len;
	if (!d->raw) {
		e = ERR_NOMEM;
	} else {
		size_t got = ZSTD_decompress(d->raw, d->raw_len, p, f->dir_len);
		if (ZSTD_isError(got) || got != d->raw_len)
			e = ERR_DAMAGED;
	}
	mem_free(p);
	return e;
}

enum err cfile_dir_read(struct cfile *f, struct cfile_dir *d)
{
	if (f->salvaged)
		return ERR_DAMAGED;
	d->metric = (f->meta.flags & CFILE_METRIC) != 0;
	enum err e = raw_load(f, d);
	if (e)
		return e;
	bool good =
	    f->version == 1 ? cfile_v1_dir_parse(d, f->dir_off) : cfile_dir_parse(d, f->dir_off);
	if (good && f->version > 1)
		good = d->units.count == f->stats.units && d->blocks.count == f->stats.blocks;
	return good ? ERR_OK : ERR_DAMAGED;
}

enum err cfile_dir_load(struct cfile *f, const struct cfile_dir **out)
{
	*out = memo_pin(&f->dir);
	if (*out)
		return ERR_OK;
	struct cfile_dir *d = mem_zalloc(sizeof(*d));
	cfile_dir_clear(d);
	enum err e = cfile_dir_read(f, d);
	if (e == ERR_DAMAGED) {
		cfile_dir_clear(d);
		d->metric = (f->meta.flags & CFILE_METRIC) != 0;
		e = cfile_salvage(f, d);
	}
	if (e) {
		cfile_dir_free(d);
		return e;
	}
	*out = memo_put(&f->dir, d, cfile_dir_bytes(d));
	return ERR_OK;
}

const struct cfile_dir *cfile_dir_pin(struct cfile *f)
{
	return memo_pin(&f->dir);
}

void cfile_dir_unpin(struct cfile *f)
{
	memo_unpin(&f->dir);
}

/* ---- finding ---- */

static bool unit_has(const struct cfile_dir *d, const struct cfile_ref *ref, uint32_t id)
{
	struct cfile_runs it = cfile_runs(d->raw + ref->runs, d->raw_len - ref->runs, ref->first_id);
	do {
		if (!cfile_runs_next(&it) || id < it.first)
			return false;
		if (id <= it.last)
			return true;
	} while (cfile_runs_skip(&it));
	return false;
}

static struct cfile_extent extent_of(const struct cfile_list *l, uint32_t i, uint32_t number)
{
	return (struct cfile_extent){ l->refs[i].off, l->refs[i].len, number };
}

struct cfile_extent cfile_unit_extent(const struct cfile_dir *d, uint32_t i)
{
	CHECK(i < d->units.count);
	return extent_of(&d->units, i, i);
}

/* Among units in id order; their numbers begin at base. */
static size_t find_in_order(const struct cfile_dir *d, const struct cfile_list *l, uint32_t base,
    uint32_t id, struct cfile_extent *out, size_t max)
{
	uint32_t lo = 0, hi = l->count;
	while (lo < hi) { /* the first unit whose last id is not below id */
		uint32_t mid = lo + (hi - lo) / 2;
		if (l->refs[mid].last_id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	size_t found = 0;
	for (; lo < l->count && l->refs[lo].first_id <= id; lo++) {
		if (!unit_has(d, &l->refs[lo], id))
			continue;
		if (found < max)
			out[found] = extent_of(l, lo, base + lo);
		found++;
	}
	return found;
}

/* The unit that had the last id, or the next one, when this one stands in no other one. */
static bool near_in_order(const struct cfile_dir *d, struct cfile_seek *s, uint32_t id)
{
	const struct cfile_list *l = &d->units;
	for (uint32_t i = s->_ref; i < l->count && i < s->_ref + 2; i++) {
		const struct cfile_ref *ref = &l->refs[i];
		if (id <= ref->first_id || id >= ref->last_id)
			continue;
		s->_ref = i;
		return unit_has(d, ref, id);
	}
	return false;
}

size_t cfile_find_near(const struct cfile_dir *d, struct cfile_seek *seek, uint32_t id,
    struct cfile_extent *out, size_t max)
{
	uint32_t unit = 0;
	if (d->metric) {
		uint32_t n = cfile_ids_seek(&d->ids, seek, id, &unit);
		for (uint32_t i = 0; i < n && i < max; i++)
			out[i] = cfile_unit_extent(d, unit + i);
		return n;
	}
	if (max && near_in_order(d, seek, id)) {
		out[0] = cfile_unit_extent(d, seek->_ref);
		return 1;
	}
	size_t n = find_in_order(d, &d->units, 0, id, out, max);
	if (n && max)
		seek->_ref = out[0].unit;
	return n;
}

size_t cfile_find(const struct cfile_dir *d, uint32_t id, struct cfile_extent *out, size_t max)
{
	if (!d->metric)
		return find_in_order(d, &d->units, 0, id, out, max);
	uint32_t unit = 0, n = cfile_ids_find(&d->ids, id, &unit);
	for (uint32_t i = 0; i < n && i < max; i++)
		out[i] = cfile_unit_extent(d, unit + i);
	return n;
}

size_t cfile_find_opaque(const struct cfile_dir *d, uint32_t id, struct cfile_extent *out, size_t max)
{
	return find_in_order(d, &d->opaque, d->units.count, id, out, max);
}

bool cfile_dir_has(const struct cfile_dir *d, uint32_t id)
{
	return cfile_find(d, id, NULL, 0) > 0;
}

bool cfile_times_extent(
    const struct cfile_dir *d, uint32_t column, unsigned copy, struct cfile_extent *out)
{
	const struct cfile_list *l = &d->times;
	uint32_t lo = 0, hi = l->count;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (l->refs[mid].last_id < column)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == l->count || l->refs[lo].first_id > column || (copy && !d->times_copy))
		return false;
	*out = extent_of(l, lo, CFILE_NUMBER_TIMES | (copy ? CFILE_NUMBER_COPY : 0) | lo);
	if (copy)
		out->off = d->times_copy + l->refs[lo].runs;
	return true;
}

uint32_t cfile_times_blocks(const struct cfile_dir *d)
{
	return d->times.count;
}

void cfile_times_nth(const struct cfile_dir *d, uint32_t i, struct cfile_extent *out)
{
	CHECK(i < d->times.count);
	*out = extent_of(&d->times, i, CFILE_NUMBER_TIMES | i);
}

/* ---- for those who may block ---- */

bool cfile_has(struct cfile *f, uint32_t id)
{
	const struct cfile_dir *d = NULL;
	if (cfile_dir_load(f, &d))
		return true;
	bool has = cfile_dir_has(d, id);
	cfile_dir_unpin(f);
	return has;
}

static void each_in_order(
    const struct cfile_dir *d, void (*fn)(void *arg, uint32_t first, uint32_t last), void *arg)
{
	uint64_t next = 0; /* a unit may go on with the last id of the one before */
	for (uint32_t i = 0; i < d->units.count; i++) {
		const struct cfile_ref *ref = &d->units.refs[i];
		struct cfile_runs it =
		    cfile_runs(d->raw + ref->runs, d->raw_len - ref->runs, ref->first_id);
		while (cfile_runs_next(&it)) {
			uint64_t first = it.first < next ? next : it.first;
			if (first <= it.last)
				fn(arg, (uint32_t)first, (uint32_t)it.last);
			next = it.last + 1;
			if (!cfile_runs_skip(&it))
				break;
		}
	}
}

static void each_id(
    const struct cfile_dir *d, void (*fn)(void *arg, uint32_t first, uint32_t last), void *arg)
{
	struct cfile_ids_iter it = cfile_ids_iter(&d->ids);
	if (!cfile_ids_next(&it))
		return;
	uint32_t first = it.id, last = it.id;
	while (cfile_ids_next(&it)) {
		if (it.id != last + 1) {
			fn(arg, first, last);
			first = it.id;
		}
		last = it.id;
	}
	fn(arg, first, last);
}

enum err cfile_each_run(
    struct cfile *f, void (*fn)(void *arg, uint32_t first, uint32_t last), void *arg)
{
	const struct cfile_dir *d = NULL;
	enum err e = cfile_dir_load(f, &d);
	if (e)
		return e;
	if (d->metric)
		each_id(d, fn, arg);
	else
		each_in_order(d, fn, arg);
	cfile_dir_unpin(f);
	return ERR_OK;
}

bool cfile_is_whole(struct cfile *f)
{
	uint8_t header[CFILE_HEADER];
	struct cfile_meta m;
	unsigned version;
	if (f->salvaged || fdcache_read_at(f->io, header, sizeof(header), 0) ||
	    cfile_header_get(header, &m, &version))
		return false;
	const struct cfile_dir *d = NULL;
	if (cfile_dir_load(f, &d))
		return false;
	bool whole = !d->salvaged;
	cfile_dir_unpin(f);
	return whole;
}
