#include "core/seam/tenantsrc.h"

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/wire.h"
#include "core/model/tenant.h"

#define LABEL_LEN    (sizeof(TENANTSRC_LABEL) - 1)
#define ORIGINAL_LEN (sizeof(TENANTSRC_ORIGINAL) - 1)
#define RARE_BLOCK   1024u

/*
 *   SERIES...     one cursor below over all chosen tenants
 *   LABEL_NAMES   the same; __tenant_id__ follows the first name
 *   values of __tenant_id__: one cursor below after another, each until its first series
 */
struct federated {
	struct source_cursor base;
	const struct tenantsrc *src;
	const struct source_query *asked;
	unsigned shard;
	struct source_query query; /* of the cursor below */
	struct source_cursor *under;
	uint32_t *tenants; /* chosen */
	size_t count, at;  /* at: of values of __tenant_id__ */
	bool owners;       /* values of __tenant_id__ are asked for */
	bool any, told;    /* LABEL_NAMES: there is a name; __tenant_id__ was given */
	uint32_t last;     /* whose label is in `label` */
	struct buf label;  /* one encoded label */
	struct buf bytes;  /* labels of the item at hand */
	struct arena rare; /* of labels that had one of that name */
	struct matcher *matchers;
	struct source_survey survey; /* below; names: as they are there */
	const char **names;
};

/* ---- what is asked below ---- */

static bool is_label(const struct matcher *m)
{
	return bytes_equal(m->name, m->name_len, TENANTSRC_LABEL, LABEL_LEN);
}

static bool is_original(const char *name, size_t len)
{
	return bytes_equal(name, len, TENANTSRC_ORIGINAL, ORIGINAL_LEN);
}

/* ERR_EXECUTION: a pattern needs more steps than it may. */
static enum err chosen(const struct source_query *q, const char *name, bool *out)
{
	*out = true;
	for (size_t i = 0; i < q->matchers_count && *out; i++) {
		if (!is_label(&q->matchers[i]))
			continue;
		enum rex_result r = matcher_value(&q->matchers[i], name, strlen(name));
		if (r == REX_LIMIT)
			return ERR_EXECUTION;
		*out = r == REX_YES;
	}
	return 0;
}

static enum err tenants_choose(struct federated *f)
{
	const struct source_query *q = f->asked;
	f->tenants = mem_array(NULL, q->tenants_count, sizeof(*f->tenants));
	for (size_t i = 0; i < q->tenants_count; i++) {
		uint32_t id = q->tenants[i];
		const char *name = id == TENANT_NONE ? NULL : f->src->_name(f->src->_arg, id);
		bool yes = false;
		enum err e = name ? chosen(q, name, &yes) : 0;
		if (e)
			return errbuf_set(&f->base.eb, e,
			    "a pattern for " TENANTSRC_LABEL " takes too many steps");
		if (yes)
			f->tenants[f->count++] = id;
	}
	return 0;
}

/* Those that are of the series' own labels, under their own names. */
static void matchers_take(struct federated *f)
{
	const struct source_query *q = f->asked;
	size_t n = 0;
	f->matchers = mem_array(NULL, q->matchers_count + 1, sizeof(*f->matchers));
	for (size_t i = 0; i < q->matchers_count; i++) {
		struct matcher m = q->matchers[i];
		if (is_label(&m))
			continue;
		if (is_original(m.name, m.name_len)) {
			m.name = TENANTSRC_LABEL;
			m.name_len = LABEL_LEN;
		}
		f->matchers[n++] = m;
	}
	f->query.matchers = f->matchers;
	f->query.matchers_count = n;
}

