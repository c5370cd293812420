#include "storage/block/bhead.h"

#include "core/base/fsio.h"
#include "core/base/guard.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "storage/block/bchunk.h"
#include "storage/block/bhead_log.h"
#include "storage/block/brec.h"
#include "storage/block/btomb.h"

#include <stdlib.h>

#define NO_RANK    UINT32_MAX         /* a series that matchers do not take */
#define HISTS_MOST ((size_t)64 << 20) /* bytes of histograms that end a batch */

/* chunks_head */
#define MAPPED_MAGIC 0x0130BC91u
#define MAPPED_HEAD  8u
#define MAPPED_LEAST 30u /* ref, times, encoding, a byte of length, CRC */
#define MAPPED_LATE  0x80u

struct series {
	uint64_t ref;
	struct labels labels;
	uint32_t rank; /* in order of labels; equal ones have one */
};
struct row {
	uint32_t rank, no; /* no: the order in which it came */
	int64_t t_ms;
	double v;
	uint32_t extra; /* 1 + its place in extras, 0 = none */
};
struct extra {
	const struct hist *h;
	int64_t start_ms;
};
struct bhead {
	struct fsio_dir *dir;
	struct bhead_opts opts;
	struct bhead_log log;
	struct bhead_counts counts;
	struct errbuf *eb;
	/* of the whole log */
	struct arena arena; /* labels */
	struct series *series;
	size_t series_count, series_cap;
	uint32_t *slots; /* by ref: 1 + place in series, 0 = free */
	size_t slots_count;
	const struct labels **ranks;
	uint32_t ranks_count;
	struct btombs refs, tombs; /* by ref, then by rank */
	bool mapped;               /* chunks_head is read */
	/* the batch */
	struct arena recs; /* what a record needs while it is looked at */
	struct arena hists;
	struct row *rows;
	size_t rows_count, rows_cap, at;
	struct extra *extras;
	size_t extras_count, extras_cap;
	bool log_ended;
	struct column column, part;
	/* chunks_head */
	struct buf scratch;
	char **files;
	size_t files_count, files_cap, file_at;
	const uint8_t *map;
	size_t map_len, map_at;
};

/* ---- series ---- */

static size_t slot_of(const struct bhead *h, uint64_t ref)
{
	size_t i = (size_t)hash_mix64(ref) & (h->slots_count - 1);
	while (h->slots[i] && h->series[h->slots[i] - 1].ref != ref)
		i = (i + 1) & (h->slots_count - 1);
	return i;
}

static struct series *find(const struct bhead *h, uint64_t ref)
{
	if (!h->slots_count)
		return NULL;
	uint32_t i = h->slots[slot_of(h, ref)];
	return i ? &h->series[i - 1] : NULL;
}

static void slots_grow(struct bhead *h)
{
	mem_free(h->slots);
	h->slots_count = h->slots_count ? 2 * h->slots_count : 1024;
	h->slots = mem_zalloc(h->slots_count * sizeof(*h->slots));
	for (size_t i = 0; i < h->series_count; i++)
		h->slots[slot_of(h, h->series[i].ref)] = (uint32_t)(i + 1);
}

/* A checkpoint and what follows may say the same of a reference twice; the last word counts. */
static void on_series(void *arg, uint64_t ref, struct labels labels)
{
	struct bhead *h = arg;
	struct series *s = find(h, ref);
	if (s && label_equal(s->labels, labels))
		return;
	labels.bytes = arena_dup(&h->arena, labels.bytes, labels.len);
	if (s) {
		s->labels = labels;
		return;
	}
	if (h->series_count >= UINT32_MAX - 1)
		return;
	if (2 * (h->series_count + 1) > h->slots_count)
		slots_grow(h);
	if (h->series_count == h->series_cap) {
		h->series_cap = h->series_cap ? 2 * h->series_cap : 1024;
		h->series = mem_array(h->series, h->series_cap, sizeof(*h->series));
	}
	h->series[h->series_count++] = (struct series){ .ref = ref, .labels = labels };
	h->slots[slot_of(h, ref)] = (uint32_t)h->series_count;
}

