#include "storage/append/card.h"

#include "core/base/mem.h"
#include "core/base/metric.h"
#include "core/base/rune.h"

#define TENANTS_FIRST 16u
#define LABELS_STACK  64u /* of a series, beyond which there is memory to be had */

struct member {         /* a tenant */
	uint64_t rules; /* hash of those that are counted */
	struct census *now, *next;
};
struct card {
	struct census_set *set;
	uint64_t seed;
	struct watch watch;
	uint64_t generation, next_generation;
	bool recounts;          /* two generations are counted */
	struct member *members; /* by tenant */
	uint32_t members_count;
};

struct card *card_create(struct census_set *set, uint64_t seed)
{
	struct card *c = mem_zalloc(sizeof(*c));
	c->set = set;
	c->seed = seed;
	watch_init(&c->watch, seed);
	return c;
}

static void member_leave(struct card *c, struct member *m)
{
	census_leave(c->set, m->now);
	census_leave(c->set, m->next);
	*m = (struct member){ 0 };
}

void card_free(struct card *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->members_count; i++)
		member_leave(c, &c->members[i]);
	mem_free(c->members);
	watch_release(&c->watch);
	mem_free(c);
}

struct watch *card_watch(struct card *c)
{
	return &c->watch;
}

uint64_t card_generation(const struct card *c)
{
	return c->generation;
}

/* ---- whose census ---- */

static struct census *join(struct card *c, uint32_t tenant, const struct card_rules *rules,
    uint64_t generation, struct census_room room)
{
	return census_join(c->set, tenant, hash_mix64(card_rules_hash(rules) + generation), room);
}

static struct member *member_of(struct card *c, uint32_t tenant, const struct card_rules *rules)
{
	if (UNLIKELY(tenant >= c->members_count)) {
		uint32_t count = c->members_count ? c->members_count : TENANTS_FIRST;
		while (count <= tenant)
			count *= 2;
		c->members = mem_array(c->members, count, sizeof(*c->members));
		memset(c->members + c->members_count, 0,
		    (count - c->members_count) * sizeof(*c->members));
		c->members_count = count;
	}
	struct member *m = &c->members[tenant];
	if (UNLIKELY(!m->now || m->rules != card_rules_hash(rules))) {
		member_leave(c, m);
		m->rules = card_rules_hash(rules);
		m->now = join(c, tenant, rules, c->generation,
		    (struct census_room){
		        .groups = card_rules_groups(rules), .members = card_rules_members(rules) });
	}
	if (UNLIKELY(c->recounts && !m->next))
		m->next = join(c, tenant, rules, c->next_generation, census_more_room(m->now));
	return m;
}

/* ---- a series under its rules ---- */

struct series {
	struct card *card;
	struct member *member;
	const struct card_rules *rules;
	struct label *items;
	size_t count;
	struct label metric, job, instance; /* as they are now; len 0 = it has none */
	bool feeds;                         /* it is in memory: only counted */
	bool rewritten;
	uint32_t tenant;
	uint64_t now_ns;
};

/* One of those that groups go by gets a value. */
static void head_set(struct series *s, const struct label *l, const char *value, uint32_t len)
{
	struct label *head = label_is_name(l)                     ? &s->metric
	    : l->name_len == 3 && !memcmp(l->name, "job", 3)      ? &s->job
	    : l->name_len == 8 && !memcmp(l->name, "instance", 8) ? &s->instance
	                                                          : NULL;
	if (head)
		*head = (struct label){ .value = value, .value_len = len };
}

static uint64_t group_key(const struct series *s, size_t rule, const struct label *label)
{
	uint64_t key = hash_mix64(s->card->seed + rule);
	if (label)
		key = hash64(label->name, label->name_len, key);
	switch ((enum card_per)card_rules_at(s->rules, rule)->per) {
	case CARD_PER_TENANT:
		break;
	case CARD_PER_METRIC:
		key = hash64(s->metric.value, s->metric.value_len, key + 1);
		break;
	case CARD_PER_TARGET:
		key = hash64(s->job.value, s->job.value_len, key + 2);
		key = hash64(s->instance.value, s->instance.value_len, key);
		break;
	}
	return key;
}

