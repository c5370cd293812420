#include "storage/marks.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/num.h"
#include "core/base/wire.h"
#include "storage/store_priv.h"

#define NAME     "CARDINALITY"
#define MAGIC    "KYMOCAR1"
#define FILE_MAX (64u << 20)
#define NEAR_MS  (MARKS_EVERY_MS / 2 + (int64_t)MARKS_LOOK_MS) /* rounds are so late at most */

enum marks_state {
	MARKS_REST,
	MARKS_COUNT, /* a tenant is counted */
	MARKS_SAVE
};
struct marks {
	struct store *st;
	struct list_link all; /* by time */
	struct loop_timer timer;
	enum marks_state state;
	bool stopped;
	int64_t last_ms; /* of the last round; INT64_MIN: none */
	/* of the round */
	uint32_t *tenants;
	uint32_t count, at;
	struct store_stats_req asked;
	struct store_stats stats;
	struct work_task task;
	enum err err;
};

struct marks *marks_create(struct store *st)
{
	struct marks *m = mem_zalloc(sizeof(*m));
	m->st = st;
	m->last_ms = INT64_MIN;
	list_init(&m->all);
	return m;
}

static void mark_drop(struct marks_mark *mark)
{
	list_del(&mark->_link);
	mem_free(mark);
}

void marks_free(struct marks *m)
{
	if (!m)
		return;
	CHECK(m->state == MARKS_REST);
	LIST_EACH_SAFE(l, n, &m->all)
		mark_drop(CONTAINER_OF(l, struct marks_mark, _link));
	mem_free(m->tenants);
	mem_free(m);
}

/* The same in every process: marks outlive it, and tell nothing of a name. */
static uint64_t name_hash(enum marks_kind kind, const char *name)
{
	return hash64(name, strlen(name), (uint64_t)kind);
}

static uint32_t rows_of(const struct marks_mark *mark)
{
	uint32_t n = 0;
	for (unsigned k = 0; k < MARKS_KINDS; k++)
		n += mark->counts[k];
	return n;
}

static size_t mark_size(uint32_t rows)
{
	return sizeof(struct marks_mark) + rows * sizeof(struct marks_row);
}

/* ---- the file ---- */

static void image_make(const struct marks *m, struct buf *to)
{
	uint32_t count = 0;
	LIST_EACH(l, &m->all)
		count++;
	buf_add(to, MAGIC, strlen(MAGIC));
	wire_put_u32(to, count);
	LIST_EACH(l, &m->all) {
		const struct marks_mark *mark = CONTAINER_OF(l, struct marks_mark, _link);
		uint32_t rows = rows_of(mark);
		wire_put_u32(to, mark->tenant);
		wire_put_u64(to, (uint64_t)mark->t_ms);
		wire_put_u64(to, mark->series);
		for (unsigned k = 0; k < MARKS_KINDS; k++)
			wire_put_u32(to, mark->counts[k]);
		for (uint32_t i = 0; i < rows; i++) {
			wire_put_u64(to, mark->rows[i].hash);
			wire_put_u64(to, mark->rows[i].value);
		}
	}
	wire_put_u32(to, crc32c(0, to->data, to->len));
}

static bool mark_read(struct marks *m, struct wire_reader *r)
{
	struct marks_mark head = { .tenant = wire_u32(r) };
	head.t_ms = (int64_t)wire_u64(r);
	head.series = wire_u64(r);
	for (unsigned k = 0; k < MARKS_KINDS; k++) {
		head.counts[k] = wire_u32(r);
		if (head.counts[k] > MARKS_TOP)
			return false;
	}
	uint32_t rows = rows_of(&head);
	struct marks_mark *mark = mem_zalloc(mark_size(rows));
	*mark = head;
	for (uint32_t i = 0; i < rows; i++) {
		mark->rows[i].hash = wire_u64(r);
		mark->rows[i].value = wire_u64(r);
	}
	list_add_tail(&m->all, &mark->_link);
	if (mark->t_ms > m->last_ms)
		m->last_ms = mark->t_ms;
	return !r->bad;
}

