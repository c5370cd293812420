/*
 * Blocks are read: by matchers, in ranges, from a place on, one series alone; what is deleted is
 * not there; what is damaged costs itself alone and is told; a directory is judged as Prometheus
 * would.
 */
#include "core/base/fsio.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/wire.h"
#include "core/model/chunkenc.h"
#include "storage/block/btomb.h"
#include "storage/block/bwindex.h"
#include "tests/lib/blocktest.h"
#include "tests/lib/testlib.h"

#include <sys/stat.h>
#include <unistd.h>

#define T0 INT64_C(1700006400000)

static struct errbuf eb;
static char *dir;
static struct blocktest m;
static char block[600]; /* the one of dir */

static void make(void)
{
	struct bwrite *w;
	struct bmeta *metas;
	size_t n;
	struct arena a;
	struct column put = { 0 };
	uint64_t seed = 77;
	struct bwrite_opts o = { .block_ms = 100 * SAMPLE_RANGE_MS, .chunk_ms = SAMPLE_RANGE_MS };
	dir = testlib_tmpdir("bread");
	arena_init(&a, 4096);
	blocktest_init(&m, 300);
	CHECK(!bwrite_open(dir, &o, &w, &eb));
	for (uint32_t i = 0; i < m.count; i++) {
		blocktest_put(&m, i, &seed, T0 + i, i % 50 == 7 ? 3000 : 100 + i, &put);
		struct sample_column c = column_view(&put, 0, put.count);
		CHECK(!bwrite_add(w, m.series[i].labels, &c, &eb));
	}
	CHECK(!bwrite_finish(w, &a, &metas, &n, NULL, NULL, &eb) && n == 1);
	snprintf(block, sizeof(block), "%s/%s", dir, metas[0].ulid.text);
	column_release(&put);
	arena_release(&a);
}

/* ---- what is asked for ---- */

static void asked(enum matcher_type type, const char *name, const char *value, const char *title)
{
	struct matcher x[2];
	CHECK(!matcher_init(&x[0], type, name, strlen(name), value, strlen(value), &eb));
	CHECK(!matcher_init(&x[1], MATCHER_NE, "host", 4, "host-3", 6, &eb));
	tap_is_u64(blocktest_check(&m, dir, x, 1, INT64_MIN, INT64_MAX), 0, "%s", title);
	tap_is_u64(blocktest_check(&m, dir, x, 2, T0 + 500000, T0 + 900000), 0,
	    "%s, without one host, in a range", title);
	matcher_release(&x[0]);
	matcher_release(&x[1]);
}

static void matchers(void)
{
	asked(MATCHER_EQ, "__name__", "metric_3", "a name");
	asked(MATCHER_EQ, "__name__", "metric_33", "a name that is not there");
	asked(MATCHER_EQ, "nothing", "x", "a label that is not there");
	asked(MATCHER_EQ, "odd", "", "no such label");
	asked(MATCHER_NE, "odd", "", "any such label");
	asked(MATCHER_RE, "host", "host-(1|2|5)", "a pattern");
	asked(MATCHER_RE, "host", "host-1.*", "another pattern");
	asked(MATCHER_RE, "odd", ".*", "a pattern that takes nothing, too");
	asked(MATCHER_NRE, "host", "host-1.*", "what a pattern does not take");
}

