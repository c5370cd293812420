#include "tests/lib/fakereq.h"
#include "tests/lib/packed.h"
#include "tests/lib/tap.h"

#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/rt/stamps.h"
#include "net/api/apierr.h"
#include "net/api/slowlog.h"
#include "net/recv/recv_remote.h"
#include "net/recv/writetype.h"
#include "proto/rw1.h"
#include "proto/rw2.h"
#include "proto/snapz.h"

/* A sink that answers as told, later. */
struct told {
	struct sink sink;
	enum err accepts, err;
	uint32_t retry_after_s;
	uint64_t refused, hists, exemplars_refused;
	uint64_t rows, metas, exemplars; /* seen */
	bool no_room;                    /* for exemplars */
	struct loop_deferred later;
	struct sink_req *req;
};

static void answer(struct loop_deferred *d)
{
	struct told *t = CONTAINER_OF(d, struct told, later);
	struct sink_req *r = t->req;
	r->err = t->err;
	r->retry_after_s = t->retry_after_s;
	r->refused = t->refused;
	r->stored = r->batch->rows_count - t->refused;
	r->hists = t->hists;
	r->exemplars_refused = t->exemplars_refused;
	r->exemplars = t->no_room ? 0 : r->batch->exemplars_count - t->exemplars_refused;
	metric_add(M_REFUSED_TOO_OLD, t->refused);
	metric_add(M_EXEMPLARS_OUT_OF_ORDER, t->exemplars_refused);
	r->first_reason = t->refused ? SINK_TOO_OLD : SINK_OK;
	if (t->refused || t->err)
		snprintf(r->first_text, sizeof(r->first_text), "up{job=\"a\"} is old");
	else if (t->exemplars_refused)
		snprintf(r->first_text, sizeof(r->first_text), "up{job=\"a\"}: exemplar is old");
	r->done(r);
}

static void append(struct sink *s, struct sink_req *req)
{
	struct told *t = CONTAINER_OF(s, struct told, sink);
	t->req = req;
	t->rows = req->batch->rows_count;
	t->metas = req->batch->metas_count;
	t->exemplars = req->batch->exemplars_count;
	t->later.fn = answer;
	loop_defer(loop_here(), &t->later);
}

static enum err accepts(struct sink *s, uint32_t *retry_after_s)
{
	struct told *t = CONTAINER_OF(s, struct told, sink);
	*retry_after_s = t->retry_after_s;
	return t->accepts;
}

static const struct sink_ops ops = { append, accepts };
static struct told told = { .sink = { .ops = &ops } };
static struct testteam tt;
static struct api *api;

static void put(
    struct fakereq *f, const char *type, const char *encoding, const void *body, size_t len)
{
	fakereq_init(f, &tt, api);
	if (type)
		fakereq_field(f, "content-type", type);
	if (encoding)
		fakereq_field(f, "content-encoding", encoding);
	fakereq_run(f, REQ_POST, "/api/v1/write", body, len);
}

static void is(struct fakereq *f, int status, const char *begins, const char *what)
{
	const char *text = fakereq_text(f);
	tap_ok(f->status == status && !strncmp(text, begins, strlen(begins)), "%s: %d %.*s", what,
	    f->status, (int)strcspn(text, "\n"), text);
	tap_ok(!f->headers.len || !strcasestr((const char *)f->headers.data, "written"),
	    "and no header of version 2.0");
	fakereq_end(f);
}

static struct buf body_of(unsigned series)
{
	struct buf plain, packed;
	struct arena a;
	buf_init(&plain);
	buf_init(&packed);
	arena_init(&a, 1024);
	struct labels ls =
	    label_make(&a, "__name__", "up", "instance", "10.0.0.1:9100", "job", "a", NULL);
	for (unsigned i = 0; i < series; i++)
		rw1_encode_series(&plain, ls, 1755000000000 + i, i);
	snapz_encode(&packed, plain.data, plain.len);
	buf_release(&plain);
	arena_release(&a);
	return packed;
}

