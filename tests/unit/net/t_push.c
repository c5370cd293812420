/* Groups of pushes: bodies, files, tables, without a server. */
#include "tests/lib/tap.h"

#include "net/recv/pushset.h"
#include "net/recv/pushtable.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena arena;
static struct limits limits;
static char top[] = "/tmp/t_push.XXXXXX";

static struct push_change change(
    struct pushtable *t, enum push_op op, const char *job, const char *body, uint64_t max_groups)
{
	struct push_change c = { .op = op,
		.labels = label_make(&arena, "job", job, NULL),
		.body = (const uint8_t *)body,
		.body_len = body ? strlen(body) : 0,
		.limits = &limits,
		.max_groups = max_groups,
		.max_bytes = 1 << 20,
		.now_ms = 1000,
		.now_ns = 5 };
	pushtable_change(t, &c);
	return c;
}

/* Rows and stale markers of a change, which is released. */
static void told(struct pushtable *t, struct push_change c, size_t rows, size_t stale, enum err err,
    const char *text)
{
	size_t gone = 0;
	for (size_t i = 0; i < c.batch.rows_count; i++)
		gone += sample_is_stale(c.batch.rows[i].v);
	tap_ok(c.err == err && strstr(c.eb.text, text) && c.batch.rows_count - gone == rows &&
	        gone == stale,
	    "%zu rows, %zu stale: %s", c.batch.rows_count - gone, gone, c.eb.text);
	pushtable_change_release(t, &c);
}

static size_t groups(struct pushtable *t)
{
	size_t n = 0;
	for (struct pushgroup *g = NULL; (g = pushtable_next(t, 0, g));)
		n++;
	return n;
}

static void test_table(void)
{
	struct pushtable *t = pushtable_create();
	pushtable_keep(t, top);
	told(t, change(t, PUSH_MERGE, "a", "m{x=\"1\"} 1\nn 2\n", 3), 4, 0, 0, "");
	told(t, change(t, PUSH_MERGE, "a", "m{x=\"2\"} 1\n", 3), 4, 1, 0, "");
	told(t, change(t, PUSH_REPLACE, "a", "n 3\n", 3), 3, 1, 0, "");
	told(t, change(t, PUSH_MERGE, "b", "# TYPE n counter\nn 3\n", 3), 2, 0, ERR_BADDATA,
	    "n\" { label:<name:\"instance\" value:\"\" > label:<name:\"job\" value:\"b\" > } is not a UNTYPED");
	told(t, change(t, PUSH_MERGE, "b", "k 1 5\n", 3), 2, 0, ERR_BADDATA, "timestamps");
	told(t, change(t, PUSH_MERGE, "b", "k x\n", 3), 0, 0, ERR_MALFORMED, "in line 1");
	told(t, change(t, PUSH_MERGE, "b", "k 1\nk 2\n", 3), 2, 0, ERR_BADDATA, "before");
	told(t, change(t, PUSH_MERGE, "c", "k 1\n", 3), 3, 0, 0, "");
	told(t, change(t, PUSH_MERGE, "d", "k 1\n", 3), 0, 0, ERR_TOOBIG, "limit 3 (receivers");
	tap_ok(groups(t) == 3, "three groups");
	told(t, change(t, PUSH_DELETE, "none", NULL, 3), 0, 0, 0, "");
	told(t, change(t, PUSH_DELETE, "c", NULL, 3), 0, 3, 0, "");
	told(t, change(t, PUSH_REPLACE, "a", "# TYPE n gauge\nn 4\n", 3), 3, 0, 0, "");
	told(t, change(t, PUSH_MERGE, "b", "# TYPE n gauge\nn 4\n", 3), 3, 0, 0, "");
	pushtable_free(t);
}

