#include "storage/append/alarm.h"

#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/model/tenant.h"
#include "storage/append/card.h"
#include "storage/append/intake.h"
#include "storage/cardgone.h"

#define BAG_MOST  1024u           /* rows of one walk */
#define BAG_RUN   ALARM_KIND_ROWS /* of a loop, tenant and kind: those that bring most */
#define LOG_LINES 8u              /* of one walk */

struct alarm {
	struct alarm_env env;
	struct mbox_msg msg;
	struct loop_timer timer;
	bool walking, forget; /* forget: what the walk under way has may be deleted */
	unsigned at;
	uint64_t walk;
	uint64_t last_ns;                     /* of the walk before */
	struct watch_row *bag;                /* of the walk */
	uint32_t bag_count, bag_cap, bag_run; /* run: where the last loop, tenant and kind begin */
	uint32_t count;
	uint64_t keys[ALARM_ROWS]; /* of rows */
	struct alarm_row rows[ALARM_ROWS];
};

static void arrive(struct mbox_msg *msg);

struct alarm *alarm_create(const struct alarm_env *env)
{
	struct alarm *a = mem_zalloc(sizeof(*a));
	a->env = *env;
	a->msg.fn = arrive;
	return a;
}

void alarm_free(struct alarm *a)
{
	if (!a)
		return;
	CHECK(!a->walking);
	mem_free(a->bag);
	mem_free(a);
}

/* ---- rows ---- */

static bool is_same(const struct alarm_row *r, const struct watch_row *w)
{
	return r->row.key == w->key && r->row.tenant == w->tenant && r->row.kind == w->kind;
}

static void drop(struct alarm *a, uint32_t i)
{
	a->rows[i] = a->rows[--a->count];
	a->keys[i] = a->keys[a->count];
}

/* Does x leave before y? Those of this walk stay, the more they bring the longer. */
static bool leaves_before(const struct alarm *a, const struct alarm_row *x, const struct alarm_row *y)
{
	bool x_now = x->_walk == a->walk, y_now = y->_walk == a->walk;
	if (x_now != y_now)
		return y_now;
	return x_now ? x->row.values < y->row.values : x->last_ms < y->last_ms;
}

/* Of those like w, or of all: who leaves first; count: there is none. */
static uint32_t first_of(const struct alarm *a, const struct watch_row *w)
{
	uint32_t first = a->count;
	for (uint32_t i = 0; i < a->count; i++) {
		const struct alarm_row *r = &a->rows[i];
		if (w && (r->row.tenant != w->tenant || r->row.kind != w->kind))
			continue;
		if (first == a->count || leaves_before(a, r, &a->rows[first]))
			first = i;
	}
	return first;
}

/* NULL: others that are there bring more. */
static struct alarm_row *row_of(struct alarm *a, const struct watch_row *w)
{
	uint32_t like = 0;
	for (uint32_t i = 0; i < a->count; i++)
		if (a->keys[i] == w->key && is_same(&a->rows[i], w))
			return &a->rows[i];
	for (uint32_t i = 0; i < a->count; i++)
		like += a->rows[i].row.tenant == w->tenant && a->rows[i].row.kind == w->kind;
	if (like >= ALARM_KIND_ROWS || a->count == ALARM_ROWS) {
		uint32_t first = first_of(a, like >= ALARM_KIND_ROWS ? w : NULL);
		const struct alarm_row *r = &a->rows[first];
		if (r->_walk == a->walk && r->row.values >= w->values)
			return NULL;
		drop(a, first);
	}
	struct alarm_row *r = &a->rows[a->count];
	a->keys[a->count++] = w->key;
	*r = (struct alarm_row){ .row = *w };
	return r;
}

/* Examples of the loops together: those that are not there yet. */
static void examples_add(struct watch_row *to, const struct watch_row *from)
{
	for (unsigned i = 0; i < WATCH_EXAMPLES; i++) {
		unsigned at = 0;
		while (from->examples[i][0] && at < WATCH_EXAMPLES && to->examples[at][0] &&
		    strcmp(to->examples[at], from->examples[i]))
			at++;
		if (from->examples[i][0] && at < WATCH_EXAMPLES && !to->examples[at][0])
			memcpy(to->examples[at], from->examples[i], WATCH_NAME);
	}
}