static void verdicts(void)
{
	struct fakereq f;
	struct buf b = body_of(20);
	put(&f, "application/x-protobuf", "snappy", b.data, b.len);
	is(&f, 204, "", "all is stored");
	tap_is_u64(told.rows, 20, "the sink got every sample");
	put(&f, NULL, NULL, b.data, b.len);
	is(&f, 204, "", "both headers may be missing");
	put(&f, "application/x-protobuf; proto = \"prometheus.WriteRequest\"", "Snappy", b.data,
	    b.len);
	is(&f, 204, "", "blanks and quotes do not matter");
	told.refused = 2;
	put(&f, NULL, NULL, b.data, b.len);
	is(&f, 400,
	    "partial: stored 18 of 20 samples; 2 refused; first: too_old: up{job=\"a\"} is old",
	    "some samples are refused");
	told.refused = 0;

	static const struct {
		enum err err;
		uint32_t retry;
		const char *begins, *header;
	} bad[] = {
		{ ERR_LOGFAILED, 0, "log_failed: ", "retry-after: 5\n" },
		{ ERR_NOSPACE, 0, "disk_full: ", "retry-after: 30\n" },
		{ ERR_READONLY, 0, "read_only: ", "retry-after: 60\n" },
		{ ERR_READONLY, 7, "read_only: ", "retry-after: 7\n" },
		{ ERR_BUSY, 2, "overloaded: ", "retry-after: " },
		{ ERR_NOFILES, 0, "overloaded: ", "retry-after: " },
		{ ERR_IO, 0, "disk_failed: ", "retry-after: 5\n" },
		{ ERR_ACCESS, 0, "disk_failed: ", "retry-after: 60\n" },
		{ ERR_STOPPING, 0, "Service Unavailable", "retry-after: 5\n" },
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		told.err = bad[i].err;
		told.retry_after_s = bad[i].retry;
		put(&f, NULL, NULL, b.data, b.len);
		tap_ok(strstr((const char *)f.headers.data, bad[i].header),
		    "a sender is told when to come again: %.*s", (int)strcspn(bad[i].header, "\n"),
		    bad[i].header);
		is(&f, 503, bad[i].begins, "nothing may be acknowledged");
		told.err = ERR_OK;
		told.accepts = bad[i].err;
		put(&f, NULL, NULL, b.data, b.len);
		is(&f, 503, bad[i].begins, "the same before the body is read");
		told.accepts = ERR_OK;
	}
	told.retry_after_s = 0;
	fakereq_init(&f, &tt, api);
	f.charged_out = true;
	fakereq_run(&f, REQ_POST, "/api/v1/push", b.data, b.len);
	is(&f, 503, "overloaded: ", "no memory for the decoded body");
	buf_release(&b);
}

/* The floor of free space is not a full disk. */
static void set_disk(void *arg)
{
	const uint64_t *mib = arg;
	metric_gauge_set(M_DISK_FREE_BYTES, (int64_t)(mib[0] << 20));
	metric_gauge_set(M_DISK_FLOOR_BYTES, (int64_t)(mib[1] << 20));
}

static void no_space(void)
{
	static const struct {
		uint64_t mib[2];
		const char *want;
	} cases[] = {
		{ { 236, 1024 },
		    "disk_full: 236MiB are free, below --storage.min-free 1GiB in /srv/kymo: writes are taken again above 1280MiB\n" },
		{ { 1100, 1024 },
		    "disk_full: 1100MiB are free, still near --storage.min-free 1GiB in /srv/kymo: writes are taken again above 1280MiB\n" },
		{ { 20000, 40000 },
		    "disk_full: 19.5GiB are free, below --storage.min-free 39.0GiB in /srv/kymo: writes are taken again above 48.8GiB\n" },
		{ { 100000, 1024 }, "disk_full: the disk is full, nothing can be written\n" },
		{ { 0, 0 }, "disk_full: the disk is full, nothing can be written\n" },
	};
	struct fakereq f;
	api->opts.data_dir = "/srv/kymo";
	told.accepts = ERR_NOSPACE;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint64_t mib[2] = { cases[i].mib[0], cases[i].mib[1] };
		testteam_run(&tt, 0, set_disk, mib);
		put(&f, NULL, NULL, "", 0);
		is(&f, 503, cases[i].want, "no space");
	}
	told.accepts = ERR_OK;
	api->opts.data_dir = NULL;
}

/* Two bytes of a body become a row: rows must count, and so must exemplars and histograms. */
static void rows_are_charged(void)
{
	static const uint8_t one[] = { 0x0a, 2, 0x12, 0 }, exemplar[] = { 0x0a, 2, 0x1a, 0 };
	struct fakereq f;
	struct buf plain, b;
	const unsigned rows = 10000;
	buf_init(&plain);
	buf_init(&b);
	for (unsigned i = 0; i < rows; i++)
		buf_add(&plain, one, sizeof(one));
	snapz_encode(&b, plain.data, plain.len);
	fakereq_init(&f, &tt, api);
	fakereq_run(&f, REQ_POST, "/api/v1/write", b.data, b.len);
	tap_ok(f.charged >= plain.len + rows * sizeof(struct batch_row),
	    "%u empty samples in %zu bytes are charged as %zu", rows, plain.len, f.charged);
	is(&f, 204, "", "when there is room for them");
	buf_clear(&b);
	snapz_encode(&b, exemplar, sizeof(exemplar));
	put(&f, NULL, NULL, b.data, b.len);
	is(&f, 204, "", "an exemplar alone");
	tap_is_u64(told.exemplars, 1, "goes to the sink");
	buf_add(&plain, exemplar, sizeof(exemplar));
	buf_clear(&b);
	snapz_encode(&b, plain.data, plain.len);
	put(&f, NULL, NULL, b.data, b.len);
	is(&f, 204, "", "an exemplar among samples");
	tap_ok(told.exemplars == 1 && told.rows == rows, "goes with them");
	buf_release(&plain);
	buf_release(&b);
}

