#include "net/recv/recv_statsd_priv.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/metric.h"
#include "core/base/rune.h"
#include "net/api/tenantstat.h"
#include "net/recv/recvcount.h"

#define LATE_EVERY  64u /* samples between two looks at the clock */
#define LOOK_MS     2
#define MEMBER_SEED UINT64_C(0xd6e8feb86659fd93)
#define TEXT_BYTES  150u

/* ---- what was not taken ---- */

static const char *const refused_text[STATSD_REFUSALS] = {
	[STATSD_REFUSED_NEGATIVE] = "a counter does not go down",
	[STATSD_REFUSED_CONFLICT] =
	    "the name has another type already, or another one's _bucket, _sum or _count",
	[STATSD_REFUSED_MEMORY] = "the series of the tenant take all of receivers.statsd.memory",
	[STATSD_REFUSED_MEMBERS] = "the set has receivers.statsd.set_members of them",
	[STATSD_REFUSED_TOO_LONG] = "a line or packet is longer than 65,535 bytes",
	[STATSD_REFUSED_CUT] = "the connection ended before its line did",
	[STATSD_REFUSED_LABELS] =
	    "more tags than a series may have labels: --limits.labels-per-series",
	[STATSD_REFUSED_BUSY] = "samples with timestamps come faster than they can be stored",
};

static const char *why_text(unsigned why)
{
	return why < STATSD_BADS - 1u ? statsd_bad_text[why + 1] : refused_text[why];
}

static void say(struct statsd_told *t, unsigned why, uint64_t news)
{
	LOG_WARN("statsd_refused", "lines=%llu reason=\"%s\" address=%s first=\"%s\"",
	    (unsigned long long)news, why_text(why), t->address, t->text);
	t->text[0] = 0;
}

static uint64_t refused_count(unsigned why)
{
	return metric_sum(M_STATSD_REFUSED_LINE + why);
}

static void say_again(struct loop_timer *timer)
{
	struct statsd_told *t = CONTAINER_OF(timer, struct statsd_told, timer);
	unsigned why = (unsigned)(t - t->l->told);
	uint64_t news;
	if (!log_pace_next(&t->l->all->paces[why], refused_count(why), &news))
		return;
	say(t, why, news);
	loop_timer_set(t->l->loop, timer, STATSD_TOLD_MS);
}

/* The first of a minute is kept, cut at a whole character. */
void statsd_refuse(struct statsd_loop *l, enum statsd_refused why, const struct statsd_door *d,
    const char *text, size_t len)
{
	struct statsd_told *t = &l->told[why];
	uint64_t news;
	metric_add(M_STATSD_REFUSED_LINE + why, 1);
	if (t->text[0])
		return;
	if (len) {
		size_t n = len <= TEXT_BYTES ? len : rune_cut(text, len, TEXT_BYTES);
		snprintf(t->text, sizeof(t->text), "%.*s%s", (int)(n ? n : TEXT_BYTES), text,
		    n < len ? "..." : "");
	} else {
		snprintf(t->text, sizeof(t->text), "-");
	}
	snprintf(t->address, sizeof(t->address), "%s", d ? d->address : "-");
	if (!log_pace_first(&l->all->paces[why], refused_count(why), &news))
		return;
	say(t, why, news);
	loop_timer_set(l->loop, &t->timer, STATSD_TOLD_MS);
}

/* ---- events ---- */

static void take(struct statsd_loop *l, unsigned tenant, const struct statsd_event *e)
{
	static const enum statsd_refused reasons[STATSD_TOOKS] = {
		[STATSD_TOOK_NEGATIVE] = STATSD_REFUSED_NEGATIVE,
		[STATSD_TOOK_CONFLICT] = STATSD_REFUSED_CONFLICT,
		[STATSD_TOOK_MEMORY] = STATSD_REFUSED_MEMORY,
		[STATSD_TOOK_MEMBERS] = STATSD_REFUSED_MEMBERS,
	};
	enum statsd_took took = statsd_agg_take(l->aggs[tenant], e, loop_now_ms(l->loop));
	if (took == STATSD_TOOK)
		return;
	if (l->told[reasons[took]].text[0]) { /* no text is needed */
		metric_add(M_STATSD_REFUSED_LINE + reasons[took], 1);
		return;
	}
	struct buf b;
	buf_init(&b);
	label_text_cut(&b, e->to->labels, TEXT_BYTES);
	statsd_refuse(l, reasons[took], NULL, (const char *)b.data, b.len);
	buf_release(&b);
}

