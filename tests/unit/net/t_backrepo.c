/*
 * A repository of backups on a disk that fails: what is stored comes back byte for byte, what two
 * have in common is there once, prune keeps what is named, a flipped bit is found, power cuts leave
 * no list without its objects.
 */
#include "net/ctl/backrepo.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "tests/lib/fault.h"
#include "tests/lib/fsdouble.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define FILES 6u

static char *top;
static struct fsio_dir *src;

static char *in_top(const char *name)
{
	static char path[2][512];
	static unsigned at;
	at ^= 1;
	snprintf(path[at], sizeof(path[at]), "%s/%s", top, name);
	return path[at];
}

/* File i of day d: the first ones are the same each day; zeroes inside and at the end. */
static size_t content(unsigned i, unsigned day, uint8_t *out)
{
	size_t len = 5000 + 3000 * i;
	memset(out, 0, len);
	for (size_t k = 0; k < len / 2; k++)
		out[k] = k % 1000 < 300 ? 0 : (uint8_t)(k * 7 + i + (i < 3 ? 0 : day));
	if (i == 5)
		memset(out, 0, len); /* nothing but zeroes */
	return len;
}

static void source_make(unsigned day)
{
	static uint8_t bytes[65536];
	for (unsigned i = 0; i < FILES; i++) {
		char name[32];
		size_t len = content(i, day, bytes);
		snprintf(name, sizeof(name), "f%u", i);
		CHECK(!fsio_replace(src, name, bytes, len));
	}
}

static enum err backup(struct backrepo *r, unsigned day, uint64_t *fresh)
{
	struct backgen g = { .made_s = day };
	struct errbuf eb;
	enum err e = ERR_OK;
	errbuf_init(&eb);
	*fresh = 0;
	snprintf(g.name, sizeof(g.name), "202601%02uT000000Z-0123456789abcdef", day % 90 + 1);
	snprintf(g.from, sizeof(g.from), "/here");
	source_make(day);
	for (unsigned i = 0; !e && i < FILES; i++) {
		struct backfile f = { 0 };
		struct fsio_file *from;
		uint64_t bytes;
		char name[32];
		snprintf(name, sizeof(name), "f%u", i);
		snprintf(f.path, sizeof(f.path), "dir/f%u", i);
		CHECK(!fsio_open(src, name, FSIO_READ, &from));
		CHECK(!fsio_size(from, &f.size));
		e = backrepo_store(r, from, &f, &bytes, &eb);
		fsio_close(from);
		*fresh += bytes;
		backgen_add(&g, &f);
		if (!e && i == 3)
			e = backrepo_save(r, &g, true, &eb);
	}
	if (!e)
		e = backrepo_save(r, &g, false, &eb);
	backgen_release(&g);
	if (e && !eb.text[0])
		tap_note("no text for %s", err_text(e));
	return e;
}

/* Every complete one, whole: how many; its files that are wrong are counted in *bad. */
static size_t check(const char *path, unsigned *bad)
{
	static uint8_t want[65536], have[65536];
	struct backrepo r;
	struct errbuf eb;
	errbuf_init(&eb);
	enum err e = backrepo_open(path, false, &r, &eb);
	if (e)
		return 0;
	size_t count = r.count;
	for (size_t n = 0; n < count; n++) {
		struct backgen g;
		errbuf_init(&eb);
		if (backrepo_load(&r, r.names[n], false, &g, &eb)) {
			++*bad;
			continue;
		}
		*bad += g.count != FILES;
		for (unsigned i = 0; i < g.count; i++) {
			struct fsio_file *to;
			size_t len = content(i, (unsigned)g.made_s, want);
			(void)!fsio_remove(src, "back");
			CHECK(!fsio_open(src, "back", FSIO_CREATE, &to));
			uint64_t size = 0;
			errbuf_init(&eb);
			bool good = !backrepo_fetch(&r, &g.files[i], to, NULL, &eb) &&
			    !fsio_size(to, &size) && size == len && !fsio_read_at(to, have, len, 0) &&
			    memcmp(have, want, len) == 0 && backrepo_same(&g.files[i], to);
			fsio_close(to);
			if (!good && (*bad)++ < 3)
				tap_note("%s: %s: %s %s", path, r.names[n], g.files[i].path, eb.text);
		}
		backgen_release(&g);
	}
	backrepo_close(&r);
	return count;
}

