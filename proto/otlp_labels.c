#include <stdlib.h>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "proto/otlp_priv.h"

#define LABEL_HEADS 18u /* at most, of a label's bytes: three tags, three lengths */
#define SORT_SHORT  24u /* up to here insertion */
#define QUOTE_MAX   120u

/* ---- texts ---- */

static struct otlp_text text(const char *s)
{
	return (struct otlp_text){ s, (uint32_t)strlen(s) };
}

static int text_cmp(struct otlp_text a, struct otlp_text b)
{
	return bytes_cmp(a.s, a.len, b.s, b.len);
}

static bool text_is(struct otlp_text t, const char *s)
{
	return bytes_equal(t.s, t.len, s, strlen(s));
}

/* Theirs, for people: cut, in quotes. */
const char *otlp_quoted(struct otlp *o, const char *s, size_t len)
{
	struct buf b;
	buf_init(&b);
	label_quote_go(&b, s, len < QUOTE_MAX ? len : QUOTE_MAX);
	const char *out = arena_strndup(&o->point, (const char *)b.data, b.len);
	buf_release(&b);
	return out;
}

static otlp_why too_many(struct otlp *o, const char *what, uint64_t count)
{
	char limit[LIMITS_TEXT_MAX];
	return arena_printf(&o->point, "%llu %s, %s", (unsigned long long)count, what,
	    limits_text(o->limits, LIMITS_write_labels, limit));
}

static otlp_why too_long(struct otlp *o, size_t bytes)
{
	char limit[LIMITS_TEXT_MAX];
	return arena_printf(&o->point, "its labels have %zu bytes, %s", bytes,
	    limits_text(o->limits, LIMITS_write_labels_bytes, limit));
}

/* ---- attributes ---- */

void otlp_attrs_clear(struct otlp_attrs *l)
{
	l->count = 0;
	l->came = 0;
}

bool otlp_attrs_add(struct otlp *o, struct otlp_attrs *l, const uint8_t *p, size_t len)
{
	if (l->came++ >= o->limits->write_labels)
		return true;
	if (l->count == l->cap) {
		uint32_t cap = l->cap ? 2 * l->cap : 32;
		struct otlp_attr *more = arena_array(o->d->keep, cap, sizeof *more);
		if (l->count)
			memcpy(more, l->items, l->count * sizeof *more);
		l->items = more;
		l->cap = cap;
	}
	return otlp_attr_read(p, len, &l->items[l->count++]);
}

/* NULL, or what is wrong with one of the values. */
static otlp_why value_text(struct otlp *o, struct arena *a, struct otlp_attr *x)
{
	enum err e = otlp_attr_text(a, (size_t)o->limits->write_value_bytes, x);
	if (e == ERR_TOOBIG)
		return arena_printf(&o->point,
		    "the list or map of attribute %s is nested more than %u deep, or longer than a label's value may be (--%s)",
		    otlp_quoted(o, x->key, x->key_len), OTLP_DEPTH,
		    limits_flag(LIMITS_write_value_bytes));
	return e ? OTLP_MALFORMED : NULL;
}

/* ---- names of labels ---- */

static bool is_listed(const struct otlp_opts *opts, struct otlp_text key)
{
	for (size_t i = 0; i < opts->attributes_count; i++)
		if (text_is(key, opts->attributes[i]))
			return true;
	return false;
}

static void name_make(struct otlp *o, struct arena *a, struct otlp_text key, struct otlp_name *n)
{
	n->key = key;
	n->good = otlp_label_name(a, o->o, key, &n->name);
	n->listed = is_listed(o->o, key);
	n->used = true;
}

static uint32_t key_hash(struct otlp_text key)
{
	uint64_t h = key.len * UINT64_C(0x9e3779b97f4a7c15), w = 0;
	size_t i = 0;
	for (; key.len - i >= 8; i += 8)
		h = hash_mix64(h ^ wire_load64(key.s + i));
	if (key.len >= 8)
		w = wire_load64(key.s + key.len - 8);
	else if (key.len)
		memcpy(&w, key.s, key.len);
	return (uint32_t)hash_mix64(h ^ w);
}

