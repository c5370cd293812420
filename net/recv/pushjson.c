/* pushjson - groups as /api/v1/metrics of a Prometheus Pushgateway tells of them. */
#include "net/recv/pushgroup.h"

#include "core/base/json.h"
#include "proto/expo.h"

#include <math.h>
#include <stdlib.h>

#define LABELS     "labels"
#define LAST_GOOD  "last_push_successful"
#define NUMBER_MAX 32u /* bytes of a float in %g */

static const char *const type_names[EXPO_TYPES] = { "UNTYPED", "COUNTER", "GAUGE", "HISTOGRAM",
	"GAUGE_HISTOGRAM", "SUMMARY", "UNTYPED", "UNTYPED" };

struct member { /* of a group's object: a family, or one of the two others (family NULL) */
	const char *name;
	size_t len;
	const struct push_family *family;
};
struct pair { /* of buckets or quantiles */
	char name[NUMBER_MAX];
	size_t len;
	double v;
};

/* Families by their number, behind them the two others. */
static struct member member_of(const struct pushgroup *g, uint32_t i)
{
	if (i < g->families_count)
		return (
		    struct member){ g->families[i].name, g->families[i].name_len, &g->families[i] };
	return i == g->families_count ? (struct member){ LABELS, sizeof(LABELS) - 1, NULL }
	                              : (struct member){ LAST_GOOD, sizeof(LAST_GOOD) - 1, NULL };
}

static int by_name(const void *x, const void *y, void *arg)
{
	struct member a = member_of(arg, *(const uint32_t *)x),
	              b = member_of(arg, *(const uint32_t *)y);
	return bytes_cmp(a.name, a.len, b.name, b.len);
}

static int by_pair(const void *x, const void *y)
{
	const struct pair *a = x, *b = y;
	return bytes_cmp(a->name, a->len, b->name, b->len);
}

static bool is_complex(const struct push_family *f)
{
	return f->type == EXPO_HISTOGRAM || f->type == EXPO_GAUGEHISTOGRAM || f->type == EXPO_SUMMARY;
}

static const char *bound_label(const struct push_family *f)
{
	return f->type == EXPO_SUMMARY ? "quantile" : "le";
}

static void put_number(struct buf *out, double v, bool count)
{
	char text[NUM_FMT_MAX];
	size_t n = count && v >= 0 && v < 0x1p63 && v == floor(v) ? num_fmt_u64((uint64_t)v, text)
	                                                          : num_fmt_g(v, text);
	buf_printf(out, "\"%.*s\"", (int)n, text);
}

static bool is_own(const struct label *l, const char *bound)
{
	return label_is_name(l) || (bound && bytes_equal(l->name, l->name_len, bound, strlen(bound)));
}

static void put_label(struct buf *out, const char *name, size_t name_len, const char *value,
    size_t value_len, bool *any)
{
	if (*any)
		buf_add_u8(out, ',');
	*any = true;
	json_str(out, name, name_len);
	buf_add_u8(out, ':');
	json_str(out, value, value_len);
}

/* By name; a metric without an instance has an empty one. */
static void put_labels(struct buf *out, struct labels ls, const char *bound, bool instance)
{
	struct label l;
	bool any = false;
	buf_add_u8(out, '{');
	for (struct label_iter it = label_iter(ls); label_next(&it, &l);) {
		int c = bytes_cmp(l.name, l.name_len, "instance", 8);
		if (instance && c > 0)
			put_label(out, "instance", 8, "", 0, &any);
		instance &= c < 0;
		if (!is_own(&l, bound))
			put_label(out, l.name, l.name_len, l.value, l.value_len, &any);
	}
	if (instance)
		put_label(out, "instance", 8, "", 0, &any);
	buf_add_u8(out, '}');
}

/* The same labels, but for the name and the bound? */
static bool same_metric(const struct push_row *a, const struct push_row *b, const char *bound)
{
	struct label_iter x = label_iter((struct labels){ a->labels, a->labels_len });
	struct label_iter y = label_iter((struct labels){ b->labels, b->labels_len });
	struct label l, m;
	for (;;) {
		bool more, other;
		do
			more = label_next(&x, &l);
		while (more && is_own(&l, bound));
		do
			other = label_next(&y, &m);
		while (other && is_own(&m, bound));
		if (!more || !other)
			return more == other;
		if (!bytes_equal(l.name, l.name_len, m.name, m.name_len) ||
		    !bytes_equal(l.value, l.value_len, m.value, m.value_len))
			return false;
	}
}