/* Labels in whatever order, so that it costs no bytes to be made. */
static uint64_t series_hash(const struct series *s)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < s->count; i++) {
		const struct label *l = &s->items[i];
		sum += hash64(l->value, l->value_len, hash64(l->name, l->name_len, s->card->seed));
	}
	return hash_mix64(sum);
}

/* Is one more too many? */
static bool is_over(const struct series *s, uint64_t group, uint64_t member, uint64_t max)
{
	const struct member *m = s->member;
	member = hash_mix64(member ^ group);
	if (s->feeds) {
		struct census *to = m->next ? m->next : m->now;
		census_force(to, census_group(to, group), member, max);
		return false;
	}
	bool over = census_take(m->now, census_group(m->now, group), member, max) == CENSUS_OVER;
	if (m->next && !over)
		census_force(m->next, census_group(m->next, group), member, max);
	return over;
}

static void act_tell(const struct series *s, size_t rule, uint64_t group, const struct label *l)
{
	const struct card_rule *said = card_rules_at(s->rules, rule);
	char target[WATCH_TEXT] = "";
	if (said->per == CARD_PER_TARGET)
		rune_printf(target, sizeof(target), "%.*s/%.*s", (int)s->job.value_len,
		    s->job.value, (int)s->instance.value_len, s->instance.value);
	const struct watch_act act = { .rule = (uint32_t)rule,
		.group = group,
		.metric = s->metric.value,
		.metric_len = s->metric.value_len,
		.label = l ? l->name : "",
		.label_len = l ? l->name_len : 0,
		.value = l ? l->value : "",
		.value_len = l ? l->value_len : 0,
		.target = target,
		.target_len = (uint32_t)strlen(target) };
	watch_acted(&s->card->watch, s->tenant, &act, s->now_ns);
}

static bool is_reassigned(const struct label *l)
{
	return bytes_equal(l->value, l->value_len, CARD_REASSIGNED, sizeof(CARD_REASSIGNED) - 1);
}

static struct label *item_of(struct series *s, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < s->count; i++)
		if (bytes_equal(s->items[i].name, s->items[i].name_len, name, len))
			return &s->items[i];
	return NULL;
}

static void item_drop(struct series *s, struct label *l)
{
	memmove(l, l + 1, (size_t)(s->items + s->count - (l + 1)) * sizeof(*l));
	s->count--;
}

/* True: the series goes no further. *l: that the rule names or counts, or NULL. */
static bool follow(struct series *s, size_t rule, struct label *l)
{
	const struct card_rule *said = card_rules_at(s->rules, rule);
	if (said->dry_run || said->action == CARD_REPORT) {
		metric_add(M_CARD_REPORTED, 1);
		return false;
	}
	switch ((enum card_action)said->action) {
	case CARD_REPORT:
		break;
	case CARD_REFUSE:
		metric_add(M_CARD_REFUSED, 1);
		return true;
	case CARD_DROP_LABEL:
		metric_add(M_CARD_DROPPED, 1);
		head_set(s, l, "", 0);
		item_drop(s, l);
		s->rewritten = true;
		break;
	case CARD_REPLACE:
		metric_add(M_CARD_REPLACED, 1);
		head_set(s, l, CARD_REASSIGNED, sizeof(CARD_REASSIGNED) - 1);
		l->value = CARD_REASSIGNED;
		l->value_len = sizeof(CARD_REASSIGNED) - 1;
		s->rewritten = true;
		break;
	}
	return false;
}

/* Its values of one label. */
static bool ask_values(struct series *s, size_t rule, struct label *l, struct card_verdict *v)
{
	const struct card_rule *said = card_rules_at(s->rules, rule);
	if (is_reassigned(l))
		return false;
	uint64_t group = group_key(s, rule, l);
	if (!is_over(s, group, hash64(l->value, l->value_len, group), said->max_values))
		return false;
	act_tell(s, rule, group, l);
	v->rule = (uint32_t)rule;
	v->label = *l;
	return follow(s, rule, l);
}

static bool ask_each(struct series *s, size_t rule, struct card_verdict *v)
{
	for (size_t i = 0; i < s->count;) {
		size_t had = s->count;
		if (!label_is_name(&s->items[i]) && ask_values(s, rule, &s->items[i], v))
			return true;
		i += s->count == had; /* else the next one stands here now */
	}
	return false;
}

