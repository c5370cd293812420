#include "core/base/hash.h"
#include "proto/otlp_priv.h"

#define STEP_NS     ((uint64_t)OTLP_INFO_STEP_MS * 1000000)
#define INFOS_FIRST 64u

void otlp_meta(struct otlp *o, struct otlp_text family, struct otlp_text help,
    struct otlp_text unit, uint8_t type)
{
	struct batch_meta *m = batch_add_meta(o->d->batch);
	struct arena *a = o->d->arena;
	*m = (struct batch_meta){
		.family = arena_strndup(a, family.s, family.len),
		.family_len = family.len,
		.help = help.s, /* of the body */
		.help_len = help.len,
		.unit = unit.len ? arena_strndup(a, unit.s, unit.len) : "",
		.unit_len = unit.len,
		.type = type,
	};
	o->made += family.len + (size_t)unit.len + sizeof *m;
}

/* ---- each once in a request ---- */

static bool is_new(struct otlp *o, struct hash128 h);

static void infos_grow(struct otlp *o)
{
	struct hash128 *was = o->infos.items;
	uint32_t n = o->infos.cap;
	o->infos.cap = n ? 2 * n : INFOS_FIRST;
	o->infos.count = 0;
	o->infos.items = arena_zalloc(o->d->keep, o->infos.cap * sizeof *was);
	for (uint32_t i = 0; i < n; i++)
		if (was[i].hi | was[i].lo)
			(void)is_new(o, was[i]);
}

/* Remembers it. */
static bool is_new(struct otlp *o, struct hash128 h)
{
	if (2 * (o->infos.count + 1) > o->infos.cap)
		infos_grow(o);
	h.lo |= !(h.hi | h.lo);
	uint32_t mask = o->infos.cap - 1, at = (uint32_t)h.lo & mask;
	struct hash128 *const list = o->infos.items;
	for (; list[at].hi | list[at].lo; at = (at + 1) & mask)
		if (list[at].hi == h.hi && list[at].lo == h.lo)
			return false;
	list[at] = h;
	o->infos.count++;
	return true;
}

static void row(struct otlp *o, struct labels ls, uint64_t ns)
{
	struct otlp_point pt = { .time_ns = ns };
	struct hash128 h = hash128(ls.bytes, ls.len, (uint64_t)otlp_ms(ns));
	if (is_new(o, h))
		otlp_row(o, &pt, ls, 1);
}

/* ---- times ---- */

/* May there be one more between the first and the last? A few bytes must not make thousands. */
static bool may_have_more(const struct otlp *o)
{
	return o->infos_between < OTLP_INFO_FREE + OTLP_INFO_POINT * o->d->records;
}

/* As signed nanoseconds, which Prometheus compares. */
static void rows(struct otlp *o, struct labels ls)
{
	uint64_t from = o->earliest_ns, to = o->latest_ns;
	if (to - from > OTLP_INFO_MOST * STEP_NS)
		from = to - (to - from) % STEP_NS - (OTLP_INFO_MOST - 1) * STEP_NS;
	for (; (int64_t)from < (int64_t)to && may_have_more(o); from += STEP_NS) {
		row(o, ls, from);
		o->infos_between++;
	}
	row(o, ls, to);
}

static enum err attributes(struct otlp *o)
{
	const uint8_t *p = o->resource_data, *const end = p + o->resource_len;
	otlp_attrs_clear(&o->attrs);
	while (p < end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f) || (f.number == 1 && f.wire != PBSCAN_BYTES))
			return otlp_malformed(o, f.start, "broken field of a resource");
		if (f.number == 1 && !otlp_attrs_add(o, &o->attrs, f.data, f.len))
			return otlp_malformed(o, f.start, "broken attribute of a resource");
	}
	return ERR_OK;
}

enum err otlp_info(struct otlp *o)
{
	static const struct otlp_text name = { "target_info", 11 },
	                              help = { "Target metadata", 15 }, unit = { "", 0 };
	struct labels ls;
	o->metric.delta = false;
	if (o->earliest_ns == UINT64_MAX || o->resource_refused)
		return ERR_OK;
	arena_reset(&o->point, SIZE_MAX);
	enum err e = attributes(o);
	if (e)
		return e;
	otlp_why why = otlp_labels_info(o, &ls);
	if (why == OTLP_MALFORMED)
		return otlp_malformed(o, o->resource_data, "broken attribute of a resource");
	if (why)
		decode_bad(o->d, "target_info: %s", why);
	if (why || !ls.len)
		return ERR_OK;
	if (!o->info_told)
		otlp_meta(o, name, help, unit, 2);
	o->info_told = true;
	rows(o, ls);
	return ERR_OK;
}