static void bad_bodies(void)
{
	struct fakereq f;
	struct buf b, plain;
	put(&f, NULL, NULL, "\x05hello", 6);
	is(&f, 400, "bad_snappy: ", "no snappy");
	put(&f, NULL, NULL, NULL, 0);
	is(&f, 400, "bad_snappy: ", "no body");
	put(&f, NULL, NULL, "\xff\xff\xff\xff\x0f", 5);
	is(&f, 400, "decoded_too_large: ", "a length of 4 GiB");
	put(&f, NULL, NULL, "\x00", 1);
	is(&f, 204, "", "an empty message");
	buf_init(&b);
	buf_init(&plain);
	buf_add_str(&plain, "\x0a\x7f no message at all");
	snapz_encode(&b, plain.data, plain.len);
	put(&f, NULL, NULL, b.data, b.len);
	is(&f, 400, "bad_protobuf: broken field of the request at byte 0", "no protobuf");
	buf_clear(&b);
	buf_clear(&plain);
	for (unsigned i = 0; i <= limits_here()->write_series; i++)
		buf_add(&plain, "\x0a\x00", 2);
	snapz_encode(&b, plain.data, plain.len);
	put(&f, NULL, NULL, b.data, b.len);
	is(&f, 400,
	    "too_many: too many series in one request, limit 200,000 (--limits.series-per-request)",
	    "too many series");
	buf_clear(&b);
	buf_clear(&plain);
	rw1_encode_meta(&plain,
	    &(struct batch_meta){
	        .family = "up", .family_len = 2, .help = "h", .help_len = 1, .unit = "", .type = 2 });
	snapz_encode(&b, plain.data, plain.len);
	put(&f, NULL, NULL, b.data, b.len);
	is(&f, 204, "", "metadata alone");
	tap_ok(told.rows == 0 && told.metas == 1, "reach the sink");
	buf_release(&b);
	buf_release(&plain);
}

static void large_bodies(void)
{
	struct fakereq f;
	struct buf plain, packed;
	buf_init(&plain);
	buf_init(&packed);
	while (plain.len <= 32 << 20)
		buf_add_str(&plain, "no message, but more of it than a request may have; ");
	snapz_encode(&packed, plain.data, plain.len);
	put(&f, NULL, NULL, packed.data, packed.len);
	tap_ok(strstr(fakereq_text(&f), "limit 33,554,432 bytes (--limits.body-bytes)"),
	    "more than 32 MiB are told with their flag");
	is(&f, 400, "decoded_too_large: the body decodes to 33554", "and refused");
	buf_release(&plain);
	buf_release(&packed);
	struct buf b = body_of(100000);
	size_t decoded = 0;
	tap_ok(!snapz_length(b.data, b.len, &decoded) && decoded > RECV_REMOTE_LOOP_BYTES,
	    "a body of %zu bytes, too large for the loop", decoded);
	put(&f, NULL, NULL, b.data, b.len);
	is(&f, 204, "", "is decoded by a worker");
	tap_is_u64(told.rows, 100000, "with all its samples");
	b.data[b.len / 2] ^= 0x55;
	b.data[b.len / 2 + 1] ^= 0x55;
	b.len -= 3;
	put(&f, NULL, NULL, b.data, b.len);
	is(&f, 400, "bad_", "damage is found there as well");
	buf_release(&b);
}