static void query_make(struct federated *f)
{
	const struct source_query *q = f->asked;
	f->query = *q;
	f->query.tenants = f->tenants;
	f->query.tenants_count = f->count;
	matchers_take(f);
	/* Whether there is any name says only who is asked for all. */
	if (q->what == SOURCE_LABEL_NAMES)
		f->query.find = NULL;
	if (q->what != SOURCE_LABEL_VALUES)
		return;
	f->owners = bytes_equal(q->label, q->label_len, TENANTSRC_LABEL, LABEL_LEN);
	if (f->owners) {
		f->query.what = SOURCE_SERIES;
		f->query.find = NULL;
		f->query.tenants_count = 1;
	} else if (is_original(q->label, q->label_len)) {
		f->query.label = TENANTSRC_LABEL;
		f->query.label_len = LABEL_LEN;
	}
}

/* ---- labels ---- */

static void label_put(
    struct buf *out, const char *name, size_t name_len, const char *value, size_t value_len)
{
	size_t n = 2 + wire_varint_len(name_len) + name_len + wire_varint_len(value_len) + value_len;
	buf_add_u8(out, 0x0a);
	wire_put_varint(out, n);
	buf_add_u8(out, 0x0a);
	wire_put_lenbytes(out, name, name_len);
	buf_add_u8(out, 0x12);
	wire_put_lenbytes(out, value, value_len);
}

static const char *owner(struct federated *f, uint32_t tenant)
{
	const char *name = f->src->_name(f->src->_arg, tenant);
	CHECK(name != NULL); /* it had one when it was chosen */
	return name;
}

/* Labels that have one of that name already. */
static struct labels renamed(struct federated *f, struct labels ls, uint32_t tenant)
{
	struct label_builder b;
	uint32_t len;
	const char *name = owner(f, tenant), *own = label_get(ls, TENANTSRC_LABEL, LABEL_LEN, &len);
	arena_reset(&f->rare, RARE_BLOCK);
	label_builder_from(&b, &f->rare, ls);
	label_builder_set(&b, TENANTSRC_ORIGINAL, ORIGINAL_LEN, own, len);
	label_builder_set(&b, TENANTSRC_LABEL, LABEL_LEN, name, strlen(name));
	return label_builder_done(&b);
}

static struct labels labelled(struct federated *f, struct labels ls, uint32_t tenant)
{
	struct label_iter it = label_iter(ls);
	struct label l;
	const uint8_t *at = it.p; /* where the label belongs */
	while (label_next(&it, &l)) {
		int c = bytes_cmp(l.name, l.name_len, TENANTSRC_LABEL, LABEL_LEN);
		if (!c)
			return renamed(f, ls, tenant);
		if (c > 0)
			break;
		at = it.p;
	}
	if (f->last != tenant || !f->label.len) {
		const char *name = owner(f, tenant);
		buf_clear(&f->label);
		label_put(&f->label, TENANTSRC_LABEL, LABEL_LEN, name, strlen(name));
		f->last = tenant;
	}
	size_t before = ls.len ? (size_t)(at - ls.bytes) : 0;
	buf_clear(&f->bytes);
	buf_add(&f->bytes, ls.bytes, before);
	buf_add(&f->bytes, f->label.data, f->label.len);
	if (ls.len)
		buf_add(&f->bytes, at, ls.len - before);
	return (struct labels){ .bytes = f->bytes.data, .len = (uint32_t)f->bytes.len };
}

/* Asked below, of labels as they are there. */
static bool keep(void *arg, uint32_t tenant, struct labels ls)
{
	struct federated *f = arg;
	return f->asked->keep(f->asked->keep_arg, tenant, labelled(f, ls, tenant));
}

/* ---- a survey ---- */

static void survey_series(void *arg, uint32_t tenant, struct labels ls, bool in)
{
	struct federated *f = arg;
	const struct source_survey *s = f->asked->survey;
	s->series(s->arg, tenant, labelled(f, ls, tenant), in);
}