static void places(void)
{
	struct bread *b;
	struct bread_item item;
	struct arena a;
	struct labels ls;
	struct column c = { 0 };
	uint32_t refs[400], n = 0, bad = 0, k;
	struct bread_walk w = { .t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX };
	arena_init(&a, 4096);
	TAP_OK(!bread_open(block, NULL, &b, &eb) && !bread_walk(b, &w, &eb));
	for (uint32_t last = 0; !bread_next(b, &item, &eb); last = item.ref) {
		if (item.ref == last)
			continue;
		bad += item.ref < last;
		refs[n++] = item.ref;
	}
	tap_ok(n == 300 && !bad, "%u references, ascending", n);
	w.after_ref = refs[150];
	for (k = 151; !bread_walk(b, &w, &eb) && k < n; k++) {
		bad += bread_next(b, &item, &eb) || item.ref != refs[k];
		w.after_ref = item.ref;
	}
	tap_is_u64(bad, 0, "a walk goes on behind any series");
	for (k = 0; k < n; k += 7) {
		column_clear(&c);
		bad += bread_series(b, refs[k], T0 + 100000, T0 + 1000000, &a, &ls, &c, &eb) != 0;
		uint32_t i = blocktest_find(&m, ls);
		const struct column *all = &m.series[i].column;
		struct column want = { 0 };
		for (uint32_t r = 0; r < all->count; r++)
			if (all->t_ms[r] >= T0 + 100000 && all->t_ms[r] <= T0 + 1000000)
				column_append(&want, all, r, 1);
		bad += blocktest_differ(&want, &c);
		column_release(&want);
	}
	tap_is_u64(bad, 0, "series alone, in a range");
	TAP_OK(bread_series(b, 1, 0, 1, &a, &ls, &c, &eb) == ERR_NOTFOUND);
	TAP_OK(bread_series(b, UINT32_MAX, 0, 1, &a, &ls, &c, &eb) == ERR_NOTFOUND);
	bread_close(b);
	column_release(&c);
	arena_release(&a);
}

/* ---- deleted ---- */

static void deleted(void)
{
	struct bread *b;
	struct bread_item item;
	struct btombs t = { 0 };
	struct buf bytes;
	struct fsio_dir *d;
	uint32_t refs[400], n = 0;
	struct bread_walk w = { .t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX };
	CHECK(!bread_open(block, NULL, &b, &eb) && !bread_walk(b, &w, &eb));
	while (!bread_next(b, &item, &eb)) {
		uint32_t i = blocktest_find(&m, item.labels);
		if (n && refs[n - 1] == item.ref)
			continue;
		refs[n++] = item.ref;
		struct column *c = &m.series[i].column;
		if (i % 5 ==
		    1) { /* the model loses what the block does: two pieces that meet, one apart */
			btombs_add(&t, item.ref, T0 + 300000, T0 + 400000);
			btombs_add(&t, item.ref, T0 + 350000, T0 + 600000);
			btombs_add(&t, item.ref, T0, T0 + 50000);
			struct column kept = { 0 };
			for (uint32_t r = 0; r < c->count; r++)
				if (c->t_ms[r] > T0 + 600000 ||
				    (c->t_ms[r] > T0 + 50000 && c->t_ms[r] < T0 + 300000))
					column_append(&kept, c, r, 1);
			column_swap(c, &kept);
			column_release(&kept);
		} else if (i % 5 == 2) {
			btombs_add(&t, item.ref, INT64_MIN, INT64_MAX);
			column_clear(c);
		}
	}
	bread_close(b);
	btombs_order(&t);
	tap_is_u64(t.count, 60 * 2 + 60, "pieces that meet are one");
	buf_init(&bytes);
	btombs_write(&bytes, &t);
	CHECK(!fsio_dir_open(block, false, &d));
	CHECK(!fsio_replace(d, "tombstones", bytes.data, bytes.len));
	tap_is_u64(blocktest_check(&m, dir, NULL, 0, INT64_MIN, INT64_MAX), 0,
	    "deleted samples are not there");
	struct btombs again;
	for (size_t len = 0; len < bytes.len; len++)
		if (!btombs_read(bytes.data, len, &again, NULL)) {
			tap_ok(false, "cut tombstones of %zu bytes are taken", len);
			btombs_release(&again);
		}
	bytes.data[7] ^= 1;
	TAP_OK(btombs_read(bytes.data, bytes.len, &again, &eb) == ERR_DAMAGED);
	CHECK(!fsio_replace(d, "tombstones", bytes.data, bytes.len));
	TAP_OK(bread_open(block, NULL, &b, &eb) == ERR_DAMAGED);
	CHECK(!fsio_remove(d, "tombstones"));
	TAP_OK(!bread_open(block, NULL, &b, &eb));
	bread_close(b);
	bytes.data[7] ^= 1;
	CHECK(!fsio_replace(d, "tombstones", bytes.data, bytes.len));
	fsio_dir_close(d);
	buf_release(&bytes);
	btombs_release(&t);
}

