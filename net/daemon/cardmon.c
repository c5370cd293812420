#include "net/daemon/cardmon.h"

#include <string.h>

#include "core/base/log.h"
#include "core/base/rune.h"
#include "core/model/tenant.h"
#include "storage/append/alarm.h"

#define NAME "kymo_cardinality_values_per_second"

struct cardmon {
	struct loop *loop;
	struct store *store;
	struct loop_timer timer;
	struct arena arena; /* labels of the rows under way */
	struct batch batch;
	struct sink_req req;
	bool under_way;
	char instance[256];
	int64_t now_ms;
	struct alarm_row *rows; /* of now, of all tenants */
	size_t count, cap;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

/* What explodes by name; metrics and targets are in the API. */
static void take(void *arg, const struct alarm_row *row)
{
	struct cardmon *m = arg;
	bool named = row->row.kind == WATCH_PAIR || row->row.kind == WATCH_LABEL ||
	    row->row.kind == WATCH_RULE;
	if (!row->on || !named)
		return;
	if (m->count == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 16;
		m->rows = mem_array(m->rows, m->cap, sizeof(*m->rows));
	}
	m->rows[m->count++] = *row;
}

static void label(struct label_builder *b, const char *name, const char *value)
{
	label_builder_set(b, name, strlen(name), value, strlen(value));
}

static void row_add(struct cardmon *m, const struct watch_row *w)
{
	struct label_builder b;
	label_builder_init(&b, &m->arena);
	label(&b, LABEL_NAME, NAME);
	label(&b, "job", "kymo");
	label(&b, "instance", m->instance);
	label(&b, "kind", watch_kind_words[w->kind]);
	label(&b, "metric", w->metric);
	label(&b, "label", w->label);
	label(&b, "target", w->target);
	struct labels ls = label_builder_done(&b);
	*batch_add(&m->batch) = (struct batch_row){
		.labels = ls.bytes, .labels_len = ls.len, .t_ms = m->now_ms, .v = w->values
	};
	m->batch.series_count++;
}

static void rows_forget(struct cardmon *m)
{
	mem_free(m->rows);
	m->rows = NULL;
	m->count = m->cap = 0;
}

static void finish_stop(struct cardmon *m)
{
	void (*stopped)(void *arg) = m->stopped;
	void *arg = m->stopped_arg;
	rows_forget(m);
	batch_release(&m->batch);
	arena_release(&m->arena);
	mem_free(m);
	stopped(arg);
}

static void written(struct sink_req *req);

/* Those of one tenant, until there are none. */
static void write_next(struct cardmon *m)
{
	if (!m->count) {
		rows_forget(m);
		return;
	}
	uint32_t tenant = m->rows[0].row.tenant;
	size_t kept = 0;
	batch_clear(&m->batch);
	arena_reset(&m->arena, 64 << 10);
	m->batch.own = true;
	m->batch.tenant = tenant;
	for (size_t i = 0; i < m->count; i++) {
		if (m->rows[i].row.tenant == tenant)
			row_add(m, &m->rows[i].row);
		else
			m->rows[kept++] = m->rows[i];
	}
	m->count = kept;
	m->req = (struct sink_req){ .batch = &m->batch, .done = written };
	m->under_way = true;
	sink_append(store_sink(m->store), &m->req);
}

static void written(struct sink_req *req)
{
	struct cardmon *m = CONTAINER_OF(req, struct cardmon, req);
	m->under_way = false;
	if (req->err)
		LOG_EVERY(
		    LOG_LEVEL_WARN, "cardinality_metrics_refused", "err=%s", err_text(req->err));
	if (m->stopped)
		finish_stop(m);
	else if (req->err)
		rows_forget(m);
	else
		write_next(m);
}

static void tick(struct loop_timer *t)
{
	struct cardmon *m = CONTAINER_OF(t, struct cardmon, timer);
	uint32_t retry_after_s;
	loop_timer_set(m->loop, t, CARDMON_EVERY_MS);
	if (m->under_way || sink_accepts(store_sink(m->store), &retry_after_s))
		return;
	m->now_ms = loop_now_ms(m->loop);
	store_card_here(m->store, take, m);
	write_next(m);
}

struct cardmon *cardmon_start(struct loop *l, struct store *st, const char *instance)
{
	loop_check_here(l);
	struct cardmon *m = mem_zalloc(sizeof(*m));
	m->loop = l;
	m->store = st;
	arena_init(&m->arena, 16 << 10);
	batch_init(&m->batch);
	rune_printf(m->instance, sizeof(m->instance), "%s", instance);
	loop_timer_init(&m->timer, tick);
	loop_timer_set(l, &m->timer, CARDMON_EVERY_MS);
	return m;
}

void cardmon_stop(struct cardmon *m, void (*done)(void *arg), void *arg)
{
	loop_check_here(m->loop);
	loop_timer_cancel(m->loop, &m->timer);
	m->stopped = done;
	m->stopped_arg = arg;
	if (!m->under_way)
		finish_stop(m);
}
