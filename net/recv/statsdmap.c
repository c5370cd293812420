#include "net/recv/statsdmap.h"

#include <stdlib.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "core/base/rex.h"
#include "core/base/rune.h"

#define NO_RULE UINT32_MAX
#define SEED    UINT64_C(0x5bd1e9955bd1e995)

/* A part of globs, below the parts before it. */
struct node {
	const char *part; /* into the match of a rule; of * and the root NULL */
	uint32_t part_len, parent;
	uint32_t star;                  /* the child that is *, 0: none */
	uint32_t least[STATSD_METRICS]; /* number of the first rule below */
	uint32_t rule[STATSD_METRICS];  /* that ends here, or NO_RULE */
};
struct statsd_map {
	struct statsd_rule defaults, *rules;
	struct node *nodes; /* 0 is the root */
	uint32_t nodes_count, nodes_cap;
	uint32_t *slots; /* by parent and part: 1 + the number of a node */
	uint32_t mask;
	struct expression {
		struct rex *rex;
		uint32_t rule;
	} * expressions;
	size_t expressions_count;
	bool unordered;
};

static const double usual_bounds[] = { .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10 };
static const double usual_quantiles[] = { .5, .9, .99 };

/* ---- rules ---- */

static bool in_name(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (!first && c >= '0' && c <= '9');
}

/* [a-zA-Z_]..., with $1 and ${1} anywhere. */
static bool name_is_fine(const char *s)
{
	for (size_t i = 0; s[i]; i++) {
		size_t n = 1;
		if (s[i] == '$') {
			bool brace = s[i + 1] == '{';
			size_t from = i + 1 + brace;
			n = strspn(s + from, "0123456789");
			if (!n)
				return false;
			n += (size_t)1 + brace + (s[from + n] == '}');
		} else if (!in_name(s[i], i == 0)) {
			return false;
		}
		i += n - 1;
	}
	return s[0] != 0;
}

static bool label_is_fine(const char *s)
{
	for (size_t i = 0; s[i]; i++)
		if (!in_name(s[i], i == 0))
			return false;
	return s[0] && strcmp(s, "__name__") != 0;
}

/* Parts of letters, digits, _ and -, the first not begun by a digit; or a * alone. */
static bool glob_is_fine(const char *s, unsigned *parts)
{
	*parts = 0;
	for (const char *p = s;; p++) {
		size_t n = strcspn(p, ".");
		bool star = n == 1 && *p == '*';
		for (size_t i = 0; i < n && !star; i++)
			if (!in_name(p[i], i == 0 && p == s) && !(p[i] == '-' && i))
				return false;
		if (!n || ++*parts > STATSDMAP_PARTS_MAX)
			return false;
		p += n;
		if (!*p)
			return true;
	}
}

static void fill_options(struct statsd_options *o, const struct statsd_options *from)
{
	if (!o->type)
		o->type = from->type;
	if (!o->bounds.count)
		o->bounds = from->bounds;
	if (o->factor == 0)
		o->factor = from->factor;
	if (!o->max_buckets)
		o->max_buckets = from->max_buckets;
	if (!o->quantiles.count)
		o->quantiles = from->quantiles;
	if (!o->max_age_ms)
		o->max_age_ms = from->max_age_ms;
	if (!o->age_buckets)
		o->age_buckets = from->age_buckets;
}

static void fill_defaults(struct statsd_rule *d)
{
	static const struct statsd_options usual = { .type = STATSD_CLASSIC,
		.bounds = { usual_bounds, COUNT_OF(usual_bounds) },
		.factor = 1.1,
		.max_buckets = 256,
		.quantiles = { usual_quantiles, COUNT_OF(usual_quantiles) },
		.max_age_ms = 600000,
		.age_buckets = 5 };
	fill_options(&d->options, &usual);
	if (!d->match_type)
		d->match_type = STATSD_GLOB;
}