/* What is known of a key: of the first half of the table's size many, else made in own. */
static const struct otlp_name *name_of(struct otlp *o, struct otlp_text key, struct otlp_name *own)
{
	uint32_t hash = key_hash(key), at = hash & (OTLP_NAMES_MAX - 1);
	struct otlp_name *n;
	for (; (n = &o->names[at])->used; at = (at + 1) & (OTLP_NAMES_MAX - 1))
		if (n->hash == hash && bytes_equal(n->key.s, n->key.len, key.s, key.len))
			return n;
	if (o->names_count >= OTLP_NAMES_MAX / 2 || key.len > o->limits->write_name_bytes) {
		name_make(o, &o->point, key, own);
		return own;
	}
	o->names_count++;
	n->hash = hash;
	name_make(o, o->d->keep, key, n);
	return n;
}

static otlp_why no_name(struct otlp *o, struct otlp_text key)
{
	return arena_printf(&o->point, "attribute %s has no name that a label may have",
	    otlp_quoted(o, key.s, key.len));
}

/* ---- labels of contexts ---- */

static int label_cmp_name(const void *x, const void *y)
{
	const struct otlp_label *a = x, *b = y;
	return text_cmp(a->name, b->name);
}

static int label_cmp_order(const void *x, const void *y)
{
	const struct otlp_label *a = x, *b = y;
	int c = label_cmp_name(x, y);
	return c ? c : (a->at > b->at) - (a->at < b->at);
}

/* Of labels of one name the last one is left; an empty value deletes, unless it is strong. */
static void labels_settle(struct otlp_labels *l)
{
	uint32_t n = 0;
	qsort(l->items, l->count, sizeof *l->items, label_cmp_order);
	for (uint32_t i = 0; i < l->count; i++) {
		if (i + 1 < l->count && !label_cmp_name(&l->items[i], &l->items[i + 1]))
			continue;
		if (l->items[i].value.len || !l->items[i].weak)
			l->items[n++] = l->items[i];
	}
	l->count = n;
}

/* Both, sorted; of one name that of over. */
static struct otlp_labels labels_over(
    struct arena *a, const struct otlp_labels *under, const struct otlp_labels *over)
{
	struct otlp_labels out = {
		arena_array(a, under->count + (size_t)over->count + 1, sizeof(struct otlp_label)), 0
	};
	uint32_t i = 0, k = 0;
	while (i < under->count || k < over->count) {
		int c = i == under->count ? 1
		    : k == over->count    ? -1
		                          : label_cmp_name(&under->items[i], &over->items[k]);
		out.items[out.count++] = c < 0 ? under->items[i] : over->items[k];
		i += c <= 0;
		k += c >= 0;
	}
	return out;
}

static void labels_put(struct otlp_labels *l, struct otlp_text name, struct otlp_text value, bool weak)
{
	l->items[l->count] = (struct otlp_label){ name, value, l->count, weak };
	l->count++;
}

static struct otlp_labels labels_room(struct arena *a, size_t count)
{
	return (struct otlp_labels){ arena_array(a, count + 1, sizeof(struct otlp_label)), 0 };
}

/* ---- a resource ---- */

struct identity {
	struct otlp_text name, namespace, instance;
	bool has_name, has_namespace, has_instance;
};

static void identity_see(struct identity *id, const struct otlp_attr *x)
{
	const struct otlp_text key = { x->key, x->key_len }, value = { x->s, x->len };
	struct {
		const char *key;
		struct otlp_text *to;
		bool *has;
	} of[] = { { "service.name", &id->name, &id->has_name },
		{ "service.namespace", &id->namespace, &id->has_namespace },
		{ "service.instance.id", &id->instance, &id->has_instance } };
	for (size_t i = 0; i < COUNT_OF(of); i++)
		if (text_is(key, of[i].key) && !*of[i].has) {
			*of[i].to = value;
			*of[i].has = true;
		}
}

static void identity_put(struct otlp *o, const struct identity *id, struct otlp_labels *l)
{
	struct otlp_text job = id->name;
	if (id->has_name && id->has_namespace) {
		char *s = arena_alloc(&o->resource, (size_t)id->namespace.len + id->name.len + 1);
		memcpy(s, id->namespace.s, id->namespace.len);
		s[id->namespace.len] = '/';
		if (id->name.len)
			memcpy(s + id->namespace.len + 1, id->name.s, id->name.len);
		job = (struct otlp_text){ s, id->namespace.len + id->name.len + 1 };
	}
	if (id->has_name && job.len)
		labels_put(l, text("job"), job, false);
	if (id->has_instance && id->instance.len)
		labels_put(l, text("instance"), id->instance, false);
}