static void row_add(struct alarm *a, const struct watch_row *w, int64_t now_ms)
{
	struct alarm_row *r = row_of(a, w);
	if (!r)
		return;
	if (r->_walk != a->walk || !r->_walks) {
		if (now_ms - r->last_ms > ALARM_CALM_MS) {
			r->first_ms = now_ms;
			r->_walks = 0;
			r->total = 0;
			r->most = 0;
			r->on = r->_told = false;
		}
		r->_walk = a->walk;
		r->_walks++;
		r->row = *w;
	} else {
		r->row.series += w->series;
		r->row.values += w->values;
		examples_add(&r->row, w);
	}
}

/* ---- the end of a walk ---- */

static bool is_loud(const struct alarm_row *r)
{
	return r->row.kind == WATCH_RULE || r->row.values >= ALARM_VALUES;
}

/* Does a metric of this label explode? Then the label alone is no news. */
static bool is_named(const struct alarm *a, const struct alarm_row *label)
{
	for (uint32_t i = 0; i < a->count; i++) {
		const struct alarm_row *r = &a->rows[i];
		if (r->on && r->row.kind == WATCH_PAIR && r->row.tenant == label->row.tenant &&
		    !strcmp(r->row.label, label->row.label))
			return true;
	}
	return false;
}

static void tell(const struct alarm *a, struct alarm_row *r, unsigned *lines)
{
	const struct watch_row *w = &r->row;
	const char *tenant = a->env.name(a->env.arg, w->tenant);
	r->_told = true;
	if (w->kind == WATCH_METRIC || w->kind == WATCH_TARGET || ++*lines > LOG_LINES)
		return;
	if (w->kind == WATCH_RULE)
		LOG_WARN("cardinality_rule_acts",
		    "tenant=%s rule=%u metric=\"%s\" label=\"%s\" target=\"%s\" rows_per_s=%.0f example=\"%s\"",
		    tenant ? tenant : "", w->rule + 1, w->metric, w->label, w->target, w->series,
		    w->examples[0]);
	else if (w->kind == WATCH_PAIR || !is_named(a, r))
		LOG_WARN("cardinality_explodes",
		    "tenant=%s metric=\"%s\" label=\"%s\" values_per_s=%.0f series_per_s=%.0f example=\"%s\"",
		    tenant ? tenant : "", w->metric, w->label, w->values, w->series, w->examples[0]);
}

static void calm(const struct alarm *a, struct alarm_row *r, unsigned *lines)
{
	const struct watch_row *w = &r->row;
	const char *tenant = a->env.name(a->env.arg, w->tenant);
	r->on = false;
	if ((w->kind != WATCH_PAIR && w->kind != WATCH_RULE) || ++*lines > LOG_LINES)
		return;
	LOG_INFO("cardinality_calm",
	    "tenant=%s metric=\"%s\" label=\"%s\" target=\"%s\" seconds=%lld most_per_s=%.0f",
	    tenant ? tenant : "", w->metric, w->label, w->target,
	    (long long)(r->last_ms - r->first_ms) / 1000, r->most);
}

static void row_settle(struct alarm *a, struct alarm_row *r, double seconds, int64_t now_ms)
{
	if (r->_walk != a->walk) {
		r->row.series = r->row.values = 0;
		return;
	}
	if (!is_loud(r)) {
		r->_walks -= !r->on;
		return;
	}
	r->last_ms = now_ms;
	r->most = r->row.values > r->most ? r->row.values : r->most;
	r->total += (uint64_t)(r->row.values * seconds);
	r->on = r->on || r->row.kind == WATCH_RULE || r->_walks >= 2;
}

