#include "net/api/doctor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/budget.h"
#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/num.h"
#include "core/model/tenant.h"
#include "net/api/doctortenant.h"
#include "proto/promjson.h"

#define KEPT      61u /* moments: an hour, and the one before */
#define RECENT_MS (10 * INT64_C(60000))
#define HOUR_MS   (60 * INT64_C(60000))
#define STILL_NS  UINT64_C(10000000000) /* a loop must have turned within this */

/* What a check says, and since when it says more than "ok". */
struct verdict {
	enum doctor_severity severity;
	const char *remedy;
	char text[sizeof(((struct doctor_said *)0)->text)];
	int64_t since_ms;
};

/* A worker asks machine and disk. The doctor may end meanwhile. */
struct reading {
	struct work_task task;
	struct doctor *of; /* NULL: it has ended; loop 0's */
	const char *data_dir;
	struct doctorworld world;
};

struct doctor {
	struct api *api;
	struct loop *loop; /* 0 */
	struct loop_timer timer;
	struct doctor_snap zero; /* the start: counters began with 0, turns when it was ready */
	struct doctor_snap *kept[KEPT];
	size_t kept_at, kept_count; /* a ring */
	struct doctor_snap now;
	struct doctorworld world;
	struct reading *reading;  /* NULL: none is under way */
	struct verdict *verdicts; /* [doctor_checks_count] */
};

/* --- life --- */

struct doctor *doctor_create(struct api *a)
{
	struct doctor *d = mem_zalloc(sizeof(*d));
	d->api = a;
	d->verdicts = mem_array(NULL, doctor_checks_count, sizeof(*d->verdicts));
	memset(d->verdicts, 0, doctor_checks_count * sizeof(*d->verdicts));
	return d;
}

void doctor_free(struct doctor *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < KEPT; i++)
		mem_free(d->kept[i]);
	mem_free(d->verdicts);
	mem_free(d);
}

static void world_read(struct work_task *t)
{
	struct reading *r = CONTAINER_OF(t, struct reading, task);
	doctorworld_read("", r->data_dir, &r->world);
}

static void world_there(struct work_task *t)
{
	struct reading *r = CONTAINER_OF(t, struct reading, task);
	if (r->of) {
		r->of->world = r->world;
		r->of->reading = NULL;
	}
	mem_free(r);
}

static void world_ask(struct doctor *d)
{
	if (d->reading || !d->api->opts.pool)
		return;
	d->reading = mem_zalloc(sizeof(*d->reading));
	d->reading->of = d;
	d->reading->data_dir = d->api->opts.data_dir;
	d->reading->task =
	    (struct work_task){ .run = world_read, .done = world_there, .prio = WORK_BACKGROUND };
	work_submit(d->api->opts.pool, &d->reading->task);
}

/* The newest of those that are so old; else the oldest there is; NULL: none. */
static const struct doctor_snap *kept_before(const struct doctor *d, int64_t at_ms)
{
	const struct doctor_snap *found = NULL;
	for (size_t i = 0; i < d->kept_count; i++) { /* from the oldest on */
		size_t at = (d->kept_at + KEPT - d->kept_count + i) % KEPT;
		if (found && d->kept[at]->at_ms > at_ms)
			break;
		found = d->kept[at];
	}
	return found;
}

static void keep(struct doctor *d)
{
	struct doctor_snap **place = &d->kept[d->kept_at];
	if (!*place)
		*place = mem_alloc(sizeof(**place));
	**place = d->now;
	d->kept_at = (d->kept_at + 1) % KEPT;
	d->kept_count += d->kept_count < KEPT;
}

/* --- the facts, and what they say --- */

static uint64_t stands_ms(const struct api *a)
{
	uint64_t oldest = team_oldest_turn_ns(a->opts.team), now = clock_real_mono_ns();
	return now > oldest && now - oldest > STILL_NS ? (now - oldest) / 1000000 : 0;
}

