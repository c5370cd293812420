/*
 * Text that export writes: read again by the readers of exposed text and of OpenMetrics; files that
 * are packed, cut, taken back and gone on with.
 */
#include "net/ctl/ctltext.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/ctl/ctlout.h"
#include "proto/omet.h"
#include "proto/unpack.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"
#include "tests/lib/testlib.h"

static struct arena arena;

static void rows(void)
{
	struct labels ls = label_make(&arena, "__name__", "up", "a", "q\"b\\n\n", "b.c", "x", NULL);
	const int64_t t[] = { 5, 1700000000123, 1700000001000, 1700000002000 };
	const struct hist *h[] = { NULL, NULL, testhist_next(&arena, 1, 1), NULL };
	double v[] = { 1.5, -1.0 / 0.0, num_from_bits(SAMPLE_HIST_BITS), sample_stale() };
	struct sample_column c = { .count = 4, .t_ms = t, .v = v, .h = h };
	struct ctltext_left left = { 0 };
	struct buf b;
	buf_init(&b);
	ctltext_rows(&b, false, ls, &c, &left);
	buf_add_u8(&b, 0);
	tap_is_str((char *)b.data,
	    "up{a=\"q\\\"b\\\\n\\n\",\"b.c\"=\"x\"} 1.5 5\n"
	    "up{a=\"q\\\"b\\\\n\\n\",\"b.c\"=\"x\"} -Inf 1700000000123\n",
	    "text has milliseconds");
	tap_ok(left.stale == 1 && left.histograms == 1, "what has no form is counted");
	buf_clear(&b);
	c.count = 1;
	ctltext_rows(&b, true, label_make(&arena, "__name__", "my.name", NULL), &c, &left);
	buf_add_u8(&b, 0);
	tap_is_str((char *)b.data, "{\"my.name\"} 1.5 0.005\n", "OpenMetrics has seconds");
	buf_clear(&b);
	ctltext_family(&b, true, "req_total", "counter", "a \"b\"\n\\");
	ctltext_family(&b, true, "req", "counter", "no");
	ctltext_family(&b, false, "req", "counter", NULL);
	ctltext_family(&b, false, "lat", "histogram", "no");
	ctltext_family(&b, false, "mem", "gauge", "\"x\"\n");
	buf_add_u8(&b, 0);
	tap_is_str((char *)b.data,
	    "# TYPE req counter\n# HELP req a \\\"b\\\"\\n\\\\\n# TYPE req counter\n# TYPE mem gauge\n"
	    "# HELP mem \"x\"\\n\n",
	    "families");
	buf_release(&b);
}

/* Times and values of all kinds, out and in. */
static void again(bool openmetrics)
{
	enum {
		COUNT = 4000
	};
	static int64_t t[COUNT];
	static double v[COUNT];
	uint64_t seed = 5, wrong = 0, n = 0;
	struct ctltext_left left = { 0 };
	struct buf b;
	struct omet o;
	buf_init(&b);
	for (unsigned i = 0; i < COUNT; i++) {
		t[i] = (int64_t)(testhist_mix(&seed) % (i % 2 ? 4000000000000u : 1000000u));
		v[i] = testhist_double(&seed);
		if (sample_is_no_float(v[i]))
			v[i] = 1;
	}
	struct sample_column c = { .count = COUNT, .t_ms = t, .v = v };
	ctltext_rows(&b, openmetrics, label_make(&arena, "__name__", "x", "y", "z", NULL), &c, &left);
	if (openmetrics)
		buf_add_str(&b, "# EOF\n");
	omet_init(&o, (char *)b.data, b.len, false);
	if (!openmetrics)
		expo_init(&o.x, (char *)b.data, b.len, 1);
	for (; (openmetrics ? omet_next(&o) : expo_next(&o.x)) == EXPO_SAMPLE; n++) {
		bool nan = v[n] != v[n];
		wrong += !o.x.timed || o.x.t_ms != t[n] ||
		    (nan ? o.x.v == o.x.v : num_bits(o.x.v) != num_bits(v[n]));
	}
	tap_ok(n == COUNT && !wrong && !o.x.bad, "%s is read as it was written (%u wrong; %s)",
	    openmetrics ? "OpenMetrics" : "text", (unsigned)wrong, o.x.bad ? o.x.bad : "");
	buf_release(&b);
}

