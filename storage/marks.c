#include "storage/marks.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/budget.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/clockwatch.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "storage/append/alarm.h"
#include "storage/cardgone.h"
#include "storage/cardnow.h"
#include "storage/store_priv.h"

#define NAME     "CARDINALITY"
#define FILE_MAX (64u << 20)
#define NEAR_MS  (MARKS_HOUR_MS / 2)
/* of a pause behind a round that took long */
#define REST_MOST_NS (UINT64_C(1000000) * MARKS_HOUR_MS)

enum marks_state {
	MARKS_REST,
	MARKS_COUNT, /* a tenant is counted */
	MARKS_SAVE
};
struct marks {
	struct store *st;
	struct cardhist *history;
	struct loop_timer timer;
	enum marks_state state;
	bool stopped, begun;
	int64_t begun_ms;          /* wall clock, when the process began to count */
	int64_t last_ms;           /* of the last round, by the wall clock */
	uint64_t last_ns;          /* by the other one; 0: none */
	uint64_t real_ns, took_ns; /* when it began and how long it took, never faked */
	/* of the round */
	uint32_t *tenants;
	uint32_t count, at;
	struct store_stats_req asked;
	struct store_stats stats;
	struct work_task task;
	enum err err;
	bool asked_stale; /* of the tenant that is counted series were deleted meanwhile */
	/* deletions */
	struct list_link forgets;      /* begun */
	struct list_link forgets_wait; /* for the file to be away */
	bool away, going;              /* the file is removed; it is being */
	/* The file, or what a crash left of one, may have names that the history has not. */
	bool behind;
	struct work_task away_task;
	enum err away_err;
};

static size_t bytes_max(void)
{
	uint64_t n = budget_bytes() / MARKS_BYTES_PART;
	n = n > MARKS_BYTES_LEAST ? n : MARKS_BYTES_LEAST;
	return (size_t)(n < MARKS_BYTES_MOST ? n : MARKS_BYTES_MOST);
}

struct marks *marks_create(struct store *st)
{
	struct marks *m = mem_zalloc(sizeof(*m));
	m->st = st;
	list_init(&m->forgets);
	list_init(&m->forgets_wait);
	m->behind = true;
	m->history = cardhist_create(bytes_max());
	return m;
}

void marks_free(struct marks *m)
{
	if (!m)
		return;
	CHECK(!marks_busy(m));
	cardhist_free(m->history);
	mem_free(m->tenants);
	mem_free(m);
	metric_gauge_set(M_CARD_HISTORY_BYTES, 0);
	metric_gauge_set(M_CARD_HISTORY_MOMENTS, 0);
}

static void gauges_set(const struct marks *m)
{
	metric_gauge_set(M_CARD_HISTORY_BYTES, (int64_t)cardhist_bytes(m->history));
	metric_gauge_set(M_CARD_HISTORY_MOMENTS, (int64_t)cardhist_moments(m->history));
}

/* ---- the file ---- */

void marks_load(struct marks *m)
{
	uint8_t *data = NULL;
	size_t len = 0;
	enum err e = fsio_load(m->st->dir, NAME, FILE_MAX, &data, &len);
	if (e == ERR_NOTFOUND)
		return;
	if (!e)
		e = cardhist_decode(m->history, data, len);
	mem_free(data);
	if (e)
		LOG_WARN("cardinality_marks_lost", "file=%s err=\"%s\" then=\"begun anew\"", NAME,
		    e == ERR_UNSUPPORTED ? "of another format" : err_why(e));
}

static void save_run(struct work_task *t)
{
	struct marks *m = CONTAINER_OF(t, struct marks, task);
	struct buf image;
	buf_init(&image);
	cardhist_encode(m->history, &image);
	m->err = fsio_replace(m->st->dir, NAME, image.data, image.len);
	buf_release(&image);
}

static void away_poke(struct marks *m);

static void save_done(struct work_task *t)
{
	struct marks *m = CONTAINER_OF(t, struct marks, task);
	if (m->err)
		LOG_EVERY(LOG_LEVEL_WARN, "cardinality_marks_not_saved", "err=%s", err_text(m->err));
	m->behind = m->err != ERR_OK;
	m->state = MARKS_REST;
	away_poke(m);
}

/* While series are being deleted there is no file; it comes behind that. */
static void save(struct marks *m)
{
	m->state = MARKS_REST;
	if (!list_empty(&m->forgets) || !list_empty(&m->forgets_wait))
		return;
	m->state = MARKS_SAVE;
	m->away = false;
	m->behind = true;
	m->task = (struct work_task){ .run = save_run, .done = save_done, .prio = WORK_BACKGROUND };
	work_submit(m->st->opts.pool, &m->task);
}

/* ---- a round ---- */