/* As vmagent sends it; a queue of its may hold either form under the name of the other. */
static void in_zstd(void)
{
	struct fakereq f;
	struct buf snappy = body_of(20), zstd;
	size_t len = 0;
	buf_init(&zstd);
	CHECK(!snapz_length(snappy.data, snappy.len, &len));
	uint8_t *plain = mem_alloc(len + SNAPZ_SLOP);
	CHECK(!snapz_decode(snappy.data, snappy.len, plain, len));
	packed_zstd(&zstd, plain, len / 2, 0);
	packed_zstd(&zstd, plain + len / 2, len - len / 2, 0);
	put(&f, "application/x-protobuf", "zstd", zstd.data, zstd.len);
	is(&f, 204, "", "zstd in two frames");
	tap_is_u64(told.rows, 20, "the sink got every sample");
	put(&f, "application/x-protobuf", "snappy", zstd.data, zstd.len);
	is(&f, 204, "", "called snappy");
	put(&f, "application/x-protobuf", "zstd", snappy.data, snappy.len);
	is(&f, 204, "", "snappy, called zstd");
	put(&f, "application/x-protobuf", "zstd", zstd.data, zstd.len - 3);
	is(&f, 400, "bad_zstd: the body is no whole zstd", "cut");
	zstd.data[zstd.len - 6] ^= 0x55;
	put(&f, "application/x-protobuf", "zstd", zstd.data, zstd.len);
	is(&f, 400, "bad_", "damaged");
	buf_clear(&zstd);
	packed_zstd(&zstd, plain, len, 20);
	put(&f, "application/x-protobuf", "zstd", zstd.data, zstd.len);
	is(&f, 400, "bad_zstd: the body's zstd does not say how many bytes it holds",
	    "without a length");
	put(&f, "application/x-protobuf;proto=io.prometheus.write.v2.Request", "zstd", "\x00", 1);
	is(&f, 415, "unsupported: Content-Encoding is zstd, must be snappy", "of version 2.0");
	fakereq_init(&f, &tt, api);
	fakereq_run(&f, REQ_POST, "/api/v1/write?get_vm_proto_version=1", "", 0);
	is(&f, 200, "1", "older ones ask first");
	mem_free(plain);
	buf_release(&snappy);
	buf_release(&zstd);
}

static void types(void)
{
	struct fakereq f;
	static const char *const bad[] = { "text/plain",
		"application/x-protobuf;proto=io.prometheus.write.v3.Request",
		"application/x-protobuf; proto=other",
		"application/x-protobuf; proto=", "application/x-protobuf; proto",
		"application/x-protobuffer", "application/json, application/x-protobuf" };
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		put(&f, bad[i], "snappy", "\x00", 1);
		is(&f, 415, "unsupported: ", bad[i]);
	}
	put(&f, "application/x-protobuf", "gzip", "\x00", 1);
	is(&f, 415, "unsupported: Content-Encoding is gzip, must be snappy", "gzip");
	in_zstd();
	static const struct {
		const char *type;
		enum writetype is;
	} good[] = {
		{ "", WRITETYPE_1 },
		{ "application/x-protobuf", WRITETYPE_1 },
		{ "APPLICATION/X-Protobuf ; charset=x ;;", WRITETYPE_1 },
		{ "application/x-protobuf;proto=prometheus.WriteRequest", WRITETYPE_1 },
		{ "application/x-protobuf;proto=io.prometheus.write.v2.Request", WRITETYPE_2 },
		{ " application/x-protobuf ;\tproto = io.prometheus.write.v2.Request ", WRITETYPE_2 },
		{ "application/x-protobuf; Proto=\"IO.prometheus.write.v2.request\"", WRITETYPE_2 },
		{ "application/x-protobuf;a=b;proto=\"io.prometheus.write.v2.Request\";c",
		    WRITETYPE_2 },
	};
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		struct errbuf eb;
		enum writetype type;
		errbuf_init(&eb);
		enum err e = writetype_of(good[i].type, strlen(good[i].type), &type, &eb);
		tap_ok(!e && type == good[i].is, "%s is 1.0 or 2.0: %d %s", good[i].type, type,
		    eb.text);
	}
	tap_ok(!writetype_encoding("zstd", 4, true, NULL) &&
	        writetype_encoding("zstd", 4, false, NULL) &&
	        writetype_encoding("gzip", 4, true, NULL),
	    "zstd by choice");
	tap_ok(!writetype_encoding(" Snappy ", 8, false, NULL) &&
	        !writetype_encoding("", 0, false, NULL) && !writetype_encoding(" ", 1, false, NULL) &&
	        writetype_encoding("snappy, gzip", 12, false, NULL),
	    "snappy alone");
}

/* --- version 2.0 --- */

static const char v2[] = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/* Samples of as many series, the first of them with exemplars; symbol: one more names that. */
static struct buf body2_of(unsigned samples, unsigned exemplars, uint32_t symbol)
{
	struct buf plain, packed;
	struct arena a;
	struct rw2_enc e;
	arena_init(&a, 1024);
	buf_init(&plain);
	buf_init(&packed);
	rw2_enc_init(&e);
	rw2_enc_begin(&e);
	struct labels own = label_make(&a, "trace_id", "abc", NULL);
	for (unsigned i = 0; i < samples; i++) {
		char n[16];
		snprintf(n, sizeof(n), "%u", i);
		rw2_enc_series(&e, label_make(&a, "__name__", "up", "n", n, NULL));
		rw2_enc_sample(&e, 1755000000000, i, 0);
		for (unsigned k = 0; k < exemplars && !i; k++)
			rw2_enc_exemplar(&e, own, 1755000000000 + k, k);
	}
	uint32_t refs[2] = { 1, symbol };
	if (symbol) {
		rw2_enc_series_refs(&e, refs, 2);
		rw2_enc_sample(&e, 1755000000000, 1, 0);
	}
	rw2_enc_end(&e, &plain);
	snapz_encode(&packed, plain.data, plain.len);
	rw2_enc_release(&e);
	buf_release(&plain);
	arena_release(&a);
	return packed;
}