/* Of __tenant_id__ the values are the names of those who are asked, whoever of them has any. */
static void survey_value(void *arg, size_t name, const char *text, size_t len)
{
	struct federated *f = arg;
	const struct source_survey *s = f->asked->survey;
	bool owners = bytes_equal(s->names[name], strlen(s->names[name]), TENANTSRC_LABEL, LABEL_LEN);
	if (owners && (text || f->count > SOURCE_SURVEY_VALUES))
		return;
	for (size_t i = 0; owners && i < f->count; i++) {
		const char *v = owner(f, f->tenants[i]);
		s->value(s->arg, name, v, strlen(v));
	}
	s->value(s->arg, name, text, len);
}

static void survey_make(struct federated *f)
{
	const struct source_survey *s = f->asked->survey;
	f->names = mem_array(NULL, s->names_count + 1, sizeof(*f->names));
	for (size_t i = 0; i < s->names_count; i++)
		f->names[i] =
		    is_original(s->names[i], strlen(s->names[i])) ? TENANTSRC_LABEL : s->names[i];
	f->survey = *s;
	f->survey.series = survey_series;
	f->survey.value = survey_value;
	f->survey.names = f->names;
	f->survey.arg = f;
	f->query.survey = &f->survey;
}

/* ---- the cursor ---- */

static void tell(struct federated *f)
{
	const struct source_cursor *c = f->under;
	f->base.memory = c->memory + f->bytes.len;
	f->base.est_series = c->est_series;
	f->base.est_samples = c->est_samples;
	f->base.read = c->read;
	f->base.warnings_count = c->warnings_count;
	memcpy(f->base.warnings, c->warnings, sizeof(c->warnings));
}

static enum source_state fail(struct federated *f, enum err e)
{
	f->base.err = e;
	return SOURCE_ERROR;
}

static enum source_state text(struct source_item *out, const char *t, size_t len)
{
	out->text = t;
	out->text_len = len;
	return SOURCE_READY;
}

static enum source_state item(struct federated *f, struct source_item *out)
{
	if (f->asked->what == SOURCE_LABEL_NAMES) {
		f->any = true;
		if (bytes_equal(out->text, out->text_len, TENANTSRC_LABEL, LABEL_LEN))
			return text(out, TENANTSRC_ORIGINAL, ORIGINAL_LEN);
	} else if (f->asked->what != SOURCE_LABEL_VALUES && f->asked->what != SOURCE_FORECAST) {
		out->labels = labelled(f, out->labels, out->tenant);
	}
	return SOURCE_READY;
}

static enum source_state end(struct federated *f, struct source_item *out)
{
	if (f->asked->what != SOURCE_LABEL_NAMES || !f->any || f->told)
		return SOURCE_END;
	f->told = true;
	return text(out, TENANTSRC_LABEL, LABEL_LEN);
}

/* Whoever has a series has its name told. */
static enum source_state owners_next(struct federated *f, struct source_item *out)
{
	const struct source *u = f->src->_under;
	if (f->at == f->count)
		return SOURCE_END;
	if (!f->under) {
		f->query.tenants = &f->tenants[f->at];
		enum err e = u->ops->open(f->src->_under, f->shard, &f->query, &f->under);
		if (e)
			return fail(f, e);
	}
	enum source_state st = f->under->ops->next(f->under, out);
	if (st == SOURCE_ERROR) {
		f->base.eb = f->under->eb;
		return fail(f, f->under->err);
	}
	f->base.memory = f->under->memory;
	if (st != SOURCE_READY && st != SOURCE_END)
		return st;
	f->under->ops->close(f->under);
	f->under = NULL;
	const char *name = owner(f, f->tenants[f->at++]);
	return st == SOURCE_END ? SOURCE_AGAIN : text(out, name, strlen(name));
}

static enum source_state federated_next(struct source_cursor *base, struct source_item *out)
{
	struct federated *f = CONTAINER_OF(base, struct federated, base);
	if (f->owners)
		return owners_next(f, out);
	if (!f->count)
		return SOURCE_END;
	if (f->told)
		return SOURCE_END;
	enum source_state st = f->under->ops->next(f->under, out);
	tell(f);
	switch (st) {
	case SOURCE_READY:
		return item(f, out);
	case SOURCE_END:
		return end(f, out);
	case SOURCE_ERROR:
		f->base.eb = f->under->eb;
		return fail(f, f->under->err);
	case SOURCE_AGAIN:
	case SOURCE_WAIT:
		break;
	}
	return st;
}