static void moment_add(struct marks *m)
{
	const struct store_stats *s = &m->stats;
	struct cardhist_new n = { .tenant = m->asked.tenant,
		.t_ms = m->last_ms,
		.series = s->series,
		.made = s->made,
		.begun_ms = m->begun_ms,
		.tops = { s->by_metric, s->by_label, s->by_pair, s->by_target },
		.counts = { s->by_metric_count, s->by_label_count, s->by_pair_count,
		    s->by_target_count },
		.below = { s->metric_below, s->label_below, s->pair_below, s->target_below } };
	cardhist_add(m->history, &n);
}

static void count_next(struct marks *m);

/* Series of the tenant are being deleted: what was counted may have names of theirs. */
static bool is_forgetting(const struct marks *m, uint32_t tenant)
{
	const struct list_link *all[] = { &m->forgets, &m->forgets_wait };
	for (unsigned i = 0; i < COUNT_OF(all); i++)
		LIST_EACH(l, all[i])
			if (CONTAINER_OF(l, struct marks_forget, _link)->tenant == tenant)
				return true;
	return false;
}

static void counted(struct store_stats_req *r)
{
	struct marks *m = CONTAINER_OF(r, struct marks, asked);
	if (!m->asked_stale && !is_forgetting(m, r->tenant))
		moment_add(m);
	m->at++;
	count_next(m);
}

/* Ends with the file, when it has counted something. */
static void count_next(struct marks *m)
{
	if (m->stopped || m->at == m->count) {
		mem_free(m->tenants);
		m->tenants = NULL;
		m->took_ns = clock_real_mono_ns() - m->real_ns;
		gauges_set(m);
		if (!m->away && (m->stopped || !m->at))
			m->state = MARKS_REST;
		else
			save(m);
		return;
	}
	m->asked_stale = false;
	m->asked = (struct store_stats_req){ .tenant = m->tenants[m->at],
		.top = CARDHIST_TOP,
		.lists = true,
		.stats = &m->stats,
		.done = counted };
	store_stats(m->st, &m->asked);
}

struct member {
	uint32_t tenant;
	uint64_t series;
};

static int by_series(const void *x, const void *y)
{
	const struct member *a = x, *b = y;
	return (a->series < b->series) - (a->series > b->series);
}

/* Those with most series; and who had some, and has none now, is told so once. */
static void tenants_choose(struct marks *m)
{
	uint32_t all = store_tenants(m->st), n = 0, lived[CARDHIST_TENANTS];
	uint32_t lived_count = cardhist_lives(m->history, lived);
	struct member *list = mem_array(NULL, (size_t)all + lived_count + 1, sizeof(*list));
	for (uint32_t i = 0; i < all; i++) {
		uint64_t series = store_tenant_series(m->st, i);
		if (series)
			list[n++] = (struct member){ .tenant = i, .series = series };
	}
	for (uint32_t i = 0; i < lived_count; i++)
		if (lived[i] < all && !store_tenant_series(m->st, lived[i]))
			list[n++] = (struct member){ .tenant = lived[i] };
	if (n > MARKS_TENANTS)
		qsort(list, n, sizeof(*list), by_series);
	m->count = n < MARKS_TENANTS ? n : MARKS_TENANTS;
	m->tenants = mem_array(NULL, (size_t)m->count + 1, sizeof(*m->tenants));
	for (uint32_t i = 0; i < m->count; i++)
		m->tenants[i] = list[i].tenant;
	mem_free(list);
}

static bool is_due(const struct marks *m, struct clockwatch_now now)
{
	uint64_t passed_ns = now.mono_ns - m->last_ns, rest_ns = m->took_ns * MARKS_SHARE;
	if (!m->last_ns)
		return true;
	if (passed_ns < (rest_ns < REST_MOST_NS ? rest_ns : REST_MOST_NS))
		return false;
	return passed_ns >= MARKS_EVERY_MS * UINT64_C(1000000) ||
	    num_sat_sub(now.wall_ms, m->last_ms) >= MARKS_EVERY_MS;
}

/* What may be deleted goes by another clock than what is written (core/base/clockwatch.h). */
static void old_ones_go(struct marks *m, struct clockwatch_now now)
{
	int64_t t_ms = clockwatch_delete_ms(m->st->clock, now);
	cardhist_expire(
	    m->history, num_sat_sub(t_ms < now.wall_ms ? t_ms : now.wall_ms, MARKS_KEPT_MS));
}

static void tick(struct loop_timer *t)
{
	struct marks *m = CONTAINER_OF(t, struct marks, timer);
	struct loop *home = m->st->shares[0]->loop;
	struct clockwatch_now now = { .wall_ms = loop_now_ms(home), .mono_ns = loop_now_ns(home) };
	loop_timer_set(home, t, MARKS_LOOK_MS);
	if (m->state != MARKS_REST || !is_due(m, now) ||
	    clockwatch_look(m->st->clock, now) == CLOCKWATCH_DOUBT)
		return;
	m->state = MARKS_COUNT;
	m->behind = true;
	m->last_ms = now.wall_ms;
	m->last_ns = now.mono_ns;
	m->real_ns = clock_real_mono_ns();
	m->at = 0;
	old_ones_go(m, now);
	tenants_choose(m);
	count_next(m);
}

