/*
 * The list of a shard's files: text form, switch under power cuts and failing calls, damage,
 * cleaning.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* strerrorname_np */
#endif
#include <errno.h>
#include <stdint.h>

/* Comparisons of entries and names. */
static uint64_t steps;
#define FILES_STEP() (steps++)
#include "core/base/log.h"
#include "storage/cfile/files.c"
#include "tests/lib/fault.h"
#include "tests/lib/fsdouble.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/unit/storage/columns.h"

#include <stdio.h>
#include <stdlib.h>

#define START 1795168800000
#define WIDTH 7200000

static uint64_t rnd = 5;

/* Writes a real data file of that rank with a few series, ids around it. */
static struct files_entry file_make(struct fsio_dir *d, uint64_t rank)
{
	struct cfile_meta m = { .shard = 2, .start_ms = START, .end_ms = START + WIDTH, .rank = rank };
	char name[CFILE_NAME_MAX];
	struct cfile_writer *w = NULL;
	struct cfile_stats st;
	int64_t t[10];
	double v[10];
	cfile_name(&m, name);
	for (int i = 0; i < 10; i++) {
		t[i] = START + (int64_t)rank * 1000 + i;
		v[i] = (double)i;
	}
	if (cfile_writer_create(d, name, &m, &w))
		abort();
	for (uint32_t id = 0; id < 5; id++)
		(void)cfile_writer_add(w, (uint32_t)rank * 10 + id,
		    &(struct sample_column){ .count = 10, .t_ms = t, .v = v });
	if (cfile_writer_finish(w, &st))
		abort();
	return files_entry_of(name, &m, &st);
}

static bool same_list(const struct files *a, const struct files *b)
{
	struct buf x, y;
	buf_init(&x);
	buf_init(&y);
	files_format(a, &x);
	files_format(b, &y);
	bool same = x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
	buf_release(&x);
	buf_release(&y);
	return same;
}

static void made_up(struct files *fs, unsigned count)
{
	files_init(fs, 2);
	fs->complete_to = columns_rand(&rnd);
	fs->next_id = UINT32_MAX;
	fs->next_number = columns_rand(&rnd);
	fs->next_rank = UINT64_MAX;
	for (unsigned i = 0; i < count; i++) {
		struct files_entry e = { .meta = { .shard = 2,
			                     .flags = i % 4,
			                     .start_ms =
			                         START - WIDTH * (int64_t)columns_below(&rnd, 5),
			                     .rank = columns_rand(&rnd) },
			.size_bytes = columns_rand(&rnd),
			.samples = i,
			.series = i,
			.t_min_ms = INT64_MAX,
			.t_max_ms = INT64_MIN };
		e.meta.end_ms = e.meta.start_ms + WIDTH;
		cfile_name(&e.meta, e.name);
		files_add(fs, &e);
	}
	files_newest_add(fs, 0, false, START);
	files_newest_add(fs, 0, true, INT64_MIN);
	files_newest_add(fs, UINT32_MAX, false, INT64_MAX);
}

static void tombstones(void)
{
	struct files fs, back, copy;
	struct buf text;
	struct errbuf eb;
	errbuf_init(&eb);
	files_init(&fs, 2);
	TAP_OK(files_dead_before(&fs, 0) == INT64_MIN);
	files_dead_raise(&fs, 0, -5);
	files_dead_raise(&fs, UINT32_MAX, INT64_MAX);
	files_dead_raise(&fs, 3, 100);
	files_dead_raise(&fs, 3, 99);
	files_copy(&copy, &fs);
	buf_init(&text);
	files_format(&copy, &text);
	TAP_OK(files_parse(text.data, text.len, &back, &eb) == ERR_OK);
	tap_ok(same_list(&back, &fs) && !back.tombstones_count && back.dead_count == 3 &&
	        files_dead_before(&back, 3) == 100 && files_dead_before(&back, 0) == -5 &&
	        files_dead_before(&back, UINT32_MAX) == INT64_MAX,
	    "tombstones of tenants come back; they only go up");
	files_dead_drop(&back, 0);
	files_dead_drop(&back, 77);
	tap_ok(back.dead_count == 2 && files_dead_before(&back, 0) == INT64_MIN &&
	        files_dead_before(&back, UINT32_MAX) == INT64_MAX,
	    "one goes");
	files_release(&fs);
	files_release(&copy);
	files_release(&back);
	static const char *const odd[] = { "tombstone tenant 1\n", "tombstone tenant x 5\n",
		"tombstone tenant 1 2 3\n", "tombstone tenant 4294967296 2\n" };
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		buf_clear(&text);
		buf_printf(&text, "kymo-files 2\nshard 2\n%s", odd[i]);
		buf_printf(&text, "crc %08" PRIx32 "\n", crc32c(0, text.data, text.len));
		bool good = files_parse(text.data, text.len, &back, &eb) == ERR_OK &&
		    !back.dead_count && back.tombstones_count == 1;
		tap_ok(good, "kept as it is: %s", odd[i]);
		if (good)
			files_release(&back);
	}
	buf_release(&text);
}

