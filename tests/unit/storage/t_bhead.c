/*
 * The head of a Prometheus: what its own log writer made of records of every kind, plain, in snappy
 * and in zstd, with a checkpoint and with late samples, is read as it was written; damage costs a
 * page at most; ends that are cut cost nothing else.
 */
#include "storage/block/bhead.h"

#include "core/base/fsio.h"
#include "core/model/chunkenc.h"
#include "tests/lib/goldhist.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#include <stdio.h>
#include <string.h>

static struct errbuf eb;

struct golden {
	FILE *f;
	char *line;
	size_t cap;
	bool end;
};

static void next_line(struct golden *g)
{
	ssize_t n = getline(&g->line, &g->cap, g->f);
	g->end = n < 0;
	if (n > 0 && g->line[n - 1] == '\n')
		g->line[n - 1] = 0;
}

static bool is(const struct golden *g, const char *word)
{
	return !g->end && !strncmp(g->line, word, strlen(word)) && g->line[strlen(word)] == ' ';
}

/* "file PATH LENGTH HEX": zeros behind the bytes are left out. */
static void put_file(const char *root, char *line)
{
	struct goldhist_words w = { line };
	char path[500];
	goldhist_word(&w);
	snprintf(path, sizeof(path), "%s/%s", root, goldhist_word(&w));
	size_t len = (size_t)goldhist_number(&w);
	uint8_t *data = calloc(1, len + (1 << 17));
	goldhist_unhex(goldhist_word(&w), data);
	char *name = strrchr(path, '/');
	*name++ = 0;
	struct fsio_dir *d;
	CHECK(!fsio_dir_open(path, true, &d) && !fsio_replace(d, name, data, len));
	fsio_dir_close(d);
	free(data);
}

struct read {
	struct buf samples; /* lines as in the golden file, by series */
	struct bhead_counts counts;
	uint32_t told, series;
};

static void on_damage(void *arg, const char *file, uint64_t offset, const char *what)
{
	struct read *r = arg;
	r->told++;
	if (!*file || !*what)
		tap_ok(false, "damage has a place and a reason");
	(void)offset;
}

static void number(struct buf *b, union hist_count c, bool is_float)
{
	if (is_float)
		buf_printf(b, " %016" PRIx64, num_bits(c.f));
	else
		buf_printf(b, " %" PRIu64, c.n);
}

static void side(struct buf *b, const struct hist *h, const struct hist_side *s)
{
	buf_printf(b, " %u", s->spans_count);
	for (uint32_t i = 0; i < s->spans_count; i++)
		buf_printf(b, " %d %u", s->spans[i].offset, s->spans[i].length);
	buf_printf(b, " %u", s->counts_count);
	for (uint32_t i = 0; i < s->counts_count; i++)
		number(b, s->counts[i], h->is_float);
}

static void sample_line(struct buf *b, const struct column *c, uint32_t i)
{
	const struct hist *h = column_hist(c, i);
	buf_printf(b, "%c %" PRId64 " %" PRId64,
	    !h                ? 'f'
	        : h->is_float ? 'g'
	                      : 'h',
	    c->t_ms[i], column_start_ms(c, i));
	if (!h) {
		buf_printf(b, " %016" PRIx64 "\n", num_bits(c->v[i]));
		return;
	}
	buf_printf(b, " %u %d %016" PRIx64, h->hint, h->schema, num_bits(h->zero_threshold));
	number(b, h->zero_count, h->is_float);
	number(b, h->count, h->is_float);
	buf_printf(b, " %016" PRIx64, num_bits(h->sum));
	side(b, h, &h->positive);
	side(b, h, &h->negative);
	buf_printf(b, " %u", h->bounds_count);
	for (uint32_t k = 0; k < h->bounds_count; k++)
		buf_printf(b, " %016" PRIx64, num_bits(h->bounds[k]));
	buf_add_u8(b, '\n');
}

static bool read_head(const char *root, struct bhead_opts o, struct read *r)
{
	struct bhead *h;
	struct bread_item item;
	struct labels last = { 0 };
	*r = (struct read){ 0 };
	buf_init(&r->samples);
	o.damage = (struct bdamage){ on_damage, r };
	if (bhead_open(root, &o, &h, &eb))
		return false;
	enum err e;
	while (!(e = bhead_next(h, &item, NULL, &eb))) {
		if (!label_equal(last, item.labels)) {
			buf_add_str(&r->samples, "series ");
			label_text(&r->samples, item.labels);
			buf_add_u8(&r->samples, '\n');
			r->series++;
		}
		last = item.labels;
		for (uint32_t i = 0; i < item.column->count; i++)
			sample_line(&r->samples, item.column, i);
	}
	r->counts = bhead_counts(h);
	bhead_close(h);
	return e == ERR_NOTFOUND;
}