static void federated_close(struct source_cursor *base)
{
	struct federated *f = CONTAINER_OF(base, struct federated, base);
	if (f->under)
		f->under->ops->close(f->under);
	buf_release(&f->label);
	buf_release(&f->bytes);
	arena_release(&f->rare);
	mem_free(f->tenants);
	mem_free(f->matchers);
	mem_free(f->names);
	mem_free(f);
}

static const struct source_cursor_ops federated_ops = { .next = federated_next,
	.close = federated_close };

static enum err federated_open(const struct tenantsrc *t, unsigned shard,
    const struct source_query *q, struct source_cursor **out)
{
	struct federated *f = mem_zalloc(sizeof(*f));
	f->base.ops = &federated_ops;
	errbuf_init(&f->base.eb);
	f->src = t;
	f->asked = q;
	f->shard = shard;
	buf_init(&f->label);
	buf_init(&f->bytes);
	arena_init(&f->rare, RARE_BLOCK);
	enum err e = tenants_choose(f);
	query_make(f);
	if (q->keep) {
		f->query.keep = keep;
		f->query.keep_arg = f;
	}
	if (q->survey)
		survey_make(f);
	if (!e && f->count && !f->owners)
		e = t->_under->ops->open(t->_under, shard, &f->query, &f->under);
	if (e) {
		federated_close(&f->base);
		return e;
	}
	*out = &f->base;
	return 0;
}

/* ---- the source ---- */

static const struct tenantsrc *tenantsrc_of(struct source *s)
{
	return CONTAINER_OF(s, struct tenantsrc, source);
}

static unsigned shards(struct source *s)
{
	struct source *u = tenantsrc_of(s)->_under;
	return u->ops->shards(u);
}

static struct loop *loop_of(struct source *s, unsigned shard)
{
	struct source *u = tenantsrc_of(s)->_under;
	return u->ops->loop_of(u, shard);
}

static enum err open_cursor(
    struct source *s, unsigned shard, const struct source_query *q, struct source_cursor **out)
{
	const struct tenantsrc *t = tenantsrc_of(s);
	if (LIKELY(q->tenants_count <= 1))
		return t->_under->ops->open(t->_under, shard, q, out);
	return federated_open(t, shard, q, out);
}

static uint64_t changes_now(struct source *s)
{
	struct source *u = tenantsrc_of(s)->_under;
	return u->ops->changes_now(u);
}

/* Labels of tenants do not change, nor do their names. */
static uint64_t changes(struct source *s, const uint32_t *tenants, size_t tenants_count,
    int64_t t_min_ms, int64_t t_max_ms, bool order)
{
	struct source *u = tenantsrc_of(s)->_under;
	return u->ops->changes(u, tenants, tenants_count, t_min_ms, t_max_ms, order);
}

static bool none(struct source *s, unsigned shard, const struct source_query *q)
{
	struct source *u = tenantsrc_of(s)->_under;
	return q->tenants_count <= 1 && u->ops->none && u->ops->none(u, shard, q);
}

static const struct source_ops plain_ops = {
	.shards = shards, .loop_of = loop_of, .open = open_cursor, .none = none
};
static const struct source_ops counted_ops = { .shards = shards,
	.loop_of = loop_of,
	.open = open_cursor,
	.changes_now = changes_now,
	.changes = changes,
	.none = none };

void tenantsrc_init(struct tenantsrc *t, struct source *under,
    const char *(*name)(void *arg, uint32_t tenant), void *arg)
{
	*t = (struct tenantsrc){ .source = { .ops = under->ops->changes ? &counted_ops : &plain_ops },
		._under = under,
		._name = name,
		._arg = arg };
}