static void on_tombstone(void *arg, uint64_t ref, int64_t t_from_ms, int64_t t_to_ms)
{
	struct bhead *h = arg;
	btombs_add(&h->refs, ref, t_from_ms, t_to_ms);
}

static void count_record(struct bhead *h, uint8_t type)
{
	h->counts.records++;
	h->counts.exemplars += type == BREC_EXEMPLARS;
	h->counts.metadata += type == BREC_METADATA;
	h->counts.markers += type == BREC_MARKERS;
}

/* All of the log, for what must be known before the first sample. */
static void read_series(struct bhead *h)
{
	struct brec_sink sink = {
		.arena = &h->recs, .arg = h, .series = on_series, .tombstone = on_tombstone
	};
	const uint8_t *rec;
	size_t len;
	bool late;
	while (bhead_log_next(&h->log, &rec, &len, &late)) {
		uint8_t type = brec_type(rec, len);
		count_record(h, type);
		arena_reset(&h->recs, 256u << 10);
		enum err e = ERR_OK;
		if (type == BREC_SERIES || type == BREC_TOMBSTONES)
			e = brec_decode(rec, len, &sink);
		else if (type < BREC_SERIES || type > BREC_FLOAT_HISTOGRAMS_ST)
			h->counts.unknown++;
		if (e)
			bhead_log_bad(&h->log, "a record is broken");
	}
	h->counts.damaged += h->log.damaged;
}

static int series_cmp(const void *pa, const void *pb)
{
	const struct series *const *a = pa, *const *b = pb;
	return label_cmp((*a)->labels, (*b)->labels);
}

static enum err rank(struct bhead *h, struct errbuf *eb)
{
	size_t n = h->series_count;
	struct series **order = mem_array(NULL, n + 1, sizeof(struct series *));
	enum err e = ERR_OK;
	for (size_t i = 0; i < n; i++)
		order[i] = &h->series[i];
	qsort(order, n, sizeof(struct series *), series_cmp);
	h->ranks = mem_array(NULL, n + 1, sizeof(const struct labels *));
	for (size_t i = 0; !e && i < n; i++) {
		enum rex_result r =
		    matcher_labels(h->opts.matchers, h->opts.matchers_count, order[i]->labels);
		if (r == REX_LIMIT)
			e = errbuf_set(eb, ERR_BADDATA, "a pattern takes too long");
		order[i]->rank = NO_RANK;
		if (r != REX_YES || !order[i]->labels.len)
			continue;
		if (!h->ranks_count || !label_equal(*h->ranks[h->ranks_count - 1], order[i]->labels))
			h->ranks[h->ranks_count++] = &order[i]->labels;
		order[i]->rank = h->ranks_count - 1;
	}
	mem_free(order);
	h->counts.series = h->ranks_count;
	for (size_t i = 0; i < h->refs.count; i++) {
		const struct btomb *t = &h->refs.items[i];
		const struct series *s = find(h, t->ref);
		if (s && s->rank != NO_RANK)
			btombs_add(&h->tombs, s->rank, t->t_from_ms, t->t_to_ms);
	}
	btombs_release(&h->refs);
	btombs_order(&h->tombs);
	return e;
}

/* ---- opening ---- */

static enum err mapped_file(void *arg, const char *name)
{
	struct bhead *h = arg;
	uint64_t n;
	if (num_parse_u64(name, strlen(name), &n))
		return ERR_OK;
	if (h->files_count == h->files_cap) {
		h->files_cap = h->files_cap ? 2 * h->files_cap : 8;
		h->files = mem_array(h->files, h->files_cap, sizeof(char *));
	}
	struct buf b;
	size_t len;
	buf_init(&b);
	buf_printf(&b, "chunks_head/%s", name);
	buf_add_u8(&b, 0);
	h->files[h->files_count++] = (char *)buf_take(&b, &len);
	return ERR_OK;
}