static const struct bhead_opts all = {
	.from_ms = INT64_MIN, .t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX
};

static void flip(const char *root, const char *name, uint64_t at)
{
	struct fsio_dir *d;
	struct fsio_file *f;
	uint8_t v;
	CHECK(!fsio_dir_open(root, false, &d) && !fsio_open(d, name, FSIO_WRITE, &f));
	CHECK(!fsio_read_at(f, &v, 1, at));
	v ^= 4;
	CHECK(!fsio_write_at(f, &v, 1, at));
	fsio_close(f);
	fsio_dir_close(d);
}

static void cut(const char *root, const char *name, uint64_t size)
{
	struct fsio_dir *d;
	struct fsio_file *f;
	CHECK(!fsio_dir_open(root, false, &d) && !fsio_open(d, name, FSIO_WRITE, &f));
	CHECK(!fsio_truncate(f, size));
	fsio_close(f);
	fsio_dir_close(d);
}

/* ---- chunks of the head that are mapped ---- */

static void mapped_chunk(struct buf *out, uint64_t ref, int64_t t, uint32_t n, bool late)
{
	struct column c = { 0 };
	struct buf data;
	struct chunkenc told;
	size_t at = out->len;
	column_reserve(&c, n);
	for (uint32_t i = 0; i < n; i++) {
		c.t_ms[i] = t + i * 1000;
		c.v[i] = i * 2.5;
	}
	c.count = n;
	struct sample_column view = column_view(&c, 0, n);
	buf_init(&data);
	chunkenc_next(&view, 0, &data, &told);
	uint64_t head[3] = { __builtin_bswap64(ref), __builtin_bswap64((uint64_t)t),
		__builtin_bswap64((uint64_t)c.t_ms[n - 1]) };
	buf_add(out, head, sizeof(head));
	buf_add_u8(out, (uint8_t)(told.type | (late ? 0x80 : 0)));
	wire_put_varint(out, data.len);
	buf_add(out, data.data, data.len);
	uint32_t crc = __builtin_bswap32(crc32c(0, out->data + at, out->len - at));
	buf_add(out, &crc, sizeof(crc));
	buf_release(&data);
	column_release(&c);
}

#define T INT64_C(1700000000000)

static void mapped(const char *root, const struct read *plain)
{
	struct fsio_dir *d, *sub;
	struct buf file;
	struct read x;
	struct bhead_opts o = all;
	static const uint8_t head[8] = { 0x01, 0x30, 0xBC, 0x91, 1 }, zeros[100];
	buf_init(&file);
	buf_add(&file, head, sizeof(head));
	mapped_chunk(&file, 1, T - 900000, 7, false);
	mapped_chunk(&file, 1, T + 900000, 5, false);
	mapped_chunk(&file, 2, T - 800000, 3, true);
	mapped_chunk(&file, 4711, T, 2, false); /* of no series */
	buf_add(&file, zeros, sizeof(zeros));
	CHECK(!fsio_dir_open(root, false, &d) && !fsio_dir_sub(d, "chunks_head", true, &sub));
	CHECK(!fsio_replace(sub, "000001", file.data, file.len));
	CHECK(!fsio_replace(sub, "000002", NULL, 0));
	bool fine = read_head(root, all, &x);
	tap_ok(fine && !x.counts.head_chunks && x.counts.samples == plain->counts.samples,
	    "mapped chunks repeat a whole log, and are not looked at");
	buf_release(&x.samples);
	o.mapped_chunks = true;
	fine = read_head(root, o, &x);
	tap_ok(fine && x.counts.head_chunks == 4 && x.counts.orphans == 3 && !x.counts.damaged &&
	        x.counts.samples == plain->counts.samples + 15,
	    "they are when it is asked for: %" PRIu64 " samples", x.counts.samples);
	buf_release(&x.samples);
	o.from_ms = T - 500000;
	fine = read_head(root, o, &x);
	tap_ok(fine && x.counts.samples == plain->counts.samples + 8,
	    "late ones whatever their time is, the others from the head's time on");
	buf_release(&x.samples);
	file.data[40] ^= 1;
	CHECK(!fsio_replace(sub, "000001", file.data, file.len));
	fine = read_head(root, o, &x);
	tap_ok(fine && x.counts.damaged == 1 && x.told == 1, "a damaged one is told");
	buf_release(&x.samples);
	file.data[40] ^= 1;
	CHECK(!fsio_replace(sub, "000001", file.data, file.len));
	flip(root, "wal/00000000", 20);
	fine = read_head(root, all, &x);
	tap_ok(fine && x.counts.damaged && x.counts.head_chunks == 4,
	    "where the log is damaged they are read");
	buf_release(&x.samples);
	flip(root, "wal/00000000", 20);
	CHECK(!fsio_remove(sub, "000001") && !fsio_remove(sub, "000002"));
	fsio_dir_close(sub);
	fsio_dir_close(d);
	buf_release(&file);
}