static bool is_identity(struct otlp_text key)
{
	return key.len >= 12 && !memcmp(key.s, "service.", 8) &&
	    (text_is(key, "service.name") || text_is(key, "service.namespace") ||
	        text_is(key, "service.instance.id"));
}

/* One attribute of the resource: is it promoted? NULL, or why its points cannot have labels. */
static otlp_why resource_attr(
    struct otlp *o, struct otlp_attr *x, struct identity *id, struct otlp_labels *promoted)
{
	const struct otlp_text key = { x->key, x->key_len };
	struct otlp_name own;
	bool asked = o->o->promote_all || o->o->attributes_count, identity = is_identity(key);
	const struct otlp_name *n = asked ? name_of(o, key, &own) : NULL;
	bool promote = n && n->listed != o->o->promote_all;
	if (!promote && !identity)
		return NULL;
	otlp_why why = value_text(o, &o->resource, x);
	if (why)
		return why;
	if (identity)
		identity_see(id, x);
	if (!promote)
		return NULL;
	if (!n->good)
		return no_name(o, key);
	if (promoted->count == o->limits->write_labels)
		return too_many(o, "promoted resource attributes at least", promoted->count + 1u);
	struct otlp_text name = n->name;
	if (n == &own) /* of the point's arena */
		name.s = arena_dup(&o->resource, name.s, name.len + (size_t)!name.len);
	labels_put(promoted, name, (struct otlp_text){ x->s, x->len }, true);
	return NULL;
}

enum err otlp_resource_begin(struct otlp *o, const uint8_t *p, size_t len)
{
	const uint8_t *const end = p + len;
	struct identity id = { 0 };
	arena_reset(&o->resource, SIZE_MAX);
	arena_reset(&o->point, SIZE_MAX);
	struct otlp_labels promoted = labels_room(&o->resource, 0),
	                   identity = labels_room(&o->resource, 2);
	if (o->o->promote_all || o->o->attributes_count)
		promoted = labels_room(&o->resource, (size_t)o->limits->write_labels);
	o->resource_data = p;
	o->resource_len = len;
	o->resource_refused = NULL;
	o->earliest_ns = UINT64_MAX;
	o->latest_ns = 0;
	while (p < end) {
		struct pbscan_field f;
		struct otlp_attr x;
		if (!pbscan_next(&p, end, &f) || (f.number == 1 && f.wire != PBSCAN_BYTES))
			return otlp_malformed(o, f.start, "broken field of a resource");
		if (f.number != 1)
			continue;
		if (!otlp_attr_read(f.data, f.len, &x))
			return otlp_malformed(o, f.start, "broken attribute of a resource");
		otlp_why why = resource_attr(o, &x, &id, &promoted);
		if (why == OTLP_MALFORMED)
			return otlp_malformed(o, f.start, "broken attribute of a resource");
		if (why && !o->resource_refused)
			o->resource_refused = arena_strndup(&o->resource, why, strlen(why));
	}
	identity_put(o, &id, &identity);
	labels_settle(&promoted);
	labels_settle(&identity);
	o->resource_labels = labels_over(&o->resource, &promoted, &identity);
	return ERR_OK;
}

/* ---- a scope ---- */

#define SCOPE "otel_scope_"
static otlp_why scope_attr(struct otlp *o, struct otlp_attr *x, struct otlp_labels *l)
{
	char *key = arena_alloc(&o->scope, sizeof SCOPE - 1 + (size_t)x->key_len);
	memcpy(key, SCOPE, sizeof SCOPE - 1);
	if (x->key_len)
		memcpy(key + sizeof SCOPE - 1, x->key, x->key_len);
	struct otlp_name n;
	otlp_why why = value_text(o, &o->scope, x);
	if (why)
		return why;
	name_make(
	    o, &o->scope, (struct otlp_text){ key, (uint32_t)sizeof SCOPE - 1 + x->key_len }, &n);
	if (!n.good)
		return no_name(o, n.key);
	labels_put(l, n.name, (struct otlp_text){ x->s, x->len }, true);
	return NULL;
}