static void settle(struct alarm *a, double seconds, int64_t now_ms)
{
	unsigned lines = 0;
	int64_t on = 0;
	for (uint32_t i = 0; i < a->count; i++)
		row_settle(a, &a->rows[i], seconds, now_ms);
	for (uint32_t i = a->count; i-- > 0;) {
		struct alarm_row *r = &a->rows[i];
		int64_t quiet_ms = now_ms - r->last_ms;
		if (r->on && !r->_told)
			tell(a, r, &lines);
		if (r->on && quiet_ms > ALARM_CALM_MS)
			calm(a, r, &lines);
		on += r->on && r->row.kind != WATCH_RULE;
		if (quiet_ms > (r->_told ? ALARM_KEPT_MS : ALARM_CALM_MS))
			drop(a, i);
	}
	metric_gauge_set(M_CARD_EXPLODING, on);
}

/* ---- the walk ---- */

/* In place of the least of its run, if it brings more. */
static void run_add(struct alarm *a, const struct watch_row *row)
{
	uint32_t least = a->bag_run;
	for (uint32_t i = least + 1; i < a->bag_count; i++)
		if (a->bag[i].values < a->bag[least].values)
			least = i;
	if (a->bag[least].values < row->values)
		a->bag[least] = *row;
}

static void bag_add(void *arg, const struct watch_row *row)
{
	struct alarm *a = arg;
	const struct watch_row *last = a->bag_count > a->bag_run ? &a->bag[a->bag_count - 1] : NULL;
	if (!last || last->tenant != row->tenant || last->kind != row->kind)
		a->bag_run = a->bag_count;
	if (a->bag_count - a->bag_run == BAG_RUN) {
		run_add(a, row);
		return;
	}
	if (a->bag_count == BAG_MOST)
		return;
	if (a->bag_count == a->bag_cap) {
		a->bag_cap = a->bag_cap ? a->bag_cap * 2 : 16;
		a->bag = mem_array(a->bag, a->bag_cap, sizeof(*a->bag));
	}
	a->bag[a->bag_count++] = *row;
}

static void home(struct alarm *a)
{
	const struct loop *loop = a->env.intakes[0]->share->loop;
	uint64_t now_ns = loop_now_ns(loop);
	int64_t now_ms = loop_now_ms(loop);
	double seconds = (double)(now_ns - a->last_ns) / 1e9;
	for (uint32_t i = 0; i < a->bag_count && !a->forget; i++)
		row_add(a, &a->bag[i], now_ms);
	a->forget = false;
	settle(a, seconds, now_ms);
	a->last_ns = now_ns;
	mem_free(a->bag);
	a->bag = NULL;
	a->bag_count = a->bag_cap = a->bag_run = 0;
	a->walking = false;
}

/* A loop has its part of what is new: each tells what is worth it there. */
static void arrive(struct mbox_msg *msg)
{
	struct alarm *a = CONTAINER_OF(msg, struct alarm, msg);
	unsigned loops = a->env.loops;
	struct intake *in = a->env.intakes[a->at % loops];
	loop_check_here(in->share->loop);
	a->bag_run = a->bag_count;
	if (a->at < loops)
		watch_collect(card_watch(in->card), loop_now_ns(in->share->loop),
		    ALARM_VALUES / 2 / loops, bag_add, a);
	if (++a->at < loops || (a->at == loops && loops > 1)) {
		loop_send(a->env.intakes[a->at % loops]->share->loop, msg);
		return;
	}
	home(a);
}

static void tick(struct loop_timer *t)
{
	struct alarm *a = CONTAINER_OF(t, struct alarm, timer);
	loop_timer_set(a->env.intakes[0]->share->loop, t, ALARM_EVERY_MS);
	if (a->walking)
		return;
	a->walking = true;
	a->walk++;
	a->at = 0;
	arrive(&a->msg);
}

void alarm_start(struct alarm *a)
{
	struct loop *loop = a->env.intakes[0]->share->loop;
	loop_check_here(loop);
	a->last_ns = loop_now_ns(loop);
	loop_timer_init(&a->timer, tick);
	loop_timer_set(loop, &a->timer, ALARM_EVERY_MS);
}