static void one(struct golden *g)
{
	char title[40], *root = testlib_tmpdir("bhead");
	struct buf want;
	struct read r, x;
	uint32_t series = 0;
	snprintf(title, sizeof(title), "%s", g->line + 4);
	for (next_line(g); is(g, "file"); next_line(g))
		put_file(root, g->line);
	buf_init(&want);
	for (; !g->end && !is(g, "dir"); next_line(g)) {
		series += is(g, "series");
		buf_printf(&want, "%s\n", g->line);
	}
	bool fine = read_head(root, all, &r);
	tap_ok(fine, "%s: the head is read", title);
	tap_ok(want.len == r.samples.len && !memcmp(want.data, r.samples.data, want.len),
	    "%s: %u series as they were written", title, series);
	tap_ok(r.counts.series == 12 && r.series == series, "%s: %u series", title, r.series);
	tap_ok(r.counts.samples == r.counts.floats + r.counts.histograms &&
	        r.counts.histograms == 28 && r.counts.orphans == 1 && r.counts.deleted == 2 &&
	        r.counts.exemplars == 1 && r.counts.metadata == 1 && !r.counts.damaged && !r.told,
	    "%s: counts", title);
	tap_ok(r.counts.bytes_read == r.counts.bytes && r.counts.bytes >= 65536, "%s: bytes", title);

	if (strcmp(title, "none") != 0)
		mapped(root, &r);
	struct bhead_opts o = all;
	o.batch_samples = 20;
	fine = read_head(root, o, &x);
	tap_ok(fine && x.counts.samples == r.counts.samples && x.series > r.series,
	    "%s: small batches", title);
	buf_release(&x.samples);
	o = all;
	o.from_ms = 1700000045000;
	fine = read_head(root, o, &x);
	tap_ok(fine && x.counts.before > 20 &&
	        x.counts.samples + x.counts.before + x.counts.deleted ==
	            r.counts.samples + r.counts.deleted,
	    "%s: what is in blocks is passed over", title);
	buf_release(&x.samples);
	struct matcher m;
	CHECK(!matcher_init(&m, MATCHER_EQ, "i", 1, "9", 1, &eb));
	o = all;
	o.matchers = &m;
	o.matchers_count = 1;
	o.t_from_ms = 1700000030000;
	o.t_to_ms = 1700000060000;
	fine = read_head(root, o, &x);
	tap_ok(fine && x.series == 1 && x.counts.histograms == 3, "%s: a series, in a range", title);
	matcher_release(&m);
	buf_release(&x.samples);

	unsigned bad = 0;
	for (uint64_t at = 0; at < 800; at += 13) {
		flip(root, "wal/00000000", at);
		bad += !read_head(root, all, &x);
		buf_release(&x.samples);
		flip(root, "wal/00000000", at);
	}
	const char *last = strcmp(title, "none") ? "wal/00000001" : "wal/00000003";
	for (uint64_t at = 0; at < 1000; at += 3) {
		cut(root, last, 1000 - at);
		bad += !read_head(root, all, &x) || x.counts.damaged;
		buf_release(&x.samples);
	}
	tap_is_u64(bad, 0, "%s: flipped bits and cut ends do no harm", title);
	flip(root, strcmp(title, "none") ? "wal/00000000" : "wal/00000002", 20);
	fine = read_head(root, all, &x);
	tap_ok(fine && x.counts.damaged && x.told == x.counts.damaged, "%s: damage is told", title);
	buf_release(&x.samples);
	buf_release(&r.samples);
	buf_release(&want);
	testlib_rmtree(root);
	free(root);
}

int main(void)
{
	char path[1000];
	struct golden g = { 0 };
	struct bhead *h;
	errbuf_init(&eb);
	snprintf(path, sizeof(path), "%s/tests/golden/block/wal.txt", testlib_src());
	g.f = fopen(path, "r");
	if (!tap_ok(g.f != NULL, "%s is there", path))
		return tap_done();
	next_line(&g);
	while (is(&g, "dir"))
		one(&g);
	fclose(g.f);
	free(g.line);
	char *empty = testlib_tmpdir("bhead");
	TAP_OK(bhead_open(empty, &all, &h, &eb) == ERR_NOTFOUND);
	testlib_rmtree(empty);
	free(empty);
	return tap_done();
}