/* --- files --- */

static void read_file(const char *path, enum ctlout_pack pack, struct buf *out)
{
	static const enum unpack_form forms[] = {
		[CTLOUT_GZIP] = UNPACK_GZIP, [CTLOUT_ZSTD] = UNPACK_ZSTD
	};
	struct buf raw;
	char piece[UNPACK_STEP];
	ssize_t n;
	buf_init(&raw);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, piece, sizeof(piece))) > 0)
		buf_add(&raw, piece, (size_t)n);
	if (fd >= 0)
		close(fd);
	if (pack == CTLOUT_PLAIN) {
		buf_add(out, raw.data, raw.len);
		buf_release(&raw);
		return;
	}
	struct unpack *u;
	size_t at = 0, used = 1, len = 1;
	if (unpack_create(forms[pack], &u))
		abort();
	while (used || len) {
		enum err e = unpack_next(
		    u, raw.data + at, raw.len - at, &used, (uint8_t *)piece, sizeof(piece), &len);
		if (e == ERR_AGAIN)
			unpack_allow(u);
		else if (e)
			break;
		buf_add(out, piece, len);
		at += used;
		if (e == ERR_AGAIN)
			used = 1;
	}
	if (!unpack_whole(u))
		buf_add_str(out, "not whole");
	unpack_free(u);
	buf_release(&raw);
}

static void lines(struct ctlout *o, struct buf *want, unsigned from, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		buf_printf(ctlout_buf(o), "line %u\n", from + i);
		if (want)
			buf_printf(want, "line %u\n", from + i);
		CHECK(!ctlout_flush_some(o));
	}
}

static void file(const char *dir, const char *name)
{
	size_t len;
	char *path = testlib_path(dir, name);
	enum ctlout_pack pack = ctlout_pack_of(path, &len);
	struct ctlout *o;
	struct buf want, got;
	int64_t from = 0;
	buf_init(&want);
	buf_init(&got);
	bool good = !ctlout_open(path, pack, false, &from, &o);
	lines(o, &want, 0, 50000);
	good = good && !ctlout_cut(o);
	lines(o, NULL, 900000, 60000); /* which is taken back */
	good = good && !ctlout_back(o);
	lines(o, &want, 50000, 10);
	good = good && !ctlout_cut(o) && !ctlout_sync(o);
	from = ctlout_offset(o);
	lines(o, NULL, 900000, 60000); /* which a dying process leaves */
	ctlout_close(o);
	good = good && access(path, F_OK) && !ctlout_open(path, pack, false, &from, &o) && from > 0;
	lines(o, &want, 60000, 10);
	good = good && !ctlout_finish(o);
	ctlout_close(o);
	read_file(path, pack, &got);
	tap_ok(good && got.len == want.len && !memcmp(got.data, want.data, want.len),
	    "%s: cut, taken back, gone on with", name);
	from = 1 << 30;
	tap_ok(ctlout_open(path, pack, false, &from, &o) == CTL_LOCAL && !o,
	    "what is there is not written over");
	tap_ok(!ctlout_open(path, pack, true, &from, &o) && !from,
	    "unless it may; and an offset beyond the file is none");
	ctlout_close(o);
	buf_release(&want);
	buf_release(&got);
	free(path);
}

int main(void)
{
	arena_init(&arena, 4096);
	rows();
	again(false);
	again(true);
	char *dir = testlib_tmpdir("ctltext");
	file(dir, "a.om");
	file(dir, "a.om.gz");
	file(dir, "a.om.zst");
	testlib_rmtree(dir);
	free(dir);
	arena_release(&arena);
	return tap_done();
}