static void test_again(void)
{
	struct pushtable *t = pushtable_create();
	struct pushgroup *g;
	int64_t t_ms = 0, later = 0;
	pushtable_keep(t, top);
	tap_ok(groups(t) == 2, "groups are found again");
	g = pushtable_due(t, true, 0, 10, 100, 1000, &t_ms);
	tap_ok(g && g->families_count == 3 && t_ms == 1000, "the first is due");
	struct pushgroup *h = pushtable_due(t, true, 0, 10, 100, 1000, &later);
	tap_ok(h && h != g && !pushtable_due(t, true, 0, 10, 100, 1000, &later), "and the other");
	struct pushgroup *same = pushtable_due(t, true, 0, 110, 100, 1000, &later);
	tap_ok(same == g && later == 1001, "then the first again, with a later time");
	tap_ok(
	    !pushtable_due(t, false, 7, 110, 100, 1000, &later), "of another tenant there is none");
	struct push_change c = { .op = PUSH_EXPIRE, .labels = g->labels, .expected = h, .now_ms = 1 };
	pushtable_change(t, &c);
	told(t, c, 0, 0, 0, "");
	tap_ok(groups(t) == 2, "one that was pushed meanwhile does not expire");
	c = (struct push_change){ .op = PUSH_EXPIRE, .labels = g->labels, .expected = g, .now_ms = 1 };
	pushtable_change(t, &c);
	tap_ok(c.batch.rows[0].t_ms == 1002, "stale markers are newer than all rows");
	told(t, c, 0, 3, 0, "");
	pushtable_let_go(t, g);
	pushtable_let_go(t, same);
	pushtable_let_go(t, h);
	c = (struct push_change){ .op = PUSH_WIPE, .now_ms = 1 };
	pushtable_change(t, &c);
	told(t, c, 0, 3, 0, "");
	tap_ok(!groups(t), "a wipe leaves none");
	pushtable_free(t);
}

/* In pieces of so many bytes and a metric: the same in any. */
static void as_json(struct pushgroup *g, size_t piece, struct buf *out, size_t *largest)
{
	struct pushjson j;
	struct buf b;
	bool all = false;
	buf_init(&b);
	pushjson_begin(&j, g);
	*largest = 0;
	while (!all) {
		all = pushjson_next(&j, &b, piece);
		*largest = b.len > *largest ? b.len : *largest;
		buf_add(out, b.data, b.len);
		buf_clear(&b);
	}
	pushjson_end(&j);
	buf_release(&b);
}

static void pushgroup_json(struct pushgroup *g, struct buf *out)
{
	size_t largest;
	as_json(g, SIZE_MAX, out, &largest);
}

static void test_pieces(void)
{
	struct errbuf eb;
	struct buf b, one, many;
	struct pushgroup *g = pushgroup_new(3, label_make(&arena, "job", "j", NULL));
	size_t largest, all;
	buf_init(&b);
	buf_init(&one);
	buf_init(&many);
	errbuf_init(&eb);
	buf_add_str(&b, "# TYPE s summary\n");
	for (unsigned i = 0; i < 1000; i++)
		buf_printf(&b, "m{i=\"%u\"} 1\ns_sum{i=\"%u\"} 2\nn%u 1\n", i, i, i);
	tap_ok(!pushgroup_read(g, PUSH_TEXT, b.data, b.len, &limits, 5, &eb), "a body: %s", eb.text);
	pushgroup_times(g, 5, 0);
	as_json(g, SIZE_MAX, &one, &all);
	as_json(g, 1000, &many, &largest);
	tap_ok(one.len == many.len && !memcmp(one.data, many.data, one.len) && all == one.len &&
	        largest < 2000,
	    "JSON of %zu bytes, in pieces of at most %zu", all, largest);
	pushgroup_free(g);
	buf_release(&b);
	buf_release(&one);
	buf_release(&many);
}