/* ---- damaged ---- */

struct told {
	uint32_t count;
	char file[100];
	uint64_t offset;
};

static void on_damage(void *arg, const char *file, uint64_t offset, const char *what)
{
	struct told *t = arg;
	t->count++;
	t->offset = offset;
	snprintf(t->file, sizeof(t->file), "%s", file);
	if (!*what)
		tap_ok(false, "damage has a reason");
}

static void flip(const char *name, uint64_t at)
{
	struct fsio_dir *d;
	struct fsio_file *f;
	uint8_t v;
	CHECK(!fsio_dir_open(block, false, &d) && !fsio_open(d, name, FSIO_WRITE, &f));
	CHECK(!fsio_read_at(f, &v, 1, at));
	v ^= 0x10;
	CHECK(!fsio_write_at(f, &v, 1, at));
	fsio_close(f);
	fsio_dir_close(d);
}

static uint64_t size_of(const char *name)
{
	struct fsio_dir *d;
	struct fsio_file *f;
	uint64_t size;
	CHECK(!fsio_dir_open(block, false, &d) && !fsio_open(d, name, FSIO_READ, &f));
	CHECK(!fsio_size(f, &size));
	fsio_close(f);
	fsio_dir_close(d);
	return size;
}

/* All of the block; false: it does not open. */
static bool read_all(struct bread_counts *c, struct told *t)
{
	struct bread *b;
	struct bread_item item;
	struct bdamage damage = { on_damage, t };
	struct bread_walk w = { .t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX };
	struct errbuf why;
	errbuf_init(&why);
	*t = (struct told){ 0 };
	if (bread_open(block, &damage, &b, &why))
		return false;
	CHECK(!bread_walk(b, &w, &why));
	enum err e;
	while (!(e = bread_next(b, &item, &why)))
		;
	CHECK(e == ERR_NOTFOUND);
	*c = bread_counts(b);
	bread_close(b);
	return true;
}

static void damaged(void)
{
	struct bread_counts whole, c;
	struct told t;
	uint64_t seed = 4, len = size_of("chunks/000001");
	unsigned bad = 0, one = 0, closed = 0, lost_series = 0;
	CHECK(read_all(&whole, &t));
	for (unsigned i = 0; i < 60; i++) {
		uint64_t at = 8 + testhist_mix(&seed) % (len - 8);
		flip("chunks/000001", at);
		bool open = read_all(&c, &t);
		bad += !open || c.chunks + c.damaged_chunks != whole.chunks ||
		    c.series != whole.series;
		bad += c.samples + 300 < whole.samples || t.count != c.damaged_chunks;
		one += c.damaged_chunks == 1 && t.offset <= at && at - t.offset < 5000 &&
		    !strcmp(t.file, "chunks/000001");
		flip("chunks/000001", at);
	}
	tap_is_u64(bad, 0, "a bit of a chunk costs it alone");
	tap_is_u64(one, 60, "and its file and offset are told");
	len = size_of("index");
	for (unsigned i = 0; i < 200; i++) {
		uint64_t at = testhist_mix(&seed) % len;
		flip("index", at);
		if (!read_all(&c, &t)) {
			closed++;
		} else {
			bad += c.series + c.damaged_series < whole.series || c.damaged_series > 2;
			lost_series += c.damaged_series == 1;
		}
		flip("index", at);
	}
	tap_is_u64(bad, 0, "a bit of the index costs a series at most, or the block is refused");
	tap_ok(lost_series > 20 && closed > 1, "%u lost one series, %u closed it", lost_series,
	    closed);
	CHECK(read_all(&c, &t));
	tap_ok(c.samples == whole.samples && !t.count, "then it is as it was");
}