static void days(void)
{
	struct backrepo r;
	struct errbuf eb;
	struct backrepo_pruned pruned;
	uint64_t fresh[3];
	unsigned bad = 0;
	errbuf_init(&eb);
	TAP_OK(backrepo_open(in_top("src"), true, &r, &eb) == ERR_NOTFOUND); /* no place for one */
	errbuf_init(&eb);
	TAP_OK(backrepo_open(in_top("repo"), false, &r, &eb) == ERR_NOTFOUND);
	errbuf_init(&eb);
	TAP_OK(!backrepo_open(in_top("repo"), true, &r, &eb));
	struct backrepo other;
	TAP_OK(backrepo_open(in_top("repo"), true, &other, &eb) == ERR_LOCKED);
	for (unsigned day = 0; day < 3; day++)
		TAP_OK(!backup(&r, day, &fresh[day]));
	backrepo_close(&r);
	tap_ok(fresh[0] > 2 * fresh[1] / 2 && fresh[1] == fresh[2] && fresh[1] < fresh[0],
	    "what is the same is there once: %llu, %llu, %llu bytes", (unsigned long long)fresh[0],
	    (unsigned long long)fresh[1], (unsigned long long)fresh[2]);
	tap_ok(check(in_top("repo"), &bad) == 3 && !bad, "all three come back");
	errbuf_init(&eb);
	TAP_OK(!backrepo_open(in_top("repo"), false, &r, &eb));
	TAP_OK(
	    !backrepo_prune(&r, 1, &pruned, &eb) && pruned.generations == 2 && pruned.objects == 4);
	backrepo_close(&r);
	tap_ok(check(in_top("repo"), &bad) == 1 && !bad, "the newest is whole after a prune");
}

static void flip(void *arg, const char *name, size_t bytes)
{
	unsigned *left = arg;
	if (strncmp(name, "objects/", 8) != 0 || !bytes || (*left)++ != 0)
		return;
	char path[1024];
	snprintf(path, sizeof(path), "%s/%s", in_top("repo"), name);
	FILE *f = fopen(path, "r+b");
	CHECK(f);
	fseek(f, (long)bytes / 2, SEEK_SET);
	int c = fgetc(f);
	fseek(f, (long)bytes / 2, SEEK_SET);
	fputc(c ^ 4, f);
	fclose(f);
}

static void damage(void)
{
	unsigned bad = 0, seen = 0;
	testlib_files(in_top("repo"), flip, &seen);
	tap_ok(check(in_top("repo"), &bad) == 1 && bad == 1, "a flipped bit is one damaged file");
	testlib_rmtree(in_top("repo"));
}