/* Of what the log lost some is in mapped chunks; of a whole log they only repeat. */
static void list_mapped(struct bhead *h)
{
	struct fsio_dir *sub;
	h->mapped = h->opts.mapped_chunks || h->log.damaged;
	if (!h->mapped || fsio_dir_sub(h->dir, "chunks_head", false, &sub))
		return;
	enum err whatever = fsio_dir_each(sub, mapped_file, h);
	(void)whatever;
	fsio_dir_close(sub);
}

enum err bhead_open(
    const char *path, const struct bhead_opts *opts, struct bhead **out, struct errbuf *eb)
{
	struct bhead *h = mem_zalloc(sizeof(*h));
	h->opts = *opts;
	if (!h->opts.batch_samples)
		h->opts.batch_samples = BHEAD_BATCH_SAMPLES;
	arena_init(&h->arena, 64u << 10);
	arena_init(&h->recs, 64u << 10);
	arena_init(&h->hists, 64u << 10);
	buf_init(&h->scratch);
	enum err e = fsio_dir_open(path, false, &h->dir);
	if (e)
		errbuf_set(eb, e, "%s: %s", path, err_why(e));
	else
		e = bhead_log_open(&h->log, h->dir, &h->opts.damage, eb);
	if (!e) {
		read_series(h);
		e = rank(h, eb);
	}
	if (e) {
		bhead_close(h);
		return e;
	}
	list_mapped(h);
	h->counts.segments = h->log.count;
	h->counts.bytes = h->log.bytes;
	bhead_log_rewind(&h->log);
	h->log.damage.told = NULL; /* it was told */
	*out = h;
	return ERR_OK;
}

void bhead_close(struct bhead *h)
{
	if (!h)
		return;
	bhead_log_close(&h->log);
	fsio_unmap(h->map, h->map_len);
	fsio_dir_close(h->dir);
	for (size_t i = 0; i < h->files_count; i++)
		mem_free(h->files[i]);
	mem_free(h->files);
	mem_free(h->series);
	mem_free(h->slots);
	mem_free(h->ranks);
	mem_free(h->rows);
	mem_free(h->extras);
	btombs_release(&h->refs);
	btombs_release(&h->tombs);
	column_release(&h->column);
	column_release(&h->part);
	buf_release(&h->scratch);
	arena_release(&h->arena);
	arena_release(&h->recs);
	arena_release(&h->hists);
	mem_free(h);
}

struct bhead_counts bhead_counts(const struct bhead *h)
{
	struct bhead_counts c = h->counts;
	c.bytes_read = h->log.read;
	return c;
}

/* ---- a batch ---- */

static void row_add(struct bhead *h, uint32_t series_rank, const struct brec_sample *s)
{
	struct row r = {
		.rank = series_rank, .no = (uint32_t)h->rows_count, .t_ms = s->t_ms, .v = s->v
	};
	if (s->h || s->start_ms) {
		if (h->extras_count == h->extras_cap) {
			h->extras_cap = h->extras_cap ? 2 * h->extras_cap : 256;
			h->extras = mem_array(h->extras, h->extras_cap, sizeof(*h->extras));
		}
		const struct hist *kept = s->h ? hist_copy(&h->hists, s->h) : NULL;
		h->extras[h->extras_count++] = (struct extra){ kept, s->start_ms };
		r.extra = (uint32_t)h->extras_count;
	}
	if (h->rows_count == h->rows_cap) {
		h->rows_cap = h->rows_cap ? 2 * h->rows_cap : 4096;
		h->rows = mem_array(h->rows, h->rows_cap, sizeof(*h->rows));
	}
	h->rows[h->rows_count++] = r;
}

struct taking {
	struct bhead *h;
	bool late;
};