static bool odd_rank(void *arg, const struct files_entry *e)
{
	(void)arg;
	return e->meta.rank % 2;
}

static void many_at_once(void)
{
	struct files all, odd, kept;
	made_up(&all, 300);
	files_copy(&odd, &all);
	files_keep(&odd, odd_rank, NULL);
	files_copy(&kept, &all);
	struct files_entry *gone = calloc(all.count, sizeof(*gone)),
	                   *back = calloc(all.count, sizeof(*back));
	size_t count = 0;
	for (size_t i = all.count; i > 0; i--)
		if (!odd_rank(NULL, &all.entries[i - 1]))
			gone[count++] = all.entries[i - 1];
	memcpy(back, gone, count * sizeof(*back));
	tap_ok(files_del_many(&kept, gone, count) && same_list(&kept, &odd),
	    "%zu of %zu go at once", count, all.count);
	tap_ok(!files_del_many(&kept, gone, 1), "one that is not there is told");
	tap_ok(!files_add_many(&kept, &kept.entries[kept.count / 2], 1) && same_list(&kept, &odd),
	    "one that is there already is not added");
	tap_ok(files_add_many(&kept, back, count) && same_list(&kept, &all), "they come at once");
	tap_ok(files_add_many(&kept, back, 0) && files_del_many(&kept, gone, 0) &&
	        same_list(&kept, &all),
	    "none are none");
	free(gone);
	free(back);
	files_release(&all);
	files_release(&odd);
	files_release(&kept);
}