/* written: "samples histograms exemplars", NULL = none is told. */
static void is2(
    struct fakereq *f, int status, const char *begins, const char *written, const char *what)
{
	unsigned s = 0, h = 0, e = 0;
	char want[300] = "";
	const char *text = fakereq_text(f),
	           *fields = f->headers.len ? (const char *)f->headers.data : "";
	if (written && sscanf(written, "%u %u %u", &s, &h, &e) == 3)
		snprintf(want, sizeof(want),
		    "x-prometheus-remote-write-samples-written: %u\nx-prometheus-remote-write-histograms-written: %u\nx-prometheus-remote-write-exemplars-written: %u\n",
		    s, h, e);
	tap_ok(f->status == status && !strncmp(text, begins, strlen(begins)), "2.0: %s: %d %.*s",
	    what, f->status, (int)strcspn(text, "\n"), text);
	tap_ok(written ? strstr(fields, want) != NULL : !strstr(fields, "written"),
	    "and the counts are %s", written ? written : "not told");
	fakereq_end(f);
}

static void version2(void)
{
	struct fakereq f;
	struct buf b = body2_of(20, 4, 0);
	uint64_t requests = metric_sum(M_WRITE_REQUESTS_2);
	put(&f, v2, "snappy", b.data, b.len);
	is2(&f, 204, "", "20 0 4", "all is stored");
	tap_ok(told.rows == 20 && told.exemplars == 4, "the sink got all of it");
	tap_is_u64(metric_sum(M_WRITE_REQUESTS_2) - requests, 1, "counted");
	told.hists = 5;
	put(&f, v2, NULL, b.data, b.len);
	is2(&f, 204, "", "15 5 4", "histograms are not samples");
	told.refused = 2;
	put(&f, v2, NULL, b.data, b.len);
	is2(&f, 400,
	    "partial: stored 18 of 20 samples and 4 of 4 exemplars; 2 refused; first: too_old: up{job=\"a\"} is old",
	    "13 5 4", "some are refused");
	told.refused = told.hists = 0;
	told.exemplars_refused = 1;
	put(&f, v2, NULL, b.data, b.len);
	is2(&f, 400,
	    "partial: stored 20 of 20 samples and 3 of 4 exemplars; 0 refused; first: up{job=\"a\"}: exemplar is old",
	    "20 0 3", "exemplars are");
	told.exemplars_refused = 0;
	told.no_room = true;
	put(&f, v2, NULL, b.data, b.len);
	is2(&f, 400,
	    "partial: stored 20 of 20 samples and 0 of 4 exemplars; 0 refused; memory has no room for more exemplars",
	    "20 0 0", "for want of room");
	told.no_room = false;
	struct buf left = body2_of(20, 0, 999);
	uint64_t bad = metric_sum(M_REFUSED_BAD_SERIES);
	put(&f, v2, NULL, left.data, left.len);
	is2(&f, 400, "partial: stored 20 of 21 samples; 1 refused; left out: ", "20 0 0",
	    "a symbol that is not there");
	told.refused = 1;
	put(&f, v2, NULL, left.data, left.len);
	is2(&f, 400,
	    "partial: stored 19 of 21 samples; 2 refused; first: too_old: up{job=\"a\"} is old; left out: ",
	    "19 0 0", "both");
	tap_is_u64(metric_sum(M_REFUSED_BAD_SERIES) - bad, 2, "counted");
	told.refused = 0;
	put(&f, v2, NULL, "\x00", 1);
	is2(&f, 204, "", "0 0 0", "nothing at all");
	put(&f, v2, NULL, "\x05hello", 6);
	is2(&f, 400, "bad_snappy: ", "0 0 0", "no snappy");
	put(&f, v2, NULL, "\x02\x04*\x7f", 4);
	is2(&f, 400, "bad_protobuf: ", "0 0 0", "no protobuf");
	put(&f, v2, "gzip", b.data, b.len);
	is2(&f, 415, "unsupported: ", NULL, "another encoding");
	told.err = ERR_LOGFAILED;
	put(&f, v2, NULL, b.data, b.len);
	tap_ok(strstr((const char *)f.headers.data, "retry-after: 5\n"), "with Retry-After");
	is2(&f, 503, "log_failed: ", "0 0 0", "nothing may be acknowledged");
	told.err = ERR_OK;
	told.accepts = ERR_READONLY;
	put(&f, v2, NULL, b.data, b.len);
	is2(&f, 503, "read_only: ", "0 0 0", "the same before the body is read");
	told.accepts = ERR_OK;
	struct buf large = body2_of(60000, 0, 0);
	put(&f, v2, NULL, large.data, large.len);
	is2(&f, 204, "", "60000 0 0", "a large body, decoded by a worker");
	buf_release(&large);
	buf_release(&left);
	buf_release(&b);
}