static void scope_labels(
    struct otlp *o, struct otlp_text name, struct otlp_text version, struct otlp_text schema_url)
{
	struct otlp_labels l = labels_room(&o->scope, o->attrs.count),
	                   fixed = labels_room(&o->scope, 3);
	if (o->attrs.came > o->attrs.count)
		o->scope_refused = too_many(o, "attributes of a scope", o->attrs.came);
	for (uint32_t i = 0; i < o->attrs.count && !o->scope_refused; i++)
		o->scope_refused = scope_attr(o, &o->attrs.items[i], &l);
	if (o->scope_refused && o->scope_refused != OTLP_MALFORMED)
		o->scope_refused =
		    arena_strndup(&o->scope, o->scope_refused, strlen(o->scope_refused));
	labels_settle(&l);
	for (uint32_t i = 0; i < l.count; i++)
		l.items[i].weak = false;
	labels_put(&fixed, text("otel_scope_name"), name, false);
	labels_put(&fixed, text("otel_scope_schema_url"), schema_url, false);
	labels_put(&fixed, text("otel_scope_version"), version, false);
	l = labels_over(&o->scope, &l, &fixed);
	o->scope_labels = labels_over(&o->scope, &o->resource_labels, &l);
}

enum err otlp_scope_begin(struct otlp *o, const uint8_t *p, size_t len, struct otlp_text schema_url)
{
	const uint8_t *const start = p, *const end = p + len;
	struct otlp_text name = { "", 0 }, version = { "", 0 };
	arena_reset(&o->scope, SIZE_MAX);
	arena_reset(&o->point, SIZE_MAX);
	otlp_attrs_clear(&o->attrs);
	o->scope_refused = NULL;
	o->scope_labels = o->resource_labels;
	while (o->o->promote_scope && p < end) {
		struct pbscan_field f = { 0 };
		if (!pbscan_next(&p, end, &f) || (f.number <= 3 && f.wire != PBSCAN_BYTES))
			return otlp_malformed(o, f.start, "broken field of a scope");
		struct otlp_text t = { (const char *)f.data, (uint32_t)f.len };
		if (f.number == 1)
			name = t;
		else if (f.number == 2)
			version = t;
		else if (f.number == 3 && !otlp_attrs_add(o, &o->attrs, f.data, f.len))
			return otlp_malformed(o, f.start, "broken attribute of a scope");
	}
	if (name.len)
		scope_labels(o, name, version, schema_url);
	if (o->scope_refused == OTLP_MALFORMED)
		return otlp_malformed(o, start, "broken attribute of a scope");
	return ERR_OK;
}

/* ---- a metric ---- */

static const char *const type_names[] = {
	[OTLP_NOTHING] = "",
	[OTLP_GAUGE] = "gauge",
	[OTLP_SUM] = "gauge",
	[OTLP_COUNTER] = "counter",
	[OTLP_HISTOGRAM] = "histogram",
	[OTLP_EXPONENTIAL] = "histogram",
	[OTLP_SUMMARY] = "summary",
};

void otlp_metric_begin(struct otlp *o)
{
	struct otlp_labels own = labels_room(&o->metric_arena, 3);
	struct otlp_metric *m = &o->metric;
	labels_put(&own, text(LABEL_NAME), m->prom, false);
	if (o->o->type_and_unit) {
		labels_put(&own, text("__type__"), text(type_names[m->kind]), false);
		struct otlp_text unit = otlp_unit_name(&o->metric_arena, m->unit, true);
		if (unit.len)
			unit = otlp_unit_name(&o->metric_arena, unit, otlp_escapes(o->o->strategy));
		if (unit.len)
			labels_put(&own, text("__unit__"), unit, false);
	}
	o->labels = labels_over(&o->metric_arena, &o->scope_labels, &own);
	o->form.good = false;
}

/* ---- bytes of a label ---- */

static size_t label_inner(size_t name_len, size_t value_len)
{
	return 2 + wire_varint_len(name_len) + name_len + wire_varint_len(value_len) + value_len;
}

static uint8_t *put_text(uint8_t *to, uint8_t tag, const char *s, size_t len)
{
	*to++ = tag;
	to = wire_store_varint(to, len);
	if (len)
		memcpy(to, s, len);
	return to + len;
}

static uint8_t *put_label(uint8_t *to, struct otlp_text name, struct otlp_text value)
{
	*to++ = 0x0a;
	to = wire_store_varint(to, label_inner(name.len, value.len));
	to = put_text(to, 0x0a, name.s, name.len);
	return put_text(to, 0x12, value.s, value.len);
}