static void on_sample(void *arg, const struct brec_sample *s)
{
	struct taking *x = arg;
	struct bhead *h = x->h;
	const struct series *series = find(h, s->ref);
	if (!series) {
		h->counts.orphans++;
		return;
	}
	if (series->rank == NO_RANK || s->t_ms < h->opts.t_from_ms || s->t_ms > h->opts.t_to_ms)
		return;
	if (!x->late && s->t_ms < h->opts.from_ms) {
		h->counts.before++;
		return;
	}
	row_add(h, series->rank, s);
}

static bool batch_full(const struct bhead *h)
{
	return h->rows_count >= h->opts.batch_samples || arena_used(&h->hists) >= HISTS_MOST;
}

static void take_records(struct bhead *h)
{
	const uint8_t *rec;
	size_t len;
	while (!batch_full(h) && !h->log_ended) {
		struct taking x = { .h = h };
		struct brec_sink sink = { .arena = &h->recs, .arg = &x, .sample = on_sample };
		if (!bhead_log_next(&h->log, &rec, &len, &x.late)) {
			h->log_ended = true;
			break;
		}
		arena_reset(&h->recs, 256u << 10);
		uint8_t type = brec_type(rec, len);
		if (type == BREC_SERIES || type == BREC_TOMBSTONES)
			continue;
		/* told when the series were read: of an unknown type; broken ones are here */
		enum err e = brec_decode(rec, len, &sink);
		h->counts.damaged += e == ERR_MALFORMED;
		h->counts.unfit += sink.left_out;
		if (e == ERR_MALFORMED)
			bdamage_tell(&h->opts.damage, h->log.segments[h->log.at].name, 0,
			    "a record is broken");
	}
}

/* ---- chunks_head ---- */

static bool mapped_open(struct bhead *h)
{
	struct fsio_file *f;
	const char *name = h->files[h->file_at];
	enum err e = fsio_open(h->dir, name, FSIO_READ, &f);
	if (!e) {
		e = fsio_map(f, &h->map, &h->map_len);
		fsio_close(f);
	}
	h->map_at = MAPPED_HEAD;
	bool fine = !e && h->map_len >= MAPPED_HEAD &&
	    __builtin_bswap32(wire_load32(h->map)) == MAPPED_MAGIC && h->map[4] == 1;
	/* a file that was only made, and not written to, is empty or has zeros */
	if (!fine && !e && h->map_len && h->map[0]) {
		h->counts.damaged++;
		bdamage_tell(&h->opts.damage, name, 0, "it does not begin as a file of chunks");
	}
	return fine;
}

static void mapped_close(struct bhead *h)
{
	fsio_unmap(h->map, h->map_len);
	h->map = NULL;
	h->map_len = 0;
	h->file_at++;
}

static uint64_t be64(const uint8_t *p)
{
	return __builtin_bswap64(wire_load64(p));
}

static void mapped_take(struct bhead *h, uint64_t ref, uint8_t type, const uint8_t *data, size_t len)
{
	const char *what;
	struct taking x = { .h = h, .late = type & MAPPED_LATE };
	column_clear(&h->part);
	enum err e =
	    bchunk_decode(type & (uint8_t)~MAPPED_LATE, data, len, &h->scratch, &h->part, &what);
	if (e) {
		h->counts.damaged++;
		bdamage_tell(&h->opts.damage, h->files[h->file_at], h->map_at, what);
		return;
	}
	h->counts.head_chunks++;
	for (uint32_t i = 0; i < h->part.count; i++) {
		struct brec_sample s = { .ref = ref,
			.t_ms = h->part.t_ms[i],
			.v = h->part.v[i],
			.h = column_hist(&h->part, i),
			.start_ms = column_start_ms(&h->part, i) };
		on_sample(&x, &s);
	}
}

