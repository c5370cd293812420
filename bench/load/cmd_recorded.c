/*
 * kymobench recorded - bytes on disk of real metrics: recorded scrapes, replayed over targets and
 * steps, are written to kymod and, if one is named, to a peer; both are flushed and merged, and
 * what their directories then hold is printed, by sample, of kymod down to the forms of the codec.
 *
 * The samples begin at the start of a half day that has passed. Behind them one sample of another
 * series is sent, more than an hour after that half day: time has gone on, and what is behind may
 * be merged as it would be then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/bytesum.h"
#include "bench/load/cmd.h"
#include "bench/load/httpc.h"
#include "bench/load/loadgen.h"
#include "bench/load/rwbody.h"
#include "core/base/clock.h"
#include "core/base/num.h"
#include "core/base/wire.h"
#include "proto/snapz.h"

#define HALF_DAY_MS INT64_C(43200000)
#define WRITE_TRIES 200u
#define TRY_US      50000u
#define SETTLE_S    120u

struct side { /* a server that is written to */
	const char *url, *dir;
	struct httpc http;
	bool kymo;
};

static int ask(struct side *s, const char *method, const char *path)
{
	size_t off = 0;
	int status = httpc_do(&s->http, method, path, "", NULL, 0, &off);
	if (status < 200 || status > 299)
		fprintf(stderr, "kymobench recorded: %s %s%s: status %d %.*s\n", method, s->url,
		    path, status, (int)(status > 0 ? s->http.in.len - off : 0),
		    status > 0 ? (const char *)s->http.in.data + off : "");
	return status;
}

/* Repeated while the server has no room. */
static bool write_to(struct side *s, const struct buf *packed)
{
	int status = 0;
	size_t off = 0;
	for (unsigned i = 0; i < WRITE_TRIES; i++) {
		status = httpc_do(&s->http, "POST", "/api/v1/write",
		    "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n",
		    packed->data, packed->len, &off);
		if (status >= 200 && status < 300)
			return true;
		if (status > 0 && status < 500)
			break;
		usleep(TRY_US);
	}
	fprintf(stderr, "kymobench recorded: %s does not take a write: status %d %.*s\n", s->url,
	    status, (int)(status > 0 ? s->http.in.len - off : 0),
	    status > 0 ? (const char *)s->http.in.data + off : "");
	return false;
}

/* Raw WriteRequest of one sample, of a series that stands for the time since. */
static void later_body(struct buf *raw, int64_t t_ms)
{
	static const char *const label[] = { "__name__", "kymobench_later" };
	struct buf pair, series;
	buf_init(&pair);
	buf_init(&series);
	for (unsigned i = 0; i < 2; i++) {
		wire_put_varint(&pair, (i + 1) << 3 | 2);
		wire_put_lenbytes(&pair, label[i], strlen(label[i]));
	}
	wire_put_varint(&series, 1 << 3 | 2);
	wire_put_lenbytes(&series, pair.data, pair.len);
	buf_clear(&pair);
	wire_put_varint(&pair, 1 << 3 | 1);
	wire_put_f64(&pair, 1);
	wire_put_varint(&pair, 2 << 3);
	wire_put_varint(&pair, (uint64_t)t_ms);
	wire_put_varint(&series, 2 << 3 | 2);
	wire_put_lenbytes(&series, pair.data, pair.len);
	buf_clear(raw);
	wire_put_varint(raw, 1 << 3 | 2);
	wire_put_lenbytes(raw, series.data, series.len);
	buf_release(&pair);
	buf_release(&series);
}

static bool write_all(struct side *sides, unsigned count, struct loadgen *g, uint64_t rounds,
    int64_t later_ms, uint64_t *samples)
{
	struct buf raw, packed;
	struct rwbody *body = rwbody_new(&(struct rwbody_opts){ .protocol = RWBODY_1 });
	bool good = true;
	buf_init(&raw);
	buf_init(&packed);
	for (uint64_t round = 0; round <= rounds && good; round++) {
		uint64_t batches = round < rounds ? loadgen_batches(g) : 1;
		if (round < rounds)
			loadgen_round(g, round);
		for (uint64_t i = 0; i < batches && good; i++) {
			struct rwbody_counts n = { .samples = 1 };
			const struct buf *of_round = NULL;
			if (round < rounds)
				of_round = rwbody_packed(body, g, i, &n);
			else
				later_body(&raw, later_ms);
			buf_clear(&packed);
			snapz_encode(&packed, raw.data, raw.len);
			*samples += round < rounds ? n.samples : 0;
			for (unsigned k = 0; k < count && n.samples && good; k++)
				good = write_to(&sides[k], of_round ? of_round : &packed);
		}
	}
	buf_release(&raw);
	buf_release(&packed);
	rwbody_free(body);
	return good;
}