static void test_file(void)
{
	static const char body[] =
	    "# HELP h of it\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 2\nx 3\n";
	struct errbuf eb;
	struct buf b, again, json, other;
	struct pushgroup *g = pushgroup_new(3, label_make(&arena, "instance", "i", "job", "j", NULL));
	buf_init(&b);
	buf_init(&again);
	buf_init(&json);
	buf_init(&other);
	errbuf_init(&eb);
	tap_ok(!pushgroup_read(g, PUSH_TEXT, (const uint8_t *)body, strlen(body), &limits, 5, &eb) &&
	        g->families_count == 2 && pushgroup_family(g, "h", 1)->rows_count == 2,
	    "a body: %s", eb.text);
	pushgroup_times(g, 5, 0);
	pushgroup_encode(g, &b);
	pushgroup_json(g, &json);
	struct pushgroup *h = pushgroup_decode(b.data, b.len);
	if (h) {
		pushgroup_encode(h, &again);
		pushgroup_json(h, &other);
	}
	tap_ok(h && h->tenant == 3 && again.len == b.len && !memcmp(again.data, b.data, b.len) &&
	        json.len == other.len && !memcmp(json.data, other.data, json.len),
	    "a file gives the same group");
	buf_add_u8(&json, 0);
	tap_ok(
	    strstr((const char *)json.data,
	        "\"h\":{\"time_stamp\":\"1970-01-01T00:00:00.005Z\",\"type\":\"HISTOGRAM\",\"help\":\"of it\",\"metrics\":[{\"buckets\":{\"1\":\"1\"},\"count\":\"0\",\"labels\":{\"instance\":\"i\",\"job\":\"j\"},\"sum\":\"2\"}]}"),
	    "as JSON: %s", (const char *)json.data);
	unsigned taken = 0;
	for (size_t i = 0; i < b.len; i++) {
		uint8_t *part = malloc(i ? i : 1);
		if (!part)
			abort();
		memcpy(part, b.data, i);
		struct pushgroup *cut = pushgroup_decode(part, i);
		taken += cut != NULL;
		pushgroup_free(cut);
		free(part);
		b.data[i] ^= 1;
		cut = pushgroup_decode(b.data, b.len);
		taken += cut != NULL;
		pushgroup_free(cut);
		b.data[i] ^= 1;
	}
	tap_ok(!taken, "a file that is cut or damaged gives none");
	pushgroup_free(g);
	pushgroup_free(h);
	buf_release(&b);
	buf_release(&again);
	buf_release(&json);
	buf_release(&other);
}

/* Against an array. */
static void test_set(void)
{
	struct pushset s = { 0 };
	unsigned counts[64] = { 0 }, wrong = 0;
	uint64_t x = 1;
	for (unsigned i = 0; i < 100000; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		unsigned k = (unsigned)(x >> 40) % 64;
		uint64_t hash = (uint64_t)(k % 8) * 64 + k + 1; /* many at one place */
		if (counts[k] && (x >> 50 & 1)) {
			pushset_remove(&s, hash);
			counts[k]--;
		} else if (counts[k] < 3) {
			pushset_add(&s, hash, 0);
			counts[k]++;
		}
		const struct pushset_entry *e = pushset_find(&s, hash);
		wrong += (e ? e->count : 0) != counts[k];
	}
	tap_ok(!wrong, "a set is what an array is");
	pushset_release(&s);
}

/* Each row has the labels of the key: few bytes of a body are many here. */
static void test_bounds(void)
{
	enum {
		KEY = 60000,
		MAX = 1 << 20
	};
	char key[KEY + 3];
	struct buf b;
	struct errbuf eb;
	buf_init(&b);
	errbuf_init(&eb);
	for (unsigned i = 0; i < 2000; i++)
		buf_printf(&b, "a%u 1\n", i);
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = 0;
	struct pushgroup *g = pushgroup_new(0, label_make(&arena, "job", key, NULL));
	g->max_bytes = MAX;
	enum err e = pushgroup_read(g, PUSH_TEXT, b.data, b.len, &limits, 5, &eb);
	tap_ok(e == ERR_TOOBIG && arena_used(&g->arena) < 4 * MAX &&
	        strstr(eb.text, "limit 1048576 (receivers.pushgateway.max_bytes)"),
	    "a small body under a long key: %s, %zu bytes", eb.text, arena_used(&g->arena));
	pushgroup_free(g);
	buf_clear(&b);
	for (unsigned i = 0; i < 100000; i++)
		buf_printf(&b, "# TYPE a%u gauge\n", i);
	g = pushgroup_new(0, label_make(&arena, "job", "j", NULL));
	g->max_bytes = MAX;
	e = pushgroup_read(g, PUSH_TEXT, b.data, b.len, &limits, 5, &eb);
	tap_ok(e == ERR_TOOBIG && arena_used(&g->arena) < 4 * MAX,
	    "types without samples: %s, %zu bytes", eb.text, arena_used(&g->arena));
	pushgroup_free(g);
	buf_release(&b);
	struct pushtable *t = pushtable_create();
	for (unsigned i = 0; i < 50; i++) {
		key[0] = (char)('0' + i);
		struct push_change c = change(t, PUSH_MERGE, key, "k 1 5\n", 1000);
		pushtable_change_release(t, &c);
	}
	size_t n = groups(t);
	tap_ok(n && n < 20, "groups of failed pushes are within max_bytes, too: %zu", n);
	pushtable_free(t);
}