/* ---- packs: to the owner and home again ---- */

static void pack_home(struct mbox_msg *m)
{
	struct statsd_pack *p = CONTAINER_OF(m, struct statsd_pack, msg);
	struct statsd_loop *l = p->from;
	statsd_routes_drop(p->routes);
	l->away--;
	if (l->free_count < STATSD_PACKS_AWAY / 4) {
		p->next = l->free;
		l->free = p;
		l->free_count++;
	} else {
		mem_free(p);
	}
	if (l->paused && l->away < STATSD_PACKS_AWAY / 2)
		statsd_socks_resume(l);
}

static void pack_arrived(struct mbox_msg *m)
{
	struct statsd_pack *p = CONTAINER_OF(m, struct statsd_pack, msg);
	for (unsigned i = 0; i < p->count; i++) {
		const struct statsd_event_away *x = &p->events[i];
		struct statsd_event e = {
			.to = &x->route->target, .op = x->op, .member = x->member, .rate = x->rate
		};
		take(p->to, x->tenant, &e);
	}
	p->msg.fn = pack_home;
	loop_send(p->from->loop, &p->msg);
}

static void pack_send(struct statsd_loop *l, unsigned owner)
{
	struct statsd_pack *p = l->open[owner];
	l->open[owner] = NULL;
	l->away++;
	p->msg.fn = pack_arrived;
	loop_send(p->to->loop, &p->msg);
}

static void send_all(struct statsd_loop *l)
{
	for (unsigned i = 0; i < l->all->loops_count; i++)
		if (l->open[i])
			pack_send(l, i);
}

static struct statsd_pack *pack_open(struct statsd_loop *l, unsigned owner)
{
	struct statsd_pack *p = l->free;
	if (p) {
		l->free = p->next;
		l->free_count--;
	} else {
		p = mem_alloc(sizeof(*p));
	}
	p->from = l;
	p->to = &l->all->loops[owner];
	p->routes = statsd_routes_hold(l->routes);
	p->count = 0;
	l->open[owner] = p;
	return p;
}

static void pass_on(struct statsd_loop *l, unsigned tenant, const struct statsd_route *r,
    const struct statsd_event *e)
{
	struct statsd_pack *p = l->open[r->owner] ? l->open[r->owner] : pack_open(l, r->owner);
	p->events[p->count++] = (struct statsd_event_away){ .route = r,
		.member = e->member,
		.rate = e->rate,
		.tenant = (uint16_t)tenant,
		.op = (uint8_t)e->op };
	if (p->count == STATSD_PACK)
		pack_send(l, r->owner);
}

void statsd_stored(struct statsd_loop *l, const struct batch *b, const struct sink_req *said)
{
	metric_add(M_STATSD_ROWS_REFUSED, said->refused);
	recvcount_read(RECEIVER_STATSD, said->stored + said->refused, 0);
	tenantstat_wrote(l->all->api->tenantstat, b->tenant, said->stored, said->refused);
}

/* ---- samples with timestamps ---- */

static void direct_done(struct inlet *i)
{
	struct statsd_direct *d = CONTAINER_OF(i, struct statsd_direct, inlet);
	if (i->req.err) {
		metric_add(M_STATSD_REFUSED_BUSY, d->batch.rows_count);
		LOG_EVERY(LOG_LEVEL_WARN, "statsd_samples_lost", "err=\"%s\" samples=%zu",
		    err_text(i->req.err), d->batch.rows_count);
	} else
		statsd_stored(d->l, &d->batch, &i->req);
	d->away = false;
	statsd_routes_drop(d->routes);
	batch_clear(&d->batch);
	arena_reset(&d->arena, 64 << 10);
}

static void direct_send(struct statsd_loop *l)
{
	struct statsd_direct *d = &l->directs[l->direct];
	if (d->away || !d->batch.rows_count)
		return;
	d->away = true;
	l->direct = (l->direct + 1) % STATSD_DIRECTS;
	d->inlet = (struct inlet){ .req.batch = &d->batch,
		.receiver = RECEIVER_STATSD,
		.arena = &d->arena,
		.done = direct_done };
	inlet_append(l->all->api, &d->inlet);
}