void marks_start(struct marks *m)
{
	struct loop *home = m->st->shares[0]->loop;
	loop_check_here(home);
	m->begun_ms = loop_now_ms(home);
	gauges_set(m);
	loop_timer_init(&m->timer, tick);
	loop_timer_set(home, &m->timer, MARKS_LOOK_MS);
}

void marks_stop(struct marks *m)
{
	struct loop *home = m->st->shares[0]->loop;
	loop_check_here(home);
	loop_timer_cancel(home, &m->timer);
	m->stopped = true;
}

bool marks_busy(const struct marks *m)
{
	return m->state != MARKS_REST || m->going || !list_empty(&m->forgets) ||
	    !list_empty(&m->forgets_wait);
}

/* ---- deletions ---- */

static void away_run(struct work_task *t)
{
	struct marks *m = CONTAINER_OF(t, struct marks, away_task);
	m->away_err = fsio_replace_undo(m->st->dir, NAME);
}

static void away_done(struct work_task *t)
{
	struct marks *m = CONTAINER_OF(t, struct marks, away_task);
	m->going = false;
	m->away |= !m->away_err;
	for (struct list_link *l; (l = list_pop(&m->forgets_wait));) {
		struct marks_forget *f = CONTAINER_OF(l, struct marks_forget, _link);
		if (m->away_err)
			cardgone_free(f->gone);
		else
			list_add_tail(&m->forgets, l);
		f->ready(f, m->away_err);
	}
}

static void away_poke(struct marks *m)
{
	if (list_empty(&m->forgets_wait) || m->going || m->state == MARKS_SAVE)
		return;
	m->going = true;
	m->away_task = (struct work_task){ .run = away_run, .done = away_done, .prio = WORK_READ };
	work_submit(m->st->opts.pool, &m->away_task);
}

static void name_add(void *arg, const char *text, size_t len)
{
	cardgone_add(arg, CARDGONE_NAME, text, len, sizeof(((struct store_top *)0)->name) - 1);
}

void marks_forget_begin(struct marks *m, struct marks_forget *f)
{
	loop_check_here(m->st->shares[0]->loop);
	f->gone = cardgone_create(m->st->manifest.seed);
	cardhist_names(m->history, f->tenant, name_add, f->gone);
	bool in_file = m->behind || cardgone_count(f->gone) > 0;
	alarm_names(m->st->alarm, f->tenant, f->gone);
	if (in_file && !m->away) {
		list_add_tail(&m->forgets_wait, &f->_link);
		away_poke(m);
		return;
	}
	list_add_tail(&m->forgets, &f->_link);
	f->ready(f, ERR_OK);
}

static bool has_gone(void *arg, const char *text, size_t len)
{
	return cardgone_is(arg, CARDGONE_NAME, text, len);
}

void marks_forget_end(struct marks *m, struct marks_forget *f)
{
	list_del(&f->_link);
	CHECK(m->state != MARKS_SAVE); /* what begins then waits, for the file is behind */
	(void)cardhist_forget(m->history, f->tenant, has_gone, f->gone);
	alarm_forget(m->st->alarm, f->tenant, f->gone);
	cardnow_forget(m->st->cardnow, f->tenant);
	m->asked_stale |= m->state == MARKS_COUNT && m->asked.tenant == f->tenant;
	cardgone_free(f->gone);
	gauges_set(m);
	if (m->away && m->state == MARKS_REST && !m->going)
		save(m);
}

/* ---- asked ---- */

const struct cardhist *marks_history(const struct marks *m)
{
	return m->history;
}

struct marks_mark *marks_copy(const struct marks *m, uint32_t tenant, int64_t ago_ms)
{
	int64_t want_ms = num_sat_sub(loop_now_ms(m->st->shares[0]->loop), ago_ms), t_ms;
	if (!cardhist_near(m->history, tenant, want_ms, NEAR_MS, &t_ms))
		return NULL;
	struct marks_mark *copy = mem_zalloc(sizeof(*copy));
	copy->t_ms = t_ms;
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++)
		cardhist_cut(m->history, tenant, (enum store_card_kind)k, t_ms, t_ms, 0,
		    CARDHIST_TOP, &copy->kinds[k]);
	copy->series = copy->kinds[0].moments[0].series;
	return copy;
}

void marks_mark_free(struct marks_mark *mark)
{
	for (unsigned k = 0; mark && k < STORE_CARD_KINDS; k++)
		store_card_cut_release(&mark->kinds[k]);
	mem_free(mark);
}

bool marks_value(
    const struct marks_mark *mark, enum store_card_kind kind, const char *name, uint64_t *value)
{
	*value = 0;
	if (!mark)
		return false;
	const struct store_card_cut *c = &mark->kinds[kind];
	for (uint32_t i = 0; i < c->rows_count; i++) {
		if (strcmp(c->texts + c->names[c->rows[i].name], name) != 0)
			continue;
		*value = c->rows[i].value;
		return true;
	}
	return c->moments[0].below == 0;
}
