#include "core/base/rune_set.h"

#include "core/base/arena.h"

#include <stdlib.h>
#include <string.h>

static const struct cat_row {
	uint32_t first, last;
	uint8_t even, odd;
} cat_rows[] = {
#define ROW(first, last, even, odd) { first, last, RUNE_##even, RUNE_##odd },
#include "core/base/rune_cat.def"
#undef ROW
};

/* A row with a name begins a script, the rows behind it are its spans. */
static const struct script_row {
	const char *name;
	uint32_t first, last;
} script_rows[] = {
#define SCRIPT(name)       { #name, 0, 0 },
#define RANGE(first, last) { NULL, first, last },
#include "core/base/rune_script.def"
#undef SCRIPT
#undef RANGE
};

/*
 * first, first + stride, ... last fold to themselves + delta. What they fold to folds to nothing
 * else.
 */
static const struct fold_row {
	uint32_t first, last, stride;
	int32_t delta;
} fold_rows[] = {
#define ROW(first, last, stride, delta) { first, last, stride, delta },
#include "core/base/rune_fold.def"
#undef ROW
};

#define BIT(cat) (1u << RUNE_##cat)
#define LC       (BIT(Lu) | BIT(Ll) | BIT(Lt))
#define L        (LC | BIT(Lm) | BIT(Lo))
#define M        (BIT(Mn) | BIT(Mc) | BIT(Me))
#define N        (BIT(Nd) | BIT(Nl) | BIT(No))
#define P        (BIT(Pc) | BIT(Pd) | BIT(Ps) | BIT(Pe) | BIT(Pi) | BIT(Pf) | BIT(Po))
#define S        (BIT(Sm) | BIT(Sc) | BIT(Sk) | BIT(So))
#define Z        (BIT(Zs) | BIT(Zl) | BIT(Zp))
#define C        (BIT(Cc) | BIT(Cf) | BIT(Cs) | BIT(Co) | BIT(Cn))

/*
 * Short and long names of sets of categories (PropertyValueAliases.txt, gc), and three that RE2
 * adds.
 */
/* clang-format off */
static const struct {
	const char *name, *alias;
	uint32_t cats;
} cat_names[] = {
	{ "Any", NULL, ~0u }, { "Assigned", NULL, ~BIT(Cn) },
	{ "C", "Other", C }, { "Cc", "Control", BIT(Cc) }, { "Cc", "cntrl", BIT(Cc) }, { "Cf", "Format", BIT(Cf) },
	{ "Cn", "Unassigned", BIT(Cn) }, { "Co", "Private_Use", BIT(Co) }, { "Cs", "Surrogate", BIT(Cs) },
	{ "L", "Letter", L }, { "LC", "Cased_Letter", LC }, { "Ll", "Lowercase_Letter", BIT(Ll) },
	{ "Lm", "Modifier_Letter", BIT(Lm) }, { "Lo", "Other_Letter", BIT(Lo) },
	{ "Lt", "Titlecase_Letter", BIT(Lt) }, { "Lu", "Uppercase_Letter", BIT(Lu) },
	{ "M", "Mark", M }, { "M", "Combining_Mark", M }, { "Mc", "Spacing_Mark", BIT(Mc) },
	{ "Me", "Enclosing_Mark", BIT(Me) }, { "Mn", "Nonspacing_Mark", BIT(Mn) },
	{ "N", "Number", N }, { "Nd", "Decimal_Number", BIT(Nd) }, { "Nd", "digit", BIT(Nd) },
	{ "Nl", "Letter_Number", BIT(Nl) }, { "No", "Other_Number", BIT(No) },
	{ "P", "Punctuation", P }, { "P", "punct", P }, { "Pc", "Connector_Punctuation", BIT(Pc) },
	{ "Pd", "Dash_Punctuation", BIT(Pd) }, { "Pe", "Close_Punctuation", BIT(Pe) },
	{ "Pf", "Final_Punctuation", BIT(Pf) }, { "Pi", "Initial_Punctuation", BIT(Pi) },
	{ "Po", "Other_Punctuation", BIT(Po) }, { "Ps", "Open_Punctuation", BIT(Ps) },
	{ "S", "Symbol", S }, { "Sc", "Currency_Symbol", BIT(Sc) }, { "Sk", "Modifier_Symbol", BIT(Sk) },
	{ "Sm", "Math_Symbol", BIT(Sm) }, { "So", "Other_Symbol", BIT(So) },
	{ "Z", "Separator", Z }, { "Zl", "Line_Separator", BIT(Zl) }, { "Zp", "Paragraph_Separator", BIT(Zp) },
	{ "Zs", "Space_Separator", BIT(Zs) },
};
/* clang-format on */