struct otlp_piece otlp_label_bytes(struct arena *a, const char *name, const char *value, size_t len)
{
	struct otlp_text n = text(name);
	uint8_t *to = arena_alloc(a, LABEL_HEADS + n.len + len);
	uint8_t *end = put_label(to, n, (struct otlp_text){ value, (uint32_t)len });
	return (struct otlp_piece){ to, (uint32_t)(end - to), OTLP_BYTES };
}

void otlp_exemplar_labels(struct otlp *o, struct label *list, size_t count, struct batch_exemplar *x)
{
	size_t len = 0;
	for (size_t i = 0; i < count; i++)
		len += LABEL_HEADS + list[i].name_len + (size_t)list[i].value_len;
	uint8_t *to = arena_alloc(o->d->arena, len + !len);
	x->own = to;
	for (size_t i = 0; i < count; i++)
		to = put_label(to, (struct otlp_text){ list[i].name, list[i].name_len },
		    (struct otlp_text){ list[i].value, list[i].value_len });
	x->own_len = (uint32_t)(to - x->own);
}

/* ---- the form of a metric's points ---- */

struct item { /* an attribute with its label's name */
	struct otlp_text name;
	const struct otlp_attr *attr;
	uint32_t at;
};
typedef int (*item_cmp)(const void *a, const void *b);

static int by_key(const void *x, const void *y)
{
	const struct item *a = x, *b = y;
	int c = bytes_cmp(a->attr->key, a->attr->key_len, b->attr->key, b->attr->key_len);
	return c ? c : (a->at > b->at) - (a->at < b->at);
}

static int by_name(const void *x, const void *y)
{
	const struct item *a = x, *b = y;
	int c = text_cmp(a->name, b->name);
	return c ? c : by_key(x, y);
}

static void items_sort(struct item *list, size_t n, item_cmp cmp)
{
	if (n > SORT_SHORT) {
		qsort(list, n, sizeof *list, cmp);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		struct item x = list[i];
		size_t k = i;
		for (; k && cmp(&list[k - 1], &x) > 0; k--)
			list[k] = list[k - 1];
		list[k] = x;
	}
}

/* What is being made. */
struct maker {
	struct otlp_form *form;
	uint8_t *to; /* bytes of pieces */
	bool named, past_more;
	struct otlp_text more;
};

static void piece_add(struct maker *m, int32_t attr, uint8_t *from)
{
	struct otlp_form *f = m->form;
	struct otlp_piece *was = f->count ? &f->pieces[f->count - 1] : NULL;
	size_t len = (size_t)(m->to - from);
	f->fixed += len + (attr >= 0 ? LABEL_HEADS : 0);
	if (attr == OTLP_BYTES && was && was->attr == OTLP_BYTES && was->bytes + was->len == from)
		was->len += (uint32_t)len;
	else
		f->pieces[f->count++] = (struct otlp_piece){ from, (uint32_t)len, attr };
}

/* Room for `more` before this name, if it goes there. */
static void more_before(struct maker *m, struct otlp_text name)
{
	if (!m->more.len || m->past_more || text_cmp(m->more, name) >= 0)
		return;
	m->past_more = true;
	piece_add(m, OTLP_MORE, m->to);
}

static void put_fixed(struct maker *m, struct otlp_text name, struct otlp_text value)
{
	uint8_t *from = m->to;
	bool own = m->more.len && !text_cmp(m->more, name);
	more_before(m, name);
	if (!m->named && text_is(name, LABEL_NAME)) {
		piece_add(m, OTLP_NAME, m->to);
		return;
	}
	if (value.len)
		m->to = put_label(m->to, name, value);
	m->past_more |= own;
	piece_add(m, own ? OTLP_MORE : OTLP_BYTES, from);
}

static void put_attr(struct maker *m, const struct item *x, uint32_t attr)
{
	more_before(m, x->name);
	uint8_t *from = m->to;
	m->to = put_text(m->to, 0x0a, x->name.s, x->name.len);
	*m->to++ = 0x12;
	piece_add(m, (int32_t)attr, from);
}

/* Values of attributes that have one name, joined; the first one's, if there is one alone. */
static struct otlp_text values_join(struct otlp *o, const struct item *list, size_t n)
{
	size_t len = 0;
	while (n > 1 && !list->attr->len) { /* those before the first that says something */
		list++;
		n--;
	}
	if (n == 1)
		return (struct otlp_text){ list->attr->s, list->attr->len };
	for (size_t i = 0; i < n; i++)
		len += list[i].attr->len + (size_t)1;
	char *s = arena_alloc(&o->point, len), *to = s;
	for (size_t i = 0; i < n; i++) {
		const struct otlp_attr *x = list[i].attr;
		if (x->len)
			memcpy(to, x->s, x->len);
		to += x->len;
		*to++ = ';';
	}
	return (struct otlp_text){ s, (uint32_t)len - 1 };
}