static void text_form(void)
{
	struct files fs, back, copy;
	struct buf text;
	struct errbuf eb;
	errbuf_init(&eb);
	made_up(&fs, 40);
	buf_init(&text);
	files_format(&fs, &text);
	TAP_OK(files_parse(text.data, text.len, &back, &eb) == ERR_OK);
	tap_ok(same_list(&fs, &back) && back.version == 2, "a list comes back from its text");
	TAP_OK(back.newest_count == 3 && back.newest[1].own && back.newest[1].t_ms == INT64_MIN &&
	    !back.newest[2].own && back.newest[2].tenant == UINT32_MAX &&
	    back.newest[2].t_ms == INT64_MAX);
	files_copy(&copy, &fs);
	tap_ok(same_list(&fs, &copy), "a copy is equal");
	bool sorted = true;
	for (size_t i = 1; i < fs.count; i++)
		sorted &= fs.entries[i - 1].meta.start_ms < fs.entries[i].meta.start_ms ||
		    (fs.entries[i - 1].meta.start_ms == fs.entries[i].meta.start_ms &&
		        fs.entries[i - 1].meta.rank <= fs.entries[i].meta.rank);
	tap_ok(sorted, "entries stand by range, then rank");
	struct files_entry gone = copy.entries[7];
	TAP_OK(files_get(&copy, gone.name) && files_del(&copy, &gone) &&
	    !files_get(&copy, gone.name) && !files_del(&copy, &gone) && copy.count == 39);
	files_release(&copy);
	files_release(&back);
	unsigned taken = 0;
	for (size_t at = 0; at < text.len; at++) {
		text.data[at] ^= (uint8_t)(1u << columns_below(&rnd, 8));
		if (files_parse(text.data, text.len, &back, NULL) == ERR_OK) {
			taken++;
			files_release(&back);
		}
		buf_clear(&text);
		files_format(&fs, &text);
	}
	tap_ok(taken == 0, "a list with a turned bit is refused");
	for (size_t len = 0; len < text.len; len++)
		if (files_parse(text.data, len, &back, NULL) == ERR_OK) {
			taken++;
			files_release(&back);
		}
	tap_ok(taken == 0, "a cut list is refused");
	/* Unknown lines with a good checksum are damage; a later version is not. */
	static const char *const bad[] = { "kymo-files 1\nwhat 1\n",
		"kymo-files 1\nfile ../x 0 1 1 0 1 1 1 0 0\n",
		"kymo-files 1\nfile x 5 5 1 0 1 1 1 0 0\n",
		"kymo-files 1\nfile x 0 5 1 0 1 1 1 0\n", "kymo-files 1\nnext_id 4294967296\n",
		"kymo-files 1\nfile x 0 5 1 0 1 1 1 0 0\nfile x 0 5 1 0 1 1 1 0 0\n",
		"kymo-files 1\n\n", "kymo-files 2\nnewest 0 2 5\n", "kymo-files 2\nnewest 0 1\n",
		"kymo-files 2\nnewest 4294967296 1 5\n", "kymo-files 2\nnewer 0 1 5\n" };
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		buf_clear(&text);
		buf_add_str(&text, bad[i]);
		buf_printf(&text, "crc %08" PRIx32 "\n", crc32c(0, text.data, text.len));
		tap_ok(files_parse(text.data, text.len, &back, NULL) == ERR_DAMAGED,
		    "refused: line 2 of bad list %zu", i);
	}
	buf_clear(&text);
	buf_add_str(&text, "kymo-files 4\nnew\n");
	buf_printf(&text, "crc %08" PRIx32 "\n", crc32c(0, text.data, text.len));
	TAP_OK(files_parse(text.data, text.len, &back, NULL) == ERR_UNSUPPORTED);
	buf_clear(&text);
	buf_add_str(&text, "kymo-files 1\nshard 2\ntombstone 1 2 {a=\"b c\"}\n");
	buf_printf(&text, "crc %08" PRIx32 "\n", crc32c(0, text.data, text.len));
	TAP_OK(files_parse(text.data, text.len, &back, NULL) == ERR_OK &&
	    back.tombstones_count == 1 && back.version == 1);
	files_copy(&copy, &back);
	tap_ok(same_list(&back, &copy) && strcmp(copy.tombstones[0], "1 2 {a=\"b c\"}") == 0,
	    "tombstone lines are kept as they are");
	files_release(&copy);
	files_release(&back);
	files_release(&fs);
	buf_release(&text);
}

/*
 * After a power cut at any point the list is one of those switched to, never older than the last
 * that was acknowledged, and all it names is there whole.
 */
static void power_cuts(void)
{
	char *dir = testlib_tmpdir("t_files");
	struct fsio_dir *d = NULL;
	struct files fs;
	uint64_t done_at[20]; /* point at which generation i + 1 was acknowledged */
	fsdouble_start(&(struct fsdouble_opts){ .root = dir });
	if (fsio_dir_open(dir, false, &d))
		abort();
	struct files_switcher sw = { .dir = d };
	files_init(&fs, 2);
	for (unsigned i = 0; i < 12; i++) {
		struct files_entry e = file_make(d, i + 1);
		files_add(&fs, &e);
		struct files_entry old = { .name = "" };
		if (fs.count > 3) { /* one leaves the list, and after the switch the disk */
			old = fs.entries[0];
			files_del(&fs, &old);
		}
		if (files_switch(&sw, &fs))
			abort();
		done_at[i] = fsdouble_point();
		if (old.name[0] && files_remove(&sw, old.name))
			abort();
	}
	uint64_t end = fsdouble_point();
	unsigned wrong = 0, images = 0, missing = 0, prevs = 0;
	for (uint64_t point = 0; point <= end; point++)
		for (unsigned seed = 0; seed < 3; seed++) {
			char *into = testlib_tmpdir("t_files_image");
			struct fsio_dir *at = NULL;
			struct files got;
			enum files_found found;
			fsdouble_image(point, seed, seed ? FSDOUBLE_RANDOM : FSDOUBLE_SYNCED, into);
			uint64_t least = 0;
			while (least < 12 && done_at[least] <= point)
				least++;
			if (fsio_dir_open(into, false, &at))
				abort();
			if (files_load(at, 2, &got, &found, NULL)) {
				wrong++;
			} else {
				images++;
				prevs += found == FILES_FOUND_PREV;
				wrong += least > 0 ? found != FILES_FOUND_CURRENT ||
				        got.generation < least || got.generation > least + 1
				                   : got.generation > 1;
				for (size_t i = 0; i < got.count; i++) {
					struct cfile *f = NULL;
					struct cfile_damage damage;
					missing += cfile_open(at, got.entries[i].name, &f, NULL) ||
					    cfile_verify(f, &damage);
					cfile_close(f);
				}
				files_release(&got);
			}
			fsio_dir_close(at);
			testlib_rmtree(into);
			free(into);
		}
	fsdouble_stop();
	tap_ok(wrong == 0,
	    "after a power cut at any of %u images the list is the last acknowledged one or the one under way",
	    images);
	tap_ok(missing == 0, "every file it names is there whole");
	tap_ok(prevs == 0, "a power cut never leaves FILES damaged");
	files_release(&fs);
	fsio_dir_close(d);
	testlib_rmtree(dir);
	free(dir);
}