void rune_set_release(struct rune_set *s)
{
	mem_free(s->v);
	*s = (struct rune_set){ 0 };
}

void rune_set_add(struct rune_set *s, uint32_t first, uint32_t last)
{
	struct rune_span *end = s->count ? &s->v[s->count - 1] : NULL;
	if (end && first >= end->first && first <= end->last + 1) {
		end->last = last > end->last ? last : end->last;
		return;
	}
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 8;
		s->v = mem_array(s->v, s->room, sizeof(*s->v));
	}
	s->v[s->count++] = (struct rune_span){ .first = first, .last = last };
}

static int span_qcmp(const void *a, const void *b)
{
	uint32_t x = ((const struct rune_span *)a)->first, y = ((const struct rune_span *)b)->first;
	return (x > y) - (x < y);
}

void rune_set_tidy(struct rune_set *s)
{
	size_t count = s->count;
	if (count < 2)
		return;
	qsort(s->v, count, sizeof(*s->v), span_qcmp);
	s->count = 0; /* adding again joins neighbours, and never needs more room */
	for (size_t i = 0; i < count; i++)
		rune_set_add(s, s->v[i].first, s->v[i].last);
}

void rune_set_join(struct rune_set *to, const struct rune_set *from)
{
	struct rune_set out = { 0 };
	if (!to->count || !from->count || from->v[0].first >= to->v[to->count - 1].first) {
		for (size_t i = 0; i < from->count; i++)
			rune_set_add(to, from->v[i].first, from->v[i].last);
		return;
	}
	for (size_t i = 0, j = 0; i < to->count || j < from->count;) {
		bool left = j == from->count || (i < to->count && to->v[i].first <= from->v[j].first);
		const struct rune_span *x = left ? &to->v[i++] : &from->v[j++];
		rune_set_add(&out, x->first, x->last);
	}
	rune_set_release(to);
	*to = out;
}

void rune_set_negate(struct rune_set *s)
{
	struct rune_set out = { 0 };
	uint32_t next = 0;
	for (size_t i = 0; i < s->count; i++) {
		if (s->v[i].first > next)
			rune_set_add(&out, next, s->v[i].first - 1);
		next = s->v[i].last + 1;
	}
	if (next <= RUNE_MAX)
		rune_set_add(&out, next, RUNE_MAX);
	rune_set_release(s);
	*s = out;
}