/* A body of one version under the type of the other: nothing of it would be stored. */
static void types_that_lie(void)
{
	/* In snappy: a length of 2, a literal of 2. */
	static const uint8_t meta1[] = { 2, 4, 0x1a, 0 }, neither[] = { 2, 4, 0x10, 1 };
	struct fakereq f;
	struct buf b1, b2 = body2_of(20, 4, 0), none = body2_of(0, 0, 0), plain;
	buf_init(&b1);
	buf_init(&plain);
	buf_add(&plain, "\x0a\x02\x0a\x00", 4);
	snapz_encode(&b1, plain.data, plain.len);
	put(&f, v2, "snappy", b1.data, b1.len);
	is2(&f, 400,
	    "bad_protobuf: Content-Type says io.prometheus.write.v2.Request (Remote Write 2.0), the body is a prometheus.WriteRequest (1.0)",
	    "0 0 0", "a body of 1.0");
	put(&f, v2, NULL, meta1, sizeof(meta1));
	is2(&f, 400, "bad_protobuf: Content-Type says io.", "0 0 0", "metadata of 1.0");
	put(&f, v2, NULL, neither, sizeof(neither));
	is2(&f, 204, "", "0 0 0", "a field that neither has");
	put(&f, v2, NULL, none.data, none.len);
	is2(&f, 204, "", "0 0 0", "symbols and no series");
	put(&f, NULL, NULL, b2.data, b2.len);
	is(&f, 400,
	    "bad_protobuf: Content-Type says prometheus.WriteRequest (Remote Write 1.0; so it is without proto=), the body is an io.prometheus.write.v2.Request (2.0)",
	    "a body of 2.0 without its type");
	put(&f, NULL, NULL, b1.data, b1.len);
	is(&f, 204, "", "a series of 1.0 without samples");
	buf_release(&b1);
	buf_release(&b2);
	buf_release(&none);
	buf_release(&plain);
}

/* A series with metadata, and as many samples in it. */
static struct buf meta_body(unsigned samples)
{
	static const struct batch_meta up = {
		.family = "up", .family_len = 2, .help = "h", .help_len = 1, .unit = "", .type = 2
	};
	struct buf plain, packed;
	struct arena a;
	struct rw2_enc e;
	arena_init(&a, 1024);
	buf_init(&plain);
	buf_init(&packed);
	rw2_enc_init(&e);
	rw2_enc_begin(&e);
	rw2_enc_series(&e, label_make(&a, "__name__", "up", NULL));
	for (unsigned i = 0; i < samples; i++)
		rw2_enc_sample(&e, 1755000000000 + i, i, 0);
	rw2_enc_meta(&e, &up);
	rw2_enc_end(&e, &plain);
	snapz_encode(&packed, plain.data, plain.len);
	rw2_enc_release(&e);
	buf_release(&plain);
	arena_release(&a);
	return packed;
}

/* What a loop learns of a request it has decoded in a turn; of a large one it would take long. */
static void metadata_is_learned(void)
{
	struct buf one = meta_body(1), large = meta_body(RECV_REMOTE_LOOP_BYTES / 10);
	static const struct {
		bool large;
		enum err err;
		uint64_t metas; /* that reach the sink */
	} rows[] = {
		{ false, ERR_BUSY, 1 }, /* seen, not stored */
		{ true, ERR_OK, 1 },    /* by a worker */
		{ false, ERR_OK, 1 },
		{ false, ERR_OK, 0 },
		{ true, ERR_OK, 1 },
	};
	size_t decoded = 0;
	tap_ok(!snapz_length(large.data, large.len, &decoded) && decoded > RECV_REMOTE_LOOP_BYTES,
	    "one is too large for the loop: %zu bytes", decoded);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fakereq f;
		const struct buf *b = rows[i].large ? &large : &one;
		told.err = rows[i].err;
		put(&f, v2, "snappy", b->data, b->len);
		tap_ok(f.status == (rows[i].err ? 503 : 204) && told.metas == rows[i].metas,
		    "metadata, request %zu: %d, %u entries of it", i, f.status, (unsigned)told.metas);
		fakereq_end(&f);
	}
	told.err = ERR_OK;
	buf_release(&one);
	buf_release(&large);
}