/* Has the disk the list of old or of now, whole; what lies there besides is no tmp. */
static bool list_is(struct fsio_dir *d, const struct files *want)
{
	struct files got;
	enum files_found found;
	if (files_load(d, 2, &got, &found, NULL))
		return false;
	got.generation = want->generation;
	bool same = found == FILES_FOUND_CURRENT && same_list(&got, want);
	files_release(&got);
	return same;
}

/* One switch from {a} to {b} whose nth call fails. True: it was hit. */
static bool failing_switch(uint64_t n, int errnum, unsigned *failures, unsigned *wrong)
{
	char *dir = testlib_tmpdir("t_files");
	struct fsio_dir *d = NULL;
	struct files fs, old;
	size_t count = 0;
	if (fsio_dir_open(dir, false, &d))
		abort();
	struct files_switcher sw = { .dir = d };
	files_init(&fs, 2);
	struct files_entry a = file_make(d, 1), b = file_make(d, 2);
	files_add(&fs, &a);
	if (files_switch(&sw, &fs) || files_switch(&sw, &fs))
		abort();
	files_copy(&old, &fs);
	files_add(&fs, &b);
	(void)files_del(&fs, &a);
	fault_start(NULL);
	fault_set_errno(FAULT_ANY, NULL, n, 1, errnum);
	enum err e = files_switch(&sw, &fs);
	bool hit = fault_hits(FAULT_ANY) > 0;
	fault_stop();
	if (e && files_unknown(&sw)) { /* one of the two lists, and nothing may go */
		*wrong += files_remove(&sw, a.name) != ERR_BUSY ||
		    files_clean(&sw, &fs, &count, NULL, NULL) != ERR_BUSY;
		*wrong += !list_is(d, &old) && !list_is(d, &fs);
	} else if (e) { /* nothing has changed: what only the new list would have named may go */
		*wrong += !list_is(d, &old);
		*wrong += files_clean(&sw, &old, &count, NULL, NULL) != ERR_OK;
		*wrong += files_get(&fs, a.name) || file_make(d, 2).size_bytes != b.size_bytes;
	}
	*failures += e != ERR_OK;
	if (e)
		*wrong += files_switch(&sw, &fs) != ERR_OK;
	*wrong += files_unknown(&sw) || files_remove(&sw, a.name) || !list_is(d, &fs);
	files_release(&old);
	files_release(&fs);
	fsio_dir_close(d);
	testlib_rmtree(dir);
	free(dir);
	return hit;
}

static void failing_calls(void)
{
	static const int errnums[] = { EIO, ENOSPC, EMFILE, ENFILE, ENOMEM, EACCES };
	for (size_t i = 0; i < COUNT_OF(errnums); i++) {
		unsigned failures = 0, wrong = 0;
		uint64_t n = 1;
		while (failing_switch(n, errnums[i], &failures, &wrong))
			n++;
		tap_ok(failures >= 6 && n >= 12, "%s: %u of %u calls make the switch fail",
		    strerrorname_np(errnums[i]), failures, (unsigned)n - 1);
		tap_ok(wrong == 0, "the list on disk is good, and a later switch succeeds");
	}
}