static enum err fill_rule(struct statsd_rule *r, const struct statsd_rule *defaults, struct errbuf *eb)
{
	unsigned parts;
	if (!r->match_type)
		r->match_type = defaults->match_type;
	if (!r->ttl_ms)
		r->ttl_ms = defaults->ttl_ms;
	fill_options(&r->options, &defaults->options);
	for (size_t i = 0; i < r->labels.count; i++)
		if (!label_is_fine(r->labels.items[i].name))
			return errbuf_set(eb, ERR_BADDATA,
			    "\"%s\" is no name of a label: letters, digits and _ are, and no digit at the start",
			    r->labels.items[i].name);
	if (!r->drop && (!r->name || !name_is_fine(r->name)))
		return errbuf_set(eb, ERR_BADDATA,
		    "\"%s\" is no name of a metric: letters, digits, _, $1 and ${1} are, and no digit at the start",
		    r->name ? r->name : "");
	if (r->match_type == STATSD_GLOB && !glob_is_fine(r->match, &parts))
		return errbuf_set(eb, ERR_BADDATA,
		    "\"%s\" is no glob: 1 to %u parts between dots are, each of letters, digits, _ and -, or a * alone",
		    r->match, STATSDMAP_PARTS_MAX);
	return ERR_OK;
}

/* ---- the tree ---- */

static uint64_t part_hash(uint32_t parent, const char *part, size_t len)
{
	return hash64(part, len, SEED ^ parent);
}

/* The child of that part; 0: none. */
static uint32_t child(const struct statsd_map *m, uint32_t parent, const char *part, size_t len)
{
	if (!m->slots)
		return 0;
	for (uint64_t h = part_hash(parent, part, len);; h++) {
		uint32_t at = m->slots[h & m->mask];
		if (!at)
			return 0;
		const struct node *n = &m->nodes[at - 1];
		if (n->parent == parent && n->part_len == len && !memcmp(n->part, part, len))
			return at - 1;
	}
}

static void put_slot(struct statsd_map *m, uint32_t node)
{
	const struct node *n = &m->nodes[node];
	uint64_t h = part_hash(n->parent, n->part, n->part_len);
	while (m->slots[h & m->mask])
		h++;
	m->slots[h & m->mask] = node + 1;
}

static void grow_slots(struct statsd_map *m)
{
	if (m->slots && m->nodes_count * 2 < m->mask)
		return;
	m->mask = m->slots ? m->mask * 2 + 1 : 63;
	mem_free(m->slots);
	m->slots = mem_zalloc(((size_t)m->mask + 1) * sizeof(*m->slots));
	for (uint32_t i = 1; i < m->nodes_count; i++)
		if (m->nodes[i].part)
			put_slot(m, i);
}

static uint32_t add_node(struct statsd_map *m, uint32_t parent, const char *part, size_t len)
{
	if (m->nodes_count == m->nodes_cap) {
		m->nodes_cap = m->nodes_cap ? m->nodes_cap * 2 : 16;
		m->nodes = mem_array(m->nodes, m->nodes_cap, sizeof(*m->nodes));
	}
	struct node *n = &m->nodes[m->nodes_count];
	*n = (struct node){ .part = part, .part_len = num_u32(len), .parent = parent };
	for (unsigned i = 0; i < STATSD_METRICS; i++)
		n->least[i] = n->rule[i] = NO_RULE;
	return m->nodes_count++;
}

static uint32_t child_made(struct statsd_map *m, uint32_t parent, const char *part, size_t len)
{
	bool star = len == 1 && *part == '*';
	uint32_t at = star ? m->nodes[parent].star : child(m, parent, part, len);
	if (at)
		return at;
	grow_slots(m);
	at = add_node(m, parent, star ? NULL : part, star ? 0 : len);
	if (star)
		m->nodes[parent].star = at;
	else
		put_slot(m, at);
	return at;
}

static void note_least(struct node *n, unsigned metric, uint32_t rule)
{
	for (unsigned i = 0; i < STATSD_METRICS; i++)
		if ((metric == STATSD_ANY_METRIC || metric == i) && n->least[i] > rule)
			n->least[i] = rule;
}

static void add_glob(struct statsd_map *m, uint32_t rule)
{
	const struct statsd_rule *r = &m->rules[rule];
	uint32_t at = 0;
	note_least(&m->nodes[0], r->metric, rule);
	for (const char *p = r->match;;) {
		size_t n = strcspn(p, ".");
		at = child_made(m, at, p, n);
		note_least(&m->nodes[at], r->metric, rule);
		if (!p[n])
			break;
		p += n + 1;
	}
	for (unsigned i = 0; i < STATSD_METRICS; i++)
		if ((r->metric == STATSD_ANY_METRIC || r->metric == i) &&
		    m->nodes[at].rule[i] == NO_RULE)
			m->nodes[at].rule[i] = rule;
}