void alarm_stop(struct alarm *a)
{
	struct loop *loop = a->env.intakes[0]->share->loop;
	loop_check_here(loop);
	loop_timer_cancel(loop, &a->timer);
	metric_gauge_set(M_CARD_EXPLODING, 0);
}

bool alarm_busy(const struct alarm *a)
{
	return a->walking;
}

static void each(const struct alarm *a, uint32_t tenant, bool on,
    void (*fn)(void *arg, const struct alarm_row *row), void *arg)
{
	for (uint32_t i = 0; i < a->count; i++) {
		const struct alarm_row *r = &a->rows[i];
		if (r->_told && r->on == on && (tenant == TENANT_NONE || r->row.tenant == tenant))
			fn(arg, r);
	}
}

void alarm_each(const struct alarm *a, uint32_t tenant,
    void (*fn)(void *arg, const struct alarm_row *row), void *arg)
{
	loop_check_here(a->env.intakes[0]->share->loop);
	each(a, tenant, true, fn, arg);
	each(a, tenant, false, fn, arg);
}

/* ---- what is deleted ---- */

/* "label=example"; cut_at: whether a part of it may be cut. */
static size_t example_text(
    const struct watch_row *w, unsigned i, char to[2 * WATCH_NAME], size_t *cut_at)
{
	size_t n = strlen(w->label), m = strlen(w->examples[i]);
	memcpy(to, w->label, n);
	to[n] = '=';
	memcpy(to + n + 1, w->examples[i], m);
	*cut_at = (n > m ? n : m) + CARDGONE_CUT_LESS >= WATCH_NAME - 1 ? 0 : SIZE_MAX;
	return n + 1 + m;
}

static void text_add(struct cardgone *to, enum cardgone_form form, const char *text, size_t size)
{
	if (text[0])
		cardgone_add(to, form, text, strlen(text), size - 1);
}

void alarm_names(const struct alarm *a, uint32_t tenant, struct cardgone *to)
{
	char text[2 * WATCH_NAME];
	for (uint32_t i = 0; i < a->count; i++) {
		const struct watch_row *w = &a->rows[i].row;
		if (w->tenant != tenant)
			continue;
		text_add(to, CARDGONE_NAME, w->metric, sizeof(w->metric));
		text_add(to, CARDGONE_NAME, w->label, sizeof(w->label));
		text_add(to, CARDGONE_TARGET, w->target, sizeof(w->target));
		for (unsigned k = 0; k < WATCH_EXAMPLES && w->examples[k][0]; k++) {
			size_t cut_at, len = example_text(w, k, text, &cut_at);
			cardgone_add(to, CARDGONE_NAME, text, len, cut_at);
		}
	}
}

static bool text_is_gone(const struct cardgone *gone, enum cardgone_form form, const char *text)
{
	return text[0] && cardgone_is(gone, form, text, strlen(text));
}

static void examples_forget(struct watch_row *w, const struct cardgone *gone)
{
	char text[2 * WATCH_NAME], left[WATCH_EXAMPLES][WATCH_NAME] = { 0 };
	unsigned count = 0;
	for (unsigned k = 0; k < WATCH_EXAMPLES && w->examples[k][0]; k++) {
		size_t cut_at, len = example_text(w, k, text, &cut_at);
		if (!cardgone_is(gone, CARDGONE_NAME, text, len))
			memcpy(left[count++], w->examples[k], WATCH_NAME);
	}
	memcpy(w->examples, left, sizeof(left));
}

void alarm_forget(struct alarm *a, uint32_t tenant, const struct cardgone *gone)
{
	a->forget |= a->walking;
	for (uint32_t i = a->count; i-- > 0;) {
		struct watch_row *w = &a->rows[i].row;
		if (w->tenant != tenant)
			continue;
		if (text_is_gone(gone, CARDGONE_NAME, w->metric) ||
		    text_is_gone(gone, CARDGONE_NAME, w->label) ||
		    text_is_gone(gone, CARDGONE_TARGET, w->target))
			drop(a, i);
		else
			examples_forget(w, gone);
	}
}