static void facts_of(const struct doctor *d, struct doctor_facts *f)
{
	struct api *a = d->api;
	const struct api_conf *conf = a->loops[loop_index(d->loop)].conf;
	const struct store_opts *so = a->store ? store_opts_in_force(a->store) : NULL;
	const struct doctor_snap *hour = kept_before(d, d->now.at_ms - HOUR_MS);
	const struct doctor_snap *recent = kept_before(d, d->now.at_ms - RECENT_MS);
	uint32_t retry_s;
	const char *of;
	bool young = d->now.at_ms - a->start_ms < RECENT_MS;
	*f = (struct doctor_facts){ .now_ms = d->now.at_ms,
		.start_ms = a->start_ms,
		.now = &d->now,
		.recent = young || !recent ? &d->zero : recent,
		.hour = hour ? hour : &d->zero,
		.world = &d->world,
		.memory_allowed = budget_memory(&of),
		.stands_ms = stands_ms(a),
		.accepts = a->sink ? sink_accepts(a->sink, &retry_s) : ERR_OK,
		.tenants = a->store ? store_tenants(a->store) : 1,
		.tenants_max = limits_here()->tenants,
		.connections_max = limits_here()->http_connections,
		.loops = team_count(a->opts.team),
		.self_metrics = latch_is_set(&a->self_told),
		.open = conf->open,
		.admin_api = conf->admin_api,
		.test_clock = clock_is_test() };
	if (!so)
		return;
	f->sync = so->sync;
	f->sync_interval_ms = so->sync_interval_ms;
	f->round_every_ms = so->round_every_ms;
	f->log_share_bytes = so->log_share_bytes;
	f->series_max = so->series_max;
	f->retention_bytes = so->retention_bytes;
}

static void look(struct doctor *d)
{
	struct doctor_facts f;
	int64_t now_ms = loop_now_ms(d->loop);
	doctor_snap_take(&d->now, now_ms, &d->world);
	facts_of(d, &f);
	for (size_t i = 0; i < doctor_checks_count; i++) {
		const struct doctor_check *c = &doctor_checks[i];
		struct doctor_said s = { .severity = DOCTOR_OK };
		struct verdict *v = &d->verdicts[i];
		c->look(&f, &s);
		if (s.severity == DOCTOR_OK)
			v->since_ms = 0;
		else if (v->severity == DOCTOR_OK)
			v->since_ms = now_ms;
		v->severity = s.severity;
		v->remedy = s.remedy ? s.remedy : c->remedy;
		memcpy(v->text, s.text, sizeof(v->text));
	}
}

static void tick(struct loop_timer *t)
{
	struct doctor *d = CONTAINER_OF(t, struct doctor, timer);
	const struct doctor_snap *last = kept_before(d, INT64_MAX);
	loop_timer_set(d->loop, t, DOCTOR_LOOK_MS);
	look(d);
	if (last && d->now.at_ms - last->at_ms < DOCTOR_KEEP_MS && d->now.at_ms >= last->at_ms)
		return;
	keep(d);
	world_ask(d);
}

void doctor_begin(struct doctor *d)
{
	if (d->loop)
		return; /* a second call: its timer runs */
	d->loop = loop_here();
	d->zero.at_ms = d->api->start_ms;
	/* Nobody waited for turns that read the log; what else a start met counts. */
	doctor_snap_take(&d->now, loop_now_ms(d->loop), &d->world);
	memcpy(d->zero.hists[DOCTOR_HIST_TURN], d->now.hists[DOCTOR_HIST_TURN],
	    sizeof(d->zero.hists[0]));
	d->zero.turns_ns = d->now.turns_ns;
	loop_timer_init(&d->timer, tick);
	tick(&d->timer);
}

void doctor_end(struct doctor *d)
{
	if (!d->loop)
		return;
	loop_timer_cancel(d->loop, &d->timer);
	if (d->reading)
		d->reading->of = NULL;
	d->reading = NULL;
	d->loop = NULL;
}

/* --- the answer --- */

struct finding {
	struct doctor_finding f;
	const char *tenant; /* NULL: the server's */
};

/* A message to each loop and back. */
struct visit {
	struct req *req;
	bool server; /* findings of it, too */
	unsigned out, count;
	uint32_t *tenants; /* copied: who asks may leave */
	size_t tenants_count;
	int64_t now_ms;
	/* of loop 0 */
	struct verdict *verdicts;
	struct alarm_row *alarms;
	size_t alarms_count, alarms_cap;
	/* at home */
	struct doctornote *notes;
	size_t notes_count;
	struct finding *findings;
	size_t findings_count, findings_cap;
	struct arena texts;
	const char *tenant; /* whose turn it is */
	struct visit_part {
		struct visit *of;
		struct mbox_msg msg;
		struct doctornote *notes;
		size_t count, cap;
	} parts[];
};

static void note_copy(void *arg, const struct doctornote *n)
{
	struct visit_part *p = arg;
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 16;
		p->notes = mem_array(p->notes, p->cap, sizeof(*p->notes));
	}
	p->notes[p->count++] = *n;
}