static void direct_add(struct statsd_loop *l, const struct statsd_door *door,
    const struct statsd_route *r, double v, int64_t t_s)
{
	struct statsd_direct *d = &l->directs[l->direct];
	uint32_t tenant = l->all->tenants[door->tenant].id;
	if (!d->away && d->batch.rows_count &&
	    (d->batch.tenant != tenant || d->routes != l->routes ||
	        d->batch.rows_count == STATSD_DIRECT)) {
		direct_send(l);
		d = &l->directs[l->direct];
	}
	if (d->away) {
		statsd_refuse(l, STATSD_REFUSED_BUSY, door, r->target.name, r->target.name_len);
		return;
	}
	if (!d->batch.rows_count) {
		d->batch.tenant = tenant;
		d->routes = statsd_routes_hold(l->routes);
	}
	d->batch.series_count++;
	*batch_add(&d->batch) = (struct batch_row){ .labels = r->target.labels.bytes,
		.labels_len = r->target.labels.len,
		.t_ms = t_s * 1000,
		.v = v };
}

/* ---- samples ---- */

static void send_now(struct loop_deferred *d)
{
	struct statsd_loop *l = CONTAINER_OF(d, struct statsd_loop, send);
	l->sending = false;
	send_all(l);
	direct_send(l);
}

/* Routes of the configuration that holds. */
static struct statsd_routes *routes_here(struct statsd_loop *l)
{
	const struct recv_conf *c = l->all->api->loops[loop_index(l->loop)].conf->recv;
	if (l->conf == c && !statsd_routes_full(l->routes))
		return l->routes;
	send_all(l); /* a pack is of one set of routes */
	statsd_routes_drop(l->routes);
	l->conf = c;
	l->routes = statsd_routes_create(c->statsd.map, loop_seat(l->loop), l->all->loops_count);
	return l->routes;
}

static void sample(struct statsd_loop *l, const struct statsd_door *d, const struct statsd_sample *s)
{
	const struct statsd_route *r = statsd_route(routes_here(l), s);
	struct statsd_event e = { .to = &r->target, .op = r->op, .rate = s->rate };
	metric_add(M_STATSD_SAMPLES, 1);
	if (r->drop) {
		metric_add(M_STATSD_DROPPED, 1);
		return;
	}
	if (r->refused) {
		statsd_refuse(l, STATSD_REFUSED_LABELS, d, s->id.s, s->id.len);
		return;
	}
	if (r->op == STATSD_MEMBER) {
		e.member = hash64(s->text.s, s->text.len, MEMBER_SEED);
	} else if (!statsd_route_value(r, s, &e.value)) {
		statsd_refuse(l, (enum statsd_refused)(STATSD_BAD_VALUE - 1), d, s->id.s, s->id.len);
		return;
	}
	if (s->t_s) {
		direct_add(l, d, r, e.value, s->t_s);
		return;
	}
	if (r->op == STATSD_SET_TO && s->change && !d->dogstatsd)
		e.op = STATSD_CHANGE;
	if (l == &l->all->loops[r->owner])
		take(l, d->tenant, &e);
	else
		pass_on(l, d->tenant, r, &e);
}

bool statsd_late(const struct statsd_loop *l)
{
	return clock_real_mono_ns() - l->begin_ns > STATSD_READ_NS;
}

enum statsd_fed statsd_feed(
    struct statsd_loop *l, const struct statsd_door *d, struct statsd_reader *r)
{
	if (!l->sending) {
		l->sending = true;
		loop_idle(l->loop, &l->send);
	}
	for (unsigned n = 1;; n++) {
		if (l->away >= STATSD_PACKS_AWAY)
			return STATSD_FED_FULL;
		if (n % LATE_EVERY == 0 && statsd_late(l))
			return STATSD_FED_LATE;
		switch (statsd_next(r)) {
		case STATSD_END:
			return STATSD_FED_ALL;
		case STATSD_SAMPLE:
			sample(l, d, &r->sample);
			break;
		case STATSD_EVENT:
			metric_add(M_STATSD_IGNORED_EVENTS, 1);
			break;
		case STATSD_CHECK:
			metric_add(M_STATSD_IGNORED_CHECKS, 1);
			break;
		case STATSD_BAD:
			statsd_refuse(
			    l, (enum statsd_refused)(r->bad - 1), d, r->line.s, r->line.len);
			break;
		}
	}
}

/* ---- life ---- */

static bool tenant_of(struct statsd *s, const char *name, unsigned *out)
{
	name = name ? name : TENANT_DEFAULT_NAME;
	for (unsigned i = 0; i < s->tenants_count; i++)
		if (!strcmp(s->tenants[i].name, name)) {
			*out = i;
			return true;
		}
	snprintf(s->tenants[s->tenants_count].name, TENANT_NAME_MAX + 1, "%s", name);
	*out = s->tenants_count++;
	return false;
}