/* How many of the list have the name of its first. */
static size_t same_name(const struct item *list, size_t n)
{
	size_t k = 1;
	while (k < n && !text_cmp(list[0].name, list[k].name))
		k++;
	return k;
}

/* Attributes and labels of the context, merged by name, as pieces. */
static void form_merge(struct otlp *o, struct maker *m, const struct otlp_labels *ctx,
    const struct item *list, size_t n, const struct otlp_attr *attrs)
{
	uint32_t c = 0;
	for (size_t i = 0; i < n || c < ctx->count;) {
		const struct otlp_label *l = c < ctx->count ? &ctx->items[c] : NULL;
		int cmp = i == n ? 1 : l ? text_cmp(list[i].name, l->name) : -1;
		if (cmp > 0) {
			put_fixed(m, l->name, l->value);
			c++;
			continue;
		}
		size_t run = same_name(list + i, n - i);
		struct otlp_text v = values_join(o, list + i, run);
		bool own = m->more.len && !text_cmp(m->more, list[i].name),
		     plain = run == 1 && v.len && !own;
		m->form->good &= plain;
		if (!cmp && (!l->weak || !v.len))
			put_fixed(m, l->name, l->value);
		else if (plain)
			put_attr(m, &list[i], (uint32_t)(list[i].attr - attrs));
		else if (v.len)
			put_fixed(m, list[i].name, v);
		c += !cmp;
		i += run;
	}
	if (m->more.len && !m->past_more)
		piece_add(m, OTLP_MORE, m->to);
}

/* The attributes with their names, by name. */
static otlp_why items_make(struct otlp *o, const struct otlp_attrs *attrs,
    bool (*left)(struct otlp_text key), struct item *list, size_t *count)
{
	size_t n = 0;
	struct otlp_name *own = NULL;
	for (uint32_t i = 0; i < attrs->count; i++) {
		struct otlp_attr *x = &attrs->items[i];
		const struct otlp_text key = { x->key, x->key_len };
		if (left(key))
			continue;
		otlp_why why = value_text(o, &o->point, x);
		if (why)
			return why;
		if (!otlp_escapes(o->o->strategy)) {
			if (!key.len)
				return no_name(o, key);
			list[n++] = (struct item){ key, x, i };
			continue;
		}
		own = own ? own : arena_alloc(&o->point, sizeof *own);
		const struct otlp_name *name = name_of(o, key, own);
		if (!name->good)
			return no_name(o, key);
		list[n++] = (struct item){ name->name, x, i };
	}
	items_sort(list, n, by_name);
	*count = n;
	if (otlp_escapes(o->o->strategy))
		return NULL;
	for (size_t i = 1; i < n; i++)
		if (!text_cmp(list[i - 1].name, list[i].name))
			return arena_printf(&o->point, "attribute %s is there twice",
			    otlp_quoted(o, list[i].name.s, list[i].name.len));
	return NULL;
}

/* Bytes that pieces may take. */
static size_t form_room(const struct otlp_labels *ctx, const struct item *list, size_t n)
{
	size_t bytes = 1;
	for (uint32_t i = 0; i < ctx->count; i++)
		bytes += LABEL_HEADS + ctx->items[i].name.len + (size_t)ctx->items[i].value.len;
	for (size_t i = 0; i < n; i++)
		bytes += LABEL_HEADS + list[i].name.len + (size_t)list[i].attr->len + 1;
	return bytes;
}

static bool left_none(struct otlp_text key)
{
	(void)key;
	return false;
}

static bool left_name(struct otlp_text key)
{
	return text_is(key, LABEL_NAME);
}