static bool asks_for(const struct visit *v, uint32_t tenant)
{
	for (size_t i = 0; i < v->tenants_count; i++)
		if (v->tenants[i] == tenant)
			return true;
	return false;
}

static void alarm_copy(void *arg, const struct alarm_row *row)
{
	struct visit *v = arg;
	if (!row->on || !asks_for(v, row->row.tenant))
		return;
	if (v->alarms_count == v->alarms_cap) {
		v->alarms_cap = v->alarms_cap ? v->alarms_cap * 2 : 16;
		v->alarms = mem_array(v->alarms, v->alarms_cap, sizeof(*v->alarms));
	}
	v->alarms[v->alarms_count++] = *row;
}

static void look_at_first(struct visit *v)
{
	struct api *a = api_of(v->req);
	struct doctor *d = a->doctor;
	if (a->store)
		store_card_here(a->store, alarm_copy, v);
	if (!v->server || !d->loop)
		return;
	look(d);
	size_t bytes = doctor_checks_count * sizeof(*v->verdicts);
	v->verdicts = mem_alloc(bytes);
	memcpy(v->verdicts, d->verdicts, bytes);
}

static void answer(struct visit *v);

static void come_back(struct mbox_msg *m)
{
	struct visit_part *p = CONTAINER_OF(m, struct visit_part, msg);
	if (--p->of->out == 0)
		answer(p->of);
}

static void look_there(struct mbox_msg *m)
{
	struct visit_part *p = CONTAINER_OF(m, struct visit_part, msg);
	struct visit *v = p->of;
	struct api *a = api_of(v->req);
	unsigned here = loop_index(loop_here());
	doctornotes_each(
	    &a->loops[here].notes, v->tenants, v->tenants_count, v->now_ms, note_copy, p);
	if (!here)
		look_at_first(v);
	m->fn = come_back;
	loop_send(v->req->loop, m);
}

static void visit_sent(struct req *r)
{
	struct visit *v = r->own;
	for (unsigned i = 0; i < v->count; i++)
		mem_free(v->parts[i].notes);
	mem_free(v->verdicts);
	mem_free(v->alarms);
	mem_free(v->notes);
	mem_free(v->findings);
	arena_release(&v->texts);
}

static void finding_add(void *arg, const struct doctor_finding *f)
{
	struct visit *v = arg;
	if (v->findings_count == v->findings_cap) {
		v->findings_cap = v->findings_cap ? v->findings_cap * 2 : 64;
		v->findings = mem_array(v->findings, v->findings_cap, sizeof(*v->findings));
	}
	struct finding *to = &v->findings[v->findings_count++];
	*to = (struct finding){ .f = *f, .tenant = v->tenant };
	to->f.text = arena_strndup(&v->texts, f->text, strlen(f->text));
	if (f->example)
		to->f.example = arena_strndup(&v->texts, f->example, strlen(f->example));
}

static void server_findings(struct visit *v)
{
	for (size_t i = 0; v->verdicts && i < doctor_checks_count; i++) {
		const struct verdict *s = &v->verdicts[i];
		finding_add(v,
		    &(struct doctor_finding){ .id = doctor_checks[i].id,
		        .severity = s->severity,
		        .text = s->text[0] ? s->text : "fine",
		        .remedy = s->remedy,
		        .since_ms = s->since_ms });
	}
}

/* Those of one tenant stand together then. */
static int by_tenant(const void *x, const void *y)
{
	const struct doctornote *a = x, *b = y;
	return (a->tenant > b->tenant) - (a->tenant < b->tenant);
}

static void notes_gather(struct visit *v)
{
	for (unsigned i = 0; i < v->count; i++)
		v->notes_count += v->parts[i].count;
	v->notes = mem_array(NULL, v->notes_count + 1, sizeof(*v->notes));
	v->notes_count = 0;
	for (unsigned i = 0; i < v->count; i++) {
		const struct visit_part *p = &v->parts[i];
		if (p->count)
			memcpy(v->notes + v->notes_count, p->notes, p->count * sizeof(*p->notes));
		v->notes_count += p->count;
	}
	v->notes_count = doctortenant_join(v->notes, v->notes_count);
	if (v->notes_count)
		qsort(v->notes, v->notes_count, sizeof(*v->notes), by_tenant);
}