/*
 * A block of one series whose chunks all overlap, and the index says that they do not: 100 of one
 * sample less than the one before, each from the first time on, and, when again, all of them the
 * same bytes of the file. Its labels (name, value, ... NULL) are written as they are given.
 */
static void craft(const char *to, bool again, const char *const *labels)
{
	enum {
		CHUNKS = 100
	};
	static const char meta[] =
	    "{\"ulid\":\"01HF0123456789ABCDEFGHJKMN\",\"minTime\":0,\"maxTime\":"
	    "1800000000000,\"version\":1,\"compaction\":{\"level\":1}}";
	struct fsio_dir *d, *chunks;
	struct bindex_chunk refs[CHUNKS];
	struct label set[4];
	size_t count = 0;
	int64_t t[CHUNKS];
	double v[CHUNKS];
	struct buf file, bits;
	buf_init(&file);
	buf_init(&bits);
	buf_add(&file, "\x85\xbd\x40\xdd\1\0\0\0", 8);
	for (uint32_t c = 0; c < CHUNKS; c++) {
		struct chunkenc told;
		uint8_t head[8];
		for (uint32_t i = 0; i < CHUNKS - c; i++) {
			t[i] = T0 + i;
			v[i] = c;
		}
		struct sample_column all = { .count = CHUNKS - c, .t_ms = t, .v = v };
		buf_clear(&bits);
		chunkenc_next(&all, 0, &bits, &told);
		refs[c] = (struct bindex_chunk){ .t_min_ms = T0 + c,
			.t_max_ms = T0 + c,
			.ref = again && c ? refs[0].ref : file.len };
		if (again && c)
			continue;
		buf_add(&file, head, (size_t)(wire_store_varint(head, bits.len) - head));
		size_t from = file.len;
		buf_add_u8(&file, (uint8_t)told.type);
		buf_add(&file, bits.data, bits.len);
		uint32_t crc = __builtin_bswap32(crc32c(0, file.data + from, file.len - from));
		buf_add(&file, &crc, 4);
	}
	CHECK(!fsio_dir_open(to, true, &d) && !fsio_dir_sub(d, "chunks", true, &chunks));
	CHECK(!fsio_replace(chunks, "000001", file.data, file.len));
	CHECK(!fsio_replace(d, "meta.json", meta, sizeof(meta) - 1));
	for (; labels[2 * count]; count++)
		set[count] = (struct label){ .name = labels[2 * count],
			.name_len = (uint32_t)strlen(labels[2 * count]),
			.value = labels[2 * count + 1],
			.value_len = (uint32_t)strlen(labels[2 * count + 1]) };
	struct bwindex *w = bwindex_create(d, "index", d, 1u << 20);
	CHECK(!bwindex_series(w, set, count, refs, CHUNKS) && !bwindex_finish(w, NULL, NULL, &eb));
	fsio_dir_close(chunks);
	fsio_dir_close(d);
	buf_release(&file);
	buf_release(&bits);
}