/* False: the file ends here: its rest is zeros, or not to be trusted. */
static bool mapped_chunk(struct bhead *h)
{
	const uint8_t *p = h->map + h->map_at;
	size_t left = h->map_len - h->map_at;
	if (left < MAPPED_LEAST || (!be64(p) && !be64(p + 8)))
		return false;
	struct wire_reader r = wire_reader(p + 25, left - 25);
	uint64_t len = wire_varint(&r);
	const char *what = NULL;
	if (r.bad || wire_left(&r) < 4 || len > wire_left(&r) - 4)
		what = "a chunk is cut";
	else if (crc32c(0, p, (size_t)(r.p + len - p)) != __builtin_bswap32(wire_load32(r.p + len)))
		what = "the checksum of a chunk is wrong";
	if (what) {
		h->counts.damaged++;
		bdamage_tell(&h->opts.damage, h->files[h->file_at], h->map_at, what);
		return false;
	}
	mapped_take(h, be64(p), p[24], r.p, (size_t)len);
	h->map_at = (size_t)(r.p + len + 4 - h->map);
	return true;
}

static void take_mapped(void *arg)
{
	struct bhead *h = arg;
	while (!batch_full(h) && h->file_at < h->files_count) {
		if (!h->map && !mapped_open(h)) {
			mapped_close(h);
			continue;
		}
		if (!mapped_chunk(h))
			mapped_close(h);
	}
}

/* ---- items ---- */

static int rows_cmp(const void *pa, const void *pb)
{
	const struct row *a = pa, *b = pb;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->t_ms != b->t_ms)
		return a->t_ms < b->t_ms ? -1 : 1;
	return (a->no > b->no) - (a->no < b->no);
}

static enum err batch(struct bhead *h, struct errbuf *eb)
{
	h->rows_count = h->extras_count = h->at = 0;
	arena_reset(&h->hists, 1u << 20);
	take_records(h);
	if (h->log_ended && !guard_run(take_mapped, h)) {
		h->file_at = h->files_count;
		return errbuf_set(eb, ERR_IO, "chunks_head: a page cannot be read");
	}
	if (!h->rows_count)
		return ERR_NOTFOUND;
	qsort(h->rows, h->rows_count, sizeof(*h->rows), rows_cmp);
	return ERR_OK;
}

static void row_put(struct bhead *h, const struct row *r)
{
	struct column *c = &h->column;
	const struct extra *x = r->extra ? &h->extras[r->extra - 1] : NULL;
	if (c->count && c->t_ms[c->count - 1] == r->t_ms)
		column_keep(c, 0, 0, c->count - 1); /* the later word wins */
	column_reserve(c, 1);
	c->t_ms[c->count] = r->t_ms;
	c->v[c->count++] = r->v;
	if (x)
		column_set(
		    c, c->count - 1, x->h ? hist_copy(column_memory(c), x->h) : NULL, x->start_ms);
}

/* The next series of the batch; no row is left of one that is deleted. */
static void item(struct bhead *h, struct bread_item *out)
{
	uint32_t series_rank = h->rows[h->at].rank;
	size_t tombs;
	column_clear(&h->column);
	for (; h->at < h->rows_count && h->rows[h->at].rank == series_rank; h->at++)
		row_put(h, &h->rows[h->at]);
	const struct btomb *t = btombs_of(&h->tombs, series_rank, &tombs);
	if (t)
		h->counts.deleted += btombs_apply(t, tombs, &h->column, 0);
	*out = (struct bread_item){
		.ref = series_rank, .labels = *h->ranks[series_rank], .column = &h->column
	};
}

static void count_samples(struct bhead *h)
{
	uint64_t hists = 0;
	for (uint32_t i = 0; h->column.x && i < h->column.count; i++)
		hists += column_hist(&h->column, i) != NULL;
	h->counts.samples += h->column.count;
	h->counts.histograms += hists;
	h->counts.floats += h->column.count - hists;
}

enum err bhead_next(struct bhead *h, struct bread_item *out, bool *batch_ends, struct errbuf *eb)
{
	do {
		enum err e = h->at < h->rows_count ? ERR_OK : batch(h, eb);
		if (e)
			return e;
		item(h, out);
	} while (!h->column.count);
	count_samples(h);
	if (batch_ends)
		*batch_ends = h->at == h->rows_count;
	return ERR_OK;
}