/* Ids of all tenants that listeners name. */
static enum err bind_tenants(struct statsd *s, struct store *store, struct errbuf *eb)
{
	struct tenant_row rows[STATSD_LISTEN_MAX];
	struct tenants *t = NULL;
	memset(rows, 0, sizeof(rows));
	for (unsigned i = 0; i < s->tenants_count; i++)
		memcpy(rows[i].name, s->tenants[i].name, sizeof(rows[i].name));
	enum err e = tenants_create(&t, NULL, rows, s->tenants_count, eb);
	if (!e)
		e = store_tenants_bind_wait(store, t, eb);
	for (unsigned i = 0; !e && i < s->tenants_count; i++)
		s->tenants[i].id =
		    tenants_find(t, s->tenants[i].name, strlen(s->tenants[i].name))->id;
	tenants_free(t);
	return e;
}

static void loop_begin(struct statsd *s, unsigned i)
{
	struct statsd_loop *l = &s->loops[i];
	l->all = s;
	l->loop = team_loop(s->api->opts.team, i);
	l->aggs = mem_zalloc(s->tenants_count * sizeof(struct statsd_agg *));
	l->open = mem_zalloc(s->loops_count * sizeof(struct statsd_pack *));
	l->send.fn = send_now;
	list_init(&l->socks);
	list_init(&l->streams);
	for (unsigned d = 0; d < STATSD_DIRECTS; d++) {
		l->directs[d].l = l;
		batch_init(&l->directs[d].batch);
		arena_init(&l->directs[d].arena, 4096);
	}
	for (unsigned why = 0; why < STATSD_REFUSALS; why++) {
		l->told[why].l = l;
		loop_timer_init(&l->told[why].timer, say_again);
	}
}