/* Whatever fails with FILES.prev, and for how long: the switch goes on. */
static void failing_prev(void)
{
	static const enum fault_kind kinds[] = { FAULT_LINK, FAULT_RENAME, FAULT_REMOVE };
	char *dir = testlib_tmpdir("t_files");
	struct fsio_dir *d = NULL;
	struct files fs;
	unsigned bad = 0;
	if (fsio_dir_open(dir, false, &d))
		abort();
	struct files_switcher sw = { .dir = d };
	files_init(&fs, 2);
	fault_start(NULL);
	for (unsigned i = 0; i < 12; i++) {
		enum fault_kind kind = kinds[i % COUNT_OF(kinds)];
		fault_set_errno(kind, FILES_PREV, 1, UINT64_MAX, i < 6 ? EIO : EPERM);
		bad += files_switch(&sw, &fs) != ERR_OK || files_unknown(&sw);
		fault_set(kind, NULL, 1, 0, ERR_OK);
	}
	/* The list that is there cannot be read any more: the next one can be written. */
	fault_set_errno(FAULT_READ, FILES_NAME, 1, UINT64_MAX, EIO);
	bad += files_switch(&sw, &fs) != ERR_OK;
	fault_stop();
	tap_is_u64(bad, 0, "switches go on without a new FILES.prev");
	TAP_OK(list_is(d, &fs));
	files_release(&fs);
	fsio_dir_close(d);
	testlib_rmtree(dir);
	free(dir);
}

/*
 * FILES gives EIO: FILES.prev is taken, corrected from the data files; what cannot be read of these
 * is set aside.
 */
static void unreadable(void)
{
	char *dir = testlib_tmpdir("t_files");
	struct fsio_dir *d = NULL, *sub = NULL;
	struct files fs, got;
	enum files_found found;
	struct errbuf eb;
	size_t count = 0;
	if (fsio_dir_open(dir, false, &d))
		abort();
	struct files_switcher sw = { .dir = d };
	files_init(&fs, 2);
	struct files_entry a = file_make(d, 1), b = file_make(d, 2), c = file_make(d, 3);
	files_add(&fs, &a);
	TAP_OK(files_switch(&sw, &fs) == ERR_OK);
	files_add(&fs, &b);
	files_add(&fs, &c);
	TAP_OK(files_switch(&sw, &fs) == ERR_OK);
	fault_start(NULL);
	fault_set_errno(FAULT_READ, "FILES", 1, 1, EIO);
	TAP_OK(files_load(d, 2, &got, &found, NULL) == ERR_OK);
	tap_ok(found == FILES_FOUND_PREV && got.count == 3,
	    "EIO on FILES: FILES.prev is taken (%zu files)", got.count);
	files_release(&got);
	fault_set_errno(FAULT_OPEN, "FILES", 1, 1, EIO);
	fault_set_errno(FAULT_READ, c.name, 1, UINT64_MAX, EIO);
	TAP_OK(files_load(d, 2, &got, &found, NULL) == ERR_OK && found == FILES_FOUND_PREV);
	tap_ok(got.count == 2 && !files_get(&got, c.name), "a file that gives EIO stays unnamed");
	fault_set(FAULT_READ, NULL, 1, 0, ERR_OK);
	/* the old lists stand until it is safe */
	fault_set_errno(FAULT_RENAME, c.name, 1, 1, EIO);
	errbuf_init(&eb);
	TAP_OK(files_aside(d, &got, &count, &eb) == ERR_IO && eb.text[0]);
	TAP_OK(files_aside(d, &got, &count, NULL) == ERR_OK && count == 1);
	TAP_OK(files_switch(&sw, &got) == ERR_OK &&
	    files_clean(&sw, &got, &count, NULL, NULL) == ERR_OK && count == 0);
	struct fsio_file *io = NULL;
	tap_ok(!fsio_dir_sub(d, FILES_ASIDE_DIR, false, &sub) &&
	        !fsio_open(sub, c.name, FSIO_READ, &io),
	    "and is set aside");
	files_release(&got);
	static const int passing[] = { EMFILE, ENFILE, ENOMEM, EACCES };
	for (size_t i = 0; i < COUNT_OF(passing); i++) {
		errbuf_init(&eb);
		fault_set_errno(FAULT_OPEN, "FILES", 1, 1, passing[i]);
		enum err e = files_load(d, 2, &got, &found, &eb);
		tap_ok(e == err_of_errno(passing[i]) && strstr(eb.text, strerrorname_np(passing[i])),
		    "nothing is decided on %s (%s)", strerrorname_np(passing[i]), eb.text);
	}
	fault_stop();
	fsio_close(io);
	fsio_dir_close(sub);
	files_release(&fs);
	fsio_dir_close(d);
	testlib_rmtree(dir);
	free(dir);
}