static enum err sum_up(const struct side *s, struct bytesum *out, struct errbuf *eb)
{
	return s->kymo ? bytesum_kymo(s->dir, out, eb) : bytesum_peer(s->dir, out, eb);
}

static bool flush(struct side *s)
{
	if (s->kymo)
		return ask(s, "POST", "/api/v1/admin/tsdb/flush") / 100 == 2;
	return ask(s, "GET", "/internal/force_flush") / 100 == 2 &&
	    ask(s, "GET", "/internal/force_merge") / 100 == 2;
}

/* The peer merges behind its answer: until its bytes have been the same for five seconds. */
static void settle(struct side *s)
{
	uint64_t before = 0;
	unsigned same = 0;
	for (unsigned i = 0; i < SETTLE_S && same < 5 && !s->kymo; i++) {
		struct bytesum sum;
		struct errbuf eb;
		errbuf_init(&eb);
		uint64_t now = sum_up(s, &sum, &eb) ? 0 : sum.data + sum.index;
		same = now == before ? same + 1 : 0;
		before = now;
		sleep(1);
	}
}

static void line(const char *what, uint64_t bytes, double samples)
{
	printf("  %-34s %10llu  %8.4f\n", what, (unsigned long long)bytes, (double)bytes / samples);
}

static void print(const struct side *s, const struct bytesum *b, double n)
{
	printf("%s (%s)%*s     bytes  a sample\n", s->kymo ? "kymod" : "peer", s->url,
	    (int)(s->kymo ? 6 : 7), "");
	line("data", b->data, n);
	if (!s->kymo) {
		line("index", b->index, n);
		line("in all", b->data + b->index, n);
		return;
	}
	const struct chunk_forms *f = &b->forms;
	line("  values: heads, constants", f->head, n);
	line("  values: standing still, lines", f->run, n);
	line("  values: packed, offset", f->packed[0], n);
	line("  values: packed, delta", f->packed[1], n);
	line("  values: packed, delta of deltas", f->packed[2], n);
	line("  values: dense", f->dense, n);
	line("  values: distances from decimals", f->distance, n);
	line("  values: raw", f->raw, n);
	line("  times", b->times, n);
	line("  directories, heads, footers", b->directory, n);
	line("  units: heads, entries, less zstd",
	    b->data > b->streams_bytes + b->times + b->directory
	        ? b->data - b->streams_bytes - b->times - b->directory
	        : 0,
	    n);
	line("labels in files of samples", b->labels, n);
	line("catalog", b->index, n);
	line("index: labels and catalog", b->labels + b->index, n);
	line("in all", b->data + b->labels + b->index, n);
	printf("  %llu files, %llu units, %llu streams, %llu of them constant; lists and metadata %llu, "
	       "log and reserve (fixed) %llu bytes\n",
	    (unsigned long long)b->files, (unsigned long long)b->units,
	    (unsigned long long)f->streams, (unsigned long long)f->constants,
	    (unsigned long long)b->other, (unsigned long long)b->log);
}

static bool add_replay(void *arg, const char *value)
{
	struct loadgen_opts *o = arg;
	if (o->replay_count == GEN_FILES_MAX)
		return false;
	o->replay[o->replay_count++] = value;
	return true;
}

static bool connect_to(struct side *s)
{
	struct httpc_url u;
	struct errbuf eb;
	char api[HTTPC_API_MAX];
	errbuf_init(&eb);
	if (httpc_url_parse(s->url, &u, &eb)) {
		fprintf(stderr, "kymobench recorded: %s\n", eb.text);
		return false;
	}
	if (u.tls) {
		fprintf(stderr, "kymobench recorded: url \"%s\": https is for write and query\n",
		    s->url);
		return false;
	}
	httpc_url_base(&u, api);
	httpc_init(&s->http, &u);
	return true;
}

