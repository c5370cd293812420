#include "net/api/slowlog.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/json.h"
#include "core/base/linefile.h"
#include "core/base/log.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "net/api/api.h"

#define NS_PER_MS UINT64_C(1000000)

static void text_put(struct buf *b, const char *before, const char *s, size_t len)
{
	buf_add_str(b, before);
	json_str_shown(b, s, len);
}

static void time_put(struct buf *b, const char *before, int64_t ms)
{
	char text[NUM_FMT_MAX];
	size_t len = num_fmt_time(ms, text);
	buf_printf(b, "%s\"%.*s\"", before, (int)len, text);
}

static void number_put(struct buf *b, const char *before, double v)
{
	char text[NUM_FMT_MAX];
	buf_add_str(b, before);
	buf_add(b, text, num_fmt_json(v, text));
}

static void stats_put(struct buf *b, const struct ql_stats *st)
{
	number_put(b,
	    ",\"stats\":{\"timings\":{\"evalTotalTime\":", st->prepare_s + st->eval_s + st->sort_s);
	number_put(b, ",\"resultSortTime\":", st->sort_s);
	number_put(b, ",\"queryPreparationTime\":", st->prepare_s);
	number_put(b, ",\"innerEvalTime\":", st->eval_s);
	number_put(b, ",\"execQueueTime\":", st->queue_s);
	number_put(b, ",\"execTotalTime\":", st->total_s);
	number_put(b, ",\"parseTime\":", st->parse_s);
	buf_printf(b,
	    "},\"samples\":{\"totalQueryableSamples\":%" PRIu64 ",\"peakSamples\":%" PRIu64
	    ",\"samplesRead\":%" PRIu64 "},\"series\":%" PRIu64 ",\"steps\":%" PRIu64
	    ",\"stepsKept\":%" PRIu64 "}",
	    st->samples_total, st->samples_peak, st->samples_read, st->series, st->steps,
	    st->steps_kept);
}

static void who_put(struct buf *b, const struct req *r)
{
	char from[64];
	size_t len;
	const struct store *st = api_of(r)->store;
	const char *name = st && r->tenants_count == 1 ? store_tenant_name(st, r->tenants[0]) : NULL;
	req_remote_text(r, from, sizeof(from));
	char *colon = strrchr(from, ':');
	text_put(b, ",\"httpRequest\":{\"clientIP\":", from,
	    colon ? (size_t)(colon - from) : strlen(from));
	buf_printf(b, ",\"method\":\"%s\"", r->method == REQ_POST ? "POST" : "GET");
	text_put(b, ",\"path\":", r->path, r->path_len);
	buf_add_u8(b, '}');
	if (name)
		text_put(b, ",\"tenant\":", name, strlen(name));
	if (r->identity[0])
		text_put(b, ",\"identity\":", r->identity, strlen(r->identity));
	const char *agent = req_header(r, "user-agent", &len);
	if (agent)
		text_put(b, ",\"userAgent\":", agent, rune_cut(agent, len, 256));
}

static void file_line(struct linefile *file, const struct running *n, uint64_t took_ns,
    const struct ql_stats *st, const char *error)
{
	const struct req *r = n->req;
	struct buf b;
	buf_init(&b);
	time_put(&b, "{\"ts\":", loop_now_ms(r->loop));
	text_put(&b, ",\"params\":{\"query\":", n->what,
	    rune_cut(n->what, n->what_len, SLOWLOG_FILE_BYTES));
	time_put(&b, ",\"start\":", n->start_ms);
	time_put(&b, ",\"end\":", n->end_ms);
	number_put(&b, ",\"step\":", (double)n->step_ms / 1000);
	buf_add_u8(&b, '}');
	stats_put(&b, st);
	number_put(&b, ",\"seconds\":", (double)took_ns / 1e9);
	if (error)
		text_put(&b, ",\"error\":", error, strlen(error));
	who_put(&b, r);
	buf_add_str(&b, "}\n");
	linefile_put(file, (const char *)b.data, b.len);
	buf_release(&b);
}

void slowlog_query(
    const struct running *n, uint64_t took_ns, const struct ql_stats *st, const char *error)
{
	const struct req *r = n->req;
	const struct api_conf *c = api_conf(r);
	struct linefile *file = api_of(r)->opts.slow;
	char from[64];
	if (!c->slow_ms || took_ns < c->slow_ms * NS_PER_MS)
		return;
	doctornotes_slow(&api_loop_of(r)->notes, r, n->what, n->what_len, took_ns);
	if (file)
		file_line(file, n, took_ns, st, error);
	req_remote_text(r, from, sizeof(from));
	LOG_EVERY(LOG_LEVEL_WARN, "slow_query",
	    "seconds=%.1f samples=%" PRIu64 " from=%s query=\"%.*s\" bytes=%zu",
	    (double)took_ns / 1e9, st->samples_total, from,
	    (int)rune_cut(n->what, n->what_len, SLOWLOG_TEXT_BYTES), n->what, n->what_len);
}