static void exemplars_of_version1(void)
{
	static const uint8_t series[] = { 0x0a, 4, 0x12, 0, 0x1a, 0 };
	struct fakereq f;
	struct buf b;
	buf_init(&b);
	snapz_encode(&b, series, sizeof(series));
	told.exemplars_refused = 1;
	put(&f, NULL, NULL, b.data, b.len);
	is(&f, 204, "", "version 1.0 knows no exemplar that is refused");
	told.exemplars_refused = 0;
	buf_release(&b);
}

static void retries(void)
{
	bool fits = true;
	for (uint64_t rnd = 0; rnd < 1000; rnd++) {
		uint32_t first = apierr_backoff_s(2, 0, rnd), third = apierr_backoff_s(2, 9, rnd),
		         most = apierr_backoff_s(100, 3, rnd), least = apierr_backoff_s(0, 0, rnd);
		fits &= first >= 1 && first <= 3 && third >= 8 && third <= 24 && most <= 60 &&
		    most >= 30 && least >= 1 && least <= 2;
	}
	tap_ok(fits, "waits grow with the attempts, vary by half, and stay between 1 and 60 s");
}

/* --- what stands in the log --- */

static int log_fd, stderr_fd;

static void log_begin(void)
{
	FILE *f = tmpfile();
	CHECK(f);
	log_fd = fileno(f);
	stderr_fd = dup(2);
	dup2(log_fd, 2);
}

static const char *log_so_far(void)
{
	static char text[100000];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);
	CHECK(n >= 0);
	text[n] = 0;
	return text;
}

static void log_end(void)
{
	dup2(stderr_fd, 2);
	close(stderr_fd);
}