static bool measure(struct side *s, uint64_t samples)
{
	struct bytesum sum;
	struct errbuf eb;
	errbuf_init(&eb);
	if (sum_up(s, &sum, &eb)) {
		fprintf(stderr, "kymobench recorded: %s\n", eb.text);
		return false;
	}
	print(s, &sum, (double)samples);
	return true;
}

int cmd_recorded(int argc, char **argv)
{
	struct loadgen_opts o = { .batch = 5000 };
	struct side sides[2] = { { .url = "http://127.0.0.1:9470", .kymo = true }, { 0 } };
	const char *step = "15s";
	double targets = 20, rounds = 1440;
	bool measure_only = false;
	const struct cmdline_arg args[] = {
		{ .name = "url",
		    .meta = "URL",
		    .help = "kymod, with --web.enable-admin-api (http://127.0.0.1:9470)",
		    .text = &sides[0].url },
		{ .name = "dir", .meta = "DIR", .help = "its data directory", .text = &sides[0].dir },
		{ .name = "peer",
		    .meta = "URL",
		    .help = "VictoriaMetrics, to compare with",
		    .text = &sides[1].url },
		{ .name = "peer-dir",
		    .meta = "DIR",
		    .help = "its -storageDataPath",
		    .text = &sides[1].dir },
		{ .name = "replay",
		    .meta = "FILE",
		    .help = "recorded scrapes, may be repeated, .xz is unpacked",
		    .each = add_replay,
		    .arg = &o },
		{ .name = "targets",
		    .meta = "N",
		    .help = "targets of each recorded file (20)",
		    .num = &targets },
		{ .name = "rounds", .meta = "N", .help = "samples per series (1440)", .num = &rounds },
		{ .name = "step",
		    .meta = "DURATION",
		    .help = "time between samples (15s)",
		    .text = &step },
		{ .name = "measure-only",
		    .help = "write nothing: flush, and count what is there",
		    .flag = &measure_only },
	};
	cmd_parse("recorded", argc, argv, args, COUNT_OF(args));
	unsigned count = sides[1].url ? 2 : 1;
	if (!o.replay_count || targets < 1 || rounds < 1 || !sides[0].dir ||
	    (count == 2 && !sides[1].dir)) {
		fprintf(stderr,
		    "kymobench recorded: --replay and --dir (with --peer: --peer-dir) are needed, --targets and --rounds must be at least 1\n");
		return 2;
	}
	struct errbuf eb;
	struct loadgen *g = NULL;
	errbuf_init(&eb);
	o.targets = (unsigned)targets;
	o.step_ms = (int64_t)(cmd_duration_s(step, "step") * 1000);
	int64_t span = (int64_t)rounds * o.step_ms, now = clock_wall_ms();
	int64_t halves = (span + HALF_DAY_MS - 1) / HALF_DAY_MS;
	int64_t later = (now - 60000) / HALF_DAY_MS * HALF_DAY_MS;
	if (now - later < HALF_DAY_MS / 6) /* what was sent is to be two hours behind */
		later -= HALF_DAY_MS;
	o.start_ms = later - halves * HALF_DAY_MS + 7000;
	later += HALF_DAY_MS / 6 - 60000;
	if (loadgen_create(&o, &g, &eb)) {
		fprintf(stderr, "kymobench recorded: %s\n", eb.text);
		return 2;
	}
	uint64_t samples = 0;
	bool good = true;
	for (unsigned k = 0; k < count; k++)
		good = good && connect_to(&sides[k]);
	if (good && !measure_only)
		good = write_all(sides, count, g, (uint64_t)rounds, later, &samples);
	for (unsigned k = 0; k < count && good; k++) {
		good = flush(&sides[k]);
		settle(&sides[k]);
	}
	if (measure_only && good) {
		struct bytesum sum;
		good = !bytesum_kymo(sides[0].dir, &sum, &eb);
		samples = sum.samples;
	}
	if (good)
		printf("%llu series, %llu samples\n", (unsigned long long)loadgen_series(g),
		    (unsigned long long)samples);
	for (unsigned k = 0; k < count && good; k++)
		good = measure(&sides[k], samples);
	for (unsigned k = 0; k < count; k++)
		httpc_release(&sides[k].http);
	loadgen_free(g);
	return good ? 0 : 1;
}
