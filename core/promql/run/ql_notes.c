#include "core/promql/run/ql_notes.h"

#include "core/base/rune.h"
#include "core/model/histmath.h"

#include <stdio.h>
#include <string.h>

void ql_notes_init(struct ql_notes *n, struct arena *a)
{
	*n = (struct ql_notes){ .arena = a };
	ql_tab_init(&n->tab, a);
}

void ql_note_fix_add(struct ql_note_fix *to, const struct ql_note_fix *f)
{
	if (!to->count) {
		*to = *f;
		return;
	}
	to->t_min_ms = f->t_min_ms < to->t_min_ms ? f->t_min_ms : to->t_min_ms;
	to->t_max_ms = f->t_max_ms > to->t_max_ms ? f->t_max_ms : to->t_max_ms;
	to->min_bucket = f->min_bucket < to->min_bucket ? f->min_bucket : to->min_bucket;
	to->max_bucket = f->max_bucket > to->max_bucket ? f->max_bucket : to->max_bucket;
	to->max_diff = f->max_diff > to->max_diff ? f->max_diff : to->max_diff;
	to->count += f->count;
}

/* NULL: it is not kept. */
static struct ql_note_item *note_put(
    struct ql_notes *n, bool info, struct ql_pos pos, const char *text, size_t len)
{
	struct labels key = { .bytes = (const uint8_t *)text, .len = num_u32(len + 1) };
	uint64_t hash = label_hash(key);
	bool fresh;

	if (n->tab.count >= QL_NOTES_MAX && ql_tab_find(&n->tab, key, hash) == QL_TAB_NONE)
		return NULL;
	uint32_t at = ql_tab_add(&n->tab, key, hash, true, &fresh);

	if (at >= n->_cap) {
		uint32_t cap = n->_cap ? n->_cap * 2 : 8;
		struct ql_note_item *items = arena_array(n->arena, cap, sizeof(*items));
		if (at)
			memcpy(items, n->items, at * sizeof(*items));
		n->items = items;
		n->_cap = cap;
	}
	if (fresh)
		n->items[at] =
		    (struct ql_note_item){ .text = (const char *)ql_tab_key(&n->tab, at)->ls.bytes,
			    .info = info };
	n->items[at].pos = pos;
	return &n->items[at];
}

static struct ql_note_item *note_text(
    struct ql_notes *n, bool info, struct ql_pos pos, const char *text, size_t len)
{
	struct buf b;

	buf_init(&b);
	buf_add_str(&b, info ? "PromQL info: " : "PromQL warning: ");
	buf_add(&b, text, len);
	buf_add_u8(&b, 0);
	struct ql_note_item *it = note_put(n, info, pos, (const char *)b.data, b.len - 1);
	buf_release(&b);
	return it;
}

void ql_notes_add(struct ql_notes *n, bool info, struct ql_pos pos, const char *fmt, ...)
{
	va_list ap;
	char text[1024];

	va_start(ap, fmt);
	size_t len = rune_vprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	note_text(n, info, pos, text, len);
}

void ql_notes_fix(
    struct ql_notes *n, struct ql_pos pos, const struct ql_note_fix *fix, const char *text)
{
	struct ql_note_item *it = note_put(n, true, pos, text, strlen(text));
	if (it && fix->count)
		ql_note_fix_add(&it->fix, fix);
}

static struct ql_note_item *note_named(struct ql_notes *n, bool info, struct ql_pos pos,
    const char *text, const char *name, uint32_t len)
{
	struct buf b;

	buf_init(&b);
	buf_add_str(&b, text);
	buf_add_u8(&b, ' ');
	label_quote_go(&b, name, len);
	struct ql_note_item *it = note_text(n, info, pos, (const char *)b.data, b.len);
	buf_release(&b);
	return it;
}

/* "" without one. */
static const char *name_of(struct labels ls, uint32_t *len)
{
	const char *name = label_get(ls, LABEL_NAME, sizeof(LABEL_NAME) - 1, len);

	*len = name ? *len : 0;
	return name ? name : "";
}

void ql_notes_named(
    struct ql_notes *n, bool info, struct ql_pos pos, const char *text, struct labels ls)
{
	uint32_t len;
	const char *name = name_of(ls, &len);

	note_named(n, info, pos, text, name, len);
}

void ql_notes_for(struct ql_notes *n, bool info, struct ql_pos pos, const char *text, struct labels ls)
{
	struct buf b;
	uint32_t len;
	const char *name = name_of(ls, &len);

	buf_init(&b);
	buf_add_str(&b, text);
	if (len) {
		buf_add_str(&b, " for metric name ");
		label_quote_go(&b, name, len);
	}
	note_text(n, info, pos, (const char *)b.data, b.len);
	buf_release(&b);
}

void ql_notes_told(struct ql_notes *n, struct ql_pos pos, unsigned told, const char *what)
{
	if (told & HISTMATH_COLLIDED)
		ql_notes_add(n, false, pos, "conflicting counter resets during histogram %s", what);
	if (told & HISTMATH_RECONCILED)
		ql_notes_add(
		    n, true, pos, "mismatched custom buckets were reconciled during %s", what);
}

void ql_notes_left_out(struct ql_notes *n, struct ql_pos pos, const char *aggregation)
{
	ql_notes_add(n, true, pos, "ignored histogram in %s aggregation", aggregation);
}