static otlp_why form_make(struct otlp *o, const struct otlp_attrs *attrs,
    const struct otlp_labels *ctx, const char *more, bool (*left)(struct otlp_text key))
{
	struct otlp_form *f = &o->form;
	size_t n = 0;
	if (attrs->came > attrs->count)
		return too_many(o, "attributes", attrs->came);
	struct item *list = arena_array(&o->point, attrs->count + (size_t)1, sizeof *list);
	otlp_why why = items_make(o, attrs, left, list, &n);
	if (why)
		return why;
	arena_reset(&o->form_arena, SIZE_MAX);
	struct otlp_text *keys = arena_array(&o->form_arena, attrs->count + (size_t)1, sizeof *keys);
	*f = (struct otlp_form){
		.pieces = arena_array(&o->form_arena, n + ctx->count + 2, sizeof *f->pieces),
		.keys = keys,
		.attrs = attrs->count,
		.more = more,
		.good = true,
	};
	for (uint32_t i = 0; i < attrs->count; i++)
		keys[i] = (struct otlp_text){ attrs->items[i].key, attrs->items[i].key_len };
	struct maker m = { .form = f,
		.to = arena_alloc(&o->form_arena, form_room(ctx, list, n)),
		.named = !more,
		.more = more ? text(more) : (struct otlp_text){ "", 0 } };
	form_merge(o, &m, ctx, list, n, attrs->items);
	return NULL;
}

/* Do the attributes at hand have the form's keys? Their values get texts. */
static otlp_why form_fits(struct otlp *o, const char *more, bool *fits)
{
	const struct otlp_form *f = &o->form;
	*fits = false;
	if (!f->good || f->more != more || f->attrs != o->attrs.count ||
	    o->attrs.came != o->attrs.count)
		return NULL;
	for (uint32_t i = 0; i < f->attrs; i++) {
		struct otlp_attr *x = &o->attrs.items[i];
		if (x->key_len != f->keys[i].len || memcmp(x->key, f->keys[i].s, x->key_len))
			return NULL;
		if (UNLIKELY(x->any != NULL)) {
			otlp_why why = value_text(o, &o->point, x);
			if (why)
				return why;
		}
		if (!x->len)
			return NULL;
	}
	*fits = true;
	return NULL;
}

static otlp_why form_for(struct otlp *o, const char *more)
{
	bool fits;
	otlp_why why = form_fits(o, more, &fits);
	if (why || fits)
		return why;
	why = form_make(o, &o->attrs, &o->labels, more, left_name);
	o->form.good &= !why;
	return why;
}

/* ---- bytes of a point ---- */

/* At most. */
static size_t form_bytes(const struct otlp *o)
{
	size_t bytes = o->form.fixed;
	for (uint32_t i = 0; i < o->form.count; i++)
		if (o->form.pieces[i].attr >= 0)
			bytes += o->attrs.items[o->form.pieces[i].attr].len;
	return bytes;
}

static uint8_t *put_piece(const struct otlp *o, uint8_t *to, const struct otlp_piece *p)
{
	if (p->attr < 0) {
		memcpy(to, p->bytes, p->len);
		return to + p->len;
	}
	const struct otlp_attr *x = &o->attrs.items[p->attr];
	*to++ = 0x0a;
	to = wire_store_varint(to, p->len + wire_varint_len(x->len) + x->len);
	memcpy(to, p->bytes, p->len);
	to = wire_store_varint(to + p->len, x->len);
	memcpy(to, x->s, x->len);
	return to + x->len;
}

/* Room for labels of rows. */
static uint8_t *out_room(struct otlp *o, size_t bytes)
{
	if (UNLIKELY((size_t)(o->out_end - o->out) < bytes)) {
		size_t piece = bytes > OTLP_PIECE_BYTES ? bytes : OTLP_PIECE_BYTES;
		o->out = arena_alloc(o->d->arena, piece);
		o->out_end = o->out + piece;
	}
	return o->out;
}

static void out_taken(struct otlp *o, uint8_t *to, struct labels *ls)
{
	*ls = (struct labels){ o->out, (uint32_t)(to - o->out) };
	o->made += ls->len;
	o->out = to;
}

otlp_why otlp_labels_named(struct otlp *o, struct labels *out)
{
	otlp_why why = form_for(o, NULL);
	if (why)
		return why;
	size_t most = form_bytes(o), max = (size_t)o->limits->write_labels_bytes;
	if (UNLIKELY(most > max + LABEL_HEADS * (size_t)o->form.attrs))
		return too_long(o, most);
	uint8_t *to = out_room(o, most);
	for (uint32_t i = 0; i < o->form.count; i++)
		to = put_piece(o, to, &o->form.pieces[i]);
	if (UNLIKELY((size_t)(to - o->out) > max))
		return too_long(o, (size_t)(to - o->out));
	out_taken(o, to, out);
	return NULL;
}