static bool image_read(struct marks *m, const uint8_t *data, size_t len)
{
	size_t magic = strlen(MAGIC);
	if (len < magic + 8 || memcmp(data, MAGIC, magic) ||
	    wire_load32(data + len - 4) != crc32c(0, data, len - 4))
		return false;
	struct wire_reader r = wire_reader(data + magic, len - magic - 4);
	for (uint32_t n = wire_u32(&r); n; n--)
		if (!mark_read(m, &r))
			return false;
	return !r.bad;
}

void marks_load(struct marks *m)
{
	uint8_t *data = NULL;
	size_t len = 0;
	enum err e = fsio_load(m->st->dir, NAME, FILE_MAX, &data, &len);
	if (e == ERR_NOTFOUND)
		return;
	if (!e && image_read(m, data, len)) {
		mem_free(data);
		return;
	}
	LOG_WARN("cardinality_marks_lost", "file=%s err=\"%s\"", NAME, err_why(e ? e : ERR_DAMAGED));
	mem_free(data);
	LIST_EACH_SAFE(l, n, &m->all)
		mark_drop(CONTAINER_OF(l, struct marks_mark, _link));
	m->last_ms = INT64_MIN;
}

static void save_run(struct work_task *t)
{
	struct marks *m = CONTAINER_OF(t, struct marks, task);
	struct buf image;
	buf_init(&image);
	image_make(m, &image);
	m->err = fsio_replace(m->st->dir, NAME, image.data, image.len);
	buf_release(&image);
}

static void save_done(struct work_task *t)
{
	struct marks *m = CONTAINER_OF(t, struct marks, task);
	if (m->err)
		LOG_EVERY(LOG_LEVEL_WARN, "cardinality_marks_not_saved", "err=%s", err_text(m->err));
	m->state = MARKS_REST;
}

static void save(struct marks *m)
{
	m->state = MARKS_SAVE;
	m->task = (struct work_task){ .run = save_run, .done = save_done, .prio = WORK_BACKGROUND };
	work_submit(m->st->opts.pool, &m->task);
}

/* ---- a round ---- */

static void rows_add(struct marks_mark *mark, enum marks_kind kind, const struct store_top *top,
    uint32_t count, uint32_t *at)
{
	mark->counts[kind] = count < MARKS_TOP ? count : MARKS_TOP;
	for (uint32_t i = 0; i < mark->counts[kind]; i++)
		mark->rows[(*at)++] = (struct marks_row){ .hash = name_hash(kind, top[i].name),
			.value = top[i].value };
}

static void mark_add(struct marks *m)
{
	const struct store_stats *s = &m->stats;
	uint32_t at = 0;
	struct marks_mark *mark = mem_zalloc(mark_size(MARKS_KINDS * MARKS_TOP));
	mark->tenant = m->asked.tenant;
	mark->t_ms = m->last_ms;
	mark->series = s->series;
	rows_add(mark, MARKS_METRIC, s->by_metric, s->by_metric_count, &at);
	rows_add(mark, MARKS_LABEL, s->by_label, s->by_label_count, &at);
	rows_add(mark, MARKS_PAIR, s->by_pair, s->by_pair_count, &at);
	mark = mem_realloc(mark, mark_size(at));
	list_add_tail(&m->all, &mark->_link);
}

static void count_next(struct marks *m);

static void counted(struct store_stats_req *r)
{
	struct marks *m = CONTAINER_OF(r, struct marks, asked);
	mark_add(m);
	m->at++;
	count_next(m);
}