static bool name_ends(const struct push_row *r, const char *tail)
{
	uint32_t len;
	size_t n = strlen(tail);
	const char *s = label_get(
	    (struct labels){ r->labels, r->labels_len }, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
	return s && len > n && memcmp(s + len - n, tail, n) == 0;
}

static void pair_of(const struct push_row *r, const char *bound, struct pair *p)
{
	uint32_t len = 0;
	double v;
	char text[NUM_FMT_MAX];
	const char *s =
	    label_get((struct labels){ r->labels, r->labels_len }, bound, strlen(bound), &len);
	size_t n = len < NUMBER_MAX ? len : NUMBER_MAX;
	if (s && n)
		memcpy(text, s, n);
	if (s && !num_parse_float(s, len, &v))
		n = num_fmt_g(v, text);
	p->len = n < NUMBER_MAX ? n : NUMBER_MAX;
	memcpy(p->name, text, p->len);
	p->v = r->v;
}

/* A summary or histogram: rows that differ in their bound alone. */
static void put_complex(struct buf *out, const struct push_family *f, uint32_t from, uint32_t to)
{
	const char *bound = bound_label(f);
	bool summary = f->type == EXPO_SUMMARY;
	double sum = 0, count = 0;
	struct pair *pairs = mem_array(NULL, to - from + 1, sizeof(*pairs));
	uint32_t n = 0, len;
	for (uint32_t i = from; i < to; i++) {
		const struct push_row *r = &f->rows[i];
		if (r->hist) {
			sum = r->hist->sum;
			count = r->hist->is_float ? r->hist->count.f : (double)r->hist->count.n;
		} else if (label_get((struct labels){ r->labels, r->labels_len }, bound,
		               strlen(bound), &len)) {
			pair_of(r, bound, &pairs[n++]);
		} else if (name_ends(r, "_sum")) {
			sum = r->v;
		} else if (name_ends(r, "_count")) {
			count = r->v;
		}
	}
	qsort(pairs, n, sizeof(*pairs), by_pair);
	struct buf inside;
	buf_init(&inside);
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			buf_add_u8(&inside, ',');
		json_str(&inside, pairs[i].name, pairs[i].len);
		buf_add_u8(&inside, ':');
		put_number(&inside, pairs[i].v, !summary);
	}
	mem_free(pairs);
	buf_add_u8(out, '{');
	if (!summary)
		buf_printf(out, "\"buckets\":{%.*s},", (int)inside.len, (const char *)inside.data);
	buf_add_str(out, "\"count\":");
	put_number(out, count, true);
	buf_add_str(out, ",\"labels\":");
	put_labels(
	    out, (struct labels){ f->rows[from].labels, f->rows[from].labels_len }, bound, true);
	if (summary)
		buf_printf(out, ",\"quantiles\":{%.*s}", (int)inside.len, (const char *)inside.data);
	buf_add_str(out, ",\"sum\":");
	put_number(out, sum, false);
	buf_add_u8(out, '}');
	buf_release(&inside);
}

static void put_simple(struct buf *out, const struct push_row *r)
{
	buf_add_str(out, "{\"labels\":");
	put_labels(out, (struct labels){ r->labels, r->labels_len }, NULL, true);
	buf_add_str(out, ",\"value\":");
	put_number(out, r->v, false);
	buf_add_u8(out, '}');
}

static void family_begin(struct buf *out, const struct push_family *f)
{
	char when[NUM_FMT_MAX];
	size_t n = num_fmt_time(f->pushed_ms, when);
	buf_printf(
	    out, "{\"time_stamp\":\"%.*s\",\"type\":\"%s\"", (int)n, when, type_names[f->type]);
	if (f->help_len) {
		buf_add_str(out, ",\"help\":");
		json_str(out, f->help, f->help_len);
	}
	buf_add_str(out, ",\"metrics\":[");
}

/* Metrics from j->row on; false: out has upto bytes, and there are more. */
static bool put_family(struct pushjson *j, struct buf *out, size_t upto, const struct push_family *f)
{
	if (!j->row)
		family_begin(out, f);
	for (uint32_t i = j->row, to; i < f->rows_count; i = j->row = to) {
		if (i && out->len >= upto)
			return false;
		to = i + 1;
		if (i)
			buf_add_u8(out, ',');
		if (!is_complex(f)) {
			put_simple(out, &f->rows[i]);
			continue;
		}
		while (to < f->rows_count && same_metric(&f->rows[i], &f->rows[to], bound_label(f)))
			to++;
		put_complex(out, f, i, to);
	}
	buf_add_str(out, "]}");
	j->row = 0;
	return true;
}

void pushjson_begin(struct pushjson *j, struct pushgroup *g)
{
	uint32_t count = g->families_count + 2;
	*j = (struct pushjson){ .group = g, .order = mem_array(NULL, count, sizeof(*j->order)) };
	for (uint32_t i = 0; i < count; i++)
		j->order[i] = i;
	qsort_r(j->order, count, sizeof(*j->order), by_name, g);
}

void pushjson_end(struct pushjson *j)
{
	mem_free(j->order);
	*j = (struct pushjson){ 0 };
}

bool pushjson_next(struct pushjson *j, struct buf *out, size_t upto)
{
	const struct pushgroup *g = j->group;
	for (; j->at < g->families_count + 2; j->at++) {
		struct member m = member_of(g, j->order[j->at]);
		if (j->at && out->len >= upto)
			return false;
		if (!j->row) {
			buf_add_u8(out, j->at ? ',' : '{');
			json_str(out, m.name, m.len);
			buf_add_u8(out, ':');
		}
		if (m.family && !put_family(j, out, upto, m.family))
			return false;
		if (!m.family && m.len == sizeof(LABELS) - 1)
			put_labels(out, g->labels, NULL, false);
		else if (!m.family)
			buf_add_str(out, g->pushed_ms > g->failed_ms ? "true" : "false");
	}
	buf_add_u8(out, '}');
	return true;
}