enum err statsd_create(struct api *a, struct store *store, const struct statsd_conf *conf,
    struct statsd **out, struct errbuf *eb)
{
	const struct statsd_listen *listen = conf->listen.items;
	enum err e = ERR_OK;
	*out = NULL;
	if (!conf->listen.count)
		return ERR_OK;
	struct statsd *s = mem_zalloc(sizeof(*s));
	s->api = a;
	s->loops_count = team_count(a->opts.team);
	s->connections = (unsigned)((conf->connections + s->loops_count - 1) / s->loops_count);
	s->doors = mem_zalloc(conf->listen.count * sizeof(*s->doors));
	s->tenants = mem_zalloc(conf->listen.count * sizeof(*s->tenants));
	s->loops = mem_zalloc(s->loops_count * sizeof(*s->loops));
	for (size_t i = 0; i < conf->listen.count; i++)
		(void)tenant_of(s, listen[i].tenant, &s->doors[i].tenant);
	for (unsigned i = 0; i < s->tenants_count; i++) {
		purse_init(&s->tenants[i].purse, conf->memory_bytes, NULL);
		purse_show(&s->tenants[i].purse, M_STATSD_BYTES);
	}
	metric_gauge_add(M_STATSD_LIMIT, (int64_t)conf->memory_bytes);
	for (unsigned i = 0; i < s->loops_count; i++)
		loop_begin(s, i);
	for (; !e && s->doors_count < conf->listen.count; s->doors_count++)
		e = statsd_door_open(&s->doors[s->doors_count], s->loops_count,
		    &listen[s->doors_count], conf->receive_bytes, eb);
	if (!e)
		e = bind_tenants(s, store, eb);
	if (e) {
		statsd_free(s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

struct at {
	struct statsd *s;
	bool last, done;
};

static struct statsd_loop *here(const struct at *a)
{
	return &a->s->loops[loop_index(loop_here())];
}

static void start_here(void *arg)
{
	struct statsd_loop *l = here(arg);
	struct statsd *s = l->all;
	for (unsigned i = 0; i < s->tenants_count; i++)
		l->aggs[i] = statsd_agg_create(&s->tenants[i].purse, loop_now_ms(l->loop));
	l->conf = s->api->loops[loop_index(l->loop)].conf->recv;
	for (unsigned i = 0; i < s->tenants_count; i++)
		statsd_agg_members(l->aggs[i], l->conf->statsd.members);
	l->routes = statsd_routes_create(l->conf->statsd.map, loop_seat(l->loop), s->loops_count);
	statsd_flush_start(l);
}

static void listen_here(void *arg)
{
	statsd_socks_start(here(arg));
}

/* All loops can add up before one of them reads. */
void statsd_start(struct statsd *s)
{
	struct at a = { .s = s };
	if (!s)
		return;
	s->started = true;
	for (unsigned i = 0; i < s->loops_count; i++)
		team_run_on(s->api->opts.team, i, start_here, &a);
	for (unsigned i = 0; i < s->loops_count; i++)
		team_run_on(s->api->opts.team, i, listen_here, &a);
	for (unsigned i = 0; i < s->doors_count; i++)
		LOG_INFO("statsd_listens", "address=%s tenant=%s", s->doors[i].address,
		    s->tenants[s->doors[i].tenant].name);
}

static void drain_here(void *arg)
{
	struct at *a = arg;
	struct statsd_loop *l = here(a);
	bool idle = a->last;
	if (statsd_socks_drain(l) || a->last) {
		statsd_socks_end(l);
		send_all(l);
		direct_send(l);
		idle = !l->away;
		for (unsigned i = 0; i < STATSD_DIRECTS; i++)
			idle = idle && !l->directs[i].away;
	}
	a->done = a->done && idle;
}

static void last_here(void *arg)
{
	statsd_flush_last(here(arg));
}

static void flushed_here(void *arg)
{
	struct at *a = arg;
	a->done = a->done && here(a)->flush.state == STATSD_FLUSHED;
}

/* Until fn finds all loops done. */
static bool wait_all(struct statsd *s, void (*fn)(void *arg), uint64_t until_ns)
{
	for (;;) {
		struct at a = { .s = s, .done = true, .last = clock_real_mono_ns() > until_ns };
		for (unsigned i = 0; i < s->loops_count; i++)
			team_run_on(s->api->opts.team, i, fn, &a);
		if (a.done || a.last)
			return a.done;
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * 1000000 }, NULL);
	}
}

/* Nothing begins any more; what is under way may still end. */
static void halt_here(void *arg)
{
	struct statsd_loop *l = here(arg);
	for (unsigned i = 0; i < STATSD_REFUSALS; i++)
		loop_timer_cancel(l->loop, &l->told[i].timer);
	statsd_flush_halt(l);
}

static void release_here(void *arg)
{
	struct statsd_loop *l = here(arg);
	halt_here(arg);
	statsd_flush_release(l);
	for (unsigned i = 0; i < l->all->tenants_count; i++)
		statsd_agg_free(l->aggs[i]);
	statsd_routes_drop(l->routes);
	metric_gauge_set(M_STATSD_SERIES, 0);
}

void statsd_stop(struct statsd *s)
{
	struct at a = { .s = s };
	if (!s || !s->started)
		return;
	uint64_t now = clock_real_mono_ns(), ms = 1000000;
	bool drained = wait_all(s, drain_here, now + STATSD_STOP_MS / 2 * ms);
	for (unsigned i = 0; i < s->loops_count; i++)
		team_run_on(s->api->opts.team, i, last_here, &a);
	bool flushed = wait_all(s, flushed_here, now + STATSD_STOP_MS * ms);
	if (!drained || !flushed)
		LOG_WARN("statsd_stop_cut",
		    "read=%s stored=%s text=\"what was added up since the last flush is lost\"",
		    drained ? "all" : "some", flushed ? "all" : "some");
	s->stopped = flushed && drained;
	for (unsigned i = 0; i < s->loops_count; i++)
		team_run_on(s->api->opts.team, i, s->stopped ? release_here : halt_here, &a);
}

static void loop_free(struct statsd_loop *l)
{
	for (unsigned i = 0; i < STATSD_DIRECTS; i++) {
		batch_release(&l->directs[i].batch);
		arena_release(&l->directs[i].arena);
	}
	while (l->free) {
		struct statsd_pack *p = l->free;
		l->free = p->next;
		mem_free(p);
	}
	mem_free(l->open);
	mem_free(l->aggs);
}

void statsd_free(struct statsd *s)
{
	if (!s || (s->started && !s->stopped))
		return; /* loops may still use it: the process ends */
	for (unsigned i = 0; i < s->loops_count; i++)
		loop_free(&s->loops[i]);
	for (unsigned i = 0; i < s->doors_count; i++)
		statsd_door_close(&s->doors[i]);
	mem_free(s->doors);
	mem_free(s->tenants);
	mem_free(s->loops);
	mem_free(s);
}