/* What an index can ask for costs what the block has, not its square. */
static void overlaps(void)
{
	char *top = testlib_tmpdir("bread"), *path = testlib_path(top, "01HF0123456789ABCDEFGHJKMN");
	struct bread *b;
	struct bread_item it;
	struct told t = { 0 };
	struct bdamage damage = { .told = on_damage, .arg = &t };
	struct bread_walk all = { .t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX };
	for (unsigned again = 0; again < 2; again++) {
		craft(path, again, (const char *[]){ "__name__", "m", NULL });
		TAP_OK(!bread_open(path, &damage, &b, &eb) && !bread_walk(b, &all, &eb) &&
		    !bread_next(b, &it, &eb));
		unsigned wrong = it.column->count != 100;
		for (uint32_t i = 0; !wrong && i < 100; i++)
			wrong +=
			    it.column->t_ms[i] != T0 + i || it.column->v[i] != (again ? 0 : 99 - i);
		tap_is_u64(wrong, 0, "of chunks that overlap the later ones win");
		struct bread_counts n = bread_counts(b);
		tap_ok(again ? n.chunks < 3 && n.damaged_chunks > 97 && t.count == n.damaged_chunks
		             : n.chunks == 100 && !t.count,
		    "%" PRIu64 " chunks are read, %" PRIu64 " of them no more", n.chunks,
		    n.damaged_chunks);
		bread_close(b);
		testlib_rmtree(path);
	}
	testlib_rmtree(top);
	free(path);
	free(top);
}

/* As Prometheus up to 2.8 and Thanos' receivers wrote them. */
static void unsorted(void)
{
	static const struct {
		const char *labels[9];
		const char *read; /* NULL: damaged */
	} cases[] = {
		{ { "job", "a", "__name__", "m", "zone", "b", "host", "c" },
		    "m{host=\"c\", job=\"a\", zone=\"b\"}" },
		{ { "__name__", "m", "host", "", "job", "a" }, "m{job=\"a\"}" },
		{ { "job", "a", "__name__", "m", "job", "b" }, NULL },
		{ { "__name__", "m", "", "a" }, NULL },
	};
	char *top = testlib_tmpdir("bread"), *path = testlib_path(top, "01HF0123456789ABCDEFGHJKMN");
	struct bread_walk all = { .t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX };
	struct buf text;
	buf_init(&text);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct bread *b;
		struct bread_item it;
		struct told t = { 0 };
		struct bdamage damage = { .told = on_damage, .arg = &t };
		craft(path, false, cases[i].labels);
		CHECK(!bread_open(path, &damage, &b, &eb) && !bread_walk(b, &all, &eb));
		enum err e = bread_next(b, &it, &eb);
		if (!cases[i].read) {
			tap_ok(e == ERR_NOTFOUND && t.count == 1, "two labels of one name, or none");
		} else if (tap_ok(!e && !t.count, "labels in any order are read")) {
			buf_clear(&text);
			label_text_metric(&text, it.labels);
			buf_add_u8(&text, 0);
			tap_is_str((const char *)text.data, cases[i].read,
			    "and sorted, without empty ones");
			tap_ok(label_is_canonical(it.labels), "as all of ours");
		}
		bread_close(b);
		testlib_rmtree(path);
	}
	buf_release(&text);
	testlib_rmtree(top);
	free(path);
	free(top);
}

/* Every value of host is said to have one list: that of the first host, or of all series. */
static void lists_lie(bool all)
{
	struct fsio_dir *d;
	uint8_t *x;
	size_t len, name_len, value_len, first_len = 0;
	const uint8_t *first = NULL;
	CHECK(!fsio_dir_open(block, false, &d) && !fsio_load(d, "index", 64u << 20, &x, &len));
	uint8_t *table = x + __builtin_bswap64(wire_load64(x + len - 52 + 40));
	uint32_t table_len = __builtin_bswap32(wire_load32(table));
	struct wire_reader r = wire_reader(table + 8, table_len - 4);
	while (wire_left(&r)) {
		CHECK(wire_varint(&r) == 2);
		const uint8_t *name = wire_lenbytes(&r, &name_len);
		(void)wire_lenbytes(&r, &value_len);
		const uint8_t *at = r.p;
		(void)wire_varint(&r);
		size_t n = (size_t)(r.p - at);
		bool host = name_len == 4 && !memcmp(name, "host", 4);
		if (!first && (all ? !name_len : host)) {
			first = at;
			first_len = n;
		} else if (first && host) {
			CHECK(n == first_len);
			memcpy(x + (at - x), first, n);
		}
	}
	uint32_t crc = __builtin_bswap32(crc32c(0, table + 4, table_len));
	memcpy(table + 4 + table_len, &crc, 4);
	CHECK(!fsio_replace(d, "index", x, len));
	mem_free(x);
	fsio_dir_close(d);
}