static bool ask_series(struct series *s, size_t rule, struct card_verdict *v)
{
	const struct card_rule *said = card_rules_at(s->rules, rule);
	struct label *l = said->label ? item_of(s, said->label) : NULL;
	if (said->label && (!l || is_reassigned(l)))
		return false; /* what it would do is done */
	uint64_t group = group_key(s, rule, NULL);
	if (!is_over(s, group, series_hash(s), said->max_series))
		return false;
	act_tell(s, rule, group, l);
	v->rule = (uint32_t)rule;
	v->label = (struct label){ .name_len = 0 };
	return follow(s, rule, l);
}

/* True: refused. */
static bool ask_rule(struct series *s, size_t rule, struct card_verdict *v)
{
	const struct card_rule *said = card_rules_at(s->rules, rule);
	if (!card_rule_is_of(s->rules, rule, s->metric.value, s->metric.value_len))
		return false;
	if (said->max_series)
		return ask_series(s, rule, v);
	if (!strcmp(said->label, "*"))
		return ask_each(s, rule, v);
	struct label *l = item_of(s, said->label);
	return l && ask_values(s, rule, l, v);
}

/* Room for the labels: that of the caller for few, else memory that items_release gives back. */
static void items_take(struct series *s, struct labels ls, struct label stack[LABELS_STACK])
{
	struct label l;
	size_t cap = LABELS_STACK;
	s->items = stack;
	s->metric = s->job = s->instance = (struct label){ .value = "" };
	for (struct label_iter it = label_iter(ls); label_next(&it, &l);) {
		if (UNLIKELY(s->count == cap)) {
			struct label *more = mem_array(NULL, cap * 2, sizeof(*more));
			memcpy(more, s->items, cap * sizeof(*more));
			if (s->items != stack)
				mem_free(s->items);
			s->items = more;
			cap *= 2;
		}
		s->items[s->count++] = l;
		head_set(s, &l, l.value, l.value_len);
	}
}

static void items_release(struct series *s, const struct label *stack)
{
	if (s->items != stack)
		mem_free(s->items);
}

/* True: refused. */
static bool ask_all(struct series *s, struct card_verdict *v)
{
	for (size_t i = 0; i < card_rules_count(s->rules); i++)
		if (ask_rule(s, i, v))
			return true;
	return false;
}

enum card_says card_judge(struct card *c, uint32_t tenant, const struct card_rules *rules,
    struct labels ls, struct arena *a, uint64_t now_ns, struct card_verdict *v)
{
	struct label stack[LABELS_STACK];
	struct series s = { .card = c,
		.member = member_of(c, tenant, rules),
		.rules = rules,
		.tenant = tenant,
		.now_ns = now_ns };
	items_take(&s, ls, stack);
	enum card_says says = ask_all(&s, v) ? CARD_REFUSED
	    : s.rewritten                    ? CARD_REWRITTEN
	                                     : CARD_AS_IS;
	if (says == CARD_REWRITTEN)
		v->labels = label_encode(a, s.items, s.count);
	items_release(&s, stack);
	return says;
}

/* ---- counting anew ---- */

void card_recount_begin(struct card *c, uint64_t generation)
{
	c->next_generation = generation;
	c->recounts = generation != c->generation;
}

/* Tenants without a series in memory, or rules, have none any more. */
void card_recount_end(struct card *c)
{
	if (!c->recounts)
		return;
	for (uint32_t i = 0; i < c->members_count; i++) {
		struct member *m = &c->members[i];
		census_leave(c->set, m->now);
		*m = (struct member){ .rules = m->next ? m->rules : 0, .now = m->next };
	}
	c->generation = c->next_generation;
	c->recounts = false;
}

void card_feed(struct card *c, uint32_t tenant, const struct card_rules *rules, struct labels ls)
{
	struct label stack[LABELS_STACK];
	struct card_verdict v;
	struct series s = { .card = c,
		.member = member_of(c, tenant, rules),
		.rules = rules,
		.tenant = tenant,
		.feeds = true };
	items_take(&s, ls, stack);
	(void)ask_all(&s, &v);
	items_release(&s, stack);
}