static unsigned times(const char *text, const char *what)
{
	unsigned n = 0;
	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void refusals_are_told(void)
{
	struct fakereq f;
	struct buf b = body_of(60);
	struct api *own = api;
	static const char type[] = "application/x-protobuf;proto=io.prometheus.write.v3.Request";
	api = fakeapi_create(&tt, NULL, &told.sink, false);
	told.refused = 60;
	log_begin();
	for (unsigned i = 0; i < 100; i++) {
		fakereq_init(&f, &tt, api);
		f.loop = i % 2;
		fakereq_run(&f, REQ_POST, "/api/v1/write", b.data, b.len);
		fakereq_end(&f);
		fakereq_init(&f, &tt, api);
		f.loop = i % 2;
		fakereq_field(&f, "content-type", type);
		fakereq_run(&f, REQ_POST, "/api/v1/write", b.data, b.len);
		fakereq_end(&f);
	}
	const char *text = log_so_far();
	tap_ok(times(text, "level=warn event=samples_refused reason=too_old ") == 1,
	    "6,000 refused samples: one line at once, for all loops: %s", text);
	tap_ok(
	    strstr(text,
	        " from=10.0.0.1:1234 example=\"up{job=\\\"a\\\"} is old\" remedy=\"a larger --out-of-order-window takes samples that come later, as far back as --retention;"),
	    "with its sender, an example and what to do");
	tap_ok(times(text, "level=warn event=writes_refused reason=unsupported requests=") == 1 &&
	        strstr(text,
	            "example=\"application/x-protobuf;proto=io.prometheus.write.v3.Request\" remedy=") &&
	        strstr(text, "proto=io.prometheus.write.v2.Request for Remote Write 2.0"),
	    "who sends another type reads what is spoken");
	tap_is_u64(times(text, "\n"), 2, "and nothing else");
	fakeapi_free(api);
	text = log_so_far();
	unsigned long first = 0, rest = 0;
	const char *p = strstr(text, " samples=");
	first = strtoul(p + 9, NULL, 10);
	p = strstr(p + 9, " samples=");
	rest = p ? strtoul(p + 9, NULL, 10) : 0;
	tap_ok(first >= 60 && rest == 5940, "the second line has the rest: %lu, %lu", first, rest);
	tap_is_u64(times(text, "\n"), 4, "of both reasons");
	log_end();
	told.refused = 0;
	api = own;
	buf_release(&b);
}

static void refusals_of_version2(void)
{
	struct fakereq f;
	struct buf left = body2_of(3, 0, 999), b = body2_of(3, 4, 0);
	struct api *own = api;
	api = fakeapi_create(&tt, NULL, &told.sink, false);
	log_begin();
	put(&f, v2, NULL, left.data, left.len);
	fakereq_end(&f);
	told.exemplars_refused = 3;
	put(&f, v2, NULL, b.data, b.len);
	fakereq_end(&f);
	told.exemplars_refused = 0;
	const char *text = log_so_far();
	tap_ok(times(text, "level=warn event=samples_refused reason=bad_series samples=") == 1,
	    "series that cannot be read are told: %s", text);
	tap_ok(times(text, "level=warn event=exemplars_refused reason=exemplars exemplars=") == 1 &&
	        strstr(text, "example=\"up{job=\\\"a\\\"}: exemplar is old\" remedy="),
	    "so are exemplars");
	tap_is_u64(times(text, "\n"), 2, "and nothing else");
	fakeapi_free(api);
	log_end();
	api = own;
	buf_release(&left);
	buf_release(&b);
}

#define SLOW_NS (SLOWLOG_USUAL_MS * UINT64_C(1000000))

struct slow {
	struct req *req;
	const char *text;
	size_t len;
	uint64_t took_ns, samples;
};

static void slow_here(void *arg)
{
	const struct slow *s = arg;
	struct running n = { .req = s->req, .what = s->text, .what_len = s->len };
	s->req->loop = loop_here();
	slowlog_query(&n, s->took_ns, &(struct ql_stats){ .samples_total = s->samples }, NULL);
}

static void slow(struct req *r, const char *text, size_t len, uint64_t took_ns, uint64_t samples)
{
	struct slow s = { r, text, len, took_ns, samples };
	testteam_run(&tt, 0, slow_here, &s);
}

static void slow_queries_are_told(void)
{
	struct fakereq f;
	char text[1000];
	memset(text, 'x', sizeof(text));
	fakereq_init(&f, &tt, api);
	log_begin();
	slow(&f.req, "up", 2, SLOW_NS - 1, 7);
	tap_is_str(log_so_far(), "", "a query that takes less than five seconds is not told");
	slow(&f.req, text, sizeof(text), SLOW_NS + 300000000, 12345);
	slow(&f.req, text, sizeof(text), SLOW_NS, 1);
	const char *line = log_so_far(), *q = strstr(line, "query=\"");
	tap_ok(times(line, "event=slow_query seconds=5.3 samples=12345 from=") == 1 && q &&
	        strspn(q + 7, "x") == SLOWLOG_TEXT_BYTES && strstr(line, "\" bytes=1000\n"),
	    "one that takes longer is, its text cut: %.300s", line);
	tap_is_u64(times(line, "\n"), 1, "once in ten seconds");
	log_end();
}

/* ---- lent to the other loop ---- */

static bool spinning;

/* Loop 0 has no time left. */
static void spin(struct loop_deferred *d)
{
	uint64_t end_ns = clock_real_mono_ns() + 100000;
	while (clock_real_mono_ns() < end_ns)
		;
	if (spinning)
		loop_defer(loop_here(), d);
}

static struct loop_deferred spinner = { .fn = spin };

static void spin_set(void *arg)
{
	spinning = arg != NULL;
	if (spinning)
		loop_defer(loop_here(), &spinner);
}

static void lending(void)
{
	uint64_t before = metric_sum(M_LOOP_LENT);
	unsigned right = 0, all = 0;
	struct buf b = body_of(5000);
	tap_ok(b.len > 5000, "a body that is worth it: %zu bytes", b.len);
	testteam_run(&tt, 0, spin_set, &spinner);
	for (; all < 20000 && metric_sum(M_LOOP_LENT) < before + 20; all++) {
		struct fakereq f;
		bool broken = all % 2;
		told.refused = all % 4 == 2;
		put(&f, "application/x-protobuf", "snappy", b.data, b.len - broken);
		right += f.status == (broken || told.refused ? 400 : 204);
		fakereq_end(&f);
	}
	testteam_run(&tt, 0, spin_set, NULL);
	told.refused = 0;
	tap_ok(metric_sum(M_LOOP_LENT) >= before + 20,
	    "a loop without time lends what it was sent to the other one");
	tap_is_u64(right, all, "whose answers come home as they should");
	buf_release(&b);
}

int main(void)
{
	struct stamps *metas = stamps_create();
	told.sink.metas = metas;
	testteam_start(&tt, 2);
	api = fakeapi_create(&tt, NULL, &told.sink, false);
	verdicts();
	no_space();
	rows_are_charged();
	bad_bodies();
	large_bodies();
	types();
	version2();
	metadata_is_learned();
	types_that_lie();
	exemplars_of_version1();
	retries();
	lending();
	slow_queries_are_told();
	refusals_are_told();
	refusals_of_version2();
	fakeapi_free(api);
	testteam_stop(&tt);
	stamps_free(metas);
	return tap_done();
}