otlp_why otlp_labels_base(struct otlp *o, const char *more, struct otlp_base *out)
{
	otlp_why why = form_for(o, more);
	if (why)
		return why;
	size_t most = form_bytes(o);
	if (most > o->limits->write_labels_bytes + LABEL_HEADS * (size_t)o->form.attrs)
		return too_long(o, most);
	uint8_t *const start = arena_alloc(&o->point, most + 1), *to = start;
	*out = (struct otlp_base){ .bytes = start };
	for (uint32_t i = 0; i < o->form.count; i++) {
		const struct otlp_piece *p = &o->form.pieces[i];
		if (p->attr == OTLP_NAME)
			out->name_at = (size_t)(to - start);
		if (p->attr == OTLP_MORE) {
			out->more_at = (size_t)(to - start);
			out->more_len = p->len;
		}
		to = put_piece(o, to, p);
	}
	out->len = (size_t)(to - start);
	return NULL;
}

static uint8_t *put_bytes(uint8_t *to, const uint8_t *from, size_t len)
{
	if (len)
		memcpy(to, from, len);
	return to + len;
}

otlp_why otlp_labels_of(struct otlp *o, const struct otlp_base *b, const struct otlp_piece *name,
    const struct otlp_piece *more, struct labels *out)
{
	const size_t most = b->len + name->len + (more ? more->len : 0);
	if (UNLIKELY(most > o->limits->write_labels_bytes))
		return too_long(o, most);
	uint8_t *to = out_room(o, most);
	const uint8_t *own = b->bytes + b->more_at, *rest = own + b->more_len;
	to = put_bytes(to, b->bytes, b->name_at);
	to = put_bytes(to, name->bytes, name->len);
	to = put_bytes(to, b->bytes + b->name_at, b->more_at - b->name_at);
	to = more ? put_bytes(to, more->bytes, more->len) : put_bytes(to, own, b->more_len);
	to = put_bytes(to, rest, b->len - b->more_at - b->more_len);
	out_taken(o, to, out);
	return NULL;
}

/* ---- target_info ---- */

static bool left_identity(struct otlp_text key)
{
	return is_identity(key);
}

/* Those of o->attrs that are identifying count once each. */
static bool says_more(const struct otlp_attrs *attrs)
{
	static const char *const keys[] = { "service.name", "service.namespace",
		"service.instance.id" };
	uint64_t n = attrs->came;
	for (size_t k = 0; k < COUNT_OF(keys); k++)
		for (uint32_t i = 0; i < attrs->count; i++)
			if (bytes_equal(attrs->items[i].key, attrs->items[i].key_len, keys[k],
			        strlen(keys[k]))) {
				n--;
				break;
			}
	return n;
}

/* Labels that target_info has of the context: name, job, instance. */
static struct otlp_labels info_context(struct otlp *o)
{
	struct otlp_labels l = labels_room(&o->point, 3), own = labels_room(&o->point, 2);
	for (uint32_t i = 0; i < o->resource_labels.count; i++)
		if (!o->resource_labels.items[i].weak)
			l.items[l.count++] = o->resource_labels.items[i];
	labels_put(&own, text(LABEL_NAME), text("target_info"), false);
	if (o->o->type_and_unit) /* an attribute of this name is no type */
		labels_put(&own, text("__type__"), text(""), false);
	return labels_over(&o->point, &l, &own);
}

otlp_why otlp_labels_info(struct otlp *o, struct labels *out)
{
	uint32_t len;
	*out = (struct labels){ 0 };
	if (!says_more(&o->attrs))
		return NULL;
	struct otlp_labels ctx = info_context(o);
	otlp_why why =
	    form_make(o, &o->attrs, &ctx, NULL, o->o->keep_identifying ? left_none : left_identity);
	o->form.good = false;
	if (why)
		return why;
	size_t most = form_bytes(o);
	if (most > o->limits->write_labels_bytes + LABEL_HEADS * (size_t)o->form.attrs)
		return too_long(o, most);
	uint8_t *to = out_room(o, most);
	for (uint32_t i = 0; i < o->form.count; i++)
		to = put_piece(o, to, &o->form.pieces[i]);
	struct labels ls = { o->out, (uint32_t)(to - o->out) };
	if (!label_get(ls, "job", 3, &len) && !label_get(ls, "instance", 8, &len))
		return NULL;
	out_taken(o, to, out);
	return NULL;
}