/* What a push leaves of a group and what it brings are one group. */
static void test_merged(void)
{
	struct pushtable *t = pushtable_create();
	told(t, change(t, PUSH_MERGE, "a", "h_bucket{le=\"1.5\"} 1\n", 3), 3, 0, 0, "");
	told(t, change(t, PUSH_MERGE, "a", "# TYPE h histogram\nh_bucket{le=\"1.5\"} 2\n", 3), 3, 0,
	    ERR_BADDATA, "before");
	told(t, change(t, PUSH_REPLACE, "a", "# TYPE h histogram\nh_bucket{le=\"1.5\"} 2\n", 3), 3,
	    0, 0, "");
	pushtable_free(t);
}

/* Where no file can be, nothing is answered as kept; a file that is none of ours is passed over. */
static void test_no_directory(void)
{
	char other[] = "/tmp/t_push.XXXXXX", path[64], odd[96];
	tap_ok(mkdtemp(other) != NULL, "another directory");
	snprintf(path, sizeof(path), "%s/%s", other, PUSHTABLE_DIR);
	FILE *f = fopen(path, "w");
	tap_ok(f && !fclose(f), "a file where the directory of groups should be");
	struct pushtable *t = pushtable_create();
	pushtable_keep(t, other);
	struct push_change c = change(t, PUSH_MERGE, "a", "k 1\n", 3);
	tap_ok(c.err && strstr(c.eb.text, "cannot be kept") && !c.batch.rows_count,
	    "a push that cannot be kept: %s", c.eb.text);
	pushtable_change_release(t, &c);
	tap_ok(!groups(t), "is not there");
	pushtable_free(t);
	(void)unlink(path);
	snprintf(odd, sizeof(odd), "%s/0.tmp", path);
	tap_ok(!mkdir(path, 0700) && !mkdir(odd, 0700),
	    "a directory that cannot be removed as a file");
	t = pushtable_create();
	pushtable_keep(t, other);
	told(t, change(t, PUSH_MERGE, "a", "k 1\n", 3), 3, 0, 0, "");
	pushtable_free(t);
	t = pushtable_create();
	pushtable_keep(t, other);
	tap_ok(groups(t) == 1, "groups beside it are read");
	told(t, change(t, PUSH_DELETE, "a", NULL, 3), 0, 3, 0, "");
	pushtable_free(t);
	(void)rmdir(odd);
	(void)rmdir(path);
	(void)rmdir(other);
}

static void clean(void)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/%s", top, PUSHTABLE_DIR);
	DIR *d = opendir(path);
	size_t left = 0;
	for (struct dirent *e; d && (e = readdir(d));)
		left += e->d_name[0] != '.';
	if (d)
		(void)closedir(d);
	tap_ok(d && !left, "no file is left");
	(void)rmdir(path);
	(void)rmdir(top);
}

int main(void)
{
	arena_init(&arena, 4096);
	limits_default(&limits);
	tap_ok(mkdtemp(top) != NULL, "a directory");
	test_set();
	test_file();
	test_pieces();
	test_bounds();
	test_merged();
	test_no_directory();
	test_table();
	test_again();
	clean();
	arena_release(&arena);
	return tap_done();
}