static void lists(void)
{
	struct bread *b;
	struct bread_item item;
	struct matcher x;
	struct fsio_dir *d;
	uint8_t *was;
	size_t len;
	unsigned n = 0, again = 0;
	CHECK(!fsio_dir_open(block, false, &d) && !fsio_load(d, "index", 64u << 20, &was, &len));
	CHECK(!matcher_init(&x, MATCHER_RE, "host", 4, ".+", 2, &eb));
	struct bread_walk w = {
		.matchers = &x, .matchers_count = 1, .t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX
	};
	lists_lie(false);
	CHECK(!bread_open(block, NULL, &b, &eb));
	TAP_OK(!bread_walk(b, &w, &eb));
	for (uint32_t last = 0; !bread_next(b, &item, &eb); last = item.ref) {
		n += item.ref != last;
		again += item.ref < last;
	}
	tap_ok(n && n < 100 && !again, "lists of one place give a series once: %u", n);
	bread_close(b);
	lists_lie(true);
	CHECK(!bread_open(block, NULL, &b, &eb));
	tap_ok(bread_walk(b, &w, &eb) == ERR_DAMAGED, "lists have no more series than a block: %s",
	    eb.text);
	bread_close(b);
	CHECK(!fsio_replace(d, "index", was, len));
	mem_free(was);
	matcher_release(&x);
	fsio_dir_close(d);
}

static void fifo(void)
{
	struct bread_counts whole, c;
	struct told t;
	char path[700];
	snprintf(path, sizeof(path), "%s/chunks/000009", block);
	CHECK(read_all(&whole, &t));
	CHECK(!mkfifo(path, 0600));
	alarm(60);
	tap_ok(!read_all(&c, &t) || c.samples == whole.samples, "nobody waits for a FIFO");
	alarm(0);
	CHECK(!unlink(path));
}

static void shrinking(void)
{
	struct bread *b;
	struct bread_item item;
	char path[700];
	struct bread_walk w = { .t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX };
	struct errbuf why;
	errbuf_init(&why);
	snprintf(path, sizeof(path), "%s/chunks/000001", block);
	CHECK(!bread_open(block, NULL, &b, &eb) && !bread_walk(b, &w, &eb));
	CHECK(!truncate(path, 8192));
	enum err e;
	while (!(e = bread_next(b, &item, &why)))
		;
	tap_ok(e == ERR_IO && *why.text, "a file that shrinks while it is read: %s", why.text);
	TAP_OK(bread_next(b, &item, &why) == ERR_IO);
	bread_close(b);
	struct bread_counts c;
	struct told t;
	tap_ok(
	    read_all(&c, &t) && c.damaged_chunks > 100, "opened anew, %u chunks are lost", t.count);
}

/* ---- directories ---- */

static void put(const char *root, const char *name, const char *json)
{
	struct fsio_dir *d, *sub;
	CHECK(!fsio_dir_open(root, true, &d) && !fsio_dir_sub(d, name, true, &sub));
	if (json)
		CHECK(!fsio_replace(sub, "meta.json", json, strlen(json)));
	fsio_dir_close(sub);
	fsio_dir_close(d);
}

#define ULID(c) "01M8K76E532T0VS9TECZVFWB2" c
#define META(c, from, to, more)                                                                    \
 "{\"ulid\": \"" ULID(                                                                             \
     c) "\", \"minTime\": " from ", \"maxTime\": " to                                              \
	", \"stats\": {\"numSamples\": 5, \"other\": [1, {}]}, \"compaction\": {\"level\": 2" more \
	"}, \"version\": 1, \"thanos\": {\"labels\": {}}}"