/* A year of two-hour ranges on one shard, four times over: steps grow as the list does. */
static void many_files(void)
{
	uint64_t parse[2], load[2], change[2];
	for (unsigned k = 0; k < 2; k++) {
		struct files fs, back;
		struct buf text;
		unsigned count = k ? 17520 : 4380;
		files_init(&fs, 2);
		for (unsigned i = 0; i < count; i++) {
			struct files_entry e = { .meta = { .shard = 2,
				                     .start_ms = START - WIDTH * (int64_t)i,
				                     .end_ms = START - WIDTH * (int64_t)i + WIDTH,
				                     .rank = i } };
			cfile_name(&e.meta, e.name);
			files_add(&fs, &e);
		}
		buf_init(&text);
		files_format(&fs, &text);
		steps = 0;
		TAP_OK(
		    files_parse(text.data, text.len, &back, NULL) == ERR_OK && back.count == count);
		parse[k] = steps;
		char *dir = testlib_tmpdir("t_files");
		struct fsio_dir *d = NULL;
		size_t gone = 0;
		if (fsio_dir_open(dir, false, &d))
			abort();
		struct files_switcher sw = { .dir = d };
		steps = 0;
		TAP_OK(files_switch(&sw, &back) == ERR_OK && files_switch(&sw, &back) == ERR_OK &&
		    files_clean(&sw, &back, &gone, NULL, NULL) == ERR_OK);
		load[k] = steps;
		steps = 0;
		struct files_entry e = back.entries[count / 2];
		TAP_OK(files_del(&back, &e));
		files_add(&back, &e);
		change[k] = steps;
		fsio_dir_close(d);
		testlib_rmtree(dir);
		free(dir);
		files_release(&back);
		files_release(&fs);
		buf_release(&text);
	}
	tap_ok(parse[1] < 8 * 17520 && parse[1] <= 5 * parse[0],
	    "17,520 entries are parsed in %" PRIu64 " comparisons, 4,380 in %" PRIu64, parse[1],
	    parse[0]);
	tap_ok(load[1] < 8 * 17520, "two switches and a clean-up take %" PRIu64, load[1]);
	tap_ok(change[1] < 64, "an entry leaves and comes in %" PRIu64, change[1]);
}

static void damage(struct fsio_dir *d, const char *name)
{
	struct fsio_file *io = NULL;
	if (fsio_open(d, name, FSIO_WRITE, &io) || fsio_write_at(io, "?", 1, 20))
		abort();
	fsio_close(io);
}