/* A match may begin and end anywhere; it is the first one from the left, and group 1. */
static enum err add_expression(struct statsd_map *m, uint32_t rule, struct errbuf *eb)
{
	struct buf b;
	struct expression *x = &m->expressions[m->expressions_count];
	buf_init(&b);
	buf_printf(&b, "(?s:.*?)(%s)(?s:.*)", m->rules[rule].match);
	enum err e = rex_compile(m->rules[rule].match, strlen(m->rules[rule].match), &x->rex, eb);
	if (!e) { /* it is one by itself, and not only with what stands around it */
		rex_free(x->rex);
		e = rex_compile((const char *)b.data, b.len, &x->rex, eb);
	}
	buf_release(&b);
	if (e)
		return e;
	x->rule = rule;
	m->expressions_count++;
	return ERR_OK;
}

enum err statsd_map_create(
    const struct statsd_rules *r, struct statsd_map **out, size_t *which, struct errbuf *eb)
{
	struct statsd_map *m = mem_zalloc(sizeof(*m));
	m->defaults = r->defaults;
	m->rules = mem_array(NULL, r->items.count + 1, sizeof(*m->rules));
	if (r->items.count)
		memcpy(m->rules, r->items.items, r->items.count * sizeof(*m->rules));
	m->unordered = r->unordered;
	m->expressions = mem_array(NULL, r->items.count + 1, sizeof(*m->expressions));
	(void)add_node(m, 0, NULL, 0);
	fill_defaults(&m->defaults);
	for (size_t i = 0; i < r->items.count; i++) {
		enum err e = fill_rule(&m->rules[i], &m->defaults, eb);
		if (!e && m->rules[i].match_type == STATSD_REGEX)
			e = add_expression(m, (uint32_t)i, eb);
		else if (!e)
			add_glob(m, (uint32_t)i);
		if (e) {
			*which = i;
			statsd_map_free(m);
			return e;
		}
	}
	*out = m;
	return ERR_OK;
}

void statsd_map_free(struct statsd_map *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->expressions_count; i++)
		rex_free(m->expressions[i].rex);
	mem_free(m->expressions);
	mem_free(m->slots);
	mem_free(m->nodes);
	mem_free(m->rules);
	mem_free(m);
}

const struct statsd_rule *statsd_map_defaults(const struct statsd_map *m)
{
	return &m->defaults;
}

/* ---- finding ---- */

struct search {
	const struct statsd_map *map;
	enum statsd_metric metric;
	struct statsd_piece parts[STATSDMAP_PARTS_MAX];
	bool stars[STATSDMAP_PARTS_MAX], best_stars[STATSDMAP_PARTS_MAX];
	unsigned count;
	uint32_t best;
};

static bool cut_parts(struct search *s, const char *name, size_t len)
{
	const char *end = name + len;
	for (s->count = 0; s->count < STATSDMAP_PARTS_MAX;) {
		const char *dot = memchr(name, '.', (size_t)(end - name));
		const char *to = dot ? dot : end;
		s->parts[s->count++] = (struct statsd_piece){ name, (uint32_t)(to - name) };
		if (!dot)
			return true;
		name = dot + 1;
	}
	return false;
}

/* Each node is looked at once at most, and none that cannot have a better rule. */
static void descend(struct search *s, uint32_t at, unsigned depth)
{
	const struct node *n = &s->map->nodes[at];
	if (depth == s->count) {
		if (n->rule[s->metric] < s->best) {
			s->best = n->rule[s->metric];
			memcpy(s->best_stars, s->stars, sizeof(s->stars));
		}
		return;
	}
	const struct statsd_piece *p = &s->parts[depth];
	uint32_t ways[2] = { child(s->map, at, p->s, p->len), n->star };
	for (unsigned i = 0; i < 2; i++) {
		if (!ways[i] || s->map->nodes[ways[i]].least[s->metric] >= s->best)
			continue;
		s->stars[depth] = i == 1;
		descend(s, ways[i], depth + 1);
		if (s->map->unordered && s->best != NO_RULE)
			return; /* the way with the longest literals comes first */
	}
}