/* Ends with the file, when it has counted something. */
static void count_next(struct marks *m)
{
	if (m->stopped || m->at == m->count) {
		mem_free(m->tenants);
		m->tenants = NULL;
		if (m->stopped || !m->at)
			m->state = MARKS_REST;
		else
			save(m);
		return;
	}
	m->asked = (struct store_stats_req){
		.tenant = m->tenants[m->at], .top = MARKS_TOP, .stats = &m->stats, .done = counted
	};
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

/* Those with most series. */
static void tenants_choose(struct marks *m)
{
	uint32_t all = store_tenants(m->st), n = 0;
	struct member *list = mem_array(NULL, (size_t)all + 1, sizeof(*list));
	for (uint32_t i = 0; i < all; i++) {
		uint64_t series = store_tenant_series(m->st, i);
		if (series)
			list[n++] = (struct member){ .tenant = i, .series = series };
	}
	if (n > MARKS_TENANTS)
		qsort(list, n, sizeof(*list), by_series);
	m->count = n < MARKS_TENANTS ? n : MARKS_TENANTS;
	m->tenants = mem_array(NULL, (size_t)m->count + 1, sizeof(*m->tenants));
	for (uint32_t i = 0; i < m->count; i++)
		m->tenants[i] = list[i].tenant;
	mem_free(list);
}

static void old_ones_go(struct marks *m, int64_t now_ms)
{
	LIST_EACH_SAFE(l, n, &m->all) {
		struct marks_mark *mark = CONTAINER_OF(l, struct marks_mark, _link);
		if (mark->t_ms > now_ms || mark->t_ms < num_sat_sub(now_ms, MARKS_KEPT_MS))
			mark_drop(mark);
	}
}

static void tick(struct loop_timer *t)
{
	struct marks *m = CONTAINER_OF(t, struct marks, timer);
	struct loop *home = m->st->shares[0]->loop;
	int64_t now_ms = loop_now_ms(home);
	loop_timer_set(home, t, MARKS_LOOK_MS);
	bool due = m->last_ms > now_ms || num_sat_sub(now_ms, m->last_ms) >= MARKS_EVERY_MS;
	if (m->state != MARKS_REST || !due)
		return;
	m->state = MARKS_COUNT;
	m->last_ms = now_ms;
	m->at = 0;
	old_ones_go(m, now_ms);
	tenants_choose(m);
	count_next(m);
}

void marks_start(struct marks *m)
{
	struct loop *home = m->st->shares[0]->loop;
	loop_check_here(home);
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
	return m->state != MARKS_REST;
}

/* ---- asked ---- */

struct marks_mark *marks_copy(const struct marks *m, uint32_t tenant, int64_t ago_ms)
{
	const struct loop *home = m->st->shares[0]->loop;
	const struct marks_mark *best = NULL;
	int64_t want_ms = loop_now_ms(home) - ago_ms, best_off = NEAR_MS + 1;
	LIST_EACH(l, &m->all) {
		const struct marks_mark *mark = CONTAINER_OF(l, struct marks_mark, _link);
		int64_t off = llabs(num_sat_sub(mark->t_ms, want_ms));
		if (mark->tenant != tenant || off >= best_off)
			continue;
		best = mark;
		best_off = off;
	}
	if (!best)
		return NULL;
	size_t size = mark_size(rows_of(best));
	struct marks_mark *copy = mem_alloc(size);
	memcpy(copy, best, size);
	return copy;
}

bool marks_value(
    const struct marks_mark *mark, enum marks_kind kind, const char *name, uint64_t *value)
{
	uint64_t hash = name_hash(kind, name);
	uint32_t at = 0;
	*value = 0;
	if (!mark)
		return false;
	for (unsigned k = 0; k < (unsigned)kind; k++)
		at += mark->counts[k];
	for (uint32_t i = at; i < at + mark->counts[kind]; i++) {
		if (mark->rows[i].hash != hash)
			continue;
		*value = mark->rows[i].value;
		return true;
	}
	return mark->counts[kind] < MARKS_TOP;
}