static void damaged_lists(void)
{
	char *dir = testlib_tmpdir("t_files");
	struct fsio_dir *d = NULL;
	struct files fs, got;
	enum files_found found;
	size_t count = 0;
	if (fsio_dir_open(dir, false, &d))
		abort();
	struct files_switcher sw = { .dir = d };
	TAP_OK(files_load(d, 2, &got, &found, NULL) == ERR_OK && found == FILES_FOUND_NEW &&
	    got.count == 0 && got.next_rank == 1);
	files_release(&got);
	files_init(&fs, 2);
	struct files_entry a = file_make(d, 1), b = file_make(d, 2), c = file_make(d, 3);
	fs.complete_to = 100;
	files_add(&fs, &a);
	files_add(&fs, &b);
	TAP_OK(files_switch(&sw, &fs) == ERR_OK);
	fs.complete_to = 200;
	(void)files_del(&fs, &a);
	files_add(&fs, &c);
	TAP_OK(files_switch(&sw, &fs) == ERR_OK && files_remove(&sw, a.name) == ERR_OK);
	/* An unfinished file lies around. */
	struct files_entry cut = file_make(d, 9);
	struct fsio_file *io = NULL;
	if (fsio_open(d, cut.name, FSIO_WRITE, &io) || fsio_truncate(io, cut.size_bytes - 10))
		abort();
	fsio_close(io);
	damage(d, FILES_NAME);
	TAP_OK(files_load(d, 2, &got, &found, NULL) == ERR_OK && found == FILES_FOUND_PREV);
	tap_ok(got.complete_to == 100 && got.count == 2 && files_get(&got, b.name) &&
	        files_get(&got, c.name),
	    "with FILES damaged the one before is taken, and corrected from the data files");
	tap_ok(got.next_id == 35 && got.next_rank == 4,
	    "ids and ranks go on above what was seen (%u, %" PRIu64 ")", got.next_id, got.next_rank);
	TAP_OK(files_aside(d, &got, &count, NULL) == ERR_OK && count == 1);
	TAP_OK(files_switch(&sw, &got) == ERR_OK &&
	    files_clean(&sw, &got, &count, NULL, NULL) == ERR_OK && count == 0);
	struct fsio_dir *sub = NULL;
	uint64_t size = 0;
	TAP_OK(fsio_dir_sub(d, FILES_ASIDE_DIR, false, &sub) == ERR_OK &&
	    fsio_open(sub, cut.name, FSIO_READ, &io) == ERR_OK && fsio_size(io, &size) == ERR_OK);
	tap_ok(size == cut.size_bytes - 10,
	    "what could not be opened whole is set aside, not removed");
	fsio_close(io);
	fsio_dir_close(sub);
	files_release(&got);
	/* FILES.prev was good and stays when FILES is bad. */
	damage(d, FILES_NAME);
	TAP_OK(files_load(d, 2, &got, &found, NULL) == ERR_OK && found == FILES_FOUND_PREV &&
	    got.complete_to == 100);
	damage(d, FILES_PREV);
	files_release(&got);
	TAP_OK(files_load(d, 2, &got, &found, NULL) == ERR_OK && found == FILES_FOUND_NONE);
	tap_ok(got.complete_to == 0 && got.next_number == 1 && got.count == 2 && got.next_id == 35,
	    "with both damaged the list is made from the data files");
	TAP_OK(files_switch(&sw, &got) == ERR_OK);
	(void)file_make(d, 50);
	TAP_OK(files_clean(&sw, &got, &count, NULL, NULL) == ERR_OK && count == 1);
	struct files third;
	TAP_OK(files_load(d, 3, &third, &found, NULL) == ERR_OK && third.count == 0);
	tap_ok(found == FILES_FOUND_NONE, "a list of another shard is not taken");
	files_release(&third);
	files_release(&got);
	files_release(&fs);
	fsio_dir_close(d);
	testlib_rmtree(dir);
	free(dir);
}

/* A list that could not be read again is not written. */
static void too_large(void)
{
	char *dir = testlib_tmpdir("files");
	struct fsio_dir *d;
	struct files fs, got;
	enum files_found found;
	if (fsio_dir_open(dir, false, &d))
		abort();
	struct files_switcher sw = { .dir = d };
	files_init(&fs, 2);
	struct files_entry a = file_make(d, 1);
	files_add(&fs, &a);
	TAP_OK(files_switch(&sw, &fs) == ERR_OK);
	fs.tombstones = mem_array(NULL, 1, sizeof(*fs.tombstones));
	fs.tombstones[0] = mem_alloc(FILES_SIZE_MAX + 1);
	memset(fs.tombstones[0], 'x', FILES_SIZE_MAX);
	memcpy(fs.tombstones[0], "tombstone ", 10);
	fs.tombstones[0][FILES_SIZE_MAX] = 0;
	fs.tombstones_count = 1;
	tap_ok(files_switch(&sw, &fs) == ERR_TOOBIG && !files_unknown(&sw),
	    "a list of more than %u bytes is not written", FILES_SIZE_MAX);
	TAP_OK(files_load(d, 2, &got, &found, NULL) == ERR_OK && found == FILES_FOUND_CURRENT &&
	    got.count == 1);
	files_release(&got);
	files_release(&fs);
	fsio_dir_close(d);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	text_form();
	many_at_once();
	tombstones();
	too_large();
	power_cuts();
	failing_calls();
	failing_prev();
	unreadable();
	damaged_lists();
	many_files();
	return tap_done();
}