static bool find_glob(const struct statsd_map *m, const char *name, size_t len,
    enum statsd_metric metric, struct statsd_match *out)
{
	struct search s = { .map = m, .metric = metric, .best = NO_RULE };
	if (m->nodes_count == 1 || !cut_parts(&s, name, len))
		return false;
	descend(&s, 0, 0);
	if (s.best == NO_RULE)
		return false;
	out->rule = &m->rules[s.best];
	for (unsigned i = 0; i < s.count; i++)
		if (s.best_stars[i])
			out->_captures[out->_count++] = s.parts[i];
	return true;
}

bool statsd_map_find(const struct statsd_map *m, const char *name, size_t len,
    enum statsd_metric metric, struct statsd_match *out)
{
	out->name = name;
	out->len = len;
	out->_rex = NULL;
	out->_count = 0;
	if (find_glob(m, name, len, metric, out))
		return true;
	for (size_t i = 0; i < m->expressions_count; i++) {
		const struct expression *x = &m->expressions[i];
		const struct statsd_rule *r = &m->rules[x->rule];
		if ((r->metric != STATSD_ANY_METRIC && r->metric != metric) ||
		    rex_match(x->rex, name, len) != REX_YES)
			continue;
		out->rule = r;
		out->_rex = x->rex;
		return true;
	}
	return false;
}

/* ---- texts ---- */

/* At a dollar: adds what it stands for, and gives how much of the template it takes. */
static size_t put_capture(const struct statsd_match *m, const char *t, struct buf *out)
{
	bool brace = t[1] == '{', digits = true;
	size_t from = 1 + (size_t)brace, n = 0, no = 0;
	for (char c; (c = t[from + n]) && (in_name(c, false) || c == '$'); n++) {
		digits = digits && c >= '0' && c <= '9' && no < 1000;
		no = no * 10 + (size_t)(c - '0');
	}
	if (!n) {
		buf_add_u8(out, '$');
		return 1;
	}
	if (digits && no == 0)
		buf_add(out, m->name, m->len);
	else if (digits && no <= m->_count)
		buf_add(out, m->_captures[no - 1].s, m->_captures[no - 1].len);
	n += from;
	return n + (t[n] == '}');
}

/* What the rule calls $0 is group 1 of the whole, $1 is group 2, and so on. */
static void shift_groups(const char *t, struct buf *out)
{
	for (size_t n; *t; t += n) {
		size_t from = 1 + (size_t)(t[0] == '$' && t[1] == '{'), len = 0;
		n = t[0] == '$' && t[1] == '$' ? 2 : 1;
		if (t[0] == '$' && n == 1)
			while (in_name(t[from + len], false))
				len++;
		if (len && len < 4 && strspn(t + from, "0123456789") == len) {
			n = from + len + (t[from - 1] == '{' && t[from + len] == '}');
			buf_printf(out, "${%lu}", strtoul(t + from, NULL, 10) + 1);
		} else {
			buf_add(out, t, n);
		}
	}
}

/* When a limit of expressions is met: nothing, as of a missing capture. */
static void expand_groups(const struct statsd_match *m, const char *template, struct buf *out)
{
	struct buf t;
	buf_init(&t);
	shift_groups(template, &t);
	(void)rex_expand(m->_rex, m->name, m->len, (const char *)t.data, t.len, out);
	buf_release(&t);
}

void statsd_map_expand(const struct statsd_match *m, const char *template, struct buf *out)
{
	if (m->_rex) {
		expand_groups(m, template, out);
		return;
	}
	for (const char *t = template; *t;) {
		size_t n = strcspn(t, "$");
		buf_add(out, t, n);
		t += n;
		if (*t)
			t += put_capture(m, t, out);
	}
}

void statsd_map_escape(const char *s, size_t len, struct buf *out)
{
	uint32_t rune, before = 0;
	if (len && *s >= '0' && *s <= '9')
		buf_add_u8(out, '_');
	for (size_t i = 0, step; i < len; i += step) {
		step = rune_decode(s + i, len - i, &rune);
		if (!step)
			step = 1;
		if (step == 1 && in_name(s[i], false)) {
			buf_add_u8(out, (uint8_t)s[i]);
		} else if (s[i] == '-' && before == '-') {
			rune = '-';
		} else {
			buf_add_u8(out, '_');
		}
		before = rune;
	}
}