void ql_notes_overlap(struct ql_notes *n, struct ql_pos pos, struct labels ls, uint32_t times)
{
	uint32_t len;
	const char *name = name_of(ls, &len);
	struct ql_note_item *it = note_named(n, false, pos,
	    "sample has start time that overlaps with previous sample timestamp for metric", name,
	    len);

	if (it)
		it->times += times;
}

void ql_notes_quantile(struct ql_notes *n, struct ql_pos pos, double q)
{
	char text[NUM_FMT_MAX + 1];

	text[num_fmt_g(q, text)] = 0;
	ql_notes_add(n, false, pos, "quantile value should be between 0 and 1, got %s", text);
}

void ql_notes_quantiles(struct ql_notes *n, struct ql_pos pos, const struct ql_scalar *s,
    const uint64_t *has, uint32_t from, uint32_t count)
{
	uint64_t said = num_bits(0); /* 0 is a good one */

	if (s->kind == QL_SAME && s->same >= 0 && s->same <= 1)
		return;
	QL_EACH_BIT(i, has + from / 64, count)
	{
		double q = ql_scalar_at(s, from + i);
		if (num_bits(q) == said || (q >= 0 && q <= 1))
			continue;
		said = num_bits(q);
		ql_notes_quantile(n, pos, q);
		if (s->kind == QL_SAME)
			return;
	}
}

static bool ends_as_counter(const char *name, uint32_t len)
{
	static const char *const ends[] = { "_total", "_sum", "_count", "_bucket" };

	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		size_t end = strlen(ends[i]);
		if (len >= end && memcmp(name + len - end, ends[i], end) == 0)
			return true;
	}
	return false;
}

/* The same by the label __type__. */
static void note_type(
    struct ql_notes *n, struct ql_pos pos, struct labels ls, const char *name, uint32_t name_len)
{
	uint32_t len = 0;
	const char *type = label_get(ls, "__type__", 8, &len);
	struct buf b;

	if ((type && len == 7 && memcmp(type, "counter", 7) == 0) ||
	    (type && len == 9 && memcmp(type, "histogram", 9) == 0))
		return;
	buf_init(&b);
	buf_add_str(&b,
	    "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got ");
	label_quote_go(&b, type ? type : "", type ? len : 0);
	buf_add_u8(&b, ':');
	buf_add_u8(&b, 0);
	note_named(n, true, pos, (const char *)b.data, name, name_len);
	buf_release(&b);
}

void ql_notes_counter(struct ql_notes *n, struct ql_pos pos, struct labels ls, bool by_type)
{
	uint32_t len = 0;
	const char *name = label_get(ls, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);

	if (!name || !len)
		return;
	if (by_type) {
		note_type(n, pos, ls, name, len);
		return;
	}
	if (len == n->_name_len && pos.start == n->_name_pos && memcmp(name, n->_name, len) == 0)
		return;
	if (len <= sizeof(n->_name)) {
		memcpy(n->_name, name, len);
		n->_name_len = len;
		n->_name_pos = pos.start;
	}
	if (!ends_as_counter(name, len))
		note_named(n, true, pos,
		    "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:",
		    name, len);
}

bool ql_notes_merge(struct ql_notes *n, const struct ql_notes *from, uint32_t *at, uint32_t most)
{
	for (; *at < from->tab.count && most; ++*at, most--) {
		const struct ql_note_item *it = &from->items[*at];
		struct ql_note_item *to = note_put(n, it->info, it->pos, it->text, strlen(it->text));
		if (to && it->fix.count)
			ql_note_fix_add(&to->fix, &it->fix);
		if (to)
			to->times += it->times;
	}
	return *at < from->tab.count;
}

const char *ql_fmt_g(struct arena *a, double v)
{
	char text[NUM_FMT_MAX];
	return arena_strndup(a, text, num_fmt_g(v, text));
}

const char *ql_fmt_q(struct arena *a, const char *s, size_t len)
{
	struct buf b;
	buf_init(&b);
	label_quote_go(&b, s, len);
	char *text = arena_strndup(a, (const char *)b.data, b.len);
	buf_release(&b);
	return text;
}

static const char *rfc3339(struct arena *a, int64_t ms)
{
	struct num_civil c = num_civil(ms / 1000 - (ms % 1000 < 0));
	return arena_printf(a, "%04lld-%02d-%02dT%02d:%02d:%02dZ", (long long)c.year, c.month,
	    c.day, c.hour, c.minute, c.second);
}

const char *ql_note_text(struct arena *a, const struct ql_note_item *it, unsigned line, unsigned col)
{
	const struct ql_note_fix *f = &it->fix;
	if (it->times > 1)
		return arena_printf(a, "%s (%u occurrences) (%u:%u)", it->text, it->times, line, col);
	if (!f->count)
		return arena_printf(a, "%s (%u:%u)", it->text, line, col);
	return arena_printf(a,
	    "%s, from buckets %s to %s, with a max diff of %.2g, over %u samples from %s to %s (%u:%u)",
	    it->text, ql_fmt_g(a, f->min_bucket), ql_fmt_g(a, f->max_bucket), f->max_diff, f->count,
	    rfc3339(a, f->t_min_ms), rfc3339(a, f->t_max_ms), line, col);
}