/* What is not complete: which there are, whose objects stay, which go with a prune. */
static void parts(void)
{
	static const char old[] = "20251231T000000Z-0123456789abcdef",
	                  young[] = "20260201T000000Z-0123456789abcdef";
	struct backrepo r;
	struct errbuf eb;
	struct backrepo_pruned pruned;
	struct backgen g;
	uint64_t fresh;
	errbuf_init(&eb);
	CHECK(!backrepo_open(in_top("repo"), true, &r, &eb));
	CHECK(!backup(&r, 0, &fresh) && !backup(&r, 1, &fresh));
	backrepo_close(&r);
	CHECK(!backrepo_open(in_top("repo"), false, &r, &eb));
	tap_ok(r.count == 2 && r.parts_count == 2 && backrepo_complete(&r, r.parts[0]) &&
	        !backrepo_complete(&r, old),
	    "a complete one leaves its part to who made it");
	CHECK(!backrepo_load(&r, r.names[0], false, &g, &eb)); /* of the day that goes */
	for (unsigned i = 0; i < 2; i++) {
		TAP_OK(!backrepo_part_drop(&r, r.names[i], &eb));
		TAP_OK(!backrepo_part_drop(&r, r.names[i], &eb)); /* twice is success */
		(void)snprintf(g.name, sizeof(g.name), "%s", i ? young : old);
		TAP_OK(!backrepo_save(&r, &g, true, &eb));
	}
	backrepo_close(&r);
	CHECK(!backrepo_open(in_top("repo"), false, &r, &eb) && r.parts_count == 2);
	TAP_OK(!backrepo_prune(&r, 1, &pruned, &eb) && pruned.generations == 1 && !pruned.objects);
	backrepo_close(&r);
	CHECK(!backrepo_open(in_top("repo"), false, &r, &eb));
	tap_ok(r.parts_count == 1 && !strcmp(r.parts[0], young),
	    "one older than all that stays goes, of a younger one the objects stay");
	unsigned there = 0;
	for (size_t i = 0; i < g.count; i++)
		there += backrepo_has(&r, &g.files[i]);
	TAP_OK(there == FILES);
	backgen_release(&g);
	backrepo_close(&r);
	/* Other things than files have no say, and nobody waits for them. */
	char path[1024];
	(void)snprintf(
	    path, sizeof(path), "%s/generations/20300101T000000Z-0123456789abcdef", in_top("repo"));
	CHECK(!mkfifo(path, 0600));
	CHECK(!backrepo_open(in_top("repo"), false, &r, &eb));
	TAP_OK(r.count == 1);
	errbuf_init(&eb);
	TAP_OK(backrepo_load(&r, "20300101T000000Z-0123456789abcdef", false, &g, &eb) == ERR_DAMAGED);
	CHECK(!unlink(path));
	FILE *f = fopen(path, "w"); /* a list that is cut: nothing goes, and it says what to do */
	fclose(f);
	backrepo_close(&r);
	CHECK(!backrepo_open(in_top("repo"), false, &r, &eb));
	errbuf_init(&eb);
	tap_ok(backrepo_prune(&r, 1, &pruned, &eb) == ERR_DAMAGED && strstr(eb.text, "remove"),
	    "%s", eb.text);
	backrepo_close(&r);
	testlib_rmtree(in_top("repo"));
}

/* Every call fails once, and the power goes somewhere. */
static void faults(void)
{
	unsigned failed = 0, bad = 0;
	for (uint64_t n = 1;; n += 3) {
		struct backrepo r;
		struct errbuf eb;
		uint64_t fresh;
		errbuf_init(&eb);
		fsdouble_start(&(struct fsdouble_opts){ .root = in_top("repo") });
		fault_start(fsdouble_ops());
		CHECK(!backrepo_open(in_top("repo"), true, &r, &eb));
		CHECK(!backup(&r, 0, &fresh));
		uint64_t from = fsdouble_point();
		fault_within("/repo");
		fault_set(FAULT_ANY, NULL, n, 1, ERR_NOSPACE);
		enum err e = backup(&r, 1, &fresh);
		bool hit = fault_hits(FAULT_ANY) > 0;
		fault_set(FAULT_ANY, NULL, 1, 0, ERR_OK);
		uint64_t span = fsdouble_point() - from;
		backrepo_close(&r);
		fsdouble_image(from + (n * 7 % (span + 1)), n,
		    n % 2 ? FSDOUBLE_SYNCED : FSDOUBLE_RANDOM, in_top("image"));
		fault_stop();
		fsdouble_stop();
		failed += e != 0;
		size_t there = check(in_top("repo"), &bad), image = check(in_top("image"), &bad);
		if (there < 1u + !e || there > 2 || image < 1 || image > 2)
			tap_note("call %llu: %s: %zu there, %zu in the image, %u files are wrong",
			    (unsigned long long)n, err_text(e), there, image, ++bad);
		testlib_rmtree(in_top("repo"));
		testlib_rmtree(in_top("image"));
		if (!hit)
			break;
	}
	tap_ok(failed > 5 && !bad,
	    "%u failed calls and as many power cuts: no list without its files (%u bad)", failed,
	    bad);
}

int main(void)
{
	top = testlib_tmpdir("backrepo");
	CHECK(!fsio_dir_open(in_top("src"), true, &src));
	source_make(0);
	days();
	damage();
	parts();
	faults();
	fsio_dir_close(src);
	testlib_rmtree(top);
	free(top);
	return tap_done();
}