/* The first span that ends at rune or behind it. */
static size_t lower_bound(const struct rune_set *s, uint32_t rune)
{
	size_t lo = 0, hi = s->count;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (rune > s->v[mid].last)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool overlaps(const struct rune_set *s, uint32_t first, uint32_t last)
{
	size_t i = lower_bound(s, first);
	return i < s->count && s->v[i].first <= last;
}

bool rune_set_has(const struct rune_set *s, uint32_t rune)
{
	return overlaps(s, rune, rune);
}

/* What members fold to; or, back, what folds to members. */
static void fold_one_way(struct rune_set *s, bool back)
{
	struct rune_set more = { 0 };
	for (size_t i = 0; i < COUNT_OF(fold_rows); i++) {
		const struct fold_row *f = &fold_rows[i];
		int64_t from = back ? f->delta : 0, to = back ? 0 : f->delta;
		if (!overlaps(s, (uint32_t)(f->first + from), (uint32_t)(f->last + from)))
			continue;
		for (int64_t rune = f->first; rune <= f->last; rune += f->stride) {
			if (rune_set_has(s, (uint32_t)(rune + from)))
				rune_set_add(&more, (uint32_t)(rune + to), (uint32_t)(rune + to));
		}
	}
	if (more.count) {
		rune_set_tidy(&more);
		rune_set_join(s, &more);
	}
	rune_set_release(&more);
}

void rune_set_fold(struct rune_set *s)
{
	fold_one_way(s, false);
	fold_one_way(s, true);
}

/* Names */

/* Capitals as small letters; 0 for what does not matter. */
static char name_letter(char c)
{
	if (c == '_' || c == '-' || c == ' ')
		return 0;
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool name_is(const char *known, const char *name, size_t len)
{
	size_t i = 0;
	for (; *known; known++) {
		if (!name_letter(*known))
			continue;
		while (i < len && !name_letter(name[i]))
			i++;
		if (i == len || name_letter(name[i++]) != name_letter(*known))
			return false;
	}
	while (i < len && !name_letter(name[i]))
		i++;
	return i == len;
}

static void add_categories(struct rune_set *out, uint32_t cats)
{
	bool negate = cats & BIT(Cn); /* those without a row */
	if (negate)
		cats = ~cats;
	for (size_t i = 0; i < COUNT_OF(cat_rows); i++) {
		const struct cat_row *r = &cat_rows[i];
		bool even = cats >> r->even & 1, odd = cats >> r->odd & 1;
		if (even && odd) {
			rune_set_add(out, r->first, r->last);
			continue;
		}
		for (uint32_t rune = r->first + !even; (even || odd) && rune <= r->last; rune += 2)
			rune_set_add(out, rune, rune);
	}
	if (negate)
		rune_set_negate(out);
}

static bool add_script(struct rune_set *out, const char *name, size_t len)
{
	size_t i = 0;
	while (i < COUNT_OF(script_rows) &&
	    !(script_rows[i].name && name_is(script_rows[i].name, name, len)))
		i++;
	if (i == COUNT_OF(script_rows))
		return false;
	for (i++; i < COUNT_OF(script_rows) && !script_rows[i].name; i++)
		rune_set_add(out, script_rows[i].first, script_rows[i].last);
	return true;
}

static bool add_named(struct rune_set *out, const char *name, size_t len, bool *folds)
{
	*folds = true;
	if (name_is("ASCII", name, len)) {
		rune_set_add(out, 0, 0x7f);
		return true;
	}
	for (size_t i = 0; i < COUNT_OF(cat_names); i++) {
		if (!name_is(cat_names[i].name, name, len) &&
		    !(cat_names[i].alias && name_is(cat_names[i].alias, name, len)))
			continue;
		/* Go's table of what folds into classes knows all of them but this one. */
		*folds = cat_names[i].cats != LC;
		add_categories(out, cat_names[i].cats);
		return true;
	}
	return add_script(out, name, len);
}

bool rune_set_named(struct rune_set *out, const char *name, size_t len, bool fold)
{
	struct rune_set s = { 0 };
	bool folds;
	if (!add_named(&s, name, len, &folds))
		return false;
	if (fold && folds)
		rune_set_fold(&s);
	rune_set_release(out);
	*out = s;
	return true;
}

enum rune_cat rune_category(uint32_t rune)
{
	size_t lo = 0, hi = COUNT_OF(cat_rows);
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (rune > cat_rows[mid].last)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == COUNT_OF(cat_rows) || rune < cat_rows[lo].first)
		return RUNE_Cn;
	return (rune - cat_rows[lo].first) & 1 ? cat_rows[lo].odd : cat_rows[lo].even;
}
