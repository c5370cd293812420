#include "storage/cfile/tombs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/fdcache.h"
#include "core/base/hash.h"
#include "core/base/num.h"
#include "core/base/wire.h"

#define MAGIC        "KYMODEL1"
#define HEAD_BYTES   32u
#define CUT_BYTES    32u
#define CRC_BYTES    4u
#define COVER_PASSES 16u /* over the cuts of an id, on a loop */
#define NAME_FORM    "deleted-%020" PRIu64 TOMBS_SUFFIX

/* ---- making sets ---- */

static bool covers(const struct tomb_cut *later, const struct tomb_cut *c)
{
	return later->rank >= c->rank && later->number >= c->number &&
	    later->t_min_ms <= c->t_min_ms && later->t_max_ms >= c->t_max_ms;
}

static int by_cut(const void *a, const void *b, void *cuts)
{
	const struct tomb_cut *x = &((const struct tomb_cut *)cuts)[*(const uint32_t *)a];
	const struct tomb_cut *y = &((const struct tomb_cut *)cuts)[*(const uint32_t *)b];
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

struct making {
	struct tomb_cut *cuts; /* the old ones, behind them the new ones */
	uint32_t cuts_count, old_count;
	uint32_t *place; /* of each in the order of ranks; UINT32_MAX: it is not kept */
	struct tomb_entry *out;
	size_t count;
};

/* Cuts in the order of ranks. */
static void cuts_sort(struct making *m, bool (*keep)(void *arg, const struct tomb_cut *c), void *arg)
{
	uint32_t *order = mem_array(NULL, m->cuts_count + 1u, sizeof(*order));
	struct tomb_cut *sorted = mem_array(NULL, m->cuts_count + 1u, sizeof(*sorted));
	m->place = mem_array(NULL, m->cuts_count + 1u, sizeof(*m->place));
	for (uint32_t i = 0; i < m->cuts_count; i++)
		order[i] = i;
	if (m->cuts_count)
		qsort_r(order, m->cuts_count, sizeof(*order), by_cut, m->cuts);
	for (uint32_t i = 0; i < m->cuts_count; i++) {
		sorted[i] = m->cuts[order[i]];
		m->place[order[i]] = !keep || keep(arg, &sorted[i]) ? i : UINT32_MAX;
	}
	mem_free(order);
	mem_free(m->cuts);
	m->cuts = sorted;
}

static int by_place(const void *a, const void *b)
{
	const struct tomb_entry *x = a, *y = b;
	return (x->cut > y->cut) - (x->cut < y->cut);
}

/*
 * The entries from `from` on are of one id: those that a later one covers leave (4). Those before
 * mid were there before: none of them covers another, so one new one costs one look at each.
 */
static void id_close(struct making *m, size_t from, size_t mid)
{
	size_t kept = m->count, rivals = m->count;
	if (m->count - from < 2 || mid == m->count)
		return;
	qsort(m->out + mid, m->count - mid, sizeof(*m->out), by_place);
	if (mid > from && m->out[mid].cut < m->out[mid - 1].cut) { /* not all are younger */
		mid = from;
		qsort(m->out + mid, m->count - mid, sizeof(*m->out), by_place);
	}
	for (size_t i = m->count; i-- > from;) {
		bool covered = false;
		for (size_t k = rivals; k < m->count && !covered; k++)
			covered = covers(&m->cuts[m->out[k].cut], &m->cuts[m->out[i].cut]);
		if (!covered)
			m->out[--kept] = m->out[i];
		if (i >= mid)
			rivals = kept;
	}
	memmove(m->out + from, m->out + kept, (m->count - kept) * sizeof(*m->out));
	m->count -= kept - from;
}

static void entry_take(struct making *m, struct tomb_entry e, uint32_t first_cut)
{
	uint32_t place = m->place[first_cut + e.cut];
	if (place != UINT32_MAX)
		m->out[m->count++] = (struct tomb_entry){ .id = e.id, .cut = place };
}

static void entries_join(
    struct making *m, const struct tombs *old, const struct tomb_entry *more, size_t count)
{
	size_t a = 0, b = 0, old_count = old ? old->count : 0;
	while (a < old_count || b < count) {
		uint32_t id = a < old_count && (b == count || old->entries[a].id <= more[b].id)
		    ? old->entries[a].id
		    : more[b].id;
		size_t from = m->count;
		for (; a < old_count && old->entries[a].id == id; a++)
			entry_take(m, old->entries[a], 0);
		size_t mid = m->count;
		for (; b < count && more[b].id == id; b++)
			entry_take(m, more[b], m->old_count);
		id_close(m, from, mid);
	}
}

/* Cuts without an entry leave. */
static void cuts_pack(struct making *m)
{
	uint32_t kept = 0;
	uint32_t *at = mem_array(NULL, m->cuts_count + 1u, sizeof(*at));
	memset(at, 0, (m->cuts_count + 1u) * sizeof(*at));
	for (size_t i = 0; i < m->count; i++)
		at[m->out[i].cut] = 1;
	for (uint32_t i = 0; i < m->cuts_count; i++) {
		if (!at[i])
			continue;
		m->cuts[kept] = m->cuts[i];
		at[i] = kept++;
	}
	for (size_t i = 0; i < m->count; i++)
		m->out[i].cut = at[m->out[i].cut];
	m->cuts_count = kept;
	mem_free(at);
}

static void figures(struct tombs *t)
{
	t->t_min_ms = INT64_MAX;
	t->t_max_ms = INT64_MIN;
	for (uint32_t i = 0; i < t->cuts_count; i++) {
		const struct tomb_cut *c = &t->cuts[i];
		t->rank_max = c->rank > t->rank_max ? c->rank : t->rank_max;
		t->number_max = c->number > t->number_max ? c->number : t->number_max;
		t->t_min_ms = c->t_min_ms < t->t_min_ms ? c->t_min_ms : t->t_min_ms;
		t->t_max_ms = c->t_max_ms > t->t_max_ms ? c->t_max_ms : t->t_max_ms;
		t->partial |= !tomb_cut_is_whole(c);
	}
}

struct tombs *tombs_make(const struct tombs *old, const struct tomb_cut *cuts, uint32_t cuts_count,
    const struct tomb_entry *more, size_t count, bool (*keep)(void *arg, const struct tomb_cut *c),
    void *arg)
{
	uint32_t old_count = old ? old->cuts_count : 0;
	size_t all = (old ? old->count : 0) + count;
	struct making m = { .cuts_count = old_count + cuts_count, .old_count = old_count };
	m.cuts = mem_array(NULL, m.cuts_count + 1u, sizeof(*m.cuts));
	if (old_count)
		memcpy(m.cuts, old->cuts, old_count * sizeof(*m.cuts));
	if (cuts_count)
		memcpy(m.cuts + old_count, cuts, cuts_count * sizeof(*m.cuts));
	cuts_sort(&m, keep, arg);
	m.out = mem_array(NULL, all + 1, sizeof(*m.out));
	entries_join(&m, old, more, count);
	mem_free(m.place);
	if (!m.count) {
		mem_free(m.cuts);
		mem_free(m.out);
		return NULL;
	}
	cuts_pack(&m);
	struct tombs *t = mem_zalloc(sizeof(*t));
	*t = (struct tombs){ .pins = 1,
		.cuts = m.cuts,
		.cuts_count = m.cuts_count,
		.entries = mem_array(m.out, m.count, sizeof(*m.out)),
		.count = m.count };
	figures(t);
	return t;
}

void tombs_unpin(struct tombs *t)
{
	if (!t || --t->pins)
		return;
	mem_free(t->cuts);
	mem_free(t->entries);
	mem_free(t);
}

/* ---- asking ---- */

/* The first entry at or behind an id, in [lo, hi). */
static size_t place_of(const struct tombs *t, size_t lo, size_t hi, uint32_t id)
{
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (t->entries[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t tombs_of(
    const struct tombs *t, struct tombs_seek *seek, uint32_t id, const struct tomb_entry **first)
{
	if (!t)
		return 0;
	size_t lo = seek->at < t->count ? seek->at : 0, step = 1;
	if (lo && t->entries[lo - 1].id >= id)
		lo = 0;
	while (lo + step < t->count && t->entries[lo + step].id < id) {
		lo += step;
		step *= 2;
	}
	size_t hi = lo + step < t->count ? lo + step + 1 : t->count;
	lo = place_of(t, lo, hi, id);
	seek->at = lo;
	size_t n = 0;
	while (lo + n < t->count && t->entries[lo + n].id == id)
		n++;
	*first = t->entries + lo;
	return n;
}

static size_t of(const struct tombs *t, uint32_t id, const struct tomb_entry **first)
{
	struct tombs_seek seek = { 0 };
	return tombs_of(t, &seek, id, first);
}

/* A whole cut covers all others, unless it is older than they: ids do not come back. */
bool tombs_dead(const struct tombs *t, uint32_t id)
{
	const struct tomb_entry *e;
	size_t n = of(t, id, &e);
	for (size_t i = 0; i < n; i++)
		if (tomb_cut_is_whole(&t->cuts[e[i].cut]))
			return true;
	return false;
}

static bool in_cut(const struct tomb_cut *c, int64_t t_ms)
{
	return t_ms >= c->t_min_ms && t_ms <= c->t_max_ms;
}

bool tombs_hides(const struct tombs *t, uint32_t id, uint64_t rank, int64_t t_ms)
{
	const struct tomb_entry *e;
	size_t n = of(t, id, &e);
	for (size_t i = 0; i < n; i++) {
		const struct tomb_cut *c = &t->cuts[e[i].cut];
		if ((c->rank > rank && in_cut(c, t_ms)) || tomb_cut_is_whole(c))
			return true;
	}
	return false;
}

/* below: of the cuts below that rank alone */
static bool drops(
    const struct tombs *t, const uint64_t *below, uint32_t id, uint64_t number, int64_t t_ms)
{
	const struct tomb_entry *e;
	size_t n = of(t, id, &e);
	for (size_t i = 0; i < n; i++) {
		const struct tomb_cut *c = &t->cuts[e[i].cut];
		if ((!below || c->rank < *below) &&
		    ((c->number >= number && in_cut(c, t_ms)) || tomb_cut_is_whole(c)))
			return true;
	}
	return false;
}

bool tombs_drops(const struct tombs *t, uint32_t id, uint64_t number, int64_t t_ms)
{
	return drops(t, NULL, id, number, t_ms);
}

bool tombs_drops_below(
    const struct tombs *t, uint64_t rank, uint32_t id, uint64_t number, int64_t t_ms)
{
	return drops(t, &rank, id, number, t_ms);
}

static bool counts(const struct tomb_cut *c, uint64_t rank)
{
	return c->rank > rank || tomb_cut_is_whole(c);
}

enum tombs_cover tombs_cover(const struct tombs *t, const struct tomb_entry *e, size_t count,
    uint64_t rank, int64_t t_min_ms, int64_t t_max_ms)
{
	int64_t from = t_min_ms;
	bool some = false, more = true;
	/* what is hidden from `from` on, without a gap */
	for (unsigned pass = 0; more && pass < COVER_PASSES; pass++) {
		more = false;
		for (size_t i = 0; i < count; i++) {
			const struct tomb_cut *c = &t->cuts[e[i].cut];
			if (!counts(c, rank) || c->t_min_ms > t_max_ms || c->t_max_ms < t_min_ms)
				continue;
			some = true;
			if (!in_cut(c, from))
				continue;
			if (c->t_max_ms >= t_max_ms)
				return TOMBS_ALL;
			from = c->t_max_ms + 1;
			more = true;
		}
	}
	return some ? TOMBS_SOME : TOMBS_NONE;
}

static uint32_t row_of(const struct column *c, uint32_t lo, int64_t t_ms)
{
	uint32_t hi = c->count;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (c->t_ms[mid] < t_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void tombs_cut(const struct tombs *t, const struct tomb_entry *e, size_t count, uint64_t rank,
    struct column *c, uint32_t from)
{
	for (size_t i = 0; i < count && c->count > from; i++) {
		const struct tomb_cut *cut = &t->cuts[e[i].cut];
		if (!counts(cut, rank))
			continue;
		uint32_t lo = row_of(c, from, cut->t_min_ms);
		uint32_t hi =
		    cut->t_max_ms == INT64_MAX ? c->count : row_of(c, lo, cut->t_max_ms + 1);
		if (lo < hi) /* rows behind the hole take its place */
			column_keep(c, lo, hi - lo, c->count - hi);
	}
}

/* ---- files ---- */

void tombs_name(uint64_t rank, char out[TOMBS_NAME_MAX])
{
	(void)snprintf(out, TOMBS_NAME_MAX, NAME_FORM, rank);
}

bool tombs_name_parse(const char *name, uint64_t *rank)
{
	char again[TOMBS_NAME_MAX];
	const char *digits = strchr(name, '-');
	if (!digits || strlen(digits) < 21 || num_parse_u64(digits + 1, 20, rank))
		return false;
	tombs_name(*rank, again);
	return strcmp(again, name) == 0;
}

size_t tombs_encode(const struct tombs *t, uint32_t shard, uint64_t above, struct buf *out)
{
	size_t begin = out->len, n = 0, at;
	uint32_t first = 0, id = 0;
	while (first < t->cuts_count && t->cuts[first].rank <= above)
		first++;
	buf_add(out, MAGIC, strlen(MAGIC));
	wire_put_u32(out, shard);
	wire_put_u32(out, t->cuts_count - first);
	at = out->len;
	wire_put_u64(out, 0);
	wire_put_u64(out, 0);
	for (uint32_t i = first; i < t->cuts_count; i++) {
		wire_put_u64(out, t->cuts[i].rank);
		wire_put_u64(out, t->cuts[i].number);
		wire_put_u64(out, (uint64_t)t->cuts[i].t_min_ms);
		wire_put_u64(out, (uint64_t)t->cuts[i].t_max_ms);
	}
	size_t entries = out->len;
	for (size_t i = 0; i < t->count; i++) {
		if (t->entries[i].cut < first)
			continue;
		wire_put_varint(out, t->entries[i].id - id);
		wire_put_varint(out, t->entries[i].cut - first);
		id = t->entries[i].id;
		n++;
	}
	wire_store64(out->data + at, n);
	wire_store64(out->data + at + 8, out->len - entries);
	wire_put_u32(out, crc32c(0, out->data + begin, out->len - begin));
	return n;
}

static bool cuts_read(struct wire_reader *r, struct tomb_cut *cuts, uint32_t count)
{
	bool good = true;
	for (uint32_t i = 0; i < count; i++) {
		cuts[i].rank = wire_u64(r);
		cuts[i].number = wire_u64(r);
		cuts[i].t_min_ms = (int64_t)wire_u64(r);
		cuts[i].t_max_ms = (int64_t)wire_u64(r);
		good &= cuts[i].t_min_ms <= cuts[i].t_max_ms &&
		    (!i || cuts[i].rank >= cuts[i - 1].rank);
	}
	return good && !r->bad;
}

static bool entries_read(struct wire_reader *r, struct tomb_entry *e, size_t count, uint32_t cuts)
{
	uint64_t id = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t more = wire_varint(r), cut = wire_varint(r);
		if (r->bad || more > UINT32_MAX || id + more > UINT32_MAX || cut >= cuts ||
		    (i && !more && cut <= e[i - 1].cut))
			return false;
		id += more;
		e[i] = (struct tomb_entry){ .id = (uint32_t)id, .cut = (uint32_t)cut };
	}
	return !wire_left(r);
}

/* One copy at the beginning of what is there; *len: how long it is. */
static enum err copy_decode(const uint8_t *data, size_t len, uint32_t shard, struct tombs **out)
{
	struct wire_reader r = wire_reader(data, len);
	const uint8_t *magic = wire_bytes(&r, strlen(MAGIC));
	uint32_t of_shard = wire_u32(&r), cuts_count = wire_u32(&r);
	uint64_t count = wire_u64(&r), bytes = wire_u64(&r);
	if (r.bad || memcmp(magic, MAGIC, strlen(MAGIC)) != 0 || len < HEAD_BYTES + CRC_BYTES)
		return ERR_DAMAGED;
	size_t room = len - HEAD_BYTES - CRC_BYTES;
	if (cuts_count > room / CUT_BYTES || bytes != room - cuts_count * (size_t)CUT_BYTES ||
	    count > bytes / 2 || !count)
		return ERR_DAMAGED;
	if (crc32c(0, data, len - CRC_BYTES) != wire_load32(data + len - CRC_BYTES))
		return ERR_DAMAGED;
	if (of_shard != shard)
		return ERR_NOTFOUND;
	struct tomb_cut *cuts = mem_array(NULL, cuts_count + 1u, sizeof(*cuts));
	struct tomb_entry *entries = mem_array(NULL, (size_t)count, sizeof(*entries));
	r.end -= CRC_BYTES;
	bool good =
	    cuts_read(&r, cuts, cuts_count) && entries_read(&r, entries, (size_t)count, cuts_count);
	if (good)
		*out = tombs_make(NULL, cuts, cuts_count, entries, (size_t)count, NULL, NULL);
	mem_free(cuts);
	mem_free(entries);
	return good ? ERR_OK : ERR_DAMAGED;
}

enum err tombs_decode(
    const uint8_t *data, size_t len, uint32_t shard, struct tombs **out, struct errbuf *eb)
{
	enum err e = ERR_DAMAGED;
	for (size_t copy = 0; copy < 2 && e == ERR_DAMAGED && len && len % 2 == 0; copy++)
		e = copy_decode(data + copy * (len / 2), len / 2, shard, out);
	if (!e)
		return e;
	return errbuf_set(eb, e,
	    e == ERR_DAMAGED ? "wrong checksum, or not what it should be" : "of another shard");
}

enum err tombs_write(struct fsio_dir *d, const char *name, const struct tombs *t, uint32_t shard,
    uint64_t above, uint64_t *bytes, uint64_t *entries)
{
	struct buf b;
	struct fsio_file *io = NULL;
	buf_init(&b);
	*entries = tombs_encode(t, shard, above, &b);
	size_t len = b.len;
	(void)buf_reserve(&b, len);
	memcpy(b.data + len, b.data, len);
	b.len = 2 * len;
	*bytes = b.len;
	enum err e = b.len > TOMBS_FILE_MAX ? ERR_TOOBIG : ERR_OK;
	if (!e)
		e = fdcache_open_other(d, name, FSIO_CREATE, &io);
	if (!e)
		e = fsio_write_at(io, b.data, b.len, 0);
	if (!e)
		e = fsio_sync(io);
	if (io)
		fsio_close(io);
	buf_release(&b);
	return e;
}

static enum err bytes_load(
    struct fsio_dir *d, const char *name, uint8_t **data, size_t *len, struct errbuf *eb)
{
	enum err e = fsio_load(d, name, TOMBS_FILE_MAX, data, len);
	if (!e)
		return ERR_OK;
	return errbuf_set(eb, e == ERR_TOOBIG || e == ERR_TRUNCATED ? ERR_DAMAGED : e, "%s: %s",
	    name, err_why(e));
}

enum err tombs_load(
    struct fsio_dir *d, const char *name, uint32_t shard, struct tombs **out, struct errbuf *eb)
{
	uint8_t *data = NULL;
	size_t len = 0;
	struct errbuf why;
	errbuf_init(&why);
	enum err e = bytes_load(d, name, &data, &len, eb);
	if (e)
		return e;
	e = tombs_decode(data, len, shard, out, &why);
	mem_free(data);
	return e ? errbuf_set(eb, e, "%s: %s", name, why.text) : ERR_OK;
}

enum err tombs_verify(struct fsio_dir *d, const char *name, uint32_t shard, struct errbuf *eb)
{
	uint8_t *data = NULL;
	size_t len = 0;
	struct tombs *set = NULL;
	enum err e = bytes_load(d, name, &data, &len, eb);
	if (e)
		return e;
	e = len % 2 ? ERR_DAMAGED : copy_decode(data, len / 2, shard, &set);
	if (!e && memcmp(data, data + len / 2, len / 2) != 0)
		e = ERR_DAMAGED;
	tombs_unpin(set);
	mem_free(data);
	return e ? errbuf_set(eb, e, "%s: one of its copies is damaged, or both", name) : ERR_OK;
}