static void directories(void)
{
	char *root = testlib_tmpdir("bdir");
	struct bdir d;
	put(root, ULID("A"), META("A", "7200000", "14400000", ""));
	put(root, ULID("B"), META("B", "0", "7200000", ", \"sources\": null"));
	put(root, ULID("C"),
	    META("C", "14400000", "99400000", ", \"hints\": [\"from-out-of-order\"]"));
	put(root, ULID("D"), META("D", "0", "1", ""));
	put(root, ULID("E"),
	    META("E", "0", "1", ", \"parents\": [{\"ulid\": \"" ULID("D") "\", \"minTime\": 0}]"));
	put(root, ULID("F"), "{\"ulid\": ");
	put(root, ULID("G"), "{\"ulid\": \"" ULID("G") "\", \"version\": 2}");
	put(root, ULID("H"), NULL);
	put(root, ULID("J") ".tmp-for-creation", META("J", "0", "1", ""));
	put(root, "wal", NULL);
	if (tap_ok(!bdir_scan(root, &d, &eb), "a directory")) {
		tap_is_u64(d.count, 7, "blocks, without parents and half made ones");
		tap_ok(!strcmp(d.blocks[0].ulid.text, ULID("E")) &&
		        !strcmp(d.blocks[1].ulid.text, ULID("B")) &&
		        !strcmp(d.blocks[2].ulid.text, ULID("A")) &&
		        !strcmp(d.blocks[3].ulid.text, ULID("C")),
		    "by time");
		tap_ok(d.broken == 3 && d.blocks[4].err && *d.blocks[4].trouble, "broken ones last");
		TAP_OK(d.superseded == 1 && d.has_wal && !d.has_wbl);
		tap_is_i64(d.head_from_ms, 14400000, "what came late does not move the head");
		TAP_OK(d.blocks[0].meta.samples == 5 && d.blocks[0].meta.level == 2);
		tap_is_str(d.blocks[0].meta.thanos, "{\"labels\": {}}", "Thanos' section is kept");
		bdir_release(&d);
	}
	TAP_OK(!bdir_scan(block, &d, &eb) && d.count == 1 && d.is_block);
	char *path = bdir_path(block, &d, 0);
	tap_is_str(path, block, "a block is a directory of itself");
	mem_free(path);
	bdir_release(&d);
	TAP_OK(bdir_scan("/nowhere/at/all", &d, &eb) == ERR_NOTFOUND);
	testlib_rmtree(root);
	free(root);
}

static void ulids(void)
{
	struct bulid_maker maker = { 0 };
	struct bulid last = { "" };
	uint8_t random[10];
	unsigned bad = 0;
	for (unsigned i = 0; i < 2000; i++) {
		memset(random, (int)i, sizeof(random));
		struct bulid u = bulid_next(&maker, 1700006400000 - (i % 7) * 10 + i / 100, random);
		bad += strcmp(last.text, u.text) >= 0 || !bulid_is(u.text, BULID_LEN);
		last = u;
	}
	tap_is_u64(bad, 0, "names ascend, whatever the clock does");
	struct bulid u = { ULID("A") };
	tap_is_i64(bulid_ms(&u), INT64_C(1795941415075), "the time of a name");
	TAP_OK(!bulid_is("81M8K76E532T0VS9TECZVFWB2A", 26) && !bulid_is(ULID("U"), 26));
	TAP_OK(!bulid_is("01m8k76e532t0vs9teczvfwb2a", 26) && !bulid_is(ULID("A"), 25));
}

int main(void)
{
	errbuf_init(&eb);
	ulids();
	make();
	tap_is_u64(blocktest_check(&m, dir, NULL, 0, INT64_MIN, INT64_MAX), 0, "a block is read");
	matchers();
	places();
	deleted();
	damaged();
	overlaps();
	unsorted();
	lists();
	fifo();
	shrinking();
	directories();
	blocktest_release(&m);
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