static void tenant_findings(struct visit *v, uint32_t id)
{
	const struct store *st = api_of(v->req)->store;
	const char *name = st && id != TENANT_NONE ? store_tenant_name(st, id) : NULL;
	size_t from = 0, to;
	while (from < v->notes_count && v->notes[from].tenant != id)
		from++;
	for (to = from; to < v->notes_count && v->notes[to].tenant == id;)
		to++;
	struct doctortenant t = { .notes = v->notes + from,
		.notes_count = to - from,
		.alarms = v->alarms,
		.alarms_count = v->alarms_count,
		.id = id,
		.series = st && id != TENANT_NONE ? store_tenant_series(st, id) : 0,
		.series_max = tenant_limits_here(id)->series,
		.now_ms = v->now_ms };
	v->tenant = name ? arena_strndup(&v->texts, name, strlen(name)) : "";
	doctortenant_findings(&t, finding_add, v);
	v->tenant = NULL;
}

static int worst_first(const void *x, const void *y)
{
	const struct finding *a = x, *b = y;
	if (a->f.severity != b->f.severity)
		return a->f.severity > b->f.severity ? -1 : 1;
	if (!a->tenant != !b->tenant)
		return a->tenant ? 1 : -1;
	if (a->f.since_ms != b->f.since_ms)
		return a->f.since_ms < b->f.since_ms ? -1 : 1;
	return strcmp(a->f.id, b->f.id);
}

static void time_put(struct buf *b, const char *before, int64_t ms)
{
	char text[NUM_FMT_MAX];
	size_t len = num_fmt_time(ms, text);
	buf_printf(b, "%s\"%.*s\"", before, (int)len, text);
}

static void text_put(struct buf *b, const char *before, const char *text)
{
	buf_add_str(b, before);
	json_str(b, text, strlen(text));
}

static void finding_put(struct buf *b, const struct finding *f, bool first)
{
	buf_printf(b, "%s{\"id\":\"%s\",\"severity\":\"%s\",\"scope\":\"%s\"", first ? "" : ",",
	    f->f.id, doctor_severity_word[f->f.severity], f->tenant ? "tenant" : "server");
	if (f->tenant)
		text_put(b, ",\"tenant\":", f->tenant);
	text_put(b, ",\"text\":", f->f.text);
	if (f->f.example)
		text_put(b, ",\"example\":", f->f.example);
	if (f->f.severity != DOCTOR_OK) {
		text_put(b, ",\"remedy\":", f->f.remedy);
		if (f->f.since_ms)
			time_put(b, ",\"since\":", f->f.since_ms);
	}
	buf_add_u8(b, '}');
}

static void answer(struct visit *v)
{
	struct buf b;
	server_findings(v);
	notes_gather(v);
	for (size_t i = 0; i < v->tenants_count; i++)
		tenant_findings(v, v->tenants[i]);
	if (v->findings_count)
		qsort(v->findings, v->findings_count, sizeof(*v->findings), worst_first);
	buf_init(&b);
	promjson_begin(&b);
	time_put(&b, "{\"time\":", v->now_ms);
	buf_printf(&b, ",\"worst\":\"%s\",\"server\":%s,\"findings\":[",
	    doctor_severity_word[v->findings_count ? v->findings[0].f.severity : DOCTOR_OK],
	    v->verdicts ? "true" : "false");
	for (size_t i = 0; i < v->findings_count; i++)
		finding_put(&b, &v->findings[i], !i);
	buf_add_str(&b, "]}");
	promjson_end(&b, NULL, NULL);
	req_reply_buf(v->req, 200, "application/json", &b);
}

void api_doctor(struct req *r)
{
	struct api *a = api_of(r);
	unsigned loops = team_count(a->opts.team);
	struct visit *v = arena_zalloc(&r->arena, sizeof(*v) + loops * sizeof(v->parts[0]));
	v->req = r;
	/* Of the whole server: as /metrics. */
	v->server = (r->roles & ROLE_ADMIN) && (!r->apart || r->admin);
	v->count = v->out = loops;
	v->tenants_count = r->tenants_count;
	v->tenants = arena_array(&r->arena, r->tenants_count, sizeof(*v->tenants));
	memcpy(v->tenants, r->tenants, r->tenants_count * sizeof(*v->tenants));
	v->now_ms = loop_now_ms(r->loop);
	arena_init(&v->texts, 4096);
	r->own = v;
	r->on_done = visit_sent;
	for (unsigned i = 0; i < loops; i++) {
		v->parts[i].of = v;
		v->parts[i].msg.fn = look_there;
		loop_send(team_loop(a->opts.team, i), &v->parts[i].msg);
	}
}
