#include "core/promql/ql_shape.h"

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/rune.h"
#include "core/promql/lang/ql_func.h"

#define VALUE_MOST (4u << 10) /* bytes of a value that is made */
#define ROOM_KEEP  (16u << 10)
#define MATCH_NS   1000000u /* what takes longer was not running meanwhile (core/base/rex.c) */

struct item {
	struct label l;
	bool gone;
};
struct set {
	struct item items[QL_SHAPE_LABELS + QL_SHAPE_STEPS];
	unsigned count;
};

static struct ql_str string_arg(const struct ql_node *call, uint32_t i)
{
	return ql_skip_parens(call->call.args[i])->text;
}

struct ql_shape *ql_shape_add(
    struct arena *a, const struct ql_shape *before, enum ql_shape_do what, struct ql_names names)
{
	if ((what != QL_SHAPE_ALL && !before) || (before && before->steps == QL_SHAPE_STEPS))
		return NULL;
	struct ql_shape *s = arena_zalloc(a, sizeof(*s));
	s->before = before;
	s->what = what;
	s->steps = before ? before->steps + 1 : 0;
	s->names = names;
	return s;
}

struct ql_shape *ql_shape_call(
    struct arena *a, const struct ql_shape *before, const struct ql_node *call)
{
	bool replace = call->call.func->fn == QL_FN_LABEL_REPLACE;
	struct ql_str dst = string_arg(call, 1);
	struct errbuf eb;
	struct ql_shape *s = ql_shape_add(
	    a, before, replace ? QL_SHAPE_REPLACE : QL_SHAPE_JOIN, (struct ql_names){ 0 });
	if (!s || !dst.len || !rune_valid(dst.s, dst.len))
		return NULL;
	s->call = call;
	errbuf_init(&eb);
	struct ql_str re = replace ? string_arg(call, 4) : (struct ql_str){ 0 };
	if (replace && rex_compile(re.s, re.len, &s->rex, &eb))
		return NULL;
	return s;
}

void ql_shape_release(struct ql_shape *s)
{
	if (s && s->rex)
		rex_free(s->rex);
	if (s)
		s->rex = NULL;
}

void ql_shape_room_init(struct ql_shape_room *r)
{
	*r = (struct ql_shape_room){ .missed = false };
	arena_init(&r->arena, 4096);
	buf_init(&r->value);
	r->value.limit = VALUE_MOST;
}

void ql_shape_room_release(struct ql_shape_room *r)
{
	arena_release(&r->arena);
	buf_release(&r->value);
}

/* ---- the steps ---- */

static struct item *find(struct set *s, struct ql_str name)
{
	for (unsigned i = 0; i < s->count; i++) {
		const struct label *l = &s->items[i].l;
		if (!s->items[i].gone && l->name_len == name.len && !memcmp(l->name, name.s, name.len))
			return &s->items[i];
	}
	return NULL;
}

static void value_add(struct set *s, struct ql_str name, struct buf *to)
{
	const struct item *i = find(s, name);
	if (i)
		buf_add(to, i->l.value, i->l.value_len);
}

static void label_set(struct set *s, struct ql_str name, struct ql_shape_room *r)
{
	struct item *i = find(s, name);
	if (i)
		i->gone = true;
	if (!r->value.len)
		return;
	CHECK(s->count < COUNT_OF(s->items)); /* one for each step */
	s->items[s->count++] =
	    (struct item){ .l = { .name = name.s,
		               .name_len = name.len,
		               .value = arena_dup(&r->arena, r->value.data, r->value.len),
		               .value_len = (uint32_t)r->value.len } };
}

static void replace(const struct ql_shape *p, struct set *s, struct ql_shape_room *r)
{
	const struct item *src = find(s, string_arg(p->call, 3));
	struct ql_str repl = string_arg(p->call, 2);
	if (r->spent_ns >= QL_SHAPE_SPEND_NS) {
		r->missed = true;
		return;
	}
	uint64_t begin = clock_real_mono_ns();
	enum rex_result got = rex_expand(p->rex, src ? src->l.value : "",
	    src ? src->l.value_len : 0, repl.s, repl.len, &r->value);
	uint64_t took = clock_real_mono_ns() - begin;
	r->spent_ns += took < MATCH_NS ? took : MATCH_NS;
	r->missed |= got == REX_LIMIT || r->value.over;
	if (got == REX_YES && !r->value.over)
		label_set(s, string_arg(p->call, 1), r);
}

static void join(const struct ql_shape *p, struct set *s, struct ql_shape_room *r)
{
	struct ql_str sep = string_arg(p->call, 2);
	for (uint32_t i = 3; i < p->call->call.args_count; i++) {
		if (i > 3)
			buf_add(&r->value, sep.s, sep.len);
		value_add(s, string_arg(p->call, i), &r->value);
	}
	r->missed |= r->value.over;
	if (!r->value.over)
		label_set(s, string_arg(p->call, 1), r);
}

static void step(const struct ql_shape *p, struct set *s, struct ql_shape_room *r)
{
	if (p->what == QL_SHAPE_GO || p->what == QL_SHAPE_STAY) {
		for (unsigned i = 0; i < s->count; i++) {
			struct item *it = &s->items[i];
			bool named = ql_names_have(&p->names, it->l.name, it->l.name_len);
			it->gone |= named == (p->what == QL_SHAPE_GO);
		}
		return;
	}
	buf_clear(&r->value);
	if (p->what == QL_SHAPE_REPLACE)
		replace(p, s, r);
	else if (p->what == QL_SHAPE_JOIN)
		join(p, s, r);
}

static uint64_t hash_of(const struct label *l)
{
	return hash_mix64(hash64(l->value, l->value_len, hash64(l->name, l->name_len, 14)));
}

uint64_t ql_shape_hash(const struct ql_shape *s, struct labels ls, struct ql_shape_room *r)
{
	struct set set;
	const struct ql_shape *steps[QL_SHAPE_STEPS + 1];
	struct label_iter it = label_iter(ls);
	uint64_t sum = 0;
	unsigned n = 0;
	r->missed = false;
	for (set.count = 0; label_next(&it, &set.items[set.count].l); set.count++) {
		if (set.count == QL_SHAPE_LABELS) {
			r->missed = true;
			return label_hash(ls);
		}
		set.items[set.count].gone = false;
	}
	for (; s; s = s->before)
		steps[n++] = s;
	while (n)
		step(steps[--n], &set, r);
	for (unsigned i = 0; i < set.count; i++)
		if (!set.items[i].gone && set.items[i].l.value_len)
			sum += hash_of(&set.items[i].l);
	arena_reset(&r->arena, ROOM_KEEP);
	return sum;
}
