#include "net/daemon/selfmon.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/metric.h"

#define HOST_BYTES 200

struct selfmon {
	struct loop *loop;
	struct sink *sink;
	struct loop_timer timer;
	struct arena arena; /* labels of the rows under way */
	struct batch batch;
	struct sink_req req;
	bool under_way;
	bool described; /* what /api/v1/metadata tells of the families is stored */
	char instance[256];
	int64_t now_ms;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

/* Labels of a row as text: k="v",k="v"; values of our own table hold no escapes. */
static void add_labels(struct label_builder *b, const char *text)
{
	while (*text) {
		size_t name_len = strcspn(text, "=");
		const char *value = text + name_len + 2;
		if (text[name_len] != '=' || text[name_len + 1] != '"')
			return;
		size_t value_len = strcspn(value, "\"");
		label_builder_set(b, text, name_len, value, value_len);
		text = value + value_len;
		text += strspn(text, "\",");
	}
}

static void add_row(void *arg, const struct metric_value *v)
{
	struct selfmon *s = arg;
	struct label_builder b;
	label_builder_init(&b, &s->arena);
	add_labels(&b, v->labels);
	label_builder_set(&b, LABEL_NAME, strlen(LABEL_NAME), v->name, strlen(v->name));
	label_builder_set(&b, "job", 3, "kymo", 4);
	label_builder_set(&b, "instance", 8, s->instance, strlen(s->instance));
	struct labels ls = label_builder_done(&b);
	*batch_add(&s->batch) = (struct batch_row){
		.labels = ls.bytes, .labels_len = ls.len, .t_ms = s->now_ms, .v = v->value
	};
	s->batch.series_count++;
}

static uint8_t meta_type(enum metric_kind k)
{
	switch (k) {
	case METRIC_COUNTER:
		return 1;
	case METRIC_GAUGE:
	case METRIC_MS:
		return 2;
	case METRIC_HIST:
		return 3;
	}
	return 0;
}

static void add_family(void *arg, const struct metric_family *f)
{
	struct selfmon *s = arg;
	size_t len = strlen(f->name);
	*batch_add_meta(&s->batch) = (struct batch_meta){
		.family = arena_strndup(&s->arena, f->name, len),
		.family_len = (uint32_t)len,
		.help = f->help,
		.help_len = (uint32_t)strlen(f->help),
		.unit = "",
		.type = meta_type(f->kind),
	};
}

static void finish_stop(struct selfmon *s)
{
	void (*stopped)(void *arg) = s->stopped;
	void *arg = s->stopped_arg;
	batch_release(&s->batch);
	arena_release(&s->arena);
	mem_free(s);
	stopped(arg);
}

static void write_done(struct sink_req *req)
{
	struct selfmon *s = CONTAINER_OF(req, struct selfmon, req);
	s->under_way = false;
	s->described = s->described || !req->err;
	if (req->err)
		LOG_EVERY(LOG_LEVEL_WARN, "self_metrics_refused", "err=%s", err_text(req->err));
	else if (req->refused)
		LOG_EVERY(LOG_LEVEL_WARN, "self_metrics_refused", "rows=%llu first=\"%s\"",
		    (unsigned long long)req->refused, req->first_text);
	if (s->stopped)
		finish_stop(s);
}

static void tick(struct loop_timer *t)
{
	struct selfmon *s = CONTAINER_OF(t, struct selfmon, timer);
	loop_timer_set(s->loop, t, SELFMON_EVERY_MS);
	uint32_t retry_after_s;
	if (s->under_way || sink_accepts(s->sink, &retry_after_s))
		return;
	batch_clear(&s->batch);
	arena_reset(&s->arena, 256 << 10);
	s->now_ms = loop_now_ms(s->loop);
	metric_each(add_row, s);
	add_row(s, &(struct metric_value){ .name = "up", .labels = "", .value = 1 });
	if (!s->described) {
		metric_families(add_family, s);
		add_family(s,
		    &(struct metric_family){ "up", "1 = the target could be scraped.", METRIC_GAUGE });
	}
	s->req = (struct sink_req){ .batch = &s->batch, .done = write_done };
	s->under_way = true;
	sink_append(s->sink, &s->req);
}

/* The address says nothing to whoever looks at several servers: 0.0.0.0 is each of them. */
static void name_instance(struct selfmon *s, const char *address)
{
	const char *port = strrchr(address, ':');
	char host[HOST_BYTES] = "";
	if (gethostname(host, sizeof(host) - 1) || !host[0] || !port)
		snprintf(s->instance, sizeof(s->instance), "%s", address);
	else
		snprintf(s->instance, sizeof(s->instance), "%s%s", host, port);
}

struct selfmon *selfmon_start(struct loop *l, struct sink *sink, const char *address)
{
	loop_check_here(l);
	struct selfmon *s = mem_zalloc(sizeof(*s));
	s->loop = l;
	s->sink = sink;
	arena_init(&s->arena, 64 << 10);
	batch_init(&s->batch);
	s->batch.own = true;
	name_instance(s, address);
	loop_timer_init(&s->timer, tick);
	tick(&s->timer);
	return s;
}

const char *selfmon_instance(const struct selfmon *s)
{
	return s->instance;
}

void selfmon_stop(struct selfmon *s, void (*done)(void *arg), void *arg)
{
	loop_check_here(s->loop);
	loop_timer_cancel(s->loop, &s->timer);
	s->stopped = done;
	s->stopped_arg = arg;
	if (!s->under_way)
		finish_stop(s);
}
